//! A compose project of a test's own, and the docker CLI to look at it from outside.

use std::ops::Deref;
use std::process::{Command, Stdio};

use crate::common::dynamodb::Endpoint;
use crate::common::run::Ran;
use crate::common::{PASSWORD, Workspace, free_port};

/// The services' names in docker-compose.yml.
pub(crate) const SERVICES: [&str; 2] = ["db", "dynamodb-local"];

/// A workspace whose compose project, ports and password are its own. What the project has in Docker is
/// removed when it is dropped.
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
        // Where Docker is, and which images are here, whoever runs the tests knows.
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

    /// Has Postgres published on another port from now on.
    pub(crate) fn move_postgres_to(&mut self, port: u16) {
        self.postgres_port = port;
        self.workspace.set("POSTGRES_PORT", port);
    }

    /// Has Postgres run from another image from now on.
    pub(crate) fn take_postgres_from(&mut self, image: &str) {
        self.workspace.set("POSTGRES_IMAGE", image);
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint(self.dynamodb_port)
    }

    /// A session in the database `name`.
    pub(crate) fn session(&self, name: &str) -> postgres::Client {
        let mut config = postgres::Config::new();
        config.host("127.0.0.1").port(self.postgres_port).user("postgres").password(PASSWORD).dbname(name);
        config.connect(postgres::NoTls).unwrap()
    }

    /// The name that compose gives a service's container.
    pub(crate) fn container(&self, service: &str) -> String {
        format!("{}-{service}-1", self.name)
    }

    /// The ids of a service's containers, running or not.
    pub(crate) fn ids(&self, service: &str) -> Vec<String> {
        let project = format!("label=com.docker.compose.project={}", self.name);
        let service = format!("label=com.docker.compose.service={service}");
        lines(&docker(&["ps", "--all", "--quiet", "--no-trunc", "--filter", &project, "--filter", &service]))
    }

    /// The id of each service's one container.
    #[track_caller]
    pub(crate) fn both_ids(&self) -> [String; 2] {
        SERVICES.map(|service| {
            let mut ids = self.ids(service);
            assert_eq!(ids.len(), 1, "containers of {service}");
            ids.remove(0)
        })
    }

    /// The project's volumes.
    pub(crate) fn volumes(&self) -> Vec<String> {
        let name = format!("name=^{}_", self.name);
        lines(&docker(&["volume", "ls", "--quiet", "--filter", &name]))
    }

    /// Asserts that Docker has nothing of this project.
    #[track_caller]
    pub(crate) fn assert_nothing_there(&self) {
        let name = format!("name={}", self.name);
        assert_eq!(lines(&docker(&["ps", "--all", "--quiet", "--filter", &name])), [""; 0]);
        assert_eq!(self.volumes(), [""; 0]);
        let name = format!("name=^{}_", self.name);
        assert_eq!(lines(&docker(&["network", "ls", "--quiet", "--filter", &name])), [""; 0]);
    }

    /// `ddb-setup`, which must succeed and leave both databases as they should be.
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

/// Removes what Docker has of a project, whoever made it.
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

/// How many messages the built-in conversation has.
pub(crate) fn built_in_lines() -> usize {
    let path = crate::common::repository().join("backend-flask-rs/ddb/conversation.txt");
    std::fs::read_to_string(path).unwrap().lines().count()
}

/// What a docker command prints; it must succeed.
#[track_caller]
pub(crate) fn docker(arguments: &[&str]) -> String {
    try_docker(arguments).unwrap_or_else(|error| panic!("docker {arguments:?}: {error}"))
}

/// What a docker command prints.
///
/// # Errors
/// What it printed to stderr before it failed.
pub(crate) fn try_docker(arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("docker").args(arguments).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("these tests need the docker CLI: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// What `docker inspect` says of a container.
#[track_caller]
pub(crate) fn inspect(container: &str) -> serde_json::Value {
    let mut found: serde_json::Value = serde_json::from_str(&docker(&["inspect", container])).unwrap();
    found[0].take()
}

pub(crate) fn lines(text: &str) -> Vec<String> {
    text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}
