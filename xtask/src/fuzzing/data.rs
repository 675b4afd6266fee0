//! What the data layer reads.

use backend_flask::conversation::{Conversation, Person};
use backend_flask::messages::{Message, MessageGroup, SEED_GROUP, TimeRange, item_of};
use backend_flask::time;
use backend_flask::users::User;
use uuid::Uuid;

use super::text;

/// How long a written time is.
const WIDTH: usize = "2023-03-20T14:05:09.000000+00:00".len();

/// A conversation, and the items that it becomes.
pub(super) fn conversation(input: &[u8]) {
    const NAME: &str = "notes.txt";
    let Some(text) = text(input) else { return };
    let conversation = match Conversation::parse(NAME, text) {
        Ok(conversation) => conversation,
        Err(error) => return assert!(error.to_string().starts_with("notes.txt:"), "{error}"),
    };
    let lines = conversation.lines().iter().map(|line| match line.person {
        Person::One => format!("Person 1: {}\n", line.message),
        Person::Two => format!("Person 2: {}\n", line.message),
    });
    assert_eq!(Conversation::parse(NAME, &lines.collect::<String>()).as_ref(), Ok(&conversation));
    let user = |number| User {
        uuid: Uuid::from_u128(number),
        display_name: String::new(),
        handle: format!("user{number}"),
    };
    let (one, two) = (user(1), user(2));
    // The first time at which there is a beginning, or a later one.
    let now = time::parse("0000-01-01T00:00:00Z").unwrap_or_default();
    let now = if conversation.begin(now).is_some() { now } else { Default::default() };
    for (index, item) in conversation.items(SEED_GROUP, [&one, &two], now).enumerate() {
        let item = item_of(item);
        let is_read = if index < 2 {
            MessageGroup::from_item(&item).is_ok()
        } else {
            Message::from_item(&item).is_ok()
        };
        assert!(is_read, "{item:?}");
    }
}

/// A time, and a year, as the command line takes them.
pub(super) fn time(input: &[u8]) {
    let Some(text) = text(input) else { return };
    if let Some(range) = text.parse().ok().and_then(TimeRange::year) {
        assert!(!range.is_empty());
    }
    if let Ok(read) = time::parse(text) {
        let written = time::format(read);
        assert_eq!(written.len(), WIDTH, "{written}");
        let again = time::parse(&written).map(time::format);
        assert_eq!(again, Ok(written));
    }
}
