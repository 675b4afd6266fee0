//! The app's access patterns, with the app's own requests.

use std::borrow::Cow;
use std::io::{self, BufWriter, IsTerminal as _, Write as _};

use crate::dynamodb::client::DynamoDb;
use crate::dynamodb::json::{AttributeValue, Item};
use crate::dynamodb::print::{Form, ItemOutput, ItemWriter};
use crate::dynamodb::read::{self, Page, Response};
use crate::error::Usage;
use crate::targets::Targets;
use anyhow::Result;
use backend_flask::messages::{self, Message, MessageGroup, SEED_GROUP, SORT_KEY, TimeRange};
use backend_flask::time;
use chrono::{DateTime, Utc};
use clap::Subcommand;
use postgres::Client;
use uuid::Uuid;

use super::cost::Cost;
use super::{Target, seed};
use crate::context::Context;
use crate::output::{Output, stdout};
use crate::text::{counted, fitted, printable, shortened, width_of};

/// How many characters of a message are shown without `--wide`.
const MESSAGE_WIDTH: usize = 40;

/// If the terminal has fewer columns left for a message, the message gets its own line.
const LEAST_MESSAGE_WIDTH: usize = 20;

#[derive(Debug, Subcommand)]
pub(crate) enum Patterns {
    /// Print the newest messages of a conversation, oldest first
    ///
    /// Times are in UTC. On a terminal a message is cut after 40 characters, except with --wide, --vertical or
    /// another format.
    #[command(after_long_help = "Examples:
  cargo xtask ddb patterns get-conversation --limit 3
  cargo xtask ddb patterns get-conversation --year 2026 -o jsonl")]
    GetConversation(GetConversation),
    /// Print a user's conversations, newest message first
    ///
    /// Times are in UTC. On a terminal a message is cut after 40 characters, except with --wide, --vertical or
    /// another format.
    #[command(after_long_help = "Examples:
  cargo xtask ddb patterns list-conversations --handle bayko")]
    ListConversations(ListConversations),
}

impl Patterns {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        match self {
            Self::GetConversation(command) => command.run(context).await,
            Self::ListConversations(command) => command.run(context).await,
        }
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct GetConversation {
    /// The conversation [default: the seeded one]
    #[arg(long, value_name = "UUID", default_value_t = SEED_GROUP, hide_default_value = true, value_parser = uuid)]
    message_group: Uuid,
    /// Print at most this many messages
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    limit: u32,
    /// Print all messages
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    /// Only messages sent in this year (UTC)
    #[arg(long, value_name = "Y", conflicts_with_all = ["from", "to"])]
    year: Option<i32>,
    /// Only messages sent at this time or later, as 2026-01-31T14:05:00Z
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    from: Option<DateTime<Utc>>,
    /// Only messages sent at this time or earlier
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    to: Option<DateTime<Utc>>,
    #[command(flatten)]
    items: ItemOutput,
    #[command(flatten)]
    cost: Cost,
    #[command(flatten)]
    target: Target,
}

impl GetConversation {
    async fn run(self, context: &Context) -> Result<()> {
        let range = self.range()?;
        let dynamodb = self.target.dynamodb(context).await?;
        let query = messages::conversation(&dynamodb.target.table, self.message_group, &range);
        let mut printer = Printer::new(self.items, message_line)?;
        let response = if self.all {
            let take = async |page: Page| printer.print(&page.items);
            read::pages(&dynamodb, query.scan_index_forward(true), None, take).await?
        } else {
            let mut messages = Vec::new();
            let take = async |mut page: Page| {
                messages.append(&mut page.items);
                Ok(())
            };
            let limit = Some(self.limit.into());
            let response = read::pages(&dynamodb, query, limit, take).await?;
            messages.reverse();
            printer.print(&messages)?;
            response
        };
        printer.finish(context, &response, "these are the newest; --all or --limit N shows more")?;
        self.cost.report(&dynamodb, &dynamodb.target.table, None, Some(&response)).await
    }

    fn range(&self) -> Result<TimeRange> {
        let range = match self.year {
            Some(year) => {
                TimeRange::year(year).ok_or_else(|| Usage(format!("--year {year} is not in 0 to 9999")))?
            }
            None => TimeRange { from: self.from, to: self.to },
        };
        if range.is_empty() {
            return Err(Usage("--from is later than --to".to_owned()).into());
        }
        Ok(range)
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct ListConversations {
    /// The user's handle
    #[arg(long, default_value = "andrewbrown")]
    handle: String,
    #[command(flatten)]
    items: ItemOutput,
    #[command(flatten)]
    cost: Cost,
    #[command(flatten)]
    target: Target,
}

impl ListConversations {
    async fn run(self, context: &Context) -> Result<()> {
        let Targets { postgres, dynamodb } = context.databases(self.target.prod).await?;
        let (target, handle) = (postgres.clone(), self.handle);
        let find = move |client: &mut Client| seed::find_user(client, &target, &handle, "--handle");
        let (dynamodb, user) = tokio::try_join!(DynamoDb::new(&dynamodb, &context.ui), postgres.ask(find))?;
        let query = messages::conversations_of(&dynamodb.target.table, user.uuid);
        let mut printer = Printer::new(self.items, group_line)?;
        let take = async |page: Page| printer.print(&page.items);
        let response = read::pages(&dynamodb, query, None, take).await?;
        printer.finish(context, &response, "there are more")?;
        self.cost.report(&dynamodb, &dynamodb.target.table, None, Some(&response)).await
    }
}

fn uuid(text: &str) -> Result<Uuid, &'static str> {
    text.parse().map_err(|_| "it is not a UUID")
}

/// Prints items as text lines or in the chosen format.
struct Printer {
    writer: Option<ItemWriter>,
    output: Output,
    line: fn(&Item) -> Result<Line>,
    /// The number of lines whose time is in a form that DynamoDB does not sort correctly.
    unsortable: u64,
    has_cut: bool,
}

impl Printer {
    fn new(items: ItemOutput, line: fn(&Item) -> Result<Line>) -> Result<Self> {
        let form = items.form(Vec::new())?;
        let writer = (!matches!(form, Form::Table(_))).then(|| ItemWriter::new(form));
        Ok(Self { writer, output: items.output, line, unsortable: 0, has_cut: false })
    }

