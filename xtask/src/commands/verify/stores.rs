//! Reads both stores: the table once, page by page, then again what looks wrong.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use crate::dynamodb::client::DynamoDb;
use crate::dynamodb::json::{AttributeValue, Item};
use crate::dynamodb::read::{self, Page};
use crate::dynamodb::{error::RequestError, table};
use crate::error::Failure;
use crate::postgres::target::{Connection, readable};
use crate::targets::{PostgresTarget, Targets};
use crate::text::counted;
use crate::ui::Ui;
use anyhow::Result;
use aws_sdk_dynamodb::operation::query::builders::QueryInputBuilder;
use aws_sdk_dynamodb::operation::scan::ScanInput;
use backend_flask::messages::{self, PARTITION_KEY, SORT_KEY, TimeRange, USER_DISPLAY_NAME, USER_HANDLE};
use backend_flask::users::User;
use backend_flask::{sql, time};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use postgres::fallible_iterator::FallibleIterator as _;
use postgres::types::Type;
use tokio::sync::Mutex;
use tokio::time::Instant;
use uuid::Uuid;

use super::group::{CurrentGroup, ScannedGroup, Verdict};
use super::item::{Entry, Finding, Kind, Subject, digest, key_of};
use crate::commands::db;

/// How long reading all users may take.
const USERS_BOUND: Duration = Duration::from_secs(600);

/// How many groups are read again concurrently.
const AT_ONCE: usize = 16;

/// How often a group is read again while others write to it.
const TRIES: usize = 10;

/// A read unit pays for 8 KiB of an eventually consistent read: this many items of 512 bytes.
const ITEMS_A_UNIT: i32 = 16;

pub(super) struct Stores {
    pub(super) dynamodb: DynamoDb,
    postgres: Mutex<Connection>,
    /// A digest of each user's display name and handle.
    names: HashMap<Uuid, u64>,
    /// The most read units a second, if there is a limit.
    most_units: Option<u32>,
    /// When the next request may be sent.
    next: Cell<Instant>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Totals {
    pub(super) items: u64,
    pub(super) messages: u64,
    pub(super) groups: usize,
    pub(super) users: usize,
}

impl Stores {
    /// Reads all users. The table will be read with at most `most_units` read units per second.
    pub(super) async fn open(targets: &Targets, ui: &Ui, most_units: Option<u32>) -> Result<Self> {
        let dynamodb = DynamoDb::new(&targets.dynamodb, ui).await?;
        let step = ui.step(format!("Postgres: read the users of {}", targets.postgres));
        let users = read_users(&targets.postgres).await;
        let (connection, names) =
            step.ended(users, |(_, names)| counted(names.len() as u64, "user", "users"))?;
        let (postgres, next) = (Mutex::new(connection), Cell::new(Instant::now()));
        Ok(Self { dynamodb, postgres, names, most_units, next })
    }

    fn table(&self) -> &str {
        &self.dynamodb.target.table
    }

    /// Reads the whole table, and passes each verdict to `take` as soon as it is certain.
    pub(super) async fn verify(&self, mut take: impl AsyncFnMut(Verdict) -> Result<()>) -> Result<Totals> {
        let total = table::describe(&self.dynamodb, self.table()).await?.item_count.unwrap_or_default();
        let step = self.dynamodb.ui.step(format!("DynamoDB: read {}", self.table()));
        let read = self.read(&mut take, |items| step.progress_of(items, total.unsigned_abs())).await;
        step.ended(read, |counts| counted(counts.items, "item", "items"))
    }

