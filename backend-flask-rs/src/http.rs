//! HTTP under the AWS SDK, the same for the server and the tasks: in the clear where the URL says so, as local
//! servers want it, and otherwise TLS by rustls on ring.

use aws_sdk_dynamodb::config::SharedHttpClient;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_http_client::{Builder, Connector, ConnectorBuilder};

const TLS: Provider = Provider::Rustls(CryptoMode::Ring);

/// The SDK's HTTP client for the server at the URL `endpoint`; AWS's own server where there is none.
#[must_use]
pub fn client(endpoint: Option<&str>) -> SharedHttpClient {
    let client = Builder::new();
    if is_plain(endpoint) { client.build_http() } else { client.tls_provider(TLS).build_https() }
}

/// Connections to the server at the URL `endpoint`, for requests that are not the SDK's; AWS's own server where
/// there is none.
#[must_use]
pub fn connector(settings: ConnectorBuilder, endpoint: Option<&str>) -> Connector {
    if is_plain(endpoint) { settings.build_http() } else { settings.tls_provider(TLS).build() }
}

/// Plain HTTP needs no TLS roots, and loading the system's takes a while.
fn is_plain(endpoint: Option<&str>) -> bool {
    endpoint.is_some_and(|url| url.starts_with("http://"))
}
