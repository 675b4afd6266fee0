//! End-to-end tests without Docker: the program with a real Postgres and a DynamoDB in process, both started by the
//! tests.

mod completions;
mod credentials;
mod db;
mod ddb;
mod expressions;
mod failures;
mod files;
mod guard;
mod items;
mod output;
mod patterns;
mod population;
mod prepare;
mod production;
mod reading;
mod run;
mod setup;
mod snapshot;
mod tls;
mod undo;
mod verify;
mod writing;

use std::ops::Deref;

use cruddur_testing::fixtures::dynamodb::DynamoDb;

use crate::common::dynamodb::Endpoint;
use crate::common::world::{TABLE, World};
use crate::common::{Workspace, free_port, redact};

impl World {
    /// A world after `ddb-setup`.
    fn set_up() -> Self {
        let world = Self::new();
        world.xtask("ddb-setup").ok();
        world
    }

    /// A world after `ddb-setup` with the short conversation of these tests, which ends at [`NOW`].
    fn with_short_conversation() -> Self {
        let world = Self::new();
        world.write("conversation.txt", SHORT_CONVERSATION);
        world.xtask("ddb-setup --file conversation.txt --now").arg(NOW).ok();
        world
    }

    /// Replaces ports, names and times in a text, for snapshots.
    fn redact(&self, text: &str) -> String {
        let text = text.replace(&self.endpoint().url(), "ENDPOINT");
        let text = text.replace(&self.path("").display().to_string(), "WORKSPACE/");
        redact::times(&self.database.redact(&text))
    }
}

/// The end of the short conversation.
const NOW: &str = "2026-01-01T00:02:00Z";

/// A conversation that crosses the end of a year, and has letters of several bytes, and lines of less than, exactly
/// and more than the number of characters that a pattern shows.
const SHORT_CONVERSATION: &str = "\
Person 1: Happy new year?
Person 2: Not yet: two minutes to go.
Person 1: éééééééééééééééééééééééééééééééééééééééé
Person 2: ééééééééééééééééééééééééééééééééééééééééé and one more
Person 1: 🎉 \"Now!\"\t雨宮
";

/// A DynamoDB without a Postgres: nothing listens at CONNECTION_URL.
struct DynamoDbOnly {
    workspace: Workspace,
    dynamodb: DynamoDb,
}

impl DynamoDbOnly {
    fn new() -> Self {
        let dynamodb = DynamoDb::start();
        let nowhere = format!("postgresql://nobody:nothing@127.0.0.1:{}/nowhere", free_port());
        let workspace = Workspace::new()
            .with("CONNECTION_URL", nowhere)
            .with("AWS_ENDPOINT_URL_DYNAMODB", dynamodb.endpoint.url());
        Self { workspace, dynamodb }
    }

    fn endpoint(&self) -> Endpoint {
        self.dynamodb.endpoint
    }
}

impl Deref for DynamoDbOnly {
    type Target = Workspace;

    fn deref(&self) -> &Workspace {
        &self.workspace
    }
}
