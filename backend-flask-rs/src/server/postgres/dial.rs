//! How a connection to Postgres is made: encrypted as the URL's `sslmode` says.

use std::pin::Pin;

use deadpool_postgres::Connect;
use deadpool_postgres::tokio_postgres::config::SslMode as Mode;
use deadpool_postgres::tokio_postgres::{Client, Config, Connection, Error, Socket};
use tokio::task::JoinHandle;

use super::chain;
use crate::tls::{Connector, Encrypted, SslMode, Tls, TlsError, telling};

/// Connects, for the pool and beside it.
#[derive(Clone)]
pub(super) struct Dialer {
    mode: SslMode,
    connector: Connector,
}

impl Dialer {
    /// Reads the files that the settings name.
    pub(super) fn new(tls: &Tls) -> Result<Self, TlsError> {
        Ok(Self { mode: tls.mode, connector: tls.connector()? })
    }

    pub(super) async fn dial(
        &self,
        config: &Config,
    ) -> Result<(Client, Connection<Socket, Encrypted>), Error> {
        let attempt = |mode: Mode| {
            let mut config = config.clone();
            config.ssl_mode(mode);
            let connector = self.connector.clone();
            async move { config.connect(connector).await }
        };
        let first = match attempt(self.mode.first()).await {
            Ok(connected) => return Ok(connected),
            Err(error) => error,
        };
        match self.mode.second(&first) {
            Some(mode) => attempt(mode).await.map_err(|second| telling(first, second)),
            None => Err(first),
        }
    }
}

impl Connect for Dialer {
    fn connect(
        &self,
        config: &Config,
    ) -> Pin<Box<dyn Future<Output = Result<(Client, JoinHandle<()>), Error>> + Send + '_>> {
        let config = config.clone();
        Box::pin(async move {
            let (client, connection) = self.dial(&config).await?;
            let served = async {
                if let Err(error) = connection.await {
                    tracing::warn!(cause = chain(&error), "a connection to Postgres was lost");
                }
            };
            Ok((client, tokio::spawn(served)))
        })
    }
}
