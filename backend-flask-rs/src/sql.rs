//! The SQL: scripts to run whole, and queries to prepare.
//!
//! Every text is a file under `db/`, compiled in, so that an editor, a linter and `psql` can read it too.

mod empty;
mod error;
mod lexer;

use postgres::Client;

pub use empty::empty;
pub use error::SqlError;

/// The tables. Running it replaces them, and loses their rows.
pub const SCHEMA: Script =
    Script { path: "backend-flask-rs/db/schema.sql", text: include_str!("../db/schema.sql") };

/// Users and activities to develop with, under fixed uuids. Running it again changes no other rows.
pub const SEED: Script =
    Script { path: "backend-flask-rs/db/seed.sql", text: include_str!("../db/seed.sql") };

/// The user with the handle `$1` (text): columns `uuid` uuid, `display_name` text, `handle` text.
pub const USER_BY_HANDLE: &str = include_str!("../db/sql/users/by_handle.sql");

/// The user whom Cognito knows as `$1` (text): the columns of [`USER_BY_HANDLE`].
pub const USER_BY_COGNITO_USER_ID: &str = include_str!("../db/sql/users/by_cognito_user_id.sql");

/// The `$1` (bigint) users who joined last: the columns of [`USER_BY_HANDLE`].
pub const LATEST_USERS: &str = include_str!("../db/sql/users/latest.sql");

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

/// The database `$1` (text), if there is one: column `datname` name.
pub const HAS_DATABASE: &str = include_str!("../db/sql/admin/has_database.sql");

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

/// The query for the number of rows in a table: column `rows` bigint. `name` is quoted already, as [`TABLES`]
/// gives it.
pub fn count_table(name: &str) -> String {
    COUNT_TABLE.replace(":name", name)
}

/// Quotes as the manual's "Identifiers and Key Words" says: in double quotes, those inside doubled.
fn quote_identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A file of SQL statements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Script {
    /// The file's path from the workspace's root.
    pub path: &'static str,
    /// What it held when this was compiled.
    pub text: &'static str,
}

/// One statement of a [`Script`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statement<'a> {
    /// The script's line, from 1, where the first token stands.
    pub line: usize,
    /// From the first token to the last, without the `;`.
    pub text: &'a str,
}

impl Statement<'_> {
    /// Why it is of no use in a script, if it is not.
    fn refusal(&self) -> Option<&'static str> {
        let words = self.text.split(|c: char| !c.is_ascii_alphabetic()).filter(|word| !word.is_empty());
        let words = words.map(str::to_ascii_lowercase).collect::<Vec<_>>();
        let words = words.iter().map(String::as_str).collect::<Vec<_>>();
        if is_transaction_command(&words) {
            Some("the file is one transaction already, all of it or nothing: leave this out")
        } else if words.first() == Some(&"copy") && words.windows(2).any(|pair| pair == ["from", "stdin"]) {
            Some("rows behind a statement are psql's alone: write an INSERT, as `pg_dump --inserts` does")
        } else if self.text.starts_with('\\') {
            Some("psql's own commands are no SQL: leave this out")
        } else {
            None
        }
    }
}

/// Whether a statement of these words begins or ends a transaction; what is undone to a savepoint is still in it.
/// <https://www.postgresql.org/docs/current/sql-begin.html>, and the pages that it names.
fn is_transaction_command(words: &[&str]) -> bool {
    match words {
        ["rollback", "to", ..] | ["rollback", "work" | "transaction", "to", ..] => false,
        ["begin" | "rollback" | "commit" | "end" | "abort", ..] => true,
        ["start" | "prepare", "transaction", ..] => true,
        _ => false,
    }
}

