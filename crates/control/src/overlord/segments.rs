//! Marking segments used and unused by hand (`OverlordDataSourcesResource`).

use ovate_base::{DataSegment, DruidError, Interval, Result, SegmentId, Timeline};
use serde_json::Value;

use super::Overlord;

impl Overlord {
    /// `markUnused` with an interval (and versions) or segment ids; gives how many changed.
    pub(super) async fn mark_unused(&self, data_source: &str, body: &Value) -> Result<u64> {
        let term = self.term()?;
        let wanted = Wanted::from_json(data_source, body)?;
        let changed = match &wanted {
            Wanted::Inside(interval, versions) => {
                term.store.mark_interval_unused(data_source, *interval, versions.as_deref()).await?
            }
            Wanted::Ids(ids) => term.store.mark_segments(ids, false).await?,
        };
        self.bell.ring();
        Ok(changed)
    }

    /// `markUsed`: unused segments that newer ones do not hide become used again; ids are taken as they are.
    pub(super) async fn mark_used(&self, data_source: &str, body: &Value) -> Result<u64> {
        let wanted = Wanted::from_json(data_source, body)?;
        match wanted {
            Wanted::Inside(interval, versions) => self.mark_visible_used(data_source, interval, versions).await,
            Wanted::Ids(ids) => {
                let term = self.term()?;
                let changed = term.store.mark_segments(&ids, true).await?;
                self.bell.ring();
                Ok(changed)
            }
        }
    }

    /// Marks the unused segments inside an interval used that used and unused ones together leave visible.
    pub(super) async fn mark_visible_used(
        &self,
        data_source: &str,
        interval: Interval,
        versions: Option<Vec<String>>,
    ) -> Result<u64> {
        let term = self.term()?;
        let filter = ovate_store::meta::UnusedFilter { interval: Some(interval), versions, ..Default::default() };
        let unused = term.store.unused_segments(data_source, &filter).await?;
        let mut timeline: Timeline<DataSegment> = Timeline::new();
        for segment in term.store.used_segments(data_source, &[]).await?.into_iter().chain(unused.iter().cloned()) {
            timeline.add(segment.interval, segment.version.clone(), segment.shard_spec.clone(), segment);
        }
        let hidden = |segment: &&DataSegment| !timeline.is_overshadowed(segment.interval, &segment.version, &segment.shard_spec);
        let ids: Vec<String> = unused.iter().filter(hidden).map(|segment| segment.id().to_string()).collect();
        let changed = term.store.mark_segments(&ids, true).await?;
        self.bell.ring();
        Ok(changed)
    }

    /// All segments of a data source become unused.
    pub(super) async fn mark_all_unused(&self, data_source: &str) -> Result<u64> {
        let changed = self.term()?.store.mark_data_source_unused(data_source).await?;
        self.bell.ring();
        Ok(changed)
    }

    /// One segment; true when its flag changed.
    pub(super) async fn mark_one(&self, data_source: &str, id: &str, used: bool) -> Result<bool> {
        if SegmentId::parse(data_source, id).is_none() {
            return Err(DruidError::invalid_input(format!("Invalid segmentId[{id}] for datasource [{data_source}]")));
        }
        let changed = self.term()?.store.mark_segments(&[id.to_owned()], used).await?;
        self.bell.ring();
        Ok(changed > 0)
    }
}

/// What a `SegmentsToUpdateFilter` asks for.
enum Wanted {
    Inside(Interval, Option<Vec<String>>),
    Ids(Vec<String>),
}

impl Wanted {
    fn from_json(data_source: &str, body: &Value) -> Result<Wanted> {
        let texts = |name: &str| -> Result<Option<Vec<String>>> {
            match body.get(name) {
                None | Some(Value::Null) => Ok(None),
                Some(list) => serde_json::from_value(list.clone())
                    .map(Some)
                    .map_err(|_| DruidError::invalid_input(format!("[{name}] must be a list of strings"))),
            }
        };
        let (ids, versions) = (texts("segmentIds")?, texts("versions")?);
        match (body.get("interval").and_then(Value::as_str), ids) {
            (Some(interval), None) => Ok(Wanted::Inside(Interval::parse(interval)?, versions)),
            (None, Some(ids)) if !ids.is_empty() && versions.is_none() => {
                match ids.iter().find(|id| SegmentId::parse(data_source, id).is_none()) {
                    Some(bad) => {
                        Err(DruidError::invalid_input(format!("Invalid segmentId[{bad}] for datasource [{data_source}]")))
                    }
                    None => Ok(Wanted::Ids(ids)),
                }
            }
            _ => Err(DruidError::invalid_input(
                "Invalid request payload. Specify either 'interval' or 'segmentIds', but not both. Optionally, include 'versions' \
                 only when 'interval' is provided.",
            )),
        }
    }
}
