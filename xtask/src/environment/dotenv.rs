//! `.env`, as `docker compose` reads it.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Result, anyhow, bail};

use crate::interpolation::fill_in;

/// The variables of such a file, each with its value; or with what is wrong with it, which has the path and the line.
pub(crate) type Variables = BTreeMap<String, Result<String, String>>;

/// Reads `NAME=value` and `NAME: value`, with `export ` before the name or without; comments; values in quotes, which
/// may go over several lines; and variables in values that are not in single quotes: those of `process`, and those
/// of the lines above. A name alone is the process's variable, which wins over this file in any case. Where a value's
/// variables cannot be filled in, it is nobody's trouble but of who reads it.
/// <https://docs.docker.com/compose/how-tos/environment-variables/variable-interpolation/#env-file-syntax>
///
/// # Errors
/// A line in another form: the message names `path` and the line. It shows nothing of a value, which may be a secret.
pub(crate) fn parse_dotenv(path: &Path, text: &str, process: &BTreeMap<String, String>) -> Result<Variables> {
    let mut variables = Variables::new();
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| !c.is_whitespace()) {
        rest = &rest[start..];
        if rest.starts_with('#') {
            rest = rest.split_once('\n').map_or("", |(_, behind)| behind);
            continue;
        }
        let line = || 1 + text[..text.len() - rest.len()].matches('\n').count();
        let (name, value, behind) = match assignment(rest) {
            Ok(assignment) => assignment,
            Err(why) => bail!("{}:{}: {why}", path.display(), line()),
        };
        let value_of = |name: &str| match (process.get(name), variables.get(name)) {
            (Some(value), _) | (None, Some(Ok(value))) => Ok(Some(value.as_str())),
            (None, Some(Err(why))) => Err(anyhow!("{why}")),
            (None, None) => Ok(None),
        };
        let value = match value {
            Value::OfProcess => None,
            Value::Literal(value) => Some(Ok(value)),
            // What the error says shows the value.
            Value::Template(value) => Some(
                fill_in(&with_dollars(&value), &value_of)
                    .map_err(|_| format!("{}:{}: {name}: {NO_TEMPLATE}", path.display(), line())),
            ),
        };
        variables.extend(value.map(|value| (name.to_owned(), value)));
        rest = behind;
    }
    Ok(variables)
}

/// A value as it is written into such a file: in single quotes, in which other readers of these files look for nothing
/// either; or, where there is a quote or a backslash in it, in double quotes.
pub(crate) fn quoted(value: &str) -> String {
    if !value.contains(['\'', '\\']) {
        return format!("'{value}'");
    }
    let escaped = value.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "\\$");
    format!("\"{escaped}\"")
}

const NO_ASSIGNMENT: &str = "expected NAME=value";
const NO_TEMPLATE: &str = "$ begins a variable, which is not set, or in another form than $NAME and ${NAME:-default}: \
                           write $$ for a dollar sign, or put the value in single quotes";

/// A value in which a dollar sign that begins nothing is two of them: compose takes it as it stands, here alone.
fn with_dollars(value: &str) -> String {
    let mut text = String::new();
    let mut letters = value.chars().peekable();
    while let Some(letter) = letters.next() {
        text.push(letter);
        if letter == '$' {
            match letters.next_if(|next| *next == '$') {
                Some(second) => text.push(second),
                None if letters.peek().is_some_and(|c| c.is_ascii_alphabetic() || "_{".contains(*c)) => {}
                None => text.push('$'),
            }
        }
    }
    text
}

const OCTAL: &str =
    "\\0 begins the number of a character: write \\\\ for a backslash, or put the value in single quotes";

/// A value before its variables are filled in.
enum Value {
    /// There is none.
    OfProcess,
    /// Where none are.
    Literal(String),
    Template(String),
}

/// The name and the value that an assignment begins with, and the text behind it.
fn assignment(text: &str) -> Result<(&str, Value, &str), &'static str> {
    let (line, behind) = text.split_once('\n').unwrap_or((text, ""));
    let exported = line.strip_prefix("export").filter(|rest| rest.starts_with([' ', '\t']));
    let line = exported.unwrap_or(line);
    let (name, value) = line.split_once(['=', ':']).map_or((line, None), |(name, value)| (name, Some(value)));
    let name = name.trim();
    if name.is_empty() || !name.chars().all(|c| c.is_alphanumeric() || "_.-[]".contains(c)) {
        return Err(NO_ASSIGNMENT);
    }
    let Some(value) = value.map(str::trim) else { return Ok((name, Value::OfProcess, behind)) };
    let Some(quote) = value.chars().next().filter(|first| ['"', '\''].contains(first)) else {
        let value = value.split_once(" #").map_or(value, |(value, _)| value.trim_end());
        return Ok((name, Value::Template(value.to_owned()), behind));
    };
    // Of the whole text: what is in quotes may go on in the next line.
    let start = value.as_ptr().addr() - text.as_ptr().addr() + quote.len_utf8();
    let quoted = &text[start..];
    let end = closing(quoted, quote).ok_or("the quote before the value is not closed")?;
    let (after, behind) =
        quoted[end + quote.len_utf8()..].split_once('\n').unwrap_or((&quoted[end + 1..], ""));
    if !after.trim_start().is_empty() && !after.trim_start().starts_with('#') {
        return Err("there is text behind the closing quote; a quote within a value is written \\\" or \\'");
    }
    let value = &quoted[..end];
    let value = match quote {
        '\'' => Value::Literal(value.replace("\\'", "'")),
        _ => Value::Template(unescaped(value).ok_or(OCTAL)?),
    };
    Ok((name, value, behind))
}

