//! Faults of DynamoDB and of the connection to it.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use cruddur_testing::fixtures::proxy::{Fate, Proxy};

use super::line::{self, Fault, Line};
use super::{QUICK, SETUP, TABLE, World, assert_imported, lines};
use crate::common::dynamodb::{Answer, Endpoint};

/// Commands that read and commands that write, with the SDK's retries and with the tasks' own.
const COMMANDS: [&str; 6] = [
    "ddb seed",
    "ddb seed --messages 50",
    "ddb scan",
    "ddb export out.jsonl",
    "ddb import made.jsonl",
    "ddb list-tables",
];

/// Every command fails at this server with this status and prints all of `says`. A set-up on a healthy server repairs everything.
#[track_caller]
fn all_fail(code: i32, endpoint: impl Fn(&World) -> Endpoint, says: &[&str]) {
    let world = World::with_known_seed();
    world.write("made.jsonl", &lines(100));
    let endpoint = endpoint(&world);
    for line in COMMANDS {
        world.fails_at(code, line, endpoint, QUICK).says(says);
    }
    assert!(!world.path("out.jsonl").exists());
    world.recovers();
    world.xtask("ddb import made.jsonl").ok();
    assert_eq!(world.endpoint().items(TABLE).len(), 238);
}

fn broken_line(world: &World, fault: Fault) -> Endpoint {
    Line::start(world.endpoint().0, move |_| fault).endpoint()
}

#[test]
fn a_dynamodb_that_resets_every_connection() {
    all_fail(3, |world| broken_line(world, Fault::Reset(0)), &["onnection reset by peer"]);
}

#[test]
fn a_dynamodb_whose_answers_are_cut_short() {
    for after in [0, 30, 150] {
        all_fail(3, |world| broken_line(world, Fault::Cut(after)), &["help: ", "AWS_ENDPOINT_URL_DYNAMODB"]);
    }
}

#[test]
fn a_postgres_error_does_not_wait_for_a_silent_dynamodb() {
    let (_listener, port) = line::silent();
    let unknown = "ddb patterns list-conversations --handle nobody-has-it";
    World::with_known_seed().fails_at(1, unknown, Endpoint(port), QUICK).says(&["has no user with handle"]);
}

#[test]
fn a_postgres_error_does_not_wait_for_credentials_that_never_come() {
    let world = World::with_known_seed();
    let (_listener, port) = line::silent();
    let run = world.xtask("ddb patterns list-conversations --handle nobody-has-it --prod");
    let run = run.env("PROD_CONNECTION_URL", world.database.url()).env("AWS_REGION", "us-east-1");
    let run = run.env("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("http://127.0.0.1:{port}/"));
    run.fails(1).within(QUICK).says(&["has no user with handle"]);
}

#[test]
fn a_dynamodb_that_answers_garbage() {
    all_fail(3, |world| broken_line(world, Fault::Garbage(b"SSH-2.0-OpenSSH_9.2\r\n")), &["invalid HTTP"]);
}

#[test]
fn a_dynamodb_that_answers_more_than_memory_holds() {
    let announced = b"HTTP/1.1 200 OK\r\ncontent-length: 9000000000000000000\r\n\r\n{}".to_vec();
    let size = 65 << 20;
    let head = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{size:x}\r\n");
    let sent = [head.as_bytes(), &vec![b' '; size]].concat();
    for answer in [announced, sent] {
        let answer: &[u8] = answer.leak();
        all_fail(
            3,
            |world| broken_line(world, Fault::Garbage(answer)),
            &["answer is longer than 67108864 bytes"],
        );
    }
}

#[test]
fn a_dynamodb_whose_answers_are_not_its_api_s() {
    let html = |_: &str, _: &str| {
        Ok(Fate::Answered(Answer { status: 200, body: "<html>Please log in</html>".to_owned() }))
    };
    let proxy = std::cell::OnceCell::new();
    all_fail(3, |world| proxy.get_or_init(|| Proxy::start(world.endpoint(), html)).endpoint, &["error: "]);
}

#[test]
fn a_dynamodb_that_answers_500() {
    let broken = |_: &str, _: &str| {
        let body =
            r#"{"__type":"com.amazonaws.dynamodb.v20120810#InternalServerError","message":"out of luck"}"#;
        Ok(Fate::Answered(Answer { status: 500, body: body.to_owned() }))
    };
    let proxy = std::cell::OnceCell::new();
    let endpoint = |world: &World| proxy.get_or_init(|| Proxy::start(world.endpoint(), broken)).endpoint;
    all_fail(1, endpoint, &["InternalServerError: out of luck"]);
}

#[test]
fn a_clock_that_is_far_off() {
    let expired = |_: &str, _: &str| {
        let body = r#"{"__type":"com.amazon.coral.service#InvalidSignatureException","message":"Signature expired: 20260101T000000Z is now earlier than 20260102T000000Z (20260102T001500Z - 15 min.)"}"#;
        Ok(Fate::Answered(Answer { status: 400, body: body.to_owned() }))
    };
    let proxy = std::cell::OnceCell::new();
    let endpoint = |world: &World| proxy.get_or_init(|| Proxy::start(world.endpoint(), expired)).endpoint;
    all_fail(3, endpoint, &["Signature expired", "help: set the clock"]);
}

/// Every kind of fault of networks and busy servers, mixed. No request fails a third time.
#[test]
fn a_dynamodb_that_fails_now_and_then() {
    let world = World::with_known_seed();
    let seen: Mutex<HashMap<String, usize>> = Mutex::default();
    let proxy = Proxy::start(world.endpoint(), move |operation, body| {
        let mut seen = seen.lock().unwrap();
        let number = seen.len();
        let request = seen.entry(format!("{operation} {body}")).or_insert(0);
        *request += 1;
        let done_twice_is_done = !matches!(operation, "CreateTable" | "DeleteTable");
        Ok(match (*request, number % 6) {
            (1, 0) => Fate::Lost,
            (1, 1) | (2, 0) => Fate::throttled(),
            (1, 2) => Fate::Answered(Answer { status: 503, body: "<html>busy</html>".to_owned() }),
            (1, 3) | (2, 1) if done_twice_is_done => Fate::AnswerLost,
            (1, 4) | (2, 2) if done_twice_is_done => Fate::AnswerCut,
            _ => Fate::Passed,
        })
    });
    let made = lines(2_000);
    world.write("made.jsonl", &made);
    let at = |line: &str| world.xtask(line).env("AWS_ENDPOINT_URL_DYNAMODB", proxy.endpoint.url()).ok();
    at(SETUP);
    world.assert_whole();
    assert_eq!(at("ddb scan -o jsonl").json_lines().len(), 138);
    at("ddb drop cruddur-messages");
    at("ddb schema-load");
    at("ddb import made.jsonl").within(Duration::from_secs(60));
    assert_imported(world.endpoint(), TABLE, &made);
}

#[test]
fn a_write_whose_answer_is_lost() {
    let world = World::with_known_seed();
    let lost =
        |operation: &str, _: &str| Ok(if operation == "PutItem" { Fate::AnswerLost } else { Fate::Passed });
    let proxy = Proxy::start(world.endpoint(), lost);
    let failed = world.fails_at(3, r#"ddb put {"pk":"a","sk":"1"}"#, proxy.endpoint, QUICK);
    // The server has done it, so the error advises to look.
    failed.says(&["ddb get"]);
    world.xtask("ddb get a 1").ok();
}
