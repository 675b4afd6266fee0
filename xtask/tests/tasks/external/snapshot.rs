//! `cargo xtask snapshot`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::{SHORT_CONVERSATION, TABLE, World};

/// An item with every type of value.
const EVERY_TYPE: &str = r#"{"pk": {"S": "TYPES"}, "sk": {"S": "1"}, "n": {"N": "1.50"}, "b": {"B": "AAEC"},
    "bool": {"BOOL": true}, "null": {"NULL": true}, "l": {"L": [{"S": "a"}, {"N": "-1E+3"}]},
    "m": {"M": {"ä": {"S": "\u0007"}}}, "ss": {"SS": ["a", "b"]}, "ns": {"NS": ["1", "2"]}, "bs": {"BS": ["AA==", "AQ=="]}}"#;

fn users(world: &World) -> Vec<String> {
    world.database.column("select row_to_json(users)::text from users order by uuid")
}

fn items(world: &World) -> Vec<Value> {
    world.endpoint().items(TABLE)
}

#[test]
fn a_saved_snapshot_is_restored() {
    let world = World::set_up();
    world.database.execute("update users set display_name = 'It''s \u{e4} \\ me' where handle = 'bayko'");
    world.xtask("ddb put").arg(EVERY_TYPE).ok();
    let (before_users, before_items) = (users(&world), items(&world));
    let rehearsed = world.xtask("snapshot save mine --dry-run").ok();
    rehearsed.says(&["dry run: it would save snapshot mine\n", "nothing was changed"]);
    assert_eq!(world.xtask("snapshot list -o json").ok().stdout.trim(), "[]");
    let saved = world.xtask("snapshot save mine").ok();
    saved.says(&["saved snapshot mine of ", "5 users, 4 activities, 139 items"]);

    world.xtask("ddb-setup --no-snapshot").ok();
    assert_ne!(users(&world), before_users);
    let rehearsed = world.xtask("snapshot restore mine --dry-run").ok();
    rehearsed.says(&["it would replace what both databases hold", "139 items", "nothing was changed"]);
    assert_ne!(users(&world), before_users);
    let told = ["Both databases are restored from snapshot mine, in ", "5 users, 4 activities", "139 items"];
    world.xtask("snapshot restore mine").ok().says(&told);
    assert_eq!((users(&world), items(&world)), (before_users, before_items));
    // The sources have not changed.
    world.xtask("prepare").ok().says(&["nothing to do"]);

    let list: Value = serde_json::from_str(&world.xtask("snapshot list -o json").ok().stdout).unwrap();
    assert_eq!(list.as_array().unwrap().len(), 1);
    assert_eq!(
        [&list[0]["name"], &list[0]["engine"], &list[0]["items"]],
        [&json!("mine"), &json!("external"), &json!(139)]
    );
    #[cfg(target_os = "linux")]
    {
        let run = world.xtask("snapshot list").env("TERM", "xterm");
        let (_, shown) = super::output::typescript_in(80, run.into_command());
        let lines: Vec<Vec<_>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[0], ["NAME", "SAVED", "(UTC)", "USERS", "ACTIVITIES", "ITEMS", "SIZE"], "{shown}");
        assert_eq!((lines.len(), lines[1].len(), lines[1][0], lines[1][7]), (2, 8, "mine", "KB"), "{shown}");
        let saved = list[0]["saved"].as_str().unwrap();
        assert_eq!(format!("{}T{}", lines[1][1], lines[1][2]), saved[..19], "{shown}");
        assert!(world.xtask("snapshot list").ok().stdout.contains(saved), "a pipe gets whole values");
    }
    let mode = fs::metadata(world.path(".cruddur/snapshots/mine")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    world.xtask("snapshot delete mine --dry-run").ok().says(&["it would delete snapshot mine of "]);
    world.xtask("snapshot delete mine").ok();
    assert_eq!(world.xtask("snapshot list -o json").ok().stdout.trim(), "[]");
}

#[test]
fn it_can_be_copied_to_another_checkout() {
    let (here, there) = (World::set_up(), World::with_short_conversation());
    here.xtask("snapshot save mine").ok();
    fs::create_dir_all(there.path(".cruddur/snapshots/copy")).unwrap();
    for file in fs::read_dir(here.path(".cruddur/snapshots/mine")).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), there.path(".cruddur/snapshots/copy").join(file.file_name())).unwrap();
    }
    there.xtask("snapshot restore copy").ok();
    assert_eq!((users(&there), items(&there)), (users(&here), items(&here)));
}

