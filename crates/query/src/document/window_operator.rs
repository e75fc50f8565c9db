//! `windowOperator`: window functions over the rows of a query or of an inline table (NQ-09, `WindowOperatorQuery`), and
//! `union`: the rows of several queries one after the other (`UnionQuery`). Both work on rows in memory, at a Broker.

use ovate_base::{DruidError, Result};
use ovate_compute::ColumnType;
use serde_json::{Value, json};

use super::base::QueryBase;
use super::fields::Fields;
use super::operator::OperatorSpec;
use super::{DataSource, NativeQuery};

/// Runs operators over rows and gives the columns of the output signature.
#[derive(Debug, Clone)]
pub struct WindowOperatorQuery {
    pub base: QueryBase,
    pub output: Vec<(String, Option<ColumnType>)>,
    /// Run first, over the rows of the datasource.
    pub leaf_operators: Vec<OperatorSpec>,
    pub operators: Vec<OperatorSpec>,
}

impl WindowOperatorQuery {
    pub(crate) fn parse(value: &Value, depth: usize) -> Result<Self> {
        let fields = Fields::new(value, "windowOperator query")?;
        let base = QueryBase::parse(&fields, depth, false)?;
        if !matches!(base.data_source, DataSource::Query(_) | DataSource::Inline(_)) {
            return Err(DruidError::invalid_input("WindowOperatorQuery must run on top of a query or inline data source"));
        }
        let output = fields.parsed("outputSignature", |item| {
            let fields = Fields::new(item, "outputSignature")?;
            let column_type = fields.opt_str("type")?.map(|text| ColumnType::parse(&text)).transpose()?;
            Ok((fields.str("name")?, column_type))
        })?;
        Ok(WindowOperatorQuery {
            base,
            output,
            leaf_operators: fields.parsed("leafOperators", OperatorSpec::from_json)?,
            operators: fields.parsed("operatorDefinition", OperatorSpec::from_json)?,
        })
    }

    pub(crate) fn to_json(&self) -> Value {
        let mut map = self.base.write("windowOperator");
        let column = |(name, t): &(String, Option<ColumnType>)| match t {
            Some(t) => json!({"name": name, "type": t.to_string()}),
            None => json!({"name": name}),
        };
        map.insert("outputSignature".into(), self.output.iter().map(column).collect());
        map.insert("leafOperators".into(), self.leaf_operators.iter().map(OperatorSpec::to_json).collect());
        map.insert("operatorDefinition".into(), self.operators.iter().map(OperatorSpec::to_json).collect());
        Value::Object(map)
    }
}

/// The rows of all queries, in their order; columns are those of the first one.
#[derive(Debug, Clone)]
pub struct UnionQuery {
    /// Its datasource is the union of the queries' ones, so that whoever asks for tables finds all.
    pub base: QueryBase,
    pub queries: Vec<NativeQuery>,
}

impl UnionQuery {
    pub(crate) fn parse(value: &Value, depth: usize) -> Result<Self> {
        let fields = Fields::new(value, "union query")?;
        let queries = fields.parsed("queries", |query| NativeQuery::parse(query, depth + 1))?;
        if queries.is_empty() {
            return Err(DruidError::invalid_input("queries of a union query must not be empty"));
        }
        let sources = queries.iter().map(|query| query.data_source().clone()).collect();
        let mut base = QueryBase::over(DataSource::Union(sources));
        base.context = super::Context(fields.map("context")?);
        Ok(UnionQuery { base, queries })
    }

    pub(crate) fn to_json(&self) -> Value {
        let queries: Vec<Value> = self.queries.iter().map(NativeQuery::to_json).collect();
        json!({"queryType": "union", "queries": queries, "context": self.base.context.0})
    }
}
