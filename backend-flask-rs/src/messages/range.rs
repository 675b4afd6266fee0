//! Ranges of sort keys.

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};

use crate::time;

/// Which times are wanted, both ends included; without an end, all on that side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeRange {
    /// The earliest time.
    pub from: Option<DateTime<Utc>>,
    /// The latest time.
    pub to: Option<DateTime<Utc>>,
}

impl TimeRange {
    /// The calendar year `year` in UTC, to its last microsecond; `None` outside the years 0 to 9999,
    /// which a sort key cannot hold.
    pub fn year(year: i32) -> Option<Self> {
        let last_moment = NaiveTime::from_hms_micro_opt(23, 59, 59, 999_999)?;
        let first = NaiveDate::from_ymd_opt(year, 1, 1)?.and_time(NaiveTime::MIN);
        let last = NaiveDate::from_ymd_opt(year, 12, 31)?.and_time(last_moment);
        time::YEARS.contains(&year).then(|| Self { from: Some(first.and_utc()), to: Some(last.and_utc()) })
    }

    /// Whether no time can be in it, because it ends before it begins.
    pub fn is_empty(&self) -> bool {
        matches!((self.from, self.to), (Some(from), Some(to)) if to < from)
    }

    /// The condition on the sort key, if there is one, and the values that it names.
    pub(super) fn sort_key_condition(&self) -> (Option<&'static str>, Vec<(&'static str, String)>) {
        let from = self.from.map(|t| (":from", time::format(t)));
        let to = self.to.map(|t| (":to", time::format(t)));
        let condition = match (&from, &to) {
            (Some(_), Some(_)) => Some("sk between :from and :to"),
            (Some(_), None) => Some("sk >= :from"),
            (None, Some(_)) => Some("sk <= :to"),
            (None, None) => None,
        };
        (condition, from.into_iter().chain(to).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type TestResult = Result<(), Box<dyn std::error::Error>>;

    #[test]
    fn a_year_is_all_of_it() {
        let range = TimeRange::year(2024).unwrap_or_default();
        assert_eq!(
            [range.from, range.to].map(|t| t.map(time::format)),
            [
                Some("2024-01-01T00:00:00.000000+00:00".to_owned()),
                Some("2024-12-31T23:59:59.999999+00:00".to_owned()),
            ]
        );
    }

    #[test]
    fn a_year_must_be_writable() {
        let some = [-1, 0, 9999, 10_000, i32::MAX].map(|y| TimeRange::year(y).is_some());
        assert_eq!(some, [false, true, true, false, false]);
    }

    #[test]
    fn only_a_range_that_ends_before_it_begins_is_empty() -> TestResult {
        let early = Some(time::parse("2024-01-01T00:00:00Z")?);
        let late = Some(time::parse("2024-01-01T00:00:00.000001Z")?);
        let empty = |from, to| TimeRange { from, to }.is_empty();
        assert!(empty(late, early));
        assert!(!empty(early, late));
        assert!(!empty(early, early));
        assert!(!empty(late, None));
        assert!(!empty(None, early));
        assert!(!TimeRange::default().is_empty());
        Ok(())
    }
}
