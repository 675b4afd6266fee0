//! A TCP proxy to a real server that fails in the ways networks fail.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};

use crate::common::dynamodb::Endpoint;

/// The fault of a connection, after this many bytes of the server's answers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// None: everything passes.
    Whole,
    /// The connection is reset.
    Reset(usize),
    /// The connection is closed properly in the middle of an answer.
    Cut(usize),
    /// Nothing more arrives, and the connection stays open.
    Stall(usize),
    /// The rest arrives byte by byte, each after this pause.
    Drip(usize, Duration),
    /// These bytes arrive instead of any answer.
    Garbage(&'static [u8]),
}

impl Fault {
    /// How many bytes of answers pass before the fault.
    fn after(self) -> usize {
        match self {
            Self::Whole => usize::MAX,
            Self::Reset(after) | Self::Cut(after) | Self::Stall(after) | Self::Drip(after, _) => after,
            Self::Garbage(_) => 0,
        }
    }
}

/// A proxy. It ends with the test program.
pub(crate) struct Line {
    pub(crate) port: u16,
}

impl Line {
    /// Starts a proxy before the server at the port `behind`. `fault` gets each connection's number, from 0.
    pub(crate) fn start(behind: u16, fault: impl Fn(usize) -> Fault + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for (number, client) in listener.incoming().flatten().enumerate() {
                let fault = fault(number);
                // If one side closes, only its connection ends.
                std::thread::spawn(move || _ = pass(client, behind, fault));
            }
        });
        Self { port }
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint(self.port)
    }
}

fn pass(client: TcpStream, behind: u16, fault: Fault) -> std::io::Result<()> {
    let server = TcpStream::connect(("127.0.0.1", behind))?;
    let over = Arc::new(AtomicBool::new(false));
    let is_over = Arc::clone(&over);
    let (from_client, to_server) = (client.try_clone()?, server.try_clone()?);
    let up = std::thread::spawn(move || _ = up(from_client, to_server, &is_over));
    let ended = down(server, &client, fault);
    over.store(true, Ordering::SeqCst);
    _ = up.join();
    if let Fault::Reset(_) = fault {
        // Closing the last handle without lingering resets the connection.
        SockRef::from(&client).set_linger(Some(Duration::ZERO))?;
    }
    ended
}

/// Passes the client's data on until the connection ends.
fn up(mut from: TcpStream, mut to: TcpStream, over: &AtomicBool) -> std::io::Result<()> {
    from.set_read_timeout(Some(Duration::from_millis(10)))?;
    let mut bytes = [0; 16 << 10];
    while !over.load(Ordering::SeqCst) {
        match from.read(&mut bytes) {
            Ok(0) => break,
            Ok(read) => to.write_all(&bytes[..read])?,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    to.shutdown(Shutdown::Both)
}

/// Passes the server's answers on, up to the fault.
fn down(mut from: TcpStream, mut to: &TcpStream, fault: Fault) -> std::io::Result<()> {
    let mut passed = 0;
    let mut bytes = [0; 16 << 10];
    loop {
        let read = from.read(&mut bytes)?;
        if read == 0 {
            return to.shutdown(Shutdown::Write);
        }
        let whole = read.min(fault.after().saturating_sub(passed));
        to.write_all(&bytes[..whole])?;
        passed += read;
        if whole == read {
            continue;
        }
        match fault {
            Fault::Whole => {}
            Fault::Reset(_) => return Ok(()),
            Fault::Cut(_) => return to.shutdown(Shutdown::Both),
            // Read and discard until the server closes.
            Fault::Stall(_) => {}
            Fault::Drip(_, pause) => {
                for byte in &bytes[whole..read] {
                    to.write_all(&[*byte])?;
                    std::thread::sleep(pause);
                }
            }
            Fault::Garbage(text) => {
                to.write_all(text)?;
                return to.shutdown(Shutdown::Both);
            }
        }
    }
}

/// A server that answers no request. Only the system accepts its connections.
pub(crate) fn silent() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// A port without a listener. No other program can listen there while the socket is held.
pub(crate) fn nobody() -> (Socket, u16) {
    let socket = bound();
    let port = socket.local_addr().unwrap().as_socket().unwrap().port();
    (socket, port)
}

fn bound() -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket
}

/// A server to which nobody can connect, because its queue is full while the values are held.
pub(crate) fn full() -> (Socket, Vec<TcpStream>, u16) {
    let socket = bound();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let connect = |_| TcpStream::connect_timeout(&address, Duration::from_millis(300)).ok();
    let held: Vec<_> = (0..16).map_while(connect).collect();
    assert!(held.len() < 16, "the queue does not fill");
    (socket, held, address.port())
}
