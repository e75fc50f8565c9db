//! Filter documents: `DimFilter` JSON to [`FilterSpec`] and back, with Druid's property names and defaults.

use std::sync::Arc;

use ovate_base::{DruidError, Interval, Result};
use serde_json::{Value as Json, json};

use super::{FilterSpec, LongSet, SearchQuery, SpatialBound};
use crate::dimension::DimensionSpec;
use crate::doc::{Doc, text_or_null, texts};
use crate::expr::Expr;
use crate::extraction::ExtractionFn;
use crate::ordering::StringOrder;
use crate::types::ColumnType;
use crate::value;

pub(super) fn from_json(json: &Json) -> Result<FilterSpec> {
    let doc = Doc::new("filter", json)?;
    let dimension = || doc.text("dimension").map(str::to_owned);
    let column = || doc.text("column").map(str::to_owned);
    let extraction = || doc.get("extractionFn").map(ExtractionFn::from_json).transpose();
    let arc = |field: &str| Ok::<_, DruidError>(doc.optional_text(field)?.map(Arc::<str>::from));
    Ok(match doc.type_name()? {
        "true" => FilterSpec::True,
        "false" => FilterSpec::False,
        "and" => FilterSpec::And(fields(&doc)?),
        "or" => FilterSpec::Or(fields(&doc)?),
        "not" => FilterSpec::Not(field(&doc)?),
        "istrue" => FilterSpec::IsTrue(field(&doc)?),
        "isfalse" => FilterSpec::IsFalse(field(&doc)?),
        "equals" => {
            let match_type = match_type(&doc, "matchValueType")?;
            let value = doc.literal("matchValue", &match_type);
            if value.is_null() {
                return Err(doc.error("matchValue", "cannot be null"));
            }
            FilterSpec::Equals { column: column()?, match_type, value }
        }
        "null" => FilterSpec::Null { column: column()? },
        "range" => range(&doc)?,
        "selector" => FilterSpec::Selector { dimension: dimension()?, value: arc("value")?, extraction: extraction()? },
        "extraction" => FilterSpec::Selector { dimension: dimension()?, value: arc("value")?, extraction: extraction()? },
        "in" => FilterSpec::In {
            dimension: dimension()?,
            values: texts(doc.required("values").and_then(|_| doc.list("values"))?).into(),
            extraction: extraction()?,
        },
        "inType" => {
            let match_type = match_type(&doc, "matchValueType")?;
            let list = doc.list("sortedValues")?;
            let list = if list.is_empty() { doc.list("values")? } else { list };
            let values = list.iter().map(|item| value::from_json(item).cast(&match_type)).collect();
            FilterSpec::TypedIn { column: column()?, match_type, values }
        }
        "ovateLongs" => FilterSpec::LongSet { column: column()?, set: Arc::new(LongSet::read(json)?) },
        "bound" => bound(&doc)?,
        "like" => {
            let escape = doc.optional_text("escape")?;
            FilterSpec::Like {
                dimension: dimension()?,
                pattern: doc.text("pattern")?.to_owned(),
                escape: escape.map(|text| single_char(&doc, &text)).transpose()?,
                extraction: extraction()?,
            }
        }
        "regex" => {
            FilterSpec::Regex { dimension: dimension()?, pattern: doc.text("pattern")?.to_owned(), extraction: extraction()? }
        }
        "interval" => FilterSpec::Interval { dimension: dimension()?, intervals: intervals(&doc)?, extraction: extraction()? },
        "expression" => FilterSpec::Expression { expression: Expr::parse(doc.text("expression")?)? },
        "arrayContainsElement" => {
            let element_type = match_type(&doc, "elementMatchValueType")?;
            let value = doc.literal("elementMatchValue", &element_type);
            FilterSpec::ArrayContains { column: column()?, element_type, value }
        }
        "columnComparison" => FilterSpec::ColumnComparison {
            dimensions: doc.list("dimensions")?.iter().map(DimensionSpec::from_json).collect::<Result<_>>()?,
        },
        "search" => FilterSpec::Search {
            dimension: dimension()?,
            query: SearchQuery::from_json(doc.required("query")?)?,
            extraction: extraction()?,
        },
        "bloom" => {
            FilterSpec::Bloom { dimension: dimension()?, filter: Arc::from(doc.text("bloomKFilter")?), extraction: extraction()? }
        }
        "spatial" => {
            let bound = doc.get("bound").ok_or_else(super::spatial::missing_bound)?;
            FilterSpec::Spatial { dimension: dimension()?, bound: SpatialBound::from_json(bound)? }
        }
        name @ "javascript" => return Err(DruidError::unsupported(format!("filter type [{name}]"))),
        other => return Err(doc.unknown_type(other)),
    })
}

fn fields(doc: &Doc<'_>) -> Result<Vec<FilterSpec>> {
    doc.required("fields")?;
    // Druid drops null members.
    doc.list("fields")?.iter().filter(|f| !f.is_null()).map(from_json).collect()
}

