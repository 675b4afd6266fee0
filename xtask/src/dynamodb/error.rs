//! Explains why a request to DynamoDB failed, and what to do.

use std::error::Error;
use std::fmt;

use anyhow::anyhow;
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

use super::client::REQUEST_BOUND;
use super::target::{AwsAccount, DynamoDbTarget};
use crate::error::{Failure, PREPARE};
use crate::text::shortened;

/// Why a request failed. It is part of the request's error.
#[derive(Debug)]
pub(crate) enum RequestError {
    Service {
        /// The error's code, such as `ValidationException`.
        code: String,
        message: String,
    },
    /// The request or its answer was lost on the way.
    Lost {
        /// The reason, in one line.
        why: String,
        /// Whether the connection was refused, so that the server has not received the request.
        is_refused: bool,
    },
    /// There were no credentials for the signature.
    NoCredentials(Failure),
}

impl RequestError {
    /// Converts the SDK's error. `target` is the server that was asked.
    pub(super) fn new<E>(error: SdkError<E>, target: &DynamoDbTarget) -> Self
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        if let Some(code) = error.code() {
            let message = error.message().unwrap_or_default().to_owned();
            return Self::Service { code: code.to_owned(), message };
        }
        let lost = |why| Self::Lost { why, is_refused: false };
        match &error {
            SdkError::TimeoutError(_) => lost(format!("no answer within {} s", REQUEST_BOUND.as_secs())),
            SdkError::ServiceError(answer) => {
                let body = answer.raw().body().bytes().unwrap_or_default();
                let (status, text) = (answer.raw().status().as_u16(), String::from_utf8_lossy(body));
                lost(format!("it answered with HTTP status {status}: {}", shortened(&text, 200)))
            }
            SdkError::ResponseError(answer) if answer.raw().status().is_success() => {
                lost(format!("its answer does not match the API: {}", in_one_line(&error)))
            }
            _ => Self::unsent(&error, target),
        }
    }

    /// The error of a request without an answer.
    fn unsent(error: &(dyn Error + 'static), target: &DynamoDbTarget) -> Self {
        let why = in_one_line(error);
        let credentials =
            anyhow::Chain::new(error).find_map(|cause| cause.downcast_ref::<CredentialsError>());
        if let Some(account) = &target.account
            && (credentials.is_some() || why.contains(IDENTITY))
        {
            let why = credentials.map_or(why, |error| in_one_line(error));
            return Self::NoCredentials(no_credentials(credentials, why, account, target));
        }
        let is_refused = anyhow::Chain::new(error).any(|cause| {
            let cause = cause.downcast_ref::<std::io::Error>();
            cause.is_some_and(|cause| cause.kind() == std::io::ErrorKind::ConnectionRefused)
        });
        Self::Lost { why, is_refused }
    }

    /// Finds the request's error among the causes of `error`.
    pub(crate) fn of(error: &anyhow::Error) -> Option<&Self> {
        error.chain().find_map(|cause| cause.downcast_ref())
    }

    /// The code of the server's error, if such an error is among the causes of `error`.
    pub(crate) fn code_of(error: &anyhow::Error) -> Option<&str> {
        Self::of(error)?.code()
    }

    pub(crate) fn code(&self) -> Option<&str> {
        match self {
            Self::Service { code, .. } => Some(code),
            Self::Lost { .. } | Self::NoCredentials(_) => None,
        }
    }

    /// Whether the server found a name, an expression or a value wrong.
    pub(crate) fn is_about_input(&self) -> bool {
        self.code() == Some("ValidationException")
    }

    /// Whether the server throttled the request. It has not done what was asked.
    pub(super) fn is_throttling(&self) -> bool {
        matches!(
            self.code(),
            Some("ProvisionedThroughputExceededException" | "ThrottlingException" | "RequestLimitExceeded")
        )
    }

    /// Whether another attempt may succeed.
    pub(super) fn is_passing(&self) -> bool {
        self.is_throttling()
            || match self {
                Self::Service { code, .. } => code == "InternalServerError",
                Self::Lost { why, .. } => !why.starts_with("it answered with HTTP status 4"),
                Self::NoCredentials(_) => false,
            }
    }

    /// Whether the server may have done what was asked although there is an error.
    pub(crate) fn may_be_done(&self) -> bool {
        match self {
            Self::Service { code, .. } => code == "InternalServerError",
            Self::Lost { is_refused, .. } => !is_refused,
            Self::NoCredentials(_) => false,
        }
    }

    /// Whether the server refuses the time in the request's signature.
    /// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html>
    fn is_about_time(&self) -> bool {
        let Self::Service { code, message } = self else { return false };
        match code.as_str() {
            "RequestTimeTooSkewed" | "RequestExpired" | "RequestInTheFuture" => true,
            "InvalidSignatureException" | "SignatureDoesNotMatch" => {
                ["Signature expired", "Signature not yet current"].iter().any(|words| message.contains(words))
            }
            _ => false,
        }
    }

    /// Explains the error, with a remedy if one is known.
    pub(super) fn explained(self, target: &DynamoDbTarget) -> anyhow::Error {
        if let Self::NoCredentials(failure) = self {
            return failure.into();
        }
        let (is_about_time, prod) = (self.is_about_time(), target.prod());
        let refused = |account| Some((account, refusal(self.code()?)?));
        let (problem, remedy) = match (&self, target.account.as_ref().and_then(refused)) {
            (Self::Lost { why, .. }, _) => {
                let remedy = if why.contains(TUNNEL) { PROXY.to_owned() } else { target.remedy.clone() };
                (format!("cannot reach {target}"), remedy)
            }
            (Self::Service { .. }, _) if is_about_time => (
                format!("this machine's clock is too far from that of {target}"),
                "set the clock (Linux: `timedatectl set-ntp true`), and run the command again".to_owned(),
            ),
            (Self::Service { code, .. }, _) if code == "ResourceNotFoundException" => (
                format!("{target} has no such table"),
                match prod {
                    "" => format!("see `cargo xtask ddb list-tables`; {PREPARE}"),
                    prod => format!(
                        "see `cargo xtask ddb list-tables{prod}`; `cargo xtask ddb schema-load{prod}` creates the \
                         messages table"
                    ),
                },
            ),
            (Self::Service { .. }, Some((account, why))) => {
                (format!("the AWS credentials {why}: {account}, for {target}"), account.renewal())
            }
            _ => return anyhow!(self),
        };
        let is_no_table = self.code() == Some("ResourceNotFoundException");
        let failure = if is_no_table { Failure::new } else { Failure::unreachable };
        failure(problem, remedy).caused_by(self).into()
    }
}

