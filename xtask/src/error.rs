//! Errors with a remedy, how they are printed, and the exit status they end the program with.

use std::error::Error;
use std::fmt;
use std::io::ErrorKind;

use serde::Serialize;

use crate::dynamodb::error::RequestError;
use crate::text::printable_lines;

/// What kind of failure an error is. The number is the program's exit status.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    Failed = 1,
    /// The command line, a setting or an input file is wrong.
    WrongInput = 2,
    /// A database or Docker does not run, cannot be reached, or does not let us in.
    Unreachable = 3,
    /// A guard refused: the target is public, production's name was not typed, or data would be lost.
    Refused = 4,
}

/// The end of a run by the user's own answer, which is printed without `error:`.
pub(crate) const STOPPED: &str = "stopped: nothing was changed";

/// The remedy if a local database or table does not exist.
pub(crate) const PREPARE: &str = "`cargo xtask prepare` sets both databases up";

#[derive(Debug)]
pub(crate) struct Failure {
    problem: String,
    remedy: String,
    cause: Option<Box<dyn Error + Send + Sync>>,
    kind: Kind,
}

impl Failure {
    /// `problem` says what failed on which target; `remedy` says what to do next, without a full stop.
    pub(crate) fn new(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { problem: problem.into(), remedy: remedy.into(), cause: None, kind: Kind::Failed }
    }

    /// Like [`Failure::new`], for a mistake in the command line or in an input.
    pub(crate) fn usage(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { kind: Kind::WrongInput, ..Self::new(problem, remedy) }
    }

    /// Like [`Failure::new`], for a database or a Docker daemon that cannot be used.
    pub(crate) fn unreachable(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { kind: Kind::Unreachable, ..Self::new(problem, remedy) }
    }

    /// Like [`Failure::new`], for what a guard refuses.
    pub(crate) fn refused(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { kind: Kind::Refused, ..Self::new(problem, remedy) }
    }

    pub(crate) fn remedy(&self) -> &str {
        &self.remedy
    }

    /// Takes over the kind of `error`, its future cause.
    pub(crate) fn like(self, error: &anyhow::Error) -> Self {
        Self { kind: kind(error), ..self }
    }

    pub(crate) fn caused_by(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.problem)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}

/// A failure after part of the work was done. It prints like its cause; [`Report`] adds what was done.
#[derive(Debug)]
pub(crate) struct Incomplete {
    done: String,
    cause: anyhow::Error,
}

impl Incomplete {
    pub(crate) fn new(done: impl Into<String>, cause: anyhow::Error) -> Self {
        Self { done: done.into(), cause }
    }
}

impl fmt::Display for Incomplete {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(formatter)
    }
}

impl Error for Incomplete {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self.cause.as_ref())
    }
}

/// A signal ended the run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Interrupted {
    /// The signal's number: 2 for SIGINT, 15 for SIGTERM.
    pub(crate) signal: u8,
    /// What had been done; empty if the command changes nothing.
    pub(crate) done: String,
    /// What to do next; empty if the command changes nothing.
    pub(crate) remedy: String,
}

impl Interrupted {
    /// Adds to an interruption what had been done. Other errors stay unchanged.
    pub(crate) fn explained(error: anyhow::Error, done: impl FnOnce() -> String) -> anyhow::Error {
        let explained = |interrupted| Self { done: done(), ..interrupted }.into();
        error.downcast::<Self>().map_or_else(|error| error, explained)
    }
}

impl fmt::Display for Interrupted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let separator = if self.done.is_empty() { "" } else { ": " };
        write!(formatter, "interrupted{separator}{}", self.done)
    }
}

impl Error for Interrupted {}

/// A mistake in the command line without a remedy.
#[derive(Debug)]
pub(crate) struct Usage(pub(crate) String);

impl fmt::Display for Usage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Error for Usage {}

/// The exit status for an error: that of its [`Kind`], or 128 plus the signal's number. A closed output pipe is no
/// failure.
pub(crate) fn status(error: &anyhow::Error) -> u8 {
    if is_closed_pipe(error) {
        return 0;
    }
    if let Some(interrupted) = error.downcast_ref::<Interrupted>() {
        return 128 + interrupted.signal;
    }
    kind(error) as u8
}

fn kind(error: &anyhow::Error) -> Kind {
    let kind = |cause: &(dyn Error + 'static)| match cause.downcast_ref::<Failure>() {
        Some(failure) => Some(failure.kind).filter(|kind| *kind != Kind::Failed),
        None if cause.is::<Usage>() => Some(Kind::WrongInput),
        // A wrong name, expression or value, or a faulty script.
        None if cause.downcast_ref().is_some_and(RequestError::is_about_input) => Some(Kind::WrongInput),
        // An invalid input file.
        None => cause.downcast_ref::<std::io::Error>().and_then(|io| {
            let is_wrong = matches!(io.kind(), ErrorKind::InvalidData | ErrorKind::InvalidInput);
            is_wrong.then_some(Kind::WrongInput)
        }),
    };
    error.chain().find_map(kind).unwrap_or(Kind::Failed)
}

/// Whether the reader of stdout has gone.
pub(crate) fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let closed = |cause: &(dyn Error + 'static)| {
        let io = cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        let json = cause.downcast_ref::<serde_json::Error>().and_then(serde_json::Error::io_error_kind);
        io.or(json) == Some(ErrorKind::BrokenPipe)
    };
    error.chain().any(closed)
}

