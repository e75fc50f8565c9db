//! Relations that are no native query: joins, windows, unions, unnests, lookups, constants and metadata tables.

use std::sync::Arc;

use futures::future::BoxFuture;
use ovate_base::{DruidError, Result};
use ovate_compute::{ColumnType, Value, Vector};
use ovate_engine::Relation;
use ovate_engine::sort::SortColumn;
use ovate_engine::window::{FrameEnd, WindowSpec, window};

use super::Executor;
use crate::native::{Grouping, Stage};
use crate::plan::{AggregateCall, FrameBound, Rel, RelKind, Rex, Rows, WindowCall};
use crate::system::{SystemScan, SystemTable};
use crate::types::{Field, SqlType};

fn natives(rel: &Rel) -> Vec<ColumnType> {
    rel.fields.iter().map(|f| f.sql_type.native()).collect()
}

/// What is unnested of a column. A multi-value string without values is null, and null is one value; an array without
/// elements, or null, is none (Druid's `UnnestDimensionCursor` against `UnnestColumnValueSelectorCursor`).
fn unnested(column: &Vector, rex: &Rex) -> Vector {
    if !matches!(rex, Rex::Call { op: "MV_TO_ARRAY", .. }) {
        return column.clone();
    }
    let one_null = || Value::Array(Arc::from([Value::Null]));
    let values = column.to_values().into_iter().map(|value| match &value {
        Value::Null => one_null(),
        Value::Array(elements) if elements.is_empty() => one_null(),
        _ => value,
    });
    let column_type = column.column_type().unwrap_or(ColumnType::array(ColumnType::String));
    Vector::Any { column_type, values: values.collect() }
}

