//! Failures with Docker: a clear error, exit status 1, and nothing left behind.

use std::io::{BufReader, Write as _};
use std::net::TcpListener;
use std::time::Duration;

use super::project::{Project, SERVICES, docker, inspect, lines};
use crate::common::PASSWORD;
use crate::common::dynamodb::Head;
use crate::common::run::Ran;

#[test]
#[ignore = "needs Docker"]
fn an_image_that_is_missing_and_cannot_be_pulled_ends_quickly_with_nothing_created() {
    let project = Project::new();
    // One registry accepts connections and never answers; the other does not listen. Both are on the loopback
    // address, so that nothing leaves this machine.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = crate::common::free_port();
    for (variable, port) in
        [("POSTGRES_IMAGE", closed), ("DYNAMODB_IMAGE", silent.local_addr().unwrap().port())]
    {
        let image = format!("127.0.0.1:{port}/cruddur/no-such-image:1");
        let failed = project.xtask("ddb-setup").env(variable, &image).fails(1);
        failed.within(Duration::from_secs(15)).says(&[&image, variable, "help: "]);
        project.assert_nothing_there();
    }
}

#[test]
#[ignore = "needs Docker"]
fn a_port_that_is_taken_is_named_with_its_holder_and_nothing_is_created() {
    let project = Project::new();
    let listener = TcpListener::bind(("127.0.0.1", project.dynamodb_port)).unwrap();
    let failed = project.xtask("ddb-setup").fails(1);
    failed.says(&[&project.dynamodb_port.to_string(), "a process outside Docker", "DYNAMODB_PORT", "help: "]);
    project.assert_nothing_there();
    drop(listener);

    let holder = Project::new();
    let publish = format!("127.0.0.1:{}:1", project.postgres_port);
    run_idle_container(&holder.name, &["--publish", &publish]);
    let failed = project.xtask("ddb-setup").fails(1);
    failed.says(&[
        &project.postgres_port.to_string(),
        &format!("container {}", holder.name),
        "POSTGRES_PORT",
    ]);
    project.assert_nothing_there();
}

#[test]
#[ignore = "needs Docker"]
fn a_port_that_nobody_chose_moves_and_later_commands_follow() {
    let project = Project::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap().port();
    project.edit("docker-compose.yml", "${DYNAMODB_PORT:-8000}", &format!("${{DYNAMODB_PORT:-{taken}}}"));
    let xtask = |line: &str| project.xtask(line).without("DYNAMODB_PORT");
    let up = xtask("ddb-setup").ok();
    up.says(&[&format!("127.0.0.1:{taken}"), "moves to"]);
    assert_eq!(xtask("ddb list-tables").ok().stdout, "cruddur-messages\n");
    // `doctor` checks the actual port, and does not take the process at the usual port for ours.
    let doctor = xtask("doctor -o json").end();
    let checks = doctor.json();
    let mut checks = checks
        .as_array()
        .unwrap()
        .iter()
        .filter(|check| check["check"].as_str().unwrap().contains("(dynamodb-local)"));
    let check = checks.next().unwrap().to_string();
    assert!(
        !check.contains(&taken.to_string()) && check.contains("this checkout's dynamodb-local"),
        "{check}"
    );
    // A port that another program takes between the check and the container's start moves as well.
    xtask("down --volumes").ok();
    drop(listener);
    let mut running = xtask("up").start();
    running.read_until("... Docker: create and start");
    let listener = TcpListener::bind(("127.0.0.1", taken)).unwrap();
    let up = running.end_within(Duration::from_secs(90));
    assert_eq!(up.code, Some(0), "{up}");
    up.says(&["something else took the port at that moment", &format!("127.0.0.1:{taken}"), "moves to"]);
    // A moved port stays while it is in use, even if the usual one is free again.
    drop(listener);
    let ids = project.both_ids();
    xtask("up").ok();
    assert_eq!(project.both_ids(), ids);
}

/// Runs an idle container from a local image.
fn run_idle_container(name: &str, options: &[&str]) {
    let image = std::env::var("POSTGRES_IMAGE").unwrap_or_else(|_| "postgres:17-alpine".to_owned());
    let mut arguments = vec!["run", "--detach", "--name", name, "--entrypoint", "sleep"];
    arguments.extend(options);
    arguments.extend([image.as_str(), "600"]);
    docker(&arguments);
}

#[test]
#[ignore = "needs Docker"]
fn a_foreign_container_of_the_same_name_is_told_and_left_alone() {
    let project = Project::new();
    let name = project.container("dynamodb-local");
    run_idle_container(&name, &[]);
    let before = inspect(&name)["Id"].clone();
    let failed = project.xtask("ddb-setup").fails(1);
    failed.says(&[&name, "help: "]);
    project.xtask("down --volumes").ok();
    assert_eq!(inspect(&name)["Id"], before);
    assert_eq!(inspect(&name)["State"]["Running"], true);
    let containers = docker(&["ps", "--all", "--quiet", "--filter", &format!("name={}", project.name)]);
    assert_eq!(lines(&containers).len(), 1, "nothing was created beside it");
    assert!(project.volumes().is_empty());
}

#[test]
#[ignore = "needs Docker"]
fn a_password_that_the_volume_does_not_know_is_told_with_a_remedy() {
    let project = Project::new();
    project.xtask("up").ok();
    project.edit("docker-compose.yml", PASSWORD, "another");
    let failed = project.xtask("ddb-setup").fails(3);
    failed.within(Duration::from_secs(20)).says(&["refuses the user or password", "down --volumes"]);
    project.xtask("down --volumes").ok();
    project.xtask("up").ok();
}

