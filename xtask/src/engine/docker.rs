//! The Docker engine: containers as docker-compose.yml describes them. `plan` is what a start does to them.

mod plan;

use std::time::Duration;

use crate::docker::compose::{Compose, Service, Source};
use crate::docker::daemon::{self, Container, Docker, State as ContainerState, container_name, volume_name};
use crate::error::Failure;
use crate::poll::{self, Look};
use crate::ui::Ui;
use anyhow::Result;
use tokio::sync::OnceCell;

use super::{Database, LogRange, LogSink, Server};
use crate::context::Context;
use plan::Plan;

/// How much of a dead container's log is shown.
const LAST_LINES: usize = 15;

/// How long a container's name may be taken by one that cannot be found yet, or that the daemon is stopping.
const NAME_BOUND: Duration = Duration::from_secs(30);
const NAME_INTERVAL: Duration = Duration::from_millis(50);

/// The two services' containers.
struct Containers {
    docker: Docker,
    ids: [String; 2],
    /// Which of them ran before, Postgres's first.
    found_running: [bool; 2],
}

impl Containers {
    /// Which of them ran before they were started, Postgres's first.
    fn found_running(&self) -> [bool; 2] {
        self.found_running
    }

    async fn death(&self, database: Database) -> Option<anyhow::Error> {
        death(&self.docker, &self.ids[database as usize]).await
    }
}

/// The containers of a checkout's project.
pub(crate) struct DockerEngine {
    pub(super) compose: Compose,
    docker: OnceCell<Docker>,
    started: Option<Containers>,
}

impl DockerEngine {
    pub(super) fn new(compose: Compose) -> Self {
        Self { compose, docker: OnceCell::new(), started: None }
    }

    async fn docker(&self, context: &Context) -> Result<&Docker> {
        self.docker.get_or_try_init(|| Docker::find(&context.environment, &context.ui)).await
    }

    /// Pulls the images that are not here; fails where no daemon answers.
    pub(super) async fn pull_missing(&self, context: &Context) -> Result<()> {
        pull_missing(self.docker(context).await?, &self.compose, context).await
    }

    pub(super) async fn start(&mut self, context: &Context) -> Result<()> {
        let docker = match self.docker.take() {
            Some(docker) => docker,
            None => Docker::find(&context.environment, &context.ui).await?,
        };
        let plan = Plan::make(docker, self.compose.clone(), &context.ui).await?;
        self.compose = plan.compose.clone();
        self.started = Some(plan.carry_out(context).await?);
        Ok(())
    }

    pub(super) fn found_running(&self) -> [bool; 2] {
        self.started.as_ref().map_or([false; 2], Containers::found_running)
    }

    pub(super) async fn death(&self, database: Database) -> Option<anyhow::Error> {
        self.started.as_ref()?.death(database).await
    }

    /// Looks for the containers, and takes their ports for the databases'.
    pub(super) async fn find(&mut self, context: &Context) -> Result<[Server; 2]> {
        let Self { compose, docker, .. } = self;
        let docker = docker.get_or_try_init(|| Docker::find(&context.environment, &context.ui)).await?;
        let found = find(docker, compose).await?;
        let [postgres, dynamodb] =
            found.map(|found| found.filter(|found| found.check_owner(compose).is_ok()));
        Ok([
            server(docker, &mut compose.postgres, postgres).await,
            server(docker, &mut compose.dynamodb, dynamodb).await,
        ])
    }

    pub(super) async fn stop(&self, context: &Context, with_data: bool) -> Result<()> {
        let (docker, ui, compose) = (self.docker(context).await?, &context.ui, &self.compose);
        let project = &compose.project;
        if is_of_another_checkout(docker, compose).await? {
            ui.line(format_args!(
                "project {project} is another checkout's: there is nothing of this one's to stop"
            ));
            return Ok(());
        }
        if !remove(docker, compose, ui).await? {
            ui.line(format_args!("project {project}: no containers"));
        }
        if with_data {
            for service in compose.services() {
                for name in remove_volumes(docker, compose, service).await? {
                    ui.line(format_args!("removed volume {name} and its data"));
                }
            }
        }
        Ok(())
    }

