//! Aggregate calls as native aggregators and post-aggregators (Druid's `SqlAggregator`s).

use ovate_base::{DruidError, Result};
use ovate_compute::{ColumnType, Value};
use serde_json::{Value as Json, json};

use super::columns::{Columns, transparent};
use super::expr::{quoted, text};
use super::filter::FilterWriter;
use crate::plan::{AggregateCall, Rex};
use crate::types::SqlType;

/// Collects the aggregators of one query.
pub struct Aggregations<'a, 'b> {
    pub columns: &'a mut Columns<'b>,
    /// Output names of the group keys with the keys, for GROUPING.
    pub keys: &'a [(String, Rex)],
    /// Sketches are given as their estimates (`sqlFinalizeOuterSketches`).
    pub finalize_sketches: bool,
    pub aggregators: Vec<Json>,
    pub posts: Vec<Json>,
}

impl Aggregations<'_, '_> {
    /// Adds what computes the call under this output name.
    pub fn add(&mut self, call: &AggregateCall, name: &str) -> Result<()> {
        let filter = match &call.filter {
            Some(rex) => Some(FilterWriter { columns: self.columns, virtual_columns: true }.write(rex)?),
            None => None,
        };
        self.call(call, name, filter)
    }

    fn push(&mut self, aggregator: Json, filter: Option<Json>) {
        self.aggregators.push(match filter {
            None => aggregator,
            Some(filter) => {
                let name = aggregator["name"].clone();
                json!({"type": "filtered", "aggregator": aggregator, "filter": filter, "name": name})
            }
        });
    }

    fn not_null(&mut self, args: &[Rex], filter: Option<Json>) -> Result<Option<Json>> {
        let mut fields: Vec<Json> = filter.into_iter().collect();
        for arg in args {
            if arg.literal().is_some_and(|v| !v.is_null()) {
                continue;
            }
            if matches!(arg, Rex::Input(i, SqlType::Timestamp) if self.columns.name(*i) == "__time") {
                continue;
            }
            let test = Rex::call("IS NOT NULL", vec![arg.clone()], SqlType::Boolean);
            fields.push(FilterWriter { columns: self.columns, virtual_columns: true }.write(&test)?);
        }
        Ok(match fields.len() {
            0 => None,
            1 => Some(fields.remove(0)),
            _ => Some(json!({"type": "and", "fields": fields})),
        })
    }

    fn call(&mut self, call: &AggregateCall, name: &str, filter: Option<Json>) -> Result<()> {
        let args = &call.args;
        match call.function {
            "COUNT" if call.distinct => self.cardinality(args, name, filter),
            "COUNT" => {
                let filter = self.not_null(args, filter)?;
                self.push(json!({"type": "count", "name": name}), filter);
                Ok(())
            }
            "SUM" | "MIN" | "MAX" => self.simple(call, name, filter),
            "AVG" => self.average(call, name, filter),
            "APPROX_COUNT_DISTINCT" | "APPROX_COUNT_DISTINCT_BUILTIN" => self.cardinality(args, name, filter),
            "EARLIEST" | "LATEST" | "EARLIEST_BY" | "LATEST_BY" | "ANY_VALUE" | "SINGLE_VALUE" => {
                self.first_last(call, name, filter)
            }
            "GROUPING" => self.grouping(args, name),
            "ARRAY_AGG" | "ARRAY_CONCAT_AGG" | "STRING_AGG" => self.collect(call, name, filter),
            "BIT_AND" | "BIT_OR" | "BIT_XOR" => self.bits(call, name, filter),
            "VAR_POP" | "VAR_SAMP" | "VARIANCE" | "STDDEV_POP" | "STDDEV_SAMP" | "STDDEV" => self.variance(call, name, filter),
            _ => self.sketch(call, name, filter),
        }
    }

