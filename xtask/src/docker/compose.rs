//! Reads and checks `docker-compose.yml`, the one definition of the two services.
//!
//! Only the keys that the two services use are supported; any other key of theirs is an error.
//! <https://github.com/compose-spec/compose-spec/blob/main/spec.md>

mod file;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::environment::Environment;
use crate::error::Failure;
use anyhow::{Result, ensure};
use serde::Serialize;

use self::file::{File, Reader};

/// The file's name in the workspace's root.
pub(crate) const FILE: &str = "docker-compose.yml";

/// Other files that `docker compose` reads if they exist. We do not.
/// <https://github.com/compose-spec/compose-go/blob/main/cli/options.go>
const OTHER_FILES: [&str; 6] = [
    "compose.yaml",
    "compose.yml",
    "compose.override.yaml",
    "compose.override.yml",
    "docker-compose.override.yaml",
    "docker-compose.override.yml",
];

/// The compose file, with its variables replaced.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Compose {
    /// The project name, as `docker compose` would choose it. It begins the names of containers and volumes.
    pub(crate) project: String,
    /// The user set the project name, so it stays even if another checkout uses it.
    pub(crate) project_is_fixed: bool,
    /// This checkout has used the project before.
    pub(crate) project_is_remembered: bool,
    /// The file's folder, which compose writes on each container as a label.
    pub(crate) folder: PathBuf,
    pub(crate) postgres: Service,
    pub(crate) dynamodb: Service,
}

/// One service. Its container's hash is made from the serialized form.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Service {
    /// Its name in the file.
    pub(crate) name: &'static str,
    pub(crate) image: String,
    pub(crate) port: Port,
    /// Variables for the container. A variable without a value removes the image's own.
    pub(crate) environment: BTreeMap<String, Option<String>>,
    /// Replaces the image's command.
    pub(crate) command: Option<Vec<String>>,
    pub(crate) volumes: Vec<Mount>,
    /// Replaces the image's user.
    pub(crate) user: Option<String>,
    /// Replaces the image's working directory.
    pub(crate) working_dir: Option<String>,
}

/// The variable that sets a service's port in the file.
pub(crate) fn port_variable(service: &str) -> &'static str {
    if service == "db" { "POSTGRES_PORT" } else { "DYNAMODB_PORT" }
}

/// A container's TCP port, published on 127.0.0.1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Port {
    /// The port on this machine.
    pub(crate) host: u16,
    pub(crate) container: u16,
    /// The user set it, so no other port is tried if it is taken.
    #[serde(skip)]
    pub(crate) fixed: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Mount {
    pub(crate) source: Source,
    /// The absolute path in the container.
    pub(crate) target: String,
    pub(crate) read_only: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) enum Source {
    /// A volume's key under the file's `volumes`. The volume's full name is the project's name and this key.
    Volume(String),
    /// A file or folder on this machine.
    Path(PathBuf),
}

impl Compose {
    /// Reads and checks the compose file in `folder`.
    pub(crate) fn read(folder: &Path, environment: &Environment) -> Result<Self> {
        for variable in ["POSTGRES_PORT", "DYNAMODB_PORT"] {
            if let Some(value) = environment.get(variable)
                && file::port_number(value).is_none()
            {
                let problem = format!("{variable}: `{value}` is not a port (1 to 65535)");
                return Err(Failure::usage(problem, environment.correction(variable)).into());
            }
        }
        let path = folder.join(FILE);
        let text = std::fs::read_to_string(&path).map_err(|error| {
            let problem = format!("cannot read {}, which defines the two services", path.display());
            Failure::usage(problem, format!("`git restore {FILE}` brings it back")).caused_by(error)
        })?;
        Self::parse(folder, &text, environment).map_err(|error| {
            let problem = format!("{} cannot be used", path.display());
            Failure::usage(problem, "correct the file, or the setting that it names").caused_by(error).into()
        })
    }

    fn parse(folder: &Path, text: &str, environment: &Environment) -> Result<Self> {
        let file: File = yaml_serde::from_str(text)?;
        let reader = Reader { folder, environment, volumes: &file.volumes };
        let compose = Self {
            project: reader.project(file.name.as_deref())?,
            project_is_remembered: false,
            project_is_fixed: file.name.is_some() || environment.get("COMPOSE_PROJECT_NAME").is_some(),
            folder: folder.to_owned(),
            postgres: reader.service("db", file.services.db)?,
            dynamodb: reader.service("dynamodb-local", file.services.dynamodb_local)?,
        };
        let [postgres, dynamodb] = compose.services().map(|service| service.port.host);
        ensure!(
            postgres != dynamodb,
            "services db and dynamodb-local both have port {postgres}: see POSTGRES_PORT and DYNAMODB_PORT"
        );
        Ok(compose)
    }

