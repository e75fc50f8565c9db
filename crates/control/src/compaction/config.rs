//! Compaction configurations: `DataSourceCompactionConfig` documents and the cluster's limits. They are kept as they were
//! given, checked at the door.

use std::collections::BTreeMap;

use ovate_base::time::Period;
use ovate_base::{DruidError, Granularity, Interval, Result};
use ovate_store::MetadataStore;
use ovate_store::meta::AuditInfo;
use serde_json::{Map, Value, json};

/// The name of the configuration in the store.
const NAME: &str = "coordinator.compaction.config";
/// How often a change is tried when others change the value meanwhile.
const TRIES: usize = 10;
/// Supervisors of compaction are called this and the data source.
pub const SUPERVISOR_PREFIX: &str = "autocompact__";

/// How the segments of one data source are compacted.
#[derive(Debug, Clone, PartialEq)]
pub struct DataSourceConfig {
    pub data_source: String,
    /// As it was given.
    pub json: Map<String, Value>,
    pub skip_offset: Period,
    pub input_bytes_max: i64,
    pub priority: i64,
    pub segment_granularity: Option<Granularity>,
}

/// `DruidCompactionConfig` without the data sources.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterConfig {
    pub slot_ratio: f64,
    pub slots_max: u64,
    pub json: Map<String, Value>,
}

impl DataSourceConfig {
    pub fn from_json(json: &Value) -> Result<DataSourceConfig> {
        let Some(fields) = json.as_object() else {
            return Err(DruidError::invalid_input("a compaction config must be an object"));
        };
        let data_source = fields.get("dataSource").and_then(Value::as_str).filter(|name| !name.is_empty());
        let data_source = data_source.ok_or_else(|| DruidError::invalid_input("compaction config without dataSource"))?;
        let given = |name: &str| fields.get(name).filter(|value| !value.is_null());
        for (name, value) in fields {
            let unsupported = match name.as_str() {
                "type" => value != "inline",
                "engine" => given("engine").is_some_and(|engine| engine != "native"),
                "projections" | "baseTable" => {
                    given(name).is_some_and(|list| list.as_array().is_none_or(|list| !list.is_empty()))
                }
                "skipIntervals" => value.as_array().is_some_and(|list| !list.is_empty()),
                _ => false,
            };
            if unsupported {
                return Err(DruidError::unsupported(format!("compaction config with {name} [{value}] is not supported")));
            }
        }
        let skip = given("skipOffsetFromLatest").and_then(Value::as_str).unwrap_or("P1D");
        let granularity =
            given("granularitySpec").and_then(|spec| spec.get("segmentGranularity")).filter(|value| !value.is_null());
        Ok(DataSourceConfig {
            data_source: data_source.to_owned(),
            skip_offset: Period::parse(skip)?,
            input_bytes_max: given("inputSegmentSizeBytes").and_then(Value::as_i64).unwrap_or(100_000_000_000_000),
            priority: given("taskPriority").and_then(Value::as_i64).unwrap_or(25),
            segment_granularity: granularity.map(Granularity::from_json).transpose()?,
            json: fields.clone(),
        })
    }

    fn given(&self, name: &str) -> Value {
        self.json.get(name).cloned().unwrap_or(Value::Null)
    }

    fn partitions_spec(&self) -> Value {
        let tuning = self.given("tuningConfig");
        match tuning.get("partitionsSpec") {
            Some(spec) if !spec.is_null() => spec.clone(),
            _ => json!({"type": "dynamic", "maxRowsPerSegment": 5_000_000, "maxTotalRows": i64::MAX}),
        }
    }

    /// What segments shall be like, as far as it was asked for; its fingerprint marks compacted segments.
    pub fn state(&self) -> Value {
        json!({
            "partitionsSpec": self.partitions_spec(),
            "dimensionsSpec": self.given("dimensionsSpec"),
            "metricsSpec": self.given("metricsSpec"),
            "transformSpec": self.given("transformSpec"),
            "indexSpec": self.given("tuningConfig").get("indexSpec").cloned().unwrap_or(Value::Null),
            "granularitySpec": self.given("granularitySpec"),
        })
    }

