//! Command lines as text, for `--verbose`.

use std::ffi::OsStr;
use std::process::Command;

/// What stands for a secret.
const MASK: &str = "xxxxx";

/// Parts of the names of variables whose values are secrets.
const SECRET: [&str; 5] = ["PASS", "PWD", "SECRET", "TOKEN", "KEY"];

/// A command's own variables and its words, as a shell takes them. Variables that it only inherits are left out.
pub(crate) fn shown(command: &Command) -> String {
    let text = |text: &OsStr| text.to_string_lossy().into_owned();
    let set = command.get_envs().filter_map(|(name, value)| Some(format!("{}={}", text(name), text(value?))));
    let words: Vec<_> = [command.get_program()].into_iter().chain(command.get_args()).map(text).collect();
    // Of a detached program only its own words are shown, without the shell that starts it.
    let is_detached = words.get(2).is_some_and(|script| script == super::DETACH);
    line(set, &words[if is_detached { 3 } else { 0 }..])
}

/// Variables, each as `NAME=VALUE`, and a command's words. Secrets are masked.
pub(crate) fn line(variables: impl IntoIterator<Item = String>, words: &[String]) -> String {
    let assignment = |variable: String| match masked(&variable).split_once('=') {
        Some((name, value)) => format!("{name}={}", shell_words::quote(value)),
        None => variable,
    };
    let words = words.iter().map(|word| shell_words::quote(&without_login(word)).into_owned());
    variables.into_iter().map(assignment).chain(words).collect::<Vec<_>>().join(" ")
}

/// `NAME=VALUE` without the value if the name says that it is a secret.
pub(crate) fn masked(variable: &str) -> String {
    let Some((name, value)) = variable.split_once('=') else { return variable.to_owned() };
    let is_secret = SECRET.iter().any(|part| name.to_uppercase().contains(part));
    format!("{name}={}", if is_secret { MASK.to_owned() } else { without_login(value) })
}

/// A text in which URLs have neither user and password nor a query, which may hold a password too.
fn without_login(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let address = match rest.rsplit_once('@') {
        Some((_, address)) => format!("{MASK}@{address}"),
        None => rest.to_owned(),
    };
    match address.split_once('?') {
        Some((address, _)) => format!("{scheme}://{address}?{MASK}"),
        None => format!("{scheme}://{address}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked() {
        let mut command = Command::new("/bin/x y");
        command
            .arg("--url=postgres://u:p@ss/w@h:1/d?password=s")
            .arg("")
            .args(["-c", "a=b c"])
            .env_remove("GONE");
        command.env("CONNECTION_URL", "postgresql://u:p@h/d").env("pgPassword", "p").env("LANG", "C UTF");
        assert_eq!(
            shown(&command),
            "CONNECTION_URL=postgresql://xxxxx@h/d LANG='C UTF' pgPassword=xxxxx '/bin/x y' \
             '--url=postgres://xxxxx@h:1/d?xxxxx' '' -c 'a=b c'"
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_detached_program_is_shown_as_itself() {
        let mut command = super::super::detached("/bin/server".as_ref());
        command.arg("--port").arg("1");
        assert_eq!(shown(&command), "/bin/server --port 1");
    }
}
