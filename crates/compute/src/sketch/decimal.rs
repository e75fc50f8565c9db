//! Decimal numbers of any size, as Druid's compressed-bigdecimal extension keeps them (`CompressedBigDecimal`): an unscaled whole
//! number and how many of its digits stand behind the point.
//!
//! Bytes, little endian: `i32` scale, then the unscaled number as two's complement in `u32`s, least first.

use std::cmp::Ordering;

use ovate_base::{DruidError, Result};

use super::damaged;

const KIND: &str = "compressedBigDecimal";
/// Digits behind the point that a column can hold: Druid keeps the scale in one byte.
pub const SCALE_MAX: i32 = 255;
/// `u32`s of a number.
pub const SIZE_MAX: usize = 64;

/// A decimal number: `± magnitude * 10^-scale`. The magnitude has no zeros at its upper end; zero is not negative.
#[derive(Clone, Debug, PartialEq)]
pub struct Decimal {
    negative: bool,
    magnitude: Vec<u32>,
    scale: i32,
}

impl Decimal {
    /// Zero.
    pub fn zero(scale: i32) -> Self {
        Decimal { negative: false, magnitude: Vec::new(), scale }
    }

    /// A whole number.
    pub fn of_long(value: i64) -> Self {
        let size = value.unsigned_abs();
        Decimal { negative: value < 0, magnitude: vec![size as u32, (size >> 32) as u32], scale: 0 }.trimmed()
    }

    /// What Java's `BigDecimal` reads; `None` for other text and for numbers that no column can hold.
    pub fn parse(text: &str) -> Option<Self> {
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let negative = mantissa.starts_with('-');
        let digits = mantissa.strip_prefix(['-', '+']).unwrap_or(mantissa);
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let all = whole.bytes().chain(fraction.bytes());
        if whole.len() + fraction.len() == 0 || !all.clone().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        let mut number = Decimal { negative, magnitude: Vec::new(), scale: 0 };
        for digit in all.skip_while(|digit| *digit == b'0') {
            number.append_digit(u32::from(digit - b'0'));
            if number.magnitude.len() > SIZE_MAX {
                return None;
            }
        }
        number.scale = i32::try_from(fraction.len()).ok()?.checked_sub(exponent)?;
        Some(number.trimmed())
    }

    /// `magnitude * 10 + digit`.
    fn append_digit(&mut self, digit: u32) {
        let mut carry = u64::from(digit);
        for part in &mut self.magnitude {
            let product = u64::from(*part) * 10 + carry;
            (*part, carry) = (product as u32, product >> 32);
        }
        if carry > 0 {
            self.magnitude.push(carry as u32);
        }
    }

    /// Divides the magnitude by ten and gives the rest.
    fn drop_digit(&mut self) -> u32 {
        let mut rest = 0u64;
        for part in self.magnitude.iter_mut().rev() {
            let number = rest << 32 | u64::from(*part);
            (*part, rest) = ((number / 10) as u32, number % 10);
        }
        while self.magnitude.last() == Some(&0) {
            self.magnitude.pop();
        }
        rest as u32
    }

    fn trimmed(mut self) -> Self {
        while self.magnitude.last() == Some(&0) {
            self.magnitude.pop();
        }
        self.negative &= !self.magnitude.is_empty();
        self
    }

    /// The same number with so many digits behind the point; what does not fit is rounded away from zero, as Druid does. An error
    /// when it needs more than `size` parts.
    pub fn scaled(mut self, scale: i32, size: usize) -> Result<Self> {
        let mut inexact = false;
        while self.scale > scale && !self.magnitude.is_empty() {
            inexact |= self.drop_digit() != 0;
            self.scale -= 1;
        }
        while self.scale < scale && !self.magnitude.is_empty() {
            self.append_digit(0);
            self.scale += 1;
            self.check_size(size)?;
        }
        self.scale = scale;
        if inexact {
            let negative = self.negative;
            let one = Decimal { negative, magnitude: vec![1], scale };
            self = Decimal { negative, ..self }.plus(&one);
        }
        self.check_size(size)?;
        Ok(self.trimmed())
    }

    /// Parts that the number takes as two's complement.
    fn parts(&self) -> usize {
        let top = self.magnitude.last().copied().unwrap_or(0);
        let whole = self.magnitude.len();
        let sign_fits = top < 1 << 31 || (self.negative && top == 1 << 31 && self.magnitude[..whole - 1].iter().all(|p| *p == 0));
        (whole + usize::from(!sign_fits)).max(1)
    }

    fn check_size(&self, size: usize) -> Result<()> {
        match self.parts() > size {
            true => Err(DruidError::invalid_input(format!(
                "a number is too big for a compressedBigDecimal of [size] {size}, which is parts of 32 bits"
            ))),
            false => Ok(()),
        }
    }

