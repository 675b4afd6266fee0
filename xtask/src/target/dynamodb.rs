//! A DynamoDB endpoint, its messages table, and the client for it.

use std::fmt;
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{Builder as ConfigBuilder, Credentials};
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_http_client::Builder as HttpBuilder;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

use xtask_items::shortened;

use crate::failure::Failure;
use crate::poll::Look;

/// Local servers need a signed request but check no key; with `-sharedDb` all keys and regions are one.
pub(crate) const LOCAL_KEY: &str = "local";
pub(crate) const LOCAL_REGION: &str = "us-east-1";

/// A local server that refuses a connection is down, not busy: the user need not wait for a second.
const LOCAL_BACKOFF: Duration = Duration::from_millis(50);

const CONNECT_BOUND: Duration = Duration::from_secs(5);
const ATTEMPT_BOUND: Duration = Duration::from_secs(30);

/// DynamoDB, local or production's, and the table that holds the messages.
#[derive(Clone)]
pub(crate) struct DynamoDbTarget {
    /// None means AWS's own endpoint of the region.
    endpoint: Option<String>,
    production: bool,
    /// The messages table.
    pub(crate) table: String,
    /// What to do when it cannot be reached.
    remedy: String,
}

impl DynamoDbTarget {
    /// A DynamoDB-compatible server that is not AWS.
    ///
    /// # Errors
    /// Not an http URL, or one of AWS's: without `--prod` nothing reaches AWS.
    pub(crate) fn local(endpoint: &str, table: String, remedy: String) -> Result<Self> {
        let form = "write it as http://HOST:PORT";
        let host = endpoint.strip_prefix("http://").or_else(|| endpoint.strip_prefix("https://"));
        let Some(host) = host.filter(|host| !host.is_empty()) else {
            return Err(Failure::new(format!("`{endpoint}` is not a DynamoDB endpoint"), form).into());
        };
        let name = host.split(['/', ':', '?', '@']).next().unwrap_or_default().to_ascii_lowercase();
        let name = name.trim_end_matches('.');
        if ["amazonaws.com", "amazonaws.com.cn", "api.aws"].iter().any(|domain| name.ends_with(domain)) {
            return Err(Failure::new(
                format!("`{endpoint}` is AWS itself"),
                "production is reached with --prod only",
            )
            .into());
        }
        ensure!(!host.contains('@'), "a DynamoDB endpoint takes no user or password");
        Ok(Self {
            endpoint: Some(endpoint.trim_end_matches('/').to_owned()),
            production: false,
            table,
            remedy,
        })
    }

    /// Production's DynamoDB.
    pub(crate) fn production(endpoint: Option<String>, table: String) -> Self {
        let remedy = "check AWS_PROFILE, AWS_REGION and the credentials (`aws sts get-caller-identity`)";
        Self { endpoint, production: true, table, remedy: remedy.to_owned() }
    }

    /// The endpoint's URL, if it is not AWS's own.
    pub(crate) fn endpoint(&self) -> Option<&str> {
        self.endpoint.as_deref()
    }

    /// Whether it is production's.
    pub(crate) fn is_production(&self) -> bool {
        self.production
    }

    /// A client for it. Local clients know their credentials and region and never ask the network.
    pub(crate) async fn client(&self) -> Client {
        let mut config = if self.production { self.production_config().await } else { self.local_config() };
        // Set even where it is none: an endpoint that the environment names is not production's.
        config.set_endpoint_url(self.endpoint.clone());
        Client::from_conf(config.build())
    }

    fn local_config(&self) -> ConfigBuilder {
        // Plain HTTP needs no TLS roots, and loading the system's takes a while.
        let plain = self.endpoint().is_none_or(|endpoint| endpoint.starts_with("http://"));
        let http = if plain { HttpBuilder::new().build_http() } else { tls_client() };
        ConfigBuilder::new()
            .behavior_version(BehaviorVersion::latest())
            .credentials_provider(Credentials::new(LOCAL_KEY, LOCAL_KEY, None, None, "local"))
            .region(Region::from_static(LOCAL_REGION))
            .retry_config(RetryConfig::standard().with_initial_backoff(LOCAL_BACKOFF))
            .timeout_config(timeouts())
            .http_client(http)
    }

