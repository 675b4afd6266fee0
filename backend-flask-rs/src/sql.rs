//! The SQL queries.
//!
//! Each is a file under `db/sql/` that is compiled in, so that editors, linters and `psql` can read it.

/// The user with the handle `$1` (text): columns `uuid` uuid, `display_name` text, `handle` text.
pub const USER_BY_HANDLE: &str = include_str!("../db/sql/users/by_handle.sql");

/// The user with the Cognito id `$1` (text): the columns of [`USER_BY_HANDLE`].
pub const USER_BY_COGNITO_USER_ID: &str = include_str!("../db/sql/users/by_cognito_user_id.sql");

/// The `$1` (bigint) users who joined last: the columns of [`USER_BY_HANDLE`].
pub const LATEST_USERS: &str = include_str!("../db/sql/users/latest.sql");

/// The next `$2` (bigint) users after the uuid `$1` (uuid, null for the first), sorted by uuid: the columns of
/// [`USER_BY_HANDLE`].
pub const USERS_IN_ORDER: &str = include_str!("../db/sql/users/in_order.sql");

/// The existing users among the uuids `$1` (uuid[]): the columns of [`USER_BY_HANDLE`].
pub const USERS_BY_UUID: &str = include_str!("../db/sql/users/by_uuid.sql");

/// The `$1` (bigint) newest activities that have not expired: column `activities` text, a JSON array, one row.
pub const HOME_ACTIVITIES: &str = include_str!("../db/sql/activities/home.sql");

/// Locks the beginning of the conversation `$1` (text) until the transaction ends. Waits if another session has the
/// lock. One column of type void.
pub const LOCK_PAIR: &str = include_str!("../db/sql/groups/lock_pair.sql");

/// Subscribes the session to [`TELL_NEWS`]. No column.
pub const LISTEN_TO_NEWS: &str = include_str!("../db/sql/news/listen.sql");

/// Notifies all subscribed sessions of `$1` (text, at most 8,000 bytes). One column of type void.
pub const TELL_NEWS: &str = include_str!("../db/sql/news/tell.sql");

/// Succeeds if the tables exist and can be read: column `answer` int4, at most one row.
pub const HEALTH: &str = include_str!("../db/sql/health/users.sql");

/// Writes the users in four arrays of equal length: `$1` uuid[], `$2` text[] display names, `$3` text[] handles, `$4`
/// timestamptz[] times of joining. No column.
pub const WRITE_POPULATION: &str = include_str!("../db/sql/population/write_users.sql");

/// Removes the users with a uuid from `$1` to `$2` (both uuid), and their activities. No column.
pub const REMOVE_POPULATION: &str = include_str!("../db/sql/population/remove_users.sql");

/// The number of users with a uuid from `$1` to `$2` (both uuid): column `users` bigint (`i64`).
pub const COUNT_POPULATION: &str = include_str!("../db/sql/population/count_users.sql");

/// Which tables exist: columns `users` and `activities`, both bool.
pub const HAS_TABLES: &str = include_str!("../db/sql/admin/has_tables.sql");

/// The number of rows in each table: columns `users` and `activities`, both bigint (`i64`), one row.
pub const COUNTS: &str = include_str!("../db/sql/admin/counts.sql");

/// Every table except the system's, largest first: columns `name` text (quoted, with its schema), `about` bigint (the
/// estimated number of rows, 0 if there is no estimate) and `bytes` bigint.
pub const TABLES: &str = include_str!("../db/sql/admin/tables.sql");

/// Locks the creation and removal of databases until the session ends. Waits if another session has the lock. No
/// column.
pub const LOCK: &str = include_str!("../db/sql/admin/lock.sql");

/// The session's role, and whether it may create databases: columns `role` text, `may_create` boolean, one row.
pub const MAY_CREATE: &str = include_str!("../db/sql/admin/may_create.sql");

/// Every client session on the server except this one, ordered by database, user and pid.
///
/// Columns: `pid` int4; `usename`, `datname`, `client_addr` (an IP address; null on a Unix socket),
/// `application_name` and `state` text; `query_seconds` and `session_seconds` float8, the time since the
/// session's latest query and the session itself began. All but `pid` can be null: a role without
/// `pg_read_all_stats` sees little of other roles' sessions.
pub const SESSIONS: &str = include_str!("../db/sql/admin/sessions.sql");

