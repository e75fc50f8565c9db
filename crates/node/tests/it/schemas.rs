//! What SQL knows of tables follows the segments.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::tasks::{inline, rows, single};

const MINUTE: Duration = Duration::from_secs(60);

/// Columns and segments follow announcements at once. Druid's Brokers look for columns once a minute, so what takes longer than ten
/// seconds, on a machine however loaded, has waited for some round; the time itself is printed.
const FOLLOWS: Duration = Duration::from_secs(10);

/// Waits until `look` finds what it looks for; gives when.
async fn moment<F: Future<Output = bool>>(what: &str, mut look: impl FnMut() -> F) -> Instant {
    let end = Instant::now() + MINUTE;
    while !look().await {
        assert!(Instant::now() < end, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Instant::now()
}

#[tokio::test]
async fn columns_and_segments_follow_what_a_historical_announces() {
    let sandbox = single().await;
    let id = sandbox.submit(&inline("t", &rows(100, 1), false)).await.expect("a task id");
    assert_eq!(sandbox.wait_task(&id, MINUTE).await["statusCode"], "SUCCESS");
    assert_eq!(sandbox.wait_count("t", 100, MINUTE).await, Some(100));
    assert!(sandbox.sql("SELECT extra FROM t").await.is_err());

    let mut more = rows(10, 1);
    more.iter_mut().for_each(|row| row["extra"] = json!("here"));
    let mut task = inline("t", &more, true);
    task["spec"]["dataSchema"]["dimensionsSpec"] = json!({"dimensions": ["page", "extra"]});
    sandbox.submit(&task).await.expect("a task id");
    let announced = moment("the Historical announces the second segment", async || {
        let list = sandbox.get("historical", "/druid-internal/v1/segments?counter=-1&hash=0&timeout=1000").await;
        list.is_ok_and(|list| list["requests"].as_array().map(Vec::len) == Some(2))
    });
    let columns = "SELECT DATA_TYPE FROM INFORMATION_SCHEMA.COLUMNS WHERE TABLE_NAME = 't' AND COLUMN_NAME = 'extra'";
    let known = moment("the column is known", async || sandbox.sql(columns).await == Ok(vec![vec![json!("VARCHAR")]]));
    let segments = "SELECT COUNT(*) FROM sys.segments WHERE datasource = 't' AND is_available = 1 AND is_active = 1";
    let listed = moment("the segment is listed", async || sandbox.sql(segments).await == Ok(vec![vec![json!(2)]]));
    let (announced, known, listed) = tokio::join!(announced, known, listed);
    let (known, listed) = (known.saturating_duration_since(announced), listed.saturating_duration_since(announced));
    println!("after its announcement: column known {known:?}, segment listed {listed:?}");
    assert!(known < FOLLOWS && listed < FOLLOWS, "column {known:?}, segment {listed:?}");
    assert_eq!(sandbox.sql("SELECT COUNT(*) FROM t WHERE extra = 'here'").await, Ok(vec![vec![json!(10)]]));

    // And when it is gone, so is its column.
    let extra = "SELECT segment_id FROM sys.segments WHERE datasource = 't' AND dimensions LIKE '%extra%'";
    let found = sandbox.sql(extra).await.expect("rows");
    let id = found[0][0].as_str().expect("an id").to_owned();
    let unused = json!({"segmentIds": [id]});
    sandbox.post("coordinator", "/druid/coordinator/v1/datasources/t/markUnused", &unused).await.expect("marked");
    moment("the column is gone", async || sandbox.sql(columns).await == Ok(Vec::<Vec<Value>>::new())).await;
    assert_eq!(sandbox.sql("SELECT COUNT(*) FROM sys.segments WHERE datasource = 't'").await, Ok(vec![vec![json!(1)]]));
}
