//! Constants that show the versions of the library and of a file that it includes.

/// The library's word, in capitals if the feature is on.
pub const LIBRARY: &str = if cfg!(feature = "loud") { "ONE" } else { "one" };

/// A text file's word.
pub const SQL: &str = include_str!("../db/word.sql");
