//! The address of a DynamoDB, and its messages table.

use std::fmt;

use crate::environment::Environment;
use crate::error::{Failure, Usage};
use anyhow::Result;
use backend_flask::hosts::host_and_port;

use crate::targets::reach::Reach;

/// A DynamoDB, local or production's, and its messages table.
#[derive(Clone)]
pub(crate) struct DynamoDbTarget {
    /// `None` means AWS's endpoint of the region.
    endpoint: Option<String>,
    /// The account whose credentials are used; `None` for a local server.
    pub(crate) account: Option<AwsAccount>,
    pub(crate) table: String,
    /// What to do if it cannot be reached.
    pub(crate) remedy: String,
    /// Whether a large table is scanned in segments. For each page, DynamoDB Local reads the whole rest of the table
    /// or segment, so segments help. The embedded server reads the whole table for each segment, so they do not.
    pub(crate) is_scanned_in_segments: bool,
}

/// The profile that is used if none is named.
pub(crate) const DEFAULT_PROFILE: &str = "default";

/// The credentials and the region, as far as the environment determines them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AwsAccount {
    /// The profile of `~/.aws/config` and `~/.aws/credentials`; `None` if the keys are in the environment. If the
    /// profile does not exist, the credentials may come from a web identity, or from a role of this machine or
    /// container.
    pub(crate) profile: Option<String>,
    pub(crate) region: Option<String>,
}

impl AwsAccount {
    /// Like the AWS CLI, also reads `AWS_DEFAULT_PROFILE` and `AWS_DEFAULT_REGION`. An empty variable counts as
    /// unset.
    /// <https://docs.aws.amazon.com/cli/latest/userguide/cli-configure-envvars.html>
    fn of(environment: &Environment) -> Self {
        let set = |name: &str| environment.process_only(name).map(str::to_owned);
        let has_keys = set("AWS_ACCESS_KEY_ID").is_some() && set("AWS_SECRET_ACCESS_KEY").is_some();
        let profile = || set("AWS_PROFILE").or_else(|| set("AWS_DEFAULT_PROFILE"));
        Self {
            profile: (!has_keys).then(|| profile().unwrap_or_else(|| DEFAULT_PROFILE.to_owned())),
            region: set("AWS_REGION").or_else(|| set("AWS_DEFAULT_REGION")),
        }
    }

    pub(crate) fn renewal(&self) -> String {
        match &self.profile {
            None => "export fresh AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, or unset them and \
                     set AWS_PROFILE"
                .to_owned(),
            Some(name) => format!(
                "`aws sso login --profile {name}` renews a profile with SSO, `aws configure --profile {name}` sets \
                 keys; AWS_PROFILE names another profile"
            ),
        }
    }

    pub(crate) fn region_remedy(&self) -> String {
        match &self.profile {
            None => "set AWS_REGION".to_owned(),
            Some(name) => format!("set AWS_REGION, or `region` of profile {name} in ~/.aws/config"),
        }
    }
}

impl fmt::Display for AwsAccount {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.profile {
            None => formatter.write_str("the keys in AWS_ACCESS_KEY_ID"),
            Some(name) => write!(formatter, "profile `{name}`"),
        }
    }
}

impl DynamoDbTarget {
    /// A server that is not AWS, at the endpoint that `setting` contains.
    pub(crate) fn local(
        setting: &str,
        endpoint: &str,
        table: String,
        remedy: String,
        reach: Reach<'_>,
    ) -> Result<Self> {
        let form = "write it as http://HOST:PORT";
        let rest = endpoint.strip_prefix("http://").or_else(|| endpoint.strip_prefix("https://"));
        let Some(rest) = rest.filter(|rest| !rest.is_empty()) else {
            return Err(Failure::usage(format!("{setting} is not a DynamoDB endpoint"), form).into());
        };
        if rest.contains('@') {
            return Err(Usage(format!("{setting}: a DynamoDB endpoint takes no user or password")).into());
        }
        let (host, port) = host_and_port(rest);
        // For an invalid port the client would use its default one, where another program may listen.
        if port.is_some_and(|port| !port.parse::<u16>().is_ok_and(|port| port > 0)) {
            return Err(Failure::usage(format!("{setting} has no port of 1 to 65535"), form).into());
        }
        reach.check(setting, host)?;
        // The error shows no part of them: they may contain a secret.
        if rest
            .trim_end_matches('/')
            .contains(|c: char| "/?#".contains(c) || c.is_whitespace() || c.is_control())
        {
            return Err(Failure::usage(format!("{setting} has a path or a query"), form).into());
        }
        let endpoint = Some(endpoint.trim_end_matches('/').to_owned());
        Ok(Self { endpoint, account: None, table, remedy, is_scanned_in_segments: true })
    }

