//! `docker-compose.yml`: the one definition of the two services, read and checked here.
//!
//! A subset of the compose specification, but never a silent one: a key of the two services that is not
//! understood is an error. <https://github.com/compose-spec/compose-spec/blob/main/spec.md>

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use xtask_base::environment::Environment;
use xtask_base::interpolation::fill_in;

/// The file's name, in the workspace's top folder.
pub const FILE: &str = "docker-compose.yml";

/// The largest file that is read, in bytes, and the most lists and maps in brackets: where these are nested, the
/// time that YAML takes grows with the square of their number.
const LARGEST: usize = 1 << 20;
const MOST_BRACKETS: usize = 1_000;

/// The compose file, with its variables filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct Compose {
    /// The project name that `docker compose` would use: it owns the containers and volumes.
    pub project: String,
    /// The user set the project name: it does not give way to another checkout's.
    pub project_is_fixed: bool,
    /// This checkout has used the project before.
    pub project_is_remembered: bool,
    /// The folder of the file, which compose records on each container.
    pub folder: PathBuf,
    /// Postgres.
    pub postgres: Service,
    /// DynamoDB Local.
    pub dynamodb: Service,
}

/// One service as compose defines it.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    /// Its key in the file.
    pub name: &'static str,
    /// The image's name, with a tag or digest where the file has one.
    pub image: String,
    /// The one published port.
    pub port: Port,
    /// Variables for the container.
    pub environment: BTreeMap<String, String>,
    /// Arguments in place of the image's own.
    pub command: Option<Vec<String>>,
    /// What is mounted.
    pub volumes: Vec<Mount>,
    /// The user in place of the image's own.
    pub user: Option<String>,
    /// The folder to start in, in place of the image's own.
    pub working_dir: Option<String>,
}

/// The variable by which the file takes a service's port.
pub fn port_variable(service: &str) -> &'static str {
    if service == "db" { "POSTGRES_PORT" } else { "DYNAMODB_PORT" }
}

/// A container's TCP port, published on 127.0.0.1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Port {
    /// The port of this machine.
    pub host: u16,
    /// The port in the container.
    pub container: u16,
    /// The user set it: it does not move when it is taken.
    pub fixed: bool,
}

/// Something mounted into a container.
#[derive(Debug, Clone, PartialEq)]
pub struct Mount {
    /// Where it comes from.
    pub source: Source,
    /// Absolute path in the container.
    pub target: String,
    /// The container may not write to it.
    pub read_only: bool,
}

/// Where a mount comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// A volume by its key under the file's `volumes`; the project's name is put before it.
    Volume(String),
    /// A file or folder of this machine.
    Path(PathBuf),
}

impl Compose {
    /// Reads and checks the compose file in `folder`.
    ///
    /// # Errors
    /// A file that is missing, not YAML, or uses what is not supported: the message names file and key.
    pub fn read(folder: &Path, environment: &Environment) -> Result<Self> {
        let path = folder.join(FILE);
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}, which defines the two services", path.display()))?;
        Self::parse(folder, &text, environment).with_context(|| format!("in {}", path.display()))
    }

    /// Checks a compose file's text; `folder` is where it is.
    ///
    /// # Errors
    /// As [`Compose::read`]; the message names the key.
    pub fn parse(folder: &Path, text: &str, environment: &Environment) -> Result<Self> {
        ensure!(text.len() <= LARGEST, "it is larger than {LARGEST} bytes");
        ensure!(
            brackets(text) <= MOST_BRACKETS,
            "it has more than {MOST_BRACKETS} lists and maps in brackets"
        );
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

    /// The user and password that the server is created with. Unset, they are what the postgres image
    /// takes: <https://hub.docker.com/_/postgres>
    pub fn postgres_login(&self) -> (&str, &str) {
        let variable = |name: &str| self.postgres.environment.get(name).map(String::as_str);
        (variable("POSTGRES_USER").unwrap_or("postgres"), variable("POSTGRES_PASSWORD").unwrap_or_default())
    }

    /// The settings that the server is started with: what follows each `-c` of its command, as `name=value`.
    /// <https://www.postgresql.org/docs/current/app-postgres.html>
    pub fn postgres_settings(&self) -> Vec<&str> {
        let words = self.postgres.command.as_deref().unwrap_or_default();
        words.windows(2).filter(|pair| pair[0] == "-c").map(|pair| pair[1].as_str()).collect()
    }

    /// The two services, in the order in which they are set up.
    pub fn services(&self) -> [&Service; 2] {
        [&self.postgres, &self.dynamodb]
    }
}

