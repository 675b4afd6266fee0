//! Cruddur's development tasks. Run as `cargo xtask`, through the launcher beside this package.

mod app;
mod commands;
mod context;
mod docker;
mod dynamodb;
mod engine;
mod environment;
mod error;
mod facts;
mod guard;
mod interpolation;
mod output;
mod package;
mod poll;
mod postgres;
mod private;
mod process;
mod record;
mod services;
mod snapshot;
mod state;
mod stop;
mod targets;
mod text;
mod ui;

use std::process::ExitCode;
use std::time::Duration;

use crate::environment::Environment;
use crate::error::{Failure, Interrupted, Report, is_closed_pipe};
use crate::ui::{Ui, seconds};
use anyhow::{Context as _, Result};
use clap::ValueEnum as _;
use futures_util::StreamExt as _;

use crate::commands::{Arguments, Global, completions};
use crate::context::Context;
use crate::engine::EngineChoice;
use crate::state::StateFolder;

/// How long a run may take to reach a safe point after a signal.
const STOP_BOUND: Duration = Duration::from_secs(10);

/// Runs the command. Its exit status is [`error::status`]'s.
fn main() -> ExitCode {
    completions::answer(|| context(&Global::default()));
    let arguments = Arguments::read();
    let ended = context(&arguments.global).and_then(|context| {
        let ui = context.ui.clone();
        run(arguments, &context).inspect_err(|error| report(&ui, error))
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => ExitCode::from(error::status(&error)),
    }
}

fn context(global: &Global) -> Result<Context> {
    let read = || {
        let root = context::workspace_root()?;
        let environment = Environment::read(&root)?;
        let engine = match (global.engine, environment.get(engine::VARIABLE)) {
            (Some(engine), _) => engine,
            (None, None) => EngineChoice::Auto,
            (None, Some(name)) => EngineChoice::from_str(name, false).map_err(|_| {
                let variable = engine::VARIABLE;
                let problem = format!("{variable}=`{name}` is none of auto, docker, embedded, external");
                Failure::usage(problem, environment.correction(variable))
            })?,
        };
        let ui = Ui::new(&environment, global.messages).suggesting(global.options());
        let (engine, allowed_hosts) = (engine.named(), global.allow_host.clone());
        let context = Context { state: StateFolder::of(&root), root, environment, ui, engine, allowed_hosts };
        context.state.close(&context.ui)?;
        Ok(context)
    };
    read().inspect_err(|error| {
        report(&Ui::new(&Environment::default(), global.messages), error);
    })
}

/// Runs the command on the async runtime. After a signal it ends at the next safe point; after a second signal it
/// ends at once.
fn run(arguments: Arguments, context: &Context) -> Result<()> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    let ended = runtime.block_on(async {
        let mut signals = stop::signals().context("cannot take signals")?;
        let mut run = std::pin::pin!(arguments.run(context));
        let signal = tokio::select! {
            ended = &mut run => return ended,
            Some(signal) = signals.next() => signal,
        };
        let stop = &context.ui.stop;
        stop.ask(signal);
        if stop.is_held() {
            context.ui.line("stopping where that is safe; a second signal ends it at once");
        }
        let interrupted = |done: String| Err(Interrupted { done, ..stop.interrupted() }.into());
        tokio::select! {
            biased;
            ended = &mut run => ended.and_then(|()| interrupted("everything was done by then".to_owned())),
            () = stop.is_safe() => Err(stop.interrupted().into()),
            Some(_) = signals.next() => interrupted("stopped at once; it may be half done".to_owned()),
            () = tokio::time::sleep(STOP_BOUND) => {
                interrupted(format!("it reached no safe point within {}", seconds(STOP_BOUND)))
            }
        }
    });
    // Do not wait for a thread that still waits for Postgres or for terminal input.
    runtime.shutdown_background();
    ended
}

fn report(ui: &Ui, error: &anyhow::Error) {
    if !is_closed_pipe(error) {
        ui.report(&Report::of(error));
    }
}
