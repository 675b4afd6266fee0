//! Finds where SQL statements end.
//!
//! The rules are those of Postgres's own lexer (`src/backend/parser/scan.l`, and psql's `psqlscan.l` for
//! where a statement ends), reduced to what can hide a semicolon.

use super::Statement;

/// What a token is to someone who looks for the end of a statement.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// White space or a comment.
    Blank,
    Semicolon,
    Open,
    Close,
    /// A keyword, or a name that is not quoted.
    Word,
    Other,
}

/// How many words tell that a statement creates a function: `create or replace function`.
const HEAD: usize = 4;

/// Splits `script` at its top-level semicolons; what holds only blanks is no statement.
pub(super) fn statements(script: &str) -> Vec<Statement<'_>> {
    let mut splitter = Splitter::new(script);
    let mut at = 0;
    while at < script.len() {
        let (kind, length) = token(&script[at..]);
        splitter.take(kind, at, at + length);
        at += length;
    }
    splitter.finish()
}

/// Gathers tokens into statements.
struct Splitter<'a> {
    script: &'a str,
    statements: Vec<Statement<'a>>,
    /// Where the statement's tokens so far begin and end.
    span: Option<(usize, usize)>,
    parentheses: usize,
    /// The statement's first words, in lower case.
    head: Vec<String>,
    /// Whether the word before was `begin`.
    begins: bool,
    /// How many `end`s are still to come in a function's body of the SQL standard's form.
    ends: usize,
    /// The line that `counted` is on.
    line: usize,
    /// How far lines have been counted.
    counted: usize,
}

impl<'a> Splitter<'a> {
    fn new(script: &'a str) -> Self {
        Self {
            script,
            statements: Vec::new(),
            span: None,
            parentheses: 0,
            head: Vec::with_capacity(HEAD),
            begins: false,
            ends: 0,
            line: 1,
            counted: 0,
        }
    }

    fn take(&mut self, kind: Kind, start: usize, end: usize) {
        match kind {
            Kind::Blank => return,
            Kind::Semicolon if self.parentheses == 0 && self.ends == 0 => return self.end_statement(),
            Kind::Open => self.parentheses += 1,
            Kind::Close => self.parentheses = self.parentheses.saturating_sub(1),
            Kind::Word if self.parentheses == 0 => self.take_word(&self.script[start..end]),
            Kind::Semicolon | Kind::Word | Kind::Other => {}
        }
        let first = self.span.map_or(start, |(first, _)| first);
        self.span = Some((first, end));
    }

    /// Follows a function's `begin atomic … end`, in which `case` has an `end` too.
    fn take_word(&mut self, word: &str) {
        let word = word.to_ascii_lowercase();
        match word.as_str() {
            "atomic" if self.begins && self.creates_routine() => self.ends = 1,
            "case" if self.ends > 0 => self.ends += 1,
            "end" => self.ends = self.ends.saturating_sub(1),
            _ => {}
        }
        self.begins = word == "begin";
        if self.head.len() < HEAD {
            self.head.push(word);
        }
    }

    /// <https://www.postgresql.org/docs/current/sql-createfunction.html>, and the one of procedures.
    fn creates_routine(&self) -> bool {
        let head = self.head.iter().map(String::as_str).collect::<Vec<_>>();
        let head = head.strip_prefix(&["create"]).unwrap_or_default();
        let head = head.strip_prefix(&["or", "replace"]).unwrap_or(head);
        matches!(head.first(), Some(&("function" | "procedure")))
    }

    fn end_statement(&mut self) {
        self.head.clear();
        let Some((start, end)) = self.span.take() else {
            return;
        };
        self.line += newlines(&self.script[self.counted..start]);
        self.counted = start;
        self.statements.push(Statement { line: self.line, text: &self.script[start..end] });
    }

    fn finish(mut self) -> Vec<Statement<'a>> {
        self.end_statement();
        self.statements
    }
}

/// How many line ends `text` holds.
pub(super) fn newlines(text: &str) -> usize {
    text.matches('\n').count()
}

