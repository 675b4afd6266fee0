//! The health check, and the reports about missing databases.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::mpsc::channel;
use std::time::Duration;

use serde_json::json;

use crate::common::wait_for;
use crate::program::Program;
use crate::world::{App, World};

#[test]
fn the_health_check_succeeds_with_both_databases() {
    let world = World::new();
    let health = world.app.get("/api/health-check").send();
    assert_eq!(health.ok(), json!({ "success": true, "postgres": "ready", "dynamodb": "ready" }));
    assert!(health.header("x-request-id").is_some_and(|id| id.len() == 36), "{health:?}");
    assert_eq!(health.header("cache-control"), Some("no-store"));
}

#[test]
fn it_says_which_database_is_missing() {
    let world = World::new();
    let without = |name: &'static str, value: String| {
        let mut settings = world.settings();
        settings.retain(|(set, _)| *set != name);
        settings.push((name, value));
        App::start(&settings)
    };
    let nowhere = crate::common::free_port();
    let app = without("AWS_ENDPOINT_URL_DYNAMODB", format!("http://127.0.0.1:{nowhere}"));
    let answer = app.get("/api/health-check").send();
    let health = answer.refuses(503, "dynamodb").json();
    assert_eq!((&health["postgres"], &health["success"]), (&json!("ready"), &json!(false)));

    let app = without("CONNECTION_URL", format!("postgresql://me:hush-secret@127.0.0.1:{nowhere}/cruddur"));
    let answer = app.get("/api/health-check").send();
    let health = answer.refuses(503, "postgres").json();
    assert_eq!(health["dynamodb"], "ready");
    assert!(!answer.body.contains("hush"), "{answer:?}");

    let app = without("DDB_MESSAGE_TABLE", "no-such-table".to_owned());
    app.get("/api/health-check").send().refuses(503, "dynamodb");
}

#[test]
fn a_postgres_that_says_nothing_is_given_up() {
    let world = World::new();
    // The system accepts connections to it, but nobody answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut settings = world.settings();
    settings.retain(|(name, _)| *name != "CONNECTION_URL");
    let url = format!("postgresql://me:hush-secret@{}/cruddur", silent.local_addr().unwrap());
    settings.push(("CONNECTION_URL", url));
    let program = Program::start(&settings);
    program.get("/api/health-check").send().refuses(503, "postgres");
    wait_for("word of the missing news", Duration::from_secs(20), || {
        let lines = program.lines();
        let causes = lines.iter().filter(|line| {
            line["fields"]["message"] == "notifications from other servers are interrupted"
                && line["fields"]["cause"].as_str().unwrap().starts_with("Postgres does not answer")
        });
        (causes.count() > 0).then_some(())
    });
}

#[test]
fn a_postgres_that_asks_for_the_password_in_clear_text_gets_none() {
    let world = World::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, heard) = channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            _ = stream.read(&mut [0; 1024]);
            _ = stream.write_all(b"R\0\0\0\x08\0\0\0\x03");
            let mut rest = Vec::new();
            _ = stream.read_to_end(&mut rest);
            _ = tell.send(rest);
        }
    });
    let mut settings = world.settings();
    settings.retain(|(name, _)| *name != "CONNECTION_URL");
    settings.push(("CONNECTION_URL", format!("postgresql://me:hush@127.0.0.1:{port}/d?sslmode=disable")));
    App::start(&settings).get("/api/health-check").send().refuses(503, "postgres");
    assert_eq!(heard.recv_timeout(Duration::from_secs(20)).unwrap(), b"", "no byte follows");
    assert!(heard.try_iter().all(|rest| rest.is_empty()));
}

#[test]
fn unknown_paths_are_refused_in_json() {
    let world = World::new();
    world.app.get("/api/nothing").send().refuses(404, "path");
    world.app.post("/api/message_groups").send().refuses(405, "method");
}

#[test]
fn a_postgres_that_was_restarted_is_found_again() {
    let world = World::new();
    let ask = || world.app.get("/api/users/@bayko/short").send();
    ask().ok();
    let ended = world.session().query(
        "select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and pid <> pg_backend_pid()",
        &[],
    );
    assert!(!ended.unwrap().is_empty(), "the server kept a connection");
    ask().ok();
}
