//! Every example of `docs/sql.md` and `docs/sql-semantics.md` is run: a table's row is `| expression | answer |`, both in backquotes, or the same with a
//! whole statement. `OVATE_WRITE_DOCS=1` writes the answers anew.

use crate::support::answer;

fn page(name: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name)
}

/// The statement and the answer of a row that is an example.
fn example(line: &str) -> Option<(&str, &str)> {
    let rest = line.strip_prefix("| `")?;
    let (sql, rest) = rest.split_once("` | `")?;
    Some((sql, rest.strip_suffix("` |")?))
}

fn is_statement(sql: &str) -> bool {
    ["SELECT ", "VALUES ", "WITH ", "SET ", "EXPLAIN "].iter().any(|word| sql.starts_with(word))
}

/// All examples of both pages as statements.
pub fn statements() -> Vec<String> {
    let mut out = Vec::new();
    for name in ["sql.md", "sql-semantics.md"] {
        let text = std::fs::read_to_string(page(name)).expect("the page");
        for (sql, _) in text.lines().filter_map(example) {
            let sql = sql.replace("&#124;", "|");
            out.push(if is_statement(&sql) { sql } else { format!("SELECT {sql}") });
        }
    }
    out
}

fn run(sql: &str) -> String {
    let starts = is_statement(sql);
    let statement = if starts { sql.to_owned() } else { format!("SELECT {sql}") };
    // A bar would end the table's cell; it is written as an entity.
    let text = match answer(&statement.replace("&#124;", "|")) {
        Ok(rows) if starts => rows,
        Ok(row) => row.strip_prefix('[').and_then(|row| row.strip_suffix(']')).unwrap_or(&row).to_owned(),
        Err(message) => format!("error: {message}"),
    };
    text.replace('|', "&#124;").replace('`', "'")
}

#[test]
fn every_example_of_the_page_gives_the_answer_beside_it() {
    check("sql.md", 200);
}

#[test]
fn every_rule_of_the_semantics_page_holds() {
    check("sql-semantics.md", 80);
}

fn check(name: &str, least: usize) {
    let text = std::fs::read_to_string(page(name)).expect("the page");
    let mut out = Vec::new();
    let mut wrong = Vec::new();
    let mut count = 0;
    for line in text.lines() {
        let Some((sql, expected)) = example(line) else {
            out.push(line.to_owned());
            continue;
        };
        count += 1;
        let found = run(sql);
        if found != expected {
            wrong.push(format!("{sql}\n  the page says {expected}\n  the answer is {found}"));
        }
        out.push(format!("| `{sql}` | `{found}` |"));
    }
    if std::env::var_os("OVATE_WRITE_DOCS").is_some() {
        return std::fs::write(page(name), out.join("\n") + "\n").expect("written");
    }
    assert!(count > least, "only {count} examples");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_function_has_an_example() {
    let text = std::fs::read_to_string(page("sql.md")).expect("docs/sql.md");
    let examples: Vec<String> = text.lines().filter_map(example).map(|(sql, _)| sql.to_uppercase()).collect();
    let names = answer("SELECT ARRAY_AGG(ROUTINE_NAME, 100000) FROM INFORMATION_SCHEMA.ROUTINES").expect("names");
    let names: Vec<String> =
        serde_json::from_str::<Vec<String>>(&names).and_then(|row| serde_json::from_str(&row[0])).expect("a list of names");
    let missing: Vec<&String> = names
        .iter()
        .filter(|name| {
            !examples
                .iter()
                .any(|sql| sql.contains(&format!("{name}(")) || *sql == name.as_str() || sql.contains(&format!(" {name} ")))
        })
        .collect();
    assert!(missing.is_empty(), "without an example: {missing:?}");
}
