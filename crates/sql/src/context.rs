//! Keys of the query context that SQL knows (Druid's page "SQL query context"): values of the wrong kind are refused by name, and so is
//! what another engine would have to do. Keys that only choose between plans of the same answer are taken and change nothing.

use ovate_base::{DruidError, Result};
use ovate_query::Context;
use serde_json::{Map, Value as Json};

/// Flags that change answers or plans here.
const FLAGS: [&str; 6] = [
    "useApproximateCountDistinct",
    "useApproximateTopN",
    "enableTimeBoundaryPlanning",
    "sqlFinalizeOuterSketches",
    "sqlStringifyArrays",
    "useNativeQueryExplain",
];

/// Flags of Druid that choose between plans with the same answer; ours is made without them.
const IDLE_FLAGS: [&str; 6] = [
    "useGroupingSetForExactDistinct",
    "sqlUseBoundAndSelectors",
    "sqlReverseLookup",
    "sqlPullUpLookup",
    "enableJoinLeftTableScanDirect",
    "sqlUseGranularity",
];

const NUMBERS: [&str; 7] = [
    "sqlOuterLimit",
    "maxTopNLimit",
    "maxNumericInFilters",
    "inSubQueryThreshold",
    "inFunctionThreshold",
    "inFunctionExprThreshold",
    "sqlReverseLookupThreshold",
];

/// Checks a statement's context.
pub fn check(context: &Map<String, Json>) -> Result<()> {
    if context.is_empty() {
        return Ok(());
    }
    let known = FLAGS.iter().chain(&IDLE_FLAGS).chain(&NUMBERS).chain(&["engine", "plannerStrategy"]);
    if !known.clone().any(|key| context.contains_key(*key)) {
        return Ok(());
    }
    let typed: Map<String, Json> =
        known.filter_map(|key| context.get(*key).map(|value| ((*key).to_owned(), value.clone()))).collect();
    let typed = Context(typed);
    for key in FLAGS.iter().chain(&IDLE_FLAGS) {
        typed.bool(key, false)?;
    }
    for key in NUMBERS {
        typed.long(key)?;
    }
    match typed.get("engine").map(|engine| engine.as_str()) {
        None | Some(Some("native")) => {}
        Some(Some(engine)) => {
            return Err(DruidError::invalid_input(format!("Unsupported engine[{engine}]; this endpoint has [native]")));
        }
        Some(None) => return Err(DruidError::invalid_input("query context parameter [engine] must be a text")),
    }
    match typed.get("plannerStrategy").map(|strategy| strategy.as_str().unwrap_or_default().to_ascii_uppercase()) {
        None => Ok(()),
        Some(strategy) if strategy == "COUPLED" || strategy == "DECOUPLED" => Ok(()),
        Some(strategy) => Err(DruidError::invalid_input(format!(
            "query context parameter [plannerStrategy] must be COUPLED or DECOUPLED, not [{strategy}]"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(context: Json) -> String {
        let Json::Object(context) = context else { return "not a context".to_owned() };
        check(&context).map_or_else(|error| error.message, |()| "fine".to_owned())
    }

    #[test]
    fn values_of_another_kind_are_refused_by_name() {
        assert_eq!(refused(json!({"useApproximateTopN": "false", "sqlOuterLimit": "5", "lane": 7, "engine": "native"})), "fine");
        assert_eq!(refused(json!({"sqlReverseLookup": true, "plannerStrategy": "decoupled", "inSubQueryThreshold": 20})), "fine");
        for (key, value) in [
            ("useApproximateTopN", json!("perhaps")),
            ("sqlUseBoundAndSelectors", json!([])),
            ("sqlOuterLimit", json!("ten")),
            ("inSubQueryThreshold", json!({})),
            ("plannerStrategy", json!("GUESS")),
            ("engine", json!(1)),
        ] {
            assert!(refused(json!({key: value})).contains(key), "{key}");
        }
        assert!(refused(json!({"engine": "msq-dart"})).contains("msq-dart"));
    }
}
