//! Daily use of the engine: start, stop, ports, two checkouts, two concurrent runs, the settings it prints.

use std::fs::{self, Permissions};
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::common::checkout::Checkout;
use crate::common::free_port;
use crate::common::prepare::each_source_is_noticed;

#[test]
fn a_set_up_gives_the_same_data_from_any_state() {
    let checkout = Checkout::new();
    checkout.set_up().says(&["engine embedded: as chosen"]);
    checkout.set_up();
    let agree = checkout.xtask("verify").ok().stdout;
    assert_eq!(agree, "all agree: 5 users, 1 group, 136 messages; 138 items\n");
    let before = checkout.xtask("ddb scan -o jsonl").ok().stdout;

    checkout.xtask("down").ok();
    assert!(checkout.processes("postgres").is_empty() && checkout.processes("dynamodb").is_empty());
    let ran = checkout.xtask("up --verbose").ok();
    ran.says(&["pg_ctl start --silent", "xtask-dynamodb --folder", " PATH="]);
    assert_eq!(checkout.xtask("ddb scan -o jsonl").ok().stdout, before, "{ran}");
    assert_eq!(checkout.xtask("db test -o json").ok().json()[0]["users"], 5);

    checkout.xtask("down --volumes").ok();
    assert!(!checkout.state("postgres").exists() && !checkout.state("dynamodb").exists());
    checkout.set_up();
}

#[test]
fn a_cluster_is_served_by_the_version_that_made_it() {
    let checkout = Checkout::new();
    checkout.set_up();
    checkout.xtask("down").ok();
    // This is the state after an upgrade: a newer version is found first.
    let newer = tempfile::tempdir().unwrap();
    for program in ["initdb", "pg_ctl", "postgres"] {
        let path = newer.path().join(program);
        fs::write(&path, "#!/bin/sh\necho 'postgres (PostgreSQL) 99.1'\n").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    }
    let path = format!("{}:{}", newer.path().display(), std::env::var("PATH").unwrap());
    checkout.xtask("up").env("PATH", &path).ok();
    assert_eq!(checkout.xtask("db test -o json").ok().json()[0]["users"], 5);
    checkout.xtask("down").ok();

    // This is the state after an upgrade that removed the older version.
    fs::write(checkout.state("postgres/PG_VERSION"), "9.6\n").unwrap();
    let cluster = format!("the cluster in {} is of PostgreSQL 9.6", checkout.state("postgres").display());
    let failed = checkout.xtask("ddb-setup").env("PATH", &path).fails(1);
    failed.says(&[&cluster, "but this machine has only:\n", "postgres (PostgreSQL) 99.1 in "]);
    failed.says(&["help: install PostgreSQL 9.6 as well, or start afresh with `cargo xtask down --volumes`"]);
    assert!(checkout.processes("dynamodb").is_empty(), "nothing was started");
    let doctor = checkout.xtask("doctor --engine embedded").env("PATH", &path).end().stdout;
    let bad: Vec<_> = doctor.lines().filter(|line| line.contains(" BAD ")).collect();
    assert!(
        bad.len() == 2 && bad[0].contains(&cluster) && bad[1].contains("embedded cannot be used"),
        "{doctor}"
    );
    assert!(
        bad[0].contains("this machine has only: postgres (PostgreSQL) 99.1 in ") && !doctor.contains("\\n"),
        "{doctor}"
    );
    checkout.xtask("down --volumes").ok();
    checkout.set_up();
}

