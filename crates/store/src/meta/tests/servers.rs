//! What only database servers can do to us: end in the middle of a write, hang, choose us as the victim of a deadlock. And
//! what a JVM Druid left in them: our tables are the ones it makes.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use ovate_testkit::services::{Database, DatabaseKind};
use ovate_testkit::{shared_dir, skip};

use super::facts::{allocate, task};
use super::*;

const BOTH: [DatabaseKind; 2] = [DatabaseKind::Postgres, DatabaseKind::Mariadb];

/// Each kind of server that can be had.
fn servers(test: &str) -> Vec<Database> {
    let start = |kind| match Database::start(kind) {
        Ok(database) => Some(database),
        Err(reason) => {
            skip(&format!("{test} ({kind:?})"), &reason);
            None
        }
    };
    BOTH.into_iter().filter_map(start).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_server_loses_nothing_and_fails_nobody() {
    for mut database in servers("a_restarted_server_loses_nothing_and_fails_nobody") {
        let store = Place { options: server_options(&database, 0) }.open().await;
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let store = store.clone();
                tokio::spawn(async move {
                    let end = Instant::now() + Duration::from_secs(4);
                    let mut written = Vec::new();
                    while Instant::now() < end {
                        let id = format!("t{writer}-{}", written.len());
                        store.insert_task(&task(&id)).await.expect("a write outlives a restart");
                        store.task(&id).await.expect("a read outlives a restart").expect("it is there");
                        written.push(id);
                    }
                    written
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_secs(1)).await;
        // Killed: connections break without a word, transactions are rolled back at the start.
        let database_again = tokio::task::spawn_blocking(move || {
            database.kill();
            database.spawn().expect("the server starts again");
            database
        });
        let database = database_again.await.expect("no panic");
        let mut written = Vec::new();
        for writer in writers {
            written.extend(writer.await.expect("no failed write"));
        }
        let mut stored: Vec<String> = store.active_tasks().await.expect("tasks").into_iter().map(|task| task.id).collect();
        written.sort();
        stored.sort();
        let lost: Vec<_> = written.iter().filter(|id| !stored.contains(id)).collect();
        assert!(lost.is_empty() && stored.len() == written.len(), "{:?}: lost {lost:?}", database.kind());
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_victim_of_a_deadlock_tries_again() {
    for database in servers("the_victim_of_a_deadlock_tries_again") {
        let store = Place { options: server_options(&database, 0) }.open().await;
        for id in ["a", "b"] {
            store.insert_task(&task(id)).await.expect("a task");
        }
        // Two transactions without a turn lock the rows in opposite order and wait for each other.
        let cross = |first: &'static str, second: &'static str| {
            let store = store.clone();
            tokio::spawn(async move {
                let tries = std::sync::atomic::AtomicU32::new(0);
                let outcome = store
                    .retry(|| async {
                        tries.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        let mut tx = store.pool.begin().await?;
                        for id in [first, second] {
                            let sql = "UPDATE {tasks} SET group_id = ? WHERE id = ?";
                            store.q(sql).bind(first).bind(id).run_in(&mut tx).await?;
                            tokio::time::sleep(Duration::from_millis(300)).await;
                        }
                        tx.commit().await
                    })
                    .await;
                outcome.expect("done in the end");
                tries.into_inner()
            })
        };
        let (one, other) = (cross("a", "b"), cross("b", "a"));
        let tries = one.await.expect("no panic") + other.await.expect("no panic");
        assert!(tries >= 3, "{:?}: there was no deadlock", database.kind());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_hangs_loses_its_turn() {
    for database in servers("a_writer_that_hangs_loses_its_turn") {
        let store = Place { options: server_options(&database, 0) }.open().await;
        let first = store.acquire_lease("overlord", "a", 1000, 0).await.expect("a lease").expect("free");
        // As a stopped process: a transaction of the leader that neither goes on nor ends.
        let mut hanging = store.fenced(first.fence()).write().await.expect("a write");
        store.q("DELETE FROM {tasks} WHERE id = ?").bind("x").run_in(&mut hanging).await.expect("a statement");
        let began = Instant::now();
        let second = store.claim_term("overlord", "b").await.expect("the next leader gets through");
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}: {:?}", database.kind(), began.elapsed());
        assert!(hanging.commit().await.is_err());
        store.fenced(second).insert_task(&task("t")).await.expect("it leads");
        assert!(store.fenced(first.fence()).allocate(&allocate("s", "v")).await.is_err());
    }
}

/// A dump of the store that a JVM Druid filled.
fn dump(kind: DatabaseKind) -> Option<PathBuf> {
    let folder = match kind {
        DatabaseKind::Postgres => "postgresql",
        DatabaseKind::Mariadb => "mysql",
    };
    Some(shared_dir()?.join("fixtures/druid/takeover").join(folder).join("metadata.sql")).filter(|file| file.is_file())
}

/// Columns and indexes as the database describes them.
fn described(database: &Database, name: &str) -> Vec<String> {
    let sql = match database.kind() {
        DatabaseKind::Postgres => {
            "SELECT table_name, column_name, data_type, character_maximum_length, is_nullable, column_default FROM \
             information_schema.columns WHERE table_schema = 'public' AND table_name LIKE 'druid%' ORDER BY 1, ordinal_position; \
             SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename LIKE 'druid%' ORDER BY 1"
                .to_owned()
        }
        DatabaseKind::Mariadb => format!(
            "SELECT table_name, column_name, column_type, collation_name, is_nullable, column_default, extra FROM \
             information_schema.columns WHERE table_schema = '{name}' AND table_name LIKE 'druid%' ORDER BY 1, ordinal_position; \
             SELECT table_name, UPPER(index_name), seq_in_index, column_name, non_unique FROM information_schema.statistics \
             WHERE table_schema = '{name}' AND table_name LIKE 'druid%' ORDER BY 1, 2, 3"
        ),
    };
    let text = database.run_in(name, &sql).expect("a description");
    text.lines().filter(|line| !line.contains("ovate_")).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_tables_are_those_that_druid_makes_and_druids_are_left_as_they_are() {
    for database in servers("our_tables_are_those_that_druid_makes_and_druids_are_left_as_they_are") {
        let Some(dump) = dump(database.kind()) else {
            return skip("our_tables_are_those_that_druid_makes_and_druids_are_left_as_they_are", "../shared is absent");
        };
        let options = |name: &str| {
            let mut properties = ovate_base::Properties::default();
            database.properties().into_iter().for_each(|(name, value)| properties.set(name, value));
            properties.set("druid.metadata.storage.connector.connectURI", database.uri_of(name));
            MetadataOptions::from_properties(&properties, Path::new("/"), &|_| None).expect("options")
        };
        database.load(&dump).expect("the dump loads");
        database.create("ours").expect("a second database");
        let (druids, before) = (options("druid"), described(&database, "druid"));
        MetadataStore::open(&options("ours")).await.expect("made");
        let store = MetadataStore::open(&druids).await.expect("taken over");
        assert_eq!(described(&database, "druid"), before, "{:?}: nothing is changed", database.kind());
        let ours = described(&database, "ours");
        let only = |these: &[String], those: &[String]| -> Vec<String> {
            these.iter().filter(|line| !those.contains(line)).cloned().collect()
        };
        let empty: [Vec<String>; 2] = Default::default();
        assert_eq!([only(&ours, &before), only(&before, &ours)], empty, "{:?}: only ours, only Druid's", database.kind());
        assert!(store.all_used_segments().await.expect("segments").len() > 40);
        assert!(store.latest_supervisors().await.expect("supervisors").len() >= 4);
        assert!(store.complete_tasks(0, None, None).await.expect("tasks").len() > 20);
    }
}
