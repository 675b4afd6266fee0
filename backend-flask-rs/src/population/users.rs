//! The users of a population, in Postgres.

use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use postgres::types::Type;
use postgres::{Client, Transaction};
use uuid::Uuid;

use super::random::{Draw, Random};
use super::{Population, USERS, last, nth, words};
use crate::sql;
use crate::users::User;

/// The number of users that one statement writes.
const CHUNK: usize = 5_000;

const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The time from the joining of the first users to the population's end. It is before any message.
const JOINING_BEGAN: Duration = YEAR.saturating_mul(10);

impl Population {
    /// The user with an index below `users`. The index alone determines the name.
    pub fn user(&self, index: u32) -> User {
        let (display_name, name) = words::name(&mut Random::of(Draw::User, index));
        User { uuid: nth(USERS, index), display_name, handle: format!("{name}.{index:06}") }
    }

    /// The time when a user joined. All join within a year.
    pub(super) fn joined(&self, index: u32) -> DateTime<Utc> {
        let seconds = Random::of(Draw::Joining, index).below(YEAR.as_secs());
        self.end - JOINING_BEGAN + Duration::from_secs(seconds)
    }

    /// Removes the users of any population and their activities from Postgres. Returns the number of removed users.
    pub fn remove_users(client: &mut Client) -> Result<u64, postgres::Error> {
        let range = [(&USERS as _, Type::UUID), (&last(USERS) as _, Type::UUID)];
        client.execute_typed(sql::REMOVE_POPULATION, &range)
    }

    /// Replaces the synthetic users in Postgres by this population's, in one transaction. The activities of removed
    /// users are removed too; other users do not change. Returns the number of synthetic users, as counted by
    /// Postgres afterwards.
    pub fn write_users(&self, client: &mut Client) -> Result<u64, postgres::Error> {
        let mut transaction = client.transaction()?;
        let (beyond, last) = (nth(USERS, self.users), last(USERS));
        transaction.execute_typed(sql::REMOVE_POPULATION, &[(&beyond, Type::UUID), (&last, Type::UUID)])?;
        let mut indices = 0..self.users;
        while !indices.is_empty() {
            self.write_some(&mut transaction, indices.by_ref().take(CHUNK))?;
        }
        let first = USERS;
        let row = transaction
            .query_typed_one(sql::COUNT_POPULATION, &[(&first, Type::UUID), (&last, Type::UUID)])?;
        let count = row.try_get::<_, i64>("users")?;
        transaction.commit()?;
        Ok(count.unsigned_abs())
    }

    fn write_some(
        &self,
        transaction: &mut Transaction<'_>,
        indices: impl Iterator<Item = u32>,
    ) -> Result<(), postgres::Error> {
        let (mut uuids, mut names) = (Vec::<Uuid>::new(), Vec::<String>::new());
        let (mut handles, mut joined) = (Vec::<String>::new(), Vec::<SystemTime>::new());
        for index in indices {
            let user = self.user(index);
            uuids.push(user.uuid);
            names.push(user.display_name);
            handles.push(user.handle);
            joined.push(self.joined(index).into());
        }
        let arrays: [(&(dyn postgres::types::ToSql + Sync), Type); 4] = [
            (&uuids, Type::UUID_ARRAY),
            (&names, Type::TEXT_ARRAY),
            (&handles, Type::TEXT_ARRAY),
            (&joined, Type::TIMESTAMPTZ_ARRAY),
        ];
        transaction.execute_typed(sql::WRITE_POPULATION, &arrays).map(|_| ())
    }
}