    /// The sum of two numbers of one scale.
    fn plus(&self, other: &Decimal) -> Decimal {
        let scale = self.scale;
        if self.negative == other.negative {
            return Decimal { negative: self.negative, magnitude: sum(&self.magnitude, &other.magnitude), scale }.trimmed();
        }
        let (larger, smaller) = match compare(&self.magnitude, &other.magnitude) {
            Ordering::Less => (other, self),
            _ => (self, other),
        };
        Decimal { negative: larger.negative, magnitude: difference(&larger.magnitude, &smaller.magnitude), scale }.trimmed()
    }

    /// Adds another number in this one's scale; what goes beyond `size` parts is lost, as in Druid.
    pub fn add(&mut self, other: Decimal, size: usize) -> Result<()> {
        let other = other.scaled(self.scale, size)?;
        *self = self.plus(&other);
        if self.parts() > size {
            let wrapped = two_complement(self, size);
            *self = of_two_complement(&wrapped, self.scale);
        }
        Ok(())
    }

    /// By value.
    pub fn compare(&self, other: &Decimal) -> Ordering {
        let sign = |number: &Decimal| match (number.magnitude.is_empty(), number.negative) {
            (true, _) => 0,
            (_, true) => -1,
            _ => 1,
        };
        let by_sign = sign(self).cmp(&sign(other));
        if by_sign.is_ne() || sign(self) == 0 {
            return by_sign;
        }
        // Scales are bounded where numbers come in, so that this adds few digits.
        let lifted = |number: &Decimal, scale: i32| {
            let mut magnitude = Decimal { negative: false, ..number.clone() };
            (number.scale..scale).for_each(|_| magnitude.append_digit(0));
            magnitude.magnitude
        };
        let scale = self.scale.max(other.scale);
        let order = compare(&lifted(self, scale), &lifted(other, scale));
        if self.negative { order.reverse() } else { order }
    }

    /// The nearest double.
    pub fn as_double(&self) -> f64 {
        self.to_string().parse().unwrap_or(f64::NAN)
    }

    /// The bytes, in `size` parts.
    pub fn to_bytes(&self, size: usize) -> Vec<u8> {
        let mut out = self.scale.to_le_bytes().to_vec();
        two_complement(self, size.max(self.parts())).iter().for_each(|part| out.extend_from_slice(&part.to_le_bytes()));
        out
    }

    /// Reads bytes that nobody vouches for.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let (scale, parts) = bytes.split_first_chunk::<4>().ok_or_else(|| damaged(KIND, "it ends too early"))?;
        let scale = i32::from_le_bytes(*scale);
        let size = parts.len() / 4;
        if parts.len() % 4 != 0 || !(1..=SIZE_MAX).contains(&size) || !(0..=SCALE_MAX).contains(&scale) {
            return Err(damaged(KIND, format!("{} bytes of scale {scale}", parts.len())));
        }
        let parts: Vec<u32> = parts.as_chunks::<4>().0.iter().map(|part| u32::from_le_bytes(*part)).collect();
        Ok(of_two_complement(&parts, scale))
    }

    /// Bytes it holds.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Decimal>() + 4 * self.magnitude.capacity()
    }
}

/// As Java's `BigDecimal` prints it.
impl std::fmt::Display for Decimal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut left = self.clone();
        let mut digits: Vec<u8> = Vec::new();
        while !left.magnitude.is_empty() {
            digits.push(b'0' + left.drop_digit() as u8);
        }
        digits.reverse();
        if digits.is_empty() {
            digits.push(b'0');
        }
        let digits = String::from_utf8_lossy(&digits);
        let sign = if self.negative { "-" } else { "" };
        let exponent = i64::from(-self.scale) + digits.len() as i64 - 1;
        if self.scale == 0 {
            return write!(f, "{sign}{digits}");
        }
        if self.scale > 0 && exponent >= -6 {
            let scale = self.scale as usize;
            let padded = format!("{digits:0>width$}", width = scale + 1);
            let (whole, fraction) = padded.split_at(padded.len() - scale);
            return write!(f, "{sign}{whole}.{fraction}");
        }
        let (first, rest) = digits.split_at(1);
        let point = if rest.is_empty() { "" } else { "." };
        let plus = if exponent > 0 { "+" } else { "" };
        match exponent {
            0 => write!(f, "{sign}{first}{point}{rest}"),
            _ => write!(f, "{sign}{first}{point}{rest}E{plus}{exponent}"),
        }
    }
}

fn compare(a: &[u32], b: &[u32]) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| a.iter().rev().cmp(b.iter().rev()))
}

fn sum(a: &[u32], b: &[u32]) -> Vec<u32> {
    let mut carry = 0u64;
    let mut out = Vec::with_capacity(a.len().max(b.len()) + 1);
    for at in 0..a.len().max(b.len()) {
        let of = |parts: &[u32]| u64::from(parts.get(at).copied().unwrap_or(0));
        carry += of(a) + of(b);
        out.push(carry as u32);
        carry >>= 32;
    }
    out.push(carry as u32);
    out
}

