//! A service's container: found by its labels, created, started, read and removed.

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

/// A container of a service, as the daemon describes it.
pub(crate) struct Container {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) state: State,
    /// What differs from docker-compose.yml, if anything.
    pub(crate) outdated: Option<String>,
    /// The port of this machine that it is published on.
    pub(crate) port: Option<u16>,
    /// The folder of the compose file it was created from.
    folder: Option<String>,
}

/// A container's state, as far as starting it is concerned.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum State {
    Running,
    Paused,
    /// Created or exited.
    Stopped,
    /// Restarting, dead or being removed: it cannot be started.
    Unusable,
}

impl State {
    pub(super) fn of(details: &ContainerInspectResponse) -> Self {
        match details.state.as_ref().and_then(|state| state.status) {
            Some(ContainerStateStatusEnum::RUNNING) => Self::Running,
            Some(ContainerStateStatusEnum::PAUSED) => Self::Paused,
            Some(ContainerStateStatusEnum::CREATED | ContainerStateStatusEnum::EXITED) => Self::Stopped,
            _ => Self::Unusable,
        }
    }
}

impl Container {
    /// Whether it is what docker-compose.yml describes, and can be started if it does not run.
    pub(crate) fn is_as_described(&self) -> bool {
        self.outdated.is_none() && self.state != State::Unusable
    }

