//! The program as a process: start, logs, end.

use std::io::{BufRead as _, BufReader, Read as _};
use std::ops::Deref;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use crate::common::wait_for;
use crate::dynamodb::DynamoDb;
use crate::world::{Address, ONE, World};

/// `backend-flask` with only these settings. Dropping it kills it.
pub(crate) struct Program {
    address: Address,
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
}

impl Program {
    #[track_caller]
    pub(crate) fn start(settings: &[(&'static str, String)]) -> Self {
        let mut child = command(settings).env("BACKEND_LOG_FORMAT", "json").spawn().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let (lines, kept) = (BufReader::new(child.stderr.take().unwrap()).lines(), Arc::clone(&log));
        std::thread::spawn(move || {
            lines.map_while(Result::ok).for_each(|line| kept.lock().unwrap().push(line));
        });
        let address = wait_for("address", Duration::from_secs(30), || {
            let ended = child.try_wait().unwrap();
            assert!(ended.is_none(), "{ended:?}: {:?}", log.lock().unwrap());
            let lines = log.lock().unwrap();
            let fields = lines.iter().map(|line| parsed(line)["fields"].clone());
            let listening = fields.into_iter().find(|fields| fields["message"] == "listening");
            listening.map(|fields| fields["address"].as_str().unwrap().parse().unwrap())
        });
        Self { address: Address(address), child, log }
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    #[track_caller]
    fn end_within(&mut self, bound: Duration) -> ExitStatus {
        wait_for("end", bound, || self.child.try_wait().unwrap())
    }

    /// The log lines about answered requests.
    fn answered(&self) -> Vec<Value> {
        let lines = self.lines().into_iter();
        lines.filter(|line| line["fields"]["message"] == "answered").collect()
    }

    pub(crate) fn lines(&self) -> Vec<Value> {
        self.log.lock().unwrap().iter().map(|line| parsed(line)).collect()
    }
}

impl Deref for Program {
    type Target = Address;

    fn deref(&self) -> &Address {
        &self.address
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[track_caller]
fn parsed(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

pub(crate) fn command(settings: &[(&'static str, String)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_backend-flask"));
    command.env_clear().envs(settings.iter().map(|(name, value)| (*name, value)));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

#[test]
fn each_request_is_logged_under_its_id_and_nothing_secret_is() {
    // The password of this program's own Postgres is known.
    let dynamodb = DynamoDb::start();
    let world = World::on(dynamodb.endpoint, Some(dynamodb));
    let program = Program::start(&world.settings());
    let secret = "hush-what-i-wrote";
    let asked = program.get("/api/message_groups?hush=hush").from(ONE).header("X-Request-Id", "mine").send();
    assert_eq!(asked.header("x-request-id"), Some("mine"));
    assert_eq!(program.write(ONE, secret).status, 201);
    wait_for("two lines", Duration::from_secs(5), || (program.answered().len() == 2).then_some(()));
    let lines = program.answered();
    let (span, fields) = (&lines[0]["span"], &lines[0]["fields"]);
    assert_eq!((&span["id"], &span["user"]), (&Value::from("mine"), &Value::from(ONE)), "{lines:?}");
    assert_eq!((&span["method"], &span["path"]), (&Value::from("GET"), &Value::from("/api/message_groups")));
    assert_eq!(fields["status"], 200);
    assert!(fields["ms"].as_f64().unwrap() > 0.0);
    let log = program.log.lock().unwrap().join("\n");
    assert!(!log.contains("hush"), "{log}");
}

#[test]
fn the_program_finishes_requests_before_it_ends() {
    let world = World::new();
    for signal in ["TERM", "INT"] {
        let mut program = Program::start(&world.settings());
        // A listener does not delay the end.
        let (mut news, head) = program.get("/api/events").from(ONE).begin();
        assert_eq!(head.status, 200);
        program.signal(signal);
        let status = program.end_within(Duration::from_secs(5));
        assert!(status.success(), "{status}");
        let mut rest = String::new();
        news.read_to_string(&mut rest).unwrap();
    }
}

#[test]
fn a_missing_setting_is_named() {
    let run = |settings: &[(&'static str, String)]| {
        let output = command(settings).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, error) = run(&[]);
    assert_eq!(code, Some(1));
    assert_eq!(
        error,
        "error: choose how users are identified: local or cognito: BACKEND_ACCESS is not set\n"
    );
    let world = World::new();
    let mut settings = world.settings();
    settings.retain(|(name, _)| *name != "BACKEND_ADDRESS");
    settings.push(("BACKEND_ADDRESS", world.app.0.to_string()));
    let (code, error) = run(&settings);
    assert_eq!(code, Some(1));
    assert!(error.starts_with(&format!("error: cannot listen on {}: ", world.app.0)), "{error}");
}
