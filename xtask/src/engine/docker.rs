//! The Docker engine: containers as docker-compose.yml describes them. `plan` is what a start does to them.

mod plan;

use std::cell::RefCell;
use std::time::Duration;

use crate::docker::compose::{Compose, Service, Source};
use crate::docker::daemon::{self, Container, Docker, State as ContainerState, volume_name};
use crate::error::Failure;
use crate::poll::{self, Look};
use crate::sighting::Sighting;
use crate::ui::Ui;
use anyhow::Result;

pub(crate) use plan::Plan;

/// How much of a dead container's log is shown.
const LAST_LINES: usize = 15;

/// How long the name of a container may be taken by one that does not show itself, or takes the daemon's ten seconds to
/// be stopped.
const NAME_BOUND: Duration = Duration::from_secs(30);
const NAME_INTERVAL: Duration = Duration::from_millis(50);

/// The two services' containers.
pub(crate) struct Containers {
    docker: Docker,
    compose: Compose,
    /// Postgres's may be replaced while it is waited for.
    postgres: RefCell<String>,
    dynamodb: String,
    /// Which of them ran before, Postgres's first.
    found_running: [bool; 2],
}

impl Containers {
    /// Which of them ran before they were started, Postgres's first.
    pub(crate) fn found_running(&self) -> [bool; 2] {
        self.found_running
    }

    /// Why Postgres's container is not running, if it is not.
    pub(crate) async fn postgres_death(&self) -> Option<anyhow::Error> {
        let id = self.postgres.borrow().clone();
        death(&self.docker, &id).await
    }

    /// Why DynamoDB's container is not running, if it is not.
    pub(crate) async fn dynamodb_death(&self) -> Option<anyhow::Error> {
        death(&self.docker, &self.dynamodb).await
    }

    /// The last lines of both containers' logs.
    pub(crate) async fn last_logs(&self, lines: usize) -> String {
        let mut text = String::new();
        let postgres = self.postgres.borrow().clone();
        for (name, id) in [("postgres", &postgres), ("dynamodb", &self.dynamodb)] {
            let log = self.docker.last_lines(id, lines).await.unwrap_or_else(|error| format!("{error:#}"));
            text.push_str(&format!("--- {name} ---\n{}\n", log.trim_end()));
        }
        text
    }

    /// Begins Postgres again, its volume too: for a first start that was interrupted half-way.
    ///
    /// # Errors
    /// The daemon refused.
    pub(crate) async fn begin_postgres_again(&self) -> Result<()> {
        let service = &self.compose.postgres;
        if let Some(container) = self.docker.container(&self.compose, service).await? {
            self.docker.remove(&container.id).await?;
        }
        remove_volumes(&self.docker, &self.compose, service).await?;
        let id = create_and_start(&self.docker, &self.compose, service).await?;
        self.postgres.replace(id);
        Ok(())
    }
}

/// The two services' containers, Postgres's first, as far as they are there.
pub(crate) type Found = [Option<Container>; 2];

/// Asks for both services' containers at once.
///
/// # Errors
/// The daemon failed to answer.
pub(crate) async fn find(docker: &Docker, compose: &Compose) -> Result<Found> {
    let [postgres, dynamodb] = compose.services().map(|service| docker.container(compose, service));
    let (postgres, dynamodb) = tokio::try_join!(postgres, dynamodb)?;
    Ok([postgres, dynamodb])
}

/// The service's container, if it is this checkout's.
///
/// # Errors
/// The daemon failed to answer.
pub(crate) async fn own_container(
    docker: &Docker,
    compose: &Compose,
    service: &Service,
) -> Result<Option<Container>> {
    let found = docker.container(compose, service).await?;
    Ok(found.filter(|container| container.check_owner(compose).is_ok()))
}

/// The containers' processes, to be known again; each only where this machine shows it. None where one of them
/// does not run.
pub(crate) fn sightings(found: &Found) -> Option<[Option<Sighting>; 2]> {
    let seen = |container: &Option<Container>| {
        let Container { id, pid, .. } = container.as_ref()?;
        pid.map(|pid| Sighting::of(pid, id))
    };
    let [postgres, dynamodb] = found;
    Some([seen(postgres)?, seen(dynamodb)?])
}

/// Whether both services' containers are running.
pub(crate) fn are_running(found: &Found) -> bool {
    found.iter().all(|container| container.as_ref().is_some_and(|c| c.state == ContainerState::Running))
}

/// Pulls the images that are not here and that no container has been made of.
///
/// # Errors
/// An image that cannot be pulled.
pub(crate) async fn pull_missing(docker: &Docker, compose: &Compose, ui: &Ui) -> Result<()> {
    let [postgres, dynamodb] =
        compose.services().map(|service| pull_if_missing(docker, compose, service, ui));
    tokio::try_join!(postgres, dynamodb).map(|_| ())
}

async fn pull_if_missing(docker: &Docker, compose: &Compose, service: &Service, ui: &Ui) -> Result<()> {
    let Service { name, image, .. } = service;
    if docker.has_image(image).await? {
        return Ok(());
    }
    if docker.container(compose, service).await?.is_some_and(|container| container.is_as_described()) {
        return Ok(());
    }
    let step = ui.step(format!("Docker: pull {image}"));
    match docker.pull(image, &step).await {
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
pub(crate) async fn remove(docker: &Docker, compose: &Compose, ui: &Ui) -> Result<bool> {
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
pub(crate) async fn remove_volumes(
    docker: &Docker,
    compose: &Compose,
    service: &Service,
) -> Result<Vec<String>> {
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
pub(crate) async fn is_of_another_checkout(docker: &Docker, compose: &Compose) -> Result<bool> {
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

/// A run that was killed may have left the daemon creating its container, and another tool may have made it at this
/// moment: its name is taken before it can be found. The container's id, if it is what it should be; another is
/// removed.
async fn latecomer(docker: &Docker, compose: &Compose, service: &Service) -> Result<Option<String>> {
    let Some(container) = docker.container(compose, service).await? else { return Ok(None) };
    container.check_owner(compose)?;
    if container.is_as_described() {
        return Ok(Some(container.id));
    }
    docker.remove(&container.id).await?;
    Ok(None)
}

/// A container that cannot be started does not stay behind: it would be the next run's name conflict.
async fn create_and_start(docker: &Docker, compose: &Compose, service: &Service) -> Result<String> {
    let id =
        poll::until_ready(NAME_BOUND, NAME_INTERVAL, async || match docker.create(compose, service).await {
            Ok(Some(id)) => Look::Ready(id),
            Ok(None) => match latecomer(docker, compose, service).await {
                Ok(Some(id)) => Look::Ready(id),
                Ok(None) => Look::NotYet(format!(
                    "the name {} is taken",
                    daemon::container_name(&compose.project, service)
                )),
                Err(error) => Look::Failed(error),
            },
            Err(error) => Look::Failed(error),
        })
        .await?;
    if let Err(error) = docker.start(&id).await {
        docker.remove(&id).await?;
        return Err(error);
    }
    Ok(id)
}
