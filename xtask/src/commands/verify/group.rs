//! Checks that a group's rows and its messages agree.

use std::collections::HashMap;

use crate::dynamodb::json::Item;
use backend_flask::messages::{Message, MessageGroup};
use backend_flask::users::User;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::item::{Entry, Finding, Kind, Subject, digest, key_of};

/// The data kept for each group during the scan.
#[derive(Default)]
pub(super) struct ScannedGroup {
    rows: Vec<Summary>,
    newest: Option<Summary>,
    senders: Vec<Uuid>,
    /// Whether one of its rows has a finding.
    pub(super) is_suspect: bool,
}

/// What is kept of a row or of a message: its [`Entry`]'s values, with a digest of the text.
struct Summary {
    owner: Uuid,
    user: Option<Uuid>,
    at: Option<DateTime<Utc>>,
    text: Option<u64>,
}

impl Summary {
    /// Whether a row differs from the newest message in two readable values. A value that cannot be read is a finding
    /// of its own.
    fn differs(&self, newest: &Self) -> bool {
        let text_differs = self.text.zip(newest.text).is_some_and(|(one, two)| one != two);
        text_differs || self.at.zip(newest.at).is_some_and(|(one, two)| one != two)
    }
}

impl ScannedGroup {
    pub(super) fn add(&mut self, entry: &Entry<'_>) {
        let Entry { subject, owner: Some(owner), user, at, text, .. } = *entry else { return };
        let summary = Summary { owner, user, at, text: text.map(digest) };
        match subject {
            Subject::Row => {
                self.rows.reserve_exact(2usize.saturating_sub(self.rows.len()));
                self.rows.push(summary);
            }
            Subject::Message => {
                if self.newest.as_ref().is_none_or(|newest| newest.at < at) {
                    self.newest = Some(summary);
                }
                if let Some(sender) = user.filter(|sender| !self.senders.contains(sender)) {
                    self.senders.reserve_exact(2usize.saturating_sub(self.senders.len()));
                    self.senders.push(sender);
                }
            }
            Subject::Key | Subject::Unknown => {}
        }
    }

    /// Whether the group has to be read again.
    pub(super) fn is_doubtful(&self) -> bool {
        self.is_suspect || !self.wrong().is_empty() || self.strangers(&self.senders).next().is_some()
    }

    /// Each row's key: its member and, if it can be read, its time.
    pub(super) fn row_keys(&self) -> impl Iterator<Item = (Uuid, Option<DateTime<Utc>>)> {
        self.rows.iter().map(|row| (row.owner, row.at))
    }

    /// Users who may have a row in this group.
    pub(super) fn candidates(&self) -> impl Iterator<Item = Uuid> {
        let named = self.rows.iter().flat_map(|row| [Some(row.owner), row.user]).flatten();
        named.chain(self.senders.iter().copied())
    }

    /// The senders who are not members. Without rows, everybody may be a member.
    fn strangers<'a>(&'a self, senders: &'a [Uuid]) -> impl Iterator<Item = Uuid> + 'a {
        let is_member = |sender: &Uuid| match self.rows.as_slice() {
            [] => true,
            [row] if row.user.is_none_or(|other| other == *sender) => true,
            rows => rows.iter().any(|row| row.owner == *sender),
        };
        senders.iter().copied().filter(move |sender| !is_member(sender))
    }

    /// The disagreements, each with the index of a row that shows it.
    fn wrong(&self) -> Vec<(Kind, usize)> {
        let mut wrong = Vec::new();
        match self.rows.as_slice() {
            [] => wrong.push((Kind::NoRows, 0)),
            [_] => wrong.push((Kind::OneRow, 0)),
            [one, two] => {
                let names = |row: &Summary, member| row.user.is_none_or(|other| other == member);
                if one.owner == two.owner || !names(one, two.owner) || !names(two, one.owner) {
                    wrong.push((Kind::Mirror, 0));
                }
            }
            _ => wrong.push((Kind::ManyRows, 0)),
        }
        match &self.newest {
            None => wrong.push((Kind::NoMessages, 0)),
            Some(newest) => {
                let rows = self.rows.iter().enumerate();
                let outdated = rows.filter(|(_, row)| row.differs(newest));
                wrong.extend(outdated.map(|(place, _)| (Kind::Outdated, place)));
            }
        }
        wrong
    }
}

/// A group that was read again, consistently, with the users it names.
#[derive(PartialEq)]
pub(super) struct CurrentGroup {
    pub(super) rows: Vec<Item>,
    pub(super) newest: Option<Item>,
    pub(super) users: HashMap<Uuid, User>,
}

