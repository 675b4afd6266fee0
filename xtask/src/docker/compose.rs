//! `docker-compose.yml`: the one definition of the two services, read and checked here.
//!
//! A subset of the compose specification, but never a silent one: a key of the two services that is not
//! understood is an error. <https://github.com/compose-spec/compose-spec/blob/main/spec.md>

mod file;
mod hash;
mod others;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::environment::Environment;
use anyhow::{Context as _, Result, ensure};
use serde::de::DeserializeOwned;

pub(crate) use self::file::clean;
use self::file::{File, Reader, Services};

/// The file's name, in the workspace's top folder.
pub(crate) const FILE: &str = "docker-compose.yml";

/// The largest file that is read, in bytes, and the most lists and maps in brackets: where these are nested, the
/// time that YAML takes grows with the square of their number.
const LARGEST: usize = 1 << 20;
const MOST_BRACKETS: usize = 1_000;

/// The compose file, with its variables filled in.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Compose {
    /// The project name that `docker compose` would use: it owns the containers and volumes.
    pub(crate) project: String,
    /// The user set the project name: it does not give way to another checkout's.
    pub(crate) project_is_fixed: bool,
    /// This checkout has used the project before.
    pub(crate) project_is_remembered: bool,
    /// The folder of the file, which compose records on each container.
    pub(crate) folder: PathBuf,
    /// Postgres.
    pub(crate) postgres: Service,
    /// DynamoDB Local.
    pub(crate) dynamodb: Service,
}

/// One service as compose defines it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Service {
    /// Its key in the file.
    pub(crate) name: &'static str,
    /// The image's name, with a tag or digest where the file has one.
    pub(crate) image: String,
    /// The one published port.
    pub(crate) port: Port,
    /// Variables for the container; one without a value is taken out of the image's.
    pub(crate) environment: BTreeMap<String, Option<String>>,
    /// Arguments in place of the image's own.
    pub(crate) command: Option<Vec<String>>,
    /// What is mounted.
    pub(crate) volumes: Vec<Mount>,
    /// The user in place of the image's own.
    pub(crate) user: Option<String>,
    /// The folder to start in, in place of the image's own.
    pub(crate) working_dir: Option<String>,
}

/// The variable by which the file takes a service's port.
pub(crate) fn port_variable(service: &str) -> &'static str {
    if service == "db" { "POSTGRES_PORT" } else { "DYNAMODB_PORT" }
}

/// A container's TCP port, published on 127.0.0.1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Port {
    /// The port of this machine.
    pub(crate) host: u16,
    /// The port in the container.
    pub(crate) container: u16,
    /// The user set it: it does not move when it is taken.
    pub(crate) fixed: bool,
}

/// Something mounted into a container.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Mount {
    /// Where it comes from.
    pub(crate) source: Source,
    /// Absolute path in the container.
    pub(crate) target: String,
    /// The container may not write to it.
    pub(crate) read_only: bool,
}

/// Where a mount comes from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Source {
    /// A volume by its key under the file's `volumes`; the project's name is put before it.
    Volume(String),
    /// A file or folder of this machine.
    Path(PathBuf),
}

impl Compose {
    /// Reads and checks the compose file in `folder`, and that `docker compose` makes the same of it there.
    ///
    /// # Errors
    /// A file that is missing, not YAML, or uses what is not supported: the message names file and key. Or another
    /// one, which compose reads as well and which says something of the two services.
    pub(crate) fn read(folder: &Path, environment: &Environment) -> Result<Self> {
        let path = folder.join(FILE);
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}, which defines the two services", path.display()))?;
        let compose =
            Self::parse(folder, &text, environment).with_context(|| format!("in {}", path.display()))?;
        others::check(&compose, environment)?;
        Ok(compose)
    }

    /// Checks a compose file's text; `folder` is where it is.
    ///
    /// # Errors
    /// As [`Compose::read`]; the message names the key.
    pub(crate) fn parse(folder: &Path, text: &str, environment: &Environment) -> Result<Self> {
        let file: File<Services> = yaml(text)?;
        file.check()?;
        let reader = Reader { folder, file: text, environment, volumes: &file.volumes };
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

    /// The user and password that the server is created with. Unset, they are what the postgres image
    /// takes: <https://hub.docker.com/_/postgres>
    pub(crate) fn postgres_login(&self) -> (&str, &str) {
        let variable = |name: &str| self.postgres.environment.get(name).and_then(Option::as_deref);
        (variable("POSTGRES_USER").unwrap_or("postgres"), variable("POSTGRES_PASSWORD").unwrap_or_default())
    }

    /// The settings that the server is started with: what follows each `-c` of its command, as `name=value`.
    /// <https://www.postgresql.org/docs/current/app-postgres.html>
    pub(crate) fn postgres_settings(&self) -> Vec<&str> {
        let words = self.postgres.command.as_deref().unwrap_or_default();
        words.windows(2).filter(|pair| pair[0] == "-c").map(|pair| pair[1].as_str()).collect()
    }

    /// Whether the file is in that folder, which may be reached by links.
    pub(crate) fn is_in(&self, folder: &Path) -> bool {
        let real = |folder: &Path| folder.canonicalize().ok();
        folder == self.folder || real(folder).is_some_and(|folder| real(&self.folder) == Some(folder))
    }

    /// The two services, in the order in which they are set up.
    pub(crate) fn services(&self) -> [&Service; 2] {
        [&self.postgres, &self.dynamodb]
    }
}

