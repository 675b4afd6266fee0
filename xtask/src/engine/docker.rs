//! The Docker engine: containers as docker-compose.yml describes them.

mod start;

use std::collections::BTreeMap;
use std::path::Path;

use crate::docker::compose::{Compose, Service, Source};
use crate::docker::daemon::{Container, ContainerState, Docker, label, volume_name};
use crate::error::Failure;
use crate::postgres::client::PostgresClient;
use crate::targets::PostgresTarget;
use anyhow::Result;
use tokio::sync::OnceCell;

use super::{Database, LAST_LINES, LogRange, LogSink, Server};
use crate::context::Context;

/// The remedy if Postgres refuses the password that docker-compose.yml names.
pub(super) const WRONG_PASSWORD: &str = "set the password the server was created with: its volume keeps the first one; \
     `cargo xtask down --volumes` removes the data of both databases, and the password with it";

pub(crate) struct DockerEngine {
    pub(super) compose: Compose,
    docker: OnceCell<Docker>,
    /// The ids of the started containers, Postgres's first.
    started: Option<[String; 2]>,
    /// Which containers ran before the start, Postgres's first.
    pub(super) found_running: [bool; 2],
    /// Whether the DynamoDB that was found keeps its tables in memory.
    pub(super) keeps_tables_in_memory: bool,
}

impl DockerEngine {
    pub(super) fn new(compose: Compose) -> Self {
        Self {
            compose,
            docker: OnceCell::new(),
            started: None,
            found_running: [false; 2],
            keeps_tables_in_memory: false,
        }
    }

    async fn docker(&self, context: &Context) -> Result<&Docker> {
        self.docker.get_or_try_init(|| Docker::find(&context.environment, &context.ui)).await
    }

    /// Finds the containers, and takes over the ports they are published on.
    pub(super) async fn find(&mut self, context: &Context) -> Result<[Server; 2]> {
        let docker = self.docker(context).await?;
        let [postgres, dynamodb] = self.own_containers(context).await?;
        let keeps_tables_in_memory = dynamodb.as_ref().is_some_and(Container::keeps_tables_in_memory);
        let [postgres_service, dynamodb_service] = self.compose.services();
        let (postgres, dynamodb) = tokio::join!(
            server(docker, postgres_service, postgres),
            server(docker, dynamodb_service, dynamodb)
        );
        self.compose.postgres.port.host = postgres.1;
        self.compose.dynamodb.port.host = dynamodb.1;
        self.keeps_tables_in_memory = keeps_tables_in_memory;
        Ok([postgres.0, dynamodb.0])
    }

    /// Both services' containers, Postgres's first; `None` where there is none.
    async fn containers(&self, context: &Context) -> Result<[Option<Container>; 2]> {
        let containers = self.docker(context).await?.containers(&self.compose).await?;
        Ok(containers.map(|of_service| of_service.into_iter().next()))
    }

    async fn own_containers(&self, context: &Context) -> Result<[Option<Container>; 2]> {
        let is_own = |container: &Container| container.check_owner(&self.compose).is_ok();
        Ok(self.containers(context).await?.map(|container| container.filter(is_own)))
    }

    pub(super) async fn logs(
        &self,
        context: &Context,
        database: Database,
        range: LogRange,
        sink: LogSink<'_>,
    ) -> Result<()> {
        let container = self.container_of(context, database).await?;
        self.docker(context).await?.logs(&container.id, 0, range.tail, range.follow, sink).await
    }

    /// The container of a database. Fails if there is none.
    async fn container_of(&self, context: &Context, database: Database) -> Result<Container> {
        let container = self.own_containers(context).await?[database as usize].take();
        let missing = || {
            let service = self.compose.services()[database as usize].name;
            let problem = format!("service {service} has no container");
            Failure::new(problem, "start the databases with `cargo xtask up`")
        };
        Ok(container.ok_or_else(missing)?)
    }

    pub(super) async fn run_client(
        &self,
        context: &Context,
        target: &PostgresTarget,
        client: PostgresClient,
    ) -> Result<()> {
        let container = self.container_of(context, Database::Postgres).await?;
        let port = self.compose.postgres.port.container;
        let mut environment: BTreeMap<_, _> = target.libpq_environment().into_iter().collect();
        environment.insert("PGHOST", "127.0.0.1".to_owned());
        environment.insert("PGPORT", port.to_string());
        let environment = environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
        self.docker(context).await?.exec(&container.id, environment, client, &context.ui).await
    }

    /// Why a started container no longer runs; `None` if it runs.
    pub(super) async fn death(&self, database: Database) -> Option<anyhow::Error> {
        let (docker, ids) = (self.docker.get()?, self.started.as_ref()?);
        match docker.last_words(&ids[database as usize], LAST_LINES).await {
            Ok(log) => Some(stopped(&log?).into()),
            Err(error) => Some(error),
        }
    }

    /// Stops and removes both services' containers and, with `with_data`, their volumes.
    pub(super) async fn stop(&self, context: &Context, with_data: bool) -> Result<()> {
        let (docker, ui, compose) = (self.docker(context).await?, &context.ui, &self.compose);
        let project = &compose.project;
        if self.is_of_another_checkout(context).await? {
            ui.note(format_args!(
                "project {project} belongs to another checkout; this checkout has nothing to stop"
            ));
            return Ok(());
        }
        let [postgres, dynamodb] = docker.containers(compose).await?;
        if postgres.is_empty() && dynamodb.is_empty() {
            ui.note(format_args!("project {project}: no containers"));
        }
        tokio::try_join!(self.remove(context, postgres), self.remove(context, dynamodb))?;
        docker.remove_network(project).await?;
        for volume in self.volumes().filter(|_| with_data) {
            if docker.remove_volume(&volume).await? {
                ui.note(format_args!("removed volume {volume} and its data"));
            }
        }
        Ok(())
    }

