//! `cargo xtask ddb seed`, and writing against a server that throttles.

use std::collections::{BTreeSet, HashSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use cruddur_testing::fixtures::proxy::{Fate, Proxy};
use cruddur_testing::fixtures::throttle::Throttle;
use insta::assert_snapshot;

use super::{NOW, SHORT_CONVERSATION, TABLE, World};
use crate::common::dynamodb::Answer;
use crate::common::run::Run;

#[test]
fn seeding_twice_leaves_one_conversation() {
    let world = World::with_short_conversation();
    let sort_keys = || -> HashSet<String> {
        world.endpoint().items(TABLE).iter().map(|item| item["sk"]["S"].to_string()).collect()
    };
    let first = sort_keys();
    let seeded = world.xtask("ddb seed --file conversation.txt --now 2026-02-03T04:05:06.789Z").ok();
    assert_eq!(seeded.stdout, "");
    let second = sort_keys();
    assert_eq!(world.endpoint().items(TABLE).len(), SHORT_CONVERSATION.lines().count() + 2);
    assert!(first.is_disjoint(&second));
    assert!(second.contains("\"2026-02-03T04:05:06.789000+00:00\""));
}

impl World {
    /// The users who have a group row.
    fn members(&self) -> BTreeSet<String> {
        let items = self.endpoint().items(TABLE);
        let rows = items.iter().filter_map(|item| item["pk"]["S"].as_str()?.strip_prefix("GRP#"));
        rows.map(str::to_owned).collect()
    }

    fn uuids(&self, handles: &str) -> BTreeSet<String> {
        let sql = format!("select uuid::text from users where handle in ({handles})");
        self.database.column(&sql).into_iter().collect()
    }
}

#[test]
fn a_seed_replaces_what_any_earlier_one_wrote() {
    let world = World::with_short_conversation();
    let count = SHORT_CONVERSATION.lines().count() + 2;
    let now = "--file conversation.txt --now 2026-02-03T04:05:06Z";
    world.xtask(&format!("ddb seed {now} --person-1 zoekestrel --person-2 amemiya")).ok();
    assert_eq!(world.members(), world.uuids("'zoekestrel', 'amemiya'"));
    assert_eq!(world.endpoint().items(TABLE).len(), count);
    // The messages have the same times, so they overwrite the earlier ones.
    world.xtask(&format!("ddb seed {now} --person-1 bayko --person-2 amemiya")).ok();
    assert_eq!(world.members(), world.uuids("'bayko', 'amemiya'"));
    assert_eq!(world.endpoint().items(TABLE).len(), count);
    world.xtask("ddb seed").ok();
    assert_eq!(world.members(), world.uuids("'andrewbrown', 'bayko'"));
}

#[test]
fn a_seed_replaces_one_in_which_a_person_never_spoke() {
    let world = World::with_short_conversation();
    for speaker in ["Person 1", "Person 2"] {
        world.write("one-sided.txt", &format!("{speaker}: Hello?\n{speaker}: Anybody?\n"));
        world.xtask("ddb seed --file one-sided.txt --person-1 zoekestrel --person-2 amemiya").ok();
        assert_eq!(world.members(), world.uuids("'zoekestrel', 'amemiya'"));
        world.xtask("ddb seed --file conversation.txt").ok();
        assert_eq!(world.members(), world.uuids("'andrewbrown', 'bayko'"));
        assert_eq!(world.endpoint().items(TABLE).len(), SHORT_CONVERSATION.lines().count() + 2);
    }
}

/// The messages have the same times, so the interrupted seed overwrites those that say who the members were.
#[test]
fn a_seed_replaces_what_one_left_that_was_interrupted_in_its_rows() {
    let world = World::with_short_conversation();
    for (text, failing_row) in [(SHORT_CONVERSATION, 1), ("Person 2: Hello?\n", 1), ("Person 2: Hello?\n", 2)]
    {
        world.write("other.txt", text);
        let rows = AtomicUsize::new(0);
        let proxy = Proxy::start(world.endpoint(), move |operation, body| {
            let is_row =
                operation == "BatchWriteItem" && body.contains("GRP#") && body.contains("PutRequest");
            let fails = is_row && rows.fetch_add(1, Ordering::SeqCst) + 1 >= failing_row;
            let denied = r#"{"__type":"x#AccessDeniedException","message":"no"}"#.to_owned();
            Ok(if fails { Fate::Answered(Answer { status: 400, body: denied }) } else { Fate::Passed })
        });
        let now = format!("--now {NOW}");
        let interrupted =
            world.xtask(&format!("ddb seed --file other.txt {now} --person-1 bayko --person-2 amemiya"));
        interrupted.env("AWS_ENDPOINT_URL_DYNAMODB", proxy.endpoint.url()).fails(1).says(&["AccessDenied"]);
        world
            .xtask(&format!("ddb seed --file conversation.txt {now} --person-1 teapot --person-2 zoekestrel"))
            .ok();
        assert_eq!(world.members(), world.uuids("'teapot', 'zoekestrel'"), "{text}{failing_row}");
        assert_eq!(world.endpoint().items(TABLE).len(), SHORT_CONVERSATION.lines().count() + 2);
    }
}

#[test]
fn a_dry_run_looks_the_people_up() {
    let world = World::with_short_conversation();
    let failed = world.xtask("ddb seed --dry-run --person-2 nobody-has-it").fails(1);
    failed.says(&["has no user with handle `nobody-has-it`"]);
}

#[test]
fn a_put_an_update_and_a_delete_wait_for_a_seed_that_runs() {
    let world = World::with_short_conversation();
    for words in [
        &["put", r#"{"pk":"a","sk":"1"}"#][..],
        &["update", "a", "1", "--expression", "remove label_1"],
        &["delete", "a", "1"],
    ] {
        let (told, begun) = channel();
        let has_begun = AtomicBool::new(false);
        let proxy = Proxy::start(world.endpoint(), move |operation, _| {
            if operation == "BatchWriteItem" && !has_begun.swap(true, Ordering::Relaxed) {
                told.send(()).unwrap();
                std::thread::sleep(Duration::from_millis(1_500));
            }
            Ok(Fate::Passed)
        });
        let seed = world.xtask("ddb seed").env("AWS_ENDPOINT_URL_DYNAMODB", proxy.endpoint.url()).start();
        begun.recv_timeout(Duration::from_secs(10)).unwrap();
        let write = words.iter().fold(world.xtask("ddb"), Run::arg);
        write.ok().says(&["waiting for `cargo xtask ddb seed` (process "]);
        assert_eq!(seed.end_within(Duration::from_secs(10)).code, Some(0));
    }
}

#[test]
fn seeding_keeps_what_is_not_the_seed_s() {
    let world = World::with_short_conversation();
    let user = world.database.column("select uuid::text from users where handle = 'andrewbrown'").remove(0);
    let group = format!("GRP#{user}");
    let kept = [
        [
            ("pk", group.as_str()),
            ("sk", "2020-01-01T00:00:00.000000+00:00"),
            ("message_group_uuid", "another"),
        ],
        [("pk", "MSG#another"), ("sk", "2020-01-01T00:00:00.000000+00:00"), ("message", "kept")],
    ];
    kept.iter().for_each(|item| world.endpoint().put(TABLE, item));
    world.xtask("ddb seed").ok();
    let items = world.endpoint().items(TABLE);
    for [pk, sk, _] in kept {
        assert!(items.iter().any(|item| item["pk"]["S"] == pk.1 && item["sk"]["S"] == sk.1), "{pk:?}");
    }
}

#[test]
fn a_line_in_another_form_is_named_and_nothing_is_written() {
    let world = World::with_short_conversation();
    let before = world.endpoint().items(TABLE);
    world.write("bad.txt", "Person 1: Hello\nPerson 2: Hi\nperson 1: a small letter\n\nPerson 1:\n");
    let failed = world.xtask("ddb seed --file bad.txt").fails(2);
    assert_snapshot!(failed.stderr, @r#"error: bad.txt:3: expected "Person 1: " or "Person 2: " and a message, found "person 1: a small letter" (3 such lines in all)"#);
    world.write("empty.txt", "\n");
    world.xtask("ddb seed --file empty.txt").fails(2).says(&["empty.txt"]);
    let typed = world.xtask("ddb seed --file -").stdin("Person 1: Hi\nPerson 2: nonsense\nPerson 3: no\n");
    typed.fails(2).says(&["stdin:3"]);
    world.xtask("ddb seed --file missing.txt").fails(2).says(&["missing.txt", "No such file"]);
    assert_eq!(world.endpoint().items(TABLE), before);
}

#[test]
fn people_and_times_that_make_no_sense_are_wrong_usage() {
    let world = World::with_short_conversation();
    let before = world.endpoint().items(TABLE);
    let failed = world.xtask("ddb seed --person-1 bayko").fails(2);
    assert_snapshot!(failed.stderr, @"error: both persons are bayko: a conversation takes two");
    world.xtask("ddb seed --now 2999-01-01T00:00:00Z").fails(2).says(&["in the future"]);
    world.xtask("ddb seed --now yesterday").fails(2).says(&["RFC 3339"]);
    world.xtask("ddb seed --confirm cruddur-messages").fails(2).says(&["--prod"]);
    assert_eq!(world.endpoint().items(TABLE), before);
}

#[test]
fn an_unknown_handle_is_named_with_a_remedy() {
    let world = World::with_short_conversation();
    let before = world.endpoint().items(TABLE);
    let failed = world.xtask("ddb seed --person-2 nobody-has-it").fails(1);
    assert_snapshot!(world.redact(failed.error()), @"
    error: cruddur-tests@HOST/DATABASE has no user with handle `nobody-has-it`
      help: name another user with --person-2 HANDLE, or add this one to backend-flask-rs/db/seed.sql, load it with `cargo xtask db seed`, and run the command again
    ");
    assert_eq!(world.endpoint().items(TABLE), before);
}

#[test]
fn items_handed_back_are_sent_again_until_each_is_written_once() {
    let world = World::set_up();
    world.xtask("ddb drop").arg(TABLE).ok();
    world.xtask("ddb schema-load").ok();
    // The first answers accept no item, some, and most of a batch. Later answers accept all.
    let accepts = |number, size| match number {
        0..4 => 0,
        4..9 => number,
        9..12 => size - 1,
        _ => size,
    };
    let throttle = Throttle::start(world.endpoint(), accepts);
    let url = throttle.endpoint.url();
    world.xtask("ddb seed").env("AWS_ENDPOINT_URL_DYNAMODB", url).ok();
    let there = world.endpoint().items(TABLE).len();
    let written = throttle.written();
    assert_eq!(written.len(), there);
    assert_eq!(written.iter().collect::<HashSet<_>>().len(), there);
    assert!(throttle.batches() > 12, "{} batches", throttle.batches());
}