#[test]
fn no_snapshot_is_overwritten_without_a_word() {
    let world = World::with_short_conversation();
    world.xtask("snapshot save mine").ok();
    let count = items(&world).len();
    world.xtask("ddb-setup").ok();
    world.xtask("snapshot save mine").fails(1).says(&["snapshot mine exists already", "--force"]);
    world.xtask("snapshot restore mine").ok();
    assert_eq!(items(&world).len(), count);
    world.write("backend-flask-rs/ddb/conversation.txt", SHORT_CONVERSATION);
    world.xtask("ddb-setup").ok();
    world.xtask("snapshot save mine --force").ok();
    world.xtask("ddb seed --messages 50 --conversations 2 --users 4").ok();
    world.xtask("snapshot restore mine").ok();
    assert_eq!(items(&world).len(), SHORT_CONVERSATION.lines().count() + 2);
}

#[test]
fn any_name_is_kept_and_other_files_are_left_alone() {
    let world = World::set_up();
    world.xtask("snapshot save mine.part").ok();
    fs::write(world.path(".cruddur/snapshots/note"), "a note").unwrap();
    world.xtask("snapshot save note2").ok();
    let list = world.xtask("snapshot list -o jsonl").ok().stdout;
    assert_eq!(list.lines().count(), 2, "{list}");
    assert!(world.path(".cruddur/snapshots/note").exists());
}

#[test]
fn names_stay_in_the_folder_and_production_is_refused() {
    let world = World::set_up();
    for name in ["../x", "a/b", ".x", "a b", ""] {
        world.xtask("snapshot save").arg(name).fails(2).says(&["1 to 100 letters, digits"]);
    }
    world.xtask("snapshot save x --prod").fails(2);
    for command in ["restore", "delete"] {
        let missing = world.xtask(&format!("snapshot {command} none")).fails(1);
        missing.says(&["there is no snapshot none", "cargo xtask snapshot list"]);
    }
    assert!(!world.path(".cruddur/snapshots").exists());
}

#[test]
fn a_damaged_snapshot_changes_nothing() {
    let world = World::set_up();
    world.xtask("snapshot save mine").ok();
    let before = (users(&world), items(&world));
    let folder = world.path(".cruddur/snapshots/mine");
    let manifest = fs::read_to_string(folder.join("manifest.json")).unwrap();
    let later = manifest.replacen("\"version\": \"", "\"version\": \"9", 1);
    let elsewhere = manifest.replace(TABLE, "../../x");
    let timeless = manifest.replacen("\"saved\": \"", "\"saved\": \"\\n", 1);
    for (text, told) in [
        (later.as_str(), "the snapshot is of PostgreSQL 9"),
        (&elsewhere, "table"),
        ("{", ".json:1:1: not a snapshot's manifest"),
        (&timeless, "says no time"),
    ] {
        fs::write(folder.join("manifest.json"), text).unwrap();
        for line in ["snapshot restore mine", "snapshot restore mine --dry-run"] {
            let failed = world.xtask(line).fails(1);
            failed.says(&[told]);
            assert!(!failed.stderr.contains("EOF"), "{failed}");
        }
        assert_eq!((users(&world), items(&world)), before, "{told}");
        if text == "{" {
            let listed = world.xtask("snapshot list -o json").ok();
            listed.says(&["warning: snapshot mine cannot be restored", told]);
            let listed: Value = serde_json::from_str(&listed.stdout).unwrap();
            assert_eq!((&listed[0]["name"], &listed[0]["saved"]), (&json!("mine"), &Value::Null));
        }
    }
    fs::write(folder.join("manifest.json"), &manifest).unwrap();
    for file in ["postgres.dump", "cruddur-messages.jsonl.zst"] {
        let whole = fs::read(folder.join(file)).unwrap();
        fs::write(folder.join(file), &whole[..whole.len() / 2]).unwrap();
        world.xtask("snapshot restore mine").fails(1).says(&[file, "is damaged", "nothing was changed"]);
        world.xtask("snapshot restore mine --dry-run").fails(1).says(&[file, "is damaged"]);
        assert_eq!((users(&world), items(&world)), before, "{file}");
        fs::write(folder.join(file), whole).unwrap();
    }
    fs::remove_file(folder.join("postgres.dump")).unwrap();
    world.xtask("snapshot restore mine").fails(1).says(&[
        "cannot read",
        "postgres.dump",
        "cargo xtask snapshot delete mine",
    ]);
    assert_eq!((users(&world), items(&world)), before);
}

