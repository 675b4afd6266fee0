//! Servers that are killed while they write.

use std::time::Duration;

use super::{QUICK, TABLE, assert_imported, lines};
use crate::common::checkout::Checkout;
use crate::common::dynamodb::Endpoint;
use crate::common::wait_for;

#[test]
fn a_dynamodb_killed_in_the_middle_of_an_import() {
    let checkout = Checkout::new();
    checkout.set_up();
    checkout.xtask("ddb drop cruddur-messages").ok();
    checkout.xtask("ddb schema-load").ok();
    let made = lines(15_000);
    checkout.write("made.jsonl", &made);
    for delay in [100, 500] {
        let mut running = checkout.xtask("ddb import made.jsonl").start();
        running.read_until("import made.jsonl");
        let [_, port] = checkout.ports();
        let has_items = || (!Endpoint(port).items(TABLE).is_empty()).then_some(());
        wait_for("first items of the import", QUICK, has_items);
        std::thread::sleep(Duration::from_millis(delay));
        checkout.kill("dynamodb");
        let ended = running.end_within(QUICK);
        assert_eq!(ended.code, Some(3), "{ended}");
        ended.says(&["items were certainly written", "cannot reach DynamoDB", "help: start the databases"]);
        checkout.xtask("up").ok();
    }
    checkout.xtask("ddb import made.jsonl").ok();
    let [_, port] = checkout.ports();
    assert_imported(Endpoint(port), TABLE, &made);
}