    pub(super) async fn rehearse_stop(&self, context: &Context, with_data: bool) -> Result<Vec<String>> {
        let docker = self.docker(context).await?;
        if self.is_of_another_checkout(context).await? {
            return Ok(Vec::new());
        }
        let containers = docker.containers(&self.compose).await?;
        let mut deeds: Vec<_> =
            containers.iter().flatten().map(|container| format!("remove {}", container.name)).collect();
        for volume in self.volumes().filter(|_| with_data) {
            if docker.volume(&volume).await?.is_some() {
                deeds.push(format!("delete volume {volume} and its data"));
            }
        }
        Ok(deeds)
    }

    async fn remove(&self, context: &Context, containers: Vec<Container>) -> Result<()> {
        for container in containers {
            container.check_owner(&self.compose)?;
            let remove = self.docker(context).await?.remove(&container.id);
            context.ui.run_whole(format!("Docker: remove {}", container.name), remove).await?;
        }
        Ok(())
    }

    fn volumes(&self) -> impl Iterator<Item = String> {
        let mounts = self.compose.services().into_iter().flat_map(|service| &service.volumes);
        mounts.filter_map(|mount| match &mount.source {
            Source::Volume(key) => Some(volume_name(&self.compose.project, key)),
            Source::Path(_) => None,
        })
    }

    /// Whether the project's containers and volumes belong to another checkout.
    async fn is_of_another_checkout(&self, context: &Context) -> Result<bool> {
        let (docker, compose) = (self.docker(context).await?, &self.compose);
        // A label of each container names the folder that it was created for.
        if let Some(container) = self.containers(context).await?.iter().flatten().next() {
            return Ok(container.check_owner(compose).is_err());
        }
        for name in self.volumes() {
            let Some(volume) = docker.volume(&name).await? else { continue };
            let is_ours = match volume.get(label::CHECKOUT) {
                Some(folder) => compose.is_in(Path::new(folder)),
                // Compose's own volumes have no such label. They are ours if this checkout has used the project
                // before, or if the user chose the project's name.
                None => compose.project_is_remembered || compose.project_is_fixed,
            };
            if !is_ours {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The state of a service's server according to its container, and its port: the published one if the container runs.
async fn server(docker: &Docker, service: &Service, container: Option<Container>) -> (Server, u16) {
    let port = service.port.host;
    let Some(container) = container else {
        let missing = match docker.publisher_of(port).await.ok().flatten() {
            Some(name) => super::taken_by(port, &format!("container {name}")),
            None => super::who_is_at(port),
        };
        return (Server { runs_in: super::NOWHERE.to_owned(), missing: Some(missing) }, port);
    };
    let state = match container.state {
        ContainerState::Running => "running",
        ContainerState::Paused => "paused",
        ContainerState::Stopped => "stopped",
        ContainerState::Unusable => "unusable",
    };
    let changed = if container.is_of_another_definition(service) { ", its definition changed" } else { "" };
    let runs_in = format!("{} ({state}{changed})", container.name);
    let missing = match (container.state, container.port) {
        (ContainerState::Running, Some(published)) => return (Server { runs_in, missing: None }, published),
        (ContainerState::Running, None) => format!("its container {} publishes no port", container.name),
        _ => format!("its container {} is {state}", container.name),
    };
    (Server { runs_in, missing: Some(missing) }, port)
}

/// The error for a stopped container. It advises deleting the data only if the log says that the data is unusable.
fn stopped(log: &str) -> Failure {
    let problem = format!("its container stopped; the last lines of its log:\n{}", log.trim_end());
    let remedy = if super::has_damaged_data(log) {
        "it cannot use its data: `cargo xtask down --volumes` removes the data of both databases, and \
         `cargo xtask ddb-setup` makes them anew"
    } else if log.contains(".lock\" is empty") {
        // The lock file of the socket is in the container, so a restart finds it again.
        "the container was killed while it started: remove it with `cargo xtask down`, and run the command again; \
         Postgres's data are kept"
    } else {
        "correct what the log names (settings are in docker-compose.yml and .env), and run the command again;\n\
         its data are kept"
    };
    Failure::new(problem, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_are_given_up_only_if_the_log_says_that_they_cannot_be_used() {
        let gives_up = |log: &str| stopped(log).remedy().contains("--volumes");
        assert!(gives_up("FATAL:  database files are incompatible with server"));
        assert!(gives_up("initdb: error: directory \"/var/lib/postgresql/data\" exists but is not empty"));
        assert!(gives_up("FATAL:  could not open file \"global/pg_control\": No such file or directory"));
        assert!(!gives_up("Error: Unable to access jarfile NoSuch.jar"));
        assert!(!gives_up("FATAL:  pre-existing shared memory block (key 1, ID 2) is still in use"));
        assert!(!gives_up("FATAL:  could not write lock file \"postmaster.pid\": No space left on device"));
        assert!(!gives_up("ERROR:  could not open file \"base/5/16384\": No such file or directory"));
        assert!(!gives_up(""));
        let killed = stopped("FATAL:  lock file \"/var/run/postgresql/.s.PGSQL.5432.lock\" is empty");
        assert!(killed.remedy().contains("remove it with `cargo xtask down`, and"));
    }
}
