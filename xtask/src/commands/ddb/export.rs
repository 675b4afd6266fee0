use std::path::{Path, PathBuf};

use crate::dynamodb::files::{Columns, Encoding, FileForm, ItemFileWriter, Layout, Notation};
use crate::dynamodb::json::{AttributeValue, Item};
use crate::dynamodb::print::{Form, ItemWriter};
use crate::dynamodb::read::{self, Page};
use crate::dynamodb::table::{self, Keys};
use crate::error::{Failure, Interrupted, Usage};
use crate::text::counted;
use crate::ui::Rate;
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
        if self.plain && form.encoding == Encoding::Csv {
            return Err(Usage("--plain is for JSON lines; CSV keeps all types".to_owned()).into());
        }
        let dynamodb = self.target.dynamodb(context).await?;
        let table = self.table.of(&dynamodb.target);
        let stop = &context.ui.stop;
        let step = context.ui.step(format!("DynamoDB: export {table} to {file}"));
        let mut count = 0;
        let export = async {
            let description = table::describe(&dynamodb, table).await?;
            let keys = Keys::of(&description, None).context("the table has no key")?;
            let keys: Vec<&str> = keys.names().collect();
            let request = ScanInput::builder().table_name(table);
            let total = u64::try_from(description.item_count.unwrap_or_default()).unwrap_or_default();
            let rate = Rate::begin();
            let mut out = None;
            let read = read::in_order(&dynamodb, request, description.item_count, async |mut page: Page| {
                count += page.count;
                step.progress(rate.of(count, total));
                page.items.iter_mut().for_each(sort_sets);
                let written = self.write(form, &keys, &page.items, &mut out);
                written.with_context(|| format!("cannot write {file}"))
            });
            let response = read.await?;
            let finish = || {
                // A table without items still makes a file.
                self.write(form, &keys, &[], &mut out)?;
                out.map_or(Ok(()), ItemFileWriter::finish)?;
                std::fs::metadata(&self.file)
            };
            let written = finish().with_context(|| format!("cannot write {file}"))?;
            anyhow::Ok((response, written.len()))
        };
        let exported = stop.or(export).await.map_err(|error| {
            let count = counted(count, "item was", "items were");
            Interrupted::explained(error, || format!("{count} read, and no file was made"))
        });
        step.ended(exported, |(response, bytes)| format!("{response}; {bytes} bytes")).map(|_| ())
    }

    async fn print(&self, context: &Context) -> Result<()> {
        let dynamodb = self.target.dynamodb(context).await?;
        let table = self.table.of(&dynamodb.target);
        let item_count = table::describe(&dynamodb, table).await?.item_count;
        let request = ScanInput::builder().table_name(table);
        let mut writer = ItemWriter::new(Form::Jsonl(self.notation()));
        let response = read::in_order(&dynamodb, request, item_count, async |mut page: Page| {
            page.items.iter_mut().for_each(sort_sets);
            writer.page(&page.items)
        });
        response.await?.report(&context.ui, "");
        Ok(())
    }

    fn notation(&self) -> Notation {
        if self.plain { Notation::Plain } else { Notation::Typed }
    }

    /// Writes items to `out`, which is created with the first ones: they decide the columns of a CSV.
    fn write(
        &self,
        form: FileForm,
        keys: &[&str],
        items: &[Item],
        out: &mut Option<ItemFileWriter>,
    ) -> std::io::Result<()> {
        let out = match out {
            Some(out) => out,
            none => {
                let layout = match form.encoding {
                    Encoding::Csv => Layout::Csv(Columns::of(keys, items)),
                    Encoding::Jsonl => Layout::Jsonl(self.notation()),
                };
                none.insert(ItemFileWriter::create(&self.file, form.compression, layout)?)
            }
        };
        items.iter().try_for_each(|item| out.write(item))
    }
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
