//! Saves the databases as a snapshot.

use std::fs::File;
use std::path::Path;

use anyhow::{Context as _, Result};
use backend_flask::time;
use chrono::Utc;
use postgres::Client;

use super::described;
use crate::commands::ddb::{has_messages_table, write_file};
use crate::context::Context;
use crate::dynamodb::client::DynamoDb;
use crate::dynamodb::files::{Compression, FileForm, Notation};
use crate::engine::Engine;
use crate::error::{Failure, PREPARE};
use crate::postgres::client::PostgresClient;
use crate::postgres::target::readable;
use crate::record::Rows;
use crate::snapshot::{Dump, Items, Manifest, Snapshot, Snapshots};
use crate::targets::PostgresTarget;
use crate::text::counted;

/// The databases that a snapshot covers: both, or only the one that is about to lose data.
#[derive(Clone, Copy)]
pub(in crate::commands) struct Databases<'a> {
    pub(in crate::commands) postgres: Option<&'a PostgresTarget>,
    pub(in crate::commands) dynamodb: Option<&'a DynamoDb>,
}

/// Saves the databases as snapshot `name`, completely or not at all. The caller must hold the checkout's lock. With
/// `rotate`, the two newest snapshots of that name are kept under other names.
pub(in crate::commands) async fn save(
    context: &Context,
    engine: &Engine,
    stores: Databases<'_>,
    name: &str,
    rotate: bool,
) -> Result<()> {
    let snapshots = Snapshots::of(&context.state);
    let (folder, snapshot) = snapshots.begin()?;
    let dumped = async {
        match stores.postgres {
            Some(postgres) => dump(context, engine, postgres, &snapshot.dump()).await,
            None => Ok(None),
        }
    };
    let exported = async {
        match stores.dynamodb {
            Some(dynamodb) => export(dynamodb, &snapshot.items(&dynamodb.target.table)).await,
            None => Ok(None),
        }
    };
    let (postgres, items) = tokio::try_join!(dumped, exported)?;
    if postgres.is_none() && items.is_none() {
        let problem = "neither the Postgres database nor the messages table exists; nothing was saved";
        return Err(Failure::new(problem, PREPARE).into());
    }
    let manifest =
        Manifest { saved: time::format(Utc::now()), engine: engine.name(), postgres, dynamodb: items };
    snapshot.write_manifest(&manifest)?;
    let bytes = snapshot.bytes();
    if rotate {
        snapshots.rotate(name)?;
    }
    snapshots.finish(folder, name)?;
    context.ui.note(format_args!("saved {}, {bytes} bytes", described(name, &manifest)));
    Ok(())
}

/// Dumps the Postgres database, if it exists.
async fn dump(
    context: &Context,
    engine: &Engine,
    target: &PostgresTarget,
    path: &Path,
) -> Result<Option<Dump>> {
    let Some(mut connection) = target.connect_if_there().await? else { return Ok(None) };
    let dump = async {
        let begin = |client: &mut Client| {
            client.batch_execute("begin isolation level repeatable read read only").map_err(readable)?;
            let row = client.query_typed_one("select pg_export_snapshot()", &[]).map_err(readable)?;
            Ok((row.try_get::<_, String>(0)?, version(client)?, Rows::read(client)?))
        };
        // pg_dump shares this transaction's view only while the transaction is open.
        let (exported, version, rows) = connection.with(begin).await?;
        let arguments =
            ["--format=custom", "--encoding=UTF8", "--no-owner", "--no-privileges", "--lock-wait-timeout=5s"];
        let mut arguments: Vec<_> = arguments.map(str::to_owned).into();
        arguments.push(format!("--snapshot={exported}"));
        let output = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
        let client = PostgresClient { program: "pg_dump", arguments, input: None, output: Some(output) };
        engine.run_client(context, target, client).await?;
        drop(connection);
        let sha256 = Snapshot::sum(path)?;
        Ok(Some(Dump { version, sha256, rows: rows.counts(), record: rows.record }))
    };
    context.ui.run(format!("Postgres: dump {target}"), dump).await
}

pub(super) fn version(client: &mut Client) -> Result<String> {
    let row = client.query_typed_one("select current_setting('server_version')", &[]).map_err(readable)?;
    Ok(row.try_get(0)?)
}

/// Exports the items of the messages table to a file, if the table exists.
async fn export(dynamodb: &DynamoDb, path: &Path) -> Result<Option<Items>> {
    let table = &dynamodb.target.table;
    if !has_messages_table(dynamodb).await? {
        return Ok(None);
    }
    let step = dynamodb.ui.step(format!("DynamoDB: export {table}"));
    let form = FileForm { is_csv: false, compression: Compression::Zstd };
    let exported = write_file(dynamodb, table, path, form, Notation::Typed, &step).await;
    let (response, _) = step.ended(exported, |(response, _)| counted(response.count, "item", "items"))?;
    Ok(Some(Items { table: table.clone(), sha256: Snapshot::sum(path)?, count: response.count }))
}
