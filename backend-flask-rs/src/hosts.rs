//! Classifies hosts by name: this machine, a private network, AWS, or public.
//!
//! Without `--prod` the tasks reach only near hosts: this machine and private networks. So do the tests.

use std::net::{IpAddr, Ipv6Addr};

/// AWS's domains, which a command without `--prod` never reaches. The last one is a top-level domain, with `api.aws`
/// and `on.aws` in it.
const AWS: [&str; 4] = ["amazonaws.com", "amazonaws.com.cn", "amazonaws.eu", "aws"];

/// Domains that exist only in local networks. <https://www.rfc-editor.org/rfc/rfc6762#appendix-G>
const NEAR: [&str; 3] = ["local", "internal", "localhost"];

/// Why a host is not near.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotNear {
    /// It is AWS itself.
    Aws,
    /// It has an invalid character. Do not show it: it may be part of a password.
    NoName,
    /// It is neither this machine nor in a private network.
    Public,
}

/// Fails if a host is neither this machine nor in a private network.
pub fn check_near(host: &str) -> Result<(), NotNear> {
    let name = normal(host);
    if is_within(&name, &AWS) {
        return Err(NotNear::Aws);
    }
    if !is_host_name(bare(&name)) {
        return Err(NotNear::NoName);
    }
    if is_near(&name) { Ok(()) } else { Err(NotNear::Public) }
}

/// Whether two names name the same host.
pub fn is_same(one: &str, other: &str) -> bool {
    normal(one) == normal(other)
}

/// Whether a host is this machine. Nobody else can intercept such a connection.
pub fn is_loopback(host: &str) -> bool {
    let name = normal(host);
    address(&name).map_or_else(|| is_within(&name, &["localhost"]), |address| address.is_loopback())
}

/// Whether it is an address, or a name of letters, digits, `-`, `.` and `_`.
pub fn is_host_name(name: &str) -> bool {
    let is_plain = |name: &str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
    };
    // `fe80::1%eth0` contains the name of an interface.
    let (address, interface) = name.split_once('%').unwrap_or((name, "lo"));
    is_plain(name) || (address.parse::<Ipv6Addr>().is_ok() && is_plain(interface))
}

/// The host of a URL without its scheme, and the text after its colon.
pub fn host_and_port(rest: &str) -> (&str, Option<&str>) {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let bracketed = authority.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    match bracketed.filter(|(_, port)| port.is_empty() || port.starts_with(':')) {
        Some((address, port)) => (address, port.strip_prefix(':')),
        None => authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
    }
}

fn normal(host: &str) -> String {
    host.trim_end_matches('.').to_ascii_lowercase()
}

/// Parses an address, with or without a URL's brackets.
fn address(name: &str) -> Option<IpAddr> {
    // In `fe80::1%eth0` the interface is not part of the address.
    let bare = bare(name).split('%').next().unwrap_or(name);
    bare.parse().ok().map(|address: IpAddr| address.to_canonical())
}

fn bare(name: &str) -> &str {
    name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name)
}

/// Whether the host is this machine, a private address, or a name in a private network.
fn is_near(name: &str) -> bool {
    match address(name) {
        // Not link-local addresses: cloud machines get credentials from 169.254.169.254 and others.
        Some(IpAddr::V4(address)) => {
            address.is_loopback() || address.is_private() || address.is_unspecified()
        }
        // <https://www.rfc-editor.org/rfc/rfc4193>
        Some(IpAddr::V6(address)) => {
            address.is_loopback() || address.is_unique_local() || address.is_unspecified()
        }
        None => is_service_name(name) || is_within(name, &NEAR),
    }
}

/// Whether the name is a single label, like a service's name in a compose file. Numbers are not: the resolver reads
/// `134744072` as 8.8.8.8.
fn is_service_name(name: &str) -> bool {
    let is_number = name.starts_with("0x") || name.bytes().all(|byte| byte.is_ascii_digit());
    let is_label = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    !name.is_empty() && !is_number && name.bytes().all(is_label)
}

/// Whether a name is one of the domains or a subdomain.
fn is_within(name: &str, domains: &[&str]) -> bool {
    domains
        .iter()
        .any(|domain| name.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')))
}