#[test]
#[ignore = "needs Docker"]
fn a_container_that_dies_while_it_boots_ends_the_wait_and_shows_its_last_words() {
    let project = Project::new();
    project.edit("docker-compose.yml", "-jar DynamoDBLocal.jar", "-jar NoSuch.jar");
    let failed = project.xtask("up").fails(1);
    failed
        .within(Duration::from_secs(20))
        .says(&["Unable to access jarfile NoSuch.jar", "its container stopped"]);
    assert!(!failed.stderr.contains("--volumes"), "its data are not the cause: {failed}");
    project.edit("docker-compose.yml", "-jar NoSuch.jar", "-jar DynamoDBLocal.jar");
    let up = || project.xtask("up").env("POSTGRES_OPTIONS", "-c no_such_setting=1").fails(1);
    let failed = up();
    failed.within(Duration::from_secs(30)).says(&["no_such_setting", "its container stopped"]);
    // The next start uses the same container, and must show only its new log lines.
    let told = |ran: &Ran| ran.stderr.matches("\"no_such_setting\"").count();
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!((told(&failed), told(&up())), (1, 1), "{failed}");
    assert!(!failed.stderr.contains("--volumes"), "its data are not the cause: {failed}");
}

#[test]
#[ignore = "needs Docker"]
fn a_container_that_hangs_is_told_from_one_that_is_paused() {
    let project = Project::new();
    project.set_up();
    let containers = SERVICES.map(|service| project.container(service));
    for container in &containers {
        docker(&["pause", container]);
    }
    for (line, container) in ["db test", "ddb list-tables"].iter().zip(&containers) {
        let failed = project.xtask(line).fails(3);
        failed
            .within(Duration::from_secs(5))
            .says(&[&format!("{container} is paused"), "`cargo xtask prepare` starts"]);
    }
    let doctor = project.xtask("doctor").end().stdout;
    for (service, container) in SERVICES.iter().zip(&containers) {
        let line = doctor.lines().find(|line| line.contains(&format!("({service})"))).unwrap();
        assert!(line.contains(&format!("{container} is paused")), "{line}");
        assert!(line.contains("`cargo xtask up` starts it"), "{line}");
    }
    project.xtask("prepare").ok().says(&["unpause"]);
    for container in &containers {
        docker(&["kill", "--signal", "STOP", container]);
    }
    let status = project.xtask("status -o json").ok().json();
    for row in status.as_array().unwrap() {
        assert!(row["runs_in"].as_str().unwrap().ends_with(" (running)"), "{status:#}");
        assert!(row["answer"].as_str().unwrap().contains("within"), "{status:#}");
    }
    let failed = project.xtask("db test").fails(3);
    failed.says(&["did not answer within", "if one runs and does not answer", "cargo xtask down"]);
    assert!(!failed.stderr.contains("paused") && !failed.stderr.contains("--volumes"), "{failed}");
    project.xtask("down").ok();
    project.set_up();
}

#[test]
#[ignore = "needs Docker"]
fn data_that_cannot_be_used_are_named_with_the_command_that_starts_afresh() {
    let project = Project::new();
    let [volume, _] = ["db-data", "dynamodb-data"].map(|key| format!("{}_{key}", project.name));
    project.xtask("up").ok();
    project.session("template1").batch_execute("drop database postgres").unwrap();
    for line in ["up", "db create"] {
        let failed = project.xtask(line).fails(3);
        failed.says(&["database \"postgres\" does not exist", "`create database postgres` in psql"]);
    }
    project.session("template1").batch_execute("create database postgres").unwrap();
    project.xtask("up").ok();
    let control = "rm /var/lib/postgresql/data/global/pg_control";
    docker(&["exec", "--user", "root", &project.container("db"), "sh", "-c", control]);
    docker(&["kill", &project.container("db")]);
    let failed = project.xtask("up").fails(1);
    failed.says(&["pg_control", "its container stopped", "`cargo xtask down --volumes` removes the data"]);
    assert!(project.volumes().contains(&volume), "nothing is removed unasked");
    project.xtask("down --volumes").ok();
    project.set_up();
}

#[test]
#[ignore = "needs Docker"]
fn an_image_is_pulled_with_the_credentials_that_docker_login_stored() {
    let project = Project::new();
    let registry = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = registry.local_addr().unwrap().to_string();
    let (sender, seen) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in registry.incoming().flatten() {
            let Ok(head) = Head::read(&mut BufReader::new(&stream)) else { continue };
            // The base64 of `me:???>>>~~~`.
            let knows_me = head.credentials == "Basic bWU6Pz8/Pj4+fn5+";
            let asks_for_image = head.first_line.contains("/manifests/");
            let (status, body) = match (knows_me, asks_for_image) {
                (false, _) => ("401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"test\"", "{}"),
                (true, false) => ("200 OK", "{}"),
                (true, true) => {
                    ("404 Not Found", r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"gone"}]}"#)
                }
            };
            _ = write!(
                &stream,
                "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close\r\n\
                 Content-Length: {}\r\n\r\n{body}",
                body.len()
            );
            _ = sender.send((head.first_line, knows_me));
        }
    });
    let config = format!(r#"{{"auths": {{"{host}": {{"auth": "bWU6Pz8/Pj4+fn5+"}}}}}}"#);
    std::fs::create_dir(project.path("home/.docker")).unwrap();
    project.write("home/.docker/config.json", &config);
    let image = format!("{host}/cruddur/db:1");
    project.xtask("up").env("POSTGRES_IMAGE", &image).fails(1).says(&[&image, "cannot be pulled"]);
    let seen: Vec<_> = seen.try_iter().collect();
    let asked = |(line, knows_me): &(String, bool)| line.contains("/manifests/1") && *knows_me;
    assert!(seen.iter().any(asked), "{seen:?}");
}
