//! Concurrent writes: no message is lost or doubled, and times increase.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex};
use std::time::Instant;

use backend_flask::messages::SEED_GROUP;
use serde_json::{Value, json};

use crate::common::dynamodb::Answer;
use crate::common::say;
use crate::proxy::{Fate, Proxy};
use crate::world::{App, ONE, STRANGER, TWO, World};

/// The number of messages in the seed.
const SEEDED: usize = 136;

fn text<'a>(item: &'a Value, name: &str) -> &'a str {
    item[name]["S"].as_str().unwrap()
}

fn rows(world: &World) -> Vec<Value> {
    let mut rows = world.items("GRP#");
    rows.retain(|row| text(row, "message_group_uuid") == SEED_GROUP.to_string());
    rows
}

/// Asserts that each member has one row, with the newest message.
#[track_caller]
fn assert_rows_follow(world: &World) {
    let messages = world.items("MSG#");
    let last = messages.iter().filter(|m| text(m, "pk").ends_with(&SEED_GROUP.to_string()));
    let last = last.max_by_key(|message| text(message, "sk")).unwrap();
    let rows = rows(world);
    let members: BTreeSet<_> = rows.iter().map(|row| text(row, "pk")).collect();
    assert_eq!((rows.len(), members.len()), (2, 2), "{rows:#?}");
    for row in &rows {
        assert_eq!((text(row, "sk"), text(row, "message")), (text(last, "sk"), text(last, "message")));
    }
}

#[test]
fn a_message_moves_both_rows_to_its_time() {
    let world = World::new();
    let sent = world.app.write(TWO, "To the top").json();
    assert_rows_follow(&world);
    let rows = rows(&world);
    assert_eq!(text(&rows[0], "sk"), sent["created_at"].as_str().unwrap());
    assert_eq!(world.items("MSG#").len(), SEEDED + 1);
}

#[test]
fn rows_that_another_program_wrote_in_its_own_form_are_moved_too() {
    let world = World::new();
    for row in rows(&world) {
        let key = json!({ "pk": row["pk"], "sk": row["sk"] });
        world.endpoint.call("DeleteItem", json!({ "TableName": world.table, "Key": key }));
        let mut other = row.clone();
        other["sk"]["S"] = "2024-02-29T12:00:00Z".into();
        world.endpoint.put_items(&world.table, [other]);
    }
    assert_eq!(world.app.write(ONE, "Hello").status, 201);
    assert_rows_follow(&world);
}

#[test]
fn times_rise_even_behind_one_in_the_future() {
    let world = World::new();
    let last = "2999-01-01T00:00:00.000000+00:00";
    for row in rows(&world) {
        let key = json!({ "pk": row["pk"], "sk": row["sk"] });
        world.endpoint.call("DeleteItem", json!({ "TableName": world.table, "Key": key }));
        let mut ahead = row.clone();
        ahead["sk"]["S"] = last.into();
        world.endpoint.put_items(&world.table, [ahead]);
    }
    for microsecond in 1..=3 {
        let sent = world.app.write(ONE, "Hello").json();
        assert_eq!(sent["created_at"], last.replace("000000+", &format!("00000{microsecond}+")));
    }
    assert_rows_follow(&world);
}

/// Writes `count` messages into the seed's group with `writers` threads, through `apps` in turn.
fn write_at_once(apps: &[&App], writers: usize, count: usize) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for writer in 0..writers {
            let (next, app) = (&next, apps[writer % apps.len()]);
            let sender = [ONE, TWO][writer % 2];
            scope.spawn(move || {
                let mut last = String::new();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        break;
                    }
                    let answer = app.write(sender, &format!("new {number} of {writer}"));
                    assert_eq!(answer.status, 201, "{answer:?}");
                    let created_at = answer.json()["created_at"].as_str().unwrap().to_owned();
                    assert!(created_at > last, "{created_at} after {last}");
                    last = created_at;
                }
            });
        }
    });
}

