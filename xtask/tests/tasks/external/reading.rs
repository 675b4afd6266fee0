//! `cargo xtask ddb scan` and `query`: the output of items, and that none is missing.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use cruddur_testing::fixtures::proxy::{Fate, Proxy};
use insta::assert_snapshot;
use serde_json::{Value, json};

use super::{DynamoDbOnly, TABLE};
use crate::common::run::Ran;

/// An item with every type of attribute, in DynamoDB JSON.
const EVERY_TYPE: &str = r#"{"binaries":{"BS":["AA=="]},"binary":{"B":"AQL/"},"list":{"L":[{"S":"x"},{"N":"-1.5"}]},"map":{"M":{"a":{"S":""},"b":{"L":[]}}},"null":{"NULL":true},"number":{"N":"12345678901234567890.5"},"numbers":{"NS":["2.5"]},"pk":{"S":"a"},"sk":{"S":"1"},"text":{"S":"é\"\n"},"texts":{"SS":["x"]},"yes":{"BOOL":true}}"#;

impl DynamoDbOnly {
    /// A world with an empty messages table.
    pub(crate) fn with_table() -> Self {
        let world = Self::new();
        world.xtask("ddb schema-load").ok();
        world
    }

    /// A world with this many items in the messages table, each with a text of this many letters.
    pub(crate) fn with_items(count: usize, letters: usize) -> Self {
        let world = Self::with_table();
        let text = "x".repeat(letters);
        let item = |number: usize| {
            let (pk, sk) = (format!("p{:02}", number % 97), format!("{number:05}"));
            json!({ "pk": { "S": pk }, "sk": { "S": sk }, "number": { "N": number.to_string() }, "text": { "S": text } })
        };
        world.endpoint().put_items(TABLE, (0..count).map(item));
        world
    }

    /// The error of a run that fails, with variable parts replaced.
    #[track_caller]
    pub(crate) fn error(&self, code: i32, line: &str, arguments: &[&str]) -> String {
        let failed = arguments.iter().fold(self.xtask(line), |run, argument| run.arg(argument)).fails(code);
        failed.error().replace(&self.endpoint().url(), "ENDPOINT")
    }
}

/// The `number` of each item in JSON lines, in order.
fn numbers(ran: &Ran) -> Vec<u64> {
    let mut numbers: Vec<_> = ran.json_lines().iter().map(|item| item["number"].as_u64().unwrap()).collect();
    numbers.sort_unstable();
    numbers
}

