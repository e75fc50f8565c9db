//! Fills the tables of schema `sys` (MET-05..10): segments from the view and the Coordinator, servers from discovery, tasks and
//! supervisors from the Overlord.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ovate_base::{DataSegment, Result};
use ovate_compute::Value;
use ovate_net::{DiscoveredNode, Discovery, HttpClient, NodeRole};
use ovate_sql::{SystemScan, SystemTable, SystemTables};
use serde_json::Value as Json;

use super::statement::{RunningStatement, SqlStatements};
use super::view::{ServedAt, ServerView};

/// Longest wait for another role's answer.
const DEADLINE: Duration = Duration::from_secs(30);

const ROLES: [NodeRole; 8] = [
    NodeRole::Coordinator,
    NodeRole::Overlord,
    NodeRole::Broker,
    NodeRole::Historical,
    NodeRole::MiddleManager,
    NodeRole::Indexer,
    NodeRole::Peon,
    NodeRole::Router,
];

/// The broker's sources of system tables.
pub struct BrokerSystemTables {
    pub view: Arc<ServerView>,
    pub client: HttpClient,
    pub discovery: Arc<dyn Discovery>,
    /// Statements that run here, and the name of this server, when there is `sys.queries`.
    pub queries: Option<(Arc<SqlStatements>, String)>,
}

#[async_trait]
impl SystemTables for BrokerSystemTables {
    fn tables(&self) -> &'static [SystemTable] {
        if self.queries.is_some() { &SystemTable::ALL } else { SystemTable::USUAL }
    }

    async fn fetch(&self, table: SystemTable, scan: &SystemScan) -> Result<Vec<Vec<Value>>> {
        match table {
            SystemTable::Segments => self.segments(scan).await,
            SystemTable::Servers => self.servers().await,
            SystemTable::ServerSegments => Ok(self.server_segments()),
            SystemTable::Tasks => self.tasks().await,
            SystemTable::Supervisors => self.supervisors().await,
            SystemTable::ServerProperties => self.properties(scan).await,
            SystemTable::Queries => self.queries().await,
        }
    }
}

impl BrokerSystemTables {
    async fn leader(&self, role: NodeRole) -> Result<Option<String>> {
        let nodes = self.discovery.nodes(role).await?;
        Ok(nodes.first().map(|node| node.druid_node.url()))
    }

    async fn segments(&self, scan: &SystemScan) -> Result<Vec<Vec<Value>>> {
        const DATASOURCE: usize = 1;
        let published: Vec<Json> = match self.leader(NodeRole::Coordinator).await? {
            Some(url) => {
                let mut url = format!("{url}/druid/coordinator/v1/metadata/segments?includeOvershadowedStatus");
                for name in scan.texts(DATASOURCE).into_iter().flatten() {
                    url += &format!("&datasources={}", percent_encoded(name));
                }
                self.client.get_json(&url, DEADLINE).await?
            }
            None => Vec::new(),
        };
        let wanted = |name: &str| scan.admits(DATASOURCE, name);
        let all: Vec<ServedAt> = match scan.texts(DATASOURCE) {
            Some(names) => names.iter().flat_map(|name| self.view.served_of(name)).collect(),
            None => self.view.all_served(),
        };
        let mut served: BTreeMap<String, _> = all.into_iter().map(|served| (served.segment.id().to_string(), served)).collect();
        let mut rows = Vec::with_capacity(published.len());
        for document in &published {
            if document["dataSource"].as_str().is_some_and(|name| !wanted(name)) {
                continue;
            }
            let segment = DataSegment::from_json(document)?;
            let at = served.remove(&segment.id().to_string());
            let overshadowed = document["overshadowed"].as_bool().unwrap_or(false);
            let count = at.as_ref().map(|a| a.schema.rows as i64).or(segment.total_rows);
            let replicas = at.as_ref().map_or(0, |a| a.servers.len() as i64);
            let replication = document["replicationFactor"].as_i64();
            rows.push(segment_row(scan, &segment, replicas, count, !overshadowed, true, replicas > 0, overshadowed, replication));
        }
        // Announced and no longer, or not yet, in the metadata store.
        for at in served.values() {
            let count = Some(at.schema.rows as i64);
            rows.push(segment_row(scan, &at.segment, at.servers.len() as i64, count, false, false, true, false, None));
        }
        Ok(rows)
    }