    async fn read(
        &self,
        take: &mut impl AsyncFnMut(Verdict) -> Result<()>,
        progress: impl Fn(u64),
    ) -> Result<Totals> {
        let mut counts = Totals { users: self.names.len(), ..Totals::default() };
        let mut groups: HashMap<Uuid, ScannedGroup> = HashMap::new();
        // Each message's uuid, with its two halves folded into one number to save memory.
        let mut uuids: Vec<u64> = Vec::new();
        self.scan(async |page| {
            let mut doubtful = Vec::new();
            for item in &page.items {
                let entry = Entry::read(item);
                let group = match entry.subject {
                    Subject::Row => entry.uuid.filter(|_| entry.owner.is_some()),
                    Subject::Message => entry.owner,
                    Subject::Key | Subject::Unknown => None,
                };
                if let Some(group) = group {
                    groups.entry(group).or_default().add(&entry);
                }
                if entry.subject == Subject::Message {
                    counts.messages += 1;
                    uuids.extend(entry.uuid.map(folded));
                }
                if !entry.agrees(&self.names) {
                    match group.and_then(|group| groups.get_mut(&group)) {
                        Some(group) if entry.subject == Subject::Row => group.is_suspect = true,
                        _ => doubtful.push(item),
                    }
                }
            }
            counts.items += page.count;
            progress(counts.items);
            self.reread_items(&doubtful, take).await
        })
        .await?;
        counts.groups = groups.len();
        groups.retain(|_, group| group.is_doubtful());
        self.reread_groups(groups, take).await?;
        self.find_duplicates(uuids, take).await?;
        Ok(counts)
    }

    /// Scans the table at the permitted rate.
    async fn scan(&self, mut take: impl AsyncFnMut(Page) -> Result<()>) -> Result<()> {
        let scan = ScanInput::builder().table_name(self.table());
        let limit =
            self.most_units.map(|most| i32::try_from(most).unwrap_or(i32::MAX).saturating_mul(ITEMS_A_UNIT));
        let segments = self.most_units.map(|_| 1);
        read::scan(&self.dynamodb, scan.set_limit(limit), segments, async |page| {
            self.keep_pace(page.capacity_units()).await?;
            take(page).await
        })
        .await
        .map(|_| ())
    }

    /// Waits as long as a request of this many units takes at the permitted rate.
    async fn keep_pace(&self, units: Option<f64>) -> Result<()> {
        let Some(most) = self.most_units else { return Ok(()) };
        let units = units.ok_or_else(|| {
            let problem = "the server does not say how many read units a request takes";
            Failure::new(problem, "leave --max-units out")
        })?;
        let next = self.next.get().max(Instant::now()) + Duration::from_secs_f64(units / f64::from(most));
        self.next.set(next);
        tokio::time::sleep_until(next).await;
        Ok(())
    }

    async fn reread_items(
        &self,
        doubtful: &[&Item],
        take: &mut impl AsyncFnMut(Verdict) -> Result<()>,
    ) -> Result<()> {
        if doubtful.is_empty() {
            return Ok(());
        }
        let items = self.by_keys(doubtful.iter().map(|item| key_of(item))).await?;
        let users =
            self.users(items.iter().flat_map(|item| Entry::read(item).users().collect::<Vec<_>>())).await?;
        for item in items {
            let entry = Entry::read(&item);
            let user =
                entry.user.filter(|_| entry.subject == Subject::Message).and_then(|user| users.get(&user));
            let mut findings = entry.against(&item, &users);
            let mut changes = Vec::new();
            let of_names = |finding: &&mut Finding| matches!(finding.kind, Kind::Handle | Kind::DisplayName);
            for finding in findings.iter_mut().filter(of_names) {
                finding.can_be_fixed = user.is_some();
            }
            if let Some(user) = user
                && findings.iter().any(|finding| finding.can_be_fixed)
            {
                let mut new = item.clone();
                for (name, value) in [(USER_HANDLE, &user.handle), (USER_DISPLAY_NAME, &user.display_name)] {
                    new.insert(name.to_owned(), AttributeValue::S(value.clone()));
                }
                changes.push((Some(item.clone()), new));
            }
            if !findings.is_empty() {
                take(Verdict { findings, changes, ..Verdict::default() }).await?;
            }
        }
        Ok(())
    }

