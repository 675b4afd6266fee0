use std::io::{IsTerminal as _, stdin};
use std::time::Instant;

use anyhow::{Result, ensure};

use crate::context::Context;
use crate::dynamodb::client::DynamoDb;
use crate::error::{Failure, STOPPED};
use crate::guard::{self, Rehearsal, SAFETY};
use crate::record::Contents;
use crate::services::Services;

use super::ddb;
use super::setup::{self, set_up};
use super::snapshot::Databases;
use super::undo::{MOST_UNASKED, Undo};

#[derive(Debug, clap::Args)]
pub(crate) struct Prepare {
    #[command(flatten)]
    seed: ddb::SeedOptions,
    #[command(flatten)]
    answer: Answer,
    #[command(flatten)]
    rehearsal: Rehearsal,
}

/// How to answer the question that is asked before a user's rows or items are lost.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Answer {
    /// Set up without asking, even if your rows or items are lost; the default in CI
    #[arg(long, help_heading = SAFETY)]
    yes: bool,
    #[command(flatten)]
    pub(super) undo: Undo,
}

const SAME: &str = "schema, seed and conversation are those of the last set-up";

impl Prepare {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        let seed = self.seed.read(&context.root)?;
        if self.rehearsal.dry_run {
            return rehearse(context, &seed).await;
        }
        context.ui.stop.remedy("run `cargo xtask prepare` again: it sets up what is not as the sources say");
        let work = async |services: &Services| prepare(context, services, &seed, self.answer).await;
        let keep = async |engine| self.answer.undo.keep_at_start(context, engine, None).await;
        Services::with(context, "prepare", keep, work).await.map(|_| ())
    }
}

/// Sets both databases up, unless they match the sources.
pub(super) async fn prepare(
    context: &Context,
    services: &Services,
    seed: &ddb::Seed,
    answer: Answer,
) -> Result<()> {
    let (started, targets) = (Instant::now(), &services.targets);
    let sources = setup::sources(context, targets, seed)?;
    let ready = services.both_ready(context).await?;
    let contents = Contents::read(Some(&targets.postgres), Some(&ready.1)).await?;
    let changes = contents.changes(&sources);
    if changes.is_empty() {
        context.ui.note(format_args!("{SAME}: nothing to do"));
        return Ok(());
    }
    context.ui.note(format_args!("the databases do not match the sources: {}", changes.join("; ")));
    match user_data(&contents) {
        Some(mut loss) => {
            if answer.undo.saves(&contents) {
                loss += " (saved first as snapshot before-prepare)";
            }
            ask(context, &loss, answer).await?;
        }
        None => context.ui.note(format_args!("setting both databases up again{}", replaced(&contents))),
    }
    let lost = Databases { postgres: Some(&targets.postgres), dynamodb: Some(&ready.1) };
    answer.undo.keep(context, lost, "prepare", None).await?;
    let counts = set_up(context, &targets.postgres, seed, sources, ready).await?;
    setup::summary(context, None, targets, counts, started.elapsed());
    Ok(())
}

/// Prints what `prepare` would do. Starts no database, so one that does not run is not read.
async fn rehearse(context: &Context, seed: &ddb::Seed) -> Result<()> {
    let would = match context.databases(false).await {
        Err(error) => {
            context.ui.line(format_args!("the databases cannot be asked: {error:#}"));
            "start them, and set them up again if they do not match the sources".to_owned()
        }
        Ok(targets) => {
            let dynamodb = DynamoDb::new(&targets.dynamodb, &context.ui).await?;
            let contents = Contents::read(Some(&targets.postgres), Some(&dynamodb)).await?;
            match &contents.changes(&setup::sources(context, &targets, seed)?)[..] {
                [] => format!("change nothing: {SAME}"),
                changes => {
                    let loss = user_data(&contents).map(|loss| format!(", and lose {loss}"));
                    let loss = loss.unwrap_or_else(|| replaced(&contents));
                    format!("set both databases up again{loss}: {}", changes.join("; "))
                }
            }
        }
    };
    guard::rehearse(&context.ui, false, &would, &[]);
    Ok(())
}

/// What a new set-up would lose, if the user must be asked: data that no seed wrote, or so much that seeding it again
/// takes long.
fn user_data(contents: &Contents) -> Option<String> {
    let is_large = contents.counts().iter().sum::<i64>() > MOST_UNASKED;
    contents.described().filter(|_| is_large || contents.may_hold_user_data())
}

/// The part of a sentence about rows and items that only seeds wrote.
fn replaced(contents: &Contents) -> String {
    contents.described().map_or(String::new(), |seeded| format!(" in place of {seeded}, which seeds wrote"))
}

/// Asks whether the databases may be set up again, although that loses rows or items.
async fn ask(context: &Context, loss: &str, answer: Answer) -> Result<()> {
    if answer.yes || context.environment.is_ci() {
        return Ok(());
    }
    if !stdin().is_terminal() {
        let problem = format!(
            "setting both databases up again would lose {loss}, and stdin is not a terminal to ask on"
        );
        let remedy =
            "add --yes to set them up again; `cargo xtask run --as-is` runs the app with what is there";
        return Err(Failure::refused(problem, remedy).into());
    }
    let question = format!("Set both databases up again, and lose {loss}? [y/N]");
    let typed = guard::ask(&context.ui, &question).await?;
    ensure!(["y", "yes"].contains(&typed.to_lowercase().as_str()), STOPPED);
    Ok(())
}
