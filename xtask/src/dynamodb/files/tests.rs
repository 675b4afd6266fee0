#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]
//! Whole files: items that are written are read back unchanged.

mod arbitrary;
mod compressed;
mod speed;

use std::fs;
use std::path::{Path, PathBuf};

use crate::dynamodb::json::{AttributeValue, Item};
use fastrand::Rng;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use tempfile::TempDir;

use super::*;
use arbitrary::Arbitrary;

const COMPRESSIONS: [(&str, Compression); 3] =
    [("", Compression::None), (".gz", Compression::Gzip), (".zst", Compression::Zstd)];

fn folder() -> TempDir {
    TempDir::new().unwrap()
}

fn file(folder: &TempDir, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    path
}

fn write<'a>(path: &Path, layout: &Layout, items: impl IntoIterator<Item = &'a Item>) {
    let compression = FileForm::of(path).unwrap().compression;
    let mut file = ItemFileWriter::create(path, compression, layout.clone()).unwrap();
    items.into_iter().for_each(|item| file.write(item).unwrap());
    file.finish().unwrap();
}

fn open(path: &Path) -> ItemFile {
    ItemFile::open(path, None, 1).unwrap()
}

/// All items of a file, each with its line.
fn read(mut file: ItemFile) -> (Vec<Item>, Vec<u64>) {
    let mut items = Vec::new();
    let mut lines = Vec::new();
    while let Some(record) = file.next().unwrap() {
        items.push(record.item.unwrap());
        lines.push(record.line);
    }
    (items, lines)
}

/// The error of opening a file or reading its first record.
fn first_error(path: &Path) -> String {
    let first = ItemFile::open(path, None, 1).and_then(|mut file| file.next().map(|_| ()));
    first.unwrap_err().to_string()
}

fn error_of(path: &Path) -> String {
    let file = ItemFile::open(path, Some(Notation::Typed), 1);
    let error = file.and_then(|mut file| {
        while let Some(record) = file.next()? {
            assert!(record.item.is_ok(), "{record:?}");
        }
        Ok(())
    });
    error.unwrap_err().to_string()
}

/// A file's records: line, text, and the number of attributes or what is wrong.
fn records(mut file: ItemFile) -> Vec<(u64, String, Result<usize, String>)> {
    let mut records = Vec::new();
    while let Some(record) = file.next().unwrap() {
        let text = String::from_utf8_lossy(record.text).into_owned();
        records.push((record.line, text, record.item.map(|item| item.len())));
    }
    records
}

#[test]
fn every_item_is_read_as_it_was_written_and_written_as_it_was_read() {
    let folder = folder();
    let mut arbitrary = Arbitrary(Rng::with_seed(20_230_320));
    for batch in 0..40 {
        let items: Vec<Item> = (0..50).map(|_| arbitrary.item()).collect();
        for item in &items {
            assert_eq!(check(item), Ok(()));
        }
        let first_page = &items[..arbitrary.0.usize(..=items.len())];
        let csv = Layout::Csv(Columns::of(&["pk", "sk"], first_page));
        for (extension, layout) in [("jsonl", Layout::Jsonl(Notation::Typed)), ("csv", csv)] {
            for (compressed, _) in COMPRESSIONS {
                let path = folder.path().join(format!("a.{extension}{compressed}"));
                write(&path, &layout, &items);
                let file = ItemFile::open(&path, Some(Notation::Typed), 1).unwrap();
                let (again, lines) = read(file);
                assert!(again == items, "batch {batch}: {}", path.display());
                let copy = folder.path().join(format!("b.{extension}{compressed}"));
                write(&copy, &layout, &again);
                assert!(
                    fs::read(&copy).unwrap() == fs::read(&path).unwrap(),
                    "batch {batch}: {}",
                    copy.display()
                );
                let done = arbitrary.0.usize(..items.len());
                let rest = ItemFile::open(&path, Some(Notation::Typed), lines[done]).unwrap();
                let (rest, later) = read(rest);
                assert!(rest == items[done..] && later == lines[done..], "batch {batch}");
            }
        }
    }
}

