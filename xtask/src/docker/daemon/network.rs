//! The network that a project's containers are on.

use std::collections::HashMap;

use crate::error::Failure;
use anyhow::Result;
use bollard::errors::Error as ApiError;
use bollard::models::{ContainerInspectResponse, Network, NetworkCreateRequest};
use bollard::query_parameters as query;

use super::{Asked, Docker, State, answer, container, failed, found};
use crate::docker::compose::Service;

impl Docker {
    /// What is wrong with a container's networks, if anything is: without one that is there and leads out of Docker its
    /// port is not published, and it could not even be started without one that it was made for.
    pub(super) async fn network_trouble(
        &self,
        service: &Service,
        details: &ContainerInspectResponse,
    ) -> Result<Option<&'static str>> {
        let mut publishes = false;
        if container::state(details) == State::Running {
            publishes = container::is_published(service, details);
        } else {
            for name in container::networks(details) {
                let inspected = found(answer(self.api.inspect_network(name, None)).await);
                let network = inspected.map_err(failed(format!("cannot inspect network {name}")))?;
                let Some(network) = network else { return Ok(Some("network: its own is gone")) };
                publishes |= network.internal != Some(true);
            }
        }
        Ok((!publishes).then_some("network: it publishes no port"))
    }

    /// Creates the network of the project's containers, unless there is one of its name.
    ///
    /// # Errors
    /// The daemon refused: it has addresses for some thirty networks. Or the network is an internal one.
    pub(crate) fn create_network<'a>(&'a self, project: &'a str) -> Asked<'a, ()> {
        Box::pin(async move {
            let name = container::network_name(project);
            let mut found = self.networks(&name).await?;
            if found.is_empty() {
                let labels = Some(container::network_labels(project));
                let request = NetworkCreateRequest { name: name.clone(), labels, ..Default::default() };
                match answer(self.api.create_network(request)).await {
                    // Another run was quicker.
                    Ok(_) | Err(ApiError::DockerResponseServerError { status_code: 409, .. }) => {}
                    Err(ApiError::DockerResponseServerError { message, .. })
                        if message.contains("address pool") =>
                    {
                        let problem =
                            format!("cannot create network {name}: Docker has no addresses left for one");
                        let remedy = "remove the networks that nothing uses with `docker network prune`";
                        return Err(Failure::new(problem, remedy).caused_by(message).into());
                    }
                    Err(error) => return Err(failed(format!("cannot create network {name}"))(error)),
                }
                found = self.networks(&name).await?;
            }
            if found.iter().any(|network| network.internal == Some(true)) {
                let problem =
                    format!("network {name} is internal: no port of a container on it is published");
                let remedy = format!("have it made anew: `cargo xtask down`, and `docker network rm {name}`");
                return Err(Failure::new(problem, remedy).into());
            }
            self.remove_twins(project, found).await
        })
    }

    /// Docker lets two runs make a network of one name each, and then knows none of them by it.
    async fn remove_twins(&self, project: &str, mut twins: Vec<Network>) -> Result<()> {
        // Whoever looks keeps the same one, unless another is in use.
        twins.sort_by(|one, other| one.id.cmp(&other.id));
        let mut count = twins.len();
        while let Some(twin) = twins.pop()
            && count > 1
        {
            if container::is_network_of(&twin, project) && self.remove_unused_network(&twin).await? {
                count -= 1;
            }
        }
        Ok(())
    }

    /// The networks of that name, whoever made them.
    async fn networks(&self, name: &str) -> Result<Vec<Network>> {
        let filters = HashMap::from([("name".to_owned(), vec![name.to_owned()])]);
        let options = query::ListNetworksOptionsBuilder::new().filters(&filters).build();
        let listed = answer(self.api.list_networks(Some(options))).await;
        let listed = listed.map_err(failed("cannot list networks"))?;
        Ok(listed.into_iter().filter(|network| network.name.as_deref() == Some(name)).collect())
    }

    /// Removes a network. Returns whether it is gone: one that something uses stays.
    async fn remove_unused_network(&self, network: &Network) -> Result<bool> {
        let Some(id) = &network.id else { return Ok(false) };
        match answer(self.api.remove_network(id)).await {
            Err(ApiError::DockerResponseServerError { status_code: 403, .. }) => Ok(false),
            removed => {
                found(removed).map_err(failed(format!("cannot remove network {id}")))?;
                Ok(true)
            }
        }
    }

    /// Removes the network of the project's containers, unless there are some: one that is not running is on it as
    /// well. A network of that name that is not the project's stays.
    ///
    /// # Errors
    /// The daemon failed to answer.
    pub(crate) fn remove_network<'a>(&'a self, project: &'a str) -> Asked<'a, ()> {
        Box::pin(async move {
            let labels = HashMap::from([("label".to_owned(), vec![container::project_label(project)])]);
            let others = self.list(query::ListContainersOptionsBuilder::new().all(true).filters(&labels));
            if !others.await?.is_empty() {
                return Ok(());
            }
            for network in self.networks(&container::network_name(project)).await? {
                if container::is_network_of(&network, project) {
                    self.remove_unused_network(&network).await?;
                }
            }
            Ok(())
        })
    }
}
