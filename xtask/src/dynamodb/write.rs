//! Writing items in batches, until the server has taken every one.

use std::cell::RefCell;

use crate::dynamodb::items::{Batch, WriteQueue, WriteRequest, Written, batch_body, counted, unprocessed};
use crate::error::Interrupted;
use crate::process;
use anyhow::{Context as _, Result};

use crate::dynamodb::wire::{BATCH_WRITE, Wire};

/// From so many items on, this process gives way to others. A server on this machine writes one request after the
/// other, and whoever takes the processor from its writer holds up all of them. Fewer are written in a moment, after
/// which nothing is to wait for this process.
const MANY: u64 = 1_000;

/// The most batches that are under way at once.
const AT_ONCE: usize = 32;

/// Sends all requests, many batches at a time; those for one key in their order, one after the other. After
/// each answer `progress` is told how far it is. Returns how many there were. A user who asks to stop waits
/// for the batches under way.
///
/// # Errors
/// The server refused, or throttled and took nothing for too long: how many were written. Or what `requests`
/// or `progress` ended with. Or the user asked to stop.
pub(crate) async fn write_all(
    wire: &Wire,
    table: &str,
    requests: impl Iterator<Item = Result<WriteRequest>>,
    progress: impl FnMut(Written) -> Result<()>,
) -> Result<u64> {
    let _held = wire.ui.stop.hold().await;
    let queue = RefCell::new(WriteQueue::new(requests));
    let progress = RefCell::new(progress);
    let took = |count| (progress.borrow_mut())(queue.borrow_mut().took(count));
    let write = async |batch: Batch| {
        let written = write_batch(wire, table, &batch.requests, took).await;
        match written {
            Ok(()) => (progress.borrow_mut())(queue.borrow_mut().has_written(batch)),
            // Those beside it are waited for, and counted; `next` ends it all.
            Err(error) if error.is::<Interrupted>() => Ok(()),
            Err(error) => Err(error),
        }
    };
    let next = || {
        wire.ui.stop.check()?;
        if !wire.target.is_production() && queue.borrow().written().count >= MANY {
            process::give_way();
        }
        Ok(queue.borrow_mut().next_batch()?.map(&write))
    };
    let ended = wire.pace.run(AT_ONCE, next).await;
    let written = queue.borrow().written();
    let written_for_certain =
        format!("{} written for certain", counted(written.count, "item is", "items are"));
    match ended {
        Err(error) if error.is::<Interrupted>() => Err(Interrupted::explained(error, || written_for_certain)),
        ended => ended.context(written_for_certain).map(|()| written.count),
    }
}

/// Sends one batch, and again what was handed back, waiting longer each time; tells `took` how many were
/// taken.
async fn write_batch(
    wire: &Wire,
    table: &str,
    requests: &[WriteRequest],
    took: impl Fn(u64) -> Result<()>,
) -> Result<()> {
    let mut body = batch_body(table, requests.iter().map(|request| request.text.as_str()));
    let mut sent = requests.len();
    let mut fruitless = 0;
    loop {
        let answer = wire.call(BATCH_WRITE, body).await?;
        let left = unprocessed(&answer).with_context(|| format!("{} answered {BATCH_WRITE}", wire.target))?;
        let taken = sent.saturating_sub(left.len()) as u64;
        if taken > 0 {
            wire.gained(taken);
            took(taken)?;
        }
        if left.is_empty() {
            return Ok(());
        }
        wire.throttled("it handed all items of a batch back")?;
        fruitless = if taken > 0 { 0 } else { fruitless + 1 };
        wire.wait(fruitless + 1).await?;
        sent = left.len();
        body = batch_body(table, left.iter().map(String::as_str));
    }
}
