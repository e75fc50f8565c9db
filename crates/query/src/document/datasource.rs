//! Where a query's rows come from (`DataSource`, https://druid.apache.org/docs/latest/querying/datasource).

use ovate_base::{DruidError, Result};
use ovate_compute::ColumnType;
use ovate_compute::filter::FilterSpec;
use ovate_compute::virtual_column::VirtualColumnSpec;
use serde_json::{Value, json};

use super::NativeQuery;
use super::fields::{Fields, unknown_type};

/// A tree of tables and what is done to them before the query sees their rows.
// One is held a query; boxing every variant would only blur the matches.
#[allow(clippy::large_enum_variant)]
#[derive(Debug, Clone)]
pub enum DataSource {
    Table(String),
    /// A broadcast table, present on every server.
    GlobalTable(String),
    /// Columns `k` and `v`.
    Lookup(String),
    Inline(InlineRows),
    /// Rows of all of these; a column missing in one reads as null.
    Union(Vec<DataSource>),
    Query(Box<NativeQuery>),
    Join(Box<JoinClause>),
    Unnest {
        base: Box<DataSource>,
        virtual_column: VirtualColumnSpec,
        unnest_filter: Option<FilterSpec>,
    },
    Filter {
        base: Box<DataSource>,
        filter: FilterSpec,
    },
}

/// Rows written in the query.
#[derive(Debug, Clone, PartialEq)]
pub struct InlineRows {
    pub column_names: Vec<String>,
    pub column_types: Option<Vec<Option<ColumnType>>>,
    pub rows: Vec<Vec<Value>>,
}

/// `INNER` or `LEFT` on an equality condition (an expression over left columns and prefixed right columns).
#[derive(Debug, Clone)]
pub struct JoinClause {
    pub left: DataSource,
    pub right: DataSource,
    pub right_prefix: String,
    pub condition: String,
    pub kind: JoinKind,
    pub left_filter: Option<FilterSpec>,
}

/// `JoinType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JoinKind {
    Inner,
    Left,
    Right,
    Full,
}

const KNOWN: &[&str] = &["table", "globalTable", "lookup", "inline", "union", "query", "join", "unnest", "filter", "restrict"];

/// How deep datasources may lie inside each other; guards the stack against hostile documents.
const DEPTH_MAX: usize = 64;

impl DataSource {
    /// A table by name or any typed object.
    pub fn from_json(value: &Value) -> Result<Self> {
        Self::parse(value, 0)
    }

    pub(crate) fn parse(value: &Value, depth: usize) -> Result<Self> {
        if depth > DEPTH_MAX {
            return Err(DruidError::invalid_input(format!("dataSource is nested deeper than {DEPTH_MAX}")));
        }
        if let Value::String(name) = value {
            return Self::table(name.clone());
        }
        let fields = Fields::new(value, "dataSource")?;
        let child = |name: &str| Self::parse(fields.required(name)?, depth + 1).map_err(|e| e.prefixed(name));
        match fields.str("type")?.as_str() {
            "table" => Self::table(fields.str("name")?),
            "globalTable" => Ok(DataSource::GlobalTable(fields.str("name")?)),
            "lookup" => Ok(DataSource::Lookup(fields.str("lookup")?)),
            "inline" => InlineRows::parse(&fields).map(DataSource::Inline),
            "union" => {
                let sources = fields.parsed("dataSources", |v| Self::parse(v, depth + 1))?;
                if sources.is_empty() {
                    return Err(DruidError::invalid_input("dataSources of a union datasource must not be empty"));
                }
                Ok(DataSource::Union(sources))
            }
            "query" => Ok(DataSource::Query(Box::new(NativeQuery::parse(fields.required("query")?, depth + 1)?))),
            "join" => Ok(DataSource::Join(Box::new(JoinClause {
                left: child("left")?,
                right: child("right")?,
                right_prefix: fields.str("rightPrefix")?,
                condition: fields.str("condition")?,
                kind: JoinKind::parse(&fields.str("joinType")?)?,
                left_filter: fields.opt_parsed("leftFilter", FilterSpec::from_json)?,
            }))),
            "unnest" => Ok(DataSource::Unnest {
                base: Box::new(child("base")?),
                virtual_column: VirtualColumnSpec::from_json(fields.required("virtualColumn")?)?,
                unnest_filter: fields.opt_parsed("unnestFilter", FilterSpec::from_json)?,
            }),
            "filter" => Ok(DataSource::Filter {
                base: Box::new(child("base")?),
                filter: FilterSpec::from_json(fields.required("filter")?)?,
            }),
            "restrict" => restricted(&fields, child("base")?),
            other => Err(unknown_type("datasource", other, KNOWN)),
        }
    }

    fn table(name: String) -> Result<Self> {
        if name.is_empty() {
            return Err(DruidError::invalid_input("dataSource name must not be empty"));
        }
        Ok(DataSource::Table(name))
    }

