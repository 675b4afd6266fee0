use anyhow::Result;

use super::snapshot::Databases;
use super::undo::Undo;
use crate::context::Context;
use crate::dynamodb::client::DynamoDb;
use crate::engine::{self, Found};
use crate::guard::{self, Rehearsal};
use crate::poll::Look;

#[derive(Debug, clap::Args)]
pub(crate) struct Down {
    /// Remove the data of both databases too
    #[arg(long, short)]
    volumes: bool,
    #[command(flatten)]
    undo: Undo,
    #[command(flatten)]
    rehearsal: Rehearsal,
}

impl Down {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        if self.rehearsal.dry_run {
            let deeds = engine::rehearse_stop(context, self.volumes).await?;
            let deeds = if deeds.is_empty() { "do nothing".to_owned() } else { deeds.join("; ") };
            guard::rehearse(&context.ui, false, &deeds, &[]);
            return Ok(());
        }
        context.ui.stop.remedy("run the same command again: it continues from any state");
        let _lock = context.state.lock(&context.ui, "down").await?;
        if !self.volumes {
            self.keep_items(context).await?;
        }
        engine::stop(context, self.volumes).await
    }

    /// Saves a snapshot if DynamoDB keeps its tables in memory, and they hold items that no seed wrote.
    async fn keep_items(&self, context: &Context) -> Result<()> {
        let found = Found::ask(context).await?;
        if !found.engine.loses_items_at_stop() || found.servers[1].missing.is_some() {
            return Ok(());
        }
        let dynamodb = DynamoDb::new(&found.engine.dynamodb(context)?, &context.ui).await?;
        if !matches!(dynamodb.look().await, Look::Ready(())) {
            context.ui.warn("DynamoDB does not answer; its items, which are in memory, are lost");
            return Ok(());
        }
        let lost = Databases { postgres: None, dynamodb: Some(&dynamodb) };
        self.undo.keep(context, lost, "down", None).await
    }
}
