use std::ops::Bound;

use serde_json::json;

use super::*;

fn domain(dimension: &str, ranges: Vec<StringRange>) -> Domain {
    Domain::from([(dimension.to_owned(), ranges)])
}

#[test]
fn murmur_agrees_with_known_values() {
    assert_eq!(murmur3_32(b""), 0);
    assert_eq!(murmur3_32(b"hello"), 0x248b_fa47);
    assert_eq!(murmur3_32(b"hello, world"), 0x149b_bb7f);
}

#[test]
fn json_survives_a_round_trip() {
    for text in [
        r#"{"type":"none"}"#,
        r#"{"type":"linear","partitionNum":3}"#,
        r#"{"type":"numbered","partitionNum":1,"partitions":4}"#,
        r#"{"type":"hashed","partitionNum":1,"partitions":4,"bucketId":1,"numBuckets":4,"partitionDimensions":["a"],"partitionFunction":"murmur3_32_abs"}"#,
        r#"{"type":"single","dimension":"a","start":null,"end":"x","partitionNum":0,"numCorePartitions":2}"#,
        r#"{"type":"range","dimensions":["a","b"],"start":null,"end":["x",null],"partitionNum":0,"numCorePartitions":2}"#,
        r#"{"type":"tombstone","partitions":0,"partitionNum":0}"#,
        r#"{"type":"numbered_overwrite","partitionId":32768,"startRootPartitionId":0,"endRootPartitionId":2,"minorVersion":1,"atomicUpdateGroupSize":1}"#,
    ] {
        let spec: ShardSpec = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&spec).unwrap(), text);
    }
    let spec = ShardSpec::from_json(&json!({"type": "hashed", "partitionNum": 2, "partitions": 3})).unwrap();
    assert!(matches!(spec, ShardSpec::Hashed(Hashed { bucket_id: 2, num_buckets: 3, .. })));
    for bad in [json!({"type": "building_numbered"}), json!({}), json!({"type": "numbered", "partitionNum": "x"}), json!(7)] {
        assert!(ShardSpec::from_json(&bad).is_err());
    }
}

#[test]
fn hashed_segments_hold_only_their_bucket() {
    let spec = |bucket_id| {
        ShardSpec::Hashed(Hashed {
            partition_num: bucket_id,
            partitions: 5,
            bucket_id,
            num_buckets: 5,
            partition_dimensions: vec!["country".to_owned()],
            partition_function: Some("murmur3_32_abs".to_owned()),
        })
    };
    let point = domain("country", vec![StringRange::point("US")]);
    assert_eq!((0..5).filter(|bucket| spec(*bucket).possible_in_domain(&point)).count(), 1);
    let bucket = hash_bucket(br#"[["US"]]"#, 5);
    assert!(spec(bucket).possible_in_domain(&point));
    assert!(spec(0).possible_in_domain(&domain("country", vec![StringRange::null()])));
    assert!(spec(0).possible_in_domain(&domain("other", vec![StringRange::point("US")])));
}

#[test]
fn ranges_prune_by_tuples() {
    let spec = ShardSpec::Range(DimensionRange {
        dimensions: vec!["a".to_owned(), "b".to_owned()],
        start: Some(vec![Some("d".to_owned()), Some("m".to_owned())]),
        end: Some(vec![Some("g".to_owned()), Some("c".to_owned())]),
        partition_num: 1,
        num_core_partitions: Some(3),
        virtual_columns: None,
    });
    let two = |a: &str, b: &str| {
        Domain::from([("a".to_owned(), vec![StringRange::point(a)]), ("b".to_owned(), vec![StringRange::point(b)])])
    };
    assert!(spec.possible_in_domain(&two("e", "a")));
    assert!(spec.possible_in_domain(&two("d", "m")));
    assert!(!spec.possible_in_domain(&two("d", "a")));
    assert!(spec.possible_in_domain(&two("g", "a")));
    assert!(!spec.possible_in_domain(&two("g", "d")));
    assert!(!spec.possible_in_domain(&two("g", "c")));
    assert!(!spec.possible_in_domain(&two("h", "a")));
    assert!(!spec.possible_in_domain(&domain("a", vec![StringRange::null()])));
    let above = StringRange { lower: Bound::Excluded("c".to_owned()), upper: Bound::Unbounded };
    assert!(spec.possible_in_domain(&domain("a", vec![above])));
}

#[test]
fn open_ends_and_nulls() {
    let spec = |start: Option<&str>, end: Option<&str>| {
        ShardSpec::Single(SingleRange {
            dimension: "a".to_owned(),
            start: start.map(str::to_owned),
            end: end.map(str::to_owned),
            partition_num: 0,
            num_core_partitions: None,
        })
    };
    let null = domain("a", vec![StringRange::null()]);
    assert!(spec(None, Some("k")).possible_in_domain(&null));
    assert!(!spec(Some("k"), None).possible_in_domain(&null));
    assert!(!spec(None, Some("k")).possible_in_domain(&domain("a", vec![StringRange::point("k")])));
    assert!(spec(Some("k"), None).possible_in_domain(&domain("a", vec![StringRange::point("k")])));
}
