//! Queries of the catalogue as psql 15, Grafana and drivers send them, in our own words for what matters in each.

use std::collections::HashMap;

use pgwire::api::Type;

use super::*;

fn known(schema: &str, name: &str, kind: &str, columns: &[(&str, &str, Type)]) -> KnownTable {
    let column = |(name, data_type, kind): &(&str, &str, Type)| KnownColumn {
        name: (*name).to_owned(),
        data_type: (*data_type).to_owned(),
        nullable: *name != "__time",
        jdbc_type: 0,
        kind: kind.clone(),
    };
    KnownTable {
        oid: 0,
        schema: schema.to_owned(),
        name: name.to_owned(),
        kind: kind.to_owned(),
        joinable: "NO".to_owned(),
        broadcast: "NO".to_owned(),
        columns: columns.iter().map(column).collect(),
    }
}

fn catalogue() -> Catalogue {
    let columns = [("__time", "TIMESTAMP", Type::TIMESTAMPTZ), ("page", "VARCHAR", Type::TEXT), ("added", "BIGINT", Type::INT8)];
    let tables = vec![
        known("druid", "edits", "TABLE", &columns),
        known("druid", "Two Words", "TABLE", &columns[..1]),
        known("sys", "segments", "SYSTEM_TABLE", &columns[1..]),
    ];
    let session = SessionInfo { user: "alice".to_owned(), pid: 7, settings: first_settings("alice") };
    Catalogue::new(session, tables, HashMap::from([("edits".to_owned(), (10, 2048))]), Vec::new(), Vec::new())
}

/// The rows of a query as text, cells by `|`, rows by `;`.
fn run(sql: &str) -> String {
    let query = query_of(sql).unwrap_or_else(|| panic!("not a query of the catalogue: {sql}"));
    match catalogue().run(&query, &[Datum::from("edits")]) {
        Ok(table) => {
            let cell = |cell: &Datum| cell.text().unwrap_or_else(|| "-".to_owned());
            let row = |row: &Vec<Datum>| row.iter().map(cell).collect::<Vec<_>>().join("|");
            table.rows.iter().map(row).collect::<Vec<_>>().join(";")
        }
        Err(error) => error.code.to_owned(),
    }
}

#[test]
fn tables_are_listed_with_schema_kind_and_owner() {
    let sql = "SELECT n.nspname as \"Schema\", c.relname, CASE c.relkind WHEN 'r' THEN 'table' WHEN 'v' THEN 'view' END as \"Type\", \
        pg_catalog.pg_get_userbyid(c.relowner) FROM pg_catalog.pg_class c \
        LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_catalog.pg_am am ON am.oid = c.relam \
        WHERE c.relkind IN ('r','p','v','') AND n.nspname <> 'pg_catalog' AND n.nspname !~ '^pg_toast' \
        AND n.nspname <> 'information_schema' AND pg_catalog.pg_table_is_visible(c.oid) ORDER BY 1,2";
    assert_eq!(run(sql), "druid|Two Words|table|alice;druid|edits|table|alice");
}

#[test]
fn a_table_is_found_by_pattern_and_described_by_its_number() {
    let by_name = "SELECT c.oid, n.nspname, c.relname FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n \
        ON n.oid = c.relnamespace WHERE c.relname OPERATOR(pg_catalog.~) '^(edits)$' COLLATE pg_catalog.default \
        AND pg_catalog.pg_table_is_visible(c.oid) ORDER BY 2, 3";
    let found = run(by_name);
    let oid = found.split('|').next().expect("a number");
    let columns = format!(
        "SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), \
         (SELECT pg_catalog.pg_get_expr(d.adbin, d.adrelid, true) FROM pg_catalog.pg_attrdef d \
          WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum AND a.atthasdef), a.attnotnull, \
         (SELECT c.collname FROM pg_catalog.pg_collation c, pg_catalog.pg_type t WHERE c.oid = a.attcollation AND t.oid = a.atttypid \
          AND a.attcollation <> t.typcollation) AS attcollation \
         FROM pg_catalog.pg_attribute a WHERE a.attrelid = '{oid}' AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"
    );
    assert_eq!(run(&columns), "__time|timestamp with time zone|-|t|-;page|text|-|f|-;added|bigint|-|f|-");
    let shown = format!(
        "SELECT c.oid::pg_catalog.regclass, c.reltuples FROM pg_class c WHERE c.oid = 'edits'::regclass AND c.oid = {oid}"
    );
    assert_eq!(run(&shown), "edits|10");
    let parents = format!(
        "SELECT c.oid::pg_catalog.regclass FROM pg_catalog.pg_class c, pg_catalog.pg_inherits i WHERE c.oid = i.inhparent AND i.inhrelid = '{oid}'"
    );
    assert_eq!(run(&parents), "");
}

