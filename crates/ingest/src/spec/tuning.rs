//! `tuningConfig` of batch tasks (TUN-02 to TUN-06): `ParallelIndexTuningConfig` and `IndexTuningConfig`.

use std::time::Duration;

use ovate_base::time::Period;
use ovate_base::{DruidError, Result};
use ovate_segment::write::IndexSpec;
use serde_json::{Value, json};

use super::fields::Fields;

/// `partitionsSpec` (TUN-03): how a time chunk's rows are divided into segments.
#[derive(Debug, Clone, PartialEq)]
pub enum PartitionsSpec {
    /// As rows come, cut at a row count.
    Dynamic { max_rows_per_segment: u64 },
    /// By hash of dimensions (all of them when none is named).
    Hashed { num_shards: Option<u64>, target_rows: u64, dimensions: Vec<String> },
    /// By ranges of dimension values; `single` publishes `single` shard specs.
    Range { dimensions: Vec<String>, target_rows: Option<u64>, max_rows: Option<u64>, single: bool },
}

/// `DynamicPartitionsSpec.DEFAULT_MAX_ROWS_PER_SEGMENT`, also the target of hashed partitions.
pub const DEFAULT_ROWS_PER_SEGMENT: u64 = 5_000_000;

impl PartitionsSpec {
    /// The form that Druid writes.
    pub fn to_json(&self) -> Value {
        match self {
            PartitionsSpec::Dynamic { max_rows_per_segment } => {
                json!({"type": "dynamic", "maxRowsPerSegment": max_rows_per_segment, "maxTotalRows": null})
            }
            PartitionsSpec::Hashed { num_shards, target_rows, dimensions } => json!({
                "type": "hashed", "numShards": num_shards, "partitionDimensions": dimensions, "partitionFunction": "murmur3_32_abs",
                "maxRowsPerSegment": if num_shards.is_some() { Value::Null } else { json!(target_rows) }}),
            PartitionsSpec::Range { dimensions, target_rows, max_rows, single: false } => json!({
                "type": "range", "targetRowsPerSegment": target_rows, "maxRowsPerSegment": max_rows, "partitionDimensions": dimensions,
                "assumeGrouped": false}),
            PartitionsSpec::Range { dimensions, target_rows, max_rows, single: true } => json!({
                "type": "single_dim", "targetRowsPerSegment": target_rows, "maxRowsPerSegment": max_rows,
                "partitionDimension": dimensions.first(), "assumeGrouped": false}),
        }
    }
}

/// Checked `tuningConfig`.
#[derive(Debug, Clone)]
pub struct TuningConfig {
    pub partitions: PartitionsSpec,
    pub max_rows_in_memory: u64,
    /// `None`: the process' budget decides; `Some(u64::MAX)` for -1, no limit.
    pub max_bytes_in_memory: Option<u64>,
    pub index_spec: IndexSpec,
    pub log_parse_exceptions: bool,
    pub max_parse_exceptions: u64,
    pub max_saved_parse_exceptions: usize,
    pub max_concurrent_sub_tasks: usize,
    pub await_availability_ms: u64,
    pub force_guaranteed_rollup: bool,
    /// `splitHintSpec`: how the input is cut for subtasks.
    pub split_hint: SplitHint,
    /// `maxRetry`: how often a failed subtask is submitted again.
    pub subtask_retries: u64,
    /// `taskStatusCheckPeriodMs`.
    pub status_period: Duration,
    /// `chatHandlerTimeout` and `chatHandlerNumRetries`: of a subtask's report.
    pub chat_timeout: Duration,
    pub chat_retries: u64,
    /// `totalNumMergeTasks`: subtasks of the last phase where there are several.
    pub merge_tasks: usize,
    /// `maxAllowedLockCount`; `None` for -1.
    pub locks_max: Option<usize>,
    /// As it was given, for subtasks.
    pub json: Value,
}

/// `splitHintSpec` (`MaxSizeSplitHintSpec`, `SegmentsSplitHintSpec`).
#[derive(Debug, Clone, PartialEq)]
pub struct SplitHint {
    pub bytes_max: u64,
    pub files_max: usize,
}

impl Default for SplitHint {
    fn default() -> Self {
        SplitHint { bytes_max: 1 << 30, files_max: 1000 }
    }
}

