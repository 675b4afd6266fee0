//! The program itself: it serves, keeps what it was given, and ends when it is asked to.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[allow(dead_code, reason = "each test program uses its own part of it")]
#[path = "../../tests/common/machine.rs"]
mod machine;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

/// A server that is killed when it is dropped.
struct Server(Child);

impl Server {
    fn start(folder: &Path, port: u16) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask-dynamodb"));
        Self(command.arg("--folder").arg(folder).arg("--port").arg(port.to_string()).spawn().unwrap())
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

/// Sends one request, signed in form, until it is answered: a server may still be starting. Until then a program that
/// another test starts at this moment may hold the listener by which the port was found free, and drop it.
fn ask(port: u16, operation: &str, body: &str) -> String {
    machine::wait_for("answer", Duration::from_secs(10), || try_ask(port, operation, body).ok())
}

fn try_ask(port: u16, operation: &str, body: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    let authorization = "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/dynamodb/aws4_request, \
                         SignedHeaders=host;x-amz-date;x-amz-target, Signature=0";
    write!(
        stream,
        "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nX-Amz-Date: 20260101T000000Z\r\n\
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
    ] {
        assert!(!run(wrong).status.success(), "{wrong:?}");
    }
}
