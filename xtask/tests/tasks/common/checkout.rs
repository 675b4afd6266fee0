//! A checkout for one test, on the embedded engine.

use std::fs;
use std::ops::Deref;
use std::path::PathBuf;

use crate::common::dynamodb::Endpoint;
use crate::common::run::Ran;
use crate::common::{Workspace, free_port};

/// A workspace on the embedded engine. Dropping it stops its databases.
pub(crate) struct Checkout {
    workspace: Workspace,
    /// The ports of Postgres and DynamoDB in its docker-compose.yml. They are not set, so a server moves to another
    /// port if its own is taken. No other test uses them, or those just above them.
    pub(crate) usual_ports: [u16; 2],
}

impl Checkout {
    pub(crate) fn new() -> Self {
        let workspace = Workspace::new().with("CRUDDUR_ENGINE", "embedded");
        let usual_ports = ["POSTGRES_PORT:-5432", "DYNAMODB_PORT:-8000"].map(|port| {
            let (free, (variable, _)) = (free_port(), port.split_once(":-").unwrap());
            workspace.edit("docker-compose.yml", port, &format!("{variable}:-{free}"));
            free
        });
        Self { workspace, usual_ports }
    }

    pub(crate) fn set(&mut self, name: &str, value: impl ToString) {
        self.workspace.set(name, value);
    }

    pub(crate) fn state(&self, inner: &str) -> PathBuf {
        self.path(".cruddur").join(inner)
    }

    /// The ports of both databases, from the command lines of their processes.
    pub(crate) fn ports(&self) -> [u16; 2] {
        [("postgres", "-p"), ("dynamodb", "--port")].map(|(service, flag)| {
            let arguments = self.processes(service).pop().unwrap_or_else(|| panic!("no {service}")).1;
            let position = arguments.iter().position(|argument| argument == flag).unwrap();
            arguments[position + 1].parse().unwrap()
        })
    }

    /// The processes that serve a database's data, with their command lines.
    pub(crate) fn processes(&self, service: &str) -> Vec<(u32, Vec<String>)> {
        let data = self.path("").canonicalize().unwrap().join(".cruddur").join(service);
        let data = data.to_str().unwrap().to_owned();
        let all = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let line = fs::read_to_string(entry.path().join("cmdline")).ok()?;
            Some((pid, line.trim_end_matches('\0').split('\0').map(str::to_owned).collect::<Vec<_>>()))
        });
        // A pg_ctl that a killed command left running names the folder too.
        let serves = |arguments: &[String]| arguments.contains(&data) && !arguments[0].ends_with("pg_ctl");
        all.filter(|(_, arguments)| serves(arguments)).collect()
    }

    #[track_caller]
    pub(crate) fn kill(&self, service: &str) {
        self.signal(service, "KILL");
    }

    #[track_caller]
    pub(crate) fn signal(&self, service: &str, signal: &str) {
        let processes = self.processes(service);
        assert_eq!(processes.len(), 1, "{processes:?}");
        let status =
            std::process::Command::new("kill").args(["-s", signal, &processes[0].0.to_string()]).status();
        assert!(status.unwrap().success());
    }

    pub(crate) fn session(&self) -> postgres::Client {
        let [port, _] = self.ports();
        let password = fs::read(self.state("postgres.password")).unwrap();
        let mut config = postgres::Config::new();
        config.host("127.0.0.1").port(port).user("cruddur").password(password).dbname("cruddur");
        config.connect(postgres::NoTls).unwrap()
    }

    /// Runs `ddb-setup`, which must succeed, and asserts that both databases hold the seed.
    #[track_caller]
    pub(crate) fn set_up(&self) -> Ran {
        let ran = self.xtask("ddb-setup").ok();
        self.assert_set_up(&ran);
        ran
    }

    /// Asserts that both databases hold the seed.
    #[track_caller]
    pub(crate) fn assert_set_up(&self, ran: &Ran) {
        let [_, dynamodb] = self.ports();
        let mut session = self.session();
        let counts = "select (select count(*) from users), (select count(*) from activities)";
        let counts = session.query_one(counts, &[]).unwrap();
        assert_eq!((counts.get::<_, i64>(0), counts.get::<_, i64>(1)), (5, 4), "{ran}");
        assert_eq!(Endpoint(dynamodb).items("cruddur-messages").len(), 138, "{ran}");
    }
}

impl Deref for Checkout {
    type Target = Workspace;

    fn deref(&self) -> &Workspace {
        &self.workspace
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        // Without an assertion, because the test may be failing already.
        drop(self.xtask("down --volumes").env("CRUDDUR_ENGINE", "embedded").end());
        for service in ["postgres", "dynamodb"] {
            for (pid, _) in self.processes(service) {
                let _ = std::process::Command::new("kill").args(["-s", "KILL", &pid.to_string()]).status();
            }
        }
    }
}
