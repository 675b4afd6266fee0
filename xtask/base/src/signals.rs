//! The signals that end a run, and who hears them.

use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::ui::Ui;

/// How long a signal may go unheard.
const UNHEARD_BOUND: Duration = Duration::from_millis(500);

/// The signals that end a run in order: SIGINT and SIGTERM.
pub struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    /// From now on they are taken.
    ///
    /// # Errors
    /// The system does not let them be taken.
    #[cfg(unix)]
    pub fn new() -> Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let take = |kind| signal(kind).context("cannot take signals");
        Ok(Self { terminate: take(SignalKind::terminate())?, interrupt: take(SignalKind::interrupt())? })
    }

    /// From now on they are taken.
    ///
    /// # Errors
    /// None.
    #[cfg(not(unix))]
    pub fn new() -> Result<Self> {
        Ok(Self {})
    }

    /// The next signal's number.
    #[cfg(unix)]
    pub async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.interrupt.recv() => 2,
            _ = self.terminate.recv() => 15,
        }
    }

    /// The next signal's number.
    #[cfg(not(unix))]
    pub async fn next(&mut self) -> u8 {
        match tokio::signal::ctrl_c().await {
            Ok(()) => 2,
            Err(_) => std::future::pending().await,
        }
    }
}

/// Ends the run, from a thread of its own, where nobody hears a signal: while a name is typed, say, which
/// holds everything else up.
pub fn stand_in(ui: &Ui) {
    let ui = ui.clone();
    std::thread::spawn(move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        let unheard = async {
            let mut signals = Signals::new().ok()?;
            let signal = signals.next().await;
            tokio::time::sleep(UNHEARD_BOUND).await;
            (ui.stop.check().is_ok() && !ui.stop.is_held()).then_some(signal)
        };
        if let Some(signal) = runtime.block_on(unheard) {
            ui.line(format_args!("\n{}", ui.stop.interrupted(signal)));
            std::process::exit(128 + i32::from(signal));
        }
    });
}
