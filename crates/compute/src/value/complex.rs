//! Complex types whose Java classes are numbers too: sums and arithmetic read them so.

use crate::sketch::decimal::Decimal;
use crate::sketch::spectator::Spectator;

/// A spectator histogram is the count of its values, a decimal is rounded.
pub(super) fn as_long(name: &str, bytes: &[u8]) -> Option<i64> {
    match name {
        "compressedBigDecimal" => as_double(name, bytes).map(|value| value.round() as i64),
        _ if name.starts_with("spectatorHistogram") => Spectator::from_bytes(bytes).ok().map(|histogram| histogram.count()),
        _ => None,
    }
}

/// See [`as_long`].
pub(super) fn as_double(name: &str, bytes: &[u8]) -> Option<f64> {
    match name {
        "compressedBigDecimal" => Decimal::from_bytes(bytes).ok().map(|decimal| decimal.as_double()),
        _ => as_long(name, bytes).map(|count| count as f64),
    }
}
