//! Numbers as text and back, as Java's `Double.toString`, `Float.toString`, `Double.parseDouble` and Guava's
//! `Longs.tryParse` have it.

/// `Double.toString` (JDK 19 and later, shortest digits): `1.0`, `1.0E10`, `NaN`, `-Infinity`.
pub fn double_to_text(value: f64) -> String {
    java_text(value, || format!("{value:e}"))
}

/// `Float.toString`.
pub fn float_to_text(value: f32) -> String {
    java_text(f64::from(value), || format!("{value:e}"))
}

/// Plain notation between 10^-3 and 10^7, otherwise `d.dddE±n`; `scientific` gives the shortest digits.
fn java_text(value: f64, scientific: impl Fn() -> String) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity".to_owned() } else { "-Infinity".to_owned() };
    }
    if value == 0.0 {
        return if value.is_sign_negative() { "-0.0".to_owned() } else { "0.0".to_owned() };
    }
    let text = scientific();
    let (mantissa, exponent) = text.split_once('e').expect("`{:e}` always writes an exponent");
    let exponent: i32 = exponent.parse().expect("`{:e}` writes a decimal exponent");
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |m| ("-", m));
    let digits: String = mantissa.chars().filter(|c| *c != '.').collect();
    if !(-3..7).contains(&exponent) {
        let fraction = if digits.len() > 1 { &digits[1..] } else { "0" };
        return format!("{sign}{}.{fraction}E{exponent}", &digits[..1]);
    }
    if exponent < 0 {
        return format!("{sign}0.{}{digits}", "0".repeat((-exponent - 1) as usize));
    }
    let whole = exponent as usize + 1;
    if digits.len() <= whole {
        format!("{sign}{digits}{}.0", "0".repeat(whole - digits.len()))
    } else {
        format!("{sign}{}.{}", &digits[..whole], &digits[whole..])
    }
}

/// `Doubles.tryParse` without hexadecimal forms: no blanks; a `d` or `f` after, `NaN` and `Infinity` are allowed.
pub fn parse_double(text: &str) -> Option<f64> {
    let body = text.strip_prefix(['+', '-']).unwrap_or(text);
    match body {
        "NaN" => return Some(f64::NAN),
        "Infinity" => return Some(if text.starts_with('-') { f64::NEG_INFINITY } else { f64::INFINITY }),
        _ => {}
    }
    let first = *body.as_bytes().first()?;
    if !first.is_ascii_digit() && first != b'.' {
        return None;
    }
    text.strip_suffix(['d', 'D', 'f', 'F']).unwrap_or(text).parse().ok()
}

/// A decimal long; no blanks, an optional sign (`GuavaUtils.tryParseLong`).
pub fn parse_long(text: &str) -> Option<i64> {
    let body = text.strip_prefix('+').unwrap_or(text);
    if body.len() < text.len() && body.starts_with('-') {
        return None;
    }
    body.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_print_as_java_prints_them() {
        let cases = [
            (1.0, "1.0"),
            (0.1, "0.1"),
            (1e7, "1.0E7"),
            (9999999.0, "9999999.0"),
            (0.001, "0.001"),
            (0.0001, "1.0E-4"),
            (-12.5, "-12.5"),
            (1.2345e20, "1.2345E20"),
            (100.0, "100.0"),
            (-0.0, "-0.0"),
            (f64::NEG_INFINITY, "-Infinity"),
        ];
        for (value, text) in cases {
            assert_eq!(double_to_text(value), text);
        }
        assert_eq!(float_to_text(0.1f32), "0.1");
        assert_eq!(float_to_text(16777216f32), "1.6777216E7");
    }

    #[test]
    fn text_that_is_no_number_does_not_parse() {
        assert_eq!(parse_double("1.5e3"), Some(1500.0));
        assert_eq!(parse_double(" 4"), None);
        assert_eq!(parse_double("1.5f"), Some(1.5));
        assert_eq!(parse_double("inf"), None);
        assert_eq!(parse_double(""), None);
        assert_eq!(parse_long("+5"), Some(5));
        assert_eq!(parse_long("5.0"), None);
        assert_eq!(parse_long("+-5"), None);
    }
}
