//! Message groups and messages in DynamoDB. All reads are strongly consistent: a user who is notified of a message
//! can read it.

mod post;

use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::Builder as Config;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::query::builders::QueryInputBuilder;
use chrono::{DateTime, Utc};
use tokio::sync::Mutex;
use uuid::Uuid;

use super::refusal::{Refusal, chain};
use crate::http;
use crate::messages::{self, Item, MemberRow, Message, MessageGroup, TimeRange};
use crate::time;
pub(crate) use post::{Draft, IDEMPOTENCY_KEY, Posted};

const CONNECT_BOUND: Duration = Duration::from_secs(2);
const ATTEMPT_BOUND: Duration = Duration::from_secs(5);

/// How many of a member's newest groups one query searches. The wanted group is usually among them.
const GROUPS_AT_ONCE: i32 = 50;

/// How often all groups of a member are searched for one. It may move to the top while the rest is being read.
const SEARCHES: u32 = 2;

const QUEUES: usize = 256;

/// The database's name in refusals.
pub(crate) const NAME: &str = "dynamodb";

pub(crate) struct DynamoDb {
    client: Client,
    /// A client without the SDK's retries: a writer must know the result of each attempt.
    writer: Client,
    table: String,
    /// The queues let only one writer of this server at a time write to a group, because concurrent attempts would be
    /// cancelled. Groups share queues, so that memory does not grow with their number.
    queues: Vec<Mutex<()>>,
}

impl DynamoDb {
    /// The table on the local server at the URL `endpoint`, or on AWS. Sends no request yet.
    pub(crate) async fn new(endpoint: Option<&str>, table: String) -> Self {
        let config = match endpoint {
            Some(endpoint) => http::local_config(endpoint),
            None => aws_config().await,
        };
        let bounds =
            TimeoutConfig::builder().connect_timeout(CONNECT_BOUND).operation_attempt_timeout(ATTEMPT_BOUND);
        let config = config.timeout_config(bounds.build());
        let writer = config.clone().retry_config(RetryConfig::disabled()).build();
        Self {
            client: Client::from_conf(config.retry_config(RetryConfig::standard()).build()),
            writer: Client::from_conf(writer),
            table,
            queues: (0..QUEUES).map(|_| Mutex::default()).collect(),
        }
    }

    /// Checks that the table exists and can be read.
    pub(crate) async fn health(&self) -> Result<(), Refusal> {
        let nobody = messages::conversations_of(&self.table, Uuid::nil());
        self.read(nobody, 1, MessageGroup::from_item).await.map(|_| ())
    }

    /// The row of `user` in `group`; `None` if the user is not a member.
    pub(crate) async fn row(&self, user: Uuid, group: Uuid) -> Result<Option<MemberRow>, Refusal> {
        self.search(messages::membership(&self.table, user, group)).await
    }

    pub(crate) async fn group_with(&self, user: Uuid, other: Uuid) -> Result<Option<Uuid>, Refusal> {
        let row = self.search(messages::membership_with(&self.table, user, other)).await?;
        Ok(row.map(|row| row.group.message_group_uuid))
    }

    /// The at most `limit` groups of `user` whose last message was sent before `before`, newest first.
    pub(crate) async fn groups(
        &self,
        user: Uuid,
        before: Option<DateTime<Utc>>,
        limit: usize,
    ) -> Result<Vec<MessageGroup>, Refusal> {
        let range = TimeRange { from: None, to: before.map(time::previous) };
        let query = messages::conversations_in(&self.table, user, &range);
        self.read(query, limit, MessageGroup::from_item).await
    }

    /// The at most `limit` newest messages of `group` that were sent before `before`, oldest first.
    pub(crate) async fn messages(
        &self,
        group: Uuid,
        before: Option<DateTime<Utc>>,
        limit: usize,
    ) -> Result<Vec<Message>, Refusal> {
        let range = TimeRange { from: None, to: before.map(time::previous) };
        let query = messages::conversation(&self.table, group, &range);
        let mut found = self.read(query, limit, Message::from_item).await?;
        found.reverse();
        Ok(found)
    }

    /// The at most `limit` messages of `group` that were sent after `after`, oldest first.
    pub(crate) async fn messages_after(
        &self,
        group: Uuid,
        after: DateTime<Utc>,
        limit: usize,
    ) -> Result<Vec<Message>, Refusal> {
        let Some(first) = time::next(after) else { return Ok(Vec::new()) };
        let range = TimeRange { from: Some(first), to: None };
        let query = messages::conversation(&self.table, group, &range).scan_index_forward(true);
        self.read(query, limit, Message::from_item).await
    }

    /// The first `limit` items that a query finds.
    async fn read<T>(
        &self,
        query: QueryInputBuilder,
        limit: usize,
        read: impl Fn(&Item) -> anyhow::Result<T>,
    ) -> Result<Vec<T>, Refusal> {
        let page = query.get_limit().or(i32::try_from(limit).ok());
        let query = query.set_limit(page).consistent_read(true);
        let mut items = Vec::new();
        let mut start = None;
        loop {
            let page = query.clone().set_exclusive_start_key(start).send_with(&self.client).await;
            let page = page.map_err(unavailable)?;
            for item in page.items() {
                items.push(read(item).map_err(corrupt)?);
            }
            start = page.last_evaluated_key;
            if start.is_none() || items.len() >= limit {
                items.truncate(limit);
                return Ok(items);
            }
        }
    }

    async fn search(&self, membership: QueryInputBuilder) -> Result<Option<MemberRow>, Refusal> {
        let query = membership.limit(GROUPS_AT_ONCE);
        for _ in 0..SEARCHES {
            let found = self.read(query.clone(), 1, MemberRow::from_item).await?;
            if let Some(row) = found.into_iter().next() {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }
}

async fn aws_config() -> Config {
    let loader = aws_config::defaults(BehaviorVersion::latest()).http_client(http::client(None));
    Config::from(&loader.load().await)
}

fn corrupt(cause: impl std::fmt::Display) -> Refusal {
    Refusal::corrupt(NAME, cause)
}

fn unavailable(error: SdkError<impl ProvideErrorMetadata + std::error::Error + 'static>) -> Refusal {
    Refusal::unavailable(NAME, one_line(&error))
}

/// The server's error, or why there was no answer, in one line.
fn one_line(error: &SdkError<impl ProvideErrorMetadata + std::error::Error + 'static>) -> String {
    match (error.code(), error.message()) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code.to_owned(),
        (None, _) => chain(error),
    }
}
