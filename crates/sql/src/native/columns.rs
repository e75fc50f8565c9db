//! The columns that a native query reads: the source's own, and virtual columns made for expressions, each once.

use ovate_base::Result;
use ovate_base::time::Zone;
use ovate_compute::Value;
use serde_json::{Value as Json, json};

use super::expr::ExprWriter;
use crate::plan::Rex;
use crate::types::SqlType;

/// Gives names to expressions (`VirtualColumnRegistry`).
pub struct Columns<'a> {
    pub zone: &'a Zone,
    /// Native names of the input's columns.
    names: Vec<String>,
    made: Vec<(String, Rex, Json)>,
    /// Paths into JSON and filtered columns inside expressions become columns of their own: paths are read without the document around
    /// them, and a filtered row without values is null.
    lifting: bool,
}

impl<'a> Columns<'a> {
    pub fn new(zone: &'a Zone, names: Vec<String>) -> Columns<'a> {
        Columns { zone, names, made: Vec::new(), lifting: true }
    }

    /// Columns where there can be no virtual ones.
    pub fn without_virtual(zone: &'a Zone, names: Vec<String>) -> Columns<'a> {
        Columns { zone, names, made: Vec::new(), lifting: false }
    }

    /// The native name of an input column.
    pub fn name(&self, index: usize) -> &str {
        &self.names[index]
    }

    /// The expression as native text.
    pub fn expression(&mut self, rex: &Rex) -> Result<String> {
        let lifted;
        let rex = if self.lifting && rex.any(&is_path) {
            lifted = self.lift(rex)?;
            &lifted
        } else {
            rex
        };
        let name = |index: usize| match index.checked_sub(self.names.len()) {
            None => self.names[index].clone(),
            Some(made) => self.made[made].0.clone(),
        };
        ExprWriter { zone: self.zone, column: &name }.write(rex)
    }

    /// Paths into JSON replaced by references to their columns, numbered after the input's.
    fn lift(&mut self, rex: &Rex) -> Result<Rex> {
        if is_path(rex) {
            let name = self.column(rex)?;
            let at = self.made.iter().position(|(made, _, _)| *made == name).unwrap_or(0);
            return Ok(Rex::Input(self.names.len() + at, rex.sql_type().clone()));
        }
        let Rex::Call { op, args, sql_type } = rex else { return Ok(rex.clone()) };
        let args = args.iter().map(|arg| self.lift(arg)).collect::<Result<Vec<_>>>()?;
        Ok(Rex::Call { op, args, sql_type: sql_type.clone() })
    }

    /// The name of a column that holds the expression's value.
    pub fn column(&mut self, rex: &Rex) -> Result<String> {
        let rex = transparent(rex);
        if let Rex::Input(index, _) = rex {
            return Ok(self.names[*index].clone());
        }
        if let Some((name, _, _)) = self.made.iter().find(|(_, made, _)| made == rex) {
            return Ok(name.clone());
        }
        if let Rex::Call { op: "MV_FILTER_ONLY" | "MV_FILTER_NONE" | "MV_FILTER_REGEX" | "MV_FILTER_PREFIX", args, .. } = rex
            && !matches!(args[0], Rex::Input(..) | Rex::Literal(..))
        {
            // What a filtered column reads is made first, or both would get the same name.
            self.column(&args[0])?;
        }
        if self.lifting && !is_path(rex) && rex.any(&is_path) {
            // The same holds for paths inside expressions.
            self.lift(rex)?;
        }
        let mut number = self.made.len();
        while self.names.iter().any(|n| *n == format!("v{number}"))
            || self.made.iter().any(|(n, _, _)| *n == format!("v{number}"))
        {
            number += 1;
        }
        let name = format!("v{number}");
        let document = self.document(&name, rex)?;
        self.made.push((name.clone(), rex.clone(), document));
        Ok(name)
    }

    fn document(&mut self, name: &str, rex: &Rex) -> Result<Json> {
        if let Rex::Call { op, args, sql_type } = rex {
            if let (&"JSON_VALUE" | &"JSON_VALUE_ANY", Rex::Input(index, SqlType::Complex(_)), Some(path)) =
                (op, &args[0], args.get(1).and_then(Rex::literal_text))
            {
                let mut json = json!({
                    "type": "nested-field", "columnName": self.names[*index], "outputName": name, "path": path,
                });
                if *op == "JSON_VALUE" {
                    json["expectedType"] = json!(sql_type.native().to_string());
                }
                return Ok(json);
            }
            if let ("MV_FILTER_ONLY" | "MV_FILTER_NONE" | "MV_FILTER_REGEX" | "MV_FILTER_PREFIX", true) =
                (*op, args[0].sql_type().is_text())
                && let Some(json) = self.mv_filter(name, op, args)?
            {
                return Ok(json);
            }
        }
        let output = rex.sql_type().native();
        Ok(json!({"type": "expression", "name": name, "expression": self.expression(rex)?, "outputType": output.to_string()}))
    }

    fn mv_filter(&mut self, name: &str, op: &str, args: &[Rex]) -> Result<Option<Json>> {
        let delegate = match &args[0] {
            Rex::Input(index, _) => self.names[*index].clone(),
            Rex::Literal(..) => return Ok(None),
            other => self.column(other)?,
        };
        let delegate = json!({"type": "default", "dimension": delegate, "outputName": delegate, "outputType": "STRING"});
        Ok(match (op, args[1].literal(), &args[1]) {
            ("MV_FILTER_ONLY" | "MV_FILTER_NONE", Some(Value::Array(values)), _) => {
                let values: Vec<Json> = values.iter().map(|v| v.as_text().map_or(Json::Null, |t| json!(&*t))).collect();
                Some(json!({"type": "mv-filtered", "name": name, "delegate": delegate, "values": values,
                    "isAllowList": op == "MV_FILTER_ONLY"}))
            }
            ("MV_FILTER_REGEX", Some(Value::String(pattern)), _) => {
                Some(json!({"type": "mv-regex-filtered", "name": name, "delegate": delegate, "pattern": &**pattern}))
            }
            ("MV_FILTER_PREFIX", Some(Value::String(prefix)), _) => {
                Some(json!({"type": "mv-prefix-filtered", "name": name, "delegate": delegate, "prefix": &**prefix}))
            }
            _ => None,
        })
    }

    /// The documents of all virtual columns made so far.
    pub fn documents(&self) -> Vec<Json> {
        self.made.iter().map(|(_, _, json)| json.clone()).collect()
    }
}

/// JSON_VALUE of a column at a constant path, giving no array, or some values of a column by a constant.
fn is_path(rex: &Rex) -> bool {
    if let Rex::Call { op: "MV_FILTER_ONLY" | "MV_FILTER_NONE" | "MV_FILTER_REGEX" | "MV_FILTER_PREFIX", args, .. } = rex {
        return matches!(&args[0], Rex::Input(_, column) if column.is_text())
            && matches!(args[1].literal(), Some(Value::Array(_) | Value::String(_)));
    }
    matches!(rex, Rex::Call { op: "JSON_VALUE", args, sql_type } if !matches!(sql_type, SqlType::Array(_))
        && matches!(args[0], Rex::Input(_, SqlType::Complex(_))) && args.get(1).is_some_and(|a| a.literal_text().is_some()))
}

/// What remains of an expression when conversions that change no native value are taken off.
pub fn transparent(rex: &Rex) -> &Rex {
    match rex {
        Rex::Call { op: "CAST", args, sql_type } => {
            let from = args[0].sql_type();
            let same = (from.is_integer() && sql_type.is_integer())
                || (from.is_text() && sql_type.is_text())
                || (*from == SqlType::Date && *sql_type == SqlType::Timestamp);
            if same { transparent(&args[0]) } else { rex }
        }
        Rex::Call { op: "MILLIS_TO_TIMESTAMP" | "TIMESTAMP_TO_MILLIS", args, .. }
            if args[0].sql_type().native() == ovate_compute::ColumnType::Long =>
        {
            transparent(&args[0])
        }
        _ => rex,
    }
}
