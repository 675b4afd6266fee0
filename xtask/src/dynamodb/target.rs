//! A DynamoDB endpoint, its messages table, and how to reach it.

use std::fmt;
use std::pin::pin;
use std::time::Duration;

use crate::environment::Environment;
use crate::error::Failure;
use crate::ui::{Ui, seconds};
use anyhow::{Result, anyhow, ensure};
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader};
use aws_sdk_dynamodb::config::endpoint::{DefaultResolver, Params, ResolveEndpoint as _};
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_http_client::Connector;
use aws_smithy_runtime_api::client::http::HttpConnectorSettings;

use crate::dynamodb::items::shortened;
use backend_flask::http;

use super::aws::{self, Loaded, Source};
use crate::dynamodb::wire::Wire;
use crate::targets::reach::Reach;

/// Local servers need a signed request but check no key; with `-sharedDb` all keys and regions are one.
pub(crate) const LOCAL_KEY: &str = "local";
/// The region that a local server is asked in.
pub(crate) const LOCAL_REGION: &str = "us-east-1";

/// A local server that refuses a connection is down, not busy: the user need not wait for a second.
const LOCAL_BACKOFF: Duration = Duration::from_millis(50);
/// The SDK's own first wait.
const BACKOFF: Duration = Duration::from_secs(1);

/// How long a connection may take.
pub(crate) const CONNECT_BOUND: Duration = Duration::from_secs(5);

/// How long one attempt of a request may take, its answer included.
pub(crate) const ATTEMPT_BOUND: Duration = Duration::from_secs(30);

/// How long a request for credentials may take, with all its attempts.
const REQUEST_BOUND: Duration = Duration::from_secs(35);

/// How long production's credentials, and its region, may take: a program or a service may be asked for them.
pub(crate) const CREDENTIALS_BOUND: Duration = Duration::from_secs(20);

/// DynamoDB, local or production's, and the table that holds the messages.
#[derive(Clone)]
pub(crate) struct DynamoDbTarget {
    /// None means AWS's own endpoint of the region.
    endpoint: Option<String>,
    /// Whose credentials reach it, for production's.
    source: Option<Source>,
    /// The messages table.
    pub(crate) table: String,
    /// What to do when it cannot be reached.
    remedy: String,
}

impl DynamoDbTarget {
    /// A DynamoDB-compatible server that is not AWS, at the endpoint that `setting` names.
    ///
    /// # Errors
    /// Not an http URL; or its host must not be reached.
    pub(crate) fn local(
        setting: &str,
        endpoint: &str,
        table: String,
        remedy: String,
        reach: Reach<'_>,
    ) -> Result<Self> {
        let form = "write it as http://HOST:PORT";
        let rest = endpoint.strip_prefix("http://").or_else(|| endpoint.strip_prefix("https://"));
        let Some(rest) = rest.filter(|rest| !rest.is_empty()) else {
            // What is before an `@` may be a password.
            let shown = endpoint.rsplit('@').next().unwrap_or_default();
            return Err(Failure::new(format!("{setting}: `{shown}` is not a DynamoDB endpoint"), form).into());
        };
        ensure!(!rest.contains('@'), "{setting}: a DynamoDB endpoint takes no user or password");
        let (host, port) = host_and_port(rest);
        // The client would take its default one instead, where somebody else may listen.
        if port.is_some_and(|port| !port.parse::<u16>().is_ok_and(|port| port > 0)) {
            return Err(
                Failure::new(format!("{setting}: `{endpoint}` has no port of 1 to 65535"), form).into()
            );
        }
        reach.check(setting, host)?;
        Ok(Self { endpoint: Some(endpoint.trim_end_matches('/').to_owned()), source: None, table, remedy })
    }

    /// Production's DynamoDB.
    pub(crate) fn production(endpoint: Option<String>, table: String, environment: &Environment) -> Self {
        let source = Some(Source::of(environment));
        let remedy = "check AWS_REGION, the network, and PROD_DYNAMODB_ENDPOINT_URL where it is set";
        Self { endpoint, source, table, remedy: remedy.to_owned() }
    }

    /// The endpoint's URL, if it is not AWS's own.
    pub(crate) fn endpoint(&self) -> Option<&str> {
        self.endpoint.as_deref()
    }

    /// Whether it is production's.
    pub(crate) fn is_production(&self) -> bool {
        self.source.is_some()
    }

    async fn load(&self, source: &Source) -> Result<Loaded> {
        let target = self.to_string();
        let loaded = tokio::time::timeout(CREDENTIALS_BOUND, aws::load(production_loader(), source, &target));
        loaded.await.map_err(|_| self.no_credentials("credentials"))?
    }

