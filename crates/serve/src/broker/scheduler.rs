//! How many queries run at a time, by lane, and which are less urgent (`QueryScheduler`, SEM-10, SEM-11): a query over capacity
//! is refused at once with 429, so that a client can come again.

use std::collections::HashMap;
use std::sync::Arc;

use ovate_base::time::Period;
use ovate_base::{DruidError, Interval, Properties, Result};
use ovate_query::NativeQuery;
use parking_lot::Mutex;

/// The lane of `hilo`.
const LOW: &str = "low";

/// `druid.query.scheduler.laning.strategy`.
#[derive(Debug, Clone, PartialEq)]
pub enum Laning {
    None,
    /// Queries of negative priority go to lane `low`, which has so many places.
    HiLo {
        low: usize,
    },
    /// Lanes by the context's `lane`, with their places.
    Manual(HashMap<String, usize>),
}

/// `druid.query.scheduler.prioritization.strategy` `threshold`: what makes a query less urgent.
#[derive(Debug, Clone, PartialEq)]
pub struct Thresholds {
    /// Reaching back further than this.
    pub period_ms: Option<i64>,
    /// Over more time than this.
    pub duration_ms: Option<i64>,
    /// Over more segments than this.
    pub segments: Option<usize>,
    /// Over segments of more time than this, taken together.
    pub segment_range_ms: Option<i64>,
    /// By how much.
    pub adjustment: i64,
}

/// Decides over queries before they begin.
pub struct QueryScheduler {
    /// Places in all; `None` without a limit.
    total: Option<usize>,
    laning: Laning,
    thresholds: Option<Thresholds>,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Default)]
struct Taken {
    total: usize,
    lanes: HashMap<String, usize>,
}

/// A place, given back when dropped.
pub struct Slot {
    taken: Arc<Mutex<Taken>>,
    lane: Option<String>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.taken.lock();
        taken.total = taken.total.saturating_sub(1);
        if let Some(lane) = &self.lane
            && let Some(count) = taken.lanes.get_mut(lane)
        {
            *count = count.saturating_sub(1);
        }
    }
}

impl QueryScheduler {
    /// Reads `druid.query.scheduler.*`; `http_threads` is what `druid.server.http.numThreads` is, for shares of an unlimited total.
    pub fn from_properties(properties: &Properties, http_threads: usize) -> Result<Self> {
        let name = |key: &str| format!("druid.query.scheduler.{key}");
        let threads = properties.int(&name("numThreads"), 0)?;
        let total = usize::try_from(threads).ok().filter(|n| *n > 0);
        let places = total.unwrap_or(http_threads);
        let share = |percent: i64| (places * percent as usize).div_ceil(100).max(1);
        let laning = match properties.text(&name("laning.strategy"), "none") {
            "none" => Laning::None,
            "hilo" => {
                let percent = properties.int(&name("laning.maxLowPercent"), 0)?;
                if !(1..=100).contains(&percent) {
                    return Err(DruidError::invalid_input(format!(
                        "{} must be in the range 1 to 100",
                        name("laning.maxLowPercent")
                    )));
                }
                Laning::HiLo { low: share(percent) }
            }
            "manual" => {
                let percents = properties.flag(&name("laning.isLimitPercent"), false)?;
                let lanes = properties.with_prefix(&format!("{}.", name("laning.lanes")));
                let mut places = HashMap::new();
                for (lane, _) in lanes.iter() {
                    let limit = lanes.int(lane, 0)?;
                    if limit < 1 || (percents && limit > 100) || lane == "total" || lane == "default" {
                        return Err(DruidError::invalid_input(format!(
                            "{} = {limit} is no limit of a lane",
                            name(&format!("laning.lanes.{lane}"))
                        )));
                    }
                    places.insert(lane.to_owned(), if percents { share(limit) } else { limit as usize });
                }
                if places.is_empty() {
                    return Err(DruidError::invalid_input(format!("{}.<name> must be given", name("laning.lanes"))));
                }
                Laning::Manual(places)
            }
            "weighted" => return Err(DruidError::unsupported(format!("{} [weighted]", name("laning.strategy")))),
            other => {
                return Err(DruidError::invalid_input(format!(
                    "{} is [{other}]; known: none, hilo, manual",
                    name("laning.strategy")
                )));
            }
        };
        let thresholds = Self::thresholds(properties)?;
        Ok(QueryScheduler { total, laning, thresholds, taken: Arc::default() })
    }

