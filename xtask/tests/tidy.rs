//! Checks the repository's policy: what every manifest, file and test must look like.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Domains that a URL in a file may name: documentation, AWS, and the reserved example domains (RFC 2606). Package
/// registries, mirrors and private hosts do not belong here; they are settings of a machine.
const DOMAINS: [&str; 22] = [
    "amazon.com",
    "amazonaws.com",
    "amazonaws.com.cn",
    "api.aws",
    "crates.io",
    "docker.com",
    // The key of Docker Hub in the docker CLI's config.json.
    "docker.io",
    "docs.rs",
    "example",
    "example.com",
    "github.com",
    "gitlab.com",
    "go.dev",
    "kernel.org",
    "no-color.org",
    "podman.io",
    "postgresql.org",
    "rust-lang.github.io",
    "rust-lang.org",
    "rfc-editor.org",
    "sqlite.org",
    "whatwg.org",
];

/// Folders below /home and /Users that are the same on every machine, or only examples.
const HOMES: [&str; 3] = ["dynamodblocal", "linuxbrew", "me"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Every file of the repository except those that git ignores, by path from the root.
fn files() -> Vec<PathBuf> {
    let mut folders = vec![root().to_owned()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name();
            let kind = entry.file_type().unwrap();
            if kind.is_dir() && !["target", ".git", ".cruddur"].iter().any(|ignored| name == *ignored) {
                folders.push(entry.path());
            } else if kind.is_file() && name != ".env" {
                files.push(entry.path().strip_prefix(root()).unwrap().to_owned());
            }
        }
    }
    files.sort();
    assert!(files.len() > 50, "the repository was found");
    files
}

/// Every text file: its path and its content.
fn texts() -> impl Iterator<Item = (PathBuf, String)> {
    files().into_iter().filter_map(|path| Some((path.clone(), fs::read_to_string(root().join(path)).ok()?)))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The members' folders, from the workspace's manifest.
fn members() -> Vec<String> {
    let manifest = read("Cargo.toml");
    let (_, rest) = manifest.split_once("members = [").unwrap();
    let (list, _) = rest.split_once(']').unwrap();
    list.split(',')
        .map(|name| name.trim().trim_matches('"').to_owned())
        .filter(|name| !name.is_empty())
        .collect()
}

/// The lines of a manifest that declare dependencies of any kind.
fn dependencies(manifest: &str) -> Vec<&str> {
    let sections = manifest.split("\n[").filter(|section| {
        let name = section.split(']').next().unwrap();
        name.ends_with("dependencies") && !name.starts_with("workspace")
    });
    let lines = sections.flat_map(|section| section.lines().skip(1)).map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

#[track_caller]
fn assert_none(what: &str, found: &[String]) {
    assert!(found.is_empty(), "{what}:\n  {}", found.join("\n  "));
}

/// cargo-deny checks that each dependency has its version in the workspace and that none is unused.
#[test]
fn every_dependency_says_what_it_is_for() {
    let mut bad = Vec::new();
    for member in members() {
        let manifest = read(&format!("{member}/Cargo.toml"));
        let bare = dependencies(&manifest).into_iter().filter(|line| !line.contains(" # "));
        bad.extend(bare.map(|line| format!("{member}: {line}")));
    }
    assert_none("dependencies without a comment", &bad);
}

#[test]
fn the_launcher_has_no_dependencies() {
    let manifest = read("xtask/launcher/Cargo.toml");
    assert_eq!(dependencies(&manifest), [""; 0]);
}

/// The crates that a package is built from: name and version, with the features.
fn tree(package: &str) -> BTreeMap<String, BTreeSet<String>> {
    tree_of(&["--package", package, "--edges", "normal,build"])
}

fn tree_of(arguments: &[&str]) -> BTreeMap<String, BTreeSet<String>> {
    let mut tree = std::process::Command::new(std::env::var("CARGO").unwrap());
    tree.arg("tree").args(arguments).args(["--prefix", "none", "--offline", "--format", "{p}|{f}|"]);
    let output = tree.current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let mut crates = BTreeMap::<String, BTreeSet<String>>::new();
    // An empty line separates the workspace's packages.
    for line in text.lines().filter(|line| !line.is_empty()) {
        let [name, features, _] = line.splitn(3, '|').collect::<Vec<_>>()[..] else { panic!("{line}") };
        crates.entry(name.to_owned()).or_default().insert(features.to_owned());
    }
    crates
}

#[test]
fn the_tasks_never_compile_the_web_stack() {
    let is_there = |tree: &BTreeMap<String, _>, name: &str| tree.keys().any(|key| key.starts_with(name));
    let (server, tasks) = (tree("backend-flask-rs"), tree("xtask"));
    for name in ["axum", "deadpool-postgres", "jsonwebtoken", "maud", "tower-http", "tracing-subscriber"] {
        let name = format!("{name} v");
        assert!(is_there(&server, &name), "the server is made with {name}");
        assert!(!is_there(&tasks, &name), "{name} is compiled for the tasks");
    }
}

/// A crate with other features would be compiled twice, and so would all crates that depend on it.
#[test]
fn the_servers_are_built_from_what_the_tasks_have_compiled() {
    // No crate that the tasks and the app's server share depends on these.
    let again = ["backend-flask-rs ", "bitflags "];
    let tasks = tree("xtask");
    for server in ["backend-flask-rs", "xtask-dynamodb"] {
        let others = tree(server).into_iter().filter(|(name, features)| {
            tasks.get(name).is_some_and(|compiled| compiled != features)
                && !again.iter().any(|again| name.starts_with(again))
        });
        let others: Vec<_> = others.map(|(name, features)| format!("{name}: {features:?}")).collect();
        assert_none(&format!("crates that {server} has with other features than the tasks"), &others);
    }
}

/// Tests start the embedded DynamoDB server. It takes more than a minute to compile.
#[test]
fn the_embedded_dynamodb_is_built_from_what_the_tests_have_compiled() {
    let tests = tree_of(&["--workspace", "--edges", "normal,build,dev"]);
    let others =
        tree("xtask-dynamodb").into_iter().filter(|(name, features)| !features.is_subset(&tests[name]));
    let others: Vec<_> = others.map(|(name, features)| format!("{name}: {features:?}")).collect();
    assert_none("crates that xtask-dynamodb has with other features than the tests", &others);
}

#[test]
fn local_files_are_ignored_by_git() {
    let ignored = read(".gitignore");
    for line in ["/target/", "/.cruddur/", "/.env"] {
        assert!(ignored.lines().any(|ignored| ignored == line), ".gitignore has no {line}");
    }
}

/// The names that follow each `start` in a text, up to the first character that is not part of a name.
fn names_behind<'a>(text: &'a str, start: &str) -> impl Iterator<Item = &'a str> {
    text.split(start).skip(1).map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !"-._".contains(c)).unwrap_or(rest.len());
        &rest[..end]
    })
}

