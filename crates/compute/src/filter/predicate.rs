//! One-column tests, compiled: what a leaf filter asks of a text, a number, a value or null. Binding and row matching
//! share them, so all ways of evaluating a filter agree (Druid's `DruidPredicateFactory`).

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use hashbrown::HashSet;
use ovate_base::{Interval, Result};

use super::number::{Bounds, NumberTest};
use crate::column::Dictionary;
use crate::extraction::BoundExtraction;
use crate::ordering::StringOrder;
use crate::types::ColumnType;
use crate::value::{Value, text_to_long};

/// Three-valued truth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tri {
    False,
    Unknown,
    True,
}

impl Tri {
    pub(super) fn of(value: bool) -> Tri {
        if value { Tri::True } else { Tri::False }
    }

    pub(super) fn not(self) -> Tri {
        match self {
            Tri::True => Tri::False,
            Tri::False => Tri::True,
            Tri::Unknown => Tri::Unknown,
        }
    }

    /// True, or unknown where the caller wants unknown rows too.
    pub(super) fn passes(self, include_unknown: bool) -> bool {
        self == Tri::True || (include_unknown && self == Tri::Unknown)
    }
}

/// A test of one text.
pub type TextTest = Box<dyn Fn(&str) -> bool + Send + Sync>;

/// A compiled leaf.
pub(super) struct Predicate {
    pub test: Test,
    /// What null gives.
    pub null: Tri,
    /// Applied to the text of a value before the test.
    pub extraction: Option<BoundExtraction>,
}

/// What a non-null value has to be.
pub(super) enum Test {
    Nothing,
    Set(ValueSet),
    Range(ValueRange),
    Bound(TextBound),
    /// Starts with `prefix`, and passes `rest` where it is given.
    Prefix {
        prefix: String,
        rest: Option<TextTest>,
    },
    Text(TextTest),
    Millis(Vec<Interval>),
    /// An array has this element; another value is it.
    Element(ValueSet),
}

/// Values to be equal to, in the form of every column type; each is made when first asked for. A form that would not be exact
/// is left out.
#[derive(Default)]
pub(super) struct ValueSet {
    /// Those that are not null; arrays only with one element.
    values: Vec<Value>,
    texts: OnceLock<HashSet<Arc<str>>>,
    longs: OnceLock<HashSet<i64>>,
    doubles: OnceLock<HashSet<u64>>,
    floats: OnceLock<HashSet<u32>>,
    arrays: Vec<Arc<[Value]>>,
    /// Texts are read as numbers to be compared.
    reads_texts: bool,
}

impl ValueSet {
    /// Texts are equal to a number that they say in any way (`1` and `1e0`), as typed equality with numbers has it.
    pub(super) fn reading_texts(self, reads_texts: bool) -> ValueSet {
        ValueSet { reads_texts, ..self }
    }

    fn text(&self, text: &str) -> bool {
        match self.reads_texts {
            true => crate::value::parse_double(text).is_some_and(|number| self.doubles().contains(&key(number))),
            false => self.texts().contains(text),
        }
    }

    pub(super) fn new<'a>(values: impl Iterator<Item = &'a Value>) -> ValueSet {
        let mut set = ValueSet::default();
        for value in values.filter(|v| !v.is_null()) {
            if let Value::Array(elements) = value {
                set.arrays.push(elements.clone());
                if elements.len() != 1 {
                    continue;
                }
            }
            set.values.push(value.clone());
        }
        set
    }

    fn texts(&self) -> &HashSet<Arc<str>> {
        self.texts.get_or_init(|| self.values.iter().filter_map(Value::as_text).collect())
    }

    fn longs(&self) -> &HashSet<i64> {
        let exact = |value: &Value| {
            let double = value.as_double()?;
            value.as_long().filter(|long| matches!(value, Value::Long(_)) || *long as f64 == double)
        };
        self.longs.get_or_init(|| self.values.iter().filter_map(exact).collect())
    }

    fn doubles(&self) -> &HashSet<u64> {
        self.doubles.get_or_init(|| self.values.iter().filter_map(Value::as_double).map(key).collect())
    }

    fn floats(&self) -> &HashSet<u32> {
        let bits = |double: f64| (double as f32 + 0.0).to_bits();
        self.floats.get_or_init(|| self.values.iter().filter_map(Value::as_double).map(bits).collect())
    }

    fn value(&self, value: &Value) -> bool {
        match value {
            Value::Null => false,
            Value::Long(v) => self.longs().contains(v),
            Value::Float(v) => self.floats().contains(&(v + 0.0).to_bits()),
            Value::Double(v) => self.doubles().contains(&key(*v)),
            Value::String(v) => self.text(v),
            Value::Array(elements) => self.arrays.iter().any(|array| same_elements(array, elements)),
            Value::Json(_) | Value::Complex(..) => value.as_text().is_some_and(|text| self.texts().contains(&text)),
        }
    }
}

