use std::time::Duration;

use anyhow::{Context as _, Result};

use super::{Client, Measure, in_turn, scan, seed};
use crate::bare::{self, Reading};
use crate::program;
use crate::report::{Table, say};
use crate::workspace::{TABLE, Workspace};

/// How many of the bare loops take part in every round, the quickest first.
const FINALISTS: usize = 3;

pub(super) fn measure(measure: &Measure, work: &Workspace, table: &mut Table) -> Result<()> {
    let population = measure.population()?;
    seed(work, measure.messages)?;
    let items = population.item_count();
    let source = bare::Table { port: work.port, name: TABLE, items };

    say(format_args!("{}: look for the most that it gives", work.engine));
    let finalists = quickest(source)?;
    let programs = [
        ("`ddb scan -o jsonl`", Some(scan(work))),
        ("`aws dynamodb scan`", measure.peers.aws_scan(work)),
        ("boto3's paginator", measure.peers.boto3_scan(work)),
    ];
    let programs = programs.into_iter().filter_map(|(name, command)| {
        let mut command = command?;
        Some(Client::new(name, move || program::run(&mut command).map(|ran| (ran.took, ran.peak))))
    });
    let mut clients: Vec<_> = programs.collect();
    let program_count = clients.len();
    let bare = finalists.into_iter().map(|reading| {
        Client::new(&format!("the server's most: {reading}"), move || {
            let took = reading.read(source, Duration::MAX)?.context("a bare loop that was given up")?;
            Ok((took, None))
        })
    });
    clients.extend(bare);
    let mut clients = in_turn(&format!("{}: scan", work.engine), measure.runs, clients)?;
    // Of the bare loops the quickest is the server's most.
    let bare = clients.split_off(program_count);
    clients.extend(bare.into_iter().min_by(|(_, one), (_, other)| one.median().total_cmp(&other.median())));
    table.clients(&work.engine.to_string(), items, &clients);
    Ok(())
}

/// Tries every way to read once, and gives up those that take much longer than another.
fn quickest(source: bare::Table) -> Result<Vec<Reading>> {
    let mut bound = Duration::MAX;
    let mut tried = Vec::new();
    for reading in Reading::all() {
        let took = reading.read(source, bound)?;
        match took {
            Some(took) => {
                say(format_args!("  {reading}: {:.2} s", took.as_secs_f64()));
                bound = bound.min(2 * took);
                tried.push((took, reading));
            }
            None => say(format_args!("  {reading}: given up")),
        }
    }
    tried.sort_by_key(|(took, _)| *took);
    Ok(tried.into_iter().map(|(_, reading)| reading).take(FINALISTS).collect())
}
