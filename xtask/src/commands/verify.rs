//! Checks that the two stores agree.
//!
//! The messages table repeats data of Postgres's users, and group rows repeat messages. Only the code that writes
//! keeps them equal. `verify` reads the table once, page by page, and keeps only what it compares. Because others may
//! write meanwhile, it reads what looks wrong again, consistently, before it reports it.

mod group;
mod item;
mod stores;

use std::collections::BTreeMap;
use std::io::Write as _;

use crate::error::{Failure, Usage};
use crate::targets::Targets;
use crate::text::{counted, shortened};
use anyhow::Result;
use serde_json::{Value, json};

use super::target::Target;
use crate::context::Context;
use crate::guard::{self, SAFETY};
use crate::output::{self, Format, Output, stdout};
use group::Verdict;
use item::{Finding, Kind};
use stores::Stores;

/// How many findings of each kind the table shows.
const SHOWN: usize = 3;

/// How many characters of a value the table shows on a terminal.
const WIDTH: usize = 100;

#[derive(Debug, clap::Args)]
pub(crate) struct Verify {
    /// List what is wrong, then rewrite handles, display names and group rows from their source
    ///
    /// For local databases only. Nothing is deleted.
    #[arg(long)]
    fix: bool,
    /// With --fix: print what it would rewrite, and change nothing
    #[arg(long, requires = "fix", help_heading = SAFETY)]
    dry_run: bool,
    /// Read with this many read units a second at most
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_units: Option<u32>,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    target: Target,
}

impl Verify {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        let Self { fix, dry_run, max_units, output, target: Target { prod } } = self;
        if fix && prod {
            let problem = "--fix is for local databases: in production a person must check each item first. \
                           Leave --fix out to have them listed";
            return Err(Usage(problem.to_owned()).into());
        }
        if fix {
            context.ui.stop.remedy("run the same command again: each item was rewritten, or is as it was");
        }
        let _lock = context.lock(!fix || dry_run, "verify --fix").await?;
        let targets = context.databases(prod).await?;
        let stores = Stores::open(&targets, &context.ui, max_units).await?;
        let mut report = Findings::new(output);
        let counts = stores.verify(async |verdict| report.add(&verdict)).await?;
        report.print()?;
        let Findings { count, fixable, changes, lacks_users, .. } = report;
        if count == 0 {
            let stores::Totals { items, messages, groups, users } = counts;
            if output.format == Format::Table {
                let [users, groups, messages] = [
                    counted(users as u64, "user", "users"),
                    counted(groups as u64, "group", "groups"),
                    counted(messages, "message", "messages"),
                ];
                writeln!(stdout(), "all agree: {users}, {groups}, {messages}; {items} items")?;
            }
            return Ok(());
        }
        let left = match fix {
            false => count,
            true if dry_run => {
                let deed = format!("rewrite {}", counted(changes, "item", "items"));
                guard::rehearse(&context.ui, false, &deed, &[]);
                count
            }
            true => rewrite(context, &stores).await?,
        };
        if left == 0 {
            return Ok(());
        }
        let option = if prod { " --prod" } else { "" };
        let is_fixed = fix && !dry_run;
        let mut remedy = if is_fixed || prod || fixable == 0 {
            format!(
                "`cargo xtask verify -o jsonl{option}` lists all of them, `cargo xtask ddb get PK SK{option}` shows an item"
            )
        } else {
            format!("`cargo xtask verify --fix` settles {fixable} of them; with --dry-run it shows how")
        };
        if lacks_users && !prod {
            remedy +=
                "; `cargo xtask db seed` brings the seed's users back, `cargo xtask ddb-setup` starts afresh";
        }
        let (one, more) = match is_fixed {
            false => ("disagreement", "disagreements"),
            true => ("disagreement that no source settles", "disagreements that no source settles"),
        };
        let Targets { postgres, dynamodb } = targets;
        let problem = format!("{} between {postgres} and {dynamodb}", counted(left, one, more));
        Err(Failure::new(problem, remedy).into())
    }
}

