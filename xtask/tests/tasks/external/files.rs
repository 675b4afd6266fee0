//! `cargo xtask ddb export` and `import`.

use std::fmt::Write as _;
use std::time::Duration;

use insta::assert_snapshot;
use serde_json::{Value, json};

use super::DynamoDbOnly;
use crate::common::dynamodb::Endpoint;

/// Creates a table. Each key is a name and a type.
fn create(endpoint: Endpoint, table: &str, keys: &[(&str, &str)]) {
    let definitions: Vec<_> =
        keys.iter().map(|(name, kind)| json!({ "AttributeName": name, "AttributeType": kind })).collect();
    let roles = ["HASH", "RANGE"].into_iter().zip(keys);
    let schema: Vec<_> =
        roles.map(|(role, (name, _))| json!({ "AttributeName": name, "KeyType": role })).collect();
    endpoint.call(
        "CreateTable",
        json!({ "TableName": table, "AttributeDefinitions": definitions, "KeySchema": schema, "BillingMode": "PAY_PER_REQUEST" }),
    );
}

const STRING_KEYS: &[(&str, &str)] = &[("pk", "S"), ("sk", "S")];

/// Two empty tables with string keys.
fn two_tables() -> DynamoDbOnly {
    let world = DynamoDbOnly::new();
    create(world.endpoint(), "one", STRING_KEYS);
    create(world.endpoint(), "two", STRING_KEYS);
    world
}

fn lines(count: usize) -> String {
    (0..count).fold(String::new(), |mut text, number| {
        let _ = writeln!(
            text,
            r#"{{"pk":{{"S":"p{}"}},"sk":{{"S":"{number:06}"}},"text":{{"S":"message {number}"}}}}"#,
            number % 7
        );
        text
    })
}

/// The items of these lines of DynamoDB JSON, sorted by key.
fn items_of(lines: &str) -> Vec<Value> {
    let mut items: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    items.sort_by_key(|item| ["pk", "sk"].map(|name| item[name]["S"].as_str().unwrap_or("").to_owned()));
    items
}

/// Names the first item that differs. Printing all items would fill the screen.
#[track_caller]
fn assert_same(there: Vec<Value>, expected: Vec<Value>, what: &str) {
    assert_eq!(there.len(), expected.len(), "{what}");
    for (there, expected) in there.into_iter().zip(expected) {
        assert_eq!(in_one_order(there), in_one_order(expected), "{what}");
    }
}

/// Sorts sets, whose order is not significant.
fn in_one_order(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let members = members.into_iter().map(|(name, value)| match (name.as_str(), value) {
                ("SS" | "NS" | "BS", Value::Array(mut elements)) => {
                    elements.sort_by_key(ToString::to_string);
                    (name, Value::Array(elements))
                }
                (_, value) => (name, in_one_order(value)),
            });
            Value::Object(members.collect())
        }
        Value::Array(values) => Value::Array(values.into_iter().map(in_one_order).collect()),
        other => other,
    }
}

