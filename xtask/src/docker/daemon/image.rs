//! Inspects and pulls images.

use std::collections::HashMap;
use std::time::Duration;

use crate::ui::Step;
use anyhow::{Result, anyhow, bail};
use bollard::auth::DockerCredentials;
use bollard::query_parameters as query;
use futures_util::StreamExt as _;

use super::{Docker, answer, description, failed, found};

/// How long a registry may take to begin its answer. If the name cannot be resolved, the daemon says so at once, but
/// a network that drops packets gives no sign.
const PULL_ANSWER_BOUND: Duration = Duration::from_secs(12);

/// How long a pull may go without progress.
const PULL_STALL_BOUND: Duration = Duration::from_secs(60);

impl Docker {
    /// The id of a local image; `None` if it is missing.
    pub(crate) async fn image(&self, image: &str) -> Result<Option<String>> {
        let inspected = found(answer(self.api.inspect_image(image)).await);
        let inspected = inspected.map_err(failed(format!("cannot inspect image {image}")))?;
        Ok(inspected.map(|image| image.id.unwrap_or_default()))
    }

    pub(crate) async fn pull(
        &self,
        image: &str,
        credentials: Option<DockerCredentials>,
        step: &Step,
    ) -> Result<()> {
        // Without a tag the API would pull every tag.
        let full = description::with_tag(image);
        let options = query::CreateImageOptionsBuilder::new().from_image(&full).build();
        let mut events = self.api.create_image(Some(options), None, credentials);
        let mut layers = HashMap::new();
        let mut bound = PULL_ANSWER_BOUND;
        loop {
            let event = tokio::time::timeout(bound, events.next())
                .await
                .map_err(|_| anyhow!("the registry did not answer within {} s", bound.as_secs()))?;
            let Some(event) = event else { return Ok(()) };
            // A pull may fail after its stream has begun.
            let event = event?;
            if let Some(message) = event.error_detail.and_then(|detail| detail.message) {
                bail!("{message}");
            }
            let progress = event.progress_detail.and_then(|progress| progress.current.zip(progress.total));
            if let Some(progress) = progress {
                layers.insert(event.id.unwrap_or_default(), progress);
            }
            step.progress(received(&layers));
            bound = PULL_STALL_BOUND;
        }
    }
}

/// The progress of a pull, from the bytes received and the total bytes of each layer whose size is known.
fn received(layers: &HashMap<String, (i64, i64)>) -> String {
    let (now, total) = layers.values().fold((0, 0), |sum, layer| (sum.0 + layer.0, sum.1 + layer.1));
    if total == 0 {
        return "waiting for the registry".to_owned();
    }
    format!("{} of {}", indicatif::HumanBytes(now as u64), indicatif::HumanBytes(total as u64))
}
