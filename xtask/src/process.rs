//! Background processes of ours: started apart from this one, and found again by their command line.
//!
//! A process id that was written down may belong to somebody else by now; a command line cannot.
//! Processes are found and signalled on Unix; elsewhere none is ever found.

#[cfg_attr(unix, path = "process/unix.rs")]
#[cfg_attr(not(unix), path = "process/elsewhere.rs")]
mod system;

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};

use system::Pid;
pub(crate) use system::Signal;

use crate::poll::{self, Look};

/// How long a process may take to end when it is asked to.
const END_BOUND: Duration = Duration::from_secs(15);

/// How much of a log's end is read for its last lines at first; where they are longer, four times as much.
const TAIL_BYTES: u64 = 64 << 10;

/// A process of this machine.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    pid: Pid,
    /// Its command line, the program first.
    pub(crate) arguments: Vec<String>,
}

/// The processes of this machine at one moment, as far as their command lines can be seen.
pub(crate) struct Processes(Vec<Process>);

impl Processes {
    /// Asks the system.
    pub(crate) fn now() -> Self {
        Self(all())
    }

    /// The first process whose program is called `program` and whose arguments contain the path `marker`.
    pub(crate) fn find(&self, program: &str, marker: &Path) -> Option<Process> {
        let marker = marker.to_string_lossy();
        let marked = |process: &Process| {
            let arguments = arguments_with(&process.arguments, program, &marker)?;
            Some(Process { pid: process.pid, arguments })
        };
        self.0.iter().filter_map(marked).find(|process| !process.is_killed())
    }
}

fn is_called(arguments: &[String], program: &str) -> bool {
    arguments.first().map(Path::new).and_then(Path::file_name) == Some(OsStr::new(program))
}

/// The arguments, where they are a program's that is called `program`, and one of them is `marker`.
#[cfg(target_os = "linux")]
fn arguments_with(arguments: &[String], program: &str, marker: &str) -> Option<Vec<String>> {
    let is_marked = arguments.iter().skip(1).any(|argument| argument == marker);
    (is_called(arguments, program) && is_marked).then(|| arguments.to_vec())
}

/// The same of arguments that `ps` shows, where the program's path and `marker` may have been taken apart at their
/// spaces.
#[cfg(any(test, not(target_os = "linux")))]
fn shown_arguments_with(arguments: &[String], program: &str, marker: &str) -> Option<Vec<String>> {
    let line = arguments.join(" ") + " ";
    let (before, after) = line.split_once(&format!(" {marker} "))?;
    let before = format!("{before} ");
    let name = format!("{program} ");
    let mut places = before.match_indices(&name).map(|(place, _)| place);
    let start = places.find(|place| *place == 0 || before[..*place].ends_with('/'))?;
    let (path, others) = before.split_at(start + program.len());
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    Some([vec![path.to_owned()], words(others), vec![marker.to_owned()], words(after)].concat())
}

#[cfg(not(target_os = "linux"))]
use shown_arguments_with as arguments_with;

/// Every process whose command line can be seen.
#[cfg(target_os = "linux")]
fn all() -> Vec<Process> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let process = |entry: std::fs::DirEntry| of_id(Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)?);
    entries.filter_map(process).collect()
}

/// The process of this id, if its command line can be seen.
#[cfg(target_os = "linux")]
fn of_id(pid: Pid) -> Option<Process> {
    // A process that has ended, or is a thread of the kernel, has an empty command line.
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok().filter(|line| !line.is_empty())?;
    let line = String::from_utf8_lossy(line.strip_suffix(b"\0").unwrap_or(&line)).into_owned();
    Some(Process { pid, arguments: line.split('\0').map(str::to_owned).collect() })
}

#[cfg(not(target_os = "linux"))]
fn of_id(pid: Pid) -> Option<Process> {
    all().into_iter().find(|process| process.pid == pid)
}

/// Every process that `ps` shows, its arguments taken apart at every space: see [`shown_arguments_with`].
#[cfg(all(unix, not(target_os = "linux")))]
fn all() -> Vec<Process> {
    let Ok(listed) = Command::new("ps").args(["-axww", "-o", "pid=,command="]).output() else {
        return Vec::new();
    };
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    let process = |line: &str| {
        let (pid, command) = line.trim_start().split_once(' ')?;
        let arguments = command.split_whitespace().map(str::to_owned).collect();
        Some(Process { pid: Pid::from_raw(pid.parse().ok()?)?, arguments })
    };
    text.lines().filter_map(process).collect()
}