    /// The document that `from_json` reads back.
    pub fn to_json(&self) -> Value {
        match self {
            DataSource::Table(name) => json!({"type": "table", "name": name}),
            DataSource::GlobalTable(name) => json!({"type": "globalTable", "name": name}),
            DataSource::Lookup(name) => json!({"type": "lookup", "lookup": name}),
            DataSource::Inline(inline) => inline.to_json(),
            DataSource::Union(sources) => {
                json!({"type": "union", "dataSources": sources.iter().map(DataSource::to_json).collect::<Vec<_>>()})
            }
            DataSource::Query(query) => json!({"type": "query", "query": query.to_json()}),
            DataSource::Join(join) => json!({
                "type": "join", "left": join.left.to_json(), "right": join.right.to_json(), "rightPrefix": join.right_prefix,
                "condition": join.condition, "joinType": join.kind.name(),
                "leftFilter": join.left_filter.as_ref().map(FilterSpec::to_json),
            }),
            DataSource::Unnest { base, virtual_column, unnest_filter } => json!({
                "type": "unnest", "base": base.to_json(), "virtualColumn": virtual_column.to_json(),
                "unnestFilter": unnest_filter.as_ref().map(FilterSpec::to_json),
            }),
            DataSource::Filter { base, filter } => {
                json!({"type": "filter", "base": base.to_json(), "filter": filter.to_json()})
            }
        }
    }

    /// Names of all the tables inside, each once, in the order met (`DataSource.getTableNames`).
    pub fn table_names(&self) -> Vec<String> {
        let mut names = Vec::new();
        self.collect_tables(&mut names);
        names
    }

    fn collect_tables(&self, names: &mut Vec<String>) {
        match self {
            DataSource::Table(name) | DataSource::GlobalTable(name) => {
                if !names.contains(name) {
                    names.push(name.clone());
                }
            }
            DataSource::Lookup(_) | DataSource::Inline(_) => {}
            DataSource::Union(sources) => sources.iter().for_each(|source| source.collect_tables(names)),
            DataSource::Query(query) => query.data_source().collect_tables(names),
            DataSource::Join(join) => {
                join.left.collect_tables(names);
                join.right.collect_tables(names);
            }
            DataSource::Unnest { base, .. } | DataSource::Filter { base, .. } => base.collect_tables(names),
        }
    }
}

/// `RestrictedDataSource`: a table under a policy that a Broker has put on it.
fn restricted(fields: &Fields<'_>, base: DataSource) -> Result<DataSource> {
    let policy = Fields::new(fields.required("policy")?, "policy")?;
    match policy.str("type")?.as_str() {
        "noRestriction" => Ok(base),
        "row" => {
            let filter = FilterSpec::from_json(policy.required("rowFilter")?)?;
            Ok(DataSource::Filter { base: Box::new(base), filter })
        }
        other => Err(unknown_type("policy", other, &["noRestriction", "row"])),
    }
}

impl InlineRows {
    fn parse(fields: &Fields<'_>) -> Result<Self> {
        let column_names = fields.strings("columnNames")?;
        let column_types = fields.opt("columnTypes").map(|_| {
            fields.parsed("columnTypes", |value| match value {
                Value::Null => Ok(None),
                Value::String(text) => ColumnType::parse(text).map(Some),
                _ => Err(DruidError::invalid_input("column type must be a string")),
            })
        });
        let column_types = column_types.transpose()?;
        if column_types.as_ref().is_some_and(|types| types.len() != column_names.len()) {
            return Err(DruidError::invalid_input("columnTypes must be as many as columnNames"));
        }
        let rows = fields.parsed("rows", |row| match row {
            Value::Array(cells) if cells.len() == column_names.len() => Ok(cells.clone()),
            Value::Array(cells) => {
                let (found, wanted) = (cells.len(), column_names.len());
                Err(DruidError::invalid_input(format!("row has {found} values for {wanted} columns")))
            }
            _ => Err(DruidError::invalid_input("row must be a list")),
        })?;
        Ok(InlineRows { column_names, column_types, rows })
    }

    fn to_json(&self) -> Value {
        let text = |t: &Option<ColumnType>| t.as_ref().map(ToString::to_string);
        let types = self.column_types.as_ref().map(|types| types.iter().map(text).collect::<Vec<_>>());
        json!({"type": "inline", "columnNames": self.column_names, "columnTypes": types, "rows": self.rows})
    }
}

impl JoinKind {
    fn parse(text: &str) -> Result<Self> {
        match text.to_ascii_uppercase().as_str() {
            "INNER" => Ok(JoinKind::Inner),
            "LEFT" => Ok(JoinKind::Left),
            "RIGHT" => Ok(JoinKind::Right),
            "FULL" => Ok(JoinKind::Full),
            _ => Err(unknown_type("join", text, &["INNER", "LEFT", "RIGHT", "FULL"])),
        }
    }

    /// Druid's name.
    pub fn name(self) -> &'static str {
        match self {
            JoinKind::Inner => "INNER",
            JoinKind::Left => "LEFT",
            JoinKind::Right => "RIGHT",
            JoinKind::Full => "FULL",
        }
    }
}
