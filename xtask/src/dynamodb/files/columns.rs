//! Items as rows of a CSV file.
//!
//! A header cell is the name of an attribute whose values are strings (`handle`), or a name and a type (`age:N`). If
//! a name itself ends in `:` and a type, its type always follows (`odd:N:S`). The last column, `*`, holds all other
//! attributes.
//!
//! | column | cell |
//! |---|---|
//! | `name`, `name:S`, `name:N`, `name:B` | the text, the number, the base64 |
//! | `name:BOOL`, `name:NULL` | `true` or `false` |
//! | `name:M`, `:L`, `:SS`, `:NS`, `:BS` | JSON, the part of DynamoDB JSON after the type: `["a","b"]` |
//! | `*` | a DynamoDB JSON object with the item's other attributes |
//!
//! An empty cell means that the item lacks the attribute. Therefore empty strings and binaries are in the last
//! column, as are attributes without a column of their type. This allows the header to be written before all items
//! are known, and every item is read back unchanged. A CSV of another program, with plain names in its header, is
//! read as strings.

use std::collections::{BTreeMap, BTreeSet};

use crate::dynamodb::files::jsonl::explained;
use crate::dynamodb::json::{AttributeValue, Attributes, Content, Item, Json, Notation, Type, bytes, parsed};
use crate::text::counted;
use aws_smithy_types::base64;

/// The header of the last column.
const OTHERS: &str = "*";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Columns(Vec<Column>);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Column {
    Attribute(String, Type),
    Others,
}

impl Columns {
    /// The columns for the attributes of these items, sorted by name with those in `keys` first, and the column `*`.
    /// Items with other attributes can be written too.
    pub(crate) fn of<'a>(keys: &[&str], items: impl IntoIterator<Item = &'a Item>) -> Self {
        let mut attributes: BTreeSet<(usize, &str, Type)> = BTreeSet::new();
        for (name, value) in items.into_iter().flatten() {
            // An empty name would make an empty header cell, and a byte order mark at the start of a file is skipped.
            if !name.is_empty() && !name.starts_with('\u{feff}') {
                let place = keys.iter().position(|key| key == name).unwrap_or(keys.len());
                attributes.extend(Type::of(value).map(|kind| (place, name.as_str(), kind)));
            }
        }
        let mut columns: Vec<_> =
            attributes.into_iter().map(|(_, name, kind)| Column::Attribute(name.to_owned(), kind)).collect();
        columns.push(Column::Others);
        Self(columns)
    }

    pub(crate) fn from_header(header: &[String]) -> Result<Self, String> {
        if let [cell] = header
            && let Some(separator) = cell.chars().find(|letter| [';', '\t'].contains(letter))
        {
            return Err(format!("the cells are separated by {separator:?}: write the file with commas"));
        }
        let mut columns = Vec::with_capacity(header.len());
        let mut seen = BTreeSet::new();
        for (index, cell) in header.iter().enumerate() {
            let column = Column::named(cell);
            if cell.is_empty() {
                return Err(format!("the header's cell {} is empty: it names an attribute", index + 1));
            }
            if !seen.insert(column.clone()) {
                return Err(format!("the header has `{cell}` twice"));
            }
            columns.push(column);
        }
        Ok(Self(columns))
    }

    pub(crate) fn header(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(Column::header)
    }

    /// An item's cells. Fails if it has an attribute that needs a column `*` and there is none.
    pub(crate) fn row(&self, item: &Item) -> serde_json::Result<Vec<Vec<u8>>> {
        let mut others: BTreeMap<_, _> =
            item.iter().map(|(name, value)| (name, Json(value, Notation::Typed))).collect();
        let mut row = Vec::with_capacity(self.0.len());
        for column in &self.0 {
            let cell = column.cell(item)?;
            if let Column::Attribute(name, _) = column
                && !cell.is_empty()
            {
                others.remove(name);
            }
            row.push(cell);
        }
        if others.is_empty() {
            return Ok(row);
        }
        let Some(place) = self.0.iter().position(|column| *column == Column::Others) else {
            return Err(serde::ser::Error::custom(format_args!(
                "no column can hold the item's {:?}",
                others.keys().collect::<Vec<_>>()
            )));
        };
        row[place] = serde_json::to_vec(&others)?;
        Ok(row)
    }

    /// The item in a row, or what is wrong with the row.
    pub(crate) fn item(&self, row: &[String]) -> Result<Item, String> {
        if row.len() != self.0.len() {
            let cells = counted(row.len() as u64, "cell", "cells");
            return Err(format!("the row has {cells}, and the header {}", self.0.len()));
        }
        let mut item = Item::new();
        let mut insert = |name: &String, value| match item.insert(name.clone(), value) {
            None => Ok(()),
            Some(_) => Err(format!("attribute `{name}` is given twice")),
        };
        for (column, cell) in self.0.iter().zip(row).filter(|(_, cell)| !cell.is_empty()) {
            match column {
                Column::Attribute(name, kind) => {
                    insert(name, value(*kind, cell).map_err(|why| format!("attribute `{name}`: {why}"))?)?;
                }
                Column::Others => {
                    let others = parsed(cell, Attributes(Notation::Typed))
                        .map_err(|error| format!("column `{OTHERS}`: {}", explained(cell, &error)))?;
                    others.into_iter().try_for_each(|(name, value)| insert(&name, value))?;
                }
            }
        }
        crate::dynamodb::files::check(&item)?;
        Ok(item)
    }
}

