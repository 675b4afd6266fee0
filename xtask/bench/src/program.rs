//! Programs under measurement: how long one ran, and how much memory it took.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// How often a program's memory is looked at. The system keeps the peak itself, so only one in the very
/// last moments of a program can be missed. To look takes time from what is measured.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What a program did.
pub(crate) struct Ran {
    /// From before it was started until it had ended.
    pub(crate) took: Duration,
    /// Its peak memory in KiB, where the system tells.
    pub(crate) peak: Option<u64>,
    /// What it printed to stdout, unless that was dropped.
    pub(crate) output: String,
    /// What it printed to stderr: each line, and when it came.
    pub(crate) lines: Vec<(Instant, String)>,
}

impl Ran {
    /// How long it took from the line that has `start` in it to the one that has `end`.
    ///
    /// # Errors
    /// There are no such lines.
    pub(crate) fn between(&self, start: &str, end: &str) -> Result<Duration> {
        let at = |text: &str| {
            let line = self.lines.iter().find(|(_, line)| line.contains(text));
            line.map(|(at, _)| *at).with_context(|| format!("the program did not print `{text}`"))
        };
        Ok(at(end)? - at(start)?)
    }
}

/// Runs a program to its end; what it prints to stdout is dropped.
///
/// # Errors
/// It cannot be started, or fails: with the last it said.
pub(crate) fn run(command: &mut Command) -> Result<Ran> {
    measure(command.stdout(Stdio::null()))
}

/// As [`run`], and keeps what it prints.
///
/// # Errors
/// See [`run`].
pub(crate) fn ask(command: &mut Command) -> Result<Ran> {
    measure(command.stdout(Stdio::piped()))
}

fn measure(command: &mut Command) -> Result<Ran> {
    let name = command.get_program().display().to_string();
    command.stdin(Stdio::null()).stderr(Stdio::piped());
    let started = Instant::now();
    let mut child = command.spawn().with_context(|| format!("cannot start {name}"))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let ended = AtomicBool::new(false);
    let pid = child.id();
    let (status, took, peak, output, lines) = std::thread::scope(|scope| {
        let peak = scope.spawn(|| peak_until(pid, &ended));
        let lines = scope.spawn(|| {
            let lines = stderr.into_iter().flat_map(|stderr| BufReader::new(stderr).lines());
            lines.map_while(Result::ok).map(|line| (Instant::now(), line)).collect::<Vec<_>>()
        });
        let output = scope.spawn(|| {
            let mut text = String::new();
            let read = stdout.map(|mut stdout| stdout.read_to_string(&mut text));
            read.transpose().map(|_| text)
        });
        let (status, took) = wait(&mut child, started);
        ended.store(true, Ordering::Relaxed);
        (status, took, peak.join(), output.join(), lines.join())
    });
    let lines = lines.unwrap_or_default();
    let status = status.with_context(|| format!("cannot wait for {name}"))?;
    if !status.success() {
        let said: Vec<&str> = lines.iter().map(|(_, line)| line.as_str()).collect();
        let last = said[said.len().saturating_sub(15)..].join("\n  ");
        let arguments: Vec<_> = command.get_args().map(|word| word.to_string_lossy()).collect();
        bail!("{name} {} ended with {status}:\n  {last}", arguments.join(" "));
    }
    let output = output.unwrap_or_else(|_| Ok(String::new())).with_context(|| format!("reading {name}"))?;
    Ok(Ran { took, peak: peak.unwrap_or_default(), output, lines })
}

fn wait(child: &mut Child, started: Instant) -> (std::io::Result<std::process::ExitStatus>, Duration) {
    let status = child.wait();
    (status, started.elapsed())
}

/// The highest that a process's memory was when it was looked at, until it has ended.
///
/// Linux alone shows it while a process runs. What `wait4` tells afterwards is no use: it counts the
/// memory of the process that started the program, too.
/// <https://github.com/torvalds/linux/blob/v6.12/fs/exec.c>
fn peak_until(pid: u32, ended: &AtomicBool) -> Option<u64> {
    let mut peak = None;
    while !ended.load(Ordering::Relaxed) {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        peak = peak.max(peak_in(&status));
        std::thread::sleep(LOOK_EVERY);
    }
    peak
}

/// See proc_pid_status(5).
fn peak_in(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_program_s_lines_and_their_times_are_kept() {
        let ran = ask(&mut shell("echo begin >&2; sleep 0.05; echo end >&2; echo data")).unwrap();
        assert_eq!(ran.output, "data\n");
        let between = ran.between("begin", "end").unwrap();
        assert!(between >= Duration::from_millis(40) && between <= ran.took, "{between:?}");
        assert!(ran.between("begin", "nothing").is_err());
    }

    #[test]
    fn a_failure_shows_what_was_said() {
        let error = run(&mut shell("echo why >&2; exit 3")).err().unwrap().to_string();
        assert!(error.contains("why"), "{error}");
    }

    #[test]
    fn the_peak_is_the_high_water_mark() {
        assert_eq!(peak_in("VmPeak:\t  9 kB\nVmHWM:\t    1234 kB\nVmRSS:\t 5 kB\n"), Some(1234));
        assert_eq!(peak_in(""), None);
    }
}