impl SplitHint {
    fn from_json(json: &Value) -> Result<SplitHint> {
        let fields = Fields::new(json, "splitHintSpec")?;
        let (bytes, files) = match fields.text("type")?.unwrap_or("maxSize") {
            "maxSize" => ("maxSplitSize", "maxNumFiles"),
            "segments" => ("maxInputSegmentBytesPerTask", "maxInputSegmentsPerTask"),
            other => return Err(DruidError::invalid_input(format!("unknown type [{other}] in [splitHintSpec]"))),
        };
        let defaults = SplitHint::default();
        let bytes_max = match fields.get(bytes) {
            Some(Value::String(text)) => ovate_base::properties::parse_bytes(text)?,
            _ => fields.count(bytes)?.unwrap_or(defaults.bytes_max),
        };
        let files_max = fields.count(files)?.map_or(defaults.files_max, |n| usize::try_from(n).unwrap_or(usize::MAX));
        fields.finish()?;
        Ok(SplitHint { bytes_max: bytes_max.max(1), files_max })
    }
}

/// Properties that steer only Druid's own processes: threads, intermediate persists, off-heap media.
const MEANINGLESS: [&str; 15] = [
    "maxPendingPersists",
    "segmentWriteOutMediumFactory",
    "maxNumSegmentsToMerge",
    "numPersistThreads",
    "appendableIndexSpec",
    "skipBytesInMemoryOverheadCheck",
    "maxColumnsToMerge",
    "pushTimeout",
    "maxTotalRows",
    "forceExtendableShardSpecs",
    "buildV9Directly",
    "useMaxMemoryEstimates",
    "basePersistDirectory",
    "publishTimeout",
    "type",
];

impl TuningConfig {
    /// Reads the config; an absent one is all defaults.
    pub fn from_json(json: Option<&Value>) -> Result<TuningConfig> {
        let empty = json!({});
        let fields = Fields::new(json.unwrap_or(&empty), "tuningConfig")?;
        fields.ignore(&MEANINGLESS);
        let report = fields.flag("reportParseExceptions", false)?;
        let max_parse = fields.whole("maxParseExceptions")?.unwrap_or(i32::MAX.into());
        let max_saved = fields.whole("maxSavedParseExceptions")?.unwrap_or(0);
        let max_rows = fields.whole("maxRowsInMemory")?.unwrap_or(1_000_000);
        let max_bytes = fields.whole("maxBytesInMemory")?.unwrap_or(0);
        let force_guaranteed_rollup = fields.flag("forceGuaranteedRollup", false)?;
        let partitions = partitions(&fields, force_guaranteed_rollup)?;
        let index_spec_json = fields.get("indexSpec").cloned().unwrap_or(Value::Null);
        if let Some(intermediate) = fields.get("indexSpecForIntermediatePersists") {
            IndexSpec::from_json(intermediate)?;
        }
        let config = TuningConfig {
            partitions,
            max_rows_in_memory: if max_rows <= 0 { u64::MAX } else { max_rows as u64 },
            max_bytes_in_memory: match max_bytes {
                0 => None,
                n if n < 0 => Some(u64::MAX),
                n => Some(n as u64),
            },
            index_spec: IndexSpec::from_json(&index_spec_json)?,
            log_parse_exceptions: fields.flag("logParseExceptions", false)?,
            max_parse_exceptions: if report { 0 } else { max_parse.max(0) as u64 },
            max_saved_parse_exceptions: if report { max_saved.min(1) } else { max_saved }.max(0) as usize,
            max_concurrent_sub_tasks: fields.count("maxNumConcurrentSubTasks")?.unwrap_or(1) as usize,
            await_availability_ms: fields.whole("awaitSegmentAvailabilityTimeoutMillis")?.unwrap_or(0).max(0) as u64,
            force_guaranteed_rollup,
            split_hint: fields.get("splitHintSpec").map(SplitHint::from_json).transpose()?.unwrap_or_default(),
            subtask_retries: fields.whole("maxRetry")?.unwrap_or(3).max(0).unsigned_abs(),
            status_period: Duration::from_millis(
                fields.whole("taskStatusCheckPeriodMs")?.unwrap_or(1000).clamp(10, 60_000) as u64
            ),
            chat_timeout: period(&fields, "chatHandlerTimeout", Duration::from_secs(10))?,
            chat_retries: fields.whole("chatHandlerNumRetries")?.unwrap_or(5).max(0).unsigned_abs(),
            merge_tasks: fields.count("totalNumMergeTasks")?.unwrap_or(10) as usize,
            locks_max: fields.count("maxAllowedLockCount")?.map(|n| usize::try_from(n).unwrap_or(usize::MAX)),
            json: json.cloned().unwrap_or_else(|| json!({"type": "index_parallel"})),
        };
        fields.finish()?;
        Ok(config)
    }
}

