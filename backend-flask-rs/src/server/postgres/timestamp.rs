//! Points in time, as Postgres sends them. The driver's own reading of them into chrono's types would have
//! chrono know this machine's time zone, by eight crates more for everything that has the driver.

use std::error::Error;

use chrono::{DateTime, Utc};
use deadpool_postgres::tokio_postgres::types::{FromSql, Type};

/// 2000-01-01, from which Postgres counts microseconds, in those of Unix.
const POSTGRES_EPOCH: i64 = 946_684_800_000_000;

/// The value of a column of type timestamptz.
pub(super) struct Timestamp(pub(super) DateTime<Utc>);

impl<'a> FromSql<'a> for Timestamp {
    /// # Errors
    /// A time that is none, such as `infinity`, or that lies beyond chrono's years.
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        let micros = i64::from_be_bytes(raw.try_into()?).checked_add(POSTGRES_EPOCH);
        let time = micros.and_then(DateTime::from_timestamp_micros);
        time.map(Self).ok_or_else(|| "not a point in time that can be written".into())
    }

    fn accepts(kind: &Type) -> bool {
        *kind == Type::TIMESTAMPTZ
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(micros: i64) -> Option<String> {
        let read = Timestamp::from_sql(&Type::TIMESTAMPTZ, &micros.to_be_bytes());
        read.ok().map(|Timestamp(time)| crate::time::format(time))
    }

    #[test]
    fn it_is_counted_from_2000() {
        assert_eq!(read(0).as_deref(), Some("2000-01-01T00:00:00.000000+00:00"));
        assert_eq!(read(-1).as_deref(), Some("1999-12-31T23:59:59.999999+00:00"));
        assert_eq!(read(732_636_309_000_001).as_deref(), Some("2023-03-20T14:05:09.000001+00:00"));
    }

    #[test]
    fn infinity_is_no_point_in_time() {
        assert_eq!((read(i64::MAX), read(i64::MIN)), (None, None));
    }
}