    /// What sends requests as text to it.
    ///
    /// # Errors
    /// Production's region or credentials are not set, or have expired.
    pub(crate) async fn wire(&self, ui: &Ui) -> Result<Wire> {
        let wire = |url: &str, region, provider, first_wait| {
            Wire::new(ui, self.clone(), url, region, provider, self.connector(), first_wait)
        };
        let Some(source) = &self.source else {
            let keys = SharedCredentialsProvider::new(local_credentials());
            let endpoint = self.endpoint().unwrap_or_default();
            return Ok(wire(endpoint, LOCAL_REGION.to_owned(), keys, LOCAL_BACKOFF));
        };
        let Loaded { region, provider, use_fips, use_dual_stack } = self.load(source).await?;
        let region = region.to_string();
        let url = match self.endpoint() {
            Some(endpoint) => endpoint.to_owned(),
            None => {
                let parameters = Params::builder().region(region.clone());
                let parameters =
                    parameters.set_use_fips(use_fips).set_use_dual_stack(use_dual_stack).build()?;
                let endpoint = DefaultResolver::new().resolve_endpoint(&parameters).await;
                endpoint.map_err(|error| anyhow!(error))?.url().to_owned()
            }
        };
        Ok(wire(&url, region, provider, BACKOFF))
    }

    /// As [`DynamoDbTarget::wire`], while `work` is done; where time is left, a connection is opened too.
    ///
    /// # Errors
    /// What fails first: one of [`DynamoDbTarget::wire`]'s errors, or of `work`'s.
    pub(crate) async fn wire_during<T>(
        &self,
        ui: &Ui,
        work: impl Future<Output = Result<T>>,
    ) -> Result<(Wire, T)> {
        let (mut wire, mut work) = (pin!(self.wire(ui)), pin!(work));
        let wire = tokio::select! {
            biased;
            done = &mut work => {
                let done = done?;
                return Ok((wire.await?, done));
            }
            wire = &mut wire => wire?,
        };
        tokio::select! {
            biased;
            done = &mut work => return Ok((wire, done?)),
            () = wire.open() => {}
        }
        Ok((wire, work.await?))
    }

    /// Whoever was to give production's credentials, or its region, did not.
    pub(crate) fn no_credentials(&self, what: &str) -> anyhow::Error {
        let waited = seconds(CREDENTIALS_BOUND);
        Failure::new(format!("nobody gave the {what} for {self} within {waited}"), &self.remedy).into()
    }

    fn connector(&self) -> Connector {
        let settings = HttpConnectorSettings::builder().connect_timeout(CONNECT_BOUND).build();
        let connector = Connector::builder().connector_settings(settings).sleep_impl(TokioSleep::new());
        http::connector(connector, self.endpoint())
    }

    /// What to do when it cannot be reached.
    pub(crate) fn remedy(&self) -> &str {
        &self.remedy
    }

    /// Says what went wrong, and what to do where that is known.
    pub(crate) fn failure(&self, trouble: Trouble) -> anyhow::Error {
        let (problem, remedy) = match &trouble {
            Trouble::Unreachable(_) => ("cannot reach", self.remedy.as_str()),
            Trouble::Service { code, .. } if code == "ResourceNotFoundException" => (
                "there is no such table in",
                "see `cargo xtask ddb list-tables`; `cargo xtask ddb schema-load` creates the messages table",
            ),
            Trouble::Service { .. } if trouble.is_about_time() => (
                "this machine's clock is too far from that of",
                "set the clock (Linux: `timedatectl set-ntp true`), and run the command again",
            ),
            Trouble::Service { code, .. } => return self.refusal(code, &trouble),
        };
        Failure::new(format!("{problem} {self}"), remedy).caused_by(trouble.to_string()).into()
    }
}

impl DynamoDbTarget {
    /// Says what is wrong with production's credentials, where it is they that the server refuses.
    fn refusal(&self, code: &str, trouble: &Trouble) -> anyhow::Error {
        let problem = match code {
            "ExpiredTokenException" | "ExpiredToken" => "have expired",
            "UnrecognizedClientException" | "InvalidSignatureException" | "IncompleteSignatureException" => {
                "are not known"
            }
            "AccessDeniedException" => "do not allow it",
            _ => return anyhow!(trouble.to_string()),
        };
        let Some(source) = &self.source else { return anyhow!(trouble.to_string()) };
        let problem = format!("the AWS credentials {problem}: {source}, for {self}");
        Failure::new(problem, source.renewal()).caused_by(trouble.to_string()).into()
    }
}