/// The running statement of the session with the pid `$1` (int4); no row if it runs none.
///
/// Columns: `query` text; `seconds` float8, the time since the statement began; `blocked_by` int4[], the pids of the
/// sessions that hold locks it waits for.
pub const AT_WORK: &str = include_str!("../db/sql/admin/at_work.sql");

/// Ends every client session in the database `$1` (text) except this one: column `pid` int4, one row for each session
/// that was ended.
pub const KILL_SESSIONS: &str = include_str!("../db/sql/admin/kill_sessions.sql");

/// The comment on the session's database: column `comment` text, which can be null.
pub const DATABASE_COMMENT: &str = include_str!("../db/sql/admin/database_comment.sql");

const COMMENT_ON_DATABASE: &str = include_str!("../db/sql/admin/comment_on_database.sql");
const CREATE_DATABASE: &str = include_str!("../db/sql/admin/create_database.sql");
const DROP_DATABASE: &str = include_str!("../db/sql/admin/drop_database.sql");
const COUNT_TABLE: &str = include_str!("../db/sql/admin/count_table.sql");

/// The placeholder of the quoted database name in a template. It is psql's own notation, so that `psql -v
/// name=cruddur -f FILE` can run the file.
const NAME: &str = r#":"name""#;

/// The statement that creates the database `name`. It fails (SQLSTATE 42P04) if the database exists. It cannot run in
/// a transaction.
pub fn create_database(name: &str) -> String {
    CREATE_DATABASE.replace(NAME, &quote_identifier(name))
}

/// The statement that drops the database `name`, if it exists, and ends its sessions (Postgres 13 and later). It
/// cannot run in a transaction, nor in a session of that database.
pub fn drop_database(name: &str) -> String {
    DROP_DATABASE.replace(NAME, &quote_identifier(name))
}

/// The statement that sets the comment on the database `name`; an empty `text` removes it. Only the owner may run it.
pub fn comment_on_database(name: &str, text: &str) -> String {
    // With the default `standard_conforming_strings`, backslashes need no escaping.
    let text = format!("'{}'", text.replace('\'', "''"));
    COMMENT_ON_DATABASE.replace(NAME, &quote_identifier(name)).replace(":'text'", &text)
}

/// The query for the number of rows in a table: column `rows` bigint. `name` must be quoted, as in [`TABLES`].
pub fn count_table(name: &str) -> String {
    COUNT_TABLE.replace(":name", name)
}

/// Quotes an identifier: in double quotes, with double quotes inside it doubled.
fn quote_identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A statement without its comments and line ends.
    fn bare(statement: &str) -> String {
        let lines = statement.lines().filter(|line| !line.starts_with("--"));
        lines.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn database_names_are_quoted() {
        assert_eq!(
            bare(&create_database("cruddur")),
            r#"create database "cruddur" encoding 'UTF8' template template0"#
        );
        assert_eq!(
            bare(&drop_database(r#"Odd "name"; --"#)),
            r#"drop database if exists "Odd ""name""; --" with (force)"#
        );
    }

    #[test]
    fn comments_are_quoted() {
        assert_eq!(bare(&comment_on_database("a", r"it's \ 1")), r#"comment on database "a" is 'it''s \ 1'"#);
    }

    #[test]
    fn a_database_may_be_named_like_the_placeholder() {
        assert_eq!(bare(&drop_database(NAME)), r#"drop database if exists ":""name""" with (force)"#);
    }

    #[test]
    fn queries_are_single_statements() {
        for text in [
            USER_BY_HANDLE,
            USER_BY_COGNITO_USER_ID,
            LATEST_USERS,
            USERS_IN_ORDER,
            USERS_BY_UUID,
            HOME_ACTIVITIES,
            LOCK_PAIR,
            HEALTH,
            LISTEN_TO_NEWS,
            TELL_NEWS,
            WRITE_POPULATION,
            REMOVE_POPULATION,
            COUNT_POPULATION,
            COUNTS,
            HAS_TABLES,
            TABLES,
            COUNT_TABLE,
            MAY_CREATE,
            SESSIONS,
            AT_WORK,
            KILL_SESSIONS,
            DATABASE_COMMENT,
            COMMENT_ON_DATABASE,
        ] {
            let code = text.lines().filter(|line| !line.starts_with("--"));
            assert!(code.clone().count() > 0 && code.clone().all(|line| !line.contains(';')), "{text}");
        }
    }
}
