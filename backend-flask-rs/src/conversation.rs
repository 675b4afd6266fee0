//! The seed conversation: parses its text file and makes the items for DynamoDB.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use chrono::{DateTime, Datelike as _, Utc};
use uuid::Uuid;

use crate::excerpt::excerpt;
use crate::messages::{Item, Message, MessageGroup, check_text};
use crate::time;
use crate::users::User;

/// The path of the seed conversation from the workspace's root.
pub const PATH: &str = "backend-flask-rs/ddb/conversation.txt";

/// The seconds between two messages.
const INTERVAL: u64 = 60;

/// The messages that two people wrote to each other, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversation {
    /// In order.
    pub lines: Vec<Line>,
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The place of the sender among the two people: 0 for `Person 1`, 1 for `Person 2`.
    pub sender: usize,
    /// The text. It is never blank.
    pub message: String,
}

impl Conversation {
    /// Parses a text with one message per line: `Person 1: ` or `Person 2: `, then the message. Lines may end in
    /// CRLF. Ignores white space at the end of a line, blank lines at the end of the text, and a byte order mark.
    /// Errors call the text `source_name`, which may be its path.
    pub fn parse(source_name: &str, text: &str) -> Result<Self> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text).trim_end();
        ensure!(!text.is_empty(), "{source_name}: expected lines such as \"Person 1: Hello\", found none");
        let mut lines = Vec::new();
        let mut bad = Vec::new();
        for (line, number) in text.lines().zip(1..) {
            match Line::parse(line) {
                Some(line) => lines.push(line),
                None => bad.push((number, line)),
            }
        }
        if let Some((number, line)) = bad.first() {
            let all =
                if bad.len() > 1 { format!(" ({} such lines in all)", bad.len()) } else { String::new() };
            let found =
                if line.is_empty() { "an empty line".to_owned() } else { format!("{:?}", excerpt(line)) };
            bail!(
                "{source_name}:{number}: expected \"Person 1: \" or \"Person 2: \" and a message, found {found}{all}"
            );
        }
        for (line, number) in lines.iter().zip(1_usize..) {
            if let Err(why) = check_text(&line.message) {
                bail!("{source_name}:{number}: the message {why}");
            }
        }
        Ok(Self { lines })
    }

    /// The time of the first message if the last one is sent at `now`; `None` before the year 0, which a sort key
    /// cannot hold.
    pub fn begin(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let intervals = self.lines.len().saturating_sub(1) as u64;
        let begin = now - Duration::from_secs(INTERVAL * intervals);
        time::YEARS.contains(&begin.year()).then_some(begin)
    }

    /// The items to put: both members' [rows](MessageGroup::rows), then the [`messages`](Self::messages). The same
    /// arguments give the same items. `people` are person 1 and person 2, who must differ. `now` must have a
    /// [`begin`](Self::begin).
    pub fn items<'a>(
        &'a self,
        group: Uuid,
        people: [&'a User; 2],
        now: DateTime<Utc>,
    ) -> impl Iterator<Item = Item> + 'a {
        let messages = self.messages(group, people, now);
        let last = messages.clone().last();
        let rows = last.into_iter().flat_map(move |last| MessageGroup::rows(people, &last));
        rows.map(|row| row.to_item()).chain(messages.map(|message| message.to_item()))
    }

    /// The messages, one minute apart. The last one is sent at `now`, to the microsecond. A message's uuid is the
    /// UUIDv5 of the group and the line number in decimal: `1`, `2` and so on.
    pub fn messages<'a>(
        &'a self,
        group: Uuid,
        people: [&'a User; 2],
        now: DateTime<Utc>,
    ) -> impl Iterator<Item = Message> + Clone + 'a {
        let now = time::truncate(now);
        let last = self.lines.len() as u64;
        (1..).zip(&self.lines).map(move |(position, line)| Message {
            message_group_uuid: group,
            created_at: now - Duration::from_secs(INTERVAL * (last - position)),
            message_uuid: Uuid::new_v5(&group, position.to_string().as_bytes()),
            message: line.message.clone(),
            sender: people[line.sender].clone(),
        })
    }
}

impl Line {
    /// Parses a line; `None` if it has another form.
    fn parse(line: &str) -> Option<Self> {
        // Both prefixes end in a space, so the rest after a prefix is not blank.
        let line = line.trim_end();
        let (sender, message) = match line.strip_prefix("Person 1: ") {
            Some(message) => (0, message),
            None => (1, line.strip_prefix("Person 2: ")?),
        };
        Some(Self { sender, message: message.to_owned() })
    }
}

#[cfg(test)]
mod tests;
