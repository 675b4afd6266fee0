use std::cell::RefCell;
use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result, anyhow};
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use xtask_base::failure::{Failure, Interrupted, Usage};
use xtask_base::ui::{Rate, Step};
use xtask_databases::table::{KeyAttribute, KeyType, Keys, TableDescription};
use xtask_databases::wire::Wire;
use xtask_databases::write;
use xtask_files::{FileForm, ItemFile, Notation, Position, Record};
use xtask_items::{Attribute, Item, WriteRequest, Written, size_of, size_of_value};

use super::Guarded;
use crate::context::Context;
use crate::state::StateFolder;

/// The most bytes that an item may have.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>
const ITEM_BYTES: usize = 400 * 1024;

/// The most bytes that an attribute's name may have.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>
const NAME_BYTES: usize = 65_535;

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
            Ok(Progress { imported, rejected, .. }) => {
                journal.forget();
                step.done(&match wire.pace.throttled_count() {
                    0 => format!("{imported} items"),
                    times => format!("{imported} items; the server throttled {times} times"),
                });
                if rejected > 0 {
                    let file = rejected_file(&self.file);
                    context.ui.warn(format_args!(
                        "{rejected} records were not imported: they are in {}",
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
            match importable(item, &rules) {
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
            bad => format!(", and put {bad} records into {}", rejected_file(&self.file).display()),
        };
        let deed = format!("import {good} items into the table, over its items{rejected}");
        self.guarded.resolve(context, &deed, Some(table)).await.map(|_| ())
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
        let mut file = self.open(begun.position)?;
        let names: Vec<&str> = rules.keys.each().map(|key| key.name.as_str()).collect();
        let mut rejected =
            self.reject.then(|| Rejected::open(&self.file, begun.rejected_bytes)).transpose()?;
        // What is known behind each request that was made; those of the first ones are dropped once written.
        let behind = RefCell::new(VecDeque::new());
        let made = RefCell::new(begun);
        let (size, read) = (file.size(), file.consumed());
        let requests = std::iter::from_fn(|| {
            loop {
                let record = match file.next() {
                    Ok(None) => return None,
                    Ok(Some(record)) => record,
                    Err(error) => {
                        let lines = made.borrow().position.lines;
                        return Some(Err(
                            anyhow!(error).context(format!("cannot read on after line {lines}"))
                        ));
                    }
                };
                let mut made = made.borrow_mut();
                let Record { line, after, text, item } = record;
                made.position = after;
                match importable(item, rules) {
                    Ok(item) => {
                        made.imported += 1;
                        behind.borrow_mut().push_back(*made);
                        return Some(Ok(WriteRequest::put(&item, &names)));
                    }
                    Err(why) => {
                        let Some(rejected) = &mut rejected else {
                            return Some(Err(stopped(&self.file, line, &why)));
                        };
                        step.line(format_args!("{}:{}: {why}", self.file.display(), line));
                        let text = text.to_vec();
                        if let Err(error) = rejected.add(file.header(), &text) {
                            return Some(Err(error));
                        }
                        made.rejected += 1;
                        made.rejected_bytes = rejected.bytes;
                    }
                }
            }
        });
        let mut done = begun;
        let (mut in_order, mut so_far) = (0, begun.imported);
        let mut remembered = Instant::now();
        let rate = Rate::begin();
        let progress = |written: Written| {
            so_far = begun.imported + written.count;
            let mut behind = behind.borrow_mut();
            while in_order < written.in_order {
                in_order += 1;
                done = behind.pop_front().unwrap_or(done);
            }
            if remembered.elapsed() > REMEMBERED_EVERY {
                remembered = Instant::now();
                journal.write(&done)?;
            }
            #[expect(clippy::cast_precision_loss, reason = "a share is shown to people")]
            let share = read.load(Ordering::Relaxed) as f64 / size.max(1) as f64;
            step.progress(rate.at(written.count, share));
            Ok(())
        };
        let ended = write::write_all(wire, table, requests, progress).await;
        match ended {
            Ok(_) => Ok(made.into_inner()),
            Err(error) => {
                journal.write(&done)?;
                let share = 100 * read.load(Ordering::Relaxed) / size.max(1);
                Err(Interrupted::explained(error, || {
                    format!("{so_far} items are written, about {share} % of {}", self.file.display())
                }))
            }
        }
    }
}

/// How far an import is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Progress {
    /// Behind the last record that is done.
    position: Position,
    imported: u64,
    rejected: u64,
    /// How long the file of rejected records is.
    rejected_bytes: u64,
}

/// What a table's items must be like.
struct Rules {
    keys: Keys,
    /// The keys of its indexes.
    others: Vec<KeyAttribute>,
}

impl Rules {
    fn of(table: &TableDescription) -> Result<Self> {
        let keys = table.keys(None).context("the table has no key")?;
        let others = table.all_keys().filter(|other| keys.each().all(|key| key.name != other.name)).collect();
        Ok(Self { keys, others })
    }
}

/// The most bytes of a partition key and of a sort key.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>
const KEY_BYTES: [usize; 2] = [2_048, 1_024];

/// The item of a record, or why the table cannot have it.
fn importable(item: std::result::Result<Item, String>, rules: &Rules) -> std::result::Result<Item, String> {
    let item = item?;
    if let Some(name) = item.keys().find(|name| name.is_empty() || name.len() > NAME_BYTES) {
        return Err(match name.len() {
            0 => "an attribute's name is empty".to_owned(),
            bytes => format!(
                "an attribute's name has {bytes} bytes, more than the {NAME_BYTES} that DynamoDB takes"
            ),
        });
    }
    for (key, most) in rules.keys.each().zip(KEY_BYTES) {
        let name = &key.name;
        let Some(value) = item.get(name) else { return Err(format!("key `{name}` is missing")) };
        check_key("key", key, value)?;
        let bytes = size_of_value(value);
        if bytes > most {
            return Err(format!("key `{name}` has {bytes} bytes, more than the {most} that DynamoDB takes"));
        }
    }
    for key in &rules.others {
        if let Some(value) = item.get(&key.name) {
            check_key("an index's key", key, value)?;
        }
    }
    match size_of(&item) {
        size if size > ITEM_BYTES => {
            Err(format!("the item has {size} bytes, more than the {ITEM_BYTES} that DynamoDB takes"))
        }
        _ => Ok(item),
    }
}

fn check_key(
    what: &str,
    KeyAttribute { name, key_type }: &KeyAttribute,
    value: &Attribute,
) -> std::result::Result<(), String> {
    match (key_type, value) {
        (KeyType::S, Attribute::S(text)) | (KeyType::B, Attribute::B(text)) if text.is_empty() => {
            Err(format!("{what} `{name}` is empty"))
        }
        (KeyType::S, Attribute::S(_)) | (KeyType::N, Attribute::N(_)) | (KeyType::B, Attribute::B(_)) => {
            Ok(())
        }
        (wanted, _) => Err(format!("{what} `{name}` is not of the table's type {wanted:?}")),
    }
}

fn stopped(file: &Path, line: u64, why: &str) -> anyhow::Error {
    let problem = format!("{}:{line}: {why}", file.display());
    let remedy = "mend the line and run the command again; or add --reject, which puts such lines into a file of \
                  their own";
    Failure::new(problem, remedy).into()
}

/// Where records go that cannot be imported: into a file beside the imported one, as they were, not
/// compressed.
fn rejected_file(file: &Path) -> PathBuf {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let name = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(&name);
    file.with_file_name(format!("{name}.rejected"))
}

struct Rejected {
    path: PathBuf,
    /// None until there is a record for it.
    file: Option<File>,
    bytes: u64,
}

impl Rejected {
    /// Keeps the first `bytes` bytes that an interrupted import wrote: what is behind them comes again. Where they
    /// are gone, a file of its own has what follows.
    fn open(imported: &Path, bytes: u64) -> Result<Self> {
        let path = rejected_file(imported);
        let begun = match std::fs::metadata(&path) {
            Ok(metadata) if bytes > 0 => metadata.len() >= bytes,
            _ => false,
        };
        let open = || {
            let mut file = OpenOptions::new().write(true).open(&path)?;
            file.set_len(bytes)?;
            file.seek(SeekFrom::End(0))?;
            std::io::Result::Ok(file)
        };
        if !begun {
            return Ok(Self { path, file: None, bytes: 0 });
        }
        let file = open().with_context(|| cannot_write(&path))?;
        Ok(Self { path, file: Some(file), bytes })
    }

    /// Adds a record's text; `header` is that of a CSV.
    fn add(&mut self, header: Option<&[u8]>, text: &[u8]) -> Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            file => file.insert(File::create(&self.path).with_context(|| cannot_write(&self.path))?),
        };
        let header = header.filter(|_| self.bytes == 0);
        for line in header.into_iter().chain([text]) {
            let line = [line, b"\n"].concat();
            file.write_all(&line).with_context(|| cannot_write(&self.path))?;
            self.bytes += line.len() as u64;
        }
        Ok(())
    }
}