fn field(doc: &Doc<'_>) -> Result<Box<FilterSpec>> {
    from_json(doc.required("field")?).map(Box::new)
}

fn match_type(doc: &Doc<'_>, field: &str) -> Result<ColumnType> {
    doc.optional_type(field)?.ok_or_else(|| doc.error(field, "is required"))
}

fn single_char(doc: &Doc<'_>, text: &str) -> Result<char> {
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(c), None) => Ok(c),
        _ => Err(doc.error("escape", "must be a single character")),
    }
}

fn range(doc: &Doc<'_>) -> Result<FilterSpec> {
    let match_type = match_type(doc, "matchValueType")?;
    let (lower, upper) = (doc.literal("lower", &match_type), doc.literal("upper", &match_type));
    if lower.is_null() && upper.is_null() {
        return Err(DruidError::invalid_input("range filter needs [lower] or [upper]"));
    }
    Ok(FilterSpec::Range {
        column: doc.text("column")?.to_owned(),
        lower_open: doc.boolean("lowerOpen", false)?,
        upper_open: doc.boolean("upperOpen", false)?,
        match_type,
        lower,
        upper,
    })
}

fn bound(doc: &Doc<'_>) -> Result<FilterSpec> {
    let (lower, upper) = (doc.optional_text("lower")?, doc.optional_text("upper")?);
    if lower.is_none() && upper.is_none() {
        return Err(DruidError::invalid_input("bound filter needs [lower] or [upper]"));
    }
    let ordering = match doc.get("ordering") {
        Some(json) => StringOrder::from_json(json)?,
        None if doc.boolean("alphaNumeric", false)? => StringOrder::Alphanumeric,
        None => StringOrder::Lexicographic,
    };
    Ok(FilterSpec::Bound {
        dimension: doc.text("dimension")?.to_owned(),
        lower: lower.map(Arc::from),
        upper: upper.map(Arc::from),
        lower_strict: doc.boolean("lowerStrict", false)?,
        upper_strict: doc.boolean("upperStrict", false)?,
        ordering,
        extraction: doc.get("extractionFn").map(ExtractionFn::from_json).transpose()?,
    })
}

fn intervals(doc: &Doc<'_>) -> Result<Vec<Interval>> {
    match doc.required("intervals")? {
        Json::Array(items) => items.iter().map(|item| interval(doc, item)).collect(),
        one => Ok(vec![interval(doc, one)?]),
    }
}

fn interval(doc: &Doc<'_>, json: &Json) -> Result<Interval> {
    let text = json.as_str().ok_or_else(|| doc.error("intervals", "must hold strings"))?;
    Interval::parse(text)
}

impl SearchQuery {
    /// Reads a `query` document.
    pub fn from_json(json: &Json) -> Result<Self> {
        let doc = Doc::new("search query", json)?;
        Ok(match doc.type_name()? {
            "contains" => SearchQuery::Contains {
                value: doc.optional_text("value")?.unwrap_or_default(),
                case_sensitive: doc.boolean("caseSensitive", doc.boolean("case_sensitive", false)?)?,
            },
            "insensitive_contains" => {
                SearchQuery::Contains { value: doc.optional_text("value")?.unwrap_or_default(), case_sensitive: false }
            }
            "fragment" => SearchQuery::Fragment {
                values: texts(doc.list("values")?).into_iter().flatten().map(|t| t.to_string()).collect(),
                case_sensitive: doc.boolean("caseSensitive", doc.boolean("case_sensitive", false)?)?,
            },
            "regex" => SearchQuery::Regex { pattern: doc.text("pattern")?.to_owned() },
            "all" => SearchQuery::All,
            other => return Err(doc.unknown_type(other)),
        })
    }

    /// Writes the document that `from_json` reads.
    pub fn to_json(&self) -> Json {
        match self {
            SearchQuery::Contains { value, case_sensitive } => {
                json!({"type": "contains", "value": value, "caseSensitive": case_sensitive})
            }
            SearchQuery::Fragment { values, case_sensitive } => {
                json!({"type": "fragment", "values": values, "caseSensitive": case_sensitive})
            }
            SearchQuery::Regex { pattern } => json!({"type": "regex", "pattern": pattern}),
            SearchQuery::All => json!({"type": "all"}),
        }
    }
}

