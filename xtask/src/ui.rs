//! Messages on stderr: steps, progress, warnings. Data goes to stdout: see `output`.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::io::{IsTerminal as _, Write as _, stderr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::environment::Environment;
use crate::error::{Interrupted, Report};
use crate::stop::Stop;
use crate::text::{printable_lines, with_options};

#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub(crate) struct Messages {
    /// Print no steps: only data, warnings and errors
    #[arg(short, long, global = true)]
    quiet: bool,
    /// Print what is started: programs and containers, with arguments and environment
    // No short `-v`: for `down` it means `--volumes`, as for `docker compose down`.
    #[arg(long, global = true, conflicts_with = "quiet")]
    verbose: bool,
    /// How steps are printed: auto (the default), plain, or json, one object a line
    #[arg(long, global = true, value_name = "FORM", value_enum, default_value_t, hide_default_value = true)]
    #[arg(hide_possible_values = true)]
    progress: Progress,
    /// Whether an error is printed as JSON: if the data or the steps are.
    #[arg(skip)]
    json_errors: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, ValueEnum)]
enum Progress {
    /// Updated lines on a terminal, plain lines in CI and in pipes.
    #[default]
    Auto,
    Plain,
    Json,
}

impl Messages {
    /// Prints errors as JSON too if the data or the steps are JSON.
    pub(crate) fn for_data_in_json(self, is_json: bool) -> Self {
        Self { json_errors: is_json || self.progress == Progress::Json, ..self }
    }
}

/// Prints steps and their progress.
#[derive(Clone)]
pub(crate) struct Ui {
    pub(crate) stop: Stop,
    bars: Option<MultiProgress>,
    messages: Messages,
    color: bool,
    group_mark: Option<GroupMark>,
    /// The global options of this run that suggested commands need too, each with a space before it.
    options: String,
    warned: Arc<Mutex<BTreeSet<String>>>,
}

/// The line with which a CI service begins or ends the group of lines with a title.
type GroupMark = fn(title: &str, begins: bool) -> String;

/// <https://docs.github.com/actions/reference/workflow-commands-for-github-actions#grouping-log-lines>
fn github_mark(title: &str, begins: bool) -> String {
    if begins { format!("::group::{title}") } else { "::endgroup::".to_owned() }
}

/// <https://docs.gitlab.com/ci/jobs/job_logs/#custom-collapsible-sections>
fn gitlab_mark(title: &str, begins: bool) -> String {
    let id = title.replace(' ', "_").to_lowercase();
    let time = std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
    let (mark, header) = if begins { ("start", title) } else { ("end", "") };
    format!("\x1b[0Ksection_{mark}:{time}:{id}\r\x1b[0K{header}")
}

impl Ui {
    /// `CI`, `NO_COLOR` (<https://no-color.org>) and `TERM=dumb` choose plain output.
    pub(crate) fn new(environment: &Environment, messages: Messages) -> Self {
        let is_set = |name| environment.process_only(name).is_some();
        let dumb = environment.process_only("TERM") == Some("dumb");
        let is_terminal = stderr().is_terminal() && !environment.is_ci() && !dumb;
        let interactive = is_terminal && messages.progress == Progress::Auto;
        let group_mark: Option<GroupMark> = match (is_set("GITHUB_ACTIONS"), is_set("GITLAB_CI")) {
            _ if messages.quiet || messages.progress == Progress::Json => None,
            (true, _) => Some(github_mark),
            (_, true) => Some(gitlab_mark),
            _ => None,
        };
        Self {
            stop: Stop::default(),
            bars: (interactive && !messages.quiet).then(MultiProgress::new),
            messages,
            color: interactive && !is_set("NO_COLOR"),
            group_mark,
            options: String::new(),
            warned: Arc::default(),
        }
    }

    /// Adds `options` to the commands that messages suggest.
    pub(crate) fn suggesting(self, options: String) -> Self {
        Self { options, ..self }
    }

    pub(crate) fn shows_progress(&self) -> bool {
        self.bars.is_some()
    }

    /// Groups the lines printed until the returned value is dropped, if the CI service supports it.
    pub(crate) fn group(&self, title: &'static str) -> LogGroup {
        let group = LogGroup { ui: self.clone(), title };
        group.mark(true);
        group
    }

