use anyhow::Result;

use super::undo::Undo;
use crate::app;
use crate::context::Context;
use crate::engine;
use crate::guard::{self, Rehearsal};

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
        context.ui.stop.remedy("run the same command again: it continues from any state");
        let _lock = context.lock(self.rehearsal.dry_run, "down").await?;
        let engines = engine::to_stop(context, self.volumes).await?;
        // `--volumes` asks for the loss.
        let losing = engines.iter().filter(|_| !self.volumes).map(|name| context.on(*name));
        if self.rehearsal.dry_run {
            let mut deeds = Vec::new();
            for context in losing {
                let saved = self.undo.lost_from_memory(&context).await?;
                deeds.extend(saved.map(|items| format!("save {items} as snapshot before-down")));
            }
            deeds.extend(engine::rehearse_stop(context, &engines, self.volumes).await?);
            let deeds = if deeds.is_empty() { "do nothing".to_owned() } else { deeds.join("; ") };
            guard::rehearse(&context.ui, false, &deeds, &[]);
            return Ok(());
        }
        for context in losing {
            self.undo.keep_memory(&context, "down", None).await?;
        }
        engine::stop(context, &engines, self.volumes).await?;
        if let Ok(app) = app::running(context) {
            context.ui.warn(format_args!(
                "the app still runs at {app}, and would use other databases that take their ports: end it with Ctrl-C"
            ));
        }
        Ok(())
    }
}
