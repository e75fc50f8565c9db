//! One contract, three databases: every fact runs on SQLite, on a real PostgreSQL and on a real MariaDB, each in tables of
//! its own. What only servers can do (restarts, deadlocks, dumps of a JVM Druid) is in `servers`.

mod facts;
mod servers;

use std::future::Future;
use std::pin::Pin;

use ovate_testkit::services::Database;

use super::*;

/// Where one fact has its store.
#[derive(Clone)]
struct Place {
    options: MetadataOptions,
}

impl Place {
    /// One more process's handle on the store.
    async fn open(&self) -> MetadataStore {
        MetadataStore::open(&self.options).await.expect("the store opens")
    }
}

type Fact = (&'static str, fn(Place) -> Pin<Box<dyn Future<Output = ()> + Send>>);

macro_rules! facts {
    ($($name:ident),* $(,)?) => {
        [$((stringify!($name), (|place| Box::pin(facts::$name(place))) as fn(Place) -> Pin<Box<dyn Future<Output = ()> + Send>>)),*]
    };
}

fn all() -> Vec<Fact> {
    facts![
        published_segments_are_used_until_marked,
        intervals_select_segments_of_any_year,
        a_publication_needs_its_locks,
        commit_metadata_is_compared_and_swapped_with_the_segments,
        allocations_never_collide_and_repeat_themselves,
        an_unused_segments_id_is_not_given_again,
        appends_survive_a_concurrent_replace,
        a_task_ends_once_and_takes_its_locks_along,
        a_task_remembers_that_it_published_and_forgets_when_it_starts_over,
        a_deposed_leader_can_write_nothing,
        a_term_claimed_elsewhere_ends_the_one_before,
        rules_config_and_supervisors_keep_their_history,
        audit_entries_are_found_by_key_time_and_count,
        an_announcement_lives_until_it_expires_or_is_withdrawn,
        a_lost_answer_to_a_commit_does_no_harm,
        columns_of_later_releases_are_added,
        tables_may_have_other_names,
        writers_of_several_processes_take_turns,
    ]
    .to_vec()
}

async fn holds_everywhere(options: impl Fn(usize) -> MetadataOptions) {
    for (number, (name, fact)) in all().into_iter().enumerate() {
        eprintln!("fact: {name}");
        fact(Place { options: options(number) }).await;
    }
}

/// Options of a server, with tables of their own for each number.
fn server_options(database: &Database, number: usize) -> MetadataOptions {
    let mut properties = ovate_base::Properties::default();
    database.properties().into_iter().for_each(|(name, value)| properties.set(name, value));
    properties.set("druid.metadata.storage.tables.base", format!("t{number}"));
    MetadataOptions::from_properties(&properties, Path::new("/"), &|_| None).expect("options of a test server")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_keeps_the_contract() {
    let dir = tempfile::tempdir().expect("a directory");
    holds_everywhere(|number| MetadataOptions::sqlite(dir.path().join(format!("{number}/metadata.db")))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgresql_keeps_the_contract() {
    match Database::postgres() {
        Ok(database) => holds_everywhere(|number| server_options(&database, number)).await,
        Err(reason) => ovate_testkit::skip("postgresql_keeps_the_contract", &reason),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mariadb_keeps_the_contract() {
    match Database::mariadb() {
        Ok(database) => holds_everywhere(|number| server_options(&database, number)).await,
        Err(reason) => ovate_testkit::skip("mariadb_keeps_the_contract", &reason),
    }
}
