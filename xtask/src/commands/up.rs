use anyhow::Result;

use super::ddb;
use crate::context::Context;
use crate::services::Services;

/// Start both databases and wait until they answer
#[derive(Debug, clap::Args)]
pub(crate) struct Up {}

impl Up {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        let services = Services::start(context, "up").await?;
        let (_, client) =
            tokio::try_join!(services.postgres_ready(context), services.dynamodb_ready(context))?;
        let target = &services.targets.dynamodb;
        if !ddb::has_messages_table(target, &client).await? {
            context.ui.line(format_args!(
                "there is no table {} yet: `cargo xtask ddb-setup` sets both databases up",
                target.table
            ));
        }
        Ok(())
    }
}