/// The kind and length in bytes, at least 1, of the token that `rest` begins with; `rest` must not be
/// empty. An unterminated one goes to the end, for Postgres to complain about.
fn token(rest: &str) -> (Kind, usize) {
    if let Some(length) = blank(rest) {
        return (Kind::Blank, length);
    }
    let mut chars = rest.chars();
    let (first, second) = (chars.next(), chars.next());
    match (first, second) {
        (Some(';'), _) => (Kind::Semicolon, 1),
        (Some('('), _) => (Kind::Open, 1),
        (Some(')'), _) => (Kind::Close, 1),
        (Some('\''), _) => (Kind::Other, quoted(rest, '\'')),
        (Some('"'), _) => (Kind::Other, quoted(rest, '"')),
        (Some('e' | 'E'), Some('\'')) => (Kind::Other, 1 + escaped(&rest[1..])),
        (Some('$'), _) => (Kind::Other, dollar_quoted(rest).unwrap_or(1)),
        (Some(c), _) if is_word(c) => (Kind::Word, word(rest)),
        (Some('/'), Some('*')) => (Kind::Other, rest.len()),
        (c, _) => (Kind::Other, c.map_or(1, char::len_utf8)),
    }
}

/// The length of the white space or comment that `rest` begins with.
fn blank(rest: &str) -> Option<usize> {
    let space = rest.find(|c| !is_space(c)).unwrap_or(rest.len());
    if space > 0 {
        Some(space)
    } else if rest.starts_with("--") {
        Some(rest.find(['\n', '\r']).unwrap_or(rest.len()))
    } else {
        block_comment(rest)
    }
}

/// The length of the comment that `rest` begins with, and of the comments nested in it. An unterminated
/// one is no blank: it would be dropped without a word.
fn block_comment(rest: &str) -> Option<usize> {
    let mut at = rest.starts_with("/*").then_some(2)?;
    let mut depth = 1;
    while depth > 0 {
        at += rest[at..].find(['/', '*'])?;
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
        } else {
            at += 1;
        }
    }
    Some(at)
}

/// The length of what stands in `quote`s, where a doubled one stands for itself. To find the end, a
/// doubled quote is as good as two quoted texts side by side.
fn quoted(rest: &str, quote: char) -> usize {
    let closing = rest[1..].find(quote);
    closing.map_or(rest.len(), |at| at + 2)
}

/// The length of a string in which a backslash escapes the next character. It goes on after blanks
/// with a line end in them, if those are followed by another quote.
fn escaped(rest: &str) -> usize {
    let Some(end) = escaped_segment(rest) else {
        return rest.len();
    };
    let gap = blanks(&rest[end..]);
    let (gap, next) = rest[end..].split_at(gap);
    let goes_on = next.starts_with('\'') && (gap.is_empty() || gap.contains(['\n', '\r']));
    if goes_on { end + gap.len() + escaped(next) } else { end }
}

/// The length of all the white space and comments that `rest` begins with.
fn blanks(rest: &str) -> usize {
    let mut at = 0;
    while let Some(length) = blank(&rest[at..]) {
        at += length;
    }
    at
}

/// The length of an escape string up to its next quote that is not escaped by a backslash.
fn escaped_segment(rest: &str) -> Option<usize> {
    let mut chars = rest.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '\'' => return Some(at + 1),
            '\\' => {
                chars.next();
            }
            _ => {}
        }
    }
    None
}

/// The length of a `$tag$…$tag$` string; none if `rest` begins with no such tag.
fn dollar_quoted(rest: &str) -> Option<usize> {
    let name = &rest[1..1 + rest[1..].find('$')?];
    let is_tag = name.chars().all(is_word) && !name.starts_with(|c: char| c.is_ascii_digit());
    if !is_tag {
        return None;
    }
    let tag = &rest[..name.len() + 2];
    let body = &rest[tag.len()..];
    Some(match body.find(tag) {
        Some(at) => tag.len() + at + tag.len(),
        None => rest.len(),
    })
}