/// A random value of any type, with at most `depth` nested lists and maps, in the form that a server returns.
fn any_value(random: &mut fastrand::Rng, depth: u8) -> Value {
    let text = |random: &mut fastrand::Rng| {
        let letters = ["a", "é", "雨", "🎉", "\"", "\\", "\n", "\u{1}", " ", ",", "{", ":", "=", "'"];
        (0..random.usize(0..12)).map(|_| letters[random.usize(0..letters.len())]).collect::<String>()
    };
    let number = |random: &mut fastrand::Rng| match random.u8(0..4) {
        0 => "12345678901234567890123456789012345678".to_owned(),
        1 => format!("-0.{}1", "0".repeat(random.usize(0..20))),
        2 => "0".to_owned(),
        _ => random.i64(..).to_string(),
    };
    let bytes = |random: &mut fastrand::Rng| ["AA==", "AQI=", "AQID", "/+8="][random.usize(0..4)].to_owned();
    let set = |all: Vec<String>| {
        let unique: std::collections::BTreeSet<_> = all.into_iter().collect();
        json!(unique)
    };
    let several = random.usize(1..4);
    match random.u8(0..if depth == 0 { 8 } else { 10 }) {
        0 => json!({ "S": text(random) }),
        1 => json!({ "N": number(random) }),
        2 => json!({ "B": bytes(random) }),
        3 => json!({ "BOOL": random.bool() }),
        4 => json!({ "NULL": true }),
        5 => json!({ "SS": set((0..several).map(|index| format!("{index}{}", text(random))).collect()) }),
        6 => json!({ "NS": set((0..several).map(|_| random.i32(..).to_string()).collect()) }),
        7 => json!({ "BS": set((0..several).map(|_| bytes(random)).collect()) }),
        8 => json!({ "L": (0..several).map(|_| any_value(random, depth - 1)).collect::<Vec<_>>() }),
        _ => {
            let members =
                (0..several).map(|index| (format!("{index}{}", text(random)), any_value(random, depth - 1)));
            json!({ "M": members.collect::<serde_json::Map<_, _>>() })
        }
    }
}

fn any_items(count: usize, seed: u64) -> String {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..count).fold(String::new(), |mut text, number| {
        let mut item = serde_json::Map::new();
        item.insert("pk".to_owned(), json!({ "S": format!("p{}", number % 5) }));
        item.insert("sk".to_owned(), json!({ "S": format!("{number:04}") }));
        for name in ["a", "b", "naïve, \"name\"", "d:N"] {
            if random.u8(0..4) > 0 {
                item.insert(name.to_owned(), any_value(&mut random, 3));
            }
        }
        if number == 17 {
            item.insert("large".to_owned(), json!({ "S": "é".repeat(204_000) }));
        }
        let _ = writeln!(text, "{}", Value::Object(item));
        text
    })
}

#[test]
fn every_type_comes_back_byte_for_byte_in_every_form() {
    for (seed, name) in
        [(1, "a.jsonl"), (2, "a.jsonl.gz"), (3, "a.csv"), (4, "a.csv.zst"), (5, "a.ndjson.zst")]
    {
        let world = two_tables();
        let made = any_items(600, seed);
        world.write("made.jsonl", &made);
        world.xtask("ddb import made.jsonl --table one --dynamodb-json").ok();
        assert_same(world.endpoint().items("one"), items_of(&made), name);
        world.xtask("ddb export").arg(name).arg("--table").arg("one").ok();
        world.xtask("ddb import").arg(name).arg("--table").arg("two").ok();
        assert_same(world.endpoint().items("two"), items_of(&made), name);
        let again = format!("again-{name}");
        world.xtask("ddb export").arg(&again).arg("--table").arg("two").ok();
        let [first, second] = [name, &again].map(|name| std::fs::read(world.path(name)).unwrap());
        assert!(first == second, "{name}: {} and {} bytes", first.len(), second.len());
    }
}

#[test]
fn an_import_that_is_killed_and_run_again_ends_with_exactly_the_input() {
    let world = two_tables();
    let made = lines(30_000);
    world.write("made.jsonl", &made);
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..5 {
        let running = world.xtask("ddb import made.jsonl --table one").start();
        std::thread::sleep(Duration::from_millis(random.u64(20..900)));
        running.signal("KILL");
        running.end_within(Duration::from_secs(10));
    }
    world.xtask("ddb import made.jsonl --table one").ok();
    assert_same(world.endpoint().items("one"), items_of(&made), "after the last run");
}