    /// The user and password that the server is created with. The defaults are those of the postgres image.
    /// <https://hub.docker.com/_/postgres>
    pub(crate) fn postgres_login(&self) -> (String, String) {
        let variable = |name: &str| self.postgres.environment.get(name).cloned().flatten();
        let user = variable("POSTGRES_USER").unwrap_or_else(|| "postgres".to_owned());
        (user, variable("POSTGRES_PASSWORD").unwrap_or_default())
    }

    /// The server's settings as `name=value`, from each `-c` of its command.
    /// <https://www.postgresql.org/docs/current/app-postgres.html>
    pub(crate) fn postgres_settings(&self) -> Vec<&str> {
        let words = self.postgres.command.as_deref().unwrap_or_default();
        words.windows(2).filter(|pair| pair[0] == "-c").map(|pair| pair[1].as_str()).collect()
    }

    /// Whether the file is in `folder`. Links are followed.
    pub(crate) fn is_in(&self, folder: &Path) -> bool {
        let real = |folder: &Path| folder.canonicalize().ok();
        folder == self.folder || real(folder).is_some_and(|folder| real(&self.folder) == Some(folder))
    }

    /// Both services, Postgres first.
    pub(crate) fn services(&self) -> [&Service; 2] {
        [&self.postgres, &self.dynamodb]
    }

    /// Another file or variable that `docker compose` would read here besides docker-compose.yml.
    pub(crate) fn other_source(&self, environment: &Environment) -> Option<&'static str> {
        let chosen = environment.get("COMPOSE_FILE");
        match chosen {
            Some(chosen) => (chosen != FILE).then_some("COMPOSE_FILE"),
            None => OTHER_FILES.into_iter().find(|name| self.folder.join(name).is_file()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, environment: &Environment) -> Result<Compose> {
        Compose::parse(Path::new("/home/me/Cruddur.App"), text, environment)
    }

    fn error(text: &str) -> String {
        format!("{:#}", parse(text, &Environment::default()).unwrap_err())
    }

    /// A minimal valid file, with `line` added to the service `db`.
    fn with_line(line: &str) -> String {
        format!(
            "services:\n  db:\n    image: postgres\n{line}\n  dynamodb-local:\n    image: dynamodb\n    ports: ['8000:8000']\n"
        )
    }

    #[test]
    fn the_repository_s_file_is_supported() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let environment =
            Environment::from([("DYNAMODB_IMAGE", "mirror/dynamodb"), ("POSTGRES_PORT", "5433")]);
        let compose = Compose::read(folder, &environment).unwrap();
        assert_eq!(compose.postgres.image, "postgres:17-alpine");
        assert_eq!(compose.postgres.port, Port { host: 5433, container: 5432, fixed: true });
        assert_eq!(compose.postgres.environment["POSTGRES_PASSWORD"].as_deref(), Some("password"));
        assert_eq!(compose.dynamodb.image, "mirror/dynamodb");
        assert_eq!(compose.dynamodb.user.as_deref(), Some("root"));
        assert_eq!(compose.postgres_settings(), ["fsync=off"]);
        let command = compose.dynamodb.command.as_ref().unwrap();
        let last = command.iter().skip_while(|word| *word != "-jar");
        assert!(
            last.eq(["-jar", "DynamoDBLocal.jar", "-sharedDb", "-cors", "127.0.0.1", "-inMemory"]),
            "{command:?}"
        );
        let data = Source::Volume("dynamodb-data".to_owned());
        assert_eq!(compose.dynamodb.volumes[0].source, data);
    }

    #[test]
    fn project_name_follows_compose() {
        let text = with_line("    ports: ['5432:5432']");
        assert_eq!(parse(&text, &Environment::default()).unwrap().project, "cruddurapp");
        let environment = Environment::from([("COMPOSE_PROJECT_NAME", "mine")]);
        assert_eq!(parse(&text, &environment).unwrap().project, "mine");
        let named = format!("name: of-the-file\n{text}");
        assert_eq!(parse(&named, &Environment::default()).unwrap().project, "of-the-file");
    }

    #[test]
    fn environment_and_command_take_both_forms() {
        let map = with_line(
            "    ports: ['5432:5432']\n    environment: {A: '1.10', B: 'x y', C: true, D: }\n    command: -c 'a b'",
        );
        let list = with_line(
            "    ports: ['5432:5432']\n    environment: [A=1.10, B=x y, C=true, D]\n    command: ['-c', 'a b']",
        );
        let environment = Environment::from([("D", "from here")]);
        let [map, list] = [map, list].map(|text| parse(&text, &environment).unwrap());
        assert_eq!(map, list);
        assert_eq!(map.postgres.environment["C"].as_deref(), Some("true"));
        assert_eq!(map.postgres.environment["D"].as_deref(), Some("from here"));
        assert_eq!(map.postgres.command.unwrap(), ["-c", "a b"]);
    }

