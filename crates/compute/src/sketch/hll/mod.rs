//! HLL sketches of Apache DataSketches (`HllSketch`, `Union`): built value by value, or a union once two meet. Bytes are
//! the compact form. What is built is ours, few values as a list and many as registers of a byte each; reading stored
//! bytes, unions and estimates are the `datasketches` crate's.

mod build;

use datasketches::hll::{HllSketch, HllType, HllUnion};
use ovate_base::{DruidError, Result};

pub use build::HllCoupon;
use build::{Few, Registers};

use super::murmur3::hash128;
use super::theta::std_dev;
use super::{DATASKETCHES_SEED, damaged};

/// The coupon of these bytes, `None` for none (they are not counted).
pub fn coupon(bytes: &[u8]) -> Option<HllCoupon> {
    (!bytes.is_empty()).then(|| HllCoupon::of_hash(hash128(bytes, DATASKETCHES_SEED)))
}

/// The coupon of a number of eight bytes.
pub fn coupon_of(value: u64) -> HllCoupon {
    HllCoupon::of_hash(hash128(&value.to_le_bytes(), DATASKETCHES_SEED))
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
    Few(Few),
    Many(Registers),
    /// A stored sketch as it came.
    Stored(HllSketch),
    Union(HllUnion),
}

fn bad_size(error: impl std::fmt::Display) -> DruidError {
    DruidError::invalid_input(format!("HLL sketch size is not valid: {error}"))
}

impl HllState {
    /// An empty sketch.
    pub fn new(lg_k: u8, hll_type: HllType) -> Result<Self> {
        if !(4..=21).contains(&lg_k) {
            return Err(bad_size(lg_k));
        }
        Ok(HllState { lg_k, hll_type, form: Form::Few(Few::default()) })
    }

    /// Adds a value.
    #[inline]
    pub fn add(&mut self, coupon: HllCoupon) {
        match &mut self.form {
            Form::Many(registers) => registers.add(coupon),
            _ => self.add_slowly(coupon),
        }
    }

    fn add_slowly(&mut self, coupon: HllCoupon) {
        match &mut self.form {
            Form::Few(few) => {
                if few.add(coupon, self.lg_k) {
                    self.form = Form::Many(few.registers(self.lg_k));
                }
            }
            Form::Many(registers) => registers.add(coupon),
            Form::Stored(stored) => {
                let stored = stored.serialize();
                // Never fails: the size was good enough for what is stored.
                if let Ok(union) = self.union() {
                    if let Ok(stored) = HllSketch::deserialize(&stored) {
                        union.update(&stored);
                    }
                    self.add_slowly(coupon);
                }
            }
            Form::Union(union) => {
                // A union takes sketches only; one of one value is a list of one coupon.
                let mut one = Few::default();
                one.add(coupon, self.lg_k);
                if let Ok(one) = HllSketch::deserialize(&one.to_bytes(self.lg_k, HllType::Hll8)) {
                    union.update(&one);
                }
            }
        }
    }

    /// Adds all of a stored sketch. The first one into an empty state is taken as it is, so that its estimate stays.
    pub fn merge(&mut self, bytes: &[u8]) -> Result<()> {
        let other = sketch(bytes)?;
        if let Form::Few(few) = &self.form
            && few.is_empty()
            && other.lg_config_k() == self.lg_k
            && other.target_type() == self.hll_type
        {
            self.form = Form::Stored(other);
            return Ok(());
        }
        self.union()?.update(&other);
        Ok(())
    }

    /// The state as a union.
    fn union(&mut self) -> Result<&mut HllUnion> {
        let mine = match &self.form {
            Form::Union(_) => None,
            Form::Few(few) if few.is_empty() => Some(None),
            Form::Few(few) => Some(Some(few.to_bytes(self.lg_k, HllType::Hll8))),
            Form::Many(registers) => Some(Some(registers.to_bytes(self.lg_k, HllType::Hll8))),
            Form::Stored(stored) => Some(Some(stored.serialize())),
        };
        if let Some(mine) = mine {
            let mut union = HllUnion::new(self.lg_k).map_err(bad_size)?;
            if let Some(mine) = mine {
                union.update(&sketch(&mine)?);
            }
            self.form = Form::Union(union);
        }
        match &mut self.form {
            Form::Union(union) => Ok(union),
            _ => unreachable!("made a union above"),
        }
    }

    /// The compact bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        match &self.form {
            Form::Few(few) => few.to_bytes(self.lg_k, self.hll_type),
            Form::Many(registers) => registers.to_bytes(self.lg_k, self.hll_type),
            Form::Stored(sketch) => sketch.serialize(),
            Form::Union(union) => union.to_sketch(self.hll_type).serialize(),
        }
    }

    /// Bytes held.
    pub fn memory_bytes(&self) -> usize {
        match &self.form {
            Form::Few(few) => few.memory_bytes(),
            Form::Many(registers) => registers.memory_bytes(),
            Form::Stored(sketch) => sketch.estimated_size(),
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
