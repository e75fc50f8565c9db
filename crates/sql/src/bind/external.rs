//! `TABLE(EXTERN(inputSource, inputFormat, signature))`, with the signature as JSON or as an EXTEND list
//! (`ExternalOperatorConversion`, `DruidUserDefinedTableMacro`).

use std::sync::Arc;

use ovate_base::{DruidError, Result};
use ovate_compute::ColumnType;
use serde_json::Value as Json;

use super::expr::type_of;
use super::query::Block;
use super::{Binder, Scope, error_at};
use crate::external::ExternalTable;
use crate::parse::ast::{Call, Expr, Ident, Pos, TypeName};
use crate::plan::{Rel, RelKind};
use crate::types::{Field, SqlType};

const PARAMETERS: [&str; 3] = ["inputSource", "inputFormat", "signature"];

impl Binder<'_> {
    pub(super) fn external(&mut self, call: &Call, extend: &[(Ident, TypeName)], pos: Pos) -> Result<Rel> {
        let mut given: [Option<&Expr>; 3] = [None; 3];
        if call.args.len() > PARAMETERS.len() {
            return Err(error_at("Invalid number of arguments to function 'EXTERN'. Was expecting 3 arguments", pos));
        }
        for (slot, arg) in given.iter_mut().zip(&call.args) {
            *slot = Some(arg);
        }
        for (name, value) in &call.named {
            match PARAMETERS.iter().position(|known| known.eq_ignore_ascii_case(&name.value)) {
                Some(at) if given[at].is_none() => given[at] = Some(value),
                Some(_) => return Err(error_at(format!("Duplicate argument [{}] of EXTERN", name.value), name.pos)),
                None => return Err(error_at(format!("EXTERN does not have a parameter [{}]", name.value), name.pos)),
            }
        }
        let source = self.document(given[0], PARAMETERS[0], pos)?;
        let format = self.document(given[1], PARAMETERS[1], pos)?;
        let fields = match (given[2], extend) {
            (None, []) => {
                return Err(error_at("EXTERN requires either a [signature] value or an EXTEND clause.", pos));
            }
            (Some(_), [_, ..]) => {
                return Err(error_at("EXTERN requires either a [signature] value or an EXTEND clause, but not both.", pos));
            }
            (None, list) => list
                .iter()
                .map(|(name, type_name)| Ok(Field::new(&name.value, type_of(type_name)?)))
                .collect::<Result<Vec<_>>>()?,
            (Some(expr), []) => signature(&self.document(Some(expr), PARAMETERS[2], pos)?)?,
        };
        let columns: Vec<(String, ColumnType)> = fields.iter().map(|f| (f.name.to_string(), f.sql_type.native())).collect();
        for (at, (name, _)) in columns.iter().enumerate() {
            if columns[..at].iter().any(|(other, _)| other == name) {
                return Err(error_at(format!("Column [{name}] stands twice in the signature of EXTERN"), pos));
            }
        }
        Ok(Rel::new(RelKind::External(Arc::new(ExternalTable { source, format, columns })), fields))
    }

    /// A constant JSON document.
    fn document(&mut self, expr: Option<&Expr>, name: &str, pos: Pos) -> Result<Json> {
        let expr = expr.ok_or_else(|| error_at(format!("EXTERN requires a value for [{name}]"), pos))?;
        let rex = self.expr(expr, &Scope::default(), &mut Block::scalar())?;
        let text = rex
            .literal_text()
            .ok_or_else(|| error_at(format!("Argument [{name}] of EXTERN must be a literal text of JSON"), expr.pos))?;
        let broken = |e: serde_json::Error| format!("Invalid value for the field [{name}]. Reason: [{e}]");
        serde_json::from_str(text).map_err(|e| error_at(broken(e), expr.pos))
    }
}

/// `[{"name": …, "type": …}, …]` (`RowSignature`).
fn signature(json: &Json) -> Result<Vec<Field>> {
    let wrong = || DruidError::invalid_sql("[signature] of EXTERN must be a JSON array of objects with [name] and [type]");
    let list = json.as_array().ok_or_else(wrong)?;
    if list.is_empty() {
        return Err(DruidError::invalid_sql("[signature] of EXTERN has no columns"));
    }
    list.iter()
        .map(|column| {
            let name = column["name"].as_str().ok_or_else(wrong)?;
            let native = ColumnType::parse(column["type"].as_str().unwrap_or("STRING"))?;
            Ok(Field::new(name, SqlType::of_native(&native)))
        })
        .collect()
}
