//! Errors with a remedy, and how errors are printed.

use std::error::Error;
use std::fmt;

#[derive(Debug)]
pub(crate) struct Failure {
    problem: String,
    remedy: String,
    cause: Option<Box<dyn Error + Send + Sync>>,
    /// Whether the error is only a mistake in the command line.
    pub(crate) is_usage: bool,
}

impl Failure {
    /// `problem` says what failed on which target; `remedy` says what to do next, without a full stop.
    pub(crate) fn new(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { problem: problem.into(), remedy: remedy.into(), cause: None, is_usage: false }
    }

    /// Like [`Failure::new`], for a mistake in the command line.
    pub(crate) fn usage(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { is_usage: true, ..Self::new(problem, remedy) }
    }

    pub(crate) fn remedy(&self) -> &str {
        &self.remedy
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

/// A failure after part of the work was done. It reads as its cause does; [`Report`] adds what was done.
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
#[derive(Debug)]
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

/// Prints the cause chain, one cause per line, then what was done and the remedies found in it.
pub(crate) struct Report<'a>(pub(crate) &'a anyhow::Error);

impl fmt::Display for Report<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = String::new();
        let (mut done, mut remedies) = (Vec::new(), Vec::new());
        if let Some(interrupted) = self.0.downcast_ref::<Interrupted>() {
            // Without the steps as context: each step prints that it was stopped.
            write!(formatter, "{interrupted}")?;
            let remedy = &interrupted.remedy;
            return if remedy.is_empty() { Ok(()) } else { write!(formatter, "\n  help: {remedy}") };
        }
        for cause in self.0.chain() {
            let text = cause.to_string();
            // Some libraries repeat their source in their own message.
            if !shown.contains(&text) {
                let label = if shown.is_empty() { "error: " } else { "\n  because: " };
                shown.push_str(label);
                shown.push_str(&text.trim_end().replace('\n', "\n    "));
            }
            done.extend(cause.downcast_ref::<Incomplete>().map(|incomplete| incomplete.done.as_str()));
            remedies.extend(cause.downcast_ref::<Failure>().map(|failure| failure.remedy.as_str()));
        }
        formatter.write_str(&shown)?;
        done.iter().rev().try_for_each(|done| write!(formatter, "\n  so far: {done}"))?;
        remedies
            .iter()
            .try_for_each(|remedy| write!(formatter, "\n  help: {}", remedy.replace('\n', "\n        ")))
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
            Report(&error).to_string(),
            "error: db create\n  because: cannot reach Postgres\n  because: connection refused\n  help: start it\n        or ask"
        );
        let failure = Failure::new("line 3 is bad", "mend it");
        let incomplete = Incomplete::new("2 items are written", anyhow::Error::from(failure));
        let error = anyhow::Error::from(incomplete).context("import");
        assert_eq!(
            Report(&error).to_string(),
            "error: import\n  because: line 3 is bad\n  so far: 2 items are written\n  help: mend it"
        );
        let echoed = anyhow::anyhow!("x").context("outer: x");
        assert_eq!(Report(&echoed).to_string(), "error: outer: x");
    }
}
