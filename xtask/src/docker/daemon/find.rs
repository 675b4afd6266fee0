//! Finds the Docker daemon the way the docker CLI does, and where the usual desktops put it.

use std::fmt::Write as _;
#[cfg(unix)]
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::environment::Environment;
use crate::error::Failure;
use anyhow::{Context as _, Result, anyhow, bail};
use serde::Deserialize;

/// A daemon on this machine answers within milliseconds; this is for one across a slow link.
const ANSWER_BOUND: Duration = Duration::from_secs(5);

/// A place where a daemon may listen.
#[derive(Debug, PartialEq)]
pub(crate) struct Place {
    /// `unix://`, `npipe://`, `tcp://`, `http://` or `https://`.
    pub(crate) host: String,
    /// Who named it: a variable, a docker context, or us.
    pub(crate) origin: String,
}

impl Place {
    /// Whether we alone think of it, and no socket is there.
    pub(crate) fn is_absent(&self) -> bool {
        let socket = self.host.strip_prefix("unix://");
        self.origin == USUAL && socket.is_some_and(|path| !Path::new(path).exists())
    }
}

/// The origin of a place that nobody has named.
const USUAL: &str = "a usual place";

/// Connects to the first daemon that answers, speaking a version of the API that both know.
///
/// # Errors
/// No daemon answered: every place tried, and what it said.
pub(super) async fn connect(environment: &Environment) -> Result<bollard::Docker> {
    let (mut tried, mut remedy) = (String::new(), START.to_owned());
    let (absent, there): (Vec<_>, Vec<_>) = places(environment)?.into_iter().partition(Place::is_absent);
    for place in there {
        match try_place(&place).await {
            Ok(api) => return Ok(api),
            Err(error) => {
                if let Some(failure) = error.downcast_ref::<Failure>() {
                    failure.remedy().clone_into(&mut remedy);
                }
                // Writing to a string does not fail.
                _ = write!(tried, "\n{} ({}): {error:#}", place.host, place.origin);
            }
        }
    }
    if !absent.is_empty() {
        let places = if tried.is_empty() { "usual places" } else { "other usual places" };
        _ = write!(tried, "\nno socket in {} {places}, which `cargo xtask doctor` lists", absent.len());
    }
    let elsewhere =
        "say where it is with DOCKER_HOST,\nor use databases that run elsewhere with `--engine external`";
    Err(Failure::new(
        format!("no Docker daemon answered; tried:{tried}"),
        format!("{remedy}, or {elsewhere}"),
    )
    .into())
}

/// What to do where no daemon runs.
const START: &str =
    "start Docker (Linux: `sudo systemctl start docker`; macOS and Windows: start Docker Desktop)";

/// What to do where one runs whose socket is not for this user.
/// <https://docs.docker.com/engine/install/linux-postinstall/>
#[cfg(unix)]
const JOIN: &str = "join the group that may use the socket (`sudo usermod -aG docker $USER`), log in anew";

/// Connects to the daemon of one place.
///
/// # Errors
/// It did not answer; a [`Failure`] where there is more to do than to start one.
pub(super) async fn try_place(place: &Place) -> Result<bollard::Docker> {
    if place.host.starts_with("ssh://") {
        bail!("ssh is not supported: ports would be published on that machine's loopback, not on this one's");
    }
    let negotiation = tokio::time::timeout(ANSWER_BOUND, negotiate(&place.host));
    negotiation.await.context("no answer within 5 s")?
}

/// Chooses the version of the API.
async fn negotiate(host: &str) -> Result<bollard::Docker> {
    #[cfg(unix)]
    if let Some(socket) = host.strip_prefix("unix://") {
        match super::ping::version(socket).await {
            Ok(version) => {
                let timeout = bollard::Docker::connect_with_host(host)?.timeout();
                return Ok(bollard::Docker::connect_with_unix(host, timeout.as_secs(), &version)?);
            }
            Err(error) => keeps_out(error.kind())?,
        }
    }
    // It may answer when it is asked in another way.
    let asked = bollard::Docker::connect_with_host(host)?.negotiate_version().await;
    // What leads to the cause are the names of the HTTP client's parts.
    asked.map_err(|error| anyhow!("{}", anyhow::Error::from(error).root_cause()))
}

/// What an error of a Unix socket means for every way to ask.
#[cfg(unix)]
fn keeps_out(kind: ErrorKind) -> Result<()> {
    match kind {
        ErrorKind::NotFound => bail!("there is no such socket"),
        ErrorKind::ConnectionRefused => bail!("nobody listens there"),
        ErrorKind::PermissionDenied => Err(Failure::new("permission denied", JOIN).into()),
        _ => Ok(()),
    }
}

/// Where to look, in order. A place that was named by the user is the only one.
///
/// # Errors
/// The docker CLI's configuration names a context that does not exist or cannot be read.
pub(crate) fn places(environment: &Environment) -> Result<Vec<Place>> {
    if let Some(host) = environment.process_only("DOCKER_HOST") {
        return Ok(vec![Place { host: host.to_owned(), origin: "DOCKER_HOST".to_owned() }]);
    }
    if let Some(place) = current_context(environment)? {
        return Ok(vec![place]);
    }
    if cfg!(windows) {
        return Ok(vec![usual("npipe:////./pipe/docker_engine")]);
    }
    Ok(usual_sockets(environment).iter().map(|path| usual(&format!("unix://{}", path.display()))).collect())
}

fn usual(host: &str) -> Place {
    Place { host: host.to_owned(), origin: USUAL.to_owned() }
}

