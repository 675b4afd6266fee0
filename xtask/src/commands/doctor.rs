use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Error, Result, anyhow, bail};
use chrono::{DateTime, Utc};
use serde_json::json;

use super::db;
use crate::context::Context;
use crate::docker::compose::{Compose, Service, port_variable};
use crate::docker::daemon::{self, Docker};
use crate::docker::port;
use crate::dynamodb::client::DynamoDb;
use crate::engine::embedded::{self, EmbeddedEngine};
use crate::engine::{self, Engine, EngineName, Found, Server, is_external};
use crate::error::Failure;
use crate::output::{self, Output};
use crate::poll::Look;
use crate::targets;

/// The tolerated difference between this machine's clock and Docker's. DynamoDB refuses a request that is five
/// minutes off, and seeded messages could lie in the future.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html>
const CLOCK_TOLERANCE: Duration = Duration::from_secs(60);

#[derive(Default)]
struct Checks {
    /// The check, the verdict, the finding and the remedy.
    lines: Vec<[String; 4]>,
    /// The lines that say why an engine cannot be used.
    blocking: Vec<(EngineName, usize)>,
    /// Whether Docker must pull an image.
    pulls: bool,
}

const OK: &str = "ok";
/// Missing, but another engine may not need it.
const MISSING: &str = "missing";
const TAKEN: &str = "taken";
const BAD: &str = "BAD";
/// Checking it would take a request to production.
const UNCHECKED: &str = "not checked";

impl Checks {
    fn ok(&mut self, check: impl Into<String>, found: impl Into<String>) {
        self.lines.push([check.into(), OK.to_owned(), found.into(), String::new()]);
    }

    /// Adds a line: ok, or the verdict `otherwise` with the error. `remedy` is used if the error has none.
    fn add(
        &mut self,
        check: impl Into<String>,
        found: Result<String>,
        otherwise: &str,
        remedy: &str,
    ) -> bool {
        let is_ok = found.is_ok();
        match found {
            Ok(found) => self.ok(check, found),
            Err(error) => {
                let remedy = error.downcast_ref().map_or(remedy, Failure::remedy);
                let [found, remedy] = [&format!("{error:#}"), remedy].map(one_line);
                self.lines.push([check.into(), otherwise.to_owned(), found, remedy]);
            }
        }
        is_ok
    }

    /// Adds a line about something that `engine` needs.
    fn need(
        &mut self,
        engine: EngineName,
        check: impl Into<String>,
        found: Result<String>,
        remedy: &str,
    ) -> bool {
        let is_ok = self.add(check, found, MISSING, remedy);
        if !is_ok {
            self.blocking.push((engine, self.lines.len() - 1));
        }
        is_ok
    }

    /// Adds the line about the engine that a start uses, or about any engine if a start chooses it. If none can be used, marks the
    /// lines that say why as BAD.
    fn engine(&mut self, asked: Option<EngineName>, usable: &[EngineName]) {
        let condition = |name: &EngineName| match name {
            EngineName::Docker if self.pulls => " (if its images can be pulled)",
            _ => "",
        };
        let named: Vec<_> = usable.iter().map(|name| format!("{name}{}", condition(name))).collect();
        let (found, remedy) = match asked {
            Some(name) if !usable.contains(&name) => {
                let remedy = match name {
                    EngineName::External => "set CONNECTION_URL and AWS_ENDPOINT_URL_DYNAMODB",
                    _ => "fix the lines above that are BAD",
                };
                (Err(anyhow!("{name} cannot be used")), remedy)
            }
            None if usable.is_empty() => {
                (Err(anyhow!("none can be used")), "fix what one of them lacks: the lines above that are BAD")
            }
            _ => (Ok(format!("usable: {}", named.join(", "))), ""),
        };
        if found.is_err() {
            for (engine, line) in &self.blocking {
                if asked.is_none_or(|asked| asked == *engine) {
                    BAD.clone_into(&mut self.lines[*line][1]);
                }
            }
        }
        self.add("engine", found, BAD, remedy);
    }
}

/// A text on one line, for a cell of the table.
fn one_line(text: &str) -> String {
    let join = |line: String, next: &str| match line.chars().last() {
        None => next.to_owned(),
        Some(':' | ',') => format!("{line} {next}"),
        Some(_) => format!("{line}, {next}"),
    };
    text.lines().map(str::trim).fold(String::new(), join)
}

