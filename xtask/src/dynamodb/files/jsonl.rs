//! JSON lines: one item per line, in DynamoDB JSON or in plain JSON. In DynamoDB JSON an item may be enclosed in
//! `{"Item": {...}}`, as DynamoDB's export to S3 writes it.
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/S3DataExport.Output.html>

use std::collections::BTreeMap;

use crate::dynamodb::json::{AttributeValue, Attributes, Item, Notation, check_depth, parsed, without_place};
use serde::Deserialize;
use serde::de::{DeserializeSeed as _, Deserializer, IgnoredAny};
use serde_json::value::RawValue;

impl Notation {
    /// The notation of a record; `None` if it is not an object, or an empty one.
    ///
    /// The record is typed if each of its values, valid or not, is an object whose only member has a name in
    /// capitals. Otherwise it is plain if no value can be read as DynamoDB JSON. If one can, the record is an error.
    pub(crate) fn of(line: &str) -> Result<Option<Self>, String> {
        let members = members_of(line);
        match Self::of_members(&members) {
            Ok(Some(Self::Plain)) => match enclosed(&members) {
                Some(item) => Self::of_members(&item).map(|inner| inner.or(Some(Self::Plain))),
                None => Ok(Some(Self::Plain)),
            },
            other => other,
        }
    }

    fn of_members(members: &Members<'_>) -> Result<Option<Self>, String> {
        let looks_typed = |value: &&RawValue| is_type_like(members_of(value.get()).keys());
        if !members.is_empty() && members.values().all(looks_typed) {
            return Ok(Some(Self::Typed));
        }
        let is_typed = |value: &RawValue| parsed(value.get(), Self::Typed).is_ok();
        let (typed, plain): (Vec<_>, Vec<_>) = members.iter().partition(|(_, value)| is_typed(value));
        match (typed.first(), plain.first()) {
            (Some((typed, _)), Some((plain, _))) => {
                Err(format!("attribute `{typed}` has a type as in DynamoDB JSON, and `{plain}` none"))
            }
            (Some(_), None) => Ok(Some(Self::Typed)),
            (None, Some(_)) => Ok(Some(Self::Plain)),
            (None, None) => Ok(None),
        }
    }
}

/// The members of an object, not parsed yet.
type Members<'a> = BTreeMap<String, &'a RawValue>;

/// The members of an object; none if the text is not an object.
fn members_of(text: &str) -> Members<'_> {
    serde_json::from_str(text).unwrap_or_default()
}

/// Whether an object with these members may be a value with its type.
fn is_type_like<'a>(mut members: impl ExactSizeIterator<Item = &'a String>) -> bool {
    let is_name = |name: &String| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_uppercase());
    members.len() == 1 && members.all(is_name)
}

/// The members of the object in `{"Item": {...}}`.
fn enclosed<'a>(members: &Members<'a>) -> Option<Members<'a>> {
    let item = members.get("Item").filter(|_| members.len() == 1)?;
    serde_json::from_str(item.get()).ok()
}

/// Whether a file's first line is a list of items, or the AWS CLI's output, or the beginning of one.
pub(crate) fn is_document(line: &str) -> bool {
    let line = line.trim();
    let behind = |first: char| line.strip_prefix(first).map(str::trim_start);
    let begins_list = behind('[').is_some_and(|rest| rest.is_empty() || rest.starts_with(['{', ']']));
    let begins_answer = behind('{').is_some_and(|rest| rest.is_empty() || rest.starts_with("\"Items\""));
    let members = members_of(line);
    let beside = ["Items", "Count", "ScannedCount", "ConsumedCapacity", "LastEvaluatedKey", "NextToken"];
    begins_list || begins_answer && members.keys().all(|name| beside.contains(&name.as_str()))
}

