//! The least that a client of a local DynamoDB has to do: HTTP/1.1 on one connection, kept alive.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};

use anyhow::{Context as _, Result, bail, ensure};

/// How much is read from the connection at once.
const READ_AT_ONCE: usize = 1 << 18;

/// A connection to a DynamoDB on this machine.
pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
    line: String,
}

/// A whole request. Local servers want a signature of the right form and do not check it.
pub(crate) fn request(operation: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST / HTTP/1.1\r\n\
         Host: 127.0.0.1\r\n\
         Content-Type: application/x-amz-json-1.0\r\n\
         Content-Length: {length}\r\n\
         X-Amz-Target: DynamoDB_20120810.{operation}\r\n\
         X-Amz-Date: 20260101T000000Z\r\n\
         Authorization: AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/dynamodb/aws4_request, \
         SignedHeaders=host;x-amz-date;x-amz-target, Signature=00\r\n\
         \r\n\
         {body}"
    )
    .into_bytes()
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// Nothing listens on the port.
    pub(crate) fn open(port: u16) -> Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))
            .with_context(|| format!("cannot connect to 127.0.0.1:{port}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::with_capacity(READ_AT_ONCE, stream), line: String::new() })
    }

    /// Sends a [`request`] and reads the answer's body, in place of what `body` held.
    ///
    /// # Errors
    /// The connection broke, or the server refused.
    pub(crate) fn exchange(&mut self, request: &[u8], body: &mut Vec<u8>) -> Result<()> {
        self.stream.get_mut().write_all(request)?;
        body.clear();
        let status = self.line()?.to_owned();
        let mut length = 0;
        let mut is_chunked = false;
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').context("a header without a colon")?;
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().context("Content-Length")?;
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                is_chunked = value.trim().eq_ignore_ascii_case("chunked");
            }
        }
        if is_chunked {
            self.chunks(body)?
        } else {
            self.bytes(length, body)?
        }
        ensure!(status.contains(" 200 "), "{status}: {}", String::from_utf8_lossy(body));
        Ok(())
    }

    /// <https://www.rfc-editor.org/rfc/rfc9112#name-chunked-transfer-coding>
    fn chunks(&mut self, body: &mut Vec<u8>) -> Result<()> {
        loop {
            let length = usize::from_str_radix(self.line()?, 16).context("a chunk's length")?;
            self.bytes(length, body)?;
            if !self.line()?.is_empty() {
                bail!("a chunk does not end where it should");
            }
            if length == 0 {
                return Ok(());
            }
        }
    }

    fn bytes(&mut self, length: usize, body: &mut Vec<u8>) -> Result<()> {
        let start = body.len();
        body.resize(start + length, 0);
        Ok(self.stream.read_exact(&mut body[start..])?)
    }

    /// The next line, without its end.
    fn line(&mut self) -> Result<&str> {
        self.line.clear();
        ensure!(self.stream.read_line(&mut self.line)? > 0, "the server closed the connection");
        Ok(self.line.trim_end())
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// What is read from a server that answers every request with these bytes.
    fn read(answer: &'static str) -> Result<String> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = vec![0; request("Scan", "{}").len()];
            stream.read_exact(&mut asked).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
        });
        let mut body = b"before".to_vec();
        let read = Connection::open(port)?.exchange(&request("Scan", "{}"), &mut body);
        server.join().unwrap();
        read.map(|()| String::from_utf8(body).unwrap())
    }

    #[test]
    fn bodies_are_read_whole_or_in_chunks() {
        assert_eq!(read("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello").unwrap(), "hello");
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n";
        assert_eq!(read(chunked).unwrap(), "hello");
    }

    #[test]
    fn a_refusal_is_an_error_that_shows_it() {
        let error = read("HTTP/1.1 400 Bad Request\r\nContent-Length: 3\r\n\r\nwhy").unwrap_err();
        assert_eq!(error.to_string(), "HTTP/1.1 400 Bad Request: why");
        assert!(read("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nno").is_err());
        assert!(read("").is_err());
    }
}
