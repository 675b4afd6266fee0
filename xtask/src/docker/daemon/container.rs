//! Finds a service's containers by their labels; creates, starts, reads and removes them.

use std::collections::HashMap;
use std::path::Path;

use crate::error::Failure;
use anyhow::Result;
use bollard::errors::Error as ApiError;
use bollard::models::{
    ContainerInspectResponse, ContainerStateStatusEnum, ContainerSummary,
    ContainerSummaryStateEnum as SummaryState,
};
use bollard::query_parameters as query;
use chrono::DateTime;
use futures_util::StreamExt as _;

use super::description::{self, container_name, label};
use super::{Docker, answer, failed, found, status};
use crate::docker::compose::{Compose, Service, Source};
use crate::ui::Ui;

/// The error if another program took the port just before the container's start.
const PORT_TAKEN: &str = "the port was taken a moment ago";

pub(crate) fn is_port_taken(error: &anyhow::Error) -> bool {
    error.downcast_ref().is_some_and(|failure: &Failure| failure.to_string() == PORT_TAKEN)
}

/// A container of a service, as the daemon lists it.
pub(crate) struct Container {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) state: ContainerState,
    /// The port on this machine that it is published on now.
    pub(crate) port: Option<u16>,
    /// The program that it runs, with its arguments.
    command: String,
    labels: HashMap<String, String>,
}

/// A container's state, as far as it matters for starting it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum ContainerState {
    Running,
    Paused,
    /// Created or exited.
    Stopped,
    /// Restarting, dead or being removed. It cannot be started.
    Unusable,
}

impl ContainerState {
    fn of(summary: &ContainerSummary) -> Self {
        match summary.state {
            Some(SummaryState::RUNNING) => Self::Running,
            Some(SummaryState::PAUSED) => Self::Paused,
            Some(SummaryState::CREATED | SummaryState::EXITED) => Self::Stopped,
            _ => Self::Unusable,
        }
    }
}

impl Container {
    fn new(service: &Service, summary: &ContainerSummary) -> Self {
        let ports = summary.ports.iter().flatten();
        let mut ports = ports.filter(|port| port.private_port == service.port.container);
        Self {
            id: summary.id.clone().unwrap_or_default(),
            name: name(summary).to_owned(),
            state: ContainerState::of(summary),
            port: ports.find_map(|port| port.public_port),
            command: summary.command.clone().unwrap_or_default(),
            labels: summary.labels.clone().unwrap_or_default(),
        }
    }

    /// Whether it is a DynamoDB Local that would lose its tables if it was stopped.
    pub(crate) fn keeps_tables_in_memory(&self) -> bool {
        let is_up = matches!(self.state, ContainerState::Running | ContainerState::Paused);
        is_up && self.command.split_whitespace().any(|word| word == "-inMemory")
    }

    /// Whether we made it from a definition that docker-compose.yml no longer has.
    pub(crate) fn is_of_another_definition(&self, service: &Service) -> bool {
        self.labels.get(label::MADE_FROM).is_some_and(|from| *from != description::hash(service))
    }

    /// Fails if it belongs to another checkout: a folder of the same name has the same project name.
    pub(crate) fn check_owner(&self, compose: &Compose) -> Result<()> {
        match self.labels.get(label::WORKING_DIR) {
            Some(folder) if !compose.is_in(Path::new(folder)) => Err(Failure::new(
                format!("container {} belongs to another checkout, in {folder}", self.name),
                "set COMPOSE_PROJECT_NAME to a name of this checkout's own (in .env, to keep it)",
            )
            .into()),
            _ => Ok(()),
        }
    }
}

impl Docker {
    /// Each service's containers, running or not, created by us or by `docker compose`. With `docker compose up
    /// --scale` there may be several; a running one comes first.
    pub(crate) async fn containers(&self, compose: &Compose) -> Result<[Vec<Container>; 2]> {
        let mut listed = self.list_project(&compose.project).await?;
        listed.sort_by_key(rank);
        Ok(compose.services().map(|service| {
            let is_its = |summary: &&ContainerSummary| {
                let labels = summary.labels.as_ref();
                labels.is_some_and(|labels| description::is_identified(labels, &compose.project, service))
            };
            listed.iter().filter(is_its).map(|summary| Container::new(service, summary)).collect()
        }))
    }