pub(super) fn to_json(spec: &FilterSpec) -> Json {
    let list = |fields: &[FilterSpec]| Json::Array(fields.iter().map(to_json).collect());
    let mut extraction_fn = &None;
    let mut json = match spec {
        FilterSpec::True => json!({"type": "true"}),
        FilterSpec::False => json!({"type": "false"}),
        FilterSpec::And(fields) => json!({"type": "and", "fields": list(fields)}),
        FilterSpec::Or(fields) => json!({"type": "or", "fields": list(fields)}),
        FilterSpec::Not(field) => json!({"type": "not", "field": to_json(field)}),
        FilterSpec::IsTrue(field) => json!({"type": "istrue", "field": to_json(field)}),
        FilterSpec::IsFalse(field) => json!({"type": "isfalse", "field": to_json(field)}),
        FilterSpec::Equals { column, match_type, value } => {
            json!({"type": "equals", "column": column, "matchValueType": match_type.to_string(), "matchValue": value::to_json(value)})
        }
        FilterSpec::Null { column } => json!({"type": "null", "column": column}),
        FilterSpec::Range { column, match_type, lower, upper, lower_open, upper_open } => {
            let mut json = json!({"type": "range", "column": column, "matchValueType": match_type.to_string()});
            let mut put = |name: &str, value: Json| json[name] = value;
            if !lower.is_null() {
                put("lower", value::to_json(lower));
            }
            if !upper.is_null() {
                put("upper", value::to_json(upper));
            }
            put("lowerOpen", Json::from(*lower_open));
            put("upperOpen", Json::from(*upper_open));
            json
        }
        FilterSpec::Selector { dimension, value, extraction } => {
            extraction_fn = extraction;
            json!({"type": "selector", "dimension": dimension, "value": text_or_null(value)})
        }
        FilterSpec::In { dimension, values, extraction } => {
            extraction_fn = extraction;
            let values: Vec<Json> = values.iter().map(text_or_null).collect();
            json!({"type": "in", "dimension": dimension, "values": values})
        }
        FilterSpec::TypedIn { column, match_type, values } => {
            let values: Vec<Json> = values.iter().map(value::to_json).collect();
            json!({"type": "inType", "column": column, "matchValueType": match_type.to_string(), "sortedValues": values})
        }
        FilterSpec::LongSet { column, set } => set.write(column),
        FilterSpec::Bound { dimension, lower, upper, lower_strict, upper_strict, ordering, extraction } => {
            extraction_fn = extraction;
            let mut json = json!({"type": "bound", "dimension": dimension, "lowerStrict": lower_strict, "upperStrict": upper_strict,
                "ordering": ordering.name()});
            for (name, bound) in [("lower", lower), ("upper", upper)] {
                if bound.is_some() {
                    json[name] = text_or_null(bound);
                }
            }
            json
        }
        FilterSpec::Like { dimension, pattern, escape, extraction } => {
            extraction_fn = extraction;
            let escape = escape.map(String::from);
            json!({"type": "like", "dimension": dimension, "pattern": pattern, "escape": escape})
        }
        FilterSpec::Regex { dimension, pattern, extraction } => {
            extraction_fn = extraction;
            json!({"type": "regex", "dimension": dimension, "pattern": pattern})
        }
        FilterSpec::Interval { dimension, intervals, extraction } => {
            extraction_fn = extraction;
            json!({"type": "interval", "dimension": dimension, "intervals": intervals_json(intervals)})
        }
        FilterSpec::Spatial { dimension, bound } => json!({"type": "spatial", "dimension": dimension, "bound": bound.to_json()}),
        FilterSpec::Expression { expression } => json!({"type": "expression", "expression": expression.text()}),
        FilterSpec::ArrayContains { column, element_type, value } => {
            json!({"type": "arrayContainsElement", "column": column, "elementMatchValueType": element_type.to_string(),
                "elementMatchValue": value::to_json(value)})
        }
        FilterSpec::ColumnComparison { dimensions } => {
            let dimensions: Vec<Json> = dimensions.iter().map(DimensionSpec::to_json).collect();
            json!({"type": "columnComparison", "dimensions": dimensions})
        }
        FilterSpec::Search { dimension, query, extraction } => {
            extraction_fn = extraction;
            json!({"type": "search", "dimension": dimension, "query": query.to_json()})
        }
        FilterSpec::Bloom { dimension, filter, extraction } => {
            extraction_fn = extraction;
            json!({"type": "bloom", "dimension": dimension, "bloomKFilter": filter.as_ref()})
        }
    };
    if let Some(function) = extraction_fn {
        json["extractionFn"] = function.to_json();
    }
    json
}

fn intervals_json(intervals: &[Interval]) -> Vec<Json> {
    intervals.iter().map(|i| Json::from(i.to_string())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_come_back_as_they_were_read() {
        let documents = [
            json!({"type": "and", "fields": [{"type": "true"}, {"type": "not", "field": {"type": "false"}}]}),
            json!({"type": "equals", "column": "a", "matchValueType": "LONG", "matchValue": 3}),
            json!({"type": "range", "column": "a", "matchValueType": "DOUBLE", "lower": 1.5, "lowerOpen": true, "upperOpen": false}),
            json!({"type": "in", "dimension": "d", "values": ["x", null]}),
            json!({"type": "bound", "dimension": "d", "lowerStrict": false, "upperStrict": true, "ordering": "numeric", "upper": "3"}),
            json!({"type": "selector", "dimension": "d", "value": null}),
        ];
        for document in documents {
            assert_eq!(from_json(&document).unwrap().to_json(), document);
        }
        let value = from_json(&json!({"type": "selector", "dimension": "d", "value": 5})).unwrap();
        assert_eq!(value, FilterSpec::Selector { dimension: "d".into(), value: Some("5".into()), extraction: None });
    }
}
