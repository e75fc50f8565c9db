//! The operators of a `windowOperator` query (`OperatorFactory` and `Processor`): each takes rows in memory, cut into
//! partitions, and gives such rows again.

use ovate_base::{DruidError, Interval, Result};
use ovate_compute::aggregate::AggregatorSpec;
use ovate_compute::filter::FilterSpec;
use ovate_compute::virtual_column::VirtualColumnSpec;
use serde_json::{Map, Value, json};

use super::Direction;
use super::fields::{Fields, unknown_type};

/// A column to sort by (`ColumnWithDirection`).
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnWithDirection {
    pub column: String,
    pub direction: Direction,
}

/// One step of a `windowOperator` query.
// Few are held a query; boxing the large one would only blur the matches.
#[allow(clippy::large_enum_variant)]
#[derive(Debug, Clone)]
pub enum OperatorSpec {
    /// Cuts each partition where one of the columns changes from a row to the next.
    NaivePartition {
        columns: Vec<String>,
    },
    /// Cuts all rows anew where one of the columns changes; refuses partitions of more rows than that.
    GlueingPartition {
        columns: Vec<String>,
        rows_max: Option<u64>,
    },
    /// Sorts all rows, which become one partition.
    NaiveSort {
        columns: Vec<ColumnWithDirection>,
    },
    /// Sorts the rows of each partition.
    PartitionSort {
        columns: Vec<ColumnWithDirection>,
    },
    Scan(ScanOperator),
    /// Adds columns to each partition.
    Window(Vec<ProcessorSpec>),
}

/// Filters, computes, orders, cuts and chooses columns, in this order (`ScanOperatorFactory`).
#[derive(Debug, Clone, Default)]
pub struct ScanOperator {
    pub time_range: Option<Interval>,
    pub filter: Option<FilterSpec>,
    pub virtual_columns: Vec<VirtualColumnSpec>,
    pub ordering: Vec<ColumnWithDirection>,
    pub offset: u64,
    pub limit: Option<u64>,
    /// `None`: all.
    pub columns: Option<Vec<String>>,
}

/// What a window function works out for each row of a partition (`Processor`, its composed ones in a row).
#[derive(Debug, Clone)]
pub enum ProcessorSpec {
    RowNumber {
        output: String,
    },
    Rank {
        group: Vec<String>,
        output: String,
        as_percent: bool,
    },
    DenseRank {
        group: Vec<String>,
        output: String,
    },
    CumeDist {
        group: Vec<String>,
        output: String,
    },
    /// `NTILE`.
    Percentile {
        output: String,
        buckets: u32,
    },
    /// Value of the first row of the partition, or of the row's frame.
    First {
        input: String,
        output: String,
        frame: Option<WindowFrame>,
    },
    Last {
        input: String,
        output: String,
        frame: Option<WindowFrame>,
    },
    /// Value of the row so many rows further on.
    Offset {
        input: String,
        output: String,
        offset: i64,
    },
    FramedAggregate {
        frame: WindowFrame,
        aggregations: Vec<AggregatorSpec>,
    },
}

/// Which rows around a row count; bounds are relative to it, `None` is unbounded.
#[derive(Debug, Clone, PartialEq)]
pub enum WindowFrame {
    Rows {
        lower: Option<i64>,
        upper: Option<i64>,
    },
    /// Counts groups of rows that are equal in these columns.
    Groups {
        lower: Option<i64>,
        upper: Option<i64>,
        order_by: Vec<String>,
    },
}

const OPERATORS: &[&str] = &["naivePartition", "glueingPartition", "naiveSort", "partitionSort", "scan", "window"];
const PROCESSORS: &[&str] =
    &["composing", "rowNumber", "rank", "denseRank", "cumeDist", "percentile", "first", "last", "offset", "framedAgg"];
/// How deep `composing` processors may lie in each other.
const DEPTH_MAX: usize = 16;

impl ColumnWithDirection {
    fn from_json(value: &Value) -> Result<Self> {
        let fields = Fields::new(value, "sort column")?;
        let direction = fields.opt_str("direction")?.map_or(Ok(Direction::Ascending), |t| Direction::parse(&t))?;
        Ok(ColumnWithDirection { column: fields.str("column")?, direction })
    }

    fn to_json(&self) -> Value {
        let direction = if self.direction == Direction::Descending { "DESC" } else { "ASC" };
        json!({"column": self.column, "direction": direction})
    }
}

fn sort_json(columns: &[ColumnWithDirection]) -> Value {
    columns.iter().map(ColumnWithDirection::to_json).collect()
}

