//! `String.format` for the conversions that make sense for our values: `%s %d %f %e %x %X %o %c %b %n %%`, with flags,
//! width, precision and argument numbers.

use ovate_base::{DruidError, Result};

use crate::value::Value;

/// One `%` conversion.
struct Conversion {
    argument: Option<usize>,
    flags: String,
    width: usize,
    precision: Option<usize>,
    letter: char,
}

/// Formats as Java does.
pub fn java_format(format: &str, arguments: &[Value]) -> Result<String> {
    let mut out = String::with_capacity(format.len());
    let mut chars = format.chars().peekable();
    let mut next_argument = 0;
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let conversion = read(&mut chars).ok_or_else(|| bad(format))?;
        match conversion.letter {
            '%' => pad(&mut out, "%", &conversion),
            'n' => out.push('\n'),
            _ => {
                let index = conversion.argument.map_or(next_argument, |number| number - 1);
                next_argument += usize::from(conversion.argument.is_none());
                let value = arguments
                    .get(index)
                    .ok_or_else(|| DruidError::invalid_input(format!("format string [{format}] has too few arguments")))?;
                let text = convert(value, &conversion).ok_or_else(|| bad(format))?;
                pad(&mut out, &text, &conversion);
            }
        }
    }
    Ok(out)
}

fn bad(format: &str) -> DruidError {
    DruidError::invalid_input(format!("format string [{format}] is not valid for its arguments"))
}

fn read(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<Conversion> {
    let mut conversion = Conversion { argument: None, flags: String::new(), width: 0, precision: None, letter: '%' };
    let mut number = String::new();
    loop {
        let c = chars.next()?;
        match c {
            '0'..='9' if !(c == '0' && number.is_empty()) => number.push(c),
            '$' => conversion.argument = Some(std::mem::take(&mut number).parse().ok().filter(|n| *n > 0)?),
            '-' | '#' | '+' | ' ' | '0' | ',' | '(' => conversion.flags.push(c),
            '.' => {
                let mut digits = String::new();
                while let Some(digit) = chars.next_if(char::is_ascii_digit) {
                    digits.push(digit);
                }
                conversion.precision = Some(digits.parse().ok().filter(|p| *p <= 1_000)?);
            }
            letter if letter.is_ascii_alphabetic() || letter == '%' => {
                if !number.is_empty() {
                    // A width that a text from outside may ask for has to have a bound.
                    conversion.width = number.parse().ok().filter(|w| *w <= 10_000)?;
                }
                conversion.letter = letter;
                return Some(conversion);
            }
            _ => return None,
        }
    }
}

fn convert(value: &Value, conversion: &Conversion) -> Option<String> {
    let upper = conversion.letter.is_ascii_uppercase();
    let text = match conversion.letter.to_ascii_lowercase() {
        's' => {
            let text = value.as_text().map_or_else(|| "null".to_owned(), |text| text.to_string());
            conversion.precision.map_or(text.clone(), |precision| text.chars().take(precision).collect())
        }
        'b' => match value {
            Value::Null => "false".to_owned(),
            _ => "true".to_owned(),
        },
        _ if value.is_null() => "null".to_owned(),
        'd' => match value {
            Value::Long(number) => sign(grouped(number.unsigned_abs().to_string(), conversion), *number < 0, conversion),
            _ => return None,
        },
        'x' => match value {
            Value::Long(number) => format!("{number:x}"),
            _ => return None,
        },
        'o' => match value {
            Value::Long(number) => format!("{number:o}"),
            _ => return None,
        },
        'c' => match value {
            Value::Long(number) => char::from_u32(u32::try_from(*number).ok()?)?.to_string(),
            Value::String(text) => text.chars().next()?.to_string(),
            _ => return None,
        },
        'f' | 'e' | 'g' => match value {
            Value::Double(_) | Value::Float(_) => decimal(value.as_double()?, conversion),
            _ => return None,
        },
        _ => return None,
    };
    Some(if upper { text.to_uppercase() } else { text })
}

fn decimal(number: f64, conversion: &Conversion) -> String {
    if !number.is_finite() {
        return crate::value::double_to_text(number);
    }
    let precision = conversion.precision.unwrap_or(6);
    let magnitude = number.abs();
    let body = if conversion.letter.eq_ignore_ascii_case(&'e') {
        let text = format!("{magnitude:.precision$e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (mark, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
        format!("{mantissa}e{mark}{digits:0>2}")
    } else {
        // Java rounds half up on the decimal text; the shortest text of the number decides ties.
        let text = format!("{magnitude:.precision$}");
        match text.split_once('.') {
            Some((whole, fraction)) => format!("{}.{fraction}", grouped(whole.to_owned(), conversion)),
            None => grouped(text, conversion),
        }
    };
    sign(body, number.is_sign_negative(), conversion)
}

fn grouped(digits: String, conversion: &Conversion) -> String {
    if !conversion.flags.contains(',') {
        return digits;
    }
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn sign(body: String, negative: bool, conversion: &Conversion) -> String {
    let has = |flag: char| conversion.flags.contains(flag);
    match negative {
        true if has('(') => format!("({body})"),
        true => format!("-{body}"),
        false if has('+') => format!("+{body}"),
        false if has(' ') => format!(" {body}"),
        false => body,
    }
}

fn pad(out: &mut String, text: &str, conversion: &Conversion) {
    let missing = conversion.width.saturating_sub(text.chars().count());
    let zero = conversion.flags.contains('0') && !"sbcSBC".contains(conversion.letter);
    if conversion.flags.contains('-') {
        out.push_str(text);
        out.extend(std::iter::repeat_n(' ', missing));
    } else if zero {
        let digits = text.trim_start_matches(['-', '+', ' ', '(']);
        out.push_str(&text[..text.len() - digits.len()]);
        out.extend(std::iter::repeat_n('0', missing));
        out.push_str(digits);
    } else {
        out.extend(std::iter::repeat_n(' ', missing));
        out.push_str(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_as_java_does() {
        let format = |f: &str, args: &[Value]| java_format(f, args).unwrap();
        assert_eq!(format("%s-%05d|%-4s|%.2f%%", &[Value::from("a"), 42.into(), "b".into(), 1.005.into()]), "a-00042|b   |1.00%");
        assert_eq!(format("%,d %x %2$s", &[1234567.into(), 255.into()]), "1,234,567 ff 255");
        assert_eq!(format("%s", &[Value::Null]), "null");
        assert!(java_format("%d", &["x".into()]).is_err() && java_format("%s", &[]).is_err());
    }
}
