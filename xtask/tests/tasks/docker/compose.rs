//! `docker compose` and the program take over from each other, and containers match docker-compose.yml.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::project::{Project, SERVICES, docker, inspect, lines, try_docker};
use crate::common::{PASSWORD, free_port, skip, wait_for};

fn labels(container: &str) -> BTreeMap<String, String> {
    let inspected = inspect(container);
    let labels = inspected["Config"]["Labels"].as_object().unwrap().iter();
    let labels = labels.filter_map(|(name, value)| {
        let name = name.strip_prefix("com.docker.compose.")?;
        Some((name.to_owned(), value.as_str().unwrap().to_owned()))
    });
    labels.collect()
}

#[test]
#[ignore = "needs Docker"]
fn containers_have_compose_s_labels_and_loopback_ports() {
    let project = Project::new();
    // With compose, the short form without an address publishes on every interface. The program must not.
    project.edit(
        "docker-compose.yml",
        "\"127.0.0.1:${DYNAMODB_PORT:-8000}:8000\"",
        "\"${DYNAMODB_PORT:-8000}:8000\"",
    );
    project.xtask("up").ok();
    let folder = project.path("").canonicalize().unwrap();
    for service in SERVICES {
        let labels = labels(&project.container(service));
        for (name, value) in [
            ("project", project.name.as_str()),
            ("service", service),
            ("container-number", "1"),
            ("oneoff", "False"),
            ("project.working_dir", folder.to_str().unwrap()),
            ("project.config_files", folder.join("docker-compose.yml").to_str().unwrap()),
        ] {
            assert_eq!(labels.get(name).map(String::as_str), Some(value), "{name} of {service}");
        }
        for name in ["config-hash", "version"] {
            assert!(labels.contains_key(name), "{name} of {service}");
        }
    }
    for (volume, key) in project.volumes().iter().zip(["db-data", "dynamodb-data"]) {
        assert_eq!(*volume, format!("{}_{key}", project.name));
        let labels: Value =
            serde_json::from_str(&docker(&["volume", "inspect", "--format", "{{json .Labels}}", volume]))
                .unwrap();
        assert_eq!(labels["com.docker.compose.project"], project.name.as_str());
        assert_eq!(labels["com.docker.compose.volume"], key);
    }
    for port in [project.postgres_port, project.dynamodb_port] {
        assert_eq!(listening(port), ["0100007F"], "port {port}");
    }
}

/// The local addresses with a listener at a port, in the kernel's notation.
fn listening(port: u16) -> Vec<String> {
    let tables =
        ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| std::fs::read_to_string(path).unwrap_or_default());
    let sockets = tables.iter().flat_map(|table| table.lines().skip(1));
    let sockets = sockets.map(|line| line.split_whitespace().collect::<Vec<_>>());
    // Fields: local address, state; 0A is LISTEN.
    let listening = sockets.filter(|fields| fields[3] == "0A").filter_map(|fields| {
        let (address, number) = fields[1].split_once(':')?;
        (u16::from_str_radix(number, 16) == Ok(port)).then(|| address.to_owned())
    });
    listening.collect()
}

