use std::net::Ipv4Addr;
use std::time::Duration;

use crate::docker::compose::{Compose, Service, port_variable};
use crate::docker::daemon::{self, Docker};
use crate::docker::port;
use crate::dynamodb::client::DynamoDb;
use crate::error::Failure;
use crate::poll::Look;
use crate::targets::{self, Targets};
use anyhow::{Result, bail};
use chrono::{DateTime, Utc};
use serde_json::json;

use crate::context::Context;
use crate::engine::{EngineName, Found, embedded, is_external};
use crate::output;

/// How far this machine's clock and Docker's may differ: DynamoDB refuses a request that is five minutes
/// off, and a seed would lie in the future. <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html>
const CLOCK_TOLERANCE: Duration = Duration::from_secs(60);

#[derive(Debug, clap::Args)]
pub(crate) struct Doctor {}

/// One line of the report.
struct Check {
    what: String,
    verdict: Verdict,
    found: String,
    /// What to do, where something is wrong.
    remedy: String,
}

#[derive(Clone, Copy, PartialEq)]
enum Verdict {
    Good,
    /// Not there, and not needed as long as something else is.
    Missing,
    Bad,
}

impl Check {
    fn good(what: impl Into<String>, found: impl Into<String>) -> Self {
        Self { what: what.into(), verdict: Verdict::Good, found: found.into(), remedy: String::new() }
    }

    fn missing(what: impl Into<String>, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what: what.into(), verdict: Verdict::Missing, found: found.into(), remedy: remedy.into() }
    }

    fn bad(what: impl Into<String>, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { verdict: Verdict::Bad, ..Self::missing(what, found, remedy) }
    }

    fn of<T>(what: &str, result: &Result<T>, found: impl FnOnce(&T) -> String, remedy: &str) -> Self {
        match result {
            Ok(value) => Self::good(what, found(value)),
            Err(error) => Self::bad(what, format!("{error:#}"), remedy),
        }
    }
}

impl Doctor {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        let mut checks = Vec::new();
        let compose = context.compose();
        checks.push(Check::of(
            "docker-compose.yml",
            &compose,
            |_| "read".to_owned(),
            "mend what the message names",
        ));
        let docker_works = match &compose {
            Ok(compose) => docker_checks(context, compose, &mut checks).await?,
            Err(_) => false,
        };
        let embedded_works = embedded_checks(context, &mut checks);
        let found = Found::ask(context).await;
        if let Ok(Found { engine, servers }) = &found {
            for (name, server) in ["Postgres", "DynamoDB"].into_iter().zip(servers) {
                if server.missing.is_none() {
                    checks.push(Check::good(
                        format!("{} {name}", engine.name()),
                        format!("runs: {}", server.runs_in),
                    ));
                }
            }
        }
        if let Ok(compose) = &compose {
            checks.extend(port_checks(context, compose, found).await?);
        }
        checks.push(state_check(context));
        checks.extend(setting_checks(context));
        checks.push(psql_check(context));
        let is_external = is_external(&context.environment);
        checks.push(engine_check(docker_works, embedded_works, is_external));
        print(context, &checks)?;
        if checks.iter().any(|check| check.verdict == Verdict::Bad) {
            bail!("not all is well; the lines marked BAD say what to do");
        }
        Ok(())
    }
}

fn print(context: &Context, checks: &[Check]) -> Result<()> {
    let row = |check: &Check| {
        let verdict = match check.verdict {
            Verdict::Good => "ok",
            Verdict::Missing => "missing",
            Verdict::Bad => "BAD",
        };
        vec![json!(check.what), json!(verdict), json!(check.found), json!(check.remedy)]
    };
    output::print_rows(
        context.format,
        &["check", "verdict", "found", "remedy"],
        checks.iter().map(row).collect(),
    )
}

/// Every place where a daemon may be, then what the first that answered can do. Returns whether Docker
/// can be used as it is.
async fn docker_checks(context: &Context, compose: &Compose, checks: &mut Vec<Check>) -> Result<bool> {
    let remedy = "start Docker, or set DOCKER_HOST; not needed for the embedded engine";
    let places = match daemon::places(&context.environment, &context.ui) {
        Ok(places) => places,
        Err(error) => {
            checks.push(Check::bad(
                "Docker",
                format!("{error:#}"),
                "`docker context use default`, or set DOCKER_HOST",
            ));
            return Ok(false);
        }
    };
    let mut found = None;
    for place in places {
        let what = format!("Docker at {}", place.host);
        match Docker::connect(&place).await {
            Ok(docker) => {
                let about = docker.about().await?;
                checks.push(Check::good(
                    what,
                    format!("version {}, API {}", about.version, docker.api_version()),
                ));
                checks.push(clock_check(about.time));
                found = Some(docker);
                break;
            }
            Err(error) => {
                let remedy = error.downcast_ref().map_or(remedy, Failure::remedy);
                checks.push(Check::missing(what, format!("{error:#}"), remedy));
            }
        }
    }
    let Some(docker) = found else { return Ok(false) };
    let mut usable = true;
    for service in compose.services() {
        let what = format!("image {}", service.image);
        if docker.image(&service.image).await?.is_some() {
            checks.push(Check::good(what, "here"));
        } else {
            usable = false;
            checks.push(Check::missing(what, "not here", format!("`docker pull {}`", service.image)));
        }
    }
    Ok(usable)
}

