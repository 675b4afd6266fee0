//! An HTTP client that sends exactly what the test says, and adds only the body's length.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

#[must_use]
pub(crate) struct Request {
    to: SocketAddr,
    line: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Request {
    pub(crate) fn new(to: SocketAddr, method: &str, path: &str) -> Self {
        let host = to.to_string();
        Self { to, line: format!("{method} {path} HTTP/1.1"), headers: Vec::new(), body: Vec::new() }
            .header("Host", &host)
    }

    /// Sets a header, and replaces one of the same name.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(set, _)| !set.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets the user, for local access.
    pub(crate) fn from(self, handle: &str) -> Self {
        self.header("X-Cruddur-User", handle)
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.body("application/json", &body.to_string())
    }

    pub(crate) fn body(mut self, kind: &str, body: &str) -> Self {
        self.body = body.into();
        self.header("Content-Type", kind)
    }

    #[track_caller]
    pub(crate) fn send(self) -> Answer {
        let (reader, mut answer) = self.begin();
        // Not every server closes the connection.
        let length = answer.header("content-length").map_or(u64::MAX, |length| length.parse().unwrap());
        reader.take(length).read_to_string(&mut answer.body).unwrap();
        answer
    }

    /// Sends the request and reads the answer's head. The caller reads the body line by line.
    #[track_caller]
    pub(crate) fn begin(self) -> (BufReader<TcpStream>, Answer) {
        let mut stream = TcpStream::connect(self.to).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut head = self.line.clone();
        for (name, value) in &self.headers {
            head += &format!("\r\n{name}: {value}");
        }
        head += &format!("\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", self.body.len());
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(&self.body);
        // A server that refuses a body may close the connection before reading it.
        _ = stream.write_all(&bytes);
        let mut reader = BufReader::new(stream);
        let mut lines = std::iter::from_fn(|| {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            Some(line.trim_end().to_owned()).filter(|line| !line.is_empty())
        });
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines.map(|line| {
            let (name, value) = line.split_once(':').unwrap();
            (name.to_owned(), value.trim().to_owned())
        });
        let answer = Answer { status, headers: headers.collect(), body: String::new() };
        (reader, answer)
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(set, _)| set.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The JSON of an answer whose status must be 200.
    #[track_caller]
    pub(crate) fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{self:?}");
        self.json()
    }

    #[track_caller]
    pub(crate) fn refuses(&self, status: u16, field: &str) -> &Self {
        assert_eq!(self.status, status, "{self:?}");
        let body = self.json();
        assert_eq!(body["field"], field, "{self:?}");
        assert!(body["error"].as_str().is_some_and(|error| !error.is_empty()), "{self:?}");
        self
    }
}
