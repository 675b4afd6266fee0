//! Postgres over TLS: a server with `ssl = on` and a certificate of a private authority, with a URL like
//! production's.

use std::time::Duration;

use serde_json::Value;

use crate::certificates::{Authority, Identity};
use crate::common::wait_for;
use crate::dynamodb::DynamoDb;
use crate::live::{Listener, wait_for_listeners};
use crate::postgres::{Database, Server, start};
use crate::program::{Program, command};
use crate::world::{App, ONE, TWO, World};

/// The only name in the server's certificate.
const HOST: &str = "db.internal";

/// A world whose Postgres supports encryption, and the certificates of its authority and of another one.
struct Secure {
    world: World,
    database: Database,
    files: tempfile::TempDir,
    /// Keeps the server running.
    _server: Server,
}

impl Secure {
    fn new() -> Self {
        let (good, other) = (Authority::new("good"), Authority::new("other"));
        let Identity { certificate, key } = good.server(&[HOST]);
        let server = start(&[("server.crt", &certificate), ("server.key", &key)], &["-c", "ssl=on"]);
        let files = tempfile::tempdir().unwrap();
        std::fs::write(files.path().join("good.crt"), good.certificate).unwrap();
        std::fs::write(files.path().join("other.crt"), other.certificate).unwrap();
        let dynamodb = DynamoDb::start();
        let database = Database::on(&server);
        let world = World::with(&database, dynamodb.endpoint, Some(dynamodb));
        Self { world, database, files, _server: server }
    }

    /// The settings of a server that connects to `host`, which leads to the loopback address. It accepts only
    /// certificates of the authority in `file`.
    fn settings(&self, host: &str, file: &str) -> Vec<(&'static str, String)> {
        let file = self.files.path().join(file).display().to_string();
        let parameters = format!("hostaddr=127.0.0.1&sslmode=verify-full&sslrootcert={file}");
        let mut settings = self.world.settings();
        settings.retain(|(name, _)| *name != "CONNECTION_URL");
        settings.push(("CONNECTION_URL", self.database.url_by(host, &parameters)));
        settings
    }
}

#[test]
fn verify_full_encrypts_requests_and_news() {
    let secure = Secure::new();
    let app = App::start(&secure.settings(HOST, "good.crt"));
    app.get("/api/health-check").send().ok();
    wait_for_listeners(&secure.world, 2);
    let mut two = Listener::new(&app, TWO);
    let sent = secure.world.app.write(ONE, "In confidence").json();
    assert_eq!(two.next()["uuid"], sent["uuid"]);
    // The other server's URL has no sslmode. It encrypts because the database supports it.
    let sql = "select ssl::text from pg_stat_ssl join pg_stat_activity using (pid)
               where application_name = 'backend-flask' and datname = current_database()";
    let encrypted = secure.database.column(sql);
    assert!(encrypted.len() >= 4, "for requests and for news, at both servers: {encrypted:?}");
    assert!(encrypted.iter().all(|ssl| ssl == "true"), "{encrypted:?}");
}

#[test]
fn a_certificate_that_is_not_good_is_refused_and_the_log_says_why() {
    let secure = Secure::new();
    for (host, file, why) in [
        (HOST, "other.crt", "the server's certificate is not signed by any of the roots"),
        (
            "elsewhere.internal",
            "good.crt",
            "the server's certificate is not for elsewhere.internal, but for db.internal",
        ),
    ] {
        let program = Program::start(&secure.settings(host, file));
        let answer = program.get("/api/health-check").send();
        answer.refuses(503, "postgres");
        assert!(!answer.body.contains("certificate"), "{answer:?}");
        for message in ["unavailable", "notifications from other servers are interrupted"] {
            let says_why = |line: &Value| {
                let fields = &line["fields"];
                fields["message"] == message && fields["cause"].as_str().is_some_and(|c| c.ends_with(why))
            };
            wait_for(message, Duration::from_secs(10), || program.lines().iter().any(says_why).then_some(()));
        }
    }
}

#[test]
fn a_file_that_cannot_be_read_ends_the_start() {
    let secure = Secure::new();
    let output = command(&secure.settings(HOST, "none.crt")).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.starts_with("error: no certificate can be read from "), "{error}");
    assert!(
        error.contains("none.crt") && error.contains("; name a readable file of certificates"),
        "{error}"
    );
}