#[test]
fn an_item_of_400_kb_is_kept() {
    let folder = folder();
    for text in ["x".repeat(400_000), "\u{1}\"".repeat(200_000), "\u{1f600}".repeat(100_000)] {
        let item = Item::from([("big".to_owned(), AttributeValue::S(text))]);
        for name in ["a.jsonl", "a.jsonl.gz", "a.jsonl.zst"] {
            let path = folder.path().join(name);
            write(&path, &Layout::Jsonl(Notation::Typed), [&item, &item]);
            assert!(read(open(&path)).0 == [item.clone(), item.clone()], "{name}");
        }
        let path = folder.path().join("a.csv");
        write(&path, &Layout::Csv(Columns::of(&[], [&item])), [&item]);
        assert!(read(open(&path)).0 == [item]);
    }
}

#[test]
fn a_file_without_items_is_one() {
    let folder = folder();
    for (extension, layout) in
        [("jsonl", Layout::Jsonl(Notation::Typed)), ("csv", Layout::Csv(Columns::of(&[], [])))]
    {
        for (compressed, _) in COMPRESSIONS {
            let path = folder.path().join(format!("a.{extension}{compressed}"));
            write(&path, &layout, []);
            assert_eq!(read(open(&path)).0, []);
        }
    }
    assert_eq!(fs::read(folder.path().join("a.csv")).unwrap(), b"*\n");
    let empty = file(&folder, "empty.csv", "\n\n");
    assert_eq!(first_error(&empty), "there is no header");
    let bare = file(&folder, "bare.csv", "pk,v\ra,1\rb,2\r");
    assert_eq!(
        first_error(&bare),
        "the header: a line ends with a carriage return alone: write the file with line feeds"
    );
    let quoted = file(&folder, "quoted.csv", "pk,\"v\r\"\r\na,1\r\n");
    assert!(open(&quoted).next().unwrap().unwrap().item.is_ok());
}

#[test]
fn plain_json_is_read_and_written() {
    let folder = folder();
    let text = "{\"a\":\"x\",\"b\":12345678901234567890123456789012345678,\"c\":null,\"d\":{\"S\":[true]}}\n";
    let path = file(&folder, "a.jsonl", text);
    let (items, _) = read(open(&path));
    let copy = folder.path().join("b.ndjson");
    write(&copy, &Layout::Jsonl(Notation::Plain), &items);
    assert_eq!(fs::read_to_string(copy).unwrap(), text);
}

#[test]
fn one_document_is_no_json_lines() {
    let folder = folder();
    for text in [
        "[\n  {\"a\": 1}\n]\n",
        "[{\"a\": 1},\n{\"a\": 2}]\n",
        " [ {\"a\": 1}, {\"a\": 2}]",
        "[]",
        "\n{\r\n  \"Items\": []\r\n}\r\n",
        "{\"Items\": [\n{\"a\": {\"S\": \"x\"}}\n]}",
        "{\"Items\":[{\"a\":{\"S\":\"x\"}}],\"Count\":1,\"ScannedCount\":1,\"ConsumedCapacity\":null}\n",
    ] {
        let path = file(&folder, "a.json", text);
        let error = first_error(&path);
        assert!(error.starts_with("it is one JSON document, not one item per line"), "{text}: {error}");
    }
    let path = file(&folder, "a.json", "{\"Items\":[1],\"pk\":\"a\"}\n[{}]\n");
    let read = records(open(&path));
    assert_eq!((read[0].2.as_ref(), read[1].2.is_err()), (Ok(&2), true));
}

