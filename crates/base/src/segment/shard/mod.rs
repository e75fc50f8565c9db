//! Shard specs (`ShardSpec`): which part of a time chunk a segment is, and when the parts are complete.

mod hash;
mod json;
mod prune;
#[cfg(test)]
mod tests;

pub use hash::{hash_bucket, hash_key_json, murmur3_32};
pub use prune::{Domain, StringRange};

use serde_json::Value;

/// A published shard spec. The transient `building_*` and `bucket_*` ones are never published and not read.
#[derive(Debug, Clone, PartialEq)]
pub enum ShardSpec {
    /// The only segment of its chunk; old.
    None,
    /// Always complete; old streaming.
    Linear {
        partition_num: i32,
    },
    /// `partitions` is the size of the core set; 0 means there is none.
    Numbered {
        partition_num: i32,
        partitions: i32,
    },
    NumberedOverwrite(NumberedOverwrite),
    Hashed(Hashed),
    /// A range of one dimension; `range` with one dimension has replaced it.
    Single(SingleRange),
    Range(DimensionRange),
    /// No data; hides what is older.
    Tombstone,
}

/// Segment locking's spec (`NumberedOverwriteShardSpec`), deprecated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NumberedOverwrite {
    pub partition_id: i32,
    pub start_root_partition_id: i32,
    pub end_root_partition_id: i32,
    pub minor_version: i16,
    pub atomic_update_group_size: i16,
}

/// `HashBasedNumberedShardSpec`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hashed {
    pub partition_num: i32,
    pub partitions: i32,
    pub bucket_id: i32,
    pub num_buckets: i32,
    pub partition_dimensions: Vec<String>,
    /// `murmur3_32_abs`; without it the spec cannot prune.
    pub partition_function: Option<String>,
}

/// `SingleDimensionShardSpec`: start inclusive, end exclusive, `None` open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SingleRange {
    pub dimension: String,
    pub start: Option<String>,
    pub end: Option<String>,
    pub partition_num: i32,
    pub num_core_partitions: Option<i32>,
}

/// `DimensionRangeShardSpec`: tuples of values, nulls first; `None` is an open end.
#[derive(Debug, Clone, PartialEq)]
pub struct DimensionRange {
    pub dimensions: Vec<String>,
    pub start: Option<Vec<Option<String>>>,
    pub end: Option<Vec<Option<String>>>,
    pub partition_num: i32,
    pub num_core_partitions: Option<i32>,
    pub virtual_columns: Option<Value>,
}

/// Partition ids of `numbered_overwrite` start here.
pub const NON_ROOT_PARTITION_START: i32 = 32_768;

impl ShardSpec {
    pub fn partition_num(&self) -> i32 {
        match self {
            ShardSpec::None | ShardSpec::Tombstone => 0,
            ShardSpec::Linear { partition_num } | ShardSpec::Numbered { partition_num, .. } => *partition_num,
            ShardSpec::NumberedOverwrite(spec) => spec.partition_id,
            ShardSpec::Hashed(spec) => spec.partition_num,
            ShardSpec::Single(spec) => spec.partition_num,
            ShardSpec::Range(spec) => spec.partition_num,
        }
    }

    /// The size of the core set; 0 when there is none, `None` when it is not known.
    pub fn core_partitions(&self) -> Option<i32> {
        match self {
            ShardSpec::None => Some(1),
            ShardSpec::Linear { .. } | ShardSpec::NumberedOverwrite(_) | ShardSpec::Tombstone => Some(0),
            ShardSpec::Numbered { partitions, .. } => Some(*partitions),
            ShardSpec::Hashed(spec) => Some(spec.partitions),
            ShardSpec::Single(spec) => spec.num_core_partitions,
            ShardSpec::Range(spec) => spec.num_core_partitions,
        }
    }

    /// The range `[start, end)` of root partitions that it covers.
    pub fn root_partition_range(&self) -> (i32, i32) {
        match self {
            ShardSpec::NumberedOverwrite(spec) => (spec.start_root_partition_id, spec.end_root_partition_id),
            _ => (self.partition_num(), self.partition_num().saturating_add(1)),
        }
    }

    pub fn minor_version(&self) -> i16 {
        match self {
            ShardSpec::NumberedOverwrite(spec) => spec.minor_version,
            _ => 0,
        }
    }

    pub fn atomic_update_group_size(&self) -> i16 {
        match self {
            ShardSpec::NumberedOverwrite(spec) => spec.atomic_update_group_size,
            _ => 1,
        }
    }

    /// The `partitioned` column of the metadata store.
    pub fn is_partitioned(&self) -> bool {
        !matches!(self, ShardSpec::None)
    }

    /// The same spec with another partition number and core set, for upgrading appended segments.
    pub fn renumbered(&self, partition_num: i32, partitions: i32) -> ShardSpec {
        match self {
            ShardSpec::Hashed(spec) => ShardSpec::Hashed(Hashed { partition_num, partitions, ..spec.clone() }),
            ShardSpec::Single(spec) => {
                ShardSpec::Single(SingleRange { partition_num, num_core_partitions: Some(partitions), ..spec.clone() })
            }
            ShardSpec::Range(spec) => {
                ShardSpec::Range(DimensionRange { partition_num, num_core_partitions: Some(partitions), ..spec.clone() })
            }
            _ => ShardSpec::Numbered { partition_num, partitions },
        }
    }
}
