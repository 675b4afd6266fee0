use crate::dynamodb::read::{self, Segments};
use crate::dynamodb::table::{Keys, TableDescription};
use crate::dynamodb::wire::Wire;
use anyhow::Result;
use backend_flask::messages::{PARTITION_KEY, SORT_KEY};

use super::Target;
use super::expressions::{ReadOptions, STOPPED};
use crate::context::Context;
use crate::output::{Format, PagePrinter};

#[derive(Debug, clap::Args)]
pub(crate) struct Scan {
    /// The table's name [default: the messages table]
    table: Option<String>,
    #[command(flatten)]
    options: ReadOptions,
    /// Read in this many segments: DynamoDB Local reads few large ones slowly [default: as suits the table and its
    /// server]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000), conflicts_with = "limit")]
    segments: Option<u32>,
    #[command(flatten)]
    target: Target,
}

impl Scan {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        let target = self.target.resolve(context).await?;
        let table = self.table.as_ref().unwrap_or(&target.table);
        let mut request = self.options.request(table)?;
        request.wants_last_key = context.format == Format::Json;
        let wire = target.wire(&context.ui).await?;
        let form = self.options.form(context, self.columns(context, &wire).await?)?;
        let mut printer = PagePrinter::new(form);
        let take = async |page| printer.page(page).await;
        let read = match (self.options.limit, self.segments) {
            (Some(limit), _) => read::pages(&wire, request, Some(limit), take).await,
            (None, Some(segments)) => read::scan(&wire, request, Segments::Of(segments), take).await,
            (None, None) => read::scan(&wire, request, Segments::Fitting, take).await,
        };
        let response = printer.finish(read)?;
        context.ui.read(&response, STOPPED);
        Ok(())
    }

    /// The keys, whose columns come first where there are columns. Those of the messages table are known.
    async fn columns(&self, context: &Context, wire: &Wire) -> Result<Vec<String>> {
        match &self.table {
            Some(table) if context.format == Format::Table && !self.options.count => {
                let description = TableDescription::read(wire, table).await?;
                // An index that is not there, the scan's answer tells.
                let keys = description.keys(self.options.index.as_deref());
                Ok(keys.iter().flat_map(Keys::each).map(|key| key.name.clone()).collect())
            }
            _ => Ok(vec![PARTITION_KEY.to_owned(), SORT_KEY.to_owned()]),
        }
    }
}