/// Verifies once more and rewrites what it can. Returns how many disagreements are left.
async fn rewrite(context: &Context, stores: &Stores) -> Result<u64> {
    let (mut left, mut written, mut changed) = (0, 0, 0);
    stores
        .verify(async |Verdict { findings, changes, .. }| {
            let of_source = findings.iter().filter(|finding| finding.can_be_fixed).count();
            left += (findings.len() - of_source) as u64;
            if changes.is_empty() {
                return Ok(());
            }
            if stores.write(&changes).await? {
                written += changes.len() as u64;
            } else {
                changed += 1;
                left += of_source as u64;
            }
            Ok(())
        })
        .await?;
    context.ui.note(counted(written, "item was rewritten", "items were rewritten"));
    if changed > 0 {
        context.ui.warn("another client wrote to some of them meanwhile: run the command again");
    }
    Ok(left)
}

/// Collects findings, and prints them at once or at the end.
struct Findings {
    output: Output,
    count: u64,
    /// The number of findings that a source can correct.
    fixable: u64,
    /// The number of items to write for that.
    changes: u64,
    /// Whether a user is missing in Postgres.
    lacks_users: bool,
    /// The number of findings of each kind, and the first few.
    kinds: BTreeMap<Kind, (u64, Vec<Finding>)>,
}

impl Findings {
    fn new(output: Output) -> Self {
        Self { output, count: 0, fixable: 0, changes: 0, lacks_users: false, kinds: BTreeMap::new() }
    }

    fn add(&mut self, Verdict { findings, changes, .. }: &Verdict) -> Result<()> {
        self.changes += changes.len() as u64;
        for finding in findings {
            self.fixable += u64::from(finding.can_be_fixed);
            self.lacks_users |= finding.kind == Kind::UnknownUser;
            match self.output.format {
                Format::Table => {
                    let (count, first) = self.kinds.entry(finding.kind).or_default();
                    *count += 1;
                    if first.len() < SHOWN {
                        first.push(finding.clone());
                    }
                }
                Format::Json => write!(
                    stdout(),
                    "{}{}",
                    if self.count == 0 { "[\n  " } else { ",\n  " },
                    in_json(finding)
                )?,
                Format::Jsonl => writeln!(stdout(), "{}", in_json(finding))?,
            }
            self.count += 1;
        }
        Ok(())
    }

    /// Prints the collected findings, or the end of the JSON list.
    fn print(&self) -> Result<()> {
        match self.output.format {
            Format::Table if self.count > 0 => {
                let columns = ["disagreement", "count", "fixable", "pk", "sk", "there", "should be"];
                let most = self.output.line_width().map_or(usize::MAX, |_| WIDTH);
                let rows = self.kinds.iter().flat_map(|(kind, (count, first))| {
                    first.iter().enumerate().map(move |(place, finding)| {
                        let if_first =
                            |value| if place == 0 || self.output.vertical { value } else { Value::Null };
                        let [there, should] =
                            [&finding.there, &finding.should].map(|text| json!(shortened(text, most)));
                        let fixable = if finding.can_be_fixed { json!("yes") } else { Value::Null };
                        let (kind, count) = (if_first(json!(kind)), if_first(json!(count)));
                        let [pk, sk] = finding.key.each_ref().map(|key| json!(key));
                        vec![kind, count, fixable, pk, sk, there, should]
                    })
                });
                output::print_rows(self.output, &columns, rows.collect())
            }
            Format::Json => Ok(writeln!(stdout(), "{}]", if self.count == 0 { "[" } else { "\n" })?),
            Format::Table | Format::Jsonl => Ok(()),
        }
    }
}

fn in_json(Finding { kind, key: [pk, sk], there, should, can_be_fixed }: &Finding) -> Value {
    json!({ "kind": kind, "pk": pk, "sk": sk, "there": there, "should": should, "fixable": can_be_fixed })
}
