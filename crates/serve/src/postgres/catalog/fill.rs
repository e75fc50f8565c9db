//! The rows of the system tables that have any.

use std::collections::HashMap;

use ovate_base::time::format_iso;
use pgwire::api::Type;

use super::datum::Datum;
use super::{Catalogue, DATABASE, KnownTable, SCHEMA, namespace_oid, oid_of_name, tables, types};

/// The one role that is shown.
const ROLE: i64 = 10;
const DATABASE_OID: i64 = 16_000;
const HEAP: i64 = 2;

/// Makes rows of named cells; cells that are not named are false, zero, empty or null, by their type.
struct Filler {
    places: HashMap<String, usize>,
    blank: Vec<Datum>,
    rows: Vec<Vec<Datum>>,
}

impl Filler {
    fn of(full: &str) -> Filler {
        let columns = tables::columns(full);
        let blank = columns.iter().map(|(_, kind)| match *kind {
            Type::BOOL => Datum::Bool(false),
            Type::OID | Type::INT2 | Type::INT4 | Type::INT8 => Datum::Int(0),
            Type::FLOAT4 | Type::FLOAT8 => Datum::Float(0.0),
            Type::CHAR => Datum::from(""),
            _ => Datum::Null,
        });
        let blank = blank.collect();
        let places = columns.into_iter().enumerate().map(|(place, (name, _))| (name, place)).collect();
        Filler { places, blank, rows: Vec::new() }
    }

    fn row<const N: usize>(&mut self, cells: [(&str, Datum); N]) {
        let mut row = self.blank.clone();
        for (name, value) in cells {
            if let Some(place) = self.places.get(name) {
                row[*place] = value;
            }
        }
        self.rows.push(row);
    }
}

