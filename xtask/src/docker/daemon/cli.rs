//! The docker CLI's files on this machine: config.json and the current context.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::environment::Environment;
use crate::error::Failure;
use crate::text::hex;
use crate::ui::Ui;
use anyhow::{Context as _, Result, anyhow};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

/// The CLI's config.json.
/// <https://docs.docker.com/reference/cli/docker/#configuration-files>
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Config {
    current_context: Option<String>,
    /// The credentials that `docker login` stored in this file, by registry.
    pub(super) auths: Option<BTreeMap<String, Auth>>,
    /// The helper program for all registries: NAME in `docker-credential-NAME`.
    pub(super) creds_store: Option<String>,
    /// The helper programs for single registries.
    pub(super) cred_helpers: Option<BTreeMap<String, String>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Auth {
    /// `user:password` in base64.
    pub(super) auth: Option<String>,
    pub(super) username: Option<String>,
    pub(super) password: Option<String>,
    pub(super) identitytoken: Option<String>,
    pub(super) registrytoken: Option<String>,
}

/// The current context, if it is not the default one.
pub(super) struct Current {
    pub(super) name: String,
    pub(super) host: String,
    /// The folder of its certificates, if it has any.
    pub(super) certificates: Option<PathBuf>,
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
    pub(super) fn current_context(&self, environment: &Environment) -> Result<Option<Current>> {
        let name = environment.process_only("DOCKER_CONTEXT").or(self.current_context.as_deref());
        let Some(name) = name.filter(|name| !["", "default"].contains(name)) else { return Ok(None) };
        let remedy = "choose another with `docker context use NAME`, set DOCKER_HOST, or do without Docker: \
                      `--engine embedded`";
        let fails = |problem: String| Failure::usage(problem, remedy);
        // The folder's name is the hash of the context's name, so other contexts are not read.
        let id = hex(&Sha256::digest(name));
        let contexts = folder(environment).unwrap_or_default().join("contexts");
        let path = contexts.join("meta").join(&id).join("meta.json");
        let metadata = read_json::<Metadata>(&path)
            .map_err(|error| fails(format!("docker context `{name}` cannot be read")).caused_by(error))?;
        let metadata = metadata.ok_or_else(|| {
            fails(format!("docker context `{name}` is not defined: there is no {}", path.display()))
        })?;
        let host = metadata.endpoints.docker.host.filter(|host| !host.is_empty());
        let certificates = contexts.join("tls").join(id).join("docker");
        let certificates = certificates.is_dir().then_some(certificates);
        Ok(host.map(|host| Current { name: name.to_owned(), host, certificates }))
    }
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(rename = "Endpoints")]
    endpoints: Endpoints,
}

#[derive(Deserialize)]
struct Endpoints {
    docker: Endpoint,
}

#[derive(Deserialize)]
struct Endpoint {
    #[serde(rename = "Host")]
    host: Option<String>,
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