#[test]
fn a_bad_line_has_its_number_and_the_next_one_follows() {
    let folder = folder();
    let text = b"\xef\xbb\xbf\n{\"a\":{\"N\":\"1\"}}\r\n  \r\n{\"a\":{\"N\":\"one\"}}\n{\"a\":\xff}\nnull\n\n{\"a\":{\"S\":\"x\"}}";
    let wrong = |why: &str| Err(why.to_owned());
    let expected = [
        (2, r#"{"a":{"N":"1"}}"#, Ok(1)),
        (4, r#"{"a":{"N":"one"}}"#, wrong("attribute `a`: `one` is not a number")),
        (5, "{\"a\":\u{fffd}}", wrong("it is not UTF-8 at byte 6")),
        (6, "null", wrong("expected an object of attributes, found null (at byte 4)")),
        (8, r#"{"a":{"S":"x"}}"#, Ok(1)),
    ]
    .map(|(line, text, item)| (line, text.to_owned(), item));
    assert_eq!(records(open(&file(&folder, "a.jsonl", text))), expected);
    let packed = compress_to_vec(&text[..], CompressionLevel::Fastest);
    assert_eq!(records(open(&file(&folder, "a.jsonl.zst", packed))), expected);
}

#[test]
fn a_line_longer_than_the_limit_ends_the_file() {
    let folder = folder();
    let text = format!("{{\"a\":{{\"S\":\"{}\"}}}}\n{{\"a\":{{\"S\":\"x\"}}}}\n", "x".repeat(read::LIMIT));
    let path = file(&folder, "a.jsonl", text);
    let why = error_of(&path);
    assert!(
        why.starts_with(
            "the record in line 1 is longer than 16 MiB, more than any item needs: is it one JSON"
        ),
        "{why}"
    );
    // The error names the line in which the CSV row begins.
    let path =
        file(&folder, "a.csv", format!("a\n1\n\"2\n{}", format!("{:1023}\n", 3).repeat(read::LIMIT >> 10)));
    let why = "the record in line 3 is longer than 16 MiB, more than any item needs: is a quote not closed?";
    assert_eq!(error_of(&path), why);
}

/// The time must grow linearly with the header, not with its square.
#[test]
fn a_header_may_have_very_many_cells() {
    let folder = folder();
    let cells = (0..50_000).map(|number| number.to_string()).collect::<Vec<_>>().join(",");
    let path = file(&folder, "a.csv", format!("{cells}\n{cells}\n"));
    assert_eq!(read(open(&path)).0[0].len(), 50_000);
    let path = file(&folder, "b.csv", format!("{cells},7\n"));
    let error = first_error(&path);
    assert_eq!(error, "the header has `7` twice");
}

#[test]
fn a_table_as_people_have_it_is_read_as_strings() {
    let folder = folder();
    let text = "\u{feff}pk,name,age:N\r\n1,\"Brown, \"\"A\"\"\r\nB\",41\r\n\r\n2,,\r\n3,5\" disk,x\r\n4\r\n5,a\"b,1\r\n";
    let wrong = |why: &str| Err(why.to_owned());
    let expected = [
        (2, "1,\"Brown, \"\"A\"\"\r\nB\",41", Ok(3)),
        (5, "2,,", Ok(1)),
        (6, "3,5\" disk,x", wrong("attribute `age`: `x` is not a number")),
        (7, "4", wrong("the row has 1 cell, and the header 3")),
        (8, "5,a\"b,1", Ok(3)),
    ]
    .map(|(line, text, item)| (line, text.to_owned(), item));
    let path = file(&folder, "a.csv", text);
    assert_eq!(open(&path).header(), Some("pk,name,age:N".as_bytes()));
    assert_eq!(records(open(&path)), expected);
    let first = open(&path).next().unwrap().unwrap().item.unwrap();
    assert_eq!(first["name"], AttributeValue::S("Brown, \"A\"\r\nB".to_owned()));
    let path = file(&folder, "b.csv", "a,b\n1,2\n\"3,4\n5,6\n");
    let unclosed = wrong("a quote is not closed up to the end of the file");
    assert_eq!(records(open(&path))[1..], [(3, "\"3,4\n5,6".to_owned(), unclosed)]);
}

#[test]
fn a_first_record_of_two_notations_wants_to_be_told() {
    let folder = folder();
    let path = file(&folder, "a.jsonl", "{\"a\":{\"S\":\"x\"},\"b\":{\"q\":\"y\"}}\n");
    let error = first_error(&path);
    assert!(error.starts_with("line 1: attribute `a` has a type") && error.contains("`b` none"), "{error}");
    let told = ItemFile::open(&path, Some(Notation::Plain), 1).unwrap();
    assert_eq!(records(told)[0].2, Ok(2));
}

#[cfg(unix)]
#[test]
fn a_link_stays_and_its_target_is_replaced() {
    let folder = folder();
    let (link, target) = (folder.path().join("link.jsonl"), file(&folder, "target.jsonl", "old"));
    std::os::unix::fs::symlink("target.jsonl", &link).unwrap();
    let out = ItemFileWriter::create(&link, Compression::None, Layout::Jsonl(Notation::Typed)).unwrap();
    out.finish().unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::read_to_string(target).unwrap(), "");
}

#[test]
fn a_file_is_whole_or_not_there() {
    let folder = folder();
    let path = file(&folder, "a.jsonl", "older\n");
    let names = || {
        let mut names: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let mut begun = ItemFileWriter::create(&path, Compression::None, Layout::Jsonl(Notation::Typed)).unwrap();
    begun.write(&Item::new()).unwrap();
    assert!(names()[0].to_str().unwrap().ends_with(".partial"), "{:?}", names());
    drop(begun);
    assert_eq!(names(), ["a.jsonl"]);
    assert_eq!(fs::read(&path).unwrap(), b"older\n");
    // A killed process left the first one; the second is being written.
    file(&folder, ".a.jsonl.abc123.partial", "{");
    let begun = ItemFileWriter::create(&path, Compression::None, Layout::Jsonl(Notation::Typed)).unwrap();
    assert!(names().len() == 2 && names()[0] != ".a.jsonl.abc123.partial", "{:?}", names());
    let beside = ItemFileWriter::create(&path, Compression::None, Layout::Jsonl(Notation::Typed)).unwrap();
    assert_eq!(names().len(), 3);
    drop((begun, beside));
    write(&path, &Layout::Jsonl(Notation::Typed), [&Item::new()]);
    assert_eq!(fs::read(&path).unwrap(), b"{}\n");
    assert_eq!(names(), ["a.jsonl"]);
}

#[test]
fn reading_tells_how_far_it_is() {
    let folder = folder();
    let mut arbitrary = Arbitrary(Rng::with_seed(7));
    let items: Vec<Item> = (0..10).map(|_| arbitrary.item()).collect();
    for (compressed, _) in COMPRESSIONS {
        let path = folder.path().join(format!("a.jsonl{compressed}"));
        write(&path, &Layout::Jsonl(Notation::Typed), &items);
        let mut file = open(&path);
        while file.next().unwrap().is_some() {}
        assert!((file.share() - 1.0).abs() < f64::EPSILON);
    }
}

#[test]
fn extensions_name_the_form() {
    for (name, is_csv, compression) in [
        ("a.jsonl", false, Compression::None),
        ("folder.csv/a.ndjson.gz", false, Compression::Gzip),
        ("4pdnhjbxgm2qq.json.gz", false, Compression::Gzip),
        ("A.CSV", true, Compression::None),
        ("a.jsonl.csv.zst", true, Compression::Zstd),
        ("a.csv.rejected", true, Compression::None),
        ("a.jsonl.gz.rejected", false, Compression::None),
        ("a.csv.rejected.12", true, Compression::None),
        ("a.csv.zst.rejected.1.rejected", true, Compression::None),
    ] {
        assert_eq!(FileForm::of(Path::new(name)).unwrap(), FileForm { is_csv, compression }, "{name}");
    }
}

#[test]
fn an_unknown_extension_is_an_error() {
    for name in ["a", "a.txt", "a.gz", "jsonl", "a.jsonl.bz2", "..", "a.csv.gz.zst", "a.rejected", "a.csv.1"]
    {
        let error = FileForm::of(Path::new(name)).unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
    }
}
