//! Runs `cargo xtask`, each test in its own small workspace.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{self, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A temporary workspace: the files in `tests/workspace`, this package's sources, and the real alias.
struct Sandbox {
    base: PathBuf,
}

impl Sandbox {
    /// A new workspace, in which nothing is built. Its path contains a space.
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("xtask-launcher-{}-{count}", process::id());
        let sandbox = Self { base: env::temp_dir().canonicalize().unwrap().join(name) };
        let package = Path::new(env!("CARGO_MANIFEST_DIR"));
        copy(&package.join("tests/workspace"), &sandbox.path(""));
        copy(&package.join("src"), &sandbox.path("xtask/launcher/src"));
        copy(&package.join("Cargo.toml"), &sandbox.path("xtask/launcher/Cargo.toml"));
        copy(&package.join("../../.cargo/config.toml"), &sandbox.path(".cargo/config.toml"));
        sandbox
    }

    fn path(&self, inner: &str) -> PathBuf {
        self.base.join("my work").join(inner)
    }

    /// A command in the workspace's root, without the variables that the tests' cargo or the user set for cargo.
    fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        for (name, _) in env::vars_os() {
            let is = |start| name.as_encoded_bytes().starts_with(start);
            if is(b"CARGO") || is(b"RUSTC") || is(b"RUSTFLAGS") || is(b"CRUDDUR") {
                command.env_remove(name);
            }
        }
        command
            .current_dir(self.path(""))
            .env("CARGO_HOME", self.base.join("cargo home"))
            .env("CARGO_NET_OFFLINE", "true")
            .env("CARGO_TERM_COLOR", "never")
            // The rustc next to cargo, not rustup's choice.
            .env("RUSTC", Path::new(env!("CARGO")).with_file_name("rustc"));
        command
    }

    fn cargo(&self) -> Command {
        self.command(env!("CARGO"))
    }

    /// The built launcher as cargo starts it, but without a usable cargo.
    fn launcher(&self) -> Command {
        let mut launcher = self.command(self.path("target/launcher/xtask-launcher"));
        launcher.env("CARGO", "/no/such/cargo").env("CARGO_MANIFEST_DIR", self.path("xtask/launcher"));
        launcher
    }

    /// `cargo xtask` in the workspace's root.
    fn xtask<const N: usize>(&self, arguments: [&str; N]) -> Command {
        let mut xtask = self.cargo();
        xtask.arg("xtask").args(arguments);
        xtask
    }

    /// The program's output for `name`, which is one of its inputs. `cargo xtask` starts the program.
    #[track_caller]
    fn word(&self, name: &str) -> String {
        word(&mut self.xtask([]), name)
    }

    /// Asserts that the program starts without a build, about which cargo would print a line.
    #[track_caller]
    fn assert_current(&self) {
        let ran = run(&mut self.xtask([]));
        assert!(ran.status.success() && ran.stderr.is_empty(), "{}", ran.stderr);
    }

    /// Asserts that cargo runs before the program starts, but only once.
    #[track_caller]
    fn assert_asks_cargo_once(&self) {
        let ran = run(&mut self.xtask([]));
        assert!(ran.status.success() && ran.stderr.contains("Finished"), "{}", ran.stderr);
        self.assert_current();
    }

    #[track_caller]
    fn edit(&self, inner: &str, from: &str, to: &str) {
        let path = self.path(inner);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{inner}: {text}");
        fs::write(path, text.replace(from, to)).unwrap();
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.base);
    }
}

struct Ran {
    status: ExitStatus,
    stdout: String,
    stderr: String,
}

fn run(command: &mut Command) -> Ran {
    let output = command.output().unwrap();
    Ran {
        status: output.status,
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[track_caller]
fn word(command: &mut Command, name: &str) -> String {
    let ran = run(command);
    assert!(ran.status.success(), "{}", ran.stderr);
    let start = format!("{name}: ");
    ran.stdout.lines().find_map(|line| line.strip_prefix(&start)).unwrap().to_owned()
}

/// Copies a file, or a folder with its contents.
fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let name = entry.unwrap().file_name();
            copy(&from.join(&name), &to.join(&name));
        }
    } else {
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, to).unwrap();
    }
}

#[test]
fn builds_first_and_then_starts_the_program_alone() {
    let sandbox = Sandbox::new();
    let first = run(&mut sandbox.xtask(["hello"]));
    assert_eq!(first.stdout, "[\"hello\"]\n");
    assert!(first.stderr.starts_with("building the tasks; the first time"), "{}", first.stderr);
    assert!(first.stderr.contains("Compiling data"), "{}", first.stderr);

    sandbox.assert_current();
    let inner = sandbox.path("data/db");
    for command in [&mut sandbox.launcher(), sandbox.launcher().current_dir(inner)] {
        let next = run(command.arg("hello"));
        assert_eq!((next.stdout.as_str(), next.stderr.as_str()), ("[\"hello\"]\n", ""));
    }
    for lost in ["target/debug/xtask", "target/debug/xtask.d"] {
        fs::remove_file(sandbox.path(lost)).unwrap();
        sandbox.assert_asks_cargo_once();
    }
    // A damaged dep-info file leads to a build: cargo has its own record of the inputs.
    fs::write(sandbox.path("target/debug/xtask.d"), "\0").unwrap();
    sandbox.assert_asks_cargo_once();
}

