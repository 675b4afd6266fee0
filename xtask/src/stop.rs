//! Ctrl-C and SIGTERM: the run ends at once if it only waits, otherwise at the next safe point.

use std::future::Future;
use std::task::Poll;

use anyhow::Result;
use futures_util::Stream;
use futures_util::stream::poll_fn;
use tokio::sync::watch;

use crate::error::Interrupted;

/// The numbers of the signals that end a run. From now on the program handles them.
#[cfg(unix)]
pub(crate) fn signals() -> std::io::Result<impl Stream<Item = u8>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(poll_fn(move |context| match interrupt.poll_recv(context) {
        Poll::Ready(_) => Poll::Ready(Some(2)),
        Poll::Pending => terminate.poll_recv(context).map(|_| Some(15)),
    }))
}

/// Ctrl-C, which other systems have instead of signals.
#[cfg(not(unix))]
pub(crate) fn signals() -> std::io::Result<impl Stream<Item = u8>> {
    let mut interrupt = tokio::signal::windows::ctrl_c()?;
    Ok(poll_fn(move |context| interrupt.poll_recv(context).map(|_| Some(2))))
}

/// Whether the user has asked to stop. All parts of a run share it.
#[derive(Clone, Default)]
pub(crate) struct Stop {
    /// The error of a run that is interrupted now. Its signal is 0 until the user asks to stop.
    state: watch::Sender<Interrupted>,
    /// Each operation that must be completed first holds a receiver.
    held: watch::Sender<()>,
}

impl Stop {
    pub(crate) fn ask(&self, signal: u8) {
        self.state.send_modify(|state| state.signal = signal);
    }

    /// Sets the remedy after an interruption, for a command that changes something.
    pub(crate) fn remedy(&self, remedy: &'static str) {
        let (done, remedy) = ("no step was done yet".to_owned(), remedy.to_owned());
        self.state.send_modify(|state| *state = Interrupted { done, remedy, ..*state });
    }

    pub(crate) fn done(&self, step: &str) {
        self.state.send_modify(|state| {
            if !state.remedy.is_empty() {
                state.done = format!("the last completed step is `{step}`");
            }
        });
    }

    /// Fails if the user has asked to stop.
    pub(crate) fn check(&self) -> Result<(), Interrupted> {
        let interrupted = self.interrupted();
        if interrupted.signal == 0 { Ok(()) } else { Err(interrupted) }
    }

    /// Delays the end of the run until the returned value is dropped. After a request to stop it never returns, so
    /// nothing new begins while running operations are completed.
    pub(crate) async fn hold(&self) -> watch::Receiver<()> {
        if self.check().is_err() {
            return std::future::pending().await;
        }
        self.held.subscribe()
    }

    pub(crate) fn is_held(&self) -> bool {
        self.held.receiver_count() > 0
    }

    pub(crate) async fn asked(&self) -> Interrupted {
        // The sender is in `self`, so there is always a next value.
        _ = self.state.subscribe().wait_for(|state| state.signal != 0).await;
        self.interrupted()
    }

    /// Waits until no operation delays the end.
    pub(crate) async fn is_safe(&self) {
        self.held.closed().await;
    }

    /// Does `work`, which may be cancelled anywhere. Returns an error then, so that the caller can clean up.
    pub(crate) async fn or<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            biased;
            interrupted = self.asked() => Err(interrupted.into()),
            ended = work => ended,
        }
    }

    /// The error of a run that the signal ended.
    pub(crate) fn interrupted(&self) -> Interrupted {
        self.state.borrow().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stopping_waits_for_operations_under_way() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let stop = Stop::default();
            let held = stop.hold().await;
            stop.remedy("again");
            stop.done("one");
            stop.ask(15);
            assert!(stop.is_held());
            let interrupted = stop.check().unwrap_err();
            assert_eq!((interrupted.signal, interrupted.remedy.as_str()), (15, "again"));
            assert_eq!(interrupted.to_string(), "interrupted: the last completed step is `one`");
            drop(held);
            stop.is_safe().await;
            let ended = stop.or(std::future::pending::<Result<()>>()).await;
            assert!(ended.unwrap_err().is::<Interrupted>());
        });
    }
}
