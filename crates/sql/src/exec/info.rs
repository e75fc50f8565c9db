//! Rows of INFORMATION_SCHEMA out of the catalog (`InformationSchema`).

use ovate_compute::Value;

use super::Executor;
use crate::bind::INFO_TABLES;
use crate::functions::{AGGREGATES, ALIASES, FUNCTIONS, WINDOW_FUNCTIONS, find};
use crate::plan::InfoTable;
use crate::signature::forms;
use crate::types::SqlType;

const CATALOG: &str = "druid";

impl Executor<'_> {
    pub(super) fn info(&self, table: InfoTable) -> Vec<Vec<Value>> {
        match table {
            InfoTable::Schemata => ["druid", "INFORMATION_SCHEMA", "lookup", "sys", "view"]
                .into_iter()
                .map(|schema| {
                    vec![CATALOG.into(), schema.into(), Value::Null, Value::Null, Value::Null, Value::Null, Value::Null]
                })
                .collect(),
            InfoTable::Tables => self.tables(),
            InfoTable::Columns => self.columns(),
            InfoTable::Routines => {
                let row = |name: &str, signature: String, aggregator: &str| {
                    let texts = [CATALOG, "INFORMATION_SCHEMA", name, "FUNCTION", aggregator, signature.as_str()];
                    texts.into_iter().map(Value::from).collect()
                };
                // An alias has the signature of what it stands for, under its own name.
                let forms = |shown: &str, name: &str, most: usize| match forms(name) {
                    Some(forms) => forms.replace(name, shown),
                    None if most == usize::MAX => format!("{shown}(...)"),
                    None => format!("'{shown}({})'", vec!["<ANY>"; most].join(", ")),
                };
                let scalar = FUNCTIONS.iter().map(|f| row(f.name, forms(f.name, f.name, f.max_args), "NO"));
                let aliases = ALIASES
                    .iter()
                    .filter_map(|(alias, name)| find(name).map(|f| row(alias, forms(alias, name, f.max_args), "NO")));
                let aggregates = AGGREGATES.iter().chain(&["LISTAGG"]).filter(|name| **name != "SINGLE_VALUE");
                let aggregates = aggregates.chain(WINDOW_FUNCTIONS).map(|name| row(name, forms(name, name, usize::MAX), "YES"));
                scalar.chain(aliases).chain(aggregates).collect()
            }
        }
    }

    fn tables(&self) -> Vec<Vec<Value>> {
        let row = |schema: &str, name: &str, kind: &str, joinable: &str, broadcast: &str| {
            vec![CATALOG.into(), schema.into(), name.into(), kind.into(), joinable.into(), broadcast.into()]
        };
        let mut out: Vec<Vec<Value>> =
            INFO_TABLES.iter().map(|(name, _, _)| row("INFORMATION_SCHEMA", name, "SYSTEM_TABLE", "NO", "NO")).collect();
        for table in self.catalog.tables.values() {
            let broadcast = if table.kind == ovate_engine::TableKind::Broadcast { "YES" } else { "NO" };
            out.push(row("druid", &table.name, "TABLE", broadcast, broadcast));
        }
        for name in self.eval.lookups.keys() {
            out.push(row("lookup", name, "TABLE", "YES", "YES"));
        }
        for table in self.system.tables() {
            out.push(row("sys", table.name(), "SYSTEM_TABLE", "NO", "NO"));
        }
        out
    }

    fn columns(&self) -> Vec<Vec<Value>> {
        let mut out = Vec::new();
        for (name, _, columns) in INFO_TABLES {
            for (i, (column, t)) in columns.iter().enumerate() {
                out.push(column_row("INFORMATION_SCHEMA", name, column, i, t));
            }
        }
        for table in self.catalog.tables.values() {
            for (i, column) in table.columns.iter().enumerate() {
                let t = if column.name == "__time" { SqlType::Timestamp } else { SqlType::of_native(&column.column_type) };
                out.push(column_row("druid", &table.name, &column.name, i, &t));
            }
        }
        for name in self.eval.lookups.keys() {
            out.push(column_row("lookup", name, "k", 0, &SqlType::Varchar));
            out.push(column_row("lookup", name, "v", 1, &SqlType::Varchar));
        }
        for table in self.system.tables() {
            for (i, (column, t)) in table.columns().iter().enumerate() {
                out.push(column_row("sys", table.name(), column, i, &SqlType::of_native(t)));
            }
        }
        out
    }
}

/// Calcite's number for "not specified", which Druid shows as it is.
const NO_SCALE: Option<i64> = Some(-2_147_483_648);

fn column_row(schema: &str, table: &str, column: &str, position: usize, t: &SqlType) -> Vec<Value> {
    let nullable = if column == "__time" || schema == "INFORMATION_SCHEMA" { "NO" } else { "YES" };
    let (data_type, precision, radix, scale) = match t {
        SqlType::Bigint => ("BIGINT".to_owned(), Some(19), Some(10), Some(0)),
        SqlType::Double => ("DOUBLE".to_owned(), Some(15), Some(10), NO_SCALE),
        SqlType::Float => ("FLOAT".to_owned(), Some(15), Some(10), NO_SCALE),
        SqlType::Complex(name) => (format!("COMPLEX<{name}>"), None, None, None),
        other => (other.name().to_owned(), None, None, None),
    };
    let number = |n: Option<i64>| n.map_or(Value::Null, Value::Long);
    let text = matches!(t, SqlType::Varchar);
    vec![
        CATALOG.into(),
        schema.into(),
        table.into(),
        column.into(),
        Value::Long(position as i64 + 1),
        "".into(),
        nullable.into(),
        data_type.as_str().into(),
        Value::Null,
        Value::Null,
        number(precision),
        number(radix),
        number(scale),
        if *t == SqlType::Timestamp { Value::Long(3) } else { Value::Null },
        if text { "UTF-16LE".into() } else { Value::Null },
        if text { "UTF-16LE$en_US$primary".into() } else { Value::Null },
        Value::Long(t.jdbc_type()),
    ]
}
