//! `cargo xtask completions`: the scripts, in the shells that they are for.

use crate::common::Workspace;
use crate::common::world::World;

/// Each runs after a shell's script, with the program and a line's words, of which the last is completed.
const BASH: &str = r#"
COMP_WORDS=(cargo xtask "${@:2}") COMP_CWORD=$#
_cargo_xtask cargo "${@: -1}"
printf '%s\n' "${COMPREPLY[@]}"
"#;

// zsh's own completion is not loaded, and would show what this prints.
const BEFORE_ZSH: &str = r#"
compdef() { }
_describe() { print -l -- ${(P)3} }
_files() { }
"#;
const ZSH: &str = r#"
words=(cargo xtask "${@:2}") CURRENT=$(($# + 1))
_cargo_xtask
"#;

const FISH: &str = r#"
complete --do-complete "cargo xtask $argv[2..]"
"#;

impl Workspace {
    /// The words that a shell offers for the last one of a line, except options.
    #[track_caller]
    fn offered(&self, shell: &str, line: &str) -> Vec<String> {
        let script = self.xtask("completions").arg(shell).ok().stdout;
        let (before, after, options) = match shell {
            "bash" => ("", BASH, ["--norc", "-c"]),
            "zsh" => (BEFORE_ZSH, ZSH, ["-f", "-c"]),
            _ => ("", FISH, ["--no-config", "--command"]),
        };
        let script = format!("{before}{script}{after}");
        // The first word after a script is its own name, except in fish.
        let options = options.into_iter().chain([&*script]);
        let options: Vec<_> = options.chain((shell != "fish").then_some(shell)).collect();
        let run = line.split(' ').fold(self.xtask(""), |run, word| run.arg(word));
        let ran = run.through(shell, &options).ok();
        assert_eq!(ran.stderr, "");
        let name = |line: &str| line.split(['\t', ':']).next().unwrap_or_default().to_owned();
        ran.stdout.lines().map(name).filter(|name| !name.is_empty() && !name.starts_with('-')).collect()
    }
}

fn completes_names(shell: &str) {
    let world = World::set_up();
    world.xtask("snapshot save before-lunch").ok();
    let hostile =
        "insert into users (display_name, handle, email, cognito_user_id) values ('', 'b$(reboot)', '', '')";
    world.xtask("db connect -c").arg(hostile).ok();
    let offered = |line: &str| world.offered(shell, line);
    assert_eq!(offered("do"), ["down", "doctor"]);
    assert_eq!(offered("ddb patterns g"), ["get-conversation"]);
    assert_eq!(offered("ddb scan --table "), ["cruddur-messages"]);
    assert_eq!(offered("ddb drop c"), ["cruddur-messages"]);
    assert_eq!(offered("ddb patterns list-conversations --handle b"), ["bayko"]);
    assert_eq!(offered("ddb-setup --from "), ["before-lunch"]);
    assert_eq!(offered("snapshot restore b"), ["before-lunch"]);
    assert_eq!(offered("ddb scan --prod --table "), [""; 0]);
    assert_eq!(offered("--engine e"), ["embedded", "external"]);
}

#[test]
fn bash_completes_existing_names() {
    completes_names("bash");
}

#[test]
#[ignore = "needs zsh"]
fn zsh_completes_existing_names() {
    completes_names("zsh");
}

#[test]
#[ignore = "needs fish"]
fn fish_completes_existing_names() {
    completes_names("fish");
}

#[test]
fn names_of_databases_that_do_not_answer_are_left_out() {
    let workspace = Workspace::new();
    assert_eq!(workspace.offered("bash", "ddb patterns list-conversations --handle b"), [""; 0]);
    assert_eq!(workspace.offered("bash", "ddb sc"), ["schema-load", "scan"]);
}
