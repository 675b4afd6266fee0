//! Prints the versions of its inputs, or how it was started.

use std::env;
use std::io;
use std::process;

/// The program's own word.
const PROGRAM: &str = "one";

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        None => built_from(),
        Some("environment") => env::vars().for_each(|(name, value)| println!("{name}={value}")),
        Some("folder") => println!("{}", env::current_dir().unwrap().display()),
        Some("process") => println!("{}", process::id()),
        Some("stdin") => println!("{}", io::read_to_string(io::stdin()).unwrap()),
        Some("exit") => process::exit(arguments[1].parse().unwrap()),
        Some("abort") => process::abort(),
        Some(_) => println!("{arguments:?}"),
    }
}

fn built_from() {
    println!("program: {PROGRAM}");
    println!("library: {}", data::LIBRARY);
    println!("sql: {}", data::SQL.trim());
    println!("version: {}", env!("CARGO_PKG_VERSION"));
    println!("setting: {}", option_env!("WORD").unwrap_or("unset"));
    println!("flag: {}", cfg!(flag));
}
