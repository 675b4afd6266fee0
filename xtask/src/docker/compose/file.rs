//! The types of the compose file, and the interpretation of their values.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use crate::environment::Environment;
use crate::interpolation::fill_in;
use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;
use serde::de::IgnoredAny;
use yaml_serde::Value;

use super::{Mount, Port, Service, Source, port_variable};

/// A compose file. Other keys and services are ignored.
#[derive(Deserialize)]
pub(super) struct File {
    pub(super) name: Option<String>,
    pub(super) services: RawServices,
    #[serde(default)]
    pub(super) volumes: Volumes,
}

/// Named volumes with their options.
type Volumes = BTreeMap<String, Option<BTreeMap<String, IgnoredAny>>>;

#[derive(Deserialize)]
#[serde(expecting = "services by name")]
pub(super) struct RawServices {
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
    environment: Value,
    #[serde(default)]
    command: Value,
    #[serde(default)]
    volumes: Vec<String>,
    user: Option<String>,
    working_dir: Option<String>,
}

/// Reads the file's values.
pub(super) struct Reader<'a> {
    pub(super) folder: &'a Path,
    pub(super) environment: &'a Environment,
    pub(super) volumes: &'a Volumes,
}

impl Reader<'_> {
    /// `COMPOSE_PROJECT_NAME`, the file's `name`, or the folder's name reduced to the characters that compose allows.
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
        Ok(Service {
            name,
            image: self.image(&raw.image).context("image")?,
            port: self.port(name, &raw.ports).context("ports")?,
            environment: self.variables(raw.environment).context("environment")?,
            command: self.command(&raw.command).context("command")?,
            volumes: raw
                .volumes
                .iter()
                .map(|text| self.mount(text))
                .collect::<Result<_>>()
                .context("volumes")?,
            user: self.optional(raw.user).context("user")?,
            working_dir: self.optional(raw.working_dir).context("working_dir")?,
        })
    }

    /// Treats an empty text like a missing key.
    fn optional(&self, text: Option<String>) -> Result<Option<String>> {
        let filled = text.map(|text| self.fill_in(&text)).transpose()?;
        Ok(filled.filter(|text| !text.is_empty()))
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
        let (address, host, container) = match rest.rsplitn(3, ':').collect::<Vec<_>>()[..] {
            [container, host, address] => (address, host, container),
            [container, host] => ("127.0.0.1", host, container),
            _ => bail!("`{filled}`: expected [127.0.0.1:]HOST:CONTAINER"),
        };
        ensure!(address == "127.0.0.1", "`{filled}`: ports are published on 127.0.0.1 only");
        let number = |text: &str| {
            port_number(text).with_context(|| format!("`{filled}`: `{text}` is not a port (1 to 65535)"))
        };
        let fixed = self.environment.get(port_variable(service)).is_some();
        Ok(Port { host: number(host)?, container: number(container)?, fixed })
    }

    /// `environment:`, as a map or as a list of `NAME=value`. A bare name takes its value from our environment.
    fn variables(&self, given: Value) -> Result<BTreeMap<String, Option<String>>> {
        const FORMS: &str = "a map of variables or a list of NAME=value is expected";
        let mut variables = BTreeMap::new();
        let mut add = |name: &str, value: Option<String>| {
            let value = match value {
                Some(text) => Some(self.fill_in(&text).with_context(|| name.to_owned())?),
                None => self.environment.get_or_empty(name).map(str::to_owned),
            };
            variables.insert(name.to_owned(), value);
            anyhow::Ok(())
        };
        match given {
            Value::Null => {}
            Value::Mapping(given) => {
                for (name, value) in given {
                    let name = name.as_str().context(FORMS)?;
                    add(name, scalar(value).with_context(|| name.to_owned())?)?;
                }
            }
            Value::Sequence(given) => {
                for entry in given {
                    let entry = entry.as_str().context(FORMS)?;
                    let (name, value) =
                        entry.split_once('=').map_or((entry, None), |(name, value)| (name, Some(value)));
                    add(name, value.map(str::to_owned))?;
                }
            }
            _ => bail!(FORMS),
        }
        Ok(variables)
    }

    /// `command:`, as a list or as one string of shell words.
    fn command(&self, given: &Value) -> Result<Option<Vec<String>>> {
        const FORMS: &str = "a text, or a list of texts, is expected";
        match given {
            Value::Null => Ok(None),
            Value::String(line) => Ok(Some(shell_words::split(&self.fill_in(line)?)?)),
            Value::Sequence(words) => words
                .iter()
                .map(|word| self.fill_in(word.as_str().context(FORMS)?))
                .collect::<Result<_>>()
                .map(Some),
            _ => bail!(FORMS),
        }
    }

    fn mount(&self, text: &str) -> Result<Mount> {
        let filled = self.fill_in(text)?;
        let (source, target, read_only) = match filled.split(':').collect::<Vec<_>>()[..] {
            [source, target] | [source, target, "rw"] => (source, target, false),
            [source, target, "ro"] => (source, target, true),
            _ => bail!("`{filled}`: expected SOURCE:TARGET or SOURCE:TARGET:ro"),
        };
        ensure!(target.starts_with('/'), "`{filled}`: the target must be an absolute path");
        let source = if source.starts_with(['/', '.']) {
            Source::Path(clean(&self.folder.join(source)))
        } else {
            self.check_volume(source)?;
            Source::Volume(source.to_owned())
        };
        Ok(Mount { source, target: clean(Path::new(target)).display().to_string(), read_only })
    }

    /// Fails if a volume has a driver or a name, which would need support.
    fn check_volume(&self, key: &str) -> Result<()> {
        let options = self.volumes.get(key);
        let options =
            options.with_context(|| format!("volume `{key}` is not declared under the file's `volumes`"))?;
        if let Some(option) = options.as_ref().and_then(|options| options.keys().next()) {
            bail!("volumes.{key}: {option}: not supported: it is a volume without options");
        }
        Ok(())
    }

    fn fill_in(&self, text: &str) -> Result<String> {
        fill_in(text, |name| self.environment.get_or_empty(name))
    }
}

/// A variable's value as text. Compose changes the form of fractions, so they must be quoted.
fn scalar(value: Value) -> Result<Option<String>> {
    Ok(match value {
        Value::Null => None,
        Value::String(text) => Some(text),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Number(number) if number.is_i64() => Some(number.to_string()),
        _ => bail!("put the value in quotes"),
    })
}

pub(super) fn port_number(text: &str) -> Option<u16> {
    text.parse().ok().filter(|port| *port != 0)
}

/// The path without `.`, `..` and surplus slashes, in the form that the daemon reports.
fn clean(path: &Path) -> PathBuf {
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
