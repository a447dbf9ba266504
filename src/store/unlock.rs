//! How a lock ends before its time.

use backup_codes_core::throttle::Known;

use super::event::{News, is_low};
use super::mark::acquit;
use super::statement::{Statement, statement};
use crate::events::{Event, Kind};
use crate::pg::clock::Timestamp;
use crate::pg::error::Result;
use crate::throttle::Odometer;
use crate::user_id::UserId;

statement! {
    ReadFailures<'a>: User, Fresh
    (user_id: &'a UserId)
    ["SELECT "]
    => Counted {
        failures: i32, failures_at_lock: i32, locked_until: Option<Timestamp>, mark: Option<i64>, set_no: Option<i32>, unused: i16
    }
    [" FROM backup_codes.account WHERE user_id = $user_id"]
}

statement! {
    ForgiveFailures<'a>: User, Fresh
    (user_id: &'a UserId)
    ["UPDATE backup_codes.account SET failures = 0, failures_at_lock = 0, locked_until = NULL WHERE user_id = $user_id"]
}

/// Ends the lock and forgets the failures: whether there was a lock, and the event, where anything changed. To be called after
/// [`take`](super::take).
pub fn unlock(user_id: &UserId, at: Timestamp) -> Result<(bool, Option<Event>)> {
    let Some(counted) = (ReadFailures { user_id }).first()? else { return Ok((false, None)) };
    let Counted { failures, failures_at_lock, locked_until, mark, set_no, unused } = counted;
    let known = Known { failures, failures_at_lock, locked_until: locked_until.map(|at| at.0), mark };
    // The lock may be one that a rolled-back guess led to.
    let standing = Odometer::of_attempts(user_id).standing(&known, at);
    let locked = standing.locked(at.0).is_some();
    if standing.failures == 0 && locked_until.is_none() && !locked {
        return Ok((false, None));
    }
    ForgiveFailures { user_id }.run();
    acquit(user_id);
    let low = set_no.is_some() && is_low(unused);
    let news = News { kind: Kind::Unlocked, reason: None, set_no, ordinal: None, remaining: unused, low };
    let event = news.insert(user_id, at)?;
    Ok((locked, Some(event)))
}