    /// Statements that run at any Broker; one that does not answer is left out.
    async fn queries(&self) -> Result<Vec<Vec<Value>>> {
        let Some((own, name)) = &self.queries else { return Ok(Vec::new()) };
        let mut list: Vec<Json> = own.list().iter().map(RunningStatement::info).collect();
        for node in self.discovery.nodes(NodeRole::Broker).await? {
            if node.druid_node.host_and_port() == *name {
                continue;
            }
            let url = format!("{}/druid/v2/sql/queries?selfOnly", node.druid_node.url());
            if let Ok(Json::Object(mut answer)) = self.client.get_json::<Json>(&url, DEADLINE).await
                && let Some(Json::Array(queries)) = answer.remove("queries")
            {
                list.extend(queries);
            }
        }
        let text = |value: &Json| value.as_str().map_or(Value::Null, Value::from);
        let row = |info: &Json| {
            let shown = info.to_string();
            vec![text(&info["sqlQueryId"]), text(&info["engine"]), text(&info["state"]), Value::from(shown.as_str())]
        };
        Ok(list.iter().map(row).collect())
    }

    async fn servers(&self) -> Result<Vec<Vec<Value>>> {
        let mut sizes: BTreeMap<String, i64> = BTreeMap::new();
        for served in self.view.all_served() {
            for server in &served.servers {
                *sizes.entry(server.name().to_owned()).or_default() += served.segment.size;
            }
        }
        let mut rows = Vec::new();
        for role in ROLES {
            for (position, node) in self.discovery.nodes(role).await?.iter().enumerate() {
                let elected = matches!(role, NodeRole::Coordinator | NodeRole::Overlord);
                let leads = if elected && position == 0 { self.leads(node).await } else { false };
                rows.push(server_row(node, &sizes, elected.then_some(leads)));
            }
        }
        Ok(rows)
    }

    async fn leads(&self, node: &DiscoveredNode) -> bool {
        let path = if node.node_type == NodeRole::Coordinator { "coordinator" } else { "indexer" };
        let url = format!("{}/druid/{path}/v1/leader", node.druid_node.url());
        self.client.get_text(&url, DEADLINE).await.is_ok_and(|leader| leader.trim() == node.druid_node.url())
    }

    fn server_segments(&self) -> Vec<Vec<Value>> {
        let served = self.view.all_served();
        let rows = served.iter().flat_map(|at| {
            let id = at.segment.id().to_string();
            at.servers.iter().map(move |server| vec![Value::from(server.name()), Value::from(id.as_str())])
        });
        rows.collect()
    }

    async fn tasks(&self) -> Result<Vec<Vec<Value>>> {
        let Some(url) = self.leader(NodeRole::Overlord).await? else { return Ok(Vec::new()) };
        let tasks: Vec<Json> = self.client.get_json(&format!("{url}/druid/indexer/v1/tasks"), DEADLINE).await?;
        Ok(tasks.iter().map(task_row).collect())
    }

