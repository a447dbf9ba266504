//! How sets go.

use uuid::Uuid;

use super::event::{Act, Told, act, insert_event, told};
use super::mark::acquit;
use super::statement::{Statement, statement};
use crate::events::{Event, Kind, new_id};
use crate::pg::clock::Timestamp;
use crate::pg::error::Result;
use crate::settings;
use crate::user_id::UserId;

/// What an account row holds without a set.
macro_rules! no_set {
    () => {
        concat!(
            "set_no = NULL, replaced_set_no = NULL, confirmed_at = NULL, last_used_at = NULL, locked_until = NULL,
             failures = 0, failures_at_lock = 0, unused = 0, burned = '', ",
            $crate::store::facts::facts!(set_null)
        )
    };
}
pub(super) use no_set;

statement! {
    /// Removes the active set; a pending one stays.
    RemoveActive<'a>: User, Fresh
    (user_id: &'a UserId, event_id: Uuid, low_limit: i32; ..act: Act)
    ["WITH old AS (
        SELECT set_no FROM backup_codes.account WHERE user_id = $user_id
      ), gone AS (
        DELETE FROM backup_codes.code AS c USING old AS o WHERE c.user_id = $user_id AND c.set_no = o.set_no
      ), cleared AS (
        UPDATE backup_codes.account AS a SET ", no_set!(), " WHERE a.user_id = $user_id
      ) ",
     insert_event!(), "SELECT $user_id, $event_id, ", act!(), ", 'disabled', 'failures', set_no, NULL, 0, 0 <= $low_limit
        FROM old
      RETURNING "]
    => RemovedActive { ..told: Told = [told!()] }
    [""]
}

/// Removes the active set after too many failures. To be called while the account row is held.
pub fn remove_active(user_id: &UserId, at: Timestamp) -> Result<Option<Event>> {
    let event_id = new_id(at)?;
    let row = RemoveActive { user_id, event_id, low_limit: settings::low(), act: Act::at(at) }.first()?;
    acquit(user_id);
    Ok(row.map(|row| row.told.event(event_id, Kind::Disabled, user_id, at)))
}

statement! {
    /// The event names the active set, or the pending one where there was no other.
    Disable<'a>: User, Fresh
    (user_id: &'a UserId, event_id: Uuid, low_limit: i32; ..act: Act)
    ["WITH pending AS (
        DELETE FROM backup_codes.pending_set WHERE user_id = $user_id RETURNING set_no
      ), gone AS (
        DELETE FROM backup_codes.code WHERE user_id = $user_id
      ), before AS (
        SELECT coalesce(a.set_no, p.set_no) AS set_no
          FROM backup_codes.account AS a LEFT JOIN pending AS p ON true
         WHERE a.user_id = $user_id AND coalesce(a.set_no, p.set_no) IS NOT NULL
      ), cleared AS (
        UPDATE backup_codes.account AS a SET ", no_set!(), " WHERE a.user_id = $user_id
      ) ",
     insert_event!(), "SELECT $user_id, $event_id, ", act!(), ", 'disabled', 'request', set_no, NULL, 0, 0 <= $low_limit
        FROM before
      RETURNING "]
    => Disabled { ..told: Told = [told!()] }
    [""]
}

/// Removes active and pending set and the lock. To be called after [`take`].
pub fn disable(user_id: &UserId, at: Timestamp) -> Result<Option<Event>> {
    let event_id = new_id(at)?;
    let row = Disable { user_id, event_id, low_limit: settings::low(), act: Act::at(at) }.first()?;
    acquit(user_id);
    Ok(row.map(|row| row.told.event(event_id, Kind::Disabled, user_id, at)))
}
