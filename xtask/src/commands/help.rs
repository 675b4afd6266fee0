//! The layout of help: commands in groups, a command's own options first, the global options last.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command, CommandFactory as _};

use super::Arguments;

/// The heading of the options that every command has.
pub(super) const GLOBAL: &str = "Global options";

/// The end of the program's long help.
pub(super) const ENGINES: &str = "\
Engines:
  auto      what already runs, else external if both its variables are set,
            else docker, else embedded
  docker    containers, as docker-compose.yml defines them
  embedded  the PostgreSQL installed on this machine, and a small DynamoDB
            server built from this workspace
  external  the servers that CONNECTION_URL and AWS_ENDPOINT_URL_DYNAMODB name

CRUDDUR_ENGINE sets the engine too. docs/engines.md says more.

Examples:
  cargo xtask ddb-setup
  cargo xtask ddb patterns get-conversation
  cargo xtask ddb scan --help";

/// The end of the help of `db` and `ddb`.
pub(super) const PROD: &str = "\
Each command takes --prod, which means production's database. The word `prod` as the last argument means the same, if \
                               it cannot be a table, a key or another value.";

/// A heading, and the commands under it.
type Section = (&'static str, &'static [&'static str]);

const ALL: [Section; 4] = [
    ("Set up", &["ddb-setup", "prepare", "snapshot", "up", "down"]),
    ("Look into the databases and change them", &["ddb", "db"]),
    ("See how things are", &["status", "logs", "doctor", "verify", "env", "completions"]),
    ("Run the app", &["run", "open"]),
];

const DB: [Section; 2] = [
    ("Set up", &["setup", "create", "drop", "schema-load", "seed"]),
    ("Look", &["connect", "test", "sessions", "kill-all"]),
];

const DDB: [Section; 4] = [
    ("Set up", &["schema-load", "seed", "remove-population", "drop"]),
    ("Look", &["list-tables", "scan", "query", "get", "patterns"]),
    ("Change", &["put", "update", "delete"]),
    ("Move", &["export", "import"]),
];

const SNAPSHOT: [Section; 1] = [("Commands", &["save", "restore", "list", "delete"])];

pub(super) fn command() -> Command {
    let command = with_negative_numbers(Arguments::command());
    let command = command.mut_subcommand("db", |db| grouped(db, &DB));
    let command = command.mut_subcommand("ddb", |ddb| grouped(ddb, &DDB));
    let command = command.mut_subcommand("snapshot", |snapshot| grouped(snapshot, &SNAPSHOT));
    grouped(command, &ALL)
}

/// Parses `-1` as an option's value, so that the error names the option.
fn with_negative_numbers(command: Command) -> Command {
    let of_option = |argument: Arg| {
        let takes_number = argument.get_long().is_some() && argument.get_action().takes_values();
        if takes_number { argument.allow_negative_numbers(true) } else { argument }
    };
    command.mut_args(of_option).mut_subcommands(with_negative_numbers)
}

fn grouped(command: Command, groups: &[Section]) -> Command {
    let mut list = String::new();
    let width = groups.iter().flat_map(|(_, names)| names.iter().map(|name| name.len())).max().unwrap_or(0);
    for (heading, names) in groups {
        list += &format!("{heading}:\n");
        for name in *names {
            let about = command.find_subcommand(name).and_then(Command::get_about);
            list += &format!("  {name:<width$}  {}\n", about.map(ToString::to_string).unwrap_or_default());
        }
        list += "\n";
    }
    command.help_template(format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{list}{GLOBAL}:\n{{options}}{{after-help}}\n"
    ))
}

/// Rewords an error of clap's.
pub(super) fn explained(error: clap::Error) -> String {
    const PROD: &str = "--prod";
    let is_prod = |value: &ContextValue| matches!(value, ContextValue::Strings(names) if names == &[PROD]);
    if error.kind() == ErrorKind::MissingRequiredArgument
        && error.get(ContextKind::InvalidArg).is_some_and(is_prod)
    {
        return "error: --confirm, --backup and --no-backup go with --prod\n  help: leave them out: a local \
                database is changed without a question"
            .to_owned();
    }
    let is_prod_unknown =
        matches!(error.get(ContextKind::InvalidArg), Some(ContextValue::String(word)) if word == PROD);
    if error.kind() == ErrorKind::UnknownArgument && is_prod_unknown {
        return "error: this command is for local databases alone: it takes no --prod\n  help: the commands of `db` and \
                `ddb`, and `verify`, take it"
            .to_owned();
    }
    let is_negative = |value: &ContextValue| matches!(value, ContextValue::String(value) if value.parse().is_ok_and(|value: i64| value < 0));
    let not_whole = match error.get(ContextKind::InvalidValue) {
        Some(value) if is_negative(value) => "it is less than 0",
        _ => "it is not a whole number",
    };
    let mut text = with_tip(with_suggestion(error)).render().to_string();
    for (raw, plain) in [
        ("invalid digit found in string", not_whole),
        ("cannot parse integer from empty string", "it is not a whole number"),
        ("number too large to fit in target type", "the number is too large"),
        (" is not in 1..18446744073709551615", " is less than 1"),
    ] {
        text = text.replace(raw, plain);
    }
    text
}

/// Words that other programs use, and the command here.
const OTHER_WORDS: [(&str, &str); 5] = [
    ("undo", "snapshot restore before-..."),
    ("reset", "ddb-setup"),
    ("start", "up"),
    ("stop", "down"),
    ("psql", "db connect"),
];

/// For an unknown command, suggests those that contain the word, such as `ddb-setup` and `ddb setup` for `setup`.
fn with_suggestion(mut error: clap::Error) -> clap::Error {
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) else { return error };
    let command = command();
    let mut names = Vec::new();
    add_names(&command, "", &mut names);
    let has_part = |name: &String| {
        let name = name.rsplit(' ').next().unwrap_or_default();
        name == word || name.starts_with(&format!("{word}-")) || name.ends_with(&format!("-{word}"))
    };
    names.retain(has_part);
    names.extend(OTHER_WORDS.iter().filter(|(other, _)| other == word).map(|(_, name)| (*name).to_owned()));
    if !names.is_empty() {
        error.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(names));
    }
    error
}

