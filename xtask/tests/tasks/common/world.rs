//! Servers for one test, and a workspace whose settings name them as a developer's or as production's.

use std::ops::Deref;

use cruddur_testing::fixtures::dynamodb::DynamoDb;
use cruddur_testing::fixtures::postgres::Database;

use crate::common::dynamodb::Endpoint;
use crate::common::{SECRET_KEY, WRONG_PASSWORD, Workspace};

pub(crate) const TABLE: &str = "cruddur-messages";

/// A workspace whose settings name the test's own Postgres database and DynamoDB, both empty.
pub(crate) struct World {
    pub(crate) workspace: Workspace,
    pub(crate) database: Database,
    pub(crate) dynamodb: DynamoDb,
}

impl World {
    pub(crate) fn new() -> Self {
        let (database, dynamodb) = (Database::new(), DynamoDb::start());
        let workspace = Workspace::new()
            .with("CONNECTION_URL", database.url())
            .with("AWS_ENDPOINT_URL_DYNAMODB", dynamodb.endpoint.url());
        Self { workspace, database, dynamodb }
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        self.dynamodb.endpoint
    }
}

impl Deref for World {
    type Target = Workspace;

    fn deref(&self) -> &Workspace {
        &self.workspace
    }
}

/// A workspace whose production is the Postgres at `url` and the DynamoDB at `endpoint`. The settings are those that
/// only the process environment may contain.
pub(crate) fn production(url: &str, endpoint: &str) -> Workspace {
    Workspace::new()
        .with("PROD_CONNECTION_URL", url)
        .with("PROD_DYNAMODB_ENDPOINT_URL", endpoint)
        .with("AWS_ACCESS_KEY_ID", "production")
        .with("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        .with("AWS_REGION", "us-east-1")
        .with("AWS_EC2_METADATA_DISABLED", "true")
}

/// A world whose servers are production's. Its local settings name servers that no command may contact.
pub(crate) struct Production(World);

impl Production {
    pub(crate) fn new() -> Self {
        let world = World::new();
        let workspace = production(&world.database.url(), &world.endpoint().url())
            .with("CONNECTION_URL", format!("postgresql://me:{WRONG_PASSWORD}@127.0.0.1:1/local"))
            .with("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:1");
        Self(World { workspace, ..world })
    }

    /// A world whose databases have been set up.
    pub(crate) fn set_up() -> Self {
        let world = Self::new();
        world.xtask("db setup --prod --confirm").arg(&world.database.name).ok();
        world.xtask("ddb schema-load --prod").ok();
        world.xtask("ddb seed --prod --confirm").arg(TABLE).ok();
        world
    }

    /// Sets a variable for every run from now on.
    pub(crate) fn set(&mut self, name: &str, value: impl ToString) {
        self.0.workspace.set(name, value);
    }
}

impl Deref for Production {
    type Target = World;

    fn deref(&self) -> &World {
        &self.0
    }
}
