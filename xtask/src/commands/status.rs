use anyhow::Result;
use serde_json::json;

use super::ddb;
use crate::app;
use crate::context::Context;
use crate::dynamodb::client::DynamoDb;
use crate::engine::{self, Found};
use crate::error::{Failure, PREPARE};
use crate::output::{self, Output};
use crate::poll::Look;

pub(crate) async fn status(context: &Context, output: Output) -> Result<()> {
    let Found { engine, servers: [postgres, dynamodb] } = Found::ask(context).await?;
    let targets = engine.targets(context)?;
    let client = DynamoDb::new(&targets.dynamodb, &context.ui).await?;
    let database = async {
        let there = targets.postgres.connect_if_there().await?;
        let name = targets.postgres.database();
        Ok(there.is_none().then(|| format!("there is no database {name}: {PREPARE}")))
    };
    let table = async {
        let there = ddb::has_messages_table(&client).await?;
        let name = &client.target.table;
        Ok((!there).then(|| format!("there is no table {name}: {PREPARE}")))
    };
    let is_missing = [&postgres, &dynamodb].map(|server| server.missing.is_some());
    let (postgres_answer, dynamodb_answer) = tokio::join!(
        answer(postgres.missing, targets.postgres.look(), database),
        answer(dynamodb.missing, client.look(), table)
    );
    let endpoint = targets.dynamodb.endpoint().unwrap_or_default().to_owned();
    let starts_servers = engine.starts_servers();
    let runs = |missing: bool, answer: &String| answer.starts_with(READY) || (starts_servers && !missing);
    let mut is_up = runs(is_missing[0], &postgres_answer) || runs(is_missing[1], &dynamodb_answer);
    let row = |service: &str, runs_in: String, address: String, answer: String| {
        [service.to_owned(), engine.name().to_string(), runs_in, address, answer]
            .map(|cell| json!(cell))
            .to_vec()
    };
    let mut rows = vec![
        row("postgres", postgres.runs_in, targets.postgres.to_string(), postgres_answer),
        row("dynamodb", dynamodb.runs_in, endpoint, dynamodb_answer),
    ];
    if let Ok(app) = app::running(context) {
        is_up = true;
        let answer =
            app.answers().await.map_or_else(|error| format!("none: {error:#}"), |()| READY.to_owned());
        rows.push(["app", "", "this machine", &app.to_string(), &answer].map(|cell| json!(cell)).to_vec());
    }
    output::print_rows(output, &["service", "engine", "runs_in", "address", "answer"], rows)?;
    for (name, databases) in engine::running_beside(context, engine.name()).await? {
        is_up = true;
        context.ui.note(format_args!(
            "engine {name} runs this checkout's {databases} too: `cargo xtask down --engine {name}` stops them"
        ));
    }
    if is_up {
        return Ok(());
    }
    Err(Failure::new("nothing runs", "start the databases with `cargo xtask up`").into())
}

const READY: &str = "ready";

/// The word for a server's answer and what it lacks, or why it did not answer. If our server is missing, its port is
/// not probed: another program would answer.
async fn answer<T>(
    missing: Option<String>,
    look: impl Future<Output = Look<T>>,
    lacks: impl Future<Output = Result<Option<String>>>,
) -> String {
    if let Some(why) = missing {
        return format!("none: {why}");
    }
    match look.await {
        Look::Ready(_) => match lacks.await {
            Ok(None) => READY.to_owned(),
            Ok(Some(what)) => format!("{READY}; {what}"),
            Err(error) => format!("refused: {error:#}"),
        },
        Look::NotYet(reason) | Look::Nobody(reason) => format!("none: {reason}"),
        Look::Failed(error) => format!("refused: {error:#}"),
    }
}
