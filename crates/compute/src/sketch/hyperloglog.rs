//! Druid's own HyperLogLog (`HyperLogLogCollector`), bit for bit: 2048 registers of 4 bits over a common offset, one
//! overflow register for a value that does not fit. Stored as `COMPLEX<hyperUnique>`; the layout is drawn in the formats
//! description 7.3. Estimates repeat Druid's sums in Druid's order, quirks included.

use ovate_base::{DruidError, Result};

use super::murmur3::guava_bytes;

const REGISTERS: usize = 2048;
pub(super) const BYTES: usize = REGISTERS / 2;
pub(super) const HEADER: usize = 7;
pub(super) const V0_HEADER: usize = 3;
/// Largest value a register holds above the offset.
pub(super) const RANGE: u8 = 15;
/// With fewer registers in use the sparse form is stored.
const DENSE_THRESHOLD: u16 = 128;

/// Where a hashed value goes: its register, and the position of its first set bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observation {
    pub register: u16,
    pub rank: u8,
}

impl Observation {
    /// From the 16 bytes of a Guava murmur3 hash.
    pub fn from_hash(hash: &[u8; 16]) -> Self {
        let register = u16::from_be_bytes([hash[14], hash[15]]) & 0x7ff;
        let mut rank = 0;
        for byte in &hash[..8] {
            if *byte != 0 {
                rank += byte.trailing_zeros() as u8 + 1;
                break;
            }
            rank += 8;
        }
        Observation { register, rank }
    }

    /// All of it as a number that is not 0.
    pub(crate) fn bits(self) -> u32 {
        1 + (u32::from(self.register) << 8 | u32::from(self.rank))
    }

    /// Reads [`Observation::bits`]; `None` for what no hash gives.
    pub(crate) fn of_bits(bits: u32) -> Option<Self> {
        let packed = bits.checked_sub(1)?;
        let (register, rank) = (u16::try_from(packed >> 8).ok()?, packed as u8);
        (register <= 0x7ff && rank <= 64).then_some(Observation { register, rank })
    }

    /// Of these bytes.
    pub fn of_bytes(data: &[u8]) -> Self {
        Self::from_hash(&guava_bytes(data))
    }
}

/// A collector in its dense form.
#[derive(Debug, Clone, PartialEq)]
pub struct HyperLogLog {
    registers: Box<[u8; BYTES]>,
    offset: u8,
    non_zero: u16,
    overflow_value: u8,
    overflow_register: u16,
}

impl Default for HyperLogLog {
    fn default() -> Self {
        HyperLogLog { registers: Box::new([0; BYTES]), offset: 0, non_zero: 0, overflow_value: 0, overflow_register: 0 }
    }
}

impl HyperLogLog {
    /// Bytes held by one collector.
    pub const MEMORY: usize = BYTES + 16;

    /// Adds one observed value.
    pub fn add(&mut self, observation: Observation) {
        let Observation { register, rank } = observation;
        if rank <= self.offset {
            return;
        }
        if rank > self.offset + RANGE {
            if rank > self.overflow_value {
                if self.overflow_value <= self.offset + RANGE {
                    // The displaced one fits into the registers again, or was in them already.
                    self.add(Observation { register: self.overflow_register, rank: self.overflow_value });
                }
                self.overflow_value = rank;
                self.overflow_register = register;
            }
            return;
        }
        let value = rank - self.offset;
        let byte = &mut self.registers[usize::from(register >> 1)];
        let shift = if register & 1 == 0 { 4 } else { 0 };
        let current = (*byte >> shift) & 0x0f;
        if value > current {
            *byte = (*byte & !(0x0f << shift)) | (value << shift);
            self.non_zero += u16::from(current == 0);
            self.shift_when_full();
        }
    }

    /// When no register is zero, the offset rises by one and every register falls by one.
    fn shift_when_full(&mut self) {
        if usize::from(self.non_zero) < REGISTERS {
            return;
        }
        self.offset += 1;
        let mut non_zero = 0;
        for byte in self.registers.iter_mut() {
            *byte = byte.wrapping_sub(0x11);
            non_zero += u16::from(*byte & 0xf0 != 0) + u16::from(*byte & 0x0f != 0);
        }
        self.non_zero = non_zero;
    }

