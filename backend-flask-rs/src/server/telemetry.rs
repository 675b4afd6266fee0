//! Logs: a line for each request, with its id, and for whatever goes wrong.

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt};

use super::settings::{LogForm, Settings};

/// Has the process log to stderr, as the settings say. Only the first call of a process counts.
pub fn log_to_stderr(settings: &Settings) {
    let lines = fmt::layer().with_writer(std::io::stderr);
    let lines = match settings.log_form {
        LogForm::Text => lines.with_ansi(false).boxed(),
        LogForm::Json => lines.json().with_current_span(true).with_span_list(false).boxed(),
    };
    let subscriber = tracing_subscriber::registry().with(lines.with_filter(settings.log.clone()));
    // An error means that somebody logs already.
    _ = subscriber.try_init();
}
