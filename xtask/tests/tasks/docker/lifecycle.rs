//! Set-up from nothing, from any state and after any interruption; and removal.

use std::time::{Duration, Instant};

use super::project::{Project, SERVICES, docker, remove_project};
use crate::common::prepare::each_source_is_noticed;
use crate::common::run::Running;
use crate::common::{PASSWORD, free_port, wait_for};

#[test]
#[ignore = "needs Docker"]
fn a_set_up_succeeds_after_each_container_was_stopped_or_killed() {
    let project = Project::new();
    let first = project.set_up();
    first.says(&["create and start"]);
    assert_eq!(first.stdout, "");
    let ids = project.both_ids();

    let again = project.set_up();
    assert!(!again.stderr.contains("Docker: "), "running containers are left alone: {again}");

    for service in SERVICES {
        for end in ["stop", "kill"] {
            docker(&[end, &project.container(service)]);
            let ran = project.set_up();
            ran.says(&[&format!("Docker: start {}", project.container(service))]);
        }
    }
    docker(&["kill", &project.container("db"), &project.container("dynamodb-local")]);
    project.set_up();
    for container in &ids {
        docker(&["pause", container]);
    }
    project.set_up().says(&["unpause"]);
    assert_eq!(project.both_ids(), ids, "the same containers to the end");
}

#[test]
#[ignore = "needs Docker"]
fn a_container_killed_during_a_run_is_made_good_by_the_next() {
    let project = Project::new();
    project.set_up();
    let started = Instant::now();
    project.set_up();
    let whole = started.elapsed();
    for service in SERVICES {
        // In every step of a warm run: before, between and after its requests to either database.
        for tenths in [1, 3, 5, 7, 9] {
            let running = project.xtask("ddb-setup").start();
            std::thread::sleep(whole * tenths / 10);
            docker(&["kill", &project.container(service)]);
            let ended = running.end_within(Duration::from_secs(90));
            match ended.code {
                // The kill came too late, or the container was no longer needed.
                Some(0) => {}
                Some(1 | 3) => _ = ended.says(&["error: "]),
                _ => panic!("{service} killed after {tenths}/10: {ended}"),
            }
            project.set_up();
        }
    }
}

#[test]
#[ignore = "needs Docker"]
fn containers_that_are_being_stopped_are_started_again() {
    let project = Project::new();
    project.set_up();
    for delay in [50, 100, 200] {
        let down = project.xtask("down").start();
        std::thread::sleep(Duration::from_millis(delay));
        down.signal("KILL");
        down.end_within(Duration::from_secs(10));
        project.set_up();
    }
}

#[test]
#[ignore = "needs Docker"]
fn a_first_start_that_was_killed_is_made_good_by_the_next_run() {
    let project = Project::new();
    // In a first start the server creates its data directory, which is incomplete for a second or two.
    for delay in [100, 600, 1200, 2000] {
        let running = project.xtask("ddb-setup").start();
        let name = project.container("db");
        wait_for("container", Duration::from_secs(30), || {
            let running = docker(&["ps", "--quiet", "--filter", &format!("name={name}")]);
            (!running.is_empty()).then_some(())
        });
        std::thread::sleep(Duration::from_millis(delay));
        docker(&["kill", &name]);
        let ended = running.end_within(Duration::from_secs(90));
        assert!(matches!(ended.code, Some(0 | 1 | 3)), "{ended}");
        // If the container or then the data is incomplete, the error names the command that helps.
        for _ in 0..2 {
            let next = project.xtask("ddb-setup").end();
            if next.code != Some(0) {
                next.says(&["`cargo xtask down"]);
                let afresh = next.stderr.contains("`cargo xtask down --volumes`");
                project.xtask(if afresh { "down --volumes" } else { "down" }).ok();
            }
        }
        project.set_up();
        project.xtask("down --volumes").ok();
        project.assert_nothing_there();
    }
}