/// Creates both services' containers as compose v1 does: with its labels, names with underscores, and the project's
/// network. They have no labels of the program's.
fn create_as_compose_does(project: &Project) {
    let image_of =
        |variable: &str, default: &str| std::env::var(variable).unwrap_or_else(|_| default.to_owned());
    let compose = std::fs::read_to_string(project.path("docker-compose.yml")).unwrap();
    let default = |variable: &str| {
        let (_, rest) = compose.split_once(&format!("${{{variable}:-")).unwrap();
        rest.split_once('}').unwrap().0.to_owned()
    };
    let network = format!("{}_default", project.name);
    docker(&[
        "network",
        "create",
        "--label",
        &format!("com.docker.compose.project={}", project.name),
        &network,
    ]);
    let folder = project.path("").canonicalize().unwrap();
    let create = |service: &str, options: &[&str], image: &str, command: &[&str]| {
        let name = format!("{}_{service}_1", project.name);
        let labels = [
            ("project", project.name.as_str()),
            ("service", service),
            ("oneoff", "False"),
            ("container-number", "1"),
            ("config-hash", "0123456789abcdef"),
            ("project.working_dir", folder.to_str().unwrap().trim_end_matches('/')),
            ("project.config_files", "docker-compose.yml"),
            ("version", "1.29.2"),
        ];
        let labels = labels.map(|(name, value)| format!("--label=com.docker.compose.{name}={value}"));
        let mut arguments = vec!["create", "--name", &name, "--network", &network];
        arguments.extend(labels.iter().map(String::as_str));
        arguments.extend(options);
        arguments.push(image);
        arguments.extend(command);
        docker(&arguments);
    };
    let password = format!("POSTGRES_PASSWORD={PASSWORD}");
    let publish = format!("127.0.0.1:{}:5432", project.postgres_port);
    let volume = format!("{}_db-data:/var/lib/postgresql/data", project.name);
    create(
        "db",
        &["--env", "POSTGRES_USER=postgres", "--env", &password, "--publish", &publish, "--volume", &volume],
        &image_of("POSTGRES_IMAGE", &default("POSTGRES_IMAGE")),
        &["-c", "fsync=off"],
    );
    let publish = format!("127.0.0.1:{}:8000", project.dynamodb_port);
    let volume = format!("{}_dynamodb-data:/home/dynamodblocal/data", project.name);
    let server = ["--user", "root", "--workdir", "/home/dynamodblocal", "--env", "DDB_LOCAL_TELEMETRY=0"];
    create(
        "dynamodb-local",
        &[&server[..], &["--publish", &publish, "--volume", &volume]].concat(),
        &image_of("DYNAMODB_IMAGE", &default("DYNAMODB_IMAGE")),
        &[
            "-XX:Tier4InvocationThreshold=50000",
            "-XX:Tier4MinInvocationThreshold=6000",
            "-XX:Tier4CompileThreshold=150000",
            "-XX:Tier4BackEdgeThreshold=400000",
            "-XX:+UseSerialGC",
            "-jar",
            "DynamoDBLocal.jar",
            "-sharedDb",
            "-cors",
            "127.0.0.1",
            "-inMemory",
        ],
    );
}

#[test]
#[ignore = "needs Docker"]
fn containers_that_compose_made_are_ours_before_any_set_up_and_are_reused_and_removed() {
    let project = Project::new();
    create_as_compose_does(&project);
    let ids = project.both_ids();
    ids.iter().for_each(|id| drop(docker(&["start", id])));
    for engine in ["docker", "auto"] {
        let run = |line: &str| project.xtask(line).env("CRUDDUR_ENGINE", engine);
        wait_for("answer of both", Duration::from_secs(60), || {
            let status = run("status -o json").ok().json();
            status
                .as_array()
                .unwrap()
                .iter()
                .all(|row| row["answer"].as_str().unwrap().starts_with("ready"))
                .then_some(())
        });
        assert_eq!(run("ddb list-tables").ok().stdout, "");
        run("ddb schema-load").ok();
        assert_eq!(run("ddb list-tables").ok().stdout, "cruddur-messages\n");
        run("ddb drop cruddur-messages").ok();
        run("db setup").ok();
        assert_eq!(run("db test -o json").ok().json()[0]["users"], 5);
    }
    let ran = project.set_up();
    assert!(!ran.stderr.contains("create and start") && !ran.stderr.contains("replace"), "{ran}");
    assert_eq!(project.both_ids(), ids);
    // A container of `docker compose up --scale db=2`. It cannot start, because its port is taken.
    let second = format!("{}-db-2", project.name);
    let labels = [
        ("project", project.name.as_str()),
        ("service", "db"),
        ("oneoff", "False"),
        ("container-number", "2"),
    ];
    let labels = labels.map(|(name, value)| format!("--label=com.docker.compose.{name}={value}"));
    let image = image(&ids[0]);
    let mut arguments = vec!["create", "--name", &second];
    arguments.extend(labels.iter().map(String::as_str));
    arguments.push(&image);
    docker(&arguments);
    project.xtask("down --volumes").env("CRUDDUR_ENGINE", "auto").ok().says(&[&second]);
    project.assert_nothing_there();
}

