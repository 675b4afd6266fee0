//! No command prints passwords, keys or tokens, whatever happens. Each run's whole output is searched for them
//! (`Ran::assert_no_secrets`). These tests run every command, with and without faults.

use std::time::Duration;

use super::daemon::{self, Then};
use super::{World, line, lines};
use crate::common::run::{Ran, Run};
use crate::common::world::production;
use crate::common::{PASSWORD_IN_URL, SESSION_TOKEN, WRONG_PASSWORD, Workspace};

fn arguments(command: &str) -> &'static [&'static str] {
    match command {
        "completions" => &["bash"],
        "ddb drop" => &["cruddur-messages"],
        "ddb query" => &["--pk", "a"],
        "ddb get" | "ddb delete" => &["a", "000001"],
        "ddb update" => &["a", "000001", "--expression", "set n = :n", "--values", ":n=1"],
        "ddb put" => &[r#"{"pk":"a","sk":"000001"}"#],
        "ddb export" => &["out.jsonl", "--force"],
        "ddb import" => &["made.jsonl"],
        "logs" => &["--tail", "5"],
        "snapshot save" | "snapshot restore" | "snapshot delete" => &["kept"],
        _ => &[],
    }
}

/// Every command in the help that has no subcommands.
fn commands(workspace: &Workspace, group: &str) -> Vec<String> {
    let help = workspace.xtask(group).arg("--help").ok().stdout;
    if !help.contains("<COMMAND>") {
        return vec![group.trim().to_owned()];
    }
    let (list, _) = help.split_once("\nGlobal options:\n").unwrap();
    // A name is indented by two places. Its description may continue in the next line, indented further.
    let names = list.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    let names = names.filter(|name| !["", "help"].contains(name));
    names.flat_map(|name| commands(workspace, &format!("{group} {name}"))).collect()
}

/// How many commands run concurrently. Most of them wait for a bound.
const AT_ONCE: usize = 4;

fn with_all(workspace: &Workspace, each: impl Fn(usize, &str) + Sync) {
    let commands = commands(workspace, "");
    assert!(
        commands.len() > 20 && commands.contains(&"ddb patterns get-conversation".to_owned()),
        "{commands:?}"
    );
    let numbered: Vec<_> = commands.iter().enumerate().collect();
    std::thread::scope(|scope| {
        for first in 0..AT_ONCE {
            let (numbered, each) = (&numbered, &each);
            scope.spawn(move || {
                numbered
                    .iter()
                    .skip(first)
                    .step_by(AT_ONCE)
                    .for_each(|(number, command)| each(*number, command));
            });
        }
    });
}

/// Runs every command, changed by `worse`, in every output format that it has.
fn run_all(workspace: &Workspace, worse: impl Fn(Run) -> Run + Sync) {
    with_all(workspace, |number, command| {
        let format = ["table", "json", "jsonl"][number % 3];
        let ran = |options: &[&str]| {
            let run = arguments(command).iter().chain(options).fold(workspace.xtask(command), Run::arg);
            let run = worse(run).env("RUST_BACKTRACE", "full").env("RUST_LOG", "trace");
            // `env` prints settings, and passwords with them.
            let run = if command == "env" { run.shows_secrets() } else { run };
            if command == "run" { end_of_app(run) } else { run.end() }
        };
        let mut ended = ran(&["--verbose", "-o", format]);
        // The command does not have this format.
        if is_mistaken(&ended) {
            ended = ran(&["--verbose"]);
        }
        assert_known(command, &ended);
    });
}

/// The app runs until it is told to end, unless something prevents its start.
fn end_of_app(run: Run) -> Ran {
    let mut app = run.start();
    if app.says_before_its_end("listening") {
        app.signal("TERM");
    }
    app.end_within(Duration::from_secs(60))
}

/// Asserts that the command line is right, because this test might not know a new command. For psql the status means
/// something else.
fn assert_known(command: &str, ran: &Ran) {
    assert!(!is_mistaken(ran) || command == "db connect", "how is it run? {ran}");
}

/// Whether the command line is wrong.
fn is_mistaken(ran: &Ran) -> bool {
    ran.code == Some(2) && ran.stderr.contains("Usage: cargo xtask")
}

fn world() -> World {
    let world = World::with_known_seed();
    world.write("made.jsonl", &lines(10));
    world
}

#[test]
fn no_secret_is_printed_where_all_is_well() {
    run_all(&world(), |run| run);
}

#[test]
fn no_secret_is_printed_where_a_password_is_wrong() {
    let world = world();
    let wrong = world.database.url_with("cruddur-tests", WRONG_PASSWORD);
    run_all(&world, |run| run.env("CONNECTION_URL", &wrong));
}

#[test]
fn no_secret_is_printed_where_nobody_listens() {
    let world = world();
    let (_socket, port) = line::nobody();
    let (nowhere, nothing) = (world.database.url_at(port), format!("http://127.0.0.1:{port}"));
    run_all(&world, |run| run.env("CONNECTION_URL", &nowhere).env("AWS_ENDPOINT_URL_DYNAMODB", &nothing));
}

#[test]
fn no_secret_is_printed_where_a_setting_is_invalid() {
    let world = world();
    for url in [
        "mysql://me:PASSWORD@host/database",
        "postgresql://me:PASSWORD@host:port/database",
        "postgresql://me:PASSWORD@/database?password=PASSWORD",
        "host=127.0.0.1 user=me password=PASSWORD nonsense",
        "postgresql://me:PASSWORD@127.0.0.1:1/database?passwrod=PASSWORD",
    ] {
        run_all(&world, |run| run.env("CONNECTION_URL", url.replace("PASSWORD", PASSWORD_IN_URL)));
    }
    for url in ["http://me:PASSWORD@127.0.0.1:1", "me:PASSWORD@127.0.0.1:1", "ftp://me:PASSWORD@host"] {
        let url = url.replace("PASSWORD", WRONG_PASSWORD);
        run_all(&world, |run| run.env("AWS_ENDPOINT_URL_DYNAMODB", &url));
    }
}

/// Runs all commands with `--prod`, which ignores the local settings.
fn run_all_of_production(world: &World, url: &str, endpoint: &str) {
    let workspace = production(url, endpoint).with("AWS_SESSION_TOKEN", SESSION_TOKEN);
    workspace.write("made.jsonl", &lines(10));
    with_all(&workspace, |_, command| {
        let help = workspace.xtask(command).arg("--help").ok().stdout;
        if !help.contains("--prod") {
            return;
        }
        let run = |confirm: Option<&str>| {
            let run = arguments(command).iter().fold(workspace.xtask(command), Run::arg).arg("--prod");
            let run = confirm.into_iter().fold(run, |run, name| run.arg("--confirm").arg(name));
            assert_known(command, &run.env("RUST_BACKTRACE", "1").end());
        };
        run(None);
        if help.contains("--confirm") {
            run(Some(&world.database.name));
            run(Some(super::TABLE));
        }
    });
}

#[test]
fn no_secret_of_production_is_printed() {
    let world = world();
    let (url, endpoint) = (world.database.url(), world.endpoint().url());
    run_all_of_production(&world, &url, &endpoint);
    run_all_of_production(&world, &world.database.url_with("me", WRONG_PASSWORD), &endpoint);
    let (_socket, port) = line::nobody();
    let nothing = format!("http://me:{WRONG_PASSWORD}@127.0.0.1:{port}");
    run_all_of_production(&world, &world.database.url_at(port), &nothing);
    run_all_of_production(&world, &format!("mysql://me:{WRONG_PASSWORD}@h/d"), "nonsense");
}

#[test]
fn no_secret_is_printed_where_docker_fails() {
    let (workspace, socket) = daemon::workspace();
    daemon::start(&socket, Then::Fails);
    workspace.write("made.jsonl", &lines(10));
    workspace.edit(
        "docker-compose.yml",
        "POSTGRES_PASSWORD: password",
        &format!("POSTGRES_PASSWORD: {WRONG_PASSWORD}"),
    );
    run_all(&workspace, |run| run);
    workspace.edit("docker-compose.yml", WRONG_PASSWORD, &format!("[{WRONG_PASSWORD}]"));
    run_all(&workspace, |run| run);
}
