//! `cargo xtask verify` finds each kind of disagreement between the two stores, and nothing else.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cruddur_testing::fixtures::proxy::{Fate, Proxy};
use insta::assert_snapshot;
use serde_json::{Value, json};

use super::run::{ask, run_at};
use super::{TABLE, World};
use crate::common::dynamodb::Answer;
use crate::common::free_port;
use crate::common::run::Ran;
use crate::common::world::Production;

const ANDREW: &str = "9c1f4a52-6d0e-4b7b-8a3f-1f6a0c2d7e01";
const BAYKO: &str = "9c1f4a52-6d0e-4b7b-8a3f-1f6a0c2d7e02";
const ZOE: &str = "9c1f4a52-6d0e-4b7b-8a3f-1f6a0c2d7e03";
const NOBODY: &str = "9c1f4a52-6d0e-4b7b-8a3f-1f6a0c2d7eff";
const GROUP: &str = "5ae290ed-55d1-47a0-bc6d-fe2bc2700399";
const OTHER_GROUP: &str = "5ae290ed-55d1-47a0-bc6d-fe2bc27003aa";
const UUID: &str = "5ae290ed-55d1-47a0-bc6d-fe2bc27003bb";

/// Times: of the short conversation's last message, of its second one, and one before the conversation.
const LAST: &str = "2026-01-01T00:02:00.000000+00:00";
const SECOND: &str = "2025-12-31T23:59:00.000000+00:00";
const BEFORE: &str = "2025-12-31T12:00:00.000000+00:00";

fn text<'a>(item: &'a Value, attribute: &str) -> &'a str {
    item[attribute]["S"].as_str().unwrap()
}

fn item(items: &[Value], pk: &str, sk: &str) -> Value {
    items.iter().find(|item| [text(item, "pk"), text(item, "sk")] == [pk, sk]).unwrap().clone()
}

/// An item with some attributes changed. An empty value removes the attribute.
fn with(mut item: Value, changes: &[(&str, &str)]) -> Value {
    for (name, value) in changes {
        if value.is_empty() {
            item.as_object_mut().unwrap().remove(*name);
        } else {
            item[*name] = json!({ "S": value });
        }
    }
    item
}

impl World {
    fn delete(&self, item: &Value) {
        let key = json!({ "pk": item["pk"], "sk": item["sk"] });
        self.endpoint().call("DeleteItem", json!({ "TableName": TABLE, "Key": key }));
    }

    /// Makes the table hold exactly these items.
    fn reset(&self, items: &[Value]) {
        self.endpoint()
            .items(TABLE)
            .iter()
            .filter(|item| !items.contains(item))
            .for_each(|item| self.delete(item));
        self.endpoint().put_items(TABLE, items.iter().cloned());
    }

    /// The kinds of findings, each with its number.
    #[track_caller]
    fn found(&self) -> Vec<(String, usize)> {
        let ran = self.xtask("verify -o jsonl").end();
        let kinds: Vec<_> =
            ran.json_lines().iter().map(|line| line["kind"].as_str().unwrap().to_owned()).collect();
        assert_eq!(ran.code, Some(i32::from(!kinds.is_empty())), "{ran}");
        let unique: BTreeSet<_> = kinds.iter().cloned().collect();
        unique
            .into_iter()
            .map(|kind| (kind.clone(), kinds.iter().filter(|other| **other == kind).count()))
            .collect()
    }
}

#[track_caller]
fn agrees(ran: &Ran) {
    assert!(ran.stdout.starts_with("all agree: ") && ran.stdout.lines().count() == 1, "{ran}");
}