impl Column {
    fn named(cell: &str) -> Self {
        if cell == OTHERS {
            return Self::Others;
        }
        let typed = cell.rsplit_once(':').filter(|(name, _)| !name.is_empty());
        match typed.and_then(|(name, kind)| Some((name, Type::named(kind)?))) {
            Some((name, kind)) => Self::Attribute(name.to_owned(), kind),
            None => Self::Attribute(cell.to_owned(), Type::S),
        }
    }

    fn header(&self) -> String {
        match self {
            Self::Others => OTHERS.to_owned(),
            Self::Attribute(name, Type::S) if Self::named(name) == *self => name.clone(),
            Self::Attribute(name, kind) => format!("{name}:{}", kind.name()),
        }
    }

    /// An item's cell in this column; empty if the item lacks the attribute or its value is empty.
    fn cell(&self, item: &Item) -> serde_json::Result<Vec<u8>> {
        let Self::Attribute(name, kind) = self else { return Ok(Vec::new()) };
        match item.get(name).filter(|value| Type::of(value) == Some(*kind)) {
            Some(AttributeValue::S(text) | AttributeValue::N(text)) => Ok(text.clone().into_bytes()),
            Some(AttributeValue::B(bytes)) => Ok(base64::encode(bytes).into_bytes()),
            Some(value) => serde_json::to_vec(&Content(value, Notation::Typed)),
            None => Ok(Vec::new()),
        }
    }
}

/// Parses a cell of a column of this type.
fn value(kind: Type, cell: &str) -> Result<AttributeValue, String> {
    match kind.name() {
        "S" => Ok(AttributeValue::S(cell.to_owned())),
        "N" => Ok(AttributeValue::N(cell.to_owned())),
        "B" => Ok(AttributeValue::B(bytes(cell)?)),
        _ => parsed(cell, kind).map_err(|error| explained(cell, &error)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::*;

    fn item(json: &str) -> Item {
        parsed(json, Attributes(Notation::Typed)).unwrap()
    }

    fn texts(cells: Vec<&str>) -> Vec<String> {
        cells.into_iter().map(str::to_owned).collect()
    }

    #[test]
    fn names_that_look_like_others_have_their_type_behind_them() {
        let odd = item(
            r#"{"*":{"S":"a"},":N":{"S":"b"},"a:N":{"S":"c"},"a":{"N":"1"},"":{"S":"d"},"\ufeff":{"S":"e"}}"#,
        );
        let columns = Columns::of(&[], [&odd]);
        assert_eq!(columns.header().collect::<Vec<_>>(), ["*:S", ":N", "a:N", "a:N:S", "*"]);
        let header: Vec<_> = columns.header().collect();
        assert_eq!(Columns::from_header(&header), Ok(columns.clone()));
        let row: Vec<_> =
            columns.row(&odd).unwrap().into_iter().map(|cell| String::from_utf8(cell).unwrap()).collect();
        assert_eq!(row[..4], ["a", "b", "1", "c"]);
        assert_eq!(columns.item(&row), Ok(odd));
    }

    #[test]
    fn keys_come_first_and_what_fits_no_column_last() {
        let first = item(r#"{"a":{"S":"x"},"pk":{"S":"p"},"sk":{"S":"s"}}"#);
        let columns = Columns::of(&["sk", "pk"], [&first]);
        assert_eq!(columns.header().collect::<Vec<_>>(), ["sk", "pk", "a", "*"]);
        let later = item(r#"{"a":{"S":""},"b":{"BOOL":false},"pk":{"N":"1"},"sk":{"S":"s"}}"#);
        let row: Vec<_> =
            columns.row(&later).unwrap().into_iter().map(|cell| String::from_utf8(cell).unwrap()).collect();
        assert_eq!(row, ["s", "", "", r#"{"a":{"S":""},"b":{"BOOL":false},"pk":{"N":"1"}}"#]);
        assert_eq!(columns.item(&row), Ok(later));
    }

    #[test]
    fn errors_name_the_fault_of_a_row() {
        let columns = Columns::from_header(&["a", "a:N", "b:BOOL", "c:SS", "*"].map(str::to_owned)).unwrap();
        for (row, why) in [
            (vec!["x"], "the row has 1 cell, and the header 5"),
            (vec!["x", "1", "", "", ""], "attribute `a` is given twice"),
            (vec!["x", "", "", "", r#"{"a":{"S":"y"}}"#], "attribute `a` is given twice"),
            (vec!["", "1x", "", "", ""], "attribute `a`: `1x` is not a number"),
            (vec!["", "", "yes", "", ""], "attribute `b`: not valid JSON (at byte 1)"),
            (vec!["", "", "true false", "", ""], "attribute `b`: not valid JSON (at byte 6)"),
            (vec!["", "", "", "[]", ""], "attribute `c`: a set cannot be empty"),
            (vec!["", "", "", "", "x"], "column `*`: not valid JSON (at byte 1)"),
        ] {
            assert_eq!(columns.item(&texts(row)), Err(why.to_owned()));
        }
        for (header, why) in [
            (vec!["a", "a:S"], "the header has `a:S` twice"),
            (vec!["a", ""], "cell 2 is empty"),
            (vec!["pk;sk"], "the cells are separated by ';'"),
            (vec!["pk\tsk"], "separated by '\\t'"),
        ] {
            assert!(Columns::from_header(&texts(header)).unwrap_err().contains(why));
        }
    }
}
