//! All that reads input, as functions of bytes: for the fuzzer in `xtask/fuzz`, and for the tests below, which
//! feed them what is made of the fuzzer's seeds.
//!
//! Each panics where what it calls does not hold what it promises: that what is written is what is read, that an
//! error names its place.

mod data;
mod files;
mod items;
mod settings;

/// One kind of input.
#[derive(Debug)]
pub struct Target {
    /// Its name, which the folder of its seeds has too.
    pub name: &'static str,
    /// Reads an input of that kind. Panics over a mistake of ours, and over no mistake of the input's.
    pub read: fn(&[u8]),
}

const fn target(name: &'static str, read: fn(&[u8])) -> Target {
    Target { name, read }
}

/// Every kind of input there is.
pub const TARGETS: [Target; 14] = [
    target("answer", items::answer),
    target("arguments", settings::arguments),
    target("compose", settings::compose),
    target("conversation", data::conversation),
    target("csv", files::csv),
    target("dotenv", settings::dotenv),
    target("dynamodb-url", settings::dynamodb_url),
    target("expressions", items::expressions),
    target("gzip", files::gzip),
    target("jsonl", files::jsonl),
    target("postgres-url", settings::postgres_url),
    target("state", settings::state),
    target("time", data::time),
    target("zstd", files::zstd),
];

/// The input as text. What is not UTF-8 never gets to what reads text.
fn text(input: &[u8]) -> Option<&str> {
    std::str::from_utf8(input).ok()
}

#[cfg(test)]
mod tests;
