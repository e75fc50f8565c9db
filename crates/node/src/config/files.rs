//! Reads Druid's property files: `_common/common.runtime.properties` first, then each role's `runtime.properties`.

use std::path::Path;

use ovate_base::properties::Sources;
use ovate_base::{DruidError, Properties, Result};

/// The properties of a configuration folder. Taken in order, later ones win: `common.runtime.properties` in the folder,
/// in its `_common`, or in `_common` beside it, then `runtime.properties` in the folder, then `overrides`.
pub fn load_properties(conf_dir: Option<&Path>, overrides: &[(String, String)]) -> Result<Properties> {
    let mut properties = Properties::default();
    if let Some(dir) = conf_dir {
        if !dir.is_dir() {
            return Err(DruidError::invalid_input(format!("no such configuration folder: {}", dir.display())));
        }
        let common = "common.runtime.properties";
        let beside = |up: &Path| up.join("_common").join(common);
        let mut candidates = vec![dir.join(common), beside(dir)];
        candidates.extend(dir.ancestors().skip(1).take(2).map(beside));
        candidates.push(dir.join("runtime.properties"));
        for file in candidates.iter().filter(|file| file.is_file()) {
            let text = std::fs::read_to_string(file)
                .map_err(|e| DruidError::invalid_input(format!("cannot read {}: {e}", file.display())))?;
            properties.overlay(&Properties::parse(&text).map_err(|e| e.prefixed(file.display()))?);
        }
    }
    for (name, value) in overrides {
        properties.set(name, value);
    }
    let environment = |name: &str| std::env::var(name).ok();
    let read = |path: &str| {
        std::fs::read_to_string(path).map_err(|e| DruidError::invalid_input(format!("cannot read file [{path}]: {e}")))
    };
    properties.interpolate(&Sources { system: &|_| None, environment: &environment, file: &read })
}
