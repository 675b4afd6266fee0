//! Where the two databases are.

pub(crate) mod reach;

use crate::environment::Environment;
use crate::error::Failure;
use anyhow::Result;
use backend_flask::messages::{DEFAULT_TABLE, TABLE_VARIABLE};

pub(crate) use crate::dynamodb::target::DynamoDbTarget;
pub(crate) use crate::postgres::target::{PostgresTarget, UrlSetting};
use reach::Reach;

/// Where Postgres is, for `--engine external` and the app's server.
pub(crate) const POSTGRES_URL: &str = "CONNECTION_URL";

/// Where DynamoDB is, for `--engine external`, the app's server and the AWS tools.
pub(crate) const DYNAMODB_URL: &str = "AWS_ENDPOINT_URL_DYNAMODB";

const PRODUCTION_POSTGRES_URL: &str = "PROD_CONNECTION_URL";
const PRODUCTION_DYNAMODB_URL: &str = "PROD_DYNAMODB_ENDPOINT_URL";

/// The databases of one engine.
#[derive(Clone)]
pub(crate) struct Targets {
    /// Where users and activities are.
    pub(crate) postgres: PostgresTarget,
    /// Where messages are.
    pub(crate) dynamodb: DynamoDbTarget,
}

impl Targets {
    /// The external engine's, which the environment or `.env` names. `allowed_hosts` may be reached although they are
    /// neither this machine nor private.
    pub(crate) fn external(environment: &Environment, allowed_hosts: &[String]) -> Result<Self> {
        Ok(Self {
            postgres: external_postgres(environment, allowed_hosts)?,
            dynamodb: external_dynamodb(environment, allowed_hosts)?,
        })
    }

    pub(crate) fn production(environment: &Environment) -> Result<Self> {
        let postgres = production_postgres(environment)?;
        Ok(Self { postgres, dynamodb: production_dynamodb(environment) })
    }
}

pub(crate) fn external_postgres(
    environment: &Environment,
    allowed_hosts: &[String],
) -> Result<PostgresTarget> {
    let url = external(environment, POSTGRES_URL)?;
    let reach = Reach::Local(allowed_hosts);
    let setting = UrlSetting { variable: POSTGRES_URL, url, reach, environment };
    PostgresTarget::parse(&setting, remedy(POSTGRES_URL))
}

pub(crate) fn external_dynamodb(
    environment: &Environment,
    allowed_hosts: &[String],
) -> Result<DynamoDbTarget> {
    let endpoint = external(environment, DYNAMODB_URL)?;
    let reach = Reach::Local(allowed_hosts);
    DynamoDbTarget::local(DYNAMODB_URL, endpoint, table(environment), remedy(DYNAMODB_URL), reach)
}

fn external<'a>(environment: &'a Environment, name: &str) -> Result<&'a str> {
    let missing = || {
        let problem = format!("engine external needs {name}, which is not set");
        Failure::new(problem, format!("set {name} to where the server is, in the environment or in .env"))
    };
    Ok(environment.get(name).ok_or_else(missing)?)
}

fn remedy(variable: &str) -> String {
    format!("check that {variable} names a server that is running")
}

/// The name of the messages table of a local DynamoDB.
pub(crate) fn table(environment: &Environment) -> String {
    environment.get(TABLE_VARIABLE).unwrap_or(DEFAULT_TABLE).to_owned()
}

/// Production's Postgres. Only the process environment can name it.
pub(crate) fn production_postgres(environment: &Environment) -> Result<PostgresTarget> {
    let url = environment.process_only(PRODUCTION_POSTGRES_URL).ok_or_else(|| {
        Failure::new(
            format!("--prod needs {PRODUCTION_POSTGRES_URL}, which is not set"),
            "export it in this shell; it is never read from .env",
        )
    })?;
    let remedy = format!("check {PRODUCTION_POSTGRES_URL} and that this machine may connect");
    let reach = Reach::Production;
    PostgresTarget::parse(&UrlSetting { variable: PRODUCTION_POSTGRES_URL, url, reach, environment }, remedy)
}

/// Production's DynamoDB: AWS's own credential chain and region, and another endpoint only where
/// `PROD_DYNAMODB_ENDPOINT_URL` names one.
pub(crate) fn production_dynamodb(environment: &Environment) -> DynamoDbTarget {
    DynamoDbTarget::production(
        environment.process_only(PRODUCTION_DYNAMODB_URL).map(str::to_owned),
        environment.process_only(TABLE_VARIABLE).unwrap_or(DEFAULT_TABLE).to_owned(),
        environment,
    )
}