    /// Fails if it belongs to another checkout: a folder of the same name elsewhere has the same project name.
    pub(crate) fn check_owner(&self, compose: &Compose) -> Result<()> {
        match &self.folder {
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
    /// The service's container, running or not, whether we created it or `docker compose` did. If there are several (by
    /// `docker compose up --scale`), it is the one that runs, else the first.
    pub(crate) async fn container(&self, compose: &Compose, service: &Service) -> Result<Option<Container>> {
        let labels = description::identity(&compose.project, service);
        let labels = labels.map(|(name, value)| format!("{name}={value}")).to_vec();
        let labels = HashMap::from([("label".to_owned(), labels)]);
        let found = self.list(query::ListContainersOptionsBuilder::new().all(true).filters(&labels)).await?;
        let first = found.into_iter().min_by_key(rank);
        let Some(id) = first.and_then(|summary| summary.id) else { return Ok(None) };
        let (details, image) = tokio::try_join!(self.inspect(&id), self.image(&service.image))?;
        let Some(details) = details else { return Ok(None) };
        let mut outdated = description::difference(compose, service, image.as_deref(), &details);
        if outdated.is_none() {
            outdated = self.network_trouble(service, &details).await?;
        }
        let labels = details.config.as_ref().and_then(|config| config.labels.as_ref());
        Ok(Some(Container {
            name: details.name.as_deref().unwrap_or(&id).trim_start_matches('/').to_owned(),
            state: State::of(&details),
            port: description::published_port(service, &details),
            folder: labels.and_then(|labels| labels.get(label::WORKING_DIR).cloned()),
            outdated: outdated.map(str::to_owned),
            id,
        }))
    }

    /// The image of the container that has the service's name and is not the service's own.
    pub(crate) async fn foreign_holder_of_name(
        &self,
        compose: &Compose,
        service: &Service,
    ) -> Result<Option<String>> {
        let details = self.inspect(&container_name(&compose.project, service)).await?;
        let Some(config) = details.and_then(|details| details.config) else { return Ok(None) };
        let labels = config.labels.unwrap_or_default();
        let identity = description::identity(&compose.project, service);
        let is_ours = identity.iter().all(|(name, value)| labels.get(*name).is_some_and(|of| of == value));
        Ok(if is_ours { None } else { config.image })
    }

    /// The name of the running container that publishes `port`, if one does.
    pub(crate) async fn publisher_of(&self, port: u16) -> Result<Option<String>> {
        // Docker has a filter for it. Podman 4 has not, and lists the ports of stopped containers too.
        let all = self.list(query::ListContainersOptionsBuilder::new().all(true)).await?;
        let publishes = |container: &ContainerSummary| {
            matches!(
                container.state,
                Some(SummaryState::RUNNING | SummaryState::PAUSED | SummaryState::RESTARTING)
            ) && container.ports.iter().flatten().any(|published| published.public_port == Some(port))
        };
        let names = all.into_iter().find(publishes).and_then(|container| container.names);
        Ok(names.and_then(|names| Some(names.first()?.trim_start_matches('/').to_owned())))
    }

    pub(super) async fn list(
        &self,
        which: query::ListContainersOptionsBuilder,
    ) -> Result<Vec<ContainerSummary>> {
        let listed = answer(self.api.list_containers(Some(which.build()))).await;
        listed.map_err(failed("cannot list containers"))
    }

    async fn inspect(&self, container: &str) -> Result<Option<ContainerInspectResponse>> {
        let inspected = answer(self.api.inspect_container(container, None)).await;
        found(inspected).map_err(failed(format!("cannot inspect container {container}")))
    }

    /// Creates the service's container and the volumes it needs; it is not started yet. Returns nothing if its name is
    /// taken.
    pub(crate) async fn create(&self, compose: &Compose, service: &Service) -> Result<Option<String>> {
        for mount in &service.volumes {
            if let Source::Volume(key) = &mount.source {
                self.create_volume(compose, key).await?;
            }
        }
        let name = container_name(&compose.project, service);
        let options = query::CreateContainerOptionsBuilder::new().name(&name).build();
        let image = self.image(&service.image).await?.unwrap_or_default();
        let body = description::create_body(compose, service, &image);
        match answer(self.api.create_container(Some(options), body)).await {
            Err(error) if status(&error) == Some(409) => Ok(None),
            created => Ok(Some(created.map_err(failed(format!("cannot create container {name}")))?.id)),
        }
    }

    /// Starts a container. One that runs already is left running.
    pub(crate) async fn start(&self, id: &str) -> Result<()> {
        answer(self.api.start_container(id, None)).await.map_err(|error| match error {
            // Two wordings: another container holds the port, or another process does.
            ApiError::DockerResponseServerError { message, .. }
                if message.contains("port is already allocated")
                    || message.contains("address already in use") =>
            {
                let remedy = "run the command again: it finds another port";
                Failure::new("the port was taken a moment ago", remedy).caused_by(message).into()
            }
            error => failed("cannot start the container")(error),
        })
    }

    pub(crate) async fn unpause(&self, id: &str) -> Result<()> {
        answer(self.api.unpause_container(id)).await.map_err(failed("cannot unpause the container"))
    }

    /// Removes a container, running or not, and its anonymous volumes. One that is already gone is fine.
    pub(crate) async fn remove(&self, id: &str) -> Result<()> {
        // Stopped first: a database that is killed has to recover at its next start.
        found(answer(self.api.stop_container(id, None)).await)
            .map_err(failed("cannot stop the container"))?;
        let options = query::RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        let removed = answer(self.api.remove_container(id, Some(options))).await;
        found(removed).map(drop).map_err(failed("cannot remove the container"))
    }

    /// The last `tail` lines that the container printed since it was started, if it does not run any more.
    pub(crate) async fn last_words(&self, id: &str, tail: usize) -> Result<Option<String>> {
        let details = self.inspect(id).await?.unwrap_or_default();
        if State::of(&details) == State::Running {
            return Ok(None);
        }
        let started = details.state.and_then(|state| state.started_at);
        let started = started.and_then(|time| DateTime::parse_from_rfc3339(&time).ok());
        let since = started.and_then(|time| i32::try_from(time.timestamp()).ok()).unwrap_or_default().max(0);
        let tail = tail.to_string();
        let mut text = Vec::new();
        let mut take = |chunk: &[u8]| {
            text.extend_from_slice(chunk);
            Ok(())
        };
        self.read_log(id, query::LogsOptionsBuilder::new().since(since).tail(&tail), false, &mut take)
            .await?;
        Ok(Some(String::from_utf8_lossy(&text).into_owned()))
    }

    /// Hands what the container printed to `take`, chunk by chunk; with `follow` until it stops.
    pub(crate) async fn logs(
        &self,
        id: &str,
        tail: Option<usize>,
        follow: bool,
        take: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let tail = tail.map_or("all".to_owned(), |lines| lines.to_string());
        let options = query::LogsOptionsBuilder::new().tail(&tail).follow(follow);
        self.read_log(id, options, follow, take).await
    }

    async fn read_log(
        &self,
        id: &str,
        options: query::LogsOptionsBuilder,
        follow: bool,
        take: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        const LOG: &str = "cannot read the container's log";
        let mut chunks = self.api.logs(id, Some(options.stdout(true).stderr(true).build()));
        loop {
            // A container that is followed may well print nothing for hours.
            let chunk = match follow {
                true => chunks.next().await,
                false => answer(async { Ok(chunks.next().await) }).await.map_err(failed(LOG))?,
            };
            let Some(chunk) = chunk else { return Ok(()) };
            take(chunk.map_err(failed(LOG))?.as_ref())?;
        }
    }
}

/// Sort key: running containers first, then by number.
fn rank(summary: &ContainerSummary) -> (bool, u32) {
    let runs = summary.state == Some(SummaryState::RUNNING);
    let number = summary.labels.as_ref().and_then(|labels| labels.get(label::NUMBER)?.parse().ok());
    (!runs, number.unwrap_or(u32::MAX))
}
