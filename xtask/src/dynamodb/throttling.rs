//! A server that throttles: what the user is told meanwhile, and when it is given up.

use std::cell::Cell;
use std::fmt::Display;
use std::time::{Duration, Instant};

use crate::dynamodb::items::counted;
use crate::error::Failure;
use crate::ui::{Ui, seconds};
use anyhow::Result;

/// How long a server may throttle without having taken or given anything at all. One that goes on at
/// however slow a pace is never given up.
pub(crate) const NOTHING_BOUND: Duration = Duration::from_secs(30);

/// How often the user is told, in a log and on a terminal, which shows the progress itself.
const TOLD_EVERY: Duration = Duration::from_secs(3);
const TOLD_EVERY_ON_TERMINAL: Duration = Duration::from_secs(30);

/// How a server throttles.
#[derive(Default)]
pub(crate) struct Throttling {
    /// Since when the server has neither taken nor given anything, and has throttled.
    fruitless_since: Cell<Option<Instant>>,
    /// When the user was told last.
    told: Cell<Option<Instant>>,
    /// How many items the server has taken or given since.
    items: Cell<u64>,
}

impl Throttling {
    /// The server has taken or given so many items, which may be none where it had none to give.
    pub(crate) fn gained(&self, items: u64) {
        self.fruitless_since.set(None);
        self.items.set(self.items.get() + items);
    }

    /// The server `name` has just throttled, for this `reason`. Tells the user, at most every few seconds.
    ///
    /// # Errors
    /// It has given nothing for too long.
    pub(crate) fn throttled(&self, ui: &Ui, name: &impl Display, reason: &str) -> Result<()> {
        let now = Instant::now();
        self.tell(ui, name, now);
        let since = self.fruitless_since.get().unwrap_or(now);
        self.fruitless_since.set(Some(since));
        if now.duration_since(since) < NOTHING_BOUND {
            return Ok(());
        }
        let problem =
            format!("{name} is throttling: it took and gave nothing for {}", seconds(NOTHING_BOUND));
        let remedy = "run the command again later, or give the table more capacity units";
        Err(Failure::new(problem, remedy).caused_by(reason).into())
    }

    fn tell(&self, ui: &Ui, name: &impl Display, now: Instant) {
        let every = if ui.shows_progress() { TOLD_EVERY_ON_TERMINAL } else { TOLD_EVERY };
        match self.told.get() {
            None => ui.line(format_args!("{name} is throttling: going on as quickly as it lets us")),
            Some(told) if now.duration_since(told) >= every => {
                ui.line(format_args!("{name} is throttling: {}", pace(self.items.get(), now - told)));
            }
            Some(_) => return,
        }
        self.told.set(Some(now));
        self.items.set(0);
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate is shown to people")]
fn pace(items: u64, elapsed: Duration) -> String {
    let rate = items as f64 / elapsed.as_secs_f64().max(1e-3);
    format!("{} in {}, {rate:.1}/s", counted(items, "item", "items"), seconds(elapsed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_tells_items_a_second() {
        assert_eq!(pace(26, Duration::from_secs(5)), "26 items in 5.0 s, 5.2/s");
    }
}
