//! Text from outside never panics: every parser of this room over text that looks almost right.

use proptest::prelude::*;
use serde_json::json;

use crate::properties::{Sources, parse_bytes};
use crate::time::{DateTimePattern, Period, TimestampFormat, Zone, format_iso, parse_instant};
use crate::{DruidError, Granularity, Interval, Properties, SegmentId, ShardSpec};

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        "[-+0-9:.,TZWPYMDHS/ _é]{0,40}",
        "-?[0-9]{1,9}-[0-9]{1,2}-[0-9]{1,2}T[0-9]{1,2}:[0-9]{1,2}(:[0-9]{1,2}(\\.[0-9]{0,12})?)?(Z|[+-][0-9:]{0,8})?",
        "P(-?[0-9]{1,11}[YMWD]){0,4}(T(-?[0-9]{1,11}[HMS]){0,3})?",
        "\\PC{0,20}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn times(text in texts(), other in texts(), millis in any::<i64>()) {
        let zones = [Zone::UTC, Zone::parse("America/Los_Angeles").unwrap(), Zone::fixed(millis)];
        for zone in &zones {
            let _ = Interval::parse_in(&format!("{text}/{other}"), zone);
            let _ = zone.to_utc(millis);
            let _ = zone.to_local(millis);
            let _ = crate::time::format_iso_in(millis, zone);
            if let Ok(period) = Period::parse(&text) {
                let _ = period.add_to(millis, 1, zone);
                let _ = period.add_to(millis, i64::MIN + 1, zone);
                prop_assert_eq!(Period::parse(&period.to_string()).map(|p| p.to_string()), Ok(period.to_string()));
            }
        }
        if let Ok(instant) = parse_instant(&text) {
            prop_assert_eq!(parse_instant(&format_iso(instant)), Ok(instant));
        }
        let _ = Zone::parse(&text);
        let _ = TimestampFormat::Auto.instant_of_text(&text);
        let _ = parse_bytes(&text);
        let _ = SegmentId::parse_any(&format!("{text}_{other}"));
    }

    #[test]
    fn patterns(pattern in "[GCYyxweEDMdaKhHkmsSzZ'. :/-]{0,20}", text in texts(), millis in any::<i64>()) {
        if let Ok(pattern) = DateTimePattern::parse(&pattern) {
            let zone = Zone::parse("Europe/Berlin").unwrap();
            let _ = pattern.parse_text(&text, &zone);
            let written = pattern.format(millis, &zone);
            let _ = pattern.parse_text(&written, &zone);
        }
    }

    #[test]
    fn granularities(period in texts(), origin in texts(), millis in any::<i64>()) {
        let spec = json!({"type": "period", "period": period, "timeZone": "Asia/Kolkata", "origin": origin});
        for spec in [spec, json!({"type": "period", "period": period}), json!({"type": "duration", "duration": millis})] {
            if let Ok(granularity) = Granularity::from_json(&spec) {
                let bucket = granularity.bucket(millis);
                let _ = granularity.buckets(Interval { start: millis, end: millis.saturating_add(1_000) }).take(10).count();
                prop_assert!(bucket.start <= bucket.end);
                prop_assert!(Granularity::from_json(&granularity.to_json()).is_ok());
            }
        }
    }

    #[test]
    fn documents(kind in "[a-z_]{0,20}", number in any::<i64>(), text in texts()) {
        let kinds = ["none", "linear", "numbered", "hashed", "single", "range", "tombstone", "numbered_overwrite", &kind];
        for kind in kinds {
            let spec = json!({"type": kind, "partitionNum": number, "partitions": number, "dimension": text, "dimensions": [text, null],
                "start": [text], "end": text, "partitionDimensions": number, "bucketId": number, "numBuckets": number});
            if let Ok(spec) = ShardSpec::from_json(&spec) {
                let _ = spec.possible_in_domain(&Default::default());
                prop_assert_eq!(ShardSpec::from_json(&spec.to_json()), Ok(spec));
            }
        }
    }

    #[test]
    fn properties(text in "[a-z.=: \\\\\n${}é-]{0,60}") {
        if let Ok(properties) = Properties::parse(&text) {
            let sources = Sources {
                system: &|_| None,
                environment: &|_| Some("${env:x}".to_owned()),
                file: &|_| Err(DruidError::runtime("no file")),
            };
            let _ = properties.interpolate(&sources);
        }
    }
}
