//! `cargo xtask run`, which starts the app, and `cargo xtask open`, which opens its page.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use super::{SHORT_CONVERSATION, TABLE, World};
use crate::common::run::Running;
use crate::common::{Workspace, free_port};

/// Starts `cargo xtask run`, and waits until the app answers.
fn run(world: &Workspace, options: &str) -> Running {
    run_at(world, free_port(), options)
}

pub(crate) fn run_at(world: &Workspace, port: u16, options: &str) -> Running {
    let mut running = world.xtask(&format!("run --port {port}{options}")).start();
    running.read_until(&format!("The app: http://127.0.0.1:{port} "));
    running.read_until("listening");
    running
}

fn get(port: u16, path: &str, headers: &str) -> String {
    ask(port, "GET", path, headers, "")
}

/// The app's answer to a request.
pub(crate) fn ask(port: u16, method: &str, path: &str, headers: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let request = format!("{method} {path} HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n");
    write!(stream, "{request}{headers}\r\n{body}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// A replacement for the program that opens a browser. It records its arguments.
fn opener(world: &Workspace) -> String {
    let folder = world.path("bin");
    fs::create_dir(&folder).unwrap();
    for name in ["xdg-open", "open"] {
        let path = folder.join(name);
        fs::write(&path, format!("#!/bin/sh\necho \"$@\" >'{}'\n", world.path("opened").display())).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    format!("{}:{}", folder.display(), std::env::var("PATH").unwrap())
}

#[test]
fn run_sets_up_what_is_missing_and_becomes_the_app() {
    let world = World::new();
    let port = free_port();
    let running = run_at(&world, port, "");
    assert!(get(port, "/api/health-check", "").contains(r#""success":true"#));
    let page = get(port, "/", "Cookie: cruddur_user=andrewbrown\r\n");
    assert!(page.starts_with("HTTP/1.1 200 ") && page.contains("Andrew Bayko"), "{page}");
    assert_eq!(world.endpoint().items(TABLE).len(), 138);

    let open = world.xtask("open").env("PATH", opener(&world)).ok();
    open.says(&[&format!("opening http://127.0.0.1:{port}")]);
    assert_eq!(fs::read_to_string(world.path("opened")).unwrap(), format!("http://127.0.0.1:{port}\n"));

    let status = world.xtask("status -o json").ok().json();
    let app = (&status[2]["service"], &status[2]["address"], &status[2]["answer"]);
    assert_eq!(app, (&"app".into(), &format!("http://127.0.0.1:{port}").into(), &"ready".into()));

    let second = world.xtask("run").fails(1);
    second.says(&[
        &format!("the app runs already, at http://127.0.0.1:{port} (process "),
        "cargo xtask open",
        "Ctrl-C where it runs, or `kill ",
    ]);

    running.signal("TERM");
    let ended = running.end_within(Duration::from_secs(20));
    assert_eq!(ended.code, Some(0), "{ended}");
}

#[test]
fn run_leaves_rows_and_items_that_were_written_alone() {
    let world = World::set_up();
    world
        .database
        .execute("delete from activities; update users set display_name = 'Me' where handle = 'bayko'");
    let before = world.endpoint().items(TABLE);
    let running = run(&world, "");
    running.signal("INT");
    let ended = running.end_within(Duration::from_secs(20));
    assert_eq!(ended.code, Some(0), "{ended}");
    assert_eq!(world.endpoint().items(TABLE), before);
    assert_eq!(world.database.column("select display_name from users where handle = 'bayko'"), ["Me"]);
    assert_eq!(world.database.column("select count(*)::text from activities"), ["0"]);
}

#[test]
fn run_takes_databases_as_they_are_where_it_is_told_to() {
    let world = World::set_up();
    world.write("backend-flask-rs/ddb/conversation.txt", SHORT_CONVERSATION);
    world.xtask("ddb put").arg(r#"{"pk": "mine", "sk": "1"}"#).ok();
    let before = world.endpoint().items(TABLE);
    world.xtask("run").fails(4).says(&["the conversation has changed", "cargo xtask run --as-is"]);
    run(&world, " --as-is").signal("TERM");
    assert_eq!(world.endpoint().items(TABLE), before);
    run(&world, " --yes").signal("TERM");
    assert_eq!(world.endpoint().items(TABLE).len(), SHORT_CONVERSATION.lines().count() + 2);
}

#[test]
fn a_port_that_was_asked_for_and_is_taken_is_said_before_anything_is_started() {
    let world = World::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let ran = world.xtask(&format!("run --port {port}")).fails(1);
    ran.says(&[&format!("port 127.0.0.1:{port} of the app is held by another program"), "--port"]);
    assert!(!world.database.exists());
}

#[test]
fn open_starts_nothing() {
    let world = World::new();
    let ran = world.xtask("open").env("PATH", opener(&world)).fails(1);
    ran.says(&["the app does not run", "start it with `cargo xtask run`"]);
    assert!(!world.path("opened").exists());
    assert!(!world.database.exists());
}
