//! Another checkout's databases at the ports that this one would use are not taken for ours.

use std::io::{ErrorKind, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use crate::common::checkout::Checkout;
use crate::common::neighbour::assert_not_taken_for_ours;
use crate::common::run::Run;
use crate::common::{Workspace, free_port, wait_for};

/// A running checkout on ports of its own.
fn neighbour() -> Checkout {
    let mut checkout = Checkout::new();
    let ports = [free_port(), free_port()];
    at(&mut checkout, ports);
    checkout.set_up();
    assert_eq!(checkout.ports(), ports);
    checkout
}

fn at(checkout: &mut Checkout, ports: [u16; 2]) {
    checkout.set("POSTGRES_PORT", ports[0]);
    checkout.set("DYNAMODB_PORT", ports[1]);
}

/// Chooses the engine automatically, without Docker.
fn auto(run: Run) -> Run {
    run.env("CRUDDUR_ENGINE", "auto").env("DOCKER_HOST", "unix:///nonexistent")
}

#[test]
fn a_checkout_that_was_never_set_up_leaves_its_neighbour_alone() {
    let neighbour = neighbour();
    let ports = neighbour.ports();
    let before = neighbour.xtask("ddb scan -o jsonl").ok().stdout;
    let mut checkout = Checkout::new();
    at(&mut checkout, ports);
    assert_not_taken_for_ours(ports, |line| checkout.xtask(line));
    assert_not_taken_for_ours(ports, |line| auto(checkout.xtask(line)));
    for line in ["down", "down --volumes"] {
        checkout.xtask(line).ok().says(&["nothing was running"]);
        auto(checkout.xtask(line)).ok().says(&["nothing was running"]);
    }
    neighbour.assert_set_up(&neighbour.xtask("status").ok());
    assert_eq!(neighbour.xtask("ddb scan -o jsonl").ok().stdout, before);
}

#[test]
fn where_nothing_runs_at_all_a_command_says_so() {
    let mut checkout = Checkout::new();
    at(&mut checkout, [free_port(), free_port()]);
    for run in [checkout.xtask("db test"), auto(checkout.xtask("db test"))] {
        run.fails(3).says(&[
            "this checkout's Postgres is not running",
            "nobody listens at 127.0.0.1:",
            "`cargo xtask prepare`",
        ]);
    }
    auto(checkout.xtask("ddb scan")).fails(3).says(&["this checkout's DynamoDB is not running"]);
    auto(checkout.xtask("status")).end().says(&["error: nothing runs"]);
    auto(checkout.xtask("down")).ok();
}

#[test]
fn a_stopped_checkout_leaves_other_servers_at_its_ports_alone() {
    let mut checkout = Checkout::new();
    let ports = [free_port(), free_port()];
    at(&mut checkout, ports);
    checkout.set_up();
    checkout.xtask("down").ok();
    let mut neighbour = Checkout::new();
    at(&mut neighbour, ports);
    neighbour.set_up();
    assert_not_taken_for_ours(ports, |line| checkout.xtask(line));
    checkout.xtask("down --volumes").ok();
    neighbour.assert_set_up(&neighbour.xtask("status").ok());
}

/// Simulates a restart of the machine, which the state folder does not record.
#[test]
fn a_checkout_with_dead_servers_leaves_other_servers_at_its_ports_alone() {
    let mut checkout = Checkout::new();
    let ports = [free_port(), free_port()];
    at(&mut checkout, ports);
    checkout.set_up();
    ["postgres", "dynamodb"].iter().for_each(|service| checkout.kill(service));
    let mut neighbour = Checkout::new();
    at(&mut neighbour, ports);
    neighbour.set_up();
    assert_not_taken_for_ours(ports, |line| checkout.xtask(line));
    assert_not_taken_for_ours(ports, |line| auto(checkout.xtask(line)));
    checkout.xtask("down").ok().says(&["nothing was running"]);
    neighbour.assert_set_up(&neighbour.xtask("status").ok());
}

/// A server that was told to end finishes its last requests while another server may have its port.
#[test]
fn nothing_is_sent_to_the_port_of_a_server_that_is_ending() {
    let mut checkout = Checkout::new();
    let ports = [free_port(), free_port()];
    at(&mut checkout, ports);
    checkout.set_up();
    let mut slow = TcpStream::connect(("127.0.0.1", ports[1])).unwrap();
    slow.write_all(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{").unwrap();
    checkout.xtask("ddb list-tables").ok();
    checkout.signal("dynamodb", "TERM");
    let other =
        wait_for("free port", Duration::from_secs(5), || TcpListener::bind(("127.0.0.1", ports[1])).ok());
    checkout.xtask("ddb scan").fails(3).says(&["is starting or ending"]);
    let up = checkout.xtask("ddb-setup").start();
    std::thread::sleep(Duration::from_secs(1));
    other.set_nonblocking(true).unwrap();
    assert_eq!(other.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    drop((other, slow));
    checkout.assert_set_up(&up.end_within(Duration::from_secs(30)));
}

#[test]
fn running_databases_are_found_without_a_state_file() {
    let checkout = neighbour();
    std::fs::remove_file(checkout.state("state.json")).unwrap();
    // Set other ports too, so that only the lock leads to the databases.
    let elsewhere = |run: Run| run.env("POSTGRES_PORT", "1").env("DYNAMODB_PORT", "2");
    for line in ["db test", "ddb list-tables", "status", "env"] {
        elsewhere(checkout.xtask(line)).shows_secrets().ok();
        elsewhere(auto(checkout.xtask(line))).shows_secrets().ok();
    }
    std::fs::remove_file(checkout.state("state.json")).ok();
    elsewhere(auto(checkout.xtask("up")))
        .fails(1)
        .says(&["engine embedded: it is running", "POSTGRES_PORT is 1"]);
    auto(checkout.xtask("up")).ok().says(&["engine embedded: it is running"]);
    auto(checkout.xtask("down")).ok().says(&["Postgres: stop process", "DynamoDB: stop process"]);
}

#[test]
fn a_neighbour_is_reached_by_its_settings() {
    let neighbour = neighbour();
    let settings = neighbour.xtask("env --format json").shows_secrets().ok().json();
    let workspace = ["CONNECTION_URL", "AWS_ENDPOINT_URL_DYNAMODB"]
        .iter()
        .fold(Workspace::new(), |workspace, name| workspace.with(name, settings[name].as_str().unwrap()));
    for engine in ["external", "auto"] {
        let run = |line: &str| workspace.xtask(line).env("CRUDDUR_ENGINE", engine);
        assert_eq!(run("ddb list-tables").ok().stdout, "cruddur-messages\n");
        assert_eq!(run("db test -o json").ok().json()[0]["users"], 5);
        run(r#"ddb put {"pk":"a","sk":"1"}"#).ok();
        run("db seed").ok();
        assert_eq!(run("status -o json").ok().json()[0]["answer"], "ready");
        run("down").ok();
    }
}
