//! A client that lost an answer repeats its request with the same idempotency key.

use std::io::Write as _;
use std::net::TcpStream;
use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;

use backend_flask::messages::SEED_GROUP;
use serde_json::{Value, json};

use crate::client::{Answer, Request};
use crate::common::wait_for;
use crate::container::DynamoDbLocal;
use crate::proxy::Fate;
use crate::world::{Address, ONE, STRANGER, TWO, World};

/// The number of messages in the seed.
const SEEDED: usize = 136;

fn request(app: &Address, from: &str, text: &str, key: &str) -> Request {
    let body = json!({ "message": text, "message_group_uuid": SEED_GROUP.to_string() });
    app.post("/api/messages").from(from).header("Idempotency-Key", key).json(&body)
}

/// Asserts that a message was written, and returns the answer's body.
#[track_caller]
fn written(request: Request) -> String {
    let Answer { status, body, .. } = request.send();
    assert_eq!(status, 201, "{body}");
    body
}

fn assert_written_once(world: &World) {
    let another = world.another();
    let first = written(request(&world.app, ONE, "Once", "\"a-key\""));
    // After other messages, at another server, and with the key in the form of other APIs.
    assert_eq!(world.app.write(TWO, "In between").status, 201);
    assert_eq!(written(request(&world.app, ONE, "Once", "\"a-key\"")), first);
    assert_eq!(written(request(&another, ONE, "Once", "a-key")), first);
    assert_eq!(world.items("MSG#").len(), SEEDED + 2);

    // Another key, another user, or no key writes another message.
    assert_ne!(written(request(&world.app, ONE, "Once", "another")), first);
    assert_ne!(written(request(&world.app, TWO, "Once", "a-key")), first);
    assert_eq!(world.app.write(ONE, "Once").status, 201);
    assert_eq!(world.items("MSG#").len(), SEEDED + 5);

    // The beginning of a conversation is repeated without effect, too.
    let body = json!({ "message": "Hello", "handle": STRANGER });
    let open = || world.app.post("/api/messages").from(ONE).header("Idempotency-Key", "k").json(&body);
    assert_eq!(written(open()), written(open()));
    assert_eq!(world.items("GRP#").len(), 4);
    assert_eq!(world.items("MSG#").len(), SEEDED + 6);
}

#[test]
fn a_request_with_the_same_key_is_answered_again_and_written_once() {
    assert_written_once(&World::new());
}

#[test]
#[ignore = "needs Docker"]
fn the_same_on_dynamodb_local() {
    let container = DynamoDbLocal::start();
    assert_written_once(&World::on(container.endpoint, None));
}

