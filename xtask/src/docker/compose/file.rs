//! The file's own shapes, and what its texts mean.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use crate::environment::Environment;
use crate::interpolation::fill_in;
use anyhow::{Context as _, Result, bail, ensure};
use chrono::NaiveDate;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Mount, Port, Service, Source, port_variable};

/// A compose file, by what is looked at of its services.
#[derive(Deserialize)]
pub(super) struct File<S> {
    pub(super) name: Option<String>,
    pub(super) services: S,
    #[serde(default)]
    pub(super) volumes: Volumes,
    #[serde(default)]
    networks: BTreeMap<String, Option<IgnoredAny>>,
    include: Option<IgnoredAny>,
}

/// Named volumes, each with its options, if there are any.
pub(super) type Volumes = BTreeMap<String, Option<BTreeMap<String, IgnoredAny>>>;

impl<S> File<S> {
    /// # Errors
    /// A key of the whole file that would make something else of the two services.
    pub(super) fn check(&self) -> Result<()> {
        ensure!(
            self.include.is_none(),
            "include: not supported: the two services are read from docker-compose.yml alone"
        );
        let is_given = self.networks.get("default").is_some_and(Option::is_some);
        ensure!(
            !is_given,
            "networks.default: not supported: the two services are on the project's own network"
        );
        Ok(())
    }
}

