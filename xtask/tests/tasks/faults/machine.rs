//! This machine's disks.

use super::{QUICK, TABLE, World, assert_imported, lines};
use crate::common::run::Run;
use crate::common::skip;

/// Runs with another file system mounted, by the command `mount`, in a namespace of its own. `None` if this machine
/// does not let its users do that.
fn seeing(mount: &str, run: Run) -> Option<Run> {
    let works = |arguments: &[&str]| {
        let ran = std::process::Command::new("unshare").args(arguments).arg("true").output();
        ran.is_ok_and(|output| output.status.success())
    };
    let arguments = ["--user", "--map-root-user", "--mount"];
    if !works(&arguments) {
        skip("a file system of one's own takes user namespaces");
        return None;
    }
    let script = format!("{mount} && exec \"$@\"");
    Some(run.through("unshare", &[&arguments[..], &["sh", "-c", &script, "mount"]].concat()))
}

#[test]
fn a_full_disk_under_an_export() {
    let world = World::with_known_seed();
    std::fs::create_dir(world.path("disk")).unwrap();
    for file in ["disk/out.jsonl", "disk/out.csv.gz"] {
        let run = world.xtask("ddb export").arg(file);
        let full = "mount -t tmpfs -o size=4k none disk && head -c 4096 /dev/zero > disk/filler";
        let Some(run) = seeing(full, run) else { return };
        let failed = run.fails(1);
        failed.within(QUICK).says(&["cannot write disk/out.", "No space left on device"]);
        assert!(!world.path(file).exists());
        world.xtask("ddb export").arg(file).ok();
        world.xtask("ddb import").arg(file).ok();
    }
    world.assert_whole();
}

#[test]
fn a_read_only_file_system_under_an_export() {
    let world = World::with_known_seed();
    std::fs::create_dir(world.path("disk")).unwrap();
    let run = world.xtask("ddb export disk/out.jsonl");
    let Some(run) = seeing("mount -t tmpfs -o ro none disk", run) else { return };
    run.fails(1).within(QUICK).says(&["cannot write disk/out.jsonl", "Read-only file system"]);
    world.xtask("ddb export disk/out.jsonl").ok();
}

#[test]
fn a_read_only_state_folder() {
    let world = World::with_known_seed();
    let made = lines(100);
    world.write("made.jsonl", &made);
    let read_only = "mount --bind .cruddur .cruddur && mount -o remount,bind,ro .cruddur";
    for line in ["ddb-setup", "db setup", "ddb seed", "ddb drop cruddur-messages", "ddb import made.jsonl"] {
        let Some(run) = seeing(read_only, world.xtask(line)) else { return };
        run.fails(1).within(QUICK).says(&[".cruddur/lock", "Read-only file system"]);
    }
    // A command that changes nothing here needs no lock.
    let Some(run) = seeing(read_only, world.xtask("ddb scan")) else { return };
    run.ok();
    world.assert_whole();
}

#[test]
fn a_full_disk_from_which_data_are_removed() {
    let world = World::with_known_seed();
    let full = "mount -t tmpfs -o size=16k none .cruddur && mkdir .cruddur/dynamodb && echo > .cruddur/lock && \
                (head -c 16384 /dev/zero > .cruddur/dynamodb/filler || true)";
    let Some(run) = seeing(full, world.xtask("down --volumes --engine embedded")) else { return };
    run.ok().within(QUICK).says(&["removed ", ".cruddur/dynamodb"]);
}

#[test]
fn a_full_disk_under_the_state_folder() {
    let world = World::with_known_seed();
    let made = lines(3_000);
    world.write("made.jsonl", &made);
    world.xtask("ddb drop cruddur-messages").ok();
    world.xtask("ddb schema-load").ok();
    let full = "mount -t tmpfs -o size=4k none .cruddur && head -c 4096 /dev/zero > .cruddur/filler || true";
    let Some(run) = seeing(full, world.xtask("ddb import made.jsonl")) else { return };
    run.fails(1).within(QUICK).says(&[".cruddur/lock", "No space left on device"]);
    world.xtask("ddb import made.jsonl").ok();
    assert_imported(world.endpoint(), TABLE, &made);
}
