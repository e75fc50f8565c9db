//! Conditions as native filters (`Expressions.toFilter`): typed equality, range and membership where one side is
//! constant, expression filters for the rest.

use ovate_base::Result;
use ovate_compute::{ColumnType, Value};
use serde_json::{Value as Json, json};

use super::columns::{Columns, transparent};
use crate::plan::Rex;
use crate::types::SqlType;

/// Lists longer than this are written without looking at each constant as an expression.
const SORTED_AT_ONCE: usize = 64;

/// Translates conditions over one set of columns.
pub struct FilterWriter<'a, 'b> {
    pub columns: &'a mut Columns<'b>,
    /// False in HAVING, where there are no virtual columns.
    pub virtual_columns: bool,
}

/// A constant in JSON.
pub fn literal_json(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Long(v) => json!(v),
        Value::Float(v) => json!(v),
        Value::Double(v) => json!(v),
        Value::String(v) => json!(&**v),
        Value::Array(list) => list.iter().map(literal_json).collect(),
        Value::Json(v) => (**v).clone(),
        Value::Complex(..) => Json::Null,
    }
}

impl FilterWriter<'_, '_> {
    /// The filter's document.
    pub fn write(&mut self, rex: &Rex) -> Result<Json> {
        match rex {
            Rex::Literal(Value::Null, _) => self.expression(rex),
            Rex::Literal(value, _) => {
                let holds = value.as_double().is_some_and(|d| d != 0.0);
                Ok(json!({"type": if holds { "true" } else { "false" }}))
            }
            Rex::Call { op, args, .. } => self.call(op, args, rex),
            _ if rex.sql_type().is_integer() || *rex.sql_type() == SqlType::Boolean => match self.operand(rex)? {
                Some(column) => Ok(json!({"type": "equals", "column": column, "matchValueType": "LONG", "matchValue": 1})),
                None => self.expression(rex),
            },
            _ => self.expression(rex),
        }
    }

    fn expression(&mut self, rex: &Rex) -> Result<Json> {
        Ok(json!({"type": "expression", "expression": self.columns.expression(rex)?}))
    }

    /// The column of an operand, `None` when it would need a virtual column where there are none.
    fn operand(&mut self, rex: &Rex) -> Result<Option<String>> {
        match transparent(rex) {
            Rex::Input(index, _) => Ok(Some(self.columns.name(*index).to_owned())),
            _ if self.virtual_columns => self.columns.column(rex).map(Some),
            _ => Ok(None),
        }
    }

    fn list(&mut self, kind: &str, args: &[Rex]) -> Result<Json> {
        let fields = args.iter().map(|arg| self.write(arg)).collect::<Result<Vec<_>>>()?;
        Ok(json!({"type": kind, "fields": fields}))
    }

    fn call(&mut self, op: &str, args: &[Rex], rex: &Rex) -> Result<Json> {
        match op {
            "AND" => self.list("and", args),
            "OR" => self.or(args),
            "NOT" => Ok(json!({"type": "not", "field": self.write(&args[0])?})),
            "IS TRUE" => Ok(json!({"type": "istrue", "field": self.write(&args[0])?})),
            "IS FALSE" => Ok(json!({"type": "isfalse", "field": self.write(&args[0])?})),
            "IS NOT TRUE" => Ok(json!({"type": "not", "field": {"type": "istrue", "field": self.write(&args[0])?}})),
            "IS NOT FALSE" => Ok(json!({"type": "not", "field": {"type": "isfalse", "field": self.write(&args[0])?}})),
            "IS NULL" | "IS NOT NULL" => {
                let Some(column) = self.operand(&args[0])? else { return self.expression(rex) };
                let is_null = json!({"type": "null", "column": column});
                Ok(if op == "IS NULL" { is_null } else { json!({"type": "not", "field": is_null}) })
            }
            "=" | "<>" | "<" | "<=" | ">" | ">=" => self.comparison(op, args, rex),
            "IS DISTINCT FROM" | "IS NOT DISTINCT FROM" => self.distinct_from(op, args, rex),
            "IN" => self.in_list(args, rex),
            "LIKE" => self.like(args, rex),
            "IN_SET" => self.in_set(args, rex),
            "MV_CONTAINS" | "MV_OVERLAP" | "ARRAY_CONTAINS" | "ARRAY_OVERLAP" | "SCALAR_IN_ARRAY" => self.arrays(op, args, rex),
            _ => self.expression(rex),
        }
    }

