//! The user's wish to stop: Ctrl-C, or SIGTERM.
//!
//! Work may be left wherever it waits for something, unless it holds the end off: then it is ended first,
//! or comes to a point that it can go on from.

use std::future::Future;
use std::sync::Arc;

use anyhow::Result;
use tokio::sync::watch;

use crate::error::Interrupted;

/// Shared by all that is under way in one run. By default nobody has asked yet.
#[derive(Clone, Default)]
pub(crate) struct Stop(Arc<Wish>);

#[derive(Default)]
struct Wish {
    /// The number of the signal that asked.
    signal: watch::Sender<Option<u8>>,
    /// How much is under way that must not be left half-way.
    held: watch::Sender<usize>,
    /// What to do after an interruption; empty for a command that changes nothing.
    remedy: watch::Sender<&'static str>,
    /// The last step that was done.
    done: watch::Sender<String>,
}

impl Stop {
    /// A signal asks.
    pub(crate) fn ask(&self, signal: u8) {
        self.0.signal.send_replace(Some(signal));
    }

    /// What helps after an interruption of this command, which changes something.
    pub(crate) fn remedy(&self, remedy: &'static str) {
        self.0.remedy.send_replace(remedy);
    }

    /// A step was done.
    pub(crate) fn done(&self, step: &str) {
        self.0.done.send_replace(step.to_owned());
    }

    /// Whether to go on.
    ///
    /// # Errors
    /// Somebody has asked.
    pub(crate) fn check(&self) -> Result<(), Interrupted> {
        let signal = *self.0.signal.borrow();
        signal.map_or(Ok(()), |signal| Err(self.interrupted(signal)))
    }

    /// Holds the end off until what it returns is dropped. Once somebody has asked it never returns:
    /// nothing new is begun, and what is under way beside it comes to its end.
    pub(crate) async fn hold(&self) -> Held {
        if self.check().is_err() {
            return std::future::pending().await;
        }
        self.0.held.send_modify(|held| *held += 1);
        Held(self.clone())
    }

    /// Whether something holds the end off.
    pub(crate) fn is_held(&self) -> bool {
        *self.0.held.borrow() > 0
    }

    /// Waits until somebody asks.
    pub(crate) async fn asked(&self) -> Interrupted {
        let mut signals = self.0.signal.subscribe();
        let signal = signals.wait_for(Option::is_some).await.map(|signal| *signal);
        match signal {
            Ok(Some(signal)) => self.interrupted(signal),
            // Nobody can ask any more: this outlives `self`, which holds the sender.
            _ => std::future::pending().await,
        }
    }

    /// Waits until nothing holds the end off.
    pub(crate) async fn is_safe(&self) {
        let mut held = self.0.held.subscribe();
        if held.wait_for(|held| *held == 0).await.is_err() {
            std::future::pending().await
        }
    }

    /// Does work that can be left anywhere: what its caller does with the end is still done.
    ///
    /// # Errors
    /// The work's; or somebody has asked.
    pub(crate) async fn or<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            biased;
            interrupted = self.asked() => Err(interrupted.into()),
            ended = work => ended,
        }
    }

    /// The end, by the signal of this number.
    pub(crate) fn interrupted(&self, signal: u8) -> Interrupted {
        let remedy = *self.0.remedy.borrow();
        let done = match self.0.done.borrow().as_str() {
            _ if remedy.is_empty() => String::new(),
            "" => "no step was done yet".to_owned(),
            step => format!("the last step that was done is `{step}`"),
        };
        Interrupted { signal, done, remedy }
    }
}

/// Work that must not be left half-way.
pub(crate) struct Held(Stop);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.0.held.send_modify(|held| *held -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_safe_to_stop_once_nothing_holds_it_off() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let stop = Stop::default();
            let held = stop.hold().await;
            stop.remedy("again");
            stop.done("one");
            stop.ask(15);
            assert!(stop.is_held());
            let interrupted = stop.check().unwrap_err();
            assert_eq!((interrupted.signal, interrupted.remedy), (15, "again"));
            assert_eq!(interrupted.to_string(), "interrupted: the last step that was done is `one`");
            drop(held);
            stop.is_safe().await;
            let ended = stop.or(std::future::pending::<Result<()>>()).await;
            assert!(ended.unwrap_err().is::<Interrupted>());
        });
    }
}
