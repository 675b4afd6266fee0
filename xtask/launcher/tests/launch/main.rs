//! `cargo xtask` run for real, each test in a small workspace of its own.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod sandbox;

use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, SystemTime};

use sandbox::{Ran, Sandbox, run, set_time, word};

/// The age of a file that was made before anything here.
const YEARS: Duration = Duration::from_secs(100_000_000);

#[test]
fn builds_first_and_then_starts_the_program_alone() {
    let sandbox = Sandbox::new();
    let first = run(&mut sandbox.xtask(["hello"]));
    assert_eq!(first.stdout, "[\"hello\"]\n");
    assert!(first.stderr.contains("Compiling data"), "{}", first.stderr);

    sandbox.assert_current();
    let inner = sandbox.path("data/db");
    for command in [&mut sandbox.launcher(), sandbox.launcher().current_dir(inner)] {
        let next = run(command.arg("hello"));
        assert_eq!((next.stdout.as_str(), next.stderr.as_str()), ("[\"hello\"]\n", ""));
    }
}

#[test]
fn sees_an_edited_source() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.word("program"), "one");
    sandbox.edit("xtask/src/main.rs", "one", "two");
    assert_eq!(sandbox.word("program"), "two");
    sandbox.edit("data/src/lib.rs", "\"one\"", "\"two\"");
    assert_eq!(sandbox.word("library"), "two");
    sandbox.edit("data/db/word.sql", "one", "two");
    assert_eq!(sandbox.word("sql"), "select 'two';");
    sandbox.assert_current();
}

#[test]
fn sees_an_edited_manifest() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.word("version"), "1.0.0");
    sandbox.edit("Cargo.toml", "1.0.0", "1.0.1");
    assert_eq!(sandbox.word("version"), "1.0.1");
    sandbox.edit("data/Cargo.toml", "[features]", "[features]\ndefault = [\"loud\"]");
    assert_eq!(sandbox.word("library"), "ONE");
    sandbox.assert_current();
    sandbox.edit("Cargo.lock", "[[package]]", "\n[[package]]");
    sandbox.assert_asks_cargo();
}

#[test]
fn sees_edited_settings() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.word("setting"), "unset");
    let setting = |word: &str| format!("[env]\nWORD = \"{word}\"\n");

    // Above the workspace, and in cargo's home.
    fs::create_dir(sandbox.outside(".cargo")).unwrap();
    fs::write(sandbox.outside(".cargo/config.toml"), setting("above")).unwrap();
    assert_eq!(sandbox.word("setting"), "above");
    sandbox.assert_current();
    fs::remove_file(sandbox.outside(".cargo/config.toml")).unwrap();
    fs::write(sandbox.outside("cargo home/config.toml"), setting("home")).unwrap();
    assert_eq!(sandbox.word("setting"), "home");
    fs::write(sandbox.outside("cargo home/config.toml"), "build.rustflags = \"--cfg flag\"\n").unwrap();
    assert_eq!(sandbox.word("flag"), "true");
    sandbox.assert_current();

    // The workspace's own files.
    sandbox.edit(".cargo/config.toml", "[alias]", "[alias]\nx = \"xtask\"");
    sandbox.assert_asks_cargo();
    fs::write(sandbox.path("rust-toolchain.toml"), "[toolchain]\nprofile = \"minimal\"\n").unwrap();
    sandbox.assert_asks_cargo();

    // Only where the user is.
    fs::create_dir(sandbox.path("data/.cargo")).unwrap();
    fs::write(sandbox.path("data/.cargo/config.toml"), setting("inner")).unwrap();
    sandbox.assert_current();
    let mut inner = sandbox.xtask([""; 0]);
    assert_eq!(word(inner.current_dir(sandbox.path("data")), "setting"), "inner");
    assert_eq!(sandbox.word("setting"), "unset");
}