    pub(crate) fn production(endpoint: Option<String>, table: String, environment: &Environment) -> Self {
        let account = Some(AwsAccount::of(environment));
        let remedy =
            "check AWS_REGION, the network, and PROD_DYNAMODB_ENDPOINT_URL where it is set".to_owned();
        Self { endpoint, account, table, remedy, is_scanned_in_segments: false }
    }

    /// The endpoint's URL; `None` for AWS's own.
    pub(crate) fn endpoint(&self) -> Option<&str> {
        self.endpoint.as_deref()
    }

    /// The suffix of suggested commands for this target: ` --prod`, or nothing.
    pub(crate) fn prod(&self) -> &'static str {
        if self.is_production() { " --prod" } else { "" }
    }

    pub(crate) fn is_production(&self) -> bool {
        self.account.is_some()
    }
}

impl fmt::Display for DynamoDbTarget {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.endpoint, self.is_production()) {
            (Some(endpoint), true) => {
                // The text before an `@` may be a password.
                let shown = endpoint.rsplit('@').next().unwrap_or_default();
                write!(formatter, "production's DynamoDB at {shown}")
            }
            (Some(endpoint), false) => write!(formatter, "DynamoDB at {endpoint}"),
            (None, _) => write!(formatter, "DynamoDB on AWS"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Report;

    fn local(endpoint: &str) -> Result<DynamoDbTarget> {
        let setting = "AWS_ENDPOINT_URL_DYNAMODB";
        DynamoDbTarget::local(setting, endpoint, "t".to_owned(), String::new(), Reach::Local(&[]))
    }

    #[test]
    fn aws_is_out_of_reach_without_prod() {
        for endpoint in [
            "https://dynamodb.us-east-1.amazonaws.com",
            "http://DynamoDB.eu-west-1.AmazonAWS.com.:443/",
            "https://dynamodb.cn-north-1.amazonaws.com.cn",
            "https://dynamodb.us-east-1.api.aws",
            "https://dynamodb.us-east-1.amazonaws.com#.localhost",
            "https://d]ynamodb.us-east-1.api.aws",
            "https://dynamodb.us-east-1.amazonaws.com#",
        ] {
            let report = Report::of(&local(endpoint).err().unwrap()).to_string();
            assert!(report.ends_with("help: production is reached with --prod only"), "{report}");
        }
    }

    #[test]
    fn an_endpoint_is_an_http_url() {
        assert_eq!(local("http://127.0.0.1:8000/").unwrap().to_string(), "DynamoDB at http://127.0.0.1:8000");
        assert!(local("http://[::1]:8000").is_ok());
        for endpoint in [
            "127.0.0.1:8000",
            "http://",
            "ftp://h",
            "http://:8000",
            "http://host.example\\@localhost",
            "http://me@h",
            "http://h:1/path?secret",
            "http://h:1?secret",
            "http://h:1 ",
        ] {
            assert!(local(endpoint).is_err(), "{endpoint}");
        }
    }

    #[test]
    fn the_account_is_the_keys_or_a_profile() {
        let keys = Environment::from([
            ("AWS_ACCESS_KEY_ID", "a"),
            ("AWS_SECRET_ACCESS_KEY", "b"),
            ("AWS_PROFILE", "p"),
        ]);
        assert_eq!(AwsAccount::of(&keys).profile, None);
        let half = Environment::from([("AWS_ACCESS_KEY_ID", "a"), ("AWS_PROFILE", "p")]);
        assert_eq!(AwsAccount::of(&half).profile.as_deref(), Some("p"));
        assert!(AwsAccount::of(&half).renewal().starts_with("`aws sso login --profile p`"));
        let default = Environment::from([("AWS_PROFILE", ""), ("AWS_DEFAULT_PROFILE", "d")]);
        assert_eq!(AwsAccount::of(&default).profile.as_deref(), Some("d"));
        assert_eq!(AwsAccount::of(&Environment::default()).profile.as_deref(), Some("default"));
    }

    #[test]
    fn the_region_is_the_one_that_the_aws_cli_takes() {
        let region = |name, value| {
            AwsAccount::of(&Environment::from([(name, value), ("AWS_DEFAULT_REGION", "d")])).region
        };
        assert_eq!(region("AWS_REGION", "r").as_deref(), Some("r"));
        assert_eq!(region("AWS_REGION", "").as_deref(), Some("d"));
    }
}
