//! From stages to native query documents: which query type, which filters, dimensions, aggregators and order
//! (`DruidQuery`).

mod aggregate;
mod columns;
pub mod expr;
mod filter;
mod intervals;
mod planned;
mod post;
mod stage;

use ovate_base::time::{Zone, format_iso};
use ovate_base::{DruidError, Interval, Result};
use ovate_compute::{ColumnType, Value};
use serde_json::{Map, Value as Json, json};

use crate::plan::Rex;
use crate::types::SqlType;
use aggregate::Aggregations;
use columns::Columns;

use filter::FilterWriter;
use planned::split_sets;
pub use planned::{Output, Planned};
use post::Posts;
pub use stage::{Base, Grouping, Order, Stage};

/// What planning may depend on beside the relation.
#[derive(Debug, Clone)]
pub struct Settings {
    pub zone: Zone,
    pub approximate_top_n: bool,
    pub max_top_n_limit: u64,
    pub finalize_sketches: bool,
    /// MIN and MAX of time alone are a timeBoundary query (`enableTimeBoundaryPlanning`).
    pub time_boundary: bool,
    /// Goes into every native query.
    pub context: Map<String, Json>,
}

/// Names of the base's columns in the native query: a table's own, made-up ones else.
pub fn base_names(stage: &Stage) -> Vec<String> {
    match &stage.base {
        Base::Table(_) => stage.base_fields.iter().map(|f| f.name.to_string()).collect(),
        _ => (0..stage.base_fields.len()).map(|i| format!("c{i}")).collect(),
    }
}

/// The query of a stage over `data_source`.
pub fn plan(stage: &Stage, data_source: Json, settings: &Settings) -> Result<Planned> {
    let names = base_names(stage);
    let mut columns = Columns::new(&settings.zone, names);
    let (intervals, filters) = split_time(stage, &settings.zone);
    let (sets, filters) = split_sets(filters, &mut columns)?;
    let filter = match Rex::and_all(filters.clone()) {
        _ if filters.is_empty() => None,
        rex => Some(FilterWriter { columns: &mut columns, virtual_columns: true }.write(&rex)?),
    };
    let mut query = Map::new();
    query.insert("queryType".into(), json!("scan"));
    query.insert("dataSource".into(), data_source);
    query.insert(
        "intervals".into(),
        json!({"type": "intervals", "intervals": intervals.iter().map(interval_text).collect::<Vec<_>>()}),
    );
    if let Some(filter) = filter {
        query.insert("filter".into(), filter);
    }
    let mut planned = match &stage.aggregate {
        None => scan(stage, query, &mut columns)?,
        Some(grouping) => aggregation(stage, grouping, query, &mut columns, settings)?,
    };
    planned.nothing = intervals.is_empty() || sets.iter().any(|(_, set)| set.is_empty());
    planned.sets = sets;
    let documents = columns.documents();
    if !documents.is_empty() {
        planned.query.insert("virtualColumns".into(), json!(documents));
    }
    let mut context = settings.context.clone();
    if let Some(Json::Object(own)) = planned.query.remove("context") {
        context.extend(own);
    }
    planned.query.insert("context".into(), Json::Object(context));
    Ok(planned)
}

fn interval_text(interval: &Interval) -> String {
    format!("{}/{}", format_iso(interval.start), format_iso(interval.end))
}

/// The intervals, and the filters that are not about time alone.
fn split_time(stage: &Stage, zone: &Zone) -> (Vec<Interval>, Vec<Rex>) {
    let time = match stage.base {
        Base::Table(_) => stage.base_fields.iter().position(|f| f.name.as_ref() == "__time"),
        _ => None,
    };
    let mut intervals = vec![Interval::ETERNITY];
    let mut rest = Vec::new();
    for rex in &stage.filters {
        match time.and_then(|time| intervals::intervals_of(rex, time, zone)) {
            Some(list) => intervals = intervals::intersect(&intervals, &list),
            None => rest.push(rex.clone()),
        }
    }
    (intervals, rest)
}

