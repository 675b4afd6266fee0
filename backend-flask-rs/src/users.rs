//! Users.

use postgres::types::Type;
use postgres::{GenericClient, Row};
use uuid::Uuid;

use crate::sql;

/// A row of `public.users`, without the columns that only sign-in needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The primary key. DynamoDB's items refer to it.
    pub uuid: Uuid,
    /// The displayed name, such as `Andrew Brown`.
    pub display_name: String,
    /// The unique handle without `@`, such as `andrewbrown`.
    pub handle: String,
}

impl User {
    /// Looks up the user with exactly this handle.
    pub fn find_by_handle(
        client: &mut impl GenericClient,
        handle: &str,
    ) -> Result<Option<Self>, postgres::Error> {
        let row = client.query_typed_opt(sql::USER_BY_HANDLE, &[(&handle, Type::TEXT)])?;
        row.as_ref().map(Self::try_from).transpose()
    }
}

/// Reads the columns `uuid`, `display_name` and `handle`.
impl TryFrom<&Row> for User {
    type Error = postgres::Error;

    fn try_from(row: &Row) -> Result<Self, postgres::Error> {
        Ok(Self {
            uuid: row.try_get("uuid")?,
            display_name: row.try_get("display_name")?,
            handle: row.try_get("handle")?,
        })
    }
}
