//! Measures how fast files are written and read.

use std::time::Instant;

use super::*;

#[test]
#[ignore = "a measurement: items a second"]
#[allow(clippy::print_stderr, clippy::cast_precision_loss, reason = "its figures are for people")]
fn speed() {
    let folder = folder();
    let mut rng = Rng::with_seed(1);
    let words: Vec<String> =
        (0..2000).map(|_| (0..rng.usize(2..9)).map(|_| rng.lowercase()).collect()).collect();
    let mut message = || {
        let text: Vec<_> = (0..40).map(|_| words[rng.usize(..words.len())].as_str()).collect();
        let (mut text, uuid) = (text.join(" "), format!("{:032x}", rng.u128(..)));
        text.truncate(120);
        [
            ("pk", "MSG#5ae290ed-55d1-47a0-bc6d-fe2bc2700399"),
            ("sk", "2023-03-20T14:05:09.000000+00:00"),
            ("message_uuid", &uuid),
            ("message", &text),
            ("user_uuid", "5ae290ed-55d1-47a0-bc6d-fe2bc2700398"),
            ("user_display_name", "Andrew Brown"),
            ("user_handle", "andrewbrown"),
        ]
        .map(|(name, value)| (name.to_owned(), AttributeValue::S(value.to_owned())))
        .into()
    };
    let items: Vec<Item> = (0..200_000).map(|_| message()).collect();
    let csv = Layout::Csv(Columns::of(&["pk", "sk"], &items[..100]));
    let layouts = [
        ("typed.jsonl", Layout::Jsonl(Notation::Typed)),
        ("plain.jsonl", Layout::Jsonl(Notation::Plain)),
        ("a.csv", csv),
    ];
    for (name, layout) in layouts {
        for (compressed, _) in COMPRESSIONS {
            let path = folder.path().join(format!("{name}{compressed}"));
            let begin = Instant::now();
            write(&path, &layout, &items);
            let written = begin.elapsed();
            let begin = Instant::now();
            let mut file = open(&path);
            let mut count = 0;
            while let Some(record) = file.next().unwrap() {
                count += record.item.unwrap().len();
            }
            assert_eq!(count, items.len() * 7);
            let per_second = |time: std::time::Duration| items.len() as f64 / time.as_secs_f64();
            let size = fs::metadata(&path).unwrap().len() as f64 / items.len() as f64;
            eprintln!(
                "{name}{compressed}: {:.0} items/s written, {:.0} read, {size:.0} bytes an item",
                per_second(written),
                per_second(begin.elapsed())
            );
        }
    }
}