/// Doubles as hash keys: -0.0 is 0.0.
fn key(value: f64) -> u64 {
    (value + 0.0).to_bits()
}

fn same_elements(a: &[Value], b: &[Value]) -> bool {
    a.len() == b.len()
        && a.iter().zip(b).all(|(x, y)| match (x, y) {
            (Value::Null, Value::Null) => true,
            (Value::Null, _) | (_, Value::Null) => false,
            (Value::String(_), Value::String(_)) => x == y,
            (Value::String(_), _) | (_, Value::String(_)) => x.as_text() == y.as_text(),
            _ => x.compare(y).is_eq(),
        })
}

/// A typed range (`RangeFilter`); a null bound is none.
pub(super) struct ValueRange {
    pub match_type: ColumnType,
    pub lower: Value,
    pub upper: Value,
    pub lower_open: bool,
    pub upper_open: bool,
}

impl ValueRange {
    fn value(&self, value: &Value) -> bool {
        if let (Value::Array(elements), Value::Array(_) | Value::Null, Value::Array(_) | Value::Null) =
            (value, &self.lower, &self.upper)
            && let Some(own) = elements.iter().find_map(Value::value_type).filter(|own| *own != ColumnType::String)
        {
            // Bounds are read as the column's kind of array of numbers, texts as the bounds' (`RangeFilter.makeArrayPredicate`).
            let own = ColumnType::array(own);
            return self.within(value, &self.lower.cast(&own), &self.upper.cast(&own));
        }
        if let (Value::String(text), true) = (value, self.match_type.is_numeric()) {
            // Texts are compared as doubles; one that is no number is less than all of them.
            return match crate::value::parse_double(text) {
                Some(number) => self.within(&Value::Double(number), &self.lower, &self.upper),
                None => self.lower.is_null(),
            };
        }
        let cast = value.cast(&self.match_type);
        if cast.is_null() {
            return false;
        }
        self.within(&cast, &self.lower, &self.upper)
    }

    fn within(&self, value: &Value, lower: &Value, upper: &Value) -> bool {
        // A long column against double bounds: compare as doubles, do not cut the bounds off.
        let below = |bound: &Value, open: bool| {
            !bound.is_null() && (value.compare(bound).is_lt() || (open && value.compare(bound).is_eq()))
        };
        let above = |bound: &Value, open: bool| {
            !bound.is_null() && (value.compare(bound).is_gt() || (open && value.compare(bound).is_eq()))
        };
        !below(lower, self.lower_open) && !above(upper, self.upper_open)
    }

    fn bounds(&self) -> Option<Bounds> {
        Bounds::new(&self.lower, self.lower_open, &self.upper, self.upper_open)
    }
}

/// An older `bound` filter: bounds are texts.
pub(super) struct TextBound {
    pub lower: Option<Arc<str>>,
    pub upper: Option<Arc<str>>,
    pub lower_strict: bool,
    pub upper_strict: bool,
    pub ordering: StringOrder,
}

impl TextBound {
    fn text(&self, text: &str) -> bool {
        let lower = self.lower.as_deref().is_none_or(|bound| {
            let order = self.ordering.compare(text, bound);
            order.is_gt() || (!self.lower_strict && order.is_eq())
        });
        lower
            && self.upper.as_deref().is_none_or(|bound| {
                let order = self.ordering.compare(text, bound);
                order.is_lt() || (!self.upper_strict && order.is_eq())
            })
    }

    /// Bounds as numbers; `None` where they are none, or the order is not that of numbers.
    fn bounds(&self) -> Option<Bounds> {
        if self.ordering != StringOrder::Numeric {
            return None;
        }
        let value = |text: &Option<Arc<str>>| text.clone().map_or(Value::Null, Value::String);
        Bounds::new(&value(&self.lower), self.lower_strict, &value(&self.upper), self.upper_strict)
    }
}

/// Which non-null codes of a dictionary pass.
pub(super) enum Selection {
    Range(Range<u32>),
    Codes(Vec<u32>),
}

impl Predicate {
    /// The test on a value that may be null or an array (of a multi-value string when `multi_value`).
    pub(super) fn value(&self, value: &Value, multi_value: bool) -> Tri {
        match value {
            Value::Array(elements) if multi_value => match elements.len() {
                0 => self.value(&Value::Null, false),
                _ => elements.iter().map(|element| self.value(element, false)).fold(Tri::False, |a, b| match (a, b) {
                    (Tri::True, _) | (_, Tri::True) => Tri::True,
                    (Tri::Unknown, _) | (_, Tri::Unknown) => Tri::Unknown,
                    _ => Tri::False,
                }),
            },
            Value::Null => self.of_null(),
            Value::String(text) => self.text(text),
            other => match &self.extraction {
                Some(_) => other.as_text().map_or_else(|| self.of_null(), |text| self.text(&text)),
                None => Tri::of(self.test.value(other)),
            },
        }
    }