fn scan(stage: &Stage, mut query: Map<String, Json>, columns: &mut Columns<'_>) -> Result<Planned> {
    let mut outputs = Vec::new();
    let mut read: Vec<String> = Vec::new();
    let mut types: Vec<String> = Vec::new();
    let mut add = |rex: &Rex, columns: &mut Columns<'_>| -> Result<String> {
        let name = columns.column(rex)?;
        if !read.contains(&name) {
            read.push(name.clone());
            types.push(rex.sql_type().native().to_string());
        }
        Ok(name)
    };
    for rex in &stage.output {
        outputs.push(match rex {
            Rex::Literal(value, _) => Output::Constant(value.clone()),
            other => Output::Column(add(other, columns)?),
        });
    }
    let mut sort_after = None;
    if let Some(order) = &stage.sort {
        let keys: Vec<&(Rex, bool, bool)> = order.keys.iter().filter(|(rex, _, _)| !rex.is_literal()).collect();
        let native = keys.iter().all(|(_, descending, nulls_first)| *nulls_first != *descending);
        let mut names = Vec::new();
        for (rex, descending, nulls_first) in keys {
            names.push((add(rex, columns)?, *descending, *nulls_first));
        }
        if native {
            if !names.is_empty() {
                let list: Vec<Json> = names
                    .iter()
                    .map(|(name, descending, _)| json!({"columnName": name, "order": if *descending { "descending" } else { "ascending" }}))
                    .collect();
                query.insert("orderBy".into(), json!(list));
            }
            match order.limit {
                // A native limit is at least 1.
                Some(0) => {
                    query.insert("limit".into(), json!(1));
                    sort_after = Some((Vec::new(), 0, Some(0)));
                }
                Some(limit) => {
                    query.insert("limit".into(), json!(limit));
                }
                None => {}
            }
            if order.offset > 0 {
                query.insert("offset".into(), json!(order.offset));
            }
        } else {
            sort_after = Some((names, order.offset, order.limit));
        }
    }
    if read.is_empty() {
        let first = match &stage.base {
            Base::Table(_) => Some("__time".to_owned()),
            _ => base_names(stage).first().cloned(),
        };
        if let Some(first) = first {
            types.push(if first == "__time" { "LONG".to_owned() } else { stage.base_fields[0].sql_type.native().to_string() });
            read.push(first);
        }
    }
    query.insert("columns".into(), json!(read));
    query.insert("columnTypes".into(), json!(types));
    query.insert("resultFormat".into(), json!("compactedList"));
    Ok(Planned { query, outputs, sort_after, nothing: false, sets: Vec::new() })
}

/// The keys in the order in which rows come where nothing else is asked for: that of the table's columns when all are
/// plain columns, as Calcite's merged aggregates have it; else as written.
fn in_column_order(keys: &[(String, Rex)]) -> Vec<&(String, Rex)> {
    let mut out: Vec<&(String, Rex)> = keys.iter().collect();
    let place = |key: &&(String, Rex)| match &key.1 {
        Rex::Input(index, _) => Some(*index),
        _ => None,
    };
    if out.iter().all(|key| place(key).is_some()) {
        out.sort_by_key(place);
    }
    out
}

fn unused_name(prefix: &str, columns: &Columns<'_>, stage: &Stage) -> String {
    let taken = |name: &str| (0..stage.base_fields.len()).any(|i| columns.name(i) == name);
    let mut name = prefix.to_owned();
    while taken(&name) {
        name = format!("_{name}");
    }
    name
}

