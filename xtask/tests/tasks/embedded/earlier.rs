//! A cluster that the first version of the tasks made: its superuser has the password `password`, and owns everything.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use postgres::error::SqlState;
use postgres::{Client, Config, NoTls};

use crate::common::checkout::Checkout;
use crate::common::{SCHEMA, fixtures, free_port, from_repository, wait_for};

const URL_OF: &str = "host=127.0.0.1 user=postgres password=password";

/// One of Postgres's programs, as the first version ran it: root ran it in a user namespace.
fn server_program(name: &str) -> Command {
    if std::fs::metadata("/proc/self").unwrap().uid() != 0 {
        return Command::new(name);
    }
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-user=1000", "--map-group=1000", name]);
    command
}

#[track_caller]
fn succeeds(command: &mut Command) {
    // A server that it starts must not hold the test's own output open.
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    assert!(command.status().unwrap().success(), "{command:?}");
}

/// Creates and starts the cluster, with the app's database and tables of the user's own.
fn first_version(data: &Path, password: &Path, port: u16) {
    let mut initdb = server_program("initdb");
    initdb.arg("--pgdata").arg(data).arg("--pwfile").arg(password).args(["--username", "postgres"]);
    succeeds(initdb.args(["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"]));
    let options = format!("-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off");
    succeeds(server_program("pg_ctl").args(["start", "--wait", "-D"]).arg(data).args(["-o", &options]));
    let connect = |name| Client::connect(&format!("{URL_OF} port={port} dbname={name}"), NoTls).unwrap();
    connect("postgres").batch_execute("create database cruddur").unwrap();
    let mut session = connect("cruddur");
    let tables = "create table notes (id serial primary key, text text); insert into notes (text) values ('kept');
         create table days (day date) partition by range (day); create view handles as select handle from users;";
    for script in [from_repository(SCHEMA).as_str(), fixtures::SEED, tables] {
        session.batch_execute(script).unwrap();
    }
}

#[test]
fn a_cluster_of_the_first_version_loses_its_well_known_password_and_keeps_its_rows() {
    let checkout = Checkout::new();
    // Both servers' folders, as they are between two commands.
    checkout.xtask("up").ok();
    checkout.xtask("down --volumes").ok();
    let (data, port) = (checkout.state("postgres"), free_port());
    first_version(&data, &checkout.write("password", "password"), port);

    // That version's server holds no lock.
    let failed = checkout.xtask("up").fails(1);
    failed.says(&["was started by an earlier version of the tasks"]);
    let (_, remedy) = failed.stderr.split_once("help: stop it with `").unwrap();
    succeeds(Command::new("sh").args(["-c", remedy.split_once('`').unwrap().0]));
    let ended = || (!data.join("postmaster.pid").exists()).then_some(());
    wait_for("end of the old server", Duration::from_secs(20), ended);

    checkout.xtask("up").ok().says(&["Postgres: give cruddur a new password"]);
    let [port, _] = checkout.ports();
    for user in ["postgres", "cruddur"] {
        let mut config = Config::new();
        config.host("127.0.0.1").port(port).user(user).password("password").dbname("postgres");
        let refused = config.connect(NoTls).map(drop).unwrap_err();
        assert_eq!(refused.code(), Some(&SqlState::INVALID_PASSWORD), "{user}");
    }
    let mut session = checkout.session();
    let superuser = "select rolsuper from pg_roles where rolname = current_user";
    assert!(!session.query_one(superuser, &[]).unwrap().get::<_, bool>(0));
    let refused = session.batch_execute("copy (select 1) to program 'true'").unwrap_err();
    assert_eq!(refused.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE));

    assert_eq!(checkout.xtask("db test -o json").ok().json()[0]["users"], 5);
    session.batch_execute("insert into notes (text) values ('new'); select * from handles, days").unwrap();
    assert_eq!(session.query_one("select count(*) from notes", &[]).unwrap().get::<_, i64>(0), 2);
    drop(session);
    checkout.set_up();
}
