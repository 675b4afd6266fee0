//! The commands. Each command's arguments are a struct with a `run` method; a command without arguments of its own is a
//! function.

pub(crate) mod completions;
mod db;
pub(crate) mod ddb;
mod doctor;
mod down;
mod env;
mod help;
mod logs;
mod open;
mod prepare;
mod run;
mod setup;
mod snapshot;
mod status;
mod target;
mod undo;
mod up;
mod verify;

use std::ffi::OsString;

use anyhow::Result;
use clap::error::ErrorKind;
use clap::{ArgAction, FromArgMatches as _, Parser, Subcommand};

use crate::context::Context;
use crate::engine::EngineChoice;
use crate::environment::Environment;
use crate::error::Report;
use crate::output::Output;
use crate::ui::{Messages, Ui};

/// Start Cruddur's two databases, seed them, look into them and change them
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, max_term_width = 100)]
#[command(disable_help_flag = true, next_help_heading = help::GLOBAL, after_long_help = help::ENGINES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: Global,

    /// Print help: a summary with -h, all of it with --help
    #[arg(short, long, global = true, action = ArgAction::Help)]
    help: Option<bool>,

    #[command(subcommand)]
    command: Command,
}

/// The options of every command.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Global {
    /// Where the databases run: auto (the default), docker, embedded or external
    #[arg(long, global = true, value_enum, hide_possible_values = true)]
    pub(crate) engine: Option<EngineChoice>,

    /// Let CONNECTION_URL and AWS_ENDPOINT_URL_DYNAMODB name this public host
    #[arg(long, global = true, value_name = "HOST")]
    pub(crate) allow_host: Vec<String>,

    #[command(flatten)]
    pub(crate) messages: Messages,
}