/// `a - b`, where `a` is not smaller.
fn difference(a: &[u32], b: &[u32]) -> Vec<u32> {
    let mut borrow = 0i64;
    let mut out = Vec::with_capacity(a.len());
    for (at, part) in a.iter().enumerate() {
        let left = i64::from(*part) - i64::from(b.get(at).copied().unwrap_or(0)) - borrow;
        borrow = i64::from(left < 0);
        out.push(left as u32);
    }
    out
}

/// The lowest `size` parts of the number's two's complement.
fn two_complement(number: &Decimal, size: usize) -> Vec<u32> {
    let mut parts = number.magnitude.clone();
    parts.resize(size, 0);
    if number.negative {
        negate(&mut parts);
    }
    parts
}

fn negate(parts: &mut [u32]) {
    let mut carry = true;
    for part in parts {
        let (value, overflow) = (!*part).overflowing_add(u32::from(carry));
        (*part, carry) = (value, overflow);
    }
}

fn of_two_complement(parts: &[u32], scale: i32) -> Decimal {
    let negative = parts.last().is_some_and(|top| *top >= 1 << 31);
    let mut magnitude = parts.to_vec();
    if negative {
        negate(&mut magnitude);
    }
    Decimal { negative, magnitude, scale }.trimmed()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Decimal {
        Decimal::parse(text).unwrap_or_else(|| panic!("{text} is a number"))
    }

    #[test]
    fn numbers_are_read_and_written_as_java_does() {
        for text in ["0", "5", "-5", "123456789012345678901234567890.123456789", "-0.000001", "1.50", "0E-9", "1.2E-8"] {
            assert_eq!(of(text).to_string(), text);
        }
        assert_eq!(of("+1e3").to_string(), "1E+3");
        assert_eq!(of("-.5").to_string(), "-0.5");
        assert_eq!(of("12e-1").to_string(), "1.2");
        for text in ["", ".", "1.2.3", "1e", "abc", "1e99999999999", "0x1", "--1", &"9".repeat(700)] {
            assert!(Decimal::parse(text).is_none(), "{text}");
        }
        assert_eq!(Decimal::of_long(i64::MIN).to_string(), "-9223372036854775808");
    }

    #[test]
    fn sums_are_exact_and_keep_their_scale() {
        let mut sum = Decimal::zero(9);
        for text in ["15000000010.000000005", "-0.1", "99999999999999999999", "-100000000015000000008"] {
            sum.add(of(text), 6).unwrap();
        }
        assert_eq!(sum.to_string(), "0.900000005");
        sum.add(of("-1e1"), 6).unwrap();
        assert_eq!((sum.to_string().as_str(), sum.as_double()), ("-9.099999995", -9.099999995));
        // Digits that do not fit are rounded away from zero.
        assert_eq!(of("1.001").scaled(2, 6).unwrap().to_string(), "1.01");
        assert_eq!(of("-1.001").scaled(2, 6).unwrap().to_string(), "-1.01");
        assert_eq!(of("-0.001").scaled(2, 6).unwrap().to_string(), "-0.01");
        assert!(of("1e40").scaled(9, 4).unwrap_err().message.contains("too big"));
        assert!(of("1e2000000000").scaled(9, 4).is_err());
        assert_eq!(of("1e-2000000000").scaled(9, 4).unwrap().to_string(), "1E-9");
    }

    #[test]
    fn a_sum_beyond_its_size_wraps() {
        let mut sum = Decimal::zero(0);
        sum.add(of("2147483647"), 1).unwrap();
        sum.add(of("1"), 1).unwrap();
        assert_eq!(sum.to_string(), "-2147483648");
    }

    #[test]
    fn bytes_are_read_back_whatever_the_sign() {
        for text in
            ["0", "1", "-1", "4294967296", "-4294967296", "2147483648", "-2147483648", "340282366920938463463374607431768"]
        {
            let number = of(text).scaled(3, 6).unwrap();
            let bytes = number.to_bytes(6);
            assert_eq!((bytes.len(), Decimal::from_bytes(&bytes).unwrap()), (28, number), "{text}");
        }
        for bytes in [&[][..], &[9, 0, 0, 0], &[9, 0, 0, 0, 1], &[0, 1, 0, 0, 1, 0, 0, 0], &[0xFF; 8]] {
            assert!(Decimal::from_bytes(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn numbers_of_different_scales_are_compared_by_value() {
        let ascending = ["-10", "-9.99", "-0.1", "0.00", "0.1", "0.11", "9", "10.0"];
        for (i, a) in ascending.iter().enumerate() {
            for (j, b) in ascending.iter().enumerate() {
                assert_eq!(of(a).compare(&of(b)), i.cmp(&j), "{a} {b}");
            }
        }
    }
}
