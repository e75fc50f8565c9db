//! Keeps the view up to date: finds data servers, follows each one's announcements by long polls, and asks the Coordinator
//! for the used segments and the lookups.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use ovate_base::Result;
use ovate_base::segment::DataSegment;
use ovate_net::{Discovery, HttpClient, NodeRole};
use parking_lot::RwLock;
use serde_json::Value;
use tokio::sync::watch;
use tracing::{info, warn};

use super::view::ServerView;
use crate::data_server::{DataServer, RemoteDataServer};
use crate::lookup::LookupStore;

/// How long a long poll is held open.
const POLL: Duration = Duration::from_secs(60);
/// Wait after a failed call.
const RETRY: Duration = Duration::from_millis(500);
/// How often used segments and lookups are asked for.
const REFRESH: Duration = Duration::from_secs(1);
/// How often discovery is read when it does not tick.
const REDISCOVER: Duration = Duration::from_secs(2);

/// Follows everything a broker must know.
pub struct Follower {
    pub view: Arc<ServerView>,
    pub lookups: Arc<LookupStore>,
    pub client: HttpClient,
    pub discovery: Arc<dyn Discovery>,
    /// Data servers of this very process by `host:port`; the others are reached over HTTP.
    pub local: Arc<RwLock<HashMap<String, Arc<dyn DataServer>>>>,
}

impl Follower {
    /// Runs until `shutdown` turns true.
    pub async fn run(self: Arc<Self>, mut shutdown: watch::Receiver<bool>) {
        tokio::select! {
            _ = shutdown.wait_for(|stop| *stop) => {}
            () = self.clone().follow_servers() => {}
            () = self.clone().follow_coordinator() => {}
        }
    }

    async fn follow_servers(self: Arc<Self>) {
        let mut followed: HashMap<String, tokio::task::JoinHandle<()>> = HashMap::new();
        let mut changes = self.discovery.changes();
        loop {
            match self.discovery.nodes(NodeRole::Historical).await {
                Ok(nodes) => {
                    let urls: HashMap<String, String> =
                        nodes.iter().map(|n| (n.druid_node.host_and_port(), n.druid_node.url())).collect();
                    followed.retain(|name, task| {
                        let there = urls.contains_key(name);
                        if !there {
                            task.abort();
                            self.view.remove_server(name);
                            info!("data server is gone. server={name}");
                        }
                        there
                    });
                    for (name, url) in urls {
                        followed.entry(name.clone()).or_insert_with(|| tokio::spawn(self.clone().follow_server(name, url)));
                    }
                }
                Err(error) => warn!("cannot list data servers. error={error}"),
            }
            let _ = tokio::time::timeout(REDISCOVER, changes.changed()).await;
        }
    }

    async fn follow_server(self: Arc<Self>, name: String, url: String) {
        let server: Arc<dyn DataServer> = match self.local.read().get(&name) {
            Some(server) => server.clone(),
            None => Arc::new(RemoteDataServer::new(self.client.clone(), name.clone(), url.clone())),
        };
        let mut position: Option<(i64, i64)> = None;
        loop {
            match self.poll(&server, &url, position).await {
                Ok(next) => position = next,
                Err(error) => {
                    warn!("cannot follow the segments of a data server, trying again. server={name} error={error}");
                    position = None;
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    /// One poll: the full list when there is no position yet, else what changed since. Gives the next position.
    async fn poll(&self, server: &Arc<dyn DataServer>, url: &str, position: Option<(i64, i64)>) -> Result<Option<(i64, i64)>> {
        let (counter, hash) = position.unwrap_or((-1, 0));
        let path = format!("{url}/druid-internal/v1/segments?counter={counter}&hash={hash}&timeout={}", POLL.as_millis());
        let bytes = self.client.send(self.client.raw().get(&path), &path, POLL + Duration::from_secs(10)).await?;
        if bytes.is_empty() {
            return Ok(position);
        }
        let answer: Value = ovate_net::body::parse_json(&bytes)?;
        if answer["resetCounter"].as_bool() == Some(true) {
            return Ok(None);
        }
        if position.is_none() {
            self.view.remove_server(server.name());
        }
        self.apply(server, &answer).await?;
        let number = |key: &str| answer["counter"][key].as_i64();
        Ok(number("counter").zip(number("hash")))
    }

    async fn apply(&self, server: &Arc<dyn DataServer>, answer: &Value) -> Result<()> {
        let mut loads: HashMap<String, Vec<DataSegment>> = HashMap::new();
        let mut drops = Vec::new();
        for request in answer["requests"].as_array().into_iter().flatten() {
            let action = request["action"].as_str().unwrap_or_default();
            if !matches!(action, "load" | "drop") {
                continue;
            }
            let segment = DataSegment::from_json(request)?;
            if action == "load" {
                loads.entry(segment.data_source.to_string()).or_default().push(segment);
            } else {
                // A load and a drop of one segment in one answer leave it dropped: the log is in order.
                loads.values_mut().for_each(|list| list.retain(|other| *other != segment));
                drops.push(segment);
            }
        }
        if !drops.is_empty() {
            self.view.remove(server.name(), &drops);
        }
        for (table, segments) in loads {
            let descriptors: Vec<_> = segments.iter().map(|segment| super::descriptor(segment, segment.interval)).collect();
            let schemas = server.schemas(&table, &descriptors).await?;
            let known = segments.into_iter().zip(schemas).filter_map(|(segment, schema)| schema.map(|s| (segment, s)));
            self.view.add(server, known.collect());
        }
        Ok(())
    }

    async fn follow_coordinator(self: Arc<Self>) {
        let mut reported = None;
        loop {
            if let Err(error) = self.refresh().await {
                let text = error.to_string();
                // Said once until it changes: a coordinator may be away for long, and queries go on.
                if reported.as_ref() != Some(&text) {
                    warn!("cannot refresh used segments and lookups from the coordinator, trying again. error={text}");
                    reported = Some(text);
                }
            } else {
                reported = None;
            }
            tokio::time::sleep(REFRESH).await;
        }
    }

    async fn refresh(&self) -> Result<()> {
        let nodes = self.discovery.nodes(NodeRole::Coordinator).await?;
        let Some(node) = nodes.first() else { return Ok(()) };
        let base = node.druid_node.url();
        let url = format!("{base}/druid/coordinator/v1/metadata/segments");
        let segments: Vec<DataSegment> = self.client.get_json(&url, Duration::from_secs(60)).await?;
        self.view.set_wanted(segments);
        self.lookups.refresh(&self.client, &base).await
    }
}
