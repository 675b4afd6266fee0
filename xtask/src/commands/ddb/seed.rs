use std::collections::HashSet;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, Select};
use backend_flask::conversation::Conversation;
use backend_flask::messages::{self, Item, PARTITION_KEY, SEED_GROUP, SORT_KEY, TimeRange};
use backend_flask::users::User;
use chrono::{DateTime, Utc};

use super::Guarded;
use crate::context::Context;
use crate::failure::{Failure, Usage};
use crate::target::DynamoDbTarget;
use crate::target::postgres::{Connection, readable};
use crate::ui::Ui;
use crate::{read, write};

/// Write the seed conversation into the messages table, in place of an earlier one
#[derive(Debug, clap::Args)]
pub(crate) struct SeedCommand {
    #[command(flatten)]
    options: SeedOptions,
    #[command(flatten)]
    guarded: Guarded,
}

impl SeedCommand {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        let seed = self.options.read()?;
        let _lock = context.lock(self.guarded.target.prod, "ddb seed").await?;
        let target = self.guarded.resolve(context, "replace the seed conversation", None)?;
        let mut postgres = context.postgres(self.guarded.target.prod)?.connect().await?;
        let people = seed.people(&mut postgres).await?;
        let client = target.client().await;
        seed.write(&context.ui, &target, &client, people, Table::InUse).await.map(|_| ())
    }
}

/// What is seeded.
#[derive(Debug, clap::Args)]
pub(crate) struct SeedOptions {
    /// The conversation: lines of `Person 1: ...` and `Person 2: ...` [default: the built-in one]
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,
    /// When the last message was sent, in RFC 3339 [default: now]
    #[arg(long, value_name = "TIME", value_parser = backend_flask::time::parse)]
    now: Option<DateTime<Utc>>,
    /// Who Person 1 is
    #[arg(long, value_name = "HANDLE", default_value = "andrewbrown")]
    person_1: String,
    /// Who Person 2 is
    #[arg(long, value_name = "HANDLE", default_value = "bayko")]
    person_2: String,
}

/// A conversation that has been read and found good.
pub(crate) struct Seed {
    conversation: Conversation,
    now: Option<DateTime<Utc>>,
    handles: [String; 2],
}

/// The two users of the conversation.
pub(crate) type People = [User; 2];

impl SeedOptions {
    /// Reads the conversation. Nothing has been written when this fails.
    ///
    /// # Errors
    /// A file that cannot be read or has a line in another form; a time in the future; one person twice.
    pub(crate) fn read(self) -> Result<Seed> {
        if self.person_1 == self.person_2 {
            return Err(Usage(format!("both persons are {}: a conversation takes two", self.person_1)).into());
        }
        if let Some(now) = self.now.filter(|now| *now > Utc::now()) {
            return Err(Usage(format!("--now {} is in the future", backend_flask::time::format(now))).into());
        }
        let conversation = match &self.file {
            None => Conversation::builtin()?,
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("cannot read the conversation in {}", path.display()))?;
                Conversation::parse(&path.display().to_string(), &text)?
            }
        };
        Ok(Seed { conversation, now: self.now, handles: [self.person_1, self.person_2] })
    }
}

impl Seed {
    /// Looks the two users up.
    ///
    /// # Errors
    /// Postgres cannot be asked, or does not know one of them.
    pub(crate) async fn people(&self, connection: &mut Connection) -> Result<People> {
        let [one, two] = &self.handles;
        Ok([find_user(connection, one).await?, find_user(connection, two).await?])
    }

