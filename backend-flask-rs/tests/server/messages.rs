//! Reading a conversation, and refusals of new messages.

use backend_flask::messages::SEED_GROUP;
use serde_json::{Value, json};

use crate::world::{ONE, TWO, World};

fn path() -> String {
    format!("/api/messages/{SEED_GROUP}")
}

fn times(messages: &[Value]) -> Vec<&str> {
    messages.iter().map(|message| message["created_at"].as_str().unwrap()).collect()
}

#[test]
fn the_newest_come_first_and_each_page_in_order() {
    let world = World::new();
    let newest = world.app.get(&path()).from(ONE).send();
    let newest = newest.ok();
    let newest = newest.as_array().unwrap();
    assert_eq!(newest.len(), 20);
    assert!(times(newest).is_sorted());
    let fields: Vec<_> = newest[0].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields, ["created_at", "display_name", "handle", "message", "message_group_uuid", "uuid"]);
}

#[test]
fn pages_lead_through_the_whole_conversation() {
    let world = World::new();
    let mut all: Vec<Value> = Vec::new();
    let mut next = format!("{}?limit=50", path());
    loop {
        let answer = world.app.get(&next).from(TWO).send();
        let page = answer.ok();
        let page = page.as_array().unwrap();
        all.splice(0..0, page.iter().cloned());
        let Some(link) = answer.header("link") else { break };
        assert_eq!(page.len(), 50);
        assert!(link.ends_with("; rel=\"next\""), "{link}");
        next = link.trim_start_matches('<').split_once('>').unwrap().0.to_owned();
    }
    assert_eq!(all.len(), world.items("MSG#").len());
    let times = times(&all);
    assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "strictly rising");
}

#[test]
fn older_times_exclude_the_time_itself() {
    let world = World::new();
    let all = world.app.get(&format!("{}?limit=3", path())).from(ONE).send().ok();
    let last = all[2]["created_at"].as_str().unwrap();
    for before in [last.to_owned(), last.replace('+', "%2B"), last.replace("+00:00", "Z")] {
        let older = world.app.get(&format!("{}?limit=2&before={before}", path())).from(ONE).send().ok();
        assert_eq!(older.as_array().unwrap()[..], all.as_array().unwrap()[..2], "{before}");
    }
}

#[test]
fn a_query_that_makes_no_sense_is_refused_by_field() {
    let world = World::new();
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=many", "limit"),
        ("before=yesterday", "before"),
        ("before=", "before"),
    ] {
        world.app.get(&format!("{}?{query}", path())).from(ONE).send().refuses(400, field);
    }
    world.app.get("/api/messages/everything").from(ONE).send().refuses(400, "message_group_uuid");
}

#[test]
fn a_message_comes_back_as_it_was_sent() {
    let world = World::new();
    let text = "<b>\"雨宮\"</b> & \u{1F426}\n\u{202E}second line";
    let answer = world.app.write(ONE, text);
    assert_eq!(answer.status, 201, "{answer:?}");
    let sent = answer.json();
    assert_eq!((&sent["message"], &sent["handle"]), (&json!(text), &json!(ONE)));
    assert_eq!(sent["message_group_uuid"], SEED_GROUP.to_string());
    let read = world.app.get(&format!("{}?limit=1", path())).from(TWO).send().ok();
    assert_eq!(read, json!([sent]));
}

#[test]
fn a_message_has_up_to_1024_characters() {
    let world = World::new();
    assert_eq!(world.app.write(ONE, &"🐦".repeat(1024)).status, 201);
    world.app.write(ONE, &"🐦".repeat(1025)).refuses(422, "message");
    for blank in ["", " ", "\n\t "] {
        world.app.write(ONE, blank).refuses(422, "message");
    }
}

#[test]
fn errors_about_a_new_message_name_the_field() {
    let world = World::new();
    let group = SEED_GROUP.to_string();
    for (body, status, field) in [
        (json!({ "message_group_uuid": group }), 422, "message"),
        (json!({ "message": 5, "message_group_uuid": group }), 422, "message"),
        (json!({ "message": "x" }), 422, "message_group_uuid"),
        (json!({ "message": "x", "message_group_uuid": "5ae290ed" }), 422, "message_group_uuid"),
        (json!({ "message": "x", "message_group_uuid": group, "handle": TWO }), 422, "handle"),
        (json!({ "message": "x", "handle": "nobody" }), 404, "handle"),
        (json!({ "message": "x", "handle": ONE }), 422, "handle"),
        (json!({ "message": "x", "handle": [TWO] }), 422, "handle"),
        (json!(["x"]), 400, "body"),
    ] {
        world.app.post("/api/messages").from(ONE).json(&body).send().refuses(status, field);
    }
    let post = || world.app.post("/api/messages").from(ONE);
    post().body("application/json", "{\"message\": ").send().refuses(400, "body");
    post().body("text/plain", "{}").send().refuses(415, "content-type");
    post().body("application/json", &format!("\"{}\"", "x".repeat(40_000))).send().refuses(413, "body");
    assert_eq!(world.items("").len(), 138, "nothing was written");
}

#[test]
fn errors_about_a_request_are_in_plain_words() {
    let world = World::new();
    let get = |path: &str| world.app.get(path).from(ONE).send();
    let post = |body: &str| world.app.post("/api/messages").from(ONE).body("application/json", body).send();
    let form = |path: &str, body: &str| {
        world.app.post(path).from(ONE).body("application/x-www-form-urlencoded", body).send()
    };
    for (answer, status, error) in [
        (post("{\"message\": "), 400, "is not valid JSON at line 1, column 12"),
        (post("[]"), 400, "is not a JSON object"),
        (post(&"x".repeat(40_000)), 413, "is larger than 32 KiB"),
        (get("/api/nothing"), 404, "there is nothing here"),
        (get("/api/messages/%ff"), 400, "the path or the query has the wrong form"),
        (get("/api/message_groups?limit=1&limit=2"), 400, "has a parameter twice"),
        (get("/api/messages"), 405, "this path does not take this method"),
        (form("/user", "x=1"), 422, "a field of the body is missing or has the wrong form"),
    ] {
        assert_eq!((answer.status, answer.json()["error"].as_str()), (status, Some(error)), "{answer:?}");
    }
    assert_eq!(get("/api/messages").header("allow"), Some("POST"));
}

#[test]
fn nothing_lies_outside_all_times() {
    let world = World::new();
    for around in ["after=9999-12-31T23:59:59.999999Z", "before=0000-01-01T00:00:00Z"] {
        let part = world.app.get(&format!("/parts/messages/{SEED_GROUP}?{around}")).from(ONE).send();
        assert_eq!((part.status, part.body.len()), (200, 0), "{around}");
    }
    let first = "before=0000-01-01T00:00:00Z";
    for path in [path(), "/api/message_groups".to_owned()] {
        assert_eq!(world.app.get(&format!("{path}?{first}")).from(ONE).send().ok(), json!([]));
    }
}
