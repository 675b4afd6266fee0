use std::path::{Path, PathBuf};

use crate::dynamodb::client::DynamoDb;
use crate::dynamodb::files::{Columns, FileForm, ItemFileWriter, Layout, Notation};
use crate::dynamodb::json::{AttributeValue, Item};
use crate::dynamodb::print::{Form, ItemWriter};
use crate::dynamodb::read::{self, Page, Response};
use crate::dynamodb::table::{self, Keys};
use crate::error::{Failure, Interrupted, Usage};
use crate::text::counted;
use crate::ui::Step;
use anyhow::{Context as _, Result};
use aws_sdk_dynamodb::operation::scan::ScanInput;

use super::{TableArgument, Target};
use crate::context::Context;

#[derive(Debug, clap::Args)]
pub(crate) struct Export {
    /// The file; a dash means stdout, as JSON lines
    file: PathBuf,
    /// Write JSON lines in plain JSON
    ///
    /// Sets become lists and binary becomes text. An import does not restore them.
    #[arg(long)]
    plain: bool,
    /// Replace an existing file
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    table: TableArgument,
    #[command(flatten)]
    target: Target,
}

impl Export {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        if self.file == Path::new("-") {
            return self.print(context).await;
        }
        let form = FileForm::of(&self.file).map_err(no_form)?;
        let file = self.file.display();
        if !self.force && self.file.exists() {
            return Err(Failure::new(format!("{file} exists already"), "name another, or add --force").into());
        }
        let folder = self.file.parent().filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = folder
            && !folder.is_dir()
        {
            let problem = format!("{} is not a folder, so {file} cannot be written", folder.display());
            return Err(Failure::usage(problem, "make it, or name another").into());
        }
        if self.plain && form.is_csv {
            return Err(Usage("--plain is for JSON lines; CSV keeps all types".to_owned()).into());
        }
        let dynamodb = self.target.dynamodb(context).await?;
        let table = self.table.of(&dynamodb.target);
        let step = context.ui.step(format!("DynamoDB: export {table} to {file}"));
        let exported = write_file(&dynamodb, table, &self.file, form, self.notation(), &step).await;
        step.ended(exported, |(response, bytes)| format!("{response}; {bytes} bytes")).map(|_| ())
    }

    async fn print(&self, context: &Context) -> Result<()> {
        let dynamodb = self.target.dynamodb(context).await?;
        let table = self.table.of(&dynamodb.target);
        let request = ScanInput::builder().table_name(table);
        let mut writer = ItemWriter::new(Form::Jsonl(self.notation()));
        let response = read::in_order(&dynamodb, request, async |mut page: Page| {
            page.items.iter_mut().for_each(sort_sets);
            writer.page(&page.items)
        });
        response.await?.report(&context.ui, "");
        Ok(())
    }

    fn notation(&self) -> Notation {
        if self.plain { Notation::Plain } else { Notation::Typed }
    }
}

/// Writes a table's items to a file, always in the same order. Returns what was read, and the file's size in bytes.
pub(crate) async fn write_file(
    dynamodb: &DynamoDb,
    table: &str,
    path: &Path,
    form: FileForm,
    notation: Notation,
    step: &Step,
) -> Result<(Response, u64)> {
    let mut count = 0;
    let export = async {
        let description = table::describe(dynamodb, table).await?;
        let keys = Keys::of(&description, None).context("the table has no key")?;
        let keys: Vec<&str> = keys.names().collect();
        let mut out = None;
        // The first items decide the columns of a CSV.
        let mut write = |items: &[Item]| {
            let out = match &mut out {
                Some(out) => out,
                none => {
                    let layout = match form.is_csv {
                        true => Layout::Csv(Columns::of(&keys, items)),
                        false => Layout::Jsonl(notation),
                    };
                    none.insert(ItemFileWriter::create(path, form.compression, layout)?)
                }
            };
            items.iter().try_for_each(|item| out.write(item))
        };
        let cannot_write = || format!("cannot write {}", path.display());
        let total = description.item_count.unwrap_or_default().unsigned_abs();
        let request = ScanInput::builder().table_name(table);
        let read = read::in_order(dynamodb, request, async |mut page: Page| {
            count += page.count;
            step.progress_of(count, total);
            page.items.iter_mut().for_each(sort_sets);
            write(&page.items).with_context(cannot_write)
        });
        let response = read.await?;
        // A table without items still makes a file.
        write(&[]).and_then(|()| out.map_or(Ok(()), ItemFileWriter::finish)).with_context(cannot_write)?;
        anyhow::Ok((response, path.metadata().with_context(cannot_write)?.len()))
    };
    dynamodb.ui.stop.or(export).await.map_err(|error| {
        let count = counted(count, "item was", "items were");
        Interrupted::explained(error, || format!("{count} read, and no file was made"))
    })
}

/// The error for a file name without a known extension.
pub(super) fn no_form(error: std::io::Error) -> Failure {
    Failure::usage(
        error.to_string(),
        "end the name in .jsonl, .ndjson, .json or .csv, and then .gz or .zst if it is compressed",
    )
}

/// Sorts sets, whose order may change between reads, so that the same table gives the same file.
fn sort_sets(item: &mut Item) {
    item.values_mut().for_each(sort_sets_of);
}

fn sort_sets_of(value: &mut AttributeValue) {
    match value {
        AttributeValue::Ss(elements) | AttributeValue::Ns(elements) => elements.sort(),
        AttributeValue::Bs(elements) => elements.sort_by(|a, b| a.as_ref().cmp(b.as_ref())),
        AttributeValue::M(item) => sort_sets(item),
        AttributeValue::L(values) => values.iter_mut().for_each(sort_sets_of),
        _ => {}
    }
}
