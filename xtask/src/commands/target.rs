//! The options that all `db` and `ddb` commands share: local or production databases, and dry run.

use anyhow::Result;

use crate::context::Context;
use crate::facts::Facts;
use crate::guard::{self, Rehearsal, SAFETY};
use crate::output::Output;
use crate::state::Lock;

/// The heading of the options that say which database and table.
pub(super) const WHERE: &str = "Where";

/// Local or production databases.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Target {
    /// Production: PROD_CONNECTION_URL, and AWS's credentials and region
    #[arg(long, help_heading = WHERE)]
    pub(super) prod: bool,
}

/// The same, for a command that prints rows or names.
#[derive(Debug, clap::Args)]
pub(crate) struct Reading {
    #[command(flatten)]
    pub(super) output: Output,
    #[command(flatten)]
    pub(super) target: Target,
}

/// The same, for a command that writes.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Writing {
    #[command(flatten)]
    pub(super) target: Target,
    #[command(flatten)]
    pub(super) rehearsal: Rehearsal,
}

/// The same, for a command that destroys or overwrites.
#[derive(Debug, clap::Args)]
pub(crate) struct Guarded {
    #[command(flatten)]
    pub(super) writing: Writing,
    /// With --prod: the name of the database or table, instead of typing it
    #[arg(long, value_name = "NAME", requires = "prod", help_heading = SAFETY)]
    pub(super) confirm: Option<String>,
}

impl Writing {
    pub(super) async fn lock(self, context: &Context, doing: &str) -> Result<Option<Lock>> {
        context.lock(self.target.prod || self.rehearsal.dry_run, doing).await
    }
}

impl Guarded {
    pub(super) async fn lock(&self, context: &Context, doing: &str) -> Result<Option<Lock>> {
        self.writing.lock(context, doing).await
    }

    /// Whether the target is shown in full first: for production and for dry runs.
    pub(super) fn shows(&self) -> bool {
        self.is_production() || self.is_rehearsal()
    }

    pub(super) fn is_production(&self) -> bool {
        self.writing.target.prod
    }

    pub(super) fn is_rehearsal(&self) -> bool {
        self.writing.rehearsal.dry_run
    }

    /// Shows the targets, and asks if necessary. Returns whether to go on.
    pub(super) async fn pass(
        &self,
        context: &Context,
        deed: &str,
        facts: &[Facts],
        name: &str,
        hint: &str,
    ) -> Result<bool> {
        if self.is_rehearsal() {
            guard::rehearse(&context.ui, self.is_production(), deed, facts);
            return Ok(false);
        }
        if self.is_production() {
            guard::pass(&context.ui, deed, facts, name, hint, self.confirm.as_deref()).await?;
        }
        Ok(true)
    }
}