    /// How a container differs from docker-compose.yml, or why it cannot be started; `None` if neither.
    pub(crate) async fn difference(
        &self,
        compose: &Compose,
        service: &Service,
        container: &Container,
    ) -> Result<Option<&'static str>> {
        let (details, image) = tokio::try_join!(self.inspect(&container.id), self.image(&service.image))?;
        let details = details.filter(|_| container.state != ContainerState::Unusable);
        let Some(details) = details else { return Ok(Some("state")) };
        match description::difference(compose, service, image.as_deref(), &details) {
            None => self.network_trouble(service, container, &details).await,
            difference => Ok(difference),
        }
    }

    /// The image of another container that has the service's container name.
    pub(crate) async fn foreign_holder_of_name(
        &self,
        compose: &Compose,
        service: &Service,
    ) -> Result<Option<String>> {
        let details = self.inspect(&container_name(&compose.project, service)).await?;
        let Some(config) = details.and_then(|details| details.config) else { return Ok(None) };
        let labels = config.labels.unwrap_or_default();
        let is_ours = description::is_identified(&labels, &compose.project, service);
        Ok(if is_ours { None } else { config.image })
    }

    /// The name of the running container that publishes `port`, if one does.
    pub(crate) async fn publisher_of(&self, port: u16) -> Result<Option<String>> {
        // Docker can filter by port, but Podman 4 cannot, and it lists the ports of stopped containers too.
        let all = self.list(HashMap::new()).await?;
        let publishes = |container: &ContainerSummary| {
            matches!(
                container.state,
                Some(SummaryState::RUNNING | SummaryState::PAUSED | SummaryState::RESTARTING)
            ) && container.ports.iter().flatten().any(|published| published.public_port == Some(port))
        };
        Ok(all.iter().find(|container| publishes(container)).map(|container| name(container).to_owned()))
    }

    /// All containers of a project, running or not.
    pub(super) async fn list_project(&self, project: &str) -> Result<Vec<ContainerSummary>> {
        let label = format!("{}={project}", label::PROJECT);
        self.list(HashMap::from([("label", vec![label])])).await
    }

    async fn list(&self, filters: HashMap<&str, Vec<String>>) -> Result<Vec<ContainerSummary>> {
        let which = query::ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        answer(self.api.list_containers(Some(which))).await.map_err(failed("cannot list containers"))
    }

    async fn inspect(&self, container: &str) -> Result<Option<ContainerInspectResponse>> {
        let inspected = answer(self.api.inspect_container(container, None)).await;
        found(inspected).map_err(failed(format!("cannot inspect container {container}")))
    }

    /// Creates the service's container and its volumes, without starting it. Returns `None` if the name is taken.
    pub(crate) async fn create(
        &self,
        compose: &Compose,
        service: &Service,
        ui: &Ui,
    ) -> Result<Option<String>> {
        for mount in &service.volumes {
            if let Source::Volume(key) = &mount.source {
                self.create_volume(compose, key).await?;
            }
        }
        let name = container_name(&compose.project, service);
        let options = query::CreateContainerOptionsBuilder::new().name(&name).build();
        let image = self.image(&service.image).await?.unwrap_or_default();
        let body = description::create_body(compose, service, &image);
        ui.starts(|| description::command_line(compose, service));
        match answer(self.api.create_container(Some(options), body)).await {
            Err(error) if status(&error) == Some(409) => Ok(None),
            created => Ok(Some(created.map_err(failed(format!("cannot create container {name}")))?.id)),
        }
    }

    /// Starts a container. A running one stays as it is.
    pub(crate) async fn start(&self, id: &str) -> Result<()> {
        answer(self.api.start_container(id, None)).await.map_err(|error| match error {
            // The message depends on whether a container or another process holds the port.
            ApiError::DockerResponseServerError { message, .. }
                if message.contains("port is already allocated")
                    || message.contains("address already in use") =>
            {
                let remedy = "run the command again: it finds another port";
                Failure::new(PORT_TAKEN, remedy).caused_by(message).into()
            }
            error => failed("cannot start the container")(error),
        })
    }

    pub(crate) async fn unpause(&self, id: &str) -> Result<()> {
        answer(self.api.unpause_container(id)).await.map_err(failed("cannot unpause the container"))
    }

    /// Stops and removes a container and its anonymous volumes. It is no error if the container is gone.
    pub(crate) async fn remove(&self, id: &str) -> Result<()> {
        // A database that is killed would have to recover at its next start.
        found(answer(self.api.stop_container(id, None)).await)
            .map_err(failed("cannot stop the container"))?;
        let options = query::RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        let removed = answer(self.api.remove_container(id, Some(options))).await;
        found(removed).map(drop).map_err(failed("cannot remove the container"))
    }

    /// The last `tail` lines that the container has printed since its start; `None` if it runs.
    pub(crate) async fn last_words(&self, id: &str, tail: usize) -> Result<Option<String>> {
        let state = self.inspect(id).await?.and_then(|details| details.state).unwrap_or_default();
        if state.status == Some(ContainerStateStatusEnum::RUNNING) {
            return Ok(None);
        }
        let started = state.started_at;
        let started = started.and_then(|time| DateTime::parse_from_rfc3339(&time).ok());
        let since = started.and_then(|time| i32::try_from(time.timestamp()).ok()).unwrap_or_default().max(0);
        let mut text = Vec::new();
        let mut take = |chunk: &[u8]| {
            text.extend_from_slice(chunk);
            Ok(())
        };
        self.logs(id, since, Some(tail), false, &mut take).await?;
        Ok(Some(String::from_utf8_lossy(&text).into_owned()))
    }

    /// Passes what the container has printed since a time, in Unix seconds, to `take` in chunks: all of it, or `tail`
    /// lines from the end. With `follow`, continues until it stops.
    pub(crate) async fn logs(
        &self,
        id: &str,
        since: i32,
        tail: Option<usize>,
        follow: bool,
        take: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        const LOG: &str = "cannot read the container's log";
        let tail = tail.map_or("all".to_owned(), |lines| lines.to_string());
        let options = query::LogsOptionsBuilder::new().since(since).tail(&tail).follow(follow);
        let mut chunks = self.api.logs(id, Some(options.stdout(true).stderr(true).build()));
        loop {
            // A followed container may print nothing for hours, so there is no time limit.
            let chunk = match follow {
                true => chunks.next().await,
                false => answer(async { Ok(chunks.next().await) }).await.map_err(failed(LOG))?,
            };
            let Some(chunk) = chunk else { return Ok(()) };
            take(chunk.map_err(failed(LOG))?.as_ref())?;
        }
    }
}

fn name(summary: &ContainerSummary) -> &str {
    summary.names.iter().flatten().next().map_or("", |name| name.trim_start_matches('/'))
}

/// Sort key: running containers first, then by number.
fn rank(summary: &ContainerSummary) -> (bool, u32) {
    let runs = summary.state == Some(SummaryState::RUNNING);
    let number = summary.labels.as_ref().and_then(|labels| labels.get(label::NUMBER)?.parse().ok());
    (!runs, number.unwrap_or(u32::MAX))
}
