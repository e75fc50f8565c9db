//! EXPLAIN PLAN FOR: the native queries that a statement would run, as Druid prints them (`QueryMaker`, `PlannerHook`).

use ovate_base::Result;
use ovate_compute::{ColumnType, Value};
use ovate_engine::Relation;
use serde_json::{Value as Json, json};

use super::{Executor, table_source};
use crate::native::{Base, Output, Stage, plan};
use crate::plan::{Rel, RelKind};
use crate::types::{Field, SqlType};

impl Executor<'_> {
    /// One row: PLAN, RESOURCES, ATTRIBUTES. `as_queries`: native queries, else a tree of relations.
    pub fn explain(&self, rel: &Rel, as_queries: bool) -> Result<(Vec<Field>, Relation)> {
        let optimised = self.optimise(rel);
        let shown = if as_queries { self.queries(&optimised)?.to_string() } else { self.relations(&optimised)? };
        let mut resources: Vec<Json> = Vec::new();
        resources_of(rel, &mut resources);
        let texts = [shown, Json::Array(resources).to_string(), json!({"statementType": "SELECT"}).to_string()];
        let row = texts.iter().map(|text| Value::from(text.as_str())).collect();
        let fields = ["PLAN", "RESOURCES", "ATTRIBUTES"].map(|name| Field::new(name, SqlType::Varchar)).to_vec();
        Ok((fields, Relation::from_rows(&[ColumnType::String, ColumnType::String, ColumnType::String], vec![row])))
    }

    fn queries(&self, optimised: &Rel) -> Result<Json> {
        let mut queries = Vec::new();
        match &optimised.kind {
            RelKind::Union(inputs) => {
                for input in inputs {
                    queries.push(self.entry(input)?);
                }
            }
            _ => queries.push(self.entry(optimised)?),
        }
        Ok(Json::Array(queries))
    }

    fn entry(&self, rel: &Rel) -> Result<Json> {
        let stage = Stage::of(rel);
        let planned = plan(&stage, self.source(&stage.base)?, &self.settings)?;
        let mut signature = Vec::new();
        let mut mappings = Vec::new();
        for ((output, field), rex) in planned.outputs.iter().zip(rel.fields.iter()).zip(&stage.output) {
            let name = match output {
                Output::Column(name) => name.clone(),
                Output::Constant(_) => field.name.to_string(),
            };
            if !signature.iter().any(|s: &Json| s["name"] == json!(name)) {
                signature.push(json!({"name": name, "type": rex.sql_type().native().to_string()}));
            }
            mappings.push(json!({"queryColumn": name, "outputColumn": &*field.name}));
        }
        Ok(json!({"query": planned.query, "signature": signature, "columnMappings": mappings}))
    }

    /// The datasource of a base as Druid would nest it; operators of ours are shown by name.
    pub(super) fn source(&self, base: &Base) -> Result<Json> {
        Ok(match base {
            Base::Table(names) => table_source(names),
            Base::Stage(inner) => {
                let planned = plan(inner, self.source(&inner.base)?, &self.settings)?;
                json!({"type": "query", "query": planned.query})
            }
            Base::Rel(rel) => self.relation_source(rel)?,
        })
    }

    fn relation_source(&self, rel: &Rel) -> Result<Json> {
        let child = |rel: &Rel| -> Result<Json> {
            let stage = Stage::of(rel);
            if stage.is_plain() { self.source(&stage.base) } else { self.source(&Base::Stage(Box::new(stage))) }
        };
        Ok(match &rel.kind {
            RelKind::Lookup { name } => json!({"type": "lookup", "lookup": name}),
            RelKind::Values(rows) => {
                let names: Vec<&str> = rel.fields.iter().map(|f| f.name.as_ref()).collect();
                json!({"type": "inline", "columnNames": names, "rows": rows.len()})
            }
            RelKind::Join { left, right, kind, .. } => {
                let kind = format!("{kind:?}").to_uppercase();
                json!({"type": "join", "left": child(left)?, "right": child(right)?, "rightPrefix": "j0.", "joinType": kind})
            }
            RelKind::Union(inputs) => {
                let sources = inputs.iter().map(child).collect::<Result<Vec<_>>>()?;
                json!({"type": "union", "dataSources": sources})
            }
            RelKind::Unnest { input, .. } => json!({"type": "unnest", "base": child(input)?}),
            RelKind::Window { input, .. } => json!({"type": "window", "base": child(input)?}),
            RelKind::SetDifference { left, right, .. } => {
                json!({"type": "setOperation", "left": child(left)?, "right": child(right)?})
            }
            RelKind::External(table) => {
                let signature: Vec<Json> =
                    table.columns.iter().map(|(name, t)| json!({"name": name, "type": t.to_string()})).collect();
                json!({"type": "external", "inputSource": table.source, "inputFormat": table.format, "signature": signature})
            }
            RelKind::System(table) => json!({"type": "table", "name": format!("sys.{}", table.name())}),
            _ => json!({"type": "table", "name": "INFORMATION_SCHEMA"}),
        })
    }
}

fn resources_of(rel: &Rel, out: &mut Vec<Json>) {
    let mut add = |name: &str, kind: &str| {
        let entry = json!({"name": name, "type": kind});
        if !out.contains(&entry) {
            out.push(entry);
        }
    };
    match &rel.kind {
        RelKind::Table { names } => names.iter().for_each(|name| add(name, "DATASOURCE")),
        RelKind::Lookup { name } => add(name, "LOOKUP"),
        RelKind::External(_) => add("EXTERNAL", "EXTERNAL"),
        _ => {}
    }
    for rex in rel.exprs() {
        let mut plans = Vec::new();
        rex.visit(&mut |node| {
            if let crate::plan::Rex::Subquery { plan, .. } = node {
                plans.push(plan.clone());
            }
        });
        plans.iter().for_each(|plan| resources_of(plan, out));
    }
    for child in rel.children() {
        resources_of(child, out);
    }
}
