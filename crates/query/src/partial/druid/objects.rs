//! search, timeBoundary, dataSourceMetadata and segmentMetadata: answers that are small documents.

use std::sync::Arc;

use ovate_base::Result;
use ovate_base::smile::SmileValue;

use super::{Elements, take, timestamp, unexpected};
use crate::document::SearchQuery;
use crate::partial::{BoundaryPartial, Partial, SearchHit, SearchPartial, SegmentAnalysis};

/// Hits of every bucket.
pub(super) fn search(_query: &SearchQuery, elements: &mut Elements<'_>) -> Result<Vec<Partial>> {
    let mut partial = SearchPartial::default();
    while let Some(element) = elements.next()? {
        let bucket = timestamp(element.get("timestamp"))?;
        partial.buckets.push(bucket);
        let SmileValue::Array(hits) = take(element, "result")? else { return Err(unexpected("no list of hits")) };
        for hit in hits {
            let Some(SmileValue::Text(dimension)) = hit.get("dimension") else {
                return Err(unexpected("a hit without a dimension"));
            };
            let value = match hit.get("value") {
                Some(SmileValue::Text(text)) => Some(Arc::from(text.as_str())),
                _ => None,
            };
            let count = match hit.get("count") {
                Some(SmileValue::Long(count)) => count.unsigned_abs(),
                _ => 0,
            };
            partial.hits.push(SearchHit { bucket, dimension: Arc::from(dimension.as_str()), value, count });
        }
    }
    Ok(if partial.buckets.is_empty() { Vec::new() } else { vec![Partial::Search(partial)] })
}

/// Least and greatest of all times named.
pub(super) fn bounds(elements: &mut Elements<'_>) -> Result<Vec<Partial>> {
    let mut partials = Vec::new();
    while let Some(element) = elements.next()? {
        let result = take(element, "result")?;
        let time = |name: &str| match result.get(name) {
            None | Some(SmileValue::Null) => Ok(None),
            some => timestamp(some).map(Some),
        };
        let max = time("maxTime")?.or(time("maxIngestedEventTime")?);
        partials.push(Partial::TimeBoundary(BoundaryPartial { min: time("minTime")?, max }));
    }
    Ok(partials)
}

/// An analysis for every segment, or one merged.
pub(super) fn analyses(elements: &mut Elements<'_>) -> Result<Vec<Partial>> {
    let mut list = Vec::new();
    while let Some(element) = elements.next()? {
        list.push(SegmentAnalysis::from_wire_json(&element.to_json())?);
    }
    Ok(if list.is_empty() { Vec::new() } else { vec![Partial::SegmentMetadata(list)] })
}
