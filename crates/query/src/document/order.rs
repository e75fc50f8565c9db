//! Sorting: directions and the groupBy `limitSpec` (`DefaultLimitSpec`).

use ovate_base::{DruidError, Result};
use ovate_compute::ordering::StringOrder;
use serde_json::{Value, json};

use super::fields::{Fields, unknown_type};

/// Ascending or descending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    #[default]
    Ascending,
    Descending,
}

impl Direction {
    /// `asc`, `ascending`, `desc`, `descending` in any case; `none` is ascending, as Druid writes a missing direction.
    pub fn parse(text: &str) -> Result<Self> {
        match text.to_ascii_lowercase().as_str() {
            "asc" | "ascending" | "none" => Ok(Direction::Ascending),
            "desc" | "descending" => Ok(Direction::Descending),
            _ => Err(DruidError::invalid_input(format!("unknown sort direction [{text}]"))),
        }
    }

    /// Druid's name.
    pub fn name(self) -> &'static str {
        match self {
            Direction::Ascending => "ascending",
            Direction::Descending => "descending",
        }
    }
}

/// `OrderByColumnSpec`.
#[derive(Debug, Clone, PartialEq)]
pub struct OrderByColumn {
    pub dimension: String,
    pub direction: Direction,
    pub order: StringOrder,
}

impl OrderByColumn {
    /// A column name, or an object.
    pub fn from_json(value: &Value) -> Result<Self> {
        if let Value::String(name) = value {
            return Ok(OrderByColumn {
                dimension: name.clone(),
                direction: Direction::Ascending,
                order: StringOrder::Lexicographic,
            });
        }
        let fields = Fields::new(value, "orderBy column")?;
        Ok(OrderByColumn {
            dimension: fields.str("dimension")?,
            direction: fields.opt_str("direction")?.map_or(Ok(Direction::Ascending), |text| Direction::parse(&text))?,
            order: fields.opt_parsed("dimensionOrder", StringOrder::from_json)?.unwrap_or_default(),
        })
    }

    /// The document that `from_json` reads back.
    pub fn to_json(&self) -> Value {
        json!({"dimension": self.dimension, "direction": self.direction.name(), "dimensionOrder": {"type": self.order.name()}})
    }
}

/// `DefaultLimitSpec`; `NoopLimitSpec` is the default value.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LimitSpec {
    pub columns: Vec<OrderByColumn>,
    pub offset: u64,
    pub limit: Option<u64>,
}

impl LimitSpec {
    /// `{"type": "default" | "NoopLimitSpec", …}`.
    pub fn from_json(value: &Value) -> Result<Self> {
        let fields = Fields::new(value, "limitSpec")?;
        match fields.opt_str("type")?.as_deref() {
            None | Some("default") => {}
            Some("noop" | "NoopLimitSpec") => return Ok(LimitSpec::default()),
            Some(other) => return Err(unknown_type("limitSpec", other, &["default", "noop"])),
        }
        let limit = fields.opt_long("limit")?;
        if limit.is_some_and(|limit| limit <= 0) {
            return Err(DruidError::invalid_input(format!("limit[{}] must be >0", limit.unwrap_or(0))));
        }
        let offset = fields.opt_long("offset")?.unwrap_or(0);
        if offset < 0 {
            return Err(DruidError::invalid_input(format!("offset[{offset}] must be >=0")));
        }
        Ok(LimitSpec {
            columns: fields.parsed("columns", OrderByColumn::from_json)?,
            offset: offset as u64,
            // Druid writes "no limit" as Integer.MAX_VALUE.
            limit: limit.map(|l| l as u64).filter(|l| *l < i32::MAX as u64),
        })
    }

    /// The document that `from_json` reads back.
    pub fn to_json(&self) -> Value {
        if *self == LimitSpec::default() {
            return json!({"type": "NoopLimitSpec"});
        }
        let columns: Vec<Value> = self.columns.iter().map(OrderByColumn::to_json).collect();
        json!({"type": "default", "columns": columns, "offset": self.offset, "limit": self.limit})
    }
}
