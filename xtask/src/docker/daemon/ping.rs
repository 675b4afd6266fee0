//! Which version of the API a daemon speaks.

use std::io::{self, ErrorKind};

use bollard::{API_DEFAULT_VERSION, ClientVersion};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

/// The most of an answer that is read. It has half a kilobyte.
const ANSWER_BYTES: usize = 16 << 10;

/// What ends the head of an answer.
const END: &[u8] = b"\r\n\r\n";

/// The newest version that bollard and the daemon at a Unix socket both speak, by the head of its answer to `/_ping`, as
/// the docker CLI asks for it (<https://docs.docker.com/reference/api/engine/version/v1.41/#tag/System/operation/SystemPingHead>).
/// Bollard itself asks for `/version`, before whose answer Docker 20.10 runs two programs, for 7 to 18 ms.
///
/// # Errors
/// Nobody listens there, or what answers does not tell.
pub(super) async fn version(socket: &str) -> io::Result<ClientVersion> {
    let mut daemon = UnixStream::connect(socket).await?;
    daemon.write_all(b"HEAD /_ping HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n").await?;
    let mut answer = Vec::with_capacity(1 << 10);
    while !answer.windows(END.len()).any(|bytes| bytes == END) && answer.len() < ANSWER_BYTES {
        if daemon.read_buf(&mut answer).await? == 0 {
            break;
        }
    }
    let newest = newest(&String::from_utf8_lossy(&answer)).ok_or(ErrorKind::InvalidData)?;
    Ok(if newest < *API_DEFAULT_VERSION { newest } else { ClientVersion { ..*API_DEFAULT_VERSION } })
}

/// What a good answer's header has.
fn newest(answer: &str) -> Option<ClientVersion> {
    let mut lines = answer.lines();
    lines.next().filter(|status| status.split(' ').nth(1) == Some("200"))?;
    let headers = lines.map_while(|line| line.split_once(':'));
    let (_, version) = { headers }.find(|(name, _)| name.eq_ignore_ascii_case("api-version"))?;
    let (major, minor) = version.trim().split_once('.')?;
    Some(ClientVersion { major_version: major.parse().ok()?, minor_version: minor.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(answer: &str) -> Option<String> {
        newest(answer).map(|version| version.to_string())
    }

    #[test]
    fn the_version_is_in_a_header() {
        let answer = "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nServer: Docker/20.10.24 (linux)\r\n\r\n";
        assert_eq!(told(answer).as_deref(), Some("1.41"));
        assert_eq!(
            told("HTTP/1.1 200 OK\r\nLibpod-Api-Version: 5.4.2\r\napi-version:1.44\r\n\r\n").as_deref(),
            Some("1.44")
        );
    }

    #[test]
    fn who_does_not_tell_it_is_asked_in_another_way() {
        for answer in [
            "",
            "HTTP/1.1 200 OK\r\n\r\nApi-Version: 1.41",
            "HTTP/1.1 404 Not Found\r\nApi-Version: 1.41\r\n\r\n",
            "HTTP/1.1 200 OK\r\nApi-Version: new\r\n\r\n",
        ] {
            assert_eq!(told(answer), None, "{answer:?}");
        }
    }
}