fn cannot_write(path: &Path) -> String {
    format!("cannot write {}", path.display())
}

/// The file in the state folder that remembers how far one import is.
struct Journal {
    path: PathBuf,
    of: Imported,
}

/// What has to be the same for an import to go on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Imported {
    file: PathBuf,
    size: u64,
    modified: SystemTime,
    target: String,
    table: String,
    /// A table that was dropped and made anew has nothing of what was imported.
    table_created: f64,
    table_id: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Remembered {
    of: Imported,
    progress: Progress,
}

impl Journal {
    fn of(state: &StateFolder, file: &Path, target: &str, table: &TableDescription) -> Result<Self> {
        let read = || {
            let metadata = std::fs::metadata(file)?;
            Ok((std::fs::canonicalize(file)?, metadata.len(), metadata.modified()?))
        };
        let (path, size, modified) = read().map_err(|error: std::io::Error| {
            anyhow!(error).context(format!("cannot read {}", file.display()))
        })?;
        let table_name = table.table_name.clone();
        let of = Imported {
            file: path,
            size,
            modified,
            target: target.to_owned(),
            table: table_name,
            table_created: table.creation_date_time,
            table_id: table.table_id.clone(),
        };
        let name = format!("{}\0{}\0{}", of.file.display(), of.target, of.table);
        state.make()?;
        let path =
            state.join(&format!("import-{}.json", Uuid::new_v5(&Uuid::NAMESPACE_URL, name.as_bytes())));
        Ok(Self { path, of })
    }