    /// Prints a text of one or more lines. Control characters are escaped, because parts of the text may come from a
    /// database, a file or the environment.
    pub(crate) fn line(&self, text: impl Display) {
        let text = self.safe(text);
        self.print_form(&json!({ "message": text }), &text);
    }

    fn safe(&self, text: impl Display) -> String {
        printable_lines(&with_options(&text.to_string(), &self.options))
    }

    pub(crate) fn report(&self, report: &Report) {
        if !self.messages.json_errors {
            return self.line(report);
        }
        let options = json!(self.options).to_string();
        self.print(&with_options(&report.json(), &options[1..options.len() - 1]));
    }

    /// Like [`Ui::line`], but prints nothing with `--quiet`.
    pub(crate) fn note(&self, text: impl Display) {
        if !self.messages.quiet {
            self.line(text);
        }
    }

    /// With `--verbose`, prints what is about to be started.
    pub(crate) fn starts(&self, command_line: impl FnOnce() -> String) {
        if self.messages.verbose {
            self.line(format_args!("+ {}", command_line()));
        }
    }

    /// Prints one of two forms of a message, which are already escaped.
    fn print_form(&self, json: &Value, text: &str) {
        match self.messages.progress {
            Progress::Json => self.print(&json.to_string()),
            Progress::Auto | Progress::Plain => self.print(text),
        }
    }

    /// Prints text that is already escaped.
    fn print(&self, text: &str) {
        // With one write, because stderr is not buffered.
        let line = format!("{text}\n");
        let print = || {
            // If stderr is closed, the message is lost.
            let _ = stderr().write_all(line.as_bytes());
        };
        match &self.bars {
            Some(bars) => bars.suspend(print),
            None => print(),
        }
    }

    /// Prints a warning, once.
    pub(crate) fn warn(&self, text: impl Display) {
        let text = self.safe(text);
        if self.warned.lock().unwrap_or_else(PoisonError::into_inner).insert(text.clone()) {
            let line = format!("{} {text}", self.paint("33", "warning:"));
            self.print_form(&json!({ "warning": text }), &line);
        }
    }

