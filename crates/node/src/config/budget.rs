//! Memory: what the process may use, and what of it one query and one task may hold.

use ovate_base::properties::format_bytes;
use ovate_base::{DruidError, Properties, Result};
use ovate_net::NodeRole;

use super::files::Conf;
use super::jvm::JvmOptions;
use super::machine;

/// Least that a task gets.
const TASK_BYTES_MIN: u64 = 256 << 20;

/// The process's memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    pub total_bytes: u64,
    pub task_bytes: u64,
    /// How it came about, for the log.
    pub told: String,
}

impl Budget {
    /// `druid.ovate.memory`, else heap and direct memory of `jvm.config`, else half of the machine; a task gets what the
    /// options of its JVM would say (`druid.indexer.runner.javaOpts`), and a peon's process is its task's.
    pub fn new(roles: &[NodeRole], conf: &Conf) -> Result<Budget> {
        let machine = machine::memory_bytes();
        let from_jvm = conf.jvm.budget_bytes().map(|bytes| bytes.min(machine));
        let total = conf.properties.bytes("druid.ovate.memory", from_jvm.unwrap_or(machine / 2))?;
        let default_task = if from_jvm.is_some() { machine / 4 } else { total / 4 };
        let task_bytes = match peon_options(&conf.properties)?.budget_bytes() {
            Some(bytes) => bytes.min(machine),
            None => default_task.max(TASK_BYTES_MIN),
        };
        let task_bytes = conf.properties.bytes("druid.ovate.taskMemory", task_bytes)?;
        let total_bytes = if roles == [NodeRole::Peon] { task_bytes } else { total };
        let told = match (conf.properties.get("druid.ovate.memory"), conf.jvm.budget_bytes()) {
            (Some(_), _) => "druid.ovate.memory".to_owned(),
            (None, Some(bytes)) if bytes > machine => {
                format!("jvm.config asks for {}, cut to the machine's", format_bytes(bytes))
            }
            (None, Some(_)) => "heap and direct memory of jvm.config".to_owned(),
            (None, None) => "half of the machine's".to_owned(),
        };
        Ok(Budget { total_bytes, task_bytes, told })
    }
}

/// Options of a peon's JVM: `druid.indexer.runner.javaOpts`, then `javaOptsArray`, as `ForkingTaskRunner` appends them.
pub fn peon_options(properties: &Properties) -> Result<JvmOptions> {
    const TEXT: &str = "druid.indexer.runner.javaOpts";
    const ARRAY: &str = "druid.indexer.runner.javaOptsArray";
    let array: Vec<String> = match properties.text(ARRAY, "").trim() {
        "" => Vec::new(),
        json => serde_json::from_str(json)
            .map_err(|e| DruidError::invalid_input(format!("property {ARRAY} must be a JSON list of texts: {e}")))?,
    };
    let text = properties.text(TEXT, "").split_whitespace();
    JvmOptions::parse(text.chain(array.iter().map(|option| option.trim())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_gets_what_its_jvm_would_and_a_peon_is_its_task() {
        let text = r#"druid.indexer.runner.javaOptsArray=["-server","-Xmx256m","-XX:MaxDirectMemorySize=300m"]"#;
        let mut conf = Conf::from(Properties::parse(text).unwrap());
        conf.jvm = JvmOptions::parse(["-Xmx64m"]).unwrap();
        let budget = Budget::new(&[NodeRole::MiddleManager], &conf).unwrap();
        assert_eq!((budget.total_bytes, budget.task_bytes), (64 << 20, 556 << 20));
        assert_eq!(Budget::new(&[NodeRole::Peon], &conf).unwrap().total_bytes, 556 << 20);
    }

    #[test]
    fn more_than_the_machine_has_is_cut_and_told() {
        let conf = Conf { jvm: JvmOptions::parse(["-Xmx900t"]).unwrap(), ..Conf::default() };
        let budget = Budget::new(&[NodeRole::Broker], &conf).unwrap();
        assert_eq!(budget.total_bytes, machine::memory_bytes());
        assert!(budget.told.contains("cut"), "{}", budget.told);
    }
}
