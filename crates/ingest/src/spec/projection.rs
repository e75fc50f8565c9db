//! `projections` of a `dataSchema` (`AggregateProjectionSpec`): rows to be kept grouped and aggregated beside the segment's own.

use std::collections::HashSet;

use ovate_base::{DruidError, Granularity, Result};
use ovate_compute::aggregate::AggregatorSpec;
use ovate_compute::filter::FilterSpec;
use ovate_compute::virtual_column::VirtualColumnSpec;
use ovate_segment::incremental::DimensionSchema;
use serde_json::{Value, json};

use super::fields::Fields;

/// One projection to be written.
#[derive(Debug, Clone)]
pub struct ProjectionSpec {
    pub name: String,
    pub filter: Option<FilterSpec>,
    pub virtual_columns: Vec<VirtualColumnSpec>,
    pub grouping_columns: Vec<DimensionSchema>,
    pub aggregators: Vec<AggregatorSpec>,
    given: Value,
}

impl ProjectionSpec {
    /// Reads one of the list.
    pub fn from_json(json: &Value) -> Result<Self> {
        let fields = Fields::new(json, "projection")?;
        let kind = fields.text("type")?.unwrap_or("aggregate");
        if kind != "aggregate" {
            return Err(DruidError::invalid_input(format!("unknown type of projection [{kind}], must be [aggregate]")));
        }
        let spec = ProjectionSpec {
            name: fields.need_text("name")?.to_owned(),
            filter: fields.get("filter").map(FilterSpec::from_json).transpose()?,
            virtual_columns: fields.list("virtualColumns")?.iter().map(VirtualColumnSpec::from_json).collect::<Result<_>>()?,
            grouping_columns: fields.list("groupingColumns")?.iter().map(DimensionSchema::from_json).collect::<Result<_>>()?,
            aggregators: fields.list("aggregators")?.iter().map(AggregatorSpec::from_json).collect::<Result<_>>()?,
            given: json.clone(),
        };
        fields.finish()?;
        if spec.name.is_empty() || spec.name.contains(['/', ',']) {
            return Err(DruidError::invalid_input(format!(
                "projection name [{}] must not be empty or have [/] or [,]",
                spec.name
            )));
        }
        if spec.grouping_columns.is_empty() && spec.aggregators.is_empty() {
            return Err(DruidError::invalid_input(format!("projection [{}] needs groupingColumns or aggregators", spec.name)));
        }
        let mut names = HashSet::new();
        let all = spec.grouping_columns.iter().map(|d| &*d.name).chain(spec.aggregators.iter().map(AggregatorSpec::name));
        for name in all {
            if !names.insert(name) {
                return Err(DruidError::invalid_input(format!(
                    "projection [{}] has a column more than once: [{name}]",
                    spec.name
                )));
            }
        }
        Ok(spec)
    }

    /// The grouping column that is the projection's time: `__time`, else the one that rounds it the least.
    pub fn time_column(&self) -> Option<&str> {
        let names = || self.grouping_columns.iter().map(|column| &*column.name);
        if names().any(|name| name == "__time") {
            return Some("__time");
        }
        let mut finest: Option<(&str, Granularity)> = None;
        for name in names() {
            let spec = self.virtual_columns.iter().find(|spec| spec.name() == name);
            let Some(VirtualColumnSpec::Expression { expression, .. }) = spec else { continue };
            // Only rounding keeps a time; a part of it, such as the hour of the day, does not.
            let rounds = expression.text().trim_start().starts_with("timestamp_floor(");
            let Some(step) = expression.time_step().filter(|_| rounds) else { continue };
            if finest.as_ref().is_none_or(|(_, known)| step.is_finer_than(known)) {
                finest = Some((name, step));
            }
        }
        finest.map(|(name, _)| name)
    }

    /// As it was given.
    pub fn to_json(&self) -> &Value {
        &self.given
    }

    /// What the segment says of it (`AggregateProjectionMetadata.Schema`).
    pub fn stored_schema(&self) -> Value {
        let names: Vec<&str> = self.grouping_columns.iter().map(|column| &*column.name).collect();
        let order = |name: &&str| json!({"columnName": name, "order": "ascending"});
        json!({
            "type": "aggregate",
            "name": self.name,
            "timeColumnName": self.time_column(),
            "filter": self.filter.as_ref().map(FilterSpec::to_json),
            "virtualColumns": self.virtual_columns.iter().map(VirtualColumnSpec::to_json).collect::<Vec<_>>(),
            "groupingColumns": names,
            "aggregators": self.aggregators.iter().map(AggregatorSpec::to_json).collect::<Vec<_>>(),
            "ordering": names.iter().map(order).collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_finest_rounding_is_the_time() {
        let floor = |name: &str, period: &str| json!({"type": "expression", "name": name, "expression": format!("timestamp_floor(__time,'{period}')"), "outputType": "LONG"});
        let document = json!({"type": "aggregate", "name": "p", "virtualColumns": [floor("d", "P1D"), floor("h", "PT1H")],
            "groupingColumns": [{"type": "long", "name": "d"}, {"type": "long", "name": "h"}, "page"],
            "aggregators": [{"type": "count", "name": "n"}]});
        let spec = ProjectionSpec::from_json(&document).expect("a projection");
        assert_eq!(spec.time_column(), Some("h"));
        assert_eq!(spec.stored_schema()["groupingColumns"], json!(["d", "h", "page"]));
        let wrong = |change: &dyn Fn(&mut Value)| {
            let mut document = document.clone();
            change(&mut document);
            ProjectionSpec::from_json(&document).expect_err("it is refused").message
        };
        assert!(wrong(&|d| d["type"] = json!("table")).contains("table"));
        assert!(wrong(&|d| d["name"] = json!("a/b")).contains("a/b"));
        assert!(wrong(&|d| d["groupingColumns"] = json!(["n"])).contains("more than once"));
        assert!(wrong(&|d| (d["groupingColumns"], d["aggregators"]) = (json!([]), json!([]))).contains("needs"));
    }
}