#[test]
fn half_a_snapshot_needs_the_other_database() {
    let world = World::set_up();
    world.xtask("ddb put").arg(EVERY_TYPE).ok();
    let dropped = world.xtask("ddb drop").arg(TABLE).ok();
    dropped.says(&["saving snapshot before-ddb-drop first", ": Postgres not saved, 139 items"]);
    world.xtask("db drop").ok();
    world
        .xtask("snapshot save nothing")
        .fails(1)
        .says(&["nothing was saved", "`cargo xtask prepare` sets both databases up"]);
    for command in ["snapshot restore before-ddb-drop", "ddb-setup --from before-ddb-drop"] {
        let refused = world.xtask(command).fails(1);
        refused.says(&["the snapshot has no rows, and ", " does not exist", "help: `cargo xtask prepare`"]);
    }
    world.xtask("db setup").ok();
    world.xtask("snapshot restore before-ddb-drop").ok().says(&["139 items"]);
    world.database.execute("delete from activities");
    world.xtask("db drop").ok().says(&["saving snapshot before-db-drop first"]);
    world.xtask("ddb drop").arg(TABLE).ok();
    let before = world.xtask("snapshot list").ok().stdout;
    world.xtask("db setup").ok();
    world.database.execute("delete from activities");
    let refused = world.xtask("snapshot restore before-db-drop").fails(1);
    refused.says(&["the snapshot has no items, and table ", "help: `cargo xtask prepare`"]);
    assert_eq!(
        world.xtask("snapshot list").ok().stdout,
        before,
        "a restore that cannot be done saves nothing"
    );
    world.xtask("ddb schema-load").ok();
    world.xtask("snapshot restore before-db-drop").ok().says(&["5 users, 0 activities"]);
}

#[test]
fn a_save_that_is_killed_leaves_nothing_and_a_restore_is_run_again() {
    let world = World::set_up();
    let before = (users(&world), items(&world));
    world.xtask("snapshot save good").ok();
    for milliseconds in (5..150).step_by(12) {
        for command in ["snapshot save other", "snapshot restore good --no-snapshot"] {
            let running = world.xtask(command).start();
            std::thread::sleep(Duration::from_millis(milliseconds));
            running.signal("KILL");
            drop(running);
        }
        if world.path(".cruddur/snapshots/other").exists() {
            world.xtask("snapshot delete other").ok();
        }
        world.xtask("snapshot restore good --no-snapshot").ok();
        assert_eq!((users(&world), items(&world)), before, "killed after {milliseconds} ms");
    }
    world.xtask("snapshot save good --force").ok();
    let left = fs::read_dir(world.path(".cruddur/snapshots")).unwrap().count();
    assert_eq!(left, 1, "what the killed ones left is gone");
}

#[test]
fn restores_that_are_killed_leave_what_was_there_before_the_first() {
    let world = World::set_up();
    world.xtask("ddb seed --messages 1000").ok();
    world.xtask("snapshot save large").ok();
    world.xtask("ddb put").arg(r#"{"pk":"GRP#precious","sk":"mine"}"#).ok();
    for milliseconds in [150, 200, 250, 300, 350] {
        let running = world.xtask("snapshot restore large").start();
        std::thread::sleep(Duration::from_millis(milliseconds));
        running.signal("KILL");
        drop(running);
    }
    world.xtask("snapshot restore large").ok();
    let saved = world.xtask("snapshot list -o json").ok().json();
    let names = saved.as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap().to_owned());
    // The oldest one has the highest number.
    let oldest = names.filter(|name| name.starts_with("before-restore")).max().unwrap();
    world.xtask("snapshot restore --no-snapshot").arg(oldest).ok();
    world.xtask("ddb get GRP#precious mine").ok();
}
