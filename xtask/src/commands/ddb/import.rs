mod journal;
mod records;
mod rejected;
mod rules;

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::dynamodb::files::{FileForm, ItemFile, Notation, Position, Record};
use crate::dynamodb::items::{Written, counted};
use crate::dynamodb::table::TableDescription;
use crate::dynamodb::wire::Wire;
use crate::dynamodb::write;
use crate::error::{Failure, Interrupted, Usage};
use crate::ui::{Rate, Step};
use anyhow::{Context as _, Result};

use self::journal::{Journal, Progress};
use self::records::Records;
use self::rejected::rejected_file;
use self::rules::Rules;
use super::Guarded;
use crate::context::Context;

/// How often it is remembered how far an import is.
const REMEMBERED_EVERY: Duration = Duration::from_millis(500);

#[derive(Debug, clap::Args)]
pub(crate) struct Import {
    /// The file
    file: PathBuf,
    /// The table's name [default: the messages table]
    table: Option<String>,
    /// The lines are plain JSON [default: as the first line is]
    #[arg(long)]
    plain: bool,
    /// The lines are DynamoDB JSON [default: as the first line is]
    #[arg(long, conflicts_with = "plain")]
    dynamodb_json: bool,
    /// Go on after a line that cannot be imported, and put it into FILE.rejected
    #[arg(long)]
    reject: bool,
    /// From the beginning, also where an interrupted import of this file would go on
    #[arg(long)]
    restart: bool,
    #[command(flatten)]
    guarded: Guarded,
}

impl Import {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        let shown = self.file.display().to_string();
        // What is wrong with the file is said before anything is asked or changed.
        FileForm::of(&self.file).map_err(|error| Usage(error.to_string()))?;
        drop(self.open(Position::default())?);
        if self.guarded.is_rehearsal() {
            return self.rehearse(context).await;
        }
        context.ui.stop.remedy("run the same command again: it goes on where it was");
        let _lock = self.guarded.lock(context, "ddb import").await?;
        let deed = "import into the table, over its items";
        let Some(target) = self.guarded.resolve(context, deed, self.table.as_deref()).await? else {
            return Ok(());
        };
        let table = self.table.as_ref().unwrap_or(&target.table);
        let wire = target.wire(&context.ui).await?;
        let description = TableDescription::read(&wire, table).await?;
        let rules = Rules::of(&description)?;
        let journal = Journal::of(&context.state, &self.file, &target.to_string(), &description)?;
        let begun = if self.restart { None } else { journal.read() };
        if let Some(begun) = &begun {
            let Progress { position, .. } = begun;
            context.ui.line(format_args!(
                "going on after line {} of {shown}, where an import was interrupted; --restart begins anew",
                position.lines
            ));
        }
        let step = context.ui.step(format!("DynamoDB: import {shown} into {table}"));
        let begun = begun.unwrap_or_default();
        match self.import(&wire, table, &rules, &journal, begun, &step).await {
            Ok(Progress { imported, rejected, rejects, .. }) => {
                journal.forget();
                let imported = counted(imported, "item", "items");
                step.done(&match wire.pace.throttled_count() {
                    0 => imported,
                    count => format!("{imported}; the server throttled {}", counted(count, "time", "times")),
                });
                if rejected > 0 {
                    let file = rejected_file(&self.file);
                    let which = match rejects.count {
                        1 if rejected == 1 => "it is".to_owned(),
                        count if count == rejected => "they are".to_owned(),
                        0 => "they were".to_owned(),
                        count => format!("the last {count} are"),
                    };
                    context.ui.warn(format_args!(
                        "{} not imported: {which} in {}",
                        counted(rejected, "record was", "records were"),
                        file.display()
                    ));
                }
                Ok(())
            }
            Err(error) => Err(step.ended_by(error)),
        }
    }

    /// Reads the file, as an import would from its beginning, and says what it would write.
    async fn rehearse(&self, context: &Context) -> Result<()> {
        let target = self.guarded.target(context).await?;
        let table = self.table.as_ref().unwrap_or(&target.table);
        let description = TableDescription::read(&target.wire(&context.ui).await?, table).await?;
        let rules = Rules::of(&description)?;
        let mut file = self.open(Position::default())?;
        let (mut good, mut bad) = (0_u64, 0_u64);
        while let Some(Record { line, item, .. }) = file.next()? {
            match rules.importable(item) {
                Ok(_) => good += 1,
                Err(why) if self.reject => {
                    context.ui.line(format_args!("{}:{line}: {why}", self.file.display()));
                    bad += 1;
                }
                Err(why) => return Err(stopped(&self.file, line, &why)),
            }
        }
        let rejected = match bad {
            0 => String::new(),
            bad => {
                let file = rejected_file(&self.file);
                format!(", and put {} into {}", counted(bad, "record", "records"), file.display())
            }
        };
        let good = counted(good, "item", "items");
        let deed = format!("import {good} into the table, over its items{rejected}");
        self.guarded.is_meant(context, &target, &deed, Some(table), Vec::new()).await.map(|_| ())
    }

    fn open(&self, position: Position) -> Result<ItemFile> {
        let notation = match (self.plain, self.dynamodb_json) {
            (true, _) => Some(Notation::Plain),
            (_, true) => Some(Notation::Typed),
            _ => None,
        };
        ItemFile::open(&self.file, notation, position)
            .with_context(|| format!("cannot import {}", self.file.display()))
    }

    async fn import(
        &self,
        wire: &Wire,
        table: &str,
        rules: &Rules,
        journal: &Journal,
        begun: Progress,
        step: &Step,
    ) -> Result<Progress> {
        let file = self.open(begun.position)?;
        let records = RefCell::new(Records::new(&self.file, file, rules, begun, self.reject, step)?);
        let requests = std::iter::from_fn(|| records.borrow_mut().next().transpose());
        let mut so_far = begun.imported;
        let mut remembered = Instant::now();
        let rate = Rate::begin();
        let progress = |written: Written| {
            let mut records = records.borrow_mut();
            so_far = begun.imported + written.count;
            records.are_done(written.in_order);
            if remembered.elapsed() > REMEMBERED_EVERY {
                remembered = Instant::now();
                journal.write(&records.done)?;
            }
            step.progress(rate.at(written.count, records.share()));
            Ok(())
        };
        let ended = write::write_all(wire, table, requests, progress).await;
        let records = records.into_inner();
        match ended {
            Ok(_) => Ok(records.read),
            Err(error) => {
                journal.write(&records.done)?;
                Err(Interrupted::explained(error, || {
                    let (share, file) = (100.0 * records.share(), self.file.display());
                    let so_far = counted(so_far, "item is", "items are");
                    format!("{so_far} written, about {share:.0} % of {file}")
                }))
            }
        }
    }
}

fn stopped(file: &Path, line: u64, why: &str) -> anyhow::Error {
    let problem = format!("{}:{line}: {why}", file.display());
    let remedy = "mend the line and run the command again; or add --reject, which puts such lines into a file of \
                  their own";
    Failure::new(problem, remedy).into()
}
