//! The Docker Engine API: the only module that speaks it. Every error says which operation failed.

mod container;
mod find;
mod image;
mod network;
#[cfg(unix)]
mod ping;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use crate::environment::Environment;
use crate::error::Failure;
use crate::ui::seconds;
use anyhow::{Result, anyhow};
use bollard::errors::Error as ApiError;
use bollard::models::{
    ContainerInspectResponse, ContainerSummary, ContainerSummaryStateEnum as SummaryState,
    VolumeCreateRequest,
};
use bollard::query_parameters as query;
use chrono::{DateTime, Utc};
use futures_util::StreamExt as _;

use crate::docker::compose::{Compose, Service, Source};

pub(crate) use container::{container_name, volume_name};
pub(crate) use find::{Place, places};

/// How long the daemon may take for anything else. Stopping a container takes it up to ten seconds.
const DAEMON_BOUND: Duration = Duration::from_secs(30);

/// What a daemon is asked, under way. Boxed: the body of an async function is compiled by whoever awaits it, and that
/// would be half of the API's shapes and all of its HTTP for every crate above.
pub(crate) type Asked<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + 'a>>;

/// A connection to a daemon that has answered.
pub(crate) struct Docker {
    api: bollard::Docker,
}

/// What a daemon says about itself.
pub(crate) struct About {
    /// The server's version, such as `28.5.2`.
    pub(crate) version: String,
    /// Its machine's clock, which is not this one's where Docker runs in a virtual machine.
    pub(crate) time: Option<DateTime<Utc>>,
}

/// A container of a service, as the daemon describes it.
pub(crate) struct Container {
    /// The id that the daemon gave it.
    pub(crate) id: String,
    /// Its name.
    pub(crate) name: String,
    /// Whether it runs.
    pub(crate) state: State,
    /// Set where it is not what docker-compose.yml describes now: what differs.
    pub(crate) outdated: Option<String>,
    /// The port of this machine that it is published on.
    pub(crate) port: Option<u16>,
    /// The folder of the compose file it was created from.
    folder: Option<String>,
}

/// A volume, as the daemon describes it.
pub(crate) struct Volume {
    /// The folder of the checkout that made it, where it was one of ours.
    pub(crate) folder: Option<PathBuf>,
}

impl Container {
    /// Whether it only has to run to be what docker-compose.yml describes.
    pub(crate) fn is_as_described(&self) -> bool {
        self.outdated.is_none() && self.state != State::Unusable
    }

    /// Whether it belongs to this checkout: a folder of the same name elsewhere has the same project name.
    ///
    /// # Errors
    /// It belongs to another checkout.
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

/// A container's state, as far as starting it is concerned.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum State {
    /// It runs.
    Running,
    /// It was paused.
    Paused,
    /// Created or exited.
    Stopped,
    /// Restarting, dead or being removed: it cannot be started.
    Unusable,
}