    /// Writes group rows and messages, removes what an earlier seed left, and reads back the count, which
    /// it returns.
    ///
    /// # Errors
    /// The server refused, or does not hold in the end what was written.
    pub(crate) async fn write(
        &self,
        ui: &Ui,
        target: &DynamoDbTarget,
        client: &Client,
        people: People,
        table: Table,
    ) -> Result<usize> {
        let [one, two] = &people;
        let now = self.now.unwrap_or_else(Utc::now);
        let items: Vec<Item> = self.conversation.items(SEED_GROUP, [one, two], now).collect();
        let count = items.len();
        let work = async {
            let keys: HashSet<Key> = items.iter().filter_map(key_of).collect();
            let mut stale = match table {
                Table::Empty => Vec::new(),
                Table::InUse => seeded_keys(target, client, &people).await?,
            };
            stale.retain(|key| !keys.contains(key));
            write::write_all(target, client, items.into_iter().map(write::put)).await?;
            write::write_all(target, client, stale.into_iter().map(key_item).map(write::delete)).await?;
            let there = count_seeded(target, client, &people).await?;
            ensure!(there == count as u64, "{count} items were written, but {there} are there");
            Ok(count)
        };
        ui.run(format!("DynamoDB: seed {count} items into {}", target.table), work).await
    }
}

/// Whether a table may hold an earlier seed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Table {
    /// It was created a moment ago.
    Empty,
    /// It may.
    InUse,
}

/// Partition key and sort key.
type Key = (String, String);

/// A user by handle.
///
/// # Errors
/// Postgres does not know the handle, or cannot be asked.
pub(super) async fn find_user(connection: &mut Connection, handle: &str) -> Result<User> {
    let remedy = "seed the users with `cargo xtask db seed`, or name another handle";
    let wanted = handle.to_owned();
    match connection.with(move |client| User::find_by_handle(client, &wanted).map_err(readable)).await {
        Ok(Some(user)) => Ok(user),
        Ok(None) => {
            Err(Failure::new(format!("{} has no user with handle `{handle}`", connection.target), remedy)
                .into())
        }
        Err(error) => {
            let problem = format!("cannot look up handle `{handle}` in {}", connection.target);
            Err(Failure::new(problem, remedy).caused_by(error).into())
        }
    }
}

/// The queries for what the table holds of the seed's group: its messages, and its row for each member.
fn seeded(target: &DynamoDbTarget, client: &Client, people: &People) -> [QueryFluentBuilder; 3] {
    let messages = messages::conversation(client, &target.table, SEED_GROUP, &TimeRange::default());
    let [one, two] = people.each_ref().map(|user| {
        messages::conversations_of(client, &target.table, user.uuid)
            .filter_expression("message_group_uuid = :group")
            .expression_attribute_values(":group", AttributeValue::S(SEED_GROUP.to_string()))
    });
    [messages, one, two].map(|query| query.consistent_read(true))
}

/// The keys of what the table holds of the seed's group.
async fn seeded_keys(target: &DynamoDbTarget, client: &Client, people: &People) -> Result<Vec<Key>> {
    let keys = seeded(target, client, people).map(|query| {
        keys_of(target, query.select(Select::SpecificAttributes).projection_expression("pk, sk"))
    });
    Ok(futures_util::future::try_join_all(keys).await?.concat())
}

/// How many items the table holds of the seed's group.
async fn count_seeded(target: &DynamoDbTarget, client: &Client, people: &People) -> Result<u64> {
    let counts = seeded(target, client, people).map(|query| async {
        let response = read::query(target, query.select(Select::Count), None, |_| Ok(())).await?;
        anyhow::Ok(response.count)
    });
    Ok(futures_util::future::try_join_all(counts).await?.into_iter().sum())
}

async fn keys_of(target: &DynamoDbTarget, request: QueryFluentBuilder) -> Result<Vec<Key>> {
    let mut keys = Vec::new();
    read::query(target, request, None, |items| {
        for item in items {
            keys.extend(key_of(&read::typed(item)?));
        }
        Ok(())
    })
    .await?;
    Ok(keys)
}

fn key_of(item: &Item) -> Option<Key> {
    let text = |name| item.get(name)?.as_s().ok().cloned();
    Some((text(PARTITION_KEY)?, text(SORT_KEY)?))
}

fn key_item((partition_key, sort_key): Key) -> Item {
    let pairs = [(PARTITION_KEY, partition_key), (SORT_KEY, sort_key)];
    pairs.map(|(name, value)| (name.to_owned(), AttributeValue::S(value))).into()
}