fn documents() -> impl Iterator<Item = (PathBuf, String)> {
    texts().filter(|(path, _)| path.extension().is_some_and(|extension| extension == "md"))
}

/// The anchor of a heading: lower case, hyphens for spaces, no punctuation.
fn anchor(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || "-_ ".contains(*c);
    heading.to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-")
}

#[test]
fn every_link_of_the_documents_leads_somewhere() {
    let (mut found, mut count) = (Vec::new(), 0);
    for (path, text) in documents() {
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") {
                continue;
            }
            count += 1;
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            let there = root().join(&target);
            let has_heading = || {
                let text = fs::read_to_string(&there).unwrap_or_default();
                text.lines().any(|line| anchor(line.trim_start_matches('#').trim()) == heading)
            };
            if !there.exists() || !(heading.is_empty() || has_heading()) {
                found.push(format!("{}: {link}", path.display()));
            }
        }
    }
    assert!(count > 10, "{count} links were found");
    assert_none("links that lead nowhere", &found);
}

#[test]
fn the_example_of_a_test_is_one() {
    let test = read("backend-flask-rs/tests/databases.rs");
    let code = &test[test.find("\nuse ").unwrap()..];
    let shown: String = code.lines().map(|line| format!("    {line}").trim_end().to_owned() + "\n").collect();
    assert!(read("docs/testing.md").contains(shown.trim_end()), "docs/testing.md shows another test");
}

#[test]
fn no_file_names_a_host_that_is_not_documentation_s() {
    let is_known =
        |host: &str| DOMAINS.iter().any(|domain| host == *domain || host.ends_with(&format!(".{domain}")));
    // A name without a dot is a placeholder, and a number is an address.
    let is_host = |host: &str| {
        host.rsplit_once('.')
            .is_some_and(|(_, last)| last.len() > 1 && last.chars().all(|c| c.is_ascii_alphabetic()))
    };
    let mut found = Vec::new();
    for (path, text) in texts().filter(|(path, _)| !path.ends_with("Cargo.lock")) {
        for host in names_behind(&text, "://").map(|host| host.trim_end_matches('.').to_ascii_lowercase()) {
            if is_host(&host) && !is_known(&host) {
                found.push(format!("{}: {host}", path.display()));
            }
        }
    }
    assert_none("hosts that are not in DOMAINS", &found);
}

