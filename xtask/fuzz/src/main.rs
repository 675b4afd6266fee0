//! One target of `xtask::fuzzing`, named by the variable `FUZZ_TARGET`, under libFuzzer. `.ci/fuzz` builds and
//! runs it.
#![no_main]

#[cfg(not(fuzzing))]
compile_error!("`.ci/fuzz` builds this package");

use std::sync::LazyLock;

use xtask::fuzzing::TARGETS;

static READ: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    match TARGETS.iter().find(|target| target.name == name) {
        Some(target) => target.read,
        None => panic!("FUZZ_TARGET=`{name}` names no target of {:?}", TARGETS.map(|target| target.name)),
    }
});

libfuzzer_sys::fuzz_target!(init: { LazyLock::force(&READ) }, |input: &[u8]| READ(input));
