//! The addresses of the two databases.

pub(crate) mod reach;

use crate::context::Context;
use crate::environment::Environment;
use crate::error::Failure;
use anyhow::Result;
use backend_flask::messages::{DEFAULT_TABLE, TABLE_VARIABLE};

pub(crate) use crate::dynamodb::target::DynamoDbTarget;
pub(crate) use crate::postgres::target::PostgresTarget;
use reach::Reach;

/// The Postgres URL of the external engine and of the app's server.
pub(crate) const POSTGRES_URL: &str = "CONNECTION_URL";

/// The DynamoDB endpoint of the external engine, the app's server and the AWS tools.
pub(crate) const DYNAMODB_URL: &str = "AWS_ENDPOINT_URL_DYNAMODB";

const PRODUCTION_POSTGRES_URL: &str = "PROD_CONNECTION_URL";
const PRODUCTION_DYNAMODB_URL: &str = "PROD_DYNAMODB_ENDPOINT_URL";

#[derive(Clone)]
pub(crate) struct Targets {
    /// The database of users and activities.
    pub(crate) postgres: PostgresTarget,
    /// The database of messages.
    pub(crate) dynamodb: DynamoDbTarget,
}

/// The external engine's Postgres, from the environment or `.env`.
pub(crate) fn external_postgres(context: &Context) -> Result<PostgresTarget> {
    let url = external(&context.environment, POSTGRES_URL)?;
    parsed(context, POSTGRES_URL, url, Reach::Local(&context.allowed_hosts), remedy(POSTGRES_URL))
}

/// The external engine's DynamoDB, from the environment or `.env`.
pub(crate) fn external_dynamodb(context: &Context) -> Result<DynamoDbTarget> {
    let endpoint = external(&context.environment, DYNAMODB_URL)?;
    let (table, reach) = (table(&context.environment), Reach::Local(&context.allowed_hosts));
    DynamoDbTarget::local(DYNAMODB_URL, endpoint, table, remedy(DYNAMODB_URL), reach)
}

fn external<'a>(environment: &'a Environment, name: &str) -> Result<&'a str> {
    let missing = || {
        let problem = format!("engine external needs {name}, which is not set");
        Failure::usage(problem, format!("set {name} to where the server is, in the environment or in .env"))
    };
    Ok(environment.get(name).ok_or_else(missing)?)
}

fn remedy(variable: &str) -> String {
    let database = if variable == POSTGRES_URL { "Postgres" } else { "DynamoDB" };
    format!("check that {variable} names a {database} that is running")
}

/// The name of the local messages table.
pub(crate) fn table(environment: &Environment) -> String {
    environment.get(TABLE_VARIABLE).unwrap_or(DEFAULT_TABLE).to_owned()
}

/// Production's Postgres, from the process environment only.
pub(crate) fn production_postgres(context: &Context) -> Result<PostgresTarget> {
    let url = context.environment.process_only(PRODUCTION_POSTGRES_URL).ok_or_else(|| {
        Failure::usage(
            format!("--prod needs {PRODUCTION_POSTGRES_URL}, which is not set"),
            "export it in this shell; it is never read from .env",
        )
    })?;
    let remedy = format!("check {PRODUCTION_POSTGRES_URL} and that this machine may connect");
    parsed(context, PRODUCTION_POSTGRES_URL, url, Reach::Production, remedy)
}

/// A Postgres given by a URL. Warns if the password file is not used.
fn parsed(
    context: &Context,
    variable: &str,
    url: &str,
    reach: Reach<'_>,
    remedy: String,
) -> Result<PostgresTarget> {
    let target = PostgresTarget::parse(variable, url, reach, &context.environment, remedy)?;
    target.passfile_problem.iter().for_each(|problem| context.ui.warn(problem));
    Ok(target)
}

/// Production's DynamoDB, with AWS's credential chain and region, at AWS's endpoint or at
/// `PROD_DYNAMODB_ENDPOINT_URL`.
pub(crate) fn production_dynamodb(environment: &Environment) -> DynamoDbTarget {
    DynamoDbTarget::production(
        environment.process_only(PRODUCTION_DYNAMODB_URL).map(str::to_owned),
        environment.process_only(TABLE_VARIABLE).unwrap_or(DEFAULT_TABLE).to_owned(),
        environment,
    )
}
