//! Faults of Postgres and of the connection to it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::line::{Fault, Line};
use super::own_postgres::OwnPostgres;
use super::{QUICK, SETUP, World, assert_rows};
use crate::common::run::Ran;
use crate::common::{skip, wait_for};

/// Commands that read, and commands that write.
const COMMANDS: [&str; 5] = ["db setup", "db seed", "db test", "db sessions", "ddb seed --messages 50"];

/// Every command fails over a connection with this fault, and prints one of `says`. The old data stays whole, and a
/// set-up on the healthy server repairs everything.
#[track_caller]
fn all_fail(fault: Fault, says: &[&str]) {
    let world = World::with_known_seed();
    let line = Line::start(world.database.port, move |_| fault);
    for command in COMMANDS {
        let failed = world.xtask(command).env("CONNECTION_URL", world.database.url_at(line.port)).fails(3);
        failed.within(QUICK).says(&["help: "]);
        assert!(says.iter().any(|text| failed.stderr.contains(text)), "{fault:?}: {failed}");
    }
    world.recovers();
}

#[test]
fn a_postgres_that_resets_every_connection() {
    for after in [0, 20, 100] {
        all_fail(Fault::Reset(after), &["onnection reset by peer"]);
    }
}

#[test]
fn a_postgres_whose_answers_are_cut_short() {
    for after in [0, 3, 20, 100] {
        all_fail(
            Fault::Cut(after),
            &["connection closed", "unexpected message", "end of file", "bytes remaining on stream"],
        );
    }
}

#[test]
fn a_postgres_that_answers_garbage() {
    all_fail(Fault::Garbage(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"), &["because: "]);
}

/// The connection breaks anywhere in a set-up: every step is done completely or not at all.
#[test]
fn a_postgres_that_breaks_off_anywhere_in_a_set_up() {
    let world = World::with_known_seed();
    let mut failures = 0;
    for after in (300..1_500).step_by(60) {
        let line = Line::start(world.database.port, move |_| Fault::Reset(after));
        let ran = world.xtask("db setup").env("CONNECTION_URL", world.database.url_at(line.port)).end();
        ran.within(QUICK);
        match ran.code {
            Some(0) => assert_rows(&world.database),
            code => {
                failures += 1;
                assert!(matches!(code, Some(1 | 3)), "{ran}");
                ran.says(&["error: "]);
            }
        }
    }
    assert!(failures > 3, "{failures} failed");
    world.recovers();
}

#[test]
fn a_postgres_that_drips() {
    let world = World::with_known_seed();
    // A few kilobytes, at a thousand bytes per second.
    let line = Line::start(world.database.port, |_| Fault::Drip(0, Duration::from_millis(1)));
    world.xtask("db setup").env("CONNECTION_URL", world.database.url_at(line.port)).ok().within(QUICK);
    assert_rows(&world.database);
}

/// The answer of a recovering server: severity FATAL, SQLSTATE 57P03.
const RECOVERS: &[u8] = b"E\0\0\0\x43SFATAL\0VFATAL\0C57P03\0Mthe database system is in recovery mode\0\0";

#[test]
fn a_postgres_in_recovery() {
    assert_eq!(RECOVERS.len(), 1 + 0x43);
    let world = World::with_known_seed();
    let recovers = |_| Fault::Garbage(RECOVERS);
    let line = Line::start(world.database.port, recovers);
    let failed = world.xtask("db test").env("CONNECTION_URL", world.database.url_at(line.port)).fails(3);
    failed.within(QUICK);
    failed.says(&["the database system is in recovery mode (SQLSTATE 57P03)", "help: wait until it has"]);
    // A set-up waits until the server has recovered.
    let asked = std::sync::Arc::new(AtomicUsize::new(0));
    let count = std::sync::Arc::clone(&asked);
    let line = Line::start(world.database.port, move |_| match count.fetch_add(1, Ordering::SeqCst) {
        0..8 => Fault::Garbage(RECOVERS),
        _ => Fault::Whole,
    });
    world.xtask(SETUP).env("CONNECTION_URL", world.database.url_at(line.port)).ok();
    assert!(asked.load(Ordering::SeqCst) > 8);
    world.assert_whole();
}

#[test]
fn a_postgres_that_is_a_standby() {
    let world = World::new();
    let standby = OwnPostgres::start("touch data/cluster/standby.signal");
    for line in ["db setup", SETUP] {
        let failed = world.xtask(line).env("CONNECTION_URL", standby.url()).fails(1);
        failed.within(QUICK);
        failed.says(&["(SQLSTATE 25006)", "help: it is a standby, or set to be read only"]);
    }
    assert!(world.endpoint().tables().is_empty());
    standby.execute("select pg_promote()");
    wait_for("end of the recovery", QUICK, || {
        (world.xtask("db setup").env("CONNECTION_URL", standby.url()).end().code == Some(0)).then_some(())
    });
}

#[test]
fn a_postgres_killed_in_the_middle() {
    let world = World::new();
    let own = OwnPostgres::start(":");
    let at = |line: &str| world.xtask(line).env("CONNECTION_URL", own.url());
    at(SETUP).ok();
    let mut failures = 0;
    for delay in [0, 30, 60, 90] {
        let mut running = at("ddb seed --messages 100000 --users 20000").start();
        running.read_until("synthetic users into");
        std::thread::sleep(Duration::from_millis(delay));
        own.kill();
        own.answers();
        // If the users are written at this point, the run is writing the items.
        running.signal("INT");
        let ended = running.end_within(QUICK);
        match ended.code {
            Some(1 | 3) => failures += 1,
            code => assert_eq!(code, Some(130), "{ended}"),
        }
        let users = at("db test -o json").ok().json()[0]["users"].as_u64().unwrap();
        assert!(users == 5 || users == 20_005, "{users} users: {ended}");
    }
    assert!(failures > 0, "it was never killed in time");
    at(SETUP).ok();
    assert_eq!(counted(&at("db test -o json").ok()), (5, 4));
}

/// The numbers of users and activities in the output of `db test -o json`.
fn counted(ran: &Ran) -> (u64, u64) {
    let row = &ran.json()[0];
    let count = |name| row[name].as_u64().unwrap();
    (count("users"), count("activities"))
}

#[test]
fn a_postgres_whose_disk_is_full() {
    let Some(own) = OwnPostgres::on_a_small_disk(64) else {
        skip("a disk that is full takes root to make");
        return;
    };
    let world = World::new();
    let setup = |line: &str| world.xtask(line).env("CONNECTION_URL", own.url());
    own.execute("copy (select 1) to program 'head -c 100M /dev/zero > filler || true'");
    let failed = setup("db setup").fails(1);
    failed.within(QUICK).says(&["No space left on device", "help: "]);
    let failed = setup(SETUP).fails(1);
    failed.within(QUICK).says(&["No space left on device", "help: "]);
    assert!(world.endpoint().tables().is_empty());
    own.execute("copy (select 1) to program 'rm filler'");
    setup(SETUP).ok();
    assert_eq!(counted(&setup("db test -o json").ok()), (5, 4));
}
