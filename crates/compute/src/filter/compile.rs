//! From a leaf's document to its compiled [`Predicate`].

use std::sync::Arc;

use ovate_base::Result;

use super::predicate::{Predicate, Test, TextBound, TextTest, Tri, ValueRange, ValueSet};
use super::{FilterSpec, SearchQuery, bloom};
use crate::context::EvalContext;
use crate::extraction::ExtractionFn;
use crate::text::{LikePattern, java_regex};
use crate::value::Value;

/// The column and the test of a filter on one column; `None` for the others.
pub(super) fn leaf<'a>(spec: &'a FilterSpec, context: &EvalContext) -> Result<Option<(&'a str, Predicate)>> {
    let plain = |test: Test, null: Tri| Predicate { test, null, extraction: None };
    let with = |test: Test, null: Tri, extraction: &Option<ExtractionFn>| -> Result<Predicate> {
        let extraction = extraction.as_ref().map(|function| function.bind(context)).transpose()?;
        Ok(Predicate { test, null, extraction })
    };
    Ok(Some(match spec {
        FilterSpec::Equals { column, value, .. } => {
            let number = matches!(value, Value::Long(_) | Value::Float(_) | Value::Double(_));
            let set = ValueSet::new([value].into_iter()).reading_texts(number);
            (column.as_str(), plain(Test::Set(set), Tri::Unknown))
        }
        FilterSpec::Null { column } => (column, plain(Test::Nothing, Tri::True)),
        FilterSpec::Range { column, match_type, lower, upper, lower_open, upper_open } => {
            let range = ValueRange {
                match_type: match_type.clone(),
                lower: lower.clone(),
                upper: upper.clone(),
                lower_open: *lower_open,
                upper_open: *upper_open,
            };
            (column, plain(Test::Range(range), Tri::Unknown))
        }
        FilterSpec::Selector { dimension, value, extraction } => match value {
            None => (dimension, with(Test::Nothing, Tri::True, extraction)?),
            Some(text) => {
                let value = Value::String(text.clone());
                (dimension, with(Test::Set(ValueSet::new([&value].into_iter())), Tri::Unknown, extraction)?)
            }
        },
        FilterSpec::In { dimension, values, extraction } => {
            let texts: Vec<Value> = values.iter().flatten().map(|text| Value::String(text.clone())).collect();
            let null = if values.iter().any(Option::is_none) { Tri::True } else { Tri::Unknown };
            (dimension, with(Test::Set(ValueSet::new(texts.iter())), null, extraction)?)
        }
        FilterSpec::TypedIn { column, values, .. } => {
            let null = if values.iter().any(Value::is_null) { Tri::True } else { Tri::Unknown };
            let fractions = values.iter().any(|value| matches!(value, Value::Float(_) | Value::Double(_)));
            (column, plain(Test::Set(ValueSet::new(values.iter()).reading_texts(fractions)), null))
        }
        FilterSpec::LongSet { column, set } => {
            let values: Vec<Value> = set.to_vec().into_iter().map(Value::Long).collect();
            (column, plain(Test::Set(ValueSet::new(values.iter())), Tri::Unknown))
        }
        FilterSpec::Bound { dimension, lower, upper, lower_strict, upper_strict, ordering, extraction } => {
            // Druid's older filter lets null pass where there is no lower bound.
            let null_passes = lower.is_none() && !(upper.as_deref() == Some("") && *upper_strict);
            let bound = TextBound {
                lower: lower.clone(),
                upper: upper.clone(),
                lower_strict: *lower_strict,
                upper_strict: *upper_strict,
                ordering: *ordering,
            };
            let null = if null_passes { Tri::True } else { Tri::Unknown };
            (dimension, with(Test::Bound(bound), null, extraction)?)
        }
        FilterSpec::Like { dimension, pattern, escape, extraction } => {
            (dimension, with(like_test(LikePattern::new(pattern, *escape)), Tri::Unknown, extraction)?)
        }
        FilterSpec::Regex { dimension, pattern, extraction } => {
            let regex = java_regex(pattern)?;
            let test = Test::Text(Box::new(move |text| regex.is_match(text)));
            (dimension, with(test, Tri::Unknown, extraction)?)
        }
        FilterSpec::Spatial { dimension, bound } => {
            let bound = bound.clone();
            (dimension, plain(Test::Text(Box::new(move |text| bound.holds(text))), Tri::Unknown))
        }
        FilterSpec::Interval { dimension, intervals, extraction } => {
            (dimension, with(Test::Millis(intervals.clone()), Tri::Unknown, extraction)?)
        }
        FilterSpec::ArrayContains { column, value, .. } => {
            (column, plain(Test::Element(ValueSet::new([value].into_iter())), Tri::Unknown))
        }
        FilterSpec::Search { dimension, query, extraction } => {
            (dimension, with(Test::Text(search_test(query)?), Tri::Unknown, extraction)?)
        }
        FilterSpec::Bloom { dimension, filter, extraction } => {
            let filter = Arc::new(bloom::BloomFilter::decode(filter)?);
            let null = Tri::of(filter.contains(None));
            (dimension, with(Test::Text(Box::new(move |text| filter.contains(Some(text)))), null, extraction)?)
        }
        FilterSpec::True
        | FilterSpec::False
        | FilterSpec::And(_)
        | FilterSpec::Or(_)
        | FilterSpec::Not(_)
        | FilterSpec::IsTrue(_)
        | FilterSpec::IsFalse(_)
        | FilterSpec::Expression { .. }
        | FilterSpec::ColumnComparison { .. } => return Ok(None),
    }))
}

fn like_test(pattern: LikePattern) -> Test {
    if pattern.is_literal() {
        let value = Value::from(pattern.prefix());
        return Test::Set(ValueSet::new([&value].into_iter()));
    }
    let prefix = pattern.prefix().to_owned();
    if pattern.is_prefix() {
        return Test::Prefix { prefix, rest: None };
    }
    if prefix.is_empty() {
        return Test::Text(Box::new(move |text| pattern.matches(text)));
    }
    Test::Prefix { prefix, rest: Some(Box::new(move |text| pattern.matches(text))) }
}

/// The test of a search query on a text.
pub fn search_test(query: &SearchQuery) -> Result<TextTest> {
    Ok(match query.clone() {
        SearchQuery::All => Box::new(|_| true),
        SearchQuery::Contains { value, case_sensitive: true } => Box::new(move |text| text.contains(&value)),
        SearchQuery::Contains { value, case_sensitive: false } => {
            let wanted = value.to_lowercase();
            Box::new(move |text| text.to_lowercase().contains(&wanted))
        }
        SearchQuery::Fragment { values, case_sensitive: true } => {
            Box::new(move |text| values.iter().all(|value| text.contains(value.as_str())))
        }
        SearchQuery::Fragment { values, case_sensitive: false } => {
            let wanted: Vec<String> = values.iter().map(|value| value.to_lowercase()).collect();
            Box::new(move |text| {
                let text = text.to_lowercase();
                wanted.iter().all(|value| text.contains(value.as_str()))
            })
        }
        SearchQuery::Regex { pattern } => {
            let regex = java_regex(&pattern)?;
            Box::new(move |text| regex.is_match(text))
        }
    })
}