#[test]
#[ignore = "needs Docker"]
fn data_of_a_first_start_that_was_interrupted_and_then_used_are_kept() {
    let project = Project::new();
    let running = project.xtask("up").start();
    let container = project.container("db");
    wait_for("container", Duration::from_secs(30), || {
        let running = docker(&["ps", "--quiet", "--filter", &format!("name={container}")]);
        (!running.is_empty()).then_some(())
    });
    running.signal("KILL");
    running.end_within(Duration::from_secs(10));
    // The server completes its start by itself.
    let set_up = || (project.xtask("db setup").end().code == Some(0)).then_some(());
    wait_for("answer", Duration::from_secs(60), set_up);
    let compose = std::fs::read_to_string(project.path("docker-compose.yml")).unwrap();
    project.write("docker-compose.yml", &compose.replace(PASSWORD, "another"));
    project.xtask("up").fails(3).says(&["refuses the user or password"]);
    project.write("docker-compose.yml", &compose);
    project.xtask("up").ok();
    assert_eq!(project.xtask("db test -o json").ok().json()[0]["users"], 5);
}

#[test]
#[ignore = "needs Docker"]
fn the_program_killed_or_interrupted_at_any_step_is_made_good_by_the_next_run() {
    let project = Project::new();
    for (delay, signal) in [(50, "KILL"), (300, "INT"), (900, "KILL"), (1800, "TERM"), (3000, "KILL")] {
        let running = project.xtask("ddb-setup").start();
        std::thread::sleep(Duration::from_millis(delay));
        running.signal(signal);
        let ended = running.end_within(Duration::from_secs(10));
        let expected = match signal {
            "INT" => Some(130),
            "TERM" => Some(143),
            _ => None,
        };
        assert!(ended.code == expected || ended.code == Some(0), "{signal} after {delay} ms: {ended}");
        project.set_up();
        project.xtask("down --volumes").ok();
        project.assert_nothing_there();
    }
}

/// Kills a run some milliseconds after it has printed a text.
fn kill_behind(said: &str, milliseconds: u64, mut running: Running) {
    running.read_until(said);
    std::thread::sleep(Duration::from_millis(milliseconds));
    running.signal("KILL");
    running.end_within(Duration::from_secs(10));
}

#[test]
#[ignore = "needs Docker"]
fn late_writes_of_a_killed_run_do_not_follow_the_next_seed() {
    let project = Project::new();
    for delay in [30, 60, 90, 120] {
        kill_behind("... DynamoDB: seed", delay, project.xtask("ddb-setup").start());
        project.set_up();
        // A server that has just started is slow, and works on the last requests for a while.
        docker(&["restart", "--time", "0", &project.container("dynamodb-local")]);
    }
}

#[test]
#[ignore = "needs Docker"]
fn late_writes_of_a_killed_run_do_not_follow_the_next_population() {
    let project = Project::new();
    project.set_up();
    for delay in (0..200).step_by(10) {
        kill_behind("synthetic items into", delay, project.xtask("ddb seed --messages 30000").start());
        project.xtask("ddb seed --messages 300").ok();
    }
}

#[test]
#[ignore = "needs Docker"]
fn a_run_killed_while_the_daemon_creates_its_containers_is_made_good_by_the_next() {
    let project = Project::new();
    // The daemon completes a request whose client is gone: for some milliseconds a container that is not listed yet
    // has the name.
    for delay in [0, 2, 5, 10] {
        kill_behind("Docker: create and start", delay, project.xtask("up").start());
        project.xtask("up").ok();
        project.xtask("down --volumes").ok();
        project.assert_nothing_there();
    }
}

