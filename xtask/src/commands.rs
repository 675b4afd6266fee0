//! The commands: each one's arguments are a struct that owns its `run`.

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

use std::ffi::OsString;
use std::pin::Pin;

use anyhow::Result;
use clap::{CommandFactory as _, Parser, Subcommand};

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
#[expect(clippy::large_enum_variant, reason = "parsed once in a run")]
enum Command {
    /// Start both databases, set up Postgres, then DynamoDB: from nothing to two seeded databases
    DdbSetup(setup::Setup),
    /// Start both databases and wait until they answer
    Up(up::Up),
    /// Stop both databases; their data stays
    Down(down::Down),
    /// Show both databases: what runs them, where they listen, and whether they answer
    Status(status::Status),
    /// Print what the databases logged
    Logs(logs::Logs),
    /// Print the settings of the databases for other programs: eval "$(cargo xtask env)"
    Env(env::Env),
    /// Check everything the tasks rely on, and say how to mend what is wrong
    Doctor(doctor::Doctor),
    /// Set up what is missing, and run the app: its HTTP API, and a page to read and write messages with
    Run(run::Run),
    /// Open the app's page in the browser
    Open(open::Open),
    /// Postgres: create, load, seed and look at the database `cruddur`
    #[command(subcommand)]
    Db(db::Db),
    /// DynamoDB: create, seed and look at the messages table
    #[command(subcommand)]
    Ddb(ddb::Ddb),
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
            Command::Db(command) => Box::pin(command.run(context)),
            Command::Ddb(command) => command.run(context),
        }
    }
}

/// The scripts took the word `prod` as their last argument; for `db` and `ddb` it still means `--prod`, where it is
/// neither an option's value nor behind a `--`.
pub(crate) fn with_prod_word(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let is_last = arguments.last().is_some_and(|last| last == "prod");
    if is_last && arguments.iter().skip(1).any(|word| word == "db" || word == "ddb") && !is_value(&arguments)
    {
        arguments.pop();
        arguments.push("--prod".into());
    }
    arguments
}

/// Whether the last of these words is an option's value, or behind a `--`.
fn is_value(words: &[OsString]) -> bool {
    let before = &words[..words.len() - 1];
    if before.iter().any(|word| word == "--") {
        return true;
    }
    // The option that stands last, and how many words behind it ours is.
    let options = before.iter().rev().map(|word| word.to_str().filter(|word| word.starts_with('-'))).zip(1..);
    let Some((option, place)) = options.into_iter().find_map(|(word, place)| Some((word?, place))) else {
        return false;
    };
    let mut root = Arguments::command();
    root.build();
    let command = before.iter().fold(&root, |command, word| command.find_subcommand(word).unwrap_or(command));
    let is_named = |argument: &clap::Arg| {
        let long = argument.get_long().is_some_and(|long| option.strip_prefix("--") == Some(long));
        // Of several letters the last one may have the value.
        let short = |short| !option.starts_with("--") && option.ends_with(short);
        long || argument.get_short().is_some_and(short)
    };
    let values =
        command.get_arguments().find(|argument| is_named(argument)).and_then(clap::Arg::get_num_args);
    values.is_some_and(|values| values.max_values() >= place)
}

#[cfg(test)]
mod tests {
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
        assert_eq!(parsed("xtask ddb query --pk a --desc prod"), "xtask ddb query --pk a --desc --prod");
        assert_eq!(parsed("xtask ddb scan --engine=docker prod"), "xtask ddb scan --engine=docker --prod");
        for as_it_is in [
            "xtask ddb drop prod t",
            "xtask ddb delete --table t -- prod",
            "xtask ddb get -- prod prod",
            "xtask ddb query --pk prod",
            "xtask ddb query --pk p --begins-with prod",
            "xtask ddb query --pk p --between a prod",
            "xtask --engine docker ddb scan -o prod",
        ] {
            assert_eq!(parsed(as_it_is), as_it_is);
        }
        assert_eq!(parsed("xtask logs prod"), "xtask logs prod");
    }
}
