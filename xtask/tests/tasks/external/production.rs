//! `--prod`, with local servers as production.

use insta::assert_snapshot;

use crate::common::SECRET_KEY;
use crate::common::world::{Production, TABLE, World};

#[test]
fn the_word_prod_and_the_switch_mean_the_same() {
    let world = Production::new();
    world.xtask("db create prod").ok();
    assert!(world.database.exists());
    world.xtask("db schema-load --prod --confirm").arg(&world.database.name).ok();
    assert_eq!(world.xtask("db test prod -o jsonl").end().code, Some(2));
    let tested = world.xtask("db test -o jsonl prod").ok();
    assert_eq!(tested.json_lines()[0]["users"], 0);
    world.xtask("ddb schema-load prod").ok();
    for line in ["ddb list-tables prod", "ddb list-tables --prod", "ddb --engine docker list-tables prod"] {
        assert_eq!(world.xtask(line).ok().stdout, format!("{TABLE}\n"), "{line}");
    }
}

#[test]
fn reading_needs_no_confirmation() {
    let world = Production::new();
    world.xtask("db setup --prod --confirm").arg(&world.database.name).ok();
    world.xtask("ddb schema-load --prod").ok();
    world.xtask("ddb seed --prod --confirm").arg(TABLE).ok();
    for line in [
        "db test prod",
        "db sessions prod",
        "ddb list-tables prod",
        "ddb scan --prod",
        "ddb query --pk MSG#5ae290ed-55d1-47a0-bc6d-fe2bc2700399 --prod",
        "ddb patterns get-conversation prod",
        "ddb patterns list-conversations prod",
    ] {
        assert_ne!(world.xtask(line).ok().stdout, "", "{line}");
    }
}

/// A command that an error suggests has the same target.
#[test]
fn suggested_commands_keep_the_prod_option() {
    let world = Production::new();
    let fails = |line: &str| {
        let failed = world.xtask(line).arg("--prod").end();
        assert!(matches!(failed.code, Some(1 | 3)), "{failed}");
        let suggested: Vec<_> = failed.stderr.split("`cargo xtask ").skip(1).collect();
        assert!(!suggested.is_empty(), "{failed}");
        for command in suggested {
            assert!(command.split('`').next().unwrap().ends_with(" --prod"), "{command}: {failed}");
        }
    };
    fails("db test");
    world.xtask("db create --prod").ok();
    fails("db create");
    fails("db test");
    world.xtask("db schema-load --prod --confirm").arg(&world.database.name).ok();
    fails("ddb patterns list-conversations");

    world.xtask("ddb list-tables --prod").ok().says(&["`cargo xtask ddb schema-load --prod`"]);
    fails("ddb scan");
    fails("ddb query --pk a");
    fails("ddb drop nothing --confirm nothing --no-backup");
    world.xtask("ddb schema-load --prod").ok();
    fails("ddb schema-load");
    fails("ddb get a b");
    fails("ddb delete a b --confirm cruddur-messages");
    fails("ddb delete a b --condition attribute_exists(pk) --confirm cruddur-messages");
}

#[test]
fn the_word_prod_is_data_where_it_can_be() {
    let world = World::new();
    world.endpoint().create_table("prod", &[("pk", "S"), ("sk", "S")]);
    for line in [
        r#"ddb put {"pk":"X","sk":"prod"} --table prod"#,
        "ddb get X prod --table prod",
        "ddb scan --table prod",
        "ddb query --table prod --pk X",
        "ddb delete --table prod X prod",
    ] {
        world.xtask(line).env("AWS_ACCESS_KEY_ID", "production").ok();
    }
    assert_eq!(world.endpoint().items("prod").len(), 0);
    world.xtask("ddb drop prod").ok();
    assert!(world.xtask("ddb --help").ok().stdout.contains("The word `prod` as the last argument"));
}