#[test]
fn sees_an_edit_and_writes_to_no_source() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.word("program"), "one");
    sandbox.edit("xtask/src/main.rs", "one", "two");
    assert_eq!(sandbox.word("program"), "two");
    sandbox.edit("data/src/lib.rs", "\"one\"", "\"two\"");
    assert_eq!(sandbox.word("library"), "two");
    sandbox.edit("data/db/word.sql", "one", "two");
    let sql = sandbox.path("data/db/word.sql");
    let written = fs::metadata(&sql).unwrap().modified().unwrap();
    assert_eq!(sandbox.word("sql"), "select 'two';");
    assert_eq!(fs::metadata(&sql).unwrap().modified().unwrap(), written);
    sandbox.assert_current();

    sandbox.edit("Cargo.toml", "1.0.0", "1.0.1");
    assert_eq!(sandbox.word("version"), "1.0.1");
    sandbox.edit("data/Cargo.toml", "[features]", "[features]\ndefault = [\"loud\"]");
    assert_eq!(sandbox.word("library"), "ONE");
    sandbox.assert_current();
    // Changes for which cargo has nothing to build.
    sandbox.edit("Cargo.lock", "[[package]]", "\n[[package]]");
    sandbox.assert_asks_cargo_once();
    sandbox.edit(".cargo/config.toml", "[alias]", "[alias]\nx = \"xtask\"");
    sandbox.assert_asks_cargo_once();
    fs::write(sandbox.path("rust-toolchain.toml"), "[toolchain]\nprofile = \"minimal\"\n").unwrap();
    sandbox.assert_asks_cargo_once();

    // Other flags make cargo rebuild the launcher, which is then newer than the program.
    let mut flagged = sandbox.xtask([]);
    assert_eq!(word(flagged.env("RUSTFLAGS", "--cfg flag"), "flag"), "true");
    // A build by the user's own cargo command is not repeated.
    sandbox.edit("data/db/word.sql", "two", "three");
    assert!(run(sandbox.cargo().args(["build", "--package", "xtask"])).status.success());
    let ran = run(&mut sandbox.xtask([]));
    assert!(
        ran.stdout.contains("sql: select 'three'") && !ran.stderr.contains("Compiling"),
        "{}",
        ran.stderr
    );
}

#[test]
fn sees_an_edit_made_during_the_build() {
    let sandbox = Sandbox::new();
    // A wrapper for rustc: once, it edits the program's source after compiling it.
    let wrapper = sandbox.base.join("after-rustc");
    let script = "#!/bin/sh\n\"$@\" || exit\ncase \" $* \" in *' --crate-name xtask '*) \
                  [ -f once ] && rm once && sed -i.old s/one/two/ xtask/src/main.rs;; esac\nexit 0\n";
    fs::write(&wrapper, script).unwrap();
    fs::set_permissions(&wrapper, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    File::create(sandbox.path("once")).unwrap();
    for expected in ["one", "two"] {
        assert_eq!(word(sandbox.xtask([]).env("RUSTC_WRAPPER", &wrapper), "program"), expected);
        assert!(!sandbox.path("once").exists());
    }
    sandbox.assert_current();
}

#[test]
fn runs_nothing_when_the_build_fails() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.word("program"), "one");
    let assert_fails = |message: &str| {
        for _ in 0..2 {
            let Ran { status, stdout, stderr } = run(&mut sandbox.xtask([]));
            assert_eq!((status.code(), stdout.as_str()), (Some(101), ""));
            assert!(stderr.contains(message), "{stderr}");
        }
    };
    sandbox.edit("xtask/src/main.rs", "fn main", "fn fain");
    assert_fails("`main` function not found");
    sandbox.edit("xtask/src/main.rs", "fn fain", "fn main");
    assert_eq!(sandbox.word("program"), "one");

    fs::rename(sandbox.path("data/db"), sandbox.path("data/away")).unwrap();
    assert_fails("couldn't read");
    fs::rename(sandbox.path("data/away"), sandbox.path("data/db")).unwrap();
    assert_eq!(sandbox.word("program"), "one");
    sandbox.assert_current();
}

