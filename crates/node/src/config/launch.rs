//! `main.config`: the class and arguments that Druid's scripts start, read as the roles they stand for.

use std::path::Path;

use ovate_base::{DruidError, Result};
use ovate_net::NodeRole;

/// Druid's entry point.
const MAIN: &str = "org.apache.druid.cli.Main";

/// The roles that a configuration folder is for: what its `main.config` says, else what the folder is called, as in
/// `conf/druid/auto`, whose services have none.
pub fn roles(conf_dir: &Path) -> Result<Vec<NodeRole>> {
    let file = conf_dir.join("main.config");
    match std::fs::read_to_string(&file) {
        Ok(text) => parse(&text).map_err(|e| e.prefixed(file.display())),
        Err(_) => {
            let name = conf_dir.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            service(&name).map_err(|_| {
                DruidError::invalid_input(format!(
                    "no roles were named, and {} has no main.config to tell them",
                    conf_dir.display()
                ))
            })
        }
    }
}

/// Roles of a service as the start scripts name it.
pub fn service(name: &str) -> Result<Vec<NodeRole>> {
    match name {
        "coordinator-overlord" => Ok(vec![NodeRole::Coordinator]),
        name => Ok(vec![name.parse()?]),
    }
}

fn parse(text: &str) -> Result<Vec<NodeRole>> {
    let words: Vec<&str> = text.split_whitespace().collect();
    match words[..] {
        [class, "server", role] if class == MAIN => Ok(vec![role.parse()?]),
        _ => Err(DruidError::unsupported(format!("[{}]: expected {MAIN} server ROLE", text.trim()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_and_its_arguments_are_a_role() {
        assert_eq!(parse("org.apache.druid.cli.Main server coordinator\n").unwrap(), [NodeRole::Coordinator]);
        for text in [
            "",
            "org.apache.druid.cli.Main internal peon",
            "java.lang.Object server broker",
            "org.apache.druid.cli.Main server nobody",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
