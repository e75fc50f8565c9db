//! search over one segment: dictionary values that match, with their row counts from bitmaps where the filter allows, else
//! from codes.

use std::collections::HashMap;
use std::sync::Arc;

use ovate_base::{DruidError, Granularity, Result};
use ovate_compute::dimension::DimensionSpec;
use ovate_compute::{ColumnType, Rows, Vector};

use super::cursor::Selection;
use super::keys::SegmentKey;
use super::{QueryContext, SegmentRef};
use crate::document::{SearchQuery, SearchSpec};
use crate::partial::{SearchHit, SearchPartial};

/// A search spec ready to match.
struct Matching {
    spec: SearchSpec,
    folded: Vec<String>,
    filter: Option<regex::Regex>,
}

impl Matching {
    fn new(spec: &SearchSpec) -> Result<Self> {
        let (folded, filter) = match spec {
            SearchSpec::Contains { value: Some(value), case_sensitive: false } => (vec![value.to_lowercase()], None),
            SearchSpec::Fragment { values, case_sensitive: false } => (values.iter().map(|v| v.to_lowercase()).collect(), None),
            SearchSpec::Regex { pattern } => {
                let built = regex::Regex::new(pattern);
                (Vec::new(), Some(built.map_err(|e| DruidError::invalid_input(format!("bad regex in search query: {e}")))?))
            }
            _ => (Vec::new(), None),
        };
        Ok(Matching { spec: spec.clone(), folded, filter })
    }

    fn accepts(&self, value: Option<&str>) -> bool {
        let Some(text) = value else { return matches!(self.spec, SearchSpec::All) };
        match &self.spec {
            SearchSpec::All => true,
            SearchSpec::Contains { value: None, .. } => false,
            SearchSpec::Contains { value: Some(value), case_sensitive: true } => text.contains(value.as_str()),
            SearchSpec::Fragment { values, case_sensitive: true } => values.iter().all(|v| text.contains(v.as_str())),
            SearchSpec::Contains { .. } | SearchSpec::Fragment { .. } => {
                let text = text.to_lowercase();
                self.folded.iter().all(|v| text.contains(v.as_str()))
            }
            SearchSpec::Regex { .. } => self.filter.as_ref().is_some_and(|regex| regex.is_match(text)),
        }
    }
}

/// Finds the values; hits carry the bucket of the segment's first instant, which is that instant with granularity `all`.
pub(super) fn run(query: &SearchQuery, segment: &SegmentRef, context: &QueryContext) -> Result<SearchPartial> {
    let matching = Matching::new(&query.spec)?;
    let mut selection = Selection::open(&query.base, segment, context)?;
    let data = selection.source.interval();
    let bucket = segment.intervals.iter().filter_map(|i| i.intersect(&data)).map(|i| i.start).min().unwrap_or(data.start);
    let bucket = match &query.base.granularity {
        Granularity::All => bucket,
        other => other.bucket_start(bucket),
    };
    let dimensions = if query.dimensions.is_empty() {
        let strings = |name: &String| {
            selection.source.capabilities(name).is_some_and(|capabilities| capabilities.column_type == ColumnType::String)
        };
        segment.source.column_names().iter().filter(|name| strings(name)).map(|name| DimensionSpec::plain(name)).collect()
    } else {
        query.dimensions.clone()
    };
    let mut partial = SearchPartial { hits: Vec::new(), buckets: vec![bucket] };
    for spec in &dimensions {
        context.check()?;
        let dimension: Arc<str> = Arc::from(spec.output_name());
        for (value, count) in values_of(spec, &mut selection, context)? {
            if count > 0 && matching.accepts(value.as_deref()) {
                partial.hits.push(SearchHit { bucket, dimension: dimension.clone(), value, count });
            }
        }
    }
    Ok(partial.compacted())
}

type Counted = Vec<(Option<Arc<str>>, u64)>;

/// The distinct values among the selected rows, with their counts.
fn values_of(spec: &DimensionSpec, selection: &mut Selection, context: &QueryContext) -> Result<Counted> {
    let column = spec.column(&selection.source, &context.eval)?;
    // A column that is not there has nothing to find.
    if column.is_none() {
        return Ok(Vec::new());
    }
    let mut key = SegmentKey::dimension(column, ColumnType::String)?;
    let mut counts: HashMap<u32, u64> = HashMap::new();
    let mut dense = vec![0u64; if key.limit() < 1 << 32 { key.limit() as usize } else { 0 }];
    let (mut ids, mut offsets) = (Vec::new(), Vec::new());
    for range in selection.ranges.clone() {
        selection.batches(range, context, &mut |rows: Rows<'_>| {
            key.read(rows, &mut ids, &mut offsets)?;
            for id in &ids {
                match dense.get_mut(*id as usize) {
                    Some(count) => *count += 1,
                    None => *counts.entry(*id).or_insert(0) += 1,
                }
            }
            Ok(true)
        })?;
    }
    let mut met: Vec<(u32, u64)> = dense.iter().enumerate().filter(|(_, n)| **n > 0).map(|(id, n)| (id as u32, *n)).collect();
    met.extend(counts);
    let vector = key.into_vector(met.iter().map(|(id, _)| *id).collect())?;
    let text = |row: usize| match &vector {
        Vector::Codes { dictionary, codes } => Ok(dictionary.get(codes[row])?.map(|text| Arc::from(text.as_ref()))),
        other => Ok(other.value(row).as_text()),
    };
    met.iter().enumerate().map(|(row, (_, count))| Ok((text(row)?, *count))).collect()
}
