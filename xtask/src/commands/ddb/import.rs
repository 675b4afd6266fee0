mod records;
pub(super) mod rules;

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Seek as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use self::records::{Records, Rejects, rejected_path};
use self::rules::Rules;
use super::cost::Cost;
use super::export::no_form;
use super::{Guarded, TableArgument};
use crate::context::Context;
use crate::dynamodb::client::DynamoDb;
use crate::dynamodb::files::{Compression, FileForm, ItemFile, Notation};
use crate::dynamodb::table;
use crate::dynamodb::write::{self, Written};
use crate::error::{Failure, Incomplete, Interrupted, Usage};
use crate::text::counted;
use crate::ui::Step;

#[derive(Debug, clap::Args)]
pub(crate) struct Import {
    /// The file; `-` reads JSON lines from stdin
    file: PathBuf,
    /// Read the lines as plain JSON [default: as the first line is]
    #[arg(long)]
    plain: bool,
    /// Read the lines as DynamoDB JSON [default: as the first line is]
    #[arg(long, conflicts_with = "plain")]
    dynamodb_json: bool,
    /// Go on after a line that cannot be imported, and put it into FILE.rejected
    #[arg(long)]
    reject: bool,
    /// Begin with this line: an import that ended early prints it
    #[arg(long, value_name = "N", default_value_t = 1)]
    from_line: u64,
    #[command(flatten)]
    cost: Cost,
    #[command(flatten)]
    table: TableArgument,
    #[command(flatten)]
    guarded: Guarded,
}

/// Copies stdin into a temporary file.
fn copy_of_stdin() -> io::Result<File> {
    let mut file = tempfile::tempfile()?;
    io::copy(&mut io::stdin().lock(), &mut file)?;
    file.rewind()?;
    Ok(file)
}

impl Import {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        // A wrong file is an error before the user is asked or anything is changed.
        let file = self.open().await?;
        context.ui.stop.remedy("run the same command again");
        let _lock = self.guarded.lock(context, "ddb import").await?;
        let dynamodb = self.guarded.dynamodb(context).await?;
        let table = self.table.of(&dynamodb.target);
        let rules = Rules::of(&table::describe(&dynamodb, table).await?)?;
        let rejects = match (self.reject, self.guarded.is_rehearsal()) {
            (false, _) => Rejects::End,
            (true, true) => Rejects::Print,
            (true, false) => Rejects::Keep(None),
        };
        let mut records = Records::new(self.name(), file, self.from_line, &rules, rejects, &context.ui);
        let deed = match self.guarded.is_rehearsal() {
            true => self.rehearse(&mut records)?,
            false => "import into the table, over its items".to_owned(),
        };
        if !self.guarded.is_meant(context, &dynamodb, &deed, table).await? {
            return Ok(());
        }
        let step = context.ui.step(format!("DynamoDB: import {} into {table}", self.name().display()));
        let imported = self.import(&dynamodb, table, &mut records, &step).await;
        let rejected = records.rejected;
        match imported.map(|()| records.imported) {
            Ok(0) if rejected > 0 => Err(step.ended_by(self.all_rejected())),
            Ok(imported) => {
                let imported = counted(imported, "item", "items");
                step.done(&match dynamodb.throttled_count() {
                    0 => imported,
                    count => format!("{imported}; the server throttled {}", counted(count, "time", "times")),
                });
                if rejected > 0 {
                    context.ui.warn(format_args!(
                        "{} not imported: {} in {}",
                        counted(rejected, "record was", "records were"),
                        if rejected == 1 { "it is" } else { "they are" },
                        rejected_path(&self.file).display()
                    ));
                }
                self.cost.report(&dynamodb, table, None, None).await
            }
            Err(error) => Err(step.ended_by(error)),
        }
    }

    /// Reads the file as an import would. Returns what it would write.
    fn rehearse(&self, records: &mut Records<'_>) -> Result<String> {
        while records.next_request()?.is_some() {}
        if records.imported == 0 && records.rejected > 0 {
            return Err(self.all_rejected());
        }
        let rejected = match records.rejected {
            0 => String::new(),
            count => {
                let file = rejected_path(&self.file);
                format!(", and put {} into {}", counted(count, "record", "records"), file.display())
            }
        };
        let imported = counted(records.imported, "item", "items");
        Ok(format!("import {imported} into the table, over its items{rejected}"))
    }

    /// Opens the input, and reads the first record.
    async fn open(&self) -> Result<ItemFile> {
        let (file, form) = if self.file == Path::new("-") {
            if self.reject {
                return Err(
                    Usage("--reject needs a FILE, beside which it writes FILE.rejected".to_owned()).into()
                );
            }
            // On another thread, so that signals are handled meanwhile.
            let copied = tokio::task::spawn_blocking(copy_of_stdin).await?.context("cannot read stdin")?;
            (copied, FileForm { is_csv: false, compression: Compression::None })
        } else {
            let form = FileForm::of(&self.file).map_err(no_form)?;
            if !self.file.exists() {
                let problem = format!("there is no file {}", self.file.display());
                let remedy = "check the path, which is relative to the current folder";
                return Err(Failure::usage(problem, remedy).into());
            }
            (File::open(&self.file).with_context(|| self.cannot_import())?, form)
        };
        let notation = match (self.plain, self.dynamodb_json) {
            (true, _) => Some(Notation::Plain),
            (_, true) => Some(Notation::Typed),
            _ => None,
        };
        ItemFile::of(file, form, notation, self.from_line).map_err(|error| match error.kind() {
            io::ErrorKind::InvalidFilename => {
                Failure::usage(self.cannot_import(), "rename the file, and import it by that name")
                    .caused_by(error)
                    .into()
            }
            _ => anyhow::Error::from(error).context(self.cannot_import()),
        })
    }

    fn all_rejected(&self) -> anyhow::Error {
        let file = if self.guarded.is_rehearsal() { self.file.clone() } else { rejected_path(&self.file) };
        let remedy =
            format!("correct the records in {0} as the lines above say, and import {0}", file.display());
        Failure::usage(format!("no record of {} can be imported", self.file.display()), remedy).into()
    }

    /// The file's name in messages.
    fn name(&self) -> &Path {
        if self.file == Path::new("-") { Path::new("stdin") } else { &self.file }
    }

    fn cannot_import(&self) -> String {
        format!("cannot import {}", self.name().display())
    }

    async fn import(
        &self,
        dynamodb: &DynamoDb,
        table: &str,
        records: &mut Records<'_>,
        step: &Step,
    ) -> Result<()> {
        let records = RefCell::new(records);
        let requests = std::iter::from_fn(|| records.borrow_mut().next_request().transpose());
        let mut written_count = 0;
        let progress = |written: Written| {
            let mut records = records.borrow_mut();
            written_count = written.count;
            records.are_written(written.in_order);
            step.progress_at(written.count, records.share());
        };
        let ended = write::write_all(dynamodb, table, requests, progress).await;
        let records = records.into_inner();
        let Err(error) = ended else { return Ok(()) };
        let line = records.first_unwritten();
        Err(match error.downcast::<Interrupted>() {
            Ok(interrupted) => {
                let written = counted(written_count, "item is", "items are");
                Interrupted {
                    done: format!("{written} written from {}", self.name().display()),
                    remedy: format!("run the same command again with --from-line {line}"),
                    ..interrupted
                }
                .into()
            }
            Err(error) if line == self.from_line => error,
            Err(error) => {
                let done = format!("everything before line {line} is written: go on with --from-line {line}");
                Incomplete::new(done, error).into()
            }
        })
    }
}
