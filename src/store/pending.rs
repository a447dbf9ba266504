//! What becomes of a pending set.

use backup_codes_core::throttle::{Known, Wrong};
use uuid::Uuid;

use super::event::{Act, Told, act, insert_event, told};
use super::facts::{Stored, facts};
use super::mark::acquit;
use super::sets::CodeSet;
use super::statement::{Statement, statement};
use crate::events::{Event, Kind, Reason, new_id};
use crate::pg::clock::Timestamp;
use crate::pg::error::Result;
use crate::settings;
use crate::user_id::UserId;

statement! {
    /// Writes the row, rather than lock it: at REPEATABLE READ the next writer must find it changed.
    TakeAccount<'a>: User, Fresh
    (user_id: &'a UserId)
    ["UPDATE backup_codes.account SET set_counter = set_counter WHERE user_id = $user_id RETURNING "]
    => TakenAccount { unused: i16 }
    [""]
}

/// Takes the account row, by writing it, and tells the unused codes of the active set. None for a user without one: a
/// garbage id leaves no row.
pub fn take(user_id: &UserId) -> Result<Option<i16>> {
    Ok((TakeAccount { user_id }).first()?.map(|account| account.unused))
}

statement! {
    ReadPending<'a>: User, Fresh
    (user_id: &'a UserId)
    ["SELECT "]
    => PendingRow { set_no: i32, failures: i32, mark: Option<i64>, ..facts: Stored = [facts!(names)] }
    [" FROM backup_codes.pending_set WHERE user_id = $user_id"]
}

/// Whether there is a pending set, usable or not. To be asked while the account is held.
pub(super) fn has_pending(user_id: &UserId) -> Result<bool> {
    Ok((ReadPending { user_id }).first()?.is_some())
}

/// The pending set, and what its row knows of wrong proofs; None also for one that opens nothing, since every set needs a key. To be read after [`take`].
pub fn pending(user_id: &UserId) -> Result<Option<(CodeSet, Known)>> {
    let Some(row) = (ReadPending { user_id }).first()? else { return Ok(None) };
    let known = Known { failures: row.failures, mark: row.mark, ..Known::default() };
    let set = CodeSet::read(Some(row.set_no), row.facts)?.filter(|set| settings::opens(set.facts.key_id));
    Ok(set.map(|set| (set, known)))
}

statement! {
    CountProof<'a>: User, Fresh
    (user_id: &'a UserId, failures: i32, mark: Option<i64>)
    ["UPDATE backup_codes.pending_set SET failures = $failures, mark = $mark WHERE user_id = $user_id"]
}

/// Writes a wrong proof into the row of the pending set. To be called after [`take`].
pub fn count_proof(user_id: &UserId, wrong: &Wrong) {
    CountProof { user_id, failures: wrong.failures, mark: wrong.mark }.run();
}

statement! {
    Confirm<'a>: User, Fresh
    (user_id: &'a UserId, event_id: Uuid, low_limit: i32; ..act: Act)
    ["WITH pending AS (
        DELETE FROM backup_codes.pending_set WHERE user_id = $user_id RETURNING *
      ), gone AS (
        DELETE FROM backup_codes.code AS c USING pending AS p WHERE c.user_id = $user_id AND c.set_no <> p.set_no
      ), confirmed AS (
        UPDATE backup_codes.account AS a
           SET set_no = p.set_no, replaced_set_no = a.set_no, confirmed_at = $at, last_used_at = NULL, locked_until = NULL,
               failures = 0, failures_at_lock = 0, unused = p.total, burned = '', ", facts!(set_pending), "
          FROM pending AS p
         WHERE a.user_id = $user_id
        RETURNING a.set_no, a.unused
      ) ",
     insert_event!(), "SELECT $user_id, $event_id, ", act!(), ", 'confirmed', NULL, set_no, NULL, unused, unused <= $low_limit
        FROM confirmed
      RETURNING "]
    => Confirmed { ..told: Told = [told!()] }
    [""]
}

/// Makes the pending set the active one. To be called after [`take`].
pub fn confirm(user_id: &UserId, at: Timestamp) -> Result<Option<Event>> {
    let event_id = new_id(at)?;
    let row = Confirm { user_id, event_id, low_limit: settings::low(), act: Act::at(at) }.first()?;
    acquit(user_id);
    Ok(row.map(|row| row.told.event(event_id, Kind::Confirmed, user_id, at)))
}

statement! {
    Cancel<'a>: User, Fresh
    (user_id: &'a UserId, event_id: Uuid, reason: &'static str, low_limit: i32; ..act: Act)
    ["WITH pending AS (
        DELETE FROM backup_codes.pending_set WHERE user_id = $user_id RETURNING set_no
      ), gone AS (
        DELETE FROM backup_codes.code AS c USING pending AS p WHERE c.user_id = $user_id AND c.set_no = p.set_no
      ) ",
     insert_event!(), "SELECT $user_id, $event_id, ", act!(), ", 'cancelled', $reason, p.set_no, NULL, a.unused,
             a.set_no IS NOT NULL AND a.unused <= $low_limit
        FROM pending AS p JOIN backup_codes.account AS a ON a.user_id = $user_id
      RETURNING "]
    => Cancelled { ..told: Told = [told!()] }
    [""]
}

/// Drops the pending set. To be called after [`take`].
pub fn cancel(user_id: &UserId, reason: Reason, at: Timestamp) -> Result<Option<Event>> {
    let event_id = new_id(at)?;
    let (reason, low_limit) = (reason.name(), settings::low());
    let row = Cancel { user_id, event_id, reason, low_limit, act: Act::at(at) }.first()?;
    Ok(row.map(|row| row.told.event(event_id, Kind::Cancelled, user_id, at)))
}
