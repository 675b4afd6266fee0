//! Bare loops: requests made before the clock starts, sent by threads that hardly look at the answers. The
//! best of them is the most that the server gives to any client.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use serde_json::value::RawValue;

use crate::connection::{Connection, request};

/// With how many threads a table is written.
pub(crate) const WRITERS: [usize; 5] = [1, 2, 4, 8, 16];

/// What BatchWriteItem answers when it took every item.
const ALL_TAKEN: &str = "\"UnprocessedItems\":{}";

/// Sends all batches from so many threads. Returns how long that took.
///
/// # Errors
/// The server refused, or handed items back.
pub(crate) fn write(port: u16, batches: &[Vec<u8>], threads: usize) -> Result<Duration> {
    let next = AtomicUsize::new(0);
    let work = |connection: &mut Connection| {
        let mut answer = Vec::new();
        while let Some(batch) = batches.get(next.fetch_add(1, Ordering::Relaxed)) {
            connection.exchange(batch, &mut answer)?;
            ensure!(find(&answer, ALL_TAKEN).is_some(), "the server handed items back");
        }
        Ok(())
    };
    at_once(port, threads, work)
}

/// One way to read a table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Reading {
    segments: u32,
    threads: usize,
    limit: Option<u32>,
}

/// A table, and how many items it holds.
#[derive(Clone, Copy)]
pub(crate) struct Table<'a> {
    pub(crate) port: u16,
    pub(crate) name: &'a str,
    pub(crate) items: u64,
}

impl Reading {
    /// Those that are tried. What is likely to be quick comes first: others are given up early then.
    pub(crate) fn all() -> Vec<Self> {
        let limits = [Some(1_000), Some(2_000), None];
        let of = |segments, threads| limits.map(|limit| Self { segments, threads, limit });
        let mut all = Vec::from(of(1, 1));
        for segments in [64, 32, 16, 8, 4] {
            let threads = [8, 4, 16].into_iter().filter(|threads| *threads <= segments as usize);
            all.extend(threads.flat_map(|threads| of(segments, threads)));
        }
        all
    }

    /// Reads a table like this. Returns how long that took; none where it took longer than `bound`.
    ///
    /// # Errors
    /// The server refused, or there are not as many items as there should be.
    pub(crate) fn read(self, table: Table, bound: Duration) -> Result<Option<Duration>> {
        let (next, count, late) = (AtomicU32::new(0), AtomicU64::new(0), AtomicBool::new(false));
        let started = Instant::now();
        let work = |connection: &mut Connection| {
            let mut answer = Vec::new();
            loop {
                let segment = next.fetch_add(1, Ordering::Relaxed);
                if segment >= self.segments {
                    return Ok(());
                }
                let mut key = None;
                loop {
                    connection.exchange(&self.request(table.name, segment, key.as_deref()), &mut answer)?;
                    count.fetch_add(count_of(&answer)?, Ordering::Relaxed);
                    key = key_of(&answer)?;
                    if started.elapsed() > bound {
                        late.store(true, Ordering::Relaxed);
                        return Ok(());
                    }
                    if key.is_none() {
                        break;
                    }
                }
            }
        };
        let took = at_once(table.port, self.threads, work)?;
        if late.into_inner() {
            return Ok(None);
        }
        let count = count.into_inner();
        ensure!(count == table.items, "{} items were written, but {count} were read", table.items);
        Ok(Some(took))
    }

    fn request(self, table: &str, segment: u32, key: Option<&str>) -> Vec<u8> {
        let mut body = format!("{{\"TableName\":\"{table}\"");
        if self.segments > 1 {
            body.push_str(&format!(",\"Segment\":{segment},\"TotalSegments\":{}", self.segments));
        }
        if let Some(limit) = self.limit {
            body.push_str(&format!(",\"Limit\":{limit}"));
        }
        if let Some(key) = key {
            body.push_str(&format!(",\"ExclusiveStartKey\":{key}"));
        }
        body.push('}');
        request("Scan", &body)
    }
}

impl fmt::Display for Reading {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.segments {
            1 => write!(formatter, "page by page")?,
            segments => write!(formatter, "{segments} segments, {} at once", self.threads)?,
        }
        match self.limit {
            Some(limit) => write!(formatter, ", Limit {limit}"),
            None => write!(formatter, ", no Limit"),
        }
    }
}

/// Does the work in so many threads, each with a connection of its own. Returns how long that took.
fn at_once(
    port: u16,
    threads: usize,
    work: impl Fn(&mut Connection) -> Result<()> + Sync,
) -> Result<Duration> {
    let connections = (0..threads).map(|_| Connection::open(port));
    let mut connections = connections.collect::<Result<Vec<_>>>()?;
    let started = Instant::now();
    std::thread::scope(|scope| {
        let work = &work;
        let threads = connections.iter_mut().map(|connection| scope.spawn(move || work(connection)));
        let threads: Vec<ScopedJoinHandle<_>> = threads.collect();
        threads.into_iter().try_for_each(|thread| {
            thread.join().map_err(|_| anyhow!("a thread of the bare loop panicked"))?
        })
    })?;
    Ok(started.elapsed())
}

/// Where the value behind `"name":` begins. Only an item's own attribute of that name could be mistaken
/// for it, and ours have none.
fn find(text: &[u8], wanted: &str) -> Option<usize> {
    let wanted = wanted.as_bytes();
    let start = text.windows(wanted.len()).rposition(|window| window == wanted)?;
    Some(start + wanted.len())
}

fn count_of(answer: &[u8]) -> Result<u64> {
    let start = find(answer, "\"Count\":").context("an answer without Count")?;
    let digits = answer[start..].iter().skip_while(|byte| **byte == b' ');
    let digits = digits.take_while(|byte| byte.is_ascii_digit());
    Ok(digits.fold(0, |count, digit| count * 10 + u64::from(digit - b'0')))
}

fn key_of(answer: &[u8]) -> Result<Option<String>> {
    let Some(start) = find(answer, "\"LastEvaluatedKey\":") else { return Ok(None) };
    let mut values = serde_json::Deserializer::from_slice(&answer[start..]).into_iter::<&RawValue>();
    Ok(values.next().transpose()?.map(|key| key.get().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_s_count_and_key_are_found_wherever_they_stand() {
        let key = r#"{"pk":{"S":"}"}}"#;
        for answer in [
            format!(r#"{{"Items":[{{}}],"Count":12,"ScannedCount":345,"LastEvaluatedKey":{key}}}"#),
            format!(r#"{{"LastEvaluatedKey":{key},"ScannedCount":345,"Count": 12,"Items":[]}}"#),
        ] {
            assert_eq!(count_of(answer.as_bytes()).unwrap(), 12);
            assert_eq!(key_of(answer.as_bytes()).unwrap().as_deref(), Some(key));
        }
        assert_eq!(key_of(br#"{"Count":0}"#).unwrap(), None);
        assert!(count_of(b"{}").is_err());
    }

    #[test]
    fn no_way_to_read_is_tried_twice_or_has_idle_threads() {
        let all = Reading::all();
        assert!(all.iter().all(|reading| reading.threads <= reading.segments as usize));
        for (index, reading) in all.iter().enumerate() {
            assert!(!all[index + 1..].contains(reading), "{reading}");
        }
    }
}
