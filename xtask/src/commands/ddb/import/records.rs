//! The records of a file on their way into a table.

use std::collections::VecDeque;
use std::path::Path;

use crate::dynamodb::files::{ItemFile, Record};
use crate::dynamodb::items::WriteRequest;
use crate::ui::Step;
use anyhow::{Context as _, Result};

use super::journal::Progress;
use super::rejected::Rejected;
use super::rules::Rules;
use super::stopped;

/// The requests that write a file's records, one after another, and how many of them are written.
pub(super) struct Records<'a> {
    path: &'a Path,
    file: ItemFile,
    rules: &'a Rules,
    /// The table's keys.
    names: Vec<&'a str>,
    /// None where a record that cannot be imported ends the import.
    rejected: Option<Rejected>,
    step: &'a Step,
    /// Behind the last record that was read.
    pub(super) read: Progress,
    /// Behind the last record before which everything is written.
    pub(super) done: Progress,
    /// What is known behind each request that was made and is not known to be done, the first one first.
    under_way: VecDeque<Progress>,
    /// How many requests are known to be done.
    done_count: u64,
}

impl<'a> Records<'a> {
    /// Goes on where `file`, at `path`, was opened, `begun` being how far an import was there. With `rejects`, records
    /// that cannot be imported go into a file of their own.
    ///
    /// # Errors
    /// That file cannot be read or written.
    pub(super) fn new(
        path: &'a Path,
        file: ItemFile,
        rules: &'a Rules,
        begun: Progress,
        rejects: bool,
        step: &'a Step,
    ) -> Result<Self> {
        let rejected = rejects.then(|| Rejected::open(path, begun.rejects)).transpose()?;
        let rejects = rejected.as_ref().map_or(begun.rejects, Rejected::written);
        let begun = Progress { rejects, ..begun };
        Ok(Self {
            path,
            file,
            rules,
            names: rules.key_names().collect(),
            rejected,
            step,
            read: begun,
            done: begun,
            under_way: VecDeque::new(),
            done_count: 0,
        })
    }

    /// The request to write the next record that can be imported; none at the end.
    ///
    /// # Errors
    /// The file cannot be read on; a record cannot be imported, or the file for such records cannot be written.
    pub(super) fn next(&mut self) -> Result<Option<WriteRequest>> {
        loop {
            let lines = self.read.position.lines;
            let record = self.file.next().with_context(|| format!("cannot read on after line {lines}"))?;
            let Some(Record { line, after, text, item }) = record else { return Ok(None) };
            self.read.position = after;
            match self.rules.importable(item) {
                Ok(item) => {
                    self.read.imported += 1;
                    self.under_way.push_back(self.read);
                    return Ok(Some(WriteRequest::put(&item, &self.names)));
                }
                Err(why) => {
                    let text = text.to_vec();
                    self.reject(line, &text, &why)?;
                }
            }
        }
    }

    fn reject(&mut self, line: u64, text: &[u8], why: &str) -> Result<()> {
        let Some(rejected) = &mut self.rejected else { return Err(stopped(self.path, line, why)) };
        self.step.line(format_args!("{}:{line}: {why}", self.path.display()));
        if let Some(aside) = rejected.add(self.file.header(), text)? {
            self.step.line(format_args!("what was in its place is {} now", aside.display()));
        }
        self.read.rejected += 1;
        self.read.rejects = rejected.written();
        Ok(())
    }

    /// The first `count` requests are done.
    pub(super) fn are_done(&mut self, count: u64) {
        while self.done_count < count {
            self.done_count += 1;
            self.done = self.under_way.pop_front().unwrap_or(self.done);
        }
    }

    /// The part of the file that was read, from 0 to 1.
    pub(super) fn share(&self) -> f64 {
        self.file.share()
    }
}
