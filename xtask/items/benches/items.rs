//! What is done once for each item of a table, for a page of a thousand messages: `cargo bench`.
#![allow(clippy::unwrap_used, reason = "a benchmark that panics has failed")]

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use xtask_items::{
    Attribute, BATCH, Form, Item, ItemWriter, Page, Response, WriteRequest, batch_body, unprocessed,
};

/// How many items there are on a page.
const ITEMS: usize = 1_000;

fn main() {
    divan::main();
}

/// A message of 120 characters, as the messages table holds it.
fn item(index: usize) -> Item {
    let message = "A message of about 120 characters, as people write them: with a \"quoted\" word, a comma, and \
                   the naïve café 名前 in it.";
    let attributes = [
        ("pk", "MSG#5ae290ed-55d1-47a0-bc6d-fe2bc2700399".to_owned()),
        ("sk", format!("2024-01-01T00:00:00.{index:06}+00:00")),
        ("message_uuid", format!("00000000-0000-4000-8000-{index:012}")),
        ("message", message.to_owned()),
        ("user_uuid", "00000000-0000-4000-8000-000000000000".to_owned()),
        ("user_display_name", "Andrew Brown".to_owned()),
        ("user_handle", "andrewbrown".to_owned()),
    ];
    attributes.map(|(name, value)| (name.to_owned(), Attribute::S(value))).into()
}

fn items() -> Vec<Item> {
    (0..ITEMS).map(item).collect()
}

/// A response's body.
fn body() -> Vec<u8> {
    let items = serde_json::to_string(&items()).unwrap();
    let key = r#"{"pk":{"S":"a"},"sk":{"S":"b"}}"#;
    format!(r#"{{"Items":{items},"Count":{ITEMS},"ScannedCount":{ITEMS},"LastEvaluatedKey":{key}}}"#)
        .into_bytes()
}

fn page() -> Page {
    Page::read(body()).unwrap()
}

/// Parsing: what a response says beside its items.
#[divan::bench]
fn read_page(bencher: Bencher) {
    let body = body();
    let bencher = bencher.counter(BytesCount::of_slice(&body)).counter(ItemsCount::new(ITEMS));
    bencher.with_inputs(|| body.clone()).bench_values(|body| Page::read(body).unwrap());
}

/// Parsing: its items.
#[divan::bench]
fn read_items(bencher: Bencher) {
    let page = page();
    bencher.counter(ItemsCount::new(ITEMS)).bench_local(|| page.items().unwrap());
}

fn put(item: &Item) -> WriteRequest {
    WriteRequest::put(item, &["pk", "sk"])
}

/// Encoding: the requests of a batch, and its body.
#[divan::bench]
fn encode_batch(bencher: Bencher) {
    let items: Vec<Item> = (0..BATCH).map(item).collect();
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        let requests: Vec<WriteRequest> = items.iter().map(put).collect();
        batch_body("cruddur-messages", requests.iter().map(|request| request.text.as_str()))
    });
}

/// Parsing: the answer to a batch, all of it handed back.
#[divan::bench]
fn read_unprocessed(bencher: Bencher) {
    let requests: Vec<String> = (0..BATCH).map(|index| put(&item(index)).text).collect();
    let body = format!(r#"{{"UnprocessedItems":{{"cruddur-messages":[{}]}}}}"#, requests.join(","));
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| unprocessed(black_box(body.as_bytes())).unwrap());
}

/// Rendering: a page in every form, parsing included.
#[divan::bench(args = ["table", "table_on_a_terminal", "json", "jsonl", "dynamodb_jsonl"])]
fn print(bencher: Bencher, form: &str) {
    let keys = || vec!["pk".to_owned(), "sk".to_owned()];
    let form = match form {
        "table" => Form::Table { keys: keys(), width: None },
        "table_on_a_terminal" => Form::Table { keys: keys(), width: Some(160) },
        "json" => Form::Json,
        "jsonl" => Form::Jsonl,
        _ => Form::DynamoDbJsonl,
    };
    let page = page();
    bencher.counter(ItemsCount::new(ITEMS)).bench_local(|| {
        let mut writer = ItemWriter::to(Box::new(std::io::sink()), form.clone());
        writer.page(&page).unwrap();
        writer.finish(&Response::default()).unwrap();
    });
}
