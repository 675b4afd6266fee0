//! The parts of the server that handlers use.

use std::sync::Arc;

use anyhow::Result;

use super::access::Access;
use super::dynamodb::DynamoDb;
use super::live::{Live, Written};
use super::postgres::Postgres;
use super::settings::Settings;

/// Created once and shared by all requests.
pub(crate) struct App {
    pub(crate) access: Access,
    pub(crate) postgres: Postgres,
    pub(crate) dynamodb: DynamoDb,
    pub(crate) live: Live,
}

impl App {
    /// Creates the parts, without asking a database.
    pub(crate) async fn new(settings: Settings) -> Result<Self> {
        Ok(Self {
            access: settings.access,
            postgres: Postgres::new(settings.postgres, &settings.tls)?,
            dynamodb: DynamoDb::new(settings.dynamodb.as_deref(), settings.table).await,
            live: Live::default(),
        })
    }

    /// Notifies all listeners of a message, in the background.
    pub(crate) fn tell(self: &Arc<Self>, written: Written) {
        self.live.tell(Some(written.clone()));
        let app = Arc::clone(self);
        tokio::spawn(async move { app.postgres.tell(written).await });
    }
}
