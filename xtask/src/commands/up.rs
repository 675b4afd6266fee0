use anyhow::Result;

use super::ddb;
use super::undo::Undo;
use crate::context::Context;
use crate::services::Services;

#[derive(Debug, clap::Args)]
pub(crate) struct Up {
    #[command(flatten)]
    undo: Undo,
}

impl Up {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        context.ui.stop.remedy("run `cargo xtask up` again: it continues from any state");
        let keep = async |engine| self.undo.keep_at_start(context, engine, None).await;
        let ready = async |services: &Services| services.both_ready(context).await;
        let (_services, (_, dynamodb)) = Services::with(context, "up", keep, ready).await?;
        if !ddb::has_messages_table(&dynamodb).await? {
            let table = &dynamodb.target.table;
            context.ui.note(format_args!(
                "there is no table {table} yet: `cargo xtask prepare` sets both databases up"
            ));
        }
        Ok(())
    }
}
