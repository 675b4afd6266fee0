use aws_sdk_dynamodb::primitives::Blob;

use super::*;

type TestResult = Result<(), Box<dyn std::error::Error>>;

const GROUP: Uuid = uuid::uuid!("5ae290ed-55d1-47a0-bc6d-fe2bc2700399");
const ONE: Uuid = uuid::uuid!("9C1F4A52-6D0E-4B7B-8A3F-1F6A0C2D7E01");
const TWO: Uuid = uuid::uuid!("9C1F4A52-6D0E-4B7B-8A3F-1F6A0C2D7E02");

fn bayko() -> User {
    User { uuid: TWO, display_name: "Andrew Bayko".to_owned(), handle: "bayko".to_owned() }
}

fn message_group() -> Result<MessageGroup, Box<dyn std::error::Error>> {
    Ok(MessageGroup {
        member_uuid: ONE,
        last_message_at: time::parse("2023-03-20T14:05:09Z")?,
        message_group_uuid: GROUP,
        message: "See you 👋".to_owned(),
        other: bayko(),
    })
}

fn message() -> Result<Message, Box<dyn std::error::Error>> {
    Ok(Message {
        message_group_uuid: GROUP,
        created_at: time::parse("2023-03-20T14:05:09.5Z")?,
        message_uuid: uuid::uuid!("C1D1A0A1-0000-5000-8000-00000000ABCD"),
        message: "\"Crème\" 🐈".to_owned(),
        sender: bayko(),
    })
}

/// All attributes by name. Fails if one is not a string.
fn strings(item: &Item) -> Result<Vec<(&str, &str)>, Box<dyn std::error::Error>> {
    let mut strings = Vec::new();
    for (name, value) in item {
        let value = value.as_s().map_err(|v| format!("{name}: {v:?}"))?;
        strings.push((&**name, &**value));
    }
    strings.sort_unstable();
    Ok(strings)
}

/// The error of a message whose attribute `name` has another value or is missing.
fn error(name: &str, value: Option<AttributeValue>) -> Result<String, Box<dyn std::error::Error>> {
    let mut item = message()?.to_item();
    item.remove(name);
    item.extend(value.map(|value| (name.to_owned(), value)));
    match Message::from_item(&item) {
        Ok(message) => Err(format!("{message:?}").into()),
        Err(e) => Ok(e.to_string()),
    }
}

#[test]
fn message_group_item() -> TestResult {
    let group = message_group()?;
    let item = group.to_item();
    assert_eq!(
        strings(&item)?,
        [
            ("message", "See you 👋"),
            ("message_group_uuid", "5ae290ed-55d1-47a0-bc6d-fe2bc2700399"),
            ("pk", "GRP#9c1f4a52-6d0e-4b7b-8a3f-1f6a0c2d7e01"),
            ("sk", "2023-03-20T14:05:09.000000+00:00"),
            ("user_display_name", "Andrew Bayko"),
            ("user_handle", "bayko"),
            ("user_uuid", "9c1f4a52-6d0e-4b7b-8a3f-1f6a0c2d7e02"),
        ]
    );
    assert_eq!(MessageGroup::from_item(&item)?, group);
    Ok(())
}

#[test]
fn message_item() -> TestResult {
    let message = message()?;
    let item = message.to_item();
    assert_eq!(
        strings(&item)?,
        [
            ("message", "\"Crème\" 🐈"),
            ("message_uuid", "c1d1a0a1-0000-5000-8000-00000000abcd"),
            ("pk", "MSG#5ae290ed-55d1-47a0-bc6d-fe2bc2700399"),
            ("sk", "2023-03-20T14:05:09.500000+00:00"),
            ("user_display_name", "Andrew Bayko"),
            ("user_handle", "bayko"),
            ("user_uuid", "9c1f4a52-6d0e-4b7b-8a3f-1f6a0c2d7e02"),
        ]
    );
    assert_eq!(Message::from_item(&item)?, message);
    Ok(())
}

#[test]
fn items_of_other_programs_are_read() -> TestResult {
    let message = message()?;
    let mut item = message.to_item();
    let others = [
        ("pk", "MSG#5AE290ED-55D1-47A0-BC6D-FE2BC2700399"),
        ("sk", "2023-03-20T16:05:09.5+02:00"),
        ("reactions", "none"),
    ];
    item.extend(others.map(|(name, value)| (name.to_owned(), AttributeValue::S(value.to_owned()))));
    assert_eq!(Message::from_item(&item)?, message);
    Ok(())
}

#[test]
fn errors_name_the_item_and_the_attribute() -> TestResult {
    let string = |s: &str| Some(AttributeValue::S(s.to_owned()));
    let item = "item pk=MSG#5ae290ed-55d1-47a0-bc6d-fe2bc2700399 sk=2023-03-20T14:05:09.500000+00:00";
    assert_eq!(error("message", None)?, format!("{item}: attribute message is missing"));
    assert_eq!(
        error("user_handle", Some(AttributeValue::B(Blob::new("bayko"))))?,
        format!("{item}: attribute user_handle is not a string")
    );
    assert_eq!(
        error("message_uuid", string("17"))?,
        format!("{item}: attribute message_uuid should be a uuid, is \"17\"")
    );
    assert_eq!(
        error("sk", string("yesterday"))?,
        "item pk=MSG#5ae290ed-55d1-47a0-bc6d-fe2bc2700399 sk=yesterday: \
         attribute sk should be an RFC 3339 time, is \"yesterday\""
    );
    assert_eq!(error("pk", None)?, "item pk=? sk=2023-03-20T14:05:09.500000+00:00: attribute pk is missing");
    Ok(())
}

#[test]
fn one_kind_of_item_is_not_read_as_the_other() -> TestResult {
    let error = Message::from_item(&message_group()?.to_item());
    assert_eq!(
        error.map_err(|e| e.to_string()),
        Err("item pk=GRP#9c1f4a52-6d0e-4b7b-8a3f-1f6a0c2d7e01 sk=2023-03-20T14:05:09.000000+00:00: \
             attribute pk should be MSG# and a uuid, is \"GRP#9c1f4a52-6d0e-4b7b-8a3f-1f6a0c2d7e01\""
            .to_owned())
    );
    let error = MessageGroup::from_item(&message()?.to_item());
    assert_eq!(
        error.map_err(|e| e.to_string()),
        Err("item pk=MSG#5ae290ed-55d1-47a0-bc6d-fe2bc2700399 sk=2023-03-20T14:05:09.500000+00:00: \
             attribute pk should be GRP# and a uuid, is \"MSG#5ae290ed-55d1-47a0-bc6d-fe2bc2700399\""
            .to_owned())
    );
    Ok(())
}
