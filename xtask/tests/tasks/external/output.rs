//! The streams: data to stdout, everything else to stderr, plain text unless it is a terminal.

use std::io::{BufRead as _, BufReader, Read as _};

#[cfg(target_os = "linux")]
use std::process::Command;
use std::process::Stdio;

use serde_json::Value;

use super::{DynamoDbOnly, TABLE, World};
use crate::common::run::Ran;
#[cfg(target_os = "linux")]
use crate::common::run::output_of;

#[test]
fn a_closed_pipe_ends_a_command_quietly() {
    let world = DynamoDbOnly::new();
    world.xtask("ddb schema-load").ok();
    // Much more than a pipe holds, so that the program writes after the reader has gone.
    let text = "x".repeat(100_000);
    for number in 0..20 {
        world.endpoint().put(TABLE, &[("pk", "a"), ("sk", &number.to_string()), ("text", &text)]);
    }
    for line in [
        "ddb scan -o jsonl",
        "ddb scan -o json",
        "ddb scan -o table",
        "ddb scan -o jsonl --segments 4",
        "ddb scan -o jsonl --limit 19",
        "ddb query --pk a -o jsonl",
        "ddb get a 1",
    ] {
        let mut command = world.xtask(line).into_command();
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut first = String::new();
        let mut reader = BufReader::with_capacity(100, child.stdout.take().unwrap());
        reader.read_line(&mut first).unwrap();
        drop(reader);
        let mut stderr = String::new();
        child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        let status = child.wait().unwrap();
        assert!(!first.is_empty());
        assert_eq!(status.code(), Some(0), "{line}: {stderr}");
        assert!(!stderr.contains("error") && !stderr.contains("panicked"), "{line}: {stderr}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn an_output_that_takes_no_more_is_named() {
    let world = DynamoDbOnly::new();
    world.xtask("ddb schema-load").ok();
    world.endpoint().put(TABLE, &[("pk", "a"), ("sk", "b")]);
    for line in ["ddb scan", "ddb scan -o json", "ddb get a b", "ddb list-tables", "ddb list-tables -o json"]
    {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let ran = world.xtask(line).into_command().stdin(Stdio::null()).stdout(full).output().unwrap();
        let stderr = String::from_utf8(ran.stderr).unwrap();
        assert_eq!(ran.status.code(), Some(1), "{line}: {stderr}");
        assert!(stderr.contains("error"), "{line}: {stderr}");
        let error = "cannot write to standard output: No space left on device (os error 28)";
        assert!(stderr.contains(error), "{line}: {stderr}");
    }
}

#[test]
fn steps_are_printed_on_stderr_only() {
    let world = World::new();
    for line in
        ["ddb-setup", "up", "db seed", "db kill-all", "ddb seed", "db setup", "ddb drop cruddur-messages"]
    {
        let ran = world.xtask(line).ok();
        assert_eq!(ran.stdout, "", "{line}");
        assert_ne!(ran.stderr, "", "{line}");
    }
}

#[test]
fn without_a_terminal_the_output_is_plain() {
    let world = World::new();
    let ran = world.xtask("ddb-setup").env("TERM", "xterm-256color").ok();
    assert!(!ran.stderr.contains(['\x1b', '\r']), "{ran}");
}

#[test]
#[cfg(target_os = "linux")]
fn on_a_terminal_progress_is_drawn_unless_ci_and_coloured_unless_no_color() {
    let world = World::new();
    let on_terminal = |variables: &[(&str, &str)]| {
        let run = variables.iter().fold(world.xtask("ddb-setup"), |run, (name, value)| run.env(name, value));
        let (code, text) = typescript(run.env("TERM", "xterm-256color").into_command(), "");
        assert_eq!(code, Some(0), "{text}");
        text
    };
    let green = "\x1b[32m";
    let watched = on_terminal(&[]);
    assert!(watched.contains(green), "{watched:?}");
    let colourless = on_terminal(&[("NO_COLOR", "1")]);
    assert!(colourless.contains('\x1b') && !colourless.contains(green), "{colourless:?}");
    let in_ci = on_terminal(&[("CI", "true")]);
    assert!(!in_ci.contains('\x1b') && in_ci.contains("... Postgres: load"), "{in_ci:?}");
}

/// Runs a command on a terminal, provided by util-linux's `script`. Returns the exit status and the terminal's
/// content. `typed` is the user's input.
#[cfg(target_os = "linux")]
pub(crate) fn typescript(command: Command, typed: &str) -> (Option<i32>, String) {
    on_terminal("", command, typed)
}

/// Like [`typescript`], on a terminal with this many columns and without input.
#[cfg(target_os = "linux")]
pub(crate) fn typescript_in(columns: u16, command: Command) -> (Option<i32>, String) {
    typescript_after(&format!("stty rows 50 cols {columns}"), command)
}

/// Like [`typescript`], on a terminal that the shell command `first` sets up, and without input.
#[cfg(target_os = "linux")]
pub(crate) fn typescript_after(first: &str, command: Command) -> (Option<i32>, String) {
    on_terminal(&format!("{first}; "), command, "")
}

#[cfg(target_os = "linux")]
fn on_terminal(first: &str, command: Command, typed: &str) -> (Option<i32>, String) {
    let program = command.get_program().to_str().unwrap().to_owned();
    let words = command.get_args().map(|word| format!(" '{}'", word.to_str().unwrap()));
    let line = format!("{first}'{program}'{}", words.collect::<String>());
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", &line, "/dev/null"]).env_clear();
    script.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = output_of(script, typed.into(), std::time::Duration::from_secs(60));
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

#[cfg(target_os = "linux")]
#[test]
fn a_table_that_is_wider_than_the_terminal_is_printed_a_value_a_line() {
    let world = World::new();
    let status = world.xtask("status").env("TERM", "xterm").into_command();
    let (code, shown) = typescript_in(40, status);
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("\r\n engine   external\r\n") && shown.contains(" answer   "), "{shown}");
}

#[test]
fn quiet_leaves_only_data_warnings_and_errors() {
    let world = World::new();
    let quiet =
        ["up -q", "ddb-setup --quiet", "prepare -q", "db seed -q", "ddb seed -q", "snapshot save mine -q"];
    for line in quiet.into_iter().chain(["snapshot delete mine -q", "status -q"]) {
        assert_eq!(world.xtask(line).ok().stderr, "", "{line}");
    }
    let scanned = world.xtask("ddb scan -q --count").ok();
    assert_eq!((scanned.stdout.as_str(), scanned.stderr.as_str()), ("138\n", ""));
    world.xtask("ddb put -q").arg(r#"{"pk":"mine","sk":"1"}"#).ok();
    let lost = world.xtask("ddb-setup -q").ok();
    assert!(
        lost.stderr.starts_with("warning: this deletes 5 users, 4 activities, 139 items, some of which"),
        "{lost}"
    );
    assert_eq!(lost.stderr.lines().count(), 1, "{lost}");
    let failed = world.xtask("ddb schema-load -q").fails(1);
    assert!(failed.stderr.starts_with("error: DynamoDB: could not create table"), "{failed}");
    world.xtask("ddb drop cruddur-messages -q --dry-run").ok().says(&["dry run: it would drop the table"]);
}

#[test]
fn help_and_version_are_data() {
    let workspace = crate::common::Workspace::new();
    for line in ["--help", "--version", "ddb --help", "ddb patterns get-conversation --help"] {
        let ran = workspace.xtask(line).ok();
        assert_ne!(ran.stdout, "", "{line}");
        assert_eq!(ran.stderr, "", "{line}");
    }
    let help = workspace.xtask("--help").ok();
    for command in ["ddb-setup", "up", "down", "status", "logs", "env", "db", "ddb"] {
        assert!(help.stdout.contains(&format!("\n  {command} ")), "{command}: {help}");
    }
}

#[test]
fn wrong_usage_exits_2_and_says_so_on_stderr() {
    let workspace = crate::common::Workspace::new();
    for line in [
        "frobnicate",
        "ddb",
        "db frobnicate",
        "ddb list-tables -o xml",
        "--engine cloud status",
        "db create --confirm x",
    ] {
        let ran = workspace.xtask(line).end();
        assert_eq!(ran.code, Some(2), "{ran}");
        assert_eq!(ran.stdout, "", "{ran}");
        assert_ne!(ran.stderr, "", "{ran}");
    }
}

#[test]
#[should_panic(expected = "a secret was printed")]
fn the_harness_sees_a_secret_in_any_output() {
    let world = World::new();
    // `env` prints the password, and this run does not allow it.
    world.xtask("env").end();
}

#[test]
fn an_error_is_one_line_of_json_where_the_data_or_the_steps_are() {
    let world = World::set_up();
    let error = |ran: &Ran| -> Value { serde_json::from_str(ran.stderr.lines().last().unwrap()).unwrap() };
    let wrong = world.xtask("ddb scan -o json --limit x").fails(2);
    assert_eq!(wrong.stderr.lines().count(), 1, "{wrong}");
    assert!(error(&wrong)["error"].as_str().unwrap().contains("invalid value 'x'"), "{wrong}");
    assert_eq!(error(&wrong)["exit"], 2);
    let unreachable =
        world.xtask("ddb scan -o jsonl").env("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:9").fails(3);
    let told = error(&unreachable);
    assert_eq!(told["exit"], 3);
    assert_eq!(told["error"], "cannot scan table cruddur-messages");
    assert_eq!(told["causes"][0], "cannot reach DynamoDB at http://127.0.0.1:9");
    assert!(told["help"][0].as_str().unwrap().contains("AWS_ENDPOINT_URL_DYNAMODB"), "{unreachable}");
    let refused = world.xtask("db test -o json").env("CONNECTION_URL", "postgres://me@192.0.2.1/d").fails(4);
    assert_eq!(error(&refused)["exit"], 4);
    // `-o json` is an argument of psql here.
    assert!(!world.xtask("db connect --dry -- -o json").end().stderr.starts_with('{'));
}

#[test]
fn steps_are_lines_of_json_on_request() {
    let world = World::new();
    let lines = |ran: &Ran| -> Vec<Value> {
        ran.stderr.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
    };
    let all = lines(&world.xtask("ddb-setup --progress json").ok());
    let steps: Vec<_> = all.iter().filter(|line| line["step"].is_string()).collect();
    let states = |state: &str| steps.iter().filter(|step| step["state"] == state).count();
    assert!(states("started") > 6 && states("started") == states("done"), "{steps:?}");
    let seed = steps.iter().find(|step| step["step"] == "DynamoDB: seed 138 items into cruddur-messages");
    assert!(seed.is_some(), "{steps:?}");
    let done = steps.iter().find(|step| step["state"] == "done").unwrap();
    assert!(done["seconds"].as_f64().unwrap() < 60.0 && done["detail"].is_string(), "{done}");
    assert!(all.iter().any(|line| line["message"].as_str().is_some_and(|text| text.contains("5 users"))));

    world.write("backend-flask-rs/db/seed.sql", "nonsense;");
    let failed = lines(&world.xtask("db seed --progress json").end());
    assert!(failed.iter().any(|line| line["state"] == "failed"), "{failed:?}");
    assert_eq!(failed.last().unwrap()["exit"], 2);
    let quiet = lines(&world.xtask("db seed --progress json --quiet").end());
    assert_eq!(quiet.len(), 1, "{quiet:?}");
    let plain = world.xtask("db test --progress plain").ok();
    assert_eq!(plain.stderr, "");
}