/// Reads one line. The error says what is wrong with it.
pub(crate) fn item(line: &str, notation: Notation) -> Result<Item, String> {
    let item = read(line, notation).map_err(|error| match notation {
        Notation::Typed if has_no_objects(line) => {
            "the line is plain JSON, and the file is read as DynamoDB JSON".to_owned()
        }
        _ => explained(line, &error),
    })?;
    // The keys cannot be objects, so if all attributes are objects of this form, the line is DynamoDB JSON.
    let looks_typed = |value: &AttributeValue| value.as_m().is_ok_and(|map| is_type_like(map.keys()));
    if notation == Notation::Plain && !item.is_empty() && item.values().all(looks_typed) {
        return Err("the line is DynamoDB JSON, and the file is read as plain JSON".to_owned());
    }
    crate::dynamodb::files::check(&item)?;
    Ok(item)
}

fn has_no_objects(line: &str) -> bool {
    let members = members_of(line);
    !members.is_empty() && members.values().all(|value| !value.get().starts_with('{'))
}

/// Reads an item that a user typed, in either notation. It may have several lines.
pub(crate) fn item_of(text: &str) -> Result<Item, String> {
    if let Some(error) = not_json(text) {
        return Err(format!("{}{}", not_valid(&error), place(&error)));
    }
    if !text.trim_start().starts_with('{') {
        return Err("it is not a JSON object".to_owned());
    }
    let notation = Notation::of(text).map_err(|why| format!("{why}: give all of them a type, or none"))?;
    let item = read(text, notation.unwrap_or(Notation::Plain))
        .map_err(|error| format!("{}{}", without_place(&error), place(&error)))?;
    crate::dynamodb::files::check(&item)?;
    Ok(item)
}

/// Where in the text the error is, if it has a place.
fn place(error: &serde_json::Error) -> String {
    match error.line() {
        0 => String::new(),
        line => format!(" at line {line} column {}", error.column()),
    }
}

/// Explains the error of reading a line, with its position as a byte counted from 1. If the line is not JSON, that is
/// the explanation.
pub(crate) fn explained(line: &str, error: &serde_json::Error) -> String {
    let (why, byte) = match not_json(line) {
        Some(error) => (not_valid(&error).to_owned(), error.column()),
        None => (without_place(error), error.column()),
    };
    if byte > 0 { format!("{why} (at byte {byte})") } else { why }
}

fn not_valid(error: &serde_json::Error) -> &'static str {
    if error.is_eof() { "not valid JSON: it ends early" } else { "not valid JSON" }
}

/// The error of a text that is not JSON; `None` if the text is only nested too deeply.
fn not_json(text: &str) -> Option<serde_json::Error> {
    serde_json::from_str::<IgnoredAny>(text).err().filter(|_| check_depth(text).is_ok())
}

fn read(text: &str, notation: Notation) -> serde_json::Result<Item> {
    match notation {
        Notation::Typed => typed(text),
        Notation::Plain => check_depth(text).and_then(|()| parsed(text, Attributes(notation))),
    }
}

