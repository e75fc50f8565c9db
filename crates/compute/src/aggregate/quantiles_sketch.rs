//! `quantilesDoublesSketch`, `KllDoublesSketch`, `KllFloatsSketch` and their merge forms
//! (`DoublesSketchAggregatorFactory`, `KllDoublesSketchAggregatorFactory`). The final value is the number of values.

use std::marker::PhantomData;

use datasketches::kll::KllFloat;
use ovate_base::Result;
use serde_json::{Map, Value as Json, json};

use super::AggregatorSpec;
use super::json::Fields;
use super::number::parse as parse_number;
use super::sketched::{SketchAggregator, SketchKind, SketchSpec};
use crate::sketch::kll::{Kll, KllItem};
use crate::sketch::quantiles::QuantilesSketch;
use crate::types::ColumnType;
use crate::value::Value;

/// Settings that all of them share; `K` is the sketch.
#[derive(Debug)]
struct QuantilesAggregator<K> {
    merge: bool,
    k: usize,
    max_stream_length: i64,
    should_finalize: bool,
    sketch: PhantomData<fn(K)>,
}

impl<K> Clone for QuantilesAggregator<K> {
    fn clone(&self) -> Self {
        QuantilesAggregator { sketch: PhantomData, ..*self }
    }
}

fn settings<K>(fields: &Fields<'_>, default_k: i64) -> Result<QuantilesAggregator<K>> {
    let k = usize::try_from(fields.long("k", default_k)?).map_err(|_| fields.bad("k", "must be positive"))?;
    Ok(QuantilesAggregator {
        merge: fields.kind()?.ends_with("Merge"),
        k,
        max_stream_length: fields.long("maxStreamLength", 1_000_000_000)?,
        should_finalize: fields.bool("shouldFinalize", true)?,
        sketch: PhantomData,
    })
}

pub(super) fn parse(fields: &Fields<'_>) -> Result<AggregatorSpec> {
    let spec = settings::<QuantilesSketch>(fields, 128)?;
    QuantilesSketch::new(spec.k)?;
    SketchAggregator::parse(fields, spec)
}

pub(super) fn parse_kll_doubles(fields: &Fields<'_>) -> Result<AggregatorSpec> {
    parse_kll::<KllFloat<f64>>(fields)
}

pub(super) fn parse_kll_floats(fields: &Fields<'_>) -> Result<AggregatorSpec> {
    parse_kll::<KllFloat<f32>>(fields)
}

fn parse_kll<T: KllItem>(fields: &Fields<'_>) -> Result<AggregatorSpec>
where
    Kll<T>: Sketch,
{
    let spec = settings::<Kll<T>>(fields, 200)?;
    if !(8..=65535).contains(&spec.k) {
        return Err(fields.bad("k", "must be between 8 and 65535"));
    }
    SketchAggregator::parse(fields, spec)
}

/// A quantiles sketch as this file needs it.
trait Sketch: Clone + std::fmt::Debug + Send + Sync + 'static {
    const NAME: &'static str;
    const MERGE_NAME: &'static str;
    fn empty(k: usize) -> Result<Self>;
    fn add(&mut self, value: f64);
    fn merge_bytes(&mut self, bytes: &[u8], k: usize) -> Result<()>;
    fn bytes(&self) -> Vec<u8>;
    fn count(bytes: &[u8], k: usize) -> Result<u64>;
    fn memory(&self) -> usize;
    /// True when it can be made of values and how often they were met.
    const COUNTS: bool = false;
    fn add_counted(&mut self, counted: &[(i64, u64)]) -> Result<()> {
        counted.iter().for_each(|(value, count)| (0..*count).for_each(|_| self.add(*value as f64)));
        Ok(())
    }
}

impl Sketch for QuantilesSketch {
    const NAME: &'static str = "quantilesDoublesSketch";
    const MERGE_NAME: &'static str = "quantilesDoublesSketchMerge";
    fn empty(k: usize) -> Result<Self> {
        QuantilesSketch::new(k)
    }
    fn add(&mut self, value: f64) {
        QuantilesSketch::add(self, value);
    }
    fn merge_bytes(&mut self, bytes: &[u8], k: usize) -> Result<()> {
        self.merge(&QuantilesSketch::from_bytes(bytes, k)?)
    }
    fn bytes(&self) -> Vec<u8> {
        self.to_bytes()
    }
    fn count(bytes: &[u8], k: usize) -> Result<u64> {
        Ok(QuantilesSketch::from_bytes(bytes, k)?.n())
    }
    fn memory(&self) -> usize {
        self.memory_bytes()
    }
    const COUNTS: bool = true;
    fn add_counted(&mut self, counted: &[(i64, u64)]) -> Result<()> {
        self.merge(&QuantilesSketch::of_counts(self.k(), counted)?)
    }
}

