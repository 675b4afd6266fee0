//! The text form of times.
//!
//! DynamoDB sorts keys by their bytes. Therefore all times have one form: in UTC and of constant width.

use anyhow::{Context as _, Result, ensure};
use chrono::{DateTime, Datelike, SecondsFormat, SubsecRound, TimeDelta, Utc};

/// Digits after the decimal point: microseconds.
const FRACTIONAL_DIGITS: u16 = 6;

/// The years that have four digits.
pub(crate) const YEARS: std::ops::RangeInclusive<i32> = 0..=9999;

/// Formats `t` as RFC 3339 in UTC with six fractional digits, such as `2023-03-20T14:05:09.000000+00:00`. A finer
/// fraction is truncated. The width is constant only for the years 0 to 9999.
pub fn format(t: DateTime<Utc>) -> String {
    t.to_rfc3339_opts(SecondsFormat::Micros, false)
}

/// Parses any RFC 3339 form: any offset, `Z`, any number of fractional digits. A time outside the years 0 to 9999 in
/// UTC is an error, because [`format()`] cannot write it.
pub fn parse(s: &str) -> Result<DateTime<Utc>> {
    let t = DateTime::parse_from_rfc3339(s)
        .with_context(|| format!("{s:?} is not an RFC 3339 time such as 2023-03-20T14:05:09Z"))?
        .to_utc();
    ensure!(YEARS.contains(&t.year()), "{s:?} is outside the years 0000 to 9999 in UTC");
    Ok(t)
}

/// Whether `s` has the form of [`format()`], which sorts by time.
pub fn is_sortable(s: &str) -> bool {
    parse(s).is_ok_and(|t| format(t) == s)
}

/// Truncates the fraction to the digits that [`format()`] writes.
pub(crate) fn truncate(t: DateTime<Utc>) -> DateTime<Utc> {
    t.trunc_subsecs(FRACTIONAL_DIGITS)
}

/// The next time that can be written; `None` after the year 9999.
pub(crate) fn next(t: DateTime<Utc>) -> Option<DateTime<Utc>> {
    truncate(t).checked_add_signed(TimeDelta::microseconds(1)).filter(|t| YEARS.contains(&t.year()))
}

/// The previous time. Before the year 0 its text begins with `-` and sorts before all times that can be written.
#[cfg(feature = "server")]
pub(crate) fn previous(t: DateTime<Utc>) -> DateTime<Utc> {
    truncate(t) - TimeDelta::microseconds(1)
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;

    use super::*;

    type TestResult = Result<(), Box<dyn std::error::Error>>;

    #[test]
    fn writes_utc_with_six_fractional_digits() -> TestResult {
        let whole = Utc.with_ymd_and_hms(2023, 3, 20, 14, 5, 9).single();
        let whole = whole.ok_or("no such time")?;
        assert_eq!(format(whole), "2023-03-20T14:05:09.000000+00:00");

        let finer = whole + std::time::Duration::from_nanos(123_456_999);
        assert_eq!(format(finer), "2023-03-20T14:05:09.123456+00:00");
        assert_eq!(format(truncate(finer)), format(finer));
        assert_eq!(parse(&format(finer))?, truncate(finer));
        Ok(())
    }

    #[test]
    fn reads_every_rfc_3339_form() -> TestResult {
        let forms = [
            "2023-03-20T14:05:09Z",
            "2023-03-20t14:05:09z",
            "2023-03-20 14:05:09+00:00",
            "2023-03-20T14:05:09.0-00:00",
            "2023-03-20T14:05:09.000000000+00:00",
            "2023-03-20T09:05:09-05:00",
            "2023-03-20T23:50:09.00+09:45",
        ];
        for form in forms {
            let read = parse(form)?;
            assert_eq!(format(read), "2023-03-20T14:05:09.000000+00:00", "{form}");
            assert!(is_sortable(&format(read)) && !is_sortable(form), "{form}");
        }
        Ok(())
    }

    #[test]
    fn the_first_and_last_writable_moments_keep_the_width() -> TestResult {
        for text in [
            "0000-01-01T00:00:00.000000+00:00",
            "9999-12-31T23:59:59.999999+00:00",
            "2016-12-31T23:59:60.500000+00:00",
        ] {
            assert_eq!(format(parse(text)?), text);
        }
        Ok(())
    }

    #[test]
    fn refuses_other_forms() {
        for text in [
            "",
            "now",
            "2023-03-20",
            "2023-03-20T14:05:09",
            "2023-03-20T14:05Z",
            "2023-02-29T00:00:00Z",
            "2023-03-20T25:00:00Z",
            "10000-01-01T00:00:00Z",
            " 2023-03-20T14:05:09Z",
        ] {
            let message = parse(text).map_err(|e| e.to_string());
            let expected = format!("{text:?} is not an RFC 3339 time such as 2023-03-20T14:05:09Z");
            assert_eq!(message, Err(expected));
        }
    }

    #[test]
    fn refuses_years_that_utc_makes_unwritable() {
        for text in ["9999-12-31T23:59:59-01:00", "0000-01-01T00:00:00+01:00"] {
            let message = parse(text).map_err(|e| e.to_string());
            let expected = format!("{text:?} is outside the years 0000 to 9999 in UTC");
            assert_eq!(message, Err(expected));
        }
    }

    #[test]
    fn an_error_keeps_its_cause() {
        let cause = parse("2023-13-20T14:05:09Z").map_err(|e| e.source().map(|e| e.to_string()));
        assert_eq!(cause, Err(Some("input is out of range".to_owned())));
    }
}
