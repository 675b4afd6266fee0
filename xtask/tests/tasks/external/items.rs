//! `cargo xtask ddb get`, `put`, `update` and `delete`: one item.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cruddur_testing::fixtures::proxy::{Fate, Proxy};
use insta::assert_snapshot;
use serde_json::{Value, json};

use super::{DynamoDbOnly, TABLE};

impl DynamoDbOnly {
    /// A world whose messages table holds one item.
    fn with_item() -> Self {
        let world = Self::new();
        world.xtask("ddb schema-load").ok();
        world.endpoint().put(TABLE, &[("pk", "a"), ("sk", "1"), ("text", "héllo"), ("to", "bayko")]);
        world
    }

    /// One item of the messages table; null if it does not exist.
    fn item(&self, pk: &str, sk: &str) -> Value {
        let key = json!({ "pk": { "S": pk }, "sk": { "S": sk } });
        self.endpoint().call("GetItem", json!({ "TableName": TABLE, "Key": key }))["Item"].take()
    }

    /// The error of a run that fails, with variable parts replaced.
    #[track_caller]
    fn item_error(&self, code: i32, arguments: &[&str]) -> String {
        let failed = arguments.iter().fold(self.xtask("ddb"), |run, argument| run.arg(argument)).fails(code);
        failed.error().replace(&self.endpoint().url(), "ENDPOINT")
    }
}

