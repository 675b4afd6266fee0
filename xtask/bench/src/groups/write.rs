use std::time::Duration;

use anyhow::{Context as _, Result};

use super::{Measure, seed};
use crate::bare::{self, WRITERS};
use crate::report::{Runs, Table, say};
use crate::workspace::Workspace;
use crate::{items, program};

/// What `ddb seed` prints around the step that writes.
const STEP: [&str; 2] = ["... DynamoDB: write ", "ok  DynamoDB: write "];

pub(super) fn measure(measure: &Measure, work: &Workspace, table: &mut Table) -> Result<()> {
    let population = measure.population()?;
    let batches = items::batches(population);
    let file = work.file("items.jsonl");
    items::write_jsonl(population, &file)?;
    let bare = |threads| {
        work.empty_table()?;
        bare::write(work.port, &batches, threads)
    };

    say(format_args!("{}: look for the most that it takes", work.engine));
    let best =
        WRITERS.into_iter().map(|threads| Ok((bare(threads)?, threads))).collect::<Result<Vec<_>>>()?;
    for (took, threads) in &best {
        say(format_args!("  {threads} threads: {:.2} s", took.as_secs_f64()));
    }
    let (_, threads) = best.into_iter().min().context("no bare loop")?;

    let [mut ours, mut boto3, mut most] = [(); 3].map(|()| Runs::default());
    for run in 1..=measure.runs {
        say(format_args!("{}: write, {run} of {}", work.engine, measure.runs));
        let ran = seed(work, measure.messages)?;
        ours.add(ran.between(STEP[0], STEP[1])?, ran.peak);
        most.add(bare(threads)?, None);
        if let Some(mut command) = measure.peers.boto3_write(work, &file) {
            work.empty_table()?;
            let ran = program::ask(&mut command)?;
            let seconds = ran.output.trim().parse().context("boto3's script printed no time")?;
            boto3.add(Duration::from_secs_f64(seconds), ran.peak);
        }
    }
    let mut clients = vec![("`ddb seed`".to_owned(), ours)];
    if measure.peers.has_boto3() {
        clients.push(("boto3's `batch_writer`".to_owned(), boto3));
    }
    clients.push((format!("the server's most: {threads} threads"), most));
    table.clients(&work.engine.to_string(), population.item_count(), &clients);
    Ok(())
}