    fn print(&mut self, items: &[Item]) -> Result<()> {
        if let Some(writer) = &mut self.writer {
            return writer.page(items);
        }
        let mut out = BufWriter::new(stdout());
        let columns = self.output.line_width();
        for item in items {
            let is_sortable = match item.get(SORT_KEY) {
                Some(AttributeValue::S(time)) => time::is_sortable(time),
                _ => true,
            };
            self.unsortable += u64::from(!is_sortable);
            let line = (self.line)(item)?;
            // A program that reads a pipe needs whole messages.
            let cuts = io::stdout().is_terminal() && !self.output.wide;
            let shown = if cuts { line.cut(columns) } else { line.whole() };
            self.has_cut |= !shown.ends_with(&*printable(Cow::Borrowed(&line.message)));
            writeln!(out, "{shown}")?;
        }
        Ok(out.flush()?)
    }

    fn finish(self, context: &Context, response: &Response, more: &str) -> Result<()> {
        match self.writer {
            Some(writer) => writer.finish(response, &context.ui)?,
            None if response.count > 0 => context.ui.note("times are in UTC"),
            None => {}
        }
        if self.has_cut {
            context.ui.note("long messages are cut; --wide shows them whole");
        }
        if self.unsortable > 0 {
            context.ui.warn(format_args!(
                "{} in another form than {}: DynamoDB sorts and bounds such times by their text",
                counted(self.unsortable, "time is", "times are"),
                time::format(DateTime::UNIX_EPOCH)
            ));
        }
        response.report(&context.ui, more);
        Ok(())
    }
}

/// An item as a line.
struct Line {
    /// The conversation if it is shown, the handle at least 15 wide, and the time in UTC 22 wide.
    head: String,
    message: String,
}

impl Line {
    fn new(handle: &str, at: DateTime<Utc>, message: String) -> Self {
        let handle = printable(Cow::Borrowed(handle));
        let head = format!("{handle:<15} {:<22}", at.format("%Y-%m-%d %I:%M %p").to_string());
        Self { head, message }
    }

    fn whole(&self) -> String {
        format!("{}{}", self.head, printable(Cow::Borrowed(&self.message)))
    }

    /// The line with the first 40 characters of the message, or fewer if a terminal has too few columns for them. On a
    /// narrow terminal the message has a line of its own.
    fn cut(&self, columns: Option<usize>) -> String {
        let (head, message) = (&self.head, printable(shortened(&self.message, MESSAGE_WIDTH)));
        match columns {
            Some(columns) if columns < width_of(head) + LEAST_MESSAGE_WIDTH => {
                format!("{}\n  {}", head.trim_end(), fitted(&message, columns.saturating_sub(2)))
            }
            Some(columns) => fitted(&format!("{head}{message}"), columns).into_owned(),
            None => format!("{head}{message}"),
        }
    }
}

fn message_line(item: &Item) -> Result<Line> {
    let message = Message::from_item(item)?;
    Ok(Line::new(&message.sender.handle, message.created_at, message.message))
}

fn group_line(item: &Item) -> Result<Line> {
    let group = MessageGroup::from_item(item)?;
    let line = Line::new(&group.other.handle, group.last_message_at, group.message);
    Ok(Line { head: format!("{}  {}", group.message_group_uuid, line.head), ..line })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_fixed_columns_and_cuts_by_characters() {
        let at = time::parse("2023-03-20T14:05:09Z").unwrap();
        let line = |handle: &str, message: &str| Line::new(handle, at, message.to_owned());
        assert_eq!(line("bayko", "hi").cut(None), "bayko           2023-03-20 02:05 PM   hi");
        assert_eq!(
            line("a\nb", "\u{1b}[31m\nhi").cut(None),
            r"a\nb            2023-03-20 02:05 PM   \u{1b}[31m\nhi"
        );
        assert_eq!(
            line("kalpana.yamamoto.000002", "hi").cut(None),
            "kalpana.yamamoto.000002 2023-03-20 02:05 PM   hi"
        );
        let (forty, head) = ("é".repeat(40), "a               2023-03-20 02:05 PM   ");
        assert_eq!(line("a", &forty).cut(None), format!("{head}{forty}"));
        assert_eq!(line("a", &forty).cut(Some(78)), format!("{head}{forty}"));
        let longer = line("a", &format!("{forty}!"));
        assert_eq!(longer.cut(None), format!("{head}{forty}..."));
        assert_eq!(longer.cut(Some(80)), format!("{head}{}...", "é".repeat(39)));
        let narrow = format!("a               2023-03-20 02:05 PM\n  {}...", "é".repeat(40));
        assert_eq!(longer.cut(Some(57)), narrow);
        assert_eq!(longer.cut(Some(20)), narrow.replace(&"é".repeat(40), &"é".repeat(15)));
        assert_eq!(longer.whole(), format!("{head}{forty}!"));
    }
}
