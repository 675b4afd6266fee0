//! The app's server, which replaces the process of `cargo xtask run`: its address, and how commands find it.

use std::fmt;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use crate::docker::compose::Port;
use crate::docker::port;
use crate::error::Failure;
use crate::package::Package;
use crate::process::ServerLock;
use crate::ui::Ui;
use anyhow::{Context as _, Result, anyhow};

use crate::context::Context;

pub(crate) static PACKAGE: Package = Package {
    name: "backend-flask-rs",
    program: "backend-flask",
    folder: "backend-flask-rs",
    first_build: "app: its server is built once, which takes about two minutes",
};

/// The port at which Cruddur's front end expects its backend.
const DEFAULT_PORT: u16 = 4567;

/// The server's name in messages about its port.
const SERVICE: &str = "app";

/// How long the server may take to answer.
const ANSWER_BOUND: Duration = Duration::from_secs(5);

/// The server at a port of the loopback address. Displayed as its URL.
pub(crate) struct App {
    port: u16,
}

impl App {
    pub(crate) fn at(port: u16) -> Self {
        Self { port }
    }

    /// The command-line arguments that make it listen there.
    pub(crate) fn arguments(&self) -> [String; 2] {
        ["--address".to_owned(), SocketAddr::from((Ipv4Addr::LOCALHOST, self.port)).to_string()]
    }

    /// Checks that the server answers a health request.
    pub(crate) async fn answers(&self) -> Result<()> {
        let port = self.port;
        let asked =
            tokio::task::spawn_blocking(move || ask(port)).await.context("the health check panicked")?;
        asked.map_err(|error| {
            let remedy = "look at what it printed where `cargo xtask run` was started";
            Failure::new(format!("the app at {self} does not answer"), remedy).caused_by(error).into()
        })
    }
}

impl fmt::Display for App {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "http://127.0.0.1:{}", self.port)
    }
}

fn ask(port: u16) -> Result<()> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_BOUND)?;
    stream.set_read_timeout(Some(ANSWER_BOUND))?;
    write!(stream, "GET /api/health-check HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut status = [0; 12];
    stream.read_exact(&mut status)?;
    // Any status will do. 503 names a missing database, and the page shows that too.
    if status.starts_with(b"HTTP/1.1 ") { Ok(()) } else { Err(anyhow!("it does not speak HTTP")) }
}

fn lock(context: &Context) -> ServerLock {
    ServerLock::of(&context.state.join("app"))
}

/// This workspace's running server.
pub(crate) fn running(context: &Context) -> Result<App> {
    let port = lock(context).holder()?.and_then(|holder| holder.port);
    port.map(App::at)
        .ok_or_else(|| Failure::new("the app does not run", "start it with `cargo xtask run`").into())
}

pub(crate) fn check_that_none_runs(context: &Context) -> Result<()> {
    let Some(holder) = lock(context).holder()? else { return Ok(()) };
    let place = holder.port.map_or("an address not known yet".to_owned(), |port| App::at(port).to_string());
    let kill = holder.pid.filter(|_| cfg!(unix) && holder.check_namespace().is_ok());
    let kill = kill.map_or(String::new(), |pid| format!(", or `kill {pid}`"));
    let remedy = format!("open it with `cargo xtask open`, or end it: Ctrl-C where it runs{kill}");
    Err(Failure::new(format!("the app runs already, at {place} ({holder})"), remedy).into())
}

/// Takes the lock of this workspace's server, which replaces this process. Let only the app's server inherit the
/// file, not a database's server.
pub(crate) async fn claim(context: &Context, app: &App) -> Result<File> {
    context.state.make()?;
    let lock = lock(context);
    let file = lock.take().await?;
    lock.write(&file, Some(std::process::id()), Some(app.port))?;
    Ok(file)
}

/// The port to listen at: the wanted one, or else the first free one from the default on.
pub(crate) fn port(wanted: Option<u16>, ui: &Ui) -> Result<u16> {
    let holder = "another program";
    match wanted {
        Some(port) if port::is_free(port) => Ok(port),
        Some(port) => Err(Failure::new(
            format!("port 127.0.0.1:{port} of the {SERVICE} is held by {holder}"),
            "stop that program, give another --port, or leave --port out to use the next free port",
        )
        .into()),
        None => {
            let usual = Port { host: DEFAULT_PORT, container: DEFAULT_PORT, fixed: false };
            port::settled(usual, SERVICE, holder, &[], ui)
        }
    }
}
