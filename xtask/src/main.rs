//! Cruddur's development tasks. Run as `cargo xtask`, through the launcher beside this package.

mod app;
mod attribute;
mod commands;
mod compose;
mod context;
mod docker;
mod engine;
mod environment;
mod facts;
mod failure;
mod guard;
mod output;
mod pace;
mod package;
mod poll;
mod port;
mod process;
mod read;
mod services;
mod state;
mod table;
mod target;
mod ui;
mod wire;
mod write;

use std::io::ErrorKind;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Parser as _, ValueEnum as _};

use crate::commands::Arguments;
use crate::context::Context;
use crate::engine::EngineChoice;
use crate::environment::Environment;
use crate::failure::{Interrupted, Report, Usage};
use crate::ui::Ui;

fn main() -> ExitCode {
    let arguments = Arguments::parse_from(commands::with_prod_word(std::env::args_os().collect()));
    let ended = context(&arguments).and_then(|context| {
        let ui = context.ui.clone();
        run(arguments, &context).inspect_err(|error| report(&ui, error))
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit_code(&error),
    }
}

fn context(arguments: &Arguments) -> Result<Context> {
    let read = || {
        let root = context::workspace_root()?;
        let environment = Environment::read(&root)?;
        let engine = match (arguments.engine, environment.get(engine::VARIABLE)) {
            (Some(engine), _) => engine,
            (None, None) => EngineChoice::Auto,
            (None, Some(name)) => EngineChoice::from_str(name, false).map_err(|_| {
                Usage(format!(
                    "{}=`{name}` names no engine: auto, docker, embedded or external",
                    engine::VARIABLE
                ))
            })?,
        };
        let context = Context::new(root, environment, engine, arguments.output);
        Ok(context.allowing(arguments.allow_host.clone()))
    };
    read().inspect_err(|error| report(&Ui::new(&Environment::default()), error))
}

/// Enters async once; a signal ends the run wherever it is.
fn run(arguments: Arguments, context: &Context) -> Result<()> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    let ended = runtime.block_on(async {
        let mut signals = Signals::new()?;
        tokio::select! {
            ended = arguments.run(context) => ended,
            signal = signals.next() => Err(Interrupted(signal).into()),
        }
    });
    // A thread that still waits for Postgres must not keep the user waiting.
    runtime.shutdown_background();
    ended
}

/// The signals that end a run in order: SIGINT and SIGTERM.
struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    #[cfg(unix)]
    fn new() -> Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let take = |kind| signal(kind).context("cannot take signals");
        Ok(Self { terminate: take(SignalKind::terminate())?, interrupt: take(SignalKind::interrupt())? })
    }

    #[cfg(not(unix))]
    fn new() -> Result<Self> {
        Ok(Self {})
    }

    /// The next signal's number.
    #[cfg(unix)]
    async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.interrupt.recv() => 2,
            _ = self.terminate.recv() => 15,
        }
    }

    #[cfg(not(unix))]
    async fn next(&mut self) -> u8 {
        match tokio::signal::ctrl_c().await {
            Ok(()) => 2,
            Err(_) => std::future::pending().await,
        }
    }
}

fn report(ui: &Ui, error: &anyhow::Error) {
    if !is_closed_pipe(error) {
        ui.line(Report(error));
    }
}

/// 0 done, 1 failed, 2 wrong usage, 128 and the signal's number when interrupted. Whoever closed our
/// output has read what they wanted: that is no failure.
fn exit_code(error: &anyhow::Error) -> ExitCode {
    if is_closed_pipe(error) {
        return ExitCode::SUCCESS;
    }
    if let Some(Interrupted(signal)) = error.downcast_ref() {
        return ExitCode::from(128 + signal);
    }
    if error.is::<Usage>() { ExitCode::from(2) } else { ExitCode::FAILURE }
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let closed = |cause: &(dyn std::error::Error + 'static)| {
        let io = cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        let json = cause.downcast_ref::<serde_json::Error>().and_then(serde_json::Error::io_error_kind);
        io.or(json) == Some(ErrorKind::BrokenPipe)
    };
    error.chain().any(closed)
}
