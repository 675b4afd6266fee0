//! The volumes with the databases' data.

use std::path::PathBuf;

use anyhow::Result;
use bollard::models::VolumeCreateRequest;
use bollard::query_parameters as query;

use super::description::{self, label, volume_name};
use super::{Docker, answer, failed, found};
use crate::docker::compose::Compose;

pub(crate) struct Volume {
    /// The folder of the checkout that created it. Compose does not record it.
    pub(crate) folder: Option<PathBuf>,
}

impl Docker {
    pub(crate) async fn volume(&self, name: &str) -> Result<Option<Volume>> {
        let inspected = found(answer(self.api.inspect_volume(name)).await);
        let volume = inspected.map_err(failed(format!("cannot inspect volume {name}")))?;
        Ok(volume.map(|volume| Volume { folder: volume.labels.get(label::CHECKOUT).map(PathBuf::from) }))
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