#[test]
fn no_file_names_somebody_s_home_folder() {
    let mut found = Vec::new();
    let own = [std::env::var("HOME").unwrap_or_default(), root().display().to_string()];
    let own: Vec<_> = own.iter().filter(|path| path.len() > 4).map(|path| format!("{path}/")).collect();
    for (path, text) in texts() {
        let homes = ["/home/", "/Users/"].iter().flat_map(|start| names_behind(&text, start));
        let homes = homes.filter(|name| !name.is_empty() && !name.starts_with('.') && !HOMES.contains(name));
        found.extend(homes.map(|name| format!("{}: home folder of {name}", path.display())));
        let own = own.iter().filter(|own| text.contains(*own));
        found.extend(own.map(|own| format!("{}: {own}", path.display())));
    }
    assert_none("absolute paths of one machine", &found);
}

/// The first two cells of a document's table rows. The first one is a name, with or without backquotes.
fn rows(document: &str) -> Vec<(String, String)> {
    let cells = document.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" | "));
    let name = |cell: &str| cell.trim_matches('`').to_owned();
    cells.map(|(first, rest)| (name(first), rest.split(" | ").next().unwrap().to_owned())).collect()
}

#[test]
fn every_fault_has_a_row_and_every_row_is_a_test() {
    let mut tests = Vec::new();
    for (_, text) in texts().filter(|(path, _)| path.starts_with("xtask/tests/tasks/faults")) {
        let mut lines = text.lines();
        while lines.any(|line| line.trim() == "#[test]") {
            let mut behind = lines.clone().filter_map(|line| line.trim().strip_prefix("fn "));
            tests.push(behind.next().unwrap().split('(').next().unwrap().to_owned());
        }
    }
    assert!(tests.len() > 40, "the tests were found: {tests:?}");
    let faults = read("docs/faults.md");
    let mut listed: Vec<_> = rows(&faults).into_iter().map(|(name, _)| name).collect();
    listed.retain(|name| name.contains('_') && name.chars().all(|c| !c.is_uppercase()));
    tests.sort();
    listed.sort();
    assert_eq!(listed, tests, "the rows of docs/faults.md, and the tests");
}

/// Whether a file is a source of the `xtask` program.
fn is_of_the_program(path: &Path) -> bool {
    path.starts_with("xtask/src")
}

#[test]
fn every_bound_is_listed_as_it_is() {
    let rows = rows(&read("docs/faults.md"));
    let (mut wrong, mut found) = (Vec::new(), 0);
    for (path, text) in texts().filter(|(path, _)| is_of_the_program(path)) {
        for line in text.lines().filter(|line| line.contains("BOUND: Duration = ")) {
            found += 1;
            let (name, value) = line.split_once(": Duration = ").unwrap();
            let name = name.rsplit(' ').next().unwrap();
            let is_listed = rows.iter().any(|(listed, bound)| {
                let is_said = |form: &str, unit: &str| {
                    let number = value.strip_prefix(form).and_then(|rest| rest.strip_suffix(");"));
                    number.is_none_or(|number| {
                        bound.split(", ").any(|bound| bound == format!("{} {unit}", number.replace('_', "")))
                    })
                };
                listed == name
                    && is_said("Duration::from_secs(", "s")
                    && is_said("Duration::from_millis(", "ms")
            });
            if !is_listed {
                wrong.push(format!("{}: {name} {value}", path.display()));
            }
        }
    }
    assert!(found > 20, "the bounds were found");
    assert_none("bounds that docs/faults.md does not list, or not as they are", &wrong);
}

#[test]
fn the_workflow_may_only_read_and_takes_actions_by_their_hash() {
    let workflow = read(".github/workflows/ci.yml");
    assert!(workflow.contains("\npermissions:\n  contents: read\n"));
    assert!(workflow.contains("- run: .ci/deny"));
    let of_jobs = workflow + &read(".github/actions/tasks/action.yml");
    let used = of_jobs.lines().filter_map(|line| line.split_once("uses: "));
    for (_, action) in used.filter(|(_, action)| !action.starts_with("./.github/actions/")) {
        let version = action.split(['@', ' ']).nth(1).unwrap();
        assert!(version.len() == 40 && version.bytes().all(|byte| byte.is_ascii_hexdigit()), "{action}");
    }
}

#[test]
fn every_image_has_a_tag() {
    let dockerfile = read("backend-flask-rs/Dockerfile");
    let images: Vec<_> = dockerfile.lines().filter_map(|line| line.split_once("_IMAGE=")).collect();
    let untagged: Vec<_> = images.iter().filter(|(_, image)| !image.contains(':')).collect();
    assert!(images.len() >= 2 && untagged.is_empty(), "{untagged:?}");
}
