//! `timeBoundary`, `segmentMetadata` and `dataSourceMetadata` (NQ-06..08): what a datasource holds.

use ovate_base::{DruidError, Result};
use serde_json::{Value, json};

use super::QueryBase;
use super::fields::{Fields, unknown_type};

/// First and last timestamp; only one of them when `bound` says so.
#[derive(Debug, Clone)]
pub struct TimeBoundaryQuery {
    pub base: QueryBase,
    /// `minTime`, `maxTime`, or both.
    pub bound: Option<String>,
}

impl TimeBoundaryQuery {
    pub(crate) fn parse(value: &Value, depth: usize) -> Result<Self> {
        let fields = Fields::new(value, "timeBoundary query")?;
        let bound = fields.opt_str("bound")?.filter(|text| !text.is_empty());
        if let Some(bound) = &bound
            && bound != "minTime"
            && bound != "maxTime"
        {
            return Err(unknown_type("timeBoundary bound", bound, &["minTime", "maxTime"]));
        }
        Ok(TimeBoundaryQuery { base: QueryBase::parse(&fields, depth, false)?, bound })
    }

    pub(crate) fn to_json(&self) -> Value {
        let mut map = self.base.write("timeBoundary");
        if let Some(bound) = &self.bound {
            map.insert("bound".into(), json!(bound));
        }
        Value::Object(map)
    }

    /// Whether the first timestamp is asked for.
    pub fn wants_min(&self) -> bool {
        self.bound.as_deref() != Some("maxTime")
    }

    /// Whether the last timestamp is asked for.
    pub fn wants_max(&self) -> bool {
        self.bound.as_deref() != Some("minTime")
    }
}

/// `DataSourceMetadataQuery`.
#[derive(Debug, Clone)]
pub struct DataSourceMetadataQuery {
    pub base: QueryBase,
}

impl DataSourceMetadataQuery {
    pub(crate) fn parse(value: &Value, depth: usize) -> Result<Self> {
        let fields = Fields::new(value, "dataSourceMetadata query")?;
        Ok(DataSourceMetadataQuery { base: QueryBase::parse(&fields, depth, false)? })
    }

    pub(crate) fn to_json(&self) -> Value {
        Value::Object(self.base.write("dataSourceMetadata"))
    }
}

/// `ColumnIncluderator`: which columns are analysed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToInclude {
    All,
    None,
    List(Vec<String>),
}

impl ToInclude {
    /// True when this column is wanted.
    pub fn includes(&self, column: &str) -> bool {
        match self {
            ToInclude::All => true,
            ToInclude::None => false,
            ToInclude::List(columns) => columns.iter().any(|name| name == column),
        }
    }
}

/// What is worked out for each segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AnalysisType {
    Cardinality,
    Size,
    Interval,
    Aggregators,
    MinMax,
    TimestampSpec,
    QueryGranularity,
    Rollup,
    Projections,
}

const ANALYSES: &[(&str, AnalysisType)] = &[
    ("cardinality", AnalysisType::Cardinality),
    ("size", AnalysisType::Size),
    ("interval", AnalysisType::Interval),
    ("aggregators", AnalysisType::Aggregators),
    ("minmax", AnalysisType::MinMax),
    ("timestampSpec", AnalysisType::TimestampSpec),
    ("queryGranularity", AnalysisType::QueryGranularity),
    ("rollup", AnalysisType::Rollup),
    ("projections", AnalysisType::Projections),
];

impl AnalysisType {
    fn parse(value: &Value) -> Result<Self> {
        let name = value.as_str().unwrap_or_default();
        let found = ANALYSES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, kind)| *kind);
        found.ok_or_else(|| unknown_type("analysis", name, &ANALYSES.map_names()))
    }

    fn name(self) -> &'static str {
        ANALYSES.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }
}

trait MapNames {
    fn map_names(&self) -> Vec<&'static str>;
}

impl MapNames for [(&'static str, AnalysisType)] {
    fn map_names(&self) -> Vec<&'static str> {
        self.iter().map(|(name, _)| *name).collect()
    }
}

