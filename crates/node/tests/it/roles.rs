//! Every role in a process of its own answers as one process does.

use std::time::Duration;

use ovate_testkit::{Sandbox, SandboxSettings};
use serde_json::json;

use crate::tasks::{inline, rows};

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn roles_in_processes_of_their_own_answer_the_same() {
    let sandbox = Sandbox::start(SandboxSettings::spread(crate::binary::ovate())).await;
    let id = sandbox.submit(&inline("t", &rows(1000, 4), false)).await.expect("a task id");
    let status = sandbox.wait_task(&id, MINUTE).await;
    assert_eq!(status["statusCode"], "SUCCESS", "{status}");
    assert_eq!(sandbox.wait_count("t", 1000, MINUTE).await, Some(1000));
    let rows = sandbox.sql("SELECT lang, SUM(added), MAX(added) FROM t GROUP BY lang ORDER BY 2 DESC").await.expect("rows");
    let sum = |which: usize| (0..1000usize).filter(|i| i % 3 == which).sum::<usize>();
    assert_eq!(json!(rows), json!([["en", sum(0), 999], ["fr", sum(2), 998], ["de", sum(1), 997]]));
    for role in ["coordinator", "overlord", "historical", "middleManager", "broker", "router"] {
        assert_eq!(sandbox.get(role, "/status/health").await, Ok(json!(true)), "{role}");
        assert_eq!(sandbox.get(role, "/status/selfDiscovered/status").await, Ok(json!({"selfDiscovered": true})), "{role}");
    }
    let servers = sandbox.sql("SELECT server_type, COUNT(*) FROM sys.servers GROUP BY 1 ORDER BY 1").await.expect("rows");
    let expected = ["broker", "coordinator", "historical", "middle_manager", "overlord", "router"].map(|role| json!([role, 1]));
    assert_eq!(json!(servers), json!(expected));
}

#[tokio::test]
async fn an_indexer_runs_tasks_as_threads_of_its_own() {
    let mut settings = SandboxSettings::single(crate::binary::ovate());
    settings.processes = vec![vec!["coordinator", "overlord", "historical", "broker", "router"], vec!["indexer"]];
    let port = ovate_testkit::sandbox::free_ports(1)[0];
    settings.properties.push(("druid.indexer.plaintextPort".to_owned(), port.to_string()));
    let sandbox = Sandbox::start(settings).await;
    let id = sandbox.submit(&inline("t", &rows(1000, 4), false)).await.expect("a task id");
    let status = sandbox.wait_task(&id, MINUTE).await;
    assert_eq!(status["statusCode"], "SUCCESS", "{status}");
    assert_eq!(sandbox.wait_count("t", 1000, MINUTE).await, Some(1000));
    assert!(sandbox.log(1).contains(&format!("task ended. task={id}")), "the task's lines are in the Indexer's log");
    let servers = sandbox.sql("SELECT server_type FROM sys.servers WHERE server_type = 'indexer'").await.expect("rows");
    assert_eq!(servers.len(), 1);
    // A task that was asked to stop ends, and the Indexer takes the next one.
    let waiting = serde_json::json!({"type": "noop", "runTime": 60_000});
    let id = sandbox.submit(&waiting).await.expect("a task id");
    tokio::time::sleep(Duration::from_secs(2)).await;
    sandbox.post("router", &format!("/druid/indexer/v1/task/{id}/shutdown"), &json!({})).await.expect("asked");
    assert_eq!(sandbox.wait_task(&id, MINUTE).await["statusCode"], "FAILED");
}
