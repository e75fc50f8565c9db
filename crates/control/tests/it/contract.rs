//! One contract, three implementations of coordination.

use std::sync::Arc;
use std::time::Duration;

use ovate_control::{StoreCoordination, StoreTerms};
use ovate_net::{Coordination, EmbeddedCoordination, ZkCoordination, ZkSettings};
use ovate_store::MetadataStore;
use ovate_testkit::coordination::check;
use ovate_testkit::services::zookeeper::ZooKeeper;
use ovate_testkit::skip;

#[tokio::test(flavor = "multi_thread")]
async fn embedded_coordination_keeps_the_contract() {
    let world = EmbeddedCoordination::default();
    check(|| Arc::new(world.join())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_in_the_metadata_store_keeps_the_contract() {
    let store = MetadataStore::in_memory().await.expect("a store");
    check(|| -> Arc<dyn Coordination> { Arc::new(StoreCoordination::start(store.clone(), Duration::from_secs(2))) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn zookeeper_keeps_the_contract_with_and_without_compression_and_chroot() {
    let server = match ZooKeeper::start() {
        Ok(server) => server,
        Err(reason) => return skip("zookeeper_keeps_the_contract_with_and_without_compression_and_chroot", &reason),
    };
    let store = MetadataStore::in_memory().await.expect("a store");
    for more in ["druid.zk.service.compress=true", "druid.zk.service.compress=false\ndruid.zk.paths.base=/other/base"] {
        let chroot = if more.contains("other") { "/a/chroot" } else { "" };
        let settings = super::zookeeper::settings(&format!("{}{chroot}", server.hosts()), more);
        check(|| join(&settings, &store)).await;
    }
}

fn join(settings: &ZkSettings, store: &MetadataStore) -> Arc<dyn Coordination> {
    let terms = Arc::new(StoreTerms::new(store.clone(), Duration::from_secs(6)));
    Arc::new(ZkCoordination::start(settings.clone(), Some(terms)))
}
