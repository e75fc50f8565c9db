//! Caches outside the process, against real servers: memcached and Redis of Debian.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ovate_base::{Budget, Properties};
use ovate_query::NativeQuery;
use ovate_serve::cache::{Cache, CacheKey, from_properties, query_key};
use serde_json::json;

/// A server that ends with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port()
}

/// Starts a program and waits until it listens; `None`, which is printed, where the program is not installed.
fn start(test: &str, program: &str, port: u16, arguments: &[&str]) -> Option<Server> {
    let mut command = Command::new(program);
    command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
    let Ok(child) = command.spawn() else {
        eprintln!("SKIPPED {test}: {program} is not installed (bin/test installs it)");
        return None;
    };
    let server = Server(child);
    let end = Instant::now() + Duration::from_secs(20);
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < end, "{program} does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
    Some(server)
}

fn cache(properties: &[(&str, String)]) -> Arc<dyn Cache> {
    let properties: Properties = properties.iter().map(|(name, value)| (*name, value.as_str())).collect();
    from_properties(&properties, &Budget::new("druid.ovate.memory", 1 << 24)).expect("a cache")
}

fn key(part: &str) -> CacheKey {
    let document = json!({"queryType": "timeBoundary", "dataSource": "t"});
    let query = NativeQuery::from_json(&document).expect("a query");
    query_key(&query, &Default::default()).expect("a key").over([part].into_iter())
}

/// What every cache does; `other` is a second process's view of the same servers.
async fn keeps_values(cache: &dyn Cache, other: &dyn Cache) {
    assert_eq!(cache.get(&key("nothing")).await, None);
    let value: Bytes = (0..300_000u32).flat_map(|n| n.to_le_bytes()).take(900_000).collect::<Vec<u8>>().into();
    cache.put(&key("a"), value.clone()).await;
    cache.put(&key("empty"), Bytes::new()).await;
    assert_eq!(cache.get(&key("a")).await, Some(value.clone()));
    assert_eq!(other.get(&key("a")).await, Some(value));
    assert_eq!(other.get(&key("empty")).await, Some(Bytes::new()));
    assert_eq!(other.get(&key("b")).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn results_are_kept_in_memcached() {
    let ports = [free_port(), free_port()];
    let mut servers = Vec::new();
    for port in ports {
        let text = port.to_string();
        let arguments = ["-l", "127.0.0.1", "-p", &text, "-U", "0", "-u", "nobody", "-m", "64"];
        let Some(server) = start("results_are_kept_in_memcached", "memcached", port, &arguments) else { return };
        servers.push(server);
    }
    let hosts = ports.map(|port| format!("127.0.0.1:{port}")).join(",");
    let properties = [("druid.cache.type", "memcached".to_owned()), ("druid.cache.hosts", hosts)];
    let (one, two) = (cache(&properties), cache(&properties));
    keeps_values(one.as_ref(), two.as_ref()).await;
    // Servers that are gone are misses, at once.
    drop(servers);
    let began = Instant::now();
    assert_eq!(one.get(&key("a")).await, None);
    assert!(began.elapsed() < Duration::from_secs(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn results_are_kept_in_redis_behind_a_near_cache_and_survive_its_restart() {
    let port = free_port();
    let text = port.to_string();
    let arguments = ["--port", &text, "--bind", "127.0.0.1", "--save", "", "--requirepass", "secret"];
    let begin =
        || start("results_are_kept_in_redis_behind_a_near_cache_and_survive_its_restart", "redis-server", port, &arguments);
    let Some(server) = begin() else { return };
    let far = |prefix: &'static str, level: &str| {
        let name = |key: &str| -> &'static str { format!("druid.cache{level}.{key}").leak() };
        vec![
            (name("type"), "redis".to_owned()),
            (name("host"), "127.0.0.1".to_owned()),
            (name("port"), port.to_string()),
            (name("password"), "secret".to_owned()),
            (name("prefix"), prefix.to_owned()),
        ]
    };
    let (one, two) = (cache(&far("p", "")), cache(&far("p", "")));
    keeps_values(one.as_ref(), two.as_ref()).await;
    assert_eq!(cache(&far("q", "")).get(&key("a")).await, None);
    let mut hybrid = far("p", ".l2");
    hybrid.push(("druid.cache.type", "hybrid".to_owned()));
    hybrid.push(("druid.cache.l1.sizeInBytes", "4000000".to_owned()));
    let hybrid = cache(&hybrid);
    assert!(hybrid.get(&key("a")).await.is_some());
    drop(server);
    assert!(hybrid.get(&key("a")).await.is_some(), "the near cache has it");
    assert_eq!(one.get(&key("a")).await, None);
    let Some(_server) = begin() else { return };
    // The connection is made again.
    one.put(&key("again"), Bytes::from_static(b"x")).await;
    one.put(&key("again"), Bytes::from_static(b"x")).await;
    assert_eq!(one.get(&key("again")).await.as_deref(), Some(&b"x"[..]));
}
