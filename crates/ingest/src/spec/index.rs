//! The spec of `index_parallel` and `index` tasks: `dataSchema`, `ioConfig` and `tuningConfig` together, checked against each
//! other (`ParallelIndexIngestionSpec`, `DataSchema`).

use std::collections::{BTreeSet, HashSet};

use ovate_base::{DruidError, Result};
use ovate_compute::aggregate::AggregatorSpec;
use ovate_segment::incremental::{Discovery, IndexSchema};
use serde_json::{Value, json};

use super::dimensions::DimensionsSpec;
use super::fields::Fields;
use super::granularity::GranularitySpec;
use super::io::IoConfig;
use super::projection::ProjectionSpec;
use super::timestamp::TimestampSpec;
use super::transform::TransformSpec;
use super::tuning::TuningConfig;

/// Checked `dataSchema`.
#[derive(Clone)]
pub struct DataSchema {
    pub data_source: String,
    pub timestamp: TimestampSpec,
    pub dimensions: DimensionsSpec,
    pub metrics: Vec<AggregatorSpec>,
    pub granularity: GranularitySpec,
    pub transform: TransformSpec,
    pub projections: Vec<ProjectionSpec>,
}

/// Checked `spec` of a batch task.
#[derive(Clone)]
pub struct IndexSpecs {
    pub schema: DataSchema,
    pub io: IoConfig,
    pub tuning: TuningConfig,
}

impl std::fmt::Debug for IndexSpecs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "IndexSpecs({})", self.schema.data_source)
    }
}

impl IndexSpecs {
    /// Reads `spec`.
    pub fn from_json(json: &Value) -> Result<IndexSpecs> {
        let fields = Fields::new(json, "spec")?;
        let schema = DataSchema::from_json(fields.need("dataSchema")?)?;
        let io = IoConfig::from_json(fields.need("ioConfig")?)?;
        let tuning = TuningConfig::from_json(fields.get("tuningConfig"))?;
        fields.finish()?;
        if io.append_to_existing && tuning.force_guaranteed_rollup {
            return Err(DruidError::invalid_input(
                "perfect rollup ([forceGuaranteedRollup]) cannot append to existing segments ([appendToExisting])",
            ));
        }
        if io.drop_existing && schema.granularity.intervals.is_empty() {
            return Err(DruidError::invalid_input("[dropExisting] in [ioConfig] needs [intervals] in [granularitySpec]"));
        }
        Ok(IndexSpecs { schema, io, tuning })
    }

    /// What segments made by this spec say of themselves, so that compaction knows whether they are as wanted
    /// (`CompactionState`).
    pub fn compaction_state(&self) -> Value {
        let mut state = json!({
            "partitionsSpec": self.tuning.partitions.to_json(),
            "dimensionsSpec": self.schema.dimensions.to_json(),
            "metricsSpec": self.schema.metrics.iter().map(AggregatorSpec::to_json).collect::<Vec<_>>(),
            "transformSpec": if self.schema.transform.is_empty() { Value::Null } else { self.schema.transform.to_json() },
            "indexSpec": self.tuning.index_spec.to_json(),
            "granularitySpec": self.schema.granularity.to_json(),
        });
        if !self.schema.projections.is_empty() {
            state["projections"] = self.schema.projections.iter().map(|projection| projection.to_json().clone()).collect();
        }
        state
    }
}

impl DataSchema {
    /// Reads `dataSchema`.
    pub fn from_json(json: &Value) -> Result<DataSchema> {
        let fields = Fields::new(json, "dataSchema")?;
        if fields.get("parser").is_some() {
            return Err(DruidError::unsupported(
                "[parser] in [dataSchema] was removed from Druid, use [timestampSpec], [dimensionsSpec] and [inputFormat]",
            ));
        }
        fields.refuse(&["baseTable"])?;
        let projections = fields.list("projections")?.iter().map(ProjectionSpec::from_json).collect::<Result<Vec<_>>>()?;
        let data_source = fields.need_text("dataSource")?.to_owned();
        check_data_source(&data_source)?;
        let metrics = fields.list("metricsSpec")?.iter().map(AggregatorSpec::from_json).collect::<Result<Vec<_>>>()?;
        let schema = DataSchema {
            data_source,
            timestamp: TimestampSpec::from_json(Some(fields.need("timestampSpec")?))?,
            dimensions: DimensionsSpec::from_json(Some(fields.need("dimensionsSpec")?))?,
            metrics,
            granularity: GranularitySpec::from_json(fields.get("granularitySpec"))?,
            transform: TransformSpec::from_json(fields.get("transformSpec"))?,
            projections,
        };
        fields.finish()?;
        schema.check_names()?;
        Ok(schema)
    }

