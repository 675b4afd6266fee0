//! Runs the program as a user does. It sees nothing of the tests' own environment, and all of its output is checked
//! for secrets.

use std::ffi::OsStr;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::SECRETS;

/// The maximum time of a run. Tests of timing set their own bound.
const BOUND: Duration = Duration::from_secs(120);

/// A run that has not started.
pub(crate) struct Run {
    command: Command,
    stdin: Vec<u8>,
    shows_secrets: bool,
}

impl Run {
    pub(super) fn new(workspace: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("CRUDDUR_WORKSPACE", workspace).current_dir(workspace);
        Self { command, stdin: Vec::new(), shows_secrets: false }
    }

    pub(crate) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    /// Runs through another program, which gets these arguments and then the whole command line.
    pub(crate) fn through(self, program: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(program);
        command.args(arguments).arg(self.command.get_program());
        self.moved_to(command)
    }

    /// Runs another copy of the program.
    pub(crate) fn by(self, program: &Path) -> Self {
        self.moved_to(Command::new(program))
    }

    fn moved_to(self, mut command: Command) -> Self {
        command.args(self.command.get_args()).env_clear();
        command.envs(self.command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.current_dir(self.command.get_current_dir().unwrap_or(Path::new(".")));
        Self { command, ..self }
    }

    pub(crate) fn stdin(mut self, text: &str) -> Self {
        self.stdin = text.into();
        self
    }

    /// Allows the output to contain secrets, for commands that print settings.
    pub(crate) fn shows_secrets(mut self) -> Self {
        self.shows_secrets = true;
        self
    }

    /// Runs to the end, within the time limit. stdin contains the text of [`Run::stdin`].
    #[track_caller]
    pub(crate) fn end(self) -> Ran {
        let shows_secrets = self.shows_secrets;
        let shown = self.shown();
        let started = Instant::now();
        let output = output_of(self.command, self.stdin, BOUND);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let ran = Ran {
            shown,
            code: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
            took: started.elapsed(),
        };
        if !shows_secrets {
            ran.assert_no_secrets();
        }
        ran
    }

    /// Runs to the end, which must be a success.
    #[track_caller]
    pub(crate) fn ok(self) -> Ran {
        let ran = self.end();
        assert_eq!(ran.code, Some(0), "{ran}");
        ran
    }

    /// Runs to the end, which must be a failure with this status: an error on stderr, and no data.
    #[track_caller]
    pub(crate) fn fails(self, code: i32) -> Ran {
        let ran = self.end();
        assert_eq!(ran.code, Some(code), "{ran}");
        assert!(["error: ", "\"error\":"].iter().any(|error| ran.stderr.contains(error)), "{ran}");
        assert_eq!(ran.stdout, "", "{ran}");
        ran
    }

    /// Starts the run. stdin is empty, stdout and stderr are pipes.
    pub(crate) fn start(mut self) -> Running {
        self.command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = Some(self.command.spawn().unwrap());
        Running { shown: self.shown(), started: Instant::now(), child, stderr: String::new() }
    }

    /// The command on its own terminal, whose input and output are pipes.
    #[cfg(target_os = "linux")]
    pub(crate) fn on_a_terminal(self) -> Command {
        let program = self.command.get_program().to_str().unwrap();
        let words = self.command.get_args().map(|word| format!(" '{}'", word.to_str().unwrap()));
        let line = format!("'{program}'{}", words.collect::<String>());
        let mut script = Command::new("script");
        script.args(["--quiet", "--return", "--command", &line, "/dev/null"]).env_clear();
        script.envs(self.command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        script.stdin(Stdio::piped()).stdout(Stdio::piped());
        script
    }

    /// The command, for other ways of running it.
    pub(crate) fn into_command(self) -> Command {
        self.command
    }

    fn shown(&self) -> String {
        let arguments = self.command.get_args().map(|argument| argument.to_string_lossy());
        arguments.collect::<Vec<_>>().join(" ")
    }
}

/// Runs a command to its end, within `bound`. Its stdin contains `typed`.
#[track_caller]
pub(crate) fn output_of(mut command: Command, typed: Vec<u8>, bound: Duration) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (id, mut stdin) = (child.id().to_string(), child.stdin.take().unwrap());
    // A command that stops reading closes the pipe.
    std::thread::spawn(move || stdin.write_all(&typed).unwrap_or_default());
    let (sender, ended) = mpsc::channel();
    std::thread::spawn(move || sender.send(child.wait_with_output()));
    ended.recv_timeout(bound).map_or_else(
        |_| {
            let killed = Command::new("kill").args(["-s", "KILL", &id]).status();
            panic!("{command:?} goes on after {bound:?}; kill: {killed:?}")
        },
        |output| output.unwrap(),
    )
}

/// A run under way. Dropping it kills it.
pub(crate) struct Running {
    shown: String,
    started: Instant,
    /// `None` after the end.
    child: Option<Child>,
    /// The part of stderr that has been read.
    stderr: String,
}

impl Running {
    /// Reads stderr until it contains `text`, which must come before stderr is closed.
    #[track_caller]
    pub(crate) fn read_until(&mut self, text: &str) {
        assert!(self.says_before_its_end(text), "`{}` never said {text:?}: {}", self.shown, self.stderr);
    }

