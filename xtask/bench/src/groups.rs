//! What is measured. Each group does its own on every server, and prints a table.

mod memory;
mod scan;
mod start;
mod write;

use anyhow::Result;
use backend_flask::population::Population;
use clap::ValueEnum;

use crate::items;
use crate::peers::Peers;
use crate::program::{self, Ran};
use crate::report::Table;
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
        const CLIENTS: [&str; 6] =
            ["on", "client", "time", "items a second", "peak memory", "its time / ours"];
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

/// Writes a population into an empty table by `ddb seed`.
fn seed(work: &Workspace, messages: u32) -> Result<Ran> {
    work.empty_table()?;
    program::run(&mut work.xtask(&["ddb", "seed", "--messages", &messages.to_string()]))
}

/// Reads the table by `ddb scan`.
fn scan(work: &Workspace) -> Result<Ran> {
    program::run(&mut work.xtask(&["ddb", "scan", "-o", "jsonl"]))
}
