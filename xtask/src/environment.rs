//! Where settings come from: the process environment and `.env`, read once, here.

pub(crate) mod dotenv;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow};

use dotenv::{Variables, parse_dotenv};

/// The variables that the tasks may look at. Tests fill one by hand; nothing else reads the environment.
#[derive(Debug, Default, Clone)]
pub(crate) struct Environment {
    process: BTreeMap<String, String>,
    dotenv: Variables,
}

impl Environment {
    /// Reads the process environment and the workspace's `.env`, if there is one.
    ///
    /// # Errors
    /// A `.env` that cannot be read; or see [`parse_dotenv`].
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let process: BTreeMap<_, _> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let path = root.join(".env");
        let dotenv = match std::fs::read_to_string(&path) {
            Ok(text) => parse_dotenv(&path, text.strip_prefix('\u{feff}').unwrap_or(&text), &process)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Variables::new(),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        };
        Ok(Self { process, dotenv })
    }

    /// A setting: the process environment first, then `.env`. An empty value counts as not set, and hides `.env`'s.
    ///
    /// # Errors
    /// `.env` has a value for it that cannot be filled in.
    pub(crate) fn get(&self, name: &str) -> Result<Option<&str>> {
        Ok(self.get_or_empty(name)?.filter(|value| !value.is_empty()))
    }

    /// As [`Environment::get`], where an empty value counts too.
    ///
    /// # Errors
    /// As [`Environment::get`].
    pub(crate) fn get_or_empty(&self, name: &str) -> Result<Option<&str>> {
        if let Some(value) = self.process.get(name) {
            return Ok(Some(value));
        }
        let value = self.dotenv.get(name).map(|value| value.as_deref().map_err(|why| anyhow!("{why}")));
        value.transpose()
    }

    /// A setting that `.env` must never decide, production's above all.
    pub(crate) fn process_only(&self, name: &str) -> Option<&str> {
        self.process.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The home folder, if the environment names one.
    pub(crate) fn home(&self) -> Option<PathBuf> {
        self.process_only("HOME").or_else(|| self.process_only("USERPROFILE")).map(PathBuf::from)
    }

    /// Whether this run is in CI (`CI` set to anything but `false` or `0`).
    pub(crate) fn is_ci(&self) -> bool {
        self.process_only("CI").is_some_and(|value| value != "false" && value != "0")
    }
}

/// An environment of these variables alone, which no file adds to: a test's.
impl<const N: usize> From<[(&str, &str); N]> for Environment {
    fn from(variables: [(&str, &str); N]) -> Self {
        let process = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        Self { process, dotenv: Variables::new() }
    }
}

/// Whether `name` can name an environment variable in a shell and in docker-compose.yml.
pub(crate) fn is_variable_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_may_begin_with_a_byte_order_mark() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(".env"), "\u{feff}A_SETTING_OF_THIS_TEST=1\n").unwrap();
        let environment = Environment::read(folder.path()).unwrap();
        assert_eq!(environment.get("A_SETTING_OF_THIS_TEST").unwrap(), Some("1"));
    }

    #[test]
    fn process_wins_over_dotenv_and_empty_is_unset() {
        let mut environment = Environment::from([("A", "process"), ("B", "")]);
        let dotenv = "A=dotenv\nB=dotenv\nC=dotenv";
        environment.dotenv = parse_dotenv(Path::new(".env"), dotenv, &environment.process).unwrap();
        assert_eq!(environment.get("A").unwrap(), Some("process"));
        assert_eq!(environment.get("B").unwrap(), None);
        assert_eq!(environment.get("C").unwrap(), Some("dotenv"));
        assert_eq!(environment.process_only("C"), None);
    }

    #[test]
    fn what_is_wrong_with_a_value_is_said_to_whoever_reads_it() {
        let mut environment = Environment::from([("A", "process")]);
        let dotenv = "A=$NONE\nB=$NONE\nC=1";
        environment.dotenv = parse_dotenv(Path::new(".env"), dotenv, &environment.process).unwrap();
        assert_eq!(environment.get("A").unwrap(), Some("process"));
        assert!(environment.get("B").unwrap_err().to_string().starts_with(".env:2: B: $ begins a variable"));
        assert!(environment.get_or_empty("B").is_err());
        assert_eq!(environment.get("C").unwrap(), Some("1"));
    }
}
