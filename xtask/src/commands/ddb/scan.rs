use crate::dynamodb::client::DynamoDb;
use crate::dynamodb::print::ItemWriter;
use crate::dynamodb::read;
use crate::dynamodb::table::{self, Keys};
use anyhow::Result;
use backend_flask::messages::{PARTITION_KEY, SORT_KEY};

use super::cost::Partitions;
use super::expressions::{ReadOptions, STOPPED};
use super::{TableArgument, Target};
use crate::context::Context;
use crate::output::Format;

#[derive(Debug, clap::Args)]
pub(crate) struct Scan {
    #[command(flatten)]
    options: ReadOptions,
    /// Read the table in this many segments
    ///
    /// DynamoDB Local reads few large ones slowly. [default: as suits the table and its server]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=1_000_000), conflicts_with = "limit")]
    segments: Option<i32>,
    #[command(flatten)]
    table: TableArgument,
    #[command(flatten)]
    target: Target,
}

impl Scan {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        let dynamodb = self.target.dynamodb(context).await?;
        let table = self.table.of(&dynamodb.target);
        let request = self.options.scan(table)?;
        let columns = self.columns(&dynamodb).await?;
        let form = self.options.form(columns.clone())?;
        let mut writer = ItemWriter::new(form);
        let mut partitions = Partitions::default();
        let partition_key = columns.first().cloned().unwrap_or_default();
        let take = async |page: read::Page| {
            if self.options.cost.cost {
                partitions.add(&partition_key, &page.items);
            }
            writer.page(&page.items)
        };
        let response = match self.options.limit {
            Some(limit) => {
                let wants_key = self.options.wants_key();
                read::pages_and_key(&dynamodb, request.into(), Some(limit), wants_key, take).await?
            }
            None => read::scan(&dynamodb, request, self.segments, take).await?,
        };
        writer.finish(&response, &context.ui)?;
        response.report(&context.ui, STOPPED);
        self.options.cost.report(&dynamodb, table, self.options.index.as_deref(), Some(&response)).await?;
        partitions.report(&dynamodb);
        Ok(())
    }

    /// The key attributes, which are the first columns. Those of the messages table are known without a request.
    async fn columns(&self, dynamodb: &DynamoDb) -> Result<Vec<String>> {
        match &self.table.table {
            Some(table)
                if self.options.cost.cost
                    || self.options.items.output.format == Format::Table && !self.options.count =>
            {
                let description = table::describe(dynamodb, table).await?;
                // If the index does not exist, the scan fails with that error.
                let keys = Keys::of(&description, self.options.index.as_deref());
                Ok(keys.iter().flat_map(Keys::names).map(str::to_owned).collect())
            }
            _ => Ok(vec![PARTITION_KEY.to_owned(), SORT_KEY.to_owned()]),
        }
    }
}