#[derive(Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "parsed once in a run")]
enum Command {
    /// Start both databases, delete what they hold, and seed them
    ///
    /// Postgres is set up first, then DynamoDB. What was written is read back and counted. It can be run again from
    /// any state. If rows or items that no seed wrote would be lost, a snapshot is saved first. If you name no
    /// engine, it picks one and says why.
    #[command(after_long_help = "Examples:
  cargo xtask ddb-setup
  cargo xtask ddb-setup --engine embedded
  cargo xtask ddb-setup --from my-snapshot
  cargo xtask ddb-setup --file my-conversation.txt --now 2026-01-01T00:00:00Z")]
    DdbSetup(setup::Setup),
    /// Start both databases, and set them up if the sources changed
    ///
    /// The sources are schema.sql, seed.sql, the conversation, the table's definition and the options of the seed. If
    /// none changed since the last set-up, the rows and items that you wrote stay. Otherwise it asks before it
    /// deletes them.
    #[command(after_long_help = "Examples:
  cargo xtask prepare")]
    Prepare(prepare::Prepare),
    /// Save what both databases hold under a name, and restore it
    ///
    /// Snapshots are folders in .cruddur/snapshots. For local databases only: a production database has its own backups.
    #[command(subcommand)]
    Snapshot(snapshot::SnapshotCommand),
    /// Start both databases and wait until they answer
    ///
    /// Their data stays as it is, but for DynamoDB's on Docker, in memory, if its container has to be replaced because
    /// its definition changed. If it holds items that no seed wrote, a snapshot is saved first.
    #[command(after_long_help = "Examples:
  cargo xtask up
  cargo xtask up --engine docker")]
    Up(up::Up),
    /// Stop both databases
    ///
    /// Their data stays, but for DynamoDB's on Docker: it keeps its tables in memory, unless DYNAMODB_STORAGE says
    /// otherwise. If they hold items that no seed wrote, a snapshot is saved first.
    #[command(after_long_help = "Examples:
  cargo xtask down
  cargo xtask down --volumes")]
    Down(down::Down),
    /// Show where the databases and the app run, and whether they answer
    ///
    /// Exit status 1 if nothing runs.
    #[command(after_long_help = "Examples:
  cargo xtask status
  cargo xtask status -o json")]
    Status(Output),
    /// Print what the databases logged
    #[command(after_long_help = "Examples:
  cargo xtask logs postgres --tail 20
  cargo xtask logs --follow")]
    Logs(logs::Logs),
    /// Print the connection settings for other programs
    #[command(after_long_help = "Examples:
  eval \"$(cargo xtask env)\"
  cargo xtask env --format github >>\"$GITHUB_ENV\"")]
    Env(env::Env),
    /// Check what the tasks rely on, and say how to fix it
    #[command(after_long_help = "Examples:
  cargo xtask doctor
  cargo xtask doctor --engine embedded")]
    Doctor(Output),
    /// Prepare the databases, and serve the app
    ///
    /// The app is an HTTP API and a page to read and write messages with. Ctrl-C ends the app; the databases go on.
    #[command(after_long_help = "Examples:
  cargo xtask run
  cargo xtask run --port 8080")]
    Run(run::Run),
    /// Open the app's page in the browser
    #[command(after_long_help = "Examples:
  cargo xtask open")]
    Open,
    /// Check that both databases agree
    ///
    /// The messages repeat handles and display names of Postgres's users, and both rows of a group repeat its newest
    /// message. Each disagreement is printed with what should be there. Exits with 1 if there is one. Other clients
    /// may write meanwhile.
    #[command(after_long_help = "Examples:
  cargo xtask verify
  cargo xtask verify -o jsonl
  cargo xtask verify --prod --max-units 100
  cargo xtask verify --fix --dry-run")]
    Verify(verify::Verify),
    /// Print the script that completes commands in a shell
    ///
    /// It completes commands, options, and the names of existing tables, users and snapshots.
    #[command(after_long_help = "Examples:
  source <(cargo xtask completions bash)
  source <(cargo xtask completions zsh)
  cargo xtask completions fish | source")]
    Completions(completions::Completions),
    /// Postgres: set up the database, look into it
    #[command(subcommand, after_help = help::PROD)]
    Db(db::Db),
    /// DynamoDB: set up the tables, look into them, change items
    #[command(subcommand, after_help = help::PROD)]
    Ddb(ddb::Ddb),
}

impl Global {
    /// The options that choose the databases, as written after a command.
    pub(crate) fn options(&self) -> String {
        let engine = self.engine.as_ref().and_then(clap::ValueEnum::to_possible_value);
        let engine = engine.map(|engine| format!(" --engine {}", engine.get_name()));
        let hosts = self.allow_host.iter().map(|host| format!(" --allow-host {host}"));
        engine.into_iter().chain(hosts).collect()
    }
}

impl Arguments {
    /// Parses the command line. `--help` or a mistake ends the program.
    pub(crate) fn read() -> Self {
        let words: Vec<_> = std::env::args_os().collect();
        let is_json = wants_json(&words);
        match Self::parse_words(&words) {
            Ok(mut parsed) => {
                parsed.global.messages = parsed.global.messages.for_data_in_json(is_json);
                parsed
            }
            Err(error) => {
                if !error.use_stderr() {
                    error.exit();
                }
                let status = error.exit_code();
                let explained = help::explained(error);
                let messages = Messages::default().for_data_in_json(is_json);
                let ui = Ui::new(&Environment::default(), messages);
                if is_json {
                    let report = Report::usage(explained.trim_end().trim_start_matches("error: "));
                    ui.report(&report);
                } else {
                    // The arguments may come from a file, so they are escaped.
                    ui.line(explained.trim_end());
                }
                std::process::exit(status)
            }
        }
    }