/// The two services of ours; the app's own may stand beside them.
#[derive(Deserialize)]
#[serde(expecting = "services by name")]
pub(super) struct Services {
    pub(super) db: RawService,
    #[serde(rename = "dynamodb-local")]
    pub(super) dynamodb_local: RawService,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a service as keys and values")]
pub(super) struct RawService {
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

/// A named volume of the two services takes no options: another driver or name would need its own support.
///
/// # Errors
/// There are some.
pub(super) fn check_volume(volumes: &Volumes, key: &str) -> Result<()> {
    let option = volumes.get(key).and_then(|options| options.as_ref()?.keys().next());
    match option {
        Some(option) => bail!("volumes.{key}: {option}: not supported: it is a volume without options"),
        None => Ok(()),
    }
}

/// `environment:`, as a map or as a list of `NAME=value`; a name alone takes the value it has here.
#[derive(Deserialize)]
#[serde(untagged, expecting = "environment: a map of variables or a list of NAME=value is expected")]
enum Variables {
    Map(BTreeMap<String, Option<Scalar>>),
    List(Vec<String>),
}

impl Default for Variables {
    fn default() -> Self {
        Self::List(Vec::new())
    }
}

impl Variables {
    /// Each name with the text that YAML has for it, if there is one. `file` is the whole file's text.
    fn texts(self, file: &str) -> Result<Vec<(String, Option<String>)>> {
        let text = |(name, value): (String, Option<Scalar>)| {
            if let Some(Scalar::Text(text)) = &value {
                let is_number = is_number_to_compose(text) && is_plain(file, &name, text);
                ensure!(
                    !is_number,
                    "{name}: `{text}` is another number to compose, or a date: put it in quotes"
                );
            }
            match value.map(Scalar::text).transpose() {
                Ok(text) => Ok((name, text)),
                Err(error) => Err(error.context(name)),
            }
        };
        match self {
            Self::Map(variables) => variables.into_iter().map(text).collect(),
            Self::List(entries) => Ok(entries
                .into_iter()
                .map(|entry| match entry.split_once('=') {
                    Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                    None => (entry, None),
                })
                .collect()),
        }
    }
}

/// A value of YAML.
#[derive(Deserialize)]
#[serde(untagged)]
enum Scalar {
    Text(String),
    Truth(bool),
    Whole(i64),
    Large(u64),
    Fraction(f64),
}

impl Scalar {
    /// What compose makes of it: of a number the shortest digits, so that `1.10` is 1.1 and `0x10` is 16.
    fn text(self) -> Result<String> {
        Ok(match self {
            Self::Text(text) => text,
            Self::Truth(truth) => truth.to_string(),
            Self::Whole(number) => number.to_string(),
            Self::Large(number) => number.to_string(),
            Self::Fraction(number) => {
                let has_no_exponent = number == 0.0 || (1e-4..1e6).contains(&number.abs());
                ensure!(has_no_exponent, "a number of this size has more than one form: put it in quotes");
                number.to_string()
            }
        })
    }
}

/// Whether compose takes a text without quotes for a number or a date, as YAML 1.1 does: `012` is 10, `1_000` is 1000.
/// <https://github.com/go-yaml/yaml/blob/v3/resolve.go>
fn is_number_to_compose(text: &str) -> bool {
    let digits = text.trim_start_matches(['+', '-']).replace('_', "").to_lowercase();
    let is_decimal = digits.starts_with(|first: char| first.is_ascii_digit() || first == '.')
        && digits.parse::<f64>().is_ok();
    let has_base = [("0b", 2), ("0o", 8), ("0x", 16)].iter().any(|(prefix, base)| {
        digits.strip_prefix(prefix).is_some_and(|digits| u64::from_str_radix(digits, *base).is_ok())
    });
    let day = text.split(['T', 't', ' ']).next().unwrap_or_default();
    let is_date = NaiveDate::parse_from_str(day, "%Y-%m-%d").is_ok();
    !text.starts_with('_') && (is_decimal || has_base || is_date)
}

/// Whether the value stands behind its name without quotes, of which the YAML reader says nothing.
fn is_plain(file: &str, name: &str, value: &str) -> bool {
    file.split(name).skip(1).any(|rest| {
        let behind_name = rest.trim_start_matches(['"', '\'']).trim_start();
        behind_name.strip_prefix(':').is_some_and(|rest| rest.trim_start().starts_with(value))
    })
}

/// `command:`, as one string in shell words or as a list.
#[derive(Deserialize)]
#[serde(untagged, expecting = "command: a text, or a list of texts, is expected")]
enum Words {
    List(Vec<String>),
    Line(String),
}

/// What turning the file's text into services needs to know.
pub(super) struct Reader<'a> {
    pub(super) folder: &'a Path,
    /// The whole text.
    pub(super) file: &'a str,
    pub(super) environment: &'a Environment,
    pub(super) volumes: &'a Volumes,
}

impl Reader<'_> {
    /// `COMPOSE_PROJECT_NAME`, the file's `name`, or the folder's name in the letters compose allows.
    pub(super) fn project(&self, name: Option<&str>) -> Result<String> {
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

    pub(super) fn service(&self, name: &'static str, raw: RawService) -> Result<Service> {
        self.service_parts(name, raw).with_context(|| format!("services.{name}"))
    }

    fn service_parts(&self, name: &'static str, raw: RawService) -> Result<Service> {
        // An empty text is as if the key were not there.
        let optional = |text: Option<String>| -> Result<Option<String>> {
            let filled = text.map(|text| self.fill_in(&text)).transpose()?;
            Ok(filled.filter(|text| !text.is_empty()))
        };
        Ok(Service {
            name,
            image: self.image(&raw.image).context("image")?,
            port: self.port(name, &raw.ports).context("ports")?,
            environment: self.variables(raw.environment).context("environment")?,
            command: raw.command.map(|words| self.command(words)).transpose().context("command")?,
            volumes: self.mounts(&raw.volumes).context("volumes")?,
            user: optional(raw.user).context("user")?,
            working_dir: optional(raw.working_dir).context("working_dir")?,
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

    fn variables(&self, variables: Variables) -> Result<BTreeMap<String, Option<String>>> {
        let mut filled = BTreeMap::new();
        for (name, value) in variables.texts(self.file)? {
            ensure!(
                !name.contains('$'),
                "`{name}`: a variable's name is taken as it stands, without another in it"
            );
            let value = match value {
                Some(text) => Some(self.fill_in(&text).with_context(|| name.clone())?),
                None => self.environment.get_or_empty(&name).map(str::to_owned),
            };
            filled.insert(name, value);
        }
        Ok(filled)
    }

    fn command(&self, words: Words) -> Result<Vec<String>> {
        match words {
            Words::List(words) => words.iter().map(|word| self.fill_in(word)).collect(),
            Words::Line(line) => command_words(&self.fill_in(&line)?),
        }
    }

    fn mounts(&self, texts: &[String]) -> Result<Vec<Mount>> {
        let mut mounts = Vec::<Mount>::new();
        for text in texts {
            let mount = self.mount(text)?;
            let target = &mount.target;
            ensure!(mounts.iter().all(|other| other.target != *target), "`{target}` is mounted twice");
            mounts.push(mount);
        }
        Ok(mounts)
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
        let source = if source.starts_with('/') {
            // As it stands: compose does not touch it.
            Source::Path(PathBuf::from(source))
        } else if source.starts_with('.') {
            Source::Path(clean(&self.folder.join(source)))
        } else {
            ensure!(
                self.volumes.contains_key(source),
                "`{filled}`: volume `{source}` is not declared under the file's `volumes`"
            );
            check_volume(self.volumes, source)?;
            Source::Volume(source.to_owned())
        };
        Ok(Mount { source, target: clean(Path::new(target)).display().to_string(), read_only })
    }

    fn fill_in(&self, text: &str) -> Result<String> {
        fill_in(text, |name| self.environment.get_or_empty(name))
    }
}

/// The words of a command line.
///
/// # Errors
/// A quote that is not closed; or what a shell would do something with, at which compose stops reading or takes it for
/// a part of the word: <https://github.com/mattn/go-shellwords>
fn command_words(line: &str) -> Result<Vec<String>> {
    let (mut quote, mut is_escaped, mut before) = (None, false, ' ');
    for letter in line.chars() {
        let begins_comment = letter == '#' && before.is_whitespace();
        before = letter;
        match (quote, letter) {
            _ if is_escaped => is_escaped = false,
            (None | Some('"'), '\\') => is_escaped = true,
            (None, '"' | '\'') => quote = Some(letter),
            (Some(quoted), letter) if quoted == letter => quote = None,
            (None, letter) if begins_comment || ";&|<>()`".contains(letter) => {
                bail!(
                    "`{letter}` outside of quotes: no shell reads this; put it in quotes, or write a list of words"
                )
            }
            _ => {}
        }
    }
    Ok(shell_words::split(line)?)
}

/// The path without `.`, `..` and slashes too many, by its text alone: as the daemon tells it of a mount.
pub(crate) fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => _ = clean.pop(),
            part => clean.push(part),
        }
    }
    clean
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