#[test]
fn asks_cargo_each_time_where_only_cargo_can_tell() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.word("flag"), "false");
    let script = "fn main() { println!(\"cargo::rustc-cfg=flag\"); }";
    fs::write(sandbox.path("xtask/build.rs"), script).unwrap();
    assert_eq!(sandbox.word("flag"), "true");
    fs::write(sandbox.path("unrelated"), "A script that names no files depends on all in its package.")
        .unwrap();
    let asked = run(&mut sandbox.xtask([""; 0]));
    assert!(asked.stderr.contains("Finished"), "{}", asked.stderr);

    fs::remove_file(sandbox.path("xtask/build.rs")).unwrap();
    assert_eq!(sandbox.word("flag"), "false");
    sandbox.assert_current();
    let config = sandbox.outside("cargo home/config.toml");
    fs::write(config, "include = [\"other.toml\"]").unwrap();
    for word in ["first", "second"] {
        let other = format!("[env]\nWORD = \"{word}\"\n");
        fs::write(sandbox.outside("cargo home/other.toml"), other).unwrap();
        assert_eq!(sandbox.word("setting"), word);
    }
}

#[test]
fn knows_a_build_script_by_the_files_it_names() {
    let sandbox = Sandbox::new();
    let script = |line: &str| {
        let lines = [line, "cargo::rerun-if-changed=build.rs", "cargo::rerun-if-changed=named"];
        let prints = lines.map(|line| format!("println!(\"{line}\");")).concat();
        fs::write(sandbox.path("xtask/build.rs"), format!("fn main() {{ {prints} }}")).unwrap();
    };
    fs::write(sandbox.path("xtask/named"), "one").unwrap();
    script("cargo::rustc-cfg=flag");
    assert_eq!(sandbox.word("flag"), "true");
    sandbox.assert_current();
    fs::write(sandbox.path("xtask/named"), "two").unwrap();
    sandbox.assert_asks_cargo();
    script("cargo::rustc-check-cfg=cfg(flag)");
    assert_eq!(sandbox.word("flag"), "false");
    sandbox.assert_current();
    script("cargo::rerun-if-env-changed=WORD");
    for _ in 0..2 {
        let asked = run(&mut sandbox.xtask([""; 0]));
        assert!(asked.stderr.contains("Finished"), "{}", asked.stderr);
    }
}

#[test]
fn sees_a_file_with_an_older_time() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.word("program"), "one");
    sandbox.swap("xtask/src/main.rs", "one", "two", YEARS);
    assert_eq!(sandbox.word("program"), "two");
    sandbox.assert_current();
    sandbox.swap("Cargo.toml", "1.0.0", "1.0.1", YEARS);
    assert_eq!(sandbox.word("version"), "1.0.1");
    sandbox.assert_current();

    // Of the same size, with the very same time.
    let sql = sandbox.path("data/db/word.sql");
    let time = fs::metadata(&sql).unwrap().modified().unwrap();
    sandbox.edit("data/db/word.sql", "one", "two");
    set_time(&sql, time);
    assert_eq!(sandbox.word("sql"), "select 'two';");

    // In a folder put in the place of theirs, which leaves the file's own times as they are.
    let [current, two, three] = ["data/db", "data/db.two", "data/db.three"].map(|db| sandbox.path(db));
    fs::create_dir(&three).unwrap();
    fs::write(three.join("word.sql"), "three").unwrap();
    sandbox.edit("data/src/lib.rs", "\"one\"", "\"two\"");
    assert_eq!(sandbox.word("library"), "two");
    fs::rename(&current, &two).unwrap();
    fs::rename(&three, &current).unwrap();
    assert_eq!(sandbox.word("sql"), "three");
    sandbox.assert_current();
}