    /// The expected values are those of `docker compose config`.
    #[test]
    fn values_are_compose_s() {
        let text = with_line(
            "    ports: ['5432:5432']
    environment: {NOWHERE: , INT: 1, TEXT: '1.10', EMPTY: }
    user: ${EMPTY}
    working_dir: ''
    command: a#b 'c;#' d\\;e \"f g\"
    volumes: ['./a/../b//c/:/x/', '..:/up:ro', '/abs//./d/../e/:/y', 'data:/z']",
        ) + "volumes: {data: }";
        let service = parse(&text, &Environment::from([("EMPTY", "")])).unwrap().postgres;
        let variables = [("INT", "1"), ("TEXT", "1.10")];
        let variables = variables.map(|(name, value)| (name, Some(value)));
        let variables = [("EMPTY", Some("")), ("NOWHERE", None)].into_iter().chain(variables);
        let variables = variables.map(|(name, value)| (name.to_owned(), value.map(str::to_owned)));
        assert_eq!(service.environment, variables.collect());
        assert_eq!((service.user, service.working_dir), (None, None));
        assert_eq!(service.command.unwrap(), ["a#b", "c;#", "d;e", "f g"]);
        let path = |path: &str| Source::Path(PathBuf::from(path));
        let mounts = [
            (path("/home/me/Cruddur.App/b/c"), "/x", false),
            (path("/home/me"), "/up", true),
            (path("/abs/e"), "/y", false),
            (Source::Volume("data".to_owned()), "/z", false),
        ];
        let mounts =
            mounts.map(|(source, target, read_only)| Mount { source, target: target.to_owned(), read_only });
        assert_eq!(service.volumes, mounts);
    }

    #[test]
    fn unsupported_keys_are_named() {
        insta::assert_snapshot!(error(&with_line("    ports: ['5432:5432']\n    privileged: true")));
        insta::assert_snapshot!(error("services:\n  db:\n    image: postgres\n"));
        insta::assert_snapshot!(error("services: [\n"));
        let cases = [
            (
                "    ports: ['0.0.0.0:5432:5432']",
                "services.db: ports: `0.0.0.0:5432:5432`: ports are published on 127.0.0.1 only",
            ),
            ("    ports: ['5432']", "services.db: ports: `5432`: expected [127.0.0.1:]HOST:CONTAINER"),
            (
                "    ports: ['70000:5432']",
                "services.db: ports: `70000:5432`: `70000` is not a port (1 to 65535)",
            ),
            (
                "    ports: ['5432:5432']\n    environment: {A: 1.10}",
                "services.db: environment: A: put the value in quotes",
            ),
            ("    ports: []", "services.db: ports: exactly one published port is expected, not 0"),
            ("    ports: ['5432:5432/udp']", "services.db: ports: `5432:5432/udp`: only TCP is supported"),
            (
                "    ports: ['5432:5432']\n    volumes: ['data:/x']",
                "services.db: volumes: volume `data` is not declared under the file's `volumes`",
            ),
            (
                "    ports: ['5432:5432']\n    user: ${WHO}",
                "services.db: user: variable WHO is not set and has no default: set it, or write ${WHO:-default}",
            ),
            (
                "    ports: ['5432:5432']\n    user: ${WHO:?no}",
                "services.db: user: `${WHO:?no}` is not supported: ${NAME} and ${NAME:-default} are, and $$ for a dollar sign",
            ),
            (
                "    ports: ['5432:5432']\n    user: '${WHO:-${OTHER:-me}}'",
                "services.db: user: `${WHO:-${OTHER:-me}` is not supported: ${NAME} and ${NAME:-default} are, and $$ for a dollar sign",
            ),
            (
                "    ports: ['8000:5432']",
                "services db and dynamodb-local both have port 8000: see POSTGRES_PORT and DYNAMODB_PORT",
            ),
        ];
        for (line, expected) in cases {
            assert_eq!(error(&with_line(line)), expected);
        }
    }

    #[test]
    fn a_port_of_the_environment_is_not_blamed_on_the_file() {
        let environment = Environment::from([("POSTGRES_PORT", "54x")]);
        let error = Compose::read(Path::new("/nonexistent"), &environment).unwrap_err();
        assert_eq!(error.to_string(), "POSTGRES_PORT: `54x` is not a port (1 to 65535)");
    }

    #[test]
    fn another_file_of_compose_s_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let text = with_line("    ports: ['5432:5432']");
        std::fs::write(folder.path().join(FILE), &text).unwrap();
        let other = |environment: &Environment| {
            let folder = folder.path();
            let compose = Compose::parse(&folder.join("x"), &text, environment).unwrap();
            Compose { folder: folder.to_owned(), ..compose }.other_source(environment)
        };
        let none = Environment::default();
        assert_eq!(other(&none), None);
        std::fs::write(folder.path().join("compose.override.yml"), "").unwrap();
        assert_eq!(other(&none), Some("compose.override.yml"));
        assert_eq!(other(&Environment::from([("COMPOSE_FILE", FILE)])), None);
        assert_eq!(other(&Environment::from([("COMPOSE_FILE", "a.yml")])), Some("COMPOSE_FILE"));
    }
}
