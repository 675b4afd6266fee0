//! The queries.
//!
//! Each one is a file under `db/sql/`, compiled in, so that an editor, a linter and `psql` can read it too.

/// The user with the handle `$1` (text): columns `uuid` uuid, `display_name` text, `handle` text.
pub const USER_BY_HANDLE: &str = include_str!("../db/sql/users/by_handle.sql");

/// The user whom Cognito knows as `$1` (text): the columns of [`USER_BY_HANDLE`].
pub const USER_BY_COGNITO_USER_ID: &str = include_str!("../db/sql/users/by_cognito_user_id.sql");

/// The `$1` (bigint) users who joined last: the columns of [`USER_BY_HANDLE`].
pub const LATEST_USERS: &str = include_str!("../db/sql/users/latest.sql");

/// The next `$2` (bigint) users behind the uuid `$1` (uuid, null for the first), by uuid: the columns of
/// [`USER_BY_HANDLE`].
pub const USERS_IN_ORDER: &str = include_str!("../db/sql/users/in_order.sql");

/// The users with the uuids `$1` (uuid[]), as far as there are such: the columns of [`USER_BY_HANDLE`].
pub const USERS_BY_UUID: &str = include_str!("../db/sql/users/by_uuid.sql");

/// The `$1` (bigint) newest activities that have not expired.
///
/// Columns: `uuid` uuid; `display_name`, `handle` and `message` text; `replies_count`, `reposts_count` and
/// `likes_count` int4; `created_at` text; and two that can be null, `reply_to_activity_uuid` uuid and `expires_at`
/// text.
pub const HOME_ACTIVITIES: &str = include_str!("../db/sql/activities/home.sql");

/// Waits for its turn to begin the conversation named `$1` (text), until the transaction ends. One column
/// of type void.
pub const LOCK_PAIR: &str = include_str!("../db/sql/groups/lock_pair.sql");

/// Has the session hear what [`TELL_NEWS`] tells. No column.
pub const LISTEN_TO_NEWS: &str = include_str!("../db/sql/news/listen.sql");

/// Tells every session that listens `$1` (text, at most 8,000 bytes). One column of type void.
pub const TELL_NEWS: &str = include_str!("../db/sql/news/tell.sql");

/// Whether the tables are there and can be read: column `answer` int4, one row at most.
pub const HEALTH: &str = include_str!("../db/sql/health/users.sql");

/// Writes the users of four arrays of one length: `$1` uuid[], `$2` text[] display names, `$3` text[]
/// handles, `$4` timestamptz[] when they joined. No column.
pub const WRITE_POPULATION: &str = include_str!("../db/sql/population/write_users.sql");

/// Removes the users with a uuid from `$1` to `$2` (both uuid), and what they have posted. No column.
pub const REMOVE_POPULATION: &str = include_str!("../db/sql/population/remove_users.sql");

/// How many users have a uuid from `$1` to `$2` (both uuid): column `users` bigint (`i64`).
pub const COUNT_POPULATION: &str = include_str!("../db/sql/population/count_users.sql");

/// Which tables are there: columns `users` and `activities`, both bool.
pub const HAS_TABLES: &str = include_str!("../db/sql/admin/has_tables.sql");

/// One row with the number of rows in each table: columns `users` and `activities`, both bigint (`i64`).
pub const COUNTS: &str = include_str!("../db/sql/admin/counts.sql");

/// Every table but the system's, largest first: columns `name` text (quoted, with its schema), `about` bigint (rows
/// at the latest estimate, 0 where there is none) and `bytes` bigint.
pub const TABLES: &str = include_str!("../db/sql/admin/tables.sql");

/// Waits for its turn to create or drop a database; the session then has it until it ends. No column.
pub const LOCK: &str = include_str!("../db/sql/admin/lock.sql");

/// Every client's session on the server but the one that asks, ordered by database, user and pid.
///
/// Columns: `pid` int4; `usename`, `datname`, `client_addr` (an IP address; null on a Unix socket),
/// `application_name` and `state` text; `query_seconds` and `session_seconds` float8, the time since the
/// session's latest query and the session itself began. All but `pid` can be null: a role without
/// `pg_read_all_stats` sees little of other roles' sessions.
pub const SESSIONS: &str = include_str!("../db/sql/admin/sessions.sql");

/// What the session with the pid `$1` (int4) is at work on; no row if it is at work on nothing.
///
/// Columns: `query` text; `seconds` float8, the time since it began; `blocked_by` int4[], the pids of the sessions
/// whose locks it waits for.
pub const AT_WORK: &str = include_str!("../db/sql/admin/at_work.sql");

/// Ends every client's session in the database `$1` (text) but the one that asks: column `pid` int4,
/// one row for each session that was ended.
pub const KILL_SESSIONS: &str = include_str!("../db/sql/admin/kill_sessions.sql");

/// The comment on the database that the session is in: column `comment` text, which can be null.
pub const DATABASE_COMMENT: &str = include_str!("../db/sql/admin/database_comment.sql");

const COMMENT_ON_DATABASE: &str = include_str!("../db/sql/admin/comment_on_database.sql");
const CREATE_DATABASE: &str = include_str!("../db/sql/admin/create_database.sql");
const DROP_DATABASE: &str = include_str!("../db/sql/admin/drop_database.sql");
const COUNT_TABLE: &str = include_str!("../db/sql/admin/count_table.sql");

/// Where a template takes its database's name, quoted: psql's own notation for it, so that
/// `psql -v name=cruddur -f FILE` runs the same file.
const NAME: &str = r#":"name""#;

/// The statement that creates the database `name`; it fails (SQLSTATE 42P04) if there is one. It cannot
/// run in a transaction.
pub fn create_database(name: &str) -> String {
    CREATE_DATABASE.replace(NAME, &quote_identifier(name))
}

/// The statement that drops the database `name` if there is one, ending the sessions in it (Postgres 13
/// and later). It cannot run in a transaction, nor from a session in that same database.
pub fn drop_database(name: &str) -> String {
    DROP_DATABASE.replace(NAME, &quote_identifier(name))
}

/// The statement that replaces the comment on the database `name`; an empty `text` removes it. Only its owner may.
pub fn comment_on_database(name: &str, text: &str) -> String {
    // With `standard_conforming_strings`, the default, a backslash is itself.
    let text = format!("'{}'", text.replace('\'', "''"));
    COMMENT_ON_DATABASE.replace(NAME, &quote_identifier(name)).replace(":'text'", &text)
}

/// The query for the number of rows in a table: column `rows` bigint. `name` is quoted already, as [`TABLES`]
/// gives it.
pub fn count_table(name: &str) -> String {
    COUNT_TABLE.replace(":name", name)
}

/// Quotes as the manual's "Identifiers and Key Words" says: in double quotes, those inside doubled.
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