/// Adds the full name of every subcommand.
fn add_names(command: &Command, before: &str, names: &mut Vec<String>) {
    for below in command.get_subcommands() {
        let name = format!("{before}{}", below.get_name());
        names.push(name.clone());
        add_names(below, &format!("{name} "), names);
    }
}

/// For an unknown argument, says what was perhaps meant: a table, or an option of a subcommand.
fn with_tip(mut error: clap::Error) -> clap::Error {
    let (Some(ContextValue::String(word)), Some(ContextValue::StyledStr(usage)), None) = (
        error.get(ContextKind::InvalidArg),
        error.get(ContextKind::Usage),
        error.get(ContextKind::SuggestedArg),
    ) else {
        return error;
    };
    let usage = usage.to_string();
    let takes_table = |name: &&str| usage.contains(&format!(" ddb {name} "));
    let tip = match word.starts_with('-') {
        true if usage.ends_with("<COMMAND>") => "write the options of a command after its name".to_owned(),
        false if takes_table(&"query") => {
            format!("a partition key is named with '--pk {word}', a table with '--table'")
        }
        false if ["scan", "export", "import"].iter().any(takes_table) => {
            format!("a table is named with '--table {word}'")
        }
        _ => return error,
    };
    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The commands that can be run, with their full names.
    fn leaves(command: &Command, name: &str) -> Vec<(String, Command)> {
        if !command.has_subcommands() {
            return vec![(name.to_owned(), command.clone())];
        }
        let below = command.get_subcommands().filter(|below| below.get_name() != "help");
        below.flat_map(|below| leaves(below, &format!("{name} {}", below.get_name()))).collect()
    }

    fn built() -> Command {
        let mut command = command().term_width(80);
        command.build();
        command
    }

    #[test]
    fn the_command_line_is_well_formed() {
        command().debug_assert();
    }

    #[test]
    fn every_command_is_in_a_group() {
        let command = command();
        for (groups, name) in [(&ALL[..], None), (&DB, Some("db")), (&DDB, Some("ddb"))] {
            let command = name.map_or(&command, |name| command.find_subcommand(name).unwrap());
            let mut listed: Vec<_> = groups.iter().flat_map(|(_, names)| names.iter().copied()).collect();
            let mut there: Vec<_> = command.get_subcommands().map(Command::get_name).collect();
            listed.sort_unstable();
            there.sort_unstable();
            assert_eq!(listed, there);
        }
    }

    #[test]
    fn every_command_has_a_summary_and_examples_that_can_be_run() {
        for (name, command) in leaves(&built(), "cargo xtask") {
            let about = command.get_about().unwrap().to_string();
            assert!(about.len() <= 65, "{name}: the summary has more than a line: {about}");
            let help = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
            let examples: Vec<_> = help.lines().filter(|line| line.contains(&name)).collect();
            assert!(!examples.is_empty(), "{name} has no example");
            for example in examples {
                let inner = ["$(", "<("].iter().find_map(|start| example.split_once(start));
                let command = inner.map_or(example, |(_, rest)| rest.split(')').next().unwrap());
                let words = shell_words::split(command).unwrap();
                let start = words.iter().position(|word| word == "xtask").unwrap();
                let words = words.into_iter().skip(start);
                let words: Vec<_> = words
                    .take_while(|word| word != "|" && !word.starts_with(['>', '<']))
                    .map(Into::into)
                    .collect();
                Arguments::parse_words(&words).unwrap_or_else(|error| panic!("{example}: {error}"));
            }
        }
    }

    #[test]
    fn help_is_80_columns_wide_and_ends_with_the_global_options() {
        for (name, mut command) in leaves(&built(), "cargo xtask") {
            for help in [command.render_help().to_string(), command.render_long_help().to_string()] {
                assert!(help.lines().all(|line| line.chars().count() <= 80), "{name}: {help}");
                let (own, global) = help.split_once(&format!("\n{GLOBAL}:\n")).unwrap();
                assert!(!own.contains("--engine") && global.contains("--engine"), "{help}");
            }
        }
    }

    #[test]
    fn mistakes_are_told_in_plain_words() {
        let suggested = |line: &str| {
            let words: Vec<_> = line.split(' ').map(Into::into).collect();
            explained(Arguments::parse_words(&words).unwrap_err())
        };
        for (line, name) in [
            ("xtask setup", "'ddb-setup', 'db setup'"),
            ("xtask ddb setup", "'ddb-setup', 'db setup'"),
            ("xtask scan", "'ddb scan'"),
            ("xtask statsu", "'status'"),
            ("xtask ddb list", "'ddb list-tables'"),
            ("xtask ddb patterns get", "'ddb patterns get-conversation'"),
            ("xtask ddb scan users", "tip: a table is named with '--table users'"),
            (
                "xtask ddb query MSG#1",
                "tip: a partition key is named with '--pk MSG#1', a table with '--table'",
            ),
            ("xtask undo", "'snapshot restore before-...'"),
            ("xtask reset", "'ddb-setup'"),
            ("xtask start", "'up'"),
            ("xtask stop", "'down'"),
            ("xtask psql", "'db connect'"),
            ("xtask -o json status", "tip: write the options of a command after its name"),
            ("xtask ddb scan --limit 0", "0 is less than 1"),
            ("xtask ddb patterns get-conversation --message-group 7", "it is not a UUID"),
            ("xtask ddb seed --messages abc", "'--messages <M>': it is not a whole number"),
            ("xtask ddb patterns get-conversation --year abc", "'--year <Y>': it is not a whole number"),
            ("xtask ddb scan --limit x", "it is not a whole number"),
            ("xtask ddb scan --limit -1", "invalid value '-1' for '--limit <N>': it is less than 0"),
            (
                "xtask ddb patterns get-conversation --limit -1",
                "'-1' for '--limit <N>': -1 is not in 1..=1000000",
            ),
            ("xtask ddb drop t --confirm t", "leave them out"),
            ("xtask ddb-setup --prod", "this command is for local databases alone"),
        ] {
            let error = suggested(line);
            assert!(error.contains(name), "{line}: {error}");
        }
    }
}
