//! What keeps settings of TLS from being used.

use std::error::Error;
use std::fmt;

/// Settings that cannot be meant, or a file of theirs that cannot be used.
#[derive(Debug)]
pub struct TlsError {
    problem: String,
    remedy: String,
    cause: Option<Box<dyn Error + Send + Sync>>,
}

impl TlsError {
    pub(super) fn new(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { problem: problem.into(), remedy: remedy.into(), cause: None }
    }

    pub(super) fn caused_by(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// What to do about it, without a full stop.
    pub fn remedy(&self) -> &str {
        &self.remedy
    }

    /// The error that led to it.
    pub fn into_cause(self) -> Option<Box<dyn Error + Send + Sync>> {
        self.cause
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem)
    }
}

impl Error for TlsError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}
