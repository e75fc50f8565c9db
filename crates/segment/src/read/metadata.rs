//! What a segment says of itself as a whole: `index.drd` (columns, interval, bitmaps) and `metadata.drd` (how it was made).

use bytes::Bytes;
use ovate_base::{Interval, Result};
use serde::Deserialize;
use serde_json::Value;

use super::cursor::{Cursor, damaged};
use super::files::Files;
use super::generic_indexed::GenericIndexed;

/// How the segment was made (Druid's `Metadata`); everything is optional.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SegmentMetadata {
    pub container: Option<Value>,
    /// The combining form of the ingestion aggregators.
    pub aggregators: Option<Vec<Value>>,
    pub timestamp_spec: Option<Value>,
    pub query_granularity: Option<Value>,
    pub rollup: Option<bool>,
    /// `None` means: by `__time`, ascending.
    pub ordering: Option<Vec<OrderBy>>,
    pub projections: Option<Vec<Value>>,
}

/// One column that rows are ordered by.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderBy {
    pub column_name: String,
    #[serde(default = "ascending")]
    pub order: String,
}

fn ascending() -> String {
    "ascending".to_owned()
}

impl SegmentMetadata {
    /// Reads `metadata.drd`. Like Druid, takes a damaged one for none.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    /// True when rows ascend by `__time` first.
    pub fn is_time_sorted(&self) -> bool {
        match self.ordering.as_deref() {
            None | Some([]) => true,
            Some([first, ..]) => first.column_name == "__time" && first.order == "ascending",
        }
    }
}

/// The parsed `index.drd`: names in stored order, null-only columns included.
#[derive(Debug, PartialEq)]
pub(crate) struct IndexDrd {
    /// All columns but `__time`.
    pub(crate) columns: Vec<String>,
    pub(crate) dimensions: Vec<String>,
    pub(crate) interval: Interval,
}

impl IndexDrd {
    pub(crate) fn read(bytes: Bytes) -> Result<Self> {
        let files = Files::default();
        let cursor = &mut Cursor::new(bytes);
        let columns = GenericIndexed::read(cursor, &files)?.strings()?;
        let dimensions = GenericIndexed::read(cursor, &files)?.strings()?;
        let (start, end) = (cursor.i64_be()?, cursor.i64_be()?);
        if start > end {
            return Err(damaged(format!("interval ends before it starts. start={start} end={end}")));
        }
        if cursor.remaining() > 0 {
            // Columns carry their own bitmap type; this one is only skipped.
            cursor.sized("length of the bitmap type")?;
        }
        let (mut all, mut all_dimensions) = (Vec::new(), Vec::new());
        if cursor.remaining() > 0 {
            all = GenericIndexed::read(cursor, &files)?.strings()?;
            all_dimensions = GenericIndexed::read(cursor, &files)?.strings()?;
        }
        Ok(IndexDrd {
            columns: restore(columns, all),
            dimensions: restore(dimensions, all_dimensions),
            interval: Interval { start, end },
        })
    }
}

/// Puts null-only columns back in their places: `all` has null where the next name of `names` stands. Empty names are
/// skipped as Druid does.
fn restore(names: Vec<Option<String>>, all: Vec<Option<String>>) -> Vec<String> {
    let mut names = names.into_iter();
    let mut restored: Vec<Option<String>> = Vec::new();
    for entry in all {
        match entry {
            Some(name) => restored.push(Some(name)),
            None => restored.extend(names.next()),
        }
    }
    restored.extend(names);
    restored.into_iter().flatten().filter(|name| !name.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_only_columns_go_back_to_their_places() {
        let some = |s: &str| Some(s.to_owned());
        assert_eq!(restore(vec![some("a"), some("c"), some("")], vec![None, some("b"), None]), ["a", "b", "c"]);
        assert_eq!(restore(vec![some("a")], vec![]), ["a"]);
    }

    #[test]
    fn order_by_another_column_is_not_time_order() {
        let json = br#"{"ordering":[{"columnName":"d","order":"ascending"},{"columnName":"__time","order":"ascending"}]}"#;
        assert!(!SegmentMetadata::read(json).unwrap().is_time_sorted());
        assert!(SegmentMetadata::default().is_time_sorted());
        assert!(SegmentMetadata::read(b"{").is_none());
    }
}