/// An error as it is printed: for people, or as JSON.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    error: String,
    causes: Vec<String>,
    /// The work done before the failure, in order.
    done: Vec<String>,
    /// What to do, most general first.
    help: Vec<String>,
    /// The exit status.
    exit: u8,
}

impl Report {
    pub(crate) fn of(error: &anyhow::Error) -> Self {
        let exit = status(error);
        if let Some(interrupted) = error.downcast_ref::<Interrupted>() {
            // Without the steps as context: each step prints that it was stopped.
            let Interrupted { done, remedy, .. } = interrupted.clone();
            let [done, help] = [done, remedy].map(|text| if text.is_empty() { vec![] } else { vec![text] });
            return Self { error: interrupted.to_string(), causes: Vec::new(), done, help, exit };
        }
        let (mut texts, mut done, mut help) = (Vec::<String>::new(), Vec::new(), Vec::new());
        for cause in error.chain() {
            let text = cause.to_string();
            // Some libraries repeat their source in their own message.
            if !texts.iter().any(|shown| shown.contains(&text)) {
                texts.push(text.trim_end().to_owned());
            }
            done.extend(cause.downcast_ref::<Incomplete>().map(|incomplete| incomplete.done.clone()));
            help.extend(cause.downcast_ref::<Failure>().map(|failure| failure.remedy.clone()));
        }
        done.reverse();
        let causes = texts.split_off(1);
        Self { error: texts.remove(0), causes, done, help, exit }
    }

    /// A mistake in the command line. Lines of `text` that begin with `tip: ` or `help: ` are help.
    pub(crate) fn usage(text: &str) -> Self {
        let is_help =
            |line: &&str| ["tip: ", "help: "].iter().any(|start| line.trim_start().starts_with(start));
        let (help, error): (Vec<_>, Vec<_>) = text.lines().partition(is_help);
        let help = help.iter().filter_map(|line| Some(line.split_once(": ")?.1.to_owned())).collect();
        let error = error.join("\n").replace("\n\n\n", "\n\n");
        let (causes, done) = Default::default();
        Self { error, causes, done, help, exit: Kind::WrongInput as u8 }
    }

    /// In one line of JSON.
    pub(crate) fn json(&self) -> String {
        let safe = |texts: &[String]| texts.iter().map(|text| printable_lines(text)).collect();
        let Self { error, causes, done, help, exit } = self;
        let (causes, done, help) = (safe(causes), safe(done), safe(help));
        let safe = Self { error: printable_lines(error), causes, done, help, exit: *exit };
        serde_json::to_string(&safe).unwrap_or_default()
    }
}

/// One cause per line, then what was done, then the remedies.
impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { error, causes, done, help, exit } = self;
        let is_interrupted = *exit > 128;
        let label = if is_interrupted || error == STOPPED { "" } else { "error: " };
        // An interruption says in its own line what was done.
        let done = if is_interrupted { &[] } else { done.as_slice() };
        let indented = |text: &str, width: usize| text.replace('\n', &format!("\n{:width$}", ""));
        write!(formatter, "{label}{}", indented(error, 4))?;
        causes.iter().try_for_each(|cause| write!(formatter, "\n  because: {}", indented(cause, 4)))?;
        done.iter().try_for_each(|done| write!(formatter, "\n  so far: {done}"))?;
        help.iter().try_for_each(|help| write!(formatter, "\n  help: {}", indented(help, 8)))
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn a_report_shows_each_cause_once_and_every_remedy() {
        let refused = std::io::Error::other("connection refused");
        let failure = Failure::new("cannot reach Postgres", "start it\nor ask").caused_by(refused);
        let error = Err::<(), _>(failure).context("db create").unwrap_err();
        assert_eq!(
            Report::of(&error).to_string(),
            "error: db create\n  because: cannot reach Postgres\n  because: connection refused\n  help: start it\n        or ask"
        );
        let failure = Failure::new("line 3 is bad", "mend it");
        let incomplete = Incomplete::new("2 items are written", anyhow::Error::from(failure));
        let error = anyhow::Error::from(incomplete).context("import");
        assert_eq!(
            Report::of(&error).to_string(),
            "error: import\n  because: line 3 is bad\n  so far: 2 items are written\n  help: mend it"
        );
        let json = r#"{"error":"import","causes":["line 3 is bad"],"done":["2 items are written"],"help":["mend it"],"exit":1}"#;
        assert_eq!(Report::of(&error).json(), json);
        let echoed = anyhow::anyhow!("x").context("outer: x");
        assert_eq!(Report::of(&echoed).to_string(), "error: outer: x");
    }

    #[test]
    fn the_exit_status_tells_what_kind_of_failure_it_is() {
        let inner = || Failure::unreachable("a", "b");
        assert_eq!(status(&anyhow::anyhow!("any")), 1);
        assert_eq!(status(&Failure::new("a", "b").into()), 1);
        assert_eq!(status(&Usage("a".to_owned()).into()), 2);
        assert_eq!(status(&anyhow::Error::from(inner()).context("outer")), 3);
        assert_eq!(status(&Failure::new("a", "b").caused_by(inner()).into()), 3);
        assert_eq!(status(&Failure::refused("a", "b").caused_by(inner()).into()), 4);
        assert_eq!(
            status(&Interrupted { signal: 15, done: String::new(), remedy: String::new() }.into()),
            143
        );
    }
}
