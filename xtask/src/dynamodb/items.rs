//! DynamoDB's items, as a response holds them and as people and programs want to read them.
//!
//! What is done once for each item of a table is here, in a crate that a development build optimises.

mod batch;
mod columns;
mod number;
mod page;
mod queue;
mod response;
mod size;
mod stdout;
mod writer;

pub(crate) use batch::{WriteRequest, batch_body, unprocessed};
pub(crate) use columns::{Columns, counted, fitted, printable, shortened};
pub(crate) use number::Number;
pub(crate) use page::Page;
pub(crate) use queue::{Batch, WriteQueue, Written};
pub(crate) use response::Response;
pub(crate) use size::{size_of, size_of_value};
pub(crate) use stdout::stdout;
pub(crate) use writer::{Form, ItemWriter};

use serde_json::Serializer;
use serde_json::ser::PrettyFormatter;

/// A serializer that indents by four spaces, as the AWS CLI does.
pub(crate) fn aws_cli_style<W: std::io::Write>(out: W) -> Serializer<W, PrettyFormatter<'static>> {
    Serializer::with_formatter(out, PrettyFormatter::with_indent(b"    "))
}