/// What a compose file's text says.
///
/// # Errors
/// It is not YAML, has another shape, or would take long.
fn yaml<T: DeserializeOwned>(text: &str) -> Result<T> {
    ensure!(text.len() <= LARGEST, "it is larger than {LARGEST} bytes");
    ensure!(brackets(text) <= MOST_BRACKETS, "it has more than {MOST_BRACKETS} lists and maps in brackets");
    Ok(yaml_serde::from_str(text)?)
}

/// How many lists and maps are in brackets, at most: not `${NAME}`, but what a text holds is counted.
fn brackets(text: &str) -> usize {
    // The search for one character is the standard library's, which is optimised in every profile.
    let maps = text.match_indices('{').filter(|(at, _)| !text[..*at].ends_with('$'));
    text.matches('[').count() + maps.count()
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

    /// The smallest good file, with `line` added to the service `db`.
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
        assert!(last.eq(["-jar", "DynamoDBLocal.jar", "-sharedDb", "-inMemory"]), "{command:?}");
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
            "    ports: ['5432:5432']\n    environment: {A: 1.10, B: 'x y', C: true, D: }\n    command: -c 'a b'",
        );
        let list = with_line(
            "    ports: ['5432:5432']\n    environment: [A=1.10, B=x y, C=true, D]\n    command: ['-c', 'a b']",
        );
        let environment = Environment::from([("D", "from here")]);
        let [map, mut list] = [map, list].map(|text| parse(&text, &environment).unwrap());
        // In a list it is a text; in a map a number, as compose has it.
        let other = list.postgres.environment.insert("A".to_owned(), Some("1.1".to_owned()));
        assert_eq!(other.unwrap().as_deref(), Some("1.10"));
        assert_eq!(map, list);
        assert_eq!(map.postgres.environment["C"].as_deref(), Some("true"));
        assert_eq!(map.postgres.environment["D"].as_deref(), Some("from here"));
        assert_eq!(map.postgres.command.unwrap(), ["-c", "a b"]);
    }

    /// Each as `docker compose config` has it.
    #[test]
    fn values_are_compose_s() {
        let text = with_line(
            "    ports: ['5432:5432']
    environment: {NOWHERE: , INT: +1, HEX: 0x10, HALF: .5, ONE: 1.0, BIG: 18446744073709551615, TEXT: '1.10', EMPTY: }
    user: ${EMPTY}
    working_dir: ''
    command: a#b 'c;#' d\\;e \"f g\"
    volumes: ['./a/../b//c/:/x/', '..:/up:ro', '/abs//./d/../e/:/y', 'data:/z']",
        ) + "volumes: {data: }";
        let service = parse(&text, &Environment::from([("EMPTY", "")])).unwrap().postgres;
        let variables = [
            ("BIG", "18446744073709551615"),
            ("HALF", "0.5"),
            ("HEX", "16"),
            ("INT", "1"),
            ("ONE", "1"),
            ("TEXT", "1.10"),
        ];
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
            (path("/abs//./d/../e/"), "/y", false),
            (Source::Volume("data".to_owned()), "/z", false),
        ];
        let mounts =
            mounts.map(|(source, target, read_only)| Mount { source, target: target.to_owned(), read_only });
        assert_eq!(service.volumes, mounts);
    }

    #[test]
    fn what_is_not_supported_is_named() {
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
                "    ports: ['5432:5432']\n    environment: ['${A}=1']",
                "services.db: environment: `${A}`: a variable's name is taken as it stands, without another in it",
            ),
            (
                "    ports: ['5432:5432']\n    environment: {A: 1e30}",
                "services.db: environment: A: a number of this size has more than one form: put it in quotes",
            ),
            (
                "    ports: ['5432:5432']\n    command: 'a; b'",
                "services.db: command: `;` outside of quotes: no shell reads this; put it in quotes, or write a list of words",
            ),
            (
                "    ports: ['5432:5432']\n    command: 'a #b'",
                "services.db: command: `#` outside of quotes: no shell reads this; put it in quotes, or write a list of words",
            ),
            (
                "    ports: ['5432:5432']\n    volumes: ['./a:/x', './b:/x/']",
                "services.db: volumes: `/x` is mounted twice",
            ),
            (
                "    ports: ['5432:5432']\n    environment: {A: 1234567.5}",
                "services.db: environment: A: a number of this size has more than one form: put it in quotes",
            ),
            ("    ports: []", "services.db: ports: exactly one published port is expected, not 0"),
            ("    ports: ['5432:5432/udp']", "services.db: ports: `5432:5432/udp`: only TCP is supported"),
            (
                "    ports: ['5432:5432']\n    volumes: ['data:/x']",
                "services.db: volumes: `data:/x`: volume `data` is not declared under the file's `volumes`",
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

    /// Each as `docker compose config` has it.
    #[test]
    fn numbers_that_compose_reads_otherwise_are_refused() {
        let with = |line: &str| with_line(&format!("    ports: ['5432:5432']\n    environment: {line}"));
        for number in [
            "012",
            "-012",
            "019",
            "1_000",
            "1_0.5",
            "1_",
            "0X1F",
            "0x1_0",
            "0B11",
            "2001-1-1",
            "2001-01-01 10:00:00",
        ] {
            let why = format!(
                "services.db: environment: A: `{number}` is another number to compose, or a date: put it in quotes"
            );
            assert_eq!(error(&with(&format!("{{B: 1, \"A\":   {number}}}"))), why);
            for good in [format!("{{A: '{number}'}}"), format!("['A={number}']")] {
                let compose = parse(&with(&good), &Environment::default()).unwrap();
                assert_eq!(compose.postgres.environment["A"].as_deref(), Some(number));
            }
        }
        for text in ["_1", "1_a", "0o18", "1:30", "127.0.0.1", "2001-13-01", "1,000", "0x", "+", "."] {
            let compose = parse(&with(&format!("\n      A: {text}")), &Environment::default()).unwrap();
            assert_eq!(compose.postgres.environment["A"].as_deref(), Some(text));
        }
    }

    #[test]
    fn what_would_make_something_else_of_the_services_is_named() {
        let text = with_line("    ports: ['5432:5432']");
        assert_eq!(
            error(&format!("{text}networks: {{default: {{name: mine}}}}")),
            "networks.default: not supported: the two services are on the project's own network"
        );
        assert_eq!(
            error(&format!("{text}include: [other.yml]")),
            "include: not supported: the two services are read from docker-compose.yml alone"
        );
        let of_the_app_s = format!("{text}networks: {{default: , front: {{internal: true}}}}");
        assert!(parse(&of_the_app_s, &Environment::default()).is_ok());
    }

    #[test]
    fn what_would_take_yaml_long_is_refused() {
        let nested = error(&format!("services: {}", "{a: ".repeat(100_000)));
        assert_eq!(nested, "it has more than 1000 lists and maps in brackets");
        assert_eq!(error(&"#".repeat(LARGEST + 1)), "it is larger than 1048576 bytes");
        assert_eq!(brackets("a: [{b: ${C}}, $${d}]"), 2);
    }

    /// Twenty anchors, each nine times the one before it.
    #[test]
    fn aliases_do_not_multiply() {
        let bomb = (1..20).fold("a0: &a0 [x]\n".to_owned(), |bomb, level| {
            let aliases = vec![format!("*a{}", level - 1); 9].join(", ");
            format!("{bomb}a{level}: &a{level} [{aliases}]\n")
        });
        let beside = with_line("    ports: ['5432:5432']");
        assert!(parse(&format!("{bomb}{beside}"), &Environment::default()).is_ok());
        let inside = with_line("    ports: ['5432:5432']\n    environment: {A: *a19}");
        assert_eq!(error(&format!("{bomb}{inside}")), "repetition limit exceeded");
    }
}
