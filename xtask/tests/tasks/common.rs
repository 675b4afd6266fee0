//! Shared by the end-to-end tests: workspaces, running the program, DynamoDB's wire format, and the secrets that no
//! output may contain.

pub(crate) mod checkout;
pub(crate) mod neighbour;
pub(crate) mod prepare;
pub(crate) mod redact;
pub(crate) mod run;
pub(crate) mod world;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

pub(crate) use cruddur_testing::fixtures::machine::{PASSWORD, PASSWORD_IN_URL, free_port, skip, wait_for};
pub(crate) use cruddur_testing::fixtures::{self, wire as dynamodb};
use run::Run;

/// A password that the server refuses.
pub(crate) const WRONG_PASSWORD: &str = "hush-wr0ng";

/// The secret access key of a simulated production. No command may print it.
pub(crate) const SECRET_KEY: &str = "hushHUSHhushHUSH/secretACCESSkey";

/// The session token of a simulated production. No command may print it.
pub(crate) const SESSION_TOKEN: &str = "hush-se55ion-token//==";

/// Only `env` may print these.
pub(crate) const SECRETS: [&str; 5] = [PASSWORD, PASSWORD_IN_URL, WRONG_PASSWORD, SECRET_KEY, SESSION_TOKEN];

/// The repository's files that tasks read. The seeds are the tests' own.
const READ_BY_TASKS: [&str; 2] = ["docker-compose.yml", SCHEMA];

pub(crate) const SCHEMA: &str = "backend-flask-rs/db/schema.sql";
pub(crate) const SEED: &str = "backend-flask-rs/db/seed.sql";
pub(crate) const CONVERSATION: &str = "backend-flask-rs/ddb/conversation.txt";

/// A temporary folder that the program takes for its workspace. It contains a home directory.
pub(crate) struct Workspace {
    folder: TempDir,
    environment: BTreeMap<String, String>,
}

impl Workspace {
    /// A workspace with the files that tasks read, without `.env`, and with an empty environment.
    pub(crate) fn new() -> Self {
        crate::waiting::begin();
        let folder = tempfile::Builder::new().prefix("xtask-test-").tempdir().unwrap();
        for inner in ["home", "backend-flask-rs/db", "backend-flask-rs/ddb"] {
            fs::create_dir_all(folder.path().join(inner)).unwrap();
        }
        let workspace = Self { folder, environment: BTreeMap::new() };
        for file in READ_BY_TASKS {
            workspace.write(file, &from_repository(file));
        }
        workspace.write(SEED, fixtures::SEED);
        workspace.write(CONVERSATION, fixtures::CONVERSATION);
        workspace
    }

    /// Sets a variable for every run.
    pub(crate) fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.set(name, value);
        self
    }

    /// Sets a variable for every run from now on.
    pub(crate) fn set(&mut self, name: &str, value: impl ToString) {
        self.environment.insert(name.to_owned(), value.to_string());
    }

    pub(crate) fn path(&self, inner: &str) -> PathBuf {
        self.folder.path().join(inner)
    }

    /// Writes a file and returns its path.
    pub(crate) fn write(&self, inner: &str, text: &str) -> PathBuf {
        let path = self.path(inner);
        fs::write(&path, text).unwrap();
        path
    }

    #[track_caller]
    pub(crate) fn edit(&self, inner: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.path(inner)).unwrap();
        assert!(text.contains(from), "{inner} does not hold {from:?}:\n{text}");
        self.write(inner, &text.replace(from, to));
    }

    /// `cargo xtask LINE`. Spaces separate the words.
    pub(crate) fn xtask(&self, line: &str) -> Run {
        let environment = self.environment.iter();
        let run = Run::new(self.folder.path()).env("HOME", self.path("home").to_str().unwrap());
        let run = environment.fold(run, |run, (name, value)| run.env(name, value));
        line.split_whitespace().fold(run, Run::arg)
    }
}

/// A file of the repository.
pub(crate) fn from_repository(file: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    fs::read_to_string(root.join(file)).unwrap()
}