    /// Adds all that `other` saw (`fold`).
    pub fn fold(&mut self, other: &HyperLogLog) {
        if self.offset < other.offset {
            let smaller = std::mem::replace(self, other.clone());
            return self.fold(&smaller);
        }
        let difference = self.offset - other.offset;
        for (mine, theirs) in self.registers.iter_mut().zip(other.registers.iter()) {
            if *theirs == 0 {
                continue;
            }
            let (upper, lower) = (*mine >> 4, *mine & 0x0f);
            let new_upper = upper.max((*theirs >> 4).saturating_sub(difference));
            let new_lower = lower.max((*theirs & 0x0f).saturating_sub(difference));
            self.non_zero += u16::from(upper == 0 && new_upper > 0) + u16::from(lower == 0 && new_lower > 0);
            *mine = (new_upper << 4) | new_lower;
        }
        self.shift_when_full();
        self.add(Observation { register: other.overflow_register, rank: other.overflow_value });
    }

    /// Reads stored bytes, of version 0 or 1, sparse or dense. No bytes are an empty collector.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let bad = || DruidError::runtime(format!("damaged hyperUnique value of {} bytes", bytes.len()));
        let mut collector = HyperLogLog::default();
        if bytes.is_empty() {
            return Ok(collector);
        }
        let header = if bytes.len().is_multiple_of(3) || bytes.len() == BYTES + V0_HEADER { V0_HEADER } else { HEADER };
        if bytes.len() < header {
            return Err(bad());
        }
        if header == HEADER {
            collector.offset = bytes[1];
            collector.overflow_value = bytes[4];
            collector.overflow_register = u16::from_be_bytes([bytes[5], bytes[6]]);
        } else {
            collector.offset = bytes[0];
        }
        if collector.offset > 64 || collector.overflow_value > 80 || usize::from(collector.overflow_register) >= REGISTERS {
            return Err(bad());
        }
        let payload = &bytes[header..];
        if payload.len() == BYTES {
            collector.registers.copy_from_slice(payload);
        } else {
            for entry in payload.chunks(3) {
                let [high, low, value] = *entry else { return Err(bad()) };
                // Fewer bytes than registers in use leave zeros at the end.
                if value != 0 {
                    let index = usize::from(u16::from_be_bytes([high, low])).checked_sub(header);
                    *index.and_then(|index| collector.registers.get_mut(index)).ok_or_else(bad)? = value;
                }
            }
        }
        let used = |byte: &u8| u16::from(byte & 0xf0 != 0) + u16::from(byte & 0x0f != 0);
        collector.non_zero = collector.registers.iter().map(used).sum();
        Ok(collector)
    }

    /// The stored bytes (`toByteArray`), sparse while few registers are in use.
    pub fn to_bytes(&self) -> Vec<u8> {
        let sparse = self.non_zero < DENSE_THRESHOLD;
        let payload = if sparse { usize::from(self.non_zero) * 3 } else { BYTES };
        let mut bytes = Vec::with_capacity(HEADER + payload);
        bytes.extend_from_slice(&[1, self.offset]);
        bytes.extend_from_slice(&self.non_zero.to_be_bytes());
        bytes.push(self.overflow_value);
        bytes.extend_from_slice(&self.overflow_register.to_be_bytes());
        if sparse {
            for (index, byte) in self.registers.iter().enumerate().filter(|(_, byte)| **byte != 0) {
                bytes.extend_from_slice(&((index + HEADER) as u16).to_be_bytes());
                bytes.push(*byte);
            }
            bytes.resize(HEADER + payload, 0);
        } else {
            bytes.extend_from_slice(&self.registers[..]);
        }
        bytes
    }

    /// How many distinct values were added (`estimateCardinality`).
    pub fn estimate(&self) -> f64 {
        let sparse = self.non_zero < DENSE_THRESHOLD;
        // In sparse form Druid compares this with a position that counts the header too.
        let overflow_byte = usize::from(self.overflow_register >> 1);
        let overflow_byte = if sparse { overflow_byte.wrapping_sub(HEADER) } else { overflow_byte };
        let (mut sum, mut zeros) = (0.0, 0);
        for (index, byte) in self.registers.iter().enumerate() {
            if sparse && *byte == 0 {
                zeros += 2;
                sum += 2.0;
                continue;
            }
            let (mut upper, mut lower) = ((*byte >> 4) + self.offset, (*byte & 0x0f) + self.offset);
            if self.overflow_value != 0 && index == overflow_byte {
                if self.overflow_register & 1 == 0 {
                    upper = upper.max(self.overflow_value);
                } else {
                    lower = lower.max(self.overflow_value);
                }
                zeros += u32::from(upper & 0xf0 == 0) + u32::from(lower & 0x0f == 0);
            } else {
                zeros += u32::from(byte & 0xf0 == 0) + u32::from(byte & 0x0f == 0);
            }
            sum += (-f64::from(upper)).exp2() + (-f64::from(lower)).exp2();
        }
        correct(sum, zeros)
    }
}