impl OperatorSpec {
    /// Reads an operator's object.
    pub fn from_json(value: &Value) -> Result<Self> {
        let fields = Fields::new(value, "operator")?;
        let sort = || fields.parsed("columns", ColumnWithDirection::from_json);
        match fields.str("type")?.as_str() {
            "naivePartition" => Ok(OperatorSpec::NaivePartition { columns: fields.strings("partitionColumns")? }),
            "glueingPartition" => Ok(OperatorSpec::GlueingPartition {
                columns: fields.strings("partitionColumns")?,
                rows_max: fields.opt_long("maxRowsMaterialized")?.map(|n| u64::try_from(n).unwrap_or(0)),
            }),
            "naiveSort" => Ok(OperatorSpec::NaiveSort { columns: sort()? }),
            "partitionSort" => Ok(OperatorSpec::PartitionSort { columns: sort()? }),
            "scan" => ScanOperator::parse(&fields).map(OperatorSpec::Scan),
            "window" => {
                let mut list = Vec::new();
                ProcessorSpec::collect(fields.required("processor")?, 0, &mut list)?;
                Ok(OperatorSpec::Window(list))
            }
            other => Err(unknown_type("operator", other, OPERATORS)),
        }
    }

    /// The document that `from_json` reads back.
    pub fn to_json(&self) -> Value {
        match self {
            OperatorSpec::NaivePartition { columns } => json!({"type": "naivePartition", "partitionColumns": columns}),
            OperatorSpec::GlueingPartition { columns, rows_max } => {
                json!({"type": "glueingPartition", "partitionColumns": columns, "maxRowsMaterialized": rows_max})
            }
            OperatorSpec::NaiveSort { columns } => json!({"type": "naiveSort", "columns": sort_json(columns)}),
            OperatorSpec::PartitionSort { columns } => json!({"type": "partitionSort", "columns": sort_json(columns)}),
            OperatorSpec::Scan(scan) => scan.to_json(),
            OperatorSpec::Window(processors) => {
                let list: Vec<Value> = processors.iter().map(ProcessorSpec::to_json).collect();
                json!({"type": "window", "processor": {"type": "composing", "processors": list}})
            }
        }
    }
}

impl ScanOperator {
    fn parse(fields: &Fields<'_>) -> Result<Self> {
        let (mut offset, mut limit) = (0, None);
        if let Some(value) = fields.opt("offsetLimit") {
            let inner = Fields::new(value, "offsetLimit")?;
            let given = inner.opt_long("offset")?.unwrap_or(0);
            offset = u64::try_from(given)
                .map_err(|_| DruidError::invalid_input(format!("offset of a scan operator must be at least 0, got [{given}]")))?;
            // Negative is none.
            limit = inner.opt_long("limit")?.and_then(|limit| u64::try_from(limit).ok());
        }
        Ok(ScanOperator {
            time_range: fields.opt_str("timeRange")?.map(|text| Interval::parse(&text)).transpose()?,
            filter: fields.opt_parsed("filter", FilterSpec::from_json)?,
            virtual_columns: fields.parsed("virtualColumns", VirtualColumnSpec::from_json)?,
            ordering: fields.parsed("ordering", ColumnWithDirection::from_json)?,
            offset,
            limit,
            columns: Some(fields.strings("projectedColumns")?).filter(|columns| !columns.is_empty()),
        })
    }

    fn to_json(&self) -> Value {
        let mut map = Map::new();
        map.insert("type".into(), json!("scan"));
        if let Some(range) = &self.time_range {
            map.insert("timeRange".into(), json!(range.to_string()));
        }
        if let Some(filter) = &self.filter {
            map.insert("filter".into(), filter.to_json());
        }
        if self.offset > 0 || self.limit.is_some() {
            let limit = self.limit.and_then(|limit| i64::try_from(limit).ok()).unwrap_or(-1);
            map.insert("offsetLimit".into(), json!({"offset": self.offset, "limit": limit}));
        }
        if let Some(columns) = &self.columns {
            map.insert("projectedColumns".into(), json!(columns));
        }
        map.insert("virtualColumns".into(), self.virtual_columns.iter().map(VirtualColumnSpec::to_json).collect());
        map.insert("ordering".into(), sort_json(&self.ordering));
        Value::Object(map)
    }
}