impl Docker {
    /// Finds the daemon and agrees on a version of the API.
    ///
    /// # Errors
    /// No daemon answered; the error lists the places tried.
    pub(crate) fn find(environment: &Environment) -> Asked<'_, Self> {
        Box::pin(async move { Ok(Self { api: find::connect(environment).await? }) })
    }

    /// Connects to the daemon of one place.
    ///
    /// # Errors
    /// It did not answer.
    pub(crate) fn connect(place: &Place) -> Asked<'_, Self> {
        Box::pin(async move { Ok(Self { api: find::try_place(place).await? }) })
    }

    /// The version of the API that was agreed on.
    pub(crate) fn api_version(&self) -> String {
        self.api.client_version().to_string()
    }

    /// What the daemon says about itself.
    ///
    /// # Errors
    /// The daemon failed to answer.
    pub(crate) fn about(&self) -> Asked<'_, About> {
        Box::pin(async move {
            let info = answer(self.api.info()).await.map_err(failed("cannot ask the daemon about itself"))?;
            let time = info.system_time.and_then(|time| DateTime::parse_from_rfc3339(&time.to_string()).ok());
            let version = info.server_version.unwrap_or_default();
            Ok(About { version, time: time.map(|time| time.to_utc()) })
        })
    }

    /// The service's container, running or not, whoever created it: ours or `docker compose`'s. Where
    /// `docker compose up --scale` made more of them, one that runs, which has the port; else the first.
    ///
    /// # Errors
    /// The daemon failed to answer.
    pub(crate) fn container<'a>(
        &'a self,
        compose: &'a Compose,
        service: &'a Service,
    ) -> Asked<'a, Option<Container>> {
        Box::pin(async move {
            let labels = container::identifying_labels(&compose.project, service);
            let labels = HashMap::from([("label".to_owned(), labels)]);
            let found =
                self.list(query::ListContainersOptionsBuilder::new().all(true).filters(&labels)).await?;
            let first = found.into_iter().min_by_key(container::rank);
            let Some(id) = first.and_then(|summary| summary.id) else { return Ok(None) };
            let (details, image) = tokio::try_join!(self.inspect(&id), self.image(&service.image))?;
            let Some(details) = details else { return Ok(None) };
            let mut outdated = container::difference(compose, service, image.as_ref(), &details);
            if outdated.is_none() {
                outdated = self.network_trouble(service, &details).await?.map(str::to_owned);
            }
            Ok(Some(Container {
                name: details.name.as_deref().unwrap_or(&id).trim_start_matches('/').to_owned(),
                state: container::state(&details),
                port: container::published_port(service, &details),
                folder: container::folder(&details),
                outdated,
                id,
            }))
        })
    }

    /// A volume, if there is one of that name.
    ///
    /// # Errors
    /// The daemon failed to answer.
    pub(crate) fn volume<'a>(&'a self, name: &'a str) -> Asked<'a, Option<Volume>> {
        Box::pin(async move {
            let inspected = found(answer(self.api.inspect_volume(name)).await);
            let volume = inspected.map_err(failed(format!("cannot inspect volume {name}")))?;
            Ok(volume.map(|volume| Volume { folder: container::volume_folder(&volume.labels) }))
        })
    }

    /// The image of the container that has the service's name though it is none of this project's.
    ///
    /// # Errors
    /// The daemon failed to answer.
    pub(crate) fn foreign_holder_of_name<'a>(
        &'a self,
        compose: &'a Compose,
        service: &'a Service,
    ) -> Asked<'a, Option<String>> {
        Box::pin(async move {
            let details = self.inspect(&container_name(&compose.project, service)).await?;
            let Some(config) = details.and_then(|details| details.config) else { return Ok(None) };
            Ok(if container::is_of(&config, &compose.project, service) { None } else { config.image })
        })
    }

    /// The name of the running container that publishes `port`, if one does.
    ///
    /// # Errors
    /// The daemon failed to answer.
    pub(crate) fn publisher_of(&self, port: u16) -> Asked<'_, Option<String>> {
        Box::pin(async move {
            // Docker could look for it itself; Podman 4 refuses to, and tells the ports of those that ended, too.
            let all = self.list(query::ListContainersOptionsBuilder::new().all(true)).await?;
            let publishes = |container: &ContainerSummary| {
                matches!(
                    container.state,
                    Some(SummaryState::RUNNING | SummaryState::PAUSED | SummaryState::RESTARTING)
                ) && container.ports.iter().flatten().any(|published| published.public_port == Some(port))
            };
            let names = all.into_iter().find(publishes).and_then(|container| container.names);
            Ok(names.and_then(|names| Some(names.first()?.trim_start_matches('/').to_owned())))
        })
    }

    async fn list(&self, which: query::ListContainersOptionsBuilder) -> Result<Vec<ContainerSummary>> {
        let listed = answer(self.api.list_containers(Some(which.build()))).await;
        listed.map_err(failed("cannot list containers"))
    }

    async fn inspect(&self, container: &str) -> Result<Option<ContainerInspectResponse>> {
        let inspected = answer(self.api.inspect_container(container, None)).await;
        found(inspected).map_err(failed(format!("cannot inspect container {container}")))
    }

    /// Creates the service's container and the volumes it needs; it is not started yet. Returns nothing
    /// where its name is taken.
    ///
    /// # Errors
    /// The daemon refused.
    pub(crate) fn create<'a>(
        &'a self,
        compose: &'a Compose,
        service: &'a Service,
    ) -> Asked<'a, Option<String>> {
        Box::pin(async move {
            for mount in &service.volumes {
                if let Source::Volume(key) = &mount.source {
                    let name = volume_name(&compose.project, key);
                    let labels = Some(container::volume_labels(compose, key));
                    let request =
                        VolumeCreateRequest { name: Some(name.clone()), labels, ..Default::default() };
                    let created = answer(self.api.create_volume(request)).await;
                    created.map_err(failed(format!("cannot create volume {name}")))?;
                }
            }
            let name = container_name(&compose.project, service);
            let options = query::CreateContainerOptionsBuilder::new().name(&name).build();
            let image_id = self.image(&service.image).await?.and_then(|image| image.id);
            let body = container::create_body(compose, service, image_id.as_deref().unwrap_or_default());
            let created = answer(self.api.create_container(Some(options), body)).await;
            match created {
                Err(ApiError::DockerResponseServerError { status_code: 409, .. }) => Ok(None),
                created => Ok(Some(created.map_err(failed(format!("cannot create container {name}")))?.id)),
            }
        })
    }

    /// Starts a container; one that runs already is left running.
    ///
    /// # Errors
    /// The daemon refused, above all because the port is taken.
    pub(crate) fn start<'a>(&'a self, id: &'a str) -> Asked<'a, ()> {
        Box::pin(async move {
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
        })
    }

    /// Lets a paused container go on.
    ///
    /// # Errors
    /// The daemon refused.
    pub(crate) fn unpause<'a>(&'a self, id: &'a str) -> Asked<'a, ()> {
        Box::pin(async move {
            answer(self.api.unpause_container(id)).await.map_err(failed("cannot unpause the container"))
        })
    }

    /// Removes a container, running or not, and its anonymous volumes.
    ///
    /// # Errors
    /// The daemon refused. A container that is already gone is fine.
    pub(crate) fn remove<'a>(&'a self, id: &'a str) -> Asked<'a, ()> {
        Box::pin(async move {
            // Stopped first: a database that is killed has to recover at its next start.
            found(answer(self.api.stop_container(id, None)).await)
                .map_err(failed("cannot stop the container"))?;
            let options = query::RemoveContainerOptionsBuilder::new().force(true).v(true).build();
            let removed = answer(self.api.remove_container(id, Some(options))).await;
            found(removed).map_err(failed("cannot remove the container"))?;
            Ok(())
        })
    }

    /// Removes a volume and the data in it. Returns whether there was one.
    ///
    /// # Errors
    /// The daemon refused, above all because a container still uses it.
    pub(crate) fn remove_volume<'a>(&'a self, name: &'a str) -> Asked<'a, bool> {
        Box::pin(async move {
            let removed = answer(self.api.remove_volume(name, None::<query::RemoveVolumeOptions>)).await;
            Ok(found(removed).map_err(failed(format!("cannot remove volume {name}")))?.is_some())
        })
    }

    /// Whether the container is running at this moment.
    ///
    /// # Errors
    /// The daemon failed to answer.
    pub(crate) fn is_running<'a>(&'a self, id: &'a str) -> Asked<'a, bool> {
        Box::pin(async move {
            let details = self.inspect(id).await?;
            Ok(details.is_some_and(|details| container::state(&details) == State::Running))
        })
    }

    /// The last `tail` lines that the container printed.
    ///
    /// # Errors
    /// The daemon failed to answer.
    pub(crate) fn last_lines<'a>(&'a self, id: &'a str, tail: usize) -> Asked<'a, String> {
        Box::pin(async move {
            let mut text = String::new();
            let mut take = |chunk: &[u8]| {
                text.push_str(&String::from_utf8_lossy(chunk));
                Ok(())
            };
            self.logs(id, Some(tail), false, &mut take).await?;
            Ok(text)
        })
    }

    /// Hands what the container printed to `take`, chunk by chunk; with `follow` until it stops.
    ///
    /// # Errors
    /// The daemon failed to answer, or `take` failed.
    pub(crate) fn logs<'a>(
        &'a self,
        id: &'a str,
        tail: Option<usize>,
        follow: bool,
        take: &'a mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Asked<'a, ()> {
        Box::pin(async move {
            let tail = tail.map_or("all".to_owned(), |lines| lines.to_string());
            let options =
                query::LogsOptionsBuilder::new().stdout(true).stderr(true).tail(&tail).follow(follow).build();
            let mut chunks = self.api.logs(id, Some(options));
            loop {
                // A container that is followed may well print nothing for hours.
                let chunk = match follow {
                    true => chunks.next().await,
                    false => answer(async { Ok(chunks.next().await) }).await.map_err(failed(LOG))?,
                };
                let Some(chunk) = chunk else { return Ok(()) };
                take(chunk.map_err(failed(LOG))?.as_ref())?;
            }
        })
    }
}

const LOG: &str = "cannot read the container's log";

/// The daemon's answer, which has to come in time.
async fn answer<T>(asked: impl Future<Output = Result<T, ApiError>>) -> Result<T, ApiError> {
    tokio::time::timeout(DAEMON_BOUND, asked).await.unwrap_or(Err(ApiError::RequestTimeoutError))
}

/// Says what could not be done, and what to do where the daemon itself is the trouble.
fn failed(what: impl Into<String>) -> impl FnOnce(ApiError) -> anyhow::Error {
    let remedy = "the Docker daemon answers no more: see what is wrong with `docker info`, and run the command \
                  again";
    move |error| match error {
        ApiError::DockerResponseServerError { .. } => anyhow!(error).context(what.into()),
        ApiError::RequestTimeoutError => {
            let waited = format!("no answer within {}", seconds(DAEMON_BOUND));
            Failure::new(what, remedy).caused_by(waited).into()
        }
        error => Failure::new(what, remedy).caused_by(error).into(),
    }
}

/// What the API found, or nothing where it answered 404.
fn found<T>(answer: Result<T, ApiError>) -> Result<Option<T>, ApiError> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(ApiError::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
