//! Protection of production's data: shown targets, dry runs, backups, deletion protection. Also protection of remote
//! data without `--prod`.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use cruddur_testing::fixtures::proxy::{Fate, Proxy};
use insta::assert_snapshot;
use serde_json::{Value, json};

use super::{NOW, TABLE, World};
use crate::common::dynamodb::Answer;
use crate::common::world::Production;
use crate::common::{Workspace, free_port};

/// The commands that write where everything is there, and what their dry runs print.
const WRITING: [(&str, &str); 12] = [
    ("db drop", "drop the database"),
    ("db schema-load", "replace the tables and lose their rows"),
    ("db seed", "overwrite the seed's rows"),
    ("db setup", "drop and create the database"),
    ("db kill-all", "end all sessions"),
    ("ddb drop cruddur-messages", "drop the table and lose its items"),
    ("ddb seed", "replace the seed conversation"),
    ("ddb seed --messages 5", "replace the synthetic users in "),
    (r#"ddb put {"pk":"a","sk":"2"}"#, "put an item"),
    ("ddb delete a 1", "delete the item a 1"),
    ("ddb import items.jsonl", "import 2 items into the table, over its items"),
    ("ddb-setup", "start the databases that do not run, and set them up again"),
];

/// Fills a world with data that each of those commands would change.
fn filled(world: &World) {
    world.endpoint().put(TABLE, &[("pk", "a"), ("sk", "1"), ("text", "kept")]);
    world.database.execute("delete from activities");
    world.write("items.jsonl", "{\"pk\":\"a\",\"sk\":\"1\"}\n{\"pk\":\"a\",\"sk\":\"3\"}\n");
}

fn contents(world: &World) -> (Vec<Value>, Vec<String>) {
    let sql = "select format('%s %s', handle, (select count(*) from activities)) from users order by handle";
    (world.endpoint().items(TABLE), world.database.column(sql))
}

#[test]
fn a_dry_run_says_what_would_happen_and_changes_nothing() {
    let world = World::with_short_conversation();
    filled(&world);
    let before = contents(&world);
    let mut session = world.database.session();
    for (line, deed) in WRITING {
        let ran = world.xtask(line).arg("--dry-run").ok();
        ran.says(&[&format!("dry run: it would {deed}"), "nothing was changed"]);
        assert_eq!(ran.stdout, "", "{line}");
    }
    let ran = world.xtask("ddb drop cruddur-messages --dry-run").ok();
    assert_snapshot!(world.redact(&ran.stderr), @"
    dry run: it would drop the table and lose its items
      account              000000000000
      region               us-east-1
      endpoint             ENDPOINT
      table                cruddur-messages
      items                8
      deletion protection  off
    nothing was changed
    ");
    let ran = world.xtask("db setup --dry-run").ok();
    assert_snapshot!(world.redact(&ran.stderr), @"
    dry run: it would drop and create the database
      host      127.0.0.1, port PORT, sslmode=disable
      database  DATABASE
      user      cruddur-tests
      rows      public.activities 0, public.users 5
    nothing was changed
    ");
    let ran = world.xtask("ddb-setup --dry-run --file conversation.txt --now").arg(NOW).ok();
    assert_snapshot!(world.redact(&ran.stderr), @"
    dry run: it would start the databases that do not run, and set them up again
      engine    external, unless another is chosen at the start
      Postgres  cruddur-tests@HOST/DATABASE: drop and create the database, load schema and seed
      DynamoDB  ENDPOINT: drop and create table cruddur-messages, seed it
    nothing was changed
    ");
    assert_eq!(contents(&world), before);
    session.simple_query("select 1").unwrap();
}

#[test]
fn a_dry_run_in_production_needs_no_confirmation_and_changes_nothing() {
    let world = Production::set_up();
    filled(&world);
    let before = contents(&world);
    for (line, deed) in WRITING.into_iter().filter(|(line, _)| *line != "ddb-setup") {
        let ran = world.xtask(line).arg("--dry-run").arg("--prod").ok();
        ran.says(&[&format!("dry run: in PRODUCTION, it would {deed}"), "nothing was changed"]);
    }
    let ran = world.xtask("ddb seed --messages 5 --dry-run --prod").ok();
    assert_snapshot!(world.redact(&ran.stderr), @"
    dry run: in PRODUCTION, it would replace the synthetic users in cruddur-tests@HOST/DATABASE and their items
      host      127.0.0.1, port PORT, sslmode=prefer
      database  DATABASE
      user      cruddur-tests
      rows      public.activities 0, public.users 5
      account              000000000000
      region               us-east-1
      endpoint             ENDPOINT
      table                cruddur-messages
      items                139, by DynamoDB's own count, up to six hours old
      deletion protection  off
    nothing was changed
    ");
    assert_eq!(contents(&world), before);
}

#[test]
fn a_dry_run_where_nothing_is_there_says_so() {
    let world = World::new();
    let ran = world.xtask("db create --dry-run").ok();
    assert_snapshot!(world.redact(&ran.stderr), @"
    dry run: it would create the database
      host      127.0.0.1, port PORT, sslmode=disable
      database  DATABASE
      user      cruddur-tests
      rows      the database does not exist
    nothing was changed
    ");
    let ran = world.xtask("ddb schema-load --dry-run").ok();
    assert_snapshot!(world.redact(&ran.stderr), @"
    dry run: it would create the table
      region    us-east-1
      endpoint  ENDPOINT
      table     cruddur-messages, which does not exist
    nothing was changed
    ");
    assert!(!world.database.exists());
    assert!(world.endpoint().tables().is_empty());
    // A dry run fails if the command would.
    world.xtask("ddb drop nothing --dry-run").fails(1).says(&["has no such table"]);
}

#[test]
fn a_dry_run_fails_where_the_command_would() {
    let world = World::new();
    let fails = |lines: &[(&str, &str)]| {
        for (line, problem) in lines {
            let rehearsed = world.xtask(line).arg("--dry-run").end();
            rehearsed.says(&[problem]);
            assert_eq!(Some(rehearsed.code.unwrap()), world.xtask(line).end().code, "{line}");
            assert!(matches!(rehearsed.code, Some(1 | 3)), "{rehearsed}");
        }
    };
    let missing = "does not exist";
    fails(&[("db schema-load", missing), ("db seed", missing)]);
    world.xtask("db create").ok();
    world.xtask("db schema-load --dry-run").ok();
    fails(&[("db create", "exists already"), ("db seed", "the tables do not exist")]);
    world.xtask("ddb schema-load").ok();
    fails(&[("ddb schema-load", "table cruddur-messages exists already")]);
}

#[test]
fn a_dry_import_names_the_bad_line() {
    let world = World::set_up();
    world.write("items.jsonl", "{\"pk\":\"a\",\"sk\":\"1\"}\n{\"pk\":\"a\"}\n");
    let before = world.endpoint().items(TABLE);
    let failed = world.xtask("ddb import items.jsonl --dry-run").fails(2);
    failed.says(&["items.jsonl:2: key `sk` is missing"]);
    let ran = world.xtask("ddb import items.jsonl --dry-run --reject").ok();
    ran.says(&["it would import 1 item into the table, over its items, and put 1 record into"]);
    assert!(!world.path("items.jsonl.rejected").exists());
    assert_eq!(world.endpoint().items(TABLE), before);
}

/// A production whose DynamoDB answers some requests as AWS does and local servers do not.
fn production_behind(
    decide: impl Fn(&str, &str) -> Option<Answer> + Send + Sync + 'static,
) -> (Production, Proxy) {
    let mut world = Production::set_up();
    let proxy = Proxy::start(world.endpoint(), move |operation, body| {
        Ok(decide(operation, body).map_or(Fate::Passed, Fate::Answered))
    });
    world.set("PROD_DYNAMODB_ENDPOINT_URL", proxy.endpoint.url());
    (world, proxy)
}

fn answer(status: u16, body: &Value) -> Option<Answer> {
    Some(Answer { status, body: body.to_string() })
}

/// A production whose DynamoDB supports backups. Returns also the requests it received, in order.
fn production_with_backups(looks: usize) -> (Production, Proxy, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let described = AtomicUsize::new(0);
    let (world, proxy) = production_behind(move |operation, body| {
        let body: Value = serde_json::from_str(body).unwrap();
        let details = |status: &str| json!({ "BackupArn": "arn:backup/1", "BackupStatus": status });
        let told = match operation {
            "CreateBackup" => {
                format!("{operation} {} {}", body["TableName"].as_str()?, body["BackupName"].as_str()?)
            }
            "DescribeBackup" => format!("{operation} {}", body["BackupArn"].as_str()?),
            "DeleteTable" => operation.to_owned(),
            _ => return None,
        };
        seen.lock().unwrap().push(told);
        match operation {
            "CreateBackup" => answer(200, &json!({ "BackupDetails": details("CREATING") })),
            "DescribeBackup" => {
                let done = described.fetch_add(1, Ordering::SeqCst) + 1 >= looks;
                let details = details(if done { "AVAILABLE" } else { "CREATING" });
                answer(200, &json!({ "BackupDescription": { "BackupDetails": details } }))
            }
            _ => None,
        }
    });
    (world, proxy, asked)
}

#[test]
fn a_backup_is_made_and_waited_for_before_a_drop() {
    let (world, _proxy, asked) = production_with_backups(2);
    let line = "ddb drop cruddur-messages --prod --confirm cruddur-messages --backup before-drop";
    let ran = world.xtask(&format!("{line} --dry-run")).ok();
    ran.says(&["it would make backup before-drop, then drop the table and lose its items"]);
    let failed = world.xtask("ddb drop cruddur-messages --prod --backup before-drop").fails(4);
    failed.says(&["nothing was changed"]);
    assert_eq!(*asked.lock().unwrap(), [""; 0]);

    let ran = world.xtask(line).ok();
    ran.says(&["ok  DynamoDB: make backup before-drop of cruddur-messages"]);
    let expected = [
        "CreateBackup cruddur-messages before-drop",
        "DescribeBackup arn:backup/1",
        "DescribeBackup arn:backup/1",
        "DeleteTable",
    ];
    assert_eq!(*asked.lock().unwrap(), expected);
    assert!(world.endpoint().tables().is_empty());
}

#[test]
#[cfg(target_os = "linux")]
fn on_a_terminal_a_backup_is_offered() {
    let (world, _proxy, asked) = production_with_backups(1);
    let run = || world.xtask("ddb drop cruddur-messages --prod").env("TERM", "dumb").into_command();
    let (code, text) = super::output::typescript(run(), "cruddur-messages\nno good name\n");
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("cannot be a backup's name"), "{text}");
    assert_eq!(world.endpoint().tables(), [TABLE]);
    let (code, text) = super::output::typescript(run(), "cruddur-messages\nbefore-drop\n");
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(asked.lock().unwrap()[0], "CreateBackup cruddur-messages before-drop");
    assert!(world.endpoint().tables().is_empty());
}

#[test]
fn a_server_without_backups_says_what_else_there_is() {
    let world = Production::set_up();
    let line = "ddb drop cruddur-messages --prod --confirm cruddur-messages";
    let failed = world.xtask(&format!("{line} --backup before-drop")).fails(1);
    assert_snapshot!(world.redact(failed.error()), @"
    error: DynamoDB: could not make backup before-drop of cruddur-messages
      because: production's DynamoDB at ENDPOINT refuses to make a backup of table cruddur-messages
      because: UnknownOperationException: no message
      help: this server makes no backups: keep the items with `cargo xtask ddb export FILE --table cruddur-messages --prod`, then drop the table with --no-backup
    ");
    assert_eq!(world.endpoint().tables(), [TABLE]);
    let failed = world.xtask(&format!("{line} --backup a")).fails(1);
    failed.says(&["`a` cannot be a backup's name"]);
    world.xtask(&format!("{line} --backup before-drop --no-backup")).fails(2);
    world.xtask("ddb drop cruddur-messages --no-backup").fails(2);
    let ran = world.xtask(&format!("{line} --no-backup")).ok();
    assert!(!ran.stderr.contains("backup"), "{ran}");
    assert!(world.endpoint().tables().is_empty());
}

#[test]
fn deletion_protection_is_respected_and_explained() {
    let mut protected = Production::set_up();
    let behind = protected.endpoint();
    let proxy = Proxy::start(behind, move |operation, body| {
        assert_ne!(operation, "DeleteTable", "a protected table is not to be deleted");
        assert_ne!(operation, "UpdateTable", "nobody takes the protection back");
        if operation != "DescribeTable" {
            return Ok(Fate::Passed);
        }
        let mut told: Value = serde_json::from_str(&behind.send(operation, body)?.body)?;
        told["Table"]["DeletionProtectionEnabled"] = true.into();
        Ok(Fate::Answered(Answer { status: 200, body: told.to_string() }))
    });
    protected.set("PROD_DYNAMODB_ENDPOINT_URL", proxy.endpoint.url());
    let line = "ddb drop cruddur-messages --prod --confirm cruddur-messages";
    let failed = protected.xtask(line).fails(1);
    assert_snapshot!(protected.redact(&failed.stderr), @"
    error: table cruddur-messages is protected from deletion; nothing was changed
      help: to drop it anyway: `aws dynamodb update-table --table-name cruddur-messages --no-deletion-protection-enabled`, then run this again
    ");
    let ran = protected.xtask(&format!("{line} --dry-run")).fails(1);
    ran.says(&["error: table cruddur-messages is protected from deletion; nothing was changed"]);
    assert_eq!(behind.tables(), [TABLE]);
}

#[test]
fn a_table_that_is_protected_in_the_last_moment_stays() {
    let (world, _proxy) = production_behind(|operation, _| match operation {
        "DeleteTable" => answer(
            400,
            &json!({ "__type": "com.amazon.coral.validate#ValidationException", "message":
                "Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection first." }),
        ),
        _ => None,
    });
    let failed = world.xtask("ddb drop cruddur-messages --prod --confirm cruddur-messages").fails(1);
    failed.says(&["table cruddur-messages is protected from deletion", "--no-deletion-protection-enabled"]);
    assert_eq!(world.endpoint().tables(), [TABLE]);
}

#[test]
fn without_prod_public_hosts_are_refused_before_contact() {
    let port = free_port();
    let (postgres, dynamodb) = ("postgresql://me@127.0.0.1:1/d", "http://127.0.0.1:1");
    let run = |line: &str, postgres: &str, dynamodb: &str| {
        let workspace = Workspace::new()
            .with("CRUDDUR_ENGINE", "external")
            .with("CONNECTION_URL", postgres)
            .with("AWS_ENDPOINT_URL_DYNAMODB", dynamodb);
        workspace.xtask(line).end()
    };
    // Addresses for documentation, which lead nowhere. A command that tried to connect would have to wait.
    let far = format!("postgresql://me@192.0.2.1:{port}/d");
    let refused = run("db setup", &far, dynamodb);
    assert_snapshot!(refused.error(), @"
    error: CONNECTION_URL names `192.0.2.1`, which is neither this machine nor in a private network
      help: production is reached with --prod only; if its data may be changed and lost, add `--allow-host 192.0.2.1`
    ");
    let refused = run("ddb drop t", postgres, "http://192.0.2.1:8000");
    assert_snapshot!(refused.error(), @"
    error: AWS_ENDPOINT_URL_DYNAMODB names `192.0.2.1`, which is neither this machine nor in a private network
      help: production is reached with --prod only; if its data may be changed and lost, add `--allow-host 192.0.2.1`
    ");
    let refused = run("db test", "postgresql://me@x.us-east-1.rds.amazonaws.com/d", dynamodb);
    assert_snapshot!(refused.error(), @"
    error: CONNECTION_URL names `x.us-east-1.rds.amazonaws.com`, which is AWS itself
      help: production is reached with --prod only
    ");
    let hostaddr = "postgresql://me@localhost/d?hostaddr=192.0.2.1";
    for line in ["db create", "db drop", "db sessions", "db connect", "ddb-setup", "env", "ddb seed"] {
        for url in [far.as_str(), hostaddr, "postgresql://me@localhost,192.0.2.1/d"] {
            let refused = run(line, url, dynamodb);
            assert_eq!(refused.code, Some(4), "{line}: {refused}");
            refused.says(&["CONNECTION_URL names `192.0.2.1`", "add `--allow-host 192.0.2.1`"]);
        }
    }
}

/// In our parser this is one host with an allowed ending; in libpq's it is two hosts.
#[test]
fn a_list_of_hosts_in_one_name_is_refused() {
    let world = World::new();
    std::fs::create_dir(world.path("bin")).unwrap();
    world.write("bin/psql", "#!/bin/sh\necho \"$PGHOST\"\n");
    for (name, url) in [
        ("CONNECTION_URL", "postgresql://me:pw@db.rds.amazonaws.com%2Cx.localhost/d"),
        ("PROD_CONNECTION_URL", "postgresql://me:pw@db.example.com%2Cother.example/d"),
        ("CONNECTION_URL", "postgresql://me:pw@%2Frun%2Cdb.rds.amazonaws.com/d"),
    ] {
        for line in ["db connect", "db test", "db drop"] {
            let run = world.xtask(line).env(name, url).env("PATH", world.path("bin"));
            let run = if name == "CONNECTION_URL" { run } else { run.arg("--prod") };
            let refused = run.fails(2);
            refused.says(&[&format!("error: {name} names a host with an invalid character")]);
            assert_eq!(refused.stdout, "");
        }
    }
}

#[test]
fn a_host_is_allowed_by_name_and_by_a_flag_only() {
    let world = World::new();
    // An allowed host gets a connection error, because nobody has this address.
    let url = "postgresql://me:x@192.0.2.1/d?connect_timeout=1";
    let run = || world.xtask("db test").env("CONNECTION_URL", url);
    let refused = "neither this machine nor in a private network";
    let allowed = run().arg("--allow-host=192.0.2.1").fails(3);
    assert!(!allowed.stderr.contains(refused), "{allowed}");
    allowed.says(&["cannot connect to Postgres at me@192.0.2.1:5432/d"]);
    run().arg("--allow-host=192.0.2.2").fails(4).says(&[refused]);
    run().env("CRUDDUR_ALLOW_HOST", "192.0.2.1").env("ALLOW_HOST", "192.0.2.1").fails(4).says(&[refused]);
    let aws = "postgresql://me@x.us-east-1.rds.amazonaws.com/d";
    let run = world.xtask("db test --allow-host x.us-east-1.rds.amazonaws.com").env("CONNECTION_URL", aws);
    run.fails(4).says(&["which is AWS itself", "help: production is reached with --prod only"]);
}
