use anyhow::Result;

use super::{Measure, scan, seed};
use crate::report::{Table, mebibytes, median, say};
use crate::workspace::Workspace;
use crate::{items, program};

/// How many times as large the larger table is.
const LARGER: u32 = 10;

pub(super) fn table() -> Table {
    Table::new(&["on", "command", "items", "peak", "ten times the items", "peak", "larger / smaller"], 2)
}

pub(super) fn measure(measure: &Measure, work: &Workspace, table: &mut Table) -> Result<()> {
    let mut sizes = Vec::new();
    for messages in [measure.messages, measure.messages.saturating_mul(LARGER)] {
        let items = crate::report::thousands(items::population(messages)?.item_count() as f64);
        let mut peaks = [Vec::new(), Vec::new()];
        for round in 1..=measure.runs {
            say(format_args!("{}: write and read {items} items, {round} of {}", work.engine, measure.runs));
            peaks[0].extend(seed(work, messages)?.peak);
            peaks[1].extend(program::run(&mut scan(work))?.peak);
        }
        sizes.push((items, peaks.map(middle)));
    }
    let [(items, small), (more, large)] = &sizes[..] else { return Ok(()) };
    for (index, command) in ["`ddb seed`", "`ddb scan -o jsonl`"].into_iter().enumerate() {
        let ratio = small[index].zip(large[index]).map(|(small, large)| large as f64 / small as f64);
        table.row(&[
            work.engine.to_string(),
            command.to_owned(),
            items.clone(),
            mebibytes(small[index]),
            more.clone(),
            mebibytes(large[index]),
            ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default(),
        ]);
    }
    Ok(())
}

/// The median of some peaks, in KiB. One peak tells little: it is up to a tenth away from the next one's.
fn middle(peaks: Vec<u64>) -> Option<u64> {
    (!peaks.is_empty()).then(|| median(peaks.into_iter().map(|peak| peak as f64)).round() as u64)
}
