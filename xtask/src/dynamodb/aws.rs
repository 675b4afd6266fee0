//! AWS's own chain of credentials, and its region: the environment, profiles, SSO, web identity, roles of this
//! machine or container.
//! <https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html>

use std::fmt;
use std::time::SystemTime;

use crate::environment::Environment;
use crate::error::Failure;
use anyhow::Result;
use aws_config::credential_process::CredentialProcessProvider;
use aws_config::{ConfigLoader, Region};
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};

use super::target::in_one_line;
use crate::dynamodb::wire::BEFORE_EXPIRY;

/// What the SDK says of a profile that it has to be built with more for.
const LEFT_OUT: &str = "cargo feature";

/// What a shell says that has no AWS CLI, and what version 1 says, which cannot export credentials.
const NO_CLI: [&str; 3] = ["aws: not found", "aws: command not found", "Invalid choice"];

/// Whose credentials are taken, as far as the environment tells.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Source {
    /// `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`.
    Environment,
    /// A profile of `~/.aws/config` and `~/.aws/credentials`; or where it has none, web identity, or a role of
    /// this machine or container.
    Profile(String),
}

impl Source {
    pub(super) fn of(environment: &Environment) -> Self {
        let set = |name: &str| environment.process_only(name);
        if set("AWS_ACCESS_KEY_ID").is_some() && set("AWS_SECRET_ACCESS_KEY").is_some() {
            return Self::Environment;
        }
        Self::Profile(set("AWS_PROFILE").unwrap_or("default").to_owned())
    }

    /// What makes them anew.
    pub(super) fn renewal(&self) -> String {
        match self {
            Self::Environment => {
                "export fresh AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, \
                                  or unset them and set AWS_PROFILE"
                    .to_owned()
            }
            Self::Profile(name) => format!(
                "`aws sso login --profile {name}` renews a profile with SSO, `aws configure --profile {name}` sets \
                 keys; AWS_PROFILE names another profile"
            ),
        }
    }

    /// What says where production is, besides a region of its own.
    fn region_remedy(&self) -> String {
        match self {
            Self::Environment => "set AWS_REGION".to_owned(),
            Self::Profile(name) => format!("set AWS_REGION, or `region` of profile {name} in ~/.aws/config"),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment => formatter.write_str("the keys in AWS_ACCESS_KEY_ID"),
            Self::Profile(name) => write!(formatter, "profile `{name}`"),
        }
    }
}

/// The chain's settings, with credentials that have been found. `target` is what they are for.
///
/// # Errors
/// No region is set; or there are no credentials, or none that are valid still.
pub(super) async fn load(loader: ConfigLoader, source: &Source, target: &str) -> Result<Loaded> {
    let config = loader.load().await;
    let Some(region) = config.region().cloned() else {
        return Err(Failure::new(format!("no region is set for {target}"), source.region_remedy()).into());
    };
    let Some(provider) = config.credentials_provider() else {
        return Err(Failure::new(format!("no credentials for {target}"), source.renewal()).into());
    };
    let found = first(provider, source).await.map_err(|error| explain(&error, source, target))?;
    let provider = SharedCredentialsProvider::new(found);
    let (use_fips, use_dual_stack) = (config.use_fips(), config.use_dual_stack());
    Ok(Loaded { region, provider, use_fips, use_dual_stack })
}

/// What reaches production.
pub(super) struct Loaded {
    pub(super) region: Region,
    pub(super) provider: SharedCredentialsProvider,
    /// Whether AWS's own endpoint is to be one of its FIPS 140 ones, and one that IPv6 reaches too.
    pub(super) use_fips: Option<bool>,
    pub(super) use_dual_stack: Option<bool>,
}

/// Asks the chain. Profiles that the SDK reads with two crates more only, those with SSO and `aws login`, are the
/// AWS CLI's to read: who has such a profile has it to log in with.
async fn first(
    chain: SharedCredentialsProvider,
    source: &Source,
) -> std::result::Result<Found, CredentialsError> {
    match (chain.provide_credentials().await, source) {
        (Err(error), Source::Profile(name)) if in_one_line(&error).contains(LEFT_OUT) => {
            let name = shell_words::quote(name);
            let command = format!("aws configure export-credentials --format process --profile {name}");
            let provider = SharedCredentialsProvider::new(CredentialProcessProvider::new(command));
            let first = provider.provide_credentials().await?;
            Ok(Found { first, provider })
        }
        (first, _) => Ok(Found { first: first?, provider: chain }),
    }
}

/// Credentials, and who has the next ones. Some take a program's start or a request: the first are used as long
/// as they are good.
#[derive(Debug)]
struct Found {
    first: Credentials,
    provider: SharedCredentialsProvider,
}

impl ProvideCredentials for Found {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let soon = SystemTime::now() + BEFORE_EXPIRY;
        if self.first.expiry().is_none_or(|expiry| expiry > soon) {
            return future::ProvideCredentials::ready(Ok(self.first.clone()));
        }
        self.provider.provide_credentials()
    }
}

/// Says why there are no credentials, and what to do.
fn explain(error: &CredentialsError, source: &Source, target: &str) -> anyhow::Error {
    let text = in_one_line(error);
    let (problem, remedy) = match error {
        CredentialsError::CredentialsNotLoaded(_) => {
            let problem = format!(
                "there are no AWS credentials for {target}: no keys in the environment, none in {source}, no web \
                 identity, and no role of this machine or container"
            );
            return Failure::new(problem, source.renewal()).into();
        }
        _ if NO_CLI.iter().any(|said| text.contains(said)) => (
            "version 2 of the AWS CLI reads such a profile, and it is not there".to_owned(),
            "install the AWS CLI (version 2), or name a profile without SSO in AWS_PROFILE".to_owned(),
        ),
        CredentialsError::InvalidConfiguration(_) => {
            (format!("{source} makes no sense"), "correct it in ~/.aws/config".to_owned())
        }
        _ => (format!("those of {source} cannot be had, or have expired"), source.renewal()),
    };
    Failure::new(format!("there are no AWS credentials for {target}: {problem}"), remedy)
        .caused_by(text)
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_is_the_keys_or_a_profile() {
        let profile = |name: &str| Source::Profile(name.to_owned());
        let keys = Environment::from([
            ("AWS_ACCESS_KEY_ID", "a"),
            ("AWS_SECRET_ACCESS_KEY", "b"),
            ("AWS_PROFILE", "p"),
        ]);
        let half = Environment::from([("AWS_ACCESS_KEY_ID", "a"), ("AWS_PROFILE", "p")]);
        assert_eq!(Source::of(&keys), Source::Environment);
        assert_eq!(Source::of(&half), profile("p"));
        assert_eq!(Source::of(&Environment::default()), profile("default"));
        assert!(profile("p").renewal().starts_with("`aws sso login --profile p`"));
    }
}
