//! HLL sketches of Apache DataSketches (`HllSketch`, `Union`): built value by value, or a union once two meet. Bytes are
//! the compact form.

use std::hash::Hash;

use datasketches::hash::value::raw_bytes;
use datasketches::hll::{Coupon, HllSketch, HllType, HllUnion};
use ovate_base::{DruidError, Result};

use super::damaged;
use super::theta::std_dev;

/// A hashed value.
pub type HllCoupon = Coupon;

/// The coupon of these bytes, `None` for none (they are not counted).
pub fn coupon(bytes: &[u8]) -> Option<Coupon> {
    (!bytes.is_empty()).then(|| Coupon::from_value(raw_bytes::from_slice(bytes)))
}

/// The coupon of a hashable number.
pub fn coupon_of(value: impl Hash) -> Coupon {
    Coupon::from_value(value)
}

/// `HLL_4`, `HLL_6` or `HLL_8`.
pub fn parse_type(text: &str) -> Option<HllType> {
    match text {
        "HLL_4" => Some(HllType::Hll4),
        "HLL_6" => Some(HllType::Hll6),
        "HLL_8" => Some(HllType::Hll8),
        _ => None,
    }
}

/// The type's name in JSON.
pub fn type_name(hll_type: HllType) -> &'static str {
    match hll_type {
        HllType::Hll4 => "HLL_4",
        HllType::Hll6 => "HLL_6",
        HllType::Hll8 => "HLL_8",
    }
}

/// A sketch that is being filled or merged into.
pub struct HllState {
    lg_k: u8,
    hll_type: HllType,
    form: Form,
}

enum Form {
    Building(HllSketch),
    Union(HllUnion),
}

fn bad_size(error: impl std::fmt::Display) -> DruidError {
    DruidError::invalid_input(format!("HLL sketch size is not valid: {error}"))
}

impl HllState {
    /// An empty sketch.
    pub fn new(lg_k: u8, hll_type: HllType) -> Result<Self> {
        let form = Form::Building(HllSketch::new(lg_k, hll_type).map_err(bad_size)?);
        Ok(HllState { lg_k, hll_type, form })
    }

    /// Adds a value.
    pub fn add(&mut self, coupon: Coupon) {
        match &mut self.form {
            Form::Building(sketch) => sketch.update_with_coupon(coupon),
            Form::Union(union) => {
                // A union takes sketches only; one of one value is a list of one coupon.
                if let Ok(mut sketch) = HllSketch::new(self.lg_k, HllType::Hll8) {
                    sketch.update_with_coupon(coupon);
                    union.update(&sketch);
                }
            }
        }
    }

    /// Adds all of a stored sketch. The first one into an empty state is taken as it is, so that its estimate stays.
    pub fn merge(&mut self, bytes: &[u8]) -> Result<()> {
        let other = sketch(bytes)?;
        if let Form::Building(mine) = &self.form {
            if mine.is_empty() && other.lg_config_k() == self.lg_k && other.target_type() == self.hll_type {
                self.form = Form::Building(other);
                return Ok(());
            }
            let mut union = HllUnion::new(self.lg_k).map_err(bad_size)?;
            union.update(mine);
            self.form = Form::Union(union);
        }
        if let Form::Union(union) = &mut self.form {
            union.update(&other);
        }
        Ok(())
    }

    /// The compact bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        match &self.form {
            Form::Building(sketch) => sketch.serialize(),
            Form::Union(union) => union.to_sketch(self.hll_type).serialize(),
        }
    }

    /// Bytes held.
    pub fn memory_bytes(&self) -> usize {
        match &self.form {
            Form::Building(sketch) => sketch.estimated_size(),
            Form::Union(union) => union.estimated_size(),
        }
    }
}

/// The mode of the image in which registers are stored, in the low two bits of byte 7.
const REGISTERS: u8 = 2;
const REGISTERS_START: usize = 40;
const RANK_MAX: u8 = 63;
/// With more the highest nibble would pass the greatest rank of 63.
const CURRENT_MIN_MAX: u8 = 48;

fn sketch(bytes: &[u8]) -> Result<HllSketch> {
    // The crate takes the smallest register value, byte 6, and registers of a byte each on trust.
    if bytes.len() > 7 && bytes[7] & 3 == REGISTERS {
        let is_byte_wide = bytes[7] >> 2 & 3 == 2;
        let too_large = is_byte_wide && bytes.get(REGISTERS_START..).unwrap_or_default().iter().any(|rank| *rank > RANK_MAX);
        if bytes[6] > CURRENT_MIN_MAX || too_large {
            return Err(damaged("HLLSketch", "register value"));
        }
    }
    HllSketch::deserialize(bytes).map_err(|error| damaged("HLLSketch", error))
}

/// The estimate of a stored sketch.
pub fn estimate(bytes: &[u8]) -> Result<f64> {
    Ok(sketch(bytes)?.estimate())
}

/// Estimate, lower and upper bound of a stored sketch.
pub fn estimate_with_bounds(bytes: &[u8], deviations: u8) -> Result<(f64, f64, f64)> {
    let (sketch, deviations) = (sketch(bytes)?, std_dev(deviations)?);
    Ok((sketch.estimate(), sketch.lower_bound(deviations), sketch.upper_bound(deviations)))
}

/// A description in words, for `HLLSketchToString`.
pub fn describe(bytes: &[u8]) -> Result<String> {
    let sketch = sketch(bytes)?;
    let (low, high) = (sketch.lower_bound(std_dev(1)?), sketch.upper_bound(std_dev(1)?));
    Ok(format!(
        "### HLL SKETCH SUMMARY: \n  Log Config K   : {}\n  Hll Target     : {}\n  LB             : {low}\n  \
         Estimate       : {}\n  UB             : {high}\n",
        sketch.lg_config_k(),
        type_name(sketch.target_type()),
        sketch.estimate()
    ))
}
