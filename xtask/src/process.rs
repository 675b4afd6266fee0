//! Starts other programs: in the background, with a cleaned environment, or in place of this process.

mod lock;
mod shown;

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom};
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::environment::Environment;
use crate::private;

pub(crate) use lock::{Holder, ServerLock};
pub(crate) use shown::{line, masked, shown};

/// The variables that a database's server inherits: neither the user's secrets nor libpq's variables, which the
/// server's programs would follow. <https://www.postgresql.org/docs/current/libpq-envars.html>
const INHERITED: [&str; 8] = ["PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "LC_MESSAGES", "TZ", "TMPDIR"];

/// Gives a command only the variables in [`INHERITED`].
pub(crate) fn clean_environment(command: &mut Command, environment: &Environment) {
    command.env_clear();
    command.envs(INHERITED.iter().filter_map(|name| Some((name, environment.process_only(name)?))));
}

/// A shell's script that starts a program of [`detached`].
const DETACH: &str = r#"exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9<&0 </dev/null; exec "$0" "$@""#;

/// A command for a program that may outlive this one. It starts in `/`, without the files that this process inherited
/// (POSIX shells can close files 3 to 8). It keeps its standard input open as file 9: that is its lock.
pub(crate) fn detached(program: &Path) -> Command {
    #[cfg(unix)]
    {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", DETACH]).arg(program).current_dir("/");
        command
    }
    #[cfg(not(unix))]
    Command::new(program)
}

/// Makes a program lead its own process group, which the terminal's signals do not reach.
pub(crate) fn lead_group(command: &mut Command) {
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(command, 0);
    #[cfg(not(unix))]
    let _ = command;
}

/// Runs a program and returns its output. If it fails, the error contains the output.
pub(crate) async fn run(command: Command, what: &str) -> Result<String> {
    let output = tokio::process::Command::from(command).output().await;
    let output = output.with_context(|| format!("cannot run {what}"))?;
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).trim_end().to_owned();
    anyhow::ensure!(output.status.success(), "{what} failed:\n{text}");
    Ok(text)
}

/// Lets the program that replaces this process inherit a file, and with it the file's lock.
pub(crate) fn hand_on(file: &File) -> Result<()> {
    #[cfg(unix)]
    rustix::io::fcntl_setfd(file, rustix::io::FdFlags::empty())?;
    #[cfg(not(unix))]
    let _ = file;
    Ok(())
}

/// Replaces this process by a program, which then handles Ctrl-C and job control itself.
#[cfg(unix)]
pub(crate) fn become_program(command: &mut Command) -> Result<()> {
    Err(std::os::unix::process::CommandExt::exec(command).into())
}

/// Runs a program and waits for it. Other systems cannot replace a process.
#[cfg(not(unix))]
pub(crate) fn become_program(command: &mut Command) -> Result<()> {
    let status = command.status()?;
    anyhow::ensure!(status.success(), "it ended with {status}");
    Ok(())
}

/// The last `count` lines of a log after the byte `from`; empty if there is no log.
pub(crate) fn last_lines(log: &Path, from: u64, count: usize) -> String {
    let read = || {
        let mut lines = VecDeque::new();
        let Some(mut file) = private::open_if_there(log)? else { return Ok(lines) };
        // If the log is shorter, it was created again.
        file.seek(SeekFrom::Start(if from > file.metadata()?.len() { 0 } else { from }))?;
        for line in BufReader::new(file).split(b'\n') {
            lines.push_back(line?);
            if lines.len() > count {
                lines.pop_front();
            }
        }
        anyhow::Ok(lines)
    };
    let lines = Vec::from(read().unwrap_or_default()).join(&b'\n');
    String::from_utf8_lossy(&lines).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_the_last_lines() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        assert_eq!(last_lines(&log, 0, 2), "");
        std::fs::write(&log, "1\n2\n3\n").unwrap();
        assert_eq!(last_lines(&log, 0, 2), "2\n3");
        assert_eq!(last_lines(&log, 0, 9), "1\n2\n3");
        assert_eq!(last_lines(&log, 4, 9), "3");
        assert_eq!(last_lines(&log, 6, 9), "");
        assert_eq!(last_lines(&log, 60, 1), "3");
        let long: Vec<_> = (0..20_000).map(|number| format!("{number} {}", "x".repeat(20))).collect();
        std::fs::write(&log, long.join("\n") + "\n").unwrap();
        assert_eq!(last_lines(&log, 0, 19_000), long[1_000..].join("\n"));
        assert_eq!(last_lines(&log, 0, 30_000), long.join("\n"));
    }
}
