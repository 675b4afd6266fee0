//! Finds the Docker daemon the way the docker CLI does, and at the usual places of Docker desktops and Podman.

use std::fmt::Write as _;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::environment::Environment;
use crate::error::Failure;
use crate::ui::Ui;
use anyhow::{Context as _, Result, anyhow, bail};
use bollard::API_DEFAULT_VERSION;
use bollard::errors::Error as ApiError;

use super::Docker;
use super::cli::{self, Config};

/// How long a daemon may take to answer the first call. One on this machine takes milliseconds.
const ANSWER_BOUND: Duration = Duration::from_secs(5);

/// The bound of bollard's own requests. Ours are shorter and have better errors: see [`super::answer`].
const REQUEST_BOUND_SECONDS: u64 = 120;

#[derive(Debug, PartialEq)]
pub(crate) struct Place {
    /// `unix://`, `npipe://`, `tcp://`, `http://` or `https://`.
    pub(crate) host: String,
    /// The source of this place: a variable, a docker context, or this program.
    pub(crate) origin: String,
    /// The folder with `ca.pem`, `cert.pem` and `key.pem`, if TLS is used.
    pub(super) certificates: Option<PathBuf>,
}

impl Place {
    /// Whether it is only a usual place, and has no socket.
    fn is_absent(&self) -> bool {
        let socket = self.host.strip_prefix("unix://");
        self.origin == USUAL && socket.is_some_and(|path| !Path::new(path).exists())
    }
}

/// The origin of a place that no setting names.
const USUAL: &str = "a usual place";

/// The remedy if no daemon runs.
const START: &str =
    "start Docker (Linux: `sudo systemctl start docker`; macOS and Windows: start Docker Desktop)";

/// The remedy if this user may not use the socket.
/// <https://docs.docker.com/engine/install/linux-postinstall/>
const JOIN: &str = "join the group that may use the socket (`sudo usermod -aG docker $USER`), log in again";

