//! Pruning by a filter's domain (`ShardSpec.possibleInDomain`): which segments cannot hold a row that passes.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::{DimensionRange, Hashed, ShardSpec, SingleRange, hash_bucket, hash_key_json};

/// Values that a filter lets pass, per dimension; a dimension that is absent is not restricted. Ranges of one
/// dimension are a union. Null is the range below the empty string.
pub type Domain = BTreeMap<String, Vec<StringRange>>;

/// A range of strings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StringRange {
    pub lower: Bound<String>,
    pub upper: Bound<String>,
}

/// Most combinations of values that are hashed before pruning gives up.
const COMBINATIONS_MAX: usize = 4_096;

impl StringRange {
    /// Just this value.
    pub fn point(value: impl Into<String>) -> StringRange {
        let value = value.into();
        StringRange { lower: Bound::Included(value.clone()), upper: Bound::Included(value) }
    }

    /// Just null.
    pub fn null() -> StringRange {
        StringRange { lower: Bound::Unbounded, upper: Bound::Excluded(String::new()) }
    }

    fn as_point(&self) -> Option<&str> {
        match (&self.lower, &self.upper) {
            (Bound::Included(lower), Bound::Included(upper)) if lower == upper => Some(lower),
            _ => None,
        }
    }

    /// The part inside `[low, high]`, where `None` is unbounded and a null end stands for everything up to null.
    fn clip(&self, low: Option<Option<&str>>, high: Option<Option<&str>>) -> Option<StringRange> {
        let mut clipped = self.clone();
        if let Some(Some(low)) = low {
            let raise = match &clipped.lower {
                Bound::Unbounded => true,
                Bound::Included(value) | Bound::Excluded(value) => value.as_str() < low,
            };
            if raise {
                clipped.lower = Bound::Included(low.to_owned());
            }
        }
        if let Some(high) = high {
            let limit = match high {
                Some(high) => Bound::Included(high.to_owned()),
                None => Bound::Excluded(String::new()),
            };
            let cut = match (&clipped.upper, &limit) {
                (Bound::Unbounded, _) => true,
                (Bound::Included(value), Bound::Excluded(limit)) => value >= limit,
                (Bound::Included(value) | Bound::Excluded(value), Bound::Included(limit) | Bound::Excluded(limit)) => {
                    value > limit
                }
                (_, Bound::Unbounded) => false,
            };
            if cut {
                clipped.upper = limit;
            }
        }
        (!clipped.is_empty()).then_some(clipped)
    }

    fn is_empty(&self) -> bool {
        match (&self.lower, &self.upper) {
            (Bound::Included(lower), Bound::Included(upper)) => lower > upper,
            (Bound::Included(lower), Bound::Excluded(upper)) | (Bound::Excluded(lower), Bound::Included(upper)) => lower >= upper,
            (Bound::Excluded(lower), Bound::Excluded(upper)) => lower >= upper,
            _ => false,
        }
    }

    /// True when it is exactly the value (null: everything below the empty string).
    fn is_only(&self, value: Option<&str>) -> bool {
        match value {
            Some(value) => self.as_point() == Some(value),
            None => self.upper == Bound::Excluded(String::new()),
        }
    }
}

impl ShardSpec {
    /// False only when no row of the segment can lie in the domain.
    pub fn possible_in_domain(&self, domain: &Domain) -> bool {
        match self {
            ShardSpec::Hashed(spec) => hashed_possible(spec, domain),
            ShardSpec::Single(spec) => single_possible(spec, domain),
            ShardSpec::Range(spec) => range_possible(spec, domain),
            ShardSpec::None
            | ShardSpec::Linear { .. }
            | ShardSpec::Numbered { .. }
            | ShardSpec::NumberedOverwrite(_)
            | ShardSpec::Tombstone => true,
        }
    }

    /// Dimensions that pruning looks at (`ShardSpec.getDomainDimensions`).
    pub fn domain_dimensions(&self) -> Vec<&str> {
        match self {
            ShardSpec::Hashed(spec) if spec.partition_function.is_some() => {
                spec.partition_dimensions.iter().map(String::as_str).collect()
            }
            ShardSpec::Single(spec) => vec![&spec.dimension],
            ShardSpec::Range(spec) => spec.dimensions.iter().map(String::as_str).collect(),
            _ => Vec::new(),
        }
    }
}

fn hashed_possible(spec: &Hashed, domain: &Domain) -> bool {
    if spec.partition_function.as_deref() != Some("murmur3_32_abs") || spec.partition_dimensions.is_empty() {
        return true;
    }
    let mut points: Vec<Vec<&str>> = Vec::new();
    let mut combinations = 1usize;
    for dimension in &spec.partition_dimensions {
        let Some(values) = domain.get(dimension).and_then(|ranges| ranges.iter().map(StringRange::as_point).collect()) else {
            return true;
        };
        let values: Vec<&str> = values;
        combinations = combinations.saturating_mul(values.len());
        points.push(values);
    }
    if combinations > COMBINATIONS_MAX {
        return true;
    }
    let mut key = String::new();
    (0..combinations).any(|mut number| {
        let chosen: Vec<[&str; 1]> = points
            .iter()
            .map(|values| {
                let value = values[number % values.len()];
                number /= values.len();
                [value]
            })
            .collect();
        let lists: Vec<&[&str]> = chosen.iter().map(|list| list.as_slice()).collect();
        hash_key_json(&lists, &mut key);
        hash_bucket(key.as_bytes(), spec.num_buckets) == spec.bucket_id
    })
}

fn single_possible(spec: &SingleRange, domain: &Domain) -> bool {
    let Some(ranges) = domain.get(&spec.dimension) else { return true };
    let low = spec.start.as_deref().map(Some);
    let high = spec.end.as_deref().map(Some);
    ranges.iter().any(|range| range.clip(low, high).is_some_and(|left| spec.end.is_none() || !left.is_only(spec.end.as_deref())))
}

fn range_possible(spec: &DimensionRange, domain: &Domain) -> bool {
    let everything = [StringRange { lower: Bound::Unbounded, upper: Bound::Unbounded }];
    let (mut at_start, mut at_end) = (spec.start.is_some(), spec.end.is_some());
    if !at_start && !at_end {
        return true;
    }
    let last = spec.dimensions.len().saturating_sub(1);
    for (index, dimension) in spec.dimensions.iter().enumerate() {
        let allowed = domain.get(dimension).map_or(&everything[..], Vec::as_slice);
        let (start, end) = (value_at(&spec.start, index), value_at(&spec.end, index));
        let low = if at_start { start } else { None };
        let high = if at_end { end } else { None };
        let left: Vec<StringRange> = allowed.iter().filter_map(|range| range.clip(low, high)).collect();
        if left.is_empty() {
            return false;
        }
        let only = |value: Option<Option<&str>>| value.is_some_and(|value| left.iter().all(|range| range.is_only(value)));
        let (only_start, only_end) = (only(start), only(end));
        // The end is exclusive: the last dimension cannot have exactly its value when all before did.
        if index == last && at_end && only_end {
            return false;
        }
        at_start &= only_start;
        at_end &= only_end;
        if !at_start && !at_end {
            return true;
        }
    }
    true
}

fn value_at(tuple: &Option<Vec<Option<String>>>, index: usize) -> Option<Option<&str>> {
    tuple.as_ref()?.get(index).map(Option::as_deref)
}
