//! Fills the tables of schema `sys` (MET-05..10): segments from the view and the Coordinator, servers from discovery, tasks and
//! supervisors from the Overlord.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ovate_base::Result;
use ovate_compute::{ColumnType, Value, Vector};
use ovate_engine::Relation;
use ovate_net::{DiscoveredNode, Discovery, HttpClient, NodeRole};
use ovate_sql::{SystemScan, SystemTable, SystemTables};
use serde_json::Value as Json;

use super::statement::{RunningStatement, SqlStatements};
use super::used::UsedSegments;
use super::view::ServerView;

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
    pub used: Arc<UsedSegments>,
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
            SystemTable::Segments => Ok(rows_of(&self.segments(scan).await?)),
            SystemTable::Servers => self.servers().await,
            SystemTable::ServerSegments => Ok(rows_of(&self.server_segments(scan))),
            SystemTable::Tasks => self.tasks().await,
            SystemTable::Supervisors => self.supervisors().await,
            SystemTable::ServerProperties => self.properties(scan).await,
            SystemTable::Queries => self.queries().await,
        }
    }

    async fn relation(&self, table: SystemTable, scan: &SystemScan) -> Result<Relation> {
        match table {
            SystemTable::Segments => self.segments(scan).await,
            SystemTable::ServerSegments => Ok(self.server_segments(scan)),
            _ => {
                let types: Vec<ColumnType> = table.columns().iter().map(|(_, t)| t.clone()).collect();
                Ok(Relation::from_rows(&types, self.fetch(table, scan).await?))
            }
        }
    }
}

impl BrokerSystemTables {
    async fn leader(&self, role: NodeRole) -> Result<Option<String>> {
        let nodes = self.discovery.nodes(role).await?;
        Ok(nodes.first().map(|node| node.druid_node.url()))
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
        self.view.each_served(|served| {
            for server in &served.servers {
                match sizes.get_mut(server.name()) {
                    Some(size) => *size += served.segment.size,
                    None => drop(sizes.insert(server.name().to_owned(), served.segment.size)),
                }
            }
        });
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

    /// What the Coordinator says now, and what is announced now.
    async fn segments(&self, scan: &SystemScan) -> Result<Relation> {
        self.used.refresh().await?;
        Ok(self.used.read(|table| table.scan(scan)))
    }

    fn server_segments(&self, scan: &SystemScan) -> Relation {
        let (mut servers, mut segments, mut names) = (Vec::new(), Vec::new(), BTreeMap::new());
        self.view.each_served(|at| {
            let mut id: Option<Arc<str>> = None;
            for server in at.servers.iter().filter(|server| scan.admits(0, server.name())) {
                let name = names.entry(server.name().to_owned()).or_insert_with(|| Arc::<str>::from(server.name()));
                servers.push(Some(name.clone()));
                segments.push(scan.reads(1).then(|| id.get_or_insert_with(|| at.segment.id().to_string().into()).clone()));
            }
        });
        Relation { rows: servers.len(), columns: vec![Vector::String(servers), Vector::String(segments)] }
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

/// The same row by row.
fn rows_of(relation: &Relation) -> Vec<Vec<Value>> {
    (0..relation.rows).map(|row| relation.columns.iter().map(|column| column.value(row)).collect()).collect()
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
