//! `movingAverage` of Druid's moving-average extension (NQ-10, `MovingAverageQuery`): a groupBy or a timeseries, and averagers
//! over the last buckets of each combination of dimensions.

use ovate_base::{DruidError, Granularity, Interval, Result};
use ovate_compute::ColumnType;
use ovate_compute::aggregate::AggregatorSpec;
use ovate_compute::dimension::DimensionSpec;
use ovate_compute::post_aggregate::PostAggregatorSpec;
use serde_json::{Value, json};

use super::base::{parse_aggregations, write_aggregations};
use super::fields::{Fields, unknown_type};
use super::{DataSource, GroupByQuery, HavingSpec, LimitSpec, NativeQuery, QueryBase, QuerySegments, TimeseriesQuery};

/// Buckets that one averager may look back; guards memory, since each combination of dimensions keeps that many numbers.
const BUCKETS_MAX: i64 = 100_000;

/// What an averager makes of the numbers in its window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AveragerKind {
    DoubleMean,
    DoubleMeanNoNulls,
    DoubleSum,
    DoubleMax,
    DoubleMin,
    LongMean,
    LongMeanNoNulls,
    LongSum,
    LongMax,
    LongMin,
}

const KINDS: &[(&str, AveragerKind)] = &[
    ("doubleMean", AveragerKind::DoubleMean),
    ("doubleMeanNoNulls", AveragerKind::DoubleMeanNoNulls),
    ("doubleSum", AveragerKind::DoubleSum),
    ("doubleMax", AveragerKind::DoubleMax),
    ("doubleMin", AveragerKind::DoubleMin),
    ("longMean", AveragerKind::LongMean),
    ("longMeanNoNulls", AveragerKind::LongMeanNoNulls),
    ("longSum", AveragerKind::LongSum),
    ("longMax", AveragerKind::LongMax),
    ("longMin", AveragerKind::LongMin),
];

/// A function over the values of one column in the last `buckets` buckets, or in every `cycle_size`th of them.
#[derive(Debug, Clone)]
pub struct AveragerSpec {
    pub kind: AveragerKind,
    pub name: String,
    pub field_name: String,
    pub buckets: usize,
    pub cycle_size: usize,
}

impl AveragerSpec {
    fn from_json(value: &Value) -> Result<Self> {
        let fields = Fields::new(value, "averager")?;
        let kind = fields.str("type")?;
        let Some((_, kind)) = KINDS.iter().find(|(name, _)| *name == kind) else {
            let known: Vec<&str> = KINDS.iter().map(|(name, _)| *name).collect();
            return Err(unknown_type("averager", &kind, &known));
        };
        let (name, field_name) = (fields.str("name")?, fields.str("fieldName")?);
        let buckets = fields.opt_long("buckets")?.unwrap_or(0);
        let cycle_size = fields.opt_long("cycleSize")?.unwrap_or(1);
        if !(1..=BUCKETS_MAX).contains(&buckets) {
            return Err(DruidError::invalid_input(format!("buckets of averager [{name}] must be 1 to {BUCKETS_MAX}")));
        }
        if !(1..=buckets).contains(&cycle_size) {
            return Err(DruidError::invalid_input(format!("cycleSize of averager [{name}] must be 1 to its buckets")));
        }
        Ok(AveragerSpec { kind: *kind, name, field_name, buckets: buckets as usize, cycle_size: cycle_size as usize })
    }

    fn to_json(&self) -> Value {
        let kind = KINDS.iter().find(|(_, kind)| *kind == self.kind).map_or("", |(name, _)| name);
        json!({"type": kind, "name": self.name, "fieldName": self.field_name, "buckets": self.buckets,
            "cycleSize": self.cycle_size})
    }

    /// Type of the result: means are doubles, whatever they are of.
    pub fn result_type(&self) -> ColumnType {
        match self.kind {
            AveragerKind::LongSum | AveragerKind::LongMax | AveragerKind::LongMin => ColumnType::Long,
            _ => ColumnType::Double,
        }
    }
}

/// Aggregates by dimensions and bucket, with functions over the buckets before.
#[derive(Debug, Clone)]
pub struct MovingAverageQuery {
    pub base: QueryBase,
    pub dimensions: Vec<DimensionSpec>,
    pub aggregations: Vec<AggregatorSpec>,
    pub post_aggregations: Vec<PostAggregatorSpec>,
    pub averagers: Vec<AveragerSpec>,
    /// Over aggregators, post-aggregators and averagers.
    pub post_averagers: Vec<PostAggregatorSpec>,
    pub having: Option<HavingSpec>,
    pub limit_spec: LimitSpec,
}

