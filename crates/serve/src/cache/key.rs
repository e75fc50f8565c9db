//! Keys: everything that changes a partial result is in them - the query without its intervals, the parameters of its context
//! that are not known to be harmless, the versions of lookups, and what is read: a segment and the part of time asked of it,
//! or all segments of a result.

use std::collections::BTreeMap;

use ovate_query::NativeQuery;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// Parameters that say how a query runs, not what it gives.
const HARMLESS: &[&str] = &[
    "queryId",
    "subQueryId",
    "sqlQueryId",
    "queryResourceId",
    "timeout",
    "defaultTimeout",
    "perSegmentTimeout",
    "queryFailTime",
    "priority",
    "lane",
    "brokerService",
    "useCache",
    "populateCache",
    "useResultLevelCache",
    "populateResultLevelCache",
    "maxQueuedBytes",
    "maxScatterGatherBytes",
    "numRetriesOnMissingSegments",
    "returnPartialResults",
    "sqlStringifyArrays",
    "authenticationResult",
];

/// A digest of what the value depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CacheKey([u8; 32]);

impl CacheKey {
    /// As text for caches outside the process.
    pub fn to_text(self, prefix: &str) -> String {
        let hex: String = self.0.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{prefix}:ovate:{hex}")
    }
}

/// Makes keys for one query.
#[derive(Clone)]
pub struct QueryKey(Sha256);

impl QueryKey {
    /// The key over these segments and intervals, as texts, in this order.
    pub fn over<'a>(&self, parts: impl Iterator<Item = &'a str>) -> CacheKey {
        let mut digest = self.0.clone();
        for part in parts {
            digest.update((part.len() as u64).to_le_bytes());
            digest.update(part.as_bytes());
        }
        CacheKey(digest.finalize().into())
    }
}

/// The part of the key that the query makes; `None` when its result depends on the time of asking. `lookups`: their versions.
pub fn query_key(query: &NativeQuery, lookups: &BTreeMap<String, String>) -> Option<QueryKey> {
    let mut document = query.to_json();
    let fields = document.as_object_mut()?;
    fields.shift_remove("intervals");
    let context = fields.shift_remove("context").unwrap_or(Value::Null);
    let kept: BTreeMap<String, Value> = match context {
        Value::Object(context) => context.into_iter().filter(|(name, _)| !HARMLESS.contains(&name.as_str())).collect(),
        _ => BTreeMap::new(),
    };
    let text = document.to_string();
    // An expression that calls `now()` gives another answer each time.
    if text.contains("now(") || text.contains("now (") {
        return None;
    }
    let mut digest = Sha256::new();
    let kept = Value::Object(kept.into_iter().collect::<Map<_, _>>()).to_string();
    let versions = serde_json::to_string(lookups).unwrap_or_default();
    let format = [ovate_query::partial::FORMAT_VERSION];
    for part in [&format[..], text.as_bytes(), kept.as_bytes(), versions.as_bytes()] {
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part);
    }
    Some(QueryKey(digest))
}