impl Script {
    /// Splits the script at each `;` that ends a statement, as psql does: not in strings (`'…'`,
    /// `E'…'`, `$tag$…$tag$`), quoted identifiers, comments (nested ones too), parentheses or the `begin atomic … end`
    /// of a function.
    pub fn statements(&self) -> Vec<Statement<'_>> {
        // Some editors write a byte order mark, which psql skips as well.
        lexer::statements(self.text.strip_prefix('\u{feff}').unwrap_or(self.text))
    }

    /// Executes every statement in one transaction and returns how many there were: either all of them
    /// take effect, or none.
    ///
    /// # Errors
    ///
    /// [`SqlError`] for the first statement that begins or ends a transaction, or wants rows from stdin, before anything
    /// is executed; or for the first that fails.
    pub fn run(&self, client: &mut Client) -> Result<usize, SqlError> {
        let statements = self.statements();
        for statement in &statements {
            if let Some(why) = statement.refusal() {
                return Err(SqlError::refused(self, statement, why));
            }
        }
        let outside = |e| SqlError::outside(self, e);
        let mut transaction = client.transaction().map_err(outside)?;
        for statement in &statements {
            transaction
                .batch_execute(statement.text)
                .map_err(|e| SqlError::in_statement(self, statement, e))?;
        }
        transaction.commit().map_err(outside)?;
        Ok(statements.len())
    }
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
    fn a_database_may_be_named_like_the_placeholder() {
        assert_eq!(bare(&drop_database(NAME)), r#"drop database if exists ":""name""" with (force)"#);
    }

    #[test]
    fn scripts_leave_the_transaction_alone() {
        for script in [SCHEMA, SEED] {
            assert!(!script.statements().is_empty());
            for statement in script.statements() {
                let first = statement.text.split_whitespace().next();
                let allowed = ["drop", "create", "insert"];
                assert!(first.is_some_and(|w| allowed.contains(&w)), "{statement:?}");
                assert_eq!(statement.refusal(), None, "{statement:?}");
            }
        }
    }

    #[test]
    fn what_begins_or_ends_a_transaction_is_told_from_what_stays_in_it() {
        let is =
            |text| Statement { line: 1, text }.refusal().is_some_and(|why| why.contains("one transaction"));
        for text in ["begin", "BEGIN\nisolation level serializable", "Commit and chain", "end", "abort work"]
        {
            assert!(is(text), "{text}");
        }
        for text in [
            "rollback",
            "rollback work",
            "start transaction",
            "prepare transaction 'a'",
            "commit prepared 'a'",
        ] {
            assert!(is(text), "{text}");
        }
        for text in ["rollback to a", "rollback work to savepoint a", "savepoint a", "prepare a as select 1"]
        {
            assert!(!is(text), "{text}");
        }
        assert!(!is("create table begin_commit (a int)"));
    }

    #[test]
    fn what_psql_alone_understands_is_refused() {
        let is = |text| Statement { line: 1, text }.refusal().is_some_and(|why| why.contains("--inserts"));
        assert!(is("COPY public.users (uuid, handle) FROM stdin"));
        assert!(is("copy t from stdin with (format csv)"));
        let script = Script { path: "a.sql", text: "select 1;\n\\restrict abc\nselect 2;" };
        assert!(script.statements()[1].refusal().is_some_and(|why| why.contains("psql's own commands")));
        for text in ["copy t from '/tmp/rows'", "copy t to stdout", "create table copy (a int)"] {
            assert!(!is(text), "{text}");
        }
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_a_statement() {
        let script = Script { path: "a.sql", text: "\u{feff}select 1;" };
        assert_eq!(script.statements(), [Statement { line: 1, text: "select 1" }]);
    }

    #[test]
    fn statements_of_the_schema_are_where_they_stand() {
        let lines = SCHEMA.text.lines().collect::<Vec<_>>();
        for statement in SCHEMA.statements() {
            let first_line = statement.text.lines().next();
            let there = lines[statement.line - 1].trim_end_matches(';');
            assert_eq!(Some(there), first_line);
        }
    }

    #[test]
    fn queries_are_single_statements() {
        for text in [
            USER_BY_HANDLE,
            USER_BY_COGNITO_USER_ID,
            LATEST_USERS,
            HOME_ACTIVITIES,
            LOCK_PAIR,
            HEALTH,
            LISTEN_TO_NEWS,
            TELL_NEWS,
            WRITE_POPULATION,
            REMOVE_POPULATION,
            COUNT_POPULATION,
            COUNTS,
            HAS_DATABASE,
            HAS_TABLES,
            TABLES,
            COUNT_TABLE,
            SESSIONS,
            AT_WORK,
            KILL_SESSIONS,
            empty::CONTENTS,
            empty::BEYOND,
        ] {
            let script = Script { path: "", text };
            assert_eq!(script.statements().len(), 1, "{text}");
            assert!(!text.trim_end().ends_with(';'), "{text}");
        }
    }
}
