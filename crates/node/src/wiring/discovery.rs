//! How this process meets the others: by ZooKeeper where `druid.zk.service.host` names one, else by leases and announcements
//! in the metadata store. Only who leads, or meets the others there, opens that store.

use std::sync::Arc;
use std::time::Duration;

use ovate_base::{DruidError, Properties, Result};
use ovate_control::coordination::LEASE;
use ovate_control::{StoreCoordination, StoreTerms};
use ovate_net::{Coordination, NodeRole, TermSource, ZkCoordination, ZkSettings};
use ovate_store::MetadataStore;
use ovate_store::meta::Connector;
use tracing::info;

use crate::config::Settings;

/// What carries announcements and elections.
#[derive(Debug)]
enum Carrier {
    Lease,
    ZooKeeper(Box<ZkSettings>),
}

impl Carrier {
    /// `druid.discovery.type`, when set, decides (`metadata` or `curator`). Else ZooKeeper is used when
    /// `druid.zk.service.host` is set and `druid.zk.service.enabled` is not false.
    fn choose(properties: &Properties) -> Result<Carrier> {
        let enabled = properties.flag("druid.zk.service.enabled", true)?;
        let zookeeper = match properties.get("druid.discovery.type") {
            Some("curator") if !enabled => {
                return Err(DruidError::invalid_input("druid.discovery.type=curator needs druid.zk.service.enabled=true"));
            }
            Some("curator") => true,
            Some(_) => false,
            None => enabled && properties.get("druid.zk.service.host").is_some_and(|host| !host.trim().is_empty()),
        };
        if zookeeper { Ok(Carrier::ZooKeeper(Box::new(ZkSettings::from_properties(properties)?))) } else { Ok(Carrier::Lease) }
    }
}

/// Length of the leases of a process that is [`alone`]: as long as a slow disk may need for its writes. Nobody waits for them to
/// run out, since a restarted process takes its own over at once.
const LEASE_ALONE: Duration = Duration::from_secs(60);

/// True for a process that has every role and its metadata in a file: its cluster is this one process.
fn alone(roles: &[NodeRole], connector: &Connector) -> bool {
    let whole = [NodeRole::Coordinator, NodeRole::Overlord, NodeRole::Historical, NodeRole::Broker, NodeRole::Router];
    matches!(connector, Connector::Sqlite(_)) && whole.iter().all(|role| roles.contains(role))
}

/// Length of a lease: `druid.ovate.coordination.leaseMs`.
fn lease(properties: &Properties, alone: bool) -> Result<Duration> {
    const NAME: &str = "druid.ovate.coordination.leaseMs";
    let usual = if alone { LEASE_ALONE } else { LEASE };
    let value = properties.int(NAME, usual.as_millis() as i64)?;
    match u64::try_from(value) {
        Ok(value) if (1_000..=600_000).contains(&value) => Ok(Duration::from_millis(value)),
        _ => Err(DruidError::invalid_input(format!("{NAME} must be between 1000 and 600000, but is {value}"))),
    }
}

/// Joins the cluster; also gives the metadata store where this process has business with it.
pub async fn join(settings: &Settings) -> Result<(Arc<dyn Coordination>, Option<MetadataStore>)> {
    let carrier = Carrier::choose(&settings.properties)?;
    let roles: Vec<NodeRole> = settings.roles.iter().map(|(role, _)| *role).collect();
    let lease = lease(&settings.properties, alone(&roles, &settings.metadata.connector))?;
    let leads = settings.roles.iter().any(|(role, _)| matches!(role, NodeRole::Coordinator | NodeRole::Overlord));
    let store = match &carrier {
        Carrier::ZooKeeper(_) if !leads => None,
        // A peon's cluster has its tables.
        _ if settings.roles.iter().all(|(role, _)| *role == NodeRole::Peon) => {
            Some(MetadataStore::connect(&settings.metadata).await?)
        }
        _ => Some(MetadataStore::open(&settings.metadata).await?),
    };
    let coordination: Arc<dyn Coordination> = match (carrier, &store) {
        (Carrier::ZooKeeper(zookeeper), store) => {
            info!("coordination by ZooKeeper. hosts={} base={}", zookeeper.hosts, zookeeper.base);
            let terms = store.clone().map(|store| -> Arc<dyn TermSource> { Arc::new(StoreTerms::new(store, lease)) });
            Arc::new(ZkCoordination::start(*zookeeper, terms))
        }
        (Carrier::Lease, Some(store)) => Arc::new(StoreCoordination::start(store.clone(), lease)),
        (Carrier::Lease, None) => return Err(DruidError::defensive("a lease without a metadata store")),
    };
    Ok((coordination, store))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(text: &str) -> String {
        match Properties::parse(text).and_then(|properties| Carrier::choose(&properties)) {
            Ok(Carrier::Lease) => "lease".to_owned(),
            Ok(Carrier::ZooKeeper(settings)) => settings.hosts,
            Err(error) => error.message,
        }
    }

    #[test]
    fn a_process_with_every_role_and_a_file_for_a_store_has_long_leases() {
        use NodeRole::*;
        let file = Connector::Sqlite("metadata.db".into());
        let all = [Coordinator, Overlord, Historical, MiddleManager, Broker, Router];
        assert!(alone(&all, &file) && !alone(&[Coordinator, Overlord], &file) && !alone(&[Historical, Broker], &file));
        let length = |text: &str, alone| lease(&Properties::parse(text).unwrap(), alone).unwrap().as_millis();
        assert_eq!((length("", true), length("", false)), (60_000, 6_000));
        assert_eq!(length("druid.ovate.coordination.leaseMs=2000", true), 2_000);
    }

    #[test]
    fn zookeeper_is_used_where_it_is_named_and_not_switched_off() {
        assert_eq!(chosen(""), "lease");
        assert_eq!(chosen("druid.zk.service.host=zk:2181"), "zk:2181");
        assert_eq!(chosen("druid.zk.service.host=zk:2181\ndruid.zk.service.enabled=false"), "lease");
        assert_eq!(chosen("druid.zk.service.host=zk:2181\ndruid.discovery.type=metadata"), "lease");
        assert_eq!(chosen("druid.discovery.type=curator"), "localhost");
        assert!(chosen("druid.discovery.type=curator\ndruid.zk.service.enabled=false").contains("druid.zk.service.enabled"));
    }
}