/// How aggregators of several segments become one list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AggregatorMergeStrategy {
    Strict,
    Lenient,
    Earliest,
    Latest,
}

impl AggregatorMergeStrategy {
    fn parse(text: &str) -> Result<Self> {
        match text.to_ascii_lowercase().as_str() {
            "strict" => Ok(Self::Strict),
            "lenient" => Ok(Self::Lenient),
            "earliest" => Ok(Self::Earliest),
            "latest" => Ok(Self::Latest),
            _ => Err(unknown_type("aggregatorMergeStrategy", text, &["strict", "lenient", "earliest", "latest"])),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::Lenient => "lenient",
            Self::Earliest => "earliest",
            Self::Latest => "latest",
        }
    }
}

/// `SegmentMetadataQuery`.
#[derive(Debug, Clone)]
pub struct SegmentMetadataQuery {
    pub base: QueryBase,
    pub to_include: ToInclude,
    pub merge: bool,
    pub analyses: Vec<AnalysisType>,
    pub strategy: AggregatorMergeStrategy,
    /// No `intervals` were given: the broker narrows to the default history.
    pub default_interval: bool,
}

impl SegmentMetadataQuery {
    pub(crate) fn parse(value: &Value, depth: usize) -> Result<Self> {
        let fields = Fields::new(value, "segmentMetadata query")?;
        let to_include = match fields.opt("toInclude") {
            None => ToInclude::All,
            Some(value) => {
                let inner = Fields::new(value, "toInclude")?;
                match inner.str("type")?.as_str() {
                    "all" => ToInclude::All,
                    "none" => ToInclude::None,
                    "list" => ToInclude::List(inner.strings("columns")?),
                    other => return Err(unknown_type("toInclude", other, &["all", "none", "list"])),
                }
            }
        };
        let analyses = match fields.opt("analysisTypes") {
            None => vec![AnalysisType::Cardinality, AnalysisType::Interval, AnalysisType::MinMax],
            Some(_) => fields.parsed("analysisTypes", AnalysisType::parse)?,
        };
        let lenient = fields.opt("lenientAggregatorMerge");
        let named = fields.opt_str("aggregatorMergeStrategy")?;
        let strategy = match (lenient, named) {
            (Some(_), Some(_)) => {
                return Err(DruidError::invalid_input(
                    "Both lenientAggregatorMerge and aggregatorMergeStrategy are set. Use only aggregatorMergeStrategy",
                ));
            }
            (Some(_), None) if fields.bool("lenientAggregatorMerge", false)? => AggregatorMergeStrategy::Lenient,
            (_, Some(text)) => AggregatorMergeStrategy::parse(&text)?,
            _ => AggregatorMergeStrategy::Strict,
        };
        Ok(SegmentMetadataQuery {
            base: QueryBase::parse(&fields, depth, false)?,
            to_include,
            merge: fields.bool("merge", false)?,
            analyses,
            strategy,
            default_interval: fields.opt("intervals").is_none() || fields.bool("usingDefaultInterval", false)?,
        })
    }

    pub(crate) fn to_json(&self) -> Value {
        let mut map = self.base.write("segmentMetadata");
        let include = match &self.to_include {
            ToInclude::All => json!({"type": "all"}),
            ToInclude::None => json!({"type": "none"}),
            ToInclude::List(columns) => json!({"type": "list", "columns": columns}),
        };
        map.insert("toInclude".into(), include);
        map.insert("merge".into(), json!(self.merge));
        map.insert("analysisTypes".into(), json!(self.analyses.iter().map(|a| a.name()).collect::<Vec<_>>()));
        map.insert("aggregatorMergeStrategy".into(), json!(self.strategy.name()));
        map.insert("usingDefaultInterval".into(), json!(self.default_interval));
        Value::Object(map)
    }

    /// True when this analysis is asked for.
    pub fn wants(&self, kind: AnalysisType) -> bool {
        self.analyses.contains(&kind)
    }
}
