//! Names of the tables (`MetadataStorageTablesConfig`): a base and, where wanted, a name of its own for each.

use std::collections::BTreeMap;

use ovate_base::{DruidError, Properties, Result};

const PREFIX: &str = "druid.metadata.storage.tables.";

/// Druid's property, and the end of the default name, which is also our token for the table.
const TABLES: [(&str, &str); 13] = [
    ("segments", "segments"),
    ("pendingSegments", "pendingSegments"),
    ("upgradeSegments", "upgradeSegments"),
    ("dataSource", "dataSource"),
    ("rules", "rules"),
    ("config", "config"),
    ("tasks", "tasks"),
    ("taskLog", "tasklogs"),
    ("taskLock", "tasklocks"),
    ("supervisors", "supervisors"),
    ("audit", "audit"),
    ("segmentSchemas", "segmentSchemas"),
    ("indexingStates", "indexingStates"),
];

/// How tables are called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableNames {
    base: String,
    named: BTreeMap<&'static str, String>,
}

impl Default for TableNames {
    fn default() -> TableNames {
        TableNames { base: "druid".to_owned(), named: BTreeMap::new() }
    }
}

impl TableNames {
    /// Druid's names with another base than `druid`.
    pub fn with_base(base: &str) -> Result<TableNames> {
        Ok(TableNames { base: checked(base, "base")?, named: BTreeMap::new() })
    }

    pub(super) fn from_properties(properties: &Properties) -> Result<TableNames> {
        let mut names = TableNames::default();
        for (name, value) in properties.iter() {
            let Some(field) = name.strip_prefix(PREFIX) else { continue };
            if field == "base" {
                names.base = checked(value, field)?;
            } else if let Some((_, token)) = TABLES.iter().find(|(property, _)| *property == field) {
                names.named.insert(token, checked(value, field)?);
            } else if field != "useShortIndexNames" {
                return Err(DruidError::unsupported(format!("{name}: there is no such table")));
            }
        }
        Ok(names)
    }

    /// The table of a token such as `segments`.
    pub fn name(&self, token: &str) -> String {
        self.named.get(token).cloned().unwrap_or_else(|| format!("{}_{token}", self.base))
    }
}

/// Names stand in SQL as they are.
fn checked(name: &str, field: &str) -> Result<String> {
    let fine = !name.is_empty() && name.len() <= 48 && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.');
    if fine {
        return Ok(name.to_owned());
    }
    Err(DruidError::invalid_input(format!(
        "{PREFIX}{field}=[{name}]: a table's name is of letters, digits, _ and . (48 at most)"
    )))
}
