//! `cargo xtask ddb query` and the expressions of `scan`: the items they choose, and their errors.

use insta::assert_snapshot;
use serde_json::json;

use super::{DynamoDbOnly, TABLE};

impl DynamoDbOnly {
    /// A world with a table of game scores, whose sort key is a number, and an index on it.
    fn with_scores() -> Self {
        let world = Self::new();
        let (keys, index_keys) = ([("game", "S"), ("score", "N")], [("who", "S"), ("score", "N")]);
        world.endpoint().create_table_with_index("scores", &keys, "by-who", &index_keys);
        let scores = [("go", "-5"), ("go", "1"), ("go", "2"), ("go", "10"), ("go", "20.5"), ("chess", "7")];
        let whose = ["ann", "bob"].into_iter().cycle();
        let score = |((game, score), who)| json!({ "game": { "S": game }, "score": { "N": score }, "who": { "S": who } });
        world.endpoint().put_items("scores", scores.into_iter().zip(whose).map(score));
        world
    }
}

/// The scores in the output of a query for one game.
#[track_caller]
fn scores(world: &DynamoDbOnly, options: &str) -> String {
    let ran = world.xtask(&format!("ddb query --table scores --pk go -o jsonl {options}")).ok();
    ran.json_lines().iter().map(|item| item["score"].to_string()).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_query_takes_each_condition_on_the_sort_key_in_both_directions() {
    let world = DynamoDbOnly::with_scores();
    for (options, expected) in [
        ("", "-5 1 2 10 20.5"),
        ("--desc", "20.5 10 2 1 -5"),
        ("--sk 10", "10"),
        ("--sk 10.0", "10"),
        ("--sk -5", "-5"),
        ("--sk 11", ""),
        ("--lt 2", "-5 1"),
        ("--le 2", "-5 1 2"),
        ("--gt 2", "10 20.5"),
        ("--ge 2", "2 10 20.5"),
        ("--between -5 2", "-5 1 2"),
        ("--between 3 9", ""),
        ("--ge 1 --desc --limit 2", "20.5 10"),
    ] {
        assert_eq!(scores(&world, options), expected, "{options}");
    }
}

#[test]
fn texts_are_found_by_their_beginning() {
    let world = DynamoDbOnly::with_table();
    for sk in ["2025-12-31", "2026-01-01", "2026-01-02", "2026-02-01", "-2026"] {
        world.endpoint().put(TABLE, &[("pk", "a"), ("sk", sk)]);
    }
    let found = |prefix: &str| {
        let ran = world.xtask("ddb query --pk a -o jsonl --begins-with").arg(prefix).ok();
        ran.json_lines().iter().map(|item| item["sk"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(found("2026-01"), ["2026-01-01", "2026-01-02"]);
    assert_eq!(found("-"), ["-2026"]);
    assert_eq!(found("2027"), [""; 0]);
}

#[test]
fn a_binary_key_is_written_in_base64() {
    let world = DynamoDbOnly::new();
    world.endpoint().create_table("blobs", &[("id", "B"), ("at", "B")]);
    world.endpoint().put_items(
        "blobs",
        ["AQ==", "AQI=", "Ag=="].map(|at| json!({ "id": { "B": "/w==" }, "at": { "B": at } })),
    );
    let found = |options: &str| {
        world.xtask(&format!("ddb query --table blobs --pk /w== -o jsonl {options}")).ok().stdout
    };
    assert_snapshot!(found("--begins-with AQ=="), @r#"
    {"at":"AQ==","id":"/w=="}
    {"at":"AQI=","id":"/w=="}
    "#);
    assert_snapshot!(found("--gt AQI="), @r#"{"at":"Ag==","id":"/w=="}"#);
    assert_snapshot!(world.error(2, "ddb query --table blobs --pk red", &[]), @"error: key `id` must be binary, written in base64; `red` is not");
}

#[test]
fn a_table_without_a_sort_key_is_queried_by_its_partition_key_alone() {
    let world = DynamoDbOnly::new();
    world.endpoint().create_table("users", &[("id", "N")]);
    world.endpoint().put_items("users", [json!({ "id": { "N": "7" }, "name": { "S": "ann" } })]);
    assert_eq!(
        world.xtask("ddb query --table users --pk 7 -o jsonl").ok().json_lines(),
        [json!({ "id": 7, "name": "ann" })]
    );
    assert_snapshot!(world.error(2, "ddb query --table users --pk 7 --gt 1", &[]), @"error: there is no sort key to put a condition on: the key is `id` alone");
    assert_snapshot!(world.error(2, "ddb query --table users --pk seven", &[]), @"error: key `id` must be a number; `seven` is not");
}

#[test]
fn an_index_has_keys_of_its_own() {
    let world = DynamoDbOnly::with_scores();
    let bobs = world.xtask("ddb query --table scores --index by-who --pk bob --gt 1").ok();
    assert_snapshot!(bobs.stdout, @"
    who  score  game
    bob  7      chess
    bob  10     go
    ");
    let scanned = world.xtask("ddb scan --table scores --index by-who -o jsonl").ok();
    assert_eq!(scanned.json_lines().len(), 6);
    assert_snapshot!(world.error(2, "ddb query --table scores --index by-whom --pk bob", &[]), @"
    error: table scores has no index `by-whom`
      help: its indexes: by-who
    ");
    assert_snapshot!(world.error(2, "ddb query --table scores --index by-who --pk bob --consistent", &[]), @"
    error: cannot query table scores
      because: ValidationException: Consistent reads are not supported on global secondary indexes
    ");
    let world = DynamoDbOnly::with_table();
    assert_snapshot!(world.error(2, "ddb query --index by-who --pk bob", &[]), @"
    error: table cruddur-messages has no index `by-who`
      help: it has no index: leave --index out
    ");
}

#[test]
fn filters_and_projections_take_placeholders_in_both_forms() {
    let world = DynamoDbOnly::with_scores();
    let filtered = |line: &str| {
        let run = world.xtask(line).arg("--filter").arg("#w = :who and attribute_exists(game)");
        run.arg("--projection").arg("#s, who").arg("-o").arg("jsonl")
    };
    let pairs = filtered("ddb scan --table scores --names #w=who --names #s=score --values :who=ann").ok();
    let objects = filtered("ddb scan --table scores")
        .arg("--names")
        .arg(r##"{"#w": "who", "#s": "score"}"##)
        .arg("--values")
        .arg(r#"{":who": {"S": "ann"}}"#)
        .ok();
    let mut lines: Vec<_> = pairs.stdout.lines().collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        [r#"{"score":-5,"who":"ann"}"#, r#"{"score":2,"who":"ann"}"#, r#"{"score":20.5,"who":"ann"}"#]
    );
    assert_eq!(pairs.stdout, objects.stdout);
    pairs.says(&["3 items of 6 read; consumed capacity: 0.5 units"]);

    // An unquoted number is a number. Text that looks like a number must be in quotes.
    let world = DynamoDbOnly::with_items(3, 1);
    let by = |value: &str| {
        let run = world
            .xtask("ddb query --pk p01 -o jsonl --filter")
            .arg("#n = :n")
            .arg("--names")
            .arg("#n=number");
        run.arg("--values").arg(value).ok().json_lines().len()
    };
    assert_eq!([by(":n=1"), by(":n=1.0"), by(":n=\"1\""), by(r#":n={"N":"1"}"#)], [1, 1, 0, 1]);
}

#[test]
fn errors_about_expressions_and_placeholders_have_remedies() {
    let world = DynamoDbOnly::with_scores();
    let line = "ddb query --table scores --pk go --filter";
    assert_snapshot!(world.error(2, line, &["who == :w", "--values", ":w=ann"]), @r#"
    error: cannot query table scores
      because: ValidationException: Invalid FilterExpression: Syntax error; token: "=", near: "== :w"
    "#);
    assert_snapshot!(world.error(2, line, &["#w = :w", "--values", ":w=ann"]), @"
    error: cannot query table scores
      because: ValidationException: Invalid FilterExpression: An expression attribute name used in the document path is not defined; attribute name: #w
    ");
    assert_snapshot!(world.error(2, line, &["who = :w", "--values", ":w=ann", "--values", ":x=1"]), @"
    error: cannot query table scores
      because: ValidationException: Value provided in ExpressionAttributeValues unused in expressions: keys: {:x}
    ");
    assert_snapshot!(world.error(2, line, &["who = :w", "--values", "w=ann"]), @"
    error: --values `w=ann`: expected :VALUE=VALUE
      help: write `--values ':w=...'`, and `:w` in the expression
    ");
    assert_snapshot!(world.error(2, line, &["#w = :w", "--names", r##"{"#w": 1}"##]), @r##"error: --names `{"#w": 1}`: expected #NAME=ATTRIBUTE, or a JSON object of texts"##);
    assert_snapshot!(world.error(2, line, &["#query_pk = :w", "--names", "#query_pk=who", "--values", ":w=ann"]), @"error: placeholder `#query_pk` is taken by the key condition: use another name");
}

#[test]
fn a_key_condition_that_makes_no_sense_is_refused() {
    let world = DynamoDbOnly::with_scores();
    assert_snapshot!(world.error(2, "ddb query --table scores --pk go --sk seven", &[]), @"error: key `score` must be a number; `seven` is not");
    assert_snapshot!(world.error(2, "ddb query --table scores --pk go --begins-with 1", &[]), @"
    error: cannot query table scores
      because: ValidationException: Invalid KeyConditionExpression: Incorrect operand type for operator or function; operator or function: begins_with, operand type: N
    ");
    assert_snapshot!(world.error(2, "ddb query --table scores --pk go --between 10 1", &[]), @"
    error: cannot query table scores
      because: ValidationException: Invalid KeyConditionExpression: The BETWEEN operator requires upper bound to be greater than or equal to lower bound; lower bound operand: AttributeValue: {N:10}, upper bound operand: AttributeValue: {N:1}
    ");
    for (line, told) in [
        ("ddb query --table scores", "--pk <KEY>"),
        ("ddb query --table scores --pk go --sk 1 --gt 2", "cannot be used with"),
        ("ddb query --table scores --pk go --between 1", "2 values required"),
        ("ddb query --table scores --pk go --count --projection who", "cannot be used with"),
        ("ddb scan --segments 2 --limit 2", "cannot be used with"),
        ("ddb scan --segments 0", "0 is not in 1"),
        ("ddb scan --limit 0", "0 is less than 1"),
        ("ddb scan -o table --dynamodb-json", "--dynamodb-json goes with -o jsonl"),
    ] {
        world.xtask(line).fails(2).says(&[told]);
    }
}

#[test]
fn a_table_that_is_missing_is_named() {
    let world = DynamoDbOnly::new();
    assert_snapshot!(world.error(1, "ddb scan --table films", &[]), @"
    error: there is no table films
      because: DynamoDB at ENDPOINT has no such table
      because: ResourceNotFoundException: Requested resource not found: Table: films not found
      help: see `cargo xtask ddb list-tables`; `cargo xtask prepare` sets both databases up
    ");
    assert_snapshot!(world.error(1, "ddb scan --table films --segments 2", &[]), @"
    error: there is no table films
      because: DynamoDB at ENDPOINT has no such table
      because: ResourceNotFoundException: Requested resource not found: Table: films not found
      help: see `cargo xtask ddb list-tables`; `cargo xtask prepare` sets both databases up
    ");
    assert_snapshot!(world.error(1, "ddb query --table films --pk a", &[]), @"
    error: there is no table films
      because: DynamoDB at ENDPOINT has no such table
      because: ResourceNotFoundException: Requested resource not found: Table: films not found
      help: see `cargo xtask ddb list-tables`; `cargo xtask prepare` sets both databases up
    ");
}
