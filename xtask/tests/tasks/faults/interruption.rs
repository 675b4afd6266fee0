//! Ctrl-C and SIGTERM.

use std::time::Duration;

use super::units::Units;
use super::{QUICK, SETUP, TABLE, World, assert_imported, line, lines};

#[cfg(target_os = "linux")]
use crate::common::SECRET_KEY;
use crate::common::run::{Ran, Running};
use crate::common::wait_for;
use cruddur_testing::fixtures::proxy::{Fate, Proxy};

const SIGNALS: [(&str, i32); 2] = [("INT", 130), ("TERM", 143)];

/// The time within which an interrupted run ends.
const STOPS: Duration = Duration::from_secs(8);

#[track_caller]
fn stopped(running: Running, signal: &str, code: i32) -> Ran {
    running.signal(signal);
    let ended = running.end_within(STOPS);
    assert_eq!(ended.code, Some(code), "{ended}");
    ended.says(&["interrupted"]);
    ended
}

/// The number before these words in stderr.
#[track_caller]
fn number_before(ran: &Ran, words: &str) -> usize {
    let before = ran.stderr.split(words).next().filter(|before| before.len() < ran.stderr.len());
    let before = before.unwrap_or_else(|| panic!("no {words:?}: {ran}"));
    before.rsplit(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
}

#[test]
fn an_import_that_is_interrupted_tells_how_far_it_is_and_goes_on_there() {
    for (signal, code) in SIGNALS {
        let world = World::with_known_seed();
        world.endpoint().create_table("imported", &[("pk", "S"), ("sk", "S")]);
        let made = lines(3_000);
        world.write("made.jsonl", &made);
        let table = Units::start(world.endpoint(), 400);
        let import = |arguments: &str| {
            world
                .xtask(&format!("ddb import made.jsonl --table imported{arguments}"))
                .env("AWS_ENDPOINT_URL_DYNAMODB", table.endpoint.url())
        };
        let running = import("").start();
        // At this point the first batches are complete, although the table has returned parts of them unprocessed.
        wait_for("items", QUICK, || (table.written() > 1_500).then_some(()));
        let ended = stopped(running, signal, code);
        let told = number_before(&ended, " items are written from made.jsonl");
        assert_eq!(world.endpoint().items("imported").len(), told, "{ended}");
        let (before, from_line) = ended.stderr.trim_end().rsplit_once(" --from-line ").unwrap();
        assert!(before.ends_with("from made.jsonl\n  help: run the same command again with"), "{ended}");
        // It skips only lines that are certainly written.
        let line: usize = from_line.parse().unwrap();
        assert!(line > 100 && line <= told + 1, "{ended}");
        table.enough();
        let items = format!("{} items", 3_001 - line);
        import(&format!(" --from-line {line}")).ok().says(&[&items]);
        assert_imported(world.endpoint(), "imported", &made);
    }
}

#[test]
fn a_seed_that_is_interrupted_tells_how_far_it_is_and_is_made_whole_by_the_next() {
    for (signal, code) in SIGNALS {
        let world = World::with_known_seed();
        let table = Units::start(world.endpoint(), 100);
        let seed = || {
            let run = world.xtask("ddb seed --messages 2000 --progress json");
            run.env("AWS_ENDPOINT_URL_DYNAMODB", table.endpoint.url())
        };
        let running = seed().start();
        wait_for("items", QUICK, || (table.written() > 150).then_some(()));
        let ended = stopped(running, signal, code);
        let told = number_before(&ended, " of 2040 items are written");
        assert_eq!(world.endpoint().items(TABLE).len(), 138 + told, "{ended}");
        let error: serde_json::Value = serde_json::from_str(ended.stderr.lines().last().unwrap()).unwrap();
        assert_eq!(error["done"], serde_json::json!([format!("{told} of 2040 items are written")]));
        ended.says(&["run the same command again: it writes all of it, and removes surplus items"]);
        table.enough();
        seed().ok();
        assert_eq!(world.endpoint().items(TABLE).len(), 138 + 2_040);
    }
}

#[test]
fn an_export_that_is_interrupted_leaves_no_file() {
    for (signal, code) in SIGNALS {
        let world = World::with_known_seed();
        let slow = Proxy::start(world.endpoint(), |operation, _| {
            if operation == "Scan" {
                std::thread::sleep(Duration::from_secs(20));
            }
            Ok(Fate::Passed)
        });
        std::fs::create_dir(world.path("out")).unwrap();
        let export = world.xtask("ddb export out/a.jsonl.gz");
        let mut running = export.env("AWS_ENDPOINT_URL_DYNAMODB", slow.endpoint.url()).start();
        running.read_until("export");
        let ended = stopped(running, signal, code);
        ended.says(&["no file was made"]);
        assert_eq!(std::fs::read_dir(world.path("out")).unwrap().count(), 0, "{ended}");
        world.xtask("ddb export out/a.jsonl.gz").ok();
    }
}

/// The signal arrives while the table is being created. The command completes that before it ends.
#[test]
fn a_table_that_is_being_created_is_there_after_an_interruption() {
    for (signal, code) in SIGNALS {
        let world = World::new();
        let slow = Proxy::start(world.endpoint(), |operation, _| {
            if operation == "CreateTable" {
                std::thread::sleep(Duration::from_secs(1));
            }
            Ok(Fate::Passed)
        });
        let create = world.xtask("ddb schema-load");
        let mut running = create.env("AWS_ENDPOINT_URL_DYNAMODB", slow.endpoint.url()).start();
        running.read_until("create table");
        std::thread::sleep(Duration::from_millis(100));
        let ended = stopped(running, signal, code);
        ended.says(&[
            "stopping where that is safe",
            "ok  DynamoDB: create table",
            "everything was done by then",
        ]);
        assert_eq!(world.endpoint().tables(), [TABLE]);
        world.recovers();
    }
}

/// An interruption anywhere in a set-up: the current step is completed, no other begins, and the next set-up repairs
/// everything.
#[test]
fn a_set_up_that_is_interrupted_anywhere() {
    let world = World::with_known_seed();
    let mut interrupted = 0;
    for step in
        ["wait for", "drop database", "create database", "schema.sql", "seed.sql", "drop table", "seed 138"]
    {
        for (signal, code) in SIGNALS {
            let mut running = world.xtask(SETUP).start();
            running.read_until(step);
            running.signal(signal);
            let ended = running.end_within(STOPS);
            // The last steps may be complete before the signal arrives.
            assert!(ended.code == Some(code) || ended.code == Some(0), "{step}: {ended}");
            if ended.code == Some(code) {
                interrupted += 1;
                ended.says(&["interrupted: ", "help: run `cargo xtask ddb-setup` again: it starts afresh"]);
            }
            assert!(!ended.stderr.contains("perhaps not only seeds wrote"), "{step}: {ended}");
            let begun = ended.stderr.matches("... ").count();
            let over = ended.stderr.matches("\nok ").count() + ended.stderr.matches("\nstopped ").count();
            assert_eq!(begun, over, "each step that was begun says how it ended: {ended}");
        }
    }
    assert!(interrupted > 6, "{interrupted} were");
    world.recovers();
}

#[test]
fn a_second_signal_ends_at_once() {
    let world = World::new();
    let (listener, port) = line::silent();
    let never = Proxy::start(world.endpoint(), move |operation, _| {
        if operation == "CreateTable" {
            _ = listener.accept();
        }
        Ok(Fate::Passed)
    });
    let create = world.xtask("ddb schema-load");
    let mut running = create.env("AWS_ENDPOINT_URL_DYNAMODB", never.endpoint.url()).start();
    running.read_until("create table");
    std::thread::sleep(Duration::from_millis(300));
    running.signal("INT");
    running.read_until("a second signal ends it at once");
    running.signal("INT");
    let ended = running.end_within(Duration::from_secs(2));
    assert_eq!(ended.code, Some(130), "{ended}");
    ended.says(&["interrupted: stopped at once; it may be half done", "help: see what there is"]);
    // Release the request that is held up.
    _ = std::net::TcpStream::connect(("127.0.0.1", port));
}

#[test]
#[cfg(target_os = "linux")]
fn a_signal_while_a_name_is_to_be_typed() {
    use std::io::{Read as _, Write as _};
    let world = World::with_known_seed();
    let run = world.xtask("ddb drop cruddur-messages --prod").env("TERM", "dumb");
    let run = run.env("PROD_DYNAMODB_ENDPOINT_URL", world.endpoint().url()).env("AWS_REGION", "us-east-1");
    let run = run.env("AWS_ACCESS_KEY_ID", "production").env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
    let mut script = run.on_a_terminal().spawn().expect("`script`, of Debian's package bsdutils");
    let mut out = script.stdout.take().unwrap();
    let mut text = String::new();
    let mut bytes = [0; 1024];
    while !text.contains("anything else to stop") {
        let read = out.read(&mut bytes).unwrap();
        assert_ne!(read, 0, "{text}");
        text.push_str(&String::from_utf8_lossy(&bytes[..read]));
    }
    // The byte that Ctrl-C sends on a terminal.
    let mut typed = script.stdin.take().unwrap();
    typed.write_all(b"\x03").unwrap();
    let code = wait_for("end", STOPS, || script.try_wait().unwrap()).code();
    out.read_to_string(&mut text).unwrap();
    assert_eq!(code, Some(130), "{text}");
    assert!(text.contains("interrupted"), "{text}");
    world.assert_whole();
}