impl ProcessorSpec {
    /// Reads a processor; those inside a `composing` one stand one after the other.
    fn collect(value: &Value, depth: usize, out: &mut Vec<ProcessorSpec>) -> Result<()> {
        if depth > DEPTH_MAX {
            return Err(DruidError::invalid_input(format!("window processors are nested deeper than {DEPTH_MAX}")));
        }
        let fields = Fields::new(value, "window processor")?;
        let output = || fields.str("outputColumn");
        let group = || fields.required("group").and_then(|_| fields.strings("group"));
        let frame = || fields.opt_parsed("frame", WindowFrame::from_json);
        out.push(match fields.str("type")?.as_str() {
            "composing" => {
                return fields.list("processors")?.iter().try_for_each(|inner| Self::collect(inner, depth + 1, out));
            }
            "rowNumber" => ProcessorSpec::RowNumber { output: output()? },
            "rank" => ProcessorSpec::Rank { group: group()?, output: output()?, as_percent: fields.bool("asPercent", false)? },
            "denseRank" => ProcessorSpec::DenseRank { group: group()?, output: output()? },
            "cumeDist" => ProcessorSpec::CumeDist { group: group()?, output: output()? },
            "percentile" => {
                let given = fields.opt_long("numBuckets")?.unwrap_or(0);
                let buckets = u32::try_from(given).ok().filter(|n| *n > 0);
                let refused = || DruidError::invalid_input(format!("numBuckets of percentile must be at least 1, got [{given}]"));
                ProcessorSpec::Percentile { output: output()?, buckets: buckets.ok_or_else(refused)? }
            }
            "first" => ProcessorSpec::First { input: fields.str("inputColumn")?, output: output()?, frame: frame()? },
            "last" => ProcessorSpec::Last { input: fields.str("inputColumn")?, output: output()?, frame: frame()? },
            "offset" => ProcessorSpec::Offset {
                input: fields.str("inputColumn")?,
                output: output()?,
                offset: fields.opt_long("offset")?.unwrap_or(0),
            },
            "framedAgg" => ProcessorSpec::FramedAggregate {
                frame: WindowFrame::from_json(fields.required("frame")?)?,
                aggregations: fields.parsed("aggregations", AggregatorSpec::from_json)?,
            },
            other => return Err(unknown_type("window processor", other, PROCESSORS)),
        });
        Ok(())
    }

    fn to_json(&self) -> Value {
        let framed = |kind: &str, input: &str, output: &str, frame: &Option<WindowFrame>| {
            let mut value = json!({"type": kind, "inputColumn": input, "outputColumn": output});
            if let Some(frame) = frame {
                value["frame"] = frame.to_json();
            }
            value
        };
        match self {
            ProcessorSpec::RowNumber { output } => json!({"type": "rowNumber", "outputColumn": output}),
            ProcessorSpec::Rank { group, output, as_percent } => {
                json!({"type": "rank", "group": group, "outputColumn": output, "asPercent": as_percent})
            }
            ProcessorSpec::DenseRank { group, output } => json!({"type": "denseRank", "group": group, "outputColumn": output}),
            ProcessorSpec::CumeDist { group, output } => json!({"type": "cumeDist", "group": group, "outputColumn": output}),
            ProcessorSpec::Percentile { output, buckets } => {
                json!({"type": "percentile", "outputColumn": output, "numBuckets": buckets})
            }
            ProcessorSpec::First { input, output, frame } => framed("first", input, output, frame),
            ProcessorSpec::Last { input, output, frame } => framed("last", input, output, frame),
            ProcessorSpec::Offset { input, output, offset } => {
                json!({"type": "offset", "inputColumn": input, "outputColumn": output, "offset": offset})
            }
            ProcessorSpec::FramedAggregate { frame, aggregations } => {
                let list: Vec<Value> = aggregations.iter().map(AggregatorSpec::to_json).collect();
                json!({"type": "framedAgg", "frame": frame.to_json(), "aggregations": list})
            }
        }
    }
}

impl WindowFrame {
    fn from_json(value: &Value) -> Result<Self> {
        let fields = Fields::new(value, "frame")?;
        let (lower, upper) = (fields.opt_long("lowerOffset")?, fields.opt_long("upperOffset")?);
        match fields.str("type")?.as_str() {
            "rows" => Ok(WindowFrame::Rows { lower, upper }),
            "groups" => Ok(WindowFrame::Groups { lower, upper, order_by: fields.strings("orderByColumns")? }),
            other => Err(unknown_type("frame", other, &["rows", "groups"])),
        }
    }

    fn to_json(&self) -> Value {
        match self {
            WindowFrame::Rows { lower, upper } => json!({"type": "rows", "lowerOffset": lower, "upperOffset": upper}),
            WindowFrame::Groups { lower, upper, order_by } => {
                json!({"type": "groups", "lowerOffset": lower, "upperOffset": upper, "orderByColumns": order_by})
            }
        }
    }
}