#[test]
fn at_once_at_two_servers_it_is_written_once() {
    let world = World::new();
    let another = world.another();
    for round in 0..5 {
        let (text, key) = (format!("Round {round}"), format!("key-{round}"));
        let barrier = Barrier::new(8);
        let answers: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|number| {
                    let app: &Address = if number % 2 == 0 { &world.app } else { &another };
                    let (barrier, text, key) = (&barrier, &text, &key);
                    scope.spawn(move || {
                        barrier.wait();
                        written(request(app, ONE, text, key))
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");
        assert_eq!(world.items("MSG#").len(), SEEDED + round + 1);
    }
}

#[test]
fn a_client_that_went_away_before_the_answer_may_ask_again() {
    let world = World::new();
    let body = json!({ "message": "Did it?", "message_group_uuid": SEED_GROUP.to_string() }).to_string();
    let mut stream = TcpStream::connect(world.app.0).unwrap();
    write!(
        stream,
        "POST /api/messages HTTP/1.1\r\nHost: {}\r\nX-Cruddur-User: {ONE}\r\nIdempotency-Key: gone\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        world.app.0,
        body.len()
    )
    .unwrap();
    let count = || world.items("MSG#").len();
    wait_for("message", Duration::from_secs(10), || (count() == SEEDED + 1).then_some(()));
    drop(stream);
    written(request(&world.app, ONE, "Did it?", "gone"));
    assert_eq!(count(), SEEDED + 1);
}

#[test]
fn a_message_with_a_key_whose_answer_was_lost_behind_the_server_is_there_once() {
    let world = World::new();
    let lost = [Fate::AnswerLost, Fate::Lost, Fate::throttled(), Fate::AnswerLost];
    let (_proxy, app) = crate::posts::behind_proxy(&world, crate::posts::fates(lost));
    for number in 0..3 {
        let (text, key) = (format!("Number {number}"), format!("key-{number}"));
        let first = written(request(&app, ONE, &text, &key));
        assert_eq!(written(request(&app, ONE, &text, &key)), first);
    }
    assert_eq!(world.items("MSG#").len(), SEEDED + 3);
}

#[test]
fn a_key_is_one_message_s() {
    let world = World::new();
    written(request(&world.app, ONE, "The one", "a-key"));
    request(&world.app, ONE, "The other", "a-key").send().refuses(422, "idempotency-key");
    let long = "k".repeat(256);
    let twice = "a-key\r\nIdempotency-Key: b-key";
    for key in ["", "\"\"", "schl\u{fc}ssel", &long, twice] {
        request(&world.app, ONE, "x", key).send().refuses(400, "idempotency-key");
    }
    written(request(&world.app, ONE, "x", &long[1..]));
    assert_eq!(world.items("MSG#").len(), SEEDED + 2);
}

/// If a repeat were found by a query, a post would take longer the more messages there are.
#[test]
fn a_key_is_looked_up_at_the_same_cost_however_much_was_written() {
    let world = World::new();
    let text = "x".repeat(1_000);
    let now = chrono::Utc::now();
    let messages = (0..2_500).map(|number| {
        let at = backend_flask::time::format(now - Duration::from_millis(100 * number));
        let uuid = uuid::Uuid::new_v4().to_string();
        json!({
            "pk": { "S": format!("MSG#{SEED_GROUP}") }, "sk": { "S": at }, "message_uuid": { "S": uuid },
            "message": { "S": text }, "user_uuid": { "S": uuid }, "user_handle": { "S": ONE },
            "user_display_name": { "S": "Andrew Brown" },
        })
    });
    world.endpoint.put_items(&world.table, messages);
    let asked = Arc::new(Mutex::new(Vec::new()));
    let record = Arc::clone(&asked);
    let (_proxy, app) = crate::posts::behind_proxy(&world, move |operation, _| {
        record.lock().unwrap().push(operation.to_owned());
        Ok(Fate::Passed)
    });
    let first = written(request(&app, ONE, "Once", "a-key"));
    assert_eq!(written(request(&app, ONE, "Once", "a-key")), first);
    // Both members' rows and the key; then the write, or the read of what was written.
    let once = ["Query", "Query", "GetItem", "TransactWriteItems", "Query", "Query", "GetItem", "GetItem"];
    assert_eq!(*asked.lock().unwrap(), once);
}

/// A key is recorded in an item of strings, like the table's other items. Its message may be removed before it.
#[test]
fn a_key_whose_message_is_gone_writes_it_again() {
    let world = World::new();
    let sent: Value = serde_json::from_str(&written(request(&world.app, ONE, "Once", "a-key"))).unwrap();
    let keys = world.items("KEY#");
    assert_eq!(keys.len(), 1);
    assert_eq!(keys[0]["pk"]["S"], format!("KEY#{}", sent["uuid"].as_str().unwrap()));
    assert_eq!(keys[0]["created_at"]["S"], sent["created_at"]);
    let is_text = |value: &Value| value.get("S").is_some();
    assert!(keys[0].as_object().unwrap().values().all(is_text), "{}", keys[0]);
    let key = json!({ "pk": { "S": format!("MSG#{SEED_GROUP}") }, "sk": { "S": sent["created_at"] } });
    world.endpoint.call("DeleteItem", json!({ "TableName": world.table, "Key": key }));
    let again: Value = serde_json::from_str(&written(request(&world.app, ONE, "Once", "a-key"))).unwrap();
    assert_eq!(again["uuid"], sent["uuid"]);
    assert_eq!(world.items("MSG#").len(), SEEDED + 1);
}
