use crate::docker::compose::{Compose, Service};
use crate::docker::daemon::{Docker, State};
use crate::poll::Look;
use anyhow::Result;
use serde_json::{Value, json};

use crate::context::Context;
use crate::engine::embedded::Running;
use crate::engine::own::{Evidence, Own};
use crate::engine::{Engine, docker};
use crate::output;

#[derive(Debug, clap::Args)]
pub(crate) struct Status {}

impl Status {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        let Own { engine, missing, .. } = Own::find(context, Evidence::Sight).await?;
        let targets = engine.targets(context)?;
        let runs_in = match &engine {
            Engine::External => [json!("elsewhere"), json!("elsewhere")],
            Engine::Embedded(_) => processes(context),
            Engine::Docker(compose) => containers(context, compose).await?,
        };
        let wire = targets.dynamodb.wire(&context.ui).await?;
        let [postgres, dynamodb] = missing;
        let answers: [String; 2] =
            tokio::join!(answer(postgres, targets.postgres.look()), answer(dynamodb, wire.look())).into();
        let addresses =
            [targets.postgres.to_string(), targets.dynamodb.endpoint().unwrap_or_default().to_owned()];
        let rows = ["postgres", "dynamodb"].into_iter().zip(runs_in).zip(addresses).zip(answers);
        let rows = rows.map(|(((service, runs_in), address), answer)| {
            vec![json!(service), json!(engine.name().to_string()), runs_in, json!(address), json!(answer)]
        });
        output::print_rows(
            context.format,
            &["service", "engine", "runs_in", "address", "answer"],
            rows.collect(),
        )
    }
}

/// A word for a database's answer, or why there is none. Whoever may answer where it is missing is another.
async fn answer<T>(missing: Option<String>, look: impl Future<Output = Look<T>>) -> String {
    if let Some(why) = missing {
        return format!("none: {why}");
    }
    match look.await {
        Look::Ready(_) => "ready".to_owned(),
        Look::NotYet(reason) | Look::Nobody(reason) => format!("none: {reason}"),
        Look::Failed(error) => format!("refused: {error:#}"),
    }
}

/// Each service's process.
fn processes(context: &Context) -> [Value; 2] {
    let Ok(folder) = context.state.canonical() else { return [json!("none"), json!("none")] };
    let Running { postgres, dynamodb, .. } = Running::find(&folder);
    [postgres, dynamodb]
        .map(|process| json!(process.map_or("none".to_owned(), |process| process.to_string())))
}

/// Each service's container and its state.
async fn containers(context: &Context, compose: &Compose) -> Result<[Value; 2]> {
    let docker = Docker::find(&context.environment).await?;
    let [postgres, dynamodb] = compose.services().map(|service| container(&docker, compose, service));
    let (postgres, dynamodb) = tokio::try_join!(postgres, dynamodb)?;
    Ok([postgres, dynamodb])
}

async fn container(docker: &Docker, compose: &Compose, service: &Service) -> Result<Value> {
    let Some(container) = docker::own_container(docker, compose, service).await? else {
        return Ok(json!("none"));
    };
    let state = match container.state {
        State::Running => "running",
        State::Paused => "paused",
        State::Stopped => "stopped",
        State::Unusable => "unusable",
    };
    let outdated = container.outdated.map(|what| format!(", {what} changed")).unwrap_or_default();
    Ok(json!(format!("{} ({state}{outdated})", container.name)))
}
