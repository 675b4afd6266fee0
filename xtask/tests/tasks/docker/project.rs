//! A compose project for one test, and the docker CLI to check it independently.

use std::ops::Deref;
use std::process::{Command, Stdio};

use crate::common::dynamodb::Endpoint;
use crate::common::run::Ran;
use crate::common::{PASSWORD, Workspace, free_port};

pub(crate) const SERVICES: [&str; 2] = ["db", "dynamodb-local"];

/// A workspace with its own compose project, ports and password. Dropping it removes everything of the project from
/// Docker.
pub(crate) struct Project {
    workspace: Workspace,
    pub(crate) name: String,
    pub(crate) postgres_port: u16,
    pub(crate) dynamodb_port: u16,
}

impl Project {
    pub(crate) fn new() -> Self {
        let random = uuid::Uuid::new_v5(
            &uuid::Uuid::nil(),
            tempfile::tempdir().unwrap().path().as_os_str().as_encoded_bytes(),
        );
        let name = format!("xtask-test-{}", &random.simple().to_string()[..12]);
        let (postgres_port, dynamodb_port) = (free_port(), free_port());
        let mut workspace = Workspace::new()
            .with("CRUDDUR_ENGINE", "docker")
            .with("COMPOSE_PROJECT_NAME", &name)
            .with("POSTGRES_PORT", postgres_port)
            .with("DYNAMODB_PORT", dynamodb_port);
        // The tests' environment says where Docker is and which images exist.
        for variable in ["DOCKER_HOST", "POSTGRES_IMAGE", "DYNAMODB_IMAGE"] {
            if let Ok(value) = std::env::var(variable) {
                workspace = workspace.with(variable, value);
            }
        }
        workspace.edit(
            "docker-compose.yml",
            "POSTGRES_PASSWORD: password",
            &format!("POSTGRES_PASSWORD: '{PASSWORD}'"),
        );
        Self { workspace, name, postgres_port, dynamodb_port }
    }

    /// Publishes Postgres on another port.
    pub(crate) fn move_postgres_to(&mut self, port: u16) {
        self.postgres_port = port;
        self.workspace.set("POSTGRES_PORT", port);
    }

    /// Runs Postgres from another image.
    pub(crate) fn take_postgres_from(&mut self, image: &str) {
        self.workspace.set("POSTGRES_IMAGE", image);
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint(self.dynamodb_port)
    }

    pub(crate) fn session(&self, name: &str) -> postgres::Client {
        let mut config = postgres::Config::new();
        config.host("127.0.0.1").port(self.postgres_port).user("postgres").password(PASSWORD).dbname(name);
        config.connect(postgres::NoTls).unwrap()
    }

    /// Compose's name for a service's container.
    pub(crate) fn container(&self, service: &str) -> String {
        format!("{}-{service}-1", self.name)
    }

    /// The ids of a service's containers, running or not.
    pub(crate) fn ids(&self, service: &str) -> Vec<String> {
        let project = format!("label=com.docker.compose.project={}", self.name);
        let service = format!("label=com.docker.compose.service={service}");
        lines(&docker(&["ps", "--all", "--quiet", "--no-trunc", "--filter", &project, "--filter", &service]))
    }

    /// The ids of both services' containers. Each must have exactly one.
    #[track_caller]
    pub(crate) fn both_ids(&self) -> [String; 2] {
        SERVICES.map(|service| {
            let mut ids = self.ids(service);
            assert_eq!(ids.len(), 1, "containers of {service}");
            ids.remove(0)
        })
    }

    pub(crate) fn volumes(&self) -> Vec<String> {
        let name = format!("name=^{}_", self.name);
        lines(&docker(&["volume", "ls", "--quiet", "--filter", &name]))
    }

    #[track_caller]
    pub(crate) fn assert_nothing_there(&self) {
        let name = format!("name={}", self.name);
        assert_eq!(lines(&docker(&["ps", "--all", "--quiet", "--filter", &name])), [""; 0]);
        assert_eq!(self.volumes(), [""; 0]);
        let name = format!("name=^{}_", self.name);
        assert_eq!(lines(&docker(&["network", "ls", "--quiet", "--filter", &name])), [""; 0]);
    }

    /// Runs `ddb-setup`, which must succeed, and asserts that both databases hold the seed.
    #[track_caller]
    pub(crate) fn set_up(&self) -> Ran {
        let ran = self.xtask("ddb-setup").ok();
        let mut session = self.session("cruddur");
        let counts =
            session.query_one("select (select count(*) from users), (select count(*) from activities)", &[]);
        let counts = counts.unwrap();
        assert_eq!((counts.get::<_, i64>(0), counts.get::<_, i64>(1)), (5, 4), "{ran}");
        let items = self.endpoint().items("cruddur-messages");
        let groups = items.iter().filter(|item| item["pk"]["S"].as_str().unwrap().starts_with("GRP#"));
        assert_eq!((groups.count(), items.len()), (2, built_in_lines() + 2), "{ran}");
        ran
    }
}

impl Deref for Project {
    type Target = Workspace;

    fn deref(&self) -> &Workspace {
        &self.workspace
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        remove_project(&self.name);
    }
}

/// Removes a project's containers, volumes and network, whoever created them.
pub(crate) fn remove_project(name: &str) {
    let containers = try_docker(&["ps", "--all", "--quiet", "--filter", &format!("name={name}")]);
    for id in lines(&containers.unwrap_or_default()) {
        let _ = try_docker(&["rm", "--force", "--volumes", &id]);
    }
    for kind in ["volume", "network"] {
        let found = try_docker(&[kind, "ls", "--quiet", "--filter", &format!("name=^{name}")]);
        for id in lines(&found.unwrap_or_default()) {
            let _ = try_docker(&[kind, "rm", &id]);
        }
    }
}

/// The number of messages in the tests' conversation.
pub(crate) fn built_in_lines() -> usize {
    crate::common::fixtures::CONVERSATION.lines().count()
}

/// The output of a docker command that must succeed.
#[track_caller]
pub(crate) fn docker(arguments: &[&str]) -> String {
    try_docker(arguments).unwrap_or_else(|error| panic!("docker {arguments:?}: {error}"))
}

/// The output of a docker command.
///
/// # Errors
/// The stderr of the command if it failed.
pub(crate) fn try_docker(arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("docker").args(arguments).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("these tests need the docker CLI: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The result of `docker inspect` for a container.
#[track_caller]
pub(crate) fn inspect(container: &str) -> serde_json::Value {
    let mut found: serde_json::Value = serde_json::from_str(&docker(&["inspect", container])).unwrap();
    found[0].take()
}

pub(crate) fn lines(text: &str) -> Vec<String> {
    text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}
