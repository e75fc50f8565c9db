//! Holds given properties against the table, before anything starts: refusals are one error that names each of them, and
//! what is accepted without effect, or not known at all, is told in the log once.

use ovate_base::{DruidError, Properties, Result};

use super::super::extensions;
use super::{Verdict, find};

/// What the log should say about the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notices {
    /// Accepted without effect, with the reason.
    pub infos: Vec<String>,
    /// Not known, or known to be missed.
    pub warnings: Vec<String>,
}

/// Checks names and values.
pub fn check(properties: &Properties) -> Result<Notices> {
    let mut notices = Notices::default();
    let mut refusals = Vec::new();
    for (name, value) in properties.iter().filter(|(name, value)| name.starts_with("druid.") && !value.trim().is_empty()) {
        match find(name) {
            None => notices.warnings.push(format!("unknown property, it has no effect. property={name}")),
            Some(property) => match &property.verdict {
                Verdict::Honoured => {}
                Verdict::Idle => {
                    notices.infos.push(format!("accepted without effect. property={name} reason={}", property.text));
                }
                Verdict::Only(values) if values.contains(&compact(value).as_str()) => {}
                Verdict::Only(values) => {
                    refusals.push(format!("{name}={value} (this build has {}; {})", values.join(", "), property.text));
                }
                Verdict::Refused => refusals.push(format!("{name}={value} ({})", property.text)),
            },
        }
    }
    extensions::check(properties, &mut notices, &mut refusals)?;
    if refusals.is_empty() {
        return Ok(notices);
    }
    Err(DruidError::unsupported(format!("configuration that this build does not have: {}", refusals.join("; "))))
}

/// A value without the blanks that JSON lists may have.
fn compact(value: &str) -> String {
    value.chars().filter(|c| !c.is_whitespace()).collect()
}
