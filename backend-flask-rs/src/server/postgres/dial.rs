//! Makes connections to Postgres, encrypted as the URL's `sslmode` demands.

use std::pin::Pin;

use deadpool_postgres::Connect;
use deadpool_postgres::tokio_postgres::{Client, Config, Connection, Error, Socket};
use tokio::task::JoinHandle;

use super::chain;
use crate::tls::{self, Stream, Way};

/// Makes connections, for the pool and for listening: in the first way, or in another one if that may help.
#[derive(Clone)]
pub(super) struct Dialer(pub(super) Way, pub(super) Option<Way>);

impl Dialer {
    pub(super) async fn dial(&self) -> Result<(Client, Connection<Socket, Stream>), Error> {
        let connect = async |(config, connector): &Way| config.connect(connector.clone()).await;
        match (connect(&self.0).await, &self.1) {
            (Err(error), Some(other)) if tls::another_way_may_help(&error) => connect(other).await,
            (connected, _) => connected,
        }
    }
}

impl Connect for Dialer {
    fn connect(
        &self,
        _config: &Config,
    ) -> Pin<Box<dyn Future<Output = Result<(Client, JoinHandle<()>), Error>> + Send + '_>> {
        Box::pin(async move {
            let (client, connection) = self.dial().await?;
            let served = async {
                if let Err(error) = connection.await {
                    tracing::warn!(cause = chain(&error), "a connection to Postgres was lost");
                }
            };
            Ok((client, tokio::spawn(served)))
        })
    }
}