#[test]
#[ignore = "needs Docker"]
fn docker_compose_itself_sees_what_the_program_started_and_the_other_way_round() {
    let Some(program) = compose_program() else {
        return skip("neither `docker compose` nor `docker-compose` is on this machine");
    };
    let project = Project::new();
    let compose = |arguments: &[&str]| {
        let mut command = Command::new(program[0]);
        command.args(&program[1..]).args(arguments).current_dir(project.path(""));
        command.env("COMPOSE_PROJECT_NAME", &project.name);
        command.env("POSTGRES_PORT", project.postgres_port.to_string());
        command.env("DYNAMODB_PORT", project.dynamodb_port.to_string());
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "compose {arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    };
    project.xtask("up").ok();
    let ids = project.both_ids();
    let mut seen = lines(&compose(&["ps", "-q"]));
    seen.sort();
    let mut sorted = ids.to_vec();
    sorted.sort();
    assert_eq!(seen, sorted);
    assert!(compose(&["logs"]).contains("ready to accept connections"));
    compose(&["stop"]);
    project.xtask("up").ok().says(&["Docker: start"]);
    assert_eq!(project.both_ids(), ids);
    // The program leaves other services of the project alone.
    let beside = project.path("docker-compose.override.yml");
    // The image declares an anonymous volume there, which compose would leave behind.
    let rest = "command: [sleep, '60'], tmpfs: /var/lib/postgresql/data";
    let web = format!("services: {{web: {{image: '{}', {rest}}}}}", image(&ids[0]));
    std::fs::write(&beside, web).unwrap();
    project.session("postgres").batch_execute("create database kept").unwrap();
    // Compose may recreate our containers. The data stays, and its containers are used unchanged.
    compose(&["up", "-d"]);
    let of_compose = project.both_ids();
    project.xtask("up").ok();
    project.session("kept");
    assert_eq!(project.both_ids(), of_compose);
    assert_eq!(project.ids("web").len(), 1);
    std::fs::remove_file(&beside).unwrap();
    compose(&["up", "-d", "--remove-orphans"]);
    compose(&["stop"]);
    project.xtask("up").ok().says(&["Docker: start"]);
    assert_eq!(project.both_ids(), of_compose);
    // Other containers of the project reach them by the services' names.
    let network = format!("{}_default", project.name);
    let image = image(&project.both_ids()[0]);
    let hosts =
        docker(&["run", "--rm", "--network", &network, &image, "getent", "hosts", "db", "dynamodb-local"]);
    assert_eq!(hosts.lines().count(), 2, "{hosts}");
    compose(&["down", "-v"]);
    project.assert_nothing_there();

    // The network stays while a container uses it.
    project.xtask("up").ok();
    let project_label = format!("com.docker.compose.project={}", project.name);
    docker(&["create", "--name", &network, "--label", &project_label, "--network", &network, &image]);
    project.xtask("down --volumes").ok();
    docker(&["network", "inspect", &network]);
    docker(&["rm", "--volumes", &network]);
    project.xtask("down").ok();
    assert!(try_docker(&["network", "inspect", &network]).is_err(), "the network is there still");

    compose(&["up", "-d"]);
    let ids = project.both_ids();
    project.set_up();
    assert_eq!(project.both_ids(), ids);
    project.xtask("down --volumes").ok();
    assert_eq!(lines(&compose(&["ps", "-q"])), [""; 0]);
}

#[test]
#[ignore = "needs Docker"]
fn containers_without_a_network_are_made_anew_and_the_volume_kept() {
    let project = Project::new();
    project.xtask("up").ok();
    project.session("postgres").batch_execute("create database kept").unwrap();
    let ids = project.both_ids();
    let network = format!("{}_default", project.name);
    // This is what `docker network prune` does.
    docker(&["stop", &ids[0], &ids[1]]);
    docker(&["network", "rm", &network]);
    project.xtask("up").ok().says(&["replace", "network: its own is gone"]);
    project.session("kept");

    let [db, dynamodb] = SERVICES.map(|service| project.container(service));
    docker(&["network", "disconnect", &network, &db]);
    docker(&["network", "disconnect", &network, &dynamodb]);
    docker(&["stop", &dynamodb]);
    let ran = project.xtask("up").ok();
    ran.says(&[&db, &dynamodb, "network: it publishes no port"]);
    assert!(ran.took < Duration::from_secs(40), "{ran}");

    project.xtask("down").ok();
    docker(&["network", "create", "--internal", &network]);
    let ran = project.xtask("up").fails(1);
    ran.says(&["is internal", "docker network rm"]);
    assert!(ran.took < Duration::from_secs(20), "{ran}");
    assert!(SERVICES.iter().all(|service| project.ids(service).is_empty()), "{ran}");
    docker(&["network", "rm", &network]);
    project.xtask("up").ok();
}

/// The name of the image that a container was created from.
fn image(container: &str) -> String {
    inspect(container)["Config"]["Image"].as_str().unwrap().to_owned()
}

/// The command of compose on this machine: a plugin of the docker CLI (v2) or a program (v1).
fn compose_program() -> Option<&'static [&'static str]> {
    let programs: [&[&str]; 2] = [&["docker", "compose"], &["docker-compose"]];
    programs.into_iter().find(|program| {
        let version = Command::new(program[0]).args(&program[1..]).arg("version").output();
        version.is_ok_and(|output| output.status.success())
    })
}

