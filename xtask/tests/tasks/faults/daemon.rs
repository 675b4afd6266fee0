//! Faulty Docker daemons.

use std::io::{BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use cruddur_testing::fixtures::certificates::{Authority, Identity};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use super::QUICK;
use crate::common::dynamodb::Head;
use crate::common::run::Ran;
use crate::common::{PASSWORD, Workspace};

/// The daemon's behaviour after it has answered a ping.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Then {
    /// It and its socket vanish.
    Vanishes,
    /// It does not answer.
    IsSilent,
    /// It answers garbage, even to the ping.
    AnswersGarbage,
    /// It answers with an error.
    Fails,
    /// It has no containers and no images, and cannot pull.
    HasNothing,
}

pub(crate) fn start(socket: &Path, then: Then) {
    drop(start_recorded(socket, then));
}

/// Like [`start`]; returns the credentials of each pull.
fn start_recorded(socket: &Path, then: Then) -> Receiver<String> {
    let (sender, receiver) = channel();
    let listener = UnixListener::bind(socket).unwrap();
    let socket = socket.to_owned();
    std::thread::spawn(move || {
        for (already, stream) in listener.incoming().flatten().enumerate() {
            if then == Then::Vanishes && already > 0 {
                _ = std::fs::remove_file(&socket);
                return;
            }
            let sender = sender.clone();
            std::thread::spawn(move || _ = serve(stream, then, &sender));
        }
    });
    receiver
}