fn aggregation(
    stage: &Stage,
    grouping: &Grouping,
    mut query: Map<String, Json>,
    columns: &mut Columns<'_>,
    settings: &Settings,
) -> Result<Planned> {
    let keys: Vec<(String, Rex)> =
        grouping.keys.iter().enumerate().map(|(i, key)| (unused_name(&format!("d{i}"), columns, stage), key.clone())).collect();
    let mut names: Vec<String> = keys.iter().map(|(name, _)| name.clone()).collect();
    let bucket = time_bucket(stage, grouping, settings);
    let mut dimensions = Vec::new();
    if bucket.is_none() {
        let whole = grouping.sets.len() == 1;
        for (name, key) in if whole { in_column_order(&keys) } else { keys.iter().collect() } {
            if let SqlType::Complex(kind) = key.sql_type()
                && kind.as_ref() != "json"
                && !kind.starts_with("serializablePair")
            {
                return Err(DruidError::invalid_input(format!(
                    "SQL requires a group-by on a column with type [{}] that is unsupported.",
                    key.sql_type().native()
                )));
            }
            let column = columns.column(key)?;
            dimensions.push(json!({"type": "default", "dimension": column, "outputName": name,
                "outputType": key.sql_type().native().to_string()}));
        }
    }
    let mut aggregations = Aggregations {
        columns,
        keys: &keys,
        finalize_sketches: settings.finalize_sketches,
        aggregators: Vec::new(),
        posts: Vec::new(),
    };
    for (i, call) in grouping.calls.iter().enumerate() {
        let name = unused_name(&format!("a{i}"), aggregations.columns, stage);
        aggregations.add(call, &name)?;
        names.push(name);
    }
    let (aggregators, own_posts) = (aggregations.aggregators, aggregations.posts);
    let having = match stage.having.is_empty() {
        true => None,
        false => {
            let mut over = Columns::without_virtual(&settings.zone, names.clone());
            let rex = Rex::and_all(stage.having.clone());
            Some(FilterWriter { columns: &mut over, virtual_columns: false }.write(&rex)?)
        }
    };
    let mut posts = Posts { zone: &settings.zone, names: &names, made: Vec::new(), documents: own_posts };
    let mut outputs = Vec::new();
    for rex in &stage.output {
        outputs.push(match rex {
            Rex::Literal(value, _) => Output::Constant(value.clone()),
            other => Output::Column(posts.column(other)?),
        });
    }
    let mut order = Vec::new();
    let (mut offset, mut limit) = (0, None);
    if let Some(sort) = &stage.sort {
        (offset, limit) = (sort.offset, sort.limit);
        for (rex, descending, nulls_first) in sort.keys.iter().filter(|(rex, _, _)| !rex.is_literal()) {
            order.push((posts.column(rex)?, rex.sql_type().clone(), *descending, *nulls_first));
        }
    }
    let native_order = order.iter().all(|(_, _, descending, nulls_first)| descending != nulls_first);
    let posts = posts.documents;
    query.insert("aggregations".into(), json!(aggregators));
    if !posts.is_empty() {
        query.insert("postAggregations".into(), json!(posts));
    }
    query.insert("granularity".into(), json!({"type": "all"}));
    let mut planned = Planned { query, outputs, sort_after: None, nothing: false, sets: Vec::new() };
    let plain_set = grouping.sets.len() == 1;
    if let Some((granularity, time_name)) =
        bucket.filter(|(_, name)| order.is_empty() || matches!(order.as_slice(), [(n, ..)] if n == name))
    {
        return Ok(timeseries(planned, granularity, &time_name, &order, offset, limit));
    }
    if settings.time_boundary
        && stage.filters.iter().all(|rex| !matches!(rex, Rex::Call { op: "IN_SET", .. }))
        && matches!(stage.base, Base::Table(_))
        && keys.is_empty()
        && having.is_none()
        && limit.is_none()
        && offset == 0
        && let Some(done) = time_boundary(&planned)
    {
        return Ok(done);
    }
    if keys.is_empty() && plain_set && having.is_none() {
        planned.query.insert("queryType".into(), json!("timeseries"));
        if limit == Some(0) || offset > 0 {
            planned.sort_after = Some((Vec::new(), offset, limit));
        }
        return Ok(planned);
    }
    if let Some(done) = top_n(&planned, &dimensions, grouping, having.is_some(), &order, offset, limit, settings) {
        return Ok(done);
    }
    planned.query.insert("queryType".into(), json!("groupBy"));
    planned.query.insert("dimensions".into(), json!(dimensions));
    if let Some(having) = having {
        planned.query.insert("having".into(), json!({"type": "filter", "filter": having}));
    }
    let whole_set = plain_set && grouping.sets[0].len() == keys.len();
    if !whole_set {
        let sets: Vec<Vec<&str>> = grouping.sets.iter().map(|set| set.iter().map(|i| keys[*i].0.as_str()).collect()).collect();
        planned.query.insert("subtotalsSpec".into(), json!(sets));
    }
    if native_order {
        let list: Vec<Json> = order
            .iter()
            .map(|(name, sql_type, descending, _)| {
                let kind = if sql_type.native().is_numeric() { "numeric" } else { "lexicographic" };
                json!({"dimension": name, "direction": if *descending { "descending" } else { "ascending" },
                    "dimensionOrder": {"type": kind}})
            })
            .collect();
        if limit == Some(0) {
            planned.sort_after = Some((Vec::new(), offset, limit));
        } else if !list.is_empty() || limit.is_some() || offset > 0 {
            let mut spec = json!({"type": "default", "columns": list});
            if let Some(limit) = limit {
                spec["limit"] = json!(limit);
            }
            if offset > 0 {
                spec["offset"] = json!(offset);
            }
            planned.query.insert("limitSpec".into(), spec);
        }
    } else {
        let keys = order.into_iter().map(|(name, _, d, n)| (name, d, n)).collect();
        planned.sort_after = Some((keys, offset, limit));
    }
    Ok(planned)
}

/// The bounds of time as a query of their own, where nothing else is asked for (`DruidQuery.toTimeBoundaryQuery`).
fn time_boundary(planned: &Planned) -> Option<Planned> {
    let mut planned = planned.clone();
    if planned.query.contains_key("filter") || planned.query.contains_key("postAggregations") {
        return None;
    }
    let aggregators = planned.query.remove("aggregations")?;
    let mut bounds: Vec<(&str, String)> = Vec::new();
    for aggregator in aggregators.as_array()? {
        let bound = match aggregator["type"].as_str()? {
            "longMin" => "minTime",
            "longMax" => "maxTime",
            _ => return None,
        };
        if aggregator["fieldName"] != "__time" || bounds.iter().any(|(known, _)| *known == bound) {
            return None;
        }
        bounds.push((bound, aggregator["name"].as_str()?.to_owned()));
    }
    for output in &mut planned.outputs {
        if let Output::Column(name) = output {
            let (bound, _) = bounds.iter().find(|(_, own)| own == name)?;
            *output = Output::Column((*bound).to_owned());
        }
    }
    planned.query.remove("granularity");
    planned.query.insert("queryType".into(), json!("timeBoundary"));
    if let [(only, _)] = bounds.as_slice() {
        planned.query.insert("bound".into(), json!(only));
    }
    let names: Map<String, Json> = bounds.iter().map(|(bound, name)| (format!("{bound}ArrayOutputName"), json!(name))).collect();
    planned.query.insert("context".into(), Json::Object(names));
    (!bounds.is_empty()).then_some(planned)
}

