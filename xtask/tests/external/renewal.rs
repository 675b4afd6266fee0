//! How a set-up comes to a new database where there is one: it empties it, or drops it and creates another.

use std::process::Command;

use crate::World;
use crate::common::PASSWORD;
use crate::common::run::Ran;
use crate::postgres::binaries;

/// One of everything that is in a schema, in `public` and in another, with one of them needing another.
const IN_SCHEMAS: &str = r#"
    create schema "Odd ""name""";
    create schema work authorization current_user;
    create table work.parent (id serial primary key, name text);
    create table public.users_too (id bigint generated always as identity, parent int references work.parent);
    create table public.parted (id int) partition by range (id);
    create table public.part partition of public.parted for values from (1) to (10);
    create table public."Quoted" () inherits (public.users);
    create view public.seen as select handle from public.users;
    create materialized view work.kept as select * from public.seen;
    create unlogged table public.unlogged (id int);
    create sequence public.numbers;
    create type public.pair as (a int, b int);
    create type public.mood as enum ('well', 'unwell');
    create type public.span as range (subtype = int);
    create domain public.small as int check (value < 10);
    create function public.twice(n int) returns int language sql as 'select 2 * n';
    create procedure work.nothing() language sql as 'select 1';
    create aggregate public.total(int) (sfunc = int4pl, stype = int);
    create operator public.=== (leftarg = int, rightarg = int, function = int4pl);
    create operator public.@#@ (rightarg = int, function = public.twice);
    create operator class public.ints for type int using btree as operator 1 <;
    create collation public.plain (locale = 'C');
    create conversion public.converted for 'UTF8' to 'LATIN1' from utf8_to_iso8859_1;
    create text search configuration public.simply (copy = simple);
    create text search dictionary public.simple_words (template = simple);
    create statistics public.both on handle, email from public.users;
    create cast (public.pair as text) with inout;
    create rule quiet as on delete to public.unlogged do instead nothing;
    create policy own on public.users using (true);
    create function public.touch() returns trigger language plpgsql as 'begin return new; end';
    create trigger touched before update on public.users for each row execute function public.touch();
    alter default privileges in schema work grant select on tables to public;
    comment on table public.users is 'They write.';
    grant select on public.users to public;
    analyze public.users;
"#;

/// What stands against emptying a database: how it comes to be, in the place of NAME, and how it is called.
const BEYOND: [(&str, &str); 17] = [
    ("create publication everything for all tables", "publication everything"),
    ("create cast (int as inet) with inout", "cast from integer to inet"),
    ("create foreign data wrapper elsewhere", "foreign-data wrapper elsewhere"),
    ("select lo_create(0)", "large object "),
    ("alter default privileges grant select on tables to public", "default privileges on new relations"),
    (
        "alter default privileges in schema public grant select on tables to public",
        "default privileges on new relations",
    ),
    ("create access method other type table handler heap_tableam_handler", "access method other"),
    ("create language other handler plpgsql_call_handler", "language other"),
    ("create collation pg_catalog.other (locale = 'C')", "collation other"),
    ("create type pg_catalog.other", "type other"),
    (
        "create function pg_catalog.thrice(int) returns int language sql as 'select 1'",
        "function thrice(integer)",
    ),
    ("drop extension plpgsql cascade", "no plpgsql"),
    (
        "grant create on schema public to public; revoke usage on schema public from public",
        "another schema public",
    ),
    ("alter schema public rename to private", "another schema public"),
    ("alter database NAME set work_mem = '8MB'", "settings of its own"),
    ("grant create on database NAME to public", "rights of its own"),
    ("comment on database NAME is 'Mine.'", "a comment"),
];

impl World {
    /// The number that a database keeps for as long as it is there.
    fn database_oid(&self) -> String {
        self.database.column("select oid::text from pg_database where datname = current_database()").remove(0)
    }

    /// All that there is in the database but its rows, and what it has as a whole.
    fn definition(&self) -> String {
        // Beside the server itself, which PATH may have by a link alone.
        let server = binaries().join("postgres").canonicalize().unwrap();
        let mut dump = Command::new(server.with_file_name("pg_dump"));
        dump.args(["--schema-only", "--create", "--dbname", &self.database.url()])
            .env("PGPASSWORD", PASSWORD);
        let output = dump.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = self.redact(&String::from_utf8(output.stdout).unwrap());
        // Its key is another one each time.
        let is_fixed = |line: &&str| !line.starts_with(r"\restrict") && !line.starts_with(r"\unrestrict");
        text.lines().filter(is_fixed).collect::<Vec<_>>().join("\n")
    }
}

/// A world with a new database set up, and its definition.
fn with_new_database() -> (World, String) {
    let world = World::new();
    let ran = world.xtask("db setup").ok();
    assert_eq!(steps(&ran), ["drop", "create", "load", "load"]);
    let definition = world.definition();
    assert!(definition.contains("CREATE TABLE public.users"), "{definition}");
    (world, definition)
}

/// The first word of each of Postgres's steps.
fn steps(ran: &Ran) -> Vec<&str> {
    let steps = ran.stderr.lines().filter_map(|line| line.strip_prefix("ok  Postgres: "));
    steps.filter_map(|step| step.split(' ').next()).collect()
}

#[test]
fn whatever_is_in_schemas_is_emptied_out() {
    let (world, definition) = with_new_database();
    let before = world.database_oid();
    for _ in 0..2 {
        world.database.execute(IN_SCHEMAS);
        assert_ne!(world.definition(), definition);
        let ran = world.xtask("db setup").ok();
        assert_eq!(steps(&ran), ["empty", "load", "load"], "{ran}");
        assert_eq!(world.database_oid(), before);
        assert_eq!(world.definition(), definition);
    }
    assert_eq!(world.database.column("select count(*)::text from users"), ["5"]);
}

