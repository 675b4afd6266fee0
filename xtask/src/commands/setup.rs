use anyhow::Result;
use aws_sdk_dynamodb::Client;

use super::{db, ddb};
use crate::context::Context;
use crate::services::Services;
use crate::target::Targets;
use crate::ui::seconds;

/// Start both databases, set up Postgres, then DynamoDB: from nothing to two seeded databases
#[derive(Debug, clap::Args)]
pub(crate) struct Setup {
    #[command(flatten)]
    seed: ddb::SeedOptions,
}

impl Setup {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        let started = std::time::Instant::now();
        // What is wrong with the conversation is said before anything is started or dropped.
        let seed = self.seed.read()?;
        let services = Services::start(context, "ddb-setup").await?;
        // DynamoDB boots while Postgres is set up; its own steps come after Postgres's.
        let ((people, counts), client) =
            tokio::try_join!(postgres(context, &services, &seed), services.dynamodb_ready(context))?;
        let items = dynamodb(context, &services, &client, &seed, people).await?;
        summary(context, &services, counts, items);
        context.ui.line(format_args!("Both databases are set up, in {}.", seconds(started.elapsed())));
        Ok(())
    }
}

/// Postgres's steps. Returns the two users of the conversation, and how many users and activities there are.
async fn postgres(
    context: &Context,
    services: &Services,
    seed: &ddb::Seed,
) -> Result<(ddb::People, [i64; 2])> {
    let maintenance = services.postgres_ready(context).await?;
    let mut connection = db::setup(&context.ui, maintenance, &services.targets.postgres).await?;
    let people = seed.people(&mut connection).await?;
    let counts = db::counts(&mut connection).await?;
    Ok((people, counts))
}

/// DynamoDB's steps.
async fn dynamodb(
    context: &Context,
    services: &Services,
    client: &Client,
    seed: &ddb::Seed,
    people: ddb::People,
) -> Result<usize> {
    let target = &services.targets.dynamodb;
    ddb::drop_if_exists(&context.ui, target, client, &target.table).await?;
    ddb::schema_load(&context.ui, target, client).await?;
    seed.write(&context.ui, target, client, people, ddb::Table::Empty).await
}

fn summary(context: &Context, services: &Services, [users, activities]: [i64; 2], items: usize) {
    let Targets { postgres, dynamodb } = &services.targets;
    let endpoint = dynamodb.endpoint().unwrap_or_default();
    let ui = &context.ui;
    ui.line(format_args!("\n  Postgres   {postgres}: {users} users, {activities} activities"));
    ui.line(format_args!("  DynamoDB   {endpoint}, table {}: {items} items", dynamodb.table));
    ui.line("  settings   eval \"$(cargo xtask env)\"\n");
}
