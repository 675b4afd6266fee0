//! Emptying a database that is there, in the place of a new one.

use postgres::Client;

/// The statements that empty the database of what its schemas hold: column `statement` text.
pub(super) const CONTENTS: &str = include_str!("../../db/sql/admin/contents.sql");

/// What a new database would not have: column `what` text.
pub(super) const BEYOND: &str = include_str!("../../db/sql/admin/beyond.sql");

/// Whoever has a lock on what is to be dropped may keep it for long.
const LOCK_TIMEOUT: &str = "set local lock_timeout = '100ms'";

/// Makes of the database that `client` is connected to what [`create_database`](super::create_database) makes, if
/// dropping all that its schemas hold does it: a new database is 300 new files to the server. It is one transaction.
///
/// Returns why it was not done, where it has something that no schema holds, or the server refuses; nothing has
/// changed then.
///
/// # Errors
///
/// The connection broke.
pub fn empty(client: &mut Client) -> Result<Option<String>, postgres::Error> {
    try_to_empty(client).or_else(|error| match error.as_db_error() {
        Some(refusal) => Ok(Some(refusal.message().to_owned())),
        None => Err(error),
    })
}

fn try_to_empty(client: &mut Client) -> Result<Option<String>, postgres::Error> {
    let mut transaction = client.transaction()?;
    transaction.batch_execute(LOCK_TIMEOUT)?;
    let contents = transaction.query_typed(CONTENTS, &[])?;
    let statements = contents.iter().map(|row| row.try_get("statement")).collect::<Result<Vec<&str>, _>>()?;
    transaction.batch_execute(&statements.join(";\n"))?;
    match transaction.query_typed(BEYOND, &[])?.first() {
        Some(beyond) => Ok(Some(format!("it has {}", beyond.try_get::<_, &str>("what")?))),
        None => {
            transaction.commit()?;
            Ok(None)
        }
    }
}