#[test]
fn what_no_schema_holds_is_dropped_with_the_database() {
    let (world, definition) = with_new_database();
    for (sql, name) in BEYOND {
        let before = world.database_oid();
        world.database.execute(&sql.replace("NAME", &world.database.name));
        let ran = world.xtask("db setup").ok();
        ran.says(&[&format!("left as it is, it has {name}")]);
        assert_eq!(steps(&ran), ["empty", "drop", "create", "load", "load"], "{sql}: {ran}");
        assert_ne!(world.database_oid(), before, "{sql}");
        assert_eq!(world.definition(), definition, "{sql}");
    }
}

#[test]
fn where_the_server_refuses_to_empty_it_the_database_is_dropped() {
    let (world, definition) = with_new_database();
    world.database.execute(
        "create function public.refuse() returns event_trigger language plpgsql as
             'begin raise exception $$nothing is dropped here$$; end';
         create event trigger refuse on sql_drop execute function public.refuse()",
    );
    let ran = world.xtask("db setup").ok();
    ran.says(&["left as it is, nothing is dropped here"]);
    assert_eq!(steps(&ran), ["empty", "drop", "create", "load", "load"]);
    assert_eq!(world.definition(), definition);
}

#[test]
fn another_owner_encoding_or_locale_is_not_kept() {
    let (world, definition) = with_new_database();
    let name = &world.database.name;
    for (creation, obstacle) in [
        ("owner pg_monitor", "another owner"),
        ("encoding 'SQL_ASCII' template template0", "another encoding, locale, tablespace or bound"),
        ("connection limit 5", "another encoding, locale, tablespace or bound"),
    ] {
        let mut maintenance = world.database.maintenance_session();
        maintenance.batch_execute(&format!("drop database {name} with (force)")).unwrap();
        maintenance.batch_execute(&format!("create database {name} {creation}")).unwrap();
        let ran = world.xtask("db setup").ok();
        ran.says(&[&format!("left as it is, it has {obstacle}")]);
        assert_eq!(world.definition(), definition, "{creation}");
    }
}

#[test]
fn an_old_version_of_the_collation_is_not_kept() {
    let (world, definition) = with_new_database();
    // As a database has it that was made with an earlier C library, from Postgres 15 on.
    world.database.execute(
        "do $$ begin
             update pg_database set datcollversion = '1.0' where datname = current_database();
         exception when undefined_column then null;
         end $$",
    );
    world.xtask("db setup").ok();
    let version = "select coalesce(to_jsonb(d) ->> 'datcollversion', 'none') from pg_database as d
                   where datname = current_database()";
    assert_ne!(world.database.column(version), ["1.0"]);
    assert_eq!(world.definition(), definition);
}

#[test]
fn a_database_that_lets_nobody_in_is_dropped() {
    let (world, definition) = with_new_database();
    let close = format!("alter database {} allow_connections false", world.database.name);
    world.database.maintenance_session().batch_execute(&close).unwrap();
    let ran = world.xtask("db setup").ok();
    assert_eq!(steps(&ran), ["drop", "create", "load", "load"]);
    assert_eq!(world.definition(), definition);
}

#[test]
fn sessions_that_are_idle_go_on_and_others_end() {
    let (world, _) = with_new_database();
    let mut idle = world.database.session();
    let count = "select count(*)::text from public.users";
    assert_eq!(idle.query_one(count, &[]).unwrap().get::<_, &str>(0), "5");
    assert_eq!(steps(&world.xtask("db setup").ok()), ["empty", "load", "load"]);
    assert_eq!(idle.query_one(count, &[]).unwrap().get::<_, &str>(0), "5");

    // One waits with a lock on what is to be dropped, one without any, one has a table of its own.
    for (begin, obstacle) in [
        ("begin; lock table public.users", "left as it is, canceling statement due to lock timeout"),
        ("begin", "left as it is, it has a session at work"),
        ("create temporary table mine ()", "left as it is, it has table pg_temp_"),
    ] {
        let mut other = world.database.session();
        other.batch_execute(begin).unwrap();
        let ran = world.xtask("db setup").ok();
        ran.says(&[obstacle, "ends the sessions of cruddur-tests (another client, pid "]);
        assert_eq!(steps(&ran), ["empty", "drop", "create", "load", "load"], "{begin}: {ran}");
        assert!(other.simple_query("select 1").is_err(), "{begin}");
        assert_eq!(world.database.column(count), ["5"]);
    }
    assert!(idle.simple_query("select 1").is_err());
}

#[test]
fn the_owner_need_not_be_a_superuser() {
    let (world, _) = with_new_database();
    let name = &world.database.name;
    let role = format!("owner_of_{name}");
    let mut maintenance = world.database.maintenance_session();
    maintenance.batch_execute(&format!("create role {role} login createdb password '{PASSWORD}'")).unwrap();
    maintenance.batch_execute(&format!("alter database {name} owner to {role}")).unwrap();
    let set_up = || {
        let url = world.database.url_with(&role, crate::common::PASSWORD_IN_URL);
        world.xtask("db setup").env("CONNECTION_URL", url).ok()
    };
    // From version 15 on the schema is the owner's, and with it the tables that another made.
    set_up();
    assert_eq!(steps(&set_up()), ["empty", "load", "load"]);
    assert!(world.definition().contains(&world.redact(&format!("ALTER TABLE public.users OWNER TO {role}"))));
}
