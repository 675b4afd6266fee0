//! Faults outside the program: networks, servers, disks, daemons, interruptions. Every command ends within its bound,
//! with the right exit status and the cause. Run again on healthy servers, it leaves exactly the right data. Each
//! test is a row of `docs/faults.md`.

mod daemon;
mod interruption;
mod killed;
mod line;
mod machine;
mod own_postgres;
mod postgres_faults;
mod requests;
mod secrets;
mod throttling;
mod units;
pub(crate) mod waiting;

use std::sync::OnceLock;
use std::time::Duration;

use cruddur_testing::fixtures::postgres::Database;
use serde_json::Value;

use crate::common::dynamodb::Endpoint;
use crate::common::run::Ran;
use crate::common::world::{TABLE, World};

/// A set-up whose result is known byte by byte.
const SETUP: &str = "ddb-setup --now 2026-01-01T00:00:00Z";

/// The maximum time of runs that wait for no bound, even on a busy machine.
const QUICK: Duration = Duration::from_secs(20);

impl World {
    fn with_known_seed() -> Self {
        let world = Self::new();
        world.xtask(SETUP).ok();
        world
    }

    /// Runs a command with another DynamoDB. It must fail with this status within `bound`.
    #[track_caller]
    fn fails_at(&self, code: i32, line: &str, endpoint: Endpoint, bound: Duration) -> Ran {
        let failed = self.xtask(line).env("AWS_ENDPOINT_URL_DYNAMODB", endpoint.url()).fails(code);
        failed.within(bound);
        failed
    }

    /// Sets up again on healthy servers, and asserts that every byte is right.
    #[track_caller]
    fn recovers(&self) {
        self.xtask(SETUP).ok();
        self.assert_whole();
    }

    /// Asserts that both databases hold exactly the seed.
    #[track_caller]
    fn assert_whole(&self) {
        assert_eq!(self.endpoint().items(TABLE), *seed(), "what DynamoDB holds");
        assert_rows(&self.database);
    }
}

#[track_caller]
fn assert_rows(database: &Database) {
    let counts = "select (select count(*) from users) || ' ' || (select count(*) from activities)";
    assert_eq!(database.column(counts), ["5 4"], "what Postgres holds");
}

/// Every item of [`SETUP`], from a run without faults.
fn seed() -> &'static Vec<Value> {
    static SEED: OnceLock<Vec<Value>> = OnceLock::new();
    SEED.get_or_init(|| {
        let world = World::with_known_seed();
        let items = world.endpoint().items(TABLE);
        assert_eq!(items.len(), 138);
        items
    })
}

/// This many items as lines of DynamoDB JSON, each smaller than a write unit.
fn lines(count: usize) -> String {
    let line =
        |number| format!("{{\"pk\":{{\"S\":\"p{}\"}},\"sk\":{{\"S\":\"{number:06}\"}}}}\n", number % 7);
    (0..count).map(line).collect()
}

/// Asserts that a table holds exactly the items of these lines.
#[track_caller]
fn assert_imported(endpoint: Endpoint, table: &str, lines: &str) {
    let mut items: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    items.sort_by_key(|item| ["pk", "sk"].map(|name| item[name]["S"].as_str().unwrap().to_owned()));
    let there = endpoint.items(table);
    assert_eq!(there.len(), items.len());
    assert!(there == items, "an item differs");
}
