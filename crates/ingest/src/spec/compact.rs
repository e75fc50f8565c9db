//! `compact` (CMP-01, `CompactionTask`): rewrites the segments of an interval. What the task leaves open is taken from the
//! segments themselves.

use ovate_base::{DruidError, Granularity, Interval, Result};
use ovate_compute::aggregate::AggregatorSpec;
use serde_json::Value;

use super::dimensions::DimensionsSpec;
use super::fields::Fields;
use super::projection::ProjectionSpec;
use super::tuning::TuningConfig;

/// Checked `compact` task.
#[derive(Clone)]
pub struct CompactSpec {
    pub data_source: String,
    pub interval: Interval,
    pub drop_existing: bool,
    pub dimensions: Option<DimensionsSpec>,
    pub metrics: Option<Vec<AggregatorSpec>>,
    /// The `filter` of `transformSpec`.
    pub filter: Option<Value>,
    pub segment_granularity: Option<Granularity>,
    pub query_granularity: Option<Granularity>,
    pub rollup: Option<bool>,
    pub tuning: TuningConfig,
    /// `None`: those that the segments have.
    pub projections: Option<Vec<ProjectionSpec>>,
}

impl std::fmt::Debug for CompactSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CompactSpec({} {})", self.data_source, self.interval)
    }
}

impl CompactSpec {
    /// Reads the properties of the task itself.
    pub(super) fn from_fields(fields: &Fields<'_>) -> Result<CompactSpec> {
        fields.refuse(&["segments", "dimensions"])?;
        let projections = match fields.get("projections") {
            None => None,
            Some(_) => Some(fields.list("projections")?.iter().map(ProjectionSpec::from_json).collect::<Result<Vec<_>>>()?),
        };
        let (interval, drop_existing) = io_config(fields)?;
        let metrics = match fields.get("metricsSpec") {
            None => None,
            Some(_) => Some(fields.list("metricsSpec")?.iter().map(AggregatorSpec::from_json).collect::<Result<Vec<_>>>()?),
        };
        let filter = match fields.get("transformSpec") {
            None => None,
            Some(json) => {
                let inner = Fields::new(json, "transformSpec")?;
                let filter = inner.get("filter").cloned();
                inner.refuse(&["transforms", "virtualColumns"])?;
                inner.finish()?;
                filter
            }
        };
        let (segment_granularity, query_granularity, rollup) = granularity(fields)?;
        Ok(CompactSpec {
            projections,
            data_source: fields.need_text("dataSource")?.to_owned(),
            interval,
            drop_existing,
            dimensions: fields.get("dimensionsSpec").map(|json| DimensionsSpec::from_json(Some(json))).transpose()?,
            metrics,
            filter,
            segment_granularity,
            query_granularity,
            rollup,
            tuning: TuningConfig::from_json(fields.get("tuningConfig"))?,
        })
    }
}

fn io_config(fields: &Fields<'_>) -> Result<(Interval, bool)> {
    let Some(json) = fields.get("ioConfig") else {
        return Ok((Interval::parse(fields.need_text("interval")?)?, false));
    };
    if fields.get("interval").is_some() {
        return Err(DruidError::invalid_input("[interval] and [ioConfig] of a compact task exclude each other"));
    }
    let io = Fields::new(json, "ioConfig")?;
    io.ignore(&["type", "allowNonAlignedInterval"]);
    let drop_existing = io.flag("dropExisting", false)?;
    let input = Fields::new(io.need("inputSpec")?, "inputSpec")?;
    match input.text("type")? {
        None | Some("interval") => {}
        Some(other) => return Err(DruidError::unsupported(format!("[inputSpec] of type [{other}] is not supported"))),
    }
    input.ignore(&["sha256OfSortedSegmentIds"]);
    let interval = Interval::parse(input.need_text("interval")?)?;
    input.finish()?;
    io.finish()?;
    Ok((interval, drop_existing))
}

type Granularities = (Option<Granularity>, Option<Granularity>, Option<bool>);

fn granularity(fields: &Fields<'_>) -> Result<Granularities> {
    let old = fields.get("segmentGranularity").map(Granularity::from_json).transpose()?;
    let Some(json) = fields.get("granularitySpec") else { return Ok((old, None, None)) };
    if old.is_some() {
        return Err(DruidError::invalid_input("[segmentGranularity] and [granularitySpec] of a compact task exclude each other"));
    }
    let inner = Fields::new(json, "granularitySpec")?;
    let segment = inner.get("segmentGranularity").map(Granularity::from_json).transpose()?;
    let query = inner.get("queryGranularity").map(Granularity::from_json).transpose()?;
    let rollup = match inner.get("rollup") {
        None => None,
        Some(_) => Some(inner.flag("rollup", false)?),
    };
    inner.ignore(&["type"]);
    inner.finish()?;
    Ok((segment, query, rollup))
}