#[derive(Deserialize)]
struct File {
    name: Option<String>,
    services: Services,
    #[serde(default)]
    volumes: BTreeMap<String, Option<VolumeOptions>>,
}

/// The two services of ours; the app's own may stand beside them.
#[derive(Deserialize)]
#[serde(expecting = "services by name")]
struct Services {
    db: RawService,
    #[serde(rename = "dynamodb-local")]
    dynamodb_local: RawService,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a service as keys and values")]
struct RawService {
    image: String,
    #[serde(default)]
    ports: Vec<String>,
    #[serde(default)]
    environment: Variables,
    command: Option<Words>,
    #[serde(default)]
    volumes: Vec<String>,
    user: Option<String>,
    working_dir: Option<String>,
}

/// A named volume takes no options: another driver or name would need its own support.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VolumeOptions {}

/// `environment:`, as a map or as a list of `NAME=value`; a name alone takes the value it has here.
#[derive(Default)]
struct Variables(Vec<(String, Option<String>)>);

impl<'de> Deserialize<'de> for Variables {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(VariablesVisitor)
    }
}

/// Reads each value as the text it is: an untagged enum would make a number of `1.10` first.
struct VariablesVisitor;

impl<'de> Visitor<'de> for VariablesVisitor {
    type Value = Variables;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a map of variables or a list of NAME=value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Variables, A::Error> {
        let mut variables = Vec::new();
        while let Some(variable) = map.next_entry()? {
            variables.push(variable);
        }
        Ok(Variables(variables))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Variables, A::Error> {
        let mut variables = Vec::new();
        while let Some(entry) = sequence.next_element::<String>()? {
            variables.push(match entry.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (entry, None),
            });
        }
        Ok(Variables(variables))
    }
}

/// `command:`, as one string in shell words or as a list.
#[derive(Deserialize)]
#[serde(untagged, expecting = "command: a text, or a list of texts, is expected")]
enum Words {
    List(Vec<String>),
    Line(String),
}

/// What turning the file's text into services needs to know.
struct Reader<'a> {
    folder: &'a Path,
    environment: &'a Environment,
    volumes: &'a BTreeMap<String, Option<VolumeOptions>>,
}

