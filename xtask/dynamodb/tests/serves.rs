//! The program: it serves requests, keeps data, and ends when asked to.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use cruddur_testing::fixtures::machine::{self, rest};

/// A server. Dropping it kills it.
struct Server(Child);

impl Server {
    fn start(folder: &Path, port: u16) -> Self {
        Self::with(folder, port, &[])
    }

    fn with(folder: &Path, port: u16, options: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask-dynamodb"));
        command.arg("--folder").arg(folder).arg("--port").arg(port.to_string()).args(options);
        Self(command.spawn().unwrap())
    }

    fn stop(mut self) {
        let stopped = Command::new("kill").args(["-s", "TERM", &self.0.id().to_string()]).status().unwrap();
        assert!(stopped.success());
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Sends a request with a formal signature, and repeats it until it is answered. The server may still be starting,
/// and until it listens, another test that checks for a free port may hold this one for a moment.
fn ask(port: u16, operation: &str, body: &str) -> String {
    machine::wait_for("answer", Duration::from_secs(10), || try_ask(port, operation, body).ok())
}

fn try_ask(port: u16, operation: &str, body: &str) -> std::io::Result<String> {
    send(port, operation, "Host: 127.0.0.1\r\n", body)
}

fn send(port: u16, operation: &str, headers: &str, body: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    let authorization = "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/dynamodb/aws4_request, \
                         SignedHeaders=host;x-amz-date;x-amz-target, Signature=0";
    write!(
        stream,
        "POST / HTTP/1.1\r\n{headers}Connection: close\r\nX-Amz-Date: 20260101T000000Z\r\n\
         Content-Type: application/x-amz-json-1.0\r\nX-Amz-Target: DynamoDB_20120810.{operation}\r\n\
         Authorization: {authorization}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[test]
fn a_table_outlives_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let port = machine::free_port();
    let create = r#"{"TableName": "kept", "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}]}"#;
    let server = Server::start(folder.path(), port);
    let created = ask(port, "CreateTable", create);
    assert!(created.starts_with("HTTP/1.1 200"), "{created}");
    server.stop();
    let _again = Server::start(folder.path(), port);
    assert!(ask(port, "ListTables", "{}").ends_with(r#"{"TableNames":["kept"]}"#));
}

#[test]
fn a_taken_port_and_a_wrong_command_line_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let program = env!("CARGO_BIN_EXE_xtask-dynamodb");
    let run = |arguments: &[&str]| Command::new(program).args(arguments).output().unwrap();
    let folder = folder.path().to_str().unwrap();
    let taken = run(&["--folder", folder, "--port", &port]);
    assert!(!taken.status.success());
    assert!(String::from_utf8_lossy(&taken.stderr).contains("cannot listen on 127.0.0.1:"));
    for wrong in [
        &[][..],
        &["--folder", folder],
        &["--port", "1", "--folder", folder],
        &["--folder", folder, "--port", "x"],
        &["--folder", folder, "--port", "1", "--patience", "long"],
        &["--folder", folder, "--port", "1", "--patience"],
    ] {
        assert!(!run(wrong).status.success(), "{wrong:?}");
    }
}

#[test]
fn a_web_page_is_refused_and_logged() {
    let folder = tempfile::tempdir().unwrap();
    let port = machine::free_port();
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask-dynamodb"));
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    command.arg("--folder").arg(&data).arg("--port").arg(port.to_string());
    command.stderr(std::fs::File::create(folder.path().join("log")).unwrap());
    let server = Server(command.spawn().unwrap());
    assert!(ask(port, "ListTables", "{}").starts_with("HTTP/1.1 200"));
    for host in [format!("localhost:{port}"), format!("[::1]:{port}"), "LOCALHOST".to_owned()] {
        let answer = send(port, "ListTables", &format!("Host: {host}\r\n"), "{}").unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{host}: {answer}");
    }
    for headers in [
        "Host: 127.0.0.1\r\nOrigin: https://page.example\r\n",
        "Host: 127.0.0.1\r\nOrigin: null\r\n",
        "Host: page.example\r\n",
        "Host: 127.0.0.1.page.example:80\r\n",
        "Host: localhost@page.example\r\n",
        "Host: localhost\r\nHost: page.example\r\n",
    ] {
        let answer = send(port, "ListTables", headers, "{}").unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 403") || answer.starts_with("HTTP/1.1 400"),
            "{headers}: {answer}"
        );
        assert!(!answer.contains("access-control") && !answer.contains("TableNames"), "{headers}: {answer}");
    }
    // The preflight request that a browser sends first.
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let preflight = "OPTIONS / HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: http://a\r\nConnection: close\r\n\r\n";
    stream.write_all(preflight.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 403") && !answer.contains("access-control"), "{answer}");

    let failed = ask(port, "DescribeTable", r#"{"TableName": "missing"}"#);
    assert!(failed.starts_with("HTTP/1.1 400") && failed.contains("ResourceNotFoundException"), "{failed}");
    server.stop();
    let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
    assert!(log.contains("DynamoDB_20120810.ListTables: 403: ") && log.contains("Origin header"), "{log}");
    assert!(log.contains(" serving ") && log.contains(" asked to stop\n"), "{log}");
    // Client errors are not logged.
    assert!(!log.contains("DescribeTable"), "{log}");
}

/// A connection to a server that has been asked once.
fn connect(port: u16) -> TcpStream {
    ask(port, "ListTables", "{}");
    machine::connect(("127.0.0.1", port))
}

#[test]
fn a_request_that_comes_a_byte_at_a_time_is_ended() {
    let folder = tempfile::tempdir().unwrap();
    let port = machine::free_port();
    let _server = Server::with(folder.path(), port, &["--patience", "1"]);
    let head = "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n";
    for (begin, answer) in [
        ("POST / HTTP/1.1\r\nX-Slow: ".to_owned(), ""),
        (format!("{head}Content-Length: 100000\r\n\r\n"), "HTTP/1.1 408 "),
    ] {
        let mut stream = connect(port);
        stream.write_all(begin.as_bytes()).unwrap();
        let mut trickle = stream.try_clone().unwrap();
        let trickling = std::thread::spawn(move || {
            // Each pause is shorter than the bound.
            while trickle.write_all(b"x").is_ok() {
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        let told = rest(&mut stream);
        assert!(told.starts_with(answer) && told.is_empty() == answer.is_empty(), "{begin}: {told}");
        drop(stream);
        trickling.join().unwrap();
    }
}

/// Unread answers fill the system's buffers, then the server's.
#[test]
fn a_client_that_never_reads_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let port = machine::free_port();
    let _server = Server::with(folder.path(), port, &["--patience", "1"]);
    let mut stream = connect(port);
    stream.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
    let requests = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".repeat(1_000);
    let started = Instant::now();
    let error = loop {
        if let Err(error) = stream.write_all(requests.as_bytes()) {
            break error;
        }
        assert!(started.elapsed() < Duration::from_secs(60), "the server takes any number of requests");
    };
    let closed = [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset];
    assert!(closed.contains(&error.kind()), "still open after {:?}: {error}", started.elapsed());
}

#[test]
fn a_server_that_is_told_to_stop_does_not_wait_for_a_slow_client() {
    let folder = tempfile::tempdir().unwrap();
    let port = machine::free_port();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let server = Server::start(&data, port);
    let mut stream = connect(port);
    let head = "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    // The server has begun with the request when it asks for the body.
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 100");
    stream.write_all(b"{").unwrap();
    let started = Instant::now();
    let pid = server.0.id();
    let stop = std::thread::spawn(|| server.stop());
    // It holds the lock but says that the port is no longer its own.
    let lock = std::fs::File::open(folder.path().join("data.lock")).unwrap();
    machine::wait_for("free port", Duration::from_secs(5), || {
        std::net::TcpListener::bind(("127.0.0.1", port)).is_ok().then_some(())
    });
    assert!(lock.try_lock_shared().is_err());
    let line = std::fs::read_to_string(folder.path().join("data.lock")).unwrap();
    assert!(line.starts_with(&format!("{pid} 0 ")), "{line}");
    stop.join().unwrap();
    assert!(started.elapsed() < Duration::from_secs(14), "{:?}", started.elapsed());
}

#[test]
fn its_folder_is_locked_as_long_as_it_runs() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let lock = folder.path().join("data.lock");
    let is_free = || std::fs::File::open(&lock).unwrap().try_lock_shared().is_ok();
    let port = machine::free_port();
    let server = Server::start(&data, port);
    ask(port, "ListTables", "{}");
    assert!(!is_free());
    let line = std::fs::read_to_string(&lock).unwrap();
    assert!(line.starts_with(&format!("{} {port} ", server.0.id())), "{line}");

    let second = Command::new(env!("CARGO_BIN_EXE_xtask-dynamodb"))
        .args(["--folder", data.to_str().unwrap(), "--port", &machine::free_port().to_string()])
        .output();
    let said = String::from_utf8(second.unwrap().stderr).unwrap();
    assert!(said.contains("another server has the data in"), "{said}");
    server.stop();
    assert!(is_free());
    assert_eq!(std::fs::read_to_string(&lock).unwrap(), "");
    // The server ends when its data or its lock file is removed.
    for removed in ["data", "data.lock"] {
        let mut server = Server::start(&data, port);
        ask(port, "ListTables", "{}");
        let path = folder.path().join(removed);
        if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) }.unwrap();
        assert!(server.0.wait().unwrap().success());
        std::fs::create_dir_all(&data).unwrap();
    }
}