    fn thresholds(properties: &Properties) -> Result<Option<Thresholds>> {
        let name = |key: &str| format!("druid.query.scheduler.prioritization.{key}");
        match properties.text(&name("strategy"), "manual") {
            "manual" => return Ok(None),
            "threshold" => {}
            other => {
                return Err(DruidError::invalid_input(format!("{} is [{other}]; known: manual, threshold", name("strategy"))));
            }
        }
        let period = |key: &str| -> Result<Option<i64>> {
            match properties.get(&name(key)) {
                None => Ok(None),
                Some(text) => Period::parse(text)?.to_standard_millis().map(Some).ok_or_else(|| {
                    DruidError::invalid_input(format!("{} must be a period of fixed length, such as P30D", name(key)))
                }),
            }
        };
        let thresholds = Thresholds {
            period_ms: period("periodThreshold")?,
            duration_ms: period("durationThreshold")?,
            segments: usize::try_from(properties.int(&name("segmentCountThreshold"), -1)?).ok(),
            segment_range_ms: period("segmentRangeThreshold")?,
            adjustment: properties.int(&name("adjustment"), 5)?,
        };
        if thresholds.period_ms.or(thresholds.duration_ms).or(thresholds.segment_range_ms).is_none()
            && thresholds.segments.is_none()
        {
            return Err(DruidError::invalid_input(
                "periodThreshold, durationThreshold, segmentCountThreshold or segmentRangeThreshold must be set",
            ));
        }
        Ok(Some(thresholds))
    }

    /// Whether segments have to be looked up before [`QueryScheduler::admit`].
    pub fn wants_segments(&self) -> bool {
        self.thresholds.as_ref().is_some_and(|t| t.segments.is_some() || t.segment_range_ms.is_some())
    }

    /// Sets priority and lane in the query's context, and takes a place. `segments`: the intervals of its segments.
    pub fn admit(&self, query: &mut NativeQuery, segments: &[Interval], now_ms: i64) -> Result<Slot> {
        let asked = query.context().long("priority")?;
        if asked.is_none()
            && let Some(priority) = self.thresholds.as_ref().and_then(|t| t.lowered(query.intervals(), segments, now_ms))
        {
            query.context_mut().set("priority", priority);
        }
        let named = query.context().str("lane").map(str::to_owned);
        let (lane, limit) = match &self.laning {
            Laning::None => (named, None),
            Laning::HiLo { low } => {
                let lane = named.or_else(|| (query.context().priority().unwrap_or(0) < 0).then(|| LOW.to_owned()));
                let limit = lane.as_deref().filter(|lane| *lane == LOW).map(|_| *low);
                (lane, limit)
            }
            Laning::Manual(lanes) => {
                let limit = named.as_ref().and_then(|lane| lanes.get(lane)).copied();
                (named, limit)
            }
        };
        if let Some(lane) = &lane {
            query.context_mut().set("lane", lane.clone());
        }
        let mut taken = self.taken.lock();
        if let Some(total) = self.total.filter(|total| taken.total >= *total) {
            return Err(DruidError::capacity(format!(
                "Too many concurrent queries, total query capacity of {total} exceeded. Please try your query again later."
            )));
        }
        let lane = lane.filter(|_| limit.is_some());
        if let (Some(lane), Some(limit)) = (&lane, limit) {
            let count = taken.lanes.entry(lane.clone()).or_default();
            if *count >= limit {
                return Err(DruidError::capacity(format!(
                    "Too many concurrent queries for lane '{lane}', query capacity of {limit} exceeded. Please try your query \
                     again later."
                )));
            }
            *count += 1;
        }
        taken.total += 1;
        Ok(Slot { taken: self.taken.clone(), lane })
    }
}