    fn simple(&mut self, call: &AggregateCall, name: &str, filter: Option<Json>) -> Result<()> {
        let arg = &call.args[0];
        let native = arg.sql_type().native();
        let kind = match (call.function, &native) {
            ("SUM", ColumnType::Long) => "longSum",
            ("SUM", _) if call.sql_type == SqlType::Bigint => "longSum",
            ("SUM", _) => "doubleSum",
            ("MIN", ColumnType::Long) => "longMin",
            ("MIN", ColumnType::Float) => "floatMin",
            ("MIN", ColumnType::Double) => "doubleMin",
            ("MAX", ColumnType::Long) => "longMax",
            ("MAX", ColumnType::Float) => "floatMax",
            ("MAX", ColumnType::Double) => "doubleMax",
            _ if *arg.sql_type() == SqlType::Null => {
                if call.function == "MIN" {
                    "longMin"
                } else {
                    "longMax"
                }
            }
            (function, other) => {
                let column = self.columns.column(arg).unwrap_or_default();
                return Err(DruidError::new(
                    ovate_base::Persona::Admin,
                    ovate_base::Category::InvalidInput,
                    "general",
                    format!("Aggregation [{function}] does not support type [{other}], column [{column}]"),
                ));
            }
        };
        let field = self.columns.column(arg)?;
        self.push(json!({"type": kind, "name": name, "fieldName": field}), filter);
        Ok(())
    }

    fn average(&mut self, call: &AggregateCall, name: &str, filter: Option<Json>) -> Result<()> {
        let arg = &call.args[0];
        let field = self.columns.column(arg)?;
        let (sum, count) = (format!("{name}:sum"), format!("{name}:count"));
        self.push(json!({"type": "doubleSum", "name": sum, "fieldName": field}), filter.clone());
        let filter = self.not_null(std::slice::from_ref(arg), filter)?;
        self.push(json!({"type": "count", "name": count}), filter);
        self.posts.push(json!({"type": "arithmetic", "name": name, "fn": "quotient", "fields": [
            {"type": "fieldAccess", "fieldName": sum}, {"type": "fieldAccess", "fieldName": count},
        ]}));
        Ok(())
    }

    fn cardinality(&mut self, args: &[Rex], name: &str, filter: Option<Json>) -> Result<()> {
        if let [arg] = args
            && let SqlType::Complex(kind) = arg.sql_type()
        {
            let field = self.columns.column(arg)?;
            let aggregator = match kind.as_ref() {
                "hyperUnique" => {
                    json!({"type": "hyperUnique", "name": name, "fieldName": field, "isInputHyperUnique": false, "round": true})
                }
                "HLLSketch" | "HLLSketchBuild" | "HLLSketchMerge" => {
                    json!({"type": "HLLSketchMerge", "name": name, "fieldName": field, "round": true})
                }
                "thetaSketch" => json!({"type": "thetaSketch", "name": name, "fieldName": field}),
                _ => {
                    return Err(DruidError::invalid_sql(format!(
                        "Using APPROX_COUNT_DISTINCT() or enabling approximation with COUNT(DISTINCT) is not supported for column \
                             type [{}]. You can disable approximation by setting [useApproximateCountDistinct: false] in the query context.",
                        arg.sql_type().native()
                    )));
                }
            };
            self.push(aggregator, filter);
            return Ok(());
        }
        let mut fields = Vec::new();
        for arg in args {
            let column = self.columns.column(arg)?;
            let output = match arg.sql_type().native() {
                ColumnType::Array(_) => {
                    return Err(DruidError::invalid_sql(format!(
                        "Using APPROX_COUNT_DISTINCT() or enabling approximation with COUNT(DISTINCT) is not supported for column type \
                         [{}]. You can disable approximation by setting [useApproximateCountDistinct: false] in the query context.",
                        arg.sql_type().native()
                    )));
                }
                other => other.to_string(),
            };
            fields.push(json!({"type": "default", "dimension": column, "outputName": column, "outputType": output}));
        }
        let by_row = fields.len() > 1;
        self.push(json!({"type": "cardinality", "name": name, "fields": fields, "byRow": by_row, "round": true}), filter);
        Ok(())
    }

