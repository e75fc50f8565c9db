//! Human-readable byte sizes (`HumanReadableBytes`): `K`, `KB` are powers of 1000, `KiB` of 1024, up to `P`.

use crate::{DruidError, Result};

/// Parses `500MiB`, `1g`, `1024`.
pub fn parse_bytes(text: &str) -> Result<u64> {
    let bad = || {
        DruidError::invalid_input(format!(
            "Invalid format or out of range of long: {}",
            text.chars().take(50).collect::<String>()
        ))
    };
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = lower.split_at(digits);
    let (base, letter): (u64, &str) = match unit {
        "" | "b" => (1, ""),
        unit => match unit.strip_suffix("ib") {
            Some(letter) => (1024, letter),
            None => (1000, unit.strip_suffix('b').unwrap_or(unit)),
        },
    };
    let power = match letter {
        "" if base == 1 => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return Err(bad()),
    };
    let value = number.parse::<u64>().map_err(|_| bad())?;
    value.checked_mul(base.pow(power)).filter(|bytes| *bytes <= i64::MAX as u64).ok_or_else(bad)
}

/// Writes a size with binary units and two decimals, such as `1.50 GiB`.
pub fn format_bytes(bytes: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.2} {}", units[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_in_any_case() {
        for (text, bytes) in [
            ("0", 0),
            ("1024", 1024),
            ("1k", 1000),
            ("1KB", 1000),
            ("1KiB", 1024),
            ("500MiB", 500 << 20),
            ("2g", 2_000_000_000),
            ("1PiB", 1 << 50),
        ] {
            assert_eq!(parse_bytes(text).unwrap(), bytes, "{text}");
        }
        for text in ["", "k", "1x", "-1", "1.5G", "99999999P", "1ib", "é"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
        assert_eq!(format_bytes(3 << 29), "1.50 GiB");
    }
}
