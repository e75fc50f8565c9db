//! KLL sketches of Apache DataSketches (`KllDoublesSketch`, `KllFloatsSketch`), over the `datasketches` crate.

use datasketches::kll::{KllFloat, KllSketch, KllValue};
use ovate_base::{DruidError, Result};

use super::damaged;
use super::sorted_view::SortedView;

/// The item types.
pub trait KllItem: KllValue + Ord + Copy + std::fmt::Debug + Send + Sync + 'static {
    /// Complex type name.
    const NAME: &'static str;
    /// `None` for NaN, which is not counted.
    fn from_double(value: f64) -> Option<Self>;
    fn to_double(self) -> f64;
    /// Bytes of an item in the image.
    const WIDTH: usize;
    /// Reads an item of the image.
    fn from_image(bytes: &[u8]) -> Option<f64>;
}

impl KllItem for KllFloat<f64> {
    const NAME: &'static str = "KllDoublesSketch";
    fn from_double(value: f64) -> Option<Self> {
        KllFloat::<f64>::new(value).ok()
    }
    fn to_double(self) -> f64 {
        self.into_inner()
    }
    const WIDTH: usize = 8;
    fn from_image(bytes: &[u8]) -> Option<f64> {
        Some(f64::from_le_bytes(bytes.try_into().ok()?))
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
    const WIDTH: usize = 4;
    fn from_image(bytes: &[u8]) -> Option<f64> {
        Some(f64::from(f32::from_le_bytes(bytes.try_into().ok()?)))
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

    /// Items in order with their weights, out of the compact image: the crate does not lend them. The image has `u8`
    /// number of levels at 18, `u32le` starts of the levels from 20 on (relative to the first), min, max, then the items;
    /// an item of level `i` stands for `2^i` values.
    pub fn sorted_view(&self) -> SortedView {
        let image = self.to_bytes();
        let item = |offset: usize| image.get(offset..offset + T::WIDTH).and_then(T::from_image);
        let mut weighted = Vec::with_capacity(self.0.num_retained());
        if self.n() == 1 {
            weighted.extend(item(8).map(|item| (item, 1)));
        } else if self.n() > 1 {
            let levels = usize::from(image[18]);
            let start = |level: usize| u32::from_le_bytes(image[20 + level * 4..24 + level * 4].try_into().expect("4 bytes"));
            let first = 20 + levels * 4 + 2 * T::WIDTH;
            let mut level = 0;
            for index in 0..self.0.num_retained() {
                while level + 1 < levels && start(0) + index as u32 >= start(level + 1) {
                    level += 1;
                }
                weighted.extend(item(first + index * T::WIDTH).map(|item| (item, 1u64 << level)));
            }
        }
        SortedView::new(weighted)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_view_holds_every_value_once() {
        for count in [1, 5, 199, 5000] {
            let mut sketch = Kll::<KllFloat<f64>>::new(200).unwrap();
            (1..=count).for_each(|value| sketch.add(KllItem::from_double(f64::from(value)).unwrap()));
            let view = sketch.sorted_view();
            assert_eq!(view.total(), sketch.n());
            let median = view.quantile(0.5).unwrap() / f64::from(count);
            assert!(median > 0.45 && median <= 1.0 && (count < 5 || median < 0.61), "{count} {median}");
        }
        assert!(Kll::<KllFloat<f32>>::from_bytes(&[5, 1, 15, 0, 200, 0, 8, 0, 255, 1]).is_err());
    }
}