/// Reads an item, with or without `{"Item": {...}}` around it. No line can be read both ways: inside `Item` there is
/// either a type with its value, or an attribute with a typed value.
fn typed(line: &str) -> serde_json::Result<Item> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Enclosed {
        #[serde(rename = "Item", deserialize_with = "attributes")]
        item: Item,
    }

    fn attributes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Item, D::Error> {
        Attributes(Notation::Typed).deserialize(deserializer)
    }

    let error = match serde_json::from_str::<Enclosed>(line) {
        Ok(enclosed) => return Ok(enclosed.item),
        Err(error) => error,
    };
    // An object with only `Item` was meant to be enclosed, so show that error.
    parsed(line, Attributes(Notation::Typed))
        .map_err(|other| if enclosed(&members_of(line)).is_some() { error } else { other })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::*;

    fn text(value: &str) -> AttributeValue {
        AttributeValue::S(value.to_owned())
    }

    fn one(name: &str, value: AttributeValue) -> Item {
        Item::from([(name.to_owned(), value)])
    }

    #[test]
    fn the_notation_is_known_by_a_record() {
        for (line, notation) in [
            (r#"{"a":{"S":"x"},"b":{"L":[{"N":"1"}]}}"#, Some(Notation::Typed)),
            (r#"{"Item":{"a":{"S":"x"},"b":{"NULL":true}}}"#, Some(Notation::Typed)),
            (r#"{"Item":{"S":"x"}}"#, Some(Notation::Typed)),
            (r#"{"a":{"N":"not checked here"}}"#, Some(Notation::Typed)),
            (r#"{"a":"x"}"#, Some(Notation::Plain)),
            (r#"{"a":{"S":1}}"#, Some(Notation::Typed)),
            (r#"{"a":{"Q":"x"}}"#, Some(Notation::Typed)),
            (r#"{"pk":{"S":"x"},"n":{"N":1}}"#, Some(Notation::Typed)),
            (r#"{"pk":"x","size":{"L":1}}"#, Some(Notation::Plain)),
            (r#"{"a":{"S":"x","N":"1"}}"#, Some(Notation::Plain)),
            (r#"{"a":{}}"#, Some(Notation::Plain)),
            (r#"{"Item":{"a":"x"}}"#, Some(Notation::Plain)),
            ("{}", None),
            ("[1]", None),
            (r#"{"a":"#, None),
        ] {
            assert_eq!(Notation::of(line), Ok(notation), "{line}");
        }
        for line in [r#"{"a":{"S":"x"},"b":{"q":"y"}}"#, r#"{"Item":{"a":{"S":"x"},"b":1}}"#] {
            assert!(Notation::of(line).unwrap_err().contains("`b` none"), "{line}");
        }
    }

    #[test]
    fn an_item_is_read_in_either_notation() {
        let both = [r#"{"pk": {"S": "a"}, "n": {"N": "1"}}"#, "{\n  \"pk\": \"a\",\n  \"n\": 1\n}\n"];
        let [typed, plain] = both.map(|text| item_of(text).unwrap());
        assert_eq!(typed, plain);
        assert_eq!(item_of(r#"{"Item":{"pk":{"S":"a"},"n":{"N":"1"}}}"#).unwrap(), typed);
        for (text, why) in [
            ("[1]", "it is not a JSON object"),
            (
                r#"{"pk":"a","name":{"S":"Bob"}}"#,
                "attribute `name` has a type as in DynamoDB JSON, and `pk` none: give all of them a type, or none",
            ),
            ("{\"pk\":\"a\",\n\"pk\":\"b\"}", "attribute `pk` is given twice at line 2 column 4"),
            (
                r#"{"n":{"N":1}}"#,
                "attribute `n`: expected a string, found the number `1` at line 1 column 11",
            ),
            (r#"{"n":{"N":"one"}}"#, "attribute `n`: `one` is not a number"),
            (&format!(r#"{{"l":{}}}"#, "[".repeat(200)), "more than 127 objects and lists within each other"),
        ] {
            assert_eq!(item_of(text), Err(why.to_owned()), "{text}");
        }
    }

    #[test]
    fn items_of_an_export_to_s3_are_read() {
        let line = r#" { "Item" : {"a":{"M":{"S":{"S":"x"}}}}}"#;
        assert_eq!(item(line, Notation::Typed), Ok(one("a", AttributeValue::M(one("S", text("x"))))));
        // Here `Item` is an attribute's name.
        let line = r#"{"Item":{"M":{"M":{"S":"x"}}}}"#;
        assert_eq!(item(line, Notation::Typed), Ok(one("Item", AttributeValue::M(one("M", text("x"))))));
        let line = r#"{"Item":{"M":{"M":{}}}}"#;
        assert_eq!(item(line, Notation::Typed), Ok(one("M", AttributeValue::M(Item::new()))));
        let line = r#"{"Item":{"S":"x"},"a":{"S":"y"}}"#;
        assert_eq!(item(line, Notation::Typed).unwrap().len(), 2);
    }

    #[test]
    fn plain_numbers_keep_their_digits() {
        let line = r#"{"a":12345678901234567890.123456789012345678,"b":[-0.10,1E+5,true,null,{"c":"é\n"}]}"#;
        let read = item(line, Notation::Plain).unwrap();
        assert_eq!(read["a"], AttributeValue::N("12345678901234567890.123456789012345678".to_owned()));
        let list = vec![
            AttributeValue::N("-0.10".to_owned()),
            AttributeValue::N("1E+5".to_owned()),
            AttributeValue::Bool(true),
            AttributeValue::Null(true),
            AttributeValue::M(one("c", text("é\n"))),
        ];
        assert_eq!(read["b"], AttributeValue::L(list));
    }

    #[test]
    fn errors_name_the_fault_of_a_line() {
        let deep = format!(r#"{{"a":{}"#, "[".repeat(100_000));
        for (line, notation, why) in [
            (
                r#"{"a":{"S":"x"},"a":{"S":"y"}}"#,
                Notation::Typed,
                "attribute `a` is given twice (at byte 18)",
            ),
            (
                r#"{"a":{"M":{"b":{"S":""},"b":{"S":""}}}}"#,
                Notation::Typed,
                "attribute `a`: attribute `b` is given twice",
            ),
            (r#"{"a":1,"b":{"c":1,"c":2}}"#, Notation::Plain, "attribute `b`: attribute `c` is given twice"),
            (
                r#"{"a":{"Q":"x"}}"#,
                Notation::Typed,
                "attribute `a`: `Q` is none of DynamoDB's types `S`, `N`",
            ),
            (r#"{"a":{"N":1}}"#, Notation::Typed, "attribute `a`: expected a string, found the number `1`"),
            (r#"{"a":{}}"#, Notation::Typed, "attribute `a`: an empty object has no type"),
            (r#"{"a":{"S":"x","N":"1"}}"#, Notation::Typed, "attribute `a`: a value has one type"),
            (
                r#"{"a":"x","b":{"S":"y"}}"#,
                Notation::Typed,
                "attribute `a`: expected a value with its type, as {\"S\": \"text\"}, found string \"x\"",
            ),
            (r#"{"Item":{"a":{"N":1}}}"#, Notation::Typed, "attribute `a`: expected a string, found"),
            (r#"{"a":{"N":"1x"}}"#, Notation::Typed, "attribute `a`: `1x` is not a number"),
            (r#"{"a":1e200}"#, Notation::Plain, "attribute `a`: the number `1e200` is larger than"),
            (r#"{"a":01}"#, Notation::Plain, "not valid JSON (at byte 7)"),
            (r#"{"a":"x","b":}"#, Notation::Typed, "not valid JSON (at byte 14)"),
            ("nope", Notation::Typed, "not valid JSON (at byte 2)"),
            (
                r#"{"a":"x"}"#,
                Notation::Typed,
                "the line is plain JSON, and the file is read as DynamoDB JSON",
            ),
            (
                r#"{"a":{"S":"x"}}"#,
                Notation::Plain,
                "the line is DynamoDB JSON, and the file is read as plain JSON",
            ),
            (r#"{"a":"\ud800"}"#, Notation::Plain, "attribute `a`: "),
            (r#"{"a":"x"} {"#, Notation::Plain, "not valid JSON (at byte 11)"),
            (r#"["a"]"#, Notation::Plain, "expected an object of attributes, found a list"),
            (r#"{"a":"x"#, Notation::Plain, "not valid JSON: it ends early (at byte 7)"),
            (&deep, Notation::Plain, "more than 127 objects and lists within each other"),
            (&deep, Notation::Typed, "attribute `a`: "),
        ] {
            let error = item(line, notation).unwrap_err();
            assert!(error.contains(why), "{line:.60}: {error}");
            assert!(!error.contains("line 1"), "{error}");
        }
    }
}