    /// What null gives, after the extraction function.
    pub(super) fn of_null(&self) -> Tri {
        match &self.extraction {
            Some(extraction) => extraction.apply(None).map_or(self.null, |text| Tri::of(self.test.text(&text))),
            None => self.null,
        }
    }

    /// The test on a text.
    pub(super) fn text(&self, text: &str) -> Tri {
        match &self.extraction {
            Some(extraction) => extraction.apply(Some(text)).map_or(self.null, |text| Tri::of(self.test.text(&text))),
            None => Tri::of(self.test.text(text)),
        }
    }

    /// The codes that pass, null's code apart from them (it may be among them; callers overrule it).
    pub(super) fn select(&self, dictionary: &dyn Dictionary, include_unknown: bool) -> Result<Selection> {
        let sorted = dictionary.is_sorted();
        if self.extraction.is_none() {
            match &self.test {
                Test::Nothing => return Ok(Selection::Codes(Vec::new())),
                Test::Set(set) | Test::Element(set) if !set.reads_texts => {
                    let mut codes = Vec::with_capacity(set.texts().len());
                    for text in set.texts() {
                        codes.extend(dictionary.find(Some(text))?);
                    }
                    codes.sort_unstable();
                    return Ok(Selection::Codes(codes));
                }
                Test::Range(range) if sorted && range.match_type == ColumnType::String => {
                    let text = |value: &Value| value.as_text();
                    return code_range(dictionary, text(&range.lower), range.lower_open, text(&range.upper), range.upper_open);
                }
                Test::Bound(bound) if sorted && bound.ordering == StringOrder::Lexicographic => {
                    let (lower, upper) = (bound.lower.clone(), bound.upper.clone());
                    return code_range(dictionary, lower, bound.lower_strict, upper, bound.upper_strict);
                }
                Test::Prefix { prefix, rest } if sorted => {
                    let range = prefix_range(dictionary, prefix)?;
                    let Some(rest) = rest else { return Ok(Selection::Range(range)) };
                    let mut codes = Vec::new();
                    for code in range {
                        if dictionary.get(code)?.is_some_and(|text| rest(&text)) {
                            codes.push(code);
                        }
                    }
                    return Ok(Selection::Codes(codes));
                }
                _ => {}
            }
        }
        let mut codes = Vec::new();
        for code in 0..dictionary.cardinality() {
            if dictionary.get(code)?.is_some_and(|text| self.text(&text).passes(include_unknown)) {
                codes.push(code);
            }
        }
        Ok(Selection::Codes(codes))
    }
}

/// First code of a sorted dictionary whose value is not null.
fn first_text(dictionary: &dyn Dictionary) -> Result<u32> {
    Ok(u32::from(dictionary.find(None)? == Some(0)))
}

fn code_range(
    dictionary: &dyn Dictionary,
    lower: Option<Arc<str>>,
    lower_open: bool,
    upper: Option<Arc<str>>,
    upper_open: bool,
) -> Result<Selection> {
    let after = |bound: &str, equal_too: bool| -> Result<u32> {
        let position = dictionary.lower_bound(bound)?;
        let equal = equal_too && position < dictionary.cardinality() && dictionary.get(position)?.as_deref() == Some(bound);
        Ok(position + u32::from(equal))
    };
    let start = match lower {
        Some(bound) => after(&bound, lower_open)?,
        None => first_text(dictionary)?,
    };
    let end = match upper {
        Some(bound) => after(&bound, !upper_open)?,
        None => dictionary.cardinality(),
    };
    Ok(Selection::Range(start..end.max(start)))
}

