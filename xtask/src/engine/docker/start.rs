//! Starts the two containers, after checking both for obstacles.

use std::time::Duration;

use crate::docker::compose::{Compose, FILE};
use crate::docker::daemon::{self, Container, ContainerState, container_name};
use crate::docker::port;
use crate::error::Failure;
use crate::poll::{self, Look};
use anyhow::Result;
use uuid::Uuid;

use super::super::embedded::EmbeddedEngine;
use super::DockerEngine;
use crate::context::Context;

/// How long a container's name may be taken by a container that is not listed yet or is being removed.
const NAME_BOUND: Duration = Duration::from_secs(30);
const NAME_INTERVAL: Duration = Duration::from_millis(50);

/// How often another program may take a port between our check and the container's start.
const PORT_RACES: usize = 3;

struct Existing {
    container: Container,
    /// How the container differs from docker-compose.yml, if it does.
    difference: Option<&'static str>,
}

impl DockerEngine {
    /// Makes both services' containers match docker-compose.yml, and starts them. If a port is taken, or another
    /// checkout uses the project name, chooses another unless the user set it.
    pub(in super::super) async fn start(&mut self, context: &Context) -> Result<()> {
        for _ in 0..PORT_RACES {
            match self.start_both(context).await {
                Err(error) if daemon::is_port_taken(&error) => {
                    context.ui.note("something else took the port at that moment; looking for another one");
                }
                ended => return ended,
            }
        }
        self.start_both(context).await
    }

    /// Whether the start would replace a container that keeps its tables in memory.
    pub(in super::super) async fn start_loses_tables(&self, context: &Context) -> Result<bool> {
        let [_, dynamodb] = self.own_containers(context).await?;
        let Some(container) = dynamodb.filter(Container::keeps_tables_in_memory) else { return Ok(false) };
        let docker = self.docker(context).await?;
        Ok(docker.difference(&self.compose, &self.compose.dynamodb, &container).await?.is_some())
    }

    async fn start_both(&mut self, context: &Context) -> Result<()> {
        let mut found = self.compared(context).await?;
        self.found_running = [0, 1].map(|index| {
            let found = found[index].as_ref().filter(|found| found.difference.is_none());
            found.map(|found| &found.container).is_some_and(|container| {
                container.state == ContainerState::Running && container.check_owner(&self.compose).is_ok()
            })
        });
        if self.found_running != [true; 2] {
            self.avoid_other_checkouts(context).await?;
            let containers = self.containers(context).await?;
            for container in containers.iter().flatten() {
                container.check_owner(&self.compose)?;
            }
            for (index, container) in containers.iter().enumerate() {
                self.check_name(context, index, container.as_ref()).await?;
                self.settle_port(context, index, container.as_ref()).await?;
            }
            // A container with another port no longer matches the description.
            found = self.compared(context).await?;
            self.prepare(context, &found).await?;
        }
        let [postgres, dynamodb] = found;
        // Not `try_join`: the daemon would go on with a start that nobody waits for.
        let (postgres, dynamodb) =
            tokio::join!(self.bring_up(context, 0, postgres), self.bring_up(context, 1, dynamodb));
        self.started = Some([postgres?, dynamodb?]);
        Ok(())
    }

    async fn compared(&self, context: &Context) -> Result<[Option<Existing>; 2]> {
        let docker = self.docker(context).await?;
        let [postgres, dynamodb] = self.containers(context).await?;
        let compare = async |service, container: Option<Container>| {
            let Some(container) = container else { return anyhow::Ok(None) };
            let difference = docker.difference(&self.compose, service, &container).await?;
            Ok(Some(Existing { container, difference }))
        };
        let [postgres_service, dynamodb_service] = self.compose.services();
        let (postgres, dynamodb) =
            tokio::try_join!(compare(postgres_service, postgres), compare(dynamodb_service, dynamodb))?;
        Ok([postgres, dynamodb])
    }

    /// Chooses another project name if another checkout uses this one. Compose names a project after its folder, so
    /// checkouts in folders of the same name would share containers and data.
    async fn avoid_other_checkouts(&mut self, context: &Context) -> Result<()> {
        if self.compose.project_is_fixed || !self.is_of_another_checkout(context).await? {
            return Ok(());
        }
        let project = &self.compose.project;
        let folder = self.compose.folder.as_os_str().as_encoded_bytes();
        let hash = Uuid::new_v5(&Uuid::NAMESPACE_URL, folder).simple().to_string();
        let name = format!("{project}-{}", &hash[..8]);
        context.ui.warn(format_args!(
            "project {project} belongs to another checkout; this one's is {name} (for docker compose: COMPOSE_PROJECT_NAME={name})",
        ));
        self.compose.project = name;
        Ok(())
    }

    /// Fails if the name of a container to be created belongs to another container.
    async fn check_name(&self, context: &Context, index: usize, found: Option<&Container>) -> Result<()> {
        let (service, project) = (self.compose.services()[index], &self.compose.project);
        let holder = match found {
            Some(_) => None,
            None => self.docker(context).await?.foreign_holder_of_name(&self.compose, service).await?,
        };
        let Some(image) = holder else { return Ok(()) };
        let name = container_name(project, service);
        let problem =
            format!("a container named {name} (image {image}) exists, and it is not of project {project}");
        let remedy = format!(
            "rename it, remove it with `docker rm -f {name}`, or set COMPOSE_PROJECT_NAME to another name"
        );
        Err(Failure::new(problem, remedy).into())
    }

