//! Compressed files: complete, in several parts, truncated, damaged, or followed by other data.

use std::io::Write as _;

use flate2::write::GzEncoder;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use super::*;

/// A small compressed file that expands to an endless line, which must not fill the memory.
#[test]
fn a_compressed_line_without_an_end_ends_the_file() {
    let folder = folder();
    for (name, compression) in
        [("a.csv", Compression::None), ("a.jsonl.gz", Compression::Gzip), ("a.csv.zst", Compression::Zstd)]
    {
        let path = folder.path().join(name);
        let mut out =
            crate::dynamodb::files::compression::Encoder::new(fs::File::create(&path).unwrap(), compression);
        out.write_all(b"a\n\"").unwrap();
        out.write_all(&vec![b'x'; read::LIMIT + (1 << 20)]).unwrap();
        out.finish().unwrap();
        assert!(compression == Compression::None || fs::metadata(&path).unwrap().len() < 1 << 20);
        let why = ItemFile::open(&path, Some(Notation::Typed), 1).and_then(|mut file| {
            assert!(file.next()?.is_some());
            file.next().map(|_| ())
        });
        let why = why.unwrap_err().to_string();
        assert!(why.starts_with("the record in line 2 is longer than 16 MiB"), "{name}: {why}");
    }
}

#[test]
fn members_and_frames_after_one_another_are_one_text() {
    let folder = folder();
    let parts = ["{\"a\":{\"S\":\"x\"}}\n{\"a\":", "{\"S\":\"y\"}}\n", "", "{\"a\":{\"S\":\"z\"}}\n"];
    let gzip = |part: &str| {
        let mut member = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        member.write_all(part.as_bytes()).unwrap();
        member.finish().unwrap()
    };
    let path = file(&folder, "a.jsonl.gz", parts.map(gzip).concat());
    assert_eq!(read(open(&path)).0.len(), 3);
    // A skippable frame: its magic number, its length, and that many bytes.
    let skipped = [0x5A, 0x2A, 0x4D, 0x18, 3, 0, 0, 0, 1, 2, 3];
    let frames = parts.map(|part| compress_to_vec(part.as_bytes(), CompressionLevel::Fastest));
    let path = file(&folder, "a.jsonl.zst", [&skipped[..], &frames.concat(), &skipped].concat());
    assert_eq!(read(open(&path)).0.len(), 3);
    let path = file(&folder, "b.jsonl.zst", [&frames.concat(), &skipped[..10]].concat());
    assert!(error_of(&path).contains("the zstd stream ends early"));
}

#[test]
fn data_after_a_compressed_text_is_padding_or_an_error() {
    let folder = folder();
    let item = Item::from([("a".to_owned(), AttributeValue::S("x".to_owned()))]);
    for (name, form) in [("a.jsonl.gz", "gzip"), ("a.jsonl.zst", "zstd")] {
        let path = folder.path().join(name);
        write(&path, &Layout::Jsonl(Notation::Typed), [&item]);
        let whole = fs::read(&path).unwrap();
        // More than one read returns.
        let padding = vec![0; 300_000];
        for (follows, items) in [(vec![padding.clone()], 1), (vec![padding.clone(), whole.clone()], 2)] {
            let path = file(&folder, name, [whole.clone(), follows.concat()].concat());
            assert_eq!(read(open(&path)).0.len(), items, "{name}");
        }
        for follows in [&b"{\"a\":{\"S\":\"not compressed\"}}\n"[..], &[&padding[..], b"rubbish"].concat()] {
            let path = file(&folder, name, [&whole[..], follows].concat());
            let expected = format!("the {form} stream is followed by data that is not {form}");
            assert_eq!(error_of(&path), expected);
        }
    }
}

#[test]
fn a_compressed_file_that_is_cut_or_damaged_is_an_error() {
    let folder = folder();
    let mut arbitrary = Arbitrary(Rng::with_seed(5));
    let items: Vec<Item> = (0..40).map(|_| arbitrary.item()).collect();
    for name in ["a.jsonl.gz", "a.jsonl.zst"] {
        let path = folder.path().join(name);
        write(&path, &Layout::Jsonl(Notation::Typed), &items);
        let whole = fs::read(&path).unwrap();
        for _ in 0..100 {
            let cut = arbitrary.0.usize(..whole.len());
            fs::write(&path, &whole[..cut]).unwrap();
            let error = error_of(&path);
            assert!(error.contains("stream ends early: the file is not whole"), "{name} at {cut}: {error}");
        }
        // The checksum is in the last bytes.
        let mut damaged = whole.clone();
        let last = damaged.len() - if name.ends_with("gz") { 7 } else { 2 };
        damaged[last] ^= 1;
        fs::write(&path, damaged).unwrap();
        let error = error_of(&path);
        assert!(error.contains("stream is damaged"), "{name}: {error}");
        let error = error_of(&file(&folder, name, "{\"a\":{\"S\":\"not compressed\"}}\n"));
        assert_eq!(error, "the file is not compressed: its name has to end without .gz or .zst");
        let error = error_of(&file(&folder, "a.jsonl", whole));
        assert!(error.ends_with(&format!("its name has to end in .{}", &name[8..])), "{name}: {error}");
    }
}