impl Catalogue {
    /// The rows of a table by its full name.
    pub(super) fn rows(&self, full: &str) -> Vec<Vec<Datum>> {
        let mut to = Filler::of(full);
        match full {
            "pg_catalog.pg_namespace" => self.schemas().iter().for_each(|name| {
                to.row([("oid", namespace_oid(name).into()), ("nspname", name.as_str().into()), ("nspowner", ROLE.into())]);
            }),
            "pg_catalog.pg_class" => self.tables.iter().for_each(|table| self.class(&mut to, table)),
            "pg_catalog.pg_attribute" => self.tables.iter().for_each(|table| attributes(&mut to, table)),
            "pg_catalog.pg_type" => fill_types(&mut to),
            "pg_catalog.pg_database" => to.row([
                ("oid", DATABASE_OID.into()),
                ("datname", DATABASE.into()),
                ("datdba", ROLE.into()),
                ("encoding", 6.into()),
                ("datlocprovider", "c".into()),
                ("datallowconn", true.into()),
                ("datconnlimit", (-1).into()),
                ("datcollate", "C".into()),
                ("datctype", "C".into()),
            ]),
            "pg_catalog.pg_roles" | "pg_catalog.pg_authid" => to.row([
                ("oid", ROLE.into()),
                ("rolname", self.session.user.as_str().into()),
                ("rolinherit", true.into()),
                ("rolcanlogin", true.into()),
                ("rolconnlimit", (-1).into()),
            ]),
            "pg_catalog.pg_user" => to.row([("usename", self.session.user.as_str().into()), ("usesysid", ROLE.into())]),
            "pg_catalog.pg_tablespace" => {
                to.row([("oid", 1663.into()), ("spcname", "pg_default".into()), ("spcowner", ROLE.into())])
            }
            "pg_catalog.pg_am" => to.row([("oid", HEAP.into()), ("amname", "segments".into()), ("amtype", "t".into())]),
            "pg_catalog.pg_settings" => self.session.settings.iter().for_each(|(name, value)| {
                to.row([
                    ("name", name.as_str().into()),
                    ("setting", value.as_str().into()),
                    ("context", "user".into()),
                    ("vartype", "string".into()),
                    ("source", "session".into()),
                ]);
            }),
            "pg_catalog.pg_tables" => self.of_kind("TABLE").for_each(|table| {
                to.row([
                    ("schemaname", table.schema.as_str().into()),
                    ("tablename", table.name.as_str().into()),
                    ("tableowner", self.session.user.as_str().into()),
                ]);
            }),
            "pg_catalog.pg_views" => self.of_kind("SYSTEM_TABLE").for_each(|table| {
                to.row([
                    ("schemaname", table.schema.as_str().into()),
                    ("viewname", table.name.as_str().into()),
                    ("viewowner", self.session.user.as_str().into()),
                ]);
            }),
            "pg_catalog.pg_stat_activity" => self.statements.iter().for_each(|statement| {
                to.row([
                    ("datid", DATABASE_OID.into()),
                    ("datname", DATABASE.into()),
                    ("state", "active".into()),
                    ("query", statement.sql.as_str().into()),
                    ("query_start", format_iso(statement.started_ms).into()),
                    ("backend_type", "client backend".into()),
                ]);
            }),
            "pg_catalog.pg_stat_user_tables" => self.tables.iter().filter(|table| table.schema == SCHEMA).for_each(|table| {
                let rows = self.sizes.get(&table.name).map_or(0, |(rows, _)| *rows);
                to.row([
                    ("relid", table.oid.into()),
                    ("schemaname", SCHEMA.into()),
                    ("relname", table.name.as_str().into()),
                    ("n_live_tup", rows.into()),
                ]);
            }),
            "information_schema.schemata" => self.schemas().iter().for_each(|name| {
                to.row([
                    ("catalog_name", DATABASE.into()),
                    ("schema_name", name.as_str().into()),
                    ("schema_owner", self.session.user.as_str().into()),
                ]);
            }),
            "information_schema.tables" => self.tables.iter().for_each(|table| {
                let kind = if table.kind == "TABLE" { "BASE TABLE" } else { "VIEW" };
                to.row([
                    ("table_catalog", DATABASE.into()),
                    ("table_schema", table.schema.as_str().into()),
                    ("table_name", table.name.as_str().into()),
                    ("table_type", kind.into()),
                    ("is_insertable_into", "NO".into()),
                    ("is_typed", "NO".into()),
                    ("is_joinable", table.joinable.as_str().into()),
                    ("is_broadcast", table.broadcast.as_str().into()),
                ]);
            }),
            "information_schema.columns" => self.tables.iter().for_each(|table| columns(&mut to, table)),
            "information_schema.routines" => self.routines.iter().for_each(|(name, aggregator, signatures)| {
                to.row([
                    ("specific_catalog", DATABASE.into()),
                    ("specific_schema", SCHEMA.into()),
                    ("specific_name", name.as_str().into()),
                    ("routine_catalog", DATABASE.into()),
                    ("routine_schema", SCHEMA.into()),
                    ("routine_name", name.as_str().into()),
                    ("routine_type", "FUNCTION".into()),
                    ("is_aggregator", aggregator.as_str().into()),
                    ("signatures", signatures.as_str().into()),
                ]);
            }),
            _ => {}
        }
        to.rows
    }

    fn schemas(&self) -> Vec<String> {
        let mut names: Vec<String> = ["druid", "lookup", "sys", "pg_catalog", "information_schema"].map(str::to_owned).to_vec();
        for table in &self.tables {
            if !names.contains(&table.schema) {
                names.push(table.schema.clone());
            }
        }
        names
    }

    fn of_kind(&self, kind: &str) -> impl Iterator<Item = &KnownTable> {
        self.tables.iter().filter(move |table| table.kind == kind)
    }

    fn class(&self, to: &mut Filler, table: &KnownTable) {
        let is_table = table.kind == "TABLE";
        let rows = self.sizes.get(&table.name).filter(|_| table.schema == SCHEMA).map_or(-1, |(rows, _)| *rows);
        to.row([
            ("oid", table.oid.into()),
            ("relname", table.name.as_str().into()),
            ("relnamespace", namespace_oid(&table.schema).into()),
            ("reltype", oid_of_name(&format!("type {}.{}", table.schema, table.name)).into()),
            ("relowner", ROLE.into()),
            ("relam", if is_table { HEAP } else { 0 }.into()),
            ("reltuples", Datum::Float(rows as f64)),
            ("relpersistence", "p".into()),
            ("relkind", if is_table { "r" } else { "v" }.into()),
            ("relnatts", (table.columns.len() as i64).into()),
            ("relispopulated", true.into()),
            ("relreplident", "n".into()),
        ]);
    }
}

