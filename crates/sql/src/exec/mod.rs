//! Runs a bound statement: stages become native queries, for the broker or over rows in memory; the other relations are
//! `engine`'s operators.

mod estimate;
mod explain;
mod info;
mod joins;
mod relations;
mod rels;
mod shared;
mod subquery;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::BoxFuture;
use moka::sync::Cache;
use ovate_base::time::Zone;
use ovate_base::{DruidError, Interval, Result};
use ovate_compute::expr::Expr;
use ovate_compute::{ColumnType, EvalContext, Value, Vector};
use ovate_engine::parallel::threads_for;
use ovate_engine::sort::{SortColumn, Wanted, sort_within};
use ovate_engine::{CatalogSnapshot, NativeRunner, Relation};
use ovate_query::{NativeQuery, SegmentRef};
use serde_json::{Value as Json, json};
use tokio::sync::mpsc;

use crate::external::ExternalTables;
use crate::native::expr::ExprWriter;
use crate::native::{Base, Output, Planned, Settings, Stage, plan};
use crate::plan::{Rel, RelKind, Rex};
use crate::system::{Comparison, SystemBound, SystemScan, SystemTables};
use crate::types::SqlType;

/// Runs plans of one statement.
pub struct Executor<'a> {
    pub runner: &'a dyn NativeRunner,
    pub system: &'a dyn SystemTables,
    pub catalog: Arc<CatalogSnapshot>,
    pub settings: Settings,
    pub eval: EvalContext,
    pub approximate_distinct: bool,
    /// Looked at between the parts of a plan, and by queries over rows in memory.
    pub stop: Arc<AtomicBool>,
    pub external: &'a dyn ExternalTables,
    /// Rows of tables, for choosing the order of joins.
    pub counts: &'a Cache<String, u64>,
}