impl Docker {
    /// Connects to the first daemon that answers. If none does, the error lists every place with its reason.
    pub(crate) async fn find(environment: &Environment, ui: &Ui) -> Result<Self> {
        let (mut tried, mut remedy) = (String::new(), START.to_owned());
        let (absent, there): (Vec<_>, Vec<_>) =
            places(environment, ui)?.into_iter().partition(Place::is_absent);
        for place in there {
            match Self::connect(&place).await {
                Ok(docker) => return Ok(docker),
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
        Err(Failure::unreachable(
            format!("no Docker daemon answered; tried:{tried}"),
            format!("{remedy}, or {elsewhere}"),
        )
        .into())
    }

    /// Connects to the daemon at `place`. The error is a [`Failure`] if the remedy is more than starting a daemon.
    pub(crate) async fn connect(place: &Place) -> Result<Self> {
        if place.host.starts_with("ssh://") {
            bail!(
                "ssh is not supported: ports would be published on that machine's loopback, not on this one's"
            );
        }
        let ping = async {
            let api = client(place)?;
            api.ping().await.map(|_| api)
        };
        match tokio::time::timeout(ANSWER_BOUND, ping).await.context("no answer within 5 s")? {
            Ok(api) => Ok(Self { api: api.with_request_modifier(super::credentials::with_valid_header) }),
            Err(ApiError::SocketNotFoundError(_)) => bail!("there is no such socket"),
            Err(error) => {
                let error = anyhow::Error::from(error);
                // The errors in between only name parts of the HTTP client.
                let cause = error.root_cause();
                match cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind) {
                    Some(ErrorKind::ConnectionRefused) => bail!("nobody listens there"),
                    Some(ErrorKind::PermissionDenied) => {
                        Err(Failure::unreachable("permission denied", JOIN).into())
                    }
                    _ => Err(anyhow!("{cause}")),
                }
            }
        }
    }
}

/// A client for the daemon at `place`. It does not negotiate the API's version, which would take 5 ms: bollard 0.21
/// sends no version, so each daemon uses its own.
fn client(place: &Place) -> Result<bollard::Docker, ApiError> {
    let (host, bound, version) = (&place.host, REQUEST_BOUND_SECONDS, API_DEFAULT_VERSION);
    if host.starts_with("unix://") || host.starts_with("npipe://") {
        return bollard::Docker::connect_with_socket(host, bound, version);
    }
    if let Some(folder) = &place.certificates {
        let [key, certificate, authority] = ["key.pem", "cert.pem", "ca.pem"].map(|name| folder.join(name));
        return bollard::Docker::connect_with_ssl(host, &key, &certificate, &authority, bound, version);
    }
    bollard::Docker::connect_with_http(host, bound, version)
}

/// The places to try, in order. If a setting names a place, it is the only one.
pub(crate) fn places(environment: &Environment, ui: &Ui) -> Result<Vec<Place>> {
    let named = match environment.process_only("DOCKER_HOST") {
        Some(host) => {
            let is_tls =
                environment.process_only("DOCKER_TLS_VERIFY").is_some() || host.starts_with("https://");
            let certificates = is_tls.then(|| cli::certificates(environment));
            Some(Place { host: host.to_owned(), origin: "DOCKER_HOST".to_owned(), certificates })
        }
        None => Config::read(environment, ui).current_context(environment)?,
    };
    if let Some(place) = named {
        return Ok(vec![Place { host: full_address(&place.host, place.certificates.is_some())?, ..place }]);
    }
    let usual = |host: String| Place { host, origin: USUAL.to_owned(), certificates: None };
    if cfg!(windows) {
        return Ok(vec![usual(PIPE.to_owned())]);
    }
    let sockets = usual_sockets(environment);
    Ok(sockets.iter().map(|path| usual(format!("unix://{}", path.display()))).collect())
}

const SOCKET: &str = "/var/run/docker.sock";
const PIPE: &str = "npipe:////./pipe/docker_engine";

/// Completes an address of DOCKER_HOST as the docker CLI does.
/// <https://github.com/docker/cli/blob/master/opts/hosts.go>
fn full_address(host: &str, is_tls: bool) -> Result<String> {
    let (host, port) = (host.trim(), if is_tls { "2376" } else { "2375" });
    let wrong = |why: &str| {
        // The address is not shown: it may hold a password.
        let problem = format!("the address in DOCKER_HOST or in the docker context cannot be used: {why}");
        Failure::usage(problem, format!("write it as unix://{SOCKET} or tcp://HOST:PORT"))
    };
    let authority =
        host.split_once("://").map_or(host, |(_, rest)| rest).split('/').next().unwrap_or_default();
    match (authority.rsplit_once('@'), host.starts_with("ssh://")) {
        (Some((user, _)), true) if !user.contains(':') => {}
        (None, _) => {}
        _ => return Err(wrong("a user or a password has no place in it").into()),
    }
    match host.split_once("://") {
        Some(("unix", "")) => Ok(format!("unix://{SOCKET}")),
        Some(("npipe", "")) => Ok(PIPE.to_owned()),
        Some(("unix" | "npipe" | "http" | "https" | "ssh", _)) => Ok(host.to_owned()),
        Some(("tcp", address)) => Ok(with_port(address, port)),
        Some(_) => Err(wrong("no daemon is reached by this scheme").into()),
        None if host.starts_with(['/', '.']) => Err(wrong("a path alone is not an address").into()),
        None => Ok(with_port(host, port)),
    }
}

/// Adds the missing host and port to a `tcp://` address.
fn with_port(address: &str, usual_port: &str) -> String {
    let address = address.trim_end_matches('/');
    let (host, port) = match address.rsplit_once(':') {
        // Not a colon inside an IPv6 address.
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ => (address, ""),
    };
    let host = if host.is_empty() { "localhost" } else { host };
    format!("tcp://{host}:{}", if port.is_empty() { usual_port } else { port })
}

/// The sockets of Docker Engine, Docker Desktop, Colima, Rancher Desktop, rootless Docker and Podman.
fn usual_sockets(environment: &Environment) -> Vec<PathBuf> {
    let mut sockets = vec![PathBuf::from(SOCKET)];
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::Messages;

    fn try_places(environment: &Environment) -> Result<Vec<Place>> {
        places(environment, &Ui::new(&Environment::from([("CI", "true")]), Messages::default()))
    }

    fn hosts(environment: &Environment) -> Vec<String> {
        try_places(environment).unwrap().into_iter().map(|place| place.host).collect()
    }

    #[test]
    fn docker_host_is_the_only_place_and_takes_the_docker_cli_s_forms() {
        for (value, host) in [
            ("tcp://127.0.0.1:2375", "tcp://127.0.0.1:2375"),
            ("tcp://", "tcp://localhost:2375"),
            ("tcp://:1", "tcp://localhost:1"),
            ("tcp://docker.example/", "tcp://docker.example:2375"),
            ("tcp://[::1]", "tcp://[::1]:2375"),
            ("127.0.0.1", "tcp://127.0.0.1:2375"),
            ("localhost:2376", "tcp://localhost:2376"),
            (" unix:///a.sock ", "unix:///a.sock"),
            ("unix://", "unix:///var/run/docker.sock"),
            ("npipe://", "npipe:////./pipe/docker_engine"),
            ("https://docker.example:2376", "https://docker.example:2376"),
        ] {
            assert_eq!(hosts(&Environment::from([("DOCKER_HOST", value), ("HOME", "/home/me")])), [host]);
        }
        let with_tls = Environment::from([("DOCKER_HOST", "tcp://"), ("DOCKER_TLS_VERIFY", "1")]);
        assert_eq!(hosts(&with_tls), ["tcp://localhost:2376"]);
        for (value, why) in [
            ("/var/run/docker.sock", "a path alone is not an address"),
            ("fd://", "no daemon is reached by this scheme"),
        ] {
            let error = try_places(&Environment::from([("DOCKER_HOST", value)])).unwrap_err().to_string();
            assert!(error.contains(&format!(": {why}")) && !error.contains(value), "{error}");
        }
    }

    #[test]
    #[cfg(unix)]
    fn the_usual_sockets_follow_and_those_that_are_not_there_are_absent() {
        let environment =
            Environment::from([("HOME", "/nonexistent"), ("XDG_RUNTIME_DIR", "/nonexistent/1")]);
        let hosts = hosts(&environment);
        assert_eq!(hosts[0], "unix:///var/run/docker.sock");
        assert!(hosts.contains(&"unix:///nonexistent/.colima/default/docker.sock".to_owned()));
        assert!(hosts.contains(&"unix:///nonexistent/1/podman/podman.sock".to_owned()));
        assert!(hosts.contains(&"unix:///run/podman/podman.sock".to_owned()));
        let absent = try_places(&environment).unwrap().iter().filter(|place| place.is_absent()).count();
        assert!(absent >= 6, "{absent}");
        let named = Environment::from([("DOCKER_HOST", "unix:///nonexistent/docker.sock")]);
        assert!(!try_places(&named).unwrap()[0].is_absent());
    }

    #[tokio::test]
    #[cfg(unix)]
    async fn a_forbidden_socket_has_a_remedy() {
        use std::os::unix::fs::PermissionsExt as _;

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("docker.sock");
        let host = format!("unix://{}", path.display());
        let place = Place { host, origin: USUAL.to_owned(), certificates: None };
        let said = async || Docker::connect(&place).await.err().unwrap();
        assert_eq!(said().await.to_string(), "there is no such socket");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert_eq!(said().await.to_string(), "nobody listens there");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o0)).unwrap();
        if !rustix::process::geteuid().is_root() {
            assert_eq!(said().await.downcast_ref().map(Failure::remedy), Some(JOIN));
        }
    }
}