#[test]
fn an_import_begins_in_the_line_that_is_named() {
    let world = two_tables();
    world.write("made.jsonl", &lines(10));
    world.xtask("ddb import made.jsonl --table one --from-line 8").ok().says(&["3 items"]);
    // The first line still determines the notation.
    let plain = "{\"pk\":\"a\",\"sk\":\"1\"}\n{\"pk\":\"a\",\"sk\":\"2\",\"m\":{\"S\":\"x\"}}\n";
    world.write("plain.jsonl", plain);
    world.xtask("ddb import plain.jsonl --table two --from-line 2").ok().says(&["1 item"]);
    assert_eq!(world.endpoint().items("two")[0]["m"], json!({ "M": { "S": { "S": "x" } } }));
    // A row of CSV counts by the line of its first cell.
    world.write("table.csv", "pk,sk,text\nb,1,\"two\nlines\"\nb,2,\n\nb,3,\n");
    world.xtask("ddb import table.csv --table two --from-line 3").ok().says(&["2 items"]);
    let beyond = "ddb import made.jsonl --table one --from-line 11";
    for line in [beyond.to_owned(), format!("{beyond} --dry-run")] {
        world.xtask(&line).fails(1).says(&["--from-line 11: made.jsonl has 10 lines"]);
    }
}

