//! `cargo xtask ddb-setup`.

use std::collections::HashSet;

use insta::assert_snapshot;
use serde_json::{Value, json};

use super::{NOW, SHORT_CONVERSATION, TABLE, World};
use crate::common::run::Ran;
use crate::common::{CONVERSATION, SCHEMA, SEED, Workspace, fixtures, from_repository};

/// The number of messages in the tests' conversation.
fn built_in_lines() -> usize {
    fixtures::CONVERSATION.lines().count()
}

/// The items of a table as lines, sorted by key.
fn lines(world: &World) -> Vec<String> {
    world.endpoint().items(TABLE).iter().map(Value::to_string).collect()
}

#[test]
fn from_nothing_both_databases_are_set_up() {
    let world = World::new();
    let ran = world.xtask("ddb-setup").ok();
    assert_eq!(ran.stdout, "");
    assert_eq!(world.database.column("select count(*)::text from users"), ["5"]);
    assert_eq!(world.database.column("select count(*)::text from activities"), ["4"]);

    let items = world.endpoint().items(TABLE);
    let (groups, messages): (Vec<_>, Vec<_>) =
        items.iter().partition(|item| item["pk"]["S"].as_str().unwrap().starts_with("GRP#"));
    assert_eq!((groups.len(), messages.len()), (2, built_in_lines()));
    let times: Vec<_> = messages.iter().map(|item| item["sk"]["S"].as_str().unwrap()).collect();
    let moments: Vec<_> = times.iter().map(|time| backend_flask::time::parse(time).unwrap()).collect();
    assert!(moments.windows(2).all(|pair| (pair[1] - pair[0]).num_seconds() == 60));
    let age = chrono::Utc::now() - *moments.last().unwrap();
    assert!((0..60).contains(&age.num_seconds()), "the last message was sent {age} ago");
    for time in times {
        let form = time.replace(|c: char| c.is_ascii_digit(), "0");
        assert_eq!(form, "0000-00-00T00:00:00.000000+00:00");
    }
    let uuids: HashSet<_> = messages.iter().map(|item| item["message_uuid"]["S"].as_str()).collect();
    assert_eq!(uuids.len(), messages.len());
    ran.says(&["5 users, 4 activities", &format!("{} items", items.len())]);
}

/// The other tests have seeds of their own, so that these files may be edited.
#[test]
fn the_repository_s_own_seeds_are_set_up() {
    let world = World::new();
    let [schema, seed, conversation] = [SCHEMA, SEED, CONVERSATION].map(from_repository);
    world.write(SEED, &seed);
    world.write(CONVERSATION, &conversation);
    world.xtask("ddb-setup").ok();
    world.xtask("verify").ok();
    let messages = conversation.lines().filter(|line| line.starts_with("Person ")).count();
    assert_eq!(world.endpoint().items(TABLE).len(), messages + 2);

    let counts = || {
        let sql = "select count(*)::text from users union all select count(*)::text from activities";
        world.database.column(sql)
    };
    let set_up = counts();
    world.database.execute(&schema);
    world.database.execute(&seed);
    assert_eq!(set_up, counts(), "rows that the files write");
}

