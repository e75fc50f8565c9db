use std::sync::Arc;

use ovate_compute::{ColumnType, Value, Vector};

use super::*;

fn longs(values: &[Option<i64>]) -> Relation {
    let rows = values.iter().map(|v| vec![v.map_or(Value::Null, Value::Long)]).collect();
    Relation::from_rows(&[ColumnType::Long], rows)
}

fn texts(values: &[Option<&str>]) -> Relation {
    let rows = values.iter().map(|v| vec![v.map_or(Value::Null, Value::from)]).collect();
    Relation::from_rows(&[ColumnType::String], rows)
}

const ON_FIRST: [JoinKey; 1] = [JoinKey { left: 0, right: 0, null_safe: false }];

fn rows_of(relation: &Relation) -> Vec<Vec<Option<i64>>> {
    (0..relation.rows).map(|row| relation.columns.iter().map(|c| c.value(row).as_long()).collect()).collect()
}

#[test]
fn rows_come_by_left_row_whichever_side_the_table_is_built_over() {
    let small = longs(&[Some(3), Some(1), None]);
    let large = longs(&[Some(1), Some(3), Some(1), None, Some(7), Some(3), Some(1)]);
    let joined = join(&small, &large, JoinType::Inner, &ON_FIRST, None).expect("joins");
    let expected: Vec<Vec<Option<i64>>> = [3, 3, 1, 1, 1].map(|v| vec![Some(v), Some(v)]).to_vec();
    assert_eq!(rows_of(&joined), expected);
    let other = join(&large, &small, JoinType::Inner, &ON_FIRST, None).expect("joins");
    assert_eq!(rows_of(&other).iter().map(|r| r[0]).collect::<Vec<_>>(), [1, 3, 1, 3, 1].map(Some));
}

#[test]
fn nulls_match_only_where_asked() {
    let (a, b) = (longs(&[None, Some(1)]), longs(&[None, Some(2)]));
    assert_eq!(join(&a, &b, JoinType::Inner, &ON_FIRST, None).expect("joins").rows, 0);
    let safe = [JoinKey { null_safe: true, ..ON_FIRST[0] }];
    assert_eq!(rows_of(&join(&a, &b, JoinType::Inner, &safe, None).expect("joins")), vec![vec![None, None]]);
    let (a, b) = (texts(&[None, Some("x")]), texts(&[None, Some("y")]));
    assert_eq!(join(&a, &b, JoinType::Inner, &ON_FIRST, None).expect("joins").rows, 0);
    assert_eq!(join(&a, &b, JoinType::Inner, &safe, None).expect("joins").rows, 1);
}

#[test]
fn outer_joins_keep_what_matches_nothing() {
    let (a, b) = (longs(&[Some(1), Some(2)]), longs(&[Some(2), Some(3)]));
    let left = join(&a, &b, JoinType::Left, &ON_FIRST, None).expect("joins");
    assert_eq!(rows_of(&left), vec![vec![Some(1), None], vec![Some(2), Some(2)]]);
    let full = join(&a, &b, JoinType::Full, &ON_FIRST, None).expect("joins");
    assert_eq!(full.rows, 3);
    assert_eq!(rows_of(&full)[2], vec![None, Some(3)]);
}

#[test]
fn semi_and_anti_share_out_the_left_rows() {
    let a = longs(&[Some(1), Some(2), None, Some(2), Some(9)]);
    for b in [longs(&[Some(2), Some(2)]), longs(&[Some(2), Some(3), Some(3), Some(4), Some(5), Some(6), Some(7)])] {
        let semi = join(&a, &b, JoinType::Semi, &ON_FIRST, None).expect("joins");
        assert_eq!(rows_of(&semi), vec![vec![Some(2)], vec![Some(2)]]);
        let anti = join(&a, &b, JoinType::Anti, &ON_FIRST, None).expect("joins");
        assert_eq!(rows_of(&anti), vec![vec![Some(1)], vec![None], vec![Some(9)]]);
    }
}

#[test]
fn a_condition_decides_about_pairs() {
    let (a, b) = (longs(&[Some(1), Some(5)]), longs(&[Some(3), Some(4), Some(6)]));
    let less = |l: &[u32], r: &[u32]| -> Result<Vec<bool>> {
        Ok(l.iter()
            .zip(r)
            .map(|(l, r)| a.columns[0].value(*l as usize).as_long() < b.columns[0].value(*r as usize).as_long())
            .collect())
    };
    let joined = join(&a, &b, JoinType::Inner, &[], Some(&less)).expect("joins");
    assert_eq!(joined.rows, 4);
    let semi = join(&b, &a, JoinType::Anti, &[], Some(&|l, r| less(r, l))).expect("joins");
    assert_eq!(semi.rows, 0);
}

#[test]
fn texts_of_different_dictionaries_and_numbers_of_different_types_meet() {
    let a = texts(&[Some("a"), Some("b"), Some("c")]);
    let b = Relation { columns: vec![Vector::constant(&Value::String(Arc::from("b")), 2)], rows: 2 };
    assert_eq!(join(&a, &b, JoinType::Inner, &ON_FIRST, None).expect("joins").rows, 2);
    let longs = longs(&[Some(1), Some(2)]);
    let doubles = Relation { columns: vec![Vector::Double { values: vec![2.0, 2.5], nulls: None }], rows: 2 };
    assert_eq!(join(&longs, &doubles, JoinType::Inner, &ON_FIRST, None).expect("joins").rows, 1);
}