/// Druid's `applyCorrection`: linear counting for small sets, the usual large-range correction for huge ones.
fn correct(sum: f64, zeros: u32) -> f64 {
    let registers = REGISTERS as f64;
    let alpha = 0.7213 / (1.0 + 1.079 / registers);
    let estimate = alpha * registers * registers / sum;
    let two_to_64 = 2f64.powi(64);
    if estimate <= 2.5 * registers {
        return if zeros == 0 { estimate } else { registers * (registers / f64::from(zeros)).ln() };
    }
    if estimate > two_to_64 / 30.0 {
        let ratio = estimate / two_to_64;
        return if ratio >= 1.0 { f64::MAX } else { -two_to_64 * (1.0 - ratio).ln() };
    }
    estimate
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    fn of(values: impl IntoIterator<Item = String>) -> HyperLogLog {
        let mut collector = HyperLogLog::default();
        values.into_iter().for_each(|value| collector.add(Observation::of_bytes(value.as_bytes())));
        collector
    }

    #[test]
    fn one_value_is_stored_as_druid_stores_it() {
        assert_eq!(STANDARD.encode(of(["a".to_owned()]).to_bytes()), "AQAAAQAAAAL6EA==");
        assert_eq!(STANDARD.encode(HyperLogLog::default().to_bytes()), "AQAAAAAAAA==");
    }

    #[test]
    fn small_sets_are_estimated_as_druid_does() {
        assert_eq!(of(["a".to_owned()]).estimate(), 1.0002442201269182);
        assert_eq!(of(["a".to_owned(), "b".to_owned()]).estimate(), 2.000977198748901);
        assert_eq!(of((0..9).map(|i| format!("v{i}"))).estimate(), 9.019833517963864);
        assert_eq!(HyperLogLog::default().estimate(), 0.0);
    }

    #[test]
    fn stored_values_of_druid_read_and_write_the_same() {
        let path = "/work/shared/fixtures/druid/golden-37.0.0/complex_hyperunique/expected.jsonl";
        let Ok(text) = std::fs::read_to_string(path) else { return };
        for line in text.lines() {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            let bytes = STANDARD.decode(row["hu"]["base64"].as_str().unwrap()).unwrap();
            let collector = HyperLogLog::from_bytes(&bytes).unwrap();
            assert_eq!(collector.estimate(), row["hu"]["final"].as_f64().unwrap());
            assert_eq!(collector.to_bytes(), bytes);
        }
    }

    #[test]
    fn folded_halves_equal_the_whole() {
        for count in [1, 50, 127, 1000, 20_000, 300_000] {
            let value = |i: i32| format!("value{i}");
            let whole = of((0..count).map(value));
            let mut left = of((0..count / 2).map(value));
            left.fold(&of((count / 2..count).map(value)));
            let difference = (left.estimate() - whole.estimate()).abs() / whole.estimate();
            assert!(difference < 1e-3, "{count}: {} {}", left.estimate(), whole.estimate());
            assert!((whole.estimate() / f64::from(count) - 1.0).abs() < 0.08);
        }
    }

    #[test]
    fn damaged_bytes_are_errors() {
        assert!(HyperLogLog::from_bytes(&[1, 0]).is_err());
        assert!(HyperLogLog::from_bytes(&[1, 0, 0, 1, 0, 0, 0, 255, 255, 1]).is_err());
        assert!(HyperLogLog::from_bytes(&[1, 255, 0, 1, 0, 0, 0, 0, 10, 1]).is_err());
    }
}
