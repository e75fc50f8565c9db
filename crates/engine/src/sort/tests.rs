//! Sorting by way of the disk gives what sorting in memory gives, and says why where neither has room.

use std::sync::Arc;

use ovate_base::Result;
use ovate_compute::column::MemoryDictionary;
use ovate_compute::{EvalContext, Value, Vector};
use ovate_query::{QueryContext, Spill, SpillFile, SpillStore};
use parking_lot::Mutex;

use super::*;
use crate::relation::Relation;

/// Files in memory.
#[derive(Default)]
struct Memory(Mutex<Vec<u8>>);

struct Store;

impl SpillStore for Store {
    fn create(&self) -> Result<Box<dyn SpillFile>> {
        Ok(Box::new(Memory::default()))
    }
}

impl SpillFile for Memory {
    fn append(&self, bytes: &[u8]) -> Result<u64> {
        let mut all = self.0.lock();
        all.extend_from_slice(bytes);
        Ok((all.len() - bytes.len()) as u64)
    }

    fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<()> {
        bytes.copy_from_slice(&self.0.lock()[offset as usize..][..bytes.len()]);
        Ok(())
    }
}

/// Columns of every kind, with nulls and many ties.
fn relation(rows: usize) -> Relation {
    let mut state = 7u64;
    let mut random = |limit: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % limit
    };
    let longs: Vec<i64> = (0..rows).map(|_| random(20) as i64 - 10).collect();
    let long_nulls: Vec<bool> = (0..rows).map(|_| random(10) == 0).collect();
    let doubles: Vec<f64> = (0..rows).map(|_| [0.0, -0.0, f64::NAN, 1.5, f64::INFINITY][random(5) as usize]).collect();
    let texts: Vec<Option<Arc<str>>> =
        (0..rows).map(|_| random(6).checked_sub(1).map(|n| Arc::from(format!("text {n}")))).collect();
    let values =
        (0..rows).map(|_| if random(3) == 0 { Value::Null } else { Value::Array([Value::Long(random(4) as i64)].into()) });
    let any =
        Vector::Any { column_type: ovate_compute::ColumnType::array(ovate_compute::ColumnType::Long), values: values.collect() };
    let mut dictionary = MemoryDictionary::new();
    [Some("zulu"), None, Some("alpha"), Some("mike")].iter().for_each(|text| {
        dictionary.intern(*text);
    });
    let codes = (0..rows).map(|_| random(4) as u32).collect();
    let columns = vec![
        Vector::Long { values: longs, nulls: Some(long_nulls) },
        Vector::Double { values: doubles, nulls: None },
        Vector::String(texts),
        any,
        Vector::Codes { dictionary: Arc::new(dictionary), codes },
        Vector::Long { values: (0..rows as i64).collect(), nulls: None },
    ];
    Relation { columns, rows }
}

fn shown(relation: &Relation) -> Vec<String> {
    let cell =
        |row: usize| relation.columns.iter().map(|column| format!("{:?}", column.value(row))).collect::<Vec<_>>().join(" ");
    (0..relation.rows).map(cell).collect()
}

fn context(memory: u64, disk: u64) -> QueryContext {
    let spill = (disk > 0).then(|| Spill::new(Arc::new(Store), disk));
    QueryContext::new(EvalContext::at(0)).with_memory(memory).with_spill(spill)
}

fn key(column: usize, descending: bool, nulls_first: bool) -> SortColumn {
    SortColumn { column, descending, nulls_first }
}

#[test]
fn the_disk_gives_the_order_that_memory_gives() {
    let orders = [
        vec![key(0, false, true), key(1, true, false)],
        vec![key(4, false, false), key(2, true, true)],
        vec![key(3, true, false), key(4, true, true), key(0, false, false)],
        vec![key(1, false, false)],
    ];
    let wanted = [(0, None), (3, Some(10)), (100, None), (0, Some(4_000)), (30_000, Some(5))];
    for keys in &orders {
        for (offset, limit) in wanted {
            let wanted = Wanted { offset, limit };
            let roomy = sort_within(relation(9_000), keys, wanted, &context(1 << 30, 0)).unwrap();
            let narrow = context(300_000, 1 << 30);
            let tight = sort_within(relation(9_000), keys, wanted, &narrow).unwrap();
            assert_eq!(shown(&roomy), shown(&tight), "{keys:?} {wanted:?}");
            assert_eq!(narrow.budget().used_bytes(), 0);
        }
    }
}

#[test]
fn rows_are_ordered_by_value_and_then_as_they_came() {
    let sorted = sort_within(relation(3000), &[key(4, false, true)], Wanted::default(), &context(1 << 30, 0)).unwrap();
    let texts: Vec<Option<Arc<str>>> = (0..sorted.rows).map(|row| sorted.columns[4].value(row).as_text()).collect();
    let places: Vec<i64> = (0..sorted.rows).map(|row| sorted.columns[5].value(row).as_long().unwrap()).collect();
    let pairs: Vec<_> = texts.iter().zip(&places).collect();
    assert!(pairs.is_sorted() && texts[0].is_none());
}

#[test]
fn where_neither_memory_nor_disk_has_room_the_setting_is_named() {
    let refused = |memory, disk| {
        let sorted = sort_within(relation(9_000), &[key(0, false, true)], Wanted::default(), &context(memory, disk));
        sorted.err().expect("there is no room").message
    };
    let message = refused(1 << 10, 1 << 30);
    assert!(message.contains("druid.ovate.memory"), "{message}");
    let message = refused(1 << 10, 0);
    assert!(message.contains("Not enough memory to sort 9000 rows"), "{message}");
    let message = refused(300_000, 10_000);
    assert!(message.contains("druid.query.groupBy.maxOnDiskStorage"), "{message}");
}
