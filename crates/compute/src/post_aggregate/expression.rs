//! `expression` (`ExpressionPostAggregator`): Druid's expression language over finalized columns.

use ovate_base::Result;
use serde_json::{Map, Value as Json, json};

use super::{PostAggregatorFactory, PostAggregatorSpec, PostInputs};
use crate::aggregate::AggregatorSpec;
use crate::aggregate::json::Fields;
use crate::column::ColumnCapabilities;
use crate::expr::Expr;
use crate::types::ColumnType;
use crate::vector::Vector;

#[derive(Debug)]
struct Expression {
    name: Option<String>,
    text: String,
    ordering: Option<String>,
    output_type: Option<ColumnType>,
    columns: Vec<String>,
}

pub(super) fn parse(fields: &Fields<'_>) -> Result<PostAggregatorSpec> {
    let text = fields.string("expression")?.to_owned();
    let output_type = fields.string_or_none("outputType")?.map(ColumnType::parse).transpose()?;
    let name = fields.string_or_none("name")?.map(str::to_owned);
    let ordering = fields.string_or_none("ordering")?.map(str::to_owned);
    let columns = Expr::parse(&text)?.required_columns();
    Ok(PostAggregatorSpec::new(Expression { name, text, ordering, output_type, columns }))
}

impl PostAggregatorFactory for Expression {
    fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
    fn to_json(&self) -> Json {
        let mut json = Map::new();
        json.insert("type".into(), json!("expression"));
        json.insert("name".into(), json!(self.name));
        json.insert("expression".into(), json!(self.text));
        if let Some(ordering) = &self.ordering {
            json.insert("ordering".into(), json!(ordering));
        }
        if let Some(output_type) = &self.output_type {
            json.insert("outputType".into(), json!(output_type.to_string()));
        }
        Json::Object(json)
    }
    fn required_columns(&self) -> Vec<String> {
        self.columns.clone()
    }
    fn result_type(&self, column: &dyn Fn(&str) -> Option<ColumnType>, aggregators: &[AggregatorSpec]) -> Option<ColumnType> {
        if self.output_type.is_some() {
            return self.output_type.clone();
        }
        let capabilities = |name: &str| {
            let aggregator = aggregators.iter().find(|aggregator| aggregator.name() == name);
            let column_type = aggregator.map(AggregatorSpec::result_type).or_else(|| column(name))?;
            let (multi_value, dictionary, bitmaps, has_nulls) = (false, false, false, true);
            Some(ColumnCapabilities { column_type, multi_value, dictionary, bitmaps, has_nulls })
        };
        Expr::parse(&self.text).ok()?.output_type(&capabilities)
    }
    fn compute(&self, inputs: &PostInputs<'_>) -> Result<Vector> {
        let vectors: Vec<Vector> = self.columns.iter().map(|name| inputs.finalized(name)).collect::<Result<_>>()?;
        let columns: Vec<(&str, &Vector)> = self.columns.iter().map(String::as_str).zip(&vectors).collect();
        let result = Expr::parse(&self.text)?.eval_vectors(&columns, inputs.len, inputs.context)?;
        Ok(match &self.output_type {
            Some(output_type) if result.column_type().as_ref() != Some(output_type) => {
                Vector::from_values(output_type, result.to_values())
            }
            _ => result,
        })
    }
}
