use crate::docker::compose::Compose;
use crate::docker::daemon::Docker;
use anyhow::Result;

use crate::context::Context;
use crate::engine::{Engine, EngineName, docker, embedded};

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
        let state = context.state.read(ui)?;
        let is_guess = context.engine.named().is_none() && state.engine.is_none();
        match context.engine_by(&state)? {
            Engine::External => {
                ui.line("engine external: nothing was started here, so there is nothing to stop");
                Ok(())
            }
            Engine::Embedded(_) => self.embedded(context).await,
            // Nothing is remembered: what is there of either engine goes.
            Engine::Docker(compose) if is_guess => {
                self.embedded(context).await?;
                match Docker::find(&context.environment).await {
                    Ok(client) => self.docker(context, &client, &compose).await,
                    Err(_) => Ok(()),
                }
            }
            Engine::Docker(compose) => {
                // What was started there before Docker's, nobody else would stop.
                if context.engine.named().is_none() && embedded::runs_any(&context.state) {
                    self.embedded(context).await?;
                }
                self.docker(context, &Docker::find(&context.environment).await?, &compose).await
            }
        }
    }

    async fn docker(&self, context: &Context, client: &Docker, compose: &Compose) -> Result<()> {
        let ui = &context.ui;
        let project = &compose.project;
        if docker::is_of_another_checkout(client, compose).await? {
            ui.line(format_args!(
                "project {project} is another checkout's: there is nothing of this one's to stop"
            ));
            return self.forget(context, EngineName::Docker);
        }
        if !docker::remove(client, compose, ui).await? {
            ui.line(format_args!("project {project}: no containers"));
        }
        if self.volumes {
            for service in compose.services() {
                for name in docker::remove_volumes(client, compose, service).await? {
                    ui.line(format_args!("removed volume {name} and its data"));
                }
            }
        }
        self.forget(context, EngineName::Docker)
    }

    async fn embedded(&self, context: &Context) -> Result<()> {
        if !embedded::stop(&context.state, &context.ui).await? {
            context.ui.line("engine embedded: nothing was running");
        }
        if self.volumes {
            embedded::remove_data(&context.state, &context.ui).await?;
        }
        self.forget(context, EngineName::Embedded)
    }

    /// What is not running has no port; what has no data is nothing to be careful with.
    fn forget(&self, context: &Context, engine: EngineName) -> Result<()> {
        let mut state = context.state.read(&context.ui)?;
        if state.engine == Some(engine) {
            state.engine = None;
        }
        state.ports.remove(&engine);
        if self.volumes && engine == EngineName::Docker {
            state.project = None;
            state.unproven_postgres = None;
        }
        context.state.write(&state)
    }
}