    fn first_last(&mut self, call: &AggregateCall, name: &str, filter: Option<Json>) -> Result<()> {
        let by = call.function.ends_with("_BY");
        let arg = &call.args[0];
        let field = self.columns.column(arg)?;
        let which = match call.function {
            "EARLIEST" | "EARLIEST_BY" => "First",
            "LATEST" | "LATEST_BY" => "Last",
            _ => "Any",
        };
        let (prefix, text_like) = match call.sql_type.native() {
            ColumnType::Long => ("long", false),
            ColumnType::Float => ("float", false),
            ColumnType::Double => ("double", false),
            ColumnType::String => ("string", true),
            // Arrays are taken by their text.
            ColumnType::Array(_) => ("string", true),
            ColumnType::Complex(_) if which == "Any" => ("string", true),
            other => {
                return Err(DruidError::invalid_sql(format!(
                    "Aggregation [{}] does not support type [{other}], column [{field}]",
                    call.function
                )));
            }
        };
        let mut aggregator = json!({"type": format!("{prefix}{which}"), "name": name, "fieldName": field});
        if which != "Any" {
            let time = match by.then(|| call.args.get(1)).flatten() {
                Some(rex) => self.columns.column(rex)?,
                None => "__time".to_owned(),
            };
            aggregator["timeColumn"] = json!(time);
        }
        if text_like {
            let bytes = call.args.get(if by { 2 } else { 1 }).and_then(Rex::literal).and_then(Value::as_long);
            aggregator["maxStringBytes"] = json!(bytes.unwrap_or(1024));
            if let (Some(flag), "Any") = (call.args.get(2).and_then(Rex::literal), which) {
                aggregator["aggregateMultipleValues"] = json!(flag.as_long() != Some(0));
            }
        }
        self.push(aggregator, filter);
        Ok(())
    }

    fn grouping(&mut self, args: &[Rex], name: &str) -> Result<()> {
        let mut groupings = Vec::new();
        for arg in args {
            let key = self.keys.iter().find(|(_, key)| key == arg);
            let key =
                key.ok_or_else(|| DruidError::invalid_sql("Argument to operator 'GROUPING' must be a grouped expression"))?;
            groupings.push(json!(key.0));
        }
        self.push(json!({"type": "grouping", "name": name, "groupings": groupings}), None);
        Ok(())
    }

    /// ARRAY_AGG, ARRAY_CONCAT_AGG and STRING_AGG as `expression` aggregators.
    fn collect(&mut self, call: &AggregateCall, name: &str, filter: Option<Json>) -> Result<()> {
        let strings = call.function == "STRING_AGG";
        let text_arg;
        let arg = match &call.args[0] {
            arg if strings && !arg.sql_type().is_text() => {
                text_arg = Rex::call("CAST", vec![arg.clone()], SqlType::Varchar);
                match arg.sql_type() {
                    SqlType::Timestamp | SqlType::Date => arg,
                    _ => &text_arg,
                }
            }
            arg => arg,
        };
        let field = self.columns.column(arg)?;
        let size_at = if strings { 2 } else { 1 };
        let size = call.args.get(size_at).and_then(Rex::literal).and_then(Value::as_long).unwrap_or(1024);
        let array = match arg.sql_type() {
            _ if strings => ColumnType::array(ColumnType::String),
            t @ SqlType::Array(_) => match call.function {
                "ARRAY_CONCAT_AGG" => t.native(),
                _ => ColumnType::array(t.native()),
            },
            t => SqlType::Array(Box::new(t.clone())).native(),
        };
        let empty = format!("{array}[]");
        let (fold, combine) = match (call.function, call.distinct) {
            ("ARRAY_CONCAT_AGG", false) => ("array_concat", "array_concat"),
            ("ARRAY_CONCAT_AGG", true) => ("array_set_add_all", "array_set_add_all"),
            (_, false) => ("array_append", "array_concat"),
            (_, true) => ("array_set_add", "array_set_add_all"),
        };
        let mut aggregator = json!({
            "type": "expression", "name": name, "fields": [field], "accumulatorIdentifier": "__acc",
            "initialValue": empty, "initialCombineValue": empty,
            "isNullUnlessAggregated": true, "shouldAggregateNullInputs": !strings,
            "shouldCombineAggregateNullInputs": !strings && call.function != "ARRAY_CONCAT_AGG",
            "fold": format!("{fold}(\"__acc\", {})", quoted(&field)),
            "combine": format!("{combine}(\"__acc\", {})", quoted(name)),
            "maxSizeBytes": size,
        });
        if call.function == "ARRAY_CONCAT_AGG" {
            aggregator["shouldAggregateNullInputs"] = json!(false);
        }
        let mut filter = filter;
        if strings {
            let separator = match call.args.get(1).map(Rex::literal) {
                None => String::new(),
                Some(Some(value)) => value.as_text().map(|t| t.to_string()).unwrap_or_default(),
                Some(None) => return Err(DruidError::invalid_sql("Argument 2 to function 'STRING_AGG' must be a literal")),
            };
            aggregator["finalize"] = json!(format!("if(array_length(o) == 0, null, array_to_string(o, {}))", text(&separator)));
            filter = self.not_null(std::slice::from_ref(arg), filter)?;
        }
        self.push(aggregator, filter);
        Ok(())
    }

