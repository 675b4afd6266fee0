//! The docker CLI's files on this machine: config.json and the current context.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::environment::Environment;
use crate::error::Failure;
use crate::text::hex;
use crate::ui::Ui;
use anyhow::{Context as _, Result, anyhow};
use bollard::auth::DockerCredentials;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::find::Place;

/// The CLI's config.json.
/// <https://docs.docker.com/reference/cli/docker/#configuration-files>
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Config {
    current_context: Option<String>,
    /// The credentials that `docker login` stored in this file, by registry: `auth` is `user:password` in base64.
    pub(super) auths: Option<BTreeMap<String, DockerCredentials>>,
    /// The helper program for all registries: NAME in `docker-credential-NAME`.
    pub(super) creds_store: Option<String>,
    /// The helper programs for single registries.
    pub(super) cred_helpers: Option<BTreeMap<String, String>>,
}

fn folder(environment: &Environment) -> Option<PathBuf> {
    let chosen = environment.process_only("DOCKER_CONFIG").map(PathBuf::from);
    chosen.or_else(|| Some(environment.home()?.join(".docker")))
}

/// The folder of the certificates for DOCKER_HOST.
/// <https://docs.docker.com/reference/cli/docker/#environment-variables>
pub(super) fn certificates(environment: &Environment) -> PathBuf {
    let chosen = environment.process_only("DOCKER_CERT_PATH").map(PathBuf::from);
    chosen.or_else(|| folder(environment)).unwrap_or_default()
}

impl Config {
    /// Reads config.json. Like the CLI, warns about an invalid file and ignores it.
    pub(super) fn read(environment: &Environment, ui: &Ui) -> Self {
        let Some(folder) = folder(environment) else { return Self::default() };
        read_json(&folder.join("config.json")).map(Option::unwrap_or_default).unwrap_or_else(|error| {
            ui.warn(format_args!("the docker CLI's settings are ignored: {error:#}"));
            Self::default()
        })
    }

    /// Reads DOCKER_AUTH_CONFIG, which has the form of config.json's `auths`.
    /// <https://docs.docker.com/reference/cli/docker/#environment-variables>
    pub(super) fn of_variable(environment: &Environment, ui: &Ui) -> Self {
        let text = environment.process_only("DOCKER_AUTH_CONFIG").unwrap_or("{}");
        serde_json::from_str(text).unwrap_or_else(|_| {
            ui.warn("DOCKER_AUTH_CONFIG is ignored: it is not the JSON that the docker CLI takes");
            Self::default()
        })
    }

    /// The current context, unless it is the default one.
    /// <https://docs.docker.com/engine/manage-resources/contexts/>
    pub(super) fn current_context(&self, environment: &Environment) -> Result<Option<Place>> {
        let name = environment.process_only("DOCKER_CONTEXT").or(self.current_context.as_deref());
        let Some(name) = name.filter(|name| !["", "default"].contains(name)) else { return Ok(None) };
        let remedy = "choose another with `docker context use NAME`, set DOCKER_HOST, or do without Docker: \
                      `--engine embedded`";
        let fails = |problem: String| Failure::usage(problem, remedy);
        // The folder's name is the hash of the context's name, so other contexts are not read.
        let id = hex(&Sha256::digest(name));
        let contexts = folder(environment).unwrap_or_default().join("contexts");
        let path = contexts.join("meta").join(&id).join("meta.json");
        let unreadable = || fails(format!("docker context `{name}` cannot be read"));
        let metadata: Option<Value> = read_json(&path).map_err(|error| unreadable().caused_by(error))?;
        let metadata = metadata.ok_or_else(|| {
            fails(format!("docker context `{name}` is not defined: there is no {}", path.display()))
        })?;
        let endpoint = metadata.pointer("/Endpoints/docker").ok_or_else(unreadable)?;
        let Some(host) = endpoint["Host"].as_str().filter(|host| !host.is_empty()) else { return Ok(None) };
        let certificates =
            Some(contexts.join("tls").join(id).join("docker")).filter(|folder| folder.is_dir());
        Ok(Some(Place { host: host.to_owned(), origin: format!("docker context {name}"), certificates }))
    }
}

/// Reads a JSON file; `None` if it does not exist.
fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    match std::fs::read(path) {
        // The parser's message could quote a secret from the file.
        Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|error| {
            anyhow!(
                "{}:{}:{}: not the JSON that the docker CLI writes",
                path.display(),
                error.line(),
                error.column()
            )
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}
