//! The template database that each test's database is a copy of.
//!
//! Its name contains the day and a fingerprint of schema and seed. The day matters because the seed's times are
//! relative to its loading: in a week-old template, activities would have expired.

use anyhow::{Context as _, Result};
use backend_flask::sql;
use chrono::{Days, Utc};
use sha2::{Digest as _, Sha256};
use tokio_postgres::Client;

use crate::servers::{MAINTENANCE_DATABASE, Servers};

const SCHEMA: &str = include_str!("../../../backend-flask-rs/db/schema.sql");
const SEED: &str = include_str!("../../../backend-flask-rs/db/seed.sql");

const PREFIX: &str = "cruddur_template_";

/// The template for tests that begin today.
pub(crate) fn name() -> String {
    named(0, &[SCHEMA, SEED])
}

/// Templates with smaller names are dropped. Yesterday's stay, because tests that began yesterday may still run.
pub(crate) fn oldest() -> String {
    named(1, &[])
}

fn named(days_ago: u64, scripts: &[&str]) -> String {
    let day = Utc::now().date_naive() - Days::new(days_ago);
    let mut name = format!("{PREFIX}{}", day.format("%Y%m%d"));
    if !scripts.is_empty() {
        let digest = scripts.iter().fold(Sha256::new(), |digest, script| digest.chain_update(script));
        let digest: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        name += &format!("_{}", &digest[..12]);
    }
    name
}

/// Makes the template unless it exists. The process that makes it holds its lock; others wait.
pub(crate) async fn make(servers: &Servers, session: &Client, name: &str) -> Result<()> {
    if is_whole(session, name).await? {
        return Ok(());
    }
    // In a separate session, because the shared one could take the same lock twice.
    let (turn, _) = servers.connect(MAINTENANCE_DATABASE).await?;
    turn.execute("select pg_advisory_lock(hashtextextended($1, 0))", &[&name]).await?;
    if is_whole(&turn, name).await? {
        return Ok(());
    }
    let made = async {
        // A killed process may have left an incomplete template.
        turn.batch_execute(&sql::drop_database(name)).await?;
        turn.batch_execute(&sql::create_database(name)).await?;
        let (template, served) = servers.connect(name).await?;
        for (script, text) in [("schema.sql", SCHEMA), ("seed.sql", SEED)] {
            let text = text.trim_start_matches('\u{feff}');
            template.batch_execute(text).await.with_context(|| format!("cannot load {script}"))?;
        }
        drop(template);
        served.await?;
        // This marks the template as complete. It also prevents connections, with which it could not be copied.
        let close = format!("alter database {name} with allow_connections false");
        anyhow::Ok(turn.batch_execute(&close).await?)
    };
    made.await.with_context(|| format!("cannot make the template database {name}"))
}

async fn is_whole(session: &Client, name: &str) -> Result<bool> {
    let sql = "select from pg_database where datname = $1 and not datallowconn";
    Ok(session.query_opt(sql, &[&name]).await?.is_some())
}
