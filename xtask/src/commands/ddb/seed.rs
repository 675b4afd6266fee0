use std::collections::{BTreeSet, HashSet};
use std::io::{Read as _, stdin};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::dynamodb::client::DynamoDb;
use crate::dynamodb::json::Item;
use crate::dynamodb::read::{self, Page};
use crate::dynamodb::write::{self, Write};
use crate::error::{Failure, Interrupted, Usage};
use crate::postgres::script;
use crate::postgres::target::Connection;
use crate::record::Sources;
use crate::targets::{PostgresTarget, Targets};
use anyhow::{Context as _, Result, ensure};
use aws_sdk_dynamodb::operation::query::builders::QueryInputBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, Select};
use backend_flask::conversation::{self, Conversation};
use backend_flask::messages::{self, PARTITION_KEY, SEED_GROUP, SORT_KEY, TimeRange};
use backend_flask::users::User;
use chrono::{DateTime, Utc};
use postgres::Client;
use uuid::Uuid;

use super::Guarded;
use super::cost::Cost;
use super::population::{self, PopulationOptions};
use crate::commands::{db, undo};
use crate::context::Context;

#[derive(Debug, clap::Args)]
pub(crate) struct SeedCommand {
    #[command(flatten)]
    options: SeedOptions,
    #[command(flatten)]
    population: PopulationOptions,
    #[command(flatten)]
    cost: Cost,
    #[command(flatten)]
    guarded: Guarded,
}

impl SeedCommand {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        let Self { options, population, cost, guarded } = self;
        let population = population.read(options.now()?)?;
        let seed = if population.is_none() { Some(options.read(&context.root)?) } else { None };
        context.ui.stop.remedy(AGAIN);
        let _lock = guarded.lock(context, "ddb seed").await?;
        let Targets { postgres, dynamodb } = context.databases(guarded.is_production()).await?;
        let dynamodb = DynamoDb::new(&dynamodb, &context.ui).await?;
        let table = &dynamodb.target.table;
        if let Some(population) = population {
            let deed = format!("replace the synthetic users in {postgres} and their items");
            if !population::is_meant(context, &guarded, &postgres, &dynamodb, &deed).await? {
                return Ok(());
            }
            let write = async {
                population::write_users(&context.ui, &mut postgres.connect().await?, population).await?;
                population::write_items(&dynamodb, population).await
            };
            undo::seeding(&guarded, &postgres, Some(&dynamodb), None, write).await?;
        } else if let Some(seed) = seed {
            let people = seed.people(&mut postgres.connect().await?).await?;
            if !guarded.is_meant(context, &dynamodb, "replace the seed conversation", table).await? {
                return Ok(());
            }
            let write = async { seed.write(&dynamodb, people, false).await.map(|_| ()) };
            undo::seeding(&guarded, &postgres, Some(&dynamodb), Some(&seed), write).await?;
        }
        cost.report(&dynamodb, table, None, None).await
    }
}

/// The advice after an interruption. Running again overwrites the same items.
const AGAIN: &str = "run the same command again: it writes all of it, and removes surplus items";

#[derive(Debug, clap::Args)]
pub(crate) struct SeedOptions {
    /// The conversation to write [default: backend-flask-rs/ddb/conversation.txt]
    ///
    /// Each line begins with `Person 1: ` or `Person 2: `. A dash means stdin.
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,
    /// When the last message was sent [default: now]
    ///
    /// Written as in 2026-01-31T14:05:00Z.
    #[arg(long, value_name = "TIME", value_parser = backend_flask::time::parse)]
    now: Option<DateTime<Utc>>,
    /// Who Person 1 is
    #[arg(long, value_name = "HANDLE", default_value = "andrewbrown")]
    person_1: String,
    /// Who Person 2 is
    #[arg(long, value_name = "HANDLE", default_value = "bayko")]
    person_2: String,
}

/// A conversation that was read and checked.
pub(crate) struct Seed {
    text: String,
    conversation: Conversation,
    now: Option<DateTime<Utc>>,
    handles: [String; 2],
}

impl SeedOptions {
    /// The time of the last message, if it was given.
    fn now(&self) -> Result<Option<DateTime<Utc>>> {
        match self.now {
            Some(now) if now > Utc::now() => {
                Err(Usage(format!("--now {} is in the future", backend_flask::time::format(now))).into())
            }
            now => Ok(now),
        }
    }

