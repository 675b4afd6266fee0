//! A Postgres database and a DynamoDB table for each test.
//!
//! Tests that share a database see each other's rows and cannot run in parallel. Here each test makes its own:
//!
//! ```ignore
//! #[tokio::test]
//! async fn a_user_is_found() {
//!     let databases = TestDatabases::new().await;
//!     let postgres = databases.postgres().await;
//!     // ...
//! }
//! ```
//!
//! The database has the schema and the seed's rows: it is a copy of a template, which the first test of a day makes.
//! The table is empty. Both are dropped with the value, and kept if the test panics. The session that holds a
//! database's advisory lock owns it. If a killed run left a database, its lock is free, and the next run removes it.
//! `docs/testing.md` has a whole example, and says where the servers are.

mod background;
mod databases;
#[cfg(feature = "fixtures")]
pub mod fixtures;
mod servers;
mod template;

use std::collections::BTreeMap;

use anyhow::Result;
use aws_sdk_dynamodb::Client as DynamoDb;
use backend_flask::http;
use backend_flask::messages::TABLE_VARIABLE;

use databases::Databases;
use servers::{DYNAMODB_URL, POSTGRES_URL};

/// If this variable is set, databases are kept after tests that pass too.
const KEEP: &str = "CRUDDUR_KEEP_TEST_DATABASES";

/// A Postgres database and a DynamoDB table, dropped with this value.
pub struct TestDatabases {
    /// The name of the database and of the table.
    name: String,
    shared: &'static Databases,
    dynamodb: DynamoDb,
}

impl TestDatabases {
    /// Makes both.
    ///
    /// # Panics
    /// They cannot be made: the message says why.
    pub async fn new() -> Self {
        Self::of(background::run(Databases::create()).await)
    }

    /// Makes both, for a test that is not async.
    ///
    /// # Panics
    /// They cannot be made: the message says why.
    pub fn new_blocking() -> Self {
        Self::of(background::run_blocking(Databases::create()))
    }

    fn of(created: Result<(&'static Databases, String)>) -> Self {
        let (shared, name) = created.unwrap_or_else(|error| panic!("no databases for this test: {error:#}"));
        let dynamodb = DynamoDb::from_conf(http::local_config(&shared.servers.endpoint).build());
        Self { name, shared, dynamodb }
    }

    /// The database's URL, with the password.
    pub fn postgres_url(&self) -> String {
        self.shared.servers.url(&self.name)
    }

    /// A connection to the database, served by the runtime of the caller.
    ///
    /// # Panics
    /// There is none.
    pub async fn postgres(&self) -> tokio_postgres::Client {
        let connected = self.shared.servers.connect(&self.name).await;
        connected.unwrap_or_else(|error| panic!("cannot connect to {}: {error:#}", self.name)).0
    }

    /// A connection to the database, for a test that is not async.
    ///
    /// # Panics
    /// There is none, or the caller is async.
    pub fn postgres_blocking(&self) -> postgres::Client {
        let connected = self.shared.servers.connect_blocking(&self.name);
        connected.unwrap_or_else(|error| panic!("cannot connect to {}: {error:#}", self.name))
    }

    /// The URL of DynamoDB.
    pub fn dynamodb_url(&self) -> &str {
        &self.shared.servers.endpoint
    }

    /// A client for DynamoDB. Use it in one runtime only: its connections end with that.
    pub fn dynamodb(&self) -> &DynamoDb {
        &self.dynamodb
    }

    /// The name of the table, which is active and has no items.
    pub fn table(&self) -> &str {
        &self.name
    }

    /// The app's settings for these databases, with local access and a free port. Pass them to `Settings::read`, or
    /// to a program as its environment.
    pub fn settings(&self) -> BTreeMap<&'static str, String> {
        BTreeMap::from([
            ("BACKEND_ACCESS", "local".to_owned()),
            ("BACKEND_ADDRESS", "127.0.0.1:0".to_owned()),
            (POSTGRES_URL, self.postgres_url()),
            (DYNAMODB_URL, self.dynamodb_url().to_owned()),
            (TABLE_VARIABLE, self.name.clone()),
        ])
    }
}

/// Drops both, or keeps them. It does not block the test's runtime, so any test can drop it.
impl Drop for TestDatabases {
    fn drop(&mut self) {
        let (shared, name) = (self.shared, self.name.clone());
        let keep = std::thread::panicking() || std::env::var_os(KEEP).is_some_and(|value| !value.is_empty());
        let ended = if keep {
            say(&shared.kept(&name));
            background::run_blocking(async move { shared.keep(&name).await })
        } else {
            background::run_blocking(async move { shared.remove(&name).await })
        };
        if let Err(error) = ended {
            // A second panic would abort all tests.
            say(&format!("{}: {error:#}; the next run will remove it", self.name));
        }
    }
}

/// Prints a line into the output of the test that calls it.
#[expect(clippy::print_stderr, reason = "the test harness shows this with the test")]
fn say(line: &str) {
    eprintln!("{line}");
}
