//! Posting a message exactly once, even while others write to the group.
//!
//! The conditions of the transaction guarantee that; see [`messages::post`]. This module builds and sends the
//! transaction until it takes effect. If an answer was lost, the attempt may have taken effect or may still do so.
//! Therefore the next attempt first looks for the message. Of two attempts under way, the conditions let only one
//! succeed, because both move the same rows.
//!
//! A client's second request with the same idempotency key is handled the same way: both members' rows are read
//! before the message is looked for, so any writer in between has moved them.

use std::time::{Duration, Instant};

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::operation::transact_write_items::builders::TransactWriteItemsInputBuilder;
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{DynamoDb, NAME, QUEUES, corrupt, one_line, unavailable};
use crate::messages::{self, MemberRow, Message, PARTITION_KEY, SORT_KEY};
use crate::server::refusal::Refusal;
use crate::time;
use crate::users::User;

/// How long attempts may continue. It is less than a whole request may take.
const BOUND: Duration = Duration::from_secs(10);

/// The name of the idempotency key in refusals.
pub(crate) const IDEMPOTENCY_KEY: &str = "idempotency-key";

const FIRST_WAIT: Duration = Duration::from_millis(5);
const LONGEST_WAIT: Duration = Duration::from_millis(500);

/// A message that was written, and the users who may read it.
pub(crate) struct Posted {
    pub(crate) message: Message,
    pub(crate) members: [Uuid; 2],
}

#[derive(Clone, Copy)]
pub(crate) struct Draft<'a> {
    pub(crate) sender: &'a User,
    pub(crate) text: &'a str,
    /// The client's id for the request, with which the client may repeat it.
    pub(crate) idempotency_key: Option<&'a str>,
}

/// Why an attempt did not take effect, or may not have.
enum Miss {
    /// It did not: another writer was first, or the server throttled.
    Conflict(String),
    /// The answer was lost, so it may have.
    Unknown(String),
    /// It did not, and the server will never accept it.
    Refused(String),
}

struct Attempts {
    started: Instant,
    made: u32,
    /// The message times of the attempts whose answers were lost.
    unsure: Vec<DateTime<Utc>>,
}

impl DynamoDb {
    /// Writes a message to `group`; `None` if the sender is not a member. A message that was written before with the
    /// same idempotency key is not written again.
    pub(crate) async fn post(&self, group: Uuid, draft: Draft<'_>) -> Result<Option<Posted>, Refusal> {
        // The last byte of a group's uuid is random in every version of uuid that is used.
        let _turn = self.queues[usize::from(group.as_bytes()[15]) % QUEUES].lock().await;
        let mut message = new_message(group, draft);
        let mut attempts = Attempts::new();
        loop {
            let Some([own, other]) = self.rows(group, draft.sender).await? else { return Ok(None) };
            let members = [own.group.member_uuid, other.group.member_uuid];
            let is_there = match draft.idempotency_key {
                Some(_) => self.find_repeated(&mut message).await?,
                None => self.find(&mut message, &attempts.unsure).await?,
            };
            if is_there {
                return Ok(Some(Posted { message, members }));
            }
            let last = own.group.last_message_at.max(other.group.last_message_at);
            message.created_at = messages::next_time(Utc::now(), last);
            let request = messages::post(&self.table, &message, [&own, &other]);
            if self.attempt(request, &message, draft, &mut attempts).await? {
                return Ok(Some(Posted { message, members }));
            }
        }
    }

    /// Writes the first message to `receiver`, with whom the sender has no group. The caller must prevent others from
    /// beginning the conversation at the same time.
    pub(crate) async fn open(&self, draft: Draft<'_>, receiver: &User) -> Result<Posted, Refusal> {
        let members = [draft.sender.uuid, receiver.uuid];
        let mut message = new_message(messages::group_of_pair(members), draft);
        let mut attempts = Attempts::new();
        loop {
            // All attempts use the same time, so that one that takes effect late makes the next one fail.
            if self.find(&mut message, &attempts.unsure).await? {
                return Ok(Posted { message, members });
            }
            if attempts.made > 0 && attempts.unsure.is_empty() {
                // Another group's row in one of the two lists has this time.
                message.created_at = messages::next_time(Utc::now(), message.created_at);
            }
            let request = messages::open(&self.table, &message, receiver);
            if self.attempt(request, &message, draft, &mut attempts).await? {
                return Ok(Posted { message, members });
            }
        }
    }

    /// The rows of `user` and of the other member of `group`; `None` if the user has none. The app's transactions
    /// never leave a group with only one row.
    async fn rows(&self, group: Uuid, user: &User) -> Result<Option<[MemberRow; 2]>, Refusal> {
        let Some(own) = self.row(user.uuid, group).await? else { return Ok(None) };
        match self.row(own.group.other.uuid, group).await? {
            Some(other) => Ok(Some([own, other])),
            None => Err(corrupt(format!("no row of group {group} for member {}", own.group.other.uuid))),
        }
    }

