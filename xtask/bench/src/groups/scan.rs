use std::time::Duration;

use anyhow::{Context as _, Result};

use super::{Measure, scan, seed};
use crate::bare::{self, Reading};
use crate::program;
use crate::report::{Runs, Table, say};
use crate::workspace::{TABLE, Workspace};

/// How many of the bare loops take part in every round, the quickest first.
const FINALISTS: usize = 3;

pub(super) fn measure(measure: &Measure, work: &Workspace, table: &mut Table) -> Result<()> {
    let population = measure.population()?;
    seed(work, measure.messages)?;
    let items = population.item_count();
    let source = bare::Table { port: work.port, name: TABLE, items };

    say(format_args!("{}: look for the most that it gives", work.engine));
    let mut finalists: Vec<(Reading, Runs)> =
        quickest(source)?.into_iter().map(|reading| (reading, Runs::default())).collect();
    let others = [
        ("`aws dynamodb scan`", measure.peers.aws_scan(work)),
        ("boto3's paginator", measure.peers.boto3_scan(work)),
    ];
    let mut others: Vec<_> = others
        .into_iter()
        .filter_map(|(name, command)| Some((name.to_owned(), command?, Runs::default())))
        .collect();

    let mut ours = Runs::default();
    for run in 1..=measure.runs {
        say(format_args!("{}: scan, {run} of {}", work.engine, measure.runs));
        let ran = scan(work)?;
        ours.add(ran.took, ran.peak);
        for (reading, runs) in &mut finalists {
            let took = reading.read(source, Duration::MAX)?.context("a bare loop that was given up")?;
            runs.add(took, None);
        }
        for (_, command, runs) in &mut others {
            let ran = program::run(command)?;
            runs.add(ran.took, ran.peak);
        }
    }
    let most = finalists.into_iter().min_by(|(_, one), (_, other)| one.median().total_cmp(&other.median()));
    let (reading, most) = most.context("no bare loop")?;
    let mut clients = vec![("`ddb scan -o jsonl`".to_owned(), ours)];
    clients.extend(others.into_iter().map(|(name, _, runs)| (name, runs)));
    clients.push((format!("the server's most: {reading}"), most));
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