/// Where the quote is that ends the value.
fn closing(quoted: &str, quote: char) -> Option<usize> {
    let mut is_escaped = false;
    quoted.char_indices().find_map(|(place, letter)| {
        let ends = letter == quote && !is_escaped;
        is_escaped = letter == '\\' && !is_escaped;
        ends.then_some(place)
    })
}

/// A value in double quotes without its escapes; a dollar sign that was escaped becomes the two that stand for one.
/// None where there is one of those that compose reads as octal digits, and drops the zero of the others.
fn unescaped(value: &str) -> Option<String> {
    let mut text = String::new();
    let mut letters = value.chars();
    while let Some(letter) = letters.next() {
        match (letter, (letter == '\\').then(|| letters.next()).flatten()) {
            (_, Some('a')) => text.push('\x07'),
            (_, Some('b')) => text.push('\x08'),
            (_, Some('f')) => text.push('\x0c'),
            (_, Some('n')) => text.push('\n'),
            (_, Some('r')) => text.push('\r'),
            (_, Some('t')) => text.push('\t'),
            (_, Some('v')) => text.push('\x0b'),
            (_, Some('0')) => return None,
            (_, Some('$')) => text.push_str("$$"),
            (_, Some(escaped @ ('"' | '\\'))) => text.push(escaped),
            (backslash, Some(other)) => text.extend([backslash, other]),
            (letter, None) => text.push(letter),
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dotenv(text: &str) -> Result<Variables> {
        let process = BTreeMap::from([("SET".to_owned(), "outside".to_owned())]);
        parse_dotenv(Path::new(".env"), text, &process)
    }

    #[track_caller]
    fn assert_read(text: &str, expected: &[(&str, &str)]) {
        let expected = expected.iter().map(|(name, value)| ((*name).to_owned(), Ok((*value).to_owned())));
        assert_eq!(dotenv(text).unwrap(), expected.collect(), "{text}");
    }

    #[test]
    fn it_takes_comments_export_and_quotes() {
        assert_read(
            "# settings\nA=1\r\nexport B = \"two words\" # why\nC='#3'\n\nD=4 # four\nE=a#b\nF=\nG: 7\nH=\"\"#\nI=x",
            &[
                ("A", "1"),
                ("B", "two words"),
                ("C", "#3"),
                ("D", "4"),
                ("E", "a#b"),
                ("F", ""),
                ("G", "7"),
                ("H", ""),
                ("I", "x"),
            ],
        );
        assert_read("", &[]);
        assert_read("\n # nothing", &[]);
        // Other tools' names; and those without a value, which are the process's.
        assert_read("a.b-c[0]=1\n1É: 2", &[("a.b-c[0]", "1"), ("1É", "2")]);
        assert_read("SET\nA\r\n export B \nC=1\nC\n[d].e", &[("C", "1")]);
    }

    #[test]
    fn quotes_are_escaped_and_go_over_lines() {
        assert_read(r#"A="{\"a\": \"b\"}" # JSON"#, &[("A", r#"{"a": "b"}"#)]);
        assert_read(r"A='Let\'s go!'", &[("A", "Let's go!")]);
        assert_read(r#"A="1\n2\t\\n\x é""#, &[("A", "1\n2\t\\n\\x é")]);
        assert_read(r#"A="\a\b\c\e\f\v""#, &[("A", "\x07\x08\\c\\e\x0c\x0b")]);
        assert_read(r"A='1\n2'", &[("A", r"1\n2")]);
        assert_read("A='one\ntwo' # done\nB=3", &[("A", "one\ntwo"), ("B", "3")]);
    }

    #[test]
    fn variables_are_filled_in_but_in_single_quotes() {
        assert_read(
            "A=a\nB=${A}b-$SET\nC=\"$A${NONE:-c}\"\nD='$A'\nE=p$$w\nF=\"\\$A\"",
            &[("A", "a"), ("B", "ab-outside"), ("C", "ac"), ("D", "$A"), ("E", "p$w"), ("F", "$A")],
        );
        assert_read("A=p$5x$\nB=\"$(ls)$/\"\nC=$$$", &[("A", "p$5x$"), ("B", "$(ls)$/"), ("C", "$$")]);
        assert_read("export\tA=1", &[("A", "1")]);
        // What the process has wins, here too.
        assert_read("SET=inside\nA=$SET", &[("SET", "inside"), ("A", "outside")]);
    }

    #[test]
    fn an_error_names_the_line_and_keeps_the_secret() {
        let cases = [
            ("A=1\nhunter/2\n", 2, NO_ASSIGNMENT),
            ("A=1\n=hunter2\n", 2, NO_ASSIGNMENT),
            ("A # hunter2", 1, NO_ASSIGNMENT),
            ("hunter 2=1", 1, NO_ASSIGNMENT),
            ("A='1\n2'\n\nB=\"hunter2\n", 4, "the quote before the value is not closed"),
            (r#"A="hunter\02""#, 1, OCTAL),
            ("A='hunter2\\'", 1, "the quote before the value is not closed"),
            (
                "A='hunter' 2",
                1,
                "there is text behind the closing quote; a quote within a value is written \\\" or \\'",
            ),
        ];
        for (text, line, why) in cases {
            assert_eq!(dotenv(text).unwrap_err().to_string(), format!(".env:{line}: {why}"));
        }
        for text in ["\nA=hunter${2", "\nA=\"hunter$HUNTER\"", "\nA=${B:-$hunter}"] {
            let variables = dotenv(&format!("{text}\nC=1\nD=$A")).unwrap();
            let told = |name: &str| variables[name].clone();
            assert_eq!(told("A"), Err(format!(".env:2: A: {NO_TEMPLATE}")));
            assert_eq!(told("C"), Ok("1".to_owned()));
            assert_eq!(told("D"), Err(format!(".env:4: D: {NO_TEMPLATE}")));
        }
    }
}
