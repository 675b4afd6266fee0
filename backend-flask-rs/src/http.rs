//! The HTTP client for DynamoDB: plain HTTP for `http://` URLs of local servers, otherwise TLS by rustls with ring.

use aws_sdk_dynamodb::config::{BehaviorVersion, Builder as Config, Credentials, Region, SharedHttpClient};
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_http_client::{Builder, Connector};

/// The key id and the secret for a local server, which requires signed requests but checks no key.
pub const LOCAL_KEY: &str = "local";

/// The region for a local server.
pub const LOCAL_REGION: &str = "us-east-1";

const TLS: Provider = Provider::Rustls(CryptoMode::Ring);

/// The client settings for a local server at the URL `endpoint`.
pub fn local_config(endpoint: &str) -> Config {
    Config::new()
        .behavior_version(BehaviorVersion::latest())
        .credentials_provider(Credentials::new(LOCAL_KEY, LOCAL_KEY, None, None, LOCAL_KEY))
        .region(Region::from_static(LOCAL_REGION))
        .endpoint_url(endpoint)
        .http_client(client(Some(endpoint)))
}

/// The SDK's HTTP client for the server at the URL `endpoint`, or for AWS.
#[must_use]
pub fn client(endpoint: Option<&str>) -> SharedHttpClient {
    let client = Builder::new();
    match endpoint {
        // HTTPS_PROXY, HTTP_PROXY and NO_PROXY apply only to AWS.
        None => client.build_with_connector_fn(|settings, components| {
            let mut connector = Connector::builder().proxy_config(ProxyConfig::from_env());
            connector.set_connector_settings(settings.cloned());
            connector.set_sleep_impl(components.and_then(|components| components.sleep_impl()));
            connector.tls_provider(TLS).build()
        }),
        Some(url) if is_plain(url) => client.build_http(),
        Some(_) => client.tls_provider(TLS).build_https(),
    }
}

/// A connector to the server at a URL, for requests outside the SDK.
#[must_use]
pub fn connector(url: &str) -> Connector {
    let connector = Connector::builder();
    if is_plain(url) { connector.build_http() } else { connector.tls_provider(TLS).build() }
}

/// Whether no TLS is needed. Loading the system's TLS roots takes time.
fn is_plain(url: &str) -> bool {
    url.starts_with("http://")
}
