//! Grouping when memory is short: groups wait on disk and the answer is the same, or the query is refused with the names of the
//! limit and of the setting. Nothing stays reserved.

use std::sync::Arc;

use ovate_base::{Budget, Result};
use ovate_compute::column::MemoryTable;
use ovate_compute::{ColumnSource, EvalContext, Vector};
use ovate_query::{
    NativeQuery, Partial, Profile, QueryContext, SegmentRef, Spill, SpillFile, SpillStore, finalize, merge, run_segments,
    write_json,
};
use parking_lot::Mutex;
use serde_json::json;

use crate::support::query;

/// Files in memory, which the budget of the query does not count.
struct Store;
struct Bytes(Mutex<Vec<u8>>);

impl SpillStore for Store {
    fn create(&self) -> Result<Box<dyn SpillFile>> {
        Ok(Box::new(Bytes(Mutex::default())))
    }
}

impl SpillFile for Bytes {
    fn append(&self, bytes: &[u8]) -> Result<u64> {
        let mut all = self.0.lock();
        all.extend_from_slice(bytes);
        Ok((all.len() - bytes.len()) as u64)
    }
    fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<()> {
        bytes.copy_from_slice(&self.0.lock()[offset as usize..offset as usize + bytes.len()]);
        Ok(())
    }
}

const KEYS: usize = 8_000;

/// Every key in two rows of each segment, far from each other; every ninth has no number.
fn segments(count: usize) -> Vec<SegmentRef> {
    let one = |segment: usize| {
        let keys: Vec<usize> = (0..2 * KEYS).map(|row| (row * 7919 + segment) % KEYS).collect();
        let columns = vec![
            ("__time".to_owned(), Vector::Long { values: (0..keys.len() as i64).collect(), nulls: None }),
            (
                "number".to_owned(),
                Vector::Long {
                    values: keys.iter().map(|key| (*key as i64) << 33).collect(),
                    nulls: Some(keys.iter().map(|key| key % 9 == 0).collect()),
                },
            ),
            ("text".to_owned(), Vector::String(keys.iter().map(|key| Some(Arc::from(format!("text {key}")))).collect())),
            ("price".to_owned(), Vector::Double { values: keys.iter().map(|key| *key as f64 / 4.0).collect(), nulls: None }),
        ];
        let source: Arc<dyn ColumnSource> = Arc::new(MemoryTable::new(columns).expect("a table"));
        SegmentRef::new(&format!("s{segment}"), vec![ovate_base::Interval::ETERNITY], source)
    };
    (0..count).map(one).collect()
}

fn group_by(limit: Option<u64>) -> NativeQuery {
    let mut document = json!({"queryType": "groupBy", "dataSource": "t", "intervals": "0000/3000", "granularity": "all",
        "dimensions": [{"dimension": "number", "outputName": "number", "outputType": "LONG"}, "text"],
        "aggregations": [{"type": "count", "name": "n"}, {"type": "doubleSum", "name": "sum", "fieldName": "price"}]});
    if let Some(limit) = limit {
        document["limitSpec"] = json!({"type": "default", "limit": limit, "columns": ["text"]});
    }
    query(document)
}

fn answer(query: &NativeQuery, segments: &[SegmentRef], context: &QueryContext) -> Result<String> {
    // As a Broker does: the segments of two servers, merged.
    let (first, second) = segments.split_at(segments.len() / 2);
    let partials =
        [first, second].into_iter().map(|part| run_segments(query, part, context, 2)).collect::<Result<Vec<Partial>>>()?;
    let rows = finalize(query, merge(query, partials, context)?, context)?;
    let mut out = Vec::new();
    write_json(query, &rows, &mut out)?;
    Ok(String::from_utf8(out).expect("JSON is UTF-8"))
}

fn within(budget: &Budget, disk: u64) -> QueryContext {
    let spill = (disk > 0).then(|| Spill::new(Arc::new(Store), disk));
    let mut context = QueryContext::new(EvalContext::at(0)).with_budget(budget.clone()).with_spill(spill);
    context.profile = Some(Arc::new(Profile::default()));
    context
}

fn budget(bytes: u64) -> Budget {
    Budget::new("druid.ovate.memory", bytes)
}

#[test]
fn spilled_groups_give_the_same_answer_or_the_query_is_refused_by_name() {
    let segments = segments(4);
    for limit in [None, Some(10)] {
        let query = group_by(limit);
        let wanted = answer(&query, &segments, &within(&budget(1 << 30), 0)).expect("there is room");
        assert!(wanted.len() > 100);
        // The least that the answer itself fits into.
        let sizes = (2..40).map(|eighths| eighths << 17);
        let (small, context, found) = sizes
            .map(budget)
            .find_map(|small| {
                let context = within(&small, 1 << 30);
                answer(&query, &segments, &context).ok().map(|found| (small, context, found))
            })
            .expect("groups wait on disk");
        assert!(found == wanted, "limit {limit:?}");
        let spilled = context.profile.as_ref().expect("it counts").to_json()["spilledBytes"].as_u64();
        assert!(spilled > Some(1 << 19), "{spilled:?} bytes on disk within {}", small.limit_bytes());
        for disk in [0, 1000] {
            let refused = answer(&query, &segments, &within(&small, disk)).expect_err("there is no room");
            let names = ["druid.ovate.memory", "druid.query.groupBy.maxOnDiskStorage"];
            assert!(refused.is_resource_limit() && names.iter().any(|name| refused.message.contains(name)), "{refused}");
            assert!(refused.message.contains(names[1]), "{refused}");
        }
        assert_eq!(small.used_bytes(), 0);
    }
}

#[test]
fn concurrent_group_bys_share_a_small_budget() {
    let (segments, query) = (segments(2), group_by(Some(5)));
    let wanted = answer(&query, &segments, &within(&budget(1 << 30), 0)).expect("there is room");
    let shared = budget(5 << 19);
    let outcomes: Vec<Result<String>> = std::thread::scope(|scope| {
        let one = || answer(&query, &segments, &within(&shared, 1 << 30));
        let threads: Vec<_> = (0..6).map(|_| scope.spawn(one)).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    assert!(outcomes.iter().any(Result::is_ok));
    for outcome in outcomes {
        match outcome {
            Ok(answer) => assert!(answer == wanted),
            Err(refused) => assert!(refused.is_resource_limit() && refused.message.contains("druid.ovate.memory"), "{refused}"),
        }
    }
    assert_eq!(shared.used_bytes(), 0);
}