fn prefix_range(dictionary: &dyn Dictionary, prefix: &str) -> Result<Range<u32>> {
    let start = dictionary.lower_bound(prefix)?.max(first_text(dictionary)?);
    // The end by binary search too: values from `start` on either have the prefix or are greater than all that have it.
    let (mut low, mut high) = (start, dictionary.cardinality());
    while low < high {
        let middle = low + (high - low) / 2;
        if dictionary.get(middle)?.is_some_and(|text| text.starts_with(prefix)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(start..low)
}

impl Test {
    fn text(&self, text: &str) -> bool {
        match self {
            Test::Nothing => false,
            Test::Set(set) | Test::Element(set) => set.text(text),
            Test::Range(range) if range.match_type == ColumnType::String => {
                let bound = |value: &Value| match value {
                    Value::String(text) => Some(text.clone()),
                    _ => None,
                };
                let (lower, upper) = (bound(&range.lower), bound(&range.upper));
                lower.is_none_or(|l| text > l.as_ref() || (!range.lower_open && text == l.as_ref()))
                    && upper.is_none_or(|u| text < u.as_ref() || (!range.upper_open && text == u.as_ref()))
            }
            Test::Range(range) => range.value(&Value::from(text)),
            Test::Bound(bound) => bound.text(text),
            Test::Prefix { prefix, rest } => text.starts_with(prefix.as_str()) && rest.as_ref().is_none_or(|rest| rest(text)),
            Test::Text(test) => test(text),
            Test::Millis(intervals) => {
                text_to_long(text).is_some_and(|millis| intervals.iter().any(|interval| interval.contains(millis)))
            }
        }
    }

    fn value(&self, value: &Value) -> bool {
        match (self, value) {
            (Test::Nothing, _) => false,
            (Test::Set(set), _) => set.value(value),
            (Test::Element(set), Value::Array(elements)) => elements.iter().any(|element| set.value(element)),
            (Test::Element(set), _) => set.value(value),
            (Test::Range(range), Value::Long(_) | Value::Float(_) | Value::Double(_))
                if range.match_type == ColumnType::String =>
            {
                // Between texts, a number is its text.
                value.as_text().is_some_and(|text| self.text(&text))
            }
            (Test::Range(range), Value::Long(_) | Value::Float(_) | Value::Double(_)) => self.number(value, range.bounds()),
            (Test::Range(range), _) => range.value(value),
            (Test::Bound(bound), Value::Long(_) | Value::Float(_) | Value::Double(_)) => match bound.bounds() {
                Some(bounds) => self.number(value, Some(bounds)),
                None => value.as_text().is_some_and(|text| bound.text(&text)),
            },
            (Test::Millis(intervals), _) => {
                value.as_long().is_some_and(|millis| intervals.iter().any(|interval| interval.contains(millis)))
            }
            (Test::Bound(_) | Test::Prefix { .. } | Test::Text(_), _) => value.as_text().is_some_and(|text| self.text(&text)),
        }
    }

    fn number(&self, value: &Value, bounds: Option<Bounds>) -> bool {
        let Some(bounds) = bounds else { return false };
        match value {
            Value::Long(v) => bounds.long_test().test(*v),
            Value::Float(v) => bounds.float_test().test(*v),
            other => other.as_double().is_some_and(|v| bounds.double_test().test(v)),
        }
    }

    /// The test in the form of a long column; `None`: ask by value.
    pub(super) fn long_test(&self) -> Option<NumberTest<i64>> {
        match self {
            Test::Nothing => Some(NumberTest::Never),
            Test::Set(set) | Test::Element(set) => Some(NumberTest::set(set.longs().iter().copied())),
            Test::Range(range) if range.match_type == ColumnType::String => None,
            Test::Range(range) => Some(range.bounds().map_or(NumberTest::Never, |b| b.long_test())),
            Test::Bound(bound) => bound.bounds().map(|b| b.long_test()),
            Test::Millis(intervals) => match intervals.as_slice() {
                [one] => Some(NumberTest::closed(one.start, one.end.saturating_sub(1))),
                many => {
                    Some(NumberTest::Any(many.iter().map(|i| NumberTest::closed(i.start, i.end.saturating_sub(1))).collect()))
                }
            },
            Test::Prefix { .. } | Test::Text(_) => None,
        }
    }

    /// The test in the form of a double column.
    pub(super) fn double_test(&self) -> Option<NumberTest<f64>> {
        match self {
            Test::Nothing => Some(NumberTest::Never),
            Test::Set(set) | Test::Element(set) => Some(NumberTest::set(set.doubles().iter().map(|bits| f64::from_bits(*bits)))),
            Test::Range(range) if range.match_type == ColumnType::String => None,
            Test::Range(range) => Some(range.bounds().map_or(NumberTest::Never, |b| b.double_test())),
            Test::Bound(bound) => bound.bounds().map(|b| b.double_test()),
            Test::Millis(_) | Test::Prefix { .. } | Test::Text(_) => None,
        }
    }

    /// The test in the form of a float column.
    pub(super) fn float_test(&self) -> Option<NumberTest<f32>> {
        match self {
            Test::Nothing => Some(NumberTest::Never),
            Test::Set(set) | Test::Element(set) => Some(NumberTest::set(set.floats().iter().map(|bits| f32::from_bits(*bits)))),
            Test::Range(range) if range.match_type == ColumnType::String => None,
            Test::Range(range) => Some(range.bounds().map_or(NumberTest::Never, |b| b.float_test())),
            Test::Bound(bound) => bound.bounds().map(|b| b.float_test()),
            Test::Millis(_) | Test::Prefix { .. } | Test::Text(_) => None,
        }
    }
}
