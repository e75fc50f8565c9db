//! Which server has which lookups (`LookupCoordinatorManager`): what each says that it has loaded, compared with the configuration
//! of its tier; what differs is pushed to it. Servers of ours also fetch the configuration by themselves; JVM servers wait for this.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream;
use ovate_base::Result;
use ovate_net::NodeRole;
use serde_json::{Map, Value, json};
use tracing::{debug, warn};

use super::Coordinator;

/// One server has to answer within this (`druid.manager.lookups.hostTimeout`).
const DEADLINE: Duration = Duration::from_secs(5);
/// Servers asked at a time (`druid.manager.lookups.threadPoolSize` is 10 in Druid).
const AT_A_TIME: usize = 10;

const ROLES: [NodeRole; 5] = [NodeRole::Broker, NodeRole::Historical, NodeRole::MiddleManager, NodeRole::Indexer, NodeRole::Peon];

/// A server that loads lookups.
#[derive(Debug, Clone)]
pub struct LookupNode {
    pub tier: String,
    /// `host:port`.
    pub name: String,
    url: String,
}

/// Lookups by name, each with version and factory.
type Lookups = Map<String, Value>;

impl Coordinator {
    /// Every server that loads lookups, once.
    pub(super) async fn lookup_nodes(&self) -> Result<Vec<LookupNode>> {
        let mut nodes: BTreeMap<String, LookupNode> = BTreeMap::new();
        for role in ROLES {
            for node in self.discovery.nodes(role).await? {
                if let Some(tier) = node.services.get("lookupNodeService").and_then(|service| service["lookupTier"].as_str()) {
                    let (name, url) = (node.druid_node.host_and_port(), node.druid_node.url());
                    nodes.insert(name.clone(), LookupNode { tier: tier.to_owned(), name, url });
                }
            }
        }
        Ok(nodes.into_values().collect())
    }

    /// What these servers say: `{"current":…,"toLoad":…,"toDrop":…}`; a server that does not answer says `null`.
    pub(super) async fn lookup_states(&self, nodes: Vec<LookupNode>) -> Vec<(LookupNode, Value)> {
        let asked = nodes.into_iter().map(|node| async move {
            let url = format!("{}/druid/listen/v1/lookups", node.url);
            let state = self.client.get_json::<Value>(&url, DEADLINE).await;
            let state = state.unwrap_or_else(|error| {
                debug!("a server does not tell of its lookups. server={} error={error}", node.name);
                Value::Null
            });
            (node, state)
        });
        stream::iter(asked).buffered(AT_A_TIME).collect().await
    }

    /// Pushes what differs, again and again.
    pub(super) async fn push_lookups_forever(&self) {
        loop {
            match self.lookups().await {
                Ok(Some(tiers)) => {
                    if let Err(error) = self.push_lookups(&tiers).await {
                        warn!("cannot push lookups, trying again. error={error}");
                    }
                }
                Ok(None) => {}
                Err(error) => warn!("cannot read the configuration of lookups, trying again. error={error}"),
            }
            tokio::time::sleep(self.settings.lookups_period).await;
        }
    }

    async fn push_lookups(&self, tiers: &Lookups) -> Result<()> {
        let empty = Map::new();
        for (node, state) in self.lookup_states(self.lookup_nodes().await?).await {
            let wanted = tiers.get(&node.tier).and_then(Value::as_object).unwrap_or(&empty);
            let Some((load, drop)) = difference(&state, wanted) else { continue };
            let body = json!({"current": {}, "toLoad": load, "toDrop": drop});
            let url = format!("{}/druid/listen/v1/lookups/updates", node.url);
            if let Err(error) = self.client.post_json::<Value>(&url, &body, DEADLINE).await {
                warn!("cannot push lookups. server={} error={error}", node.name);
            }
        }
        Ok(())
    }
}