#[test]
fn a_server_whose_program_has_changed_is_started_anew_with_its_data() {
    let checkout = Checkout::new();
    let programs = tempfile::tempdir().unwrap();
    let [program, server] = ["xtask", "xtask-dynamodb"].map(|name| programs.path().join(name));
    let built = Path::new(env!("CARGO_BIN_EXE_xtask"));
    fs::copy(built, &program).unwrap();
    // Copies outside cargo's target folder are not built, even where their package is.
    fs::create_dir_all(checkout.path("xtask/dynamodb")).unwrap();
    checkout.write("xtask/dynamodb/Cargo.toml", "cargo would refuse this");
    let alone = checkout.xtask("up").by(&program).fails(1);
    alone.says(&["xtask-dynamodb is missing", "help: copy it there too"]);
    fs::copy(built.with_file_name("xtask-dynamodb"), &server).unwrap();
    let run = |line| checkout.xtask(line).by(&program).ok();

    let ran = run("ddb-setup");
    checkout.assert_set_up(&ran);
    let (ports, before) = (checkout.ports(), checkout.processes("dynamodb"));
    run("up");
    assert_eq!(checkout.processes("dynamodb"), before);

    // Bytes after the last section are ignored, so the changed program still runs.
    let other = programs.path().join("other");
    fs::copy(&server, &other).unwrap();
    fs::OpenOptions::new().append(true).open(&other).unwrap().write_all(b"other").unwrap();
    fs::rename(&other, &server).unwrap();
    let ran = run("up");
    ran.says(&[&format!("DynamoDB: stop process {}, whose program has changed", before[0].0)]);
    assert_ne!(checkout.processes("dynamodb"), before);
    assert_eq!(checkout.ports(), ports);
    checkout.assert_set_up(&ran);
    run("up");
}

#[test]
fn auto_chooses_the_running_engine() {
    let checkout = Checkout::new();
    checkout.xtask("up").ok().says(&["there is no table cruddur-messages yet"]);
    let [postgres, dynamodb] = checkout.ports();
    let auto =
        |line| checkout.xtask(line).env("CRUDDUR_ENGINE", "auto").env("DOCKER_HOST", "unix:///nonexistent");
    auto("ddb-setup").ok().says(&["engine embedded: it is running"]);
    assert_eq!(checkout.ports(), [postgres, dynamodb]);
    let status = auto("status -o json").ok().json();
    assert_eq!(status[0]["answer"], "ready");
    assert_eq!(status[1]["address"], format!("http://127.0.0.1:{dynamodb}"));
    assert!(auto("logs postgres").ok().stdout.contains("database system is ready to accept connections"));
    // A database that died is started again with this engine, not with another.
    checkout.kill("dynamodb");
    auto("up").ok().says(&["engine embedded: it is running"]);
    assert_eq!(checkout.processes("dynamodb").len(), 1);
    auto("down").ok();
    let status = auto("status -o json --engine embedded").end();
    status.says(&["nothing runs", "cargo xtask up"]);
    assert_eq!((status.code, &status.json()[0]["runs_in"]), (Some(1), &"none".into()));
    // Its data is here, so it is chosen even where Docker can be used.
    let with_docker = |line| checkout.xtask(line).env("CRUDDUR_ENGINE", "auto");
    with_docker("status").end().says(&["nothing runs"]);
    assert!(with_docker("logs postgres").ok().stdout.contains("database system is shut down"));
    with_docker("up").ok().says(&["engine embedded: it was used last and has this checkout's data"]);
    with_docker("down --volumes").ok();
    assert!(!checkout.state("postgres").exists());
}

#[test]
fn without_docker_auto_chooses_it_and_says_why() {
    let checkout = Checkout::new();
    let ran = checkout
        .xtask("ddb-setup")
        .env("CRUDDUR_ENGINE", "auto")
        .env("DOCKER_HOST", "unix:///nonexistent")
        .ok();
    ran.says(&["engine embedded: Docker cannot be used: no Docker daemon answered", "unix:///nonexistent"]);
    checkout.assert_set_up(&ran);
}

