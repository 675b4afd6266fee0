//! Notifications to a listener.

use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::time::Duration;

use backend_flask::messages::SEED_GROUP;
use serde_json::Value;

use crate::common::wait_for;
use crate::world::{App, ONE, STRANGER, TWO, World};

pub(crate) struct Listener(BufReader<TcpStream>);

impl Listener {
    #[track_caller]
    pub(crate) fn new(app: &App, handle: &str) -> Self {
        let (reader, head) = app.get("/api/events").from(handle).begin();
        assert_eq!(head.status, 200, "{head:?}");
        assert_eq!(head.header("content-type"), Some("text/event-stream"));
        Self(reader)
    }

    /// The data of the next event `message`.
    #[track_caller]
    pub(crate) fn next(&mut self) -> Value {
        loop {
            let mut line = String::new();
            assert_ne!(self.0.read_line(&mut line).unwrap(), 0, "the stream has ended");
            if let Some(data) = line.strip_prefix("data: ").filter(|data| data.trim() != "{}") {
                return serde_json::from_str(data).unwrap();
            }
        }
    }
}

/// Waits until this many servers listen for notifications.
pub(crate) fn wait_for_listeners(world: &World, count: usize) {
    let sql = "select datname::text from pg_stat_activity
        where datname = current_database() and state = 'idle' and query like '%listen cruddur_news%'";
    wait_for("listening servers", Duration::from_secs(10), || {
        (world.session().query(sql, &[]).unwrap().len() == count).then_some(())
    });
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
    assert_eq!(heard["message"], Value::Null, "the event has no text");
    // The stranger's first event is their own message.
    let own = world.app.write_to(STRANGER, TWO, "Hello").json();
    assert_eq!(stranger.next()["uuid"], own["uuid"]);
    assert_eq!(two.next()["uuid"], own["uuid"]);
}

#[test]
fn a_notified_user_can_read_the_message() {
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

#[test]
fn messages_of_another_server_are_heard() {
    let world = World::new();
    let another = world.another();
    wait_for_listeners(&world, 2);
    let mut two = Listener::new(&another, TWO);
    let sent = world.app.write(ONE, "From over there").json();
    assert_eq!(two.next()["uuid"], sent["uuid"]);
    // Each message is announced once: the next event is about the next message.
    let own = another.write(ONE, "From here").json();
    assert_eq!(two.next()["uuid"], own["uuid"]);
    let sent = world.app.write(ONE, "Again").json();
    assert_eq!(two.next()["uuid"], sent["uuid"]);
}

#[test]
fn one_user_cannot_take_all_places() {
    let world = World::new();
    let mut listeners: Vec<_> = (0..16).map(|_| Listener::new(&world.app, ONE)).collect();
    let (_, refused) = world.app.get("/api/events").from(ONE).begin();
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("1")));
    let mut two = Listener::new(&world.app, TWO);
    let sent = world.app.write(TWO, "Listen").json();
    assert_eq!(two.next()["uuid"], sent["uuid"]);
    // When a listener leaves, another one can take its place.
    listeners.pop();
    wait_for("place", Duration::from_secs(10), || {
        (world.app.get("/api/events").from(ONE).begin().1.status == 200).then_some(())
    });
}

/// Postgres does not pass on a notification of more than 8,000 bytes.
#[test]
fn a_handle_of_9000_letters_stops_no_news() {
    let world = World::new();
    let another = world.another();
    wait_for_listeners(&world, 2);
    let long = "x".repeat(9_000);
    let sql = format!("update public.users set handle = '{long}' where handle = '{ONE}'");
    world.session().batch_execute(&sql).unwrap();
    let (mut events, _) = another.get("/api/events").from(TWO).begin();
    assert_eq!(world.app.write(&long, "Hello").status, 201);
    let lines = std::iter::from_fn(|| {
        let mut line = String::new();
        (events.read_line(&mut line).unwrap() > 0).then_some(line)
    });
    let heard = lines.take_while(|line| !line.contains("event: missed")).take(10).count();
    assert!(heard < 10, "nothing was heard of");
}
