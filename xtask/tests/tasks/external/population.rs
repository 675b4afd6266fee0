//! `cargo xtask ddb seed` with a synthetic population.

use std::collections::{BTreeMap, BTreeSet};

use insta::assert_snapshot;
use serde_json::Value;

use super::{TABLE, World};

/// The prefixes of synthetic uuids: users, groups and messages.
const USER: &str = "5eed0001-0000-8000-8000-";
const GROUP: &str = "5eed0002-0000-8000-8000-";
const MESSAGE: &str = "5eed0003-0000-8000-8000-";

impl World {
    /// Every user in Postgres: uuid, display name and handle.
    fn users(&self) -> BTreeMap<String, [String; 2]> {
        let rows = self.database.session().query("select uuid::text, display_name, handle from users", &[]);
        rows.unwrap().iter().map(|row| (row.get(0), [row.get(1), row.get(2)])).collect()
    }

    /// The group rows and the messages that are synthetic, or those that are not.
    fn items(&self, synthetic: bool) -> [Vec<Value>; 2] {
        let items = self.endpoint().items(TABLE);
        let of = |prefix: &str, synthetic_prefix: &str| {
            let items = items.iter().filter(|item| text(item, "pk").starts_with(prefix));
            let wanted = items.filter(|item| text(item, "pk").starts_with(synthetic_prefix) == synthetic);
            wanted.cloned().collect()
        };
        [of("GRP#", &format!("GRP#{USER}")), of("MSG#", &format!("MSG#{GROUP}"))]
    }
}

fn text<'a>(item: &'a Value, attribute: &str) -> &'a str {
    item[attribute]["S"].as_str().unwrap()
}

