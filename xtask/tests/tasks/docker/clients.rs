//! Other clients read exactly what was written: psql, the AWS CLI, boto3.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::project::{Project, built_in_lines};
use crate::common::PASSWORD;

const NOW: &str = "2026-01-01T00:02:00Z";
/// The sort key of the last message if the conversation ends at [`NOW`].
const LAST: &str = "2026-01-01T00:02:00.000000+00:00";
const TABLE: &str = "cruddur-messages";
const SEED_GROUP: &str = "5ae290ed-55d1-47a0-bc6d-fe2bc2700399";

/// A client program with the settings for a local DynamoDB and none of the user's.
fn client(program: &str) -> Command {
    let mut command = Command::new(program);
    for variable in ["AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB"] {
        command.env_remove(variable);
    }
    for variable in ["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"] {
        command.env(variable, "/nonexistent");
    }
    for variable in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
        command.env(variable, "local");
    }
    command
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .stdin(Stdio::null());
    command
}

/// The output of a client program, which must succeed.
#[track_caller]
fn printed(command: &mut Command) -> String {
    let output = command.output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}; `.ci/prepare` installs it"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
fn aws(project: &Project, arguments: &[&str]) -> Value {
    let mut command = client("aws");
    command
        .args(["dynamodb", "--output", "json", "--endpoint-url", &project.endpoint().url()])
        .args(arguments);
    serde_json::from_str(&printed(&mut command)).unwrap()
}

#[test]
#[ignore = "needs Docker"]
fn the_aws_cli_boto3_and_psql_see_what_was_written() {
    let project = Project::new();
    project.xtask("ddb-setup --now").arg(NOW).ok();
    lists_and_scans(&project);
    for (command, request, expected) in [
        ("get-conversation", vec!["--limit", "20"], 20),
        ("get-conversation --all", vec![], built_in_lines()),
        ("get-conversation --limit 7", vec!["--limit", "7"], 7),
    ] {
        let mine = project.xtask(&format!("ddb patterns {command} -o json")).ok().json();
        // The newest messages are requested, but printed oldest first.
        let mut theirs = query(&project, &format!("MSG#{SEED_GROUP}"), &request);
        theirs["Items"].as_array_mut().unwrap().reverse();
        assert_eq!(mine, theirs, "{command}");
        assert_eq!(theirs["Count"], expected, "{command}");
    }
    for handle in ["andrewbrown", "bayko"] {
        let user = user(&project, handle);
        let mine = project.xtask("ddb patterns list-conversations -o json --handle").arg(handle).ok();
        assert_eq!(mine.json(), query(&project, &format!("GRP#{user}"), &[]), "{handle}");
    }
    reads_with_boto3(&project);
    assert_eq!(psql(&project, "show fsync"), "off");
}

#[test]
#[ignore = "needs Docker"]
fn a_large_table_is_read_as_the_aws_cli_reads_it() {
    let project = Project::new();
    project.xtask("ddb-setup --now").arg(NOW).ok();
    project.xtask("ddb seed --messages 6000").ok();
    let key = |item: &Value| ["pk", "sk"].map(|name| item[name]["S"].as_str().unwrap().to_owned());

    // Many pages, and enough items for several segments. Sorted, because the order depends on the client.
    let theirs = aws(&project, &["scan", "--table-name", TABLE])["Items"].take();
    let mut theirs: Vec<Value> = serde_json::from_value(theirs).unwrap();
    assert!(theirs.len() > 6_000, "{} items", theirs.len());
    let mut mine = project.xtask("ddb scan -o jsonl --dynamodb-json").ok().json_lines();
    assert_ne!(mine, theirs);
    mine.sort_by_key(key);
    theirs.sort_by_key(key);
    assert_eq!(mine, theirs);
    let counted = project.xtask("ddb scan --count").ok().stdout;
    assert_eq!(counted.trim().parse(), Ok(theirs.len()));

    let pk = format!("MSG#{SEED_GROUP}");
    for (mine, options) in [("", vec![]), ("--limit 7", vec!["--limit", "7"])] {
        let queried = project.xtask(&format!("ddb query -o json --desc {mine} --pk {pk}")).ok();
        assert_eq!(queried.json(), query(&project, &pk, &options), "{mine}");
    }
    let key = json!({ "pk": { "S": pk }, "sk": { "S": LAST } }).to_string();
    let got = aws(&project, &["get-item", "--table-name", TABLE, "--key", &key]);
    assert_eq!(project.xtask(&format!("ddb get -o json {pk} {LAST}")).ok().json(), got);
    assert!(got["Item"]["message"]["S"].is_string());
}