    async fn supervisors(&self) -> Result<Vec<Vec<Value>>> {
        let Some(url) = self.leader(NodeRole::Overlord).await? else { return Ok(Vec::new()) };
        let url = format!("{url}/druid/indexer/v1/supervisor?system");
        match self.client.get_json::<Vec<Json>>(&url, DEADLINE).await {
            Ok(list) => Ok(list.iter().map(supervisor_row).collect()),
            // An overlord without supervisors has none to list.
            Err(error) if error.http_status() == 404 => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    async fn properties(&self, scan: &SystemScan) -> Result<Vec<Vec<Value>>> {
        let mut nodes: BTreeMap<String, (DiscoveredNode, Vec<&'static str>)> = BTreeMap::new();
        for role in ROLES {
            for node in self.discovery.nodes(role).await? {
                nodes.entry(node.druid_node.host_and_port()).or_insert_with(|| (node, Vec::new())).1.push(role.name());
            }
        }
        let mut rows = Vec::new();
        for (name, (node, roles)) in nodes {
            // Only servers that the statement asks for are called.
            if !scan.admits(0, &name) {
                continue;
            }
            let head = [
                Value::from(name.as_str()),
                Value::from(node.druid_node.service.as_str()),
                Value::from(roles.join(",").as_str()),
            ];
            let url = format!("{}/status/properties", node.druid_node.url());
            match self.client.get_json::<BTreeMap<String, String>>(&url, DEADLINE).await {
                Ok(properties) => rows.extend(properties.iter().map(|(property, value)| {
                    let tail = [Value::from(property.as_str()), Value::from(value.as_str()), Value::Null];
                    head.iter().cloned().chain(tail).collect()
                })),
                Err(error) => {
                    let tail = [Value::Null, Value::Null, Value::from(error.message.as_str())];
                    rows.push(head.iter().cloned().chain(tail).collect());
                }
            }
        }
        Ok(rows)
    }
}

#[allow(clippy::too_many_arguments)] // one column of the table each
fn segment_row(
    scan: &SystemScan,
    segment: &DataSegment,
    replicas: i64,
    rows: Option<i64>,
    active: bool,
    published: bool,
    available: bool,
    overshadowed: bool,
    replication: Option<i64>,
) -> Vec<Value> {
    let flag = |on: bool| Value::Long(i64::from(on));
    let list = |names: &[String]| Json::from(names.to_vec()).to_string();
    // Texts are made for columns that are read only.
    let text = |column: usize, make: &dyn Fn() -> String| {
        if scan.reads(column) { Value::from(make().as_str()) } else { Value::Null }
    };
    let interval = segment.interval.to_string();
    let (start, end) = interval.split_once('/').unwrap_or((&interval, ""));
    vec![
        text(0, &|| segment.id().to_string()),
        Value::from(&*segment.data_source),
        Value::from(start),
        Value::from(end),
        Value::Long(segment.size),
        Value::from(&*segment.version),
        Value::Long(i64::from(segment.shard_spec.partition_num())),
        Value::Long(replicas),
        rows.map_or(Value::Long(0), Value::Long),
        flag(active),
        flag(published),
        flag(available),
        flag(false),
        flag(overshadowed),
        text(14, &|| segment.shard_spec.to_json().to_string()),
        text(15, &|| list(&segment.dimensions)),
        text(16, &|| list(&segment.metrics)),
        segment.projections.as_deref().map_or(Value::Null, |names| text(17, &|| list(names))),
        segment.last_compaction_state.as_ref().map_or(Value::Null, |state| Value::from(state.to_string().as_str())),
        replication.map_or(Value::Long(-1), Value::Long),
    ]
}

/// A name as a part of an address.
fn percent_encoded(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    name.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

fn server_row(node: &DiscoveredNode, sizes: &BTreeMap<String, i64>, leads: Option<bool>) -> Vec<Value> {
    let name = node.druid_node.host_and_port();
    let data = &node.services.get("dataNodeService").cloned().unwrap_or(Json::Null);
    let is_data = !data.is_null();
    let text = |value: Option<&str>| value.map_or(Value::Null, Value::from);
    let size = |key: &str| if is_data { Value::Long(data[key].as_i64().unwrap_or(0)) } else { Value::Long(0) };
    vec![
        Value::from(name.as_str()),
        Value::from(node.druid_node.host.as_str()),
        Value::Long(i64::from(node.druid_node.plaintext_port)),
        Value::Long(i64::from(node.druid_node.tls_port)),
        Value::from(snake_case(node.node_type).as_str()),
        text(data["tier"].as_str()),
        if is_data { Value::Long(sizes.get(&name).copied().unwrap_or(0)) } else { Value::Long(0) },
        size("maxSize"),
        size("storageSize"),
        leads.map_or(Value::Null, |on| Value::Long(i64::from(on))),
        text(node.start_time.as_deref()),
        text(node.druid_node.version.as_deref()),
        Value::Null,
        node.druid_node
            .labels
            .as_ref()
            .map_or(Value::Null, |labels| Value::from(Json::from_iter(labels.clone()).to_string().as_str())),
        Value::Long(node.available_processors.unwrap_or(-1)),
        Value::Long(node.total_memory.unwrap_or(-1)),
    ]
}

/// `server_type` as the table shows it: `middle_manager`.
fn snake_case(role: NodeRole) -> String {
    role.name().chars().flat_map(|c| if c.is_ascii_uppercase() { vec!['_', c.to_ascii_lowercase()] } else { vec![c] }).collect()
}

fn task_row(task: &Json) -> Vec<Value> {
    let text = |key: &str| task[key].as_str().map_or(Value::Null, Value::from);
    let location = &task["location"];
    let host = location["host"].as_str();
    let port = |key: &str| Value::Long(location[key].as_i64().unwrap_or(-1));
    let shown = host.map(|host| format!("{host}:{}", location["port"].as_i64().unwrap_or(-1)));
    vec![
        text("id"),
        text("groupId"),
        text("type"),
        text("dataSource"),
        text("createdTime"),
        text("queueInsertionTime"),
        text("statusCode"),
        text("runnerStatusCode"),
        Value::Long(task["duration"].as_i64().unwrap_or(0)),
        shown.as_deref().map_or(Value::Null, Value::from),
        host.map_or(Value::Null, Value::from),
        port("port"),
        port("tlsPort"),
        text("errorMsg"),
    ]
}

fn supervisor_row(supervisor: &Json) -> Vec<Value> {
    let text = |key: &str| supervisor[key].as_str().map_or(Value::Null, Value::from);
    let flag = |key: &str| Value::Long(i64::from(supervisor[key].as_bool().unwrap_or(false)));
    let spec = supervisor.get("spec").map_or(Value::Null, |spec| Value::from(spec.to_string().as_str()));
    let source = supervisor["dataSource"].as_str().map_or_else(|| text("id"), Value::from);
    vec![
        text("id"),
        source,
        text("state"),
        text("detailedState"),
        flag("healthy"),
        text("type"),
        text("source"),
        flag("suspended"),
        spec,
    ]
}