#[test]
fn users_groups_and_messages_are_consistent_with_each_other() {
    let world = World::set_up();
    let before = (world.users(), world.items(false));
    let seeded = world.xtask("ddb seed --conversations 40 --messages 700 --users 12").ok();
    assert_eq!(seeded.stdout, "");
    assert_snapshot!(world.redact(&seeded.stderr), @"
    ... Postgres: write 12 synthetic users into DATABASE
    ok  Postgres: write 12 synthetic users into DATABASE (TIME)
    ... DynamoDB: remove synthetic items from cruddur-messages
    ok  DynamoDB: remove synthetic items from cruddur-messages: there were none (TIME)
    ... DynamoDB: write 780 synthetic items into cruddur-messages
    ok  DynamoDB: write 780 synthetic items into cruddur-messages (TIME)
    ... DynamoDB: count the synthetic items in cruddur-messages
    ok  DynamoDB: count the synthetic items in cruddur-messages (TIME)
    ");

    let mut users = world.users();
    let others: BTreeMap<_, _> = before.0.keys().filter_map(|uuid| users.remove_entry(uuid)).collect();
    assert_eq!((others, world.items(false)), before);
    assert_eq!(users.len(), 12);
    assert!(users.keys().all(|uuid| uuid.starts_with(USER)), "{users:?}");

    let [groups, messages] = world.items(true);
    assert_eq!([groups.len(), messages.len()], [80, 700]);
    let named = |item: &Value| {
        let [name, handle] = &users[text(item, "user_uuid")];
        text(item, "user_display_name") == name && text(item, "user_handle") == handle
    };
    assert!(groups.iter().chain(&messages).all(named));
    let group_of = |message: &Value| text(message, "pk").trim_start_matches("MSG#").to_owned();
    assert_eq!(messages.iter().map(group_of).collect::<BTreeSet<_>>().len(), 40);
    assert!(messages.iter().all(|message| text(message, "message_uuid").starts_with(MESSAGE)));
    for group in &groups {
        let member = text(group, "pk").trim_start_matches("GRP#");
        assert!(users.contains_key(member) && member != text(group, "user_uuid"), "{group}");
        let uuid = text(group, "message_group_uuid");
        let other = groups.iter().filter(|other| text(other, "message_group_uuid") == uuid);
        let other: Vec<_> = other.filter(|other| text(other, "user_uuid") == member).collect();
        assert_eq!(other.len(), 1, "{group}");
        // Items are sorted by key.
        let last = messages.iter().rfind(|message| group_of(message) == uuid).unwrap();
        assert_eq!(
            ["sk", "message"].map(|name| text(group, name)),
            ["sk", "message"].map(|name| text(last, name))
        );
    }
}

#[test]
fn another_population_takes_the_first_one_s_place() {
    let world = World::set_up();
    let seed = |options: &str| world.xtask(&format!("ddb seed {options}")).ok();
    let there = || (world.users(), world.endpoint().items(TABLE));
    seed("--messages 300 --users 9");
    let first = there();
    let larger = seed("--conversations 30 --messages 900 --users 20 --now 2025-06-07T08:09:10Z");
    larger.says(&["remove synthetic items from cruddur-messages: 306 were there"]);
    let [groups, messages] = world.items(true);
    assert_eq!([groups.len(), messages.len(), world.users().len()], [60, 900, 20 + 5]);
    let last = messages.iter().map(|message| text(message, "sk")).max();
    assert_eq!(last, Some("2025-06-07T08:09:10.000000+00:00"));
    // A user to be removed may have posted activities.
    world.database.execute(&format!(
        "insert into activities (user_uuid, message) values ('{USER}000000000013', 'x'), ('{USER}000000000000', 'y')"
    ));
    seed("--messages 300 --users 9");
    assert_eq!(there(), first);
    assert_eq!(world.database.column("select message from activities where message in ('x', 'y')"), ["y"]);
}

#[test]
fn the_same_options_give_the_same_data_everywhere() {
    let there = |world: &World| {
        let rows = world.database.column(&format!(
            "select row(users.*)::text from users where uuid::text like '{USER}%' order by uuid"
        ));
        (rows, world.items(true))
    };
    let [one, two] = [World::set_up(), World::set_up()].map(|world| {
        world.xtask("ddb seed --messages 250").ok();
        there(&world)
    });
    assert_eq!(one, two);
}

#[test]
fn the_conversation_s_seed_and_the_population_leave_each_other_alone() {
    let world = World::with_short_conversation();
    world.xtask("ddb seed --messages 100").ok();
    let population = world.items(true);
    world.xtask("ddb seed --file conversation.txt --now 2026-02-03T04:05:06Z").ok();
    assert_eq!(world.items(true), population);
    let conversation = world.items(false);
    world.xtask("ddb seed --users 3").ok();
    assert_eq!(world.items(false), conversation);
    world.xtask("db seed").ok();
    assert_eq!(world.users().len(), 5 + 3);
}

#[test]
fn a_population_of_which_the_patterns_tell() {
    let world = World::set_up();
    world.xtask("ddb seed --users 5 --messages 300 --conversations 8").ok();
    let user = format!("{USER}000000000000");
    let handle = world.users()[&user][1].clone();
    let listed =
        world.xtask("ddb patterns list-conversations -o jsonl --handle").arg(handle).ok().json_lines();
    let times: Vec<_> = listed.iter().map(|group| group["sk"].as_str().unwrap()).collect();
    assert!(times.len() > 1 && times.is_sorted_by(|newer, older| newer > older), "{times:?}");
    let group = listed[0]["message_group_uuid"].as_str().unwrap();
    let messages =
        world.xtask("ddb patterns get-conversation --all -o jsonl --message-group").arg(group).ok();
    assert_eq!(messages.json_lines().last().unwrap()["message"], listed[0]["message"]);
}

#[test]
fn numbers_that_do_not_go_together_are_wrong_usage_and_change_nothing() {
    let world = World::set_up();
    world.xtask("ddb seed --messages 100").ok();
    let before = (world.users(), world.endpoint().items(TABLE));
    let error = |options: &str| world.xtask(&format!("ddb seed {options}")).fails(2).stderr;
    assert_snapshot!(error("--users 1"), @"error: the number of users is 1: a conversation takes two");
    assert_snapshot!(error("--conversations 0"), @"error: the number of conversations is 0: a population needs at least one");
    assert_snapshot!(error("--users 3 --conversations 4"), @"error: the number of conversations is 4: 3 users can have 3 at most, one for each pair");
    assert_snapshot!(error("--conversations 30 --messages 29"), @"error: the number of messages is 29: at least 30 are needed, one for each conversation");
    assert_snapshot!(error("--messages 5 --now 1066-10-14T09:00:00Z"), @"error: 1066-10-14T09:00:00.000000+00:00 is too early for a population's end: 1970-01-01T00:00:00.000000+00:00 is the earliest");
    assert_snapshot!(error("--messages 5 --now 2999-01-01T00:00:00Z"), @"error: --now 2999-01-01T00:00:00.000000+00:00 is in the future");
    for options in ["--messages -1", "--messages 4294967296", "--messages many"] {
        error(options);
    }
    for option in ["--file conversation.txt", "--person-1 bayko", "--person-2 bayko"] {
        for number in ["--conversations 5", "--messages 5", "--users 5"] {
            let error = error(&format!("{option} {number}"));
            assert!(error.contains("cannot be used with"), "{error}");
        }
    }
    assert_eq!((world.users(), world.endpoint().items(TABLE)), before);
}

#[test]
fn a_population_is_removed_and_nothing_else() {
    let world = World::set_up();
    let there = || (world.users(), world.endpoint().items(TABLE));
    let before = there();
    world.xtask("ddb seed --messages 300 --users 9").ok();
    let populated = there();
    world.xtask("ddb remove-population --dry-run").ok().says(&["it would remove the synthetic users from"]);
    assert_eq!(there(), populated);
    let removed = world.xtask("ddb remove-population").ok();
    removed.says(&["306 were there", "Postgres: remove synthetic users from", ": 9 users ("]);
    assert_eq!(there(), before);
    world.xtask("ddb remove-population").ok().says(&["there were none", ": 0 users ("]);
}

#[test]
fn without_tables_the_error_names_the_command_that_makes_them() {
    let world = World::new();
    world.xtask("db create").ok();
    let rehearsed = world.xtask("ddb seed --messages 5 --dry-run").fails(1);
    rehearsed.says(&["help: `cargo xtask prepare` sets both databases up"]);
    let failed = world.xtask("ddb seed --messages 5").fails(1);
    assert_snapshot!(world.redact(failed.error()), @r#"
    error: Postgres: could not write 2 synthetic users into DATABASE
      because: the tables do not exist
      because: relation "public.activities" does not exist (SQLSTATE 42P01)
      help: `cargo xtask prepare` sets both databases up
    "#);
    world.xtask("db setup").ok();
    let failed = world.xtask("ddb seed --messages 5").fails(1);
    assert_snapshot!(world.redact(failed.error()), @"
    error: DynamoDB: could not remove synthetic items from cruddur-messages
      because: cannot scan table cruddur-messages
      because: DynamoDB at ENDPOINT has no such table
      because: ResourceNotFoundException: Requested resource not found
      help: see `cargo xtask ddb list-tables`; `cargo xtask prepare` sets both databases up
    ");
}

#[test]
fn somebody_else_s_user_with_a_synthetic_handle_is_left_alone_and_named() {
    let world = World::set_up();
    world.xtask("ddb seed --users 3").ok();
    let handle = world.users()[&format!("{USER}000000000002")][1].clone();
    world.xtask("ddb seed --users 2").ok();
    world.database.execute(&format!(
        "insert into users (display_name, handle, email, cognito_user_id) values ('Me', '{handle}', '', '')"
    ));
    let before = (world.users(), world.endpoint().items(TABLE));
    let failed = world.xtask("ddb seed --users 3").fails(1);
    assert_snapshot!(world.redact(failed.error()), @r#"
    error: Postgres: could not write 3 synthetic users into DATABASE
      because: a user who is not synthetic has the handle of a synthetic user
      because: duplicate key value violates unique constraint "users_handle_key"; Key (handle)=(kalpana.yamamoto.000002) already exists. (SQLSTATE 23505)
      help: give that user another handle, or remove the user
    "#);
    assert_eq!((world.users(), world.endpoint().items(TABLE)), before);
}
