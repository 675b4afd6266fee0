use super::*;
use crate::messages::SEED_GROUP;

/// The text of [`PATH`].
const SEED: &str = include_str!("../../ddb/conversation.txt");

type TestResult = Result<(), Box<dyn std::error::Error>>;

fn user(uuid: &str, display_name: &str, handle: &str) -> Result<User, uuid::Error> {
    Ok(User { uuid: uuid.parse()?, display_name: display_name.to_owned(), handle: handle.to_owned() })
}

fn one() -> Result<User, uuid::Error> {
    let uuid = "9c1f4a52-6d0e-4b7b-8a3f-1f6a0c2d7e01";
    user(uuid, "Andrew Brown", "andrewbrown")
}

fn two() -> Result<User, uuid::Error> {
    let uuid = "9c1f4a52-6d0e-4b7b-8a3f-1f6a0c2d7e02";
    user(uuid, "Andrew Bayko", "bayko")
}

fn error(text: &str) -> Result<Conversation, String> {
    Conversation::parse("notes.txt", text).map_err(|e| e.to_string())
}

#[track_caller]
fn assert_error(text: &str, expected: &str) {
    assert_eq!(error(text), Err(expected.to_owned()));
}

#[test]
fn reads_lines() -> TestResult {
    let conversation = Conversation::parse("notes.txt", "Person 2: Hi: \"you\"\nPerson 1:  é\n")?;
    let line = |sender, message: &str| Line { sender, message: message.to_owned() };
    assert_eq!(conversation.lines, [line(1, "Hi: \"you\""), line(0, " é")]);
    Ok(())
}

#[test]
fn tolerates_what_editors_leave() {
    let plain = error("Person 1: a\nPerson 2: b");
    assert!(plain.is_ok());
    assert_eq!(error("Person 1: a\nPerson 2: b\n\n \n"), plain);
    assert_eq!(error("Person 1: a\r\nPerson 2: b\r\n\r\n"), plain);
    assert_eq!(error("\u{feff}Person 1: a \nPerson 2: b\t\n"), plain);
}

#[test]
fn names_the_first_bad_line() {
    assert_error(
        "Person 1: a\nPerson 3: b\n",
        "notes.txt:2: expected \"Person 1: \" or \"Person 2: \" and a message, \
         found \"Person 3: b\"",
    );
    assert_error(
        "Person 1: a\n\nPerson 2: \nperson 1: c\nPerson 2: d",
        "notes.txt:2: expected \"Person 1: \" or \"Person 2: \" and a message, \
         found an empty line (3 such lines in all)",
    );
}

#[test]
fn refuses_other_forms() {
    for line in
        ["Person 1: ", "Person 1:   \t", "Person 1:a", "Person 1 : a", " Person 1: a", "Person 12: a", "a"]
    {
        let text = format!("{line}\nPerson 2: b");
        let expected =
            format!("notes.txt:1: expected \"Person 1: \" or \"Person 2: \" and a message, found {:?}", line);
        assert_eq!(error(&text), Err(expected));
    }
}

#[test]
fn refuses_a_message_that_the_app_would_refuse() {
    let text = |letters| format!("Person 1: a\nPerson 2: {}\nPerson 1: b", "é".repeat(letters));
    assert!(error(&text(1024)).is_ok());
    assert_error(&text(1025), "notes.txt:2: the message has more than 1024 characters");
}

#[test]
fn a_long_line_is_shortened_in_the_error() {
    let shown = "語".repeat(60);
    assert_error(
        &format!("{shown}語"),
        &format!(
            "notes.txt:1: expected \"Person 1: \" or \"Person 2: \" and a message, \
             found \"{shown}…\""
        ),
    );
}

#[test]
fn refuses_an_empty_text() {
    for text in ["", "\n\r\n", "\u{feff}", "  "] {
        assert_error(text, "notes.txt: expected lines such as \"Person 1: Hello\", found none");
    }
}

#[test]
fn the_seed_conversation_is_worth_scrolling_through() -> TestResult {
    let conversation = Conversation::parse(PATH, SEED)?;
    assert!(conversation.lines.len() >= 100, "{}", conversation.lines.len());
    let widths = conversation.lines.iter().map(|l| l.message.chars().count());
    let widths = widths.collect::<Vec<_>>();
    assert!(widths.contains(&40), "none at the edge of being cut");
    assert!(widths.iter().any(|w| *w < 40));
    assert!(widths.iter().any(|w| *w > 100));
    for sender in [0, 1] {
        let theirs = conversation.lines.iter().filter(|l| l.sender == sender);
        assert!(theirs.count() >= 40, "{sender}");
    }
    Ok(())
}