/// Docker Engine, Docker Desktop, Colima, Rancher Desktop, rootless Docker, Podman.
fn usual_sockets(environment: &Environment) -> Vec<PathBuf> {
    let mut sockets = vec![PathBuf::from("/var/run/docker.sock")];
    if let Some(home) = environment.home() {
        let below_home = [
            ".docker/run/docker.sock",
            ".docker/desktop/docker.sock",
            ".colima/default/docker.sock",
            ".rd/docker.sock",
        ];
        sockets.extend(below_home.map(|path| home.join(path)));
    }
    if let Some(runtime) = environment.process_only("XDG_RUNTIME_DIR").map(Path::new) {
        sockets.extend(["docker.sock", "podman/podman.sock"].map(|path| runtime.join(path)));
    }
    sockets.push(PathBuf::from("/run/podman/podman.sock"));
    sockets
}

#[derive(Deserialize)]
struct CliConfig {
    #[serde(rename = "currentContext")]
    current_context: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ContextMetadata {
    name: String,
    endpoints: Endpoints,
}

#[derive(Deserialize)]
struct Endpoints {
    docker: Endpoint,
}

#[derive(Deserialize)]
struct Endpoint {
    #[serde(rename = "Host")]
    host: String,
}

/// The docker CLI's current context, unless it is the default one.
/// <https://docs.docker.com/engine/manage-resources/contexts/>
fn current_context(environment: &Environment) -> Result<Option<Place>> {
    let folder = match environment.process_only("DOCKER_CONFIG") {
        Some(folder) => PathBuf::from(folder),
        None => match environment.home() {
            Some(home) => home.join(".docker"),
            None => return Ok(None),
        },
    };
    let name = match environment.process_only("DOCKER_CONTEXT") {
        Some(name) => Some(name.to_owned()),
        None => {
            read_json::<CliConfig>(&folder.join("config.json"))?.and_then(|config| config.current_context)
        }
    };
    let Some(name) = name.filter(|name| !name.is_empty() && name != "default") else { return Ok(None) };

    let contexts = folder.join("contexts/meta");
    for entry in std::fs::read_dir(&contexts).into_iter().flatten() {
        let metadata: Option<ContextMetadata> = read_json(&entry?.path().join("meta.json"))?;
        if let Some(metadata) = metadata.filter(|metadata| metadata.name == name) {
            let origin = format!("docker context {name}");
            return Ok(Some(Place { host: metadata.endpoints.docker.host, origin }));
        }
    }
    Err(Failure::new(
        format!("docker context `{name}` is not defined in {}", contexts.display()),
        "choose another with `docker context use NAME`, or set DOCKER_HOST",
    )
    .into())
}

/// A JSON file's content, or nothing where there is no such file.
fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Option<T>> {
    match std::fs::read_to_string(path) {
        Ok(text) => serde_json::from_str(&text).map(Some).with_context(|| format!("in {}", path.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(environment: &Environment) -> Vec<String> {
        places(environment).unwrap().into_iter().map(|place| place.host).collect()
    }

    #[test]
    fn docker_host_is_the_only_place() {
        let environment = Environment::from([("DOCKER_HOST", "tcp://127.0.0.1:2375"), ("HOME", "/home/me")]);
        assert_eq!(hosts(&environment), ["tcp://127.0.0.1:2375"]);
    }

    #[test]
    #[cfg(unix)]
    fn the_usual_sockets_follow() {
        let environment = Environment::from([("HOME", "/nonexistent"), ("XDG_RUNTIME_DIR", "/run/user/1")]);
        let hosts = hosts(&environment);
        assert_eq!(hosts[0], "unix:///var/run/docker.sock");
        assert!(hosts.contains(&"unix:///nonexistent/.colima/default/docker.sock".to_owned()));
        assert!(hosts.contains(&"unix:///run/user/1/podman/podman.sock".to_owned()));
    }

    #[test]
    #[cfg(unix)]
    fn a_usual_place_without_a_socket_is_absent_and_one_that_was_named_is_not() {
        let environment = Environment::from([("HOME", "/nonexistent"), ("XDG_RUNTIME_DIR", "/nonexistent")]);
        let absent = places(&environment).unwrap().iter().filter(|place| place.is_absent()).count();
        assert!(absent >= 6, "{absent}");
        let named = Environment::from([("DOCKER_HOST", "unix:///nonexistent/docker.sock")]);
        assert!(!places(&named).unwrap()[0].is_absent());
    }

    #[test]
    #[cfg(unix)]
    fn who_may_not_use_the_socket_is_told_what_to_do() {
        let error = keeps_out(ErrorKind::PermissionDenied).unwrap_err();
        assert_eq!(error.downcast_ref().map(Failure::remedy), Some(JOIN));
        assert!(keeps_out(ErrorKind::NotFound).unwrap_err().downcast_ref::<Failure>().is_none());
        assert!(keeps_out(ErrorKind::InvalidData).is_ok());
    }

    #[test]
    fn the_current_context_is_followed_and_a_missing_one_is_an_error() {
        let config = tempfile::tempdir().unwrap();
        std::fs::write(config.path().join("config.json"), r#"{"auths": {}, "currentContext": "colima"}"#)
            .unwrap();
        let environment = Environment::from([("DOCKER_CONFIG", config.path().to_str().unwrap())]);
        let error = places(&environment).unwrap_err().to_string();
        assert!(error.starts_with("docker context `colima` is not defined in "), "{error}");

        let meta = config.path().join("contexts/meta/0123");
        std::fs::create_dir_all(&meta).unwrap();
        let metadata =
            r#"{"Name": "colima", "Metadata": {}, "Endpoints": {"docker": {"Host": "unix:///c.sock"}}}"#;
        std::fs::write(meta.join("meta.json"), metadata).unwrap();
        assert_eq!(hosts(&environment), ["unix:///c.sock"]);
    }
}
