//! Facts about the grammar.

use super::parse_statement;

#[test]
fn druid_statements_parse() {
    for text in [
        "SELECT COUNT(*) FROM druid.foo WHERE dim1 <> 'a' AND NOT dim2 IS NULL",
        "SELECT FLOOR(__time TO DAY), EXTRACT(YEAR FROM __time), TRIM(BOTH 'a' FROM dim1), POSITION('a' IN dim1 FROM 2) FROM foo GROUP BY 1, 2",
        "SELECT TIMESTAMPADD(DAY, 1, __time) FROM foo WHERE __time >= TIMESTAMP '2000-01-01' - INTERVAL '1-2' YEAR TO MONTH",
        "SET a = 'b'; SELECT SUM(x) FILTER (WHERE y > 1) OVER (PARTITION BY z ORDER BY w ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM t;",
        "EXPLAIN PLAN FOR SELECT * FROM (SELECT a FROM t UNION ALL SELECT b FROM u) ORDER BY 1 DESC LIMIT 3 OFFSET 1",
        "SELECT * FROM foo, UNNEST(MV_TO_ARRAY(dim3)) AS u(c) WHERE c IN ('a', U&'\\0041')",
        "SELECT a, GROUPING(a, b) FROM t GROUP BY GROUPING SETS ((a, b), (a), ())",
        "SELECT JSON_VALUE(n, '$.x' RETURNING BIGINT ARRAY) FROM t",
        "SELECT x BETWEEN 1 AND 2 AND y FROM ((SELECT 1 AS x) a CROSS JOIN b)",
        "INSERT INTO t SELECT * FROM u PARTITIONED BY DAY CLUSTERED BY a",
    ] {
        parse_statement(text).unwrap_or_else(|e| panic!("{text}: {e}"));
    }
}

#[test]
fn errors_name_the_place() {
    let error = parse_statement("SELECT a\nFROM WHERE").unwrap_err();
    assert!(error.message.starts_with("Received an unexpected token [WHERE] (line [2], column [6])"), "{}", error.message);
}

#[test]
fn all_conformance_texts_parse_that_should() {
    let dir = std::path::Path::new("/work/shared/conformance/cases/sql");
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    let mut failures = Vec::new();
    for entry in entries.flatten() {
        for line in std::fs::read_to_string(entry.path()).unwrap_or_default().lines() {
            let case: serde_json::Value = serde_json::from_str(line).unwrap();
            if case.get("expect_error").and_then(serde_json::Value::as_bool) == Some(true) {
                continue;
            }
            if let Err(error) = parse_statement(case["sql"].as_str().unwrap()) {
                failures.push(format!("{}: {error}", case["id"]));
            }
        }
    }
    assert!(failures.is_empty(), "{} texts do not parse:\n{}", failures.len(), failures.join("\n"));
}
