//! How many requests are under way at once: as many as the server gains from.

use std::cell::Cell;
use std::time::Duration;

use anyhow::Result;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

/// How many requests it begins with.
const FIRST: f64 = 8.0;

/// By how much the limit rises, and what is left of it when it falls.
const RISE: f64 = 1.25;
const FALL: f64 = 0.8;

/// How many requests may wait at the server: with fewer it may run out of work, and more gain nothing. So it
/// never falls below the fewer of the two but by throttles.
const WAITING: std::ops::RangeInclusive<f64> = 8.0..=16.0;

/// A limit that follows what the server gives, by the rule of TCP Vegas. Of `n` requests under way, by Little's
/// law, `n * shortest / latency` are being answered, where `shortest` is the latency when none had to wait; the
/// others wait. After each round of answers the limit rises if there were too few that wait (`WAITING`), and falls
/// if there were too many; it is halved when the server throttles.
///
/// Latencies are means of a round: a single one says more of chance. Answers a second, the other thing that
/// could be followed, vary by a third from one moment to the next on a server beside its client.
///
/// Brakmo and Peterson, TCP Vegas: End to End Congestion Avoidance on a Global Internet (1995), section 3.2.
pub(crate) struct Pace {
    most: f64,
    limit: Cell<f64>,
    /// The latencies of this round, in seconds: their sum and number.
    round: Cell<(f64, u32)>,
    /// The shortest mean of a round, in seconds.
    shortest: Cell<f64>,
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
            round: Cell::new((0.0, 0)),
            shortest: Cell::new(f64::INFINITY),
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

    /// The server has just answered, after this long.
    pub(crate) fn answered(&self, latency: Duration) {
        self.outdated.set(self.outdated.get().saturating_sub(1));
        let (sum, answers) = self.round.get();
        let (sum, answers) = (sum + latency.as_secs_f64(), answers + 1);
        let limit = self.limit.get();
        if f64::from(answers) < limit {
            self.round.set((sum, answers));
            return;
        }
        self.round.set((0.0, 0));
        let mean = (sum / f64::from(answers)).max(1e-6);
        let shortest = mean.min(self.shortest.get());
        self.shortest.set(shortest);
        let waiting = limit * (1.0 - shortest / mean);
        let next = match waiting {
            _ if waiting < *WAITING.start() => limit * RISE,
            _ if waiting > *WAITING.end() => limit * FALL,
            _ => limit,
        };
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
        self.round.set((0.0, 0));
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

    /// The limits after each answer of a server that gives `rate(requests under way)` answers a second.
    fn limits(pace: &Pace, answers: usize, mut rate: impl FnMut(f64) -> f64) -> Vec<usize> {
        let next = |_| {
            let under_way = pace.limit.get().floor();
            pace.answered(Duration::from_secs_f64(under_way / rate(under_way)));
            pace.limit()
        };
        (0..answers).map(next).collect()
    }

    #[test]
    fn it_rises_to_its_bound_while_the_server_keeps_up() {
        assert_eq!(limits(&Pace::up_to(32), 1_000, |limit| 10.0 * limit)[999], 32);
        assert_eq!(limits(&Pace::up_to(4), 1_000, |_| 300.0)[999], 4);
    }

    #[test]
    fn it_stays_where_the_server_is_busy_and_few_wait() {
        // It answers twelve at once, and with more of them fewer in all.
        let rate = |limit: f64| if limit < 12.0 { 25.0 * limit } else { 3_600.0 / limit };
        let late = limits(&Pace::up_to(64), 20_000, rate).split_off(10_000);
        let [least, most] = [late.iter().min(), late.iter().max()].map(|limit| *limit.unwrap());
        assert!(least >= 12 && most <= 32, "{least} to {most}");
    }

    #[test]
    fn it_stays_high_where_chance_makes_the_latencies_vary() {
        // What DynamoDB Local takes of 25 items each, as it was measured: 2 at once are a fifth short of all.
        let given = |limit: f64| 280.0 * limit / (limit + 0.5);
        for seed in 0..100 {
            let mut chance = fastrand::Rng::with_seed(seed);
            // Of a hundred answers one waits for the server's own affairs.
            let limits = limits(&Pace::up_to(32), 4_000, |limit| {
                let wait = -chance.f64().max(1e-9).ln() / given(limit);
                1.0 / (wait + if chance.u8(..100) == 0 { 0.08 } else { 0.0 })
            });
            let low = limits.iter().filter(|limit| **limit < 6).count();
            assert_eq!(low, 0, "answers to less than 6 at once, by seed {seed}");
        }
    }

    #[test]
    fn a_server_that_becomes_slower_for_good_is_kept_busy() {
        let pace = Pace::up_to(32);
        limits(&pace, 1_000, |limit| 1_000.0 * limit);
        assert_eq!(pace.limit(), 32);
        let least = limits(&pace, 10_000, |limit| 10.0 * limit).into_iter().min();
        assert!(least >= Some(8), "{least:?}");
    }

    #[test]
    fn a_round_of_throttles_halves_it_once_and_it_recovers() {
        let pace = Pace::up_to(64);
        (0..8).for_each(|_| pace.throttled());
        assert_eq!((pace.limit(), pace.throttled_count()), (4, 8));
        (0..100).for_each(|_| pace.throttled());
        assert_eq!(pace.limit(), 1);
        assert_eq!(limits(&pace, 1_000, |limit| 100.0 * limit)[999], 64);
        assert_eq!(Pace::up_to(1).limit(), 1);
    }
}
