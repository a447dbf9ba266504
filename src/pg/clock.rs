//! Time as PostgreSQL counts it: microseconds since 2000-01-01 00:00 UTC.
//!
//! Expiry is judged by the clock, not by the start of the transaction, which stands still.

use pgrx::{FromDatum, IntoDatum, pg_sys};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use crate::pg::call::Interval;
use crate::pg::error::{Error, Result};

/// A point in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// PostgreSQL's '-infinity'.
    pub const MINUS_INFINITY: Self = Self(i64::MIN);
    /// The last one before PostgreSQL's 'infinity'.
    pub const BEFORE_INFINITY: Self = Self(i64::MAX - 1);

    /// This many microseconds later.
    pub fn plus(self, micros: i64) -> Self {
        Self(self.0.saturating_add(micros))
    }

    /// Microseconds since another point in time, negative when that is later.
    pub fn since(self, other: Self) -> i64 {
        self.0.saturating_sub(other.0)
    }
}

impl IntoDatum for Timestamp {
    fn into_datum(self) -> Option<pg_sys::Datum> {
        self.0.into_datum()
    }

    fn type_oid() -> pg_sys::Oid {
        pg_sys::TIMESTAMPTZOID
    }
}

impl FromDatum for Timestamp {
    unsafe fn from_polymorphic_datum(datum: pg_sys::Datum, is_null: bool, _oid: pg_sys::Oid) -> Option<Self> {
        (!is_null).then(|| Self(datum.value() as i64))
    }
}

const MICROS_PER_DAY: i128 = 86_400_000_000;
/// Seconds from 1970-01-01 to 2000-01-01.
const UNIX_OFFSET: i64 = 946_684_800;
/// What each field of an interval may span forward, and backward: far inside of what a timestamp holds, so that no sum
/// overflows.
const MAX_YEARS_FORWARD: i64 = 10_000;
const MAX_YEARS_BACKWARD: i64 = 1_000;

/// Now.
pub fn now() -> Timestamp {
    // SAFETY: reads the clock.
    Timestamp(unsafe { pg_sys::GetCurrentTimestamp() })
}

/// Milliseconds since 1970, as a uuid of version 7 counts.
pub fn unix_millis(at: Timestamp) -> u64 {
    (at.0 / 1000 + UNIX_OFFSET * 1000).unsigned_abs()
}

/// The point in time as RFC 3339 writes it, in UTC.
pub fn rfc3339(at: Timestamp) -> String {
    OffsetDateTime::from_unix_timestamp(UNIX_OFFSET)
        .ok()
        .and_then(|epoch| epoch.checked_add(Duration::microseconds(at.0)))
        .and_then(|at| at.format(&Rfc3339).ok())
        .unwrap_or_default()
}

impl Interval {
    /// PostgreSQL's 'infinity'.
    pub const INFINITY: Self = Self { months: i32::MAX, days: i32::MAX, micros: i64::MAX };

    /// Its length, with months of 30 days, as PostgreSQL compares intervals.
    fn span(self) -> i128 {
        (i128::from(self.months) * 30 + i128::from(self.days)) * MICROS_PER_DAY + i128::from(self.micros)
    }

    /// The point in time that lies this far from another; None when that is too far.
    fn from(self, at: Timestamp, forward: bool) -> Option<Timestamp> {
        let years = if forward { MAX_YEARS_FORWARD } else { MAX_YEARS_BACKWARD };
        let too_far = i64::from(self.months).abs() > years * 12
            || i64::from(self.days).abs() > years * 366
            || i128::from(self.micros).abs() > i128::from(years * 366) * MICROS_PER_DAY;
        if too_far {
            return None;
        }
        let mut interval = pg_sys::Interval { time: self.micros, day: self.days, month: self.months };
        let function = if forward { pg_sys::timestamptz_pl_interval } else { pg_sys::timestamptz_mi_interval };
        // SAFETY: both functions take a timestamptz and an interval by reference, and neither is NULL.
        unsafe {
            let interval = pg_sys::Datum::from(&raw mut interval);
            pgrx::direct_function_call_as_datum(function, &[at.into_datum(), Some(interval)])
                .map(|sum| Timestamp(sum.value() as i64))
        }
    }
}

/// A later point in time. Raises 22023, with the name of the argument, unless the interval is positive.
pub fn after(now: Timestamp, interval: Interval, name: &'static str) -> Result<Timestamp> {
    match interval.from(now, true) {
        Some(at) if at > now && interval.span() > 0 => Ok(at),
        _ => Err(Error::OutOfRange { name, range: format!("positive and at most {MAX_YEARS_FORWARD} years").into() }),
    }
}

/// A point in time up to a day later, which is how long a mailer may hold an event, or put it off. Raises 22023, with the name
/// of the argument, when the interval is negative or longer, or zero where it must be `positive`.
pub fn within_a_day(now: Timestamp, interval: Interval, name: &'static str, positive: bool) -> Result<Timestamp> {
    let range = if positive { "positive and at most a day" } else { "zero or positive and at most a day" };
    match interval.from(now, true) {
        Some(at) if at >= now && (at > now || !positive) && interval.span() <= MICROS_PER_DAY => Ok(at),
        _ => Err(Error::IntervalOutOfRange { name, range: range.into() }),
    }
}

/// The point before which something is older than the interval. Raises 22023 when it is negative.
pub fn cutoff(now: Timestamp, older_than: Interval) -> Result<Timestamp> {
    if older_than.span() < 0 {
        return Err(Error::OutOfRange { name: "older_than", range: "zero or positive".into() });
    }
    // Nothing is older than a thousand years.
    Ok(older_than.from(now, false).map_or(Timestamp::MINUS_INFINITY, |at| at.min(now)))
}
