//! How everything of a user goes from one key to another.
//!
//! Rows go by DELETE and INSERT, never by UPDATE of user_id: that would move them between partitions, for which an attempt that waits
//! for the row gets 40001 at every isolation level.

use super::event::News;
use super::facts::{FactsOfOne, Stored, facts};
use super::forget::{forget_held, hold};
use super::pending::has_pending;
use super::statement::{Statement, statement};
use super::transit::note_arrival;
use crate::events::{Event, Kind};
use crate::key_file;
use crate::pg::clock::Timestamp;
use crate::pg::error::{Error, Result};
use crate::throttle::{Known, Odometer};
use crate::user_id::UserId;

statement! {
    RemoveAccount<'a>: User, Fresh
    (user_id: &'a UserId)
    ["DELETE FROM backup_codes.account WHERE user_id = $user_id RETURNING "]
    => RemovedAccount {
        set_counter: i32, set_no: Option<i32>, replaced_set_no: Option<i32>, failures: i32, failures_at_lock: i32,
        mark: Option<i64>, unused: i16, confirmed_at: Option<Timestamp>, last_used_at: Option<Timestamp>,
        locked_until: Option<Timestamp>, burned: Vec<u8>, ..facts: Stored = [facts!(names)]
    }
    [""]
}

statement! {
    PutAccount<'a>: User, Fresh
    (user_id: &'a UserId, set_counter: i32, set_no: Option<i32>, replaced_set_no: Option<i32>, failures: i32,
     failures_at_lock: i32, mark: Option<i64>, unused: i16, confirmed_at: Option<Timestamp>, last_used_at: Option<Timestamp>,
     locked_until: Option<Timestamp>, burned: &'a [u8]; ..facts: FactsOfOne)
    ["INSERT INTO backup_codes.account (user_id, set_counter, set_no, replaced_set_no, failures, failures_at_lock, mark, unused,
                                        confirmed_at, last_used_at, locked_until, burned, ", facts!(names), ")
      VALUES ($user_id, $set_counter, $set_no, $replaced_set_no, $failures, $failures_at_lock, $mark, $unused, $confirmed_at,
              $last_used_at, $locked_until, $burned, ", facts!(of_one), ")"]
}

statement! {
    RemovePending<'a>: User, Fresh
    (user_id: &'a UserId)
    ["DELETE FROM backup_codes.pending_set WHERE user_id = $user_id RETURNING "]
    => RemovedPending { set_no: i32, failures: i32, mark: Option<i64>, ..facts: Stored = [facts!(names)] }
    [""]
}

statement! {
    PutPending<'a>: User, Fresh
    (user_id: &'a UserId, set_no: i32, failures: i32, mark: Option<i64>; ..facts: FactsOfOne)
    ["INSERT INTO backup_codes.pending_set (user_id, set_no, failures, mark, ", facts!(names), ")
      VALUES ($user_id, $set_no, $failures, $mark, ", facts!(of_one), ")"]
}

statement! {
    MoveCodes<'a>: User, Fresh
    (user_id: &'a UserId, new_id: &'a UserId)
    ["WITH gone AS (
        DELETE FROM backup_codes.code WHERE user_id = $user_id RETURNING set_no, ordinal, code_hash
      )
      INSERT INTO backup_codes.code (user_id, set_no, ordinal, code_hash)
      SELECT $new_id, set_no, ordinal, code_hash FROM gone"]
}

statement! {
    /// A lease ends, since its mailer holds the old key: the event waits again.
    MoveEvents<'a>: User, Fresh
    (user_id: &'a UserId, new_id: &'a UserId, at: Timestamp)
    ["WITH gone AS (
        DELETE FROM backup_codes.event WHERE user_id = $user_id
        RETURNING event_id, at, CASE WHEN lease IS NOT NULL AND due_at < 'infinity' THEN least(due_at, $at) ELSE due_at END AS due_at,
                  delivered_at, set_no, ordinal, remaining, attempts, low, kind, reason, actor, client_addr, context, park_reason
      )
      INSERT INTO backup_codes.event (user_id, event_id, at, due_at, delivered_at, set_no, ordinal, remaining, attempts, low, kind,
                                      reason, actor, client_addr, context, park_reason)
      SELECT $new_id, event_id, at, due_at, delivered_at, set_no, ordinal, remaining, attempts, low, kind, reason, actor, client_addr,
             context, park_reason
        FROM gone"]
}

/// Takes an account for a key that must have no set, usable or not, and no pending one. Raises 23505.
fn hold_vacant(user_id: &UserId) -> Result<()> {
    if hold(user_id)? || has_pending(user_id)? {
        return Err(Error::UserIdTaken);
    }
    Ok(())
}

/// Removes what is left at a key, such as events; whether there was anything. Raises 23505 where there is a set.
pub fn require_vacant(user_id: &UserId) -> Result<bool> {
    hold_vacant(user_id)?;
    forget_held(user_id)
}

/// The facts of a set that goes to another user. What does not carry the seal of its key is not sealed, or a rename would make a set
/// good that was copied or changed.
fn sealed_anew(facts: Stored, old_id: &UserId, new_id: &UserId) -> Result<Stored> {
    let facts = facts.facts().ok_or(Error::Damaged("a set has an unknown format or scheme"))?;
    if facts.key_id.is_none() {
        return Ok(facts.stored());
    }
    let key = key_file::of_set(old_id, &facts)?;
    Ok(facts.sealed(new_id, key.as_ref()).stored())
}

/// Moves everything from one key to another: None when there was nothing. Raises 23505 when the new key has a set, and the errors of
/// a key file where a set is keyed.
pub fn rename(old_id: &UserId, new_id: &UserId, at: Timestamp) -> Result<Option<Event>> {
    if old_id.stored < new_id.stored {
        hold(old_id)?;
        hold_vacant(new_id)?;
    } else {
        hold_vacant(new_id)?;
        hold(old_id)?;
    }
    forget_held(new_id)?;

    let Some(account) = (RemoveAccount { user_id: old_id }).first()? else { return Ok(None) };
    let pending = RemovePending { user_id: old_id }.first()?;
    let codes = MoveCodes { user_id: old_id, new_id }.run();
    let events = MoveEvents { user_id: old_id, new_id, at }.run();
    if account.set_counter == 0 && pending.is_none() && codes + events == 0 {
        return Ok(None);
    }

    let RemovedAccount { set_counter, set_no, replaced_set_no, unused, facts, .. } = account;
    let facts = if set_no.is_some() { sealed_anew(facts, old_id, new_id)? } else { facts };
    let known = Known {
        failures: account.failures,
        failures_at_lock: account.failures_at_lock,
        locked_until: account.locked_until.map(|at| at.0),
        mark: account.mark,
    };
    let known = Odometer::of_attempts(old_id).moved(&known, &Odometer::of_attempts(new_id), at);
    PutAccount {
        user_id: new_id,
        set_counter,
        set_no,
        replaced_set_no,
        failures: known.failures,
        failures_at_lock: known.failures_at_lock,
        mark: known.mark,
        unused,
        confirmed_at: account.confirmed_at,
        last_used_at: account.last_used_at,
        locked_until: known.locked_until.map(Timestamp),
        burned: &account.burned,
        facts: facts.into(),
    }
    .run();
    if let Some(RemovedPending { set_no, failures, mark, facts }) = pending {
        let facts = sealed_anew(facts, old_id, new_id)?;
        let known = Known { failures, mark, ..Known::default() };
        let known = Odometer::of_proofs(old_id).moved(&known, &Odometer::of_proofs(new_id), at);
        let Known { failures, mark, .. } = known;
        PutPending { user_id: new_id, set_no, failures, mark, facts: facts.into() }.run();
    }
    let news = News::of_active(Kind::Renamed, set_no.unwrap_or_default(), unused);
    let event = News { set_no, low: news.low && set_no.is_some(), ..news }.insert(new_id, at)?;
    note_arrival(new_id);
    Ok(Some(event))
}