    pub(super) async fn logs(
        &self,
        context: &Context,
        database: Database,
        range: LogRange,
        sink: LogSink<'_>,
    ) -> Result<()> {
        let docker = self.docker(context).await?;
        let service = self.compose.services()[database as usize];
        let Some(container) = own_container(docker, &self.compose, service).await? else {
            let problem = format!("service {} has no container", service.name);
            return Err(Failure::new(problem, "start the databases with `cargo xtask up`").into());
        };
        docker.logs(&container.id, range.tail, range.follow, sink).await
    }
}

/// What `status` shows of a service's container; its port is put into the service.
async fn server(docker: &Docker, service: &mut Service, container: Option<Container>) -> Server {
    let Some(container) = container else {
        let missing = Some(who_is_there(docker, service.port.host).await);
        return Server { runs_in: "none".to_owned(), missing };
    };
    let state = match container.state {
        ContainerState::Running => "running",
        ContainerState::Paused => "paused",
        ContainerState::Stopped => "stopped",
        ContainerState::Unusable => "unusable",
    };
    let outdated = container.outdated.map(|what| format!(", {what} changed")).unwrap_or_default();
    let runs_in = format!("{} ({state}{outdated})", container.name);
    if container.state != ContainerState::Running {
        return Server { runs_in, missing: Some(format!("its container {} does not run", container.name)) };
    }
    service.port.host = container.port.unwrap_or(service.port.host);
    Server { runs_in, missing: None }
}

/// Who is at the port that ours would be at.
async fn who_is_there(docker: &Docker, port: u16) -> String {
    match docker.publisher_of(port).await.ok().flatten() {
        Some(name) => super::another_s(port, &format!("container {name}")),
        None => super::who_is_at(port),
    }
}

/// The two services' containers, Postgres's first, as far as they are there.
type Found = [Option<Container>; 2];

/// Asks for both services' containers at once.
///
/// # Errors
/// The daemon failed to answer.
async fn find(docker: &Docker, compose: &Compose) -> Result<Found> {
    let [postgres, dynamodb] = compose.services().map(|service| docker.container(compose, service));
    let (postgres, dynamodb) = tokio::try_join!(postgres, dynamodb)?;
    Ok([postgres, dynamodb])
}

/// The service's container, if it is this checkout's.
///
/// # Errors
/// The daemon failed to answer.
async fn own_container(docker: &Docker, compose: &Compose, service: &Service) -> Result<Option<Container>> {
    let found = docker.container(compose, service).await?;
    Ok(found.filter(|container| container.check_owner(compose).is_ok()))
}

/// Pulls the images that are not here and that no container has been made from.
async fn pull_missing(docker: &Docker, compose: &Compose, context: &Context) -> Result<()> {
    let [postgres, dynamodb] =
        compose.services().map(|service| pull_if_missing(docker, compose, service, context));
    tokio::try_join!(postgres, dynamodb).map(|_| ())
}

async fn pull_if_missing(
    docker: &Docker,
    compose: &Compose,
    service: &Service,
    context: &Context,
) -> Result<()> {
    let Service { name, image, .. } = service;
    if docker.image(image).await?.is_some() {
        return Ok(());
    }
    if docker.container(compose, service).await?.is_some_and(|container| container.is_as_described()) {
        return Ok(());
    }
    let credentials = daemon::credentials(image, &context.environment, &context.ui);
    let step = context.ui.step(format!("Docker: pull {image}"));
    match docker.pull(image, credentials, &step).await {
        Ok(()) => {
            step.done("");
            Ok(())
        }
        Err(error) => {
            let variable = if *name == "db" { "POSTGRES_IMAGE" } else { "DYNAMODB_IMAGE" };
            let remedy = format!(
                "check the network and the registry (`docker pull {image}`),\n\
                 name an image that is here (`docker images`) in {variable},\n\
                 or do without Docker: `--engine embedded`"
            );
            let problem = format!("image {image} of service {name} is not here and cannot be pulled");
            let error: anyhow::Error = Failure::new(problem, remedy).caused_by(error).into();
            Err(error.context(step.failed()))
        }
    }
}