#[test]
fn without_namespaces_root_s_cluster_is_where_another_user_can_reach_it() {
    let mut checkout = Checkout::new();
    // This PATH has no `unshare`. Debian's servers are found without it.
    let path = tempfile::tempdir().unwrap();
    let real = std::env::var("PATH").unwrap();
    let unshare =
        std::env::split_paths(&real).find_map(|folder| Some(folder.join("unshare")).filter(|p| p.exists()));
    for folder in std::env::split_paths(&real) {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_name() != "unshare" {
                let _ = std::os::unix::fs::symlink(entry.path(), path.path().join(entry.file_name()));
            }
        }
    }
    assert!(unshare.is_some(), "nothing to hide: this machine has no `unshare`");
    checkout.set("PATH", path.path().display());
    let ran = checkout.xtask("ddb-setup").ok();
    let by_root = ran.stderr.contains("in /var/tmp/cruddur-");
    let i_am_root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
    assert_eq!(by_root, i_am_root, "{ran}");
    assert_eq!(checkout.xtask("db test -o json").ok().json()[0]["users"], 5);
    checkout.xtask("ddb-setup").ok();
    checkout.xtask("down --volumes").ok().says(&["Postgres: stop process"]);

    // A cluster that was created in a namespace is not abandoned for an empty one.
    let mut made_before = Checkout::new();
    made_before.set_up();
    made_before.xtask("down").ok();
    if i_am_root && made_before.state("postgres").exists() {
        made_before.set("PATH", path.path().display());
        let failed = made_before.xtask("up").fails(1);
        failed.says(&["`unshare --user` does not work here any more", "down --volumes"]);
    }
}

#[test]
fn a_taken_port_moves_and_later_commands_find_it() {
    let checkout = Checkout::new();
    let [postgres, dynamodb] = checkout.usual_ports;
    let taken = [(postgres, "db"), (dynamodb, "dynamodb-local")].map(|(port, service)| {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        (listener, format!("port 127.0.0.1:{port} of service {service} is held by"))
    });
    let ran = checkout.set_up();
    ran.says(&[&taken[0].1, &taken[1].1]);
    // `doctor` checks the actual ports, and does not take other processes for ours.
    let doctor = checkout.xtask("doctor -o json").end().json();
    for service in ["(db)", "(dynamodb-local)"] {
        let mut checks = doctor
            .as_array()
            .unwrap()
            .iter()
            .filter(|check| check["check"].as_str().unwrap().ends_with(service));
        let check = checks.next().unwrap().to_string();
        assert!(check.contains("this checkout's"), "{check}");
        let is_taken =
            |taken: &(TcpListener, String)| check.contains(&taken.0.local_addr().unwrap().port().to_string());
        assert!(!taken.iter().any(is_taken), "{check}");
    }
    drop(taken);
    assert_eq!(checkout.xtask("db test -o json").ok().json()[0]["activities"], 4);
    assert_eq!(checkout.xtask("ddb list-tables").ok().stdout, "cruddur-messages\n");
}

#[test]
fn a_port_that_moved_is_the_same_after_down() {
    let checkout = Checkout::new();
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, checkout.usual_ports[0])).unwrap();
    checkout.xtask("up").ok();
    let before = checkout.ports();
    checkout.xtask("down").ok();
    // The usual port is free again.
    drop(taken);
    checkout.xtask("up").ok();
    assert_eq!(checkout.ports(), before);
    checkout.xtask("down --volumes").ok();
    checkout.xtask("up").ok();
    assert_ne!(checkout.ports()[0], before[0]);
}

#[test]
fn status_names_a_missing_database_or_table() {
    let checkout = Checkout::new();
    checkout.set_up();
    let answers = || {
        let rows = checkout.xtask("status -o json").ok().json();
        [0, 1].map(|row| rows[row]["answer"].as_str().unwrap().to_owned())
    };
    assert_eq!(answers(), ["ready", "ready"]);
    checkout.xtask("db drop").ok();
    checkout.xtask("ddb drop cruddur-messages").ok();
    let expected = [
        "ready; there is no database cruddur: `cargo xtask prepare` sets both databases up",
        "ready; there is no table cruddur-messages: `cargo xtask prepare` sets both databases up",
    ];
    assert_eq!(answers(), expected);
    checkout.xtask("db setup").ok();
    checkout.xtask("ddb schema-load").ok();
    assert_eq!(answers(), ["ready", "ready"]);
}