fn attributes(to: &mut Filler, table: &KnownTable) {
    for (place, column) in table.columns.iter().enumerate() {
        to.row([
            ("attrelid", table.oid.into()),
            ("attname", column.name.as_str().into()),
            ("atttypid", i64::from(column.kind.oid()).into()),
            ("attstattarget", (-1).into()),
            ("attlen", (-1).into()),
            ("attnum", (place as i64 + 1).into()),
            ("attcacheoff", (-1).into()),
            ("atttypmod", (-1).into()),
            ("attnotnull", (!column.nullable).into()),
            ("attstorage", "p".into()),
            ("attislocal", true.into()),
        ]);
    }
}

fn columns(to: &mut Filler, table: &KnownTable) {
    for (place, column) in table.columns.iter().enumerate() {
        let shown = types::format(i64::from(column.kind.oid()));
        let shown = if shown.ends_with("[]") { "ARRAY" } else { &shown };
        to.row([
            ("table_catalog", DATABASE.into()),
            ("table_schema", table.schema.as_str().into()),
            ("table_name", table.name.as_str().into()),
            ("column_name", column.name.as_str().into()),
            ("ordinal_position", (place as i64 + 1).into()),
            ("is_nullable", if column.nullable { "YES" } else { "NO" }.into()),
            ("data_type", shown.into()),
            ("character_maximum_length", Datum::Null),
            ("character_octet_length", Datum::Null),
            ("numeric_precision", Datum::Null),
            ("numeric_precision_radix", Datum::Null),
            ("numeric_scale", Datum::Null),
            ("datetime_precision", if column.kind == Type::TIMESTAMPTZ { 3.into() } else { Datum::Null }),
            ("interval_precision", Datum::Null),
            ("udt_catalog", DATABASE.into()),
            ("udt_schema", "pg_catalog".into()),
            ("udt_name", column.kind.name().into()),
            ("is_identity", "NO".into()),
            ("is_generated", "NEVER".into()),
            ("is_updatable", "NO".into()),
            ("jdbc_type", column.jdbc_type.into()),
            ("druid_type", column.data_type.as_str().into()),
        ]);
    }
}

fn fill_types(to: &mut Filler) {
    for (kind, _, length, category) in types::LISTED {
        let array = types::array_of(kind);
        let oid = |t: Option<&Type>| Datum::Int(t.map_or(0, |t| i64::from(t.oid())));
        let collation = if *category == 'S' { 100 } else { 0 };
        to.row([
            ("oid", oid(Some(kind))),
            ("typname", kind.name().into()),
            ("typnamespace", 11.into()),
            ("typowner", ROLE.into()),
            ("typlen", (*length).into()),
            ("typtype", "b".into()),
            ("typcategory", category.to_string().into()),
            ("typisdefined", true.into()),
            ("typdelim", ",".into()),
            ("typarray", oid(array.as_ref())),
            ("typtypmod", (-1).into()),
            ("typcollation", collation.into()),
            ("typinput", format!("{}in", kind.name()).into()),
            ("typoutput", format!("{}out", kind.name()).into()),
            ("typreceive", format!("{}recv", kind.name()).into()),
            ("typsend", format!("{}send", kind.name()).into()),
        ]);
        if let Some(array) = array {
            to.row([
                ("oid", oid(Some(&array))),
                ("typname", array.name().into()),
                ("typnamespace", 11.into()),
                ("typowner", ROLE.into()),
                ("typlen", (-1).into()),
                ("typtype", "b".into()),
                ("typcategory", "A".into()),
                ("typisdefined", true.into()),
                ("typdelim", ",".into()),
                ("typelem", oid(Some(kind))),
                ("typtypmod", (-1).into()),
                ("typinput", "array_in".into()),
                ("typoutput", "array_out".into()),
                ("typreceive", "array_recv".into()),
                ("typsend", "array_send".into()),
            ]);
        }
    }
}
