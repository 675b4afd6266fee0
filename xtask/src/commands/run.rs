use std::process::Command;

use crate::process;
use crate::targets::{DYNAMODB_URL, POSTGRES_URL, Targets};
use anyhow::{Context as _, Result};
use backend_flask::messages::TABLE_VARIABLE;

use super::{ddb, prepare};
use crate::app::{self, App};
use crate::context::Context;
use crate::services::Services;

#[derive(Debug, clap::Args)]
pub(crate) struct Run {
    /// The port on 127.0.0.1 [default: 4567, or the next free one]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// Leave the databases as they are, even if the sources changed
    #[arg(long, conflicts_with = "yes")]
    as_is: bool,
    #[command(flatten)]
    answer: prepare::Answer,
    #[command(flatten)]
    seed: ddb::SeedOptions,
}

impl Run {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        // Mistakes that need no database are reported before one is started.
        let seed = self.seed.read(&context.root)?;
        app::check_that_none_runs(context)?;
        let port = app::port(self.port, &context.ui)?;
        let app = App::at(port);
        let claim = app::claim(context, &app).await?;
        let program = app::PACKAGE.built(&context.root, &context.ui).await?;
        let work = async |services: &Services| {
            if self.as_is {
                services.both_ready(context).await?;
            } else {
                prepare::prepare(context, services, &seed, self.answer).await?;
            }
            Ok(())
        };
        let keep = async |engine| self.answer.undo.keep_at_start(context, engine, None).await;
        let (services, ()) = Services::with(context, "run", keep, work).await?;
        let targets = services.targets.clone();
        // Releases the lock: other commands may change the databases while the app runs.
        drop(services);

        context.ui.note(format_args!("\nThe app: {app} (`cargo xtask open` opens it, Ctrl-C ends it)"));
        let mut command = Command::new(program);
        for name in OWN_SETTINGS {
            command.envs(context.environment.get(name).map(|value| (name, value)));
        }
        command.args(app.arguments()).envs(settings(&targets));
        context.ui.starts(|| process::shown(&command));
        process::hand_on(&claim)?;
        process::become_program(&mut command).context("cannot run the app")
    }
}

/// Settings that the app also takes from `.env`.
const OWN_SETTINGS: [&str; 3] = ["BACKEND_LOG", "BACKEND_LOG_FORMAT", "FRONTEND_URL"];

/// The app's settings: local access, in which a request names its own user, and the addresses of the databases.
fn settings(Targets { postgres, dynamodb }: &Targets) -> [(&'static str, String); 4] {
    [
        ("BACKEND_ACCESS", "local".to_owned()),
        (POSTGRES_URL, postgres.url.clone()),
        (DYNAMODB_URL, dynamodb.endpoint().unwrap_or_default().to_owned()),
        (TABLE_VARIABLE, dynamodb.table.clone()),
    ]
}