impl Executor<'_> {
    /// The rows of a statement's plan, subqueries and all.
    pub fn execute<'s>(&'s self, rel: &'s Rel) -> BoxFuture<'s, Result<Relation>> {
        Box::pin(async move {
            let rel = crate::plan::decorrelate(rel);
            let rel = self.resolve(&rel).await?;
            let rel = self.optimise(&rel);
            self.run(&rel).await
        })
    }

    /// The same, but rows are handed on in parts, so that what was sent need not be kept: plain scans of datasources, alone or one
    /// after the other in a UNION ALL, as they are read, and the groups of one query batch by batch, joins piece by piece.
    pub async fn stream(&self, rel: &Rel, parts: &mpsc::Sender<Relation>) -> Result<()> {
        match &rel.kind {
            RelKind::Union(inputs) if inputs.iter().all(is_plain_scan) => {
                for input in inputs {
                    self.check_stop()?;
                    self.stream_one(input, parts).await?;
                }
                Ok(())
            }
            _ => self.stream_one(rel, parts).await,
        }
    }

    async fn stream_one(&self, rel: &Rel, parts: &mpsc::Sender<Relation>) -> Result<()> {
        let gone = |_| DruidError::cancelled("nobody wants the rows any more");
        if !subquery::has_subqueries(rel) && !shared::has_several_aggregates(rel) {
            let ready = self.optimise(rel);
            let stage = Stage::of(&ready);
            if let (Base::Rel(join @ Rel { kind: RelKind::Join { .. }, .. }), None, None) =
                (&stage.base, &stage.aggregate, &stage.sort)
            {
                let (sender, mut received) = mpsc::channel(1);
                let wanted = scan_of(&stage).columns;
                let joining = async {
                    let outcome = self.joined_in_parts(join, &wanted, &sender).await;
                    drop(sender);
                    outcome
                };
                let taking = async {
                    while let Some(rows) = received.recv().await {
                        parts.send(self.run_over(&stage, rows)?).await.map_err(gone)?;
                    }
                    Ok(())
                };
                return futures::future::try_join(joining, taking).await.map(|_| ());
            }
        }
        if is_one_query(rel) && !is_plain_scan(rel) {
            let ready = self.optimise(rel);
            let stage = Stage::of(&ready);
            if let (Base::Table(names), Some(_)) = (&stage.base, &stage.aggregate) {
                let planned = plan(&stage, table_source(names), &self.settings)?;
                if planned.sort_after.is_none() {
                    let rows = self.runner.run(planned.native()?).await?;
                    let ovate_query::QueryRows { signature, batches, memory: _held, .. } = rows;
                    for batch in batches {
                        let rows = ovate_query::QueryRows {
                            signature: signature.clone(),
                            batches: vec![batch],
                            extra: Default::default(),
                            memory: Default::default(),
                        };
                        parts.send(self.outputs(&stage, &planned, rows)?).await.map_err(gone)?;
                    }
                    return Ok(());
                }
            }
        }
        if is_plain_scan(rel) {
            let ready = self.optimise(rel);
            let stage = Stage::of(&ready);
            if let (Base::Table(names), None) = (&stage.base, &stage.aggregate) {
                let planned = plan(&stage, table_source(names), &self.settings)?;
                if is_scan(&planned) && !planned.nothing && planned.sort_after.is_none() {
                    let query = planned.native()?;
                    let (sender, mut received) = mpsc::channel(1);
                    let taking = async {
                        while let Some(rows) = received.recv().await {
                            parts.send(self.outputs(&stage, &planned, rows)?).await.map_err(gone)?;
                        }
                        Ok(())
                    };
                    return futures::future::try_join(self.runner.stream(query, sender), taking).await.map(|_| ());
                }
            }
        }
        parts.send(self.statement(rel).await?).await.map_err(gone)
    }

    /// The plan made ready for stages.
    pub fn optimise(&self, rel: &Rel) -> Rel {
        let fold = |rex: &Rex| fold(rex, &self.settings.zone, &self.eval);
        let rel = crate::plan::fold_constants(rel, &fold);
        let rel = crate::plan::pull_constants(&rel);
        let rel = crate::plan::expand_distinct(&rel, self.approximate_distinct);
        let rel = crate::plan::push_filters(&rel);
        crate::plan::prune_columns(&rel)
    }

    fn check_stop(&self) -> Result<()> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(DruidError::cancelled("Query is cancelled"));
        }
        Ok(())
    }

    fn run<'s>(&'s self, rel: &'s Rel) -> BoxFuture<'s, Result<Relation>> {
        Box::pin(async move {
            self.check_stop()?;
            match &rel.kind {
                RelKind::Table { .. }
                | RelKind::Filter { .. }
                | RelKind::Project { .. }
                | RelKind::Aggregate { .. }
                | RelKind::Sort { .. } => self.run_stage(&Stage::of(rel)).await,
                _ => self.run_other(rel).await,
            }
        })
    }

    fn run_stage<'s>(&'s self, stage: &'s Stage) -> BoxFuture<'s, Result<Relation>> {
        Box::pin(async move {
            let input = match &stage.base {
                Base::Table(names) => return self.run_table(stage, names).await,
                Base::Stage(inner) => self.run_stage(inner).await?,
                Base::Rel(Rel { kind: RelKind::System(table), .. }) => self.system_rows(*table, &scan_of(stage)).await?,
                Base::Rel(rel @ Rel { kind: RelKind::Join { .. }, .. }) => {
                    self.joined(rel, &scan_of(stage).columns, stage.aggregate.is_some()).await?
                }
                Base::Rel(rel) => self.run(rel).await?,
            };
            self.run_over(stage, input)
        })
    }

    /// A stage over a datasource: one native query for the broker.
    async fn run_table(&self, stage: &Stage, names: &[String]) -> Result<Relation> {
        let planned = plan(stage, table_source(names), &self.settings)?;
        if planned.nothing && is_scan(&planned) {
            return Ok(empty(stage));
        }
        let query = planned.native()?;
        let rows = self.runner.run(query).await?;
        self.outputs(stage, &planned, rows)
    }

    /// A stage over rows in memory.
    fn run_over(&self, stage: &Stage, input: Relation) -> Result<Relation> {
        let direct = |rex: &Rex| match rex {
            Rex::Input(i, _) => Some(input.columns[*i].clone()),
            Rex::Literal(value, t) => Some(constant(value, t, input.rows)),
            _ => None,
        };
        if stage.is_plain()
            && let Some(columns) = stage.output.iter().map(direct).collect::<Option<Vec<_>>>()
        {
            return Ok(Relation { columns, rows: input.rows });
        }
        if let (Some(order), None, true) = (&stage.sort, &stage.aggregate, stage.filters.is_empty())
            && let Some(mut keys) = sort_keys(order)
            && let Some(mut columns) = stage.output.iter().map(direct).collect::<Option<Vec<_>>>()
        {
            let (rows, visible) = (input.rows, columns.len());
            columns.extend(keys.iter().map(|key| input.columns[key.column].clone()));
            keys.iter_mut().enumerate().for_each(|(at, key)| key.column = visible + at);
            // So that sorting by way of the disk can give up the rows.
            drop(input);
            return self.sorted(Relation { columns, rows }, &keys, (order.offset, order.limit), visible);
        }
        if input.rows == 0 && stage.aggregate.is_none() {
            return Ok(empty(stage));
        }
        let planned = plan(stage, json!({"type": "table", "name": "inline"}), &self.settings)?;
        let query = planned.native()?;
        let rows = self.run_local(&query, input)?;
        self.outputs(stage, &planned, rows)
    }

    /// Sorts and cuts rows, and keeps their first columns; others are there to sort by.
    fn sorted(
        &self,
        relation: Relation,
        keys: &[SortColumn],
        (offset, limit): (u64, Option<u64>),
        visible: usize,
    ) -> Result<Relation> {
        let mut context = self.runner.context(self.eval.clone());
        context.stop = self.stop.clone();
        let mut sorted = sort_within(relation, keys, Wanted { offset, limit }, &context)?;
        sorted.columns.truncate(visible);
        Ok(sorted)
    }

    /// The stage's output columns out of a native result.
    fn outputs(&self, stage: &Stage, planned: &Planned, rows: ovate_query::QueryRows) -> Result<Relation> {
        let mut wanted: Vec<(&str, ColumnType)> = Vec::new();
        for (output, rex) in planned.outputs.iter().zip(&stage.output) {
            if let Output::Column(name) = output {
                wanted.push((name, rex.sql_type().native()));
            }
        }
        let visible = wanted.len();
        if let Some((keys, _, _)) = &planned.sort_after {
            wanted.extend(keys.iter().map(|(name, _, _)| (name.as_str(), ColumnType::String)));
        }
        let mut result = Relation::from_query(rows, &wanted);
        if let Some((keys, offset, limit)) = &planned.sort_after {
            let keys: Vec<SortColumn> = keys
                .iter()
                .enumerate()
                .map(|(i, (_, descending, nulls_first))| SortColumn {
                    column: visible + i,
                    descending: *descending,
                    nulls_first: *nulls_first,
                })
                .collect();
            result = self.sorted(result, &keys, (*offset, *limit), visible)?;
        }
        let count = result.rows;
        let mut columns = result.columns.into_iter();
        let mut out = Vec::with_capacity(stage.output.len());
        for (output, rex) in planned.outputs.iter().zip(&stage.output) {
            out.push(match output {
                Output::Column(_) => columns.next().ok_or_else(|| DruidError::runtime("native query gave too few columns"))?,
                Output::Constant(value) => constant(value, rex.sql_type(), count),
            });
        }
        Ok(Relation { columns: out, rows: count })
    }

    /// A native query over rows in memory.
    fn run_local(&self, query: &NativeQuery, input: Relation) -> Result<ovate_query::QueryRows> {
        let mut context = self.runner.context(self.eval.clone());
        context.stop = self.stop.clone();
        self.check_stop()?;
        let threads = threads_for(input.rows);
        let sources = match query {
            // Groups add up whichever rows they come from; everything else depends on the rows' order.
            NativeQuery::GroupBy(_) | NativeQuery::Timeseries(_) if threads > 1 => input.as_sources(threads)?,
            _ => vec![input.into_source()?],
        };
        let segment = |source| SegmentRef::new("inline", vec![Interval::ETERNITY], source);
        let segments: Vec<SegmentRef> = sources.into_iter().map(segment).collect();
        let partial = ovate_query::run_segments(query, &segments, &context, threads)?;
        ovate_query::finalize(query, partial, &context)
    }

    /// The value of an expression on every row.
    fn eval(&self, rex: &Rex, input: &Relation) -> Result<Vector> {
        match rex {
            Rex::Input(i, _) => return Ok(input.columns[*i].clone()),
            Rex::Literal(value, t) => return Ok(constant(value, t, input.rows)),
            _ => {}
        }
        let text = ExprWriter { zone: &self.settings.zone, column: &|i| format!("c{i}") }.write(rex)?;
        let names: Vec<String> = (0..input.columns.len()).map(|i| format!("c{i}")).collect();
        let inputs: Vec<(&str, &Vector)> = names.iter().map(String::as_str).zip(&input.columns).collect();
        let result = Expr::parse(&text)?.eval_vectors(&inputs, input.rows, &self.eval)?;
        Ok(result)
    }

    /// Rows on which a condition holds.
    fn holds(&self, rex: &Rex, input: &Relation) -> Result<Vec<bool>> {
        let vector = self.eval(rex, input)?;
        Ok((0..input.rows).map(|row| vector.value(row).as_boolean() == Some(true)).collect())
    }
}

