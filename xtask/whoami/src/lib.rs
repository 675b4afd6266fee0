//! In the place of the crate `whoami`, whose [`username`] tokio-postgres calls where a connection names no
//! user. Every connection of Cruddur names its own, so nothing is lost.
//!
//! What is won: that crate names `web-sys`, for browsers, and eight crates more. None is compiled here, but cargo
//! reads what the registry has of each before every `cargo xtask`, and the list of `web-sys` is the longest of all,
//! with 5 MB: 6 of the 105 ms that cargo took.

use std::io::{Error, ErrorKind};

/// The name of the user that this process runs as, as the crate has it.
///
/// # Errors
///
/// Always: a connection to Postgres names its user.
pub fn username() -> Result<String, Error> {
    Err(Error::new(ErrorKind::Unsupported, "the connection names no user: say postgresql://USER@..."))
}

#[cfg(test)]
mod tests {
    #[test]
    fn who_names_no_user_is_told_so() {
        assert!(super::username().unwrap_err().to_string().contains("names no user"));
    }
}
