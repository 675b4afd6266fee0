//! News while one listens.

use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;

use backend_flask::messages::SEED_GROUP;
use serde_json::Value;

use crate::world::{App, ONE, STRANGER, TWO, World};

/// Somebody who listens.
struct Listener(BufReader<TcpStream>);

impl Listener {
    #[track_caller]
    fn new(app: &App, handle: &str) -> Self {
        let (reader, head) = app.get("/api/events").from(handle).begin();
        assert_eq!(head.status, 200, "{head:?}");
        assert_eq!(head.header("content-type"), Some("text/event-stream"));
        Self(reader)
    }

    /// The next event's data.
    #[track_caller]
    fn next(&mut self) -> Value {
        loop {
            let mut line = String::new();
            assert_ne!(self.0.read_line(&mut line).unwrap(), 0, "the stream has ended");
            if let Some(data) = line.strip_prefix("data: ") {
                return serde_json::from_str(data).unwrap();
            }
        }
    }
}

#[test]
fn members_hear_of_a_message_and_nobody_else_does() {
    let world = World::new();
    let mut two = Listener::new(&world.app, TWO);
    let mut stranger = Listener::new(&world.app, STRANGER);
    let sent = world.app.write(ONE, "Listen").json();
    let heard = two.next();
    assert_eq!((&heard["uuid"], &heard["handle"]), (&sent["uuid"], &Value::from(ONE)));
    assert_eq!(heard["message_group_uuid"], SEED_GROUP.to_string());
    assert_eq!(heard["message"], Value::Null, "the text is read by who may read it");
    // The first thing that the stranger hears is of their own.
    let own = world.app.write_to(STRANGER, TWO, "Hello").json();
    assert_eq!(stranger.next()["uuid"], own["uuid"]);
    assert_eq!(two.next()["uuid"], own["uuid"]);
}

#[test]
fn who_hears_of_a_message_can_read_it() {
    let world = World::new();
    let mut two = Listener::new(&world.app, TWO);
    for number in 0..20 {
        world.app.write(ONE, &format!("Number {number}"));
        let heard = two.next();
        let path = format!("/api/messages/{SEED_GROUP}?limit=1");
        let read = world.app.get(&path).from(TWO).send().ok();
        assert_eq!(read[0]["uuid"], heard["uuid"]);
    }
}