impl Thresholds {
    /// The lowered priority of a query that crosses a threshold (`ThresholdBasedQueryPrioritizationStrategy`).
    fn lowered(&self, intervals: &[Interval], segments: &[Interval], now_ms: i64) -> Option<i64> {
        let length = |list: &[Interval]| list.iter().fold(0i64, |sum, i| sum.saturating_add(i.end.saturating_sub(i.start)));
        let over = |limit: Option<i64>, value: i64| limit.is_some_and(|limit| value > limit);
        let oldest = intervals.iter().map(|interval| now_ms.saturating_sub(interval.start)).max().unwrap_or(0);
        let crosses = over(self.period_ms, oldest)
            || over(self.duration_ms, length(intervals))
            || self.segments.is_some_and(|limit| segments.len() > limit)
            || over(self.segment_range_ms, length(segments));
        crosses.then_some(self.adjustment.saturating_neg())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn scheduler(pairs: &[(&str, &str)]) -> Result<QueryScheduler> {
        let mut properties = Properties::default();
        pairs.iter().for_each(|(name, value)| properties.set(format!("druid.query.scheduler.{name}"), *value));
        QueryScheduler::from_properties(&properties, 40)
    }

    fn query(context: serde_json::Value) -> NativeQuery {
        let document =
            json!({"queryType": "timeBoundary", "dataSource": "t", "intervals": "2020-01-01/2020-03-01", "context": context});
        NativeQuery::from_json(&document).expect("a query")
    }

    #[test]
    fn a_query_over_capacity_is_refused_with_429_until_another_ends() {
        let scheduler = scheduler(&[("numThreads", "2")]).expect("settings");
        let admit = || scheduler.admit(&mut query(json!({})), &[], 0);
        let (_a, b) = (admit().expect("a place"), admit().expect("a place"));
        assert_eq!(admit().err().map(|e| e.http_status()), Some(429));
        drop(b);
        assert!(admit().is_ok());
    }

    #[test]
    fn low_priorities_share_the_low_lane() {
        let scheduler =
            scheduler(&[("numThreads", "10"), ("laning.strategy", "hilo"), ("laning.maxLowPercent", "10")]).expect("settings");
        let mut low = query(json!({"priority": -1}));
        let _slot = scheduler.admit(&mut low, &[], 0).expect("a place");
        assert_eq!(low.context().str("lane"), Some("low"));
        let error = scheduler.admit(&mut query(json!({"priority": -5})), &[], 0).err().expect("no place");
        assert!(error.message.contains("lane 'low'"), "{error}");
        assert!(scheduler.admit(&mut query(json!({"priority": 1})), &[], 0).is_ok());
    }

    #[test]
    fn manual_lanes_have_places_of_their_own() {
        let scheduler =
            scheduler(&[("laning.strategy", "manual"), ("laning.lanes.one", "1"), ("laning.lanes.two", "2")]).expect("settings");
        let _slot = scheduler.admit(&mut query(json!({"lane": "one"})), &[], 0).expect("a place");
        assert!(scheduler.admit(&mut query(json!({"lane": "one"})), &[], 0).is_err());
        assert!(scheduler.admit(&mut query(json!({"lane": "two"})), &[], 0).is_ok());
        assert!(scheduler.admit(&mut query(json!({"lane": "other"})), &[], 0).is_ok());
    }

    #[test]
    fn thresholds_lower_the_priority_unless_the_query_has_one() {
        let settings = [
            ("prioritization.strategy", "threshold"),
            ("prioritization.durationThreshold", "P30D"),
            ("prioritization.adjustment", "7"),
        ];
        let scheduler = scheduler(&settings).expect("settings");
        let priority = |context: serde_json::Value| {
            let mut query = query(context);
            scheduler.admit(&mut query, &[], 0).expect("a place");
            query.context().priority().expect("a number")
        };
        assert_eq!(priority(json!({})), -7);
        assert_eq!(priority(json!({"priority": 3})), 3);
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        for pairs in [
            &[("laning.strategy", "hilo")][..],
            &[("laning.strategy", "weighted")],
            &[("laning.strategy", "manual")],
            &[("prioritization.strategy", "threshold")],
            &[("prioritization.strategy", "celebrity")],
        ] {
            assert!(scheduler(pairs).is_err(), "{pairs:?}");
        }
    }
}
