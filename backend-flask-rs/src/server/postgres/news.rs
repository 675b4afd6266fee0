//! Notifications between servers, through LISTEN and NOTIFY.
//! <https://www.postgresql.org/docs/current/sql-notify.html>

use std::time::Duration;

use anyhow::{Context as _, Result};
use deadpool_postgres::tokio_postgres::AsyncMessage;
use deadpool_postgres::tokio_postgres::types::Type;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{CONNECT_BOUND, Postgres};
use crate::server::live::{Live, Written};
use crate::sql;

/// How long to wait before listening again after an error.
const PAUSE: Duration = Duration::from_secs(2);

/// The maximum size of a notification in Postgres.
const LONGEST: usize = 7_999;

/// A message, and the server that wrote it, which has already notified its own listeners.
#[derive(Serialize, Deserialize)]
struct Notification {
    server: Uuid,
    /// `None` if it would be too long.
    written: Option<Written>,
}

impl Postgres {
    pub(crate) async fn tell(&self, written: Written) {
        let told = |written| {
            let told = Notification { server: self.server, written };
            serde_json::to_string(&told).unwrap_or_default()
        };
        let whole = told(Some(written));
        let told = if whole.len() > LONGEST { told(None) } else { whole };
        // An error has been logged already.
        _ = self.query(sql::TELL_NEWS, &[(&told, Type::TEXT)]).await;
    }

    /// Passes other servers' notifications to `live`, forever.
    pub(crate) async fn listen(&self, live: &Live) {
        loop {
            if let Err(error) = self.listen_once(live).await {
                tracing::warn!(
                    cause = format!("{error:#}"),
                    "notifications from other servers are interrupted"
                );
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn listen_once(&self, live: &Live) -> Result<()> {
        // The driver's own bound covers only opening the socket.
        let dialed = tokio::time::timeout(CONNECT_BOUND, self.ways.connect()).await;
        let (client, mut connection) = dialed.context("Postgres does not answer")??;
        let listening = client.batch_execute(sql::LISTEN_TO_NEWS);
        tokio::pin!(listening);
        let mut is_listening = false;
        loop {
            tokio::select! {
                listens = &mut listening, if !is_listening => {
                    listens?;
                    is_listening = true;
                    live.tell(None);
                }
                message = std::future::poll_fn(|context| connection.poll_message(context)) => match message {
                    Some(Ok(AsyncMessage::Notification(told))) => self.pass_on(live, told.payload()),
                    Some(message) => drop(message?),
                    None => return Ok(()),
                },
            }
        }
    }

    fn pass_on(&self, live: &Live, told: &str) {
        match serde_json::from_str::<Notification>(told) {
            Ok(told) if told.server == self.server => {}
            // A newer version of the server may send an unknown notification.
            told => live.tell(told.ok().and_then(|told| told.written)),
        }
    }
}
