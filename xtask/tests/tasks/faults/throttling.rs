//! A table with few write units.

use std::time::Duration;

use super::units::Units;
use super::{SETUP, World, assert_imported, lines};
use crate::common::run::Ran;

/// Imports items and seeds, with this many units per second. Returns both runs.
fn import_and_seed(units: u32, items: usize) -> [Ran; 2] {
    let world = World::with_known_seed();
    world.endpoint().create_table("imported", &[("pk", "S"), ("sk", "S")]);
    let made = lines(items);
    world.write("made.jsonl", &made);
    let table = Units::start(world.endpoint(), units);
    let at = |line: &str| world.xtask(line).env("AWS_ENDPOINT_URL_DYNAMODB", table.endpoint.url());
    let imported = at("ddb import made.jsonl --table imported").ok();
    assert_imported(world.endpoint(), "imported", &made);
    assert_eq!(table.written(), items, "each item was written once");
    let seeded = at(SETUP).ok();
    world.assert_whole();
    [imported, seeded]
}

#[test]
fn an_import_and_a_seed_against_few_write_units() {
    let [imported, seeded] = import_and_seed(50, 300);
    let url_of = |ran: &Ran| {
        let told = ran.stderr.lines().filter(|line| line.contains(" is throttling: "));
        told.map(str::to_owned).collect::<Vec<_>>()
    };
    let [imported_told, seeded_told] = [&imported, &seeded].map(url_of);
    assert!(imported_told[0].ends_with("is throttling: going on as quickly as it lets us"), "{imported}");
    assert!(seeded_told[0].ends_with("is throttling: going on as quickly as it lets us"), "{seeded}");
    // At most one line every three seconds, with the rate of fifty units.
    let paces: Vec<f64> = imported_told[1..].iter().map(|line| pace(line)).collect();
    assert!(!paces.is_empty(), "{imported}");
    assert!(paces.iter().all(|pace| (10.0..80.0).contains(pace)), "{imported}");
    assert!(imported_told.len() as f64 <= 2.0 + imported.took.as_secs_f64() / 3.0, "{imported}");
    imported.says(&["300 items; the server throttled "]);
}

/// The rate in `... is throttling: 150 items in 3.0 s, 50.0/s`.
fn pace(line: &str) -> f64 {
    let (_, pace) = line.rsplit_once(", ").unwrap();
    pace.strip_suffix("/s").unwrap().parse().unwrap_or_else(|_| panic!("{line}"))
}

#[test]
#[ignore = "takes minutes"]
fn an_import_and_a_seed_against_five_write_units() {
    let [imported, _] = import_and_seed(5, 400);
    assert!(imported.took > Duration::from_secs(75), "{imported}");
}
