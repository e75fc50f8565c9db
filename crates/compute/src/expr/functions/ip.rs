//! IP functions (EXP-10).

use std::net::{Ipv4Addr, Ipv6Addr};

use ovate_base::DruidError;

use super::{Function, Output, boolean, closure, literal_text, nullable};
use crate::value::Value;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::prepared("ipv4_match", (2, 2), Output::Long, |literals| {
        let subnet = literal_text(literals, 1, "subnet")?.unwrap_or_default();
        let bad = || DruidError::invalid_input(format!(" subnet [{subnet}] is not valid"));
        let (address, bits) = subnet.split_once('/').unwrap_or((&subnet, "32"));
        let address = u32::from(parse_v4(address).ok_or_else(bad)?);
        let bits: u32 = bits.parse().ok().filter(|bits| *bits <= 32).ok_or_else(bad)?;
        let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
        Ok(closure(move |args, _| Ok(boolean(v4(&args[0]).is_some_and(|own| u32::from(own) & mask == address & mask)))))
    }),
    Function::simple("ipv4_parse", (1, 1), Output::Long, |args| Ok(nullable(v4(&args[0]).map(|own| i64::from(u32::from(own)))))),
    Function::simple("ipv4_stringify", (1, 1), Output::String, |args| Ok(nullable(v4(&args[0]).map(|own| own.to_string())))),
    Function::prepared("ipv6_match", (2, 2), Output::Long, |literals| {
        let subnet = literal_text(literals, 1, "subnet")?.unwrap_or_default();
        let bad = || DruidError::invalid_input(format!(" subnet [{subnet}] is not valid"));
        let (address, bits) = subnet.split_once('/').unwrap_or((&subnet, "128"));
        let address = u128::from(address.parse::<Ipv6Addr>().map_err(|_| bad())?);
        let bits: u32 = bits.parse().ok().filter(|bits| *bits <= 128).ok_or_else(bad)?;
        let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
        Ok(closure(move |args, _| {
            let own = args[0].as_text().and_then(|text| text.parse::<Ipv6Addr>().ok());
            Ok(boolean(own.is_some_and(|own| u128::from(own) & mask == address & mask)))
        }))
    }),
];

/// Four numbers of one to three digits, leading zeros allowed.
fn parse_v4(text: &str) -> Option<Ipv4Addr> {
    let mut parts = text.split('.').map(|part| {
        let digits = (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| part.parse::<u8>().ok()).flatten()
    });
    let address = [parts.next()??, parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then(|| Ipv4Addr::from(address))
}

fn v4(value: &Value) -> Option<Ipv4Addr> {
    match value {
        Value::Long(number) => u32::try_from(*number).ok().map(Ipv4Addr::from),
        Value::String(text) => parse_v4(text),
        _ => None,
    }
}