#[test]
fn is_out_of_the_programs_way() {
    let sandbox = Sandbox::new();
    // Input is left to the program, even if a build comes first.
    for _ in 0..2 {
        let mut stdin =
            sandbox.xtask(["stdin"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        stdin.stdin.take().unwrap().write_all(b"spoken").unwrap();
        assert_eq!(stdin.wait_with_output().unwrap().stdout, b"spoken\n");
    }
    let arguments = ["say", "a b", "", "--", "--help", "*", "\"'"];
    assert_eq!(run(&mut sandbox.xtask(arguments)).stdout, format!("{arguments:?}\n"));
    assert_eq!(run(&mut sandbox.xtask(["exit", "130"])).status.code(), Some(130));
    assert_eq!(run(&mut sandbox.xtask(["abort"])).status.signal(), Some(6));

    // Cargo, launcher and program are one process, which has the terminal and receives every signal.
    let process = sandbox.xtask(["process"]).stdout(Stdio::piped()).spawn().unwrap();
    let id = process.id();
    assert_eq!(process.wait_with_output().unwrap().stdout, format!("{id}\n").as_bytes());

    let inner = sandbox.path("data/src");
    let folder = run(sandbox.xtask(["folder"]).current_dir(&inner));
    assert_eq!(folder.stdout, format!("{}\n", inner.display()));
}

#[test]
fn gives_the_program_the_users_environment() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.xtask(["environment"]);
    let Ran { stdout, stderr, .. } = run(command.env("CARGO_PROFILE_DEV_DEBUG", "0"));
    let has = |line: &str| assert!(stdout.lines().any(|is| is == line), "{line}: {stdout}{stderr}");
    has(format!("CRUDDUR_WORKSPACE={}", sandbox.path("").display()).trim_end_matches('/'));
    has("CARGO_PROFILE_DEV_DEBUG=0");
    has(&format!("CARGO={}", env!("CARGO")));
    for start in ["CARGO_PKG_", "CARGO_MANIFEST_"] {
        assert!(!stdout.lines().any(|line| line.starts_with(start)), "{stdout}");
    }
}

#[test]
fn follows_the_launcher_to_where_it_was_built() {
    let sandbox = Sandbox::new();
    let version = run(sandbox.cargo().arg("-vV")).stdout;
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let mut for_target = sandbox.xtask([]);
    for_target.env("CARGO_BUILD_TARGET", host);
    assert_eq!(word(&mut for_target, "program"), "one");
    assert_eq!(run(&mut for_target).stderr, "");
    assert!(sandbox.path("target").join(host).join("debug/xtask").exists());

    // A relative path depends on the current directory.
    let mut relative = sandbox.xtask([]);
    relative.current_dir(sandbox.path("data")).env("CARGO_TARGET_DIR", "mine");
    assert_eq!(word(&mut relative, "program"), "one");
    assert!(sandbox.path("data/mine/debug/xtask").exists());
    let config = sandbox.path(".cargo/config.toml");
    let alias = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("{alias}\n[build]\ntarget-dir = \"set\"\n")).unwrap();
    assert_eq!(sandbox.word("program"), "one");
    assert!(sandbox.path("set/debug/xtask").exists());
    sandbox.assert_current();

    let moved = sandbox.base.join("moved");
    fs::rename(sandbox.path(""), &moved).unwrap();
    let ran = run(sandbox.xtask(["environment"]).current_dir(&moved));
    let expected = format!("CRUDDUR_WORKSPACE={}\n", moved.display());
    assert!(ran.stdout.contains(&expected), "{}{}", ran.stdout, ran.stderr);
}

#[test]
fn waits_for_no_other_build() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.word("program"), "one");
    let files = fs::read_dir(sandbox.path("target/debug")).unwrap().map(|file| file.unwrap().path());
    let locks = files.filter(|path| path.file_name().unwrap().as_encoded_bytes().starts_with(b".cargo-"));
    let held: Vec<_> =
        locks.map(|path| File::open(path).unwrap()).inspect(|file| file.lock().unwrap()).collect();
    assert!(!held.is_empty());
    let mut xtask = sandbox.xtask([]).stdout(Stdio::null()).spawn().unwrap();
    let ended = (0..200).find_map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(100));
        xtask.try_wait().unwrap()
    });
    drop(held);
    let status = xtask.wait().unwrap();
    assert!(ended.is_some() && status.success(), "{ended:?} {status}");
}

#[test]
fn runs_twice_at_once() {
    let sandbox = Sandbox::new();
    for text in ["one", "two"] {
        fs::write(sandbox.path("data/db/word.sql"), text).unwrap();
        let start = || sandbox.xtask([]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        for process in [start(), start(), start()] {
            let output = process.wait_with_output().unwrap();
            let stdout = String::from_utf8(output.stdout).unwrap();
            assert!(stdout.contains(&format!("sql: {text}\n")), "{stdout}");
        }
        sandbox.assert_current();
    }
}

#[test]
fn errors_name_the_cause() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.word("program"), "one");
    let alone = run(sandbox.launcher().env_remove("CARGO_MANIFEST_DIR"));
    assert_eq!(alone.status.code(), Some(1));
    assert_eq!(alone.stderr, "error: start the tasks with `cargo xtask`\n");

    sandbox.edit("xtask/src/main.rs", "one", "two");
    let lost = run(&mut sandbox.launcher());
    assert_eq!((lost.status.code(), lost.stdout.as_str()), (Some(1), ""));
    assert!(lost.stderr.starts_with("error: cannot start /no/such/cargo: "), "{}", lost.stderr);
}