#[test]
#[ignore = "needs Docker"]
fn data_of_other_clients_is_verified_and_fixed() {
    let project = Project::new();
    project.xtask("ddb-setup --now").arg(NOW).ok();
    // Enough items for several segments.
    project.xtask("ddb seed --messages 6000").ok();
    let agree = project.xtask("verify").ok().stdout;
    assert!(agree.starts_with("all agree: 17 users, 61 groups, 6136 messages"), "{agree}");
    psql(&project, "update public.users set handle = 'bay' where handle = 'bayko'");
    let row = json!({ "pk": { "S": format!("GRP#{}", user(&project, "bay")) }, "sk": { "S": LAST } });
    let delete =
        ["delete-item", "--table-name", TABLE, "--return-values", "ALL_OLD", "--key", &row.to_string()];
    assert!(aws(&project, &delete)["Attributes"].is_object());
    let found = project.xtask("verify -o jsonl").end();
    assert_eq!(found.code, Some(1), "{found}");
    let found: Vec<_> = found.json_lines().iter().map(|line| line["kind"].to_string()).collect();
    let handles = found.iter().filter(|kind| kind.contains("handle other than in Postgres")).count();
    let rows = found.iter().filter(|kind| kind.contains("group with one row")).count();
    assert_eq!((handles, rows), (found.len() - 1, 1), "{found:?}");
    project.xtask("verify --fix").ok();
    assert_eq!(project.xtask("verify").ok().stdout, agree);
}

/// The result of `aws dynamodb query` for a pattern's request.
fn query(project: &Project, partition_key: &str, options: &[&str]) -> Value {
    let values = json!({ ":pk": { "S": partition_key } }).to_string();
    let request = [
        "query",
        "--table-name",
        TABLE,
        "--key-condition-expression",
        "pk = :pk",
        "--expression-attribute-values",
        &values,
        "--no-scan-index-forward",
        "--return-consumed-capacity",
        "TOTAL",
        "--no-paginate",
    ];
    aws(project, &[&request, options].concat())
}

/// A user's uuid according to psql.
fn user(project: &Project, handle: &str) -> String {
    psql(project, &format!("select uuid from public.users where handle = '{handle}'"))
}

fn psql(project: &Project, sql: &str) -> String {
    let mut psql = Command::new("psql");
    psql.args(["--no-psqlrc", "--tuples-only", "--no-align", "--command", sql]);
    psql.env("PGHOST", "127.0.0.1").env("PGPORT", project.postgres_port.to_string());
    psql.env("PGUSER", "postgres").env("PGPASSWORD", PASSWORD).env("PGDATABASE", "cruddur");
    printed(&mut psql).trim().to_owned()
}

fn lists_and_scans(project: &Project) {
    let tables = aws(project, &["list-tables"]);
    assert_eq!(tables, json!({ "TableNames": [TABLE] }));
    assert_eq!(project.xtask("ddb list-tables -o json").ok().json(), tables);

    let request = ["scan", "--table-name", TABLE, "--return-consumed-capacity", "TOTAL", "--no-paginate"];
    let scanned = aws(project, &request);
    assert_eq!(project.xtask("ddb scan -o json").ok().json(), scanned);
    let items = scanned["Items"].as_array().unwrap();
    assert_eq!(items.len(), built_in_lines() + 2);
    let strings = items.iter().flat_map(|item| item.as_object().unwrap().values());
    assert!(strings.into_iter().all(|value| value["S"].is_string()));

    // The stored text equals the seeded text.
    let text = crate::common::fixtures::CONVERSATION;
    let sent: Vec<_> = text.lines().map(|line| line.split_once(": ").unwrap().1).collect();
    let mut messages: Vec<_> = items.iter().filter(|item| item["message_uuid"]["S"].is_string()).collect();
    messages.sort_by_key(|item| item["sk"]["S"].as_str().unwrap().to_owned());
    let there: Vec<_> = messages.iter().map(|item| item["message"]["S"].as_str().unwrap()).collect();
    assert_eq!(there, sent);
    assert_eq!(messages.last().unwrap()["sk"]["S"], LAST);
}

/// Reads a conversation as the old scripts did.
fn reads_with_boto3(project: &Project) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tasks/docker/read.py");
    let mut python = client("python3");
    python.args([script, &project.endpoint().url(), TABLE, &user(project, "andrewbrown")]);
    let read: Value = serde_json::from_str(&printed(&mut python)).unwrap();
    let lines = built_in_lines() as u64;
    assert_eq!(read["groups"], json!([{ "group": SEED_GROUP, "with": "bayko", "at": 1767225720.0 }]));
    assert_eq!(read["messages"], lines);
    assert_eq!(read["first"], json!(1767225720.0 - 60.0 * (lines - 1) as f64));
    assert_eq!(read["last"], 1767225720.0);
}
