//! Tables of facts: `facts/*.txt` have a statement on one line and its answer on the next, an error's after `error: `.

use crate::support::answer;

fn check(facts: &str) {
    let mut lines = facts.lines().filter(|line| !line.is_empty() && !line.starts_with("--"));
    let mut wrong = Vec::new();
    while let Some(sql) = lines.next() {
        let expected = lines.next().filter(|line| *line != "(no rows)").unwrap_or_default();
        let found = match answer(sql) {
            Ok(rows) => rows,
            Err(message) => format!("error: {}", message.replace('\n', "\\n")),
        };
        if found != expected {
            wrong.push(format!("{sql}\n  expected {expected}\n  found    {found}"));
        }
    }
    assert!(wrong.is_empty(), "{} facts do not hold:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn operands_that_do_not_fit_are_refused_with_druids_words() {
    check(include_str!("facts/operands.txt"));
}

#[test]
fn statements_that_do_not_fit_are_refused_with_druids_words() {
    check(include_str!("facts/statements.txt"));
}

/// Druid refuses it too, though already as a wrong token.
#[test]
fn json_value_with_a_type_needs_its_path() {
    let message = answer("SELECT JSON_VALUE(PARSE_JSON('1') RETURNING BIGINT)").unwrap_err();
    assert!(message.starts_with("Invalid number of arguments to function 'JSON_VALUE'. Was expecting 2 arguments"), "{message}");
}

#[test]
fn constants_and_values_are_answered() {
    check(include_str!("facts/values.txt"));
}

#[test]
fn bounds_of_time_are_a_query_of_their_own_where_that_is_asked_for() {
    let sql = "SET enableTimeBoundaryPlanning = TRUE; EXPLAIN PLAN FOR SELECT";
    let both = answer(&format!("{sql} MAX(__time), MIN(__time) FROM foo")).expect("a plan");
    assert!(both.contains(r#"\"queryType\":\"timeBoundary\""#) && !both.contains("bound\\\""), "{both}");
    let one = answer(&format!("{sql} MAX(__time) FROM foo")).expect("a plan");
    assert!(one.contains(r#"\"bound\":\"maxTime\""#), "{one}");
    for other in ["MAX(__time), COUNT(*) FROM foo", "MAX(__time) FROM foo WHERE cnt = 1", "MAX(cnt) FROM foo"] {
        let plan = answer(&format!("{sql} {other}")).expect("a plan");
        assert!(plan.contains(r#"\"queryType\":\"timeseries\""#), "{plan}");
    }
}

#[test]
fn plans_are_shown_as_relations_where_that_is_asked_for() {
    let plan = |sql: &str| answer(&format!("SET useNativeQueryExplain = FALSE; EXPLAIN PLAN FOR {sql}")).expect("a plan");
    let one = plan("SELECT dim1, COUNT(*) FROM foo GROUP BY dim1");
    assert!(one.starts_with(r#"["DruidQueryRel(query=[{\"queryType\":\"groupBy\""#), "{one}");
    assert!(one.contains(r#"signature=[{d0:STRING, a0:LONG}])\n"#), "{one}");
    let outer =
        plan("SELECT COUNT(*) FROM (SELECT dim1, COUNT(*) AS c FROM foo GROUP BY dim1) WHERE c > 1 AND c < 5 OR c IS NULL");
    assert!(outer.contains("DruidOuterQueryRel(query=[") && outer.contains(r#"\n  DruidQueryRel(query=["#), "{outer}");
    let joined = plan("SELECT COUNT(*) FROM foo LEFT JOIN lookup.lookyloo AS l ON foo.dim1 = l.k");
    assert!(joined.contains("DruidJoinQueryRel(condition=[=(") && joined.contains("joinType=[left]"), "{joined}");
    let union = plan("SELECT dim1 FROM foo UNION ALL SELECT dim2 FROM foo");
    assert!(union.starts_with(r#"["DruidUnionRel(limit=[-1])\n  DruidQueryRel("#), "{union}");
    assert!(answer("SET useNativeQueryExplain = 'x'; SELECT 1").is_err_and(|e| e.contains("useNativeQueryExplain")));
    assert!(answer("SET engine = 'msq-task'; SELECT 1").is_err_and(|e| e.contains("msq-task")));
}

#[test]
fn what_goes_out_in_pieces_is_the_same_answer() {
    let check = || {
        let server = crate::support::Server::new();
        for sql in crate::docs::statements() {
            let whole = server.answer(&sql);
            assert_eq!(server.streamed(&sql).map(|(text, _)| text), whole, "{sql}");
        }
        // Joins whose left side is taken piece by piece: products, inner and outer ones with many matches.
        let list = |count: usize| (0..count).map(|i| format!("({i}, {})", i % 2)).collect::<Vec<_>>().join(", ");
        let (a, b) = (format!("(VALUES {}) AS a(x, g)", list(700)), format!("(VALUES {}) AS b(y, g)", list(600)));
        for join in [
            "a CROSS JOIN b",
            "a JOIN b ON a.g = b.g AND a.x <> b.y",
            "a LEFT JOIN b ON a.g < b.g",
            "a FULL JOIN b ON a.g = b.g + 1",
        ] {
            let tables = join.replacen('a', &a, 1).replacen("JOIN b", &format!("JOIN {b}"), 1);
            let sql = format!("SELECT a.x + 1, b.y FROM {tables}");
            let (text, pieces) = server.streamed(&sql).expect("an answer");
            assert!(text == server.answer(&sql).expect("an answer"), "{join}");
            assert!(pieces > 1, "{join}");
        }
    };
    let thread = std::thread::Builder::new().stack_size(16 << 20).spawn(check).expect("a thread");
    thread.join().expect("the same answers");
}

#[test]
fn bombs_and_long_texts_are_answered() {
    let nested = format!("SELECT {}1{}", "(".repeat(10_000), ")".repeat(10_000));
    assert!(answer(&nested).expect_err("too deep").contains("nests deeper"));
    let chain = format!("SELECT {}", vec!["1"; 5000].join(" + "));
    assert!(answer(&chain).is_err());
    let list: Vec<String> = (0..100_000).map(|i| i.to_string()).collect();
    let sql = format!("SELECT COUNT(*) FROM (VALUES (1), (7), (-1)) AS t(x) WHERE x IN ({})", list.join(","));
    assert_eq!(answer(&sql).expect("a count"), "[2]");
    let long = format!("SELECT LENGTH('{}')", "x".repeat(10 << 20));
    assert_eq!(answer(&long).expect("a length"), format!("[{}]", 10 << 20));
    let mut compared = "SELECT 1".to_owned();
    (0..30).for_each(|_| compared = format!("SELECT 1 < ALL ({compared})"));
    assert!(answer(&compared).expect_err("too many copies").contains("at most 5 times"));
    assert!(answer(&format!("SELECT '{}", "x".repeat(1 << 20))).is_err());
    for hostile in ["SELECT \"\u{0}\"", "SELECT '\u{FEFF}' FROM \"; DROP TABLE\"", "\u{202E}", "SELECT U&'\\D800'", "))))", "'"] {
        assert!(answer(hostile).is_err(), "{hostile:?}");
    }
}

#[test]
fn only_one_native_query_with_few_rows_is_quick() {
    let server = crate::support::Server::new();
    let one = "SELECT dim1 FROM foo WHERE __time < TIMESTAMP '2000-01-01' AND __time > TIMESTAMP '2001-01-01'";
    assert!(!server.is_quick(one), "it is not planned yet");
    for sql in [
        one,
        "SELECT 1",
        "SELECT dim1 FROM foo WHERE __time < TIMESTAMP '2000-01-01' AND __time > TIMESTAMP '2001-01-01' UNION ALL SELECT dim2 FROM foo WHERE __time < TIMESTAMP '2000-01-01' AND __time > TIMESTAMP '2001-01-01'",
    ] {
        server.answer(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        assert_eq!(server.is_quick(sql), sql == one, "{sql}");
    }
}

#[test]
fn long_lists_of_a_subquery_are_tested_as_sets() {
    let list: Vec<String> = (0..200).map(|i| format!("({i})")).collect();
    let with = |test: &str, more: &str| {
        let rows = format!("{}{more}", list.join(","));
        answer(&format!(
            "SELECT COUNT(*) FROM (VALUES (1), (7), (-1), (NULL)) AS t(x) WHERE {test} (SELECT y FROM (VALUES {rows}) AS u(y))"
        ))
    };
    assert_eq!(with("x IN", "").as_deref(), Ok("[2]"));
    assert_eq!(with("x NOT IN", "").as_deref(), Ok("[1]"));
    assert_eq!(with("x IN", ", (NULL)").as_deref(), Ok("[2]"));
    assert_eq!(with("x NOT IN", ", (NULL)").as_deref(), Ok("[0]"));
    assert_eq!(with("x + 1 > 1 AND x IN", "").as_deref(), Ok("[2]"));
    assert_eq!(with("x = -1 OR x IN", "").as_deref(), Ok("[3]"));
}