    /// OR; equalities of one column are gathered into one IN.
    fn or(&mut self, args: &[Rex]) -> Result<Json> {
        let mut rest: Vec<Rex> = Vec::new();
        let mut groups: Vec<(Rex, Vec<Rex>)> = Vec::new();
        for arg in args {
            let taken = match arg {
                Rex::Call { op: "=", args, .. } if args[1].is_literal() && !args[0].is_literal() => {
                    Some((args[0].clone(), vec![args[1].clone()]))
                }
                Rex::Call { op: "IN", args, .. } => Some((args[0].clone(), args[1..].to_vec())),
                _ => None,
            };
            match taken {
                Some((value, items)) if !matches!(value.sql_type(), SqlType::Array(_)) => {
                    match groups
                        .iter_mut()
                        .find(|(v, list)| *v == value && list[0].sql_type().native() == items[0].sql_type().native())
                    {
                        Some((_, list)) => list.extend(items),
                        None => groups.push((value, items)),
                    }
                }
                _ => rest.push(arg.clone()),
            }
        }
        let mut out: Vec<Rex> = Vec::new();
        for (value, mut items) in groups {
            if items.len() == 1 {
                out.push(Rex::call("=", vec![value, items.remove(0)], SqlType::Boolean));
            } else {
                let mut all = vec![value];
                all.append(&mut items);
                out.push(Rex::call("IN", all, SqlType::Boolean));
            }
        }
        out.extend(rest);
        if out.len() == 1 {
            return self.write(&out[0]);
        }
        self.list("or", &out)
    }

    fn comparison(&mut self, op: &str, args: &[Rex], rex: &Rex) -> Result<Json> {
        let (value, constant, op) = match (&args[0], &args[1]) {
            (_, Rex::Literal(..)) => (&args[0], &args[1], op),
            (Rex::Literal(..), _) => (&args[1], &args[0], flipped(op)),
            _ => return self.expression(rex),
        };
        let Some(literal) = constant.literal().filter(|v| !v.is_null()) else { return self.expression(rex) };
        if matches!(literal, Value::Json(_) | Value::Complex(..))
            || matches!(value.sql_type(), SqlType::Complex(_))
            || value.is_literal()
        {
            return self.expression(rex);
        }
        let match_type = match_type(value.sql_type(), constant);
        if matches!(value.sql_type(), SqlType::Array(_)) != matches!(match_type, ColumnType::Array(_)) {
            return self.expression(rex);
        }
        let Some(column) = self.operand(uncast(value))? else { return self.expression(rex) };
        let (kind, literal) = (match_type.to_string(), literal_json(literal));
        Ok(match op {
            "=" => json!({"type": "equals", "column": column, "matchValueType": kind, "matchValue": literal}),
            "<>" => {
                let equals = json!({"type": "equals", "column": column, "matchValueType": kind, "matchValue": literal});
                json!({"type": "not", "field": equals})
            }
            "<" | "<=" => {
                json!({"type": "range", "column": column, "matchValueType": kind, "upper": literal, "upperOpen": op == "<"})
            }
            _ => json!({"type": "range", "column": column, "matchValueType": kind, "lower": literal, "lowerOpen": op == ">"}),
        })
    }

    fn distinct_from(&mut self, op: &str, args: &[Rex], rex: &Rex) -> Result<Json> {
        let (value, constant) = match (&args[0], &args[1]) {
            (value, constant @ Rex::Literal(..)) => (value, constant),
            (constant @ Rex::Literal(..), value) => (value, constant),
            _ => return self.expression(rex),
        };
        let same = if constant.literal().is_some_and(Value::is_null) {
            self.call("IS NULL", std::slice::from_ref(value), &Rex::call("IS NULL", vec![value.clone()], SqlType::Boolean))?
        } else {
            let equal = self.comparison("=", &[value.clone(), constant.clone()], rex)?;
            json!({"type": "istrue", "field": equal})
        };
        Ok(if op == "IS DISTINCT FROM" { json!({"type": "not", "field": same}) } else { same })
    }