#[test]
fn messages_lead_up_to_now() -> TestResult {
    let conversation = Conversation::parse("", "Person 1: a\nPerson 2: b\nPerson 1: c")?;
    let (one, two) = (one()?, two()?);
    let now = time::parse("2024-01-01T00:00:30.123456789Z")?;
    let messages = conversation.messages(SEED_GROUP, [&one, &two], now);
    let messages = messages.map(|m| (time::format(m.created_at), m.message, m.sender.handle));
    let expected = [
        ("2023-12-31T23:58:30.123456+00:00", "a", "andrewbrown"),
        ("2023-12-31T23:59:30.123456+00:00", "b", "bayko"),
        ("2024-01-01T00:00:30.123456+00:00", "c", "andrewbrown"),
    ];
    let expected = expected.map(|(t, m, h)| (t.to_owned(), m.to_owned(), h.to_owned()));
    assert_eq!(messages.collect::<Vec<_>>(), expected);
    Ok(())
}

#[test]
fn the_first_message_is_in_a_year_that_can_be_written() -> TestResult {
    let conversation = Conversation::parse("", "Person 1: a\nPerson 2: b\nPerson 1: c")?;
    let begin = |now| -> anyhow::Result<_> { Ok(conversation.begin(time::parse(now)?)) };
    let first =
        conversation.messages(SEED_GROUP, [&one()?, &two()?], time::parse("2024-01-01T00:00:30Z")?).next();
    assert_eq!(begin("2024-01-01T00:00:30Z")?, first.map(|message| message.created_at));
    assert!(begin("0000-01-01T00:02:00Z")?.is_some());
    assert_eq!(begin("0000-01-01T00:01:59Z")?, None);
    Ok(())
}

/// Python's `uuid.uuid5(UUID("5ae290ed-…"), "1")` and `"2"` give the expected uuids.
#[test]
fn message_uuids_come_from_the_group_and_the_position() -> TestResult {
    let conversation = Conversation::parse("", "Person 1: a\nPerson 2: b")?;
    let (one, two) = (one()?, two()?);
    let now = time::parse("2024-01-01T00:00:00Z")?;
    let uuids = |group| {
        let messages = conversation.messages(group, [&one, &two], now);
        messages.map(|m| m.message_uuid.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(
        uuids(SEED_GROUP),
        ["aa3a07ea-325a-5625-8f46-f386b4827947", "175cbb5a-c30b-53a2-a045-18fa60cd15b0"]
    );
    assert_ne!(uuids(one.uuid), uuids(SEED_GROUP));
    Ok(())
}

#[test]
fn both_groups_carry_the_last_message_and_name_the_other() -> TestResult {
    let conversation = Conversation::parse("", "Person 1: a\nPerson 2: b")?;
    let (one, two) = (one()?, two()?);
    let now = time::parse("2024-01-01T00:00:00.0000009Z")?;
    let items = conversation.items(SEED_GROUP, [&one, &two], now);
    let groups = items.take(2).map(|item| MessageGroup::from_item(&item)).collect::<Result<Vec<_>, _>>()?;
    assert_eq!((groups[0].member_uuid, &groups[0].other), (one.uuid, &two));
    assert_eq!((groups[1].member_uuid, &groups[1].other), (two.uuid, &one));
    let last = conversation.messages(SEED_GROUP, [&one, &two], now).last();
    for group in groups {
        assert_eq!(group.message_group_uuid, SEED_GROUP);
        assert_eq!(group.message, "b");
        assert_eq!(Some(group.last_message_at), last.as_ref().map(|m| m.created_at));
    }
    Ok(())
}

#[test]
fn items_are_the_groups_then_the_messages() -> TestResult {
    let conversation = Conversation::parse(PATH, SEED)?;
    let (one, two) = (one()?, two()?);
    let now = time::parse("2024-01-01T00:00:00Z")?;
    let items = || conversation.items(SEED_GROUP, [&one, &two], now);
    let items_once = items().collect::<Vec<_>>();
    assert_eq!(items_once, items().collect::<Vec<_>>());
    assert_eq!(items_once.len(), conversation.lines.len() + 2);
    let items = items_once;
    for item in &items[..2] {
        MessageGroup::from_item(item)?;
    }
    for item in &items[2..] {
        Message::from_item(item)?;
    }
    Ok(())
}
