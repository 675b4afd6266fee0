//! The commands: each one's arguments are a struct that owns its `run`.

mod bench;
mod db;
pub(crate) mod ddb;
mod doctor;
mod down;
mod env;
mod logs;
mod open;
mod run;
mod setup;
mod status;
mod up;

use std::pin::Pin;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::context::Context;
use crate::engine::EngineChoice;
use crate::output::Format;

/// Cruddur's development tasks: its two local databases, from nothing to seeded, and a look into them
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, max_term_width = 100)]
pub(crate) struct Arguments {
    /// Where the databases run; CRUDDUR_ENGINE sets it too [default: auto]
    #[arg(long, global = true, value_enum)]
    pub(crate) engine: Option<EngineChoice>,

    /// How data is printed
    #[arg(short, long, global = true, value_enum, default_value = "table")]
    pub(crate) output: Format,

    /// A host that CONNECTION_URL or AWS_ENDPOINT_URL_DYNAMODB may name although it is neither this machine
    /// nor in a private network
    #[arg(long, global = true, value_name = "HOST")]
    pub(crate) allow_host: Vec<String>,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    DdbSetup(setup::Setup),
    Up(up::Up),
    Down(down::Down),
    Status(status::Status),
    Logs(logs::Logs),
    Env(env::Env),
    Doctor(doctor::Doctor),
    Run(run::Run),
    Open(open::Open),
    Bench(bench::Bench),
    #[command(subcommand)]
    Db(db::Db),
    #[command(subcommand)]
    Ddb(Box<ddb::Ddb>),
}

/// A command under way. Boxed: unboxed, each would have the room that the largest needs, and moving that
/// about costs a short command more than its work.
type Run<'a> = Pin<Box<dyn Future<Output = Result<()>> + 'a>>;

impl Arguments {
    /// Runs the command.
    ///
    /// # Errors
    /// Whatever stopped it.
    pub(crate) fn run(self, context: &Context) -> Run<'_> {
        match self.command {
            Command::DdbSetup(command) => Box::pin(command.run(context)),
            Command::Up(command) => Box::pin(command.run(context)),
            Command::Down(command) => Box::pin(command.run(context)),
            Command::Status(command) => Box::pin(command.run(context)),
            Command::Logs(command) => Box::pin(command.run(context)),
            Command::Env(command) => Box::pin(command.run(context)),
            Command::Doctor(command) => Box::pin(command.run(context)),
            Command::Run(command) => Box::pin(command.run(context)),
            Command::Open(command) => Box::pin(command.run(context)),
            Command::Bench(command) => Box::pin(command.run(context)),
            Command::Db(command) => Box::pin(command.run(context)),
            Command::Ddb(command) => command.run(context),
        }
    }
}

/// The scripts took the word `prod` as their last argument; for `db` and `ddb` it still means `--prod`.
pub(crate) fn with_prod_word(mut arguments: Vec<std::ffi::OsString>) -> Vec<std::ffi::OsString> {
    let group = arguments.iter().skip(1).find(|argument| *argument == "db" || *argument == "ddb");
    if group.is_some()
        && let Some(last) = arguments.last_mut().filter(|last| *last == "prod")
    {
        *last = "--prod".into();
    }
    arguments
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn prod_as_the_last_word_is_the_switch() {
        let parsed = |line: &str| {
            let words = line.split(' ').map(Into::into).collect();
            with_prod_word(words)
                .into_iter()
                .map(|word: std::ffi::OsString| word.into_string().unwrap())
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(parsed("xtask ddb drop t prod"), "xtask ddb drop t --prod");
        assert_eq!(parsed("xtask db connect prod"), "xtask db connect --prod");
        assert_eq!(parsed("xtask ddb drop prod t"), "xtask ddb drop prod t");
        assert_eq!(parsed("xtask logs prod"), "xtask logs prod");
    }
}