#[test]
fn a_script_that_fails_is_not_repeated_in_the_log() {
    let checkout = Checkout::new();
    checkout.set_up();
    checkout.write("backend-flask-rs/db/seed.sql", "insert into users default values; -- of the script\n");
    checkout.xtask("db seed").fails(2);
    let log = checkout.xtask("logs postgres").ok().stdout;
    assert!(log.contains("violates not-null constraint") && !log.contains("of the script"), "{log}");
    assert!(!log.contains("checkpoint"), "{log}");
}

#[test]
fn a_taken_port_that_was_asked_for_is_an_error() {
    let mut checkout = Checkout::new();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    checkout.set("POSTGRES_PORT", port);
    let ran = checkout.xtask("ddb-setup").fails(1);
    ran.says(&[&format!("port 127.0.0.1:{port} of service db is held by"), "help: ", "POSTGRES_PORT"]);
    assert!(!checkout.state("postgres").exists() && checkout.processes("dynamodb").is_empty());
}

#[test]
fn a_port_that_is_set_while_the_server_runs_is_an_error() {
    let mut checkout = Checkout::new();
    checkout.set_up();
    let [port, _] = checkout.ports();
    let wanted = free_port();
    checkout.set("POSTGRES_PORT", wanted);
    let failed = checkout.xtask("up").fails(1);
    failed.says(&[&format!(
        "the server of service db runs at 127.0.0.1:{port}, and POSTGRES_PORT is {wanted}"
    )]);
    checkout.xtask("down").ok();
    checkout.xtask("up").ok();
    assert_eq!(checkout.ports()[0], wanted);
}

#[test]
fn the_servers_inherit_no_files() {
    let checkout = Checkout::new();
    let held = checkout.write("held", "");
    let script = format!("exec 3>'{}'; exec \"$0\" \"$@\"", held.display());
    checkout.xtask("up").through("sh", &["-c", &script]).ok();
    for service in ["postgres", "dynamodb"] {
        let (pid, _) = checkout.processes(service).pop().unwrap();
        let open = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
        let open: Vec<_> = open.filter_map(|file| fs::read_link(file.path()).ok()).collect();
        assert!(!open.is_empty() && !open.contains(&held), "{open:?}");
        assert!(
            !fs::read_link(format!("/proc/{pid}/cwd")).unwrap().starts_with(std::env::current_dir().unwrap())
        );
    }
}

#[test]
fn two_checkouts_side_by_side_keep_their_data() {
    let [one, two] = [Checkout::new(), Checkout::new()];
    one.set_up();
    two.set_up();
    assert!(one.ports().iter().all(|port| !two.ports().contains(port)));
    let before = one.xtask("ddb scan -o jsonl").ok().stdout;
    two.xtask("ddb drop cruddur-messages").ok();
    two.xtask("db drop").ok();
    assert_eq!(one.xtask("ddb scan -o jsonl").ok().stdout, before);
    two.xtask("down --volumes").ok();
    assert_eq!(one.xtask("db test -o json").ok().json()[0]["users"], 5);
}

#[test]
fn two_runs_at_the_same_instant_both_end_well() {
    let checkout = Checkout::new();
    let runs = [checkout.xtask("ddb-setup").start(), checkout.xtask("ddb-setup").start()];
    let ended = runs.map(|run| run.end_within(std::time::Duration::from_secs(60)));
    for ran in &ended {
        assert_eq!(ran.code, Some(0), "{ran}");
    }
    let waited =
        ended.iter().filter(|ran| ran.stderr.contains("waiting for `cargo xtask ddb-setup` (process "));
    assert_eq!(waited.count(), 1, "{}\n{}", ended[0], ended[1]);
    checkout.assert_set_up(&ended[1]);
}

#[test]
fn nothing_listens_beyond_the_loopback() {
    let checkout = Checkout::new();
    checkout.xtask("up").ok();
    for port in checkout.ports() {
        assert_eq!(listeners(port), ["0100007F"], "port {port}");
    }
}

