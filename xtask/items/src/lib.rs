//! DynamoDB's items, as a response holds them and as people and programs want to read them.
//!
//! What is done once for each item of a table is here, in a crate that a development build optimises.

mod attribute;
mod batch;
mod columns;
mod number;
mod page;
mod queue;
mod response;
mod size;
mod stdout;
mod text;
mod writer;

pub use attribute::{Attribute, Item, PlainJson};
pub use batch::{WriteRequest, batch_body, unprocessed};
pub use columns::{Columns, counted, fitted, printable, shortened};
pub use number::Number;
pub use page::{Capacity, Page};
pub use queue::{BATCH, Batch, WriteQueue, Written};
pub use response::Response;
pub use size::{size_of, size_of_value};
pub use stdout::{Stdout, stdout};
pub use writer::{Form, ItemWriter};

use serde_json::Serializer;
use serde_json::ser::PrettyFormatter;

/// A serializer that indents by four spaces, as the AWS CLI does.
pub fn aws_cli_style<W: std::io::Write>(out: W) -> Serializer<W, PrettyFormatter<'static>> {
    Serializer::with_formatter(out, PrettyFormatter::with_indent(b"    "))
}
