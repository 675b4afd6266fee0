//! Faults that show only as a time-out.

use std::time::Duration;

use cruddur_testing::fixtures::certificates::{Authority, Identity};
use cruddur_testing::fixtures::postgres::Database;
use cruddur_testing::fixtures::proxy::{Fate, Proxy};
use cruddur_testing::fixtures::throttle::Throttle;

use super::daemon::{self, Then};
use super::line::{self, Fault, Line};
use super::own_postgres::OwnPostgres;
use super::{SETUP, TABLE, World};
use crate::common::SECRET_KEY;
use crate::common::dynamodb::Endpoint;
use crate::waiting::wait;

/// The time that a busy machine may need beyond a bound.
const SLACK: Duration = Duration::from_secs(15);
const fn within(seconds: u64) -> Duration {
    Duration::from_secs(seconds).saturating_add(SLACK)
}

/// A command fails at this DynamoDB within the bound and prints the cause. A set-up on a healthy one repairs
/// everything.
fn fails_at(world: &World, code: i32, endpoint: Endpoint, bound: u64, says: &[&str]) {
    world.fails_at(code, "ddb seed", endpoint, within(bound)).says(says).says(&["help: "]);
    world.recovers();
}

#[test]
fn a_dynamodb_that_never_answers() {
    wait("never_answers");
}

pub(crate) fn never_answers() {
    let (_listener, port) = line::silent();
    fails_at(&World::with_known_seed(), 3, Endpoint(port), 30, &["no answer within 30 s"]);
}

#[test]
fn a_dynamodb_that_drips() {
    wait("drips");
}

pub(crate) fn drips() {
    let world = World::with_known_seed();
    let line = Line::start(world.endpoint().0, |_| Fault::Drip(20, Duration::from_millis(500)));
    fails_at(&world, 3, line.endpoint(), 30, &["no answer within 30 s"]);
}

#[test]
fn a_dynamodb_to_which_connections_hang() {
    wait("connections_hang");
}

pub(crate) fn connections_hang() {
    let (_socket, _held, port) = line::full();
    let world = World::with_known_seed();
    fails_at(&world, 3, Endpoint(port), 17, &["HTTP connect timeout occurred after 5s"]);
    world.fails_at(3, "ddb list-tables", Endpoint(port), within(17)).says(&["timeout", "help: "]);
}

#[test]
fn a_dynamodb_that_throttles_for_ever() {
    wait("throttles_for_ever");
}

pub(crate) fn throttles_for_ever() {
    let world = World::with_known_seed();
    let proxy = Proxy::start(world.endpoint(), |operation, _| {
        Ok(if operation == "BatchWriteItem" { Fate::throttled() } else { Fate::Passed })
    });
    let says =
        ["is throttling: no item was written or read for 30.0 s", "so far: no item is known to be written"];
    fails_at(&world, 1, proxy.endpoint, 37, &says);
}

#[test]
fn a_dynamodb_that_hands_all_items_back_for_ever() {
    wait("hands_all_back");
}

