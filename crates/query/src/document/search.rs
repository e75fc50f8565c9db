//! `search`: dimension values that match a text (NQ-05, `SearchQuery`).

use ovate_base::{DruidError, Result};
use ovate_compute::dimension::DimensionSpec;
use ovate_compute::ordering::StringOrder;
use serde_json::{Value, json};

use super::QueryBase;
use super::fields::{Fields, unknown_type};

/// `SearchQuerySpec`: which values match.
#[derive(Debug, Clone, PartialEq)]
pub enum SearchSpec {
    All,
    Contains { value: Option<String>, case_sensitive: bool },
    Fragment { values: Vec<String>, case_sensitive: bool },
    Regex { pattern: String },
}

/// `SearchSortSpec`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SearchSort {
    pub order: StringOrder,
}

/// Matching values with the number of rows that hold them.
#[derive(Debug, Clone)]
pub struct SearchQuery {
    pub base: QueryBase,
    /// Empty: every string dimension.
    pub dimensions: Vec<DimensionSpec>,
    pub spec: SearchSpec,
    pub sort: SearchSort,
    pub limit: u64,
}

const KNOWN: &[&str] = &["insensitive_contains", "contains", "fragment", "regex", "all"];

impl SearchSpec {
    fn from_json(value: &Value) -> Result<Self> {
        let fields = Fields::new(value, "search query spec")?;
        Ok(match fields.str("type")?.as_str() {
            "all" => SearchSpec::All,
            "insensitive_contains" => SearchSpec::Contains { value: fields.opt_str("value")?, case_sensitive: false },
            "contains" => {
                let case_sensitive = fields.bool("case_sensitive", fields.bool("caseSensitive", false)?)?;
                SearchSpec::Contains { value: fields.opt_str("value")?, case_sensitive }
            }
            "fragment" => {
                let case_sensitive = fields.bool("case_sensitive", fields.bool("caseSensitive", false)?)?;
                SearchSpec::Fragment { values: fields.strings("values")?, case_sensitive }
            }
            "regex" => SearchSpec::Regex { pattern: fields.str("pattern")? },
            other => return Err(unknown_type("search query spec", other, KNOWN)),
        })
    }

    fn to_json(&self) -> Value {
        match self {
            SearchSpec::All => json!({"type": "all"}),
            SearchSpec::Contains { value, case_sensitive } => {
                json!({"type": "contains", "value": value, "caseSensitive": case_sensitive})
            }
            SearchSpec::Fragment { values, case_sensitive } => {
                json!({"type": "fragment", "values": values, "caseSensitive": case_sensitive})
            }
            SearchSpec::Regex { pattern } => json!({"type": "regex", "pattern": pattern}),
        }
    }
}

impl SearchQuery {
    pub(crate) fn parse(value: &Value, depth: usize) -> Result<Self> {
        let fields = Fields::new(value, "search query")?;
        let dimensions = match fields.opt("searchDimensions") {
            Some(one @ (Value::String(_) | Value::Object(_))) => vec![DimensionSpec::from_json(one)?],
            _ => fields.parsed("searchDimensions", DimensionSpec::from_json)?,
        };
        let order = match fields.opt("sort") {
            // Brokers of Druid write the order as an object inside the object.
            Some(sort @ Value::Object(_)) => match Fields::new(sort, "sort")?.opt("type") {
                Some(inner @ Value::Object(_)) => Fields::new(inner, "sort")?.opt_str("type")?,
                _ => Fields::new(sort, "sort")?.opt_str("type")?,
            },
            Some(other) => other.as_str().map(str::to_owned),
            None => None,
        };
        let limit = fields.opt_long("limit")?.unwrap_or(0);
        if limit < 0 {
            return Err(DruidError::invalid_input("limit of a search query must not be negative"));
        }
        Ok(SearchQuery {
            base: QueryBase::parse(&fields, depth, true)?,
            dimensions,
            spec: SearchSpec::from_json(fields.required("query")?)?,
            sort: SearchSort { order: order.map_or(Ok(StringOrder::Lexicographic), |text| StringOrder::parse(&text))? },
            limit: if limit == 0 { 1000 } else { limit as u64 },
        })
    }

    pub(crate) fn to_json(&self) -> Value {
        let mut map = self.base.write("search");
        if !self.dimensions.is_empty() {
            map.insert("searchDimensions".into(), self.dimensions.iter().map(DimensionSpec::to_json).collect());
        }
        map.insert("query".into(), self.spec.to_json());
        map.insert("sort".into(), json!({"type": self.sort.order.name()}));
        map.insert("limit".into(), json!(self.limit));
        Value::Object(map)
    }
}