/// What a stage wants of the system table below it.
fn scan_of(stage: &Stage) -> SystemScan {
    let mut used = Vec::new();
    let own: &[Rex] = if stage.aggregate.is_none() { &stage.output } else { &[] };
    let grouped =
        stage.aggregate.iter().flat_map(|g| g.keys.iter().chain(g.calls.iter().flat_map(|c| c.args.iter().chain(&c.filter))));
    let sorted = stage.sort.iter().filter(|_| stage.aggregate.is_none()).flat_map(|s| s.keys.iter().map(|(rex, _, _)| rex));
    for rex in own.iter().chain(&stage.filters).chain(grouped).chain(sorted) {
        rex.inputs_used(&mut used);
    }
    let mut scan = SystemScan { columns: vec![false; stage.base_fields.len()], ..SystemScan::default() };
    for index in used {
        if let Some(read) = scan.columns.get_mut(index) {
            *read = true;
        }
    }
    for rex in &stage.filters {
        if let Rex::Call { op: "=" | "IN", args, .. } = rex
            && let Some((Rex::Input(column, t), constants)) = args.split_first()
            && t.is_text()
            && let Some(texts) = constants.iter().map(|c| c.literal_text().map(str::to_owned)).collect::<Option<Vec<_>>>()
        {
            scan.among.push((*column, texts));
        } else if let Some(bound) = bound_of(rex) {
            scan.bounds.push(bound);
        }
    }
    let all_told = scan.among.len() + scan.bounds.len() == stage.filters.len();
    if let (Some(order), None, true) = (&stage.sort, &stage.aggregate, all_told)
        && order.keys.is_empty()
        && let Some(limit) = order.limit
    {
        scan.limit = usize::try_from(limit.saturating_add(order.offset)).ok();
    }
    scan
}