pub(crate) fn hands_all_back() {
    let world = World::with_known_seed();
    world.xtask("ddb drop cruddur-messages").ok();
    world.xtask("ddb schema-load").ok();
    let throttle = Throttle::start(world.endpoint(), |number, size| if number == 0 { size } else { 0 });
    let failed = world.fails_at(1, "ddb seed", throttle.endpoint, within(37));
    // Of the concurrent batches, the last and smaller one may arrive first.
    let written = throttle.written().len();
    assert!([25, 11].contains(&written), "{written}");
    assert_eq!(world.endpoint().items(TABLE).len(), written);
    let error = failed.error().replace(&throttle.endpoint.url(), "ENDPOINT");
    insta::assert_snapshot!(error.replace(&format!("{written} items"), "N items"), @"
    error: DynamoDB: could not seed 138 items into cruddur-messages
      because: DynamoDB at ENDPOINT is throttling: no item was written or read for 30.0 s
      because: it handed all items of a batch back
      so far: N items were certainly written
      help: run the command again later, or give the table more capacity units
    ");
    world.recovers();
}

#[test]
fn a_population_that_was_written_in_part_is_written_whole_by_the_next_run() {
    wait("population_in_part");
}

pub(crate) fn population_in_part() {
    let world = World::with_known_seed();
    let throttle = Throttle::start(world.endpoint(), |number, size| if number < 3 { size } else { 0 });
    world.fails_at(1, "ddb seed --messages 200", throttle.endpoint, within(37));
    let written = || world.endpoint().items(TABLE).len() - 138;
    // Three of nine requests. The smaller last one may be among them.
    let in_part = written();
    assert!([54, 75].contains(&in_part), "{in_part}");
    world.xtask("ddb seed --messages 200").ok().says(&[&format!("{in_part} were there")]);
    assert_eq!(written(), 204);
}

#[test]
fn credentials_that_never_come() {
    wait("no_credentials");
}

pub(crate) fn no_credentials() {
    let world = World::with_known_seed();
    let (_listener, port) = line::silent();
    let run = |line: &str| {
        let run = world.xtask(line).env("PROD_CONNECTION_URL", world.database.url());
        let run =
            run.env("PROD_DYNAMODB_ENDPOINT_URL", world.endpoint().url()).env("AWS_REGION", "us-east-1");
        run.env("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("http://127.0.0.1:{port}/"))
    };
    let failed = run("ddb scan --prod").fails(3);
    failed.within(within(20)).says(&[
        "because: there are no AWS credentials",
        "timed out",
        "help: `aws sso login",
    ]);
    let failed = run("ddb list-tables --prod").fails(3);
    failed.within(within(35)).says(&["error: "]);
    let given = run("ddb scan --prod").env("AWS_ACCESS_KEY_ID", "production");
    given.env("AWS_SECRET_ACCESS_KEY", SECRET_KEY).ok();
}

#[test]
fn a_postgres_that_never_answers() {
    wait("postgres_never_answers");
}

pub(crate) fn postgres_never_answers() {
    let world = World::with_known_seed();
    let (_listener, port) = line::silent();
    let failed = world.xtask("db setup").env("CONNECTION_URL", world.database.url_at(port)).fails(3);
    failed.within(within(10)).says(&["did not answer within 10.0 s", "help: check that CONNECTION_URL"]);
    world.recovers();
}

#[test]
fn a_postgres_whose_tls_handshake_stalls() {
    wait("postgres_handshake_stalls");
}

pub(crate) fn postgres_handshake_stalls() {
    let Identity { certificate, key } = Authority::new("good").server(&["localhost"]);
    let files = [("server.crt", certificate.as_str()), ("server.key", &key)];
    let server = cruddur_testing::fixtures::postgres::start(&files, &["-c", "ssl=on"]);
    let world = World { database: Database::on(&server), ..World::new() };
    let run = |line: &str, port, mode| {
        let url = format!("{}?sslmode={mode}", world.database.url_at(port));
        world.xtask(line).env("CONNECTION_URL", url)
    };
    run(SETUP, server.port, "require").ok();
    // One byte, with which the server agrees to encrypt, and nothing more.
    let line = Line::start(server.port, |_| Fault::Stall(1));
    for mode in ["prefer", "require"] {
        let failed = run("db setup", line.port, mode).fails(3);
        failed.within(within(10)).says(&[
            "agreed to encrypt, but did not end the TLS handshake within 10.0 s",
            "help: check that CONNECTION_URL",
        ]);
    }
    run(SETUP, server.port, "require").ok();
    world.assert_whole();
}

#[test]
fn a_postgres_that_stops_answering() {
    wait("postgres_stops_answering");
}

pub(crate) fn postgres_stops_answering() {
    let world = World::new();
    // A server of its own, because the session that is left holds the lock for creating databases.
    let own = OwnPostgres::start(":");
    // The fault comes after the log-in, in the middle of the work.
    let line = Line::start(own.port, |_| Fault::Stall(700));
    let failed = world.xtask("db setup").env("CONNECTION_URL", own.url_at(line.port)).fails(3);
    failed.within(within(30)).says(&["did not answer within 30.0 s", "help: "]);
    world.xtask(SETUP).env("CONNECTION_URL", own.url()).ok();
}

#[test]
fn a_script_whose_statement_takes_long() {
    wait("postgres_is_at_work");
}

pub(crate) fn postgres_is_at_work() {
    let world = World::with_known_seed();
    world.database.session().batch_execute(SLOW).unwrap();
    let seeded = world.xtask("db seed").ok();
    seeded.says(&["Postgres has been working for 30.", "s on backend-flask-rs/db/seed.sql"]);
    world.assert_whole();
}

/// A schema that takes as long as an index of a large table.
const SLOW: &str = "
    create function slow() returns trigger language plpgsql as
        'begin perform pg_sleep(32); return null; end';
    create trigger slow after insert on public.users execute function slow();
";

#[test]
fn a_script_that_waits_for_another_session_s_lock() {
    wait("postgres_waits_for_a_lock");
}

pub(crate) fn postgres_waits_for_a_lock() {
    let world = World::with_known_seed();
    let mut other = world.database.session();
    other.batch_execute("begin; lock table public.users").unwrap();
    let failed = world.xtask("db seed").fails(1);
    failed.within(within(30)).says(&[
        "backend-flask-rs/db/seed.sql has waited for ",
        "for a lock of the session",
        "help: see who that is",
    ]);
    other.batch_execute("rollback").unwrap();
    world.recovers();
}

#[test]
fn a_postgres_to_which_connections_hang() {
    wait("postgres_connections_hang");
}

pub(crate) fn postgres_connections_hang() {
    let (_socket, _held, port) = line::full();
    let world = World::with_known_seed();
    let failed = world.xtask("db test").env("CONNECTION_URL", world.database.url_at(port)).fails(3);
    failed.within(within(10)).says(&["help: check that CONNECTION_URL"]);
    world.recovers();
}

#[test]
fn a_docker_daemon_that_answers_no_more() {
    wait("daemon_is_silent");
}

pub(crate) fn daemon_is_silent() {
    let (workspace, socket) = daemon::workspace();
    daemon::start(&socket, Then::IsSilent);
    let failed = workspace.xtask("ddb-setup").fails(1);
    failed.within(within(30)).says(&[
        "cannot list containers",
        "no answer within 30.0 s",
        "help: the Docker daemon",
    ]);
}

#[test]
fn a_docker_daemon_that_never_answers() {
    wait("daemon_never_answers");
}

pub(crate) fn daemon_never_answers() {
    let (workspace, socket) = daemon::workspace();
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let failed = workspace.xtask("ddb-setup").fails(3);
    failed.within(within(5)).says(&["no answer within 5 s", "help: start Docker"]);
}

#[test]
fn external_databases_where_nobody_listens() {
    wait("nobody_listens");
}

pub(crate) fn nobody_listens() {
    let world = World::new();
    let (_socket, port) = line::nobody();
    let nowhere = world.database.url_at(port);
    let failed = world.xtask(SETUP).env("CONNECTION_URL", nowhere).fails(3);
    failed.within(within(3)).says(&["nobody listens there", "help: check that CONNECTION_URL"]);
    let failed = world.fails_at(3, SETUP, Endpoint(port), within(3));
    failed.says(&["nobody listens there", "help: check that AWS_ENDPOINT_URL_DYNAMODB"]);
    world.recovers();
}

#[test]
fn an_external_database_that_never_becomes_ready() {
    wait("never_ready");
}

pub(crate) fn never_ready() {
    let world = World::with_known_seed();
    let line = Line::start(world.endpoint().0, |_| Fault::Reset(0));
    let failed = world.fails_at(3, SETUP, line.endpoint(), within(60));
    failed.says(&[
        "gave up after 1 min 0 s",
        "onnection reset",
        "help: check that AWS_ENDPOINT_URL_DYNAMODB",
    ]);
    world.recovers();
}
