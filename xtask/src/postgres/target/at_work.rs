//! Long-running scripts: an index of a large table takes minutes. The tasks wait as long as the server works on the
//! script.

use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::error::Failure;
use crate::ui::{Ui, seconds};
use anyhow::Result;
use backend_flask::sql;
use postgres::Client;
use postgres::types::Type;

use super::PostgresTarget;
use super::connection::{CONNECT_BOUND, Connection, STATEMENT_BOUND};
use super::error::readable;

impl Connection {
    /// Does `work` without a time limit. Every [`STATEMENT_BOUND`] it asks the server whether it still works on it.
    /// Fails if the server does not, or has waited about that long for another session's lock.
    pub(crate) async fn with_patience<T: Send + 'static>(
        &mut self,
        ui: &Ui,
        what: &str,
        work: impl FnOnce(&mut Client) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let target = self.target.clone();
        let session = Arc::new(OnceLock::new());
        let work = {
            let session = session.clone();
            move |client: &mut Client| {
                let row = client.query_typed_one("select pg_backend_pid()", &[]).map_err(readable)?;
                let _: Result<(), i32> = session.set(row.try_get(0)?);
                work(client)
            }
        };
        let mut work = pin!(self.with_within(Duration::MAX, work));
        loop {
            if let Ok(ended) = tokio::time::timeout(STATEMENT_BOUND, &mut work).await {
                return ended;
            }
            // The answer was lost, or the server no longer answers anybody.
            let Some(pid) = session.get() else { return Err(target.no_answer(STATEMENT_BOUND)) };
            let looked = tokio::time::timeout(CONNECT_BOUND, target.at_work(*pid)).await;
            let Ok(Ok(Some((since, waiting, blocked_by)))) = looked else {
                return Err(target.no_answer(STATEMENT_BOUND));
            };
            // The script begins to wait a moment after it was sent, which is when the time to the first look begins.
            if !blocked_by.is_empty() && waiting >= STATEMENT_BOUND.mul_f64(0.9) {
                let pids = blocked_by.iter().map(i32::to_string).collect::<Vec<_>>().join(", ");
                let waiting = seconds(waiting);
                let problem = format!("{what} has waited for {waiting} for a lock of the session {pids}");
                let prod = target.prod;
                let remedy = format!(
                    "see who that is with `cargo xtask db sessions{prod}`, end it (all: `cargo xtask db kill-all{prod}`), \
                     and run the command again"
                );
                return Err(Failure::new(problem, remedy).into());
            }
            ui.note(format_args!("Postgres has been working for {} on {what}", seconds(since)));
        }
    }
}

impl PostgresTarget {
    /// How long a session has been at work, how long it has waited for a lock, and the sessions that hold the lock.
    async fn at_work(&self, pid: i32) -> Result<Option<(Duration, Duration, Vec<i32>)>> {
        let ask = move |client: &mut Client| {
            let row = client.query_typed_opt(sql::AT_WORK, &[(&pid, Type::INT4)]).map_err(readable)?;
            let at_work = |row: postgres::Row| {
                let since = Duration::try_from_secs_f64(row.try_get("seconds")?)?;
                let waiting = Duration::try_from_secs_f64(row.try_get("waiting")?)?;
                anyhow::Ok((since, waiting, row.try_get("blocked_by")?))
            };
            row.map(at_work).transpose()
        };
        self.ask(ask).await
    }
}