/// What stopped a request.
pub(crate) enum Trouble {
    /// It, or its answer, was lost on the way.
    Unreachable(anyhow::Error),
    /// The server's own error.
    Service {
        /// Its name, such as `ValidationException`.
        code: String,
        /// What it says.
        message: String,
    },
}

impl Trouble {
    /// The name of the server's own error.
    pub(crate) fn code(&self) -> Option<&str> {
        match self {
            Self::Unreachable(_) => None,
            Self::Service { code, .. } => Some(code),
        }
    }

    /// Whether the server finds the request's signature too old, or of a time to come.
    /// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html>
    fn is_about_time(&self) -> bool {
        let Self::Service { code, message } = self else { return false };
        match code.as_str() {
            "RequestTimeTooSkewed" | "RequestExpired" | "RequestInTheFuture" => true,
            "InvalidSignatureException" | "SignatureDoesNotMatch" => {
                ["Signature expired", "Signature not yet current"].iter().any(|words| message.contains(words))
            }
            _ => false,
        }
    }
}

/// On one line: a server's code and message, or what happened on the way.
impl fmt::Display for Trouble {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(error) => formatter.write_str(&in_one_line(error.as_ref())),
            Self::Service { code, message } if message.is_empty() => write!(formatter, "{code}: no message"),
            // Some servers repeat the whole request in their message.
            Self::Service { code, message } => write!(formatter, "{code}: {}", shortened(message, 300)),
        }
    }
}

/// An error and its causes in one line.
pub(super) fn in_one_line(error: &dyn std::error::Error) -> String {
    let mut texts = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if texts.last() != Some(&text) {
            texts.push(text);
        }
        cause = error.source();
    }
    texts.join(": ")
}

impl fmt::Display for DynamoDbTarget {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.endpoint, self.is_production()) {
            (Some(endpoint), true) => {
                // What is before an `@` may be a password.
                let shown = endpoint.rsplit('@').next().unwrap_or_default();
                write!(formatter, "production's DynamoDB at {shown}")
            }
            (Some(endpoint), false) => write!(formatter, "DynamoDB at {endpoint}"),
            (None, _) => write!(formatter, "DynamoDB on AWS"),
        }
    }
}

/// The host of a URL without its scheme, and what follows its colon.
fn host_and_port(rest: &str) -> (&str, Option<&str>) {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let bracketed = authority.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    match bracketed.filter(|(_, port)| port.is_empty() || port.starts_with(':')) {
        Some((address, port)) => (address, port.strip_prefix(':')),
        None => authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
    }
}

fn local_credentials() -> Credentials {
    Credentials::new(LOCAL_KEY, LOCAL_KEY, None, None, "local")
}

fn production_loader() -> ConfigLoader {
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(http::client(None))
        .timeout_config(timeouts())
        .retry_config(RetryConfig::standard())
}

fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT_BOUND)
        .operation_attempt_timeout(ATTEMPT_BOUND)
        .operation_timeout(REQUEST_BOUND)
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Report;

    fn local(endpoint: &str) -> Result<DynamoDbTarget> {
        let setting = "AWS_ENDPOINT_URL_DYNAMODB";
        DynamoDbTarget::local(setting, endpoint, "t".to_owned(), String::new(), Reach::Local(&[]))
    }

    #[test]
    fn aws_is_out_of_reach_without_prod() {
        for endpoint in [
            "https://dynamodb.us-east-1.amazonaws.com",
            "http://DynamoDB.eu-west-1.AmazonAWS.com.:443/",
            "https://dynamodb.cn-north-1.amazonaws.com.cn",
            "https://dynamodb.us-east-1.api.aws",
            "https://dynamodb.us-east-1.amazonaws.com#.localhost",
            "https://d]ynamodb.us-east-1.api.aws",
            "https://dynamodb.us-east-1.amazonaws.com#",
        ] {
            let report = Report(&local(endpoint).err().unwrap()).to_string();
            assert!(report.ends_with("help: production is reached with --prod only"), "{report}");
        }
    }

    #[test]
    fn an_endpoint_is_an_http_url() {
        assert_eq!(local("http://127.0.0.1:8000/").unwrap().to_string(), "DynamoDB at http://127.0.0.1:8000");
        assert!(local("http://[::1]:8000").is_ok());
        for endpoint in [
            "127.0.0.1:8000",
            "http://",
            "ftp://h",
            "http://:8000",
            "http://host.example\\@localhost",
            "http://me@h",
        ] {
            assert!(local(endpoint).is_err(), "{endpoint}");
        }
    }
}