#[test]
fn get_prints_an_item_whole_in_every_form() {
    let world = DynamoDbOnly::with_item();
    let text = "x".repeat(100);
    let item = json!({
        "pk": { "S": "b" }, "sk": { "S": "-1" }, "lines": { "S": "two\nlines\u{1b}[31m" },
        "long": { "S": text }, "n": { "N": "1.5" }, "tags": { "SS": ["x"] }, "wide": { "S": "雨宮" }
    });
    world.endpoint().put_items(TABLE, [item.clone()]);
    let got = |options: &str| world.xtask(&format!("ddb get b -1 {options}")).ok();
    assert_snapshot!(got("").stdout.replace(&text, "TEXT"), @r#"
    lines  two\nlines\u{1b}[31m
    long   TEXT
    n      1.5
    pk     b
    sk     -1
    tags   ["x"]
    wide   雨宮
    "#);
    assert_snapshot!(got("-o jsonl").stdout.replace(&text, "TEXT"), @r#"{"lines":"two\nlines\u001b[31m","long":"TEXT","n":1.5,"pk":"b","sk":"-1","tags":["x"],"wide":"雨宮"}"#);
    assert_eq!(got("-o json").json(), json!({ "Item": item }));
    assert_eq!(got("-o jsonl --dynamodb-json").json_lines(), [item]);
    assert_eq!(got("").stderr, "");
    assert_eq!(got("--consistent -o json").stdout, got("-o json").stdout);
    let projected = got("--projection #n,n --names #n=wide -o jsonl");
    assert_snapshot!(projected.stdout, @r#"{"n":1.5,"wide":"雨宮"}"#);
}

#[test]
fn a_key_has_the_types_of_the_table() {
    let world = DynamoDbOnly::new();
    world.endpoint().create_table("scores", &[("id", "N"), ("at", "B")]);
    world.endpoint().create_table("users", &[("name", "S")]);
    world.xtask(r#"ddb put --table scores {"id":{"N":"-7"},"at":{"B":"AQ=="}}"#).ok();
    world.xtask(r#"ddb put --table users {"name":"ann"}"#).ok();
    assert_snapshot!(world.xtask("ddb get --table scores -7 AQ== -o jsonl").ok().stdout, @r#"{"at":"AQ==","id":-7}"#);
    assert_snapshot!(world.xtask("ddb get --table scores -7.0 AQ== -o jsonl").ok().stdout, @r#"{"at":"AQ==","id":-7}"#);
    assert_snapshot!(world.xtask("ddb delete --table users ann -o jsonl").ok().stdout, @r#"{"name":"ann"}"#);
    assert_snapshot!(world.item_error(2, &["get", "--table", "scores", "seven", "AQ=="]), @"error: key `id` must be a number; `seven` is not");
    assert_snapshot!(world.item_error(2, &["get", "--table", "scores", "-7", "red"]), @"error: key `at` must be binary, written in base64; `red` is not");
    assert_snapshot!(world.item_error(2, &["get", "--table", "scores", "-7"]), @"
    error: the table's items have a sort key as well: `at`
      help: add it after the partition key: `-7 SK`
    ");
    assert_snapshot!(world.item_error(2, &["delete", "--table", "users", "ann", "1"]), @"
    error: the table has no sort key
      help: leave `1` out
    ");
    assert_snapshot!(world.item_error(2, &["put", "--table", "scores", r#"{"id":"7","at":"AQ=="}"#]), @"
    error: the item cannot be put into table scores: key `id` is not of the table's type N
      help: correct the item; the key of table scores is id and at
    ");
    assert_snapshot!(world.item_error(2, &["put", "--table", "users", r#"{"id":"ann"}"#]), @"
    error: the item cannot be put into table users: key `name` is missing
      help: correct the item; the key of table users is name
    ");
}

#[test]
fn an_item_or_a_table_that_is_not_there_is_named() {
    let world = DynamoDbOnly::with_item();
    assert_snapshot!(world.item_error(1, &["get", "a", "2"]), @"
    error: there is no item a 2 in table cruddur-messages of DynamoDB at ENDPOINT
      help: see what there is with `cargo xtask ddb scan --table cruddur-messages`
    ");
    assert_snapshot!(world.item_error(1, &["delete", "a", "2"]), @"
    error: there is no item a 2 in table cruddur-messages of DynamoDB at ENDPOINT
      help: see what there is with `cargo xtask ddb scan --table cruddur-messages`
    ");
    assert_snapshot!(world.item_error(1, &["get", "--table", "films", "a"]), @"
    error: there is no table films
      because: DynamoDB at ENDPOINT has no such table
      because: ResourceNotFoundException: Requested resource not found: Table: films not found
      help: see `cargo xtask ddb list-tables`; `cargo xtask prepare` sets both databases up
    ");
    assert_snapshot!(world.item_error(1, &["put", "--table", "films", r#"{"pk":"a"}"#]), @"
    error: no item was put into table films
      because: there is no table films
      because: DynamoDB at ENDPOINT has no such table
      because: ResourceNotFoundException: Requested resource not found: Table: films not found
      help: see `cargo xtask ddb list-tables`; `cargo xtask prepare` sets both databases up
    ");
    assert_snapshot!(world.item_error(1, &["delete", "--table", "films", "a"]), @"
    error: there is no table films
      because: DynamoDB at ENDPOINT has no such table
      because: ResourceNotFoundException: Requested resource not found: Table: films not found
      help: see `cargo xtask ddb list-tables`; `cargo xtask prepare` sets both databases up
    ");
}

#[test]
fn put_takes_plain_json_dynamodb_json_and_stdin() {
    let world = DynamoDbOnly::with_item();
    let plain = r#"{"pk":"b","sk":"1","n":1.50,"list":[true,null],"map":{"in":{"S":"text"}}}"#;
    let put = world.xtask("ddb put").arg(plain).ok();
    assert_eq!((put.stdout.as_str(), put.stderr.as_str()), ("", "put: a new item\n"));
    let expected = json!({
        "pk": { "S": "b" }, "sk": { "S": "1" }, "n": { "N": "1.5" },
        "list": { "L": [{ "BOOL": true }, { "NULL": true }] }, "map": { "M": { "in": { "M": { "S": { "S": "text" } } } } }
    });
    assert_eq!(world.item("b", "1"), expected);

    let typed = r#"{"pk":{"S":"b"},"sk":{"S":"2"},"set":{"NS":["1"]},"bytes":{"B":"AQ=="}}"#;
    world.xtask("ddb put").stdin(typed).ok();
    assert_eq!(world.item("b", "2"), serde_json::from_str::<Value>(typed).unwrap());
    world.xtask("ddb put -").stdin("{\n  \"pk\": \"b\",\n  \"sk\": \"3\"\n}\n").ok();
    assert_eq!(world.item("b", "3"), json!({ "pk": { "S": "b" }, "sk": { "S": "3" } }));

    // The form in which the AWS CLI's get-item prints it.
    world.xtask("ddb put").arg(format!(r#"{{"Item": {typed}}}"#)).ok();
    assert_eq!(world.item("b", "2"), serde_json::from_str::<Value>(typed).unwrap());

    // The output of one command is the input of the other.
    let line = world.xtask("ddb query --pk b --sk 2 -o jsonl --dynamodb-json").ok().stdout;
    world.xtask("ddb delete b 2").ok();
    world.xtask("ddb put").stdin(&line).ok();
    assert_eq!(world.item("b", "2"), serde_json::from_str::<Value>(typed).unwrap());
}

#[test]
fn an_item_that_cannot_be_read_is_wrong_usage_and_nothing_is_written() {
    let world = DynamoDbOnly::with_item();
    let before = world.endpoint().items(TABLE);
    assert_snapshot!(world.item_error(2, &["put", r#"{"pk":"b","sk":"#]), @r#"
    error: the item cannot be read: not valid JSON: it ends early at line 1 column 15
      help: write it as '{"pk": "a", "sk": "b"}', or as '{"pk": {"S": "a"}, "sk": {"S": "b"}}'
    "#);
    assert_snapshot!(world.item_error(2, &["put", "[1]"]), @r#"
    error: the item cannot be read: it is not a JSON object
      help: write it as '{"pk": "a", "sk": "b"}', or as '{"pk": {"S": "a"}, "sk": {"S": "b"}}'
    "#);
    assert_snapshot!(world.item_error(2, &["put"]), @r#"
    error: there is no item: stdin is empty
      help: write it as '{"pk": "a", "sk": "b"}', or as '{"pk": {"S": "a"}, "sk": {"S": "b"}}'
    "#);
    // DynamoDB JSON writes numbers as strings, so this is an error.
    assert_snapshot!(world.item_error(2, &["put", r#"{"pk":{"S":"b"},"sk":{"S":"1"},"n":{"N":1}}"#]), @r#"
    error: the item cannot be read: attribute `n`: expected a string, found the number `1` at line 1 column 41
      help: write it as '{"pk": "a", "sk": "b"}', or as '{"pk": {"S": "a"}, "sk": {"S": "b"}}'
    "#);
    // Values that would be lost or get the wrong type are errors.
    assert_snapshot!(world.item_error(2, &["put", r#"{"pk":"b","sk":"1","n":1,"n":2}"#]), @r#"
    error: the item cannot be read: attribute `n` is given twice at line 1 column 28
      help: write it as '{"pk": "a", "sk": "b"}', or as '{"pk": {"S": "a"}, "sk": {"S": "b"}}'
    "#);
    assert_snapshot!(world.item_error(2, &["put", r#"{"pk":"b","sk":"1","name":{"S":"Bob"}}"#]), @r#"
    error: the item cannot be read: attribute `name` has a type as in DynamoDB JSON, and `pk` none: give all of them a type, or none
      help: write it as '{"pk": "a", "sk": "b"}', or as '{"pk": {"S": "a"}, "sk": {"S": "b"}}'
    "#);
    assert_snapshot!(world.item_error(2, &["put", r#"{"pk":{"S":"b"},"sk":{"S":"1"},"set":{"SS":["a","a"]}}"#]), @r#"
    error: the item cannot be read: attribute `set`: the set holds `a` twice
      help: write it as '{"pk": "a", "sk": "b"}', or as '{"pk": {"S": "a"}, "sk": {"S": "b"}}'
    "#);
    assert_eq!(world.endpoint().items(TABLE), before);
}

#[test]
fn put_and_delete_show_what_was_there() {
    let world = DynamoDbOnly::with_item();
    let put = |text: &str, format: &str| {
        let item = json!({ "pk": "a", "sk": "1", "text": text }).to_string();
        world.xtask("ddb put -o").arg(format).arg(item).ok()
    };
    let first = put("second", "table");
    assert_eq!(first.stderr, "put; this is what it replaced\n");
    assert_snapshot!(first.stdout, @"
    pk    a
    sk    1
    text  héllo
    to    bayko
    ");
    assert_snapshot!(put("third", "jsonl").stdout, @r#"{"pk":"a","sk":"1","text":"second"}"#);
    assert_snapshot!(put("fourth", "json").stdout, @r#"
    {
        "Attributes": {
            "pk": {
                "S": "a"
            },
            "sk": {
                "S": "1"
            },
            "text": {
                "S": "third"
            }
        }
    }
    "#);
    let deleted = world.xtask("ddb delete a 1 -o jsonl").ok();
    assert_eq!(deleted.stderr, "deleted; this is what it was\n");
    assert_snapshot!(deleted.stdout, @r#"{"pk":"a","sk":"1","text":"fourth"}"#);
    assert_eq!(world.item("a", "1"), Value::Null);
}

#[test]
fn a_condition_that_is_not_met_changes_nothing() {
    let world = DynamoDbOnly::with_item();
    let before = world.endpoint().items(TABLE);
    let item = r#"{"pk":"a","sk":"1"}"#;
    assert_snapshot!(world.item_error(1, &["put", item, "--condition", "attribute_not_exists(pk)"]), @"
    error: the condition `attribute_not_exists(pk)` is not met: nothing was changed
      help: see what is there with `cargo xtask ddb get a 1 --table cruddur-messages`
    ");
    let condition = ["--condition", "#t = :t", "--names", "#t=to", "--values"];
    assert_snapshot!(world.item_error(1, &[&["delete", "a", "1"], &condition[..], &[":t=ann"]].concat()), @"
    error: the condition `#t = :t` is not met: nothing was changed
      help: see what is there with `cargo xtask ddb get a 1 --table cruddur-messages`
    ");
    assert_eq!(world.endpoint().items(TABLE), before);
    let met = condition.iter().fold(world.xtask("ddb delete a 1"), |run, word| run.arg(word)).arg(":t=bayko");
    met.ok();
    world.xtask("ddb put --condition attribute_not_exists(pk)").arg(item).ok();
    assert_eq!(world.endpoint().items(TABLE).len(), 1);
    assert_snapshot!(world.item_error(2, &["put", item, "--condition", "to ="]), @"
    error: no item was put into table cruddur-messages
      because: ValidationException: 1 validation error detected: Invalid ConditionExpression: Attribute name is a reserved keyword; reserved keyword: to
    ");
    assert_snapshot!(world.item_error(2, &["put", item, "--values", ":t=1"]), @"
    error: no item was put into table cruddur-messages
      because: ValidationException: 1 validation error detected: ExpressionAttributeValues can only be specified when using expressions
    ");
}

#[test]
fn a_write_whose_answer_was_lost_is_told_truly() {
    let world = DynamoDbOnly::with_item();
    let proxy = Proxy::start(world.endpoint(), |operation, _| {
        Ok(if operation == "DescribeTable" { Fate::Passed } else { Fate::AnswerLost })
    });
    let url = proxy.endpoint.url();
    let error = |arguments: &[&str]| {
        let run = world.xtask("ddb").env("AWS_ENDPOINT_URL_DYNAMODB", &url);
        let failed = arguments.iter().fold(run, |run, argument| run.arg(argument)).fails(3);
        failed.within(Duration::from_secs(10));
        failed.error().replace(&url, "ENDPOINT")
    };
    // A repeated request would see the result of its first attempt: the condition fails, or the item is missing.
    let put = ["put", r#"{"pk":"b","sk":"1"}"#, "--condition", "attribute_not_exists(pk)"];
    assert_snapshot!(error(&put), @"
    error: it is not known whether the item was put into table cruddur-messages: see with `cargo xtask ddb get b 1 --table cruddur-messages`
      because: cannot reach DynamoDB at ENDPOINT
      because: other: client error (SendRequest): connection closed before message completed
      help: check that AWS_ENDPOINT_URL_DYNAMODB names a DynamoDB that is running
    ");
    assert_ne!(world.item("b", "1"), Value::Null);
    assert_snapshot!(error(&["delete", "b", "1"]), @"
    error: it is not known whether the item was deleted from table cruddur-messages: see with `cargo xtask ddb get b 1 --table cruddur-messages`
      because: cannot reach DynamoDB at ENDPOINT
      because: other: client error (SendRequest): connection closed before message completed
      help: check that AWS_ENDPOINT_URL_DYNAMODB names a DynamoDB that is running
    ");
    assert_eq!(world.item("b", "1"), Value::Null);
    let nowhere = format!("http://127.0.0.1:{}", crate::common::free_port());
    let failed = world.xtask("ddb put").arg(put[1]).env("AWS_ENDPOINT_URL_DYNAMODB", nowhere).fails(3);
    failed.says(&["error: no item was put into table cruddur-messages"]);
}

#[test]
fn a_write_that_was_throttled_is_sent_again() {
    let world = DynamoDbOnly::with_item();
    let requests = AtomicUsize::new(0);
    let proxy = Proxy::start(world.endpoint(), move |_, _| {
        let throttles = requests.fetch_add(1, Ordering::SeqCst) % 3 != 2;
        Ok(if throttles { Fate::throttled() } else { Fate::Passed })
    });
    let url = proxy.endpoint.url();
    let run = |line: &str| world.xtask(line).env("AWS_ENDPOINT_URL_DYNAMODB", &url).ok();
    run(r#"ddb put {"pk":"b","sk":"1"} --condition attribute_not_exists(pk)"#);
    run("ddb delete b 1");
    run("ddb get a 1");
}

#[test]
fn update_changes_an_item_and_shows_it() {
    let world = DynamoDbOnly::with_item();
    let update = |options: &str| {
        let run = world.xtask(&format!("ddb update a 1 {options}")).arg("--expression");
        run.arg("set #t = :t").arg("--names").arg("#t=text").arg("--values").arg(":t=new")
    };
    let before = world.endpoint().items(TABLE);
    let rehearsed = update("--dry-run --condition attribute_exists(pk)").ok();
    let told = "it would update the item a 1, if the expression is valid, which a dry run does not check, if the condition";
    rehearsed.says(&[told]);
    let refused = update("--condition attribute_not_exists(pk)").fails(1);
    refused.says(&["the condition `attribute_not_exists(pk)` is not met: nothing was changed"]);
    assert_eq!(world.endpoint().items(TABLE), before);
    let updated = update("-o jsonl").ok();
    assert_eq!(updated.stderr, "updated; this is what it is now\n");
    assert_snapshot!(updated.stdout, @r#"{"pk":"a","sk":"1","text":"new","to":"bayko"}"#);
    assert_eq!(update("--quiet -o jsonl").ok().stderr, "");
    world.xtask("ddb update a 1").fails(2).says(&["--expression <EXPRESSION>"]);
    world.xtask("ddb update a 1 --expression nonsense").fails(2).says(&["no item was updated in table"]);
}

#[test]
fn a_dry_run_makes_all_the_checks() {
    let world = DynamoDbOnly::with_item();
    let before = world.endpoint().items(TABLE);
    assert_snapshot!(world.item_error(2, &["put", r#"{"pk":"b"}"#, "--dry-run"]), @"
    error: the item cannot be put into table cruddur-messages: key `sk` is missing
      help: correct the item; the key of table cruddur-messages is pk and sk
    ");
    assert_snapshot!(world.item_error(2, &["put", r#"{"pk":"b","sk":1}"#, "--dry-run"]), @"
    error: the item cannot be put into table cruddur-messages: key `sk` is not of the table's type S
      help: correct the item; the key of table cruddur-messages is pk and sk
    ");
    assert_snapshot!(world.item_error(2, &["delete", "a", "--dry-run"]), @"
    error: the table's items have a sort key as well: `sk`
      help: add it after the partition key: `a SK`
    ");
    assert_snapshot!(world.item_error(1, &["delete", "a", "2", "--dry-run"]), @"
    error: there is no item a 2 in table cruddur-messages of DynamoDB at ENDPOINT
      help: see what there is with `cargo xtask ddb scan --table cruddur-messages`
    ");
    for arguments in [&["delete", "a", "1"][..], &["put", r#"{"pk":"a","sk":"1"}"#]] {
        let missing = [arguments, &["--table", "films", "--dry-run"]].concat();
        assert!(world.item_error(1, &missing).contains("has no such table"), "{missing:?}");
    }
    world.xtask("ddb put --dry-run --condition a=:v --values v=1").arg(r#"{"pk":"b","sk":"1"}"#).fails(2);
    // Only the server can tell whether an expression is valid.
    let unchecked = world.xtask("ddb put --dry-run --condition a=").arg(r#"{"pk":"b","sk":"1"}"#).ok();
    unchecked.says(&["put an item, if the condition is valid and met, which a dry run does not check"]);
    assert_eq!(world.endpoint().items(TABLE), before);
}