/// The findings, and the writes that correct them.
#[derive(Default)]
pub(super) struct Verdict {
    pub(super) findings: Vec<Finding>,
    /// Pairs of an item as it was read (`None` if it did not exist) and as it should be.
    pub(super) changes: Vec<(Option<Item>, Item)>,
    /// Users in Postgres who sent messages but are not members.
    pub(super) strangers: Vec<Uuid>,
}

impl CurrentGroup {
    /// Finds what is wrong. `seen` is the group as the first scan saw it, with every sender.
    pub(super) fn judge(&self, group: Uuid, seen: &ScannedGroup) -> Verdict {
        if self.rows.is_empty() && self.newest.is_none() {
            // The group was deleted.
            return Verdict::default();
        }
        let mut now = ScannedGroup::default();
        let mut findings = Vec::new();
        for item in &self.rows {
            let entry = Entry::read(item);
            now.add(&entry);
            findings.extend(entry.against(item, &self.users));
        }
        self.newest.iter().for_each(|item| now.add(&Entry::read(item)));
        let strangers: Vec<_> = now.strangers(&seen.senders).collect();
        let knows_all = findings.iter().all(|finding| finding.kind != Kind::UnknownUser);
        // If a row's other member is unknown, a mirror finding would report the same error twice.
        let wrong = now.wrong().into_iter().filter(|(kind, _)| *kind != Kind::Mirror || knows_all);
        findings.extend(wrong.map(|(kind, place)| self.finding(group, &now, kind, place)));
        let changes =
            if strangers.is_empty() { self.changes(&now, seen).unwrap_or_default() } else { Vec::new() };
        findings.iter_mut().for_each(|finding| finding.can_be_fixed = !changes.is_empty());
        let strangers = strangers.into_iter().filter(|sender| self.users.contains_key(sender)).collect();
        Verdict { findings, changes, strangers }
    }

    fn finding(&self, group: Uuid, now: &ScannedGroup, kind: Kind, place: usize) -> Finding {
        let row = |row: &Summary| match row.user {
            Some(other) => format!("a row of {} with {other}", row.owner),
            None => format!("a row of {}", row.owner),
        };
        let rows = || now.rows.iter().map(row).collect::<Vec<_>>().join(", ");
        let last = |item: &Item| {
            let at = key_of(item)[1].clone();
            format!("{at} {:?}", Entry::read(item).text.unwrap_or_default())
        };
        let (there, should) = match kind {
            Kind::OneRow => (rows(), "a row of the other member too".to_owned()),
            Kind::ManyRows => (rows(), "one row of each of two members".to_owned()),
            Kind::Mirror => (rows(), "two rows, each of the member that the other one names".to_owned()),
            Kind::Outdated => (last(&self.rows[place]), self.newest.as_ref().map(last).unwrap_or_default()),
            Kind::NoMessages => (format!("no message of group {group}"), "its last message".to_owned()),
            _ => (format!("no row of group {group}"), "a row of each member".to_owned()),
        };
        let item = self.rows.get(place).or(self.newest.as_ref());
        Finding::new(kind, item.unwrap_or(&Item::new()), there, should)
    }

