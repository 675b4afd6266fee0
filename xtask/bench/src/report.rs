//! What was measured, as Markdown; and what is under way, on stderr.

use std::fmt::Display;
use std::io::{Write as _, stderr};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};

/// Between these two lines of the README its figures stand.
const BEGIN: &str = "<!-- bench:begin -->";
const END: &str = "<!-- bench:end -->";

/// Prints a line for the user.
pub(crate) fn say(text: impl Display) {
    // Nobody is left to tell when stderr itself is gone.
    _ = stderr().write_all(format!("{text}\n").as_bytes());
}

/// The runs of one client, in the order of the rounds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Runs {
    times: Vec<Duration>,
    /// The highest of all, in KiB.
    peak: Option<u64>,
}

impl Runs {
    /// Adds the next round's.
    pub(crate) fn add(&mut self, took: Duration, peak: Option<u64>) {
        self.times.push(took);
        self.peak = self.peak.max(peak);
    }

    /// In seconds.
    pub(crate) fn median(&self) -> f64 {
        median(self.times.iter().map(Duration::as_secs_f64))
    }

    /// The shortest and the longest, in seconds: a ratio of medians that lies within them says little.
    fn spread(&self) -> [f64; 2] {
        let times = || self.times.iter().map(Duration::as_secs_f64);
        [times().fold(f64::NAN, f64::min), times().fold(f64::NAN, f64::max)]
    }

    /// How many times as long these took as `ours` did: the median of the rounds' ratios.
    pub(crate) fn over(&self, ours: &Self) -> f64 {
        let pairs = self.times.iter().zip(&ours.times);
        median(pairs.map(|(theirs, ours)| theirs.as_secs_f64() / ours.as_secs_f64()))
    }
}

/// The middle of some values, or the mean of the two in the middle; not a number where there is none.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let [low, high] = [values.len().saturating_sub(1) / 2, values.len() / 2];
    match (values.get(low), values.get(high)) {
        (Some(low), Some(high)) => (low + high) / 2.0,
        _ => f64::NAN,
    }
}

/// A Markdown table.
pub(crate) struct Table {
    text: String,
}

impl Table {
    /// With these columns; all but the first `texts` hold numbers.
    pub(crate) fn new(columns: &[&str], texts: usize) -> Self {
        let rules = (0..columns.len()).map(|index| if index < texts { "---" } else { "---:" });
        let rules: Vec<&str> = rules.collect();
        Self { text: format!("| {} |\n|{}|\n", columns.join(" | "), rules.join("|")) }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: &[String]) {
        say(format_args!("  {}", cells.join(" | ")));
        self.text.push_str(&format!("| {} |\n", cells.join(" | ")));
    }

    /// Adds rows for clients that did the same to so many items: ours first, with which the others are
    /// compared.
    pub(crate) fn clients(&mut self, what: &str, items: u64, clients: &[(String, Runs)]) {
        for (name, runs) in clients {
            let median = runs.median();
            let compared = clients.first().filter(|(ours, _)| ours != name);
            let ratio = compared.map(|(_, ours)| format!("{:.2}", runs.over(ours)));
            self.row(&[
                what.to_owned(),
                name.clone(),
                seconds(median),
                runs.spread().map(seconds).join(" to "),
                thousands(items as f64 / median),
                mebibytes(runs.peak),
                ratio.unwrap_or_default(),
            ]);
        }
    }

    /// The Markdown.
    pub(crate) fn into_text(self) -> String {
        self.text
    }
}

/// Seconds with as many digits as say something.
fn seconds(seconds: f64) -> String {
    if seconds < 10.0 { format!("{seconds:.2} s") } else { format!("{seconds:.1} s") }
}

/// A duration in milliseconds.
pub(crate) fn milliseconds(seconds: f64) -> String {
    format!("{:.1} ms", seconds * 1e3)
}

/// A whole number with commas.
pub(crate) fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|group| std::str::from_utf8(group).unwrap_or_default())
        .collect();
    groups.join(",")
}

/// Memory given in KiB.
pub(crate) fn mebibytes(kibibytes: Option<u64>) -> String {
    kibibytes.map_or_else(String::new, |kibibytes| format!("{:.1} MiB", kibibytes as f64 / 1024.0))
}

/// Puts figures in the place of those that the README has.
///
/// # Errors
/// It has no place for them, or cannot be written.
pub(crate) fn write_readme(root: &Path, figures: &str) -> Result<()> {
    let path = root.join("README.md");
    let write = || {
        let text = std::fs::read_to_string(&path)?;
        let text = replaced(&text, figures).with_context(|| format!("no line {BEGIN} before one {END}"))?;
        anyhow::Ok(std::fs::write(&path, text)?)
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

fn replaced(text: &str, figures: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{}\n{END}{after}", figures.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(milliseconds: &[u64]) -> Runs {
        let mut runs = Runs::default();
        milliseconds.iter().for_each(|time| runs.add(Duration::from_millis(*time), None));
        runs
    }

    #[test]
    fn ratios_are_of_the_rounds() {
        let (ours, theirs) = (runs(&[1_000, 4_000, 2_000]), runs(&[3_000, 4_000, 4_000]));
        assert_eq!(ours.median(), 2.0);
        assert_eq!(theirs.over(&ours), 2.0);
        assert_eq!(runs(&[1_000, 2_000]).median(), 1.5);
        assert!(runs(&[]).median().is_nan());
        assert_eq!(ours.spread(), [1.0, 4.0]);
    }

    #[test]
    fn numbers_are_readable() {
        for (number, text) in [(0.4, "0"), (999.0, "999"), (1_000.0, "1,000"), (1_234_567.4, "1,234,567")] {
            assert_eq!(thousands(number), text);
        }
        assert_eq!(mebibytes(Some(1_536)), "1.5 MiB");
    }

    #[test]
    fn the_readme_keeps_what_is_around_the_figures() {
        let text = format!("a\n{BEGIN}\nold\n{END}\nb\n");
        let new = replaced(&text, "new\n\n").unwrap();
        assert_eq!(new, format!("a\n{BEGIN}\nnew\n{END}\nb\n"));
        assert_eq!(replaced(&new, "new").unwrap(), new);
        assert_eq!(replaced("a", "new"), None);
    }
}
