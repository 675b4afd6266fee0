//! `cargo xtask ddb`: creating, listing and dropping tables.

use insta::assert_snapshot;
use serde_json::json;

use super::{DynamoDbOnly, TABLE, World};

#[test]
fn schema_load_creates_the_table_and_refuses_when_there_is_one() {
    let world = DynamoDbOnly::new();
    let created = world.xtask("ddb schema-load").ok();
    assert_eq!(created.stdout, "");
    let table = world.endpoint().call("DescribeTable", json!({ "TableName": TABLE }))["Table"].take();
    assert_eq!(table["TableStatus"], "ACTIVE");
    assert_eq!(
        table["KeySchema"],
        json!([{ "AttributeName": "pk", "KeyType": "HASH" }, { "AttributeName": "sk", "KeyType": "RANGE" }])
    );
    assert_eq!(
        table["AttributeDefinitions"],
        json!([{ "AttributeName": "pk", "AttributeType": "S" }, { "AttributeName": "sk", "AttributeType": "S" }])
    );
    let throughput = &table["ProvisionedThroughput"];
    assert_eq!([&throughput["ReadCapacityUnits"], &throughput["WriteCapacityUnits"]], [5, 5]);
    assert!(table["GlobalSecondaryIndexes"].is_null() && table["LocalSecondaryIndexes"].is_null());

    let again = world.xtask("ddb schema-load").fails(1);
    assert_snapshot!(again.error(), @"
    error: DynamoDB: could not create table cruddur-messages
      because: table cruddur-messages exists already
      help: use it as it is; `cargo xtask ddb drop cruddur-messages` drops it, with all its items
    ");
}

#[test]
fn the_table_s_name_can_be_another() {
    let world = DynamoDbOnly::new();
    world.xtask("ddb schema-load").env("DDB_MESSAGE_TABLE", "mine").ok();
    assert_eq!(world.endpoint().tables(), ["mine"]);
    assert_eq!(world.xtask("ddb scan -o jsonl").env("DDB_MESSAGE_TABLE", "mine").ok().stdout, "");
}

#[test]
fn list_tables_prints_the_names_in_every_format() {
    let world = DynamoDbOnly::new();
    let none = world.xtask("ddb list-tables").ok();
    assert_eq!(none.stdout, "");
    none.says(&["no tables; `cargo xtask prepare` sets both databases up"]);
    for name in ["b-table", "a-table"] {
        world.xtask("ddb schema-load").env("DDB_MESSAGE_TABLE", name).ok();
    }
    let printed = |format: &str| world.xtask("ddb list-tables -o").arg(format).ok().stdout;
    assert_eq!(printed("table"), "a-table\nb-table\n");
    assert_eq!(printed("jsonl"), "\"a-table\"\n\"b-table\"\n");
    assert_snapshot!(printed("json"), @r#"
    {
        "TableNames": [
            "a-table",
            "b-table"
        ]
    }
    "#);
}

#[test]
fn list_tables_pages_to_the_end() {
    let world = DynamoDbOnly::new();
    // One page of ListTables has 100 names.
    let names: Vec<String> = (0..101).map(|number| format!("table-{number:03}")).collect();
    for name in &names {
        let key = json!([{ "AttributeName": "pk", "KeyType": "HASH" }]);
        let attributes = json!([{ "AttributeName": "pk", "AttributeType": "S" }]);
        let request = json!({ "TableName": name, "KeySchema": key, "AttributeDefinitions": attributes, "BillingMode": "PAY_PER_REQUEST" });
        world.endpoint().call("CreateTable", request);
    }
    let listed = world.xtask("ddb list-tables").ok();
    assert_eq!(listed.stdout.lines().collect::<Vec<_>>(), names);
}

#[test]
fn drop_removes_the_table_it_is_given() {
    let world = DynamoDbOnly::new();
    for name in ["one", "two"] {
        world.xtask("ddb schema-load").env("DDB_MESSAGE_TABLE", name).ok();
    }
    assert_eq!(world.xtask("ddb drop one").ok().stdout, "");
    assert_eq!(world.endpoint().tables(), ["two"]);
}

#[test]
fn drop_of_a_missing_table_fails_and_of_none_is_wrong_usage() {
    let world = DynamoDbOnly::new();
    world.xtask("ddb schema-load").ok();
    let missing = world.xtask("ddb drop no-such-table").fails(1);
    assert_snapshot!(missing.error().replace(&world.endpoint().url(), "ENDPOINT"), @"
    error: DynamoDB: could not drop table no-such-table
      because: there is no table no-such-table in DynamoDB at ENDPOINT
      help: see what there is with `cargo xtask ddb list-tables`
    ");
    world.xtask("ddb drop").fails(2).says(&["<TABLE>"]);
    assert_eq!(world.endpoint().tables(), [TABLE]);
}

#[test]
fn scan_prints_every_item_in_every_format() {
    let world = DynamoDbOnly::new();
    world.xtask("ddb schema-load").ok();
    let empty = world.xtask("ddb scan -o json").ok();
    assert_eq!(empty.json()["Items"], json!([]));
    assert_eq!(empty.json()["Count"], 0);
    world.endpoint().put(TABLE, &[("pk", "a"), ("sk", "1"), ("text", "héllo\nworld")]);
    world.endpoint().put(TABLE, &[("pk", "a"), ("sk", "2"), ("other", &"x".repeat(50))]);
    let item = json!({ "pk": { "S": "a" }, "sk": { "S": "3" }, "number": { "N": "12345678901234567890.5" }, "list": { "L": [{ "BOOL": true }, { "NULL": true }] } });
    world.endpoint().call("PutItem", json!({ "TableName": TABLE, "Item": item }));
    let printed = |format: &str| world.xtask("ddb scan -o").arg(format).ok().stdout;
    assert_snapshot!(printed("jsonl"), @r#"
    {"pk":"a","sk":"1","text":"héllo\nworld"}
    {"other":"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx","pk":"a","sk":"2"}
    {"list":[true,null],"number":12345678901234567890.5,"pk":"a","sk":"3"}
    "#);
    assert_snapshot!(printed("table"), @r#"
    pk  sk  list         number                  other                                     text
    a   1                                                                                  héllo\nworld
    a   2                                        xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
    a   3   [true,null]  12345678901234567890.5
    "#);
    assert_snapshot!(printed("json"), @r#"
    {
        "ConsumedCapacity": {
            "CapacityUnits": 0.5,
            "TableName": "cruddur-messages"
        },
        "Count": 3,
        "Items": [
            {
                "pk": {
                    "S": "a"
                },
                "sk": {
                    "S": "1"
                },
                "text": {
                    "S": "héllo\nworld"
                }
            },
            {
                "other": {
                    "S": "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
                },
                "pk": {
                    "S": "a"
                },
                "sk": {
                    "S": "2"
                }
            },
            {
                "list": {
                    "L": [
                        {
                            "BOOL": true
                        },
                        {
                            "NULL": true
                        }
                    ]
                },
                "number": {
                    "N": "12345678901234567890.5"
                },
                "pk": {
                    "S": "a"
                },
                "sk": {
                    "S": "3"
                }
            }
        ],
        "ScannedCount": 3
    }
    "#);
}

#[test]
fn scan_takes_another_table_and_names_one_that_is_missing() {
    let world = DynamoDbOnly::new();
    world.xtask("ddb schema-load").env("DDB_MESSAGE_TABLE", "other").ok();
    world.endpoint().put("other", &[("pk", "a"), ("sk", "1")]);
    let scanned = world.xtask("ddb scan --table other -o jsonl").ok();
    assert_eq!(scanned.json_lines(), [json!({ "pk": "a", "sk": "1" })]);
    let missing = world.xtask("ddb scan").fails(1);
    assert_snapshot!(missing.error().replace(&world.endpoint().url(), "ENDPOINT"), @"
    error: cannot scan table cruddur-messages
      because: DynamoDB at ENDPOINT has no such table
      because: ResourceNotFoundException: Requested resource not found
      help: see `cargo xtask ddb list-tables`; `cargo xtask prepare` sets both databases up
    ");
}

#[test]
fn scan_pages_to_the_end_of_a_table_of_many_pages() {
    let world = DynamoDbOnly::new();
    world.xtask("ddb schema-load").ok();
    let text = "é".repeat(100_000);
    let keys: Vec<String> = (0..25).map(|number| format!("{number:02}")).collect();
    for key in &keys {
        world.endpoint().put(TABLE, &[("pk", "a"), ("sk", key), ("text", &text)]);
    }
    let scanned = world.xtask("ddb scan -o jsonl").ok();
    let found: Vec<_> =
        scanned.json_lines().iter().map(|item| item["sk"].as_str().unwrap().to_owned()).collect();
    assert_eq!(found, keys);
    scanned.says(&["25 items"]);
    let document = world.xtask("ddb scan -o json").ok().json();
    assert_eq!(document["Items"].as_array().unwrap().len(), 25);
    assert_eq!(document["Count"], 25);
    assert!(document["LastEvaluatedKey"].is_null());
}

#[test]
fn seed_without_table_says_how_to_create_it() {
    let world = World::new();
    world.xtask("db setup").ok();
    let failed = world.xtask("ddb seed").fails(1);
    failed.says(&[TABLE, "`cargo xtask prepare` sets both databases up"]);
    assert!(world.endpoint().tables().is_empty());
}