pub(crate) async fn doctor(context: &Context, output: Output) -> Result<()> {
    let mut report = Checks::default();
    let compose = context.compose();
    let read = compose.as_ref().map(|_| "read".to_owned()).map_err(|error| anyhow!("{error:#}"));
    report.add("docker-compose.yml", read, BAD, "correct what the message names");
    let docker = docker(context, &mut report).await?;
    // A start uses the engine that was used last, or fails. A state that cannot be read is reported below.
    let state = context.state.read(&context.ui).unwrap_or_default();
    let last = state.engine.or(state.last.filter(|_| !is_external(&context.environment)));
    let asked = context.engine.or(last);
    let mut usable = Vec::new();
    if is_external(&context.environment) {
        usable.push(EngineName::External);
    }
    if let (Ok(compose), Some(docker)) = (&compose, &docker) {
        images(docker, compose, &mut report).await?;
        usable.push(EngineName::Docker);
    }
    let server = embedded::postgres_binaries(context);
    let server = server.map(|server| server.version());
    if report.need(EngineName::Embedded, "PostgreSQL server", server, "") {
        usable.push(EngineName::Embedded);
    }
    if let Ok(compose) = &compose {
        servers(context, compose, docker.as_ref(), &mut report).await?;
    }
    settings(context, &mut report);
    report.engine(asked, &usable);
    let rows = report.lines.iter().map(|line| line.iter().map(|cell| json!(cell)).collect());
    output::print_rows(output, &["check", "verdict", "found", "remedy"], rows.collect())?;
    if report.lines.iter().any(|[_, verdict, ..]| verdict == BAD) {
        bail!("not all is well; the lines marked BAD say what to do");
    }
    Ok(())
}

/// Reports each place where a Docker daemon may be, up to the first that answers; returns that one.
async fn docker(context: &Context, report: &mut Checks) -> Result<Option<Docker>> {
    let places = match daemon::places(&context.environment, &context.ui) {
        Ok(places) => places,
        Err(error) => {
            report.add("Docker", Err(error), BAD, "`docker context use default`, or set DOCKER_HOST");
            return Ok(None);
        }
    };
    for place in places {
        let what = format!("Docker at {}", place.host);
        match Docker::connect(&place).await {
            Ok(docker) => {
                let (version, time) = docker.version_and_time().await?;
                report.ok(what, format!("version {version}"));
                let remedy =
                    "set this machine's clock (timedatectl set-ntp true), or restart Docker's machine";
                report.add("clock", clock(time), BAD, remedy);
                // A daemon answers, so the places without one block nothing.
                report.blocking.clear();
                return Ok(Some(docker));
            }
            Err(error) => {
                let remedy = "start Docker, or set DOCKER_HOST; only engine docker needs it";
                report.need(EngineName::Docker, what, Err(error), remedy);
            }
        }
    }
    Ok(None)
}

fn clock(docker: Option<DateTime<Utc>>) -> Result<String> {
    let now = Utc::now();
    let apart = (now - docker.unwrap_or(now)).abs().to_std().unwrap_or_default();
    let found = format!("{} s from Docker's", apart.as_secs());
    if apart > CLOCK_TOLERANCE { Err(Error::msg(found)) } else { Ok(found) }
}

/// Reports which images the daemon has. A start pulls the others.
async fn images(docker: &Docker, compose: &Compose, report: &mut Checks) -> Result<()> {
    for service in compose.services() {
        let image = docker.image(&service.image).await?;
        let found = image.map(|_| "here".to_owned()).ok_or_else(|| anyhow!("not here"));
        let remedy =
            format!("nothing to do: `cargo xtask up` pulls it, as `docker pull {}` does", service.image);
        report.pulls |= !report.add(format!("image {}", service.image), found, MISSING, &remedy);
    }
    Ok(())
}

