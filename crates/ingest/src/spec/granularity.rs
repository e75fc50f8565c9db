//! `granularitySpec` (SCH-05): how time is cut into chunks and truncated in rows (`UniformGranularitySpec`,
//! `ArbitraryGranularitySpec`).

use ovate_base::{DruidError, Granularity, Interval, Result};
use serde_json::{Value, json};

use super::fields::Fields;

/// Checked `granularitySpec`.
#[derive(Debug, Clone)]
pub struct GranularitySpec {
    /// `None` for `arbitrary`: the intervals are the chunks.
    pub segment: Option<Granularity>,
    pub query: Granularity,
    pub rollup: bool,
    /// Empty when the data decide.
    pub intervals: Vec<Interval>,
}

impl GranularitySpec {
    /// Reads the spec; an absent one is `uniform` by DAY, truncating nothing, with rollup.
    pub fn from_json(json: Option<&Value>) -> Result<GranularitySpec> {
        let empty = json!({});
        let fields = Fields::new(json.unwrap_or(&empty), "granularitySpec")?;
        let kind = fields.text("type")?.unwrap_or("uniform");
        let granularity = |name: &str, default: Granularity| -> Result<Granularity> {
            let Some(json) = fields.get(name) else { return Ok(default) };
            Granularity::from_json(json).map_err(|e| e.prefixed(format!("[{name}] in [granularitySpec]")))
        };
        let segment = granularity("segmentGranularity", Granularity::DAY)?;
        let query = granularity("queryGranularity", Granularity::None)?;
        let rollup = fields.flag("rollup", true)?;
        let texts = match fields.get("intervals") {
            Some(Value::String(one)) => vec![one.clone()],
            _ => fields.texts("intervals")?.unwrap_or_default(),
        };
        fields.finish()?;
        let intervals = texts.iter().map(|text| Interval::parse(text)).collect::<Result<Vec<_>>>()?;
        match kind {
            "uniform" => {
                if matches!(segment, Granularity::None) {
                    return Err(DruidError::invalid_input(
                        "[segmentGranularity] NONE in [granularitySpec] makes a segment of every instant",
                    ));
                }
                Ok(GranularitySpec { segment: Some(segment), query, rollup, intervals: Interval::condense(&intervals) })
            }
            "arbitrary" => {
                if intervals.is_empty() {
                    return Err(DruidError::invalid_input("[granularitySpec] of type [arbitrary] needs [intervals]"));
                }
                let mut sorted = intervals;
                sorted.sort_by_key(|i| (i.start, i.end));
                if let Some(pair) = sorted.windows(2).find(|pair| pair[0].overlaps(&pair[1])) {
                    return Err(DruidError::invalid_input(format!(
                        "overlapping intervals in [granularitySpec]: {} and {}",
                        pair[0], pair[1]
                    )));
                }
                Ok(GranularitySpec { segment: None, query, rollup, intervals: sorted })
            }
            other => Err(DruidError::invalid_input(format!("unknown type [{other}] in [granularitySpec]"))),
        }
    }

    /// The time chunk that an instant belongs to; `None` when it lies outside the spec's intervals.
    pub fn chunk(&self, millis: i64) -> Option<Interval> {
        let inside = |interval: &&Interval| interval.contains(millis);
        match &self.segment {
            None => self.intervals.iter().find(inside).copied(),
            Some(_) if !self.intervals.is_empty() && !self.intervals.iter().any(|i| i.contains(millis)) => None,
            Some(granularity) => Some(granularity.bucket(millis)),
        }
    }

    /// All chunks that the spec's intervals touch, with no more than `limit`.
    pub fn chunks(&self, limit: usize) -> Result<Vec<Interval>> {
        let Some(granularity) = &self.segment else { return Ok(self.intervals.clone()) };
        let mut chunks: Vec<Interval> = Vec::new();
        for interval in &self.intervals {
            let mut at = interval.start;
            while at < interval.end {
                let chunk = granularity.bucket(at);
                if chunks.last() != Some(&chunk) {
                    chunks.push(chunk);
                }
                if chunks.len() > limit {
                    return Err(DruidError::invalid_input(format!(
                        "[intervals] in [granularitySpec] make more than [{limit}] time chunks"
                    )));
                }
                at = chunk.end;
            }
        }
        Ok(chunks)
    }

    /// The form that Druid writes.
    pub fn to_json(&self) -> Value {
        let intervals: Vec<String> = self.intervals.iter().map(Interval::to_string).collect();
        match &self.segment {
            Some(segment) => {
                json!({"type": "uniform", "segmentGranularity": segment.to_json(), "queryGranularity": self.query.to_json(),
                                    "rollup": self.rollup, "intervals": intervals})
            }
            None => {
                json!({"type": "arbitrary", "queryGranularity": self.query.to_json(), "rollup": self.rollup, "intervals": intervals})
            }
        }
    }
}
