//! Commands in a checkout where nothing runs, while another checkout's databases answer at the ports it would use.

use std::time::Duration;

use super::run::{Ran, Run};

const READING: [&str; 9] = [
    "db connect",
    "db sessions",
    "db test",
    "ddb list-tables",
    "ddb scan",
    "ddb query --pk a",
    "ddb export out.jsonl",
    "ddb patterns get-conversation",
    "ddb patterns list-conversations",
];

const WRITING: [&str; 12] = [
    "db create",
    "db drop",
    "db schema-load",
    "db seed",
    "db setup",
    "db kill-all",
    "ddb schema-load",
    "ddb drop cruddur-messages",
    "ddb seed",
    "ddb seed --messages 5",
    r#"ddb put {"pk":"a","sk":"2"}"#,
    "ddb delete a 1",
];

/// Asserts that no command takes the neighbour's databases, at these ports, for its own.
#[track_caller]
pub(crate) fn assert_not_taken_for_ours(ports: [u16; 2], run: impl Fn(&str) -> Run) {
    for line in READING {
        assert_is_refused(&run(line).fails(3), ports);
    }
    assert_is_refused(&run("env").fails(3), ports);
    for line in WRITING {
        assert_is_refused(&run(line).fails(3), ports);
        assert_is_refused(&run(line).arg("--dry-run").fails(3), ports);
    }
    let status = run("status -o json").end().json();
    for (row, port) in status.as_array().unwrap().iter().zip(ports) {
        assert_eq!(row["runs_in"], "none", "{status:#}");
        assert!(
            row["answer"].as_str().unwrap().starts_with(&format!("none: {}", answers(port))),
            "{status:#}"
        );
    }
    let doctor = run("doctor -o json").end();
    assert!(!doctor.stdout.contains("this checkout's"), "{doctor}");
}

fn answers(port: u16) -> String {
    format!("127.0.0.1:{port} is used by ")
}

#[track_caller]
fn assert_is_refused(failed: &Ran, ports: [u16; 2]) {
    failed.within(Duration::from_secs(20));
    failed.says(&[" is not running\n", "help: `cargo xtask prepare` starts both databases"]);
    assert!(ports.iter().any(|port| failed.stderr.contains(&answers(*port))), "{failed}");
    assert_eq!(failed.stdout, "", "{failed}");
}
