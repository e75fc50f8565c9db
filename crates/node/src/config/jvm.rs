//! `jvm.config`, the options that Druid's scripts hand to a JVM. Heap and direct memory become the process's one budget,
//! `-Ddruid.…` become properties that win over the files, and every other line is accounted for: there is no JVM here.

use std::collections::BTreeMap;
use std::path::Path;

use ovate_base::{DruidError, Result};

/// What a list of JVM options says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JvmOptions {
    /// `-Xmx`, else `-Xms`.
    pub heap_bytes: Option<u64>,
    /// `-XX:MaxDirectMemorySize`.
    pub direct_bytes: Option<u64>,
    /// `-Dname=value`.
    pub system: BTreeMap<String, String>,
    /// Lines that mean nothing without a JVM.
    pub idle: Vec<String>,
}

impl JvmOptions {
    /// Reads a file with one or several options a line; a file that is not there has none.
    pub fn read(file: &Path) -> Result<JvmOptions> {
        match std::fs::read_to_string(file) {
            Ok(text) => {
                let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
                Self::parse(lines.flat_map(str::split_whitespace)).map_err(|e| e.prefixed(file.display()))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(JvmOptions::default()),
            Err(error) => Err(DruidError::invalid_input(format!("cannot read {}: {error}", file.display()))),
        }
    }

    /// Reads options; later ones win, as in a JVM.
    pub fn parse<'a>(options: impl IntoIterator<Item = &'a str>) -> Result<JvmOptions> {
        let mut read = JvmOptions::default();
        let mut initial = None;
        for option in options {
            if let Some(size) = option.strip_prefix("-Xmx").or_else(|| option.strip_prefix("-XX:MaxHeapSize=")) {
                read.heap_bytes = Some(memory(option, size)?);
            } else if let Some(size) = option.strip_prefix("-Xms") {
                initial = Some(memory(option, size)?);
            } else if let Some(size) = option.strip_prefix("-XX:MaxDirectMemorySize=") {
                read.direct_bytes = Some(memory(option, size)?);
            } else if let Some(setting) = option.strip_prefix("-D") {
                let (name, value) = setting.split_once('=').unwrap_or((setting, ""));
                read.system.insert(name.to_owned(), value.to_owned());
            } else {
                read.idle.push(option.to_owned());
            }
        }
        read.heap_bytes = read.heap_bytes.or(initial);
        Ok(read)
    }

    /// Lays `other` over these: what it says wins.
    pub fn overlay(&mut self, other: JvmOptions) {
        self.heap_bytes = other.heap_bytes.or(self.heap_bytes);
        self.direct_bytes = other.direct_bytes.or(self.direct_bytes);
        self.system.extend(other.system);
        self.idle.extend(other.idle);
    }

    /// What the process may use: heap and direct memory together. Without a limit of its own direct memory counts as
    /// nothing, since what a JVM would allow is no statement of its operator.
    pub fn budget_bytes(&self) -> Option<u64> {
        self.heap_bytes.map(|heap| heap.saturating_add(self.direct_bytes.unwrap_or(0)))
    }

    /// `-Ddruid.…`, which wins over the files (`GuiceInjectors` reads system properties last).
    pub fn druid_properties(&self) -> impl Iterator<Item = (&str, &str)> {
        self.system.iter().filter(|(name, _)| name.starts_with("druid.")).map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// What becomes of each system property and option that is not memory, for the log.
    pub fn notices(&self) -> Vec<String> {
        let told = |(name, value): (&String, &String)| -> Option<String> {
            let why = match name.as_str() {
                _ if name.starts_with("druid.") => return None,
                "java.io.tmpdir" => return None,
                "user.timezone" if matches!(value.as_str(), "UTC" | "Etc/UTC" | "GMT" | "Z") => return None,
                "user.timezone" => "instants are UTC here whatever the zone",
                "file.encoding" if value.eq_ignore_ascii_case("UTF-8") => return None,
                "file.encoding" => "texts are UTF-8 here",
                "java.util.logging.manager" | "log4j.configurationFile" | "log4j2.configurationFile" => {
                    "the log goes to standard error; OVATE_LOG sets its level"
                }
                _ if name.starts_with("derby.") => "there is no Derby here",
                _ => "there is no JVM here",
            };
            Some(format!("accepted without effect. option=-D{name}={value} reason={why}"))
        };
        let idle = self.idle.iter().map(|option| format!("accepted without effect. option={option} reason=there is no JVM here"));
        self.system.iter().filter_map(told).chain(idle).collect()
    }
}

/// A size as a JVM reads it: powers of 1024, no unit is bytes.
fn memory(option: &str, size: &str) -> Result<u64> {
    let lower = size.to_ascii_lowercase();
    let (number, shift) = match lower.chars().last() {
        Some('k') => (&lower[..lower.len() - 1], 10),
        Some('m') => (&lower[..lower.len() - 1], 20),
        Some('g') => (&lower[..lower.len() - 1], 30),
        Some('t') => (&lower[..lower.len() - 1], 40),
        _ => (lower.as_str(), 0),
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(1 << shift))
        .ok_or_else(|| DruidError::invalid_input(format!("not a memory size: {option}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heap_and_direct_memory_are_one_budget_and_every_other_option_is_told() {
        let text =
            ["-server", "-Xms8g", "-Xmx8g", "-XX:MaxDirectMemorySize=13g", "-Duser.timezone=UTC", "-Djava.io.tmpdir=var/tmp"];
        let options = JvmOptions::parse(text).unwrap();
        assert_eq!(options.budget_bytes(), Some(21 << 30));
        assert_eq!(options.system["java.io.tmpdir"], "var/tmp");
        assert_eq!(options.notices(), ["accepted without effect. option=-server reason=there is no JVM here"]);
    }

    #[test]
    fn a_bad_size_names_its_option() {
        for option in ["-Xmx1x", "-Xmx", "-Xmx99999999999t", "-XX:MaxDirectMemorySize=é"] {
            assert!(JvmOptions::parse([option]).unwrap_err().message.contains(option));
        }
    }
}