#[cfg(not(unix))]
fn all() -> Vec<Process> {
    Vec::new()
}

impl Process {
    /// Whether it was sent a SIGKILL that it has not died of yet: whoever kills a server and starts it again at
    /// once shall not meet the old one. <https://docs.kernel.org/filesystems/proc.html#process-specific-subdirectories>
    #[cfg(target_os = "linux")]
    fn is_killed(&self) -> bool {
        let Ok(status) = std::fs::read_to_string(format!("/proc/{}/status", self.pid)) else { return true };
        let pending = status.lines().filter_map(|line| {
            line.strip_prefix("SigPnd:").or_else(|| line.strip_prefix("ShdPnd:")).map(str::trim)
        });
        let kill = 1 << (Signal::KILL.as_raw() - 1);
        pending.filter_map(|mask| u64::from_str_radix(mask, 16).ok()).any(|mask| mask & kill != 0)
    }

    #[cfg(not(target_os = "linux"))]
    fn is_killed(&self) -> bool {
        false
    }

    /// Whether its id is still its own, and nobody has killed it.
    pub(crate) fn still_runs(&self) -> bool {
        self.has_its_id() && !self.is_killed()
    }

    fn has_its_id(&self) -> bool {
        // Taken apart at other places, perhaps.
        of_id(self.pid).is_some_and(|now| now.arguments.join(" ") == self.arguments.join(" "))
    }

    /// Whether it was started from the file at `program` as that is now, by its size and time; none where the system
    /// does not tell.
    #[cfg(target_os = "linux")]
    pub(crate) fn runs(&self, program: &Path) -> Option<bool> {
        let contents = |path: &Path| {
            let metadata = path.metadata().ok()?;
            Some((metadata.len(), metadata.modified().ok()?))
        };
        // The link leads to the file even after another has taken its place.
        Some(contents(format!("/proc/{}/exe", self.pid).as_ref())? == contents(program)?)
    }

    /// None: nothing here tells what file a process was started from.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn runs(&self, _: &Path) -> Option<bool> {
        None
    }

    /// What follows `flag` on its command line.
    pub(crate) fn argument_after(&self, flag: &str) -> Option<&str> {
        let position = self.arguments.iter().position(|argument| argument == flag)?;
        self.arguments.get(position + 1).map(String::as_str)
    }

    /// Asks it to end and waits until it has; one that does not is killed.
    ///
    /// # Errors
    /// It may not be signalled, or does not even end when killed.
    pub(crate) async fn end(&self, ask: Signal) -> Result<()> {
        self.signal(ask)?;
        if self.wait_for_end().await.is_err() {
            self.signal(Signal::KILL)?;
            self.wait_for_end().await?;
        }
        Ok(())
    }

    /// Kills it and, where it leads a process group, whom it started, and waits until it has ended.
    ///
    /// # Errors
    /// It may not be signalled, or does not even end when killed.
    pub(crate) async fn kill_with_group(&self) -> Result<()> {
        system::kill_group(self.pid).with_context(|| format!("cannot kill the group of {self}"))?;
        self.signal(Signal::KILL)?;
        self.wait_for_end().await
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        system::send(self.pid, signal).with_context(|| format!("cannot signal {self}"))
    }

    async fn wait_for_end(&self) -> Result<()> {
        poll::until_ready(END_BOUND, Duration::from_millis(10), async || {
            if self.has_its_id() {
                Look::NotYet(format!("process {} still runs", self.pid))
            } else {
                Look::Ready(())
            }
        })
        .await
    }
}

impl std::fmt::Display for Process {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "process {}", self.pid)
    }
}

/// A command for a program that outlives this one: it starts in a folder that nobody removes, and holds none of the
/// files that whoever started us has open, a lock or a pipe that somebody reads to its end. POSIX's shell closes
/// those from 3 to 9.
pub(crate) fn detached(program: &Path) -> Command {
    #[cfg(unix)]
    {
        const SCRIPT: &str = r#"exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-; exec "$0" "$@""#;
        let mut command = Command::new("/bin/sh");
        command.args(["-c", SCRIPT]).arg(program).current_dir("/");
        command
    }
    #[cfg(not(unix))]
    Command::new(program)
}