    fn in_list(&mut self, args: &[Rex], rex: &Rex) -> Result<Json> {
        let constant = args[1..].iter().all(|arg| arg.literal().is_some_and(|v| !matches!(v, Value::Array(_) | Value::Json(_))));
        if !constant || args[0].is_literal() || matches!(args[0].sql_type(), SqlType::Complex(_)) {
            return self.expression(rex);
        }
        let Some(column) = self.operand(uncast(&args[0]))? else { return self.expression(rex) };
        let mut match_kind = match_type(args[0].sql_type(), &args[1]);
        if args[1..].iter().any(|a| match_type(args[0].sql_type(), a) == ColumnType::Double) {
            match_kind = ColumnType::Double;
        }
        let (mut values, mut has_null) = (Vec::new(), false);
        for arg in &args[1..] {
            match arg.literal() {
                Some(Value::Null) | None => has_null = true,
                Some(value) => values.push(value),
            }
        }
        values.sort_by(|a, b| a.compare(b));
        values.dedup();
        let values: Vec<Json> = values.into_iter().map(literal_json).collect();
        let mut filter = if match_kind == ColumnType::String {
            json!({"type": "in", "dimension": column, "values": values})
        } else {
            json!({"type": "inType", "column": column, "matchValueType": match_kind.to_string(), "sortedValues": values})
        };
        if values.is_empty() {
            filter = json!({"type": "false"});
        }
        if has_null {
            // `x = NULL` is unknown: not a match, and not a match under NOT either.
            filter = json!({"type": "or", "fields": [filter, {"type": "expression", "expression": "null"}]});
        }
        Ok(filter)
    }

    /// A long list of whole numbers or of texts that is tested on a column of that kind; without a copy of each constant.
    fn long_list(&mut self, value: &Rex, items: &Value) -> Result<Option<Json>> {
        let Value::Array(items) = items else { return Ok(None) };
        if *value.sql_type() != SqlType::Boolean && value.sql_type().native() == ColumnType::Long {
            let Some(mut longs) =
                items.iter().map(|v| if let Value::Long(v) = v { Some(*v) } else { None }).collect::<Option<Vec<_>>>()
            else {
                return Ok(None);
            };
            longs.sort_unstable();
            longs.dedup();
            let column = self.operand(value)?;
            return Ok(
                column.map(|column| json!({"type": "inType", "column": column, "matchValueType": "LONG", "sortedValues": longs}))
            );
        }
        if value.sql_type().is_text() {
            let Some(mut texts) =
                items.iter().map(|v| if let Value::String(v) = v { Some(&**v) } else { None }).collect::<Option<Vec<_>>>()
            else {
                return Ok(None);
            };
            texts.sort_unstable();
            texts.dedup();
            let column = self.operand(value)?;
            return Ok(column.map(|column| json!({"type": "in", "dimension": column, "values": texts})));
        }
        Ok(None)
    }

    /// Where a set is no part of its own of the filter; [planned](super::planned) takes the others.
    fn in_set(&mut self, args: &[Rex], rex: &Rex) -> Result<Json> {
        let (Rex::Set(set, _), Some(column)) = (&args[1], self.operand(&args[0])?) else { return self.expression(rex) };
        Ok(json!({"type": "inType", "column": column, "matchValueType": "LONG", "sortedValues": set.0.to_vec()}))
    }

    fn like(&mut self, args: &[Rex], rex: &Rex) -> Result<Json> {
        let (Some(pattern), escape) = (args[1].literal_text(), args.get(2).map(Rex::literal_text)) else {
            return self.expression(rex);
        };
        if escape == Some(None) || args[0].is_literal() {
            return self.expression(rex);
        }
        let Some(column) = self.operand(&args[0])? else { return self.expression(rex) };
        let mut filter = json!({"type": "like", "dimension": column, "pattern": pattern});
        if let Some(Some(escape)) = escape {
            filter["escape"] = json!(escape);
        }
        Ok(filter)
    }