    /// Reads the conversation. Fails before anything is written.
    pub(crate) fn read(self, root: &Path) -> Result<Seed> {
        if self.person_1 == self.person_2 {
            return Err(Usage(format!("both persons are {}: a conversation takes two", self.person_1)).into());
        }
        let now = self.now()?;
        let (shown, bytes) = match &self.file {
            None => (conversation::PATH.to_owned(), std::fs::read(root.join(conversation::PATH))),
            Some(path) if path == Path::new("-") => {
                let mut bytes = Vec::new();
                ("stdin".to_owned(), stdin().read_to_end(&mut bytes).map(|_| bytes))
            }
            Some(path) => (path.display().to_string(), std::fs::read(path)),
        };
        let bytes = bytes.map_err(|error| {
            let remedy = "name a file of lines that begin with `Person 1: ` or `Person 2: `";
            Failure::usage(format!("cannot read the conversation in {shown}"), remedy).caused_by(error)
        })?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = before.split(|byte| *byte == b'\n').count();
            Failure::usage(format!("{shown}:{line}: the text is not UTF-8"), "save the file as UTF-8")
        })?;
        let conversation = Conversation::parse(&shown, &text).map_err(|error| Usage(error.to_string()))?;
        if now.is_some_and(|now| conversation.begin(now).is_none()) {
            return Err(Usage(
                "--now is too early: the first message would be sent before the year 0".to_owned(),
            )
            .into());
        }
        Ok(Seed { text, conversation, now, handles: [self.person_1, self.person_2] })
    }
}

impl Seed {
    pub(crate) fn add_to(&self, sources: &mut Sources) {
        let Self { text, now, handles, .. } = self;
        sources.add("the conversation", text);
        sources.add(
            "the choice of persons or time (--person-1, --person-2, --now)",
            format!("{handles:?} {now:?}"),
        );
    }

    /// The number of items: a message for each line, and a row for each of the two users.
    pub(crate) fn count(&self) -> usize {
        self.conversation.lines.len() + 2
    }

    pub(crate) async fn people(&self, connection: &mut Connection) -> Result<[User; 2]> {
        let (target, [one, two]) = (connection.target.clone(), self.handles.clone());
        let find = move |client: &mut Client| {
            Ok([
                find_user(client, &target, &one, "--person-1")?,
                find_user(client, &target, &two, "--person-2")?,
            ])
        };
        connection.with(find).await
    }

    /// Writes the messages and group rows, and removes what an earlier seed left, unless the table `is_new`. Returns
    /// the number of items read back.
    pub(crate) async fn write(&self, dynamodb: &DynamoDb, people: [User; 2], is_new: bool) -> Result<usize> {
        let [one, two] = &people;
        let now = self.now.unwrap_or_else(Utc::now);
        let items = self.conversation.items(SEED_GROUP, [one, two], now);
        let mut rows: Vec<_> = items.map(|item| Write::put(item, &KEYS)).collect::<Result<_>>()?;
        let count = rows.len();
        let name = &dynamodb.target.table;
        let step = dynamodb.ui.step(format!("DynamoDB: seed {count} items into {name}"));
        let work = async {
            let kept: HashSet<u64> = rows.iter().map(|put| put.key).collect();
            let mut members = vec![one.uuid, two.uuid];
            if !is_new {
                let former = former_members(dynamodb).await?;
                let is_former = |user: &User| former.contains(&user.uuid);
                if !(former.len() == people.len() && people.iter().all(is_former)) {
                    // Remove the former members' rows first: writing the messages may overwrite those that name them.
                    remove_rows(dynamodb, &former, &HashSet::new()).await?;
                }
                members.extend(former.into_iter().filter(|member| ![one.uuid, two.uuid].contains(member)));
            }
            // Keep the order that `former_members` relies on.
            let messages = rows.split_off(people.len());
            if self.conversation.lines.iter().all(|line| line.sender == 1) {
                rows.reverse();
            }
            let second_row = rows.split_off(1);
            for puts in [messages, rows, second_row] {
                let written = write::write_all(dynamodb, name, puts.into_iter().map(Ok), |written| {
                    step.progress_of(written.count, count as u64);
                });
                written.await?;
            }
            if !is_new {
                remove_others(dynamodb, &members, &kept).await?;
            }
            let mut there = count_seeded(dynamodb, &members).await?;
            for _ in 0..LATE_TRIES {
                if there <= count as u64 {
                    break;
                }
                tokio::time::sleep(LATE_INTERVAL).await;
                remove_others(dynamodb, &members, &kept).await?;
                there = count_seeded(dynamodb, &members).await?;
            }
            ensure!(there == count as u64, "{count} items were written, but {there} are there");
            Ok(count)
        };
        let work = work.await;
        step.ended(work, |_| String::new())
    }
}