    /// Reads groups again, sorted by uuid.
    async fn reread_groups(
        &self,
        groups: HashMap<Uuid, ScannedGroup>,
        take: &mut impl AsyncFnMut(Verdict) -> Result<()>,
    ) -> Result<()> {
        let mut groups: Vec<_> = groups.into_iter().collect();
        groups.sort_unstable_by_key(|(uuid, _)| *uuid);
        let at_once = if self.most_units.is_some() { 1 } else { AT_ONCE };
        let again = groups.iter().map(|(uuid, group)| self.reread_group(*uuid, group));
        let mut verdicts = stream::iter(again).buffered(at_once);
        while let Some(verdict) = verdicts.try_next().await? {
            if !verdict.findings.is_empty() {
                take(verdict).await?;
            }
        }
        Ok(())
    }

    /// Reads a group again until two readings are equal: a reading takes several requests, and others may write
    /// between them.
    async fn reread_group(&self, uuid: Uuid, seen: &ScannedGroup) -> Result<Verdict> {
        let mut before = None;
        for _ in 0..TRIES {
            let reading = self.group(uuid, seen).await?;
            let mut verdict = reading.judge(uuid, seen);
            let is_fine = verdict.findings.is_empty() && verdict.strangers.is_empty();
            if is_fine || before.as_ref() == Some(&reading) {
                for stranger in &verdict.strangers {
                    let messages =
                        self.query(messages::messages_of(self.table(), uuid, *stranger), None).await?;
                    let should = format!("a member of group {uuid}");
                    verdict.findings.extend(
                        messages.iter().map(|message| {
                            Finding::new(Kind::Stranger, message, stranger.to_string(), &should)
                        }),
                    );
                }
                return Ok(verdict);
            }
            before = Some(reading);
        }
        self.dynamodb.ui.warn(format_args!("group {uuid} was not checked: it changed each time it was read"));
        Ok(Verdict::default())
    }

    async fn group(&self, uuid: Uuid, seen: &ScannedGroup) -> Result<CurrentGroup> {
        let keys =
            seen.row_keys().filter_map(|(member, at)| Some([messages::group_key(member), time::format(at?)]));
        let keys: HashSet<_> = keys.collect();
        let count = keys.len();
        let mut rows = self.by_keys(keys.into_iter()).await?;
        rows.retain(|row| Entry::read(row).uuid == Some(uuid));
        if count < 2 || rows.len() < count {
            rows = self.rows(uuid, seen).await?;
        }
        rows.sort_by_cached_key(key_of);
        // The bound leaves out sort keys that are no time; such a key may sort after all times.
        let times = TimeRange { from: None, to: TimeRange::year(9999).and_then(|year| year.to) };
        let newest = messages::conversation(self.table(), uuid, &times).consistent_read(true);
        let newest = self.query(newest, Some(1)).await?.pop();
        let named = rows.iter().flat_map(|row| Entry::read(row).users().collect::<Vec<_>>());
        let users = self.users(named.chain(seen.candidates())).await?;
        Ok(CurrentGroup { rows, newest, users })
    }

    /// The rows of a group whose members were seen before or are named by one of its rows.
    async fn rows(&self, uuid: Uuid, seen: &ScannedGroup) -> Result<Vec<Item>> {
        let mut rows = Vec::new();
        let mut asked = HashSet::new();
        let mut members: Vec<_> = seen.candidates().collect();
        while let Some(member) = members.pop() {
            if asked.insert(member) {
                let found = self.query(messages::membership(self.table(), member, uuid), None).await?;
                members.extend(found.iter().filter_map(|row| Entry::read(row).user));
                rows.extend(found);
            }
        }
        Ok(rows)
    }