    /// Sends the request. Returns whether it took effect. If it did not, or may not have, waits before the next
    /// attempt: exponential backoff with full jitter.
    /// <https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>
    async fn attempt(
        &self,
        mut request: TransactWriteItemsInputBuilder,
        message: &Message,
        draft: Draft<'_>,
        attempts: &mut Attempts,
    ) -> Result<bool, Refusal> {
        if draft.idempotency_key.is_some() {
            request = request.transact_items(messages::remember(&self.table, message));
        }
        attempts.made += 1;
        let Err(error) = request.send_with(&self.writer).await else { return Ok(true) };
        let why = match miss(error) {
            Miss::Refused(why) => return Err(Refusal::unavailable(NAME, why)),
            Miss::Conflict(why) => why,
            Miss::Unknown(why) => {
                if !attempts.unsure.contains(&message.created_at) {
                    attempts.unsure.push(message.created_at);
                }
                why
            }
        };
        if attempts.started.elapsed() > BOUND {
            let why = format!("{} attempts; the last one: {why}", attempts.made);
            return Err(Refusal::unavailable(NAME, why));
        }
        tokio::time::sleep(longest_wait(attempts.made).mul_f64(fastrand::f64())).await;
        Ok(false)
    }

    /// Whether the message was sent before with the same idempotency key. If so, sets `message` to it.
    async fn find_repeated(&self, message: &mut Message) -> Result<bool, Refusal> {
        let key = messages::remembered(&self.table, message.message_group_uuid, message.message_uuid);
        let key = key.send_with(&self.client).await.map_err(unavailable)?;
        let created_at = key.item().and_then(|key| key.get("created_at")?.as_s().ok());
        let Some(created_at) = created_at else { return Ok(false) };
        let created_at = time::parse(created_at).map_err(corrupt)?;
        let text = message.message.clone();
        if !self.find(message, &[created_at]).await? {
            return Ok(false);
        }
        if message.message != text {
            return Err(Refusal::unacceptable(IDEMPOTENCY_KEY, "was sent with another message before"));
        }
        Ok(true)
    }

    /// Whether the message was written at one of these times. If so, sets `message` to it.
    async fn find(&self, message: &mut Message, times: &[DateTime<Utc>]) -> Result<bool, Refusal> {
        for &created_at in times {
            let found = self
                .client
                .get_item()
                .table_name(&self.table)
                .key(PARTITION_KEY, AttributeValue::S(messages::message_key(message.message_group_uuid)))
                .key(SORT_KEY, AttributeValue::S(time::format(created_at)))
                .consistent_read(true)
                .send()
                .await
                .map_err(unavailable)?;
            let found = found.item().map(Message::from_item).transpose().map_err(corrupt)?;
            if let Some(found) = found.filter(|found| found.message_uuid == message.message_uuid) {
                *message = found;
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Attempts {
    fn new() -> Self {
        Self { started: Instant::now(), made: 0, unsure: Vec::new() }
    }
}

/// The longest wait after attempt number `attempt`, counted from 1.
fn longest_wait(attempt: u32) -> Duration {
    FIRST_WAIT.saturating_mul(1 << (attempt - 1).min(16)).min(LONGEST_WAIT)
}

fn new_message(group: Uuid, Draft { sender, text, idempotency_key }: Draft<'_>) -> Message {
    let of_key = |key| messages::message_of_key(group, sender.uuid, key);
    Message {
        message_group_uuid: group,
        created_at: messages::next_time(Utc::now(), DateTime::UNIX_EPOCH),
        message_uuid: idempotency_key.map_or_else(Uuid::new_v4, of_key),
        message: text.to_owned(),
        sender: sender.clone(),
    }
}

/// What an error means for an attempt. The reasons of a cancelled transaction are listed in
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html>
fn miss(error: SdkError<TransactWriteItemsError>) -> Miss {
    use aws_sdk_dynamodb::error::ProvideErrorMetadata as _;
    let Some(service) = error.as_service_error() else {
        let is_unsent = matches!(error, SdkError::ConstructionFailure(_));
        return if is_unsent { Miss::Refused(one_line(&error)) } else { Miss::Unknown(one_line(&error)) };
    };
    if let TransactWriteItemsError::TransactionCanceledException(cancelled) = service {
        let codes = cancelled.cancellation_reasons().iter().filter_map(|reason| reason.code());
        let codes: Vec<_> = codes.filter(|code| *code != "None").collect();
        let may_pass = |code: &&str| {
            matches!(
                *code,
                "ConditionalCheckFailed"
                    | "TransactionConflict"
                    | "ThrottlingError"
                    | "ProvisionedThroughputExceeded"
            )
        };
        let what = format!("cancelled: {}", codes.join(", "));
        return if codes.iter().all(may_pass) { Miss::Conflict(what) } else { Miss::Refused(what) };
    }
    match service.code() {
        Some(
            "ProvisionedThroughputExceededException"
            | "ThrottlingException"
            | "RequestLimitExceeded"
            | "TransactionInProgressException",
        ) => Miss::Conflict(one_line(&error)),
        Some("InternalServerError" | "ServiceUnavailable") => Miss::Unknown(one_line(&error)),
        _ => Miss::Refused(one_line(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_within_their_bound() {
        let waits = [1, 2, 3, 40].map(|attempt| longest_wait(attempt).as_millis());
        assert_eq!(waits, [5, 10, 20, 500]);
    }
}
