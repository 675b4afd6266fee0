//! Data on stdout: tables for people, JSON and JSON lines for programs.

use std::io::{Write as _, stdout};

use anyhow::Result;
use backend_flask::messages::{PARTITION_KEY, SORT_KEY};
use clap::ValueEnum;
use serde_json::{Map, Value};
use xtask_items::{Columns, Form, aws_cli_style};

/// How data is printed.
#[derive(Debug, Clone, Copy, PartialEq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Table,
    /// One JSON document, as the AWS CLI prints it where DynamoDB answered
    Json,
    /// One JSON value a line
    Jsonl,
}

impl Format {
    /// How items are printed in it.
    pub(crate) fn of_items(self) -> Form {
        match self {
            Self::Table => Form::Table { keys: &[PARTITION_KEY, SORT_KEY] },
            Self::Json => Form::Json,
            Self::Jsonl => Form::Jsonl,
        }
    }
}

/// Prints records that fit the screen: `columns` names the fields of each row.
///
/// # Errors
/// stdout is closed.
pub(crate) fn print_rows(format: Format, columns: &[&str], rows: Vec<Vec<Value>>) -> Result<()> {
    let mut out = stdout().lock();
    let object = |row: Vec<Value>| -> Map<String, Value> {
        columns.iter().map(|column| (*column).to_owned()).zip(row).collect()
    };
    match format {
        Format::Table => {
            let header: Vec<String> = columns.iter().map(|column| column.to_uppercase()).collect();
            let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(cell).collect()).collect();
            let mut layout = Columns::default();
            layout.widen(&header);
            rows.iter().for_each(|row| layout.widen(row));
            layout.print(&mut out, &header)?;
            rows.iter().try_for_each(|row| layout.print(&mut out, row))?;
        }
        Format::Json => {
            let records: Vec<_> = rows.into_iter().map(object).collect();
            writeln!(out, "{}", serde_json::to_string_pretty(&records)?)?;
        }
        Format::Jsonl => {
            for row in rows {
                writeln!(out, "{}", serde_json::to_string(&object(row))?)?;
            }
        }
    }
    Ok(())
}

/// A value as a table's cell: text without quotes, nothing for null.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Prints one JSON document, indented as the AWS CLI does.
///
/// # Errors
/// stdout is closed.
pub(crate) fn print_json(value: &impl serde::Serialize) -> Result<()> {
    let mut out = stdout().lock();
    value.serialize(&mut aws_cli_style(&mut out))?;
    Ok(writeln!(out)?)
}