/// A comparison of a column with a constant of its type, either side first.
fn bound_of(rex: &Rex) -> Option<SystemBound> {
    let Rex::Call { op, args, .. } = rex else { return None };
    let comparison = Comparison::named(op)?;
    let (column, sql_type, value, comparison) = match args.as_slice() {
        [Rex::Input(column, t), Rex::Literal(value, _)] => (*column, t, value, comparison),
        [Rex::Literal(value, _), Rex::Input(column, t)] => (*column, t, value, comparison.flipped()),
        _ => return None,
    };
    let fits = matches!((sql_type.native(), value), (ColumnType::String, Value::String(_)) | (ColumnType::Long, Value::Long(_)));
    fits.then(|| SystemBound { column, comparison, value: value.clone() })
}

/// True for a plan that becomes one native query over tables.
pub(crate) fn is_one_query(rel: &Rel) -> bool {
    if subquery::has_subqueries(rel) {
        return false;
    }
    let stage = Stage::of(rel);
    let distinct = stage.aggregate.iter().flat_map(|grouping| &grouping.calls).any(|call| call.distinct);
    matches!(stage.base, Base::Table(_)) && !distinct
}

/// The `dataSource` of one table or several.
pub fn table_source(names: &[String]) -> Json {
    match names {
        [one] => json!({"type": "table", "name": one}),
        many => {
            json!({"type": "union", "dataSources": many.iter().map(|n| json!({"type": "table", "name": n})).collect::<Vec<_>>()})
        }
    }
}

