//! Shard specs in JSON, with Druid's property order and defaults.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value, json};

use super::{DimensionRange, Hashed, NumberedOverwrite, ShardSpec, SingleRange};
use crate::{DruidError, Result};

impl ShardSpec {
    pub fn to_json(&self) -> Value {
        match self {
            ShardSpec::None => json!({"type": "none"}),
            ShardSpec::Linear { partition_num } => json!({"type": "linear", "partitionNum": partition_num}),
            ShardSpec::Numbered { partition_num, partitions } => {
                json!({"type": "numbered", "partitionNum": partition_num, "partitions": partitions})
            }
            ShardSpec::NumberedOverwrite(spec) => json!({
                "type": "numbered_overwrite",
                "partitionId": spec.partition_id,
                "startRootPartitionId": spec.start_root_partition_id,
                "endRootPartitionId": spec.end_root_partition_id,
                "minorVersion": spec.minor_version,
                "atomicUpdateGroupSize": spec.atomic_update_group_size,
            }),
            ShardSpec::Hashed(spec) => json!({
                "type": "hashed",
                "partitionNum": spec.partition_num,
                "partitions": spec.partitions,
                "bucketId": spec.bucket_id,
                "numBuckets": spec.num_buckets,
                "partitionDimensions": spec.partition_dimensions,
                "partitionFunction": spec.partition_function,
            }),
            ShardSpec::Single(spec) => json!({
                "type": "single",
                "dimension": spec.dimension,
                "start": spec.start,
                "end": spec.end,
                "partitionNum": spec.partition_num,
                "numCorePartitions": spec.num_core_partitions.unwrap_or(-1),
            }),
            ShardSpec::Range(spec) => {
                let mut out = Map::new();
                out.insert("type".into(), json!("range"));
                out.insert("dimensions".into(), json!(spec.dimensions));
                out.insert("start".into(), json!(spec.start));
                out.insert("end".into(), json!(spec.end));
                out.insert("partitionNum".into(), json!(spec.partition_num));
                out.insert("numCorePartitions".into(), json!(spec.num_core_partitions.unwrap_or(-1)));
                if let Some(columns) = &spec.virtual_columns {
                    out.insert("virtualColumns".into(), columns.clone());
                }
                Value::Object(out)
            }
            ShardSpec::Tombstone => json!({"type": "tombstone", "partitions": 0, "partitionNum": 0}),
        }
    }

    pub fn from_json(value: &Value) -> Result<ShardSpec> {
        let kind = value.get("type").and_then(Value::as_str).unwrap_or_default();
        let int = |name: &str, default: i32| -> Result<i32> {
            match value.get(name) {
                None | Some(Value::Null) => Ok(default),
                Some(number) => {
                    number.as_i64().and_then(|number| i32::try_from(number).ok()).filter(|number| *number >= -1).ok_or_else(
                        || DruidError::invalid_input(format!("shardSpec property {name} is not a partition number: {number}")),
                    )
                }
            }
        };
        let core = || int("numCorePartitions", -1).map(|count| (count >= 0).then_some(count));
        let partition_num = int("partitionNum", 0)?.max(0);
        Ok(match kind {
            "none" => ShardSpec::None,
            "linear" => ShardSpec::Linear { partition_num },
            "numbered" => ShardSpec::Numbered { partition_num, partitions: int("partitions", 0)?.max(0) },
            "numbered_overwrite" => {
                let short = |name: &str| int(name, 1).map(|value| value.clamp(0, i16::MAX as i32) as i16);
                ShardSpec::NumberedOverwrite(NumberedOverwrite {
                    partition_id: int("partitionId", 0)?,
                    start_root_partition_id: int("startRootPartitionId", 0)?,
                    end_root_partition_id: int("endRootPartitionId", 0)?,
                    minor_version: short("minorVersion")?,
                    atomic_update_group_size: short("atomicUpdateGroupSize")?,
                })
            }
            "hashed" => {
                let partitions = int("partitions", 0)?.max(0);
                ShardSpec::Hashed(Hashed {
                    partition_num,
                    partitions,
                    bucket_id: int("bucketId", partition_num)?,
                    num_buckets: int("numBuckets", partitions)?,
                    partition_dimensions: strings(value.get("partitionDimensions"))?.into_iter().flatten().collect(),
                    partition_function: text(value, "partitionFunction"),
                })
            }
            "single" => ShardSpec::Single(SingleRange {
                dimension: text(value, "dimension")
                    .ok_or_else(|| DruidError::invalid_input("shardSpec single without dimension"))?,
                start: text(value, "start"),
                end: text(value, "end"),
                partition_num,
                num_core_partitions: core()?,
            }),
            "range" => ShardSpec::Range(DimensionRange {
                dimensions: strings(value.get("dimensions"))?.into_iter().flatten().collect(),
                start: tuple(value.get("start"))?,
                end: tuple(value.get("end"))?,
                partition_num,
                num_core_partitions: core()?,
                virtual_columns: value.get("virtualColumns").filter(|columns| !columns.is_null()).cloned(),
            }),
            "tombstone" => ShardSpec::Tombstone,
            other => return Err(DruidError::unsupported(format!("shardSpec type [{other}] is not supported"))),
        })
    }
}

fn text(value: &Value, name: &str) -> Option<String> {
    value.get(name).and_then(Value::as_str).map(str::to_owned)
}

fn tuple(value: Option<&Value>) -> Result<Option<Vec<Option<String>>>> {
    match value {
        None | Some(Value::Null) => Ok(None),
        some => strings(some).map(Some),
    }
}

fn strings(value: Option<&Value>) -> Result<Vec<Option<String>>> {
    let bad = || DruidError::invalid_input("shardSpec: expected an array of strings");
    match value {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| match item {
                Value::Null => Ok(None),
                Value::String(text) => Ok(Some(text.clone())),
                _ => Err(bad()),
            })
            .collect(),
        Some(_) => Err(bad()),
    }
}

impl Serialize for ShardSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ShardSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ShardSpec, D::Error> {
        ShardSpec::from_json(&Value::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}
