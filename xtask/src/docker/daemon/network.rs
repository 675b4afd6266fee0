//! The network of a project's containers, and the volumes with the databases' data.

use std::collections::HashMap;

use crate::error::Failure;
use anyhow::Result;
use bollard::errors::Error as ApiError;
use bollard::models::{ContainerInspectResponse, NetworkCreateRequest, NetworkInspect, VolumeCreateRequest};
use bollard::query_parameters as query;

use super::container::{Container, ContainerState};
use super::description::{self, label, network_name, volume_name};
use super::{Docker, answer, failed, found, status};
use crate::docker::compose::{Compose, Service};

impl Docker {
    /// What is wrong with a container's networks, if anything. A network that is missing or internal publishes no
    /// port, and a container cannot start without the network it was created for.
    pub(super) async fn network_trouble(
        &self,
        service: &Service,
        container: &Container,
        details: &ContainerInspectResponse,
    ) -> Result<Option<&'static str>> {
        let mut publishes = false;
        if container.state == ContainerState::Running {
            publishes = container.port == Some(service.port.host);
        } else {
            let networks = details.network_settings.iter().flat_map(|settings| settings.networks.iter());
            for (name, endpoint) in networks.flatten() {
                // A container that has never been started has no ids of its networks yet.
                let id = endpoint.network_id.as_deref().filter(|id| !id.is_empty());
                let Some(network) = self.network(id.unwrap_or(name)).await? else {
                    return Ok(Some("network: its own is gone"));
                };
                publishes |= network.internal != Some(true);
            }
        }
        Ok((!publishes).then_some("network: it publishes no port"))
    }

    async fn network(&self, name: &str) -> Result<Option<NetworkInspect>> {
        found(answer(self.api.inspect_network(name, None)).await)
            .map_err(failed(format!("cannot inspect network {name}")))
    }

    /// Creates the project's network, unless it exists.
    pub(crate) async fn create_network(&self, project: &str) -> Result<()> {
        let name = network_name(project);
        if let Some(network) = self.network(&name).await? {
            if network.internal == Some(true) {
                let problem =
                    format!("network {name} is internal: no port of a container on it is published");
                let remedy = format!("recreate it: `cargo xtask down`, and `docker network rm {name}`");
                return Err(Failure::new(problem, remedy).into());
            }
            return Ok(());
        }
        let labels = Some(description::network_labels(project));
        let request = NetworkCreateRequest { name: name.clone(), labels, ..Default::default() };
        match answer(self.api.create_network(request)).await {
            // Before version 25, Docker creates a second network of the name if a run that was killed has just asked for
            // one, and then finds neither by the name.
            Ok(created) if self.network(&name).await.is_err() => answer(self.api.remove_network(&created.id))
                .await
                .map_err(failed("cannot remove a second network")),
            Ok(_) => Ok(()),
            // Another run created it first.
            Err(error) if status(&error) == Some(409) => Ok(()),
            Err(ApiError::DockerResponseServerError { message, .. }) if message.contains("address pool") => {
                let problem = format!("cannot create network {name}: Docker has no addresses left for one");
                let remedy = "remove the networks that nothing uses with `docker network prune`";
                Err(Failure::new(problem, remedy).caused_by(message).into())
            }
            Err(error) => Err(failed(format!("cannot create network {name}"))(error)),
        }
    }

    /// Removes the project's network, unless containers use it. A network of another project stays, even if it has
    /// this name.
    pub(crate) async fn remove_network(&self, project: &str) -> Result<()> {
        let name = network_name(project);
        let Some(network) = self.network(&name).await? else { return Ok(()) };
        let labels = network.labels.unwrap_or_default();
        // Docker would remove a network although stopped containers still use it.
        if labels.get(label::PROJECT).is_none_or(|of| of != project)
            || !self.list_project(project).await?.is_empty()
        {
            return Ok(());
        }
        match answer(self.api.remove_network(&name)).await {
            // A container of another project uses it.
            Err(error) if status(&error) == Some(403) => Ok(()),
            removed => found(removed).map(drop).map_err(failed(format!("cannot remove network {name}"))),
        }
    }

    /// A volume's labels; `None` if there is no such volume.
    pub(crate) async fn volume(&self, name: &str) -> Result<Option<HashMap<String, String>>> {
        let inspected = found(answer(self.api.inspect_volume(name)).await);
        let volume = inspected.map_err(failed(format!("cannot inspect volume {name}")))?;
        Ok(volume.map(|volume| volume.labels))
    }

    /// Creates a volume, unless it exists.
    pub(super) async fn create_volume(&self, compose: &Compose, key: &str) -> Result<()> {
        let name = volume_name(&compose.project, key);
        let labels = Some(description::volume_labels(compose, key));
        let request = VolumeCreateRequest { name: Some(name.clone()), labels, ..Default::default() };
        let created = answer(self.api.create_volume(request)).await;
        created.map_err(failed(format!("cannot create volume {name}")))?;
        Ok(())
    }

    /// Removes a volume with its data. Returns whether it existed.
    pub(crate) async fn remove_volume(&self, name: &str) -> Result<bool> {
        let removed = answer(self.api.remove_volume(name, None::<query::RemoveVolumeOptions>)).await;
        Ok(found(removed).map_err(failed(format!("cannot remove volume {name}")))?.is_some())
    }
}
