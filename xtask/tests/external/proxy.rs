//! A proxy to a real server that treats some requests as faulty servers and networks do.

use std::io::{BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::common::dynamodb::{Answer, Endpoint, Head};

/// What happens to a request.
pub(crate) enum Fate {
    /// The real server answers it.
    Passed,
    /// The proxy sends this answer.
    Answered(Answer),
    /// The connection is closed without an answer. The real server has not received the request.
    Lost,
    /// The connection is closed without an answer. The real server has processed the request.
    AnswerLost,
    /// The real server has processed the request, but the connection is closed in the middle of the answer.
    AnswerCut,
}

impl Fate {
    /// The answer of a server that throttles.
    pub(crate) fn throttled() -> Self {
        let body = r#"{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException","message":"The level of configured provisioned throughput for the table was exceeded."}"#;
        Self::Answered(Answer { status: 400, body: body.to_owned() })
    }
}

/// The proxy. It ends with the test program, or at the first connection after it was dropped.
pub(crate) struct Proxy {
    pub(crate) endpoint: Endpoint,
    ended: Arc<AtomicBool>,
}

impl Proxy {
    /// Starts a proxy to `behind`. `decide` gets the operation and the body of each request.
    pub(crate) fn start(
        behind: Endpoint,
        decide: impl Fn(&str, &str) -> std::io::Result<Fate> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = Endpoint(listener.local_addr().unwrap().port());
        let ended = Arc::new(AtomicBool::new(false));
        let has_ended = Arc::clone(&ended);
        let decide = Arc::new(decide);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if has_ended.load(Ordering::SeqCst) {
                    break;
                }
                let decide = Arc::clone(&decide);
                // A client may close its connection in the middle of a request.
                std::thread::spawn(move || _ = serve(stream, behind, decide.as_ref()));
            }
        });
        Self { endpoint, ended }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        // The listening thread notices the end at the next connection.
        let _ = TcpStream::connect(("127.0.0.1", self.endpoint.0));
    }
}

/// Answers the requests of a connection until either side closes it.
fn serve(
    stream: TcpStream,
    behind: Endpoint,
    decide: &impl Fn(&str, &str) -> std::io::Result<Fate>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut out = stream;
    loop {
        let head = Head::read(&mut reader)?;
        let mut body = String::new();
        (&mut reader).take(head.length.unwrap_or_default()).read_to_string(&mut body)?;
        let fate = decide(&head.operation, &body)?;
        let is_cut = matches!(fate, Fate::AnswerCut);
        let Answer { status, body } = match fate {
            Fate::Passed | Fate::AnswerCut => behind.send(&head.operation, &body)?,
            Fate::Answered(answer) => answer,
            Fate::Lost => return Ok(()),
            Fate::AnswerLost => return behind.send(&head.operation, &body).map(drop),
        };
        write!(
            out,
            "HTTP/1.1 {status} .\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )?;
        if is_cut {
            return out.write_all(&body.as_bytes()[..body.len() / 2]);
        }
        out.write_all(body.as_bytes())?;
    }
}