#[test]
fn destructive_commands_require_the_target_s_name() {
    let world = Production::new();
    let database = world.database.name.clone();
    world.xtask("db setup --prod --confirm").arg(&database).ok();
    world.xtask("ddb schema-load --prod").ok();
    world.xtask("ddb seed --prod --confirm").arg(TABLE).ok();
    world.database.execute("delete from activities");
    world.endpoint().put(TABLE, &[("pk", "a"), ("sk", "1"), ("text", "kept")]);
    let items = world.endpoint().items(TABLE);

    let failed = world.xtask("ddb drop cruddur-messages --prod").fails(4);
    assert_snapshot!(world.redact(&failed.stderr), @"
    warning: PRODUCTION: about to drop the table and lose its items
      account              000000000000
      region               us-east-1
      endpoint             ENDPOINT
      table                cruddur-messages
      items                139, by DynamoDB's own count, up to six hours old
      deletion protection  off
    no backup is made first: `--backup NAME` makes one
    error: the target's name cannot be typed, because stdin is not a terminal; nothing was changed
      help: to drop the table and lose its items, add `--confirm cruddur-messages`
    ");
    let failed = world.xtask("ddb delete a 1 prod").fails(4);
    assert_snapshot!(world.redact(&failed.stderr), @"
    warning: PRODUCTION: about to delete the item a 1
      account              000000000000
      region               us-east-1
      endpoint             ENDPOINT
      table                cruddur-messages
      items                139, by DynamoDB's own count, up to six hours old
      deletion protection  off
    error: the target's name cannot be typed, because stdin is not a terminal; nothing was changed
      help: to delete the item a 1, add `--confirm cruddur-messages`
    ");
    let failed = world.xtask("db drop prod").fails(4);
    assert_snapshot!(world.redact(&failed.stderr), @"
    warning: PRODUCTION: about to drop the database
      host      127.0.0.1, port PORT, sslmode=prefer
      database  DATABASE
      user      cruddur-tests
      rows      public.activities 0, public.users 5
    no backup is made first: `pg_dump` makes one
    error: the target's name cannot be typed, because stdin is not a terminal; nothing was changed
      help: to drop the database, add `--confirm DATABASE`
    ");
    let failed = world.xtask("db setup --prod --confirm cruddur").fails(4);
    assert_snapshot!(world.redact(&failed.stderr), @"
    warning: PRODUCTION: about to drop and create the database
      host      127.0.0.1, port PORT, sslmode=prefer
      database  DATABASE
      user      cruddur-tests
      rows      public.activities 0, public.users 5
    no backup is made first: `pg_dump` makes one
    error: `cruddur` is not the name of the target; nothing was changed
      help: to drop and create the database, the name is `DATABASE`
    ");
    let failed = world.xtask("ddb seed --messages 5 --prod").fails(4);
    assert_snapshot!(world.redact(&failed.stderr), @"
    warning: PRODUCTION: about to replace the synthetic users in cruddur-tests@HOST/DATABASE and their items
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
    error: the target's name cannot be typed, because stdin is not a terminal; nothing was changed
      help: to replace the synthetic users in cruddur-tests@HOST/DATABASE and their items, add `--confirm cruddur-messages`
    ");
    for line in [
        "db drop",
        "db schema-load",
        "db seed",
        "db setup",
        "db kill-all",
        "ddb drop cruddur-messages",
        "ddb seed",
        "ddb seed --messages 5",
        r#"ddb put {"pk":"a","sk":"1"}"#,
        "ddb delete a 1",
    ] {
        for confirmation in ["", "--confirm nonsense"] {
            let failed = world.xtask(&format!("{line} {confirmation} --prod")).fails(4);
            failed.says(&["PRODUCTION", "nothing was changed"]);
        }
        // Piped input does not confirm: a person must type the name.
        let failed = world.xtask(line).arg("prod").stdin(&format!("{database}\n{TABLE}\n")).fails(4);
        failed.says(&["nothing was changed"]);
    }
    assert_eq!(world.endpoint().items(TABLE), items);
    assert_eq!(world.database.column("select count(*)::text from activities"), ["0"]);
    assert_eq!(world.database.column("select count(*)::text from users"), ["5"]);

    world.xtask(r#"ddb put {"pk":"a","sk":"1"} --prod --confirm cruddur-messages"#).ok();
    world.xtask("ddb delete a 1 --prod --confirm cruddur-messages").ok();
    assert_eq!(world.endpoint().items(TABLE).len(), items.len() - 1);
    world.xtask("ddb drop cruddur-messages --prod --confirm cruddur-messages").ok();
    assert!(world.endpoint().tables().is_empty());
    world.xtask("db drop --prod --confirm").arg(&database).ok();
    assert!(!world.database.exists());
}

#[test]
#[cfg(target_os = "linux")]
fn on_a_terminal_the_name_is_typed() {
    let world = Production::new();
    for name in ["one", "two"] {
        world.xtask("ddb schema-load --prod").env("DDB_MESSAGE_TABLE", name).ok();
    }
    let typed = |answer: &str| {
        let run = world.xtask("ddb drop one --prod").env("TERM", "dumb");
        super::output::typescript(run.into_command(), answer)
    };
    let (code, text) = typed("two\n");
    assert_eq!(code, Some(4), "{text}");
    assert!(text.contains("`two` is not the name of the target"), "{text}");
    assert_eq!(world.endpoint().tables(), ["one", "two"]);
    let (code, text) = typed("\n");
    assert!(code == Some(4) && text.contains("error: nothing was typed; nothing was changed"), "{text}");
    let (code, text) = typed("one\n");
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(world.endpoint().tables(), ["two"]);
}

#[test]
fn production_s_settings_are_never_read_from_dotenv() {
    let world = World::new();
    world.xtask("db create").ok();
    let dotenv = format!(
        "PROD_CONNECTION_URL={}\nPROD_DYNAMODB_ENDPOINT_URL={}\nDDB_MESSAGE_TABLE=from-dotenv\n",
        world.database.url(),
        world.endpoint().url()
    );
    world.write(".env", &dotenv);
    let failed = world.xtask("db test --prod").fails(2);
    assert_snapshot!(failed.stderr, @"
    error: --prod needs PROD_CONNECTION_URL, which is not set
      help: export it in this shell; it is never read from .env
    ");

    let production = Production::new();
    production.write(".env", &dotenv);
    production.xtask("ddb schema-load --prod").ok();
    assert_eq!(production.endpoint().tables(), [TABLE]);
    assert!(world.endpoint().tables().is_empty());
}

#[test]
fn a_local_endpoint_left_in_the_environment_is_not_used() {
    let world = World::new();
    // No request can be sent with these settings, so nothing leaves this machine. The SDK's error names the kind of
    // endpoint that it would use: `custom` for one from the environment.
    for variable in ["AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL"] {
        let run = world.xtask("ddb list-tables --prod").env(variable, world.endpoint().url());
        let run = run.env("AWS_ACCESS_KEY_ID", "production").env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
        let run = run.env("AWS_EC2_METADATA_DISABLED", "true").env("AWS_CONFIG_FILE", "/nonexistent");
        let run = run.env("AWS_REGION", "local").env("AWS_USE_FIPS_ENDPOINT", "true");
        run.fails(2).says(&["FIPS and local endpoint are not supported"]);
    }
}
