use std::path::PathBuf;

use crate::dynamodb::files::{Columns, Encoding, FileForm, ItemFileWriter, Layout, Notation};
use crate::dynamodb::items::{Page, counted};
use crate::dynamodb::json::{AttributeValue, Item};
use crate::dynamodb::read::{self, ReadRequest};
use crate::dynamodb::table::TableDescription;
use crate::error::{Failure, Interrupted, Usage};
use crate::ui::Rate;
use anyhow::{Context as _, Result};

use super::Target;
use crate::context::Context;
use crate::output::PageThread;

#[derive(Debug, clap::Args)]
pub(crate) struct Export {
    /// The file
    file: PathBuf,
    /// The table's name [default: the messages table]
    table: Option<String>,
    /// JSON lines in plain JSON: sets become lists and binary text, and are so when they are imported
    #[arg(long)]
    plain: bool,
    /// Replace the file if it is there
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    target: Target,
}

impl Export {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        let form = FileForm::of(&self.file).map_err(|error| Usage(error.to_string()))?;
        let file = self.file.display();
        if !self.force && self.file.exists() {
            return Err(
                Failure::new(format!("{file} is there already"), "name another, or add --force").into()
            );
        }
        let folder = self.file.parent().filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = folder
            && !folder.is_dir()
        {
            let problem = format!("{} is no folder to put {file} into", folder.display());
            return Err(Failure::new(problem, "make it, or name another").into());
        }
        if self.plain && form.encoding == Encoding::Csv {
            return Err(Usage("--plain is for JSON lines; CSV keeps all types".to_owned()).into());
        }
        let target = self.target.resolve(context).await?;
        let table = self.table.as_ref().unwrap_or(&target.table);
        let wire = target.wire(&context.ui).await?;
        // A page on its way can be left, but not the file that is begun: its thread removes it.
        let stop = &context.ui.stop;
        let _held = stop.hold().await;
        let step = context.ui.step(format!("DynamoDB: export {table} to {file}"));
        let mut count = 0;
        let exported = async {
            let description = stop.or(TableDescription::read(&wire, table)).await?;
            let keys = description.keys(None).context("the table has no key")?;
            let keys = keys.each().map(|key| key.name.clone()).collect();
            let notation = if self.plain { Notation::Plain } else { Notation::Typed };
            let writing = Writing { path: self.file.clone(), form, notation, keys, out: None };
            let thread = PageThread::new(|pages| writing.pages(pages));
            let request = ReadRequest { table_name: table.clone(), ..ReadRequest::default() };
            let rate = Rate::begin();
            let read = read::in_order(&wire, request, &description, async |page: Page| {
                count += page.count;
                step.progress(rate.of(count, description.item_count));
                thread.page(page).await
            });
            let read = stop.or(read).await;
            let written = thread.finish()?;
            let response = read?;
            anyhow::Ok((response, written.finish()?))
        };
        match exported.await {
            Ok((response, bytes)) => {
                step.done(&format!("{response}; {bytes} bytes"));
                Ok(())
            }
            Err(error) => {
                let count = counted(count, "item was", "items were");
                let done = || format!("{count} read, and no file was made");
                Err(step.ended_by(Interrupted::explained(error, done)))
            }
        }
    }
}

/// A file that begins with its first page, which a CSV's columns are taken from.
struct Writing {
    path: PathBuf,
    form: FileForm,
    notation: Notation,
    keys: Vec<String>,
    out: Option<ItemFileWriter>,
}

impl Writing {
    fn pages(mut self, pages: impl Iterator<Item = Page>) -> Result<Self> {
        for mut page in pages {
            page.items.iter_mut().for_each(sort_sets);
            self.items(&page.items)?;
        }
        Ok(self)
    }

    fn items(&mut self, items: &[Item]) -> Result<()> {
        let mut write = || {
            if self.out.is_none() {
                let layout = match self.form.encoding {
                    Encoding::Jsonl => Layout::Jsonl(self.notation),
                    Encoding::Csv => {
                        let keys: Vec<&str> = self.keys.iter().map(String::as_str).collect();
                        Layout::Csv(Columns::of(&keys, items))
                    }
                };
                self.out = Some(ItemFileWriter::create(&self.path, self.form.compression, layout)?);
            }
            self.out.iter_mut().try_for_each(|out| items.iter().try_for_each(|item| out.write(item)))
        };
        let written: std::io::Result<()> = write();
        written.with_context(|| format!("cannot write {}", self.path.display()))
    }

    /// Makes the file appear. Returns its size in bytes.
    fn finish(mut self) -> Result<u64> {
        // A table without items has a file too.
        self.items(&[])?;
        let finish = || {
            self.out.map_or(Ok(()), ItemFileWriter::finish)?;
            Ok(std::fs::metadata(&self.path)?.len())
        };
        let finished: std::io::Result<u64> = finish();
        finished.with_context(|| format!("cannot write {}", self.path.display()))
    }
}

/// A set has no order, and a server may return it in another one each time: the file has one.
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