/// The length of a word, in which a `$` is part of it and begins no string.
fn word(rest: &str) -> usize {
    rest.find(|c| c != '$' && !is_word(c)).unwrap_or(rest.len())
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || !c.is_ascii()
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{b}' | '\u{c}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(script: &str) -> Vec<&str> {
        statements(script).iter().map(|s| s.text).collect()
    }

    /// `script` is one statement, whatever stands in it.
    #[track_caller]
    fn assert_whole(script: &str) {
        assert_eq!(texts(&format!(" {script} ; next")), [script, "next"]);
    }

    #[test]
    fn splits_at_semicolons() {
        assert_eq!(texts("a; b b ;c"), ["a", "b b", "c"]);
        assert_eq!(texts("a;\n"), ["a"]);
        assert_eq!(texts(";; a ;;"), ["a"]);
        assert_eq!(texts(""), [""; 0]);
        assert_eq!(texts(" -- only a comment;\n/* and; another */"), [""; 0]);
    }

    #[test]
    fn keeps_strings_whole() {
        assert_whole("select ';', 'it''s; it', ''");
        assert_whole(r"select '\'");
        assert_whole(r"select name'\'");
        assert_whole(r"select u&'\0061;'");
        assert_whole("select 'wörter; 言葉; 🐈'");
        assert_whole("select ';\n;'");
    }

    #[test]
    fn keeps_escape_strings_whole() {
        assert_whole(r"select E'\';', e'\\', E'a'';\'b'");
        assert_whole("select E'a' -- ;\n  '\\';'");
        assert_eq!(texts(r"E'a'; '\';b"), ["E'a'", r"'\'", "b"]);
    }

    #[test]
    fn keeps_quoted_identifiers_whole() {
        assert_whole(r#"select "a;b", "a"";b", """;""#);
        assert_whole(r#"select "it's; fine""#);
    }

    #[test]
    fn keeps_dollar_quotes_whole() {
        assert_whole("do $$ begin; end; $$");
        assert_whole("do $body$ a; $$ ; $other$; $body$");
        assert_whole("do $Ünï_1$ ; $Ünï_1$");
        assert_whole("do $$ ' ; $$");
    }

    #[test]
    fn a_dollar_that_begins_no_quote_hides_nothing() {
        assert_eq!(texts("select $1; $2; a$b$;c$b$"), ["select $1", "$2", "a$b$", "c$b$"]);
        assert_eq!(texts("select $1a$; b$1a$; $"), ["select $1a$", "b$1a$", "$"]);
    }

    #[test]
    fn passes_comments_over() {
        assert_eq!(texts("a -- x; y\n; b"), ["a", "b"]);
        assert_eq!(texts("a --;\r;b"), ["a", "b"]);
        assert_eq!(texts("/* x; /* y; */ z; */ a /**/; b --"), ["a", "b"]);
        assert_whole("a /* it's; */ b -- \"\n c");
        assert_whole("a - b / c * d");
        assert_eq!(texts("/*/ ; */ a"), ["a"]);
    }

    #[test]
    fn keeps_parentheses_whole() {
        assert_whole("create rule r as on insert to t do (a; (b); c)");
        assert_eq!(texts("a); b"), ["a)", "b"]);
    }

    #[test]
    fn keeps_functions_with_a_body_of_the_sql_standard_s_form_whole() {
        assert_whole("create function f() returns int begin atomic select 1; select 2; end");
        assert_whole("CREATE /* ; */ OR REPLACE PROCEDURE p(a int)\nBEGIN ATOMIC\n  select 1;\nEND");
        assert_whole("create function f() returns int begin atomic select case when true then 1 end; end");
        assert_whole("create function begin() returns int return 1");
        assert_eq!(
            texts("begin; select 1; end; create table t (a int); b"),
            ["begin", "select 1", "end", "create table t (a int)", "b"]
        );
        assert_eq!(texts("begin atomic; b"), ["begin atomic", "b"]);
    }

    #[test]
    fn what_is_unterminated_goes_to_the_end() {
        for script in ["'a; b", "\"a; b", "E'a\\'; b", "$$a; b", "/* a; b", "(a; b", "E'a\\"] {
            assert_eq!(texts(script), [script]);
        }
    }

    #[test]
    fn counts_lines_to_the_first_token() {
        let script = "-- one\n\na\n;b; /* five\n */ 'x\ny'\n;\r\n  c";
        let found = statements(script);
        let found = found.iter().map(|s| (s.line, s.text)).collect::<Vec<_>>();
        assert_eq!(found, [(3, "a"), (4, "b"), (5, "'x\ny'"), (8, "c")]);
    }
}
