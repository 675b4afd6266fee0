//! How many requests are under way at once: as many as the server gains from.

use std::cell::Cell;
use std::time::Instant;

use anyhow::Result;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

/// How many requests it begins with.
const FIRST: f64 = 8.0;

/// By how much the limit rises while the server keeps up, and what is left of it when it does not.
const RISE: f64 = 1.25;
const FALL: f64 = 0.8;

/// The server does not keep up once it answers less than this share of the most that it answered.
const KEPT_UP: f64 = 0.9;

/// The most that it answered counts for a little less each time: it may have become slower for good.
const FORGETTING: f64 = 0.98;

/// A limit that follows what the server gives. After each two rounds of answers it rises if there were
/// about as many a second as there ever were, falls if there were fewer, and is halved when the server
/// throttles. A longer latency alone says nothing: a server may well take more requests at once to
/// answer more of them a second.
pub(crate) struct Pace {
    most: f64,
    limit: Cell<f64>,
    /// Since when answers are counted, and how many there were.
    counted: Cell<Option<(Instant, u32)>>,
    /// The most answers a second lately.
    best: Cell<f64>,
    throttled: Cell<u64>,
    /// Answers that are still to come from before the limit was halved: they say nothing new.
    outdated: Cell<usize>,
}

impl Pace {
    /// At most `most` requests at once.
    pub(crate) fn up_to(most: u8) -> Self {
        let most = f64::from(most.max(1));
        Self {
            most,
            limit: Cell::new(FIRST.min(most)),
            counted: Cell::new(None),
            best: Cell::new(0.0),
            throttled: Cell::new(0),
            outdated: Cell::new(0),
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

    /// The server has just answered.
    pub(crate) fn answered(&self) {
        self.answered_at(Instant::now());
    }

    fn answered_at(&self, now: Instant) {
        self.outdated.set(self.outdated.get().saturating_sub(1));
        let (since, before) = self.counted.get().unwrap_or((now, 0));
        let answers = before + 1;
        let limit = self.limit.get();
        if f64::from(answers) < 2.0 * limit {
            self.counted.set(Some((since, answers)));
            return;
        }
        self.counted.set(Some((now, 0)));
        let rate = f64::from(answers) / now.duration_since(since).as_secs_f64().max(1e-6);
        let best = self.best.get() * FORGETTING;
        self.best.set(best.max(rate));
        let next = if rate < KEPT_UP * best { limit * FALL } else { limit * RISE };
        self.limit.set(next.clamp(1.0, self.most));
    }

    /// The server has just throttled.
    pub(crate) fn throttled(&self) {
        self.throttled.set(self.throttled.get() + 1);
        if self.outdated.get() > 0 {
            self.outdated.set(self.outdated.get() - 1);
            return;
        }
        self.outdated.set(self.limit());
        self.limit.set((self.limit.get() / 2.0).max(1.0));
        // What was answered before it throttled is more than it will answer.
        self.counted.set(None);
        self.best.set(0.0);
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
    use std::time::Duration;

    use super::*;

    /// The limits after each answer of a server that gives `rate(requests under way)` answers a second.
    fn limits(pace: &Pace, answers: usize, rate: impl Fn(f64) -> f64) -> Vec<usize> {
        let mut now = Instant::now();
        let next = |_| {
            now += Duration::from_secs_f64(1.0 / rate(pace.limit.get()));
            pace.answered_at(now);
            pace.limit()
        };
        (0..answers).map(next).collect()
    }

    #[test]
    fn it_rises_to_its_bound_while_the_server_keeps_up() {
        for rate in [|_: f64| 300.0, |limit: f64| 10.0 * limit] {
            let limits = limits(&Pace::up_to(32), 1_000, rate);
            assert_eq!(limits[999], 32);
        }
    }

    #[test]
    fn it_stays_about_where_the_server_answers_most() {
        let limits =
            limits(
                &Pace::up_to(32),
                20_000,
                |limit| if limit < 12.0 { 25.0 * limit } else { 3_600.0 / limit },
            );
        let late = &limits[10_000..];
        assert!(late.iter().all(|limit| (6..=20).contains(limit)), "{late:?}");
    }

    #[test]
    fn a_round_of_throttles_halves_it_once_and_it_recovers() {
        let pace = Pace::up_to(64);
        (0..8).for_each(|_| pace.throttled());
        assert_eq!((pace.limit(), pace.throttled_count()), (4, 8));
        (0..100).for_each(|_| pace.throttled());
        assert_eq!(pace.limit(), 1);
        assert_eq!(limits(&pace, 1_000, |_| 100.0)[999], 64);
        assert_eq!(Pace::up_to(1).limit(), 1);
    }
}
