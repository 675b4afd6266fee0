//! The same commands print the same on every engine.

use std::fs;
use std::process::Command;

use crate::common::checkout::Checkout;
use crate::common::run::Ran;
use crate::common::{Workspace, free_port};

/// Commands that print data or refusals. Their output does not depend on the time or the place.
const COMMANDS: [&str; 29] = [
    "ddb list-tables",
    "ddb list-tables -o json",
    "ddb scan",
    "ddb scan -o json",
    "ddb scan -o jsonl",
    "ddb scan --count",
    "ddb scan --count -o json",
    "ddb scan -o jsonl --dynamodb-json --filter user_handle=:h --values :h=bayko",
    "ddb scan -o jsonl --segments 3",
    "ddb query --pk MSG#5ae290ed-55d1-47a0-bc6d-fe2bc2700399 --limit 3",
    "ddb query --pk MSG#5ae290ed-55d1-47a0-bc6d-fe2bc2700399 -o json --desc --begins-with 2023-03-20T13",
    "ddb query --pk MSG#5ae290ed-55d1-47a0-bc6d-fe2bc2700399 --count --ge 2023-03-20T14:00",
    r#"ddb put -o json {"pk":"parity","sk":"1","n":1.50,"l":[true,null]}"#,
    r#"ddb put -o json {"pk":"parity","sk":"1","n":-2e3}"#,
    "ddb get -o json parity 1",
    "ddb delete -o json parity 1",
    "ddb get parity 1",
    "ddb patterns get-conversation",
    "ddb patterns get-conversation -o json",
    "ddb patterns get-conversation -o jsonl --limit 3",
    "ddb patterns get-conversation --all",
    "ddb patterns get-conversation --all -o json",
    "ddb patterns get-conversation --year 2023",
    "ddb patterns get-conversation --from 2023-03-20T14:00:00Z -o jsonl",
    "ddb patterns list-conversations",
    "ddb patterns list-conversations -o json --handle bayko",
    "ddb patterns list-conversations --handle nobody",
    "ddb drop no-such-table",
    "ddb schema-load",
];

const SET_UP: &str = "ddb-setup --now 2023-03-20T14:05:09Z";

/// The output and exit status of each command. DynamoDB chooses the order of a scan, so its lines are sorted.
fn transcript(run: impl Fn(&str) -> Ran) -> Vec<String> {
    let entry = |command: &&str| {
        let ran = run(command);
        let mut lines: Vec<&str> = ran.stdout.lines().collect();
        if command.starts_with("ddb scan") {
            lines.sort_unstable();
        }
        format!("{command}: {:?}\n{}", ran.code, lines.join("\n"))
    };
    COMMANDS.iter().map(entry).collect()
}

#[test]
#[ignore = "needs Docker"]
fn docker_embedded_and_external_print_the_same() {
    let embedded = Checkout::new();
    embedded.xtask(SET_UP).ok();
    let by_embedded = transcript(|command| embedded.xtask(command).end());

    let docker = on_docker("parity");
    let _stopped = Stopped(&docker);
    docker.xtask(SET_UP).ok();
    let by_docker = transcript(|command| docker.xtask(command).end());

    // The external engine uses Docker's databases, by their settings alone.
    let external = external(&docker);
    external.xtask(SET_UP).ok().says(&["engine external"]);
    let by_external = transcript(|command| external.xtask(command).end());

    for ((docker, embedded), external) in by_docker.iter().zip(&by_embedded).zip(&by_external) {
        assert_eq!(docker, embedded);
        assert_eq!(docker, external);
    }
}

/// A workspace on Docker with its own project.
fn on_docker(name: &str) -> Workspace {
    let docker = Workspace::new()
        .with("COMPOSE_PROJECT_NAME", format!("xtask-{name}-{}", std::process::id()))
        .with("CRUDDUR_ENGINE", "docker")
        .with("POSTGRES_PORT", free_port())
        .with("DYNAMODB_PORT", free_port());
    let images = ["DOCKER_HOST", "POSTGRES_IMAGE", "DYNAMODB_IMAGE"];
    let images = images.iter().filter_map(|name| Some((name, std::env::var(name).ok()?)));
    images.fold(docker, |docker, (name, value)| docker.with(name, value))
}

