//! `DataSegment`: the document that describes a published segment, as the metadata store and the protocols carry it.
//! Equality is by id, as in Druid.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value, json};

use super::{SegmentId, ShardSpec};
use crate::{DruidError, Interval, Result};

/// A segment, where to load it from, and what is in it.
#[derive(Debug, Clone)]
pub struct DataSegment {
    pub data_source: Arc<str>,
    pub interval: Interval,
    pub version: Arc<str>,
    /// How to pull the bytes; opaque here. `None` on placeholders.
    pub load_spec: Option<Value>,
    pub dimensions: Vec<String>,
    pub metrics: Vec<String>,
    /// `None`: the writer does not know projections.
    pub projections: Option<Vec<String>>,
    pub shard_spec: ShardSpec,
    pub last_compaction_state: Option<Value>,
    /// 9 or 10; `None` for a tombstone.
    pub binary_version: Option<i32>,
    /// Uncompressed bytes.
    pub size: i64,
    pub total_rows: Option<i64>,
    pub indexing_state_fingerprint: Option<String>,
}

impl DataSegment {
    /// A segment with a name and no content yet.
    pub fn new(id: SegmentId, shard_spec: ShardSpec) -> DataSegment {
        DataSegment {
            data_source: id.data_source,
            interval: id.interval,
            version: id.version,
            load_spec: None,
            dimensions: Vec::new(),
            metrics: Vec::new(),
            projections: None,
            shard_spec,
            last_compaction_state: None,
            binary_version: Some(9),
            size: 0,
            total_rows: None,
            indexing_state_fingerprint: None,
        }
    }

    pub fn id(&self) -> SegmentId {
        SegmentId::new(self.data_source.clone(), self.interval, self.version.clone(), self.shard_spec.partition_num())
    }

    /// True for a segment without data that hides older ones.
    pub fn is_tombstone(&self) -> bool {
        matches!(self.shard_spec, ShardSpec::Tombstone)
    }

    /// In Druid's order of properties.
    pub fn to_json(&self) -> Value {
        let mut out = Map::new();
        out.insert("dataSource".into(), json!(self.data_source));
        out.insert("interval".into(), json!(self.interval));
        out.insert("version".into(), json!(self.version));
        out.insert("loadSpec".into(), self.load_spec.clone().unwrap_or(Value::Null));
        out.insert("dimensions".into(), json!(self.dimensions.join(",")));
        out.insert("metrics".into(), json!(self.metrics.join(",")));
        if let Some(projections) = &self.projections {
            out.insert("projections".into(), json!(projections.join(",")));
        }
        out.insert("shardSpec".into(), self.shard_spec.to_json());
        if let Some(state) = &self.last_compaction_state {
            out.insert("lastCompactionState".into(), state.clone());
        }
        out.insert("binaryVersion".into(), json!(self.binary_version));
        out.insert("size".into(), json!(self.size));
        if let Some(rows) = self.total_rows {
            out.insert("totalRows".into(), json!(rows));
        }
        if let Some(fingerprint) = &self.indexing_state_fingerprint {
            out.insert("indexingStateFingerprint".into(), json!(fingerprint));
        }
        out.insert("identifier".into(), json!(self.id().to_string()));
        Value::Object(out)
    }

    /// Unknown properties are ignored.
    pub fn from_json(value: &Value) -> Result<DataSegment> {
        let text = |name: &str| {
            value.get(name).and_then(Value::as_str).ok_or_else(|| DruidError::invalid_input(format!("segment without {name}")))
        };
        let some = |name: &str| value.get(name).filter(|value| !value.is_null());
        Ok(DataSegment {
            data_source: text("dataSource")?.into(),
            interval: Interval::parse(text("interval")?)?,
            version: text("version")?.into(),
            load_spec: some("loadSpec").cloned(),
            dimensions: some("dimensions").map(names).unwrap_or_default(),
            metrics: some("metrics").map(names).unwrap_or_default(),
            projections: some("projections").map(names),
            shard_spec: match some("shardSpec") {
                Some(spec) => ShardSpec::from_json(spec)?,
                None => ShardSpec::Numbered { partition_num: 0, partitions: 1 },
            },
            last_compaction_state: some("lastCompactionState").cloned(),
            binary_version: some("binaryVersion").and_then(Value::as_i64).map(|version| version as i32),
            size: some("size").and_then(Value::as_i64).unwrap_or(0).max(0),
            total_rows: some("totalRows").and_then(Value::as_i64),
            indexing_state_fingerprint: some("indexingStateFingerprint").and_then(Value::as_str).map(str::to_owned),
        })
    }
}

/// A comma-joined list, or an array as old writers had it; empty entries are dropped.
fn names(value: &Value) -> Vec<String> {
    let keep = |name: &str| Some(name.trim()).filter(|name| !name.is_empty()).map(str::to_owned);
    match value {
        Value::String(text) => text.split(',').filter_map(keep).collect(),
        Value::Array(items) => items.iter().filter_map(Value::as_str).filter_map(keep).collect(),
        _ => Vec::new(),
    }
}

impl PartialEq for DataSegment {
    fn eq(&self, other: &DataSegment) -> bool {
        self.shard_spec.partition_num() == other.shard_spec.partition_num()
            && self.interval == other.interval
            && self.version == other.version
            && self.data_source == other.data_source
    }
}

impl Eq for DataSegment {}

impl Serialize for DataSegment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for DataSegment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<DataSegment, D::Error> {
        DataSegment::from_json(&Value::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_survives_a_round_trip() {
        let text = concat!(
            r#"{"dataSource":"wiki","interval":"2024-01-01T00:00:00.000Z/2024-01-02T00:00:00.000Z","version":"v1","#,
            r#""loadSpec":{"type":"local","path":"/x/index/"},"dimensions":"page,user","metrics":"count","projections":"","#,
            r#""shardSpec":{"type":"numbered","partitionNum":2,"partitions":4},"binaryVersion":9,"size":12345,"totalRows":7,"#,
            r#""identifier":"wiki_2024-01-01T00:00:00.000Z_2024-01-02T00:00:00.000Z_v1_2"}"#
        );
        let segment: DataSegment = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&segment).unwrap(), text);
    }

    #[test]
    fn the_least_that_is_read() {
        let segment =
            DataSegment::from_json(&json!({"dataSource": "a", "interval": "2024/2025", "version": "v", "x": 1})).unwrap();
        assert_eq!(segment.shard_spec, ShardSpec::Numbered { partition_num: 0, partitions: 1 });
        assert!(DataSegment::from_json(&json!({"dataSource": "a"})).is_err());
    }
}
