//! `cargo xtask ddb patterns`.

use insta::assert_snapshot;
use serde_json::{Value, json};

use super::{DynamoDbOnly, SHORT_CONVERSATION, TABLE, World};

const SEED_GROUP: &str = "5ae290ed-55d1-47a0-bc6d-fe2bc2700399";
const OTHER_GROUP: &str = "11111111-2222-3333-4444-555555555555";

/// Puts a message in the form of another client.
fn put_message(world: &DynamoDbOnly, sort_key: &str, message: &str) {
    let partition_key = format!("MSG#{OTHER_GROUP}");
    let item = [
        ("pk", partition_key.as_str()),
        ("sk", sort_key),
        ("message_uuid", "99999999-2222-3333-4444-555555555555"),
        ("message", message),
        ("user_uuid", "88888888-2222-3333-4444-555555555555"),
        ("user_display_name", "Some One"),
        ("user_handle", "someone"),
    ];
    world.endpoint().put(TABLE, &item);
}

fn sort_keys(items: &[Value]) -> Vec<&str> {
    items.iter().map(|item| item["sk"].as_str().or(item["sk"]["S"].as_str()).unwrap()).collect()
}

#[test]
fn get_conversation_prints_oldest_first() {
    let world = World::with_short_conversation();
    let ran = world.xtask("ddb patterns get-conversation").ok();
    assert_snapshot!(ran.stdout, @r#"
    andrewbrown     2025-12-31 11:58 PM   Happy new year?
    bayko           2025-12-31 11:59 PM   Not yet: two minutes to go.
    andrewbrown     2026-01-01 12:00 AM   éééééééééééééééééééééééééééééééééééééééé
    bayko           2026-01-01 12:01 AM   ééééééééééééééééééééééééééééééééééééééééé and one more
    andrewbrown     2026-01-01 12:02 AM   🎉 "Now!"\t雨宮
    "#);
    assert_snapshot!(ran.stderr, @"
    times are in UTC
    5 items; consumed capacity: 0.5 units
    ");
}

#[test]
fn a_long_message_is_whole_if_that_is_asked_for() {
    let world = DynamoDbOnly::with_table();
    let text = "x".repeat(300);
    put_message(&world, "2024-05-06T07:08:09.000000+00:00", &text);
    let get = |options: &str| {
        world.xtask(&format!("ddb patterns get-conversation --message-group {OTHER_GROUP} {options}"))
    };
    let wide = get("--wide").ok();
    assert_eq!(wide.stdout, format!("someone         2024-05-06 07:08 AM   {text}\n"));
    assert!(!wide.stderr.contains("--wide"), "{wide}");
    // And in a pipe.
    assert_eq!(get("").ok().stdout, wide.stdout);
    assert!(get("--vertical").ok().stdout.contains(&text));
    #[cfg(target_os = "linux")]
    for (columns, options, message) in
        [(80, "", "x".repeat(39) + "..."), (120, "", "x".repeat(40) + "..."), (80, "--wide", text)]
    {
        let run = get(options).env("CI", "true").env("TERM", "xterm");
        let (_, shown) = super::output::typescript_in(columns, run.into_command());
        let line = format!("someone         2024-05-06 07:08 AM   {message}\r\n");
        assert!(shown.starts_with(&line), "{columns} {options}: {shown}");
    }
}

#[test]
fn every_format_has_the_oldest_message_first() {
    let world = World::with_short_conversation();
    for options in ["", "--all", "--limit 3"] {
        let printed =
            |format: &str| world.xtask(&format!("ddb patterns get-conversation {options} -o {format}")).ok();
        let items = printed("json").json()["Items"].take();
        let document = sort_keys(items.as_array().unwrap()).join(" ");
        assert_eq!(document, sort_keys(&printed("jsonl").json_lines()).join(" "));
        assert!(sort_keys(items.as_array().unwrap()).is_sorted(), "{document}");
    }
}

#[test]
fn get_conversation_takes_the_newest_within_its_limit() {
    let world = World::set_up();
    let default = world.xtask("ddb patterns get-conversation -o jsonl").ok();
    let all = world.xtask("ddb patterns get-conversation --all -o jsonl").ok().json_lines();
    assert!(all.len() > 100);
    assert!(sort_keys(&all).is_sorted());
    assert_eq!(default.json_lines(), all[all.len() - 20..]);
    default.says(&["these are the newest", "20 items"]);
    let three = world.xtask("ddb patterns get-conversation --limit 3 -o jsonl").ok();
    assert_eq!(three.json_lines(), all[all.len() - 3..]);
    let more_than_there_are = world.xtask("ddb patterns get-conversation --limit 1000 -o jsonl").ok();
    assert_eq!(more_than_there_are.json_lines(), all);
    assert!(!more_than_there_are.stderr.contains("newest"));

    world.xtask("ddb patterns get-conversation --limit 0").fails(2);
    world.xtask("ddb patterns get-conversation --limit 3 --all").fails(2);
}

#[test]
fn get_conversation_narrows_by_year_and_by_times_both_ends_included() {
    let world = World::with_short_conversation();
    let count = |options: &str| {
        let line = format!("ddb patterns get-conversation -o jsonl {options}");
        world.xtask(&line).ok().json_lines().len()
    };
    assert_eq!(count("--year 2025"), 2);
    assert_eq!(count("--year 2026"), 3);
    assert_eq!(count("--year 2024"), 0);
    assert_eq!(count("--from 2026-01-01T00:00:00Z"), 3);
    assert_eq!(count("--to 2026-01-01T00:00:00Z"), 3);
    assert_eq!(count("--from 2025-12-31T18:59:00-05:00 --to 2026-01-01T01:00:00.000+01:00"), 2);
    assert_eq!(count("--from 2026-01-01T00:00:00Z --limit 1"), 1);
    world
        .xtask("ddb patterns get-conversation --from 2026-01-01T00:00:00Z --to 2025-01-01T00:00:00Z")
        .fails(2);
    world.xtask("ddb patterns get-conversation --year 2025 --from 2026-01-01T00:00:00Z").fails(2);
    world.xtask("ddb patterns get-conversation --year 10000").fails(2);
}

#[test]
fn get_conversation_of_another_group() {
    let world = DynamoDbOnly::new();
    world.xtask("ddb schema-load").ok();
    put_message(&world, "2024-05-06T07:08:09.000000+00:00", "elsewhere");
    let ran = world.xtask("ddb patterns get-conversation --message-group").arg(OTHER_GROUP).ok();
    assert_snapshot!(ran.stdout, @"someone         2024-05-06 07:08 AM   elsewhere");
    assert_eq!(world.xtask("ddb patterns get-conversation").ok().stdout, "");
    world.xtask("ddb patterns get-conversation --message-group not-a-uuid").fails(2);
}

#[test]
fn times_that_other_clients_wrote_in_other_forms_are_read() {
    let world = DynamoDbOnly::new();
    world.xtask("ddb schema-load").ok();
    // Sort keys sort by their bytes, not by the times they stand for.
    put_message(&world, "2024-05-06T07:08:09Z", "Zulu");
    put_message(&world, "2024-05-06T09:08:10+02:00", "an offset");
    put_message(&world, "2024-05-06t10:00:00.123456789z", "nanoseconds, small letters");
    let ran = world.xtask("ddb patterns get-conversation --message-group").arg(OTHER_GROUP).ok();
    assert_snapshot!(ran.stdout, @"
    someone         2024-05-06 07:08 AM   Zulu
    someone         2024-05-06 07:08 AM   an offset
    someone         2024-05-06 10:00 AM   nanoseconds, small letters
    ");
    assert_snapshot!(ran.stderr, @"
    times are in UTC
    warning: 3 times are in another form than 1970-01-01T00:00:00.000000+00:00: DynamoDB sorts and bounds such times by their text
    3 items; consumed capacity: 0.5 units
    ");
}

#[test]
fn an_item_that_is_no_message_is_named() {
    let world = DynamoDbOnly::new();
    world.xtask("ddb schema-load").ok();
    let partition_key = format!("MSG#{OTHER_GROUP}");
    world
        .endpoint()
        .put(TABLE, &[("pk", &partition_key), ("sk", "2024-05-06T07:08:09Z"), ("user_handle", "x")]);
    let failed = world.xtask("ddb patterns get-conversation --message-group").arg(OTHER_GROUP).fails(1);
    assert_snapshot!(failed.error(), @"error: item pk=MSG#11111111-2222-3333-4444-555555555555 sk=2024-05-06T07:08:09Z: attribute message_uuid is missing");
    // JSON output shows every item unchecked.
    let raw = world.xtask("ddb patterns get-conversation -o jsonl --message-group").arg(OTHER_GROUP).ok();
    assert_eq!(raw.json_lines().len(), 1);
}

#[test]
fn a_conversation_of_many_pages_is_read_to_its_end() {
    let world = DynamoDbOnly::new();
    world.xtask("ddb schema-load").ok();
    // Thirty times 100 kB needs at least three pages.
    let text = "x".repeat(100_000);
    let times: Vec<String> =
        (0..30).map(|minute| format!("2024-05-06T07:{minute:02}:00.000000+00:00")).collect();
    times.iter().for_each(|time| put_message(&world, time, &text));
    let get = |options: &str| {
        let line = format!("ddb patterns get-conversation --message-group {OTHER_GROUP} {options}");
        world.xtask(&line).ok()
    };
    let all = get("--all -o jsonl");
    assert_eq!(sort_keys(&all.json_lines()), times);
    all.says(&["30 items"]);
    assert_eq!(get("--all").stdout.lines().count(), 30);

    let newest = get("--limit 25 -o jsonl").json_lines();
    assert_eq!(sort_keys(&newest), times[5..]);

    let document = get("--all -o json").json();
    assert_eq!(sort_keys(document["Items"].as_array().unwrap()), times);
    assert_eq!(document["Count"], 30);
    assert!(document["LastEvaluatedKey"].is_null());
    let limited = get("--limit 25 -o json").json();
    assert_eq!(limited["Count"], 25);
    assert_eq!(limited["LastEvaluatedKey"]["sk"]["S"], times[5].as_str());
}

#[test]
fn json_is_the_response_of_dynamodb() {
    let world = World::with_short_conversation();
    let ran = world.xtask("ddb patterns get-conversation --limit 1 -o json").ok();
    assert_snapshot!(ran.stdout, @r#"
    {
        "ConsumedCapacity": {
            "CapacityUnits": 0.5,
            "TableName": "cruddur-messages"
        },
        "Count": 1,
        "Items": [
            {
                "message": {
                    "S": "🎉 \"Now!\"\t雨宮"
                },
                "message_uuid": {
                    "S": "561ecd5e-fbf0-55be-a231-9562ed319e11"
                },
                "pk": {
                    "S": "MSG#5ae290ed-55d1-47a0-bc6d-fe2bc2700399"
                },
                "sk": {
                    "S": "2026-01-01T00:02:00.000000+00:00"
                },
                "user_display_name": {
                    "S": "Andrew Brown"
                },
                "user_handle": {
                    "S": "andrewbrown"
                },
                "user_uuid": {
                    "S": "9c1f4a52-6d0e-4b7b-8a3f-1f6a0c2d7e01"
                }
            }
        ],
        "LastEvaluatedKey": {
            "pk": {
                "S": "MSG#5ae290ed-55d1-47a0-bc6d-fe2bc2700399"
            },
            "sk": {
                "S": "2026-01-01T00:02:00.000000+00:00"
            }
        },
        "ScannedCount": 1
    }
    "#);

    let request = json!({
        "TableName": TABLE,
        "KeyConditionExpression": "pk = :pk",
        "ExpressionAttributeValues": { ":pk": { "S": format!("MSG#{SEED_GROUP}") } },
        "ReturnConsumedCapacity": "TOTAL",
    });
    let answered = world.endpoint().call("Query", request);
    assert_eq!(world.xtask("ddb patterns get-conversation --limit 20 -o json").ok().json(), answered);
    assert_eq!(answered["Count"], SHORT_CONVERSATION.lines().count());
}

#[test]
fn list_conversations_shows_the_other_member_of_each() {
    let world = World::with_short_conversation();
    let ran = world.xtask("ddb patterns list-conversations").ok();
    assert_snapshot!(ran.stdout, @r#"5ae290ed-55d1-47a0-bc6d-fe2bc2700399  bayko           2026-01-01 12:02 AM   🎉 "Now!"\t雨宮"#);
    assert_snapshot!(ran.stderr, @"
    times are in UTC
    1 item; consumed capacity: 0.5 units
    ");
    let ran = world.xtask("ddb patterns list-conversations --handle bayko").ok();
    assert_snapshot!(ran.stdout, @r#"5ae290ed-55d1-47a0-bc6d-fe2bc2700399  andrewbrown     2026-01-01 12:02 AM   🎉 "Now!"\t雨宮"#);
    let ran = world.xtask("ddb patterns list-conversations -o json").ok();
    assert_snapshot!(ran.stdout, @r#"
    {
        "ConsumedCapacity": {
            "CapacityUnits": 0.5,
            "TableName": "cruddur-messages"
        },
        "Count": 1,
        "Items": [
            {
                "message": {
                    "S": "🎉 \"Now!\"\t雨宮"
                },
                "message_group_uuid": {
                    "S": "5ae290ed-55d1-47a0-bc6d-fe2bc2700399"
                },
                "pk": {
                    "S": "GRP#9c1f4a52-6d0e-4b7b-8a3f-1f6a0c2d7e01"
                },
                "sk": {
                    "S": "2026-01-01T00:02:00.000000+00:00"
                },
                "user_display_name": {
                    "S": "Andrew Bayko"
                },
                "user_handle": {
                    "S": "bayko"
                },
                "user_uuid": {
                    "S": "9c1f4a52-6d0e-4b7b-8a3f-1f6a0c2d7e02"
                }
            }
        ],
        "ScannedCount": 1
    }
    "#);
}

#[test]
fn list_conversations_has_the_newest_first() {
    let world = World::with_short_conversation();
    let user = world.database.column("select uuid::text from users where handle = 'teapot'").remove(0);
    let partition_key = format!("GRP#{user}");
    for year in ["2021", "2023", "2022"] {
        let sort_key = format!("{year}-01-01T00:00:00.000000+00:00");
        let item = [
            ("pk", partition_key.as_str()),
            ("sk", &sort_key),
            ("message_group_uuid", OTHER_GROUP),
            ("message", year),
            ("user_uuid", OTHER_GROUP),
            ("user_display_name", "Some One"),
            ("user_handle", "someone"),
        ];
        world.endpoint().put(TABLE, &item);
    }
    let listed = world.xtask("ddb patterns list-conversations --handle teapot -o jsonl").ok().json_lines();
    let years: Vec<_> = listed.iter().map(|item| item["message"].as_str().unwrap()).collect();
    assert_eq!(years, ["2023", "2022", "2021"]);
    assert_eq!(world.xtask("ddb patterns list-conversations --handle amemiya").ok().stdout, "");
}

#[test]
fn list_conversations_of_an_unknown_handle_fails() {
    let world = World::with_short_conversation();
    let failed = world.xtask("ddb patterns list-conversations --handle nobody-has-it").fails(1);
    assert_snapshot!(world.redact(failed.error()), @"
    error: cruddur-tests@HOST/DATABASE has no user with handle `nobody-has-it`
      help: name another user with --handle HANDLE, or add this one to backend-flask-rs/db/seed.sql, load it with `cargo xtask db seed`, and run the command again
    ");
}