/// The local addresses with a listener at `port`, in the kernel's notation.
fn listeners(port: u16) -> Vec<String> {
    let tables =
        ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| std::fs::read_to_string(table).unwrap_or_default());
    let sockets = tables.iter().flat_map(|table| table.lines().skip(1));
    let listening = sockets.filter_map(|socket| {
        let fields: Vec<&str> = socket.split_whitespace().collect();
        let (address, local_port) = fields[1].split_once(':')?;
        // 0A is LISTEN.
        (fields[3] == "0A" && u16::from_str_radix(local_port, 16) == Ok(port)).then(|| address.to_owned())
    });
    listening.collect()
}

#[test]
fn the_settings_it_prints_work_in_a_shell() {
    let checkout = Checkout::new();
    checkout.set_up();
    assert_eq!(sql(&checkout, "select count(*) from users"), "5");

    let json = checkout.xtask("env --format json").shows_secrets().ok().json();
    assert_eq!(checkout.xtask("env -o json").shows_secrets().ok().json(), json);
    let [_, dynamodb] = checkout.ports();
    assert_eq!(json["AWS_ENDPOINT_URL_DYNAMODB"], format!("http://127.0.0.1:{dynamodb}"));
    assert_eq!(json["CRUDDUR_ENGINE"], "embedded");
    let github = checkout.xtask("env --format github").shows_secrets().ok().stdout;
    assert!(
        github.contains(&format!("\nCONNECTION_URL={}\n", json["CONNECTION_URL"].as_str().unwrap())),
        "{github}"
    );

    // The settings can be read back as a .env file: engine external, with the same databases.
    let dotenv = checkout.xtask("env --format dotenv").shows_secrets().ok().stdout;
    checkout.write(".env", &dotenv);
    let test = checkout.xtask("db test -o json").env("CRUDDUR_ENGINE", "external").ok().json();
    assert_eq!(test[0]["users"], 5);
}

#[test]
fn logs_that_are_followed_end_with_the_databases() {
    let checkout = Checkout::new();
    checkout.xtask("up").ok();
    let following = checkout.xtask("logs --follow").start();
    checkout.xtask("down").ok();
    let followed = following.end_within(Duration::from_secs(10));
    assert_eq!(followed.code, Some(0), "{followed}");
    assert!(followed.stdout.contains("postgres | "), "{followed}");
    assert!(followed.stdout.contains("database system is shut down"), "{followed}");
    checkout.xtask("logs --follow").ok().within(Duration::from_secs(5));
}

#[test]
fn postgres_is_started_with_the_settings_of_docker_compose_yml() {
    let mut checkout = Checkout::new();
    for (options, fsync) in [("", "off"), ("-c fsync=on -c listen_addresses=* -p 1", "on")] {
        checkout.set("POSTGRES_OPTIONS", options);
        checkout.set_up();
        assert_eq!(sql(&checkout, "show fsync"), fsync);
        assert_eq!(sql(&checkout, "show listen_addresses"), "127.0.0.1");
        checkout.xtask("down").ok();
    }
}

