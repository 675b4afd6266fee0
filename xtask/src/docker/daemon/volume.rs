//! The volumes with the databases' data.

use std::collections::HashMap;

use anyhow::Result;
use bollard::models::VolumeCreateRequest;
use bollard::query_parameters as query;

use super::description::{self, volume_name};
use super::{Docker, answer, failed, found};
use crate::docker::compose::Compose;

impl Docker {
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
