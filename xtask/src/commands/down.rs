use anyhow::Result;

use crate::context::Context;
use crate::engine;

#[derive(Debug, clap::Args)]
pub(crate) struct Down {
    /// Remove the data of both databases too
    #[arg(long, short)]
    volumes: bool,
}

impl Down {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        context.ui.stop.remedy("run the same command again: it goes on with whatever it finds");
        let _lock = context.state.lock(&context.ui, "down").await?;
        engine::stop(context, self.volumes).await
    }
}
