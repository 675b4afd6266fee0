//! Data on stdout: tables for people, JSON and JSON lines for programs.

use std::io::{IsTerminal as _, Write as _};
use std::thread::JoinHandle;

use crate::dynamodb::items::{Columns, Form, ItemWriter, Page, Response, aws_cli_style, stdout};
use crate::process;
use anyhow::{Result, anyhow};
use clap::ValueEnum;
use serde_json::{Map, Value};
use tokio::sync::mpsc;

/// How data is printed.
#[derive(Debug, Clone, Copy, PartialEq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Table,
    /// One JSON document, as the AWS CLI prints it where DynamoDB answered
    Json,
    /// One JSON value a line
    Jsonl,
}

impl Format {
    /// How items are printed in it; `keys` are the columns that come first.
    pub(crate) fn of_items(self, keys: Vec<String>) -> Form {
        match self {
            Self::Table => Form::Table { keys, width: line_width() },
            Self::Json => Form::Json,
            Self::Jsonl => Form::Jsonl,
        }
    }
}

/// How many places a line of stdout has, where it is a terminal.
fn line_width() -> Option<usize> {
    let terminal = std::io::stdout().is_terminal().then(console::Term::stdout)?;
    terminal.size_checked().map(|(_, columns)| columns.into())
}

/// How many pages may wait to be printed.
const WAITING_PAGES: usize = 2;

/// A thread that does something with pages while the next is on its way.
pub(crate) struct PageThread<T> {
    pages: mpsc::Sender<Page>,
    thread: JoinHandle<Result<T>>,
}

/// The pages that the thread is handed; it ends with the last.
pub(crate) struct Pages(mpsc::Receiver<Page>);

impl Iterator for Pages {
    type Item = Page;

    fn next(&mut self) -> Option<Page> {
        self.0.blocking_recv()
    }
}

impl Pages {
    /// Whether none is waiting.
    fn is_idle(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T: Send + 'static> PageThread<T> {
    /// Begins `work`.
    pub(crate) fn new(work: impl FnOnce(Pages) -> Result<T> + Send + 'static) -> Self {
        let (pages, waiting) = mpsc::channel::<Page>(WAITING_PAGES);
        let thread = std::thread::spawn(|| {
            // Whoever reads the next page is waited for by the server, and the server by all.
            process::give_way();
            work(Pages(waiting))
        });
        Self { pages, thread }
    }

    /// Hands a page on.
    ///
    /// # Errors
    /// The work has ended; [`PageThread::finish`] says why.
    pub(crate) async fn page(&self, page: Page) -> Result<()> {
        self.pages.send(page).await.map_err(|_| anyhow!("nobody takes the pages any more"))
    }

    /// Waits for the end of the work. Returns how reading ended, and what came of the work.
    ///
    /// # Errors
    /// The work's.
    pub(crate) fn finish(self) -> Result<T> {
        drop(self.pages);
        self.thread.join().map_err(|_| anyhow!("a thread ended in a panic"))?
    }
}

/// Prints pages, while the next is on its way where there is a next.
pub(crate) enum PagePrinter {
    /// Nothing has come that another page follows: a thread would cost more than it saves.
    Here(ItemWriter),
    Thread(PageThread<ItemWriter>),
    /// A page could not be printed.
    Ended,
}

impl PagePrinter {
    /// Prints in `form`.
    pub(crate) fn new(form: Form) -> Self {
        Self::Here(ItemWriter::new(form))
    }

    /// Prints a page.
    ///
    /// # Errors
    /// Printing has ended; where a thread does it, [`PagePrinter::finish`] says why.
    pub(crate) async fn page(&mut self, page: Page) -> Result<()> {
        *self = match std::mem::replace(self, Self::Ended) {
            Self::Here(mut writer) if page.last_evaluated_key.is_none() => {
                writer.page(&page)?;
                Self::Here(writer)
            }
            Self::Here(writer) => Self::Thread(on_a_thread(writer)),
            printer => printer,
        };
        match self {
            Self::Thread(thread) => thread.page(page).await,
            Self::Here(_) | Self::Ended => Ok(()),
        }
    }

    /// Prints what is left, given how reading ended.
    ///
    /// # Errors
    /// stdout is closed, or what reading ended with.
    pub(crate) fn finish(self, read: Result<Response>) -> Result<Response> {
        let writer = match self {
            Self::Here(writer) => Some(writer),
            Self::Thread(thread) => Some(thread.finish()?),
            Self::Ended => None,
        };
        let response = read?;
        writer.map_or(Ok(()), |writer| writer.finish(&response))?;
        Ok(response)
    }
}

fn on_a_thread(mut writer: ItemWriter) -> PageThread<ItemWriter> {
    PageThread::new(|mut pages| {
        while let Some(page) = pages.next() {
            writer.page(&page)?;
            if pages.is_idle() {
                writer.flush()?;
            }
        }
        Ok(writer)
    })
}

/// Prints records that fit the screen: `columns` names the fields of each row.
///
/// # Errors
/// stdout is closed.
pub(crate) fn print_rows(format: Format, columns: &[&str], rows: Vec<Vec<Value>>) -> Result<()> {
    let mut out = stdout();
    let object = |row: Vec<Value>| -> Map<String, Value> {
        columns.iter().map(|column| (*column).to_owned()).zip(row).collect()
    };
    match format {
        Format::Table => {
            let header: Vec<String> = columns.iter().map(|column| column.to_uppercase()).collect();
            let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(cell).collect()).collect();
            let mut layout = Columns::default();
            layout.widen(&header);
            rows.iter().for_each(|row| layout.widen(row));
            layout.print(&mut out, &header)?;
            rows.iter().try_for_each(|row| layout.print(&mut out, row))?;
        }
        Format::Json => {
            let records: Vec<_> = rows.into_iter().map(object).collect();
            writeln!(out, "{}", serde_json::to_string_pretty(&records)?)?;
        }
        Format::Jsonl => {
            for row in rows {
                writeln!(out, "{}", serde_json::to_string(&object(row))?)?;
            }
        }
    }
    Ok(())
}

/// A value as a table's cell: text without quotes, nothing for null.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Prints one JSON document, indented as the AWS CLI does.
///
/// # Errors
/// stdout is closed.
pub(crate) fn print_json(value: &impl serde::Serialize) -> Result<()> {
    let mut out = stdout();
    value.serialize(&mut aws_cli_style(&mut out))?;
    Ok(writeln!(out)?)
}