impl MovingAverageQuery {
    pub(crate) fn parse(value: &Value, depth: usize) -> Result<Self> {
        let fields = Fields::new(value, "movingAverage query")?;
        let base = QueryBase::parse(&fields, depth, true)?;
        if !matches!(base.granularity, Granularity::Period(_)) {
            return Err(DruidError::invalid_input("Only PeriodGranularity is supported for movingAverage queries"));
        }
        // Druid's query has no such property and would leave it out silently.
        if !base.virtual_columns.is_empty() {
            return Err(DruidError::invalid_input("movingAverage queries have no virtualColumns"));
        }
        let dimensions = fields.parsed("dimensions", DimensionSpec::from_json)?;
        let names: Vec<&str> = dimensions.iter().map(DimensionSpec::output_name).collect();
        if let Some(name) = names.iter().enumerate().find_map(|(i, name)| names[..i].contains(name).then_some(name)) {
            return Err(DruidError::invalid_input(format!("Duplicate output name[{name}]")));
        }
        let (aggregations, post_aggregations) = parse_aggregations(&fields, &names)?;
        Ok(MovingAverageQuery {
            having: fields.opt_parsed("having", HavingSpec::from_json)?,
            limit_spec: fields.opt_parsed("limitSpec", LimitSpec::from_json)?.unwrap_or_default(),
            averagers: fields.parsed("averagers", AveragerSpec::from_json)?,
            post_averagers: fields.parsed("postAveragers", PostAggregatorSpec::from_json)?,
            base,
            dimensions,
            aggregations,
            post_aggregations,
        })
    }

    pub(crate) fn to_json(&self) -> Value {
        let mut map = self.base.write("movingAverage");
        map.insert("dimensions".into(), self.dimensions.iter().map(DimensionSpec::to_json).collect());
        write_aggregations(&mut map, &self.aggregations, &self.post_aggregations);
        map.insert("averagers".into(), self.averagers.iter().map(AveragerSpec::to_json).collect());
        map.insert("postAveragers".into(), self.post_averagers.iter().map(PostAggregatorSpec::to_json).collect());
        if let Some(having) = &self.having {
            map.insert("having".into(), having.to_json());
        }
        map.insert("limitSpec".into(), self.limit_spec.to_json());
        Value::Object(map)
    }

    /// The intervals with as many buckets before them as averagers look back.
    pub fn looked_at(&self) -> Vec<Interval> {
        let Granularity::Period(granularity) = &self.base.granularity else { return self.base.segments.intervals.clone() };
        let back = self.averagers.iter().map(|averager| averager.buckets).max().unwrap_or(1) as i64 - 1;
        let before = |start: i64| granularity.period().add_to(start, -back, granularity.zone()).min(start);
        let intervals = self.base.segments.intervals.iter();
        Interval::condense(&intervals.map(|i| Interval { start: before(i.start), end: i.end }).collect::<Vec<_>>())
    }

    /// The query that gives the aggregates of all buckets looked at: a groupBy, or a timeseries where there are no dimensions.
    pub fn inner(&self) -> NativeQuery {
        let mut base = QueryBase { segments: QuerySegments::of(self.looked_at()), ..self.base.clone() };
        // These are about the outer rows, or would put others between them.
        for name in ["grandTotal", "timestampResultField", "skipEmptyBuckets", "sortByDimsFirst", "finalize", "bySegment"] {
            base.context.0.remove(name);
        }
        let (aggregations, post_aggregations) = (self.aggregations.clone(), self.post_aggregations.clone());
        if self.dimensions.is_empty() {
            return NativeQuery::Timeseries(TimeseriesQuery {
                base,
                descending: false,
                aggregations,
                post_aggregations,
                limit: None,
            });
        }
        let dimensions = self.dimensions.clone();
        let limit_spec = LimitSpec::default();
        let outer = GroupByQuery { base, dimensions, aggregations, post_aggregations, having: None, limit_spec, subtotals: None };
        NativeQuery::GroupBy(outer)
    }

    /// A groupBy of the same columns' shape, for what both do alike: having, order, limit, and the answer's envelope.
    pub(crate) fn shape(&self) -> GroupByQuery {
        GroupByQuery {
            base: QueryBase { data_source: DataSource::Table(String::new()), ..self.base.clone() },
            dimensions: self.dimensions.clone(),
            aggregations: Vec::new(),
            post_aggregations: Vec::new(),
            having: self.having.clone(),
            limit_spec: self.limit_spec.clone(),
            subtotals: None,
        }
    }
}