fn timeseries(
    mut planned: Planned,
    granularity: Json,
    time_name: &str,
    order: &[(String, SqlType, bool, bool)],
    offset: u64,
    limit: Option<u64>,
) -> Planned {
    planned.query.insert("queryType".into(), json!("timeseries"));
    planned.query.insert("granularity".into(), granularity);
    if order.first().is_some_and(|(_, _, descending, _)| *descending) {
        planned.query.insert("descending".into(), json!(true));
    }
    planned.query.insert("context".into(), json!({"skipEmptyBuckets": true, "timestampResultField": time_name}));
    match limit {
        Some(n) if n > 0 && offset == 0 => {
            planned.query.insert("limit".into(), json!(n));
        }
        None if offset == 0 => {}
        _ => planned.sort_after = Some((Vec::new(), offset, limit)),
    }
    planned
}

/// A single key that rounds `__time` down: the granularity, and the key's output name.
fn time_bucket(stage: &Stage, grouping: &Grouping, settings: &Settings) -> Option<(Json, String)> {
    if !matches!(stage.base, Base::Table(_)) || grouping.keys.len() != 1 || grouping.sets != [vec![0]] || !stage.having.is_empty()
    {
        return None;
    }
    let offset_only = stage.sort.as_ref().is_some_and(|s| s.keys.iter().any(|(rex, _, _)| !matches!(rex, Rex::Input(0, _))));
    if offset_only {
        return None;
    }
    let Rex::Call { op, args, .. } = &grouping.keys[0] else { return None };
    let Rex::Input(index, SqlType::Timestamp) = &args[0] else { return None };
    if stage.base_fields[*index].name.as_ref() != "__time" {
        return None;
    }
    let (period, zone) = match (*op, args.len()) {
        ("FLOOR", 2) => (expr::unit_period(args[1].literal_text()?)?.to_owned(), settings.zone.id()),
        ("TIME_FLOOR", 2) => (args[1].literal_text()?.to_owned(), settings.zone.id()),
        ("TIME_FLOOR", 4) if args[2].literal().is_some_and(Value::is_null) => {
            (args[1].literal_text()?.to_owned(), args[3].literal_text()?.to_owned())
        }
        _ => return None,
    };
    ovate_base::time::Period::parse(&period).ok()?;
    Some((json!({"type": "period", "period": period, "timeZone": zone}), "d0".to_owned()))
}

#[allow(clippy::too_many_arguments)]
fn top_n(
    planned: &Planned,
    dimensions: &[Json],
    grouping: &Grouping,
    having: bool,
    order: &[(String, SqlType, bool, bool)],
    offset: u64,
    limit: Option<u64>,
    settings: &Settings,
) -> Option<Planned> {
    let ([dimension], [(column, sql_type, descending, nulls_first)], Some(limit)) = (dimensions, order, limit) else {
        return None;
    };
    let key = grouping.keys[0].sql_type().native();
    let fits = settings.approximate_top_n
        && !having
        && offset == 0
        && limit > 0
        && limit <= settings.max_top_n_limit
        && grouping.sets == [vec![0]]
        && descending != nulls_first
        && !matches!(key, ColumnType::Array(_) | ColumnType::Complex(_))
        && !matches!(sql_type.native(), ColumnType::Array(_) | ColumnType::Complex(_));
    if !fits {
        return None;
    }
    let name = dimension["outputName"].as_str()?;
    let metric = if column == name {
        let ordering = if key.is_numeric() { "numeric" } else { "lexicographic" };
        let metric = json!({"type": "dimension", "ordering": {"type": ordering}});
        if *descending { json!({"type": "inverted", "metric": metric}) } else { metric }
    } else {
        if !sql_type.native().is_numeric() {
            return None;
        }
        let metric = json!({"type": "numeric", "metric": column});
        if *descending { metric } else { json!({"type": "inverted", "metric": metric}) }
    };
    let mut planned = planned.clone();
    planned.query.insert("queryType".into(), json!("topN"));
    planned.query.insert("dimension".into(), dimension.clone());
    planned.query.insert("metric".into(), metric);
    planned.query.insert("threshold".into(), json!(limit));
    Some(planned)
}