/// Starts a process that outlives this one and hears nothing of this terminal; it prints into `log`.
///
/// # Errors
/// It cannot be started, or the log cannot be written.
pub(crate) fn start_in_background(command: &mut Command, log: &Path) -> Result<()> {
    let mut options = File::options();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let log = options.open(log).with_context(|| format!("cannot write {}", log.display()))?;
    lead_group(command);
    let name = command.get_program().display().to_string();
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    command.spawn().with_context(|| format!("cannot start {name}"))?;
    Ok(())
}

/// Has a program lead a process group of its own: no signal of this terminal reaches it.
pub(crate) fn lead_group(command: &mut Command) {
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(command, 0);
    #[cfg(not(unix))]
    let _ = command;
}

/// Has a program take this process's place: Ctrl-C, job control and its exit status are its own.
///
/// # Errors
/// It cannot be started.
#[cfg(unix)]
pub(crate) fn become_program(command: &mut Command) -> Result<()> {
    Err(std::os::unix::process::CommandExt::exec(command).into())
}

/// Runs a program to its end.
///
/// # Errors
/// It cannot be started, or fails.
#[cfg(not(unix))]
pub(crate) fn become_program(command: &mut Command) -> Result<()> {
    let status = command.status()?;
    anyhow::ensure!(status.success(), "it ended with {status}");
    Ok(())
}

/// The last `count` lines of a log, or all of them; empty where there is none.
pub(crate) fn last_lines(log: &Path, count: usize) -> String {
    let read = || {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        let mut most = TAIL_BYTES;
        loop {
            file.seek(SeekFrom::Start(length.saturating_sub(most)))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            // The first line may be the end of a longer one.
            if most >= length || bytes.iter().filter(|byte| **byte == b'\n').count() > count {
                return std::io::Result::Ok(String::from_utf8_lossy(&bytes).into_owned());
            }
            most *= 4;
        }
    };
    let text = read().unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_found_by_its_command_line_and_ends_when_asked() {
        let folder = tempfile::tempdir().unwrap();
        let marker = folder.path().join("marker with a space");
        let mut command = Command::new("sh");
        command.args(["-c", "while :; do sleep 0.1; done", "--port", "7"]).arg(&marker);
        start_in_background(&mut command, &folder.path().join("log")).unwrap();
        assert!(Processes::now().find("bash", &marker).is_none());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        // The system shows a command line a moment after the process was started.
        let look = async || match Processes::now().find("sh", &marker) {
            Some(process) => Look::Ready(process),
            None => Look::NotYet("not shown".to_owned()),
        };
        let found = poll::until_ready(END_BOUND, Duration::from_millis(1), look);
        let process = runtime.block_on(found).unwrap();
        assert_eq!(process.argument_after("--port"), Some("7"));
        runtime.block_on(process.end(Signal::TERM)).unwrap();
        assert!(Processes::now().find("sh", &marker).is_none());
    }

    #[test]
    fn arguments_with_spaces_in_them_are_put_together_again() {
        let with = |line: &str, program: &str, marker: &str| {
            let arguments: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
            shown_arguments_with(&arguments, program, marker)
        };
        let line = "/my work/target/xtask-dynamodb --folder /my work/.cruddur/dynamodb --port 8000";
        assert_eq!(
            with(line, "xtask-dynamodb", "/my work/.cruddur/dynamodb").unwrap(),
            ["/my work/target/xtask-dynamodb", "--folder", "/my work/.cruddur/dynamodb", "--port", "8000"]
        );
        assert_eq!(with("postgres -D /a", "postgres", "/a").unwrap(), ["postgres", "-D", "/a"]);
        assert_eq!(with(line, "xtask-dynamodb", "/my work/.cruddur"), None);
        assert_eq!(with(line, "dynamodb", "/my work/.cruddur/dynamodb"), None);
        assert_eq!(with("grep postgres -D /a", "postgres", "/a"), None);
    }

    #[test]
    fn the_last_lines_are_the_last_lines() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        assert_eq!(last_lines(&log, 2), "");
        std::fs::write(&log, "1\n2\n3\n").unwrap();
        assert_eq!(last_lines(&log, 2), "2\n3");
        assert_eq!(last_lines(&log, 9), "1\n2\n3");
        let long: Vec<_> = (0..20_000).map(|number| format!("{number} {}", "x".repeat(20))).collect();
        std::fs::write(&log, long.join("\n") + "\n").unwrap();
        assert_eq!(last_lines(&log, 19_000), long[1_000..].join("\n"));
        assert_eq!(last_lines(&log, 30_000), long.join("\n"));
    }
}
