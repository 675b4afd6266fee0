//! `cargo xtask prepare`.

use std::time::Duration;

use super::{SHORT_CONVERSATION, TABLE, World};
use crate::common::prepare::each_source_is_noticed;

const SAME: &str = "schema, seed and conversation are those of the last set-up: nothing to do";

#[test]
fn data_written_since_the_set_up_stays() {
    let world = World::new();
    world.xtask("prepare").ok().says(&["the Postgres database does not exist", "5 users, 4 activities"]);
    world.database.execute("update users set display_name = 'Me' where handle = 'bayko'");
    world.xtask("ddb put").arg(r#"{"pk": "mine", "sk": "1"}"#).ok();
    let before = world.endpoint().items(TABLE);
    world.xtask("prepare").ok().says(&[SAME]);
    assert_eq!(world.endpoint().items(TABLE), before);
    assert_eq!(world.database.column("select display_name from users where handle = 'bayko'"), ["Me"]);
}

#[test]
fn each_source_that_changed_is_named() {
    let world = World::new();
    each_source_is_noticed(&world);
}

#[test]
fn data_removed_by_hand_is_noticed() {
    let world = World::set_up();
    let database = world.database.name.clone();
    // The flag says whether the remaining data may be a user's, according to the record.
    let steps: [(&str, bool, &dyn Fn()); 6] = [
        ("a table of the Postgres database does not exist", true, &|| {
            world.database.execute("drop table activities")
        }),
        ("the Postgres database does not exist", true, &|| _ = world.xtask("db drop").ok()),
        ("no set-up of both databases was finished", false, &|| _ = world.xtask("db schema-load").ok()),
        ("no set-up of both databases was finished", false, &|| _ = world.xtask("db setup").ok()),
        ("the messages table does not exist", false, &|| _ = world.xtask("ddb drop").arg(TABLE).ok()),
        ("the messages table was recreated", false, &|| {
            world.xtask("ddb drop").arg(TABLE).ok();
            world.xtask("ddb schema-load").ok();
        }),
    ];
    for (told, asks, step) in steps {
        step();
        world.xtask("prepare --dry-run").ok().says(&[told, "dry run: it would set both databases up again"]);
        if asks {
            let refused = world.xtask("prepare").fails(4);
            refused.says(&[told, "would lose", "stdin is not a terminal", "--yes"]);
        }
        let prepare = if asks { "prepare --yes" } else { "prepare" };
        world.xtask(prepare).ok().says(&[told, "138 items", &database]);
        world.xtask("prepare").ok().says(&[SAME]);
    }
}

#[test]
#[cfg(target_os = "linux")]
fn answering_no_loses_nothing() {
    let world = World::set_up();
    world.write("backend-flask-rs/ddb/conversation.txt", SHORT_CONVERSATION);
    world.xtask("ddb put").arg(r#"{"pk": "mine", "sk": "1"}"#).ok();
    let (code, text) = super::output::typescript(world.xtask("prepare").into_command(), "n\n");
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains(
            "and lose 5 users, 4 activities, 139 items (saved first as snapshot before-prepare)? [y/N]"
        ),
        "{text}"
    );
    assert!(text.contains("stopped: nothing was changed") && !text.contains("error:"), "{text}");
    assert_eq!(world.endpoint().items(TABLE).len(), 139);
    let (code, text) = super::output::typescript(world.xtask("prepare").into_command(), "y\n");
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(world.endpoint().items(TABLE).len(), SHORT_CONVERSATION.lines().count() + 2);
}

#[test]
fn a_seed_of_another_conversation_is_noted() {
    let world = World::set_up();
    world.xtask("ddb seed --person-1 zoekestrel --person-2 amemiya").ok();
    let persons = "the choice of persons or time (--person-1, --person-2, --now) has changed";
    world.xtask("prepare --dry-run").ok().says(&[persons, "which seeds wrote"]);
    world.xtask("prepare --person-1 zoekestrel --person-2 amemiya").ok().says(&[SAME]);
    world.write("backend-flask-rs/ddb/conversation.txt", SHORT_CONVERSATION);
    world.xtask("ddb seed").ok();
    world.xtask("prepare").ok().says(&[SAME]);
    // An item of the user's still counts as the user's after a seed.
    world.xtask("ddb put").arg(r#"{"pk": "mine", "sk": "1"}"#).ok();
    world.xtask("ddb seed --person-1 zoekestrel").ok();
    world.xtask("prepare").fails(4).says(&[persons]);
    world.xtask("prepare --yes").ok().says(&["saving snapshot before-prepare first"]);
    // A set-up that was not finished stays so.
    world.xtask("db setup").ok();
    world.xtask("ddb seed").ok();
    world.xtask("prepare").ok().says(&["no set-up of both databases was finished"]);
}

#[test]
fn in_ci_nobody_is_asked() {
    let world = World::set_up();
    world.write("backend-flask-rs/ddb/conversation.txt", SHORT_CONVERSATION);
    world.xtask("ddb put").arg(r#"{"pk": "mine", "sk": "1"}"#).ok();
    world.xtask("prepare").env("CI", "true").ok().says(&["the conversation has changed"]);
    assert_eq!(world.endpoint().items(TABLE).len(), SHORT_CONVERSATION.lines().count() + 2);
}

#[test]
fn a_rehearsal_changes_nothing() {
    let world = World::new();
    world
        .xtask("prepare --dry-run")
        .ok()
        .says(&["set both databases up again: the Postgres database does not exist"]);
    assert!(!world.database.exists());
    world.xtask("prepare").ok();
    let same = world.xtask("prepare --dry-run").ok();
    same.says(&["dry run: it would change nothing", "nothing was changed"]);
}

#[test]
fn after_a_set_up_that_was_killed_it_sets_up_again() {
    let world = World::set_up();
    for milliseconds in (10..200).step_by(12) {
        let running = world.xtask("ddb-setup").start();
        std::thread::sleep(Duration::from_millis(milliseconds));
        running.signal("KILL");
        drop(running);
        world.xtask("prepare --yes").ok();
        world.xtask("prepare").ok().says(&[SAME]);
        assert_eq!(world.endpoint().items(TABLE).len(), 138, "killed after {milliseconds} ms");
        assert_eq!(world.database.column("select count(*)::text from activities"), ["4"]);
    }
}
