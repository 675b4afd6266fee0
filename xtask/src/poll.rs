//! Polls until something is ready, with a time limit. A timeout reports the last reason.

use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use crate::ui::seconds;

/// The result of one check, with its reason.
pub(crate) enum Look<T> {
    Ready(T),
    /// Not ready: check again.
    NotYet(String),
    /// No program listens there. While our server starts, this means not ready.
    Nobody(String),
    /// It will never be ready: stop waiting.
    Failed(anyhow::Error),
}

/// Calls `look` every `interval` until it is ready. Fails after `bound`.
pub(crate) async fn until_ready<T>(
    bound: Duration,
    interval: Duration,
    mut look: impl AsyncFnMut() -> Look<T>,
) -> Result<T> {
    let started = Instant::now();
    loop {
        let reason = match look().await {
            Look::Ready(value) => return Ok(value),
            Look::Failed(error) => return Err(error),
            Look::NotYet(reason) | Look::Nobody(reason) => reason,
        };
        if started.elapsed() >= bound {
            return Err(anyhow!("gave up after {}; at the last look: {reason}", seconds(bound)));
        }
        tokio::time::sleep(interval).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait<T>(bound: u64, look: impl AsyncFnMut() -> Look<T>) -> Result<T> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(until_ready(Duration::from_millis(bound), Duration::from_millis(1), look))
    }

    #[test]
    fn polling_repeats_until_ready() {
        let mut looks = 0;
        let found = wait(5_000, async || {
            looks += 1;
            if looks == 3 { Look::Ready(looks) } else { Look::NotYet("booting".to_owned()) }
        });
        assert_eq!(found.unwrap(), 3);
    }

    #[test]
    fn a_failure_ends_the_wait_at_once() {
        let failed = wait::<()>(60_000, async || Look::Failed(anyhow!("it died")));
        assert_eq!(failed.unwrap_err().to_string(), "it died");
    }

    #[test]
    fn a_timeout_tells_the_last_reason() {
        let late = wait::<()>(5, async || Look::NotYet("booting".to_owned()));
        assert_eq!(late.unwrap_err().to_string(), "gave up after 5 ms; at the last look: booting");
    }
}