#[test]
fn the_steps_come_in_order_and_each_says_how_long_it_took() {
    let world = World::new();
    let ran = world.xtask("ddb-setup").ok();
    let steps = ran.stderr.lines().filter_map(|line| line.strip_prefix("ok "));
    let ended: Vec<_> =
        steps.filter(|line| !line.contains("wait for")).map(|line| world.redact(line)).collect();
    assert_snapshot!(ended.join("\n"), @"
    Postgres: drop database DATABASE if it exists (TIME)
    Postgres: create database DATABASE (TIME)
    Postgres: load backend-flask-rs/db/schema.sql into DATABASE (TIME)
    Postgres: load backend-flask-rs/db/seed.sql into DATABASE (TIME)
    DynamoDB: drop table cruddur-messages if it exists (TIME)
    DynamoDB: create table cruddur-messages (TIME)
    DynamoDB: seed 138 items into cruddur-messages (TIME)
    ");
    for service in ["Postgres: wait for", "DynamoDB: wait for"] {
        ran.says(&[service]);
    }
    let started: Vec<_> = ran.stderr.lines().filter(|line| line.starts_with("... ")).collect();
    assert_eq!(started.len(), ended.len() + 2);
}

#[test]
fn a_repeated_set_up_gives_the_same_items() {
    let world = World::new();
    let set_up = || {
        world.xtask("ddb-setup --now").arg(NOW).ok();
        lines(&world)
    };
    let first = set_up();
    assert_eq!(first.len(), built_in_lines() + 2);
    assert_eq!(set_up(), first);
    let printed = world.xtask("ddb scan -o jsonl").ok();
    assert_eq!(printed.stdout.lines().count(), first.len());
}

#[test]
fn the_short_conversation_becomes_these_items() {
    let world = World::with_short_conversation();
    let scanned = world.xtask("ddb scan -o jsonl").ok();
    let mut lines: Vec<_> = scanned.stdout.lines().collect();
    lines.sort_unstable();
    assert_snapshot!(lines.join("\n"), @r#"
    {"message":"Happy new year?","message_uuid":"aa3a07ea-325a-5625-8f46-f386b4827947","pk":"MSG#5ae290ed-55d1-47a0-bc6d-fe2bc2700399","sk":"2025-12-31T23:58:00.000000+00:00","user_display_name":"Andrew Brown","user_handle":"andrewbrown","user_uuid":"9c1f4a52-6d0e-4b7b-8a3f-1f6a0c2d7e01"}
    {"message":"Not yet: two minutes to go.","message_uuid":"175cbb5a-c30b-53a2-a045-18fa60cd15b0","pk":"MSG#5ae290ed-55d1-47a0-bc6d-fe2bc2700399","sk":"2025-12-31T23:59:00.000000+00:00","user_display_name":"Andrew Bayko","user_handle":"bayko","user_uuid":"9c1f4a52-6d0e-4b7b-8a3f-1f6a0c2d7e02"}
    {"message":"éééééééééééééééééééééééééééééééééééééééé","message_uuid":"2e31d79a-9522-5d5f-b408-c0c20f16d5c0","pk":"MSG#5ae290ed-55d1-47a0-bc6d-fe2bc2700399","sk":"2026-01-01T00:00:00.000000+00:00","user_display_name":"Andrew Brown","user_handle":"andrewbrown","user_uuid":"9c1f4a52-6d0e-4b7b-8a3f-1f6a0c2d7e01"}
    {"message":"ééééééééééééééééééééééééééééééééééééééééé and one more","message_uuid":"03060dc7-ac7b-50be-a068-73e16ce8f56d","pk":"MSG#5ae290ed-55d1-47a0-bc6d-fe2bc2700399","sk":"2026-01-01T00:01:00.000000+00:00","user_display_name":"Andrew Bayko","user_handle":"bayko","user_uuid":"9c1f4a52-6d0e-4b7b-8a3f-1f6a0c2d7e02"}
    {"message":"🎉 \"Now!\"\t雨宮","message_group_uuid":"5ae290ed-55d1-47a0-bc6d-fe2bc2700399","pk":"GRP#9c1f4a52-6d0e-4b7b-8a3f-1f6a0c2d7e01","sk":"2026-01-01T00:02:00.000000+00:00","user_display_name":"Andrew Bayko","user_handle":"bayko","user_uuid":"9c1f4a52-6d0e-4b7b-8a3f-1f6a0c2d7e02"}
    {"message":"🎉 \"Now!\"\t雨宮","message_group_uuid":"5ae290ed-55d1-47a0-bc6d-fe2bc2700399","pk":"GRP#9c1f4a52-6d0e-4b7b-8a3f-1f6a0c2d7e02","sk":"2026-01-01T00:02:00.000000+00:00","user_display_name":"Andrew Brown","user_handle":"andrewbrown","user_uuid":"9c1f4a52-6d0e-4b7b-8a3f-1f6a0c2d7e01"}
    {"message":"🎉 \"Now!\"\t雨宮","message_uuid":"561ecd5e-fbf0-55be-a231-9562ed319e11","pk":"MSG#5ae290ed-55d1-47a0-bc6d-fe2bc2700399","sk":"2026-01-01T00:02:00.000000+00:00","user_display_name":"Andrew Brown","user_handle":"andrewbrown","user_uuid":"9c1f4a52-6d0e-4b7b-8a3f-1f6a0c2d7e01"}
    "#);
}

#[test]
fn any_earlier_data_is_replaced() {
    let world = World::with_short_conversation();
    let expected = lines(&world);
    // A table with another definition, and a database with other tables and an open session.
    let endpoint = world.endpoint();
    endpoint.call("DeleteTable", json!({ "TableName": TABLE }));
    crate::common::wait_for("end of the table", std::time::Duration::from_secs(10), || {
        endpoint.tables().is_empty().then_some(())
    });
    let key = json!([{ "AttributeName": "id", "KeyType": "HASH" }]);
    let attributes = json!([{ "AttributeName": "id", "AttributeType": "N" }]);
    let request = json!({ "TableName": TABLE, "KeySchema": key, "AttributeDefinitions": attributes, "BillingMode": "PAY_PER_REQUEST" });
    endpoint.call("CreateTable", request);
    world.database.execute("drop table users cascade; create view users as select 1 as one");
    let _session = world.database.session();

    world.xtask("ddb-setup --file conversation.txt --now").arg(NOW).ok();
    assert_eq!(lines(&world), expected);
    assert_eq!(world.database.column("select count(*)::text from users"), ["5"]);
}

#[test]
fn two_runs_at_once_both_end_well_one_after_the_other() {
    let world = World::new();
    let runs = [(); 2].map(|()| world.xtask("ddb-setup").start());
    let ended = runs.map(|run| run.end_within(std::time::Duration::from_secs(60)));
    for ran in &ended {
        assert_eq!(ran.code, Some(0), "{ran}");
    }
    assert!(ended.iter().any(|ran| ran.stderr.contains("waiting for ")), "{} {}", ended[0], ended[1]);
    assert_eq!(world.endpoint().items(TABLE).len(), built_in_lines() + 2);
}

#[test]
fn other_tables_and_databases_are_left_alone() {
    let (world, other) = (World::new(), World::new());
    other.xtask("db setup").ok();
    world.xtask("ddb schema-load").env("DDB_MESSAGE_TABLE", "other").ok();
    world.endpoint().put("other", &[("pk", "a"), ("sk", "1")]);
    world.xtask("ddb-setup").ok();
    assert_eq!(world.endpoint().items("other").len(), 1);
    assert_eq!(other.database.column("select count(*)::text from users"), ["5"]);
}

#[test]
fn a_bad_conversation_is_told_before_anything_is_changed() {
    let world = World::with_short_conversation();
    let before = lines(&world);
    world.database.execute("delete from activities");
    std::fs::write(world.path("bad.txt"), b"Person 1: Hello\nPerson 2: H\xe9\n").unwrap();
    let failed = world.xtask("ddb-setup --file bad.txt").fails(2);
    assert_snapshot!(failed.stderr, @"
    error: bad.txt:2: the text is not UTF-8
      help: save the file as UTF-8
    ");
    world.write("bad.txt", "Person 1: Hello\nPerson 3: Who am I?\n");
    let failed = world.xtask("ddb-setup --file bad.txt").fails(2);
    assert_snapshot!(failed.stderr, @r#"error: bad.txt:2: expected "Person 1: " or "Person 2: " and a message, found "Person 3: Who am I?""#);
    assert_eq!(lines(&world), before);
    assert_eq!(world.database.column("select count(*)::text from activities"), ["0"]);
}

#[test]
fn a_handle_that_nobody_has_stops_it_before_dynamodb_is_changed() {
    let world = World::with_short_conversation();
    let before = lines(&world);
    let failed = world.xtask("ddb-setup --person-2 nobody-has-it").fails(1);
    failed.says(&["nobody-has-it", "so far: Postgres is set up; DynamoDB is as it was", "--person-2 HANDLE"]);
    assert_eq!(lines(&world), before);
}

#[test]
fn another_pair_can_hold_the_conversation() {
    let world = World::new();
    world.write("conversation.txt", SHORT_CONVERSATION);
    world.xtask("ddb-setup --file conversation.txt --person-1 zoekestrel --person-2 teapot").ok();
    let items = world.endpoint().items(TABLE);
    let of = |handle: &str| items.iter().filter(|item| item["user_handle"]["S"] == handle).count();
    // One user sent three messages and the other two; one group row names each.
    assert_eq!((of("zoekestrel"), of("teapot")), (4, 3));
}

#[test]
fn there_is_no_production_form_of_it() {
    let workspace = Workspace::new();
    workspace.xtask("ddb-setup --prod").fails(2);
    workspace.xtask("ddb-setup prod").fails(2);
}

#[test]
fn the_summary_s_settings_work_in_a_shell() {
    let world = World::set_up();
    let printed = world.xtask("env").shows_secrets().ok();
    assert_eq!(printed.stderr, "");
    let shell = format!(
        "{}\nprintf '%s\\n' \"$CRUDDUR_ENGINE\" \"$CONNECTION_URL\" \"$AWS_ENDPOINT_URL_DYNAMODB\" \"$DDB_MESSAGE_TABLE\"",
        printed.stdout
    );
    let output = std::process::Command::new("sh").args(["-c", &shell]).env_clear().output().unwrap();
    let expected = format!("external\n{}\n{}\n{TABLE}\n", world.database.url(), world.endpoint().url());
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
}

#[test]
fn the_settings_come_in_the_forms_that_other_programs_read() {
    let world = World::set_up();
    let env = |format: &str| world.xtask("env --format").arg(format).shows_secrets().ok();
    assert_eq!(env("json").json()["CONNECTION_URL"], world.database.url());
    let line = format!("CONNECTION_URL={}", world.database.url());
    assert!(env("github").stdout.lines().any(|found| found == line));
    assert_eq!(world.xtask("env -o json").shows_secrets().ok().stdout, env("json").stdout);
    let typed = world.xtask("ddb scan users -o json").fails(2);
    typed
        .says(&["\"help\":[\"a table is named with '--table users'\"]", "unexpected argument 'users' found"]);
    let broken = world.xtask("env --format github").env("DDB_MESSAGE_TABLE", "two\nlines");
    broken.fails(1).says(&["DDB_MESSAGE_TABLE contains a line end"]);
    world.xtask("up -o json").fails(2).says(&["{\"error\":\"unexpected argument '-o'", "\"exit\":2}"]);

    // With a `.env` of these settings, another workspace uses the same databases.
    let other = Workspace::new();
    other.write(".env", &env("dotenv").stdout);
    assert_eq!(other.xtask("ddb list-tables").ok().stdout, format!("{TABLE}\n"));
    assert_eq!(other.xtask("db test -o jsonl").ok().json_lines()[0]["users"], 5);
}

#[test]
fn doctor_names_faults_and_remedies() {
    let world = World::new();
    let asked = |line: &str| world.xtask(line).env("DOCKER_HOST", "unix:///nonexistent/docker.sock").end();
    let doctor = || asked("doctor -o json");
    let verdict = |ran: &Ran, check: &str| {
        let rows = ran.json();
        let found = rows.as_array().unwrap().iter().find(|row| row["check"] == check).cloned();
        found.unwrap_or_else(|| panic!("{check}: {ran}"))
    };
    let well = doctor();
    assert_eq!(well.code, Some(0), "{well}");
    assert_eq!(verdict(&well, "docker-compose.yml")["verdict"], "ok");
    let docker = verdict(&well, "Docker at unix:///nonexistent/docker.sock");
    assert_eq!(docker["verdict"], "missing");
    assert!(docker["remedy"].as_str().unwrap().contains("DOCKER_HOST"), "{docker}");
    // Judged as the engine that is asked for.
    let of_docker = asked("doctor -o json --engine docker");
    assert_eq!(of_docker.code, Some(1), "{of_docker}");
    assert_eq!(verdict(&of_docker, "Docker at unix:///nonexistent/docker.sock")["verdict"], "BAD");
    assert_eq!(verdict(&of_docker, "engine")["found"], "docker cannot be used");

    world.write("docker-compose.yml", "services: [\n");
    let ill = doctor();
    assert_eq!(ill.code, Some(1), "{ill}");
    let compose = verdict(&ill, "docker-compose.yml");
    assert_eq!(compose["verdict"], "BAD");
    assert_ne!(compose["remedy"], "");
}

#[test]
fn status_tells_where_both_are_and_whether_they_answer() {
    let world = World::new();
    world.xtask("ddb-setup").ok();
    let status = world.xtask("status -o json").ok();
    let facts = |row: &Value| {
        let facts =
            ["service", "engine", "address", "answer"].map(|name| row[name].as_str().unwrap().to_owned());
        world.redact(&facts.join(" "))
    };
    let rows: Vec<_> = status.json().as_array().unwrap().iter().map(facts).collect();
    let expected =
        ["postgres external cruddur-tests@HOST/DATABASE ready", "dynamodb external ENDPOINT ready"];
    assert_eq!(rows, expected);
    let nowhere = format!("http://127.0.0.1:{}", crate::common::free_port());
    let status = world.xtask("status -o jsonl").env("AWS_ENDPOINT_URL_DYNAMODB", &nowhere).end();
    let rows = status.json_lines();
    assert_eq!(rows[0]["answer"], "ready");
    let answer = rows[1]["answer"].as_str().unwrap();
    assert!(answer.starts_with("none: ") && rows[1]["address"] == nowhere.as_str(), "{status}");
    assert_eq!(status.code, Some(0), "one runs: {status}");
    let neither = world.xtask("status").env("AWS_ENDPOINT_URL_DYNAMODB", &nowhere);
    let url = format!("postgresql://me@127.0.0.1:{}/d", crate::common::free_port());
    let neither = neither.env("CONNECTION_URL", url).end();
    neither.says(&["error: nothing runs"]);
    assert_eq!(neither.code, Some(1), "{neither}");
}

#[test]
fn up_waits_for_both_and_down_has_nothing_to_stop() {
    let world = World::new();
    let up = world.xtask("up").ok();
    up.says(&["Postgres: wait for", "DynamoDB: wait for"]);
    world.xtask("down").ok().says(&["nothing was started here"]);
    world.xtask("logs").fails(1);
}