/// How often late items are removed, and the pause in between. A server finishes the last requests of a killed run,
/// even into a table that has been created again since.
pub(super) const LATE_TRIES: u32 = 10;
pub(super) const LATE_INTERVAL: Duration = Duration::from_millis(100);

/// The names of the messages table's keys.
pub(crate) const KEYS: [&str; 2] = [PARTITION_KEY, SORT_KEY];

/// Finds a user by handle in the database that `client` is connected to. `option` names the handle.
pub(super) fn find_user(
    client: &mut Client,
    target: &PostgresTarget,
    handle: &str,
    option: &str,
) -> Result<User> {
    let found = User::find_by_handle(client, handle).map_err(|error| db::explain(error, target.prod));
    found.with_context(|| format!("cannot look up handle `{handle}` in {target}"))?.ok_or_else(|| {
        let remedy = format!(
            "name another user with {option} HANDLE, or add this one to {}, load it with `cargo xtask db seed{}`, and run \
             the command again",
            script::SEED,
            target.prod
        );
        Failure::new(format!("{target} has no user with handle `{handle}`"), remedy).into()
    })
}

fn seeded_messages(table: &str) -> QueryInputBuilder {
    messages::conversation(table, SEED_GROUP, &TimeRange::default()).consistent_read(true)
}

/// The query for a member's row of the seed's group.
fn seeded_row(table: &str, member: Uuid) -> QueryInputBuilder {
    messages::conversations_of(table, member)
        .filter_expression("message_group_uuid = :group")
        .expression_attribute_values(":group", AttributeValue::S(SEED_GROUP.to_string()))
        .consistent_read(true)
}

async fn items(dynamodb: &DynamoDb, query: QueryInputBuilder) -> Result<Vec<Item>> {
    let mut items = Vec::new();
    let take = async |mut page: Page| {
        items.append(&mut page.items);
        Ok(())
    };
    read::pages(dynamodb, query, None, take).await?;
    Ok(items)
}

/// The members of the seed's group that its items name: the senders of messages, and the other member in a sender's
/// row. Members who sent nothing come first, because only the sender's row names them.
async fn former_members(dynamodb: &DynamoDb) -> Result<Vec<Uuid>> {
    let table = &dynamodb.target.table;
    let users = async |query: QueryInputBuilder| {
        let items = items(dynamodb, query.projection_expression("user_uuid")).await?;
        let user = |item: &Item| item.get("user_uuid")?.as_s().ok()?.parse().ok();
        anyhow::Ok(items.iter().filter_map(user).collect::<BTreeSet<Uuid>>())
    };
    let senders = users(seeded_messages(table)).await?;
    let mut others = BTreeSet::new();
    for sender in &senders {
        others.extend(users(seeded_row(table, *sender)).await?);
    }
    Ok(others.difference(&senders).chain(&senders).copied().collect())
}

/// Removes the seed group's items except those with these [keys](Write::key). Removes the rows first, because the
/// messages say who the members are.
async fn remove_others(dynamodb: &DynamoDb, members: &[Uuid], kept: &HashSet<u64>) -> Result<()> {
    let remove = async {
        remove_rows(dynamodb, members, kept).await?;
        remove(dynamodb, seeded_messages(&dynamodb.target.table), kept).await
    };
    remove.await.map_err(|error| {
        let done = || format!("all {} items are written; an earlier seed's are still there", kept.len());
        Interrupted::explained(error, done)
    })
}

async fn remove_rows(dynamodb: &DynamoDb, members: &[Uuid], kept: &HashSet<u64>) -> Result<()> {
    for member in members {
        remove(dynamodb, seeded_row(&dynamodb.target.table, *member), kept).await?;
    }
    Ok(())
}

/// Removes the items that a query finds, except those with these keys.
async fn remove(dynamodb: &DynamoDb, query: QueryInputBuilder, kept: &HashSet<u64>) -> Result<()> {
    let keys = items(dynamodb, query.projection_expression("pk, sk")).await?;
    let deletes = keys.into_iter().map(|key| Write::delete(key, &KEYS));
    let others = deletes.filter(|delete| !matches!(delete, Ok(delete) if kept.contains(&delete.key)));
    write::write_all(dynamodb, &dynamodb.target.table, others, |_| ()).await.map(|_| ())
}

async fn count_seeded(dynamodb: &DynamoDb, members: &[Uuid]) -> Result<u64> {
    let table = &dynamodb.target.table;
    let rows = members.iter().map(|member| seeded_row(table, *member));
    let mut count = 0;
    for query in rows.chain([seeded_messages(table)]) {
        let query = query.select(Select::Count);
        let counted = read::pages(dynamodb, query, None, async |_| Ok(())).await?;
        count += counted.count;
    }
    Ok(count)
}
