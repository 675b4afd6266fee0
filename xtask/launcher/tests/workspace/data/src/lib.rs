//! What the library and a file included by it say.

/// The library's own word, louder with a feature.
pub const LIBRARY: &str = if cfg!(feature = "loud") { "ONE" } else { "one" };

/// A text file's word.
pub const SQL: &str = include_str!("../db/word.sql");
