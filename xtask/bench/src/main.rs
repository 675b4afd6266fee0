//! Measures the tasks beside the AWS CLI and boto3, on both local servers. Run as `cargo xtask bench`.
//!
//! Figures on a machine that does other things are noisy: clients take turns in rounds, and what is told
//! is the median of the rounds.

mod bare;
mod connection;
mod groups;
mod items;
mod peers;
mod program;
mod report;
mod workspace;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU8, Ordering};

use anyhow::{Context as _, Result};
use clap::{Parser, ValueEnum};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::groups::{Group, Measure};
use crate::peers::Peers;
use crate::report::say;
use crate::workspace::{Engine, Installed, Workspace};

/// Measure the tasks beside the AWS CLI and boto3, on both local servers
///
/// Prints Markdown tables. Works in a workspace of its own, which it removes in the end.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench", max_term_width = 100)]
#[command(override_usage = "cargo xtask bench [OPTIONS] [GROUP]...")]
struct Arguments {
    /// What to measure [default: everything]
    #[arg(value_enum, value_name = "GROUP")]
    groups: Vec<Group>,
    /// On which server [default: both]
    #[arg(long, value_enum)]
    engine: Option<Engine>,
    /// How many messages there are in the table
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    items: u32,
    /// How often each client does its work
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..))]
    runs: u8,
    /// Put the tables into README.md, in the place of those that it has
    #[arg(long)]
    write_readme: bool,
    /// The xtask program
    #[arg(long, hide = true)]
    program: PathBuf,
    /// The workspace's top folder
    #[arg(long, hide = true)]
    workspace: PathBuf,
}

/// The signal that ended the run, or 0.
static INTERRUPTED: AtomicU8 = AtomicU8::new(0);

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let ended = remove_when_interrupted().and_then(|()| run(arguments));
    match (INTERRUPTED.load(Ordering::Relaxed), ended) {
        (0, Ok(())) => ExitCode::SUCCESS,
        (0, Err(error)) => {
            say(format_args!("error: {error:#}"));
            ExitCode::FAILURE
        }
        (signal, _) => ExitCode::from(128 + signal),
    }
}

/// Has the first SIGINT or SIGTERM remove what was started, and end the run.
fn remove_when_interrupted() -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM]).context("cannot take signals")?;
    std::thread::spawn(move || {
        let signal =
            signals.forever().next().and_then(|signal| u8::try_from(signal).ok()).unwrap_or_default();
        INTERRUPTED.store(signal, Ordering::Relaxed);
        say("interrupted: remove what was started");
        workspace::remove();
        std::process::exit(128 + i32::from(signal));
    });
    Ok(())
}

fn run(arguments: Arguments) -> Result<()> {
    let Arguments { groups, engine, items, runs, write_readme, program, workspace } = arguments;
    let groups = if groups.is_empty() { Group::value_variants() } else { &groups };
    let engines = engine.map_or_else(|| Engine::value_variants().to_vec(), |engine| vec![engine]);
    let installed = Installed { program, root: workspace };
    let peers = Peers::find(&installed.root);
    let measure = Measure { messages: items, runs: runs.into(), peers };

    let mut tables: Vec<_> = groups.iter().map(|group| (*group, group.table())).collect();
    let mut servers = Vec::new();
    for engine in engines {
        let work = Workspace::open(&installed, engine)?;
        servers.push(work.version());
        for (group, table) in &mut tables {
            group.measure(&measure, &work, table)?;
        }
    }
    let mut figures = conditions(&measure, &servers);
    for (group, table) in tables {
        figures.push_str(&format!("\n{}:\n\n{}", group.title(&measure)?, table.into_text()));
    }
    std::io::stdout().write_all(figures.as_bytes()).context("cannot print")?;
    if write_readme {
        report::write_readme(&installed.root, &figures)?;
    }
    Ok(())
}

/// How, on what and with what it was measured.
fn conditions(measure: &Measure, servers: &[String]) -> String {
    let day = chrono::Utc::now().format("%Y-%m-%d");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = memory(Path::new("/proc/meminfo"))
        .map_or_else(String::new, |memory| format!(", {} GiB of memory", memory.div_ceil(1 << 20)));
    let others: Vec<&str> = servers.iter().map(String::as_str).chain(measure.peers.versions()).collect();
    format!(
        "Measured on {day} with {cores} cores{memory}; {}. Medians of {} rounds, the clients in turn.\n",
        others.join(", "),
        measure.runs
    )
}

/// The machine's memory in KiB, where the system tells.
fn memory(path: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}
