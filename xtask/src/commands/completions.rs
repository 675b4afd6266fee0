//! `cargo xtask completions`: completes commands, options, and the names of existing tables, users and snapshots.

use std::collections::BTreeSet;
use std::env;
use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::{Arg, Command, ValueEnum};
use clap_complete::CompleteEnv;
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};

use super::{ddb, help};
use crate::context::Context;
use crate::dynamodb::client::DynamoDb;
use crate::output::stdout;
use crate::snapshot::Snapshots;

/// Set by the scripts below to the shell's name. The rest of the protocol is `clap_complete`'s.
const VARIABLE: &str = "CRUDDUR_COMPLETE";

/// How long the databases may take to list names while the user waits.
const NAMES_BOUND: Duration = Duration::from_secs(1);

#[derive(Debug, clap::Args)]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

impl Completions {
    pub(crate) fn run(self) -> Result<()> {
        let script = match self.shell {
            Shell::Bash => include_str!("completions/bash.sh"),
            Shell::Zsh => include_str!("completions/zsh.sh"),
            Shell::Fish => include_str!("completions/fish.fish"),
        };
        let program = env::current_exe().context("cannot tell this program's path")?;
        let program = program.to_str().context("this program's path is not UTF-8")?;
        let program = match self.shell {
            Shell::Fish => format!("'{}'", program.replace('\\', r"\\").replace('\'', r"\'")),
            Shell::Bash | Shell::Zsh => shell_words::quote(program).into_owned(),
        };
        Ok(write!(stdout(), "{}", script.replace("@PROGRAM@", &program))?)
    }
}

/// If a shell asks for candidates, prints them and ends the program. `context` reads the settings of a run without
/// options.
pub(crate) fn answer(context: fn() -> Result<Context>) {
    if env::var_os(VARIABLE).is_some() {
        CompleteEnv::with_factory(|| with_names(help::command(), context)).var(VARIABLE).complete();
    }
}

/// Adds the existing names to each argument that takes a table, a user or a snapshot.
fn with_names(command: Command, context: fn() -> Result<Context>) -> Command {
    let add = move |argument: Arg| {
        let names: fn(Context) -> Result<BTreeSet<String>> = match argument.get_id().as_str() {
            "table" => |context| asked(tables(context)),
            "handle" | "person_1" | "person_2" => |context| asked(handles(context)),
            "snapshot" => |context| Snapshots::of(&context.state).names().map(BTreeSet::from_iter),
            _ => return argument,
        };
        // Production is not asked for names.
        let is_production = || env::args().any(|word| word == "--prod");
        argument.add(ArgValueCandidates::new(move || {
            let found = (!is_production()).then(context).and_then(Result::ok).and_then(|it| names(it).ok());
            found.into_iter().flatten().filter(is_one_word).map(CompletionCandidate::new).collect()
        }))
    };
    command.mut_args(add).mut_subcommands(|below| with_names(below, context))
}

/// Whether a shell takes a name literally. Other names are not offered: they come from a database or a folder, and a
/// shell could run them.
#[expect(clippy::ptr_arg, reason = "an iterator's filter passes it")]
fn is_one_word(name: &String) -> bool {
    !name.starts_with('-') && name.chars().all(|letter| letter.is_alphanumeric() || "._-".contains(letter))
}

/// Runs a query for names, within [`NAMES_BOUND`].
fn asked(names: impl Future<Output = Result<Vec<String>>>) -> Result<BTreeSet<String>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let names = runtime.block_on(async { tokio::time::timeout(NAMES_BOUND, names).await });
    runtime.shutdown_background();
    Ok(names??.into_iter().collect())
}

async fn tables(context: Context) -> Result<Vec<String>> {
    let target = context.dynamodb(false).await?;
    ddb::table_names(&DynamoDb::new(&target, &context.ui).await?).await
}

async fn handles(context: Context) -> Result<Vec<String>> {
    let postgres = context.postgres(false).await?;
    let found = postgres.ask(|client| Ok(client.query("select handle from users limit 1000", &[])?)).await?;
    found.iter().map(|row| Ok(row.try_get(0)?)).collect()
}
