use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use fastrand::Rng;

use super::*;

/// How many inputs are made of each target's seeds. `.ci/fuzz` has time for more.
const MADE: usize = 1_000;

/// What has a meaning to one parser or another.
const TOKENS: [&str; 32] = [
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\"",
    "'",
    "\\",
    "\n",
    "\r\n",
    "\0",
    "\u{feff}",
    "é",
    " #",
    "=",
    "$",
    "${",
    "%",
    "@",
    "/",
    "//",
    "-",
    "- ",
    "&a ",
    "*a",
    "<<: ",
    "!!int ",
    "null",
    "9999999999",
    "1e400",
    "\u{10ffff}",
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds")
}

fn seeds(target: &Target) -> Vec<Vec<u8>> {
    let folder = folder().join(target.name);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// Another input made of two: a beginning of one, an end of the other, and a few changes.
fn made(rng: &mut Rng, seeds: &[Vec<u8>]) -> Vec<u8> {
    let (one, two) = (rng.choice(seeds).unwrap(), rng.choice(seeds).unwrap());
    let mut input = one.clone();
    if rng.bool() {
        input.truncate(rng.usize(..=one.len()));
        input.extend_from_slice(&two[rng.usize(..=two.len())..]);
    }
    for _ in 0..rng.usize(1..6) {
        let begin = rng.usize(..=input.len());
        let end = rng.usize(begin..=input.len().min(begin + 8));
        match rng.u8(..4) {
            0 => drop(input.splice(begin..end, [])),
            1 => drop(input.splice(begin..end, rng.choice(TOKENS).unwrap().bytes())),
            2 => drop(input.splice(begin..end, [rng.u8(..)])),
            _ => {
                let part = input[begin..end].repeat(rng.usize(1..40));
                drop(input.splice(begin..begin, part));
            }
        }
    }
    input
}

#[test]
fn every_target_has_seeds() {
    let names: BTreeSet<_> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    let folders = fs::read_dir(folder()).unwrap();
    let folders = folders.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(folders.collect::<BTreeSet<_>>(), names);
    for target in &TARGETS {
        assert!(seeds(target).len() > 1, "{}", target.name);
    }
}

#[test]
fn seeds_and_what_is_made_of_them_are_read_without_a_panic() {
    let mut rng = Rng::with_seed(20_230_320);
    for target in &TARGETS {
        let seeds = seeds(target);
        seeds.iter().for_each(|seed| (target.read)(seed));
        for _ in 0..MADE {
            let input = made(&mut rng, &seeds);
            let read = std::panic::catch_unwind(|| (target.read)(&input));
            assert!(read.is_ok(), "{}: {:?}", target.name, input.escape_ascii().to_string());
        }
    }
}

/// A stack that runs out ends the process, whatever catches panics.
#[test]
fn what_is_nested_deep_is_an_error_or_read() {
    const DEEP: usize = 20_000;
    let nested = |open: &str, inner: &str, close: &str| open.repeat(DEEP) + inner + &close.repeat(DEEP);
    let deep = [
        nested("[", "", "]"),
        nested("[", "", ""),
        nested("{\"a\":", "1", "}"),
        nested("{\"L\":[", "", "]}"),
        format!("{{\"a\":{}}}", nested("[", "1", "]")),
        format!("{{\"a\":{}}}", nested("{\"a\":", "1", "}")),
        format!("{{\"a\":{}}}", nested("{\"L\":[", "", "]}")),
        format!("{{\"Items\":[{{\"a\":{}}}]}}", nested("{\"L\":[", "", "]}")),
        format!("{{\"Count\":1,\"LastEvaluatedKey\":{}}}", nested("[", "", "]")),
        format!("a:L\n\"{}\"\n", nested("[", "", "]")),
        format!("*\n\"{{\"\"a\"\":{}}}\"\n", nested("{\"\"L\"\":[", "", "]}")),
        nested("- ", "a", ""),
        nested("? ", "a", ""),
        format!("services: {}", nested("{db: ", "", "}")),
        format!("services:\n  db:\n    image: {}", nested("[", "", "]")),
    ];
    for target in &TARGETS {
        deep.iter().for_each(|input| (target.read)(input.as_bytes()));
    }
}