/// Stops and removes both services' containers. Returns whether there was any.
///
/// # Errors
/// The daemon refused, or a container belongs to another checkout.
async fn remove(docker: &Docker, compose: &Compose, ui: &Ui) -> Result<bool> {
    let [postgres, dynamodb] =
        compose.services().map(|service| remove_container(docker, compose, service, ui));
    let (postgres, dynamodb) = tokio::try_join!(postgres, dynamodb)?;
    docker.remove_network(&compose.project).await?;
    Ok(postgres || dynamodb)
}

async fn remove_container(docker: &Docker, compose: &Compose, service: &Service, ui: &Ui) -> Result<bool> {
    let mut was_there = false;
    // There are more of them where `docker compose up --scale` made them.
    while let Some(container) = docker.container(compose, service).await? {
        container.check_owner(compose)?;
        ui.run_whole(format!("Docker: remove {}", container.name), docker.remove(&container.id)).await?;
        was_there = true;
    }
    Ok(was_there)
}

/// Removes the service's volumes and the data in them. Returns the names of those that were there.
///
/// # Errors
/// The daemon refused.
async fn remove_volumes(docker: &Docker, compose: &Compose, service: &Service) -> Result<Vec<String>> {
    let mut removed = Vec::new();
    for name in volumes(compose, service) {
        if docker.remove_volume(&name).await? {
            removed.push(name);
        }
    }
    Ok(removed)
}

/// The names of the service's volumes.
fn volumes(compose: &Compose, service: &Service) -> impl Iterator<Item = String> {
    service.volumes.iter().filter_map(|mount| match &mount.source {
        Source::Volume(key) => Some(volume_name(&compose.project, key)),
        Source::Path(_) => None,
    })
}

/// Why the container is not running, if it is not.
async fn death(docker: &Docker, id: &str) -> Option<anyhow::Error> {
    match docker.is_running(id).await {
        Ok(true) => None,
        Ok(false) => {
            let lines = docker
                .last_lines(id, LAST_LINES)
                .await
                .unwrap_or_else(|error| format!("(no log: {error:#})"));
            let problem = format!("its container stopped; the last lines of its log:\n{}", lines.trim_end());
            let remedy = "if its data is damaged, start afresh with `cargo xtask down --volumes`";
            Some(Failure::new(problem, remedy).into())
        }
        Err(error) => Some(error),
    }
}

/// Whether what Docker has of the project is another checkout's.
///
/// # Errors
/// The daemon failed to answer.
async fn is_of_another_checkout(docker: &Docker, compose: &Compose) -> Result<bool> {
    let mut volumes_of_others = false;
    for service in compose.services() {
        // A container tells the folder it was made for.
        if let Some(container) = docker.container(compose, service).await? {
            return Ok(container.check_owner(compose).is_err());
        }
        for name in volumes(compose, service) {
            let Some(volume) = docker.volume(&name).await? else { continue };
            volumes_of_others |= match &volume.folder {
                Some(folder) => !compose.is_in(folder),
                // `docker compose` does not say whose they are: ours, if we have used this project before, or the
                // user says that it is this checkout's.
                None => !compose.project_is_remembered && !compose.project_is_fixed,
            };
        }
    }
    Ok(volumes_of_others)
}

/// A container that cannot be started does not stay behind: it would be the next run's name conflict.
async fn create_and_start(docker: &Docker, compose: &Compose, service: &Service) -> Result<String> {
    let create = async || {
        if let Some(id) = docker.create(compose, service).await? {
            return Ok(Some(id));
        }
        // A run that was killed may have left the daemon creating this container, and compose may have made it just now.
        if let Some(container) = docker.container(compose, service).await? {
            container.check_owner(compose)?;
            docker.remove(&container.id).await?;
        }
        Ok(None)
    };
    let id = poll::until_ready(NAME_BOUND, NAME_INTERVAL, async || match create().await {
        Ok(Some(id)) => Look::Ready(id),
        Ok(None) => Look::NotYet(format!("the name {} is taken", container_name(&compose.project, service))),
        Err(error) => Look::Failed(error),
    })
    .await?;
    if let Err(error) = docker.start(&id).await {
        docker.remove(&id).await?;
        return Err(error);
    }
    Ok(id)
}