#[test]
fn a_bad_line_stops_the_import_and_the_mended_file_is_imported() {
    let world = two_tables();
    let good = lines(3);
    let bad = good.replace(r#""000001""#, "1");
    world.write("made.jsonl", &bad);
    let failed = world.xtask("ddb import made.jsonl --table one --dynamodb-json").fails(2);
    assert_snapshot!(failed.error(), @"
    error: DynamoDB: could not import made.jsonl into one
      because: made.jsonl:2: attribute `sk`: expected a string, found the number `1` (at byte 28)
      so far: 1 item was certainly written
      so far: everything before line 2 is written: go on with --from-line 2
      help: fix the line and run the command again; or add --reject, which puts such lines into a file of their own
    ");
    world.write("made.jsonl", &good);
    world.xtask("ddb import made.jsonl --table one --from-line 2").ok().says(&["2 items"]);
    assert_eq!(world.endpoint().items("one"), items_of(&good));
}

#[test]
fn bad_lines_can_be_put_aside() {
    let world = two_tables();
    let good = lines(4);
    let bad = [
        r#"{"pk":{"S":"x"}}"#,
        r#"{"pk":{"S":""},"sk":{"S":"1"}}"#,
        r#"{"pk":{"N":"1"},"sk":{"S":"1"}}"#,
        r#"{"pk":{"S":"x"},"sk":{"S":"1"},"n":{"N":"one"}}"#,
        r#"{"pk":{"S":"x"},"sk":{"S":"1"},"#,
        r#"{"pk":{"S":"x"},"sk":{"S":"1"},"":{"S":"y"}}"#,
    ];
    let long_key = format!(r#"{{"pk":{{"S":"{}"}},"sk":{{"S":"1"}}}}"#, "k".repeat(2_049));
    let nested = "{\"L\":[".repeat(32) + r#"{"S":"x"}"# + &"]}".repeat(32);
    let deep = format!(r#"{{"pk":{{"S":"x"}},"sk":{{"S":"1"}},"deep":{nested}}}"#);
    let large = format!(r#"{{"pk":{{"S":"x"}},"sk":{{"S":"1"}},"large":{{"S":"{}"}}}}"#, "x".repeat(410_000));
    let mut made: Vec<&str> = good.lines().collect();
    made.insert(2, &large);
    let bad = bad.into_iter().chain([long_key.as_str(), &deep]);
    made.splice(1..1, bad.clone());
    world.write("made.jsonl", &format!("{}\n", made.join("\n")));
    let imported = world.xtask("ddb import made.jsonl --table one --reject").ok();
    let told: Vec<&str> = imported.stderr.lines().filter(|line| line.contains("made.jsonl:")).collect();
    assert_snapshot!(told.join("\n"), @"
    made.jsonl:2: key `sk` is missing
    made.jsonl:3: key `pk` is empty
    made.jsonl:4: key `pk` is not of the table's type S
    made.jsonl:5: attribute `n`: `one` is not a number
    made.jsonl:6: not valid JSON: it ends early (at byte 31)
    made.jsonl:7: an attribute's name is empty
    made.jsonl:8: key `pk` has 2049 bytes, more than the 2048 that DynamoDB takes
    made.jsonl:9: attribute `deep[0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0]`: it has more than 32 levels of lists and maps
    made.jsonl:11: the item has 410011 bytes, more than the 409600 that DynamoDB takes
    ");
    imported.says(&["9 records were not imported: they are in made.jsonl.rejected"]);
    assert_eq!(world.endpoint().items("one"), items_of(&good));
    let rejected = std::fs::read_to_string(world.path("made.jsonl.rejected")).unwrap();
    let expected: Vec<&str> = bad.chain([large.as_str()]).collect();
    assert!(rejected.lines().eq(expected), "{} bytes", rejected.len());
    for options in ["--reject", "--reject --dry-run"] {
        let none = world.xtask(&format!("ddb import made.jsonl.rejected --table one {options}")).fails(2);
        none.says(&["no record of made.jsonl.rejected can be imported"]);
    }
}

#[test]
fn people_s_own_files_are_read() {
    let world = two_tables();
    world.write(
        "plain.jsonl",
        "{\"pk\": \"a\", \"sk\": \"1\", \"size\": 1.50, \"tags\": [\"x\", null]}\r\n\r\n",
    );
    world.xtask("ddb import plain.jsonl --table one").ok();
    world.write("table.csv", "pk,sk,message\na,2,\"two\nlines\"\nb,3,\n");
    world.xtask("ddb import table.csv --table one").ok();
    world.write("s3.json", "{\"Item\":{\"pk\":{\"S\":\"c\"},\"sk\":{\"S\":\"4\"}}}\n");
    world.xtask("ddb import s3.json --table one").ok();
    let expected = json!([
        { "pk": { "S": "a" }, "sk": { "S": "1" }, "size": { "N": "1.5" },
          "tags": { "L": [{ "S": "x" }, { "NULL": true }] } },
        { "pk": { "S": "a" }, "sk": { "S": "2" }, "message": { "S": "two\nlines" } },
        { "pk": { "S": "b" }, "sk": { "S": "3" } },
        { "pk": { "S": "c" }, "sk": { "S": "4" } },
    ]);
    assert_eq!(json!(world.endpoint().items("one")), expected);
}

#[test]
fn the_later_of_two_lines_with_one_key_stays() {
    let world = two_tables();
    let made: String = (0..200)
        .map(|number| {
            format!(
                "{{\"pk\":{{\"S\":\"a\"}},\"sk\":{{\"S\":\"{}\"}},\"n\":{{\"N\":\"{number}\"}}}}\n",
                number % 3
            )
        })
        .collect();
    world.write("made.jsonl", &made);
    world.xtask("ddb import made.jsonl --table one").ok();
    let numbers: Vec<_> = world.endpoint().items("one").iter().map(|item| item["n"]["N"].clone()).collect();
    assert_eq!(numbers, ["198", "199", "197"]);
}

#[test]
fn impossible_exports_and_imports_are_errors() {
    let world = two_tables();
    world.write("made.jsonl", &lines(1));
    let fails = |line: &str, code| world.xtask(line).fails(code).error().to_owned();
    assert_snapshot!(fails("ddb export made.jsonl --table one", 1), @"
    error: made.jsonl exists already
      help: name another, or add --force
    ");
    assert_snapshot!(fails("ddb export none/made.jsonl --table one", 2), @"
    error: none is not a folder, so none/made.jsonl cannot be written
      help: make it, or name another
    ");
    assert_snapshot!(fails("ddb export made.xml --table one", 2), @"
    error: the name of made.xml does not tell its format
      help: end the name in .jsonl, .ndjson, .json or .csv, and then .gz or .zst if it is compressed
    ");
    assert_snapshot!(fails("ddb export made.csv --table one --plain", 2), @"error: --plain is for JSON lines; CSV keeps all types");
    assert_snapshot!(fails("ddb import missing.jsonl --table one", 2), @"
    error: there is no file missing.jsonl
      help: check the path, which is relative to the current folder
    ");
    world
        .xtask("ddb import made.txt --table one")
        .fails(2)
        .says(&["the name of made.txt does not tell its format"]);
    std::fs::create_dir(world.path("folder.jsonl")).unwrap();
    world.xtask("ddb import folder.jsonl --table one").fails(2).says(&["it is not a file"]);
    let made = std::process::Command::new("mkfifo").arg(world.path("pipe.jsonl")).status().unwrap();
    assert!(made.success());
    let pipe = std::fs::File::options().read(true).write(true).open(world.path("pipe.jsonl")).unwrap();
    world.xtask("ddb import pipe.jsonl --table one").fails(2).says(&["it is not a file"]);
    drop(pipe);
    world.xtask("ddb export new.jsonl --table three").fails(1).says(&["has no such table"]);
    assert!(!world.path("new.jsonl").exists());
    world.xtask("ddb import made.jsonl --table three").fails(1).says(&["has no such table"]);
    std::fs::write(world.path("short.jsonl.gz"), b"\x1f\x8b\x08\x00\x00").unwrap();
    world.xtask("ddb import short.jsonl.gz --table one").fails(2).says(&["the file is not whole"]);
    world.write("cut.jsonl.gz", "not compressed");
    world
        .xtask("ddb import cut.jsonl.gz --table one")
        .fails(2)
        .says(&["cannot import cut.jsonl.gz", "help: rename the file"]);
    world.xtask("ddb export --force made.jsonl --table one").ok();
    assert_eq!(std::fs::read_to_string(world.path("made.jsonl")).unwrap(), "");
}

#[cfg(unix)]
#[test]
fn no_file_can_be_read_by_more_users_than_before() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = two_tables();
    let mode = |name: &str| std::fs::metadata(world.path(name)).unwrap().permissions().mode() & 0o777;
    let set = |name: &str, mode| {
        std::fs::set_permissions(world.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    world.write("mine.csv", "pk,sk\na,\n");
    set("mine.csv", 0o600);
    for _ in 0..2 {
        world.xtask("ddb import mine.csv --table one --reject").fails(2);
        assert_eq!(mode("mine.csv.rejected"), 0o600);
    }
    assert_eq!(mode("mine.csv.rejected.1"), 0o600);
    world.xtask("ddb export --force mine.csv --table one").ok();
    assert_eq!(mode("mine.csv"), 0o600);
    world.write("ours.jsonl", "");
    set("ours.jsonl", 0o640);
    world.xtask("ddb export --force ours.jsonl --table one").ok();
    assert_eq!(mode("ours.jsonl"), 0o640);
    // A new file has the same permissions as any file of this user.
    world.write("any", "");
    world.xtask("ddb export new.jsonl --table one").ok();
    assert_eq!(mode("new.jsonl"), mode("any"));
}

#[test]
fn each_file_has_its_own_rejected_records_and_they_can_be_imported() {
    let world = two_tables();
    world.write("bad.csv", "pk,sk,n:N\na,1,x\n");
    world.write("other.jsonl", "{\"pk\":\"b\",\"sk\":\"2\"}\n{\"pk\":\"b\"}\n");
    let nothing = world.xtask("ddb import bad.csv --table one --reject").fails(2);
    nothing.says(&["no record of bad.csv can be imported", "correct the records in bad.csv.rejected"]);
    // A compressed file with the same name.
    world.xtask("ddb export bad.csv.gz --table one").ok();
    world.xtask("ddb import other.jsonl --table one --reject").ok();
    world.xtask("ddb export --force bad.csv.gz --table one").ok();
    world.endpoint().call("DeleteTable", json!({ "TableName": "two" }));
    create(world.endpoint(), "two", &[("pk", "S"), ("sk", "N")]);
    world
        .xtask("ddb import bad.csv.gz --table two --reject")
        .fails(2)
        .says(&["records in bad.csv.gz.rejected"]);
    let text = |name: &str| std::fs::read_to_string(world.path(name)).unwrap();
    assert_eq!(text("bad.csv.rejected"), "pk,sk,n:N\na,1,x\n");
    assert_eq!(text("bad.csv.gz.rejected"), "pk,sk,*\nb,2,\n");
    world.write("bad.csv.rejected", &text("bad.csv.rejected").replace('x', "7"));
    for (name, items) in [("bad.csv.rejected", "1 item"), ("bad.csv.gz.rejected", "1 item")] {
        world.xtask("ddb import").arg(name).arg("--table").arg("one").ok().says(&[items]);
    }
    assert_eq!(world.endpoint().items("one")[0]["n"], json!({ "N": "7" }));
    // Records that are rejected again go to another file.
    world.write("bad.csv.rejected", "pk,sk,n:N\na,1,y\n");
    let again = world.xtask("ddb import bad.csv.rejected --table one --reject").fails(2);
    again.says(&["bad.csv.rejected.rejected"]);
    world.xtask("ddb import bad.csv.rejected.rejected --table one --reject").fails(2);
}

#[test]
fn errors_about_a_file_use_its_terms() {
    let world = two_tables();
    let said = |name: &str, text: &str| {
        world.write(name, text);
        let failed = world.xtask("ddb import").arg(name).arg("--table").arg("one").fails(2);
        let mut because = failed.stderr.lines().filter_map(|line| line.trim().strip_prefix("because: "));
        because.next_back().unwrap().to_owned()
    };
    for (name, text, why) in [
        // An error of DynamoDB JSON in the first line.
        (
            "a.jsonl",
            r#"{"pk":{"S":"a"},"sk":{"S":1}}"#,
            "a.jsonl:1: attribute `sk`: expected a string, found the number `1` (at byte 27)",
        ),
        // Not JSON, and no line shows the notation.
        ("a.jsonl", r#"{"pk":"a","sk":}"#, "a.jsonl:1: not valid JSON (at byte 16)"),
        ("a.jsonl", "pk,sk\n", "a.jsonl:1: not valid JSON (at byte 1)"),
        (
            "a.jsonl",
            "{\"pk\":{\"S\":\"a\"},\"sk\":{\"S\":\"1\"}}\n{\"pk\":\"a\",\"sk\":\"2\"}\n",
            "a.jsonl:2: the line is plain JSON, and the file is read as DynamoDB JSON",
        ),
        (
            "a.jsonl",
            "{\"pk\":\"a\",\"sk\":\"2\"}\n{\"pk\":{\"S\":\"a\"},\"sk\":{\"S\":\"1\"}}\n",
            "a.jsonl:2: the line is DynamoDB JSON, and the file is read as plain JSON",
        ),
        (
            "a.jsonl",
            r#"{"pk":{"S":"a"},"sk":"1"}"#,
            "line 1: attribute `pk` has a type as in DynamoDB JSON, and `sk` none: add --dynamodb-json or --plain",
        ),
        ("a.csv", "pk;sk\na;1\n", "the cells are separated by ';': write the file with commas"),
    ] {
        assert_eq!(said(name, text), why);
    }
    for document in [r#"[{"pk":"a","sk":"1"}]"#, r#"{"Items":[{"pk":{"S":"a"},"sk":{"S":"1"}}],"Count":1}"#] {
        assert!(said("a.json", document).contains("`jq -c '.[]'` makes lines of a list"));
    }
}

/// Our size of an item equals the server's, so that the error about one that is too large names its line.
#[test]
fn the_largest_item_that_the_server_takes_is_the_largest_that_is_sent() {
    let world = two_tables();
    let shapes: [fn(&str) -> Value; 5] = [
        |text| json!({ "S": text }),
        |text| json!({ "L": [{ "S": text }, { "N": "-12.345" }, { "NULL": true }] }),
        |text| json!({ "M": { "né": { "S": text }, "b": { "B": "AQID" }, "m": { "M": {} }, "l": { "L": [] } } }),
        |text| json!({ "SS": ["a", text] }),
        |text| json!({ "L": [{ "NS": ["1", "-200", "0.05"] }, { "BS": ["AQ==", "AAE="] }, { "M": { "t": { "S": text } } }, { "BOOL": false }] }),
    ];
    for (number, shape) in shapes.into_iter().enumerate() {
        let line = |length: usize| {
            json!({ "pk": { "S": "a" }, "sk": { "S": number.to_string() }, "v": shape(&"x".repeat(length)) })
                .to_string()
        };
        let is_taken = |length: usize| {
            world.write("made.jsonl", &line(length));
            let ran = world.xtask("ddb import made.jsonl --table one").end();
            if ran.code != Some(0) {
                ran.says(&["made.jsonl:1: the item has "]);
            }
            ran.code == Some(0)
        };
        let (mut taken, mut refused) = (409_000, 409_700);
        assert!(is_taken(taken) && !is_taken(refused), "{number}");
        while refused - taken > 1 {
            let middle = usize::midpoint(taken, refused);
            *if is_taken(middle) { &mut taken } else { &mut refused } = middle;
        }
    }
}

#[test]
fn a_dash_is_stdout() {
    let world = two_tables();
    world.write("made.jsonl", &lines(3));
    world.xtask("ddb import made.jsonl --table one").ok();
    let printed = world.xtask("ddb export - --table one").ok();
    printed.says(&["3 items; consumed capacity: "]);
    world.xtask("ddb export made.jsonl --force --table one").ok();
    assert_eq!(std::fs::read_to_string(world.path("made.jsonl")).unwrap(), printed.stdout);
    let plain = world.xtask("ddb export - --plain --table one").ok();
    assert!(plain.json_lines()[0]["pk"].is_string(), "{plain}");
    assert!(!world.path("-").exists());
}

#[test]
fn a_pipe_can_be_imported() {
    let world = two_tables();
    let made = lines(3_000);
    let import =
        |options: &str, text: &str| world.xtask(&format!("ddb import - --table one {options}")).stdin(text);
    let rehearsed = import("--dry-run", &made).ok();
    rehearsed.says(&["it would import 3000 items into the table"]);
    assert_eq!(world.endpoint().items("one").len(), 0);
    import("", &made).ok().says(&["import stdin into one: 3000 items"]);
    assert_same(world.endpoint().items("one"), items_of(&made), "from a pipe");
    import("--plain", "{\"pk\":\"plain\",\"sk\":\"1\"}\n").ok().says(&["1 item"]);
    import("", "{\"pk\":1,\"sk\":\"1\"}\n").fails(2).says(&["because: stdin:1: key `pk` is not of"]);
    import("--reject", &made).fails(2).says(&["--reject needs a FILE"]);
}

#[test]
fn a_first_line_that_cannot_be_imported_leaves_nothing_to_go_on_from() {
    let world = two_tables();
    world.write("made.jsonl", "{\"pk\":1,\"sk\":\"1\"}\n");
    let failed = world.xtask("ddb import made.jsonl --table one").fails(2);
    failed.says(&["so far: no item was written\n", "made.jsonl:1: key `pk` is not of the table's type S"]);
    assert!(!failed.stderr.contains("--from-line"), "{failed}");
    // Larger than DynamoDB's 400 KB.
    let large = format!(
        "{{\"pk\":\"a\",\"sk\":\"1\"}}\n{{\"pk\":\"a\",\"sk\":\"2\",\"t\":\"{}\"}}\n",
        "x".repeat(410_000)
    );
    world.write("made.jsonl", &large);
    let failed = world.xtask("ddb import made.jsonl --table one").fails(2);
    failed.says(&["made.jsonl:2: the item has 410007 bytes, more than the 409600 that DynamoDB takes"]);
    world.xtask("ddb import none.csv").fails(2).says(&["there is no file none.csv", "help: check the path"]);
}