/// What a server in this state has to load and to drop; `None` when nothing, or when it did not answer.
fn difference(state: &Value, wanted: &Lookups) -> Option<(Lookups, Vec<String>)> {
    let current = state["current"].as_object()?;
    let loading = state["toLoad"].as_object();
    let version = |lookups: Option<&Lookups>, name: &str| {
        lookups.and_then(|l| l.get(name)).and_then(|l| l["version"].as_str()).map(str::to_owned)
    };
    let is_new = |name: &String, spec: &Value| {
        // Compared as texts, as Druid does.
        let known = version(Some(current), name).max(version(loading, name));
        known.is_none_or(|known| spec["version"].as_str().is_some_and(|wanted| wanted > known.as_str()))
    };
    let load: Lookups = wanted.iter().filter(|(name, spec)| is_new(name, spec)).map(|(n, s)| (n.clone(), s.clone())).collect();
    let known = current.keys().chain(loading.into_iter().flat_map(Map::keys));
    let drop: Vec<String> = known.filter(|name| !wanted.contains_key(*name)).cloned().collect();
    (!load.is_empty() || !drop.is_empty()).then_some((load, drop))
}

/// A tier's lookups: whether all of its servers have them loaded, and which do not.
pub(super) fn status(tier: &str, lookups: &Lookups, states: &[(LookupNode, Value)], detailed: bool) -> Map<String, Value> {
    let one = |(name, spec): (&String, &Value)| {
        let here = states.iter().filter(|(node, _)| node.tier == tier);
        let pending: Vec<&str> = here
            .filter(|(_, state)| state["current"][name.as_str()]["version"] != spec["version"])
            .map(|(node, _)| node.name.as_str())
            .collect();
        let mut status = json!({"loaded": pending.is_empty()});
        if detailed {
            status["pendingNodes"] = json!(pending);
        }
        (name.clone(), status)
    };
    lookups.iter().map(one).collect()
}

/// A server's state without the lookups' contents: versions by name.
pub(super) fn versions_only(state: &Value) -> Value {
    let short = |part: &Value| -> Value {
        let lookups = part.as_object().into_iter().flatten();
        lookups.map(|(name, lookup)| (name.clone(), lookup["version"].clone())).collect::<Map<_, _>>().into()
    };
    json!({"current": short(&state["current"]), "toLoad": short(&state["toLoad"]), "toDrop": state["toDrop"]})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookups(list: Value) -> Lookups {
        let named = list.as_object().expect("an object").iter();
        named
            .map(|(name, version)| (name.clone(), json!({"version": version, "lookupExtractorFactory": {"type": "map"}})))
            .collect()
    }

    #[test]
    fn newer_lookups_are_pushed_and_unknown_ones_dropped() {
        let state = json!({"current": lookups(json!({"a": "v1", "b": "v1", "c": "v2"})), "toLoad": lookups(json!({"d": "v1", "x": "v1"})), "toDrop": []});
        let wanted = lookups(json!({"a": "v2", "b": "v1", "c": "v1", "d": "v1", "e": "v0"}));
        let (load, drop) = difference(&state, &wanted).expect("a difference");
        assert_eq!(load.keys().collect::<Vec<_>>(), ["a", "e"]);
        assert_eq!(drop, ["x"]);
        assert!(difference(&json!({"current": lookups(json!({"a": "v1"}))}), &lookups(json!({"a": "v1"}))).is_none());
        assert!(difference(&Value::Null, &wanted).is_none(), "a server that does not answer is left alone");
    }

    #[test]
    fn a_lookup_is_loaded_when_every_server_of_its_tier_has_its_version() {
        let node = |tier: &str, name: &str| LookupNode { tier: tier.to_owned(), name: name.to_owned(), url: String::new() };
        let states = [
            (node("t", "one:1"), json!({"current": lookups(json!({"a": "v1", "b": "v1"}))})),
            (node("t", "two:1"), json!({"current": lookups(json!({"a": "v1", "b": "v0"}))})),
            (node("other", "three:1"), Value::Null),
        ];
        let found = status("t", &lookups(json!({"a": "v1", "b": "v1"})), &states, true);
        assert_eq!(
            json!(found),
            json!({"a": {"loaded": true, "pendingNodes": []}, "b": {"loaded": false, "pendingNodes": ["two:1"]}})
        );
        assert_eq!(versions_only(&states[0].1), json!({"current": {"a": "v1", "b": "v1"}, "toLoad": {}, "toDrop": null}));
    }
}
