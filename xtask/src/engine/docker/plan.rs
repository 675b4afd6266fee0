//! What a start does to the containers: looked at for both services, before either is touched.

use std::path::Path;

use crate::context::Context;
use crate::docker::compose::{Compose, FILE, Service};
use crate::docker::daemon::{self, Container, Docker, State as ContainerState};
use crate::docker::port;
use crate::error::Failure;
use crate::ui::Ui;
use anyhow::Result;
use uuid::Uuid;

use super::{Containers, Found, create_and_start, find, is_of_another_checkout, pull_missing};

/// What is about to be done. Nothing has been changed yet.
pub(super) struct Plan {
    docker: Docker,
    pub(super) compose: Compose,
    postgres: ServicePlan,
    dynamodb: ServicePlan,
}

impl Plan {
    /// Looks at both services for whatever could stop either of them from starting. A port that is taken
    /// moves, unless the user has set it; so does a project name that another checkout uses.
    ///
    /// # Errors
    /// A taken port or name; the daemon failed to answer.
    pub(super) async fn make(docker: Docker, mut compose: Compose, ui: &Ui) -> Result<Self> {
        // Mostly both run already, and the user waits for each question to the daemon.
        let found = find(&docker, &compose).await?;
        if let Ok((postgres, dynamodb)) = ServicePlan::both(&docker, &compose, found).await
            && postgres.is_running_as_described()
            && dynamodb.is_running_as_described()
        {
            return Ok(Self { docker, compose, postgres, dynamodb });
        }
        avoid_other_checkouts(&docker, &mut compose, ui).await?;
        loop {
            let found = find(&docker, &compose).await?;
            let (postgres, dynamodb) = ServicePlan::both(&docker, &compose, found).await?;
            if let Some(holder) = &postgres.port_holder {
                compose.postgres.port.host = moved_port(&compose, &compose.postgres, holder, ui)?;
            } else if let Some(holder) = &dynamodb.port_holder {
                compose.dynamodb.port.host = moved_port(&compose, &compose.dynamodb, holder, ui)?;
            } else {
                return Ok(Self { docker, compose, postgres, dynamodb });
            }
        }
    }

    /// Brings both services' containers into the state described, both at once.
    ///
    /// # Errors
    /// An image that cannot be pulled; or the daemon refused.
    pub(super) async fn carry_out(self, context: &Context) -> Result<Containers> {
        let (environment, ui) = (&context.environment, &context.ui);
        let Self { docker, compose, postgres, dynamodb } = self;
        let found_running = [&postgres, &dynamodb].map(ServicePlan::is_running_as_described);
        if postgres.creates() || dynamodb.creates() {
            pull_missing(&docker, &compose, context).await?;
            if let Some(other) = compose.other_source(environment) {
                ui.line(format_args!("`docker compose` also reads {other}; the tasks read {FILE} alone"));
            }
            docker.create_network(&compose.project).await?;
        }
        let (postgres, dynamodb) = tokio::try_join!(
            postgres.carry_out(&docker, &compose, ui),
            dynamodb.carry_out(&docker, &compose, ui)
        )?;
        Ok(Containers { docker, ids: [postgres, dynamodb], found_running })
    }
}

/// Compose names a project after its folder, so that checkouts in folders of one name would share their
/// containers and data. The second one takes a name of its own.
async fn avoid_other_checkouts(docker: &Docker, compose: &mut Compose, ui: &Ui) -> Result<()> {
    if compose.project_is_fixed || !is_of_another_checkout(docker, compose).await? {
        return Ok(());
    }
    let name = format!("{}-{}", compose.project, folder_hash(&compose.folder));
    ui.line(format_args!(
        "project {} belongs to another checkout; this one's is {name} (for docker compose: COMPOSE_PROJECT_NAME={name})",
        compose.project
    ));
    compose.project = name;
    Ok(())
}

/// Eight hexadecimal digits that differ from one folder to another.
fn folder_hash(folder: &Path) -> String {
    let mut hash =
        Uuid::new_v5(&Uuid::NAMESPACE_URL, folder.as_os_str().as_encoded_bytes()).simple().to_string();
    hash.truncate(8);
    hash
}

