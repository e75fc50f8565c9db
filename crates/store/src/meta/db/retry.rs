//! Which failures pass when one waits - a lost connection, a deadlock, a serialization failure, a busy file - and how long
//! we do wait for them.

use std::time::{Duration, Instant};

use ovate_base::DruidError;
use rand::Rng as _;

/// The server is away or the connection broke.
const UNAVAILABLE: &str = "metadataStoreUnavailable";
/// Another transaction was in the way.
const COLLISION: &str = "metadataStoreCollision";

/// An attempt is not started after these.
const READS_MAX: Duration = Duration::from_secs(15);
const WRITES_MAX: Duration = Duration::from_secs(30);
/// Collisions end quickly or not at all.
const COLLISIONS_MAX: u32 = 20;
const PAUSE_FIRST: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Our error for a failed statement; one that may pass says so in its code.
pub(in crate::meta) fn sql_error(error: sqlx::Error) -> DruidError {
    let message = format!("metadata store: {error}");
    match code_of(&error) {
        Some(code) => DruidError { code: code.to_owned(), ..DruidError::service_unavailable(message) },
        None => DruidError::runtime(message),
    }
}

pub(super) fn timed_out(limit: Duration) -> DruidError {
    let message = format!("metadata store: no answer within {} s", limit.as_secs());
    DruidError { code: UNAVAILABLE.to_owned(), ..DruidError::service_unavailable(message) }
}

/// Whether the same may work a moment later.
pub(in crate::meta) fn is_transient(error: &DruidError) -> bool {
    error.code == UNAVAILABLE || error.code == COLLISION
}

fn code_of(error: &sqlx::Error) -> Option<&'static str> {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::PoolTimedOut | sqlx::Error::WorkerCrashed => {
            Some(UNAVAILABLE)
        }
        sqlx::Error::Database(error) => {
            if let Some(mysql) = error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>() {
                return mysql_code(mysql.number());
            }
            let code = error.code().unwrap_or_default();
            if error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>().is_some() {
                return postgres_code(&code);
            }
            sqlite_code(code.parse().unwrap_or(0))
        }
        _ => None,
    }
}

fn postgres_code(state: &str) -> Option<&'static str> {
    match state {
        // Serialization failure, deadlock, lock timeout; duplicates that another process made first.
        "40001" | "40P01" | "55P03" | "23505" | "42P07" | "42701" | "42710" | "XX000" => Some(COLLISION),
        // Shutdown, crash, starting up, idle in a transaction for too long, too many connections, read-only standby.
        "57P01" | "57P02" | "57P03" | "25P03" | "53300" | "25006" => Some(UNAVAILABLE),
        state if state.starts_with("08") => Some(UNAVAILABLE),
        _ => None,
    }
}

fn mysql_code(number: u16) -> Option<&'static str> {
    match number {
        // Deadlock, lock timeout, changed since last read; duplicates that another process made first.
        1213 | 1205 | 1020 | 1062 | 1050 | 1060 | 1061 => Some(COLLISION),
        // Too many connections, shutdown, read-only, killed, idle for too long, and the client's own codes.
        1040 | 1053 | 1290 | 1792 | 1317 | 1927 | 4031 | 2006 | 2013 => Some(UNAVAILABLE),
        _ => None,
    }
}

fn sqlite_code(code: u32) -> Option<&'static str> {
    // Busy, locked, and a uniqueness that another process used up first; the low byte is the primary code.
    match (code & 0xff, code) {
        (5 | 6, _) | (_, 1555 | 2067) => Some(COLLISION),
        _ => None,
    }
}

/// How much longer one operation is tried.
pub(super) struct Patience {
    end: Instant,
    pause: Duration,
    collisions: u32,
}

impl Patience {
    pub(super) fn for_reads() -> Patience {
        Patience { end: Instant::now() + READS_MAX, pause: PAUSE_FIRST, collisions: 0 }
    }

    pub(super) fn for_writes() -> Patience {
        Patience { end: Instant::now() + WRITES_MAX, ..Patience::for_reads() }
    }

    /// Waits when another attempt makes sense; false when it does not.
    pub(super) async fn again(&mut self, error: &DruidError) -> bool {
        if !is_transient(error) || Instant::now() >= self.end {
            return false;
        }
        if error.code == COLLISION {
            self.collisions += 1;
            if self.collisions > COLLISIONS_MAX {
                return false;
            }
        }
        let half = self.pause / 2;
        let jitter = rand::rng().random_range(0..=half.as_micros() as u64);
        tracing::debug!("metadata store: trying again. error={error}");
        tokio::time::sleep(half + Duration::from_micros(jitter)).await;
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn collisions_are_tried_again_a_bounded_number_of_times_and_other_failures_never() {
        let collision = DruidError { code: COLLISION.to_owned(), ..DruidError::service_unavailable("x") };
        let mut patience = Patience { pause: Duration::from_micros(1), ..Patience::for_writes() };
        patience.pause = Duration::from_nanos(2);
        let mut count = 0;
        while patience.again(&collision).await {
            patience.pause = Duration::from_nanos(2);
            count += 1;
        }
        assert_eq!(count, COLLISIONS_MAX);
        assert!(!Patience::for_reads().again(&DruidError::runtime("damaged")).await);
        assert!(!Patience::for_writes().again(&DruidError::service_unavailable("term 3 is over")).await);
    }
}