    /// Scans the table again for messages whose uuid may occur twice.
    async fn find_duplicates(
        &self,
        mut uuids: Vec<u64>,
        take: &mut impl AsyncFnMut(Verdict) -> Result<()>,
    ) -> Result<()> {
        uuids.sort_unstable();
        let twice: HashSet<u64> =
            uuids.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
        drop(uuids);
        if twice.is_empty() {
            return Ok(());
        }
        let mut keys: BTreeMap<Uuid, Vec<[String; 2]>> = BTreeMap::new();
        let uuid_of = |item: &Item| Entry::read(item).uuid.filter(|uuid| twice.contains(&folded(*uuid)));
        self.scan(async |page| {
            for item in page.items.iter().filter(|item| Entry::read(item).subject == Subject::Message) {
                if let Some(uuid) = uuid_of(item) {
                    keys.entry(uuid).or_default().push(key_of(item));
                }
            }
            Ok(())
        })
        .await?;
        for (uuid, keys) in keys.into_iter().filter(|(_, keys)| keys.len() > 1) {
            let mut items = self.by_keys(keys.into_iter()).await?;
            items.retain(|item| Entry::read(item).uuid == Some(uuid));
            items.sort_by_cached_key(key_of);
            let first = items.first().map(|item| key_of(item).join(" ")).unwrap_or_default();
            let findings = items.iter().skip(1).map(|item| {
                Finding::new(Kind::Twice, item, uuid.to_string(), format!("there only as {first}"))
            });
            take(Verdict { findings: findings.collect(), ..Verdict::default() }).await?;
        }
        Ok(())
    }

    /// Reads the items with these keys consistently; returns them sorted by key.
    async fn by_keys(&self, keys: impl Iterator<Item = [String; 2]>) -> Result<Vec<Item>> {
        let key = |[pk, sk]: [String; 2]| {
            let values = [(PARTITION_KEY, pk), (SORT_KEY, sk)];
            values.map(|(name, value)| (name.to_owned(), AttributeValue::S(value))).into()
        };
        let keys: Vec<_> = keys.map(key).collect();
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let (mut items, units) = read::by_keys(&self.dynamodb, self.table(), keys).await?;
        self.keep_pace(units).await?;
        items.sort_by_cached_key(key_of);
        Ok(items)
    }

    async fn query(&self, query: QueryInputBuilder, limit: Option<u64>) -> Result<Vec<Item>> {
        let mut items = Vec::new();
        let take = async |mut page: Page| {
            items.append(&mut page.items);
            self.keep_pace(page.capacity_units()).await
        };
        read::pages(&self.dynamodb, query, limit, take).await?;
        Ok(items)
    }

    /// The users with these uuids, as Postgres has them now.
    async fn users(&self, uuids: impl Iterator<Item = Uuid>) -> Result<HashMap<Uuid, User>> {
        let uuids: HashSet<_> = uuids.collect();
        let uuids: Vec<_> = uuids.into_iter().collect();
        let ask = move |client: &mut postgres::Client| {
            let rows =
                client.query_typed(sql::USERS_BY_UUID, &[(&uuids, Type::UUID_ARRAY)]).map_err(readable)?;
            rows.iter().map(|row| Ok(User::try_from(row).map(|user| (user.uuid, user))?)).collect()
        };
        self.postgres.lock().await.with(ask).await
    }

    /// Replaces items in one transaction. Returns false if an item had changed since it was read.
    pub(super) async fn write(&self, changes: &[(Option<Item>, Item)]) -> Result<bool> {
        let request = messages::replace(self.table(), changes);
        let sent = self.dynamodb.send(async || request.clone().send_with(&self.dynamodb.client).await).await;
        match sent {
            Ok(_) => Ok(true),
            Err(error) if RequestError::code_of(&error) == Some("TransactionCanceledException") => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn folded(uuid: Uuid) -> u64 {
    let (high, low) = uuid.as_u64_pair();
    high ^ low
}

async fn read_users(target: &PostgresTarget) -> Result<(Connection, HashMap<Uuid, u64>)> {
    let mut connection = target.connect().await?;
    let prod = target.prod;
    let read = move |client: &mut postgres::Client| {
        let explain = |error| db::explain(error, prod);
        let none: [(Uuid, Type); 0] = [];
        let mut rows = client.query_typed_raw(sql::ALL_USERS, none).map_err(explain)?;
        let mut names = HashMap::new();
        while let Some(row) = rows.next().map_err(explain)? {
            let user = User::try_from(&row)?;
            names.insert(user.uuid, digest((&*user.display_name, &*user.handle)));
        }
        Ok(names)
    };
    let names = connection.with_within(USERS_BOUND, read).await?;
    Ok((connection, names))
}
