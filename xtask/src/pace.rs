//! How many requests are under way at once: as many as the server gains from.

use std::cell::Cell;
use std::time::Duration;

use anyhow::Result;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

/// How many requests it begins with: right for a server on the same machine.
const FIRST: f64 = 4.0;

/// How many requests may wait in the server's queue: with fewer the limit rises, with more it falls. The
/// rule is that of TCP Vegas (Brakmo and Peterson, 1995): what is under way beyond
/// `limit * quickest / latency` does nothing but wait.
const SHORT_QUEUE: f64 = 3.0;
const LONG_QUEUE: f64 = 6.0;

/// A limit that follows what the server gives: up by one a round while answers come as quickly as they
/// can, down when they queue, halved when the server throttles.
pub(crate) struct Pace {
    most: f64,
    limit: Cell<f64>,
    /// The quickest answer, in seconds.
    quickest: Cell<f64>,
    /// Answers that are still to come from before the limit was halved: they say nothing new.
    outdated: Cell<usize>,
    throttled: Cell<u64>,
}

impl Pace {
    /// At most `most` requests at once.
    pub(crate) fn up_to(most: u8) -> Self {
        let most = f64::from(most.max(1));
        Self {
            most,
            limit: Cell::new(FIRST.min(most)),
            quickest: Cell::new(f64::INFINITY),
            outdated: Cell::new(0),
            throttled: Cell::new(0),
        }
    }

    /// How many requests may be under way.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is 1 to 255")]
    pub(crate) fn limit(&self) -> usize {
        self.limit.get() as usize
    }

    /// How often the server throttled.
    pub(crate) fn throttled_count(&self) -> u64 {
        self.throttled.get()
    }

    /// The server answered, after this time.
    pub(crate) fn answered(&self, after: Duration) {
        let latency = after.as_secs_f64().max(1e-6);
        let quickest = latency.min(self.quickest.get());
        self.quickest.set(quickest);
        if self.outdated.get() > 0 {
            self.outdated.set(self.outdated.get() - 1);
            return;
        }
        let limit = self.limit.get();
        let queue = limit * (1.0 - quickest / latency);
        let step = if queue < SHORT_QUEUE {
            1.0 / limit
        } else if queue > LONG_QUEUE {
            -1.0 / limit
        } else {
            0.0
        };
        self.limit.set((limit + step).clamp(1.0, self.most));
    }

    /// The server throttled.
    pub(crate) fn throttled(&self) {
        self.throttled.set(self.throttled.get() + 1);
        if self.outdated.get() > 0 {
            self.outdated.set(self.outdated.get() - 1);
        } else {
            self.outdated.set(self.limit());
            self.limit.set((self.limit.get() / 2.0).max(1.0));
        }
    }

    /// Does jobs, as many at once as the limit is, and never more than `most`. `next` gives the next job if
    /// there is one now; it is asked again each time that one has ended.
    ///
    /// # Errors
    /// The first that a job ends with; those under way are dropped. Or what `next` failed with, once those
    /// under way have ended.
    pub(crate) async fn run<F: Future<Output = Result<()>>>(
        &self,
        most: usize,
        mut next: impl FnMut() -> Result<Option<F>>,
    ) -> Result<()> {
        let mut under_way = FuturesUnordered::new();
        let mut end = Ok(());
        loop {
            while end.is_ok() && under_way.len() < self.limit().min(most) {
                match next() {
                    Ok(Some(job)) => under_way.push(job),
                    Ok(None) => break,
                    Err(error) => end = Err(error),
                }
            }
            match under_way.next().await {
                Some(ended) => ended?,
                None => return end,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: f64 = 1.0;

    /// A server that works on `cores` requests at once, each for a second.
    fn settled(cores: f64, rounds: usize) -> usize {
        let pace = Pace::up_to(64);
        for _ in 0..rounds {
            let limit = pace.limit.get();
            pace.answered(Duration::from_secs_f64(SECOND * (limit / cores).max(1.0)));
        }
        pace.limit()
    }

    #[test]
    fn it_settles_a_little_above_what_the_server_does_at_once() {
        for (cores, range) in [(1.0, 4..=10), (4.0, 6..=10), (16.0, 18..=22)] {
            let limit = settled(cores, 5_000);
            assert!(range.contains(&limit), "{cores}: {limit}");
        }
    }

    #[test]
    fn it_stays_within_its_bound() {
        assert_eq!(settled(1_000.0, 100_000), 64);
        assert_eq!(Pace::up_to(1).limit(), 1);
    }

    #[test]
    fn a_round_of_throttles_halves_it_once() {
        let pace = Pace::up_to(64);
        for _ in 0..4 {
            pace.throttled();
        }
        assert_eq!((pace.limit(), pace.throttled_count()), (2, 4));
        for _ in 0..100 {
            pace.throttled();
        }
        assert_eq!(pace.limit(), 1);
        for _ in 0..10 {
            pace.answered(Duration::from_millis(5));
        }
        assert!(pace.limit() > 1);
    }
}
