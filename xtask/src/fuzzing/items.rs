//! Items on the command line, and in a server's answers.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use serde::de::IgnoredAny;
use xtask_databases::attribute::{item_from_sdk, to_sdk};
use xtask_databases::table::{KeyAttribute, KeyType, TableDescription};
use xtask_items::{
    Attribute, Form, Item, ItemWriter, Page, PlainJson, Response, WriteRequest, batch_body, size_of,
    unprocessed,
};

use super::text;
use crate::commands::ddb::expressions::{Placeholders, key_value};

/// The most lists and maps within each other that are read again where each has its type with it. DynamoDB has
/// 32: <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>
const DEPTH: usize = 60;

/// Items, values, keys and placeholders as a user writes them.
pub(super) fn expressions(input: &[u8]) {
    let Some(text) = text(input) else { return };
    let given = Placeholders { names: vec![text.to_owned()], values: vec![text.to_owned()] };
    _ = given.names();
    _ = given.values();
    let value = Placeholders { names: Vec::new(), values: vec![format!(":v={text}")] };
    match value.values() {
        Ok(values) => assert!(values.contains_key(":v")),
        // What is no JSON is a text.
        Err(_) => assert!(serde_json::from_str::<IgnoredAny>(text).is_ok(), "{text}"),
    }
    for key_type in [KeyType::S, KeyType::N, KeyType::B] {
        let key = KeyAttribute { name: "pk".to_owned(), key_type };
        _ = key_value(&key, text);
    }
    if let Ok(item) = xtask_files::item_of(text) {
        written_is_read(&item);
    }
}

/// The body of an answer to a Query, a BatchWriteItem or a DescribeTable.
pub(super) fn answer(input: &[u8]) {
    if let Ok(requests) = unprocessed(input) {
        assert_json(&batch_body("t", requests.iter().map(String::as_str)));
    }
    if let Ok(table) = serde_json::from_slice::<TableDescription>(input) {
        for index in [None].into_iter().chain(table.index_names().into_iter().map(Some)) {
            _ = table.keys(index);
        }
    }
    let Ok(mut page) = Page::read(input.to_vec()) else { return };
    let mut response = Response::default();
    response.add(&page);
    response.add(&page);
    assert!(page.bytes() <= input.len());
    let Ok(items) = page.items() else { return };
    print(&page, &items, &response);
    items.iter().for_each(written_is_read);
    page.keep(1);
    assert_eq!(page.items().ok().as_deref(), items.get(..items.len().min(1)));
}

/// A page is printed as its items are.
fn print(page: &Page, items: &[Item], response: &Response) {
    let plain: Vec<_> = items.iter().map(|item| serde_json::to_string(&PlainJson(item)).ok()).collect();
    let typed: Vec<_> = items.iter().map(|item| serde_json::to_string(item).ok()).collect();
    for (form, expected) in [(Form::Jsonl, plain), (Form::DynamoDbJsonl, typed)] {
        let lines = |text: String| text.lines().map(|line| Some(line.to_owned())).collect::<Vec<_>>();
        assert_eq!(lines(printed(&form, response, |writer| writer.page(page))), expected);
        let mut backwards = lines(printed(&form, response, |writer| writer.page_backwards(page)));
        backwards.reverse();
        assert_eq!(backwards, expected);
    }
    // Another page has the same texts in the form in which they are written.
    let texts = serde_json::to_string(items).unwrap_or_default();
    let body = format!(r#"{{"Items":{texts},"Count":{}}}"#, items.len());
    let Ok(other) = Page::read(body.into_bytes()) else { panic!("{texts}") };
    let table = |width| Form::Table { keys: vec!["pk".to_owned()], width };
    for form in [
        table(None),
        table(Some(80)),
        Form::Json,
        Form::Jsonl,
        Form::DynamoDbJsonl,
        Form::Count,
        Form::JsonCount,
    ] {
        let page = printed(&form, response, |writer| writer.page(page));
        assert_eq!(page, printed(&form, response, |writer| writer.page(&other)));
    }
}

fn printed(
    form: &Form,
    response: &Response,
    print: impl FnOnce(&mut ItemWriter) -> io::Result<()>,
) -> String {
    let out = Out::default();
    let mut writer = ItemWriter::to(Box::new(out.clone()), form.clone());
    assert!(print(&mut writer).and_then(|()| writer.finish(response)).is_ok());
    let text = out.0.lock().map(|mut text| std::mem::take(&mut *text)).unwrap_or_default();
    String::from_utf8(text).unwrap_or_default()
}

/// What was printed.
#[derive(Clone, Default)]
struct Out(Arc<Mutex<Vec<u8>>>);

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().map(|mut text| text.extend_from_slice(bytes)).map_err(|_| io::ErrorKind::Other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is written of an item is one line of JSON, and the same item again.
fn written_is_read(item: &Item) {
    size_of(item);
    assert_json(&WriteRequest::put(item, &["pk", "sk"]).text);
    let typed = serde_json::to_string(item).unwrap_or_default();
    assert_json(&typed);
    assert_json(&serde_json::to_string(&PlainJson(item)).unwrap_or_default());
    if item.values().all(|value| depth(value) <= DEPTH) {
        assert_eq!(serde_json::from_str::<Item>(&typed).ok().as_ref(), Some(item));
    }
    if xtask_files::check(item).is_ok() {
        assert_eq!(to_sdk(item.clone()).map(item_from_sdk).ok().as_ref(), Some(item));
    }
}

fn assert_json(text: &str) {
    assert!(!text.contains('\n'), "{text}");
    assert!(serde_json::from_str::<IgnoredAny>(text).is_ok(), "{text}");
}

/// How many lists and maps are within each other.
pub(super) fn depth(value: &Attribute) -> usize {
    match value {
        Attribute::M(item) => 1 + item.values().map(depth).max().unwrap_or_default(),
        Attribute::L(values) => 1 + values.iter().map(depth).max().unwrap_or_default(),
        _ => 0,
    }
}
