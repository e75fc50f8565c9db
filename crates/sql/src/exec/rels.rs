//! EXPLAIN with `useNativeQueryExplain` = false: the plan as a tree of Druid's relations (`DruidQueryRel`, `DruidOuterQueryRel`,
//! `DruidJoinQueryRel`, `DruidUnionRel`), each with its native query, as Calcite dumps it.

use ovate_base::Result;
use serde_json::Value as Json;

use super::Executor;
use crate::native::{Base, Output, Planned, Stage, plan};
use crate::plan::{Rel, RelJoin, RelKind, Rex};

impl Executor<'_> {
    /// The whole text; every line ends.
    pub(super) fn relations(&self, rel: &Rel) -> Result<String> {
        let mut out = String::new();
        self.relation(rel, 0, &mut out)?;
        Ok(out)
    }

    fn relation(&self, rel: &Rel, depth: usize, out: &mut String) -> Result<()> {
        if let RelKind::Union(inputs) = &rel.kind {
            line(out, depth, "DruidUnionRel(limit=[-1])");
            return inputs.iter().try_for_each(|input| self.relation(input, depth + 1, out));
        }
        let stage = Stage::of(rel);
        let planned = plan(&stage, self.source(&stage.base)?, &self.settings)?;
        let query = Json::Object(planned.query.clone());
        let signature = signature(&stage, &planned);
        match &stage.base {
            Base::Table(_) => line(out, depth, &format!("DruidQueryRel(query=[{query}], signature=[{signature}])")),
            Base::Stage(inner) => {
                line(out, depth, &format!("DruidOuterQueryRel(query=[{query}], signature=[{signature}])"));
                self.inner(inner, depth + 1, out)?;
            }
            Base::Rel(Rel { kind: RelKind::Join { left, right, kind, condition }, .. }) => {
                let kind = match kind {
                    RelJoin::Inner => "inner",
                    RelJoin::Left => "left",
                    RelJoin::Right => "right",
                    RelJoin::Full => "full",
                    RelJoin::Semi => "semi",
                    RelJoin::Anti => "anti",
                };
                let condition = shown(condition);
                let text = format!(
                    "DruidJoinQueryRel(condition=[{condition}], joinType=[{kind}], query=[{query}], signature=[{signature}])"
                );
                line(out, depth, &text);
                self.relation(left, depth + 1, out)?;
                self.relation(right, depth + 1, out)?;
            }
            Base::Rel(inner) => {
                let is_leaf = inner.children().is_empty();
                let name = if is_leaf { "DruidQueryRel" } else { "DruidOuterQueryRel" };
                line(out, depth, &format!("{name}(query=[{query}], signature=[{signature}])"));
                if !is_leaf {
                    inner.children().into_iter().try_for_each(|child| self.relation(child, depth + 1, out))?;
                }
            }
        }
        Ok(())
    }

    fn inner(&self, stage: &Stage, depth: usize, out: &mut String) -> Result<()> {
        let planned = plan(stage, self.source(&stage.base)?, &self.settings)?;
        let (query, signature) = (Json::Object(planned.query.clone()), signature(stage, &planned));
        let name = if matches!(stage.base, Base::Stage(_)) { "DruidOuterQueryRel" } else { "DruidQueryRel" };
        line(out, depth, &format!("{name}(query=[{query}], signature=[{signature}])"));
        match &stage.base {
            Base::Stage(inner) => self.inner(inner, depth + 1, out),
            _ => Ok(()),
        }
    }
}

fn line(out: &mut String, depth: usize, text: &str) {
    out.push_str(&"  ".repeat(depth));
    out.push_str(text);
    out.push('\n');
}

/// `{d0:STRING, a0:LONG}`.
fn signature(stage: &Stage, planned: &Planned) -> String {
    let mut columns: Vec<String> = Vec::new();
    for ((output, rex), field) in planned.outputs.iter().zip(&stage.output).zip(stage.fields.iter()) {
        let name = match output {
            Output::Column(name) => name.as_str(),
            Output::Constant(_) => &field.name,
        };
        let column = format!("{name}:{}", rex.sql_type().native());
        if !columns.contains(&column) {
            columns.push(column);
        }
    }
    format!("{{{}}}", columns.join(", "))
}

/// An expression in Calcite's prefix form: `=($0, $3)`.
fn shown(rex: &Rex) -> String {
    match rex {
        Rex::Input(index, _) => format!("${index}"),
        Rex::Literal(value, sql_type) if *sql_type == crate::types::SqlType::Boolean => {
            value.as_boolean().map_or_else(|| "null".to_owned(), |flag| flag.to_string())
        }
        Rex::Literal(value, sql_type) => match value.as_text() {
            Some(text) if sql_type.is_text() => format!("'{text}'"),
            Some(text) => text.to_string(),
            None => "null".to_owned(),
        },
        Rex::Call { op, args, .. } => format!("{op}({})", args.iter().map(shown).collect::<Vec<_>>().join(", ")),
        Rex::Set(..) => "set".to_owned(),
        Rex::Subquery { .. } => "subquery".to_owned(),
        Rex::Outer { index, .. } => format!("$cor0.{index}"),
        Rex::Aggregate(index, _) | Rex::Window(index, _) => format!("${index}"),
    }
}
