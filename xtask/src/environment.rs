//! Settings: the process environment and `.env`. Both are read here only, and once.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::error::Failure;

/// The settings. Nothing else reads the environment.
#[derive(Debug, Default, Clone)]
pub(crate) struct Environment {
    process: BTreeMap<String, String>,
    dotenv: BTreeMap<String, String>,
}

impl Environment {
    /// Reads the process environment and, if there is one, the workspace's `.env`.
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let process = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let path = root.join(".env");
        if path.metadata().is_ok_and(|there| !there.is_file()) {
            let problem = format!("{} is not a file", path.display());
            return Err(Failure::usage(problem, "make it one of lines NAME=value, or remove it").into());
        }
        let dotenv = match std::fs::read_to_string(&path) {
            Ok(text) => parse(text.trim_start_matches('\u{feff}')).map_err(|(line, [why, remedy])| {
                Failure::usage(format!("{}:{line}: {why}", path.display()), remedy)
            })?,
            Err(error) if error.kind() == ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        Ok(Self { process, dotenv })
    }

    /// A setting, from the process environment or else from `.env`. An empty value counts as unset; in the process
    /// environment it hides the value in `.env`.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.get_or_empty(name).filter(|value| !value.is_empty())
    }

    /// Like [`Environment::get`], but returns an empty value too.
    pub(crate) fn get_or_empty(&self, name: &str) -> Option<&str> {
        self.process.get(name).or_else(|| self.dotenv.get(name)).map(String::as_str)
    }

    /// What to do about an invalid value of a setting.
    pub(crate) fn correction(&self, name: &str) -> String {
        match self.process.contains_key(name) {
            true => format!("correct {name}, or unset it"),
            false => format!("correct {name} in .env"),
        }
    }

    /// A setting that `.env` cannot supply, above all production's.
    pub(crate) fn process_only(&self, name: &str) -> Option<&str> {
        self.process.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The home directory, if the environment names one.
    pub(crate) fn home(&self) -> Option<PathBuf> {
        self.process_only("HOME").or_else(|| self.process_only("USERPROFILE")).map(PathBuf::from)
    }

    /// Whether `CI` is set to anything but `false` or `0`.
    pub(crate) fn is_ci(&self) -> bool {
        self.process_only("CI").is_some_and(|value| value != "false" && value != "0")
    }
}

/// The remedy if `.env` cannot be parsed.
const QUOTING: &str = "put a value with a space, a quote, `$` or `\\` in it in single quotes";

/// The number of the first line with a `$` that dotenvy would expand, mostly to nothing.
fn line_with_variable(text: &str) -> Option<usize> {
    let mut quote = None;
    for (number, line) in (1..).zip(text.lines()) {
        let mut before = ' ';
        let mut characters = line.chars();
        while let Some(character) = characters.next() {
            match (quote, character) {
                (None, '#') if before.is_whitespace() => break,
                (None | Some('"'), '$') => return Some(number),
                (None | Some('"'), '\\') => _ = characters.next(),
                (None, '\'' | '"') => quote = Some(character),
                (Some(end), _) if end == character => quote = None,
                _ => {}
            }
            before = character;
        }
    }
    None
}

/// What is wrong with a line, and the remedy. Without the text, which may contain a secret.
type Fault = [&'static str; 2];

/// What is wrong with a line that dotenvy cannot parse.
fn fault(line: &str) -> Fault {
    let is_name = |name: &str| is_variable_name(name.trim().trim_start_matches("export ").trim());
    let Some((_, value)) = line.split_once('=').filter(|(name, _)| is_name(name)) else {
        return ["expected NAME=value", "write it so, or begin the line with `#` to make it a comment"];
    };
    let value = value.trim();
    let behind = value.strip_prefix(['\'', '"']).map(|rest| rest.split_once(&value[..1]));
    match behind {
        Some(None) => {
            ["a quote is not closed", "close it, or put it into a value in quotes of the other kind"]
        }
        Some(Some((_, rest))) if !rest.trim().is_empty() => [
            "text follows the closing quote",
            "put the whole value into one pair of quotes, double ones if it has a single quote in it",
        ],
        _ => ["the value cannot be read as it stands", QUOTING],
    }
}

/// Parses a `.env` file. The error is the number of a bad line and its fault.
fn parse(text: &str) -> Result<BTreeMap<String, String>, (usize, Fault)> {
    if let Some(line) = line_with_variable(text) {
        let why = "a `$` stands outside single quotes, and no variable is put in its place here";
        return Err((line, [why, QUOTING]));
    }
    let mut variables = BTreeMap::new();
    for entry in dotenvy::from_read_iter(text.as_bytes()) {
        let (name, value) = entry.map_err(|error| {
            // The error contains the rest of the file from some place in the bad line.
            let rest = match &error {
                dotenvy::Error::LineParse(rest, _) => rest.lines().next().unwrap_or_default(),
                _ => "",
            };
            let is_meant =
                |line: &str| !line.trim_start().starts_with('#') && line.ends_with(rest.trim_end());
            let mut lines = text.lines().map(str::trim_end).zip(1..);
            let (line, number) = lines.find(|(line, _)| is_meant(line)).unwrap_or(("", 1));
            (number, fault(line))
        })?;
        variables.insert(name, value);
    }
    Ok(variables)
}

/// Quotes a value for a `.env` file: in single quotes, or in double quotes if it contains a single quote or a
/// backslash. Compose and other programs read these two forms alike.
pub(crate) fn quoted(value: &str) -> String {
    if !value.contains(['\'', '\\']) {
        return format!("'{value}'");
    }
    let escaped = value.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "\\$");
    format!("\"{escaped}\"")
}

