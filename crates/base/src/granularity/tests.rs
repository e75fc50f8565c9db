use serde_json::{Value, json};

use super::*;
use crate::time::{format_iso, parse_instant};

fn bucket(granularity: Value, instant: &str) -> String {
    Granularity::from_json(&granularity).unwrap().bucket(parse_instant(instant).unwrap()).to_string()
}

fn check(granularity: Value, instant: &str, start: &str, end: &str) {
    let interval = Interval::from_texts(start, end).unwrap();
    assert_eq!(bucket(granularity, instant), interval.to_string());
}

#[test]
fn simple_names_in_any_case() {
    check(json!("DAY"), "2024-02-29T13:14:15.678", "2024-02-29", "2024-03-01");
    check(json!("six_hour"), "2024-02-29T13:14:15.678", "2024-02-29T12", "2024-02-29T18");
    check(json!("fifteen_Minute"), "2024-02-29T13:14:15.678", "2024-02-29T13:00", "2024-02-29T13:15");
    check(json!("week"), "2024-02-29T13:14", "2024-02-26", "2024-03-04");
    check(json!("month"), "2024-02-29T13:14", "2024-02-01", "2024-03-01");
    check(json!("quarter"), "2024-02-29T13:14", "2024-01-01", "2024-04-01");
    check(json!("year"), "1969-02-28T13:14", "1969-01-01", "1970-01-01");
    check(json!("second"), "1969-02-28T13:14:15.001", "1969-02-28T13:14:15", "1969-02-28T13:14:16");
    check(json!("none"), "2024-02-29T13:14:15.678", "2024-02-29T13:14:15.678", "2024-02-29T13:14:15.679");
    assert_eq!(bucket(json!("all"), "2024"), Interval::ETERNITY.to_string());
    assert!(Granularity::from_json(&json!("fortnight")).is_err());
}

#[test]
fn periods_follow_zone_and_origin() {
    let zone = "America/Los_Angeles";
    check(
        json!({"type": "period", "period": "P1D", "timeZone": zone}),
        "2024-03-10T20:00",
        "2024-03-10T08:00",
        "2024-03-11T07:00",
    );
    check(
        json!({"type": "period", "period": "PT1H", "timeZone": "Asia/Kolkata"}),
        "2024-01-01T00:10",
        "2023-12-31T23:30",
        "2024-01-01T00:30",
    );
    check(json!({"type": "period", "period": "P2D", "origin": "2024-01-02"}), "2024-01-05T03:00", "2024-01-04", "2024-01-06");
    check(json!({"type": "period", "period": "P2D", "origin": "2024-01-02"}), "2024-01-01T03:00", "2023-12-31", "2024-01-02");
    check(json!({"type": "period", "period": "P1M", "origin": "2024-01-15"}), "2024-03-01", "2024-02-15", "2024-03-15");
    check(json!({"type": "period", "period": "P3M"}), "2024-05-01", "2024-04-01", "2024-07-01");
    check(json!({"type": "period", "period": "P2Y"}), "1969-05-01", "1968-01-01", "1970-01-01");
    check(json!({"type": "period", "period": "P2W"}), "1970-01-20", "1970-01-15", "1970-01-29");
    check(json!({"type": "period", "period": "P1DT12H"}), "1970-01-02T13:00", "1970-01-02T12:00", "1970-01-04");
    check(json!({"type": "period", "period": "P1M1D"}), "1970-02-03", "1970-02-02", "1970-03-03");
    for bad in
        [json!({"type": "period"}), json!({"type": "period", "period": "PT0S"}), json!({"type": "period", "period": "P-1D"})]
    {
        assert!(Granularity::from_json(&bad).is_err());
    }
}

#[test]
fn hours_of_a_repeated_local_hour_are_two_buckets() {
    let hourly = json!({"type": "period", "period": "PT1H", "timeZone": "America/Los_Angeles"});
    check(hourly.clone(), "2024-11-03T08:30", "2024-11-03T08:00", "2024-11-03T09:00");
    check(hourly, "2024-11-03T09:30", "2024-11-03T09:00", "2024-11-03T10:00");
}

#[test]
fn durations_count_from_their_origin() {
    check(json!({"type": "duration", "duration": 7_200_000}), "1969-12-31T23:30", "1969-12-31T22:00", "1970-01-01");
    check(
        json!({"type": "duration", "duration": "3600000", "origin": "2012-01-01T00:30:00Z"}),
        "2013-01-01T00:10",
        "2012-12-31T23:30",
        "2013-01-01T00:30",
    );
    assert!(Granularity::from_json(&json!({"type": "duration", "duration": 0})).is_err());
}

#[test]
fn json_is_druids() {
    let show = |value: Value| Granularity::from_json(&value).unwrap().to_json();
    assert_eq!(show(json!("day")), json!("DAY"));
    assert_eq!(show(json!("all")), json!({"type": "all"}));
    assert_eq!(show(json!({"type": "period", "period": "P1D"})), json!("DAY"));
    assert_eq!(
        show(json!({"type": "period", "period": "P1D", "timeZone": "-08:00", "origin": "2024-01-01"})),
        json!({"type": "period", "period": "P1D", "timeZone": "-08:00", "origin": "2023-12-31T16:00:00.000-08:00"})
    );
}

#[test]
fn batches_agree_with_single_instants() {
    let millis: Vec<i64> = (-1000..1000).map(|i: i64| i * 31_556_926_123 / 7).chain([i64::MIN, i64::MAX]).collect();
    for granularity in [
        json!("all"),
        json!("none"),
        json!("week"),
        json!("hour"),
        json!("year"),
        json!({"type": "period", "period": "P1M", "timeZone": "Europe/Berlin"}),
        json!({"type": "period", "period": "P7M", "timeZone": "Europe/Berlin", "origin": "2030"}),
    ] {
        let granularity = Granularity::from_json(&granularity).unwrap();
        let mut starts = Vec::new();
        granularity.bucket_starts(&millis, &mut starts);
        for (start, millis) in starts.iter().zip(&millis) {
            assert_eq!(*start, granularity.bucket_start(*millis), "{granularity} {millis}");
            if millis.unsigned_abs() < u64::MAX / 8 {
                assert!(granularity.bucket(*millis).contains(*millis), "{granularity} {}", format_iso(*millis));
            }
        }
    }
}

#[test]
fn buckets_cover_an_interval() {
    let interval = Interval::from_texts("2024-01-01T12:00", "2024-01-03T00:00").unwrap();
    let days: Vec<String> = Granularity::DAY.buckets(interval).map(|bucket| format_iso(bucket.start)).collect();
    assert_eq!(days, ["2024-01-01T00:00:00.000Z", "2024-01-02T00:00:00.000Z"]);
    assert_eq!(Granularity::All.buckets(interval).collect::<Vec<_>>(), vec![interval]);
    assert_eq!(Granularity::None.buckets(Interval { start: i64::MAX - 2, end: i64::MAX }).count(), 2);
}
