//! A Docker daemon that is not what it should be.

use std::io::{BufReader, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use crate::QUICK;
use crate::common::Workspace;
use crate::common::dynamodb::Head;

/// What the daemon does once it has said which version it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Then {
    /// It is gone, and its socket with it.
    Vanishes,
    /// It answers no more.
    IsSilent,
    /// It answers something else, and did so before.
    AnswersGarbage,
    /// It has an error of its own.
    Fails,
}

/// Starts one at this socket.
pub(crate) fn start(socket: &Path, then: Then) {
    let listener = UnixListener::bind(socket).unwrap();
    let socket = socket.to_owned();
    std::thread::spawn(move || {
        for (already, stream) in listener.incoming().flatten().enumerate() {
            if then == Then::Vanishes && already > 0 {
                _ = std::fs::remove_file(&socket);
                return;
            }
            std::thread::spawn(move || _ = serve(&stream, then));
        }
    });
}

fn serve(stream: &UnixStream, then: Then) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut out = stream;
    loop {
        let head = Head::read(&mut reader)?;
        let mut body = Vec::new();
        (&mut reader).take(head.length.unwrap_or_default()).read_to_end(&mut body)?;
        let (status, answer) = match (head.first_line.contains("version"), then) {
            (true, _) => (200, r#"{"ApiVersion":"1.41","MinAPIVersion":"1.12","Version":"20.10"}"#),
            (_, Then::Vanishes | Then::IsSilent) => {
                // Until the other side gives it up.
                return reader.read_to_end(&mut body).map(drop);
            }
            (_, Then::AnswersGarbage) => (200, "<html>Please log in</html>"),
            (_, Then::Fails) => (500, r#"{"message":"the disk of the daemon is on fire"}"#),
        };
        write!(
            out,
            "HTTP/1.1 {status} .\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{answer}",
            answer.len()
        )?;
    }
}

/// A workspace on the Docker engine whose daemon has this socket.
pub(crate) fn workspace() -> (Workspace, PathBuf) {
    let workspace = Workspace::new().with("CRUDDUR_ENGINE", "docker");
    let socket = workspace.path("docker.sock");
    (workspace.with("DOCKER_HOST", format!("unix://{}", socket.display())), socket)
}

const COMMANDS: [&str; 5] = ["ddb-setup", "up", "down", "status", "logs"];

fn all_fail(then: Then, says: &[&str]) {
    for line in COMMANDS {
        let (workspace, socket) = workspace();
        start(&socket, then);
        workspace.xtask(line).fails(1).within(QUICK).says(says);
    }
}

#[test]
fn a_docker_daemon_that_vanishes_between_two_calls() {
    all_fail(Then::Vanishes, &["cannot list containers", "help: the Docker daemon answers no more"]);
}

#[test]
fn a_docker_daemon_that_answers_garbage() {
    all_fail(Then::AnswersGarbage, &["cannot list containers"]);
}

#[test]
fn a_docker_daemon_that_fails() {
    all_fail(Then::Fails, &["cannot list containers", "the disk of the daemon is on fire"]);
}
