//! The SQL queries.
//!
//! Each is a file under `db/sql/` that is compiled in, so that editors, linters and `psql` can read it. The comment at
//! its top describes it.

/// Defines a constant with the text of each file, and a list of all for the tests.
macro_rules! queries {
    ($($visibility:vis $name:ident = $file:literal;)*) => {
        $(
            #[doc = "```sql"]
            #[doc = include_str!(concat!("../db/sql/", $file))]
            #[doc = "```"]
            $visibility const $name: &str = include_str!(concat!("../db/sql/", $file));
        )*

        #[cfg(test)]
        const ALL: &[&str] = &[$($name),*];
    };
}

queries! {
    pub USER_BY_HANDLE = "users/by_handle.sql";
    pub USER_BY_COGNITO_USER_ID = "users/by_cognito_user_id.sql";
    pub LATEST_USERS = "users/latest.sql";
    pub ALL_USERS = "users/all.sql";
    pub USERS_BY_UUID = "users/by_uuid.sql";
    pub HOME_ACTIVITIES = "activities/home.sql";
    pub LOCK_PAIR = "groups/lock_pair.sql";
    pub LISTEN_TO_NEWS = "news/listen.sql";
    pub TELL_NEWS = "news/tell.sql";
    pub HEALTH = "health/users.sql";
    pub WRITE_POPULATION = "population/write_users.sql";
    pub REMOVE_POPULATION = "population/remove_users.sql";
    pub COUNT_POPULATION = "population/count_users.sql";
    pub HAS_TABLES = "admin/has_tables.sql";
    pub COUNTS = "admin/counts.sql";
    pub TABLES = "admin/tables.sql";
    pub LOCK = "admin/lock.sql";
    pub MAY_CREATE = "admin/may_create.sql";
    pub SESSIONS = "admin/sessions.sql";
    pub AT_WORK = "admin/at_work.sql";
    pub KILL_SESSIONS = "admin/kill_sessions.sql";
    pub DATABASE_COMMENT = "admin/database_comment.sql";
    COMMENT_ON_DATABASE = "admin/comment_on_database.sql";
    CREATE_DATABASE = "admin/create_database.sql";
    DROP_DATABASE = "admin/drop_database.sql";
    COUNT_TABLE = "admin/count_table.sql";
}

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
        for text in ALL {
            let code = text.lines().filter(|line| !line.starts_with("--"));
            assert!(code.clone().count() > 0 && code.clone().all(|line| !line.contains(';')), "{text}");
        }
    }
}
