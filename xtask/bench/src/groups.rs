//! What is measured. Each group does its own on every server, and prints a table.

mod memory;
mod scan;
mod start;
mod write;

use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use backend_flask::population::Population;
use clap::ValueEnum;

use crate::items;
use crate::peers::Peers;
use crate::program::{self, Ran};
use crate::report::{Runs, Table, say};
use crate::workspace::Workspace;

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub(crate) enum Group {
    /// Writing a table, beside boto3's batch writer and bare loops of BatchWriteItem
    Write,
    /// Reading a table, beside `aws dynamodb scan`, boto3's paginator and bare loops of Scan
    Scan,
    /// The program's peak memory, for a table and one of ten times its size
    Memory,
    /// What a short command takes beside the server's answer
    Start,
}

/// What a measurement is made with.
pub(crate) struct Measure {
    /// How many messages there are in a table.
    pub(crate) messages: u32,
    /// How often each client does its work.
    pub(crate) runs: usize,
    /// Other clients.
    pub(crate) peers: Peers,
}

impl Measure {
    fn population(&self) -> Result<Population> {
        items::population(self.messages)
    }
}

impl Group {
    /// An empty table for this group's figures, and what it is called.
    pub(crate) fn table(self) -> Table {
        const CLIENTS: [&str; 7] = [
            "on",
            "client",
            "time",
            "shortest to longest",
            "items a second",
            "peak memory",
            "its time / ours",
        ];
        match self {
            Self::Write | Self::Scan => Table::new(&CLIENTS, 2),
            Self::Memory => memory::table(),
            Self::Start => start::table(),
        }
    }

    /// A line that says what the figures are of.
    pub(crate) fn title(self, measure: &Measure) -> Result<String> {
        let items = crate::report::thousands(measure.population()?.item_count() as f64);
        Ok(match self {
            Self::Write => format!(
                "Writing {items} items: the step of `ddb seed` that writes them, boto3's `batch_writer`, and \
                 the most that the server takes from any client, a bare loop of BatchWriteItem calls"
            ),
            Self::Scan => format!(
                "Reading {items} items: `ddb scan -o jsonl`, and the most that the server gives to any \
                 client, a bare loop of Scan calls"
            ),
            Self::Memory => "The program's peak memory".to_owned(),
            Self::Start => {
                "A short command from its start to its end, and a bare request on a new connection".to_owned()
            }
        })
    }

    /// Measures on one server, and adds the figures.
    ///
    /// # Errors
    /// A client failed.
    pub(crate) fn measure(self, measure: &Measure, work: &Workspace, table: &mut Table) -> Result<()> {
        match self {
            Self::Write => write::measure(measure, work, table),
            Self::Scan => scan::measure(measure, work, table),
            Self::Memory => memory::measure(measure, work, table),
            Self::Start => start::measure(work, table),
        }
    }
}

/// One of those that are compared.
struct Client<'a> {
    name: String,
    /// Does its work once: how long that took, and its peak memory in KiB.
    work: Box<dyn FnMut() -> Result<(Duration, Option<u64>)> + 'a>,
}

impl<'a> Client<'a> {
    fn new(name: &str, work: impl FnMut() -> Result<(Duration, Option<u64>)> + 'a) -> Self {
        Self { name: name.to_owned(), work: Box::new(work) }
    }
}

/// Has clients work in turn, so many rounds, each round begun by the next of them: what one leaves behind in
/// the server is not always met by the same. Returns each one's runs.
///
/// # Errors
/// A client failed.
fn in_turn(title: &str, rounds: usize, mut clients: Vec<Client>) -> Result<Vec<(String, Runs)>> {
    let mut measured: Vec<_> = clients.iter().map(|client| (client.name.clone(), Runs::default())).collect();
    for round in 0..rounds {
        say(format_args!("{title}, {} of {rounds}", round + 1));
        for turn in 0..clients.len() {
            let place = (round + turn) % clients.len();
            let (took, peak) = (clients[place].work)()?;
            let (name, runs) = &mut measured[place];
            say(format_args!("  {name}: {:.2} s", took.as_secs_f64()));
            runs.add(took, peak);
        }
    }
    Ok(measured)
}

/// Writes a population into an empty table by `ddb seed`.
fn seed(work: &Workspace, messages: u32) -> Result<Ran> {
    work.empty_table()?;
    program::run(&mut work.xtask(&["ddb", "seed", "--messages", &messages.to_string()]))
}

/// `ddb scan`, which reads the table.
fn scan(work: &Workspace) -> Command {
    work.xtask(&["ddb", "scan", "-o", "jsonl"])
}
