//! KLL sketches of Apache DataSketches (`KllDoublesSketch`, `KllFloatsSketch`), over the `datasketches` crate.

use datasketches::common::SearchCriteria;
use datasketches::kll::{KllFloat, KllSketch, KllValue};
use ovate_base::{DruidError, Result};

use super::damaged;

/// The item types.
pub trait KllItem: KllValue + Ord + Copy + std::fmt::Debug + Send + Sync + 'static {
    /// Complex type name.
    const NAME: &'static str;
    /// `None` for NaN, which is not counted.
    fn from_double(value: f64) -> Option<Self>;
    fn to_double(self) -> f64;
}

impl KllItem for KllFloat<f64> {
    const NAME: &'static str = "KllDoublesSketch";
    fn from_double(value: f64) -> Option<Self> {
        KllFloat::<f64>::new(value).ok()
    }
    fn to_double(self) -> f64 {
        self.into_inner()
    }
}

impl KllItem for KllFloat<f32> {
    const NAME: &'static str = "KllFloatsSketch";
    fn from_double(value: f64) -> Option<Self> {
        KllFloat::<f32>::new(value as f32).ok()
    }
    fn to_double(self) -> f64 {
        f64::from(self.into_inner())
    }
}

/// A sketch of this item type.
#[derive(Clone, Debug)]
pub struct Kll<T>(KllSketch<T>);

impl<T: KllItem> Kll<T> {
    /// An empty sketch.
    pub fn new(k: u16) -> Result<Self> {
        KllSketch::new(k).map(Kll).map_err(|error| DruidError::invalid_input(format!("KLL sketch: {error}")))
    }

    /// Reads stored bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        KllSketch::deserialize(bytes).map(Kll).map_err(|error| damaged(T::NAME, error))
    }

    /// The compact bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.serialize()
    }

    /// Adds a value.
    pub fn add(&mut self, item: T) {
        self.0.update(item);
    }

    /// Adds all of another sketch.
    pub fn merge(&mut self, other: &Kll<T>) -> Result<()> {
        self.0.merge(&other.0).map_err(|error| damaged(T::NAME, error))
    }

    /// Number of values added.
    pub fn n(&self) -> u64 {
        self.0.n()
    }

    /// Smallest and greatest value.
    pub fn min_max(&self) -> Option<(f64, f64)> {
        Some((self.0.min_item()?.to_double(), self.0.max_item()?.to_double()))
    }

    /// The value at a rank; `None` without values.
    pub fn quantile(&self, rank: f64) -> Result<Option<f64>> {
        let quantile = self.0.quantile(rank, SearchCriteria::Inclusive);
        let quantile = quantile.map_err(|error| DruidError::invalid_input(format!("{}: {error}", T::NAME)))?;
        Ok(quantile.map(KllItem::to_double))
    }

    /// Share of values that are not greater.
    pub fn rank(&self, value: f64) -> Option<f64> {
        self.0.rank(&T::from_double(value)?, SearchCriteria::Inclusive)
    }

    /// Bytes held.
    pub fn memory_bytes(&self) -> usize {
        self.0.num_retained() * size_of::<T>() + 128
    }

    /// A description in words.
    pub fn describe(&self) -> String {
        let (min, max) = self.min_max().unwrap_or((f64::NAN, f64::NAN));
        format!(
            "\n### {} SUMMARY:\n   K              : {}\n   N              : {}\n   Retained items : {}\n   Min            : {min}\n   \
             Max            : {max}\n### End sketch summary\n",
            T::NAME,
            self.0.k(),
            self.n(),
            self.0.num_retained()
        )
    }
}