/// Reports this checkout's servers, and who uses their ports. A server that was moved is checked at its new port.
async fn servers(
    context: &Context,
    described: &Compose,
    docker: Option<&Docker>,
    report: &mut Checks,
) -> Result<()> {
    let (mut services, mut ours) = (described.services(), [false; 2]);
    // If the engine cannot be asked, an earlier line says why.
    let found = Found::ask(context).await.ok();
    if let Some(Found { engine, servers }) = &found {
        for (name, server) in ["Postgres", "DynamoDB"].into_iter().zip(servers) {
            if server.missing.is_none() {
                report.ok(format!("{} {name}", engine.name()), format!("runs: {}", server.runs_in));
            }
        }
        for (name, databases) in engine::running_beside(context, engine.name()).await? {
            report.ok(
                format!("{name} {databases}"),
                format!("also runs; `cargo xtask down --engine {name}` stops them"),
            );
        }
        if let Some(compose) = engine.compose() {
            services = compose.services();
            let targets = engine.targets(context)?;
            let client = DynamoDb::new(&targets.dynamodb, &context.ui).await?;
            let [postgres, dynamodb] = servers;
            ours = [
                postgres.missing.is_none() && matches!(targets.postgres.look().await, Look::Ready(_)),
                dynamodb.missing.is_none() && matches!(client.look().await, Look::Ready(())),
            ];
        }
    }
    for (index, (service, is_ours)) in services.into_iter().zip(ours).enumerate() {
        let variable = port_variable(service.name);
        let server = found.as_ref().filter(|found| found.engine.compose().is_some());
        let server = server.map(|found| &found.servers[index]).filter(|server| server.is_there());
        let (otherwise, remedy) = match server {
            Some(Server { missing: None, .. }) => {
                (BAD, "see `cargo xtask logs`; `cargo xtask down` and then `up` start it again".to_owned())
            }
            Some(_) => (TAKEN, "`cargo xtask up` starts it".to_owned()),
            None if service.port.fixed => (TAKEN, port::remedy(variable)),
            None => (
                TAKEN,
                format!("nothing to do: the next free port is used; or stop that program, or set {variable}"),
            ),
        };
        let check = format!("port {}:{} ({})", Ipv4Addr::LOCALHOST, service.port.host, service.name);
        let used = port(context, service, is_ours, docker).await?;
        let used = used.map_err(|held| match server {
            Some(Server { missing: Some(missing), .. }) => anyhow!("{held}; {missing}"),
            Some(_) => anyhow!("{held}; this checkout's {} does not answer", service.name),
            None => held,
        });
        report.add(check, used, otherwise, &remedy);
    }
    Ok(())
}

/// Whether the service's port is free or ours. The error says who else uses it.
async fn port(
    context: &Context,
    service: &Service,
    is_ours: bool,
    docker: Option<&Docker>,
) -> Result<Result<String>> {
    let number = service.port.host;
    if port::is_free(number) {
        return Ok(Ok("free".to_owned()));
    }
    let publisher = match docker {
        Some(docker) => docker.publisher_of(number).await?,
        None => None,
    };
    let holder = match publisher {
        Some(name) => format!("container {name}"),
        None if EmbeddedEngine::is_at(context, number) => "this checkout's own embedded server".to_owned(),
        None => "a process outside Docker".to_owned(),
    };
    Ok(if is_ours {
        Ok(format!("held by {holder}; this checkout's {} answers", service.name))
    } else {
        Err(anyhow!("held by {holder}"))
    })
}

/// Reports the state folder, the settings that can be checked without a server, and psql.
fn settings(context: &Context, report: &mut Checks) {
    let environment = &context.environment;
    let state = context.state.read(&context.ui).map(|state| match state.last {
        Some(name) => format!("can be read; engine {name} was started last"),
        None => "can be read; it remembers no engine that was started".to_owned(),
    });
    report.add(
        "state folder",
        state,
        BAD,
        "make the folder .cruddur yours again; to remove it loses the embedded engine's data",
    );
    if is_external(environment) {
        let external = Engine::External.targets(context);
        let found = external.map(|targets| format!("{}; not connected to", targets.postgres));
        report.add("external databases", found, BAD, "correct the variable");
    }
    if environment.process_only("PROD_CONNECTION_URL").is_some() {
        let found = targets::production_postgres(context);
        let found = found.map(|target| format!("{target}; not connected to"));
        report.add("production's Postgres", found, BAD, "correct PROD_CONNECTION_URL");
    }
    let names = ["AWS_PROFILE", "AWS_ACCESS_KEY_ID"];
    let credentials = match names.iter().find(|name| environment.process_only(name).is_some()) {
        Some(name) => format!("{name} is set"),
        None => "left to the default chain; local databases need none".to_owned(),
    };
    report.lines.push(["production's AWS credentials", UNCHECKED, &credentials, ""].map(str::to_owned));
    let psql = db::psql(context).map(|path| path.display().to_string()).ok_or_else(|| anyhow!("not on PATH"));
    report.add("psql", psql, MISSING, "install postgresql-client; only `db connect` needs it");
}