    async fn production_config(&self) -> ConfigBuilder {
        let loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(tls_client())
            .timeout_config(timeouts())
            .retry_config(RetryConfig::standard());
        ConfigBuilder::from(&loader.load().await)
    }

    /// Whether the server answers a signed request.
    pub(crate) async fn look(&self, client: &Client) -> Look<()> {
        // Polling is the retry: the SDK's own would hide the reason for seconds.
        let quick = TimeoutConfig::builder().operation_timeout(Duration::from_secs(2)).build();
        let override_ = aws_sdk_dynamodb::config::Config::builder()
            .retry_config(RetryConfig::disabled())
            .timeout_config(quick);
        match client.list_tables().limit(1).customize().config_override(override_).send().await {
            Ok(_) => Look::Ready(()),
            Err(SdkError::ServiceError(error)) if error.raw().status().as_u16() < 500 => {
                let failure = Failure::new(format!("{self} refuses ListTables"), &self.remedy);
                Look::Failed(failure.caused_by(error.into_err()).into())
            }
            Err(error) => Look::NotYet(explain(error).to_string()),
        }
    }

    /// Says what went wrong in a request, and what to do where the server cannot be reached.
    pub(crate) fn explain<E, R>(&self, error: SdkError<E, R>) -> anyhow::Error
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
        R: fmt::Debug + Send + Sync + 'static,
    {
        let (problem, remedy) = match &error {
            SdkError::DispatchFailure(_) | SdkError::TimeoutError(_) => {
                ("cannot reach", self.remedy.as_str())
            }
            SdkError::ServiceError(error) if error.err().code() == Some("ResourceNotFoundException") => (
                "there is no such table in",
                "create it with `cargo xtask ddb schema-load`, or see `cargo xtask ddb list-tables`",
            ),
            _ => return explain(error),
        };
        Failure::new(format!("{problem} {self}"), remedy).caused_by(explain(error)).into()
    }
}

/// The error's code and message, or what stopped the request on its way.
fn explain<E, R>(error: SdkError<E, R>) -> anyhow::Error
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    R: fmt::Debug + Send + Sync + 'static,
{
    match error.as_service_error().and_then(|service| service.code().map(|code| (code, service.message()))) {
        // Some servers repeat the whole request in their message.
        Some((code, message)) => anyhow!("{code}: {}", shortened(message.unwrap_or("no message"), 300)),
        None => {
            anyhow!(chain(&error))
        }
    }
}

/// An error and its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
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
        match (&self.endpoint, self.production) {
            (Some(endpoint), true) => write!(formatter, "production's DynamoDB at {endpoint}"),
            (Some(endpoint), false) => write!(formatter, "DynamoDB at {endpoint}"),
            (None, _) => write!(formatter, "DynamoDB on AWS"),
        }
    }
}

fn tls_client() -> aws_sdk_dynamodb::config::SharedHttpClient {
    HttpBuilder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https()
}

fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder().connect_timeout(CONNECT_BOUND).operation_attempt_timeout(ATTEMPT_BOUND).build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Report;

    fn local(endpoint: &str) -> Result<DynamoDbTarget> {
        DynamoDbTarget::local(endpoint, "t".to_owned(), String::new())
    }

    #[test]
    fn aws_is_out_of_reach_without_prod() {
        for endpoint in [
            "https://dynamodb.us-east-1.amazonaws.com",
            "http://DynamoDB.eu-west-1.AmazonAWS.com.:443/",
            "https://dynamodb.cn-north-1.amazonaws.com.cn",
            "https://dynamodb.us-east-1.api.aws",
        ] {
            let report = Report(&local(endpoint).err().unwrap()).to_string();
            assert!(report.ends_with("help: production is reached with --prod only"), "{report}");
        }
    }

    #[test]
    fn an_endpoint_is_an_http_url() {
        assert_eq!(local("http://127.0.0.1:8000/").unwrap().to_string(), "DynamoDB at http://127.0.0.1:8000");
        for endpoint in ["127.0.0.1:8000", "http://", "ftp://h"] {
            assert!(local(endpoint).is_err(), "{endpoint}");
        }
    }
}