/// Asserts that exactly the messages `0..count` were added, each once, and in order for each writer.
#[track_caller]
fn assert_all_written(world: &World, count: usize) {
    let messages = world.items("MSG#");
    assert_eq!(messages.len(), SEEDED + count);
    let mut numbers = HashSet::new();
    let mut last_of: BTreeMap<usize, usize> = BTreeMap::new();
    for message in &messages {
        let Some(rest) = text(message, "message").strip_prefix("new ") else { continue };
        let (number, writer) = rest.split_once(" of ").unwrap();
        let (number, writer) = (number.parse().unwrap(), writer.parse().unwrap());
        assert!(numbers.insert(number), "{number} twice");
        // Items are sorted by key, which is their time.
        let before = last_of.insert(writer, number);
        assert!(before.is_none_or(|before| before < number), "{number} after {before:?}");
    }
    assert_eq!(numbers.len(), count);
    let uuids: HashSet<_> = messages.iter().map(|message| text(message, "message_uuid")).collect();
    assert_eq!(uuids.len(), messages.len());
    assert_rows_follow(world);
}

#[test]
fn writers_at_two_servers_lose_nothing() {
    let world = World::new();
    let another = world.another();
    write_at_once(&[&world.app, &another], 16, 240);
    assert_all_written(&world, 240);
}

/// The size that docs/app.md states: 64 writers, 10,000 messages.
#[track_caller]
fn write_ten_thousand(world: &World, apps: &[&App], what: &str) {
    let started = Instant::now();
    write_at_once(apps, 64, 10_000);
    let took = started.elapsed().as_secs_f64();
    assert_all_written(world, 10_000);
    say(&format!("{what}: 10,000 posts by 64 writers in {took:.1} s"));
}

#[test]
#[ignore = "takes minutes"]
fn sixty_four_writers_of_ten_thousand_messages_on_dynoxide() {
    let world = World::new();
    write_ten_thousand(&world, &[&world.app], "dynoxide, one server");
    let world = World::new();
    let another = world.another();
    write_ten_thousand(&world, &[&world.app, &another], "dynoxide, two servers");
}

#[test]
#[ignore = "needs Docker"]
fn sixty_four_writers_of_ten_thousand_messages_on_dynamodb_local() {
    let container = crate::container::DynamoDbLocal::start();
    let world = World::on(container.endpoint, None);
    write_ten_thousand(&world, &[&world.app], "DynamoDB Local, one server");
    let container = crate::container::DynamoDbLocal::start();
    let world = World::on(container.endpoint, None);
    let another = world.another();
    write_ten_thousand(&world, &[&world.app, &another], "DynamoDB Local, two servers");
}

/// Starts another server on the same databases, with a proxy before DynamoDB.
pub(crate) fn behind_proxy(
    world: &World,
    decide: impl Fn(&str, &str) -> std::io::Result<Fate> + Send + Sync + 'static,
) -> (Proxy, App) {
    let proxy = Proxy::start(world.endpoint, decide);
    let mut settings = world.settings();
    settings.retain(|(name, _)| *name != "AWS_ENDPOINT_URL_DYNAMODB");
    settings.push(("AWS_ENDPOINT_URL_DYNAMODB", proxy.endpoint.url()));
    let app = App::start(&settings);
    (proxy, app)
}

/// What happens to each transaction, in order. Later ones pass.
pub(crate) fn fates(fates: impl IntoIterator<Item = Fate>) -> impl Fn(&str, &str) -> std::io::Result<Fate> {
    let fates = Mutex::new(fates.into_iter().collect::<Vec<_>>().into_iter());
    move |operation, _| match operation {
        "TransactWriteItems" => Ok(fates.lock().unwrap().next().unwrap_or(Fate::Passed)),
        _ => Ok(Fate::Passed),
    }
}

fn cancelled(code: &str) -> Fate {
    let body = json!({
        "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
        "Message": "Transaction cancelled",
        "CancellationReasons": [{ "Code": "None" }, { "Code": code, "Message": "x" }],
    });
    Fate::Answered(Answer { status: 400, body: body.to_string() })
}

#[test]
fn a_message_whose_answer_was_lost_is_there_once() {
    let world = World::new();
    let lost = [Fate::AnswerLost, Fate::Lost, Fate::AnswerLost, Fate::throttled(), Fate::AnswerLost];
    let (_proxy, app) = behind_proxy(&world, fates(lost));
    for number in 0..4 {
        let answer = app.write(ONE, &format!("new {number} of 0"));
        assert_eq!(answer.status, 201, "{answer:?}");
    }
    assert_all_written(&world, 4);
}