    /// Moves the service's port if something other than its own container uses it.
    async fn settle_port(
        &mut self,
        context: &Context,
        index: usize,
        found: Option<&Container>,
    ) -> Result<()> {
        let service = self.compose.services()[index];
        if self.found_running[index] || port::is_free(service.port.host) {
            return Ok(());
        }
        let holder = self.docker(context).await?.publisher_of(service.port.host).await?;
        if holder.is_some() && holder.as_ref() == found.map(|container| &container.name) {
            return Ok(());
        }
        let holder = match holder {
            Some(name) => format!("container {name}"),
            None if EmbeddedEngine::is_at(context, service.port.host) => {
                "this checkout's own embedded server (`cargo xtask down --engine embedded` stops it)"
                    .to_owned()
            }
            None => "a process outside Docker".to_owned(),
        };
        let others = self.compose.services().map(|service| service.port.host);
        let host = port::settled(service.port, service.name, &holder, &others, &context.ui)?;
        let Compose { postgres, dynamodb, .. } = &mut self.compose;
        [postgres, dynamodb][index].port.host = host;
        Ok(())
    }

    /// Provides the images and the network if a container has to be created.
    async fn prepare(&self, context: &Context, found: &[Option<Existing>; 2]) -> Result<()> {
        if found.iter().flatten().filter(|found| found.difference.is_none()).count() == 2 {
            return Ok(());
        }
        if let Some(other) = self.compose.other_source(&context.environment) {
            context.ui.warn(format_args!("`docker compose` also reads {other}; the tasks read {FILE} alone"));
        }
        self.pull(context, found).await?;
        self.docker(context).await?.create_network(&self.compose.project).await
    }

    /// Pulls the images that are missing and that no container has been made from. Fails if no daemon answers.
    pub(in super::super) async fn pull_missing(&self, context: &Context) -> Result<()> {
        let found = self.compared(context).await?;
        self.pull(context, &found).await
    }

    async fn pull(&self, context: &Context, found: &[Option<Existing>; 2]) -> Result<()> {
        let [postgres, dynamodb] = [0, 1].map(|index| self.pull_one(context, index, found[index].as_ref()));
        tokio::try_join!(postgres, dynamodb).map(drop)
    }

    async fn pull_one(&self, context: &Context, index: usize, found: Option<&Existing>) -> Result<()> {
        let service = self.compose.services()[index];
        let (docker, ui, image) = (self.docker(context).await?, &context.ui, &service.image);
        if found.is_some_and(|found| found.difference.is_none()) || docker.image(image).await?.is_some() {
            return Ok(());
        }
        let step = ui.step(format!("Docker: pull {image}"));
        let credentials = daemon::credentials(image, &context.environment, ui).await;
        let Err(error) = docker.pull(image, credentials, &step).await else {
            step.done("");
            return Ok(());
        };
        let variable = if service.name == "db" { "POSTGRES_IMAGE" } else { "DYNAMODB_IMAGE" };
        let remedy = format!(
            "check the network and the registry (`docker pull {image}`),\n\
             name an image that is here (`docker images`) in {variable},\n\
             or do without Docker: `--engine embedded`"
        );
        let problem = format!("image {image} of service {} is not here and cannot be pulled", service.name);
        let error: anyhow::Error = Failure::new(problem, remedy).caused_by(error).into();
        Err(error.context(step.failed()))
    }

    /// Makes one service's container match the description and run. Returns its id.
    async fn bring_up(&self, context: &Context, index: usize, found: Option<Existing>) -> Result<String> {
        let (docker, ui) = (self.docker(context).await?, &context.ui);
        let create = self.create_and_start(context, index);
        let Some(Existing { container: Container { id, name, state, .. }, difference }) = found else {
            let name = container_name(&self.compose.project, self.compose.services()[index]);
            return ui.run_whole(format!("Docker: create and start {name}"), create).await;
        };
        if let Some(difference) = difference {
            let replace = async {
                docker.remove(&id).await?;
                create.await
            };
            return ui.run_whole(format!("Docker: replace {name} (other {difference})"), replace).await;
        }
        match state {
            ContainerState::Paused => {
                ui.run_whole(format!("Docker: unpause {name}"), docker.unpause(&id)).await?
            }
            ContainerState::Stopped => {
                ui.run_whole(format!("Docker: start {name}"), docker.start(&id)).await?
            }
            ContainerState::Running | ContainerState::Unusable => {}
        }
        Ok(id)
    }

    /// Creates and starts a container. Removes one that cannot start, because the next run would collide with its
    /// name.
    async fn create_and_start(&self, context: &Context, index: usize) -> Result<String> {
        let (docker, compose) = (self.docker(context).await?, &self.compose);
        let service = compose.services()[index];
        let create = async || {
            if let Some(id) = docker.create(compose, service, &context.ui).await? {
                return anyhow::Ok(Some(id));
            }
            // The daemon may still have been creating this container for a killed run, or compose has just created
            // it.
            if let Some(container) = self.containers(context).await?[index].take() {
                container.check_owner(compose)?;
                docker.remove(&container.id).await?;
            }
            Ok(None)
        };
        let name = container_name(&compose.project, service);
        let id = poll::until_ready(NAME_BOUND, NAME_INTERVAL, async || match create().await {
            Ok(Some(id)) => Look::Ready(id),
            Ok(None) => Look::NotYet(format!("the name {name} is taken")),
            Err(error) => Look::Failed(error),
        })
        .await?;
        if let Err(error) = docker.start(&id).await {
            docker.remove(&id).await?;
            return Err(error);
        }
        Ok(id)
    }
}