#[test]
fn grafanas_builder_finds_tables_and_columns() {
    let tables = "SELECT CASE WHEN quote_ident(table_schema) IN (SELECT CASE WHEN trim(s[i]) = '\"$user\"' THEN user ELSE trim(s[i]) END \
        FROM generate_series(array_lower(string_to_array(current_setting('search_path'),','),1), \
        array_upper(string_to_array(current_setting('search_path'),','),1)) as i, string_to_array(current_setting('search_path'),',') s) \
        THEN quote_ident(table_name) ELSE quote_ident(table_schema) || '.' || quote_ident(table_name) END AS \"table\" \
        FROM information_schema.tables WHERE quote_ident(table_schema) NOT IN ('information_schema', 'pg_catalog') ORDER BY 1";
    assert_eq!(run(tables), "\"Two Words\";edits;sys.segments");
    let columns = "SELECT quote_ident(column_name) AS \"column\", data_type AS \"type\" FROM information_schema.columns \
        WHERE CASE WHEN array_length(parse_ident_free, 1) = 2 THEN true ELSE table_name = 'edits' END";
    assert_eq!(run(columns), "42703");
    let columns = "SELECT quote_ident(column_name) AS \"column\", data_type AS \"type\" FROM information_schema.columns \
        WHERE table_name = $1 AND table_schema = current_schema() ORDER BY ordinal_position";
    assert_eq!(run(columns), "__time|timestamp with time zone;page|text;added|bigint");
    assert_eq!(run("SELECT current_setting('server_version_num')::int/100 as version"), "1500");
    assert_eq!(run("SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'"), "");
}

#[test]
fn queries_have_groups_sets_subqueries_and_limits() {
    assert_eq!(
        run(
            "SELECT table_schema, count(*), max(table_name) FROM information_schema.tables WHERE table_schema IN ('druid', 'sys') GROUP BY 1 ORDER BY 2 DESC"
        ),
        "druid|2|edits;sys|1|segments"
    );
    assert_eq!(run("SELECT 'a' FROM pg_am UNION ALL SELECT 'b' FROM pg_am UNION SELECT 'a' FROM pg_am ORDER BY 1"), "a;b");
    assert_eq!(
        run(
            "WITH x AS (SELECT nspname FROM pg_namespace ORDER BY 1 LIMIT 2 OFFSET 1) SELECT array_to_string(array(SELECT nspname FROM x), '+') FROM pg_am"
        ),
        "information_schema+lookup"
    );
    assert_eq!(
        run(
            "SELECT EXISTS (SELECT 1 FROM pg_class WHERE relname = 'edits'), NOT EXISTS (SELECT 1 FROM pg_class WHERE relname = 'none'), 'r' = ANY (ARRAY['x', 'r']) FROM pg_am"
        ),
        "t|t|t"
    );
    assert_eq!(
        run(
            "SELECT a.attname FROM pg_class c RIGHT JOIN pg_attribute a ON a.attrelid = c.oid AND c.relname = 'edits' WHERE c.oid IS NOT NULL AND a.attname LIKE 'p%'"
        ),
        "page"
    );
    assert_eq!(
        run("SELECT nspname FROM pg_namespace n JOIN pg_class c ON c.relnamespace = n.oid AND c.relname ILIKE 'EDITS'"),
        "druid"
    );
    assert_eq!(
        run("SELECT typname, oid::regtype FROM pg_type WHERE oid = to_regtype('int8') OR oid = 'text'::regtype ORDER BY 1"),
        "int8|bigint;text|text"
    );
    let numbered = "SELECT relname, attname, n FROM (SELECT c.relname, a.attname, row_number() OVER (PARTITION BY a.attrelid ORDER BY a.attnum DESC) AS n
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid WHERE c.relname IN ('edits', 'segments') AND a.attnum > 0) x
        WHERE n < 3 ORDER BY relname, n";
    assert_eq!(run(numbered), "edits|added|1;edits|page|2;segments|added|1;segments|page|2");
    assert_eq!(run("SELECT format('%I.%I: %s%%, %L', 'a b', 'c', 7, 'd''e') FROM pg_am"), "\"a b\".c: 7%, 'd''e'");
    assert_eq!(run("SELECT format('%s %s', 1) FROM pg_am"), "22023");
    assert_eq!(run("SELECT rank() OVER (ORDER BY relname) FROM pg_class"), "0A000");
    assert_eq!(run("SELECT count(*) FROM pg_class JOIN pg_tables t USING (relname)"), "42703");
    assert_eq!(
        run(
            "SELECT current_user, current_database(), current_schemas(true), pg_backend_pid(), pg_size_pretty(pg_table_size('edits'::regclass))"
        ),
        "alice|druid|{pg_catalog,druid}|7|2048 bytes"
    );
}

#[test]
fn what_is_not_there_has_its_sqlstate_and_what_is_not_ours_is_left_alone() {
    assert_eq!(run("SELECT * FROM pg_catalog.pg_nothing"), "42P01");
    assert_eq!(run("SELECT nothing FROM pg_class"), "42703");
    assert_eq!(run("SELECT pg_nothing()"), "42883");
    assert_eq!(run("SELECT 1/0 FROM pg_class"), "22012");
    assert_eq!(run("SELECT relname ~ '(' FROM pg_class"), "2201B");
    assert_eq!(run("SELECT count(*) FROM generate_series(1, 900000) a, generate_series(1, 900000) b"), "54001");
    assert!(query_of("SELECT COUNT(*) FROM edits WHERE page = 'pg_class'").is_none());
    assert!(query_of("SELECT 1").is_none());
    assert!(query_of("not even SQL pg_class").is_none());
}
