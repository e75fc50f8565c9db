//! A supervise file, as Druid's `bin/supervise` reads it: one service a line, `[!pPRIORITY] NAME COMMAND…`, and options
//! that begin with a colon.

use std::time::Duration;

use ovate_base::{DruidError, Result};

/// Priority of a service that has none of its own; the highest stops first.
const PRIORITY: i32 = 50;

/// What the file asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Commands that must succeed before anything starts.
    pub verify: Vec<Vec<String>>,
    /// How long a service may take to stop before it is killed.
    pub kill_timeout: Duration,
    /// In the order they start.
    pub services: Vec<Service>,
}

/// One service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    pub name: String,
    pub priority: i32,
    pub command: Vec<String>,
}

impl Plan {
    /// Reads the text of a file.
    pub fn parse(text: &str) -> Result<Plan> {
        let mut plan = Plan { verify: Vec::new(), kill_timeout: Duration::from_secs(60), services: Vec::new() };
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if !line.is_empty() && !line.starts_with('#') {
                plan.take(line).map_err(|error| error.prefixed(format!("line {}", at + 1)))?;
            }
        }
        match plan.services.is_empty() {
            true => Err(DruidError::invalid_input("no service is named")),
            false => Ok(plan),
        }
    }

    fn take(&mut self, line: &str) -> Result<()> {
        let bad = |what: &str| DruidError::invalid_input(format!("{what}: [{line}]"));
        let mut words = line.split_whitespace().map(str::to_owned);
        let first = words.next().unwrap_or_default();
        match first.as_str() {
            ":verify" => self.verify.push(words.collect()),
            // Druid greets here; what we have to say is in the log.
            ":notify" => {}
            ":kill-timeout" => {
                let seconds = words.next().and_then(|text| text.parse().ok()).ok_or_else(|| bad("not a number of seconds"))?;
                self.kill_timeout = Duration::from_secs(seconds);
            }
            option if option.starts_with(':') => return Err(bad("unknown option")),
            _ => {
                let priority =
                    first.strip_prefix("!p").map(|text| text.parse().map_err(|_| bad("not a priority"))).transpose()?;
                let name = if priority.is_some() { words.next().unwrap_or_default() } else { first };
                let command: Vec<String> = words.collect();
                let plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
                if !plain || name.starts_with('.') || command.is_empty() {
                    return Err(bad("expected a name and a command"));
                }
                if self.services.iter().any(|service| service.name == name) {
                    return Err(bad("a name that stands twice"));
                }
                self.services.push(Service { name, priority: priority.unwrap_or(PRIORITY), command });
            }
        }
        Ok(())
    }

    /// Names in groups that stop together, first to last: by falling priority, and within one in reverse order of start.
    pub fn stop_order(&self) -> Vec<Vec<String>> {
        let mut priorities: Vec<i32> = self.services.iter().map(|service| service.priority).collect();
        priorities.sort_unstable_by(|a, b| b.cmp(a));
        priorities.dedup();
        let group = |priority: i32| {
            self.services.iter().rev().filter(move |service| service.priority == priority).map(|service| service.name.clone())
        };
        priorities.into_iter().map(|priority| group(priority).collect()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASTER: &str = "# a comment\n:verify bin/verify-java\n:kill-timeout 10\n\n!p10 zk bin/run-zk conf\nbroker bin/run-druid broker conf\n\
        router bin/run-druid router conf\n!p90 middleManager bin/run-druid middleManager conf\n";

    #[test]
    fn druids_files_are_read_and_the_lowest_priority_stops_last() {
        let plan = Plan::parse(MASTER).unwrap();
        assert_eq!(plan.kill_timeout, Duration::from_secs(10));
        assert_eq!(plan.services[0].command, ["bin/run-zk", "conf"]);
        assert_eq!(plan.stop_order(), [vec!["middleManager"], vec!["router", "broker"], vec!["zk"]]);
    }

    #[test]
    fn every_supervise_file_that_druid_ships_and_every_one_of_ours_is_read() {
        let ours = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conf/supervise");
        let mut folders = vec![ours];
        match ovate_testkit::shared_dir() {
            Some(shared) => folders.push(shared.join("fixtures/druid/shipped/conf/supervise")),
            None => ovate_testkit::skip("every_supervise_file_that_druid_ships_is_read", "no ../shared"),
        }
        for folder in folders.iter().flat_map(|folder| ["cluster", "single-server"].map(|kind| folder.join(kind))) {
            for file in std::fs::read_dir(&folder).unwrap().flatten() {
                let text = std::fs::read_to_string(file.path()).unwrap();
                Plan::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", file.path().display()));
            }
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_its_line() {
        for text in ["", "broker", "!px broker a", ":what 1", "a b\na c", "../x y", ":kill-timeout soon\na b"] {
            assert!(Plan::parse(text).is_err(), "{text}");
        }
        assert!(Plan::parse("a b\n:what").unwrap_err().message.contains("line 2"));
    }
}
