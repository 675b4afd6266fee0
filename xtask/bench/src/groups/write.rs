use std::time::Duration;

use anyhow::{Context as _, Result};

use super::{Client, Measure, in_turn, seed};
use crate::bare::{self, WRITERS};
use crate::report::{Table, say};
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

    let mut clients = vec![Client::new("`ddb seed`", || {
        let ran = seed(work, measure.messages)?;
        Ok((ran.between(STEP[0], STEP[1])?, ran.peak))
    })];
    if let Some(mut command) = measure.peers.boto3_write(work, &file) {
        clients.push(Client::new("boto3's `batch_writer`", move || {
            work.empty_table()?;
            let ran = program::ask(&mut command)?;
            let seconds = ran.output.trim().parse().context("boto3's script printed no time")?;
            Ok((Duration::from_secs_f64(seconds), ran.peak))
        }));
    }
    let most = format!("the server's most: {threads} threads");
    clients.push(Client::new(&most, || Ok((bare(threads)?, None))));
    let clients = in_turn(&format!("{}: write", work.engine), measure.runs, clients)?;
    table.clients(&work.engine.to_string(), population.item_count(), &clients);
    Ok(())
}
