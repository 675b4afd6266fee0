//! Files of items, as they are imported.

use std::fs;
use std::io;
use std::path::Path;

use tempfile::TempDir;
use xtask_files::{Columns, FileForm, ItemFile, ItemFileWriter, Layout, Notation, Position};
use xtask_items::Item;

use super::items::depth;

/// JSON lines.
pub(super) fn jsonl(input: &[u8]) {
    file("a.jsonl", input);
}

/// CSV.
pub(super) fn csv(input: &[u8]) {
    file("a.csv", input);
}

/// JSON lines in gzip.
pub(super) fn gzip(input: &[u8]) {
    file("a.jsonl.gz", input);
}

/// JSON lines in zstd.
pub(super) fn zstd(input: &[u8]) {
    file("a.jsonl.zst", input);
}

/// A file's records, as far as they could be read.
#[derive(Default)]
struct Records {
    items: Vec<Item>,
    positions: Vec<Position>,
    wrong: Vec<(u64, String)>,
}

/// What of a file could be read, and what stopped that.
fn records(path: &Path, notation: Option<Notation>, from: Position) -> (Records, io::Result<()>) {
    let mut records = Records::default();
    let mut read = || {
        let mut file = ItemFile::open(path, notation, from)?;
        while let Some(record) = file.next()? {
            records.positions.push(record.after);
            match record.item {
                Ok(item) => records.items.push(item),
                Err(why) => records.wrong.push((record.line, why)),
            }
        }
        Ok(())
    };
    let ended = read();
    (records, ended)
}

/// In memory, where there is such a place: a million files are written.
fn folder() -> io::Result<TempDir> {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }
}

fn file(name: &str, input: &[u8]) {
    let begun = folder().and_then(|folder| {
        let path = folder.path().join(name);
        fs::write(&path, input).map(|()| (folder, path))
    });
    let Ok((folder, path)) = begun else { return };
    let (all, ended) = records(&path, None, Position::default());
    let lines = all.positions.last().map_or(0, |last| last.lines);
    assert!(all.wrong.iter().all(|(line, why)| (1..=lines).contains(line) && !why.is_empty()));
    if ended.is_err() {
        return;
    }
    if let Some(middle) = all.positions.get(all.positions.len() / 2) {
        let notation = ItemFile::open(&path, None, Position::default()).ok().and_then(|file| file.notation());
        let (rest, ended) = records(&path, notation, *middle);
        assert!(
            ended.is_ok() && all.positions.ends_with(&rest.positions) && all.items.ends_with(&rest.items)
        );
    }
    let csv = Layout::Csv(Columns::of(&["pk"], &all.items[..all.items.len() / 2]));
    // One of them each time: most of the time goes here.
    match input.len() % 3 {
        0 => written_is_read(&folder.path().join("b.csv.zst"), csv, &all.items),
        1 => written_is_read(&folder.path().join("b.jsonl"), Layout::Jsonl(Notation::Plain), &all.items),
        _ => written_is_read(&folder.path().join("b.jsonl.gz"), Layout::Jsonl(Notation::Typed), &all.items),
    }
}

/// A file gives back the items that are written into it.
fn written_is_read(path: &Path, layout: Layout, items: &[Item]) {
    // What is nested deeper, no table has.
    if items.iter().flat_map(Item::values).any(|value| depth(value) > 32) {
        return;
    }
    let plain = matches!(layout, Layout::Jsonl(Notation::Plain));
    let write = || {
        let mut file = ItemFileWriter::create(path, FileForm::of(path)?.compression, layout)?;
        items.iter().try_for_each(|item| file.write(item))?;
        file.finish()
    };
    if let Err(error) = write() {
        panic!("{}: {error}", path.display());
    }
    let notation = if plain { Notation::Plain } else { Notation::Typed };
    let (again, ended) = records(path, Some(notation), Position::default());
    assert!(ended.is_ok() && again.wrong.is_empty(), "{}: {ended:?} {:?}", path.display(), again.wrong);
    // Plain JSON has no sets and no binary.
    assert!(again.items.len() == items.len() && (plain || again.items == items), "{}", path.display());
}