/// What is wrong with credentials that a server refuses with this code; `None` for other codes.
fn refusal(code: &str) -> Option<&'static str> {
    Some(match code {
        "ExpiredTokenException" | "ExpiredToken" => "have expired",
        "UnrecognizedClientException" | "InvalidSignatureException" | "IncompleteSignatureException" => {
            "are not known"
        }
        "AccessDeniedException" => "do not allow it",
        _ => return None,
    })
}

/// The HTTP client's words for a connection through a proxy.
const TUNNEL: &str = "tunnel error";
const PROXY: &str = "check the proxy that HTTPS_PROXY names, or set NO_PROXY to the host if it needs none";

/// The SDK's word for the source of credentials, in the error about a source that took too long.
const IDENTITY: &str = "identity resolver";

/// A part of the SDK's message about a profile of `aws login`, which needs a feature that is not compiled in.
const LEFT_OUT: &str = "cargo feature";

fn no_credentials(
    error: Option<&CredentialsError>,
    why: String,
    account: &AwsAccount,
    target: &DynamoDbTarget,
) -> Failure {
    let (problem, remedy) = match error {
        Some(CredentialsError::CredentialsNotLoaded(_)) => {
            let problem = format!(
                "there are no AWS credentials for {target}: no keys in the environment, none in {account}, no web \
                 identity, and no role of this machine or container"
            );
            return Failure::unreachable(problem, account.renewal());
        }
        _ if why.contains(LEFT_OUT) => {
            let name = account.profile.as_deref().unwrap_or_default();
            let remedy = format!(
                "give another profile `credential_process = aws configure export-credentials --profile {name} --format \
                 process` in ~/.aws/config, and name it in AWS_PROFILE"
            );
            (format!("only the AWS CLI supports the sign-in of {account}"), remedy)
        }
        Some(CredentialsError::InvalidConfiguration(_)) => {
            (format!("{account} cannot be parsed"), "correct it in ~/.aws/config".to_owned())
        }
        _ => (format!("those of {account} cannot be loaded, or have expired"), account.renewal()),
    };
    let problem = format!("there are no AWS credentials for {target}: {problem}");
    Failure::unreachable(problem, remedy).caused_by(why)
}

impl Error for RequestError {}

/// One line: the server's code and message, or why there was no answer.
impl fmt::Display for RequestError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost { why, .. } => formatter.write_str(why),
            Self::NoCredentials(failure) => write!(formatter, "{failure}"),
            Self::Service { code, message } if message.is_empty() => write!(formatter, "{code}: no message"),
            // Some servers repeat the whole request in their message.
            Self::Service { code, message } => write!(formatter, "{code}: {}", shortened(message, 300)),
        }
    }
}

/// An error's causes in one line, without the SDK's description of the place.
fn in_one_line(error: &(dyn Error + 'static)) -> String {
    let mut texts: Vec<String> = Vec::new();
    for cause in anyhow::Chain::new(error).skip(1) {
        let text = cause.to_string();
        if texts.last() != Some(&text) {
            texts.push(text);
        }
    }
    texts.join(": ")
}
