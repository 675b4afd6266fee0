//! Killed servers, killed commands, damaged files: `ddb-setup` recovers, or says what to do.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::Duration;

use crate::common::checkout::Checkout;
use crate::common::wait_for;

#[test]
fn a_killed_server_is_started_again() {
    let checkout = Checkout::new();
    checkout.set_up();
    for killed in [&["postgres"][..], &["dynamodb"], &["postgres", "dynamodb"]] {
        killed.iter().for_each(|service| checkout.kill(service));
        checkout.set_up();
    }
}

#[test]
fn a_killed_command_leaves_nothing_that_stops_the_next() {
    let checkout = Checkout::new();
    for delay in [5, 50, 200, 600, 1_200, 1_800, 2_400] {
        let run = checkout.xtask("ddb-setup").start();
        std::thread::sleep(Duration::from_millis(delay));
        run.signal("KILL");
        drop(run);
    }
    checkout.set_up();
    for delay in [20, 60, 100, 140, 180] {
        let run = checkout.xtask("ddb-setup").start();
        std::thread::sleep(Duration::from_millis(delay));
        run.signal("KILL");
        drop(run);
        checkout.set_up();
    }
}

#[test]
fn servers_that_are_being_stopped_are_started_again() {
    let checkout = Checkout::new();
    checkout.set_up();
    for delay in [10, 25, 40] {
        let down = checkout.xtask("down").start();
        std::thread::sleep(Duration::from_millis(delay));
        down.signal("KILL");
        drop(down);
        checkout.set_up();
    }
    // A smart shutdown waits for the session to end, and accepts no new one.
    let session = checkout.session();
    checkout.signal("postgres", "TERM");
    let up = checkout.xtask("up").start();
    std::thread::sleep(Duration::from_secs(1));
    drop(session);
    assert_eq!(up.end_within(Duration::from_secs(30)).code, Some(0));
    checkout.set_up();
}

#[test]
fn a_killed_down_is_finished_by_the_next_command() {
    let checkout = Checkout::new();
    checkout.set_up();
    let (postgres, _) = checkout.processes("postgres").pop().unwrap();
    // `down` waits for DynamoDB, which does not see the signal, and has not come to Postgres.
    checkout.signal("dynamodb", "STOP");
    let down = checkout.xtask("down").start();
    std::thread::sleep(Duration::from_secs(1));
    down.signal("KILL");
    drop(down);
    let up = checkout.xtask("ddb-setup").start();
    std::thread::sleep(Duration::from_secs(1));
    checkout.signal("dynamodb", "CONT");
    let up = up.end_within(Duration::from_secs(60));
    assert!(up.stderr.contains("engine embedded: a `down` was interrupted, and is finished first"), "{up:?}");
    checkout.assert_set_up(&up);
    assert_ne!(checkout.processes("postgres").pop().unwrap().0, postgres);
    // Once only.
    let again = checkout.set_up();
    assert!(!again.stderr.contains("was interrupted"), "{again:?}");
}

/// An initdb that never ends. Its child process writes files while the folder exists.
const ENDLESS_INITDB: &str = r#"#!/bin/bash
exec -a initdb bash -c 'while : >"$1/$((++count))"; do :; done & wait' initdb "$2"
"#;

#[test]
fn writes_of_a_killed_command_end_before_the_next_begins() {
    let checkout = Checkout::new();
    let real = std::env::split_paths(&std::env::var("PATH").unwrap())
        .chain(fs::read_dir("/usr/lib/postgresql").unwrap().flatten().map(|entry| entry.path().join("bin")))
        .find(|folder| folder.join("initdb").is_file() && folder.join("postgres").is_file());
    fs::create_dir(checkout.path("bin")).unwrap();
    let initdb = checkout.write("bin/initdb", ENDLESS_INITDB);
    fs::set_permissions(&initdb, fs::Permissions::from_mode(0o755)).unwrap();
    let real = real.unwrap();
    for program in ["postgres", "pg_ctl"] {
        std::os::unix::fs::symlink(real.join(program), checkout.path("bin").join(program)).unwrap();
    }
    let path = format!("{}:{}", checkout.path("bin").display(), std::env::var("PATH").unwrap());

    let run = checkout.xtask("ddb-setup").env("PATH", path).start();
    let unfinished = checkout.state("postgres.new");
    let files = || fs::read_dir(&unfinished).map_or(0, Iterator::count);
    wait_for("file of initdb's", Duration::from_secs(60), || (files() > 100).then_some(()));
    run.signal("KILL");
    drop(run);
    let killed = files();
    wait_for("file that it writes still", Duration::from_secs(60), || (files() > killed).then_some(()));
    checkout.set_up();
    assert!(!unfinished.exists());
    assert_eq!(checkout.processes("postgres.new"), []);
}

#[test]
fn a_server_whose_start_was_interrupted_is_told_by_its_number() {
    let checkout = Checkout::new();
    checkout.xtask("up").ok();
    let (pid, _) = checkout.processes("postgres").pop().unwrap();
    // The lock file has this content until the server accepts connections.
    let lock = checkout.state("postgres.lock");
    let line = fs::read_to_string(&lock).unwrap();
    fs::write(&lock, format!("0 {}", line.split_once(' ').unwrap().1)).unwrap();
    let status = checkout.xtask("status -o json").ok().json();
    assert_eq!(status[0]["runs_in"], format!("process {pid}"));
    checkout.xtask("down").ok().says(&[&format!("Postgres: stop process {pid}")]);
}

