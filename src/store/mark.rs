//! The mark: the reading of the user's odometer up to which their row knows (see [`crate::throttle`]). Whatever resets the
//! failures writes it, so that what was charged before counts no more: from its commit on, and not at all without one.

use super::statement::{Statement, statement};
use crate::throttle::{self, Odometer};
use crate::user_id::UserId;

statement! {
    WriteMark<'a>: User, Fresh
    (user_id: &'a UserId, mark: i64)
    ["UPDATE backup_codes.account SET mark = $mark WHERE user_id = $user_id"]
}

statement! {
    WritePendingMark<'a>: User, Fresh
    (user_id: &'a UserId, mark: i64)
    ["UPDATE backup_codes.pending_set SET mark = $mark WHERE user_id = $user_id"]
}

/// Acquits the user of guesses at codes that were rolled back. To be called after the statement that set the failures in the
/// account row to 0: it is held since.
pub fn acquit(user_id: &UserId) {
    if throttle::in_use()
        && let Some(mark) = Odometer::of_attempts(user_id).mark()
    {
        WriteMark { user_id, mark }.run();
    }
}

/// The same of proofs of the pending set.
pub fn acquit_proofs(user_id: &UserId) {
    if throttle::in_use()
        && let Some(mark) = Odometer::of_proofs(user_id).mark()
    {
        WritePendingMark { user_id, mark }.run();
    }
}