    fn arrays(&mut self, op: &str, args: &[Rex], rex: &Rex) -> Result<Json> {
        let (value, list) = match op {
            "SCALAR_IN_ARRAY" => (&args[0], &args[1]),
            "MV_OVERLAP" | "ARRAY_OVERLAP" if args[0].is_literal() => (&args[1], &args[0]),
            _ => (&args[0], &args[1]),
        };
        let Some(items) = list.literal().filter(|v| !v.is_null() && !value.is_literal()) else { return self.expression(rex) };
        let element = match list.sql_type() {
            SqlType::Array(element) => element.as_ref().clone(),
            other => other.clone(),
        };
        if op == "SCALAR_IN_ARRAY"
            && matches!(items, Value::Array(list) if list.len() > SORTED_AT_ONCE)
            && let Some(filter) = self.long_list(value, items)?
        {
            return Ok(filter);
        }
        let literals: Vec<Rex> = match items {
            Value::Array(items) => items.iter().map(|v| Rex::Literal(v.clone(), element.clone())).collect(),
            one => vec![Rex::Literal(one.clone(), element.clone())],
        };
        if literals.is_empty() {
            return self.expression(rex);
        }
        // On computed values null contains nothing for certain; on columns that is unknown.
        if op.starts_with("MV_") && !matches!(transparent(value), Rex::Input(..)) {
            return self.expression(rex);
        }
        let one = |this: &mut Self, item: &Rex| -> Result<Option<Json>> {
            let Some(column) = this.operand(value)? else { return Ok(None) };
            let null = item.literal().is_some_and(Value::is_null);
            Ok(Some(match value.sql_type() {
                SqlType::Array(inner) => {
                    let kind = match_type(inner, item);
                    json!({"type": "arrayContainsElement", "column": column, "elementMatchValueType": kind.to_string(),
                        "elementMatchValue": item.literal().map(literal_json)})
                }
                _ if null => json!({"type": "null", "column": column}),
                t => {
                    let kind = match_type(t, item);
                    json!({"type": "equals", "column": column, "matchValueType": kind.to_string(),
                        "matchValue": item.literal().map(literal_json)})
                }
            }))
        };
        if op == "SCALAR_IN_ARRAY" {
            let mut all = vec![value.clone()];
            all.extend(literals);
            return self.in_list(&all, rex);
        }
        let mut fields = Vec::new();
        for item in &literals {
            match one(self, item)? {
                Some(field) => fields.push(field),
                None => return self.expression(rex),
            }
        }
        let kind = if op.ends_with("CONTAINS") { "and" } else { "or" };
        Ok(if fields.len() == 1 { fields.remove(0) } else { json!({"type": kind, "fields": fields}) })
    }
}

/// A text column read as a number, or an array as one of another type: Druid compares the column itself with the constant
/// (`CastOperatorConversion` keeps simple column access), so that texts that are no numbers are unequal to all of them and less
/// than all of them, not unknown.
fn uncast(value: &Rex) -> &Rex {
    match value {
        Rex::Call { op: "CAST", args, sql_type } => match &args[0] {
            column @ Rex::Input(_, from) if from.is_text() && sql_type.is_numeric() => column,
            column @ Rex::Input(_, SqlType::Array(_)) if matches!(sql_type, SqlType::Array(_)) => column,
            _ => value,
        },
        _ => value,
    }
}

fn flipped(op: &str) -> &str {
    match op {
        "<" => ">",
        "<=" => ">=",
        ">" => "<",
        ">=" => "<=",
        other => other,
    }
}

/// The type in which a column is compared with a constant.
fn match_type(column: &SqlType, constant: &Rex) -> ColumnType {
    match (column.native(), constant.sql_type().native()) {
        (ColumnType::Long, ColumnType::Double | ColumnType::Float) => ColumnType::Double,
        (ColumnType::Long, ColumnType::String) => ColumnType::String,
        (ColumnType::Complex(_), constant) => constant,
        (column, _) => column,
    }
}