const SETTINGS: [&str; 2] = ["CONNECTION_URL", "AWS_ENDPOINT_URL_DYNAMODB"];

/// A workspace whose external databases are those of `other`.
fn external(other: &Workspace) -> Workspace {
    let settings = other.xtask("env --format json").shows_secrets().ok().json();
    SETTINGS
        .iter()
        .fold(Workspace::new(), |external, name| external.with(name, settings[name].as_str().unwrap()))
}

/// The output of `pg_dump --data-only`, and the items, sorted.
fn contents(workspace: &Workspace) -> [Vec<String>; 2] {
    let settings = workspace.xtask("env --format json").shows_secrets().ok().json();
    let dump = Command::new("pg_dump")
        .args(["--data-only", "--dbname", settings[SETTINGS[0]].as_str().unwrap()])
        .output()
        .unwrap();
    assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
    // Comments contain versions and the owner; newer versions put a random word into the other two.
    let left_out = ["--", r"\restrict", r"\unrestrict"];
    let rows = String::from_utf8(dump.stdout).unwrap();
    let rows = rows.lines().filter(|line| !left_out.iter().any(|start| line.starts_with(start)));
    let rows: Vec<_> = rows.map(str::to_owned).collect();
    assert!(rows.iter().any(|row| row.contains("andrewbrown")));
    let scan = workspace.xtask("ddb scan -o jsonl --dynamodb-json").ok().stdout;
    let mut items: Vec<_> = scan.lines().map(str::to_owned).collect();
    items.sort();
    [rows, items]
}

/// An item with every type of value.
const EVERY_TYPE: &str = r#"{"pk": {"S": "TYPES"}, "sk": {"S": "1"}, "n": {"N": "1.5"}, "b": {"B": "AAEC"},
    "bool": {"BOOL": true}, "null": {"NULL": true}, "l": {"L": [{"S": "a"}, {"N": "-1000"}]},
    "m": {"M": {"ä": {"S": "\u0007"}}}, "ss": {"SS": ["a"]}, "ns": {"NS": ["1"]}, "bs": {"BS": ["AA=="]}}"#;

#[test]
#[ignore = "needs Docker"]
fn a_snapshot_of_each_engine_is_restored_on_each() {
    let (embedded, others) = (Checkout::new(), Checkout::new());
    let docker = on_docker("snapshot");
    let _stopped = Stopped(&docker);
    for workspace in [&*embedded, &*others, &docker] {
        workspace.xtask("ddb-setup").ok();
    }
    let external = external(&others);
    let all = [&*embedded, &docker, &external];
    for from in 0..all.len() {
        let name = format!("of-{from}");
        let item = EVERY_TYPE.replace("TYPES", &name);
        all[from].xtask("ddb put").arg(&item).ok();
        all[from].xtask(&format!("snapshot save {name}")).ok();
        let saved = contents(all[from]);
        let folder = format!(".cruddur/snapshots/{name}");
        for to in (0..all.len()).filter(|to| *to != from) {
            fs::create_dir_all(all[to].path(&folder)).unwrap();
            for file in fs::read_dir(all[from].path(&folder)).unwrap().flatten() {
                fs::copy(file.path(), all[to].path(&folder).join(file.file_name())).unwrap();
            }
            all[to].xtask("ddb-setup").ok();
            all[to].xtask(&format!("snapshot restore {name}")).ok();
            assert_eq!(contents(all[to]), saved, "from {from} to {to}");
        }
    }
}

/// Dropping it stops a workspace's databases.
struct Stopped<'a>(&'a Workspace);

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        drop(self.0.xtask("down --volumes").end());
    }
}