#[test]
fn wide_and_negative_keys_are_found_by_hash_and_by_place() {
    for factor in [1, 100, 1 << 40] {
        let left: Vec<Option<i64>> = (-1000..1000).map(|v| Some(v * factor)).collect();
        let right: Vec<Option<i64>> = (-10..500_000).map(|v| Some(v * factor)).collect();
        let joined = join(&longs(&left), &longs(&right), JoinType::Inner, &ON_FIRST, None).expect("joins");
        assert_eq!(joined.rows, 1010);
        assert!(rows_of(&joined).iter().all(|row| row[0] == row[1]));
    }
}

#[test]
fn too_large_a_cross_join_is_refused() {
    let many = Relation { columns: Vec::new(), rows: 20_000 };
    let error = join(&many, &many, JoinType::Inner, &[], None).err().expect("refused");
    assert!(error.to_string().contains("Join gives more than"), "{error}");
}

#[test]
fn a_join_that_memory_has_no_room_for_is_refused_by_name() {
    let side = |rows: usize| Relation { columns: vec![Vector::Long { values: vec![7; rows], nulls: None }], rows };
    let (left, right) = (side(2000), side(2000));
    let budget = ovate_base::Budget::new("druid.ovate.memory", 1 << 20);
    let room = Room::of(&budget, &left, &right);
    for keys in [&ON_FIRST[..], &[]] {
        let refused = join_within(room, &left, &right, JoinType::Inner, keys, None)
            .map(|joined| joined.rows)
            .expect_err("four million rows");
        assert!(refused.is_resource_limit() && refused.message.contains("druid.ovate.memory"), "{refused}");
    }
    let (left, right) = (side(100), side(100));
    assert_eq!(join_within(room, &left, &right, JoinType::Inner, &ON_FIRST, None).expect("it fits").rows, 10_000);
}

/// Rows of a long of this factor, a long and a text, each sometimes null.
fn mixed(rows: u64, seed: u64, factor: i64) -> Relation {
    let number =
        |row: u64, more: u64, below: u64| (row * 7919 + seed * 31 + more).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40 & (below - 1);
    let or_null = |value: Value, row: u64| if (row + seed).is_multiple_of(11) { Value::Null } else { value };
    let one = |row: u64| {
        let long = or_null(Value::Long(number(row, 1, 8) as i64 * factor - 3), row);
        let text = or_null(Value::from(format!("t{}", number(row, 3, 4)).as_str()), row / 3);
        vec![long, Value::Long(number(row, 2, 4) as i64 + seed as i64), text]
    };
    Relation::from_rows(&[ColumnType::Long, ColumnType::Long, ColumnType::String], (0..rows).map(one).collect())
}

#[test]
fn several_keys_match_as_each_does_whether_or_not_they_fit_into_one_number() {
    let keys = [0, 1, 2].map(|at| JoinKey { left: at, right: at, null_safe: false });
    for factor in [1, 40, 1 << 60] {
        let (a, b) = (mixed(300, 0, factor), mixed(200, 1, factor));
        let equal = |l: usize, r: usize| {
            (0..3).all(|at| {
                let (x, y) = (a.columns[at].value(l), b.columns[at].value(r));
                !x.is_null() && !y.is_null() && x.compare(&y).is_eq()
            })
        };
        let expected: Vec<(usize, usize)> =
            (0..300).flat_map(|l| (0..200).map(move |r| (l, r))).filter(|(l, r)| equal(*l, *r)).collect();
        assert!(expected.len() > 100);
        let inner = join(&a, &b, JoinType::Inner, &keys, None).expect("joins");
        assert_eq!(inner.rows, expected.len());
        for (row, (l, r)) in expected.iter().enumerate() {
            let values = |relation: &Relation, at: usize, row: usize| format!("{:?}", relation.columns[at].value(row));
            assert!(
                (0..3)
                    .all(|at| values(&inner, at, row) == values(&a, at, *l) && values(&inner, at + 3, row) == values(&b, at, *r))
            );
        }
        let (l, r) = inner_pairs(Room::default(), &a, &b, &keys, None, false).expect("pairs");
        let mut pairs: Vec<(usize, usize)> = l.iter().zip(&r).map(|(l, r)| (*l as usize, *r as usize)).collect();
        pairs.sort_unstable();
        assert_eq!(pairs, expected);
        let matched = (0..300).filter(|l| expected.iter().any(|(left, _)| left == l)).count();
        assert_eq!(join(&a, &b, JoinType::Semi, &keys, None).expect("joins").rows, matched);
        assert_eq!(join(&a, &b, JoinType::Anti, &keys, None).expect("joins").rows, 300 - matched);
        assert_eq!(join(&a, &b, JoinType::Left, &keys, None).expect("joins").rows, expected.len() + 300 - matched);
    }
}

#[test]
fn one_key_with_very_many_matches_is_met_piece_by_piece() {
    let side = |rows: usize| Relation { columns: vec![Vector::Long { values: vec![7; rows], nulls: None }], rows };
    let (left, right) = (side(700), side(1000));
    let pairs = inner_pairs(Room::default(), &left, &right, &ON_FIRST, None, true).expect("pairs");
    assert_eq!(pairs.0.len(), 700_000);
    assert!(pairs.0.chunks(1000).enumerate().all(|(at, chunk)| chunk.iter().all(|row| *row == at as u32)));
    assert!(pairs.1.chunks(1000).all(|chunk| chunk.iter().copied().eq(0..1000)));
}
