//! The images that containers are made of.

use std::collections::HashMap;
use std::time::Duration;

use crate::ui::Step;
use anyhow::{Result, anyhow, bail};
use bollard::models::ImageInspect;
use bollard::query_parameters as query;
use futures_util::StreamExt as _;

use super::{Asked, Docker, answer, container, failed, found};

/// How long a registry may take to begin an answer. The daemon says so itself when a name cannot be
/// resolved; a network that swallows packets says nothing.
const PULL_ANSWER_BOUND: Duration = Duration::from_secs(12);

/// How long a pull that has begun may go without a sign of life.
const PULL_STALL_BOUND: Duration = Duration::from_secs(60);

impl Docker {
    /// Whether there is a local image of that name.
    ///
    /// # Errors
    /// The daemon failed to answer.
    pub(crate) fn has_image<'a>(&'a self, image: &'a str) -> Asked<'a, bool> {
        Box::pin(async move { Ok(self.image(image).await?.is_some()) })
    }

    pub(super) async fn image(&self, image: &str) -> Result<Option<ImageInspect>> {
        let inspected = answer(self.api.inspect_image(image)).await;
        found(inspected).map_err(failed(format!("cannot inspect image {image}")))
    }

    /// Pulls an image, telling `step` how far it is.
    ///
    /// # Errors
    /// The registry refused, could not be reached, or stopped answering.
    pub(crate) fn pull<'a>(&'a self, image: &'a str, step: &'a Step) -> Asked<'a, ()> {
        Box::pin(async move {
            // Without a tag the API would pull every tag there is.
            let full = container::with_tag(image);
            let options = query::CreateImageOptionsBuilder::new().from_image(&full).build();
            let mut events = self.api.create_image(Some(options), None, None);
            let mut layers = Layers::default();
            let mut bound = PULL_ANSWER_BOUND;
            loop {
                let event = tokio::time::timeout(bound, events.next())
                    .await
                    .map_err(|_| anyhow!("the registry did not answer within {} s", bound.as_secs()))?;
                let Some(event) = event else { return Ok(()) };
                // A failed pull arrives inside a stream that began well.
                let event = event?;
                if let Some(message) = event.error_detail.and_then(|detail| detail.message) {
                    bail!("{message}");
                }
                let (now, total) = event.progress_detail.map_or((None, None), |p| (p.current, p.total));
                layers.update(event.id.as_deref().unwrap_or_default(), now, total);
                step.progress(&layers);
                bound = PULL_STALL_BOUND;
            }
        })
    }
}

/// How far a pull is: bytes over all layers that have told their size.
#[derive(Default)]
struct Layers(HashMap<String, (i64, i64)>);

impl Layers {
    fn update(&mut self, id: &str, now: Option<i64>, total: Option<i64>) {
        if let (Some(now), Some(total)) = (now, total) {
            self.0.insert(id.to_owned(), (now, total));
        }
    }
}

impl std::fmt::Display for Layers {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (now, total) = self.0.values().fold((0, 0), |sum, layer| (sum.0 + layer.0, sum.1 + layer.1));
        if total == 0 {
            return formatter.write_str("waiting for the registry");
        }
        write!(formatter, "{} of {}", indicatif::HumanBytes(now as u64), indicatif::HumanBytes(total as u64))
    }
}