/// The output of psql with the settings that `env` prints.
fn sql(checkout: &Checkout, query: &str) -> String {
    let settings = checkout.xtask("env").shows_secrets().ok().stdout;
    let script = format!("{settings}\npsql --no-psqlrc -At \"$CONNECTION_URL\" -c '{query}'");
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

#[test]
fn doctor_names_running_databases() {
    let checkout = Checkout::new();
    checkout.set_up();
    let report = checkout.xtask("doctor -o json").env("DOCKER_HOST", "unix:///nonexistent").ok().json();
    let verdict = |what: &str| {
        let lines = report.as_array().unwrap();
        let line = lines.iter().find(|line| line["check"].as_str().unwrap().starts_with(what));
        line.unwrap_or_else(|| panic!("no {what} in {report:#}"))["verdict"].clone()
    };
    assert_eq!(verdict("Docker at unix:///nonexistent"), "missing");
    for good in [
        "docker-compose.yml",
        "PostgreSQL server",
        "embedded Postgres",
        "embedded DynamoDB",
        "state folder",
        "engine",
    ] {
        assert_eq!(verdict(good), "ok", "{good}");
    }
    assert_eq!(verdict("production's AWS credentials"), "not checked");
    checkout.write("docker-compose.yml", "services: {");
    let ran = checkout.xtask("doctor").end();
    assert_eq!(ran.code, Some(1), "{ran}");
    assert!(ran.stdout.contains("BAD"), "{ran}");
}

#[test]
fn the_doctor_tells_a_hung_server_and_a_port_that_cannot_move() {
    let checkout = Checkout::new();
    checkout.xtask("up").ok();
    checkout.signal("dynamodb", "STOP");
    let hung = checkout.xtask("doctor").end();
    checkout.signal("dynamodb", "CONT");
    assert_eq!(hung.code, Some(1), "{hung}");
    let line = hung.stdout.lines().find(|line| line.contains("(dynamodb-local)")).unwrap();
    for said in ["BAD", "this checkout's dynamodb-local does not answer", "`cargo xtask down`"] {
        assert!(line.contains(said), "{line}");
    }
    checkout.xtask("down").ok();
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let fixed = checkout.xtask("doctor").env("POSTGRES_PORT", &port).end();
    let line = fixed.stdout.lines().find(|line| line.contains("(db)")).unwrap();
    assert!(
        line.contains(&format!(":{port} ")) && line.contains("unset it to use the next free port"),
        "{line}"
    );
}

#[test]
fn a_rehearsal_of_down_names_what_would_be_deleted() {
    let checkout = Checkout::new();
    checkout.set_up();
    let rehearsed = checkout.xtask("down --volumes --dry-run").ok();
    rehearsed.says(&["dry run: it would stop Postgres: process ", "; stop DynamoDB: process "]);
    let data = ["postgres", "dynamodb"].map(|name| format!("; delete {}", checkout.state(name).display()));
    rehearsed.says(&[&data[0], &data[1], "\nnothing was changed\n"]);
    assert!(!checkout.xtask("down --dry-run").ok().stderr.contains("delete"));
    checkout.xtask("status").ok();
    checkout.xtask("down --volumes").ok();
    checkout.xtask("down --volumes --dry-run").ok().says(&["dry run: it would do nothing"]);
}

#[test]
fn databases_of_another_engine_are_named() {
    let checkout = Checkout::new();
    checkout.set_up();
    let external = |line: &str| {
        let run = checkout.xtask(line).env("CRUDDUR_ENGINE", "external");
        let run = run.env("CONNECTION_URL", "postgresql://nobody@127.0.0.1:1/none");
        run.env("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:1").ok()
    };
    let beside = "engine embedded runs this checkout's Postgres and DynamoDB too: \
                  `cargo xtask down --engine embedded` stops them";
    external("status").says(&[beside]);
    assert!(external("doctor").stdout.contains("embedded Postgres and DynamoDB"));
    assert!(!checkout.xtask("status").ok().stderr.contains("too"));
}

#[test]
fn files_are_readable_by_their_owner_only() {
    let checkout = Checkout::new();
    checkout.set_up();
    checkout.write("made.jsonl", "{\"pk\":{\"S\":\"a\"},\"sk\":{\"S\":\"1\"}}\n");
    checkout.xtask("ddb import made.jsonl").ok();
    let mut folders = vec![checkout.path(".cruddur")];
    let (mut open, mut files) = (Vec::new(), 0);
    while let Some(folder) = folders.pop() {
        open.extend((mode(&folder) != 0o700).then(|| folder.clone()));
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                files += 1;
                open.extend((mode(&entry.path()) != 0o600).then(|| entry.path()));
            }
        }
    }
    assert!(files > 100, "{files} files");
    assert!(open.is_empty(), "others may read these, or enter: {open:?}");
}

fn mode(path: &std::path::Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn prepare_sets_up_only_what_does_not_match_the_sources() {
    let checkout = Checkout::new();
    each_source_is_noticed(&checkout);
    checkout.xtask("down").ok();
    checkout.xtask("prepare --person-2 amemiya").ok().says(&["nothing to do"]);
    checkout.xtask("down --volumes").ok();
    checkout.xtask("prepare").ok().says(&["the Postgres database does not exist"]);
}