    fn bits(&mut self, call: &AggregateCall, name: &str, filter: Option<Json>) -> Result<()> {
        let arg = &call.args[0];
        let field = self.columns.column(arg)?;
        let (function, start) = match call.function {
            "BIT_AND" => ("bitwiseAnd", "0"),
            "BIT_OR" => ("bitwiseOr", "0"),
            _ => ("bitwiseXor", "0"),
        };
        let aggregator = json!({
            "type": "expression", "name": name, "fields": [field], "accumulatorIdentifier": "__acc",
            "initialValue": start, "initialCombineValue": start,
            "isNullUnlessAggregated": true, "shouldAggregateNullInputs": false, "shouldCombineAggregateNullInputs": false,
            "fold": format!("{function}(\"__acc\", {})", quoted(&field)),
            "combine": format!("{function}(\"__acc\", {})", quoted(name)),
            "maxSizeBytes": 1024,
        });
        let filter = self.not_null(std::slice::from_ref(arg), filter)?;
        self.push(aggregator, filter);
        Ok(())
    }

    fn variance(&mut self, call: &AggregateCall, name: &str, filter: Option<Json>) -> Result<()> {
        let arg = &call.args[0];
        let field = self.columns.column(arg)?;
        let population = call.function.ends_with("_POP");
        let deviation = call.function.starts_with("STDDEV");
        let inner = if deviation { format!("{name}:agg") } else { name.to_owned() };
        let mut aggregator = match arg.sql_type() {
            SqlType::Complex(_) => json!({"type": "varianceFold", "name": inner, "fieldName": field}),
            t => {
                let input = match t.native() {
                    ColumnType::Long => "long",
                    ColumnType::Float => "float",
                    _ => "double",
                };
                json!({"type": "variance", "name": inner, "fieldName": field, "inputType": input})
            }
        };
        if population {
            aggregator["estimator"] = json!("population");
        }
        self.push(aggregator, filter);
        if deviation {
            let mut post = json!({"type": "stddev", "name": name, "fieldName": inner});
            if population {
                post["estimator"] = json!("population");
            }
            self.posts.push(post);
        }
        Ok(())
    }