    /// No output column may be made twice.
    fn check_names(&self) -> Result<()> {
        let mut names: HashSet<&str> = HashSet::new();
        let dimensions = self.dimensions.dimensions.iter().map(|d| &*d.name);
        for name in dimensions.chain(self.metrics.iter().map(AggregatorSpec::name)) {
            if !names.insert(name) {
                return Err(DruidError::invalid_input(format!(
                    "cannot specify a column more than once: [{name}] in [dataSchema]"
                )));
            }
        }
        if let Some(metric) = self.metrics.iter().find(|m| m.name() == "__time") {
            return Err(DruidError::invalid_input(format!("metric [{}] has the name of the time column", metric.name())));
        }
        Ok(())
    }

    /// Names that discovery leaves out (`DataSchema.computeDimensionsSpec`).
    pub fn exclusions(&self) -> HashSet<String> {
        let listed: HashSet<&str> = self.dimensions.dimensions.iter().map(|d| &*d.name).collect();
        let mut out: HashSet<String> = self.dimensions.exclusions.iter().cloned().collect();
        for name in [self.timestamp.column.as_str(), "__time"] {
            if !listed.contains(name) {
                out.insert(name.to_owned());
            }
        }
        for metric in &self.metrics {
            let inputs = metric.required_columns();
            for name in inputs.iter().map(String::as_str).chain([metric.name()]) {
                if !listed.contains(name) {
                    out.insert(name.to_owned());
                }
            }
        }
        out
    }

    /// The schema of the indexes that rows go into.
    pub fn index_schema(&self) -> IndexSchema {
        IndexSchema {
            min_timestamp: i64::MIN, // the sink sets each chunk's own
            dimensions: self.dimensions.dimensions.clone(),
            metrics: self.metrics.clone(),
            query_granularity: self.granularity.query.clone(),
            rollup: self.granularity.rollup,
            discovery: self.dimensions.discovery(),
            exclusions: self.exclusions(),
            timestamp_spec: Some(self.timestamp.to_json()),
        }
    }

    /// Fields of the input that anything reads; `None` when discovery wants all of them.
    pub fn wanted_columns(&self) -> Option<BTreeSet<String>> {
        if self.dimensions.discovery() != Discovery::Off {
            return None;
        }
        let mut names = self.named_columns();
        names.insert(self.timestamp.column.clone());
        names.extend(self.transform.required_columns());
        Some(names)
    }

    /// Fields that dimensions and metrics name.
    pub fn named_columns(&self) -> BTreeSet<String> {
        let mut names: BTreeSet<String> = self.dimensions.dimensions.iter().map(|d| d.name.to_string()).collect();
        for metric in &self.metrics {
            names.extend(metric.required_columns());
        }
        names
    }
}

/// `IdUtils.validateId`.
fn check_data_source(name: &str) -> Result<()> {
    let bad = |why: &str| Err(DruidError::invalid_input(format!("[dataSource] [{name}] {why}")));
    if name.is_empty() {
        return bad("cannot be empty");
    }
    if name.starts_with('.') {
        return bad("cannot start with '.'");
    }
    if name.contains('/') {
        return bad("cannot contain '/'");
    }
    if name.chars().any(|c| (c.is_whitespace() && c != ' ') || c.is_control()) {
        return bad("cannot contain whitespace other than blanks");
    }
    Ok(())
}

/// Context that Druid adds to batch tasks.
pub fn default_context() -> Value {
    json!({"forceTimeChunkLock": true, "useLineageBasedSegmentAllocation": true})
}
