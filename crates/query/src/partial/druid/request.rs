//! The query that a Broker sends to a JVM data server: exactly these segments, aggregators in their intermediate form, and
//! nothing that is the Broker's own work (`formats/cluster-protocols.md` 8.1, 8.3).

use ovate_base::{Granularity, Result, SegmentDescriptor};
use ovate_compute::filter::FilterSpec;
use serde_json::{Value, json};

use crate::document::{DataSource, JoinClause, LimitSpec, NativeQuery, QuerySegments, ScanResultFormat};

/// Stands for the beginning of all time in groupBy answers of granularity `all`.
const ETERNITY_FUDGE: &str = "-4611686018427387904";
/// What a Broker sets and a data server need not know.
const OWN_PARAMETERS: &[&str] =
    &["grandTotal", "maxScatterGatherBytes", "queryFailTime", "useResultLevelCache", "populateResultLevelCache"];

/// The query for `segments` of `table`. `timeout_ms`: what is left of the query's time, 0 for no end.
pub fn data_server_query(query: &NativeQuery, table: &str, segments: Vec<SegmentDescriptor>, timeout_ms: u64) -> Result<Value> {
    let mut query = query.clone();
    {
        let threshold = query.context().min_top_n_threshold()?;
        let base = query.base_mut();
        base.data_source = over_table(base.data_source.clone(), table);
        base.segments = QuerySegments::specific(segments);
        let all = base.granularity == Granularity::All;
        let context = &mut base.context;
        OWN_PARAMETERS.iter().for_each(|name| drop(context.0.shift_remove(*name)));
        context.set("finalize", false);
        context.set("bySegment", false);
        context.set("timeout", timeout_ms);
        match &mut query {
            NativeQuery::GroupBy(group_by) => {
                group_by.post_aggregations = Vec::new();
                group_by.having = None;
                group_by.limit_spec = LimitSpec::default();
                group_by.subtotals = None;
                let context = &mut group_by.base.context;
                for (name, value) in [("resultAsArray", true), ("groupByOutermost", false), ("applyLimitPushDown", false)] {
                    context.set(name, value);
                }
                context.0.shift_remove("forceLimitPushDown");
                if all {
                    context.set("fudgeTimestamp", ETERNITY_FUDGE);
                }
            }
            NativeQuery::TopN(top_n) => top_n.threshold = top_n.threshold.max(threshold),
            NativeQuery::Timeseries(timeseries) => {
                timeseries.limit = None;
                timeseries.post_aggregations = Vec::new();
            }
            NativeQuery::Scan(scan) => {
                scan.result_format = ScanResultFormat::CompactedList;
                scan.base.context.set("scanOutermost", false);
                scan.limit = scan.limit.map(|limit| limit.saturating_add(scan.offset));
                scan.offset = 0;
                // Data servers of Druid order by time alone; any other order is made here.
                if !scan.order_by.is_empty() && scan.time_order().is_none() {
                    scan.order_by = Vec::new();
                    scan.limit = None;
                }
            }
            NativeQuery::Search(_)
            | NativeQuery::TimeBoundary(_)
            | NativeQuery::SegmentMetadata(_)
            | NativeQuery::DataSourceMetadata(_)
            | NativeQuery::WindowOperator(_)
            | NativeQuery::Union(_)
            | NativeQuery::MovingAverage(_) => {}
        }
    }
    let mut document = query.to_json();
    write_sets_out(&mut document)?;
    if let NativeQuery::Scan(scan) = &query
        && let Some(direction) = scan.time_order()
    {
        // Older servers know `order` only.
        if let Some(document) = document.as_object_mut() {
            document.shift_remove("orderBy");
            document.insert("order".to_owned(), json!(direction.name()));
        }
    }
    Ok(document)
}

/// Sets of longs are a filter that only our own servers know; to Druid's they are lists.
fn write_sets_out(document: &mut Value) -> Result<()> {
    match document {
        Value::Object(fields) if fields.get("type").is_some_and(|name| name == "ovateLongs") => {
            if let FilterSpec::LongSet { column, set } = FilterSpec::from_json(document)? {
                let values: Vec<String> = set.to_vec().iter().map(i64::to_string).collect();
                *document = json!({"type": "in", "dimension": column, "values": values});
            }
            Ok(())
        }
        Value::Object(fields) => fields.values_mut().try_for_each(write_sets_out),
        Value::Array(items) => items.iter_mut().try_for_each(write_sets_out),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}

/// The datasource with `table` at its bottom, also where that is a union of tables.
fn over_table(source: DataSource, table: &str) -> DataSource {
    match source {
        DataSource::Table(_) | DataSource::GlobalTable(_) | DataSource::Union(_) => DataSource::Table(table.to_owned()),
        DataSource::Unnest { base, virtual_column, unnest_filter } => {
            DataSource::Unnest { base: Box::new(over_table(*base, table)), virtual_column, unnest_filter }
        }
        DataSource::Filter { base, filter } => DataSource::Filter { base: Box::new(over_table(*base, table)), filter },
        DataSource::Join(join) => {
            let JoinClause { left, right, right_prefix, condition, kind, left_filter } = *join;
            let left = over_table(left, table);
            DataSource::Join(Box::new(JoinClause { left, right, right_prefix, condition, kind, left_filter }))
        }
        other @ (DataSource::Lookup(_) | DataSource::Inline(_) | DataSource::Query(_)) => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_of_longs_are_lists_for_druids_servers_wherever_they_stand() {
        let set = json!({"type": "ovateLongs", "column": "n", "values": [5, 3, 4_000_000_000_000_i64]});
        let document = json!({"queryType": "timeseries", "dataSource": "t", "intervals": "2000/2001", "granularity": "all",
            "filter": {"type": "and", "fields": [{"type": "selector", "dimension": "a", "value": "b"}, {"type": "not", "field": set}]},
            "aggregations": [{"type": "filtered", "filter": set, "aggregator": {"type": "count", "name": "c"}}]});
        let query = NativeQuery::from_json(&document).expect("a query");
        let sent = data_server_query(&query, "t", Vec::new(), 0).expect("a query for Druid");
        let list = json!({"type": "in", "dimension": "n", "values": ["3", "5", "4000000000000"]});
        assert!(!sent.to_string().contains("ovateLongs"), "{sent}");
        let found = |filter: &Value| (filter["type"].clone(), filter["dimension"].clone(), filter["values"].clone());
        assert_eq!(found(&sent["filter"]["fields"][1]["field"]), found(&list));
        assert_eq!(found(&sent["aggregations"][0]["filter"]), found(&list));
    }
}
