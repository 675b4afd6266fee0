//! What every request is answered with the help of.

use anyhow::Result;

use super::access::Access;
use super::dynamodb::DynamoDb;
use super::live::Live;
use super::postgres::Postgres;
use super::settings::Settings;

/// The server's parts, made once.
pub(crate) struct App {
    pub(crate) access: Access,
    pub(crate) postgres: Postgres,
    pub(crate) dynamodb: DynamoDb,
    pub(crate) live: Live,
}

impl App {
    /// Makes them. No database is asked.
    ///
    /// # Errors
    /// The settings contradict each other.
    pub(crate) async fn new(settings: &Settings) -> Result<Self> {
        Ok(Self {
            access: Access::new(&settings.access),
            postgres: Postgres::new(settings.postgres.clone())?,
            dynamodb: DynamoDb::new(&settings.dynamodb).await,
            live: Live::default(),
        })
    }
}
