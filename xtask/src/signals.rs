//! The signals that end a run, and who hears them.

use std::time::Duration;

use anyhow::Result;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::ui::Ui;

/// How long a signal may go unheard.
const UNHEARD_BOUND: Duration = Duration::from_millis(500);

/// The signals that end a run in order: SIGINT and SIGTERM.
pub(crate) struct Signals(UnboundedReceiver<u8>);

impl Signals {
    /// From now on they are taken, by a thread of its own. It ends the run where nobody hears one: while a name is
    /// typed, say, which holds everything else up.
    ///
    /// # Errors
    /// The system does not let them be taken.
    pub(crate) fn take(ui: &Ui) -> Result<Self> {
        let (tell, heard) = unbounded_channel();
        let ui = ui.clone();
        for_each(move |signal| {
            // Who hears nothing any more has ended.
            let _ = tell.send(signal);
            let ui = ui.clone();
            std::thread::spawn(move || end_if_unheard(&ui, signal));
        })?;
        Ok(Self(heard))
    }

    /// The next signal's number.
    pub(crate) async fn next(&mut self) -> u8 {
        match self.0.recv().await {
            Some(signal) => signal,
            None => std::future::pending().await,
        }
    }
}

fn end_if_unheard(ui: &Ui, signal: u8) {
    std::thread::sleep(UNHEARD_BOUND);
    if ui.stop.check().is_ok() && !ui.stop.is_held() {
        ui.line(format_args!("\n{}", ui.stop.interrupted(signal)));
        std::process::exit(128 + i32::from(signal));
    }
}

/// Hands on the number of each signal.
#[cfg(unix)]
fn for_each(mut then: impl FnMut(u8) + Send + 'static) -> Result<()> {
    use anyhow::Context as _;
    use signal_hook::consts::{SIGINT, SIGTERM};
    let signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM]);
    let mut signals = signals.context("cannot take signals")?;
    std::thread::spawn(move || {
        signals.forever().filter_map(|signal| u8::try_from(signal).ok()).for_each(&mut then)
    });
    Ok(())
}

/// Hands on the number of each signal.
#[cfg(not(unix))]
fn for_each(mut then: impl FnMut(u8) + Send + 'static) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::spawn(move || {
        runtime.block_on(async {
            while tokio::signal::ctrl_c().await.is_ok() {
                then(2);
            }
        })
    });
    Ok(())
}