    /// A last argument `prod` means `--prod` if the command line is wrong with the word and right with the option.
    fn parse_words(words: &[OsString]) -> clap::error::Result<Self> {
        let parse = |words: &[OsString]| {
            help::command().try_get_matches_from(words).and_then(|found| Self::from_arg_matches(&found))
        };
        let parsed = parse(words);
        match (parsed, words.split_last()) {
            (Err(error), Some((last, before)))
                if error.kind() == ErrorKind::UnknownArgument && last == "prod" =>
            {
                parse(&[before, &["--prod".into()]].concat()).map_err(|_| error)
            }
            (parsed, _) => parsed,
        }
    }

    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        match self.command {
            Command::DdbSetup(command) => command.run(context).await,
            Command::Prepare(command) => command.run(context).await,
            Command::Snapshot(command) => command.run(context).await,
            Command::Up(command) => command.run(context).await,
            Command::Down(command) => command.run(context).await,
            Command::Status(output) => status::status(context, output).await,
            Command::Logs(command) => command.run(context).await,
            Command::Env(command) => command.run(context).await,
            Command::Doctor(output) => doctor::doctor(context, output).await,
            Command::Run(command) => command.run(context).await,
            Command::Open => open::open(context).await,
            Command::Verify(command) => command.run(context).await,
            Command::Completions(command) => command.run(),
            Command::Db(command) => command.run(context).await,
            Command::Ddb(command) => command.run(context).await,
        }
    }
}

