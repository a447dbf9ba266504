//! How users go.

use super::statement::{Statement, statement};
use crate::pg::error::Result;
use crate::user_id::UserId;

statement! {
    /// Takes the account row by writing it, made if need be: a generate that is under way is waited for. A row that was made for this
    /// counts no set.
    Hold<'a>: User, Fresh
    (user_id: &'a UserId)
    ["INSERT INTO backup_codes.account AS a (user_id, set_counter) VALUES ($user_id, 0)
      ON CONFLICT (user_id) DO UPDATE SET set_counter = a.set_counter
      RETURNING "]
    => Held { has_set: bool = "set_no IS NOT NULL" }
    [""]
}

/// Takes the account row, made if need be; whether it has a set, usable or not.
pub(super) fn hold(user_id: &UserId) -> Result<bool> {
    Ok((Hold { user_id }).first()?.is_some_and(|held| held.has_set))
}

statement! {
    /// Removes every row of the user, and tells whether there was one, but for an account that was made to be held.
    Forget<'a>: User, Fresh
    (user_id: &'a UserId)
    ["WITH codes AS (
        DELETE FROM backup_codes.code WHERE user_id = $user_id RETURNING 1
      ), pending AS (
        DELETE FROM backup_codes.pending_set WHERE user_id = $user_id RETURNING 1
      ), events AS (
        DELETE FROM backup_codes.event WHERE user_id = $user_id RETURNING 1
      )
      DELETE FROM backup_codes.account WHERE user_id = $user_id
      RETURNING "]
    => Forgotten {
        anything: bool = "set_counter > 0 OR EXISTS (SELECT FROM codes) OR EXISTS (SELECT FROM pending)
                          OR EXISTS (SELECT FROM events)"
    }
    [""]
}

/// Removes every row of the user; whether there was one.
pub fn forget(user_id: &UserId) -> Result<bool> {
    hold(user_id)?;
    forget_held(user_id)
}

/// Removes every row of a user whose account is held; whether there was one.
pub(super) fn forget_held(user_id: &UserId) -> Result<bool> {
    Ok((Forget { user_id }).first()?.is_some_and(|forgotten| forgotten.anything))
}

statement! {
    FindAnything<'a>: User, Fresh
    (user_id: &'a UserId)
    ["SELECT "]
    => Found {
        anything: bool = "EXISTS (SELECT FROM backup_codes.account WHERE user_id = $user_id AND set_counter > 0)
                          OR EXISTS (SELECT FROM backup_codes.event WHERE user_id = $user_id)"
    }
    [""]
}

statement! {
    /// Removes an account that was made to be held.
    LetGo<'a>: User, Fresh
    (user_id: &'a UserId)
    ["DELETE FROM backup_codes.account WHERE user_id = $user_id AND set_counter = 0"]
}

/// Removes every row of the user, unless they turn out to be there still, for which only those are asked who have something here.
pub fn forget_unless(user_id: &UserId, still_there: impl FnOnce() -> bool) -> Result<bool> {
    hold(user_id)?;
    let anything = (FindAnything { user_id }).first()?.is_some_and(|found| found.anything);
    if anything && still_there() {
        LetGo { user_id }.run();
        return Ok(false);
    }
    forget_held(user_id)
}
