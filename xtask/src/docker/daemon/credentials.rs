//! The credentials that `docker login` stored, for pulling images.

use std::process::Stdio;
use std::time::Duration;

use crate::environment::Environment;
use crate::ui::Ui;
use anyhow::{Context as _, Result, anyhow, ensure};
use aws_smithy_types::base64;
use bollard::BollardRequest;
use bollard::auth::DockerCredentials;
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::cli::Config;

const HUB: &str = "https://index.docker.io/v1/";

/// How long a helper program may take. It may ask a person to unlock its store.
const HELPER_BOUND: Duration = Duration::from_secs(60);

/// The credentials for an image's registry. Like the docker CLI, asks in this order: DOCKER_AUTH_CONFIG, the
/// registry's helper program, the common helper, config.json itself, which also counts if the helper fails. If there
/// are none or they cannot be read, the pull is anonymous.
pub(crate) async fn credentials(
    image: &str,
    environment: &Environment,
    ui: &Ui,
) -> Option<DockerCredentials> {
    let registry = registry(image);
    stored(registry, environment, ui).await.unwrap_or_else(|error| {
        ui.warn(format_args!("the credentials for {registry} are not used: {error:#}"));
        None
    })
}

async fn stored(registry: &str, environment: &Environment, ui: &Ui) -> Result<Option<DockerCredentials>> {
    let config = Config::read(environment, ui);
    if let Some(found) = from_auths(&Config::of_variable(environment, ui), registry)? {
        return Ok(Some(found));
    }
    let helpers = config.cred_helpers.as_ref();
    let helper = helpers.and_then(|helpers| helpers.get(registry)).or(config.creds_store.as_ref());
    let Some(name) = helper.filter(|name| !name.is_empty()) else { return from_auths(&config, registry) };
    match from_helper(name, registry).await {
        Ok(found) => Ok(found),
        Err(error) => match from_auths(&config, registry) {
            Ok(Some(found)) => Ok(Some(found)),
            _ => Err(error),
        },
    }
}

/// The registry's key in config.json. The first part of the image's name is a registry only if it looks like a host.
/// <https://github.com/distribution/reference/blob/main/normalize.go>
fn registry(image: &str) -> &str {
    match image.split_once('/') {
        Some(("docker.io" | "index.docker.io", _)) => HUB,
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => host,
        _ => HUB,
    }
}

fn from_auths(config: &Config, registry: &str) -> Result<Option<DockerCredentials>> {
    // Old versions of the CLI wrote a URL instead of the host.
    let host = |key: &str| {
        let key = key.trim_start_matches("https://").trim_start_matches("http://");
        key.split('/').next().unwrap_or_default().to_owned()
    };
    let auths = config.auths.iter().flatten();
    let auth = config.auths.as_ref().and_then(|auths| auths.get(registry));
    let auth =
        auth.or_else(|| auths.into_iter().find(|(key, _)| host(key) == host(registry)).map(|(_, auth)| auth));
    let Some(mut credentials) = auth.cloned() else { return Ok(None) };
    if let Some(auth) = credentials.auth.take().filter(|auth| !auth.is_empty()) {
        // An error must not show any part of the value.
        let decoded = base64::decode(auth).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let login = decoded.as_deref().and_then(|text| text.split_once(':'));
        let (username, password) = login.context("`auth` is not a user and a password in base64")?;
        credentials.username = Some(username.to_owned());
        credentials.password = Some(password.trim_end_matches('\0').to_owned());
    } else if [&credentials.username, &credentials.identitytoken, &credentials.registrytoken] == [&None; 3] {
        return Ok(None);
    }
    credentials.serveraddress = Some(registry.to_owned());
    Ok(Some(credentials))
}

/// Asks a helper program. <https://github.com/docker/docker-credential-helpers>
async fn from_helper(name: &str, registry: &str) -> Result<Option<DockerCredentials>> {
    let program = format!("docker-credential-{name}");
    let mut command = Command::new(&program);
    command.arg("get").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().with_context(|| format!("cannot run {program}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // If the helper does not read its input, it reports an error itself.
        _ = stdin.write_all(registry.as_bytes()).await;
    }
    let output = tokio::time::timeout(HELPER_BOUND, child.wait_with_output()).await;
    let output = output.map_err(|_| anyhow!("{program} did not answer within {HELPER_BOUND:?}"))?;
    let output = output.with_context(|| format!("cannot run {program}"))?;
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() && said.contains("credentials not found") {
        return Ok(None);
    }
    // A helper that fails prints the reason to stdout; one that succeeds prints the secret.
    ensure!(output.status.success(), "{program}: {}", said.trim());
    let said: Value = serde_json::from_str(&said).unwrap_or_default();
    let [username, secret] = ["Username", "Secret"].map(|name| said[name].as_str().map(str::to_owned));
    ensure!(username.is_some() && secret.is_some(), "{program} printed something else than credentials");
    let serveraddress = Some(registry.to_owned());
    Ok(Some(if username.as_deref() == Some("<token>") {
        DockerCredentials { identitytoken: secret, serveraddress, ..Default::default() }
    } else {
        DockerCredentials { username, password: secret, serveraddress, ..Default::default() }
    }))
}

/// Makes the credentials' header URL-safe base64. Docker ignores another form, and bollard 0.21 writes plain base64.
/// <https://docs.docker.com/reference/api/engine/#section/Authentication>
pub(super) fn with_valid_header(mut request: BollardRequest) -> BollardRequest {
    if let Some(header) = request.headers_mut().get_mut("X-Registry-Auth") {
        let text = header.to_str().unwrap_or_default().replace('+', "-").replace('/', "_");
        if let Ok(valid) = text.parse() {
            *header = valid;
        }
    }
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_s_registry_is_its_first_part_if_that_looks_like_a_host() {
        for (image, expected) in [
            ("postgres:17", HUB),
            ("amazon/dynamodb-local", HUB),
            ("docker.io/library/postgres", HUB),
            ("localhost/postgres", "localhost"),
            ("localhost:5000/postgres:17", "localhost:5000"),
            ("ghcr.io/me/postgres@sha256:0", "ghcr.io"),
        ] {
            assert_eq!(registry(image), expected, "{image}");
        }
    }

    #[test]
    fn credentials_are_found_in_config_json() {
        let text = r#"{"auths": {
            "https://index.docker.io/v1/": {"auth": "bWU6czNjcmV0OnB3"},
            "https://old.example/v2/": {"auth": "bWU6czNjcmV0"},
            "token.example": {"identitytoken": "t"},
            "plain.example": {"username": "me", "password": "s3cret"},
            "broken.example": {"auth": "hush"},
            "helped.example": {}
        }}"#;
        let config: Config = serde_json::from_str(text).unwrap();
        let found = |registry| from_auths(&config, registry);
        let login = |registry| {
            let found = found(registry).unwrap().unwrap();
            (found.username.unwrap(), found.password.unwrap())
        };
        assert_eq!(login(HUB), ("me".to_owned(), "s3cret:pw".to_owned()));
        assert_eq!(login("old.example"), ("me".to_owned(), "s3cret".to_owned()));
        assert_eq!(login("plain.example"), ("me".to_owned(), "s3cret".to_owned()));
        assert_eq!(found("token.example").unwrap().unwrap().identitytoken.as_deref(), Some("t"));
        assert!(!found("broken.example").unwrap_err().to_string().contains("hush"));
        assert_eq!(found("helped.example").unwrap(), None);
        assert_eq!(found("other.example").unwrap(), None);
    }
}