    /// Where an interrupted import of the same file into the same table is, if there is one.
    fn read(&self) -> Option<Progress> {
        let remembered: Remembered = serde_json::from_slice(&std::fs::read(&self.path).ok()?).ok()?;
        (remembered.of == self.of).then_some(remembered.progress)
    }

    fn write(&self, progress: &Progress) -> Result<()> {
        let remembered = Remembered { of: self.of.clone(), progress: *progress };
        crate::state::write_whole(&self.path, &remembered)
    }

    /// Nothing can go on any more. A file that stays is one that fits no import, or one that is done again.
    fn forget(&self) {
        _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejected_records_go_beside_the_file_uncompressed() {
        for (file, expected) in [
            ("a/items.jsonl", "a/items.jsonl.rejected"),
            ("items.csv.gz", "items.csv.rejected"),
            ("items.jsonl.zst", "items.jsonl.rejected"),
        ] {
            assert_eq!(rejected_file(Path::new(file)), Path::new(expected));
        }
    }

    #[test]
    fn rejected_records_go_on_behind_those_of_the_interrupted_import() {
        let folder = tempfile::tempdir().unwrap();
        let (file, rejects) = (folder.path().join("a.jsonl"), folder.path().join("a.jsonl.rejected"));
        let text = || std::fs::read_to_string(&rejects).unwrap();
        std::fs::write(&rejects, "1\n2\n3\n").unwrap();
        let mut rejected = Rejected::open(&file, 4).unwrap();
        rejected.add(None, b"4").unwrap();
        assert_eq!((text().as_str(), rejected.bytes), ("1\n2\n4\n", 6));
        // Where somebody has taken them away, nothing stands in their place.
        std::fs::remove_file(&rejects).unwrap();
        let mut rejected = Rejected::open(&file, 6).unwrap();
        rejected.add(Some(b"header"), b"5").unwrap();
        assert_eq!((text().as_str(), rejected.bytes), ("header\n5\n", 9));
    }

    #[test]
    fn an_earlier_import_s_rejects_stay_until_there_are_others() {
        let folder = tempfile::tempdir().unwrap();
        let (file, rejects) = (folder.path().join("a.csv"), folder.path().join("a.csv.rejected"));
        std::fs::write(&rejects, "earlier\n").unwrap();
        let mut rejected = Rejected::open(&file, 0).unwrap();
        assert_eq!(std::fs::read_to_string(&rejects).unwrap(), "earlier\n");
        rejected.add(None, b"new").unwrap();
        assert_eq!(std::fs::read_to_string(&rejects).unwrap(), "new\n");
    }

    #[test]
    fn an_import_goes_on_into_the_same_table_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.jsonl");
        std::fs::write(&file, "{}").unwrap();
        let state = StateFolder::of(folder.path());
        let journal = |id: &str, created: f64| {
            let table = format!(
                r#"{{"TableName":"t","TableId":"{id}","CreationDateTime":{created},"KeySchema":[],"AttributeDefinitions":[]}}"#
            );
            Journal::of(&state, &file, "http://h", &serde_json::from_str(&table).unwrap()).unwrap()
        };
        let progress = Progress { imported: 7, ..Progress::default() };
        journal("one", 5.0).write(&progress).unwrap();
        assert_eq!(journal("one", 5.0).read().map(|read| read.imported), Some(7));
        // Made anew, within the second that the server counts.
        assert!(journal("two", 5.0).read().is_none());
        assert!(journal("one", 6.0).read().is_none());
    }
}
