//! Reads a configuration folder as Druid's scripts lay it out: `common.runtime.properties` and `common.jvm.config` in
//! `_common`, then the service's own `runtime.properties` and `jvm.config`. Later ones win, `-D` wins over files, and the
//! command line wins over everything.

use std::path::{Path, PathBuf};

use ovate_base::properties::Sources;
use ovate_base::{DruidError, Properties, Result};

use super::jvm::JvmOptions;

/// What a configuration folder says.
#[derive(Debug, Clone, Default)]
pub struct Conf {
    pub properties: Properties,
    pub jvm: JvmOptions,
}

impl From<Properties> for Conf {
    fn from(properties: Properties) -> Self {
        Conf { properties, jvm: JvmOptions::default() }
    }
}

/// The properties and options of a folder, with `overrides` on top.
pub fn load_conf(conf_dir: Option<&Path>, overrides: &[(String, String)]) -> Result<Conf> {
    let mut properties = Properties::default();
    let mut jvm = JvmOptions::default();
    if let Some(dir) = conf_dir {
        if !dir.is_dir() {
            return Err(DruidError::invalid_input(format!("no such configuration folder: {}", dir.display())));
        }
        for file in layers(dir, "common.runtime.properties", "runtime.properties").iter().filter(|file| file.is_file()) {
            let text = std::fs::read_to_string(file)
                .map_err(|e| DruidError::invalid_input(format!("cannot read {}: {e}", file.display())))?;
            properties.overlay(&Properties::parse(&text).map_err(|e| e.prefixed(file.display()))?);
        }
        for file in layers(dir, "common.jvm.config", "jvm.config") {
            jvm.overlay(JvmOptions::read(&file)?);
        }
    }
    jvm.druid_properties().for_each(|(name, value)| properties.set(name, value));
    for (name, value) in overrides {
        properties.set(name, value);
    }
    let environment = |name: &str| std::env::var(name).ok();
    let system = |name: &str| jvm.system.get(name).cloned();
    let read = |path: &str| {
        std::fs::read_to_string(path).map_err(|e| DruidError::invalid_input(format!("cannot read file [{path}]: {e}")))
    };
    let properties = properties.interpolate(&Sources { system: &system, environment: &environment, file: &read })?;
    Ok(Conf { properties, jvm })
}

/// Where a file may stand, in the order in which it counts: `common` in the folder, in a `_common` in it or beside it or
/// one folder further up, then `own` in the folder.
fn layers(dir: &Path, common: &str, own: &str) -> Vec<PathBuf> {
    let dir = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    let beside = |up: &Path| up.join("_common").join(common);
    // From the farthest to the nearest, so that the nearest wins.
    let mut layers: Vec<PathBuf> = dir.ancestors().skip(1).take(2).map(beside).collect();
    layers.reverse();
    layers.extend([beside(&dir), dir.join(common), dir.join(own)]);
    layers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_file_wins_and_system_properties_and_the_command_line_win_over_files() {
        let dir = tempfile::tempdir().unwrap();
        let broker = dir.path().join("query/broker");
        std::fs::create_dir_all(&broker).unwrap();
        std::fs::create_dir_all(dir.path().join("_common")).unwrap();
        std::fs::write(dir.path().join("_common/common.runtime.properties"), "druid.a=1\ndruid.b=1\ndruid.c=1\ndruid.d=1\n")
            .unwrap();
        std::fs::write(broker.join("runtime.properties"), "druid.b=2\ndruid.c=2\ndruid.d=${sys:druid.c}\n").unwrap();
        std::fs::write(broker.join("jvm.config"), "-Xmx1g\n-Ddruid.c=3\n").unwrap();
        let conf = load_conf(Some(&broker), &[("druid.e".to_owned(), "4".to_owned())]).unwrap();
        let values: Vec<&str> =
            ["a", "b", "c", "d", "e"].iter().filter_map(|n| conf.properties.get(&format!("druid.{n}"))).collect();
        assert_eq!(values, ["1", "2", "3", "3", "4"]);
        assert_eq!(conf.jvm.budget_bytes(), Some(1 << 30));
    }
}
