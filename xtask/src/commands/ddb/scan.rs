use anyhow::Result;
use aws_sdk_dynamodb::types::ReturnConsumedCapacity;
use xtask_items::ItemWriter;

use super::Target;
use crate::context::Context;
use crate::read;

/// Print every item of a table
#[derive(Debug, clap::Args)]
pub(crate) struct Scan {
    /// The table's name [default: the messages table]
    table: Option<String>,
    #[command(flatten)]
    target: Target,
}

impl Scan {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        let target = self.target.resolve(context)?;
        let table = self.table.as_ref().unwrap_or(&target.table);
        let client = target.client().await;
        let request = client.scan().table_name(table).return_consumed_capacity(ReturnConsumedCapacity::Total);
        let mut writer = ItemWriter::new(context.format.of_items());
        let response = read::scan(&target, request, |items| Ok(writer.page(&items)?)).await?;
        writer.finish(&response)?;
        context.ui.line(response);
        Ok(())
    }
}