#[test]
fn a_first_message_whose_answer_was_lost_opens_one_group() {
    let world = World::new();
    let (_proxy, app) = behind_proxy(&world, fates([Fate::AnswerLost]));
    let answer = app.write_to(ONE, STRANGER, "Hello");
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(world.items("GRP#").len(), 4);
    assert_eq!(world.items("MSG#").len(), SEEDED + 1);
}

#[test]
fn a_conflict_or_too_little_capacity_is_met_again() {
    let world = World::new();
    let codes =
        ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded", "ConditionalCheckFailed"];
    let fates = fates(codes.map(cancelled).into_iter().chain([Fate::throttled()]));
    let (_proxy, app) = behind_proxy(&world, fates);
    let answer = app.write(ONE, "new 0 of 0");
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_all_written(&world, 1);
}

#[test]
fn a_server_that_refuses_for_good_is_asked_once() {
    let world = World::new();
    let asked = std::sync::Arc::new(AtomicUsize::new(0));
    let count = std::sync::Arc::clone(&asked);
    let (_proxy, app) = behind_proxy(&world, move |operation, _| {
        Ok(match operation {
            "TransactWriteItems" => {
                count.fetch_add(1, Ordering::SeqCst);
                cancelled("ValidationError")
            }
            _ => Fate::Passed,
        })
    });
    let answer = app.write(ONE, "Hello");
    answer.refuses(503, "dynamodb");
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    assert_eq!(world.items("MSG#").len(), SEEDED);
}

#[test]
fn a_server_that_always_throttles_is_given_up_in_time() {
    let world = World::new();
    let (_proxy, app) = behind_proxy(&world, |operation, _| {
        Ok(if operation == "TransactWriteItems" { Fate::throttled() } else { Fate::Passed })
    });
    let started = Instant::now();
    app.write(ONE, "Hello").refuses(503, "dynamodb");
    let took = started.elapsed().as_secs();
    assert!((9..15).contains(&took), "{took} s");
    assert_eq!(world.items("MSG#").len(), SEEDED);
}

#[test]
fn a_message_to_somebody_known_goes_into_the_group_there_is() {
    let world = World::new();
    let sent = world.app.write_to(TWO, ONE, "Hello").json();
    assert_eq!(sent["message_group_uuid"], SEED_GROUP.to_string());
    assert_eq!(world.items("GRP#").len(), 2);
}

#[test]
fn a_message_to_somebody_new_opens_a_group_for_both() {
    let world = World::new();
    let sent = world.app.write_to(ONE, STRANGER, "Hello").json();
    let group = sent["message_group_uuid"].as_str().unwrap();
    for (who, other) in [(ONE, STRANGER), (STRANGER, ONE)] {
        let groups = world.app.get("/api/message_groups?limit=1").from(who).send().ok();
        assert_eq!((&groups[0]["uuid"], &groups[0]["handle"]), (&json!(group), &json!(other)));
        let read = world.app.get(&format!("/api/messages/{group}")).from(who).send().ok();
        assert_eq!(read, json!([sent]));
    }
}

#[test]
fn a_group_that_many_open_at_once_at_two_servers_is_one() {
    let world = World::new();
    let another = world.another();
    let writers = 12;
    let barrier = Barrier::new(writers);
    let groups: BTreeSet<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..writers)
            .map(|writer| {
                let (barrier, app) = (&barrier, if writer % 2 == 0 { &world.app } else { &another });
                let (from, to) = if writer % 3 == 0 { ("amemiya", "teapot") } else { ("teapot", "amemiya") };
                scope.spawn(move || {
                    barrier.wait();
                    let answer = app.write_to(from, to, &format!("new {writer}"));
                    assert_eq!(answer.status, 201, "{answer:?}");
                    answer.json()["message_group_uuid"].as_str().unwrap().to_owned()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(groups.len(), 1, "{groups:?}");
    assert_eq!(world.items("GRP#").len(), 4);
    assert_eq!(world.items("MSG#").len(), SEEDED + writers);
}

/// If worlds shared a table, the other tests would prove nothing.
#[test]
fn the_worlds_of_two_tests_are_apart() {
    let (one, two) = (World::new(), World::new());
    assert_ne!(one.table, two.table);
    one.app.write(ONE, "Hello");
    assert_eq!((one.items("MSG#").len(), two.items("MSG#").len()), (SEEDED + 1, SEEDED));
}