impl Executor<'_> {
    pub(super) fn run_other<'s>(&'s self, rel: &'s Rel) -> BoxFuture<'s, Result<Relation>> {
        Box::pin(async move {
            match &rel.kind {
                RelKind::Rows(rows) => Ok(rows.0.as_ref().clone()),
                RelKind::Values(rows) => self.values(rel, rows),
                RelKind::Lookup { name } => self.lookup(name),
                RelKind::System(table) => self.system_rows(*table, &SystemScan::default()).await,
                RelKind::External(table) => self.external.read(table, &self.settings.context).await,
                RelKind::Info(table) => Ok(Relation::from_rows(&natives(rel), self.info(*table))),
                RelKind::Union(inputs) => {
                    let mut parts = Vec::with_capacity(inputs.len());
                    for input in inputs {
                        parts.push(self.run(input).await?);
                    }
                    Ok(Relation::concat(&natives(rel), parts))
                }
                RelKind::SetDifference { left, right, intersect, all } => {
                    let (left, right) = (self.run(left).await?, self.run(right).await?);
                    Ok(ovate_engine::sets::set_difference(&left, &right, *intersect, *all))
                }
                RelKind::Join { .. } => self.joined(rel, &vec![true; rel.fields.len()], false).await,
                RelKind::Window { input, calls } => self.window(input, calls).await,
                RelKind::Unnest { input, arrays, ordinality } => {
                    let (relation, places) = self.with_columns(input, arrays.iter()).await?;
                    let lists: Vec<Vector> =
                        places.iter().zip(arrays).map(|(p, rex)| unnested(&relation.columns[*p], rex)).collect();
                    let width = input.fields.len();
                    let elements: Vec<ColumnType> =
                        rel.fields[width..width + arrays.len()].iter().map(|f| f.sql_type.native()).collect();
                    let base = Relation { columns: relation.columns[..width].to_vec(), rows: relation.rows };
                    Ok(ovate_engine::unnest::unnest(&base, &lists, &elements, *ordinality))
                }
                _ => Err(DruidError::runtime("relation is a native query")),
            }
        })
    }

    /// The rows of a system table, as far as they are wanted.
    pub(super) async fn system_rows(&self, table: SystemTable, scan: &SystemScan) -> Result<Relation> {
        self.system.relation(table, scan).await
    }

    fn values(&self, rel: &Rel, rows: &[Vec<Rex>]) -> Result<Relation> {
        let one = Relation { columns: Vec::new(), rows: 1 };
        let mut out = Vec::with_capacity(rows.len());
        for row in rows {
            let mut values = Vec::with_capacity(row.len());
            for rex in row {
                values.push(match rex {
                    Rex::Literal(value, _) => value.clone(),
                    other => self.eval(other, &one)?.value(0),
                });
            }
            out.push(values);
        }
        Ok(Relation::from_rows(&natives(rel), out))
    }

    fn lookup(&self, name: &str) -> Result<Relation> {
        let map = self.eval.lookups.get(name).ok_or_else(|| DruidError::invalid_sql(format!("Lookup [{name}] not found")))?;
        let text = |s: &String| Some(Arc::<str>::from(s.as_str()));
        Ok(Relation {
            columns: vec![Vector::String(map.keys().map(text).collect()), Vector::String(map.values().map(text).collect())],
            rows: map.len(),
        })
    }

    /// The input with further columns for these expressions, and where each of them stands.
    pub(super) async fn with_columns<'r>(
        &self,
        input: &Rel,
        exprs: impl Iterator<Item = &'r Rex>,
    ) -> Result<(Relation, Vec<usize>)> {
        let mut all = input.inputs();
        let mut places = Vec::new();
        for rex in exprs {
            let at = match rex {
                Rex::Input(i, _) => *i,
                other => all.iter().position(|known| known == other).unwrap_or_else(|| {
                    all.push(other.clone());
                    all.len() - 1
                }),
            };
            places.push(at);
        }
        if all.len() == input.fields.len() {
            return Ok((self.run(input).await?, places));
        }
        let names: Vec<Arc<str>> = (0..all.len()).map(|i| Arc::from(format!("x{i}"))).collect();
        let projected = input.clone().project(all, &names);
        Ok((self.run(&projected).await?, places))
    }

    async fn window(&self, input: &Rel, calls: &[WindowCall]) -> Result<Relation> {
        let mut exprs: Vec<&Rex> = Vec::new();
        for call in calls {
            exprs.extend(call.args.iter().filter(|a| !a.is_literal() || call.function != "NTILE"));
            exprs.extend(&call.filter);
            exprs.extend(&call.partition_by);
            exprs.extend(call.order_by.iter().map(|(rex, _, _)| rex));
        }
        let (relation, places) = self.with_columns(input, exprs.iter().copied()).await?;
        let place = |rex: &Rex| exprs.iter().position(|e| *e == rex).map_or(0, |at| places[at]);
        let specs: Vec<WindowSpec> = calls.iter().map(|call| window_spec(call, &place)).collect();
        let types: Vec<SqlType> = self.column_types(input, &exprs, &places, relation.columns.len());
        let custom = |number: usize, rows: &[u32]| self.frame_aggregate(&calls[number], &relation, rows, &place, &types);
        let result = window(&relation, &specs, &custom)?;
        let (width, extended) = (input.fields.len(), relation.columns.len());
        let columns =
            result.columns.into_iter().enumerate().filter(|(i, _)| *i < width || *i >= extended).map(|(_, c)| c).collect();
        Ok(Relation { columns, rows: result.rows })
    }

    fn column_types(&self, input: &Rel, exprs: &[&Rex], places: &[usize], count: usize) -> Vec<SqlType> {
        let mut types: Vec<SqlType> = input.fields.iter().map(|f| f.sql_type.clone()).collect();
        types.resize(count, SqlType::Varchar);
        for (rex, place) in exprs.iter().zip(places) {
            types[*place] = rex.sql_type().clone();
        }
        types
    }

    /// An aggregate that windows do not know, over a frame's rows, as a native query.
    fn frame_aggregate(
        &self,
        call: &WindowCall,
        relation: &Relation,
        rows: &[u32],
        place: &dyn Fn(&Rex) -> usize,
        types: &[SqlType],
    ) -> Result<Value> {
        let arg = |rex: &Rex| if rex.is_literal() { rex.clone() } else { Rex::Input(place(rex), rex.sql_type().clone()) };
        let fields: Vec<Field> = types.iter().enumerate().map(|(i, t)| Field::new(&format!("c{i}"), t.clone())).collect();
        let base = Rel::new(RelKind::Rows(Rows(Arc::new(relation.gather(rows)))), fields);
        let aggregate = AggregateCall {
            function: call.function,
            args: call.args.iter().map(arg).collect(),
            distinct: call.distinct,
            filter: None,
            sql_type: call.sql_type.clone(),
        };
        let mut stage = Stage::of(&base);
        stage.aggregate = Some(Grouping { keys: Vec::new(), sets: vec![Vec::new()], calls: vec![aggregate] });
        stage.output = vec![Rex::Input(0, call.sql_type.clone())];
        let RelKind::Rows(rows) = &base.kind else { return Ok(Value::Null) };
        let result = self.run_over(&stage, rows.0.as_ref().clone())?;
        Ok(result.columns[0].value(0))
    }
}

fn window_spec(call: &WindowCall, place: &dyn Fn(&Rex) -> usize) -> WindowSpec {
    let end = |bound: FrameBound| match bound {
        FrameBound::UnboundedPreceding | FrameBound::UnboundedFollowing => FrameEnd::Unbounded,
        FrameBound::Offset(n) => FrameEnd::Offset(n),
    };
    let constant = |i: usize| call.args.get(i).and_then(Rex::literal);
    let number = match call.function {
        "NTILE" => constant(0).and_then(Value::as_long).unwrap_or(1),
        "LAG" | "LEAD" | "NTH_VALUE" => constant(1).and_then(Value::as_long).unwrap_or(1),
        _ => 1,
    };
    let known =
        ["COUNT", "SUM", "MIN", "MAX", "AVG"].contains(&call.function) || crate::functions::find_window(call.function).is_some();
    WindowSpec {
        function: call.function,
        args: call.args.iter().take(if call.function == "NTILE" { 0 } else { 1 }).map(place).collect(),
        number,
        default: constant(2).cloned().unwrap_or(Value::Null),
        filter: call.filter.as_ref().map(place),
        partition_by: call.partition_by.iter().map(place).collect(),
        order_by: call
            .order_by
            .iter()
            .map(|(rex, descending, nulls_first)| SortColumn {
                column: place(rex),
                descending: *descending,
                nulls_first: *nulls_first,
            })
            .collect(),
        rows: call.frame.rows,
        start: end(call.frame.start),
        end: end(call.frame.end),
        result: call.sql_type.native(),
        custom: !known,
    }
}