#[test]
fn a_lock_file_with_somebody_else_s_process_id_harms_nobody() {
    let checkout = Checkout::new();
    checkout.set_up();
    checkout.kill("postgres");
    // The process id of this test, which runs but is not Postgres.
    let lock = checkout.state("postgres/postmaster.pid");
    let text = fs::read_to_string(&lock).unwrap();
    let rest = text.split_once('\n').unwrap().1;
    fs::write(&lock, format!("{}\n{rest}", std::process::id())).unwrap();
    checkout.set_up();
    checkout.xtask("down").ok();
}

#[test]
fn any_file_of_the_state_folder_may_be_lost_or_damaged() {
    let checkout = Checkout::new();
    let own = ["state.json", "lock", "postgres.log", "dynamodb.log"];
    let data = [
        "postgres/postmaster.pid",
        "postgres/PG_VERSION",
        "postgres/global/pg_control",
        "dynamodb/dynamodb.sqlite",
    ];
    for file in own.into_iter().chain(data) {
        for damage in ["removed", "overwritten"] {
            checkout.set_up();
            if data.contains(&file) {
                checkout.xtask("down").ok();
            }
            let path = checkout.state(file);
            match damage {
                "removed" => drop(fs::remove_file(&path)),
                _ => fs::write(&path, "nonsense\n").unwrap(),
            }
            let ran = checkout.xtask("ddb-setup").end();
            if ran.code == Some(0) {
                checkout.assert_set_up(&ran);
                continue;
            }
            // The program does not delete damaged data unless it is told to.
            assert!(data.contains(&file), "{file} {damage}: {ran}");
            assert!(matches!(ran.code, Some(1 | 3)), "{file} {damage}: {ran}");
            ran.says(&["help: ", "cargo xtask down --volumes"]).within(Duration::from_secs(30));
            checkout.xtask("down --volumes").ok();
        }
    }
}

#[test]
fn data_that_is_removed_under_the_servers_is_made_again() {
    // `git clean` removes the folders like this.
    for inner in ["postgres", "dynamodb"] {
        let checkout = Checkout::new();
        checkout.set_up();
        fs::remove_dir_all(checkout.state(inner)).unwrap();
        checkout.xtask("status").ok();
        if inner == "postgres" {
            checkout.set_up().says(&["whose data was removed"]);
        }
        // DynamoDB notices that by itself, perhaps before the set-up.
        checkout.set_up();
        assert_eq!(checkout.processes("postgres").len(), 1, "{inner}");
        assert_eq!(checkout.processes("dynamodb").len(), 1, "{inner}");
        // The next server finds the data.
        checkout.xtask("down").ok();
        checkout.xtask("up").ok();
        assert_eq!(checkout.xtask("ddb list-tables").ok().stdout, "cruddur-messages\n", "{inner}");
        assert_eq!(checkout.xtask("db test -o json").ok().json()[0]["users"], 5, "{inner}");
    }
}

pub(crate) fn state_folder_removed() {
    let checkout = Checkout::new();
    checkout.set_up();
    let before = checkout.processes("postgres");
    fs::remove_dir_all(checkout.state("")).unwrap();
    checkout.xtask("db test").fails(3).says(&["is not running", "`cargo xtask prepare`"]);
    checkout.xtask("ddb-setup").ok();
    wait_for("end of the first DynamoDB", Duration::from_secs(10), || {
        (checkout.processes("dynamodb").len() == 1).then_some(())
    });
    // Postgres checks its lock file once a minute.
    wait_for("end of the first Postgres", Duration::from_secs(100), || {
        (!checkout.processes("postgres").contains(&before[0])).then_some(())
    });
    checkout.set_up();
}

pub(crate) fn lock_file_removed() {
    let checkout = Checkout::new();
    checkout.set_up();
    let before = checkout.processes("postgres");
    fs::remove_file(checkout.state("postgres.lock")).unwrap();
    // In another namespace, if possible, where Postgres itself does not see the first server.
    let namespace = ["--pid", "--ipc", "--fork", "--mount-proc"];
    let works = Command::new("unshare").args(namespace).arg("true").status();
    let up = checkout.xtask("up");
    let up = if works.is_ok_and(|it| it.success()) { up.through("unshare", &namespace) } else { up }.ok();
    up.says(&["wait a minute for a server whose lock file was removed"]);
    assert!(!checkout.processes("postgres").contains(&before[0]), "the first one has ended");
    checkout.xtask("up").ok();
    assert_eq!(checkout.xtask("db test -o json").ok().json()[0]["users"], 5);
}

#[test]
fn servers_whose_data_was_removed_are_stopped() {
    let checkout = Checkout::new();
    checkout.set_up();
    fs::remove_dir_all(checkout.state("postgres")).unwrap();
    checkout.xtask("db test").fails(3).says(&[
        "is not running",
        "has lost its data",
        "`cargo xtask prepare`",
    ]);
    checkout.xtask("down").ok().says(&["Postgres: stop process"]);
    assert!(checkout.processes("postgres").is_empty() && checkout.processes("dynamodb").is_empty());
}

#[test]
fn data_whose_removal_was_interrupted_is_gone() {
    let checkout = Checkout::new();
    for milliseconds in (5..100).step_by(10) {
        checkout.set_up();
        let run = checkout.xtask("down --volumes").start();
        std::thread::sleep(Duration::from_millis(milliseconds));
        run.signal("KILL");
        drop(run);
        checkout.set_up();
    }
    checkout.xtask("down --volumes").ok();
    assert!(!checkout.state("postgres.new").exists());
}
