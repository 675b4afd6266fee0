use std::time::Instant;

use anyhow::Result;
use backend_flask::messages::{SEED_GROUP, message_key};

use crate::connection::{Connection, request};
use crate::program;
use crate::report::{Runs, Table, milliseconds};
use crate::workspace::{TABLE, Workspace};

/// Short commands vary by milliseconds, and take no longer: more runs than for the others.
const RUNS: usize = 25;

pub(super) fn table() -> Table {
    Table::new(&["on", "command", "the command", "the answer", "beside the answer"], 2)
}

pub(super) fn measure(work: &Workspace, table: &mut Table) -> Result<()> {
    // The seed conversation: the larger tables of other groups have none.
    work.empty_table()?;
    program::run(&mut work.xtask(&["ddb", "seed"]))?;
    let conversation = format!(
        "{{\"TableName\":\"{TABLE}\",\"KeyConditionExpression\":\"pk = :pk\",\
         \"ExpressionAttributeValues\":{{\":pk\":{{\"S\":\"{}\"}}}},\"ScanIndexForward\":false,\"Limit\":20,\
         \"ReturnConsumedCapacity\":\"TOTAL\"}}",
        message_key(SEED_GROUP)
    );
    let commands = [
        ("ddb list-tables", request("ListTables", "{}")),
        ("ddb patterns get-conversation", request("Query", &conversation)),
    ];
    for (command, request) in commands {
        let words: Vec<&str> = command.split(' ').collect();
        let [mut ours, mut answer] = [(); 2].map(|()| Runs::default());
        for _ in 0..RUNS {
            ours.add(program::run(&mut work.xtask(&words))?.took, None);
            let started = Instant::now();
            Connection::open(work.port)?.exchange(&request, &mut Vec::new())?;
            answer.add(started.elapsed(), None);
        }
        table.row(&[
            work.engine.to_string(),
            format!("`{command}`"),
            milliseconds(ours.median()),
            milliseconds(answer.median()),
            milliseconds(ours.median() - answer.median()),
        ]);
    }
    Ok(())
}
