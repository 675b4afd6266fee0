//! DynamoDB: message groups and messages. Every read is strongly consistent, so that whoever is told of a
//! message finds it, and whoever has just sent one sees it.

mod post;
mod turns;

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{Builder as ConfigBuilder, Credentials};
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::query::builders::QueryInputBuilder;
use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::refusal::Refusal;
use super::settings::DynamoDbSettings;
use crate::http;
use crate::messages::{self, Item, ItemError, MemberRow, Message, MessageGroup, TimeRange};
use crate::users::User;
pub(crate) use post::{Draft, IDEMPOTENCY_KEY, Posted};
use turns::Turns;

/// Local servers need a signed request and check no key.
const LOCAL_KEY: &str = "local";
const LOCAL_REGION: &str = "us-east-1";

const CONNECT_BOUND: Duration = Duration::from_secs(2);
const ATTEMPT_BOUND: Duration = Duration::from_secs(5);

/// How many of a member's newest groups are looked through at once for one of them. Mostly it is there.
const GROUPS_AT_ONCE: i32 = 50;

/// How often all of a member's groups are looked through for one that is not among them: it may have moved
/// to the top while the rest was read.
const LOOKS: u32 = 2;

/// What a refusal calls it.
pub(crate) const NAME: &str = "dynamodb";

/// The messages table.
pub(crate) struct DynamoDb {
    client: Client,
    /// The same without the SDK's own second attempts: whoever writes must know what became of the first.
    writer: Client,
    table: String,
    turns: Turns,
}

/// The two members of a group, and the rows that they have of it.
struct Rows {
    own: MemberRow,
    other: MemberRow,
}