    fn sketch(&mut self, call: &AggregateCall, name: &str, filter: Option<Json>) -> Result<()> {
        let arg = &call.args[0];
        let field = self.columns.column(arg)?;
        let number = |i: usize| -> Result<Option<f64>> {
            match call.args.get(i) {
                None => Ok(None),
                Some(rex) => match rex.literal() {
                    Some(value) => Ok(value.as_double()),
                    None => Err(DruidError::invalid_sql(format!(
                        "Argument {} to function '{}' must be a literal",
                        i + 1,
                        call.function
                    ))),
                },
            }
        };
        let whole = |i: usize| -> Result<Option<i64>> { Ok(number(i)?.map(|d| d as i64)) };
        let complex = matches!(transparent(arg).sql_type(), SqlType::Complex(_));
        match call.function {
            "APPROX_COUNT_DISTINCT_DS_HLL" | "APPROX_COUNT_DISTINCT_DS_HLL_UTF8" | "DS_HLL" => {
                let kind = if complex { "HLLSketchMerge" } else { "HLLSketchBuild" };
                let mut aggregator = json!({"type": kind, "name": name, "fieldName": field, "round": true});
                if let Some(k) = whole(1)? {
                    aggregator["lgK"] = json!(k);
                }
                if let Some(target) = call.args.get(2).and_then(Rex::literal_text) {
                    aggregator["tgtHllType"] = json!(target);
                }
                aggregator["shouldFinalize"] = json!(self.finalize_sketches || call.function != "DS_HLL");
                if call.function.ends_with("_UTF8") {
                    aggregator["stringEncoding"] = json!("utf8");
                }
                self.push(aggregator, filter);
            }
            "APPROX_COUNT_DISTINCT_DS_THETA" | "DS_THETA" => {
                let mut aggregator = json!({"type": "thetaSketch", "name": name, "fieldName": field,
                    "shouldFinalize": self.finalize_sketches || call.function != "DS_THETA", "isInputThetaSketch": false});
                aggregator["size"] = json!(whole(1)?.unwrap_or(16384));
                self.push(aggregator, filter);
            }
            "DS_QUANTILES_SKETCH" | "APPROX_QUANTILE_DS" => {
                let quantile = call.function == "APPROX_QUANTILE_DS";
                let k = whole(if quantile { 2 } else { 1 })?.unwrap_or(128);
                let inner = if quantile { format!("{name}:agg") } else { name.to_owned() };
                self.push(
                    json!({"type": "quantilesDoublesSketch", "name": inner, "fieldName": field, "k": k, "shouldFinalize": quantile || self.finalize_sketches}),
                    filter,
                );
                if quantile {
                    let fraction = number(1)?.ok_or_else(|| DruidError::invalid_sql("APPROX_QUANTILE_DS needs a probability"))?;
                    self.posts.push(json!({"type": "quantilesDoublesSketchToQuantile", "name": name, "fraction": fraction,
                        "field": {"type": "fieldAccess", "fieldName": inner}}));
                }
            }
            "APPROX_QUANTILE" | "APPROX_QUANTILE_FIXED_BUCKETS" => {
                let inner = format!("{name}:agg");
                let fraction =
                    number(1)?.ok_or_else(|| DruidError::invalid_sql(format!("{} needs a probability", call.function)))?;
                let aggregator = if call.function == "APPROX_QUANTILE" {
                    let kind = if complex { "approxHistogramFold" } else { "approxHistogram" };
                    json!({"type": kind, "name": inner, "fieldName": field, "resolution": whole(2)?.unwrap_or(50),
                        "numBuckets": 7, "lowerLimit": "-Infinity", "upperLimit": "Infinity"})
                } else {
                    let mode = call.args.get(5).and_then(Rex::literal_text).unwrap_or("ignore").to_owned();
                    json!({"type": "fixedBucketsHistogram", "name": inner, "fieldName": field, "numBuckets": whole(2)?,
                        "lowerLimit": number(3)?, "upperLimit": number(4)?, "outlierHandlingMode": mode})
                };
                self.push(aggregator, filter);
                self.posts.push(json!({"type": "quantile", "name": name, "fieldName": inner, "probability": fraction}));
            }
            "DS_TUPLE_DOUBLES" => {
                let mut metrics = Vec::new();
                let mut entries = 16384;
                for (i, rex) in call.args.iter().enumerate().skip(1) {
                    match rex.literal().and_then(Value::as_long) {
                        Some(n) if i + 1 == call.args.len() => entries = n,
                        _ => metrics.push(self.columns.column(rex)?),
                    }
                }
                let aggregator = json!({"type": "arrayOfDoublesSketch", "name": name, "fieldName": field, "nominalEntries": entries,
                    "metricColumns": if metrics.is_empty() { Json::Null } else { json!(metrics) }});
                self.push(aggregator, filter);
            }
            "BLOOM_FILTER" => {
                let output = arg.sql_type().native().to_string();
                let dimension = json!({"type": "default", "dimension": field, "outputName": field, "outputType": output});
                let entries = whole(1)?.unwrap_or(1500);
                self.push(json!({"type": "bloom", "name": name, "field": dimension, "maxNumEntries": entries}), filter);
            }
            _ => return self.contributed(call, name, filter, &field, complex),
        }
        Ok(())
    }

