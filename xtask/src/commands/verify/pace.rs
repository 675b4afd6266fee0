//! Limits the read rate.

use std::cell::Cell;
use std::time::Duration;

use crate::error::Failure;
use anyhow::Result;
use tokio::time::Instant;

/// A limit of read units per second, if there is one.
pub(super) struct Pace {
    pub(super) most: Option<u32>,
    next: Cell<Instant>,
}

impl Pace {
    pub(super) fn new(most: Option<u32>) -> Self {
        Self { most, next: Cell::new(Instant::now()) }
    }

    /// Waits as long as a request of this many units takes at the given rate.
    pub(super) async fn keep(&self, units: Option<f64>) -> Result<()> {
        let Some(most) = self.most else { return Ok(()) };
        let units = units.ok_or_else(|| {
            let problem = "the server does not say how many read units a request takes";
            Failure::new(problem, "leave --max-units out")
        })?;
        let next = self.next.get().max(Instant::now()) + Duration::from_secs_f64(units / f64::from(most));
        self.next.set(next);
        tokio::time::sleep_until(next).await;
        Ok(())
    }
}