    /// The `compact` task for an interval.
    pub fn task(&self, id: &str, interval: &str, fingerprint: &str, reason: &str) -> Value {
        let partitions = self.partitions_spec();
        let mut tuning = match self.given("tuningConfig") {
            Value::Object(tuning) => tuning,
            _ => Map::new(),
        };
        tuning.retain(|_, value| !value.is_null());
        if partitions["type"] != "dynamic" {
            tuning.insert("forceGuaranteedRollup".into(), json!(true));
        }
        tuning.insert("partitionsSpec".into(), partitions);
        let mut context = match self.given("taskContext") {
            Value::Object(context) => context,
            _ => Map::new(),
        };
        context.entry("priority").or_insert_with(|| json!(self.priority));
        context.insert("storeCompactionState".into(), json!(true));
        context.insert("indexingStateFingerprint".into(), json!(fingerprint));
        context.insert("compactionReason".into(), json!(reason));
        let drop_existing = self.given("ioConfig").get("dropExisting").and_then(Value::as_bool).unwrap_or(false);
        let mut task = Map::new();
        task.insert("type".into(), json!("compact"));
        task.insert("id".into(), json!(id));
        task.insert("dataSource".into(), json!(self.data_source));
        let input = json!({"type": "interval", "interval": interval});
        task.insert("ioConfig".into(), json!({"type": "compact", "inputSpec": input, "dropExisting": drop_existing}));
        task.insert("tuningConfig".into(), Value::Object(tuning));
        for name in ["dimensionsSpec", "metricsSpec", "transformSpec", "granularitySpec"] {
            let mut value = self.given(name);
            if let Value::Object(fields) = &mut value {
                fields.retain(|_, value| !value.is_null());
            }
            if !value.is_null() {
                task.insert(name.into(), value);
            }
        }
        task.insert("context".into(), Value::Object(context));
        Value::Object(task)
    }
}

impl ClusterConfig {
    fn from_json(document: &Map<String, Value>) -> ClusterConfig {
        let mut json = document.clone();
        json.remove("compactionConfigs");
        let defaults = json!({
            "compactionTaskSlotRatio": 0.1,
            "maxCompactionTaskSlots": 2147483647,
            "compactionPolicy": {"type": "newestSegmentFirst"},
            "useSupervisors": true,
            "engine": "native",
            "storeCompactionStatePerSegment": true,
        });
        for (name, value) in defaults.as_object().into_iter().flatten() {
            json.entry(name.clone()).or_insert_with(|| value.clone());
        }
        ClusterConfig {
            slot_ratio: json["compactionTaskSlotRatio"].as_f64().unwrap_or(0.1),
            slots_max: json["maxCompactionTaskSlots"].as_u64().unwrap_or(2_147_483_647),
            json,
        }
    }

    pub async fn read(store: &MetadataStore) -> Result<ClusterConfig> {
        Ok(ClusterConfig::from_json(&document(store).await?))
    }

    /// Replaces the properties that are given.
    pub async fn update(store: &MetadataStore, given: &Map<String, Value>, audit: &AuditInfo) -> Result<()> {
        if given.get("engine").is_some_and(|engine| !engine.is_null() && engine != "native") {
            return Err(DruidError::unsupported("compaction engines other than native are not supported"));
        }
        let policy = given.get("compactionPolicy").and_then(|policy| policy.get("type"));
        if policy.is_some_and(|policy| policy != "newestSegmentFirst") {
            return Err(DruidError::unsupported("compaction policies other than newestSegmentFirst are not supported"));
        }
        change(store, audit, |document| {
            document
                .extend(given.iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| (name.clone(), value.clone())));
            true
        })
        .await
        .map(|_| ())
    }
}

async fn document(store: &MetadataStore) -> Result<Map<String, Value>> {
    match store.config_json(NAME).await? {
        Some(Value::Object(document)) => Ok(document),
        Some(_) => Err(DruidError::runtime(format!("metadata store: {NAME} is not an object"))),
        None => Ok(Map::new()),
    }
}