#[test]
fn every_type_is_printed_in_every_form() {
    let world = DynamoDbOnly::with_table();
    let item: Value = serde_json::from_str(EVERY_TYPE).unwrap();
    world.endpoint().put_items(TABLE, [item.clone()]);
    for line in ["ddb scan", "ddb query --pk a"] {
        let printed = |options: &str| world.xtask(&format!("{line} -o {options}")).ok();
        assert_eq!(printed("jsonl --dynamodb-json").stdout, format!("{EVERY_TYPE}\n"));
        assert_eq!(printed("json").json()["Items"], json!([item]));
        assert_eq!(printed("json --dynamodb-json").stdout, printed("json").stdout);
        assert_eq!(
            printed("jsonl").stdout,
            r#"{"binaries":["AA=="],"binary":"AQL/","list":["x",-1.5],"map":{"a":"","b":[]},"null":null,"number":12345678901234567890.5,"numbers":[2.5],"pk":"a","sk":"1","text":"é\"\n","texts":["x"],"yes":true}
"#
        );
    }
    let table = world.xtask("ddb scan").ok().stdout;
    assert_eq!(table, world.xtask("ddb query --pk a").ok().stdout);
    assert_snapshot!(table, @r#"
    pk  sk  binaries  binary  list        map              null  number                  numbers  text  texts  yes
    a   1   ["AA=="]  "AQL/"  ["x",-1.5]  {"a":"","b":[]}  null  12345678901234567890.5  [2.5]    é"\n  ["x"]  true
    "#);
}

#[test]
fn nothing_found_is_told_in_every_form() {
    let world = DynamoDbOnly::with_items(3, 1);
    for line in ["ddb query --pk nobody", "ddb scan --filter pk=:a --values :a=nobody"] {
        let printed = |format: &str| world.xtask(line).arg("-o").arg(format).ok();
        for format in ["table", "jsonl"] {
            assert_eq!(printed(format).stdout, "", "{line} {format}");
            printed(format).says(&["0 items"]);
        }
        let document = printed("json").json();
        assert_eq!((&document["Count"], &document["Items"]), (&json!(0), &json!([])), "{line}");
    }
}

#[test]
fn a_count_is_printed_in_every_form() {
    let world = DynamoDbOnly::with_items(1_200, 1);
    let counted = |options: &str| world.xtask(&format!("ddb scan --count {options}")).ok();
    assert_eq!(counted("-o table").stdout, "1200\n");
    assert_eq!(counted("-o jsonl").stdout, "1200\n");
    assert_eq!(counted("--segments 5").stdout, "1200\n");
    assert_eq!(counted("--limit 700").stdout, "700\n");
    counted("--limit 700").says(&["stopped at --limit"]);
    let document = counted("-o json").json();
    assert_eq!([&document["Count"], &document["ScannedCount"]], [1200, 1200]);
    assert!(document.get("Items").is_none());
    let filtered = world.xtask("ddb query --count -o json --pk p05 --filter").arg("#n < :n");
    let filtered = filtered.arg("--names").arg("#n=number").arg("--values").arg(":n=200").ok().json();
    assert_eq!([&filtered["Count"], &filtered["ScannedCount"]], [3, 13]);
}

#[test]
fn consistent_reads_cost_twice() {
    let world = DynamoDbOnly::with_items(1, 1);
    for line in ["ddb scan", "ddb query --pk p00"] {
        world.xtask(line).ok().says(&["1 item; consumed capacity: 0.5 units"]);
        world.xtask(line).arg("--consistent").ok().says(&["1 item; consumed capacity: 1 units"]);
    }
}

#[test]
fn cost_is_that_of_all_requests() {
    let world = DynamoDbOnly::with_items(97 * 30, 1_000);
    let cost = |line: &str| {
        let ran = world.xtask(line).arg("--cost").arg("--quiet").ok();
        let lines = ran.stderr.lines().filter(|line| !line.starts_with("stopped")).take(4);
        lines.map(|line| format!("{line}\n")).collect::<String>()
    };
    // 2,910 items of 1,031 bytes in 4 requests, where half a unit reads 4 KB.
    assert_snapshot!(cost("ddb scan --segments 4"), @"
    cost: 365.5 read units in 4 requests; 2910 items read, 2910 returned; 73.1 s at the 5 read units a second of table cruddur-messages
    the largest partitions, by the attributes that were returned:
        30.7 KB       30 items  p04
        30.7 KB       30 items  p05
    ");
    assert_snapshot!(cost("ddb scan --projection pk --limit 1"), @"
    cost: 0.5 read units in 1 request; 1 item read, 1 returned; 0.1 s at the 5 read units a second of table cruddur-messages
    the largest partitions, by the attributes that were returned:
            5 B         1 item  p00
    ");
    assert_snapshot!(cost("ddb scan --projection sk --limit 1"), @"cost: 0.5 read units in 1 request; 1 item read, 1 returned; 0.1 s at the 5 read units a second of table cruddur-messages");
    assert_snapshot!(cost("ddb query --pk p07 --filter #n=:n --names #n=number --values :n=7"), @"cost: 4 read units in 1 request; 30 items read, 1 returned; 0.8 s at the 5 read units a second of table cruddur-messages");
    let lines = "{\"pk\":\"new\",\"sk\":\"1\"}\n".repeat(30);
    let import = world.xtask("ddb import - --cost").stdin(&lines).ok();
    import.says(&[
        "cost: 30 write units in 30 requests; 6.0 s at the 5 write units a second of table cruddur-m",
    ]);
}

#[test]
fn each_item_is_read_once_in_however_many_segments() {
    // Two megabytes: several pages, and enough items for several segments.
    let world = DynamoDbOnly::with_items(6_000, 300);
    let all: Vec<u64> = (0..6_000).collect();
    let whole = world.xtask("ddb scan -o jsonl").ok();
    assert_eq!(numbers(&whole), all);
    whole.says(&["6000 items; consumed capacity: "]);
    for segments in [1, 3, 64] {
        let read = world.xtask("ddb scan -o jsonl --segments").arg(segments.to_string()).ok();
        assert_eq!(numbers(&read), all, "{segments} segments");
        read.says(&["6000 items; consumed capacity: "]);
    }
    let document = world.xtask("ddb scan -o json --segments 3").ok().json();
    assert_eq!(document["Items"].as_array().unwrap().len(), 6_000);
    assert_eq!(document["Count"], 6_000);
    assert!(document.get("LastEvaluatedKey").is_none());
    let rows = world.xtask("ddb scan -o table --segments 3").ok().stdout;
    let keys: BTreeSet<_> = rows.lines().skip(1).map(|row| row.split_whitespace().nth(1).unwrap()).collect();
    assert_eq!((rows.lines().count(), keys.len()), (6_001, 6_000));
}

#[test]
fn more_segments_than_items_are_no_harm() {
    let world = DynamoDbOnly::with_items(3, 1);
    assert_eq!(numbers(&world.xtask("ddb scan -o jsonl --segments 200").ok()), [0, 1, 2]);
}

#[test]
fn a_limit_counts_what_is_found_and_says_that_it_stopped() {
    let world = DynamoDbOnly::with_items(3_000, 1);
    for line in ["ddb scan -o jsonl", "ddb scan -o jsonl --filter attribute_exists(sk)"] {
        for limit in [1, 499, 500, 501, 2_999] {
            let read = world.xtask(line).arg("--limit").arg(limit.to_string()).ok();
            assert_eq!(read.json_lines().len(), limit, "{line} --limit {limit}");
            read.says(&["stopped at --limit"]);
        }
        // One request cannot ask for the second number.
        for limit in ["--limit=3001", "--limit=5000000000"] {
            let all = world.xtask(line).arg(limit).ok();
            assert_eq!(all.json_lines().len(), 3_000);
            assert!(!all.stderr.contains("--limit"), "{all}");
        }
    }
    // One item in a thousand: reading continues past pages without any.
    let selective = |limit: &str| {
        let run = world.xtask("ddb scan -o jsonl --names #n=number --values :n=2990 --limit").arg(limit);
        run.arg("--filter").arg("#n >= :n").ok()
    };
    assert_eq!(selective("1").json_lines().len(), 1);
    assert_eq!(selective("7").json_lines().len(), 7);
    let all = selective("11");
    assert_eq!(numbers(&all), (2_990..3_000).collect::<Vec<_>>());
    assert!(!all.stderr.contains("--limit"), "{all}");
}

#[test]
fn a_document_that_stopped_early_says_where_reading_would_go_on() {
    let world = DynamoDbOnly::with_items(3_000, 1);
    let pages = |line: &str, key_count: usize| {
        let mut numbers = Vec::new();
        let mut document = world.xtask(line).ok().json();
        assert_eq!(document["LastEvaluatedKey"].as_object().unwrap().len(), key_count, "{line}");
        // Another client continues from the key and reads the rest.
        loop {
            let items = document["Items"].as_array().unwrap();
            numbers.extend(items.iter().map(|item| item["number"]["N"].as_str().unwrap().to_owned()));
            let start = document["LastEvaluatedKey"].take();
            if start.is_null() {
                break;
            }
            document =
                world.endpoint().call("Scan", json!({ "TableName": TABLE, "ExclusiveStartKey": start }));
        }
        let distinct: BTreeSet<_> = numbers.iter().collect();
        assert_eq!((numbers.len(), distinct.len()), (3_000, 3_000), "{line}");
    };
    pages("ddb scan -o json --limit 1700", 2);
    // The last page is cut, because the filter lets through more items than are wanted.
    let cut = "ddb scan -o json --filter attribute_exists(sk) --limit 1700";
    pages(cut, 2);
    // If the items lack their keys, that page is read again.
    for projection in ["#n", "#n,pk", "sk,#n"] {
        pages(&format!("{cut} --names #n=number --projection {projection}"), 2);
    }
    // The same for a count: without the key, a program could not know that the count is incomplete.
    let count = world.xtask(&format!("{cut} --count")).ok().json();
    let whole = world.xtask(cut).ok().json();
    assert_eq!((&count["Count"], &count["LastEvaluatedKey"]), (&json!(1_700), &whole["LastEvaluatedKey"]));
    let items = world.xtask(&format!("{cut} --names #n=number --projection #n")).ok().json()["Items"].take();
    assert!(items.as_array().unwrap().iter().all(|item| item.as_object().unwrap().len() == 1), "{items}");
}

#[test]
fn attributes_that_only_later_items_have_are_shown_with_their_names() {
    let world = DynamoDbOnly::with_items(600, 2_000);
    world.endpoint().put(TABLE, &[("pk", "z"), ("sk", "1"), ("colour", "red"), ("size", "L")]);
    let printed = world.xtask("ddb scan").ok().stdout;
    let mut lines = printed.lines();
    assert_eq!(lines.next().unwrap().split_whitespace().collect::<Vec<_>>(), ["pk", "sk", "number", "text"]);
    let row = lines.find(|line| line.trim_start().starts_with("z ")).unwrap();
    assert_eq!(row.split_whitespace().collect::<Vec<_>>(), ["z", "1", "colour=red", "size=L"]);
}

#[test]
fn the_keys_of_any_table_come_first() {
    let world = DynamoDbOnly::new();
    world.endpoint().create_table("films", &[("title", "S"), ("year", "N")]);
    world.endpoint().put_items(
        "films",
        [json!({ "title": { "S": "Alien" }, "year": { "N": "1979" }, "colour": { "S": "dark" } })],
    );
    assert_snapshot!(world.xtask("ddb scan --table films").ok().stdout, @"
    title  year  colour
    Alien  1979  dark
    ");
}

#[test]
fn the_largest_items_are_read_to_the_end() {
    // Three items fill a page, although earlier pages had room for thousands.
    let world = DynamoDbOnly::with_items(600, 1);
    let largest = "x".repeat(400 * 1024 - 100);
    for number in 600..610 {
        let item = json!({ "pk": { "S": format!("z{number}") }, "sk": { "S": "1" }, "number": { "N": number.to_string() }, "text": { "S": largest } });
        world.endpoint().put_items(TABLE, [item]);
    }
    for options in ["", "--segments 4", "--limit 611"] {
        let read = world.xtask(&format!("ddb scan -o jsonl {options}")).ok();
        assert_eq!(numbers(&read), (0..610).collect::<Vec<_>>(), "{options}");
    }
    let table = world.xtask("ddb query --pk z600").ok().stdout;
    assert!(table.contains(&largest), "output to a pipe is never cut");
    let header = table.lines().next().unwrap();
    assert!(header.len() < 100, "one long value widens no other line: {header}");
}

#[test]
#[cfg(target_os = "linux")]
fn json_on_a_terminal_is_escaped_and_has_the_same_values() {
    let hostile = format!("{HOSTILE}\u{9b}31m\u{7f}\u{feff}\u{e0061}雨");
    let world = DynamoDbOnly::with_table();
    world.endpoint().put(TABLE, &[("pk", "a"), ("sk", "1"), ("text", &hostile)]);
    for line in ["ddb scan -o json", "ddb scan -o jsonl", "ddb get a 1 -o json", "ddb export -"] {
        let run = world.xtask(line).env("CI", "true").env("TERM", "xterm");
        let (code, text) = super::output::typescript_in(200, run.into_command());
        let text = text.replace('\r', "");
        let acts = |letter: char| {
            letter != '\n' && (letter.is_control() || "\u{202e}\u{2066}\u{feff}\u{e0061}".contains(letter))
        };
        assert!(code == Some(0) && !text.contains(acts) && text.contains('雨'), "{line}: {text:?}");
        let (start, end) = (text.find('{').unwrap(), text.rfind('}').unwrap());
        let value: Value = serde_json::from_str(&text[start..=end]).unwrap();
        assert!(value.to_string().contains(&json!(hostile).to_string()), "{line}: {value}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_table_fits_the_terminal_and_wide_letters_take_two_places() {
    let world = DynamoDbOnly::with_table();
    world.endpoint().put(TABLE, &[("pk", "a"), ("sk", "1"), ("name", "雨宮"), ("text", &"雨".repeat(30))]);
    world.endpoint().put(TABLE, &[("pk", "a"), ("sk", "2"), ("name", "ann"), ("text", &"x".repeat(39))]);
    let query = |options: &str, columns: u16| {
        let run = world.xtask(&format!("ddb query --pk a {options}")).env("CI", "true").env("TERM", "xterm");
        let (code, text) = super::output::typescript_in(columns, run.into_command());
        assert_eq!(code, Some(0), "{text}");
        text.replace('\r', "")
    };
    let shown = |columns| query("", columns);
    assert_snapshot!(shown(40), @"
     pk  sk  name  text
     a   1   雨宮  雨雨雨雨雨雨雨雨雨雨雨...
     a   2   ann   xxxxxxxxxxxxxxxxxxxxxx...
    cut to fit the terminal; --wide or --vertical shows all
    2 items; consumed capacity: 0.5 units
    ");
    assert_snapshot!(shown(80), @"
     pk  sk  name  text
     a   1   雨宮  雨雨雨雨雨雨雨雨雨雨雨雨雨雨雨雨雨雨雨雨雨雨雨雨雨雨雨雨雨雨
     a   2   ann   xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
    2 items; consumed capacity: 0.5 units
    ");
    assert_eq!(query("--wide", 40), shown(80));
    assert_snapshot!(query("--vertical --projection pk,sk,#n --names #n=name", 40), @"
     name  雨宮
     pk    a
     sk    1

     name  ann
     pk    a
     sk    2
    2 items; consumed capacity: 0.5 units
    ");
    assert_snapshot!(query("--projection nothing", 40), @"2 items; consumed capacity: 0.5 units");
}

#[test]
#[cfg(target_os = "linux")]
fn a_table_too_wide_for_the_terminal_shows_its_keys_and_the_text() {
    let world = DynamoDbOnly::with_table();
    for (minute, message) in [("14:05", "Are you awake? My eyes are open."), ("14:06", "No.")] {
        let sort_key = format!("2026-11-28T{minute}:09.000000+00:00");
        let item = [
            ("pk", "MSG#5ae290ed-55d1-47a0-bc6d-fe2bc2700399"),
            ("sk", &sort_key),
            ("message", message),
            ("message_uuid", "aa3a07ea-325a-5625-8f46-f386b4827947"),
            ("user_handle", "andrewbrown"),
        ];
        world.endpoint().put(TABLE, &item);
    }
    let scan = |size: &str| {
        let run = world.xtask("ddb scan").env("CI", "true").env("TERM", "xterm");
        super::output::typescript_after(size, run.into_command()).1.replace('\r', "")
    };
    assert_snapshot!(scan("stty cols 80 rows 50"), @"
     pk                         sk                         message
     MSG#5ae290ed-55d1-47a0...  2026-11-28T14:05:09.00...  Are you awake? My eyes...
     MSG#5ae290ed-55d1-47a0...  2026-11-28T14:06:09.00...  No.
    cut to fit the terminal, without 2 columns; --wide or --vertical shows all
    2 items; consumed capacity: 0.5 units
    ");
    // Some terminals report no height.
    assert_eq!(scan("stty cols 80 rows 0"), scan("stty cols 80 rows 50"));
    assert_snapshot!(scan("stty cols 120 rows 50"), @"
     pk                                        sk                                message                         user_handle
     MSG#5ae290ed-55d1-47a0-bc6d-fe2bc2700399  2026-11-28T14:05:09.000000+00:00  Are you awake? My eyes are ...  andrewbrown
     MSG#5ae290ed-55d1-47a0-bc6d-fe2bc2700399  2026-11-28T14:06:09.000000+00:00  No.                             andrewbrown
    cut to fit the terminal, without 1 column; --wide or --vertical shows all
    2 items; consumed capacity: 0.5 units
    ");
    assert!(!scan("stty cols 160 rows 50").contains("--wide"));
}

#[test]
fn a_server_that_throttles_delays_a_read_and_takes_nothing_from_it() {
    let world = DynamoDbOnly::with_items(1_500, 1_000);
    for line in ["ddb scan -o jsonl", "ddb scan -o jsonl --segments 5", "ddb scan -o jsonl --limit 2000"] {
        let requests = AtomicUsize::new(0);
        let proxy = Proxy::start(world.endpoint(), move |operation, _| {
            let throttles = operation == "Scan" && requests.fetch_add(1, Ordering::SeqCst) % 3 != 2;
            Ok(if throttles { Fate::throttled() } else { Fate::Passed })
        });
        let read = world.xtask(line).env("AWS_ENDPOINT_URL_DYNAMODB", proxy.endpoint.url()).ok();
        assert_eq!(numbers(&read), (0..1_500).collect::<Vec<_>>(), "{line}");
    }
}

#[test]
fn answers_that_are_lost_are_asked_for_again() {
    let world = DynamoDbOnly::with_items(1_500, 1_000);
    let requests = AtomicUsize::new(0);
    let proxy = Proxy::start(world.endpoint(), move |_, _| {
        let lost = [Fate::Lost, Fate::AnswerLost, Fate::Passed];
        let turn = requests.fetch_add(1, Ordering::SeqCst) % lost.len();
        Ok(lost.into_iter().nth(turn).unwrap())
    });
    let read = world.xtask("ddb scan -o jsonl").env("AWS_ENDPOINT_URL_DYNAMODB", proxy.endpoint.url()).ok();
    assert_eq!(numbers(&read), (0..1_500).collect::<Vec<_>>());
}

#[test]
fn a_server_that_dies_in_the_middle_of_a_read_is_an_error() {
    let world = DynamoDbOnly::with_items(1_500, 1_000);
    let dying = |line: &str| {
        let requests = AtomicUsize::new(0);
        let proxy = Proxy::start(world.endpoint(), move |operation, _| {
            let dead = operation != "DescribeTable" && requests.fetch_add(1, Ordering::SeqCst) > 0;
            Ok(if dead { Fate::Lost } else { Fate::Passed })
        });
        let url = proxy.endpoint.url();
        let failed = world.xtask(line).env("AWS_ENDPOINT_URL_DYNAMODB", &url).end();
        assert_eq!(failed.code, Some(3), "{failed}");
        let told = ["cannot scan table cruddur-messages", "cannot reach DynamoDB at", &url, "help"];
        failed.says(&told);
        failed
    };
    // Items that arrived are printed. A document or a count is printed completely or not at all. If a request for one
    // segment is lost, the read may end before another segment is answered.
    for (line, some) in [
        ("ddb scan -o jsonl", Some(true)),
        ("ddb scan -o table", Some(true)),
        ("ddb scan -o jsonl --segments 3", None),
        ("ddb scan -o jsonl --limit 1400", Some(true)),
        ("ddb scan -o json", Some(false)),
        ("ddb scan --count", Some(false)),
    ] {
        let failed = dying(line);
        let count = failed.stdout.lines().count();
        assert!(some.is_none_or(|some| some == (count > 0)), "{line}: {count} lines");
        assert!(count < 1_400, "{line}: {count} lines");
    }
}

/// An escape sequence, and bidirectional control characters.
pub(crate) const HOSTILE: &str = "a\u{1b}]0;owned\u{7}\u{202e}b\u{2066}";

#[track_caller]
pub(crate) fn assert_harmless(text: &str) {
    let acts = |letter: char| {
        letter.is_control() && letter != '\n'
            || matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    assert!(!text.contains(acts), "{text:?}");
    assert!(text.contains(r"a\u{1b}]0;owned\u{7}\u{202e}b\u{2066}"), "{text:?}");
}

#[test]
fn control_characters_are_escaped_in_tables_and_in_errors() {
    let world = DynamoDbOnly::with_table();
    world.endpoint().put(TABLE, &[("pk", HOSTILE), ("sk", "1"), (HOSTILE, HOSTILE)]);
    for command in ["scan", "query", "get"] {
        let run = world.xtask("ddb").arg(command);
        let run = match command {
            "query" => run.arg("--pk").arg(HOSTILE),
            "get" => run.arg(HOSTILE).arg("1"),
            _ => run,
        };
        assert_harmless(&run.ok().stdout);
    }
    assert_harmless(&world.xtask("ddb get").arg(HOSTILE).arg("2").fails(1).stderr);
    assert_harmless(&world.xtask("ddb scan --table").arg(HOSTILE).fails(2).stderr);
    let refused = world.xtask("ddb scan").arg(HOSTILE).fails(2).stderr;
    assert!(refused.contains(r"\u{202e}b\u{2066}") && !refused.contains('\u{202e}'), "{refused:?}");
    assert_harmless(&world.xtask("ddb delete --dry-run").arg(HOSTILE).arg("1").ok().stderr);
    let record = json!({ "pk": "a", "sk": "1", HOSTILE: { "N": "one" } }).to_string();
    world.write("hostile.jsonl", &record);
    assert_harmless(&world.xtask("ddb import hostile.jsonl").fails(2).stderr);
    // Output for programs contains it unchanged.
    assert_eq!(world.xtask("ddb scan -o jsonl").ok().json_lines()[0]["pk"], HOSTILE);
}