/// A free port in place of one that is taken.
fn moved_port(compose: &Compose, service: &Service, holder: &str, ui: &Ui) -> Result<u16> {
    let others = compose.services().map(|service| service.port.host);
    port::moved(service.port, service.name, holder, &others, ui)
}

/// What has to be done for one service.
struct ServicePlan {
    service: Service,
    found: Option<Container>,
    /// Who holds the port that the container is to be published on.
    port_holder: Option<String>,
}

impl ServicePlan {
    /// The plans for Postgres and DynamoDB, made at once.
    async fn both(docker: &Docker, compose: &Compose, found: Found) -> Result<(Self, Self)> {
        let [postgres, dynamodb] = found;
        tokio::try_join!(
            Self::make(docker, compose, &compose.postgres, postgres),
            Self::make(docker, compose, &compose.dynamodb, dynamodb)
        )
    }

    async fn make(
        docker: &Docker,
        compose: &Compose,
        service: &Service,
        found: Option<Container>,
    ) -> Result<Self> {
        if let Some(container) = &found {
            container.check_owner(compose)?;
        }
        let mut plan = Self { service: service.clone(), found, port_holder: None };
        if !plan.is_running_as_described() {
            plan.check_name(docker, compose).await?;
            plan.port_holder = plan.find_port_holder(docker).await?;
        }
        Ok(plan)
    }

    /// Whether a container has to be created, in place of another or not.
    fn creates(&self) -> bool {
        !self.found.as_ref().is_some_and(Container::is_as_described)
    }

    fn is_running_as_described(&self) -> bool {
        !self.creates()
            && self.found.as_ref().is_some_and(|container| container.state == ContainerState::Running)
    }

    /// A container of the name we are about to give must be one of ours: one that a killed run has the
    /// daemon create at this moment is.
    async fn check_name(&self, docker: &Docker, compose: &Compose) -> Result<()> {
        if self.found.is_some() {
            return Ok(());
        }
        let name = daemon::container_name(&compose.project, &self.service);
        let Some(image) = docker.foreign_holder_of_name(compose, &self.service).await? else {
            return Ok(());
        };
        Err(Failure::new(
            format!(
                "a container named {name} (image {image}) exists, and it is not of project {}",
                compose.project
            ),
            format!(
                "remove it with `docker rm -f {name}`, rename it, or set COMPOSE_PROJECT_NAME to another name"
            ),
        )
        .into())
    }

    /// Who holds the port, if it is not our own container.
    async fn find_port_holder(&self, docker: &Docker) -> Result<Option<String>> {
        let port = self.service.port.host;
        if port::is_free(port) {
            return Ok(None);
        }
        let holder = docker.publisher_of(port).await?;
        let ours = self.found.as_ref().map(|container| &container.name);
        if holder.is_some() && holder.as_ref() == ours {
            return Ok(None);
        }
        Ok(Some(holder.map_or("a process outside Docker".to_owned(), |name| format!("container {name}"))))
    }

    /// Brings the service's container into the state described; returns its id.
    async fn carry_out(self, docker: &Docker, compose: &Compose, ui: &Ui) -> Result<String> {
        let creates = self.creates();
        match self.found {
            Some(found) if !creates => {
                match found.state {
                    ContainerState::Running => {}
                    ContainerState::Paused => {
                        ui.run_whole(format!("Docker: unpause {}", found.name), docker.unpause(&found.id))
                            .await?;
                    }
                    ContainerState::Stopped | ContainerState::Unusable => {
                        ui.run_whole(format!("Docker: start {}", found.name), docker.start(&found.id))
                            .await?;
                    }
                }
                Ok(found.id)
            }
            Some(found) => {
                let why =
                    found.outdated.map_or("it cannot be started".to_owned(), |what| format!("other {what}"));
                let replace = async {
                    docker.remove(&found.id).await?;
                    create_and_start(docker, compose, &self.service).await
                };
                ui.run_whole(format!("Docker: replace {} ({why})", found.name), replace).await
            }
            None => {
                let name = daemon::container_name(&compose.project, &self.service);
                let create = create_and_start(docker, compose, &self.service);
                ui.run_whole(format!("Docker: create and start {name}"), create).await
            }
        }
    }
}
