//! Another checkout's databases at the ports that this one would use are not taken for ours.

use std::process::Command;

use super::project::{Project, docker};
use crate::common::free_port;
use crate::common::neighbour::assert_not_taken_for_ours;
use crate::common::run::Run;

/// Gives a run the neighbour's ports and project name, as checkouts in folders of the same name have them.
fn at(neighbour: &Project, run: Run) -> Run {
    run.env("POSTGRES_PORT", neighbour.postgres_port.to_string())
        .env("DYNAMODB_PORT", neighbour.dynamodb_port.to_string())
        .env("COMPOSE_PROJECT_NAME", &neighbour.name)
}

fn ports(project: &Project) -> [u16; 2] {
    [project.postgres_port, project.dynamodb_port]
}

/// Asserts that the neighbour's containers still run with their data.
#[track_caller]
fn assert_as_it_was(neighbour: &Project, ids: &[String; 2]) {
    assert_eq!(neighbour.both_ids(), *ids);
    assert_eq!(neighbour.volumes().len(), 2);
    assert_eq!(neighbour.xtask("db test -o json").ok().json()[0]["users"], 5);
    assert_eq!(neighbour.xtask("ddb list-tables").ok().stdout, "cruddur-messages\n");
}

#[test]
#[ignore = "needs Docker"]
fn a_checkout_that_was_never_set_up_leaves_its_neighbour_alone() {
    let neighbour = Project::new();
    neighbour.set_up();
    let ids = neighbour.both_ids();
    let checkout = Project::new();
    for engine in ["docker", "auto"] {
        let run = |line: &str| at(&neighbour, checkout.xtask(line)).env("CRUDDUR_ENGINE", engine);
        let in_a_project_of_its_own = |line: &str| run(line).env("COMPOSE_PROJECT_NAME", &checkout.name);
        assert_not_taken_for_ours(ports(&neighbour), run);
        assert_not_taken_for_ours(ports(&neighbour), in_a_project_of_its_own);
        let failed = run("db test").fails(3);
        failed.says(&[&format!("is used by container {}", neighbour.container("db"))]);
        run("logs").fails(1).says(&["service db has no container"]);
        for line in ["down", "down --volumes"] {
            let project = &neighbour.name;
            run(line).ok().says(&[&format!("project {project} belongs to another checkout")]);
            in_a_project_of_its_own(line).ok().says(&["no containers"]);
        }
    }
    assert_as_it_was(&neighbour, &ids);
    // If its containers are gone, the volumes still belong to it.
    neighbour.xtask("down").ok();
    at(&neighbour, checkout.xtask("down --volumes")).ok();
    assert_eq!(neighbour.volumes().len(), 2);
}

#[test]
#[ignore = "needs Docker"]
fn a_checkout_without_containers_leaves_other_servers_at_its_ports_alone() {
    let (checkout, neighbour) = (Project::new(), Project::new());
    checkout.xtask("up").ok();
    // Simulates a restart of the machine, which the state folder does not record.
    checkout.both_ids().iter().for_each(|id| drop(docker(&["rm", "--force", id])));
    let run = |line: &str| {
        let run = neighbour.xtask(line).env("POSTGRES_PORT", checkout.postgres_port.to_string());
        run.env("DYNAMODB_PORT", checkout.dynamodb_port.to_string())
    };
    run("ddb-setup").ok();
    assert_not_taken_for_ours(ports(&checkout), |line| checkout.xtask(line));
    assert_not_taken_for_ours(ports(&checkout), |line| checkout.xtask(line).env("CRUDDUR_ENGINE", "auto"));
    checkout.xtask("down").ok();
    assert_eq!(run("db test -o json").ok().json()[0]["users"], 5);
    assert_eq!(run("ddb list-tables").ok().stdout, "cruddur-messages\n");
}

#[test]
#[ignore = "needs Docker"]
fn a_daemon_that_cannot_be_asked_is_not_taken_for_one_that_runs_nothing() {
    let project = Project::new();
    project.set_up();
    for line in ["db test", "ddb list-tables", "status", "up", "ddb-setup"] {
        let unreachable = project.xtask(line).env("CRUDDUR_ENGINE", "auto");
        unreachable.env("DOCKER_HOST", "unix:///nonexistent").fails(3).says(&["no Docker daemon answered"]);
    }
    assert!(!project.path(".cruddur/postgres").exists(), "nothing was started elsewhere");
    let container = project.container("db");
    let says = |why: &str| {
        _ = project.xtask("db test").fails(3).says(&[&format!("its container {container} {why}")])
    };
    docker(&["pause", &container]);
    says("is paused");
    docker(&["unpause", &container]);
    docker(&["network", "disconnect", &format!("{}_default", project.name), &container]);
    says("publishes no port");
    docker(&["stop", &container]);
    says("is stopped");
}

#[test]
#[ignore = "needs Docker"]
fn running_databases_are_found_without_a_state_file() {
    let project = Project::new();
    project.set_up();
    std::fs::remove_file(project.path(".cruddur/state.json")).unwrap();
    for engine in ["docker", "auto"] {
        // Set other ports too, so that only the labels lead to the containers.
        let elsewhere = |line: &str| {
            let run = project.xtask(line).env("CRUDDUR_ENGINE", engine);
            run.env("POSTGRES_PORT", "1").env("DYNAMODB_PORT", "2")
        };
        assert_eq!(elsewhere("db test -o json").ok().json()[0]["users"], 5);
        assert_eq!(elsewhere("ddb list-tables").ok().stdout, "cruddur-messages\n");
        let settings = elsewhere("env").shows_secrets().ok().stdout;
        let script = format!("{settings}\npsql --no-psqlrc -At \"$CONNECTION_URL\" -c 'select 1'");
        let output = Command::new("sh").args(["-c", &script]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "1\n");
    }
    project.xtask("down --volumes").env("CRUDDUR_ENGINE", "auto").ok();
    project.assert_nothing_there();
}

#[test]
#[ignore = "needs Docker"]
fn a_change_of_engine_that_fails_hides_nothing() {
    let project = Project::new();
    project.xtask("ddb-setup --engine embedded").ok();
    let image = format!("127.0.0.1:{}/none:1", free_port());
    let docker = project.xtask("up --engine docker").env("POSTGRES_IMAGE", &image);
    let docker = docker.env("POSTGRES_PORT", free_port().to_string());
    docker.env("DYNAMODB_PORT", free_port().to_string()).fails(1).says(&["cannot be pulled"]);
    let auto = |line: &str| project.xtask(line).env("CRUDDUR_ENGINE", "auto");
    let status = auto("status -o json").ok().json();
    for row in status.as_array().unwrap() {
        assert_eq!(
            (row["engine"].as_str(), row["answer"].as_str()),
            (Some("embedded"), Some("ready")),
            "{status:#}"
        );
    }
    assert_eq!(auto("ddb list-tables").ok().stdout, "cruddur-messages\n");
    auto("up").ok().says(&["engine embedded: it is running"]);
    auto("down --volumes").ok().says(&["Postgres: stop process", "DynamoDB: stop process"]);
}
