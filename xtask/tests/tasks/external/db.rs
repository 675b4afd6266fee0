//! `cargo xtask db`.

use std::fs;
use std::time::Duration;

use cruddur_testing::fixtures::postgres::Database;
use insta::assert_snapshot;

use super::World;
use super::reading::{HOSTILE, assert_harmless};
use crate::common::{PASSWORD, PASSWORD_IN_URL, Workspace, skip, wait_for};

#[test]
fn create_makes_an_empty_database_and_refuses_when_there_is_one() {
    let world = World::new();
    let created = world.xtask("db create").ok();
    assert_eq!(created.stdout, "");
    assert_snapshot!(world.redact(&created.stderr), @"
    ... Postgres: create database DATABASE
    ok  Postgres: create database DATABASE (TIME)
    ");
    assert_eq!(
        world.database.column("select tablename::text from pg_tables where schemaname = 'public'"),
        [""; 0]
    );
    let again = world.xtask("db create").fails(1);
    assert_snapshot!(world.redact(&again.stderr), @"
    ... Postgres: create database DATABASE
    FAILED Postgres: create database DATABASE (TIME)
    error: Postgres: could not create database DATABASE
      because: database DATABASE exists already
      help: load its tables with `cargo xtask db schema-load`; `cargo xtask db setup` drops it, with all its rows, and creates it
    ");
}

#[test]
fn drop_removes_the_database_if_it_exists() {
    let world = World::new();
    world.xtask("db create").ok();
    let dropped = world.xtask("db drop").ok();
    assert_snapshot!(world.redact(&dropped.stderr), @"
    ... Postgres: drop database DATABASE if it exists
    ok  Postgres: drop database DATABASE if it exists (TIME)
    ");
    assert!(!world.database.exists());
    world.xtask("db drop").ok();
}

#[test]
fn drop_ends_the_sessions_in_the_database() {
    let world = World::new();
    world.xtask("db create").ok();
    let mut session = world.database.session();
    world.xtask("db drop").ok();
    assert!(session.simple_query("select 1").is_err());
    assert!(!world.database.exists());
}

#[test]
fn setup_leads_to_the_same_rows_from_any_state() {
    let world = World::new();
    world.xtask("db setup").ok();
    let rows = || {
        let users =
            world.database.column("select row(uuid, handle, display_name)::text from users order by 1");
        let activities = world.database.column("select row(uuid, message)::text from activities order by 1");
        (users, activities)
    };
    let first = rows();
    assert_eq!((first.0.len(), first.1.len()), (5, 4));
    world
        .database
        .execute("delete from activities; update users set handle = handle || '?'; create table junk ()");
    world.xtask("db setup").ok();
    assert_eq!(rows(), first);
    assert_eq!(
        world.database.column("select tablename::text from pg_tables where tablename = 'junk'"),
        [""; 0]
    );
}

#[test]
fn schema_load_and_seed_can_be_repeated() {
    let world = World::new();
    world.xtask("db create").ok();
    let loaded = world.xtask("db schema-load").ok();
    assert_snapshot!(world.redact(&loaded.stderr), @"
    ... Postgres: load backend-flask-rs/db/schema.sql into DATABASE
    ok  Postgres: load backend-flask-rs/db/schema.sql into DATABASE (TIME)
    ");
    assert_eq!(world.redact(&world.xtask("db schema-load").ok().stderr), world.redact(&loaded.stderr));
    for _ in 0..2 {
        world.xtask("db seed").ok();
        assert_eq!(world.database.column("select count(*)::text from users"), ["5"]);
    }
}

#[test]
fn seeding_again_restores_the_seed_s_rows_and_keeps_others() {
    let world = World::new();
    world.xtask("db setup").ok();
    world.database.execute(
        "update users set display_name = 'Somebody' where handle = 'bayko';
         insert into users (display_name, handle, email, cognito_user_id) values ('New', 'new', 'n@example.com', 'n')",
    );
    world.xtask("db seed").ok();
    let names =
        world.database.column("select display_name from users where handle in ('bayko', 'new') order by 1");
    assert_eq!(names, ["Andrew Bayko", "New"]);
}

#[test]
fn a_schema_that_fails_half_way_changes_nothing() {
    let world = World::new();
    world.xtask("db setup").ok();
    // When schema.sql comes to the index with this name, it has dropped and created the tables.
    world
        .database
        .execute("alter index activities_user_uuid rename to other; create table activities_user_uuid ()");
    let failed = world.xtask("db schema-load").fails(2);
    assert_snapshot!(world.redact(failed.error()), @r#"
    error: Postgres: could not load backend-flask-rs/db/schema.sql into DATABASE
      because: backend-flask-rs/db/schema.sql: relation "activities_user_uuid" already exists (SQLSTATE 42P07)
      help: correct the file, and run the command again: nothing of the file has taken effect
    "#);
    assert_eq!(world.database.column("select count(*)::text from users"), ["5"]);
}

#[test]
fn a_seed_that_fails_half_way_changes_nothing() {
    let world = World::new();
    world.xtask("db create").ok();
    world.xtask("db schema-load").ok();
    world.database.execute("alter table activities add constraint quiet check (likes_count < 10)");
    let failed = world.xtask("db seed").fails(2);
    let error = failed.error().lines().filter(|line| !line.starts_with("    detail: "));
    let error: Vec<_> = error.collect();
    assert_snapshot!(world.redact(&error.join("\n")), @r#"
    error: Postgres: could not load backend-flask-rs/db/seed.sql into DATABASE
      because: backend-flask-rs/db/seed.sql: new row for relation "activities" violates check constraint "quiet" (SQLSTATE 23514)
        table: activities
        constraint: quiet
      help: correct the file, and run the command again: nothing of the file has taken effect
    "#);
    assert_eq!(world.database.column("select count(*)::text from users"), ["0"]);
}

const SCHEMA: &str = "backend-flask-rs/db/schema.sql";

#[test]
fn the_scripts_are_the_workspace_s_at_this_moment() {
    let world = World::new();
    world.edit(SCHEMA, "handle text not null", "handle text check (handle <> 'nobody') not null");
    world.xtask("db setup").ok();
    let checks = "select conname::text from pg_constraint where conname = 'users_handle_check'";
    assert_eq!(world.database.column(checks), ["users_handle_check"]);
    std::fs::remove_file(world.path(SCHEMA)).unwrap();
    for line in ["db setup", "db schema-load"] {
        world.xtask(line).fails(1).says(&[
            "cannot read backend-flask-rs/db/schema.sql",
            "No such file",
            "help: `git restore backend-flask-rs/db/schema.sql`",
        ]);
    }
    assert_eq!(world.database.column(checks), ["users_handle_check"], "nothing was dropped before");
}

/// pg_dump's files begin like this.
#[test]
fn session_settings_of_a_script_do_not_affect_the_next() {
    let world = World::new();
    let settings = "set statement_timeout = 1; set statement_timeout = 0; set role pg_monitor; reset role;
        select pg_catalog.set_config('search_path', '', false); set client_encoding = 'LATIN1';";
    let schema = std::fs::read_to_string(world.path(SCHEMA)).unwrap();
    world.write(SCHEMA, &format!("{settings}\n{schema}"));
    world.edit("backend-flask-rs/db/seed.sql", "into public.users", "into users");
    world.xtask("db setup").ok();
    let names = world.database.column("select display_name from users where handle = 'zoekestrel'");
    assert_eq!(names, ["Zoë Kestrel"]);
}

#[test]
fn an_error_of_a_script_tells_its_place() {
    let world = World::new();
    world.xtask("db create").ok();
    for (script, says) in [
        ("\u{feff}select 'é語';\n  selec 1;\n", "schema.sql:2:3: syntax error at or near \"selec\""),
        ("create table t (a int);\n\nselect b from t;\n", "schema.sql:3:8: column \"b\" does not exist"),
        ("do $$ begin\n  perform 1 / 0;\nend $$", "in: SQL statement \"SELECT 1 / 0\""),
        (
            "create table t (a int primary key); insert into t values (1), (1)",
            "detail: Key (a)=(1) already exists.",
        ),
        ("\\restrict abc\nselect 1;", "help: psql's own commands are not SQL: leave the line out"),
        (
            "create table t (a int);\nCOPY t (a) FROM stdin;\n1\n\\.\n",
            "write an INSERT, as `pg_dump --inserts`",
        ),
        ("create table t (a int);\ncopy t from stdin;\n", "write an INSERT, as `pg_dump --inserts`"),
    ] {
        world.write(SCHEMA, script);
        world.xtask("db schema-load").fails(2).says(&[says, "help: "]);
        let set_up = world.xtask("db setup").fails(2);
        set_up.says(&[says, "so far: the database is new and empty; DynamoDB is as it was"]);
        assert_eq!(world.database.column("select relname::text from pg_class where relname = 't'"), [""; 0]);
    }
}

#[test]
fn a_script_that_ends_its_transaction_itself_is_told_so() {
    let world = World::new();
    world.xtask("db create").ok();
    for end in ["rollback", "commit", "begin; select 1; commit", "rollback; begin"] {
        world.write(SCHEMA, &format!("create table t (a int);\n{end};\n"));
        let failed = world.xtask("db schema-load").fails(1);
        failed.says(&["schema.sql: it ends its transaction itself", "help: leave `begin`, `commit`"]);
        world.database.execute("drop table if exists t");
    }
    // These commands stay inside the transaction.
    world.write(SCHEMA, "savepoint a; create table t (a int); rollback to a; prepare b as select 1;");
    world.xtask("db schema-load").ok();
}

/// `postgres` is the default name of the database on many servers.
#[test]
fn a_database_named_postgres_is_dropped_and_created_too() {
    let server = cruddur_testing::fixtures::postgres::start(&[], &[]);
    let world =
        World { database: cruddur_testing::fixtures::postgres::Database::on(&server), ..World::new() };
    let url = world.database.url().replace(&world.database.name, "postgres");
    for line in
        ["db setup", "db setup", "db test", "db kill-all", "db drop", "db create", "db drop", "ddb-setup"]
    {
        world.xtask(line).env("CONNECTION_URL", &url).ok();
    }
}

#[test]
fn notices_of_a_script_are_shown() {
    let world = World::new();
    world.xtask("db create").ok();
    let notice = "do $$ begin raise notice 'three of them'; raise warning 'all odd'; end $$;";
    world.write(SCHEMA, &format!("drop table if exists nothing;\n{notice}"));
    let loaded = world.xtask("db schema-load").ok();
    loaded.says(&["schema.sql: NOTICE: three of them\n", "schema.sql: WARNING: all odd\n"]);
    assert!(!loaded.stderr.contains("skipping"), "{loaded}");
}

#[test]
fn setup_needs_no_superuser() {
    let world = World::new();
    let role = format!("owner_of_{}", world.database.name);
    let mut maintenance = world.database.maintenance_session();
    maintenance.batch_execute(&format!("create role {role} login createdb password '{PASSWORD}'")).unwrap();
    let url = world.database.url_with(&role, PASSWORD_IN_URL);
    for _ in 0..2 {
        world.xtask("db setup").env("CONNECTION_URL", &url).ok();
    }
    let owner = "select pg_get_userbyid(datdba)::text from pg_database where datname = current_database()";
    assert_eq!(world.database.column(owner), [role]);
}

#[test]
fn a_database_that_cannot_be_created_again_is_not_dropped() {
    let world = World::new();
    let role = format!("only_owner_of_{}", world.database.name);
    let mut maintenance = world.database.maintenance_session();
    maintenance.batch_execute(&format!("create role {role} login createdb password '{PASSWORD}'")).unwrap();
    let url = world.database.url_with(&role, PASSWORD_IN_URL);
    world.xtask("ddb-setup").env("CONNECTION_URL", &url).ok();
    world.xtask("snapshot save whole").env("CONNECTION_URL", &url).ok();
    maintenance.batch_execute(&format!("alter role {role} nocreatedb")).unwrap();
    let remedy = format!("`alter role {role} createdb`");
    let restore = ["snapshot restore whole --dry-run", "snapshot restore whole"];
    for line in ["db setup --dry-run", "db setup", "ddb-setup"].into_iter().chain(restore) {
        let failed = world.xtask(line).env("CONNECTION_URL", &url).fails(3);
        failed.says(&["may not create databases", &remedy]);
        assert_eq!(world.database.column("select count(*)::text from users"), ["5"], "{failed}");
    }
}

#[test]
fn setup_drops_a_database_that_lets_nobody_in() {
    let world = World::new();
    world.xtask("db setup").ok();
    let close = format!("alter database {} allow_connections false", world.database.name);
    world.database.maintenance_session().batch_execute(&close).unwrap();
    world.xtask("db setup").ok();
    assert_eq!(world.database.column("select count(*)::text from users"), ["5"]);
}

#[test]
fn without_database_or_tables_the_error_names_the_command_that_makes_them() {
    let world = World::new();
    let failed = world.xtask("db schema-load").fails(3);
    assert_snapshot!(world.redact(failed.error()), @r#"
    error: cannot connect to Postgres at cruddur-tests@HOST/DATABASE
      because: database "DATABASE" does not exist (SQLSTATE 3D000)
      help: `cargo xtask prepare` sets both databases up
    "#);
    for command in ["seed", "test", "sessions"] {
        let failed = world.xtask("db").arg(command).fails(3);
        failed.says(&["help: `cargo xtask prepare` sets both databases up"]);
    }
    world.xtask("db create").ok();
    let failed = world.xtask("db test").fails(1);
    assert_snapshot!(world.redact(failed.error()), @r#"
    error: in cruddur-tests@HOST/DATABASE
      because: the tables do not exist
      because: relation "public.users" does not exist (SQLSTATE 42P01)
      help: `cargo xtask prepare` sets both databases up
    "#);
    let failed = world.xtask("db seed").fails(1);
    assert_snapshot!(world.redact(failed.error()), @r#"
    error: Postgres: could not load backend-flask-rs/db/seed.sql into DATABASE
      because: backend-flask-rs/db/seed.sql:4:13: relation "public.users" does not exist (SQLSTATE 42P01)
        line: insert into public.users (uuid, display_name, handle, email, cognito_user_id)
                          ^
      help: `cargo xtask prepare` sets both databases up
    "#);
}

#[test]
fn test_counts_the_rows_in_every_format() {
    let world = World::new();
    world.xtask("db setup").ok();
    let printed = |format: &str| world.redact(&world.xtask("db test -o").arg(format).ok().stdout);
    assert_snapshot!(printed("json"), @r#"
    [
      {
        "activities": 4,
        "database": "cruddur-tests@HOST/DATABASE",
        "users": 5
      }
    ]
    "#);
    assert_snapshot!(printed("jsonl"), @r#"{"activities":4,"database":"cruddur-tests@HOST/DATABASE","users":5}"#);
    // The columns' widths depend on the port and the name.
    let table = printed("table");
    let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(
        lines,
        [vec!["DATABASE", "USERS", "ACTIVITIES"], vec!["cruddur-tests@HOST/DATABASE", "5", "4"]]
    );
}

#[test]
fn sessions_shows_another_client_s_and_not_its_own() {
    let world = World::new();
    world.xtask("db create").ok();
    let mut session = world.database.session();
    let pid: i32 = session.query_one("select pg_backend_pid()", &[]).unwrap().get(0);
    let listed = world.xtask("db sessions -o jsonl").ok();
    let mine = listed.json_lines().into_iter().filter(|row| row["database"] == world.database.name);
    let mine: Vec<_> = mine.collect();
    assert_eq!(mine.len(), 1, "{listed}");
    let row = mine[0].as_object().unwrap();
    let fields = ["pid", "user", "database", "client", "application", "state", "query_s", "session_s"];
    assert_eq!(row.len(), fields.len());
    assert!(fields.iter().all(|field| row.contains_key(*field)), "{row:?}");
    assert_eq!(row["pid"], pid);
    assert_eq!(row["application"], "another client");
    assert_eq!(row["client"], "127.0.0.1");
    assert_eq!(row["state"], "idle");
    assert!(row["session_s"].as_f64().unwrap() >= row["query_s"].as_f64().unwrap(), "{row:?}");

    let table = world.xtask("db sessions").ok();
    let heading = table.stdout.lines().next().unwrap().to_lowercase();
    assert_eq!(heading.split_whitespace().collect::<Vec<_>>(), fields);
    assert!(table.stdout.contains("another client"), "{table}");
}

#[test]
fn kill_all_ends_the_database_s_sessions_and_no_others() {
    let world = World::new();
    let other = World::new();
    for world in [&world, &other] {
        world.xtask("db create").ok();
    }
    let (mut one, mut two) = (world.database.session(), world.database.session());
    let mut elsewhere = other.database.session();
    let pid: i32 = one.query_one("select pg_backend_pid()", &[]).unwrap().get(0);
    let killed = world.xtask("db kill-all").ok();
    killed.says(&["ended 2", &pid.to_string()]);
    assert!(one.simple_query("select 1").is_err());
    assert!(two.simple_query("select 1").is_err());
    assert!(elsewhere.simple_query("select 1").is_ok());
    // The server needs a moment to remove an ended session.
    wait_for("quiet database", Duration::from_secs(10), || {
        world.xtask("db kill-all").ok().stderr.contains("there were none").then_some(())
    });
}

/// A command that waits for another session's lock suggests this one.
#[test]
fn kill_all_does_not_wait_for_another_command() {
    let world = World::new();
    world.xtask("db setup").ok();
    let mut other = world.database.session();
    other.batch_execute("begin; lock table public.users").unwrap();
    let mut seeding = world.xtask("db seed").start();
    seeding.read_until("seed.sql");
    world.xtask("db kill-all").ok().within(Duration::from_secs(10)).says(&["ended "]);
    assert!(other.simple_query("select 1").is_err());
    drop(seeding);
}

#[test]
fn connect_opens_psql_on_the_database() {
    if std::process::Command::new("psql").arg("--version").output().is_err() {
        return skip("psql is not on PATH");
    }
    let world = World::new();
    let failed = world.xtask("db connect").fails(3);
    failed.says(&["does not exist", "help: `cargo xtask prepare` sets both databases up"]);
    world.xtask("db setup").ok();
    let sql = "\\pset format unaligned\n\\pset tuples_only\nselect current_database(), handle from users order by handle limit 1;\n";
    let connected = world.xtask("db connect").stdin(sql).ok();
    let expected = format!("{}|amemiya", world.database.name);
    assert!(connected.stdout.lines().any(|line| line == expected), "{connected}");
    assert_snapshot!(world.redact(&connected.stderr), @"$ psql (cruddur-tests@HOST/DATABASE)");
    let command = world.xtask("db connect -q -c").arg("select 'é' as x").arg("--").arg("--csv").ok();
    assert_eq!((command.stdout.as_str(), command.stderr.as_str()), ("x\né\n", ""));
    let verbose = world.xtask("db connect --verbose -c").arg("select 1").ok();
    verbose.says(&["+ PGDATABASE=", "PGPASSWORD=xxxxx", "psql --command 'select 1'\n"]);
    world.xtask("db connect -c nonsense").end().says(&["syntax error at or near \"nonsense\""]);
}

#[test]
fn connect_without_psql_on_path_takes_the_server_s_or_says_how_to_get_it() {
    let world = World::new();
    world.xtask("db setup").ok();
    // A psql beside the server's programs is found.
    let path = world.path("home").join("bin");
    let connect = || world.xtask("db connect -c").arg("select 1").env("PATH", &path);
    assert!(connect().ok().stdout.contains("1 row"));
    fs::create_dir_all(&path).unwrap();
    ["initdb", "pg_ctl", "postgres"].iter().for_each(|name| fs::write(path.join(name), "").unwrap());
    connect().fails(1).says(&["cannot run psql", "help: install PostgreSQL's client"]);
}

#[test]
fn a_database_with_an_odd_name_is_created_and_dropped() {
    let world = World::new();
    let url = world.database.url().replace(&world.database.name, "Odd%20%22name%22%3B%20--");
    for command in ["db setup", "db test", "db drop"] {
        world.xtask(command).env("CONNECTION_URL", &url).ok();
    }
}

#[test]
fn control_characters_from_postgres_are_escaped() {
    let server = cruddur_testing::fixtures::postgres::start(&[], &[]);
    let database = Database { name: HOSTILE.to_owned(), ..Database::on(&server) };
    let encoded: String = HOSTILE.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let url = format!("postgresql://cruddur-tests:{PASSWORD_IN_URL}@127.0.0.1:{}/{encoded}", server.port);
    let workspace = Workspace::new().with("CONNECTION_URL", url).with("CRUDDUR_ENGINE", "external");
    let stderr = |line: &str| workspace.xtask(line).ok().stderr;
    assert_harmless(&stderr("db create"));
    let role = format!("create role \"{HOSTILE}\" login password 'other'");
    database.maintenance_session().batch_execute(&role).unwrap();
    let mut config = postgres::Config::new();
    config.host("127.0.0.1").port(server.port).user(HOSTILE).password("other").dbname(HOSTILE);
    let _other = config.application_name(HOSTILE).connect(postgres::NoTls).unwrap();
    for line in ["db sessions", "db sessions --vertical"] {
        assert_harmless(&workspace.xtask(line).ok().stdout);
    }
    let script = |text: &str| workspace.write("backend-flask-rs/db/schema.sql", text);
    script(&format!("do $$ begin raise notice '{HOSTILE}'; raise warning '{HOSTILE}'; end $$"));
    let told = stderr("db schema-load");
    assert!(told.contains(r"NOTICE: a\u{1b}") && told.contains(r"WARNING: a\u{1b}"), "{told:?}");
    assert_harmless(&told);
    for text in [format!("do $$ begin raise '{HOSTILE}'; end $$"), format!("select \"{HOSTILE}\"")] {
        script(&text);
        assert_harmless(&workspace.xtask("db schema-load").fails(2).stderr);
    }
    assert_harmless(&workspace.xtask("db test").fails(1).stderr);
    let told = stderr("db drop");
    assert!(told.contains(r"ends the sessions of a\u{1b}"), "{told:?}");
    assert_harmless(&told);
}

#[test]
fn every_server_s_own_databases_are_used_or_refused() {
    let server = cruddur_testing::fixtures::postgres::start(&[], &[]);
    let named = |name: &str| {
        let url = format!("postgresql://cruddur-tests:{PASSWORD_IN_URL}@127.0.0.1:{}/{name}", server.port);
        Workspace::new().with("CONNECTION_URL", &url).with("PROD_CONNECTION_URL", &url)
    };
    // Every new database would be a copy of a changed template.
    for name in ["template0", "template1"] {
        for line in ["db setup", "db schema-load", "db kill-all", "db drop --prod --dry-run"] {
            let failed = named(name).xtask(line).env("CRUDDUR_ENGINE", "external").fails(2);
            failed.says(&[&format!("CONNECTION_URL names {name}, from which Postgres copies"), "help: "]);
        }
    }
    let workspace = named("postgres").with("CRUDDUR_ENGINE", "external");
    for line in ["db setup", "db drop", "db create", "db schema-load", "db seed", "db setup"] {
        workspace.xtask(line).ok();
    }
    assert_eq!(workspace.xtask("db test -o json").ok().json()[0]["users"], 5);
}
