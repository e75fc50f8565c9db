//! Inner queries run first: each becomes a table in memory, so that what goes to the servers names stored tables only
//! (`ClientQuerySegmentWalker`, `maxSubqueryRows`).

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use ovate_base::{DruidError, Result};
use ovate_compute::{ColumnSource, value};
use ovate_engine::run_window_operators;
use ovate_query::document::{InlineRows, JoinClause, UnionQuery, WindowOperatorQuery};
use ovate_query::source::{inline_table, lookup_table, rows_table};
use ovate_query::{DataSource, NativeQuery, QueryContext, QueryRows, SegmentRef};

use super::Broker;
use crate::finish::finish;

/// All of time, as Druid writes it.
const ETERNITY: &str = "-146136543-09-08T08:23:32.096Z/146140482-04-24T15:36:27.903Z";

/// Where the rows of a query come from once inner queries have run.
enum Base {
    /// Stored tables, each with segments of its own.
    Tables(Vec<String>),
    /// A table in memory.
    Memory(Arc<dyn ColumnSource>),
}

type Boxed<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

impl Broker {
    /// Runs a query of any datasource.
    pub(super) fn execute(&self, query: NativeQuery, context: QueryContext) -> Boxed<'_, QueryRows> {
        Box::pin(async move {
            let query = match query {
                NativeQuery::WindowOperator(window) => return self.window_operators(window, context).await,
                NativeQuery::Union(union) => return self.union(union, context).await,
                NativeQuery::MovingAverage(query) => {
                    let rows = self.execute(query.inner(), context.clone()).await?;
                    let work = tokio::task::spawn_blocking(move || ovate_query::moving_average(&query, rows, &context)).await;
                    return work.map_err(|e| DruidError::runtime(format!("the query's thread failed: {e}")))?;
                }
                other => other,
            };
            let (data_source, base) = self.resolve(query.data_source().clone(), &query, &context).await?;
            let query = query.with_data_source(data_source);
            let source = match base {
                Base::Tables(tables) => return self.over_tables(query, &tables, context).await,
                Base::Memory(source) => source,
            };
            let segment = SegmentRef::new("inline", query.intervals().to_vec(), source);
            let (running, surroundings, threads) = (query.clone(), context.clone(), self.settings.threads);
            let work = move || ovate_query::run_segments(&running, &[segment], &surroundings, threads);
            let partial = tokio::task::spawn_blocking(work).await;
            let partial = partial.map_err(|e| DruidError::runtime(format!("the query's thread failed: {e}")))??;
            finish(Arc::new(query), vec![partial], context).await
        })
    }

    /// The rows of the datasource, and the operators over them.
    async fn window_operators(&self, query: WindowOperatorQuery, context: QueryContext) -> Result<QueryRows> {
        let outer = NativeQuery::WindowOperator(query.clone());
        let rows = match query.base.data_source.clone() {
            DataSource::Query(inner) => self.subquery(*inner, &outer, &context).await?,
            other => {
                let scan = serde_json::json!({"queryType": "scan", "dataSource": other.to_json(), "intervals": ETERNITY});
                self.execute(NativeQuery::from_json(&scan)?, context.clone()).await?
            }
        };
        let work = tokio::task::spawn_blocking(move || run_window_operators(&query, rows, &context)).await;
        work.map_err(|e| DruidError::runtime(format!("the query's thread failed: {e}")))?
    }

    /// The rows of each query in turn, under the names of the first one's columns (`UnionQueryLogic`).
    async fn union(&self, union: UnionQuery, context: QueryContext) -> Result<QueryRows> {
        let outer = NativeQuery::Union(union.clone());
        let mut all: Option<QueryRows> = None;
        for query in union.queries {
            let rows = self.subquery(query, &outer, &context).await?;
            match &mut all {
                None => all = Some(QueryRows { signature: rows.signature, batches: rows.batches, ..QueryRows::default() }),
                Some(all) if all.signature.len() != rows.signature.len() => {
                    return Err(DruidError::invalid_input(format!(
                        "queries of a union must have equally many columns, got {} and {}",
                        all.signature.len(),
                        rows.signature.len()
                    )));
                }
                Some(all) => all.batches.extend(rows.batches),
            }
        }
        Ok(all.unwrap_or_default())
    }

    fn resolve<'a>(
        &'a self,
        source: DataSource,
        outer: &'a NativeQuery,
        context: &'a QueryContext,
    ) -> Boxed<'a, (DataSource, Base)> {
        Box::pin(async move {
            Ok(match source {
                DataSource::Table(name) | DataSource::GlobalTable(name) => {
                    (DataSource::Table(name.clone()), Base::Tables(vec![name]))
                }
                DataSource::Union(list) => {
                    let names = list.iter().flat_map(DataSource::table_names).collect();
                    if list.iter().any(|s| !matches!(s, DataSource::Table(_) | DataSource::GlobalTable(_))) {
                        return Err(DruidError::invalid_input("a union datasource may hold tables only"));
                    }
                    (DataSource::Union(list), Base::Tables(names))
                }
                DataSource::Inline(rows) => {
                    let table: Arc<dyn ColumnSource> = Arc::new(inline_table(&rows)?);
                    (DataSource::Inline(rows), Base::Memory(table))
                }
                DataSource::Lookup(name) => {
                    let table: Arc<dyn ColumnSource> = Arc::new(lookup_table(&name, &context.eval)?);
                    (DataSource::Lookup(name), Base::Memory(table))
                }
                DataSource::Query(query) => {
                    let rows = self.subquery(*query, outer, context).await?;
                    (empty_inline(), Base::Memory(Arc::new(rows_table(rows)?)))
                }
                DataSource::Unnest { base, virtual_column, unnest_filter } => {
                    let (inner, rows) = self.resolve(*base, outer, context).await?;
                    (DataSource::Unnest { base: Box::new(inner), virtual_column, unnest_filter }, rows)
                }
                DataSource::Filter { base, filter } => {
                    let (inner, rows) = self.resolve(*base, outer, context).await?;
                    (DataSource::Filter { base: Box::new(inner), filter }, rows)
                }
                DataSource::Join(join) => {
                    let JoinClause { left, right, right_prefix, condition, kind, left_filter } = *join;
                    let (left, rows) = self.resolve(left, outer, context).await?;
                    let right = self.materialize(right, outer, context).await?;
                    (DataSource::Join(Box::new(JoinClause { left, right, right_prefix, condition, kind, left_filter })), rows)
                }
            })
        })
    }

    /// The right side of a join, as rows in the document or a lookup.
    async fn materialize(&self, source: DataSource, outer: &NativeQuery, context: &QueryContext) -> Result<DataSource> {
        let query = match source {
            DataSource::Inline(_) | DataSource::Lookup(_) => return Ok(source),
            DataSource::Query(query) => *query,
            other => {
                let scan = serde_json::json!({"queryType": "scan", "dataSource": other.to_json(), "intervals": ETERNITY});
                NativeQuery::from_json(&scan)?
            }
        };
        let rows = self.subquery(query, outer, context).await?;
        Ok(DataSource::Inline(inline_rows(&rows)))
    }

    /// `maxSubqueryBytes` of the query, or of the server.
    fn subquery_bytes_max(&self, outer: &NativeQuery) -> Result<Option<u64>> {
        match outer.context().get("maxSubqueryBytes").and_then(|value| value.as_str()) {
            Some("disabled") => Ok(None),
            Some("auto") => Ok(Some(self.settings.budget.limit_bytes() / 10)),
            _ => match outer.context().long("maxSubqueryBytes")? {
                Some(bytes) => Ok(Some(bytes.max(0).unsigned_abs())),
                None => Ok(self.settings.subquery_bytes_max),
            },
        }
    }

    async fn subquery(&self, mut query: NativeQuery, outer: &NativeQuery, context: &QueryContext) -> Result<QueryRows> {
        for name in ["queryId", "sqlQueryId"] {
            if let Some(id) = outer.context().get(name) {
                query.context_mut().set(name, id.clone());
            }
        }
        let limit = match outer.context().long("maxSubqueryRows")? {
            Some(limit) => usize::try_from(limit).unwrap_or(0),
            None => self.settings.subquery_rows_max,
        };
        let bytes_max = self.subquery_bytes_max(outer)?;
        let rows = self.execute(query, context.clone()).await?;
        let bytes = rows.memory_bytes();
        if let Some(max) = bytes_max.filter(|max| bytes > *max) {
            return Err(DruidError::resource_limit(format!(
                "Subquery results take {bytes} bytes, beyond maximum[{max}] bytes; try setting the [maxSubqueryBytes] in the query \
                 context or druid.server.http.maxSubqueryBytes"
            )));
        }
        if rows.row_count() > limit {
            return Err(DruidError::resource_limit(format!(
                "Subquery generated results beyond maximum[{limit}] rows; try setting the [maxSubqueryRows] in the query context \
                 or druid.server.http.maxSubqueryRows"
            )));
        }
        Ok(rows)
    }
}

fn empty_inline() -> DataSource {
    DataSource::Inline(InlineRows { column_names: Vec::new(), column_types: None, rows: Vec::new() })
}

fn inline_rows(rows: &QueryRows) -> InlineRows {
    let cells = |b: &ovate_query::RowBatch, row: usize| b.columns.iter().map(|c| value::to_json(&c.value(row))).collect();
    InlineRows {
        column_names: rows.signature.iter().map(|(name, _)| name.to_string()).collect(),
        column_types: Some(rows.signature.iter().map(|(_, t)| t.clone()).collect()),
        rows: rows.batches.iter().flat_map(|b| (0..b.rows).map(move |row| cells(b, row))).collect(),
    }
}