impl Reader<'_> {
    /// `COMPOSE_PROJECT_NAME`, the file's `name`, or the folder's name in the letters compose allows.
    fn project(&self, name: Option<&str>) -> Result<String> {
        if let Some(name) = self.environment.get("COMPOSE_PROJECT_NAME") {
            return checked_project_name(name).context("COMPOSE_PROJECT_NAME");
        }
        if let Some(name) = name {
            return checked_project_name(&self.fill_in(name)?).context("name");
        }
        let folder = self.folder.file_name().map(|name| name.to_string_lossy().to_lowercase());
        let name: String = folder.unwrap_or_default().chars().filter(|c| is_project_letter(*c)).collect();
        checked_project_name(name.trim_start_matches(['-', '_']))
            .context("no project name can be made of the folder's name; set COMPOSE_PROJECT_NAME")
    }

    fn service(&self, name: &'static str, raw: RawService) -> Result<Service> {
        self.service_parts(name, raw).with_context(|| format!("services.{name}"))
    }

    fn service_parts(&self, name: &'static str, raw: RawService) -> Result<Service> {
        let fill_in = |text: String| self.fill_in(&text);
        Ok(Service {
            name,
            image: self.image(&raw.image).context("image")?,
            port: self.port(name, &raw.ports).context("ports")?,
            environment: self.variables(raw.environment).context("environment")?,
            command: raw.command.map(|words| self.command(words)).transpose().context("command")?,
            volumes: raw
                .volumes
                .iter()
                .map(|text| self.mount(text))
                .collect::<Result<_>>()
                .context("volumes")?,
            user: raw.user.map(fill_in).transpose().context("user")?,
            working_dir: raw.working_dir.map(fill_in).transpose().context("working_dir")?,
        })
    }

    fn image(&self, text: &str) -> Result<String> {
        let image = self.fill_in(text)?;
        ensure!(!image.trim().is_empty(), "`{text}` names no image");
        Ok(image)
    }

    fn port(&self, service: &str, ports: &[String]) -> Result<Port> {
        let [text] = ports else {
            bail!("exactly one published port is expected, not {}", ports.len());
        };
        let filled = self.fill_in(text)?;
        let (rest, protocol) = filled.rsplit_once('/').unwrap_or((&filled, "tcp"));
        ensure!(protocol == "tcp", "`{filled}`: only TCP is supported");
        let (address, ports) = match rest.rsplitn(3, ':').collect::<Vec<_>>()[..] {
            [container, host, address] => (address, (host, container)),
            [container, host] => ("127.0.0.1", (host, container)),
            _ => bail!("`{filled}`: expected [127.0.0.1:]HOST:CONTAINER"),
        };
        ensure!(address == "127.0.0.1", "`{filled}`: ports are published on 127.0.0.1 only");
        let number = |text: &str| {
            let port = text.parse::<u16>().ok().filter(|port| *port != 0);
            port.with_context(|| format!("`{filled}`: `{text}` is not a port (1 to 65535)"))
        };
        let fixed = self.environment.get(port_variable(service)).is_some();
        Ok(Port { host: number(ports.0)?, container: number(ports.1)?, fixed })
    }

    fn variables(&self, variables: Variables) -> Result<BTreeMap<String, String>> {
        let mut filled = BTreeMap::new();
        for (name, value) in variables.0 {
            ensure!(
                !name.contains('$'),
                "`{name}`: a variable's name is taken as it stands, without another in it"
            );
            let value = match value {
                Some(text) => Some(self.fill_in(&text).with_context(|| name.clone())?),
                None => self.environment.get(&name).map(str::to_owned),
            };
            filled.extend(value.map(|value| (name, value)));
        }
        Ok(filled)
    }

    fn command(&self, words: Words) -> Result<Vec<String>> {
        match words {
            Words::List(words) => words.iter().map(|word| self.fill_in(word)).collect(),
            Words::Line(line) => Ok(shell_words::split(&self.fill_in(&line)?)?),
        }
    }

    fn mount(&self, text: &str) -> Result<Mount> {
        let filled = self.fill_in(text)?;
        let parts: Vec<&str> = filled.split(':').collect();
        let (source, target, read_only) = match parts[..] {
            [source, target] | [source, target, "rw"] => (source, target, false),
            [source, target, "ro"] => (source, target, true),
            _ => bail!("`{filled}`: expected SOURCE:TARGET or SOURCE:TARGET:ro"),
        };
        ensure!(target.starts_with('/'), "`{filled}`: the target must be an absolute path");
        let source = if source.starts_with(['.', '/']) {
            Source::Path(self.folder.join(source.trim_start_matches("./")))
        } else {
            ensure!(
                self.volumes.contains_key(source),
                "`{filled}`: volume `{source}` is not declared under the file's `volumes`"
            );
            Source::Volume(source.to_owned())
        };
        Ok(Mount { source, target: target.to_owned(), read_only })
    }

    fn fill_in(&self, text: &str) -> Result<String> {
        fill_in(text, &|name| self.environment.get_or_empty(name))
    }
}

/// How many lists and maps are in brackets, at most: not `${NAME}`, but what a text holds is counted.
fn brackets(text: &str) -> usize {
    // The search for one character is the standard library's, which is optimised in every profile.
    let maps = text.match_indices('{').filter(|(at, _)| !text[..*at].ends_with('$'));
    text.matches('[').count() + maps.count()
}

fn is_project_letter(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_'
}

fn checked_project_name(name: &str) -> Result<String> {
    let first = name.chars().next();
    ensure!(
        first.is_some_and(|c| c.is_ascii_alphanumeric()) && name.chars().all(is_project_letter),
        "`{name}` is not a project name (lower-case letters, digits, - and _, a letter or digit first)"
    );
    Ok(name.to_owned())
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
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().parent().unwrap();
        let environment =
            Environment::from([("DYNAMODB_IMAGE", "mirror/dynamodb"), ("POSTGRES_PORT", "5433")]);
        let compose = Compose::read(folder, &environment).unwrap();
        assert_eq!(compose.postgres.image, "postgres:17-alpine");
        assert_eq!(compose.postgres.port, Port { host: 5433, container: 5432, fixed: true });
        assert_eq!(compose.postgres.environment["POSTGRES_PASSWORD"], "password");
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
        let [map, list] = [map, list].map(|text| parse(&text, &environment).unwrap());
        assert_eq!(map, list);
        assert_eq!(map.postgres.environment["C"], "true");
        assert_eq!(map.postgres.environment["D"], "from here");
        assert_eq!(map.postgres.command.unwrap(), ["-c", "a b"]);
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
        assert!(error(&format!("{bomb}{inside}")).contains("invalid type: sequence"));
    }
}
