//! The two files that say what a segment holds: `index.drd` (columns, dimensions, interval, bitmap type) and
//! `metadata.drd` (how it was ingested; Druid's `Metadata`).

use ovate_base::{Granularity, Interval, Result};
use ovate_compute::aggregate::AggregatorSpec;
use serde_json::{Value as Json, json};

use super::indexed::{put_sized, put_string_list};

/// How the rows of a segment came about.
#[derive(Debug, Clone)]
pub struct SegmentMetadata {
    /// The ingestion's aggregators; their combining forms are stored.
    pub aggregators: Vec<AggregatorSpec>,
    pub timestamp_spec: Option<Json>,
    pub query_granularity: Granularity,
    pub rollup: bool,
}

/// A column as `index.drd` lists it.
pub(crate) struct ListedColumn<'a> {
    pub(crate) name: &'a str,
    pub(crate) null_only: bool,
}

/// The bytes of `metadata.drd`.
pub(crate) fn metadata_json(metadata: &SegmentMetadata, dimensions: &[&str]) -> Json {
    let mut aggregators: Vec<&AggregatorSpec> = metadata.aggregators.iter().collect();
    aggregators.sort_by(|a, b| a.name().cmp(b.name()));
    let aggregators: Vec<Json> = aggregators.iter().map(|a| a.combining().to_json()).collect();
    let granularity = match &metadata.query_granularity {
        Granularity::None => json!({"type": "none"}),
        other => other.to_json(),
    };
    let ordering: Vec<Json> =
        std::iter::once(&"__time").chain(dimensions).map(|name| json!({"columnName": name, "order": "ascending"})).collect();
    json!({
        "container": {},
        "aggregators": aggregators,
        "timestampSpec": metadata.timestamp_spec,
        "queryGranularity": granularity,
        "rollup": metadata.rollup,
        "ordering": ordering,
    })
}

/// The bytes of `index.drd`. Metrics come first, as Druid writes them.
pub(crate) fn index_drd(metrics: &[ListedColumn<'_>], dimensions: &[ListedColumn<'_>], interval: Interval) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    let stored = |column: &&ListedColumn<'_>| !column.null_only;
    put_string_list(metrics.iter().chain(dimensions).filter(stored).map(|c| Some(c.name)), &mut out)?;
    put_string_list(dimensions.iter().filter(stored).map(|c| Some(c.name)), &mut out)?;
    out.extend_from_slice(&interval.start.to_be_bytes());
    out.extend_from_slice(&interval.end.to_be_bytes());
    put_sized(br#"{"type":"roaring"}"#, &mut out);
    put_string_list(metrics.iter().chain(dimensions).map(|c| c.null_only.then_some(c.name)), &mut out)?;
    put_string_list(dimensions.iter().map(|c| c.null_only.then_some(c.name)), &mut out)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::write::tests::hex;

    #[test]
    fn index_matches_the_worked_example() {
        let column = |name| ListedColumn { name, null_only: false };
        let interval = Interval { start: 1704067200000, end: 1704070800000 };
        let expected = "01 01 00 00 00 1D 00 00 00 02 00 00 00 09 00 00 00 11 00 00 00 00 61 64 64 65 64 00 00 00 00 70 61 67 65
            01 01 00 00 00 10 00 00 00 01 00 00 00 08 00 00 00 00 70 61 67 65
            00 00 01 8C C2 51 F4 00 00 00 01 8C C2 88 E2 80
            00 00 00 12 7B 22 74 79 70 65 22 3A 22 72 6F 61 72 69 6E 67 22 7D
            01 01 00 00 00 14 00 00 00 02 00 00 00 04 00 00 00 08 FF FF FF FF FF FF FF FF
            01 01 00 00 00 0C 00 00 00 01 00 00 00 04 FF FF FF FF";
        assert_eq!(index_drd(&[column("added")], &[column("page")], interval).unwrap(), hex(expected));
    }
}