#[test]
fn sees_a_file_from_before_a_build_by_cargo_itself() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.word("library"), "one");
    // Both versions are later than what the launcher knows, and cargo builds the second.
    let (library, kept) = (sandbox.path("data/src/lib.rs"), sandbox.outside("kept"));
    sandbox.edit("data/src/lib.rs", "\"one\"", "\"two\"");
    fs::copy(&library, &kept).unwrap();
    sandbox.edit("data/src/lib.rs", "\"two\"", "\"three\"");
    let built = run(sandbox.cargo().args(["build", "--package", "xtask"]));
    assert!(built.stderr.contains("Compiling data"), "{}", built.stderr);

    // Longer than an editor takes to move a file that it wrote into place.
    thread::sleep(Duration::from_millis(2100));
    fs::rename(&kept, &library).unwrap();
    assert_eq!(sandbox.word("library"), "two");
}

#[test]
fn builds_nothing_twice() {
    let sandbox = Sandbox::new();
    sandbox.assert_asks_cargo();
    sandbox.edit("data/src/lib.rs", "\"one\"", "\"two\"");
    let built = run(sandbox.cargo().args(["build", "--package", "xtask"]));
    assert!(built.stderr.contains("Compiling data"), "{}", built.stderr);
    let ran = run(&mut sandbox.xtask([""; 0]));
    assert!(ran.stdout.contains("library: two"), "{}", ran.stdout);
    assert!(!ran.stderr.contains("Compiling"), "{}", ran.stderr);
    sandbox.assert_current();
    let built = run(sandbox.cargo().args(["build", "--package", "xtask"]));
    assert!(!built.stderr.contains("Compiling"), "{}", built.stderr);
}

