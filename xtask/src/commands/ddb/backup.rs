//! Makes an on-demand backup of a table before it is dropped.
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/backuprestore_HowItWorks.html>

use std::io::{IsTerminal as _, stdin};
use std::time::Duration;

use crate::dynamodb::client::{DynamoDb, once};
use crate::dynamodb::error::RequestError;
use crate::error::Failure;
use crate::poll::{self, Look};
use crate::ui::Ui;
use anyhow::{Context as _, Result, ensure};
use aws_sdk_dynamodb::types::{BackupDetails, BackupStatus};

use crate::guard::{self, SAFETY};

/// AWS makes a backup without reading the table, usually within seconds.
const BACKUP_BOUND: Duration = Duration::from_secs(1_800);

const INTERVAL: Duration = Duration::from_secs(1);

/// Printed when stdin is not a terminal.
pub(super) const NO_BACKUP: &str = "no backup is made first: `--backup NAME` makes one";

/// Whether to make a backup before the table is dropped.
#[derive(Debug, clap::Args)]
pub(super) struct BackupOptions {
    /// With --prod: make an on-demand backup of this name first
    #[arg(long, value_name = "NAME", requires = "prod", help_heading = SAFETY)]
    backup: Option<String>,
    /// With --prod: make none, and do not ask
    #[arg(long, requires = "prod", conflicts_with = "backup", help_heading = SAFETY)]
    no_backup: bool,
}

impl BackupOptions {
    pub(super) fn named(&self) -> Option<&str> {
        self.backup.as_deref()
    }

    /// Whether to ask for a name. A script is not asked: it passes `confirmed`, the name given to --confirm.
    pub(super) fn asks(&self, confirmed: Option<&str>) -> bool {
        self.backup.is_none() && !self.no_backup && confirmed.is_none() && stdin().is_terminal()
    }

    /// A hint if no option mentions a backup and nobody can be asked; otherwise empty.
    pub(super) fn hint(&self, confirmed: Option<&str>) -> &'static str {
        if self.backup.is_some() || self.no_backup || self.asks(confirmed) { "" } else { NO_BACKUP }
    }

    /// The backup's name, from the options or from the user.
    pub(super) async fn name(&self, ui: &Ui, confirmed: Option<&str>) -> Result<Option<String>> {
        if !self.asks(confirmed) {
            return Ok(self.backup.clone());
        }
        let answer =
            guard::ask(ui, "Type a name for a backup to make first, or nothing to go on without:").await?;
        Ok(Some(answer).filter(|name| !name.is_empty()))
    }
}

/// Makes a backup and waits until a table can be restored from it.
pub(super) async fn make(dynamodb: &DynamoDb, table: &str, name: &str) -> Result<()> {
    let work = async {
        let create = dynamodb.client.create_backup().table_name(table).backup_name(name);
        let send = async || create.clone().customize().config_override(once()).send().await;
        let created = dynamodb.send(send).await.map_err(|error| refused(dynamodb, table, error))?;
        available(dynamodb, created.backup_details.context(NO_DETAILS)?).await
    };
    dynamodb.ui.run(format!("DynamoDB: make backup {name} of {table}"), work).await
}

const NO_DETAILS: &str = "the server did not describe the backup";

async fn available(dynamodb: &DynamoDb, mut details: BackupDetails) -> Result<()> {
    let describe = dynamodb.client.describe_backup().backup_arn(details.backup_arn());
    poll::until_ready(BACKUP_BOUND, INTERVAL, async || {
        if *details.backup_status() == BackupStatus::Creating {
            let described = dynamodb.send(async || describe.clone().send().await).await;
            let described = described.and_then(|answer| {
                answer.backup_description.and_then(|backup| backup.backup_details).context(NO_DETAILS)
            });
            match described {
                Ok(described) => details = described,
                Err(error) => return Look::Failed(error),
            }
        }
        match details.backup_status() {
            BackupStatus::Available => Look::Ready(()),
            BackupStatus::Creating => Look::NotYet("the backup is still being made".to_owned()),
            status => Look::Failed(anyhow::anyhow!("the backup is {status}")),
        }
    })
    .await
}

fn refused(dynamodb: &DynamoDb, table: &str, error: anyhow::Error) -> anyhow::Error {
    let Some(code) = RequestError::code_of(&error) else { return error };
    let remedy = match code {
        "UnknownOperationException" => format!(
            "this server makes no backups: keep the items with `cargo xtask ddb export FILE --table {table} --prod`, \
             then drop the table with --no-backup"
        ),
        _ => "nothing was dropped".to_owned(),
    };
    let problem = format!("{} refuses to make a backup of table {table}", dynamodb.target);
    Failure::new(problem, remedy).caused_by(format!("{error:#}")).into()
}

/// Fails if a backup cannot have this name.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_CreateBackup.html>
pub(super) fn check_name(name: &str) -> Result<()> {
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    ensure!(
        (3..=255).contains(&name.len()) && name.bytes().all(is_good),
        "`{name}` cannot be a backup's name: 3 to 255 letters, digits, `_`, `.` and `-`"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_the_api_takes_them() {
        for name in ["abc", "before-drop_1.2", &"a".repeat(255)] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in ["ab", "", "a b c", "abcé", &"a".repeat(256)] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