fn is_scan(planned: &Planned) -> bool {
    planned.query.get("queryType").and_then(Json::as_str) == Some("scan")
}

fn empty(stage: &Stage) -> Relation {
    let types: Vec<ColumnType> = stage.fields.iter().map(|f| f.sql_type.native()).collect();
    Relation::from_rows(&types, Vec::new())
}

/// A constant column of the type that SQL gives it.
/// True for filters, projections and limits over one datasource, without subqueries and order.
fn is_plain_scan(rel: &Rel) -> bool {
    let here = match &rel.kind {
        RelKind::Table { .. } => return true,
        RelKind::Filter { .. } | RelKind::Project { .. } => true,
        RelKind::Sort { keys, .. } => keys.is_empty(),
        _ => false,
    };
    let mut subquery = false;
    for rex in rel.exprs() {
        rex.visit(&mut |node| subquery |= matches!(node, Rex::Subquery { .. }));
    }
    here && !subquery && rel.children().into_iter().all(is_plain_scan)
}

fn constant(value: &Value, sql_type: &SqlType, rows: usize) -> Vector {
    match (value, sql_type.native()) {
        (Value::Null, t) => Vector::from_values(&t, vec![Value::Null; rows]),
        (value, t @ (ColumnType::Double | ColumnType::Long | ColumnType::Float)) => Vector::constant(&value.cast(&t), rows),
        (value, ColumnType::Array(t)) => Vector::Any { column_type: ColumnType::Array(t), values: vec![value.clone(); rows] },
        (value, _) => Vector::constant(value, rows),
    }
}

/// The columns to sort by; `None` where a key is more than a column. Constants order nothing.
fn sort_keys(order: &crate::native::Order) -> Option<Vec<SortColumn>> {
    let mut keys = Vec::new();
    for (rex, descending, nulls_first) in &order.keys {
        match rex {
            Rex::Input(column, _) => {
                keys.push(SortColumn { column: *column, descending: *descending, nulls_first: *nulls_first });
            }
            Rex::Literal(..) => {}
            _ => return None,
        }
    }
    Some(keys)
}

/// A call of constants by value.
pub fn fold(rex: &Rex, zone: &Zone, eval: &EvalContext) -> Option<Rex> {
    let Rex::Call { op, sql_type, .. } = rex else { return None };
    if matches!(*op, "LOOKUP" | "JSON_OBJECT" | "PARSE_JSON" | "TRY_PARSE_JSON" | "ARRAY_TO_MV" | "STRING_TO_MV")
        || op.starts_with("MV_")
        || matches!(sql_type, SqlType::Complex(_))
    {
        return None;
    }
    let text = ExprWriter { zone, column: &|_| String::new() }.write(rex).ok()?;
    let value = Expr::parse(&text).ok()?.eval_row(&|_| Value::Null, eval).ok()?;
    let native = sql_type.native();
    // INTEGER arithmetic of constants wraps at 32 bits, as Calcite's does.
    let value = match value {
        Value::Long(v) if *sql_type == SqlType::Integer => Value::Long(i64::from(v as i32)),
        other => other,
    };
    let value = match (&value, &native) {
        (Value::Null, _) => Value::Null,
        (
            Value::Long(_) | Value::Double(_) | Value::Float(_) | Value::String(_),
            ColumnType::Long | ColumnType::Double | ColumnType::String,
        ) => value.cast(&native),
        (Value::Array(_), ColumnType::Array(_)) => value,
        _ => return None,
    };
    Some(Rex::Literal(value, sql_type.clone()))
}