#[test]
fn after_a_set_up_all_agree() {
    let world = World::set_up();
    let ran = world.xtask("verify").ok();
    assert_snapshot!(ran.stdout, @"all agree: 5 users, 1 group, 136 messages; 138 items");
    assert_snapshot!(world.redact(&ran.stderr), @"
    ... Postgres: read the users of cruddur-tests@HOST/DATABASE
    ok  Postgres: read the users of cruddur-tests@HOST/DATABASE: 5 users (TIME)
    ... DynamoDB: read cruddur-messages
    ok  DynamoDB: read cruddur-messages: 138 items (TIME)
    ");
    assert_eq!(world.xtask("verify -o jsonl").ok().stdout, "");
    assert_eq!(world.xtask("verify -o json").ok().stdout, "[]\n");
    world.xtask("ddb seed --messages 700 --conversations 40 --users 12").ok();
    assert_snapshot!(world.xtask("verify").ok().stdout, @"all agree: 17 users, 41 groups, 836 messages; 918 items");
}

#[test]
fn each_disagreement_is_found_and_only_it() {
    let world = World::with_short_conversation();
    let items = world.endpoint().items(TABLE);
    let [messages, rows] = [format!("MSG#{GROUP}"), format!("GRP#{ANDREW}")];
    let message = item(&items, &messages, SECOND);
    let (row, others) = (item(&items, &rows, LAST), item(&items, &format!("GRP#{BAYKO}"), LAST));
    let andrew =
        [("user_uuid", ANDREW), ("user_handle", "andrewbrown"), ("user_display_name", "Andrew Brown")];
    let zoe = [("user_uuid", ZOE), ("user_handle", "zoekestrel"), ("user_display_name", "Zoë Kestrel")];
    let group = |row: &Value, uuid: &str| with(row.clone(), &[("message_group_uuid", uuid)]);
    let added = |sk: &str| with(message.clone(), &[("sk", sk), ("message_uuid", UUID)]);
    let key = json!({ "pk": { "S": format!("KEY#{UUID}") }, "sk": { "S": messages }, "created_at": { "S": BEFORE } });
    let here = |item: &Value, changes: &[(&str, &str)]| vec![with(item.clone(), changes)];
    let none = Vec::new();
    // The finding, its number, the items to put, and the items to delete.
    let cases: Vec<(&str, usize, Vec<Value>, Vec<&Value>)> = vec![
        ("neither a group row nor a message", 1, here(&message, &[("pk", "elsewhere")]), none.clone()),
        ("attribute that cannot be read", 1, here(&message, &[("message", "")]), none.clone()),
        ("attribute that cannot be read", 1, here(&message, &[("message_uuid", "x")]), none.clone()),
        ("attribute that cannot be read", 1, here(&message, &[("user_handle", "")]), none.clone()),
        ("attribute that cannot be read", 1, here(&row, &[("user_uuid", "")]), none.clone()),
        ("attribute that cannot be read", 1, vec![added("yesterday")], none.clone()),
        ("attribute that cannot be read", 1, here(&added(BEFORE), &[("pk", "MSG#")]), none.clone()),
        ("attribute that cannot be read", 1, here(&key, &[("created_at", "then")]), none.clone()),
        (
            "time or uuid in another form",
            1,
            here(&message, &[("sk", "2025-12-31T23:59:00Z")]),
            vec![&message],
        ),
        ("time or uuid in another form", 1, here(&row, &[("sk", "2026-01-01T00:02:00Z")]), vec![&row]),
        (
            "time or uuid in another form",
            1,
            here(&message, &[("message_uuid", &UUID.to_uppercase())]),
            none.clone(),
        ),
        (
            "time or uuid in another form",
            1,
            here(&added(BEFORE), &[("pk", &messages.to_uppercase())]),
            none.clone(),
        ),
        ("user who is not in Postgres", 1, here(&message, &[("user_uuid", NOBODY)]), none.clone()),
        ("user who is not in Postgres", 1, here(&row, &[("user_uuid", NOBODY)]), none.clone()),
        ("handle other than in Postgres", 1, here(&message, &[("user_handle", "b")]), none.clone()),
        ("handle other than in Postgres", 1, here(&row, &[("user_handle", "b")]), none.clone()),
        (
            "display name other than in Postgres",
            1,
            here(&message, &[("user_display_name", "B")]),
            none.clone(),
        ),
        ("group with one row", 1, Vec::new(), vec![&row]),
        ("group with more than two rows", 1, here(&row, &[("pk", &format!("GRP#{ZOE}"))]), none.clone()),
        (
            "group with more than two rows",
            1,
            here(&row, &[("sk", LAST.replace("02:00.0", "02:00.1").as_str())]),
            none.clone(),
        ),
        ("group whose rows do not mirror each other", 1, here(&row, &zoe), none.clone()),
        ("group row not of the newest message", 1, here(&row, &[("message", "x")]), none.clone()),
        ("group row not of the newest message", 1, here(&row, &[("sk", SECOND)]), vec![&row]),
        (
            "group row not of the newest message",
            2,
            vec![added("2026-02-01T00:00:00.000000+00:00")],
            none.clone(),
        ),
        (
            "messages without a group",
            1,
            here(&added(BEFORE), &[("pk", &format!("MSG#{OTHER_GROUP}"))]),
            none.clone(),
        ),
        ("messages without a group", 1, Vec::new(), vec![&row, &others]),
        (
            "group without messages",
            1,
            [&row, &others].map(|row| with(group(row, OTHER_GROUP), &[("sk", BEFORE)])).into(),
            none.clone(),
        ),
        ("sender who is not a member", 1, vec![with(added(BEFORE), &zoe)], none.clone()),
        ("message uuid that is there twice", 1, here(&message, &[("sk", BEFORE)]), none.clone()),
    ];
    let kinds: BTreeSet<_> = cases.iter().map(|case| case.0).collect();
    assert_eq!(kinds.len(), 14);
    for (kind, count, put, deleted) in cases {
        deleted.iter().for_each(|item| world.delete(item));
        world.endpoint().put_items(TABLE, put.clone());
        if kind == "group with more than two rows" && text(&put[0], "sk") != LAST {
            // Its time is not the newest message's, which is another disagreement.
            assert_eq!(
                world.found(),
                [("group row not of the newest message".to_owned(), 1), (kind.to_owned(), count)]
            );
        } else {
            assert_eq!(world.found(), [(kind.to_owned(), count)], "{put:?} for {deleted:?}");
        }
        world.reset(&items);
    }
    world.endpoint().put_items(TABLE, [key, with(added(BEFORE), &andrew)]);
    assert_eq!(world.found(), []);
}

#[test]
fn a_table_shows_the_first_three_of_each_kind() {
    let world = World::with_short_conversation();
    world.database.execute("update users set handle = 'my' || handle");
    let items = world.endpoint().items(TABLE);
    world.delete(&item(&items, &format!("GRP#{BAYKO}"), LAST));
    let ran = world.xtask("verify").end();
    assert_eq!(ran.code, Some(1), "{ran}");
    assert_snapshot!(ran.stdout, @"
    DISAGREEMENT                   COUNT  FIXABLE  PK                                        SK                                THERE                                     SHOULD BE
    handle other than in Postgres  6      yes      MSG#5ae290ed-55d1-47a0-bc6d-fe2bc2700399  2025-12-31T23:58:00.000000+00:00  andrewbrown                               myandrewbrown
                                          yes      MSG#5ae290ed-55d1-47a0-bc6d-fe2bc2700399  2025-12-31T23:59:00.000000+00:00  bayko                                     mybayko
                                          yes      MSG#5ae290ed-55d1-47a0-bc6d-fe2bc2700399  2026-01-01T00:00:00.000000+00:00  andrewbrown                               myandrewbrown
    group with one row             1      yes      GRP#9c1f4a52-6d0e-4b7b-8a3f-1f6a0c2d7e01  2026-01-01T00:02:00.000000+00:00  a row of 9c1f4a52-6d0e-4b7b-8a3f-1f6a0c2d7e01 with 9c1f4a52-6d0e-4b7b-8a3f-1f6a0c2d7e02  a row of the other member too
    ");
    assert_snapshot!(world.redact(ran.error()), @"
    error: 7 disagreements between cruddur-tests@HOST/DATABASE and DynamoDB at ENDPOINT
      help: `cargo xtask verify --fix` settles 7 of them; with --dry-run it shows how
    ");
    let found = world.xtask("verify -o json").end().json();
    assert_eq!(found.as_array().unwrap().len(), 7);
    assert!(!ran.stderr.contains("db seed"), "no user is missing");
    let expected = json!({
        "kind": "handle other than in Postgres", "pk": format!("MSG#{GROUP}"), "sk": SECOND,
        "there": "bayko", "should": "mybayko", "fixable": true,
    });
    assert_eq!(found[1], expected);
    assert_eq!(world.endpoint().items(TABLE).len(), items.len() - 1);
    world.database.execute("delete from activities; delete from users where handle = 'mybayko'");
    world.xtask("verify").end().says(&["`cargo xtask db seed` brings the seed's users back"]);
}

#[test]
fn long_values_are_cut_on_a_terminal_only() {
    let world = World::with_short_conversation();
    let name = "x".repeat(300);
    world.database.execute(&format!("update users set display_name = '{name}' where handle = 'bayko'"));
    assert!(world.xtask("verify").end().stdout.contains(&name));
    #[cfg(target_os = "linux")]
    for (option, is_whole) in [("", false), ("--wide", true), ("--vertical", true)] {
        let run = world.xtask(&format!("verify {option}")).env("TERM", "xterm");
        let (_, shown) = super::output::typescript_in(200, run.into_command());
        assert_eq!(shown.contains(&name), is_whole, "{option}: {shown}");
    }
}

#[test]
fn fix_rewrites_names_and_rows_from_their_source_and_deletes_nothing() {
    let world = World::with_short_conversation();
    let items = world.endpoint().items(TABLE);
    let [row, others] = [ANDREW, BAYKO].map(|user| item(&items, &format!("GRP#{user}"), LAST));
    let mut message = item(&items, &format!("MSG#{GROUP}"), SECOND);
    message["more"] = json!({ "N": "7" });
    world.endpoint().put_items(TABLE, [message.clone()]);
    let right = world.endpoint().items(TABLE);
    let wrong: [(Vec<Value>, &[&Value]); 6] = [
        (vec![with(message, &[("user_handle", "b"), ("user_display_name", "B")])], &[]),
        (vec![with(row.clone(), &[("message", "x"), ("sk", SECOND)])], &[&row]),
        (vec![with(row.clone(), &[("sk", "2026-01-01T00:02:00Z"), ("user_handle", "b")])], &[&row]),
        (vec![with(row.clone(), &[("user_uuid", ZOE), ("user_display_name", "")])], &[]),
        (Vec::new(), &[&others]),
        (Vec::new(), &[&row, &others]),
    ];
    for (put, deleted) in wrong {
        deleted.iter().for_each(|item| world.delete(item));
        world.endpoint().put_items(TABLE, put);
        let before = world.endpoint().items(TABLE);
        let listed = world.xtask("verify --fix --dry-run").end();
        assert_eq!(listed.code, Some(1));
        assert!(listed.stdout.contains("yes"), "{listed}");
        listed.says(&["dry run: it would rewrite ", "nothing was changed"]);
        assert_eq!(world.endpoint().items(TABLE), before);
        let fixed = world.xtask("verify --fix").ok();
        assert_eq!(fixed.stdout, listed.stdout);
        assert_eq!(world.endpoint().items(TABLE), right, "{fixed}");
        agrees(&world.xtask("verify --fix").ok());
    }
    // Every message, and the other member's row, repeats the new name.
    world.database.execute("update users set handle = 'bay', display_name = 'Bay' where handle = 'bayko'");
    world.xtask("verify --fix").ok().says(&["3 items were rewritten"]);
    agrees(&world.xtask("verify").ok());
}

#[test]
fn fix_leaves_findings_without_a_source() {
    let world = World::with_short_conversation();
    let items = world.endpoint().items(TABLE);
    let message = item(&items, &format!("MSG#{GROUP}"), SECOND);
    let zoe = [("user_uuid", ZOE), ("user_handle", "zoekestrel"), ("user_display_name", "Zoë Kestrel")];
    // A row that names a user must not make that user a member.
    let row = with(item(&items, &format!("GRP#{ANDREW}"), LAST), &zoe);
    let stranger = with(message.clone(), &[("sk", BEFORE), ("message_uuid", UUID)]);
    world.endpoint().put_items(TABLE, [with(stranger, &zoe), row, with(message, &[("pk", "elsewhere")])]);
    let before = world.endpoint().items(TABLE);
    let ran = world.xtask("verify --fix -o jsonl").end();
    assert_eq!(ran.code, Some(1), "{ran}");
    assert!(ran.json_lines().iter().all(|line| line["fixable"] == false), "{ran}");
    ran.says(&["0 items were rewritten", "3 disagreements that no source settles"]);
    assert_eq!(world.endpoint().items(TABLE), before);
}

#[test]
fn production_is_read_and_not_fixed() {
    let mut world = Production::set_up();
    let writes = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&writes);
    let proxy = Proxy::start(world.endpoint(), move |operation, _| {
        let reads = ["Scan", "Query", "BatchGetItem", "DescribeTable"].contains(&operation);
        count.fetch_add(usize::from(!reads), Ordering::SeqCst);
        Ok(Fate::Passed)
    });
    world.set("PROD_DYNAMODB_ENDPOINT_URL", proxy.endpoint.url());
    agrees(&world.xtask("verify --prod").ok());
    world.database.execute("update users set handle = 'bay' where handle = 'bayko'");
    let ran = world.xtask("verify prod").end();
    assert_eq!(ran.code, Some(1), "{ran}");
    ran.says(&["`cargo xtask verify -o jsonl --prod`"]);
    world.xtask("verify --fix --prod").fails(2).says(&["--fix is for local databases"]);
    assert_eq!(writes.load(Ordering::SeqCst), 0);
}

#[test]
fn suspect_items_are_read_again() {
    let world = World::with_short_conversation();
    let items = world.endpoint().items(TABLE);
    let message = item(&items, &format!("MSG#{GROUP}"), SECOND);
    let row = item(&items, &format!("GRP#{ANDREW}"), LAST);
    world.delete(&row);
    world.endpoint().put_items(
        TABLE,
        [with(message.clone(), &[("user_handle", "b")]), with(row.clone(), &[("sk", SECOND)])],
    );
    // Simulates a scan that saw the table before a writer was done.
    let (endpoint, right) = (world.endpoint(), items.clone());
    let proxy = Proxy::start(endpoint, move |operation, _| {
        if operation == "BatchGetItem" {
            endpoint.put_items(TABLE, right.clone());
            let key = json!({ "pk": right[0]["pk"], "sk": { "S": SECOND } });
            endpoint.call("DeleteItem", json!({ "TableName": TABLE, "Key": key }));
        }
        Ok(Fate::Passed)
    });
    assert_eq!(items[0], row);
    agrees(&world.xtask("verify").env("AWS_ENDPOINT_URL_DYNAMODB", proxy.endpoint.url()).ok());
}

#[test]
fn keys_that_a_server_hands_back_are_asked_for_again() {
    let world = World::with_short_conversation();
    world.database.execute("update users set handle = 'bay' where handle = 'bayko'");
    let count = AtomicUsize::new(0);
    let proxy = Proxy::start(world.endpoint(), move |operation, body| {
        if operation != "BatchGetItem" || count.fetch_add(1, Ordering::SeqCst) > 0 {
            return Ok(Fate::Passed);
        }
        let request: Value = serde_json::from_str(body)?;
        let body = json!({ "Responses": {}, "UnprocessedKeys": request["RequestItems"] }).to_string();
        Ok(Fate::Answered(Answer { status: 200, body }))
    });
    let ran = world.xtask("verify -o jsonl").env("AWS_ENDPOINT_URL_DYNAMODB", proxy.endpoint.url()).end();
    assert_eq!(ran.json_lines().len(), 3, "{ran}");
}

#[test]
fn fix_writes_nothing_over_what_somebody_else_wrote_meanwhile() {
    let world = World::with_short_conversation();
    let items = world.endpoint().items(TABLE);
    let message = item(&items, &format!("MSG#{GROUP}"), SECOND);
    let row = item(&items, &format!("GRP#{ANDREW}"), LAST);
    let wrong = [with(message, &[("user_handle", "b")]), with(row, &[("message", "x")])];
    world.endpoint().put_items(TABLE, wrong.clone());
    let (endpoint, count) = (world.endpoint(), AtomicUsize::new(0));
    let proxy = Proxy::start(endpoint, move |operation, _| {
        if operation == "TransactWriteItems" {
            let theirs = format!("theirs, {}", count.fetch_add(1, Ordering::SeqCst));
            endpoint.put_items(TABLE, wrong.clone().map(|item| with(item, &[("message", &theirs)])));
        }
        Ok(Fate::Passed)
    });
    let ran = world.xtask("verify --fix").env("AWS_ENDPOINT_URL_DYNAMODB", proxy.endpoint.url()).end();
    assert_eq!(ran.code, Some(1), "{ran}");
    ran.says(&["another client wrote to some of them meanwhile: run the command again"]);
    let theirs =
        world.endpoint().items(TABLE).iter().filter(|item| text(item, "message") == "theirs, 1").count();
    assert_eq!(theirs, 2);
}

#[test]
fn read_units_are_held_to() {
    let world = World::set_up();
    let quick = world.xtask("verify").ok();
    // 138 items of about 40 KB take five units.
    let slow = world.xtask("verify --max-units 2").ok();
    assert_eq!(slow.stdout, quick.stdout);
    assert!(slow.took > Duration::from_secs(2), "{slow}");
    assert!(slow.took < Duration::from_secs(20), "{slow}");
    // Reading again is limited too.
    let items = world.endpoint().items(TABLE);
    let message = with(items[5].clone(), &[("user_handle", "x"), ("pk", &format!("MSG#{OTHER_GROUP}"))]);
    world.endpoint().put_items(TABLE, [message]);
    let found = |options: &str| {
        let ran = world.xtask(&format!("verify -o jsonl {options}")).end();
        ran.json_lines().len()
    };
    assert_eq!((found(""), found("--max-units 100")), (3, 3));
}

/// On a busy machine the servers may give up some writes.
#[test]
fn sixty_four_writers_leave_stores_that_agree() {
    let world = World::set_up();
    let port = free_port();
    let running = run_at(&world, port, "");
    let write = |writer: usize, number: usize| {
        let (from, to) =
            [("andrewbrown", "bayko"), ("bayko", "andrewbrown"), ("teapot", "amemiya")][writer % 3];
        let body = json!({ "message": format!("{number} of {writer}"), "handle": to }).to_string();
        let headers = format!(
            "X-Cruddur-User: {from}\r\nIdempotency-Key: {writer}-{number}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n",
            body.len()
        );
        ask(port, "POST", "/api/messages", &headers, &body)
    };
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..64)
            .map(|writer| scope.spawn(move || (0..3).for_each(|number| drop(write(writer, number)))))
            .collect();
        while writers.iter().any(|writer| !writer.is_finished()) {
            agrees(&world.xtask("verify").ok());
        }
    });
    agrees(&world.xtask("verify").ok());
    let items = world.endpoint().items(TABLE);
    let there = |prefix: &str| items.iter().filter(|item| text(item, "pk").starts_with(prefix)).count();
    assert!(there("KEY#") > 10 && there("MSG#") == there("KEY#") + 136);
    running.signal("TERM");
    running.end_within(Duration::from_secs(20));
}

#[test]
fn a_missing_schema_or_table_is_named() {
    let world = World::new();
    world.xtask("db create").ok();
    world.xtask("verify").fails(1).says(&["`cargo xtask prepare` sets both databases up"]);
    world.xtask("db setup").ok();
    world.xtask("verify").fails(1).says(&["`cargo xtask prepare` sets both databases up"]);
}
