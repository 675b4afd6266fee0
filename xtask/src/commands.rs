//! The commands: each one's arguments are a struct that owns its `run`.

mod db;
pub(crate) mod ddb;
mod doctor;
mod down;
mod env;
mod logs;
mod open;
mod prepare;
mod run;
mod setup;
mod status;
mod target;
mod up;

use std::ffi::OsString;

use anyhow::Result;
use clap::error::ErrorKind;
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

/// Ends the help of the commands that have it.
const PROD: &str = "Each command takes --prod. The word `prod` as the last argument means the same, if it cannot be \
                    a table, a key or another value.";

#[derive(Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "parsed once in a run")]
enum Command {
    /// Start both databases and set them up anew, Postgres first: deletes what is in them, and seeds them
    DdbSetup(setup::Setup),
    /// Start both databases, and set them up only if they are not as the sources say
    ///
    /// They are as the sources say if schema.sql, seed.sql, the conversation, the table's definition and the options
    /// of the seed are those of the last set-up. Rows and items that you wrote since then stay.
    Prepare(prepare::Prepare),
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
    /// Prepare the databases, and run the app: its HTTP API, and a page to read and write messages with
    Run(run::Run),
    /// Open the app's page in the browser
    Open(open::Open),
    /// Postgres: create, load, seed and look at the database `cruddur`
    #[command(subcommand, after_help = PROD)]
    Db(db::Db),
    /// DynamoDB: create, seed and look at the messages table
    #[command(subcommand, after_help = PROD)]
    Ddb(ddb::Ddb),
}

impl Arguments {
    /// Reads the command line; a mistake in it, or `--help`, ends the program.
    pub(crate) fn read() -> Self {
        let words: Vec<_> = std::env::args_os().collect();
        Self::parse_words(&words).unwrap_or_else(|error| error.exit())
    }

    /// The word `prod` as the last argument means `--prod`, if it cannot be anything else: if the command line is
    /// wrong with the word, and right with the switch.
    fn parse_words(words: &[OsString]) -> clap::error::Result<Self> {
        let parsed = Self::try_parse_from(words).and_then(Self::check);
        match (parsed, words.split_last()) {
            (Err(error), Some((last, before)))
                if error.kind() == ErrorKind::UnknownArgument && last == "prod" =>
            {
                let words = before.iter().cloned().chain(["--prod".into()]);
                Self::try_parse_from(words).and_then(Self::check).map_err(|_| error)
            }
            (parsed, _) => parsed,
        }
    }

    fn check(self) -> clap::error::Result<Self> {
        if self.output != Format::Table && !self.command.prints_data() {
            let problem = "this command prints no data: leave --output out";
            return Err(Self::command().error(ErrorKind::ArgumentConflict, problem));
        }
        Ok(self)
    }

    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        match self.command {
            Command::DdbSetup(command) => command.run(context).await,
            Command::Prepare(command) => command.run(context).await,
            Command::Up(command) => command.run(context).await,
            Command::Down(command) => command.run(context).await,
            Command::Status(command) => command.run(context).await,
            Command::Logs(command) => command.run(context).await,
            Command::Env(command) => command.run(context).await,
            Command::Doctor(command) => command.run(context).await,
            Command::Run(command) => command.run(context).await,
            Command::Open(command) => command.run(context).await,
            Command::Db(command) => command.run(context).await,
            Command::Ddb(command) => command.run(context).await,
        }
    }
}

impl Command {
    /// Whether `--output` means something to the command.
    fn prints_data(&self) -> bool {
        use db::Db;
        use ddb::Ddb;
        match self {
            Self::Status(_) | Self::Env(_) | Self::Doctor(_) => true,
            Self::DdbSetup(_) | Self::Prepare(_) | Self::Up(_) | Self::Down(_) => false,
            Self::Logs(_) | Self::Run(_) | Self::Open(_) => false,
            Self::Db(command) => matches!(command, Db::Sessions(_) | Db::Test(_)),
            Self::Ddb(command) => !matches!(
                command,
                Ddb::SchemaLoad(_) | Ddb::Drop(_) | Ddb::Seed(_) | Ddb::Export(_) | Ddb::Import(_)
            ),
        }
    }
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
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn prod_as_the_last_word_is_the_switch_where_it_cannot_be_data() {
        for (with_word, with_switch) in [
            ("xtask db connect prod", "xtask db connect --prod"),
            ("xtask db drop --dry-run prod", "xtask db drop --dry-run --prod"),
            ("xtask ddb list-tables prod", "xtask ddb list-tables --prod"),
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
            "xtask ddb scan prod",
            "xtask ddb scan prod -o jsonl",
            "xtask ddb export prod",
            "xtask ddb import file.csv prod",
            "xtask ddb query --pk prod",
            "xtask ddb query --pk p --begins-with prod",
            "xtask ddb query --pk p --between a prod",
        ] {
            assert!(parse(data).unwrap().contains("prod: false"), "{data}");
        }
        // Neither: the mistake is told as it was made.
        for mistake in ["xtask up prod", "xtask ddb-setup prod", "xtask db connect -- prod"] {
            assert_eq!(parse(mistake), Err(ErrorKind::UnknownArgument), "{mistake}");
        }
    }

    #[test]
    fn a_command_without_data_refuses_a_form_of_output() {
        for command in ["ddb-setup", "up", "logs", "db create", "ddb drop t", "ddb export a.csv"] {
            assert!(parse(&format!("xtask {command}")).is_ok(), "{command}");
            let refused = parse(&format!("xtask -o json {command}"));
            assert_eq!(refused, Err(ErrorKind::ArgumentConflict), "{command}");
        }
        for command in ["status", "env", "doctor", "db test", "ddb list-tables", "ddb put {}"] {
            assert!(parse(&format!("xtask {command} -o jsonl")).is_ok(), "{command}");
        }
    }

    /// Every text of the repository that a user may read: documents, and the messages in the source.
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

    /// Why there is no such command, if there is none. `line` is what follows `cargo xtask`, up to where it may end.
    fn mistake(line: &str) -> Option<String> {
        let root = Arguments::command();
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
            // A string of the source may go on in the next line.
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
            // The second of `db create`, `drop` is the same group's.
            let mut group = "";
            for named in cell.split('`').step_by(2) {
                let whole = format!("{group} {named}");
                let found = [named, &whole].into_iter().find(|named| mistake(named).is_none());
                count += 1;
                match found {
                    Some(_) if named.contains(' ') => group = named.split(' ').next().unwrap(),
                    Some(_) => {}
                    None => mistakes.push(format!("README.md: {named}")),
                }
            }
        }
        assert!(count > 150, "{count} commands were found");
        assert!(mistakes.is_empty(), "{}", mistakes.join("\n"));
    }
}
