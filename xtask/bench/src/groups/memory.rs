use anyhow::Result;

use super::{Measure, scan, seed};
use crate::report::{Table, mebibytes, say};
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
        say(format_args!("{}: write and read {items} items", work.engine));
        let peaks = [seed(work, messages)?.peak, program::run(&mut scan(work))?.peak];
        sizes.push((items, peaks));
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