/// Whether the command line asks for data or steps in JSON. It may have mistakes.
fn wants_json(words: &[OsString]) -> bool {
    let words = words.iter().map(|word| word.to_string_lossy());
    let words: Vec<_> = words.take_while(|word| word != "--").collect();
    let is_json = |value: &str| matches!(value, "json" | "jsonl");
    let options = ["-o", "--output", "--progress"];
    let apart = words.windows(2).any(|pair| options.contains(&&*pair[0]) && is_json(&pair[1]));
    let joined = |word: &str| {
        let value = options.iter().find_map(|option| word.strip_prefix(option));
        value.is_some_and(|value| is_json(value.trim_start_matches('=')))
    };
    apart || words.iter().any(|word| joined(word))
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;

    fn parse(line: &str) -> Result<String, ErrorKind> {
        let words: Vec<OsString> = line.split(' ').map(Into::into).collect();
        Arguments::parse_words(&words).map(|parsed| format!("{parsed:?}")).map_err(|error| error.kind())
    }

    #[test]
    fn prod_as_the_last_word_is_the_switch_where_it_cannot_be_data() {
        for (with_word, with_switch) in [
            ("xtask db connect prod", "xtask db connect --prod"),
            ("xtask db drop --dry-run prod", "xtask db drop --dry-run --prod"),
            ("xtask ddb list-tables prod", "xtask ddb list-tables --prod"),
            ("xtask ddb scan prod", "xtask ddb scan --prod"),
            ("xtask ddb import file.csv prod", "xtask ddb import file.csv --prod"),
            ("xtask ddb drop t prod", "xtask ddb drop t --prod"),
            ("xtask ddb patterns list-conversations prod", "xtask ddb patterns list-conversations --prod"),
        ] {
            let parsed = parse(with_word).unwrap();
            assert_eq!(parsed, parse(with_switch).unwrap());
            assert!(parsed.contains("prod: true"), "{parsed}");
        }
        for data in [
            "xtask ddb get X prod",
            "xtask ddb get prod",
            "xtask ddb delete X prod",
            "xtask ddb delete --table t -- prod",
            "xtask ddb drop prod",
            "xtask ddb scan --table prod",
            "xtask ddb export prod",
            "xtask db connect -- prod",
            "xtask ddb query --pk prod",
            "xtask ddb query --pk p --begins-with prod",
            "xtask ddb query --pk p --between a prod",
        ] {
            assert!(parse(data).unwrap().contains("prod: false"), "{data}");
        }
        // Wrong with and without the option: the error quotes the word that was typed.
        for mistake in ["xtask up prod", "xtask ddb-setup prod"] {
            assert_eq!(parse(mistake), Err(ErrorKind::UnknownArgument), "{mistake}");
        }
    }

    #[test]
    fn a_command_without_data_refuses_a_form_of_output() {
        for command in [
            "ddb-setup",
            "prepare",
            "up",
            "down",
            "logs",
            "run",
            "open",
            "db create",
            "ddb drop t",
            "ddb export a.csv",
        ] {
            assert!(parse(&format!("xtask {command}")).is_ok(), "{command}");
            let refused = parse(&format!("xtask {command} -o json"));
            assert_eq!(refused, Err(ErrorKind::UnknownArgument), "{command}");
        }
        for command in ["status", "env", "doctor", "db test", "ddb list-tables", "ddb put {}"] {
            assert!(parse(&format!("xtask {command} -o json")).is_ok(), "{command}");
        }
    }

    /// Adds every document, and every source with messages, below a folder.
    fn texts(folder: &Path, texts: &mut Vec<(PathBuf, String)>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() && !name.starts_with('.') && name != "target" {
                self::texts(&path, texts);
            } else if name.ends_with(".md") || name.ends_with(".rs") {
                texts.push((path.clone(), std::fs::read_to_string(path).unwrap()));
            }
        }
    }

    /// Why `line` is not a valid command; `None` if it is. `line` is the text after `cargo xtask`.
    fn mistake(line: &str) -> Option<String> {
        let root = help::command();
        let mut command = &root;
        for word in line.split_whitespace() {
            let word = word.trim_end_matches(['.', ',', ':']);
            if let Some(option) = word.strip_prefix("--").and_then(|option| option.split('=').next()) {
                let is_one = |of: &clap::Command| of.get_arguments().any(|of| of.get_long() == Some(option));
                if option.is_empty() {
                    return None;
                }
                if !["help", "version"].contains(&option) && !is_one(command) && !is_one(&root) {
                    return Some(format!("`{}` has no --{option}", command.get_name()));
                }
            } else if command.has_subcommands() && !word.starts_with('-') {
                match command.find_subcommand(word) {
                    Some(subcommand) => command = subcommand,
                    // A placeholder.
                    None if word.contains(|c: char| !c.is_ascii_lowercase() && c != '-') => return None,
                    None => return Some(format!("`{}` has no command `{word}`", command.get_name())),
                }
            }
        }
        None
    }

    #[test]
    fn every_command_that_is_named_exists() {
        let mut all = Vec::new();
        texts(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap(), &mut all);
        let (mut mistakes, mut count) = (Vec::new(), 0);
        for (path, text) in all {
            // A string in the source may continue on the next line.
            let lines = text.replace("\\\n", "");
            let ends = |c: char| "`\"'\n\\|()<>{};&#$".contains(c);
            for named in lines.split("cargo xtask ").skip(1).map(|rest| rest.split(ends).next().unwrap()) {
                count += 1;
                if let Some(mistake) = mistake(named) {
                    mistakes.push(format!("{}: cargo xtask {named}: {mistake}", path.display()));
                }
            }
        }
        let readme = include_str!("../../README.md");
        let tables = readme.split("\n## ").find(|section| section.starts_with("Commands")).unwrap();
        for cell in tables.lines().filter_map(|line| line.strip_prefix("| `")?.split(" | ").next()) {
            // In "`db create`, `drop`" the second name belongs to the first one's group.
            let mut group = "";
            for named in cell.split('`').step_by(2) {
                let whole = format!("{group} {named}");
                let found = [named, &whole].into_iter().find(|named| mistake(named).is_none());
                count += 1;
                match found {
                    Some(found) if found == named && found.contains(' ') => {
                        group = named.split(' ').next().unwrap();
                    }
                    Some(_) => {}
                    None => mistakes.push(format!("README.md: {named}")),
                }
            }
        }
        assert!(count > 150, "{count} commands were found");
        assert!(mistakes.is_empty(), "{}", mistakes.join("\n"));
    }
}
