//! How a lock ends before its time.

use super::event::{News, is_low};
use super::statement::{Statement, statement};
use crate::events::{Event, Kind};
use crate::pg::clock::Timestamp;
use crate::pg::error::Result;
use crate::user_id::UserId;

statement! {
    ReadFailures<'a>: User, Fresh
    (user_id: &'a UserId)
    ["SELECT "]
    => Counted { failures: i32, locked_until: Option<Timestamp>, set_no: Option<i32>, unused: i16 }
    [" FROM backup_codes.account WHERE user_id = $user_id"]
}

statement! {
    ForgiveFailures<'a>: User, Fresh
    (user_id: &'a UserId)
    ["UPDATE backup_codes.account SET failures = 0, locked_until = NULL WHERE user_id = $user_id"]
}

/// Ends the lock and forgets the failures: whether there was a lock, and the event, where anything changed. To be called after
/// [`take`](super::take).
pub fn unlock(user_id: &UserId, at: Timestamp) -> Result<(bool, Option<Event>)> {
    let Some(Counted { failures, locked_until, set_no, unused }) = (ReadFailures { user_id }).first()? else {
        return Ok((false, None));
    };
    if failures == 0 && locked_until.is_none() {
        return Ok((false, None));
    }
    ForgiveFailures { user_id }.run();
    let low = set_no.is_some() && is_low(unused);
    let news = News { kind: Kind::Unlocked, reason: None, set_no, ordinal: None, remaining: unused, low };
    let event = news.insert(user_id, at)?;
    Ok((locked_until.is_some_and(|until| until.is_ahead(at)), Some(event)))
}