    /// Corrections of both members' rows by the newest message and the users. `None` if the members are unknown.
    fn changes(&self, now: &ScannedGroup, seen: &ScannedGroup) -> Option<Vec<(Option<Item>, Item)>> {
        let newest = Message::from_item(self.newest.as_ref()?).ok()?;
        let [one, two] = match now.rows.as_slice() {
            [one, two] => [one.owner, two.owner],
            [row] => [row.owner, row.user?],
            [] => seen.senders.as_slice().try_into().ok()?,
            _ => return None,
        };
        if one == two {
            return None;
        }
        let members = [self.users.get(&one)?, self.users.get(&two)?];
        let changes = MessageGroup::rows(members, &newest).into_iter().filter_map(|row| {
            let old = self.rows.iter().find(|item| Entry::read(item).owner == Some(row.member_uuid));
            let mut new = old.cloned().unwrap_or_default();
            new.extend(row.to_item());
            (old != Some(&new)).then(|| (old.cloned(), new))
        });
        Some(changes.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A group row or a message. `second` is the second of its time.
    fn item(kind: &str, user: u128, other: u128, second: u8) -> Item {
        let [user, other] = [user, other].map(Uuid::from_u128);
        let (owner, sender, name) = match kind {
            "GRP#" => (user, other, "message_group_uuid"),
            _ => (Uuid::nil(), user, "message_uuid"),
        };
        let attributes = [
            ("pk", format!("{kind}{owner}")),
            ("sk", format!("2023-03-20T14:05:{second:02}.000000+00:00")),
            (name, Uuid::nil().to_string()),
            ("message", second.to_string()),
            ("user_uuid", sender.to_string()),
            ("user_handle", sender.to_string()),
            ("user_display_name", sender.to_string()),
        ];
        let string = aws_sdk_dynamodb::types::AttributeValue::S;
        attributes.map(|(name, value)| (name.to_owned(), string(value))).into()
    }

    fn row(member: u128, other: u128, second: u8) -> Item {
        item("GRP#", member, other, second)
    }

    fn message(sender: u128, second: u8) -> Item {
        item("MSG#", sender, 0, second)
    }

    /// Judges a group. The last message is the newest.
    fn judged(rows: &[Item], messages: &[Item]) -> Verdict {
        let mut seen = ScannedGroup::default();
        rows.iter().chain(messages).for_each(|item| seen.add(&Entry::read(item)));
        let user =
            |uuid: Uuid| (uuid, User { uuid, display_name: uuid.to_string(), handle: uuid.to_string() });
        let users = (1..9).map(Uuid::from_u128).map(user).collect();
        let reading = CurrentGroup { rows: rows.to_vec(), newest: messages.last().cloned(), users };
        let verdict = reading.judge(Uuid::nil(), &seen);
        let is_wrong = !verdict.findings.is_empty() || !verdict.strangers.is_empty();
        assert_eq!(seen.is_doubtful(), is_wrong, "{:?}", verdict.findings);
        verdict
    }

    fn kinds(rows: &[Item], messages: &[Item]) -> Vec<Kind> {
        judged(rows, messages).findings.iter().map(|finding| finding.kind).collect()
    }

    #[test]
    fn two_rows_mirror_each_other_and_have_the_newest_message() {
        let messages = [message(1, 7), message(2, 9)];
        assert_eq!(kinds(&[row(1, 2, 9), row(2, 1, 9)], &messages), []);
        assert_eq!(kinds(&[row(1, 2, 7), row(2, 1, 9)], &messages), [Kind::Outdated]);
        assert_eq!(kinds(&[row(1, 3, 9), row(2, 1, 9)], &messages), [Kind::Mirror]);
        assert_eq!(kinds(&[row(1, 2, 9)], &messages), [Kind::OneRow]);
        assert_eq!(kinds(&[row(1, 2, 9), row(2, 1, 9), row(3, 1, 9)], &messages), [Kind::ManyRows]);
        assert_eq!(kinds(&[], &messages), [Kind::NoRows]);
        assert_eq!(kinds(&[row(1, 2, 9), row(2, 1, 9)], &[]), [Kind::NoMessages]);
    }

    #[test]
    fn a_group_that_is_gone_is_fine() {
        let reading = CurrentGroup { rows: Vec::new(), newest: None, users: HashMap::new() };
        assert_eq!(reading.judge(Uuid::nil(), &ScannedGroup::default()).findings, []);
    }

    #[test]
    fn every_sender_is_a_member() {
        let strangers = |rows: &[Item], sender| judged(rows, &[message(sender, 9)]).strangers;
        let three = Uuid::from_u128(3);
        assert_eq!(strangers(&[row(1, 2, 9), row(2, 1, 9)], 3), [three]);
        assert!(strangers(&[row(1, 2, 9), row(2, 1, 9)], 2).is_empty());
        assert!(strangers(&[row(1, 2, 9)], 2).is_empty());
        assert_eq!(strangers(&[row(1, 2, 9)], 3), [three]);
        assert!(strangers(&[], 3).is_empty());
    }

    #[test]
    fn rows_are_written_where_it_is_certain_whose_they_are() {
        let both = [message(1, 8), message(2, 9)];
        let changes = |rows: &[Item], messages: &[Item]| judged(rows, messages).changes;
        let whole = [row(1, 2, 9), row(2, 1, 9)];
        assert_eq!(changes(&whole, &both), []);
        assert_eq!(changes(&[row(1, 2, 9)], &both), [(None, row(2, 1, 9))]);
        assert_eq!(changes(&[row(1, 3, 9), row(2, 1, 9)], &both), [(Some(row(1, 3, 9)), row(1, 2, 9))]);
        let moved = [(Some(row(1, 2, 8)), row(1, 2, 9))];
        assert_eq!(changes(&[row(1, 2, 8), row(2, 1, 9)], &both), moved);
        assert_eq!(changes(&[], &both).len(), 2);
        assert_eq!(changes(&[], &both[1..]), []);
        // A surplus row, no message, a sender who is not a member, an unknown user.
        assert_eq!(changes(&[row(1, 2, 8), row(1, 2, 9), row(2, 1, 9)], &both), []);
        assert_eq!(changes(&whole, &[]), []);
        assert_eq!(changes(&[row(1, 2, 8), row(2, 1, 9)], &[message(3, 8), message(2, 9)]), []);
        assert_eq!(changes(&[row(1, 99, 9)], &[message(1, 9)]), []);
    }
}