macro_rules! kll_sketch {
    ($item:ty, $merge:literal) => {
        impl Sketch for Kll<$item> {
            const NAME: &'static str = <$item as KllItem>::NAME;
            const MERGE_NAME: &'static str = $merge;
            fn empty(k: usize) -> Result<Self> {
                Kll::new(k as u16)
            }
            fn add(&mut self, value: f64) {
                if let Some(item) = <$item>::from_double(value) {
                    Kll::add(self, item);
                }
            }
            fn merge_bytes(&mut self, bytes: &[u8], _: usize) -> Result<()> {
                self.merge(&Kll::from_bytes(bytes)?)
            }
            fn bytes(&self) -> Vec<u8> {
                self.to_bytes()
            }
            fn count(bytes: &[u8], _: usize) -> Result<u64> {
                Ok(Kll::<$item>::from_bytes(bytes)?.n())
            }
            fn memory(&self) -> usize {
                self.memory_bytes()
            }
        }
    };
}
kll_sketch!(KllFloat<f64>, "KllDoublesSketchMerge");
kll_sketch!(KllFloat<f32>, "KllFloatsSketchMerge");

impl<K: Sketch> SketchSpec for QuantilesAggregator<K> {
    type Kind = QuantilesKind<K>;
    fn type_name(&self) -> &str {
        if self.merge { K::MERGE_NAME } else { K::NAME }
    }
    fn kind(&self) -> QuantilesKind<K> {
        QuantilesKind { k: self.k, sketch: PhantomData }
    }
    fn write_json(&self, json: &mut Map<String, Json>) {
        json.insert("k".into(), json!(self.k));
        json.insert("maxStreamLength".into(), json!(self.max_stream_length));
        json.insert("shouldFinalize".into(), json!(self.should_finalize));
    }
    fn combining(&self) -> Self {
        QuantilesAggregator { merge: true, ..self.clone() }
    }
    fn final_type(&self) -> Option<ColumnType> {
        self.should_finalize.then_some(ColumnType::Long)
    }
    fn finalize(&self, bytes: &[u8]) -> Result<Value> {
        Ok(Value::Long(K::count(bytes, self.k)? as i64))
    }
    fn finalize_nothing(&self) -> Value {
        Value::Long(0)
    }
}

struct QuantilesKind<K> {
    k: usize,
    sketch: PhantomData<fn(K)>,
}

impl<K> Clone for QuantilesKind<K> {
    fn clone(&self) -> Self {
        QuantilesKind { k: self.k, sketch: PhantomData }
    }
}

impl<K: Sketch> SketchKind for QuantilesKind<K> {
    type State = K;
    type Item = f64;
    const IDEMPOTENT: bool = false;
    fn counts(&self) -> bool {
        K::COUNTS
    }
    fn update_counted(&self, state: &mut K, counted: &[(i64, u64)]) -> Result<()> {
        state.add_counted(counted)
    }
    fn column_type(&self) -> &'static str {
        K::NAME
    }
    fn empty(&self) -> Result<K> {
        K::empty(self.k)
    }
    fn text(&self, value: &str) -> Option<f64> {
        parse_number(value)
    }
    fn long(&self, value: i64) -> Option<f64> {
        Some(value as f64)
    }
    fn double(&self, value: f64) -> Option<f64> {
        Some(value)
    }
    fn update(&self, state: &mut K, item: f64) {
        state.add(item);
    }
    fn merge(&self, state: &mut K, bytes: &[u8]) -> Result<()> {
        state.merge_bytes(bytes, self.k)
    }
    fn encode(&self, state: &K) -> Vec<u8> {
        state.bytes()
    }
    fn memory_bytes(&self, state: &K) -> usize {
        state.memory()
    }
}
