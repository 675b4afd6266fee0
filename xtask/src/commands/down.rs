use anyhow::Result;

use crate::context::Context;
use crate::docker::Docker;
use crate::engine::{Engine, docker, embedded};

/// Stop both databases; their data stays
#[derive(Debug, clap::Args)]
pub(crate) struct Down {
    /// Remove the data too
    #[arg(long, short)]
    volumes: bool,
}

impl Down {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        let ui = &context.ui;
        ui.stop.remedy("run the same command again: it goes on with whatever it finds");
        let _lock = context.state.lock(ui, "down").await?;
        let engine = context.engine()?;
        match &engine {
            Engine::External => {
                ui.line("engine external: nothing was started here, so there is nothing to stop")
            }
            Engine::Docker(compose) => {
                let client = Docker::find(&context.environment).await?;
                if !docker::remove(&client, compose, ui).await? {
                    ui.line(format_args!("project {}: no containers", compose.project));
                }
                if self.volumes {
                    for service in compose.services() {
                        for name in docker::remove_volumes(&client, compose, service).await? {
                            ui.line(format_args!("removed volume {name} and its data"));
                        }
                    }
                }
            }
            Engine::Embedded(_) => {
                if !embedded::stop(&context.state, ui).await? {
                    ui.line("engine embedded: nothing was running");
                }
                if self.volumes {
                    embedded::remove_data(&context.state, ui)?;
                }
            }
        }
        self.forget(context, &engine)
    }

    /// What is not running has no port; what has no data is nothing to be careful with.
    fn forget(&self, context: &Context, engine: &Engine) -> Result<()> {
        let mut state = context.state.read(&context.ui)?;
        if state.engine == Some(engine.name()) {
            state.engine = None;
        }
        state.ports.remove(&engine.name());
        if self.volumes && matches!(engine, Engine::Docker(_)) {
            state.project = None;
            state.postgres_is_unproven = false;
        }
        context.state.write(&state)
    }
}