    /// Reads stderr until it contains `text` or is closed. Returns whether it contains `text`.
    pub(crate) fn says_before_its_end(&mut self, text: &str) -> bool {
        let pipe = self.child.as_mut().unwrap().stderr.as_mut().unwrap();
        let mut bytes = [0; 1024];
        while !self.stderr.contains(text) {
            let read = pipe.read(&mut bytes).unwrap();
            if read == 0 {
                return false;
            }
            self.stderr.push_str(&String::from_utf8_lossy(&bytes[..read]));
        }
        true
    }

    /// Sends a signal, such as `INT`.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.as_ref().unwrap().id().to_string();
        let status = Command::new("kill").args(["-s", name, &id]).status().unwrap();
        assert!(status.success(), "kill -s {name} {id}: {status}");
    }

    /// Waits for the end, which must come within `bound`.
    #[track_caller]
    pub(crate) fn end_within(mut self, bound: Duration) -> Ran {
        let asked = Instant::now();
        let mut child = self.child.take().unwrap();
        // The pipes hold more than such a run prints, so they need not be read while it runs.
        while child.try_wait().unwrap().is_none() {
            if asked.elapsed() > bound {
                child.kill().unwrap();
                panic!("`{}` goes on after {bound:?}", self.shown);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let took = self.started.elapsed();
        let output = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let ran = Ran {
            shown: std::mem::take(&mut self.shown),
            code: output.status.code(),
            stdout: text(output.stdout),
            stderr: std::mem::take(&mut self.stderr) + &text(output.stderr),
            took,
        };
        ran.assert_no_secrets();
        ran
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[derive(Debug)]
pub(crate) struct Ran {
    shown: String,
    /// `None` if a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) took: Duration,
}

impl Ran {
    #[track_caller]
    pub(crate) fn json_lines(&self) -> Vec<serde_json::Value> {
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        self.stdout.lines().map(parse).collect()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self}"))
    }

    /// The error and everything after it. A failing run prints the error last.
    pub(crate) fn error(&self) -> &str {
        let start = self.stderr.find("error: ").unwrap_or_default();
        &self.stderr[start..]
    }

    #[track_caller]
    pub(crate) fn says(&self, texts: &[&str]) -> &Self {
        for text in texts {
            assert!(self.stderr.contains(text), "stderr does not say {text:?}: {self}");
        }
        self
    }

    /// Asserts that the run took less than `bound`.
    #[track_caller]
    pub(crate) fn within(&self, bound: Duration) -> &Self {
        assert!(self.took < bound, "took {:?}, more than {bound:?}: {self}", self.took);
        self
    }

    #[track_caller]
    fn assert_no_secrets(&self) {
        for secret in SECRETS {
            let found = self.stdout.contains(secret) || self.stderr.contains(secret);
            assert!(!found, "a secret was printed: {self}");
        }
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { shown, code, stdout, stderr, took } = self;
        write!(
            formatter,
            "\n`{shown}` ended with {code:?} after {took:?}\n-- stdout --\n{stdout}\n-- stderr --\n{stderr}"
        )
    }
}