#[test]
#[ignore = "needs Docker"]
fn items_in_memory_are_saved_before_they_are_lost() {
    let project = Project::new();
    project.set_up();
    assert!(!project.xtask("down").ok().stderr.contains("snapshot"));
    project.set_up();
    project.xtask(r#"ddb put {"pk":"mine","sk":"1"}"#).ok();
    project.xtask("down --dry-run").ok().says(&["it would save 139 items as snapshot before-down; remove"]);
    project.xtask("down").ok().says(&["saving snapshot before-down", "snapshot restore before-down"]);
    project.xtask("snapshot restore before-down").ok();
    project.xtask("ddb get mine 1").ok();
    project.xtask("ddb schema-load").env("DDB_MESSAGE_TABLE", "other").ok();
    project.xtask("down").ok().says(&["these tables are lost: other"]);
    // A server that hangs is stopped nevertheless.
    project.xtask("up").ok();
    docker(&["pause", &project.container("dynamodb-local")]);
    project.xtask("down").ok().says(&["items that it keeps in memory cannot be saved"]);
    project.xtask("up").ok();
    project.xtask("ddb schema-load").ok();
    project.xtask(r#"ddb put {"pk":"mine","sk":"1"}"#).ok();
    let plain = project.xtask("down --no-snapshot").ok();
    assert!(!plain.stderr.contains("saving snapshot"), "{plain}");
}

#[test]
#[ignore = "needs Docker"]
fn items_in_memory_are_saved_before_a_change_of_the_definition_loses_them() {
    let project = Project::new();
    let stored = |line: &str| project.xtask(line).env("DYNAMODB_STORAGE", "-dbPath ./data");
    project.set_up();
    project.xtask(r#"ddb put {"pk":"mine","sk":"1"}"#).ok();
    stored("up").ok().says(&["saving snapshot before-start", "Docker: replace"]);
    stored("snapshot restore before-start").ok();
    stored("ddb get mine 1").ok();
    // In the volume nothing is lost.
    assert!(!project.xtask("up").ok().stderr.contains("saving snapshot"));
    project.xtask("ddb schema-load").ok();
    project.xtask(r#"ddb put {"pk":"mine","sk":"2"}"#).ok();
    // The snapshot that is about to be restored keeps its name.
    stored("snapshot restore before-start").ok().says(&["saving snapshot before-start-"]);
    stored("ddb get mine 1").ok();
    project.set_up();
    project.xtask(r#"ddb put {"pk":"mine","sk":"1"}"#).ok();
    stored("down").ok().says(&["saving snapshot before-down"]);
    // A `down` that was killed just before it stopped the containers.
    project.set_up();
    let state = std::fs::read_to_string(project.path(".cruddur/state.json")).unwrap();
    project.write(".cruddur/state.json", &state.replace("\"stopping\": null", "\"stopping\": \"docker\""));
    project.xtask(r#"ddb put {"pk":"mine","sk":"1"}"#).ok();
    project.xtask("up").ok().says(&["is finished first", "saving snapshot before-start", "Docker: remove"]);
}

#[test]
#[ignore = "needs Docker"]
fn items_in_memory_are_saved_if_the_other_engine_was_used_last() {
    let project = Project::new();
    project.set_up();
    project.xtask(r#"ddb put {"pk":"mine","sk":"1"}"#).ok();
    let embedded = project.xtask("up").env("CRUDDUR_ENGINE", "embedded");
    embedded.env("POSTGRES_PORT", free_port().to_string()).env("DYNAMODB_PORT", free_port().to_string()).ok();
    let down = project.xtask("down").env("CRUDDUR_ENGINE", "auto").ok();
    down.says(&["saving snapshot before-down", "DynamoDB: stop process", "Docker: remove"]);
    project.xtask("snapshot restore before-down").ok();
    project.xtask("ddb get mine 1").ok();
}

#[test]
#[ignore = "needs Docker"]
fn down_stops_the_databases_of_the_other_engine_too() {
    let project = Project::new();
    let auto = |line: &str| project.xtask(line).env("CRUDDUR_ENGINE", "auto");
    let embedded = project.xtask("up").env("CRUDDUR_ENGINE", "embedded");
    let port = free_port().to_string();
    embedded.env("POSTGRES_PORT", &port).env("DYNAMODB_PORT", free_port().to_string()).ok();
    let own = "this checkout's own embedded server (`cargo xtask down --engine embedded` stops it)";
    project.xtask("up").env("POSTGRES_PORT", &port).fails(1).says(&[own]);
    project.xtask("up").ok();
    let beside = "engine embedded runs this checkout's Postgres and DynamoDB too";
    auto("status").ok().says(&[beside, "`cargo xtask down --engine embedded`"]);
    let (container, volume) = (project.container("db"), &project.volumes()[0]);
    let rehearsed = auto("down --volumes --dry-run").ok();
    rehearsed.says(&[
        "it would stop Postgres: process",
        &format!("; remove {container}"),
        &format!("; delete volume {volume} and its data"),
        "nothing was changed",
    ]);
    auto("down").ok().says(&["Postgres: stop process", "DynamoDB: stop process", "Docker: remove"]);
    project.xtask("down").env("CRUDDUR_ENGINE", "embedded").ok().says(&["nothing was running"]);
    project.xtask("down").ok().says(&["no containers"]);
}

#[test]
#[ignore = "needs Docker"]
fn down_ends_the_containers_that_a_change_of_engine_left() {
    let project = Project::new();
    let ports = [free_port(), free_port()].map(|port| port.to_string());
    let embedded = || {
        let up = project.xtask("up").env("CRUDDUR_ENGINE", "embedded");
        up.env("POSTGRES_PORT", &ports[0]).env("DYNAMODB_PORT", &ports[1]).ok()
    };
    let ends_both = || {
        let down = project.xtask("down").env("CRUDDUR_ENGINE", "auto").ok();
        down.says(&["Postgres: stop process", "Docker: remove"]);
        assert!(SERVICES.iter().all(|service| project.ids(service).is_empty()), "{down}");
    };
    project.xtask("up").ok();
    embedded();
    ends_both();
    project.xtask("down --volumes").ok();
    embedded();
    // Postgres starts, and DynamoDB does not.
    project.edit("docker-compose.yml", "user: root", "user: nobody-has-it");
    project.xtask("up").fails(1).says(&["nobody-has-it"]);
    assert_eq!(project.ids("db").len(), 1);
    ends_both();
}

#[test]
#[ignore = "needs Docker"]
fn up_status_logs_and_down_follow_the_containers() {
    let project = Project::new();
    let rows = || {
        let rows = project.xtask("status -o json").end().json();
        rows.as_array().unwrap().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    for (row, service) in rows().iter().zip(["postgres", "dynamodb"]) {
        assert!(row.contains(service) && row.contains("none"), "{row}");
    }
    project.assert_nothing_there();
    project.xtask("logs").fails(1).says(&["cargo xtask up"]);
    project.xtask("db test").fails(3).says(&["cargo xtask prepare"]);
    project.xtask("ddb scan").fails(3).says(&["cargo xtask prepare"]);

    let up = project.xtask("up --verbose").ok();
    up.says(&["+ docker create --name", "--env 'POSTGRES_PASSWORD=xxxxx'", "--publish 127.0.0.1:"]);
    for (row, service) in rows().iter().zip(SERVICES) {
        assert!(row.contains("\"ready") && row.contains("docker"), "{row}");
        assert!(row.contains(&project.container(service)) && row.contains("running"), "{row}");
    }
    let logs = project.xtask("logs").ok();
    assert!(
        logs.stdout.contains("ready to accept connections") && logs.stdout.contains("DynamoDB"),
        "{logs}"
    );
    let last = project.xtask("logs dynamodb --tail 1").ok();
    assert_eq!(last.stdout.lines().count(), 1, "{last}");
    let following = project.xtask("logs --follow").start();
    std::thread::sleep(Duration::from_millis(500));
    following.signal("INT");
    let followed = following.end_within(Duration::from_secs(5));
    assert_eq!(followed.code, Some(130), "{followed}");
    assert!(followed.stdout.contains("ready to accept connections"), "{followed}");

    // The volume keeps its data when the container is removed.
    project.session("postgres").batch_execute("create database kept").unwrap();
    project.xtask("down").ok();
    assert!(project.ids("db").is_empty() && project.ids("dynamodb-local").is_empty());
    assert_eq!(project.volumes().len(), 2);
    project.xtask("up").ok();
    project.session("kept");
    project.xtask("down --volumes").ok();
    project.assert_nothing_there();
    project.xtask("down --volumes").ok().says(&["no containers"]);
}

#[test]
#[ignore = "needs Docker"]
fn two_checkouts_in_folders_of_one_name_have_data_of_their_own() {
    let (one, two) = (Project::new(), Project::new());
    // Both projects take the folder's name, which is the same.
    let folder = format!("{}-folder", one.name);
    let checkout = |project: &Project| {
        let checkout = project.path(&folder);
        std::fs::create_dir(&checkout).unwrap();
        std::fs::copy(project.path("docker-compose.yml"), checkout.join("docker-compose.yml")).unwrap();
        checkout
    };
    let (first, second) = (checkout(&one), checkout(&two));
    let run = |project: &Project, checkout: &std::path::Path, line: &str| {
        let run = project.xtask(line).env("CRUDDUR_WORKSPACE", checkout);
        run.without("COMPOSE_PROJECT_NAME").ok()
    };
    let _cleaner = Cleaner(folder.clone());
    run(&one, &first, "up");
    one.session("postgres").batch_execute("create database of_the_first").unwrap();
    run(&two, &second, "up");
    assert!(
        two.session("postgres")
            .query("select 1 from pg_database where datname = 'of_the_first'", &[])
            .unwrap()
            .is_empty()
    );
    run(&two, &second, "down --volumes");
    one.session("of_the_first");
    run(&one, &first, "down --volumes");
}

#[test]
#[ignore = "needs Docker"]
fn a_project_that_was_used_before_stays_this_checkout_s_own() {
    let project = Project::new();
    let folder = format!("{}-folder", project.name);
    let checkout = project.path(&folder);
    std::fs::create_dir(&checkout).unwrap();
    std::fs::copy(project.path("docker-compose.yml"), checkout.join("docker-compose.yml")).unwrap();
    let run = |line: &str| {
        let run = project.xtask(line).env("CRUDDUR_WORKSPACE", &checkout);
        run.without("COMPOSE_PROJECT_NAME").ok()
    };
    let _cleaner = Cleaner(folder.clone());
    let volumes = ["db-data", "dynamodb-data"].map(|key| format!("{folder}_{key}"));
    run("up");
    run("down");
    // `docker compose` creates volumes without our label.
    for volume in &volumes {
        docker(&["volume", "rm", volume]);
        docker(&["volume", "create", volume]);
    }
    let ran = run("up");
    assert!(!ran.stderr.contains("belongs to another checkout"), "{ran}");
    run("down");
    // A checkout that has never used the project cannot know that the volumes are its own.
    std::fs::remove_dir_all(checkout.join(".cruddur")).unwrap();
    run("up").says(&["belongs to another checkout"]);
    run("down --volumes");
}

/// Removes the projects whose names have this prefix.
struct Cleaner(String);

impl Drop for Cleaner {
    fn drop(&mut self) {
        remove_project(&self.0);
    }
}

#[test]
#[ignore = "needs Docker"]
fn prepare_sets_up_only_what_does_not_match_the_sources() {
    let project = Project::new();
    each_source_is_noticed(&project);
    // DynamoDB Local keeps its items in memory, so a restart loses them.
    docker(&["restart", &project.container("dynamodb-local")]);
    let told = ["the messages table does not exist"];
    project.xtask("prepare --person-2 amemiya").ok().says(&told);
}
