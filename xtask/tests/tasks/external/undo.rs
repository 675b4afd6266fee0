//! Snapshots that are saved before a command destroys rows or items.

use std::fs;
use std::time::Duration;

use super::{TABLE, World};

fn snapshots(world: &World) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(world.path(".cruddur/snapshots"))
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn put(world: &World, key: &str) {
    world.xtask("ddb put").arg(format!(r#"{{"pk": "{key}", "sk": "1"}}"#)).ok();
}

#[test]
fn data_that_only_seeds_wrote_is_not_saved() {
    let world = World::new();
    for command in [
        "ddb-setup",
        "ddb-setup",
        "db seed",
        "ddb seed",
        "ddb seed --messages 40 --conversations 2 --users 4",
        "ddb-setup",
    ] {
        world.xtask(command).ok();
    }
    assert!(snapshots(&world).is_empty());
    // Single steps save no snapshot either.
    let (drop, load) = (format!("ddb drop {TABLE}"), "ddb schema-load");
    for command in ["db setup", "db setup", &drop, load, "ddb seed", &drop, load, "db schema-load", "db seed"]
        .into_iter()
        .chain(["ddb seed --messages 40 --conversations 2 --users 4", "db setup", "prepare", "db setup"])
    {
        world.xtask(command).ok();
    }
    assert!(snapshots(&world).is_empty());
    // Dropping the database drops its record, so the items count as the user's.
    for command in ["db drop", "ddb-setup"] {
        world.xtask(command).ok();
    }
    assert_eq!(snapshots(&world), ["before-ddb-setup"]);
    world.xtask("snapshot delete before-ddb-setup").ok();
    // A set-up that fails repeatedly leaves nothing that counts as the user's.
    let seed = "backend-flask-rs/db/seed.sql";
    let whole = fs::read_to_string(world.path(seed)).unwrap();
    world.write(seed, "nonsense;");
    for _ in 0..4 {
        world.xtask("ddb-setup").fails(2);
    }
    world.write(seed, &whole);
    world.xtask("ddb-setup").ok();
    assert!(snapshots(&world).is_empty());
    // Data that was added after a failed set-up counts as the user's.
    world.write(seed, "nonsense;");
    world.xtask("ddb-setup").fails(2);
    world.write(seed, &whole);
    put(&world, "mine");
    world.xtask("ddb-setup").ok();
    assert_eq!(snapshots(&world), ["before-ddb-setup"]);
}

#[test]
fn rows_of_other_tables_are_a_user_s_too() {
    let world = World::set_up();
    world.database.execute("create table notes as select 1 as n");
    world.xtask("ddb-setup").ok().says(&["1 row of another table", "before-ddb-setup"]);
    world.xtask("snapshot restore before-ddb-setup").ok();
    assert_eq!(world.database.column("select n::text from notes"), ["1"]);
}

#[test]
fn a_restore_can_be_undone_and_keeps_what_it_restores() {
    let world = World::set_up();
    put(&world, "precious");
    world.xtask("ddb-setup").ok();
    put(&world, "other");
    put(&world, "another");
    world.xtask("ddb-setup --from before-ddb-setup").ok().says(&["139 items"]);
    world.xtask("ddb get precious 1").ok();
    assert_eq!(snapshots(&world).len(), 2);
    put(&world, "third");
    world.xtask("snapshot restore before-ddb-setup").ok().says(&["snapshot restore before-restore"]);
    world.xtask("ddb get third 1").fails(1);
    world.xtask("snapshot restore before-restore").ok();
    world.xtask("ddb get third 1").ok();
}

#[test]
fn one_command_brings_back_what_a_set_up_replaced() {
    let world = World::set_up();
    put(&world, "mine");
    world
        .database
        .execute("insert into activities (user_uuid, message) select uuid, 'mine' from users limit 1");
    let set_up = world.xtask("ddb-setup").ok();
    set_up.says(&["5 users, 5 activities, 139 items", "cargo xtask snapshot restore before-ddb-setup"]);
    assert_eq!(world.endpoint().items(TABLE).len(), 138);
    world.xtask("snapshot restore before-ddb-setup").ok();
    assert_eq!(world.endpoint().items(TABLE).len(), 139);
    assert_eq!(world.database.column("select count(*)::text from activities"), ["5"]);

    // It still counts as the user's.
    world.xtask("ddb-setup --no-snapshot").ok();
    assert_eq!(snapshots(&world), ["before-ddb-setup"]);
    world.xtask("ddb-setup --from before-ddb-setup").ok().says(&["5 activities", "139 items"]);
    world.xtask("ddb-setup --from none").fails(1).says(&["there is no snapshot none"]);
}

#[test]
fn the_newest_three_are_kept() {
    let world = World::set_up();
    for count in 1..=5 {
        for item in 0..count {
            put(&world, &format!("mine{item}"));
        }
        world.xtask("ddb-setup").ok();
    }
    assert_eq!(snapshots(&world), ["before-ddb-setup", "before-ddb-setup.1", "before-ddb-setup.2"]);
    for (name, items) in [("before-ddb-setup", 143), ("before-ddb-setup.2", 141)] {
        world.xtask("snapshot restore").arg(name).ok().says(&[&format!("{items} items")]);
    }
}

#[test]
fn a_drop_and_a_new_schema_can_be_undone() {
    let world = World::set_up();
    world
        .database
        .execute("update users set display_name = 'Me' where handle = 'bayko'; delete from activities");
    put(&world, "mine");
    for (command, name) in [("db drop", "before-db-drop"), ("db schema-load", "before-db-schema-load")] {
        world.xtask(command).ok().says(&[&format!("snapshot restore {name}")]);
        let restored = world.xtask("snapshot restore").arg(name).ok();
        restored.says(&["the messages table here is left as it is"]);
        assert_eq!(world.database.column("select display_name from users where handle = 'bayko'"), ["Me"]);
    }
    world
        .xtask("ddb drop")
        .arg(TABLE)
        .ok()
        .says(&["139 items, some of which no seed may have written", "snapshot restore before-ddb-drop"]);
    world.xtask("snapshot restore before-ddb-drop").ok();
    assert_eq!(world.endpoint().items(TABLE).len(), 139);
    world.xtask("ddb drop --no-snapshot").arg(TABLE).ok();
    world.xtask("ddb-setup").ok();
    // Rows of the user's are no reason to save the seed's items.
    world.database.execute("delete from activities");
    assert!(!world.xtask("ddb drop").arg(TABLE).ok().stderr.contains("snapshot"));
}

#[test]
fn more_than_a_hundred_thousand_are_saved_only_if_the_user_says_so() {
    let world = World::set_up();
    world.database.execute(
        "insert into activities (user_uuid, message) select uuid, 'm' from users, generate_series(1, 20001)",
    );
    let refused = world.xtask("ddb-setup").fails(4);
    refused.says(&["100009 activities", "nothing was changed", "--no-snapshot", "cargo xtask snapshot save"]);
    assert!(snapshots(&world).is_empty());
    world.xtask("ddb-setup --no-snapshot").ok();
    assert!(snapshots(&world).is_empty());
}

#[test]
fn a_snapshot_that_cannot_be_saved_stops_the_command() {
    let world = World::set_up();
    put(&world, "mine");
    fs::create_dir_all(world.path(".cruddur")).unwrap();
    fs::write(world.path(".cruddur/snapshots"), "no folder").unwrap();
    world
        .xtask("ddb-setup")
        .fails(1)
        .says(&["before-ddb-setup cannot be saved; nothing was changed", "--no-snapshot"]);
    assert_eq!(world.endpoint().items(TABLE).len(), 139);
    world.xtask("ddb-setup --no-snapshot").ok();
}

#[test]
fn a_table_that_another_session_has_locked_is_not_waited_for() {
    let world = World::set_up();
    put(&world, "mine");
    let mut other = world.database.session();
    other.batch_execute("begin; lock table public.users").unwrap();
    let refused = world.xtask("ddb-setup").fails(1);
    refused.within(Duration::from_secs(10));
    refused.says(&["cannot tell what would be lost; nothing was changed", "lock timeout", "--no-snapshot"]);
    world.xtask("ddb-setup --no-snapshot").ok();
}

#[test]
fn a_session_that_was_just_closed_is_not_told_as_one_that_is_ended() {
    let world = World::set_up();
    for round in 0..15 {
        world.database.execute(&format!(
            "insert into users (display_name, handle, email, cognito_user_id) values ('Me', 'me{round}', '', '{round}')"
        ));
        let ran = world.xtask("db setup").ok();
        assert!(!ran.stderr.contains("ends the sessions"), "{round}: {ran}");
    }
}
