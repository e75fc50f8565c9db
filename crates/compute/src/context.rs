//! What evaluation may ask of its surroundings: lookups and the query's clock, handed in, never fetched.

use std::collections::HashMap;
use std::sync::Arc;

/// One lookup: string keys to string values.
pub type LookupMap = Arc<HashMap<String, String>>;

/// Surroundings of an evaluation; cheap to clone.
#[derive(Clone)]
pub struct EvalContext {
    /// Lookups by name, as loaded when the query began.
    pub lookups: Arc<HashMap<String, LookupMap>>,
    /// The query's fixed "now", in milliseconds since the epoch.
    pub now_ms: i64,
}

impl EvalContext {
    /// No lookups, and this instant as now.
    pub fn at(now_ms: i64) -> Self {
        EvalContext { lookups: Arc::default(), now_ms }
    }
}
