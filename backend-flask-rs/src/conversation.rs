//! The seed conversation: a text file, and the items that it becomes.

mod error;

use std::time::Duration;

use chrono::{DateTime, Datelike as _, TimeDelta, Utc};
use uuid::Uuid;

use crate::messages::{Attributes, Message, MessageGroup};
use crate::time;
use crate::users::User;

pub use error::ConversationError;

/// Where [`Conversation::builtin`] comes from, as a path from the workspace's root.
pub const BUILTIN_PATH: &str = "backend-flask-rs/ddb/conversation.txt";

const BUILTIN: &str = include_str!("../ddb/conversation.txt");

/// How many seconds after the message before it a message is sent.
const INTERVAL: u64 = 60;

/// What two people wrote to each other, in the order in which they sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversation {
    lines: Vec<Line>,
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Who sent it.
    pub person: Person,
    /// What it says; never blank.
    pub message: String,
}

/// One of the two people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Person {
    /// `Person 1` in the text.
    One,
    /// `Person 2` in the text.
    Two,
}

impl Conversation {
    /// Reads a text with a message on each line: `Person 1: ` or `Person 2: `, then the message. Lines
    /// may end in CRLF; white space at the end of a line, blank lines at the end of the text and a byte
    /// order mark at its beginning are passed over. `source_name` says in errors where the text is from,
    /// such as its path.
    ///
    /// # Errors
    ///
    /// [`ConversationError`] if any line is in another form, or if there is none.
    pub fn parse(source_name: &str, text: &str) -> Result<Self, ConversationError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text).trim_end();
        if text.is_empty() {
            return Err(ConversationError::empty(source_name));
        }
        let mut lines = Vec::new();
        let mut bad = Vec::new();
        for (line, number) in text.lines().zip(1..) {
            match Line::parse(line) {
                Some(line) => lines.push(line),
                None => bad.push((number, line)),
            }
        }
        match bad.first() {
            None => Ok(Self { lines }),
            Some(&(number, line)) => Err(ConversationError::lines(source_name, number, line, bad.len())),
        }
    }

    /// The conversation that is compiled in, from [`BUILTIN_PATH`].
    ///
    /// # Errors
    ///
    /// As [`Conversation::parse`], for whoever edits that file.
    pub fn builtin() -> Result<Self, ConversationError> {
        Self::parse(BUILTIN_PATH, BUILTIN)
    }

    /// How many messages there are, which is also how many lines the text has.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// False: a text without messages is an error.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The messages in order.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// When the first message is sent, if the last one is at `now`; `None` before the year 0, which a sort key
    /// cannot hold.
    pub fn begin(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let intervals = u64::try_from(self.len().saturating_sub(1)).ok()?;
        let seconds = i64::try_from(INTERVAL.checked_mul(intervals)?).ok()?;
        let begin = now.checked_sub_signed(TimeDelta::try_seconds(seconds)?)?;
        time::YEARS.contains(&begin.year()).then_some(begin)
    }

    /// The items to put, [`len`](Self::len) + 2 of them: both [`groups`](Self::groups), then the
    /// [`messages`](Self::messages). The same arguments give the same items. `people` are person 1 and
    /// person 2, two different users: both groups of one user would have the same key. At this `now` there
    /// must be a [`begin`](Self::begin).
    // A type of its own would be compiled, unoptimised, by who uses it.
    pub fn items<'a>(
        &'a self,
        group: Uuid,
        people: [&'a User; 2],
        now: DateTime<Utc>,
    ) -> Box<dyn Iterator<Item = Attributes> + 'a> {
        let groups = self.groups(group, people, now).into_iter();
        let messages = self.messages(group, people, now);
        Box::new(groups.map(MessageGroup::into_attributes).chain(messages.map(Message::into_attributes)))
    }

    /// The messages, a minute apart, the last one sent at `now` without what is finer than a
    /// microsecond. A message's uuid is the UUIDv5 in the namespace `group` of its position, the text's
    /// line number, in decimal: `1`, `2` and so on.
    pub fn messages<'a>(
        &'a self,
        group: Uuid,
        people: [&'a User; 2],
        now: DateTime<Utc>,
    ) -> impl Iterator<Item = Message> + 'a {
        let now = time::truncate(now);
        let last = self.len() as u64;
        (1..).zip(&self.lines).map(move |(position, line)| {
            let before_the_last = Duration::from_secs(INTERVAL * (last - position));
            let sender = line.person.of(people);
            Message {
                message_group_uuid: group,
                created_at: now - before_the_last,
                message_uuid: Uuid::new_v5(&group, position.to_string().as_bytes()),
                message: line.message.clone(),
                user_uuid: sender.uuid,
                user_display_name: sender.display_name.clone(),
                user_handle: sender.handle.clone(),
            }
        })
    }

    /// The message groups of person 1 and of person 2, each naming the other person, both with the last
    /// message and its time, which is `now` without what is finer than a microsecond.
    pub fn groups(&self, group: Uuid, people: [&User; 2], now: DateTime<Utc>) -> [MessageGroup; 2] {
        let last = self.lines.last().map(|line| line.message.clone());
        let message = last.unwrap_or_default();
        let [one, two] = people;
        [(one, two), (two, one)].map(|(member, other)| MessageGroup {
            member_uuid: member.uuid,
            last_message_at: time::truncate(now),
            message_group_uuid: group,
            message: message.clone(),
            user_uuid: other.uuid,
            user_display_name: other.display_name.clone(),
            user_handle: other.handle.clone(),
        })
    }
}

impl Line {
    /// None if `line` is in another form.
    fn parse(line: &str) -> Option<Self> {
        // Both prefixes end in a space: what is left after one of them is not blank.
        let line = line.trim_end();
        let (person, message) = match line.strip_prefix("Person 1: ") {
            Some(message) => (Person::One, message),
            None => (Person::Two, line.strip_prefix("Person 2: ")?),
        };
        let message = message.to_owned();
        Some(Self { person, message })
    }
}

impl Person {
    fn of(self, people: [&User; 2]) -> &User {
        let [one, two] = people;
        match self {
            Self::One => one,
            Self::Two => two,
        }
    }
}

#[cfg(test)]
mod tests;