/// Changes the document by compare-and-swap; false when `edit` found nothing to change.
async fn change(store: &MetadataStore, audit: &AuditInfo, edit: impl Fn(&mut Map<String, Value>) -> bool) -> Result<bool> {
    for _ in 0..TRIES {
        let old = store.config(NAME).await?;
        let mut fields = document(store).await?;
        if !edit(&mut fields) {
            return Ok(false);
        }
        let new = Value::Object(fields).to_string();
        if store.swap_config(NAME, old.as_deref(), new.as_bytes(), Some(audit)).await? {
            return Ok(true);
        }
    }
    Err(DruidError::conflict(format!("{NAME} is being changed by others; try again")))
}

impl DataSourceConfig {
    /// Configurations of the older kind.
    pub async fn listed(store: &MetadataStore) -> Result<Vec<Value>> {
        Ok(document(store).await?.get("compactionConfigs").and_then(Value::as_array).cloned().unwrap_or_default())
    }

    /// Adds or replaces one of the older kind.
    pub async fn put_listed(&self, store: &MetadataStore, audit: &AuditInfo) -> Result<()> {
        let edit = |document: &mut Map<String, Value>| {
            let list = document.entry("compactionConfigs").or_insert_with(|| json!([]));
            if let Value::Array(list) = list {
                list.retain(|config| config["dataSource"] != *self.data_source);
                list.push(Value::Object(self.json.clone()));
            }
            true
        };
        change(store, audit, edit).await.map(|_| ())
    }

    /// Removes one of the older kind; false when there is none.
    pub async fn remove_listed(store: &MetadataStore, data_source: &str, audit: &AuditInfo) -> Result<bool> {
        let edit = |document: &mut Map<String, Value>| {
            let Some(Value::Array(list)) = document.get_mut("compactionConfigs") else { return false };
            let before = list.len();
            list.retain(|config| config["dataSource"] != data_source);
            list.len() < before
        };
        change(store, audit, edit).await
    }

    /// How the configuration of the older kind came to be (`DataSourceCompactionConfigHistory`): an entry for each change of it
    /// or, while there is one, of the cluster's limits. Of an interval oldest first, of a number of changes newest first.
    pub async fn history(
        store: &MetadataStore,
        data_source: &str,
        interval: Option<Interval>,
        count: Option<usize>,
    ) -> Result<Vec<Value>> {
        let mut changes = store.audit(Some(NAME), NAME, interval, count).await?;
        if interval.is_some() {
            changes.reverse();
        }
        let mut entries: Vec<Value> = Vec::new();
        for change in changes {
            let Ok(document) = serde_json::from_str::<Map<String, Value>>(&change.payload) else { continue };
            let listed = document.get("compactionConfigs").and_then(Value::as_array);
            let config = listed.and_then(|list| list.iter().find(|config| config["dataSource"] == data_source)).cloned();
            let global = Value::Object(ClusterConfig::from_json(&document).json);
            let config = config.unwrap_or(Value::Null);
            let is_new = match entries.last() {
                None => !config.is_null(),
                Some(last) => last["compactionConfig"] != config || last["globalConfig"] != global,
            };
            if is_new {
                entries.push(json!({"globalConfig": global, "compactionConfig": config, "auditInfo": change.audit_info,
                    "auditTime": change.audit_time}));
            }
        }
        Ok(entries)
    }

    /// All active configurations by data source: supervisors that are not suspended, then the older kind.
    pub async fn active(store: &MetadataStore) -> Result<BTreeMap<String, DataSourceConfig>> {
        let mut active = BTreeMap::new();
        let mut suspended = Vec::new();
        for spec in store.latest_supervisors().await?.into_values() {
            let Ok(config) = DataSourceConfig::from_json(&spec["spec"]) else { continue };
            match (spec["type"].as_str(), spec["suspended"].as_bool()) {
                (Some("autocompact"), Some(true)) => suspended.push(config.data_source),
                (Some("autocompact"), _) => {
                    active.insert(config.data_source.clone(), config);
                }
                _ => {}
            }
        }
        for json in DataSourceConfig::listed(store).await? {
            if let Ok(config) = DataSourceConfig::from_json(&json)
                && !suspended.contains(&config.data_source)
            {
                active.entry(config.data_source.clone()).or_insert(config);
            }
        }
        Ok(active)
    }
}
