//! Reads `~/.pgpass` as libpq does. <https://www.postgresql.org/docs/current/libpq-pgpass.html>

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

/// The password in the file for a login: its host, port, database and user. The error says why the file is not used.
pub(super) fn password(path: &Path, login: [&str; 4]) -> Result<Option<String>, String> {
    let read = || {
        let metadata = match fs::metadata(path) {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            metadata => metadata.map_err(|error| error.to_string())?,
        };
        if !metadata.is_file() {
            return Err("it is not a plain file".to_owned());
        }
        #[cfg(unix)]
        {
            let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o777;
            if mode & 0o077 != 0 {
                return Err(format!("others may read it (mode {mode:04o}); `chmod 600` it"));
            }
        }
        fs::read_to_string(path).map(Some).map_err(|error| error.to_string())
    };
    let text = read().map_err(|why| format!("the password file {} is not used: {why}", path.display()))?;
    Ok(text.and_then(|text| text.lines().find_map(|line| password_of(line, login))))
}

/// The password in a line, if its first four fields match.
fn password_of(line: &str, login: [&str; 4]) -> Option<String> {
    if line.starts_with('#') {
        return None;
    }
    let mut rest = line;
    for wanted in login {
        let end = end_of_field(rest)?;
        let field = &rest[..end];
        if field != "*" && unescaped(field) != wanted {
            return None;
        }
        rest = &rest[end + 1..];
    }
    Some(unescaped(&rest[..end_of_field(rest).unwrap_or(rest.len())]))
}

/// The position of the next colon that has no backslash before it.
fn end_of_field(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let ends = byte == b':' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })
}

/// A field without its escaping backslashes.
fn unescaped(field: &str) -> String {
    let mut characters = field.chars();
    let mut text = String::new();
    while let Some(character) = characters.next() {
        text.push(match character {
            '\\' => characters.next().unwrap_or('\\'),
            other => other,
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_about_a_login_by_its_first_four_fields() {
        let login = ["db.internal", "5432", "cruddur", "me"];
        for (line, expected) in [
            ("db.internal:5432:cruddur:me:secret", Some("secret")),
            ("*:*:*:*:secret", Some("secret")),
            (r"*:*:*:me:a\:b\\c", Some(r"a:b\c")),
            (r"db\.internal:*:*:me:secret", Some("secret")),
            ("db.internal:5433:cruddur:me:secret", None),
            ("db.internal:5432:postgres:me:secret", None),
            ("#db.internal:5432:cruddur:me:secret", None),
            ("db.internal:5432", None),
            ("", None),
        ] {
            assert_eq!(password_of(line, login).as_deref(), expected, "{line}");
        }
    }
}
