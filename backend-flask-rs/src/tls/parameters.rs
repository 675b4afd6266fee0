//! The parameters of a Postgres URL that libpq reads and the driver does not.
//! <https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS>

use std::path::PathBuf;

use percent_encoding::percent_decode_str;

/// What a URL says of TLS and of the password's file; as it is written there, so none is a default.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Parameters {
    /// How it is encrypted.
    pub sslmode: Option<String>,
    /// The file of the good authorities' certificates, or `system`.
    pub sslrootcert: Option<PathBuf>,
    /// The file of the client's certificate.
    pub sslcert: Option<PathBuf>,
    /// The file of its private key.
    pub sslkey: Option<PathBuf>,
    /// The file of passwords.
    pub passfile: Option<PathBuf>,
}

impl Parameters {
    /// Takes them out of a URL. Returned with them is the URL without them, for the driver.
    pub fn take(url: &str) -> (Self, String) {
        let mut taken = Self::default();
        let Some((rest, query)) = split_query(url) else { return (taken, url.to_owned()) };
        let left: Vec<_> = query.split('&').filter(|parameter| !taken.takes(parameter)).collect();
        let separator = if left.is_empty() { "" } else { "?" };
        (taken, format!("{rest}{separator}{}", left.join("&")))
    }

    /// Whether it is one of these.
    fn takes(&mut self, parameter: &str) -> bool {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let value = percent_decode_str(value).decode_utf8_lossy().into_owned();
        match name {
            "sslmode" => self.sslmode = Some(value),
            // What JDBC calls it; libpq takes it in a URL too.
            "ssl" if value == "true" => self.sslmode = Some("require".to_owned()),
            "sslrootcert" => self.sslrootcert = Some(value.into()),
            "sslcert" => self.sslcert = Some(value.into()),
            "sslkey" => self.sslkey = Some(value.into()),
            "passfile" => self.passfile = Some(value.into()),
            _ => return false,
        }
        true
    }

    /// Each that is set, with its name.
    pub fn each(&self) -> impl Iterator<Item = (&'static str, String)> {
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        [
            ("sslmode", self.sslmode.clone()),
            ("sslrootcert", path(&self.sslrootcert)),
            ("sslcert", path(&self.sslcert)),
            ("sslkey", path(&self.sslkey)),
            ("passfile", path(&self.passfile)),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
    }
}

/// Splits at the `?` before the parameters. A `?` in the user's name or password is none: libpq and the
/// driver read up to the `@` first.
fn split_query(url: &str) -> Option<(&str, &str)> {
    let start = url.find("://").map_or(0, |at| at + 3);
    let authority = url[start..].find(['@', '/']).filter(|at| url[start + at..].starts_with('@'));
    let behind_user = authority.map_or(start, |at| start + at + 1);
    let at = behind_user + url[behind_user..].find('?')?;
    Some((&url[..at], &url[at + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libpq_s_parameters_are_taken_and_the_driver_s_are_left() {
        let url =
            "postgres://me:p?w@h:1/d?sslmode=verify-full&connect_timeout=3&sslrootcert=%2Fa%20b&passfile=p";
        let (taken, left) = Parameters::take(url);
        assert_eq!(left, "postgres://me:p?w@h:1/d?connect_timeout=3");
        let expected = [("sslmode", "verify-full"), ("sslrootcert", "/a b"), ("passfile", "p")];
        assert!(taken.each().eq(expected.map(|(name, value)| (name, value.to_owned()))), "{taken:?}");

        for url in ["postgres://me@h/d", "postgres://me:p?sslmode=x@h/d", "postgres://h/d?options=-c%20a"] {
            assert_eq!(Parameters::take(url), (Parameters::default(), url.to_owned()));
        }
        let (taken, left) = Parameters::take("postgres://h/d?ssl=true&sslcert=c&sslkey=k");
        assert_eq!(left, "postgres://h/d");
        assert!(taken.each().map(|(name, _)| name).eq(["sslmode", "sslcert", "sslkey"]), "{taken:?}");
    }
}