#[test]
#[ignore = "needs Docker"]
fn a_container_that_is_not_as_described_any_more_is_replaced_and_its_volume_kept() {
    let mut project = Project::new();
    project.xtask("up").ok();
    project.session("postgres").batch_execute("create database kept").unwrap();
    let mut ids = project.both_ids();
    // Runs `up`, which must replace the containers of these services only, and say why.
    let replaced = |project: &Project, ids: &mut [String; 2], services: &[&str], why: &str| {
        let ran = project.xtask("up").ok();
        ran.says(&["replace", why]);
        let now = project.both_ids();
        for (index, service) in SERVICES.iter().enumerate() {
            assert_eq!(now[index] != ids[index], services.contains(service), "{service}: {ran}");
        }
        project.session("kept");
        *ids = now;
    };
    let user = "      POSTGRES_USER: postgres\n";
    project.edit("docker-compose.yml", user, &format!("{user}      TZ: Europe/Vienna\n"));
    replaced(&project, &mut ids, &["db"], "environment");
    assert!(inspect(&ids[0])["Config"]["Env"].to_string().contains("TZ=Europe/Vienna"));

    project.edit("docker-compose.yml", "-XX:+UseSerialGC", "-XX:+UseSerialGC -Xmx256m");
    replaced(&project, &mut ids, &["dynamodb-local"], "command");

    project.move_postgres_to(free_port());
    replaced(&project, &mut ids, &["db"], "ports");

    let image = image(&ids[0]);
    let other = format!("{}:other", project.name);
    docker(&["tag", &image, &other]);
    let tag = Tag(other.clone());
    project.take_postgres_from(&other);
    replaced(&project, &mut ids, &["db"], "image");
    // Podman adds the registry to the name.
    let names = [other.clone(), format!("docker.io/library/{other}")];
    assert!(names.iter().any(|name| inspect(&ids[0])["Config"]["Image"] == name.as_str()));
    project.xtask("down --volumes").ok();
    drop(tag);
}

/// Another name for an image. Dropping it removes the name.
struct Tag(String);

impl Drop for Tag {
    fn drop(&mut self) {
        let _ = try_docker(&["rmi", &self.0]);
    }
}
