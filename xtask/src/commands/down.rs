use anyhow::Result;

use crate::context::Context;
use crate::engine;
use crate::guard::{self, Rehearsal};

#[derive(Debug, clap::Args)]
pub(crate) struct Down {
    /// Remove the data of both databases too
    #[arg(long, short)]
    volumes: bool,
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
        engine::stop(context, self.volumes).await
    }
}
