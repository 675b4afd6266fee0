//! Slow and idle clients, which hold connections that others need.

use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use cruddur_testing::fixtures::machine::{connect, rest};
use socket2::{Domain, Socket, Type};

use crate::common::wait_for;
use crate::world::{App, ONE, TWO, World};

/// A server on the same databases that closes a connection after `idle` seconds without a request.
fn start(world: &World, idle: &str) -> App {
    let mut settings = world.settings();
    settings.push(("BACKEND_IDLE_TIMEOUT", idle.to_owned()));
    App::start(&settings)
}

#[test]
fn a_head_that_comes_a_byte_at_a_time_is_waited_for_within_the_bound() {
    let world = World::new();
    let app = start(&world, "1");
    let mut stream = connect(app.0);
    let started = Instant::now();
    let mut trickle = stream.try_clone().unwrap();
    let trickling = std::thread::spawn(move || {
        let head = "GET /api/health-check HTTP/1.1\r\nX-Slow: ".bytes().chain(std::iter::repeat(b'x'));
        // Send until the server closes. Each pause is shorter than the bound.
        head.map_while(|byte| {
            std::thread::sleep(Duration::from_millis(50));
            trickle.write_all(&[byte]).ok()
        })
        .count()
    });
    assert_eq!(rest(&mut stream), "");
    let took = started.elapsed().as_secs_f64();
    assert!((0.9..10.0).contains(&took), "{took} s");
    let sent = trickling.join().unwrap();
    assert!(sent > 2, "{sent} bytes");
}

#[test]
fn a_connection_is_kept_for_the_next_request_and_closed_when_none_comes() {
    let world = World::new();
    let app = start(&world, "2");
    let mut stream = connect(app.0);
    let request = format!("GET /api/users/@{ONE}/short HTTP/1.1\r\nHost: {}\r\n\r\n", app.0);
    let mut answer = [0; 4096];
    for _ in 0..2 {
        stream.write_all(request.as_bytes()).unwrap();
        let length = stream.read(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer[..length]);
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with('}'), "{answer}");
    }
    let started = Instant::now();
    assert_eq!(rest(&mut stream), "");
    let took = started.elapsed().as_secs_f64();
    assert!((1.0..10.0).contains(&took), "{took} s");
}

#[test]
fn a_body_that_does_not_come_is_refused() {
    let world = World::new();
    let app = start(&world, "60");
    let requests = [("/api/messages", "application/json"), ("/user", "application/x-www-form-urlencoded")];
    let streams = requests.map(|(path, kind)| {
        let mut stream = connect(app.0);
        let head = format!("POST {path} HTTP/1.1\r\nHost: {}\r\nX-Cruddur-User: {ONE}\r\n", app.0);
        write!(stream, "{head}Content-Type: {kind}\r\nContent-Length: 100\r\n\r\n{{").unwrap();
        stream
    });
    let started = Instant::now();
    for mut stream in streams {
        let answer = rest(&mut stream);
        assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("\"field\":\"body\""), "{answer}");
    }
    let took = started.elapsed().as_secs_f64();
    assert!((9.0..20.0).contains(&took), "{took} s");
}

/// A listener is not idle, because its answer continues.
#[test]
fn a_listener_is_not_idle() {
    let world = World::new();
    let app = start(&world, "1");
    let mut listener = crate::live::Listener::new(&app, ONE);
    // Idle connections have been closed by this time.
    for _ in 0..2 {
        assert_eq!(rest(&mut connect(app.0)), "");
    }
    let sent = app.write(ONE, "Still there?").json();
    assert_eq!(listener.next()["uuid"], sent["uuid"]);
}

/// An unread answer fills the system's buffers, then the server's.
#[test]
fn a_client_that_never_reads_is_closed() {
    let world = World::new();
    let app = start(&world, "1");
    let stream = connect(app.0);
    let mut writing = stream.try_clone().unwrap();
    writing.set_write_timeout(Some(Duration::from_secs(10))).unwrap();
    let request = format!("GET /page.js HTTP/1.1\r\nHost: {}\r\n\r\n", app.0);
    let started = Instant::now();
    let error = loop {
        if let Err(error) = writing.write_all(request.as_bytes()) {
            break error;
        }
        assert!(started.elapsed() < Duration::from_secs(30), "the server takes any number of requests");
    };
    let closed = [std::io::ErrorKind::BrokenPipe, std::io::ErrorKind::ConnectionReset];
    assert!(closed.contains(&error.kind()), "still open after {:?}: {error}", started.elapsed());
}

/// Listeners that never read would take all of a user's places.
#[test]
fn a_listener_that_never_reads_loses_its_place() {
    let world = World::new();
    let app = start(&world, "1");
    crate::live::wait_for_listeners(&world, 2);
    let status = || app.get("/api/events").from(TWO).begin().1.status;
    let request = format!("GET /api/events HTTP/1.1\r\nHost: {}\r\nX-Cruddur-User: {TWO}\r\n\r\n", app.0);
    let _places: Vec<_> = (0..16)
        .map(|_| {
            let mut socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            // Otherwise the system takes megabytes for the client.
            socket.set_recv_buffer_size(4096).unwrap();
            socket.connect(&app.0.into()).unwrap();
            socket.write_all(request.as_bytes()).unwrap();
            let mut begin = [0; 13];
            socket.read_exact(&mut begin).unwrap();
            assert_eq!(&begin, b"HTTP/1.1 200 ");
            socket
        })
        .collect();
    assert_eq!(status(), 429);
    // The longest possible notifications of another server.
    let news = format!(
        "select pg_notify('cruddur_news', json_build_object('server', gen_random_uuid(), 'written', \
         json_build_object('members', array[uuid, uuid], 'message_group_uuid', uuid, 'uuid', uuid, \
         'handle', repeat('x', 7000), 'created_at', number::text))::text) \
         from users, generate_series(1, 10) as number where handle = '{TWO}'"
    );
    let mut session = world.session();
    wait_for("place", Duration::from_secs(60), || {
        session.execute(&news, &[]).unwrap();
        (status() == 200).then_some(())
    });
}