    /// Announces a step. The returned [`Step`] prints how it ends.
    pub(crate) fn step(&self, label: impl Into<String>) -> Step {
        let label = label.into();
        let shown = printable_lines(&label);
        let bar = self.bars.as_ref().map(|bars| {
            let bar = bars.add(ProgressBar::new_spinner().with_style(spinner_style()));
            bar.set_message(shown.clone());
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        if bar.is_none() && !self.messages.quiet {
            self.print_form(&json!({ "step": shown, "state": "started" }), &format!("... {shown}"));
        }
        Step { ui: self.clone(), label, bar, started: Instant::now(), ended: false }
    }

    /// Announces a step, does `work` and prints how it ended.
    pub(crate) async fn run<T>(
        &self,
        label: impl Into<String>,
        work: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        self.step(label).ended(work.await, |_| String::new())
    }

    /// Like [`Ui::run`], for work that must be completed even if the user asks to stop.
    pub(crate) async fn run_whole<T>(
        &self,
        label: impl Into<String>,
        work: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        let _held = self.stop.hold().await;
        self.run(label, work).await
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

pub(crate) struct LogGroup {
    ui: Ui,
    title: &'static str,
}

impl LogGroup {
    fn mark(&self, begins: bool) {
        if let Some(mark) = self.ui.group_mark {
            self.ui.print(&mark(self.title, begins));
        }
    }
}

impl Drop for LogGroup {
    fn drop(&mut self) {
        self.mark(false);
    }
}

fn spinner_style() -> ProgressStyle {
    // The constant template is valid. If it were not, the default shows the same message.
    ProgressStyle::with_template("{spinner} {wide_msg} {elapsed}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
}

/// A running step. If it is dropped before its end, by an interruption or another step's failure, it prints
/// `stopped`.
pub(crate) struct Step {
    ui: Ui,
    label: String,
    bar: Option<ProgressBar>,
    started: Instant,
    ended: bool,
}

impl Step {
    pub(crate) fn progress(&self, detail: impl Display) {
        if let Some(bar) = &self.bar {
            bar.set_message(printable_lines(&format!("{}: {detail}", self.label)));
        }
    }

    /// Shows the rate after `done` of about `total` items.
    #[expect(clippy::cast_precision_loss, reason = "a share is shown to people")]
    pub(crate) fn progress_of(&self, done: u64, total: u64) {
        self.progress_at(done, done as f64 / total.max(done).max(1) as f64);
    }

    /// Shows the rate after `done` items, which are this fraction of the work, from 0 to 1.
    pub(crate) fn progress_at(&self, done: u64, share: f64) {
        self.progress(rate(done, share, self.started.elapsed()));
    }

    /// Ends the step as done. `detail` is its result, or empty.
    pub(crate) fn done(mut self, detail: &str) {
        self.ui.stop.done(&self.label);
        self.end("done", detail);
    }

    /// Ends the step as its work ended. `detail` gives the result of work that was done, or an empty text.
    pub(crate) fn ended<T>(
        self,
        work: anyhow::Result<T>,
        detail: impl FnOnce(&T) -> String,
    ) -> anyhow::Result<T> {
        match work {
            Ok(value) => {
                self.done(&detail(&value));
                Ok(value)
            }
            Err(error) => Err(self.ended_by(error)),
        }
    }

    /// Ends the step as failed or interrupted, and returns the error with context.
    pub(crate) fn ended_by(self, error: anyhow::Error) -> anyhow::Error {
        if error.is::<Interrupted>() { error } else { error.context(self.failed()) }
    }

    /// Ends the step as failed, and returns context for the error. A label is `SYSTEM: verb ...`.
    pub(crate) fn failed(mut self) -> String {
        self.end("failed", "");
        self.label.replacen(": ", ": could not ", 1)
    }

    /// Prints how it ended: `done`, `failed`, or `stopped` by an interruption or another step's failure.
    fn end(&mut self, state: &str, detail: &str) {
        self.ended = true;
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        if self.ui.messages.quiet {
            return;
        }
        let elapsed = self.started.elapsed();
        let [label, detail] = [&self.label, detail].map(printable_lines);
        let json =
            json!({ "step": label, "state": state, "detail": detail, "seconds": elapsed.as_secs_f64() });
        let mark = match state {
            "done" => self.ui.paint("32", "ok "),
            "failed" => self.ui.paint("31", "FAILED"),
            _ => state.to_owned(),
        };
        let separator = if detail.is_empty() { "" } else { ": " };
        let text = format!("{mark} {label}{separator}{detail} ({})", seconds(elapsed));
        self.ui.print_form(&json, &text);
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if !self.ended {
            self.end("stopped", "");
        }
    }
}

/// The rate of `done` items, which are this fraction of the work, from 0 to 1, and the time left.
#[expect(clippy::cast_precision_loss, reason = "a rate is shown to people")]
fn rate(done: u64, share: f64, elapsed: Duration) -> String {
    let elapsed = elapsed.as_secs_f64().max(1e-3);
    let rate = done as f64 / elapsed;
    let left = Duration::try_from_secs_f64(elapsed * (1.0 - share) / share);
    let left = match left.map(|left| left.as_secs()) {
        Ok(0) => String::new(),
        Ok(left) => format!(", {} left", seconds(Duration::from_secs(left))),
        Err(_) => ", ? left".to_owned(),
    };
    format!("{done} items, {rate:.0}/s{left}")
}

/// A duration for people: `12 ms`, `3.4 s`, `2 min 5 s`.
pub(crate) fn seconds(duration: Duration) -> String {
    let milliseconds = duration.as_millis();
    match milliseconds {
        0..1_000 => format!("{milliseconds} ms"),
        1_000..60_000 => format!("{:.1} s", duration.as_secs_f64()),
        _ => format!("{} min {} s", duration.as_secs() / 60, duration.as_secs() % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_tells_the_time_that_is_left() {
        let text = |share| rate(5_000, share, Duration::from_secs(2));
        assert_eq!(text(0.25), "5000 items, 2500/s, 6.0 s left");
        assert_eq!(text(1.0), "5000 items, 2500/s");
        assert_eq!(text(0.0), "5000 items, 2500/s, ? left");
    }

    #[test]
    fn durations_are_readable() {
        for (milliseconds, text) in [(0, "0 ms"), (999, "999 ms"), (3_440, "3.4 s"), (125_000, "2 min 5 s")] {
            assert_eq!(seconds(Duration::from_millis(milliseconds)), text);
        }
    }
}
