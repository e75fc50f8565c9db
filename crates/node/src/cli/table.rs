//! Rows as a text table: numbers to the right, everything else to the left, nulls as `NULL`.

use std::fmt;

use serde_json::Value;

/// Widest cell printed whole.
const CELL_CHARS_MAX: usize = 80;

/// A header and rows of JSON values.
pub struct Table {
    cells: Vec<Vec<String>>,
    numeric: Vec<bool>,
}

impl Table {
    /// The first row holds the column names.
    pub fn new(rows: Vec<Vec<Value>>) -> Self {
        let width = rows.first().map_or(0, Vec::len);
        let numeric = (0..width)
            .map(|c| rows.iter().skip(1).all(|row| matches!(row.get(c), Some(Value::Number(_) | Value::Null))))
            .collect();
        Table { cells: rows.iter().map(|row| row.iter().map(cell).collect()).collect(), numeric }
    }

    /// Rows without the header.
    pub fn row_count(&self) -> usize {
        self.cells.len().saturating_sub(1)
    }
}

fn cell(value: &Value) -> String {
    let text = match value {
        Value::Null => "NULL".to_owned(),
        Value::String(text) => text.replace(['\n', '\r', '\t'], " "),
        other => other.to_string(),
    };
    if text.chars().count() <= CELL_CHARS_MAX {
        return text;
    }
    text.chars().take(CELL_CHARS_MAX - 1).chain(['…']).collect()
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths: Vec<usize> = (0..self.numeric.len())
            .map(|c| self.cells.iter().filter_map(|row| row.get(c)).map(|text| text.chars().count()).max().unwrap_or(0))
            .collect();
        for (number, row) in self.cells.iter().enumerate() {
            let mut line = String::new();
            for (c, text) in row.iter().enumerate() {
                let padding = " ".repeat(widths[c].saturating_sub(text.chars().count()));
                let gap = if c == 0 { "" } else { "  " };
                if self.numeric[c] {
                    line += &format!("{gap}{padding}{text}");
                } else {
                    line += &format!("{gap}{text}{padding}");
                }
            }
            writeln!(f, "{}", line.trim_end())?;
            if number == 0 {
                let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
                writeln!(f, "{}", rule.join("  "))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_stand_right_and_text_left() {
        let rows = vec![vec![json!("page"), json!("edits")], vec![json!("Main"), json!(7)], vec![Value::Null, json!(1234)]];
        let text = Table::new(rows).to_string();
        assert_eq!(text, "page  edits\n----  -----\nMain      7\nNULL   1234\n");
    }
}