fn serve(stream: impl Read + Write, then: Then, pulls: &Sender<String>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let head = Head::read(&mut reader)?;
        let mut body = Vec::new();
        (&mut reader).take(head.length.unwrap_or_default()).read_to_end(&mut body)?;
        let (status, answer) = match (head.first_line.contains("/_ping"), then) {
            // Older daemons refuse a request that names a newer version of the API.
            _ if head.first_line.contains(" /v1.") => (400, r#"{"message":"client version is too new"}"#),
            (true, _) => (200, "OK"),
            (_, Then::Vanishes | Then::IsSilent) => {
                // Wait until the client gives up.
                return reader.read_to_end(&mut body).map(drop);
            }
            (_, Then::AnswersGarbage) => (200, "<html>Please log in</html>"),
            (_, Then::HasNothing) if head.first_line.contains("/images/create") => {
                _ = pulls.send(head.credentials);
                (200, r#"{"errorDetail":{"message":"pull access denied"},"error":"pull access denied"}"#)
            }
            (_, Then::HasNothing) if head.first_line.contains("/containers/json") => (200, "[]"),
            (_, Then::HasNothing) => (404, r#"{"message":"no such thing"}"#),
            (_, Then::Fails) => (500, r#"{"message":"the disk of the daemon is on fire"}"#),
        };
        write!(
            reader.get_mut(),
            "HTTP/1.1 {status} .\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{answer}",
            answer.len()
        )?;
    }
}

/// A workspace on the Docker engine, and its daemon's socket.
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
        let failed = workspace.xtask(line).fails(1);
        failed.within(QUICK).says(says);
        assert!(!failed.stderr.contains("hyper"), "a part of the HTTP client is no cause: {failed}");
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

/// Like [`workspace`], with this config.json for the docker CLI.
fn workspace_with(config: &str) -> (Workspace, PathBuf) {
    let (workspace, socket) = workspace();
    std::fs::create_dir(workspace.path("home/.docker")).unwrap();
    workspace.write("home/.docker/config.json", config);
    (workspace, socket)
}

/// The SHA-256 of the name `mine`, which `docker context create mine` uses as the folder's name.
const MINE: &str = "3fd30542fe3f61b14bd4a4b2dc0b6fb30fa6f63ebce52dd1778aaa8c4dc02cff";

fn make_context(workspace: &Workspace, host: &str) {
    let folder = format!("home/.docker/contexts/meta/{MINE}");
    std::fs::create_dir_all(workspace.path(&folder)).unwrap();
    let metadata = json!({ "Name": "mine", "Endpoints": { "docker": { "Host": host } } });
    workspace.write(&format!("{folder}/meta.json"), &metadata.to_string());
}

#[test]
fn a_docker_context_beside_others_that_are_broken() {
    let (workspace, socket) = workspace_with(r#"{"currentContext": "mine"}"#);
    start(&socket, Then::Fails);
    make_context(&workspace, &format!("unix://{}", socket.display()));
    std::fs::create_dir_all(workspace.path("home/.docker/contexts/meta/broken")).unwrap();
    workspace.write("home/.docker/contexts/meta/broken/meta.json", "{");
    workspace.write("home/.docker/contexts/meta/.DS_Store", "");
    let run = || workspace.xtask("up").without("DOCKER_HOST");
    run().fails(1).within(QUICK).says(&["the disk of the daemon is on fire"]);
    // A broken context is ignored unless it is the current one, which must exist.
    workspace.write("home/.docker/config.json", r#"{"currentContext": "broken"}"#);
    run().env("DOCKER_CONTEXT", "mine").fails(1).says(&["the disk of the daemon is on fire"]);
    for engine in ["docker", "auto"] {
        let said = ["docker context `broken` is not defined", "docker context use", "--engine embedded"];
        run().env("CRUDDUR_ENGINE", engine).fails(2).says(&said);
        workspace.xtask("status").without("DOCKER_HOST").env("CRUDDUR_ENGINE", engine).fails(2).says(&said);
    }
    workspace.write(&format!("home/.docker/contexts/meta/{MINE}/meta.json"), "{");
    run().env("DOCKER_CONTEXT", "mine").fails(2).says(&["docker context `mine` cannot be read"]);
    assert!(!workspace.path(".cruddur/postgres").exists(), "nothing was started elsewhere");
}

#[test]
fn a_docker_that_was_used_last_and_fails_now() {
    for (then, says) in [(Then::HasNothing, "pull access denied"), (Then::Fails, "on fire")] {
        for state in [r#"{"engine":"docker"}"#, r#"{"ports":{"docker":{}}}"#] {
            let (workspace, socket) = workspace();
            start(&socket, then);
            std::fs::create_dir(workspace.path(".cruddur")).unwrap();
            workspace.write(".cruddur/state.json", state);
            let up = || workspace.xtask("up").env("CRUDDUR_ENGINE", "auto");
            let said = ["engine docker was used last, and cannot be used now", says, "`--engine embedded`"];
            up().fails(3).within(QUICK).says(&said);
            up().env("DOCKER_HOST", "unix:///nonexistent").fails(3).says(&said[..1]);
            let auto = |line: &str| workspace.xtask(line).env("CRUDDUR_ENGINE", "auto");
            let missing = |line: &str| auto(line).env("DOCKER_HOST", "unix:///nonexistent");
            for line in ["status", "ddb scan"] {
                missing(line).fails(3).says(&["unix:///nonexistent (DOCKER_HOST): there is no such socket"]);
            }
            let doctor = missing("doctor -o jsonl").end();
            let verdicts: Vec<_> = doctor.stdout.lines().filter(|line| line.contains("\"BAD\"")).collect();
            assert!(verdicts[0].contains("there is no such socket"), "{doctor}");
            assert!(verdicts[1].contains("docker cannot be used"), "{doctor}");
            assert!(!workspace.path(".cruddur/postgres").exists(), "nothing was started elsewhere");
        }
    }
}

#[test]
fn a_docker_that_is_gone_before_a_killed_down_is_finished() {
    let (workspace, _) = workspace();
    std::fs::create_dir(workspace.path(".cruddur")).unwrap();
    workspace.write(".cruddur/state.json", r#"{"engine":"embedded","stopping":"docker"}"#);
    let up = workspace.xtask("up").env("CRUDDUR_ENGINE", "auto").env("DOCKER_HOST", "unix:///nonexistent");
    up.fails(3).says(&["engine docker: a `down` was interrupted", "there is no such socket"]);
    let state = std::fs::read_to_string(workspace.path(".cruddur/state.json")).unwrap();
    assert!(state.contains("\"stopping\": null"), "only the first command fails: {state}");
}

/// Starts a daemon over TLS that accepts clients with this authority's certificates. Returns its port.
fn start_across_tls(authority: &Authority) -> u16 {
    let certificate = |text: &str| CertificateDer::from(pem::parse(text).unwrap().into_contents());
    let mut roots = RootCertStore::empty();
    roots.add(certificate(&authority.certificate)).unwrap();
    let Identity { certificate: own, key } = authority.server(&["127.0.0.1"]);
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(pem::parse(key).unwrap().into_contents()));
    let config = ServerConfig::builder()
        .with_client_cert_verifier(WebPkiClientVerifier::builder(roots.into()).build().unwrap())
        .with_single_cert(vec![certificate(&own)], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let connection = ServerConnection::new(config.clone()).unwrap();
            let stream = StreamOwned::new(connection, stream);
            std::thread::spawn(move || serve(stream, Then::Fails, &channel().0));
        }
    });
    port
}

#[test]
fn a_docker_daemon_across_tls() {
    let (workspace, _) = workspace_with("{}");
    let authority = Authority::new("daemons");
    let host = format!("tcp://127.0.0.1:{}", start_across_tls(&authority));
    make_context(&workspace, &host);
    let folder = format!("home/.docker/contexts/tls/{MINE}/docker");
    std::fs::create_dir_all(workspace.path(&folder)).unwrap();
    let client = authority.client("me");
    workspace.write(&format!("{folder}/cert.pem"), &client.certificate);
    workspace.write(&format!("{folder}/key.pem"), &client.key);
    workspace.write(&format!("{folder}/ca.pem"), &authority.certificate);
    let by_context =
        |code| workspace.xtask("up").without("DOCKER_HOST").env("DOCKER_CONTEXT", "mine").fails(code);
    let by_host = |code, folder: &str| {
        let run = workspace.xtask("up").env("DOCKER_HOST", &host).env("DOCKER_TLS_VERIFY", "1");
        run.env("DOCKER_CERT_PATH", workspace.path(folder)).fails(code)
    };
    let answered = ["the disk of the daemon is on fire"];
    by_context(1).within(QUICK).says(&answered);
    by_host(1, &folder).within(QUICK).says(&answered);
    by_host(3, "home").says(&["home/ca.pem"]);
    workspace.write(&format!("{folder}/ca.pem"), &Authority::new("others").certificate);
    by_context(3).says(&["docker context mine", "invalid peer certificate"]);
}

#[test]
fn a_docker_configuration_that_is_no_json() {
    let (workspace, socket) = workspace_with("{ \"auths\": \"hush-p@ss/w:rd\"");
    start(&socket, Then::HasNothing);
    let failed = workspace.xtask("up").fails(1);
    failed.within(QUICK).says(&[
        "warning: the docker CLI's settings are ignored",
        "config.json:1:",
        "pull access denied",
    ]);
    assert_eq!(failed.stderr.matches("warning: the docker CLI").count(), 1, "{failed}");
    // A broken setting does not hide a daemon at the usual place.
    let doctor = workspace.xtask("doctor -o json").without("DOCKER_HOST").end().json();
    let first = doctor
        .as_array()
        .unwrap()
        .iter()
        .find(|check| check["check"].as_str().unwrap().starts_with("Docker"));
    assert_eq!(first.unwrap()["check"], "Docker at unix:///var/run/docker.sock");
}

#[test]
fn a_docker_host_without_a_scheme() {
    let (workspace, _) = workspace();
    let port = crate::common::free_port();
    let said = |code, host: &str| workspace.xtask("up").env("DOCKER_HOST", host).fails(code);
    let nobody = format!("tcp://127.0.0.1:{port} (DOCKER_HOST): nobody listens there");
    said(3, &format!("127.0.0.1:{port}")).says(&[&nobody]);
    said(2, "/var/run/docker.sock").says(&["a path alone is not an address", "help: write it as unix://"]);
    for host in
        ["nonsense://hush", "tcp://me:hush@127.0.0.1:1", "me:hush@127.0.0.1", "ssh://me:hush@127.0.0.1"]
    {
        let failed = said(2, host);
        failed.says(&["the address in DOCKER_HOST or in the docker context cannot be used"]);
        assert!(!failed.stderr.contains("hush"), "{failed}");
    }
}

#[test]
fn a_registry_s_helper_that_waits_for_a_person_holds_up_nothing_else() {
    let (workspace, socket) = workspace_with(&json!({ "credsStore": "slow" }).to_string());
    let helper = workspace.write("docker-credential-slow", "#!/bin/sh\nexec sleep 60\n");
    std::fs::set_permissions(helper, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = [workspace.path(""), PathBuf::from("/usr/bin"), PathBuf::from("/bin")];
    start(&socket, Then::HasNothing);
    let run = workspace.xtask("up").env("PATH", std::env::join_paths(path).unwrap());
    let mut running = run.env("POSTGRES_IMAGE", "a.example/db").env("DYNAMODB_IMAGE", "b.example/db").start();
    running.read_until("pull a.example/db");
    running.read_until("pull b.example/db");
    running.signal("INT");
    assert_eq!(running.end_within(QUICK).code, Some(130));
}

/// The user `me` with the password `???>>>~~~`.
const AUTH: &str = "bWU6Pz8/Pj4+fn5+";

/// Pulls `image` with this config.json for the docker CLI. Returns the run, and the credentials that the daemon
/// received.
fn pull(image: &str, config: &Value) -> (Ran, String) {
    let (workspace, socket) = workspace_with(&config.to_string());
    let helper = |name: &str, script: &str| {
        let path = workspace.write(&format!("docker-credential-{name}"), &format!("#!/bin/sh\n{script}\n"));
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    let answer = json!({ "Username": "me", "Secret": PASSWORD });
    helper("test", &format!("test \"$1 $(cat)\" = 'get helped.example' && echo '{answer}'"));
    helper("token", r#"echo '{"Username": "<token>", "Secret": "a-token"}'"#);
    helper("broken", "echo 'the keychain is locked'; exit 1");
    let path = [workspace.path(""), PathBuf::from("/usr/bin"), PathBuf::from("/bin")];
    let pulls = start_recorded(&socket, Then::HasNothing);
    let run = workspace.xtask("up").env("PATH", std::env::join_paths(path).unwrap());
    let of_variable = json!({ "auths": { "variable.example": { "auth": AUTH } } });
    let run = run.env("DOCKER_AUTH_CONFIG", of_variable.to_string());
    let ran = run.env("POSTGRES_IMAGE", image).env("DYNAMODB_IMAGE", image).fails(1);
    ran.within(QUICK).says(&["pull access denied"]);
    let sent = pulls.recv_timeout(QUICK).unwrap();
    (ran, sent)
}

#[test]
fn a_registry_that_wants_credentials() {
    let stored = json!({
        "auths": {
            "hub.example:5000": { "auth": AUTH },
            "plain.example": { "username": "me", "password": PASSWORD },
            "helped.example": {},
            "gone.example": { "auth": AUTH }
        },
        "credHelpers": {
            "helped.example": "test",
            "token.example": "token",
            "broken.example": "broken",
            "gone.example": "gone"
        }
    });
    let in_a_store = json!({ "credsStore": "test", "auths": { "helped.example": {} } });
    let sent = |image: &str, config: &Value| -> Value {
        let (_, sent) = pull(image, config);
        // Docker reads URL-safe base64, and ignores other forms.
        assert!(!sent.contains(['+', '/']), "{sent}");
        let sent = aws_smithy_types::base64::decode(sent.replace('-', "+").replace('_', "/")).unwrap();
        serde_json::from_slice(&sent).unwrap()
    };
    for (image, config, password) in [
        ("hub.example:5000/cruddur/db:1", &stored, "???>>>~~~"),
        ("plain.example/cruddur/db:1", &stored, PASSWORD),
        ("gone.example/cruddur/db:1", &stored, "???>>>~~~"),
        ("helped.example/cruddur/db", &stored, PASSWORD),
        ("helped.example/cruddur/db", &in_a_store, PASSWORD),
        ("variable.example/cruddur/db", &stored, "???>>>~~~"),
        ("variable.example/cruddur/db", &in_a_store, "???>>>~~~"),
    ] {
        let sent = sent(image, config);
        assert_eq!([&sent["username"], &sent["password"]], ["me", password], "{image} {config}");
    }
    assert_eq!(sent("token.example/db", &stored)["identitytoken"], "a-token");
    let (_, none) = pull("cruddur/db", &stored);
    assert_eq!(none, "");
    let (ran, none) = pull("broken.example/db", &stored);
    assert_eq!(none, "");
    ran.says(&["the credentials for broken.example are not used", "the keychain is locked"]);
}
