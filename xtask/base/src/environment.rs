//! Where settings come from: the process environment and `.env`, read once, here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

/// The variables that the tasks may look at. Tests fill one by hand; nothing else reads the environment.
#[derive(Debug, Default, Clone)]
pub struct Environment {
    process: BTreeMap<String, String>,
    dotenv: BTreeMap<String, String>,
}

impl Environment {
    /// Reads the process environment and the workspace's `.env`, if there is one.
    ///
    /// # Errors
    /// A `.env` that cannot be read, or one of its lines that is not `NAME=value`.
    pub fn read(root: &Path) -> Result<Self> {
        let process = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let path = root.join(".env");
        let dotenv = match std::fs::read_to_string(&path) {
            Ok(text) => parse_dotenv(&path, text.strip_prefix('\u{feff}').unwrap_or(&text))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        };
        Ok(Self { process, dotenv })
    }

    /// A setting: the process environment first, then `.env`. An empty value counts as not set.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.process_only(name)
            .or_else(|| self.dotenv.get(name).map(String::as_str).filter(|value| !value.is_empty()))
    }

    /// As [`Environment::get`], where an empty value counts too.
    pub fn get_or_empty(&self, name: &str) -> Option<&str> {
        self.process.get(name).or_else(|| self.dotenv.get(name)).map(String::as_str)
    }

    /// A setting that `.env` must never decide, production's above all.
    pub fn process_only(&self, name: &str) -> Option<&str> {
        self.process.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The home folder, if the environment names one.
    pub fn home(&self) -> Option<PathBuf> {
        self.process_only("HOME").or_else(|| self.process_only("USERPROFILE")).map(PathBuf::from)
    }

    /// Whether this run is in CI (`CI` set to anything but `false` or `0`).
    pub fn is_ci(&self) -> bool {
        self.process_only("CI").is_some_and(|value| value != "false" && value != "0")
    }
}

/// An environment of these variables alone, which no file adds to: a test's.
impl<const N: usize> From<[(&str, &str); N]> for Environment {
    fn from(variables: [(&str, &str); N]) -> Self {
        let process = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        Self { process, dotenv: BTreeMap::new() }
    }
}

/// `.env` as `docker compose` reads it: `NAME=value`, `export NAME=value`, comments, quotes around a value.
///
/// # Errors
/// A line in another form: the message names `path` and the line.
pub fn parse_dotenv(path: &Path, text: &str) -> Result<BTreeMap<String, String>> {
    let mut variables = BTreeMap::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let assignment = line.strip_prefix("export ").unwrap_or(line);
        let name = assignment.split_once('=').map(|(name, _)| name.trim_end());
        let Some(name) = name.filter(|name| is_variable_name(name)) else {
            // The line itself is not shown: it may hold a secret.
            bail!("{}:{}: expected NAME=value", path.display(), index + 1);
        };
        let (_, value) = assignment.split_once('=').unwrap_or_default();
        variables.insert(name.to_owned(), dotenv_value(value.trim()).to_owned());
    }
    Ok(variables)
}

/// A value without its quotes, or up to the comment behind it where it has none.
fn dotenv_value(value: &str) -> &str {
    for quote in ['"', '\''] {
        if let Some((quoted, _)) = value.strip_prefix(quote).and_then(|rest| rest.split_once(quote)) {
            return quoted;
        }
    }
    value.split_once(" #").map_or(value, |(value, _)| value.trim_end())
}

/// Whether `name` can name an environment variable in a shell and in docker-compose.yml.
pub fn is_variable_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dotenv(text: &str) -> Result<BTreeMap<String, String>> {
        parse_dotenv(Path::new(".env"), text)
    }

    #[test]
    fn dotenv_takes_comments_export_and_quotes() {
        let text = "# settings\nA=1\nexport B = \"two words\" # why\nC='#3'\n\nD=4 # four\nE=a#b\nF=\n";
        let expected = [("A", "1"), ("B", "two words"), ("C", "#3"), ("D", "4"), ("E", "a#b"), ("F", "")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(dotenv(text).unwrap(), expected.into());
    }

    #[test]
    fn dotenv_error_names_the_line_and_keeps_the_secret() {
        let error = dotenv("A=1\nhunter2\n").unwrap_err().to_string();
        assert_eq!(error, ".env:2: expected NAME=value");
    }

    #[test]
    fn process_wins_over_dotenv_and_empty_is_unset() {
        let mut environment = Environment::from([("A", "process"), ("B", "")]);
        environment.dotenv = dotenv("A=dotenv\nB=dotenv\nC=dotenv").unwrap();
        assert_eq!(environment.get("A"), Some("process"));
        assert_eq!(environment.get("B"), Some("dotenv"));
        assert_eq!(environment.process_only("C"), None);
    }
}