impl DynamoDb {
    /// The table that the settings name; nothing is asked yet.
    pub(crate) async fn new(settings: &DynamoDbSettings) -> Self {
        let (config, table) = match settings {
            DynamoDbSettings::Local { endpoint, table } => (local_config(endpoint), table),
            DynamoDbSettings::Aws { table } => (aws_config().await, table),
        };
        let config = config.timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(CONNECT_BOUND)
                .operation_attempt_timeout(ATTEMPT_BOUND)
                .build(),
        );
        let writer = config.clone().retry_config(RetryConfig::disabled()).build();
        let reader = config.retry_config(RetryConfig::standard()).build();
        Self {
            client: Client::from_conf(reader),
            writer: Client::from_conf(writer),
            table: table.clone(),
            turns: Turns::default(),
        }
    }

    /// Whether the table is there and can be read.
    pub(crate) async fn health(&self) -> Result<(), Refusal> {
        let nobody = messages::conversations_of(&self.table, Uuid::nil()).limit(1);
        nobody.send_with(&self.client).await.map(|_| ()).map_err(unavailable)
    }

    /// Whether `user` is a member of `group`.
    pub(crate) async fn is_member(&self, user: Uuid, group: Uuid) -> Result<bool, Refusal> {
        Ok(self.row(messages::membership(&self.table, user, group)).await?.is_some())
    }

    /// The group of `user` with `other`.
    pub(crate) async fn group_with(&self, user: Uuid, other: Uuid) -> Result<Option<Uuid>, Refusal> {
        let row = self.row(messages::membership_with(&self.table, user, other)).await?;
        Ok(row.map(|row| row.group.message_group_uuid))
    }

    /// The groups of `user` whose last message was sent before `before`, the one with the newest first,
    /// `limit` at most.
    pub(crate) async fn groups(
        &self,
        user: Uuid,
        before: Option<DateTime<Utc>>,
        limit: usize,
    ) -> Result<Vec<MessageGroup>, Refusal> {
        let query = messages::conversations_in(&self.table, user, &until(before)).consistent_read(true);
        self.read(query, limit, MessageGroup::from_item).await
    }

    /// The newest messages of `group` that were sent before `before`, newest first, `limit` at most.
    pub(crate) async fn messages(
        &self,
        group: Uuid,
        before: Option<DateTime<Utc>>,
        limit: usize,
    ) -> Result<Vec<Message>, Refusal> {
        let query = messages::conversation(&self.table, group, &until(before)).consistent_read(true);
        self.read(query, limit, Message::from_item).await
    }

    /// The messages of `group` that were sent after `after`, oldest first, `limit` at most.
    pub(crate) async fn messages_after(
        &self,
        group: Uuid,
        after: DateTime<Utc>,
        limit: usize,
    ) -> Result<Vec<Message>, Refusal> {
        let first = after.checked_add_signed(TimeDelta::microseconds(1));
        let range = TimeRange { from: first, to: None };
        let query = messages::conversation(&self.table, group, &range).consistent_read(true);
        self.read(query.scan_index_forward(true), limit, Message::from_item).await
    }

    /// Follows a query's pages until it has `limit` items.
    async fn read<T>(
        &self,
        query: QueryInputBuilder,
        limit: usize,
        read: impl Fn(&Item) -> Result<T, ItemError>,
    ) -> Result<Vec<T>, Refusal> {
        let mut items = Vec::new();
        let mut start = None;
        loop {
            let wanted = i32::try_from(limit - items.len()).unwrap_or(i32::MAX);
            let page = query.clone().limit(wanted).set_exclusive_start_key(start);
            let page = page.send_with(&self.client).await.map_err(unavailable)?;
            for item in page.items() {
                items.push(read(item).map_err(corrupt)?);
            }
            start = page.last_evaluated_key;
            if start.is_none() || items.len() >= limit {
                return Ok(items);
            }
        }
    }

    /// The first row that a query for a membership finds.
    async fn row(&self, query: QueryInputBuilder) -> Result<Option<MemberRow>, Refusal> {
        let query = query.limit(GROUPS_AT_ONCE);
        for _ in 0..LOOKS {
            let mut start = None;
            loop {
                let page = query.clone().set_exclusive_start_key(start).send_with(&self.client).await;
                let page = page.map_err(unavailable)?;
                if let Some(item) = page.items().first() {
                    return MemberRow::from_item(item).map(Some).map_err(corrupt);
                }
                start = page.last_evaluated_key;
                if start.is_none() {
                    break;
                }
            }
        }
        Ok(None)
    }

    /// Both members' rows of `group`; `None` where `user` has none. It fails where only the other one's
    /// is missing, which no request of ours leaves behind.
    async fn rows(&self, group: Uuid, user: &User) -> Result<Option<Rows>, Refusal> {
        let Some(own) = self.row(messages::membership(&self.table, user.uuid, group)).await? else {
            return Ok(None);
        };
        match self.row(messages::membership(&self.table, own.group.other.uuid, group)).await? {
            Some(other) => Ok(Some(Rows { own, other })),
            None => Err(corrupt(format!("no row of group {group} for member {}", own.group.other.uuid))),
        }
    }
}

/// Up to `before`, without it: a range includes its end, and nothing lies between two microseconds.
fn until(before: Option<DateTime<Utc>>) -> TimeRange {
    let last = before.and_then(|before| before.checked_sub_signed(TimeDelta::microseconds(1)));
    TimeRange { from: None, to: last }
}

fn local_config(endpoint: &str) -> ConfigBuilder {
    ConfigBuilder::new()
        .behavior_version(BehaviorVersion::latest())
        .credentials_provider(Credentials::new(LOCAL_KEY, LOCAL_KEY, None, None, "local"))
        .region(Region::from_static(LOCAL_REGION))
        .endpoint_url(endpoint)
        .http_client(http::client(Some(endpoint)))
}

async fn aws_config() -> ConfigBuilder {
    let loader = aws_config::defaults(BehaviorVersion::latest()).http_client(http::client(None));
    ConfigBuilder::from(&loader.load().await)
}

fn corrupt(cause: impl std::fmt::Display) -> Refusal {
    Refusal::corrupt(NAME, cause)
}

fn unavailable<E, R>(error: SdkError<E, R>) -> Refusal
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    Refusal::unavailable(NAME, said(error))
}

/// What a server said, or what happened on the way, in one line.
fn said<E, R>(error: SdkError<E, R>) -> String
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    match (error.code(), error.message()) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code.to_owned(),
        (None, _) => {
            let error: &dyn std::error::Error = &error;
            let causes = std::iter::successors(error.source(), |cause| cause.source());
            causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
        }
    }
}