#[test]
fn runs_nothing_when_the_build_fails() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.word("program"), "one");
    let assert_fails = |message: &str| {
        for _ in 0..2 {
            let Ran { status, stdout, stderr } = run(&mut sandbox.xtask([""; 0]));
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
fn remembers_what_a_failed_build_was_shown() {
    let sandbox = Sandbox::new();
    let (db, one, two) = ("data/db", "data/db.one", "data/db.two");
    fs::create_dir(sandbox.path(two)).unwrap();
    fs::write(sandbox.path(two).join("word.sql"), "two").unwrap();
    assert_eq!(sandbox.word("sql"), "select 'one';");

    // The library is built with the second folder, and the program not at all.
    fs::rename(sandbox.path(db), sandbox.path(one)).unwrap();
    fs::rename(sandbox.path(two), sandbox.path(db)).unwrap();
    sandbox.edit("xtask/src/main.rs", "fn main", "fn fain");
    assert!(!run(&mut sandbox.xtask([""; 0])).status.success());

    fs::rename(sandbox.path(db), sandbox.path(two)).unwrap();
    fs::rename(sandbox.path(one), sandbox.path(db)).unwrap();
    sandbox.edit("xtask/src/main.rs", "fn fain", "fn main");
    assert_eq!(sandbox.word("sql"), "select 'one';");
}

#[test]
fn sees_an_edit_made_during_the_build() {
    let sandbox = Sandbox::new();
    let after = sandbox.outside("after");
    let xtask = || {
        let mut xtask = sandbox.xtask([""; 0]);
        let wrapper = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/after-rustc");
        xtask.env("RUSTC_WRAPPER", wrapper).env("AFTER_RUSTC", &after);
        xtask
    };
    fs::write(&after, "sed -i.old s/one/two/ xtask/src/main.rs").unwrap();
    assert_eq!(word(&mut xtask(), "program"), "one");
    assert!(!after.exists());
    assert_eq!(word(&mut xtask(), "program"), "two");

    // A file with an old time, which cargo would never see.
    fs::write(sandbox.path("data/db/new"), "three").unwrap();
    set_time(&sandbox.path("data/db/new"), SystemTime::now() - YEARS);
    fs::write(&after, "mv data/db/new data/db/word.sql").unwrap();
    sandbox.edit("xtask/src/main.rs", "two", "three");
    assert_eq!(word(&mut xtask(), "sql"), "select 'one';");
    assert!(!after.exists());
    assert_eq!(word(&mut xtask(), "sql"), "three");

    // Settings that were there for the build only.
    fs::write(sandbox.outside("cargo home/config.toml"), "[env]\nWORD = \"brief\"\n").unwrap();
    fs::write(&after, "rm ../'cargo home'/config.toml").unwrap();
    assert_eq!(word(&mut xtask(), "setting"), "brief");
    assert!(!after.exists());
    assert_eq!(word(&mut xtask(), "setting"), "unset");
    sandbox.assert_current();
}

#[test]
fn is_out_of_the_programs_way() {
    let sandbox = Sandbox::new();
    // Input is left to the program, also when there is a build before it.
    for _ in 0..2 {
        let mut stdin =
            sandbox.xtask(["stdin"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        stdin.stdin.take().unwrap().write_all(b"spoken").unwrap();
        assert_eq!(stdin.wait_with_output().unwrap().stdout, b"spoken\n");
    }
    let arguments = ["say", "a b", "", "--", "--help", "*", "\"'"];
    assert_eq!(run(&mut sandbox.xtask(arguments)).stdout, format!("{arguments:?}\n"));
    assert_eq!(run(&mut sandbox.xtask(["exit", "7"])).status.code(), Some(7));
    assert_eq!(run(&mut sandbox.xtask(["exit", "130"])).status.code(), Some(130));
    assert_eq!(run(&mut sandbox.xtask(["abort"])).status.signal(), Some(6));

    // One process from cargo to the program: its terminal and every signal are its own.
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
    let inner = sandbox.path("data/src");
    let mut command = sandbox.xtask(["environment"]);
    command.current_dir(&inner).env("CARGO_PROFILE_DEV_DEBUG", "0").env("LD_LIBRARY_PATH", "/my/lib");
    for _ in 0..2 {
        let Ran { stdout, stderr, .. } = run(&mut command);
        let lines: Vec<&str> = stdout.lines().collect();
        let has = |line: &str| assert!(lines.contains(&line), "{line}: {stdout}{stderr}");
        has(format!("CRUDDUR_WORKSPACE={}", sandbox.path("").display()).trim_end_matches('/'));
        has("CARGO_PROFILE_DEV_DEBUG=0");
        has(&format!("CARGO={}", env!("CARGO")));
        if cfg!(target_os = "linux") {
            has("LD_LIBRARY_PATH=/my/lib");
        }
        for start in ["CARGO_PKG_", "CARGO_MANIFEST_"] {
            assert!(!lines.iter().any(|line| line.starts_with(start)), "{stdout}");
        }
    }
}

#[test]
fn follows_the_launcher_to_where_it_was_built() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.word("profile"), "dev");
    assert!(sandbox.path("target/debug/xtask").exists());

    let version = run(sandbox.cargo().arg("-vV")).stdout;
    let mut version = version.lines();
    let host = version.find_map(|line| line.strip_prefix("host: ")).unwrap();
    let launch = |options: &[&str]| {
        let mut launch = sandbox.cargo();
        launch.args(["run", "--quiet", "--package", "xtask-launcher"]).args(options);
        launch
    };
    let other = ["--target-dir", "target/other"];
    assert_eq!(word(&mut launch(&other), "profile"), "dev");
    assert_eq!(run(&mut launch(&other)).stderr, "");
    assert!(sandbox.path("target/other/debug/xtask").exists());

    let mut release = launch(&["--release"]);
    release.env("CARGO_BUILD_TARGET", host);
    assert_eq!(word(&mut release, "profile"), "release");
    assert_eq!(run(&mut release).stderr, "");
    assert!(sandbox.path("target").join(host).join("release/xtask").exists());

    // A path that means something else in another folder.
    let mut relative = sandbox.xtask([""; 0]);
    relative.current_dir(sandbox.path("data")).env("CARGO_TARGET_DIR", "mine");
    assert_eq!(word(&mut relative, "program"), "one");
    assert!(sandbox.path("data/mine/debug/xtask").exists());
}

#[test]
fn tells_checkouts_apart() {
    let (one, two) = (Sandbox::new(), Sandbox::new());
    two.edit("data/src/lib.rs", "\"one\"", "\"two\"");
    let shared = one.outside("shared");
    for _ in 0..2 {
        for (sandbox, expected) in [(&one, "one"), (&two, "two")] {
            let mut xtask = sandbox.xtask([""; 0]);
            assert_eq!(word(xtask.env("CARGO_TARGET_DIR", &shared), "library"), expected);
        }
    }

    assert_eq!(one.word("library"), "one");
    fs::rename(one.path(""), one.outside("moved")).unwrap();
    let mut moved = one.xtask(["environment"]);
    let moved = run(moved.current_dir(one.outside("moved")));
    let expected = format!("CRUDDUR_WORKSPACE={}\n", one.outside("moved").display());
    assert!(moved.stdout.contains(&expected), "{}{}", moved.stdout, moved.stderr);
}

#[test]
fn runs_twice_at_once() {
    let sandbox = Sandbox::new();
    for text in ["one", "two", "three"] {
        fs::write(sandbox.path("data/db/word.sql"), text).unwrap();
        let spawn = || sandbox.xtask([""; 0]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        for process in [spawn(), spawn(), spawn()] {
            let ran = Ran::from(process.wait_with_output().unwrap());
            assert!(ran.stdout.contains(&format!("sql: {text}\n")), "{}{}", ran.stdout, ran.stderr);
        }
        sandbox.assert_current();
    }
    let left = fs::read_dir(sandbox.path("target/debug")).unwrap();
    let names = left.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut stamps: Vec<String> =
        names.filter(|name| name.contains("stamp") || name.contains(".new.")).collect();
    assert_eq!(stamps.pop().as_deref(), Some("xtask.stamp"));
    assert_eq!(stamps.pop(), None);
}

#[test]
fn runs_a_copy_written_in_one_go() {
    let sandbox = Sandbox::new();
    let links = || fs::metadata(sandbox.path("target/debug/xtask")).unwrap().nlink();
    for (word, next) in [("one", "two"), ("two", "three")] {
        assert_eq!(sandbox.word("program"), word);
        assert_eq!(links(), 1);
        sandbox.assert_current();
        // Cargo puts its own back, which has a second name: it is the same program, and copied again.
        run(sandbox.cargo().args(["build", "--package", "xtask"]));
        assert_eq!(links(), 2);
        sandbox.assert_current();
        assert_eq!(links(), 1);
        sandbox.edit("xtask/src/main.rs", word, next);
    }
}

#[test]
fn gets_over_lost_and_damaged_files() {
    let sandbox = Sandbox::new();
    sandbox.assert_asks_cargo();
    let (program, stamp, dep_info) =
        ("target/debug/xtask", "target/debug/xtask.stamp", "target/debug/xtask.d");
    for lost in [program, stamp] {
        fs::remove_file(sandbox.path(lost)).unwrap();
        sandbox.assert_asks_cargo();
    }
    for damaged in [stamp, dep_info] {
        fs::write(sandbox.path(damaged), "\0").unwrap();
        fs::write(sandbox.path(stamp), "\0").unwrap();
        sandbox.assert_asks_cargo();
    }
}

#[test]
fn says_what_is_wrong() {
    let sandbox = Sandbox::new();
    sandbox.assert_asks_cargo();
    let alone = run(sandbox.launcher().env_remove("CARGO_MANIFEST_DIR"));
    assert_eq!(alone.status.code(), Some(1));
    assert_eq!(alone.stderr, "error: start the tasks with `cargo xtask`\n");

    sandbox.edit("xtask/src/main.rs", "one", "two");
    let lost = run(&mut sandbox.launcher());
    assert_eq!((lost.status.code(), lost.stdout.as_str()), (Some(1), ""));
    assert!(lost.stderr.starts_with("error: cannot start /no/such/cargo: "), "{}", lost.stderr);
}