    /// Aggregates of contributed extensions.
    fn contributed(&mut self, call: &AggregateCall, name: &str, filter: Option<Json>, field: &str, complex: bool) -> Result<()> {
        let literal = |i: usize| -> Result<Option<&Value>> {
            let Some(rex) = call.args.get(i) else { return Ok(None) };
            let message = || format!("Argument {} to function '{}' must be a literal", i + 1, call.function);
            rex.literal().map(Some).ok_or_else(|| DruidError::invalid_sql(message()))
        };
        let whole = |i: usize| -> Result<Option<i64>> { Ok(literal(i)?.and_then(Value::as_long)) };
        let inner = format!("{name}:agg");
        let of_inner = json!({"type": "fieldAccess", "fieldName": inner});
        let (aggregator, post) = match call.function {
            "BITMAP64_EXACT_COUNT" => {
                let kind = if complex { "Bitmap64ExactCountMerge" } else { "Bitmap64ExactCountBuild" };
                (json!({"type": kind, "name": name, "fieldName": field}), None)
            }
            "TDIGEST_GENERATE_SKETCH" => {
                let compression = whole(1)?.unwrap_or(100);
                (json!({"type": "tDigestSketch", "name": name, "fieldName": field, "compression": compression}), None)
            }
            "TDIGEST_QUANTILE" => {
                let compression = whole(2)?.unwrap_or(100);
                let fraction = literal(1)?.and_then(Value::as_double);
                let aggregator = json!({"type": "tDigestSketch", "name": inner, "fieldName": field, "compression": compression});
                let post = json!({"type": "quantileFromTDigestSketch", "name": name, "field": of_inner, "fraction": fraction});
                (aggregator, Some(post))
            }
            "SPECTATOR_COUNT" | "SPECTATOR_PERCENTILE" => {
                let aggregator = json!({"type": "spectatorHistogram", "name": inner, "fieldName": field});
                let mut post = json!({"type": "countSpectatorHistogram", "name": name, "field": of_inner});
                match literal(1)? {
                    Some(Value::Array(percentiles)) => {
                        post["type"] = json!("percentilesSpectatorHistogram");
                        post["percentiles"] = percentiles.iter().map(|p| json!(p.as_double())).collect();
                    }
                    Some(percentile) => {
                        post["type"] = json!("percentileSpectatorHistogram");
                        post["percentile"] = json!(percentile.as_double());
                    }
                    None => {}
                }
                (aggregator, Some(post))
            }
            "BIG_SUM" | "BIG_MIN" | "BIG_MAX" => {
                let kind = match call.function {
                    "BIG_SUM" => "compressedBigDecimalSum",
                    "BIG_MIN" => "compressedBigDecimalMin",
                    _ => "compressedBigDecimalMax",
                };
                let mut aggregator = json!({"type": kind, "name": name, "fieldName": field});
                for (i, setting) in [(1, "size"), (2, "scale")] {
                    if let Some(value) = whole(i)? {
                        aggregator[setting] = json!(value);
                    }
                }
                if let Some(strict) = whole(3)? {
                    aggregator["strictNumberParsing"] = json!(strict != 0);
                }
                (aggregator, None)
            }
            other => return Err(DruidError::unsupported(format!("SQL aggregate function [{other}]"))),
        };
        self.push(aggregator, filter);
        self.posts.extend(post);
        Ok(())
    }
}
