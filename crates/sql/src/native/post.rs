//! Expressions over the results of an aggregation as post-aggregators.

use ovate_base::Result;
use ovate_base::time::Zone;
use ovate_compute::Value;
use serde_json::{Value as Json, json};

use super::columns::transparent;
use super::expr::ExprWriter;
use crate::plan::Rex;

/// Collects post-aggregators; `names` are the output names of keys and aggregates.
pub struct Posts<'a> {
    pub zone: &'a Zone,
    pub names: &'a [String],
    pub made: Vec<(Rex, String)>,
    pub documents: Vec<Json>,
}

impl Posts<'_> {
    /// The name of a result column that holds the expression's value.
    pub fn column(&mut self, rex: &Rex) -> Result<String> {
        let rex = transparent(rex);
        if let Rex::Input(index, _) = rex {
            return Ok(self.names[*index].clone());
        }
        if let Some((_, name)) = self.made.iter().find(|(made, _)| made == rex) {
            return Ok(name.clone());
        }
        let name = format!("p{}", self.made.len());
        self.made.push((rex.clone(), name.clone()));
        let document = match self.sketch(rex, &name)? {
            Some(document) => document,
            None => {
                let inner = self.lift_sketches(rex)?;
                let expression = self.expression(&inner)?;
                json!({"type": "expression", "name": name, "expression": expression, "outputType": rex.sql_type().native().to_string()})
            }
        };
        self.documents.push(document);
        Ok(name)
    }

    fn expression(&self, rex: &Rex) -> Result<String> {
        let column = |index: usize| match index.checked_sub(self.names.len()) {
            None => self.names[index].clone(),
            Some(made) => self.made[made].1.clone(),
        };
        ExprWriter { zone: self.zone, column: &column }.write(rex)
    }

    /// Sketch functions inside an expression become post-aggregators of their own, referred to by input number.
    fn lift_sketches(&mut self, rex: &Rex) -> Result<Rex> {
        let Rex::Call { op, args, sql_type } = rex else { return Ok(rex.clone()) };
        let mut lifted = Vec::with_capacity(args.len());
        for arg in args {
            if is_sketch(arg) {
                let name = self.column(arg)?;
                let at = self.made.iter().position(|(_, n)| *n == name).unwrap_or(0);
                lifted.push(Rex::Input(self.names.len() + at, arg.sql_type().clone()));
            } else {
                lifted.push(self.lift_sketches(arg)?);
            }
        }
        Ok(Rex::Call { op, args: lifted, sql_type: sql_type.clone() })
    }

    fn field(&mut self, rex: &Rex) -> Result<Json> {
        if let Some(json) = self.sketch(rex, "")? {
            return Ok(json);
        }
        Ok(json!({"type": "fieldAccess", "fieldName": self.column(rex)?}))
    }

    fn sketch(&mut self, rex: &Rex, name: &str) -> Result<Option<Json>> {
        let Rex::Call { op, args, .. } = rex else { return Ok(None) };
        if !is_sketch(rex) {
            return Ok(None);
        }
        let numbers =
            |from: usize| -> Vec<f64> { args[from..].iter().filter_map(|a| a.literal().and_then(Value::as_double)).collect() };
        let whole = |i: usize| args.get(i).and_then(Rex::literal).and_then(Value::as_long);
        let flag = |i: usize| whole(i).is_some_and(|v| v != 0);
        let mut json = match *op {
            "HLL_SKETCH_ESTIMATE" => json!({"type": "HLLSketchEstimate", "field": self.field(&args[0])?, "round": flag(1)}),
            "HLL_SKETCH_ESTIMATE_WITH_ERROR_BOUNDS" => {
                json!({"type": "HLLSketchEstimateWithBounds", "field": self.field(&args[0])?, "numStdDev": whole(1).unwrap_or(1)})
            }
            "HLL_SKETCH_TO_STRING" => json!({"type": "HLLSketchToString", "field": self.field(&args[0])?}),
            "HLL_SKETCH_UNION" => {
                let (mut fields, mut options) = (Vec::new(), Vec::new());
                for arg in args {
                    match arg.literal() {
                        Some(value) => options.push(value.clone()),
                        None => fields.push(self.field(arg)?),
                    }
                }
                let mut json = json!({"type": "HLLSketchUnion", "fields": fields});
                for option in options {
                    match option {
                        Value::String(text) => json["tgtHllType"] = json!(&*text),
                        other => json["lgK"] = json!(other.as_long()),
                    }
                }
                json
            }
            "THETA_SKETCH_ESTIMATE" => json!({"type": "thetaSketchEstimate", "field": self.field(&args[0])?}),
            "THETA_SKETCH_ESTIMATE_WITH_ERROR_BOUNDS" => {
                json!({"type": "thetaSketchEstimate", "field": self.field(&args[0])?, "errorBoundsStdDev": whole(1).unwrap_or(1)})
            }
            "THETA_SKETCH_UNION" | "THETA_SKETCH_INTERSECT" | "THETA_SKETCH_NOT" => {
                let (mut fields, mut size) = (Vec::new(), None);
                for arg in args {
                    match arg.literal() {
                        Some(value) => size = value.as_long(),
                        None => fields.push(self.field(arg)?),
                    }
                }
                let mut json =
                    json!({"type": "thetaSketchSetOp", "func": op.trim_start_matches("THETA_SKETCH_"), "fields": fields});
                if let Some(size) = size {
                    json["size"] = json!(size);
                }
                json
            }
            "DS_GET_QUANTILE" => {
                json!({"type": "quantilesDoublesSketchToQuantile", "field": self.field(&args[0])?, "fraction": numbers(1).first()})
            }
            "DS_GET_QUANTILES" => {
                json!({"type": "quantilesDoublesSketchToQuantiles", "field": self.field(&args[0])?, "fractions": numbers(1)})
            }
            "DS_HISTOGRAM" => {
                json!({"type": "quantilesDoublesSketchToHistogram", "field": self.field(&args[0])?, "splitPoints": numbers(1)})
            }
            "DS_CDF" => json!({"type": "quantilesDoublesSketchToCDF", "field": self.field(&args[0])?, "splitPoints": numbers(1)}),
            "DS_RANK" => {
                json!({"type": "quantilesDoublesSketchToRank", "field": self.field(&args[0])?, "value": numbers(1).first()})
            }
            "DS_QUANTILE_SUMMARY" => json!({"type": "quantilesDoublesSketchToString", "field": self.field(&args[0])?}),
            "DS_TUPLE_DOUBLES_METRICS_SUM_ESTIMATE" => {
                json!({"type": "arrayOfDoublesSketchToMetricsSumEstimate", "field": self.field(&args[0])?})
            }
            _ => {
                let fields = args.iter().map(|arg| self.field(arg)).collect::<Result<Vec<_>>>()?;
                json!({"type": "arrayOfDoublesSketchSetOp", "operation": op.trim_start_matches("DS_TUPLE_DOUBLES_"), "fields": fields})
            }
        };
        let name = if name.is_empty() { format!("s{}", self.documents.len() + self.made.len() * 16) } else { name.to_owned() };
        json["name"] = json!(name);
        Ok(Some(json))
    }
}

/// True for the functions that are post-aggregators of their own.
fn is_sketch(rex: &Rex) -> bool {
    const NAMES: &[&str] = &[
        "HLL_SKETCH_ESTIMATE",
        "HLL_SKETCH_ESTIMATE_WITH_ERROR_BOUNDS",
        "HLL_SKETCH_TO_STRING",
        "HLL_SKETCH_UNION",
        "THETA_SKETCH_ESTIMATE",
        "THETA_SKETCH_ESTIMATE_WITH_ERROR_BOUNDS",
        "THETA_SKETCH_UNION",
        "THETA_SKETCH_INTERSECT",
        "THETA_SKETCH_NOT",
        "DS_GET_QUANTILE",
        "DS_GET_QUANTILES",
        "DS_HISTOGRAM",
        "DS_CDF",
        "DS_RANK",
        "DS_QUANTILE_SUMMARY",
        "DS_TUPLE_DOUBLES_METRICS_SUM_ESTIMATE",
        "DS_TUPLE_DOUBLES_INTERSECT",
        "DS_TUPLE_DOUBLES_NOT",
        "DS_TUPLE_DOUBLES_UNION",
    ];
    matches!(rex, Rex::Call { op, .. } if NAMES.contains(op))
}
