//! `scan`: rows as they are (NQ-04, `ScanQuery`).

use ovate_base::{DruidError, Result};
use ovate_compute::ColumnType;
use serde_json::{Value, json};

use super::fields::{Fields, unknown_type};
use super::{Direction, QueryBase};

/// Shape of the events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScanResultFormat {
    List,
    CompactedList,
}

/// One column of a scan's order.
#[derive(Debug, Clone, PartialEq)]
pub struct ScanOrder {
    pub column: String,
    pub direction: Direction,
}

/// Rows of the chosen columns; all columns when `columns` is empty.
#[derive(Debug, Clone)]
pub struct ScanQuery {
    pub base: QueryBase,
    pub columns: Vec<String>,
    pub column_types: Option<Vec<ColumnType>>,
    pub result_format: ScanResultFormat,
    pub batch_size: u64,
    pub offset: u64,
    pub limit: Option<u64>,
    /// Empty: any order. `order: ascending` reads as `__time` ascending.
    pub order_by: Vec<ScanOrder>,
}

impl ScanQuery {
    pub(crate) fn parse(value: &Value, depth: usize) -> Result<Self> {
        let fields = Fields::new(value, "scan query")?;
        let result_format = match fields.opt_str("resultFormat")?.as_deref() {
            None | Some("list") => ScanResultFormat::List,
            Some("compactedList") => ScanResultFormat::CompactedList,
            Some("valueVector") => return Err(DruidError::unsupported("scan resultFormat [valueVector]")),
            Some(other) => return Err(unknown_type("scan resultFormat", other, &["list", "compactedList"])),
        };
        let positive = |name: &str, least: i64| match fields.opt_long(name)? {
            Some(n) if n < least => {
                Err(DruidError::invalid_input(format!("{name} of a scan query must be at least {least}, got [{n}]")))
            }
            other => Ok(other.map(|n| n as u64)),
        };
        let mut order_by = fields.parsed("orderBy", |item| {
            let fields = Fields::new(item, "orderBy")?;
            let direction = fields.opt_str("order")?.map_or(Ok(Direction::Ascending), |t| Direction::parse(&t))?;
            Ok(ScanOrder { column: fields.str("columnName")?, direction })
        })?;
        match fields.opt_str("order")?.as_deref().map(str::to_ascii_lowercase).as_deref() {
            None | Some("none") => {}
            Some(text) => {
                let time = ScanOrder { column: "__time".into(), direction: Direction::parse(text)? };
                if !order_by.is_empty() && order_by != [time.clone()] {
                    return Err(DruidError::invalid_input("Cannot provide 'order' incompatible with 'orderBy'"));
                }
                order_by = vec![time];
            }
        }
        let column_types = fields
            .opt("columnTypes")
            .map(|_| fields.parsed("columnTypes", |v| ColumnType::parse(v.as_str().unwrap_or_default())));
        Ok(ScanQuery {
            base: QueryBase::parse(&fields, depth, true)?,
            columns: fields.strings("columns")?,
            column_types: column_types.transpose()?,
            result_format,
            batch_size: positive("batchSize", 1)?.unwrap_or(20480),
            offset: positive("offset", 0)?.unwrap_or(0),
            // None and 0 are no limit.
            limit: positive("limit", 0)?.filter(|l| *l > 0 && *l < i64::MAX as u64),
            order_by,
        })
    }

    pub(crate) fn to_json(&self) -> Value {
        let mut map = self.base.write("scan");
        map.insert("columns".into(), json!(self.columns));
        if let Some(types) = &self.column_types {
            map.insert("columnTypes".into(), json!(types.iter().map(ToString::to_string).collect::<Vec<_>>()));
        }
        let format = match self.result_format {
            ScanResultFormat::List => "list",
            ScanResultFormat::CompactedList => "compactedList",
        };
        map.insert("resultFormat".into(), json!(format));
        map.insert("batchSize".into(), json!(self.batch_size));
        map.insert("offset".into(), json!(self.offset));
        if let Some(limit) = self.limit {
            map.insert("limit".into(), json!(limit));
        }
        if !self.order_by.is_empty() {
            let one = |o: &ScanOrder| json!({"columnName": o.column, "order": o.direction.name()});
            map.insert("orderBy".into(), self.order_by.iter().map(one).collect());
        }
        Value::Object(map)
    }

    /// The order by `__time` alone, where that is the order (`ScanQuery.getTimeOrder`).
    pub fn time_order(&self) -> Option<Direction> {
        match self.order_by.as_slice() {
            [one] if one.column == "__time" => Some(one.direction),
            _ => None,
        }
    }
}