fn clock_check(docker: Option<DateTime<Utc>>) -> Check {
    let Some(docker) = docker else { return Check::good("clock", Utc::now().to_rfc3339()) };
    let apart = (Utc::now() - docker).abs().to_std().unwrap_or_default();
    let found = format!("{} s from Docker's", apart.as_secs());
    if apart > CLOCK_TOLERANCE {
        return Check::bad(
            "clock",
            found,
            "set this machine's clock (timedatectl set-ntp true), or restart Docker's machine",
        );
    }
    Check::good("clock", found)
}

/// Postgres's programs and what runs of the embedded engine. Returns whether it can be used.
fn embedded_checks(context: &Context, checks: &mut Vec<Check>) -> bool {
    let folder = context.state.canonical().ok();
    let binaries =
        embedded::postgres_binaries(&context.environment, folder.as_ref().unwrap_or(&context.state));
    let works = binaries.is_ok();
    checks.push(match binaries {
        Ok(binaries) => Check::good("PostgreSQL server", binaries.version()),
        Err(error) => {
            let remedy = error.downcast_ref().map_or("", Failure::remedy);
            Check::missing("PostgreSQL server", error.to_string(), remedy)
        }
    });
    works
}

/// Whether the port of each service is free, or who holds it. If ours runs, it is the port where it really is.
async fn port_checks(context: &Context, compose: &Compose, found: Result<Found>) -> Result<Vec<Check>> {
    let docker = Docker::find(&context.environment, &context.ui).await.ok();
    let (mut services, mut answers) = (compose.services(), [false; 2]);
    // What is wrong with Docker has been told.
    if let Ok(Found { engine, servers: [postgres, dynamodb] }) = &found
        && let Some(own) = engine.compose()
    {
        let targets = engine.targets(context)?;
        let client = DynamoDb::new(&targets.dynamodb, &context.ui).await?;
        services = own.services();
        answers = [
            postgres.missing.is_none() && matches!(targets.postgres.look().await, Look::Ready(_)),
            dynamodb.missing.is_none() && matches!(client.look().await, Look::Ready(())),
        ];
    }
    let mut checks = Vec::new();
    for (service, ours_answers) in services.into_iter().zip(answers) {
        checks.push(port_check(service, ours_answers, docker.as_ref()).await?);
    }
    Ok(checks)
}

async fn port_check(service: &Service, ours_answers: bool, docker: Option<&Docker>) -> Result<Check> {
    let port = service.port.host;
    let what = format!("port {}:{port} ({})", Ipv4Addr::LOCALHOST, service.name);
    if port::is_free(port) {
        return Ok(Check::good(what, "free"));
    }
    let publisher = match docker {
        Some(docker) => docker.publisher_of(port).await?,
        None => None,
    };
    let holder = publisher.map_or("a process outside Docker".to_owned(), |name| format!("container {name}"));
    if ours_answers {
        return Ok(Check::good(what, format!("held by {holder}; this checkout's {} answers", service.name)));
    }
    let remedy = format!(
        "nothing to do: another port is taken; or stop the holder, or set {}",
        port_variable(service.name)
    );
    Ok(Check::missing(what, format!("held by {holder}"), remedy))
}

fn state_check(context: &Context) -> Check {
    let remedy = "remove the folder .cruddur, or make it yours again";
    let state = context.state.read(&context.ui);
    let engine = |engine: Option<EngineName>| {
        engine.map_or("nothing was started".to_owned(), |name| format!("engine {name}"))
    };
    Check::of("state folder", &state, |state| engine(state.engine), remedy)
}

/// Settings that can be wrong on their own.
fn setting_checks(context: &Context) -> Vec<Check> {
    let environment = &context.environment;
    let mut checks = Vec::new();
    let targets = || Targets::external(environment, &context.allowed_hosts);
    let external = is_external(environment).then(targets).transpose();
    if let Some(external) = external.transpose() {
        checks.push(Check::of(
            "external databases",
            &external,
            |targets| targets.postgres.to_string(),
            "correct the variable",
        ));
    }
    if environment.process_only("PROD_CONNECTION_URL").is_some() {
        let production = targets::production_postgres(environment);
        checks.push(Check::of(
            "production's Postgres",
            &production,
            ToString::to_string,
            "correct PROD_CONNECTION_URL",
        ));
    }
    let credentials =
        ["AWS_PROFILE", "AWS_ACCESS_KEY_ID"].iter().find(|name| environment.process_only(name).is_some());
    checks.push(match credentials {
        Some(name) => Check::good("production's AWS credentials", format!("by {name}; not asked")),
        None => {
            Check::good("production's AWS credentials", "by the default chain; local databases need none")
        }
    });
    checks
}

fn psql_check(context: &Context) -> Check {
    let path = context.environment.process_only("PATH").unwrap_or_default();
    let program = format!("psql{}", std::env::consts::EXE_SUFFIX);
    match std::env::split_paths(path).map(|folder| folder.join(&program)).find(|path| path.is_file()) {
        Some(path) => Check::good("psql", path.display().to_string()),
        None => {
            Check::missing("psql", "not on PATH", "install postgresql-client; only `db connect` needs it")
        }
    }
}

fn engine_check(docker: bool, embedded: bool, external: bool) -> Check {
    let usable: Vec<&str> = [("external", external), ("docker", docker), ("embedded", embedded)]
        .into_iter()
        .filter_map(|(name, works)| works.then_some(name))
        .collect();
    if usable.is_empty() {
        return Check::bad("engine", "none can be used", "install PostgreSQL's server, or start Docker");
    }
    Check::good("engine", format!("usable: {}", usable.join(", ")))
}
