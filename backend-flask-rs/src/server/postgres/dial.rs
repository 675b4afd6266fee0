//! Makes the connections of the pool, encrypted as the URL's `sslmode` demands.

use std::pin::Pin;

use deadpool_postgres::Connect;
use deadpool_postgres::tokio_postgres::{Client, Config, Error};
use tokio::task::JoinHandle;

use super::chain;
use crate::tls::Ways;

impl Connect for Ways {
    fn connect(
        &self,
        _config: &Config,
    ) -> Pin<Box<dyn Future<Output = Result<(Client, JoinHandle<()>), Error>> + Send + '_>> {
        Box::pin(async move {
            let (client, connection) = Self::connect(self).await?;
            let served = async {
                if let Err(error) = connection.await {
                    tracing::warn!(cause = chain(&error), "a connection to Postgres was lost");
                }
            };
            Ok((client, tokio::spawn(served)))
        })
    }
}
