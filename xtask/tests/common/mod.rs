//! What the end-to-end tests share: a workspace of one's own, the program run in it, DynamoDB's wire
//! format, and the secrets that no output may hold.

#![allow(dead_code, reason = "each test program uses its own part of this")]

pub(crate) mod dynamodb;
pub(crate) mod redact;
pub(crate) mod run;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use run::Run;

/// The password of every test's Postgres, with letters that a URL must encode. Never to be printed.
pub(crate) const PASSWORD: &str = "hush-p@ss/w:rd";
pub(crate) const PASSWORD_IN_URL: &str = "hush-p%40ss%2Fw%3Ard";

/// A password that the server refuses.
pub(crate) const WRONG_PASSWORD: &str = "hush-wr0ng";

/// A secret access key for a pretended production. Never to be printed.
pub(crate) const SECRET_KEY: &str = "hushHUSHhushHUSH/secretACCESSkey";

/// What no command prints, but `env`.
pub(crate) const SECRETS: [&str; 4] = [PASSWORD, PASSWORD_IN_URL, WRONG_PASSWORD, SECRET_KEY];

/// A temporary folder that the program takes for its workspace, with a home folder of its own in it.
pub(crate) struct Workspace {
    folder: TempDir,
    environment: BTreeMap<String, String>,
}

impl Workspace {
    /// A workspace with the repository's docker-compose.yml, no `.env` and an empty environment.
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("xtask-test-").tempdir().unwrap();
        fs::copy(repository().join("docker-compose.yml"), folder.path().join("docker-compose.yml")).unwrap();
        fs::create_dir(folder.path().join("home")).unwrap();
        Self { folder, environment: BTreeMap::new() }
    }

    /// The same with a variable set for every run.
    pub(crate) fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.set(name, value);
        self
    }

    /// Sets a variable for every run from now on.
    pub(crate) fn set(&mut self, name: &str, value: impl ToString) {
        self.environment.insert(name.to_owned(), value.to_string());
    }

    /// A path in the workspace.
    pub(crate) fn path(&self, inner: &str) -> PathBuf {
        self.folder.path().join(inner)
    }

    /// Writes a file into the workspace and returns its path.
    pub(crate) fn write(&self, inner: &str, text: &str) -> PathBuf {
        let path = self.path(inner);
        fs::write(&path, text).unwrap();
        path
    }

    /// Replaces `from` in a file by `to`.
    #[track_caller]
    pub(crate) fn edit(&self, inner: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.path(inner)).unwrap();
        assert!(text.contains(from), "{inner} does not hold {from:?}:\n{text}");
        self.write(inner, &text.replace(from, to));
    }

    /// `cargo xtask LINE`, its words separated by spaces.
    pub(crate) fn xtask(&self, line: &str) -> Run {
        let environment = self.environment.iter();
        let run = Run::new(self.folder.path()).env("HOME", self.path("home").to_str().unwrap());
        let run = environment.fold(run, |run, (name, value)| run.env(name, value));
        line.split_whitespace().fold(run, Run::arg)
    }
}

/// The repository's top folder.
pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// A port on the loopback that nothing listened on a moment ago.
pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Says that a test shows nothing here. Written past the test harness, which keeps what a passing test
/// prints to itself.
pub(crate) fn skip(why: &str) {
    let line = format!("\nSKIPPED: {why}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

/// Looks every few milliseconds until there is something, for at most `bound`.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, bound: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < bound, "still no {what} after {bound:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