/// An ISO period, such as `PT10S`.
fn period(fields: &Fields<'_>, name: &str, default: Duration) -> Result<Duration> {
    let Some(text) = fields.text(name)? else { return Ok(default) };
    let period = Period::parse(text).map_err(|e| e.prefixed(format!("[{name}] in [tuningConfig]")))?;
    Ok(Duration::from_millis(period.approximate_millis().max(1).unsigned_abs()))
}

/// `partitionsSpec`, or the deprecated properties beside it.
fn partitions(outer: &Fields<'_>, force_guaranteed_rollup: bool) -> Result<PartitionsSpec> {
    let max_rows = outer.count("maxRowsPerSegment")?.or(outer.count("targetPartitionSize")?);
    let num_shards = outer.count("numShards")?;
    let dimensions = outer.texts("partitionDimensions")?.unwrap_or_default();
    let spec = match outer.get("partitionsSpec") {
        None if force_guaranteed_rollup => {
            PartitionsSpec::Hashed { num_shards, target_rows: max_rows.unwrap_or(DEFAULT_ROWS_PER_SEGMENT), dimensions }
        }
        None if num_shards.is_some() => {
            return Err(DruidError::invalid_input("[numShards] in [tuningConfig] needs [forceGuaranteedRollup]"));
        }
        None => PartitionsSpec::Dynamic { max_rows_per_segment: max_rows.unwrap_or(DEFAULT_ROWS_PER_SEGMENT) },
        Some(json) => partitions_spec(json)?,
    };
    match (&spec, force_guaranteed_rollup) {
        (PartitionsSpec::Dynamic { .. }, true) => Err(DruidError::invalid_input(
            "[partitionsSpec] of type [dynamic] cannot be used for perfect rollup ([forceGuaranteedRollup])",
        )),
        (PartitionsSpec::Hashed { .. } | PartitionsSpec::Range { .. }, false) => {
            Err(DruidError::invalid_input("[partitionsSpec] must be [dynamic] unless [forceGuaranteedRollup] is true"))
        }
        _ => Ok(spec),
    }
}

fn partitions_spec(json: &Value) -> Result<PartitionsSpec> {
    let fields = Fields::new(json, "partitionsSpec")?;
    let kind = fields.text("type")?.unwrap_or("dynamic");
    let max_rows = fields.count("maxRowsPerSegment")?;
    let target_rows = fields.count("targetRowsPerSegment")?.or(fields.count("targetPartitionSize")?);
    let dimensions = fields.texts("partitionDimensions")?.unwrap_or_default();
    let one = fields.text("partitionDimension")?;
    let num_shards = fields.count("numShards")?;
    let max_total = fields.count("maxTotalRows")?;
    fields.flag("assumeGrouped", false)?;
    let function = fields.text("partitionFunction")?;
    if let Some(other) = function.filter(|f| *f != "murmur3_32_abs") {
        return Err(DruidError::unsupported(format!("[partitionFunction] [{other}] in [partitionsSpec] is not supported")));
    }
    fields.finish()?;
    let both = |a: &str, b: &str| DruidError::invalid_input(format!("[{a}] and [{b}] in [partitionsSpec] exclude each other"));
    let _ = max_total;
    match kind {
        "dynamic" => Ok(PartitionsSpec::Dynamic { max_rows_per_segment: max_rows.unwrap_or(DEFAULT_ROWS_PER_SEGMENT) }),
        "hashed" => {
            let target = target_rows.or(max_rows);
            if num_shards.is_some() && target.is_some() {
                return Err(both("numShards", "targetRowsPerSegment"));
            }
            Ok(PartitionsSpec::Hashed { num_shards, target_rows: target.unwrap_or(DEFAULT_ROWS_PER_SEGMENT), dimensions })
        }
        "single_dim" | "range" => {
            let dimensions = one.map_or(dimensions, |one| vec![one.to_owned()]);
            if dimensions.is_empty() {
                return Err(DruidError::invalid_input(format!("[partitionsSpec] of type [{kind}] needs [partitionDimensions]")));
            }
            match (target_rows, max_rows) {
                (None, None) => Err(DruidError::invalid_input(format!(
                    "[partitionsSpec] of type [{kind}] needs exactly one of [targetRowsPerSegment] and [maxRowsPerSegment]"
                ))),
                (Some(_), Some(_)) => Err(both("targetRowsPerSegment", "maxRowsPerSegment")),
                _ => Ok(PartitionsSpec::Range { dimensions, target_rows, max_rows, single: kind == "single_dim" }),
            }
        }
        other => Err(DruidError::invalid_input(format!("unknown type [{other}] in [partitionsSpec]"))),
    }
}