/// Whether `name` is a valid variable name in a shell and in docker-compose.yml.
pub(crate) fn is_variable_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Only these variables.
    impl<const N: usize> From<[(&str, &str); N]> for Environment {
        fn from(variables: [(&str, &str); N]) -> Self {
            let process = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
            Self { process, dotenv: BTreeMap::new() }
        }
    }

    #[test]
    fn a_file_may_begin_with_a_byte_order_mark() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(".env"), "\u{feff}A_SETTING_OF_THIS_TEST=1\n").unwrap();
        let environment = Environment::read(folder.path()).unwrap();
        assert_eq!(environment.get("A_SETTING_OF_THIS_TEST"), Some("1"));
    }

    #[test]
    fn process_wins_over_dotenv_and_empty_is_unset() {
        let mut environment = Environment::from([("A", "process"), ("B", "")]);
        environment.dotenv = parse("A=dotenv\nB=dotenv\nC=dotenv").unwrap();
        assert_eq!(environment.get("A"), Some("process"));
        assert_eq!(environment.get("B"), None);
        assert_eq!(environment.get("C"), Some("dotenv"));
        assert_eq!(environment.process_only("C"), None);
        assert_eq!(environment.correction("A"), "correct A, or unset it");
        assert_eq!(environment.correction("C"), "correct C in .env");
    }

    #[test]
    fn an_error_names_the_line_and_keeps_the_secret() {
        let cases = [
            ("A=1\nhunter/2\n", 2),
            ("# =hunter2\n=hunter2\n", 2),
            ("A=1\nB = hunter 2\nC=3\n", 2),
            ("A='1\n2'\n\nB=\"hunter2\nC=1\n", 4),
            ("A=\"hunter\\02\"", 1),
            ("A='$1'\n# it's $2\nB=hunter$2\n", 3),
            ("A='1\n$2'\nB=\"hunter\\$1$2\"\n", 3),
            ("A=${hunter:-2}", 1),
        ];
        for (text, line) in cases {
            let (found, why) = parse(text).unwrap_err();
            assert_eq!(found, line, "{text}");
            assert!(!why.concat().contains("hunter"));
        }
    }

    #[test]
    fn an_error_names_what_is_wrong_with_the_line() {
        for (text, why) in [
            ("garbage line", "expected NAME=value"),
            ("=x", "expected NAME=value"),
            ("A='x", "a quote is not closed"),
            ("A=\"x\nB=1", "a quote is not closed"),
            ("A='x' y", "text follows the closing quote"),
            ("A='it's'", "text follows the closing quote"),
            ("export A=two words", "the value cannot be read as it stands"),
        ] {
            assert_eq!(parse(text).unwrap_err().1[0], why, "{text}");
        }
    }

    #[test]
    fn quoted_values_are_read_back() {
        for value in
            ["", "plain", "two words # 1", "a$b$$c${d}", "it's", "back\\slash\\n", "'\"$\\", "two\nlines"]
        {
            assert_eq!(parse(&format!("A={}\nB=1", quoted(value))).unwrap()["A"], value, "{value}");
        }
    }

    #[test]
    fn the_example_file_can_be_read_as_it_stands_and_without_its_comment_signs() {
        let example = include_str!("../../.env.example");
        assert!(parse(example).unwrap().is_empty());
        let settings =
            example.lines().filter_map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')));
        assert!(parse(&settings.collect::<Vec<_>>().join("\n")).unwrap().len() > 10);
    }
}
