//! What an attempt reads and writes.
//!
//! An accepted attempt is five statements of one table each, a refused one four: the account is read, then held, the code is
//! burned or not found, the account is written, and an accepted attempt is told. The second and fourth go to the account where the
//! first found it, by ctid: that saves a tenth of the whole. Where the account has changed since, it is not held, and the
//! attempt begins anew; so what was read holds for what is written, and nothing needs to be read again.

use backup_codes_core::hash::CodeHash;
use backup_codes_core::throttle::{Known, Wrong};

use super::burned::Burned;
use super::event::News;
use super::facts::{Stored, facts};
use super::sets::CodeSet;
use super::statement::{Statement, statement};
use super::value::Place;
use crate::events::{Event, Kind, Reason};
use crate::pg::clock::Timestamp;
use crate::pg::error::{Error, Result};
use crate::settings;
use crate::user_id::UserId;

/// An account as an attempt reads it. What it writes holds only if this is still so once the row is held.
pub struct Account {
    /// The active set.
    pub set: CodeSet,
    /// What the row knows of failures and locks.
    pub known: Known,
    /// The codes of the set that were consumed earlier.
    pub burned: Burned,
    /// When a code of the set was last accepted.
    pub last_used_at: Option<Timestamp>,
    place: Place,
    unused: i16,
}

statement! {
    /// A plain read: no lock, no transaction id.
    ReadAccount<'a>: User, Fresh
    (user_id: &'a UserId)
    ["SELECT "]
    => AccountRow {
        set_no: Option<i32>, failures: i32, failures_at_lock: i32, locked_until: Option<Timestamp>, mark: Option<i64>,
        last_used_at: Option<Timestamp>, place: Place = "ctid", unused: i16, burned: Vec<u8>,
        ..facts: Stored = [facts!(names)]
    }
    [" FROM backup_codes.account WHERE user_id = $user_id"]
}

/// The user's active set; None also for one that opens nothing, since every set needs a key.
pub fn account(user_id: &UserId) -> Result<Option<Account>> {
    let Some(row) = (ReadAccount { user_id }).first()? else { return Ok(None) };
    let Some(set) = CodeSet::read(row.set_no, row.facts)? else { return Ok(None) };
    if !settings::opens(set.facts.key_id) {
        return Ok(None);
    }
    let known = Known {
        failures: row.failures,
        failures_at_lock: row.failures_at_lock,
        locked_until: row.locked_until.map(|at| at.0),
        mark: row.mark,
    };
    Ok(Some(Account {
        set,
        known,
        burned: Burned(row.burned),
        last_used_at: row.last_used_at,
        place: row.place,
        unused: row.unused,
    }))
}

statement! {
    /// Holds the row as it was read: one that has changed since is not found, or gives 40001, at the isolation level of the caller.
    HoldAccount<'a>: User, Fresh
    (user_id: &'a UserId, place: Option<Place>)
    ["SELECT "]
    => HeldAccount { failures: i32 }
    [" FROM backup_codes.account WHERE user_id = $user_id AND ctid = $place FOR NO KEY UPDATE"]
}

/// Takes the account row; whether it is still what was read. A user without one goes through the same statement.
pub fn hold(user_id: &UserId, account: Option<&Account>) -> Result<bool> {
    let held = HoldAccount { user_id, place: account.map(|account| account.place) }.first()?;
    Ok(held.zip(account).is_some_and(|(held, account)| held.failures == account.known.failures))
}

statement! {
    /// Decides: a code that is deleted was live. It writes the table of codes before it looks for one, so that it takes locks in the
    /// order of REINDEX.
    BurnCode<'a>: User, Fresh
    (user_id: &'a UserId, set_no: i32, code_hash: CodeHash)
    ["DELETE FROM backup_codes.code WHERE user_id = $user_id AND code_hash = $code_hash AND set_no = $set_no RETURNING "]
    => BurnedCode { ordinal: i16 }
    [""]
}

/// Burns a code, while its account is held; its ordinal, when it was live.
pub fn burn(user_id: &UserId, set_no: i32, code_hash: &CodeHash) -> Result<Option<i16>> {
    Ok((BurnCode { user_id, set_no, code_hash: *code_hash }).first()?.map(|code| code.ordinal))
}

statement! {
    /// Looks for a code that stays. An UPDATE, for the order of locks: see [`BurnCode`].
    FindCode<'a>: User, Fresh
    (user_id: &'a UserId, set_no: i32, code_hash: CodeHash)
    ["UPDATE backup_codes.code SET ordinal = ordinal
       WHERE user_id = $user_id AND code_hash = $code_hash AND set_no = $set_no"]
}

/// Whether there is such a code of an expired or pending set, while its account is held.
pub fn is_there(user_id: &UserId, set_no: i32, code_hash: &CodeHash) -> bool {
    FindCode { user_id, set_no, code_hash: *code_hash }.run() > 0
}

statement! {
    CountConsumed<'a>: User, Fresh
    (user_id: &'a UserId, place: Place, at: Timestamp, ordinal: i16, code_hash: CodeHash, mark: Option<i64>)
    ["UPDATE backup_codes.account
         SET unused = unused - 1, failures = 0, failures_at_lock = 0, locked_until = NULL, mark = $mark, last_used_at = $at,
             burned = burned || int2send($ordinal) || $code_hash
       WHERE user_id = $user_id AND ctid = $place AND unused > 0"]
}

/// Writes that a code was burned into the account that is held, and tells it. Raises XX001 when the account counts no code that is
/// left, and 40001 when it cannot be written.
pub fn count_consumed(
    user_id: &UserId,
    account: &Account,
    (ordinal, code_hash): (i16, &CodeHash),
    mark: Option<i64>,
    at: Timestamp,
) -> Result<Event> {
    let &Account { place, unused, set: CodeSet { set_no, .. }, .. } = account;
    if unused <= 0 {
        return Err(Error::Damaged("a code was there that its account does not count"));
    }
    if (CountConsumed { user_id, place, at, ordinal, code_hash: *code_hash, mark }).run() == 0 {
        return Err(Error::Contended);
    }
    let news = News { ordinal: Some(ordinal), ..News::of_active(Kind::Used, set_no, unused - 1) };
    news.insert(user_id, at)
}

statement! {
    CountFailure<'a>: User, Fresh
    (user_id: &'a UserId, place: Option<Place>, failures: i32, failures_at_lock: i32, locked_until: Option<Timestamp>,
     mark: Option<i64>)
    ["UPDATE backup_codes.account
         SET failures = $failures, failures_at_lock = $failures_at_lock, locked_until = $locked_until, mark = $mark
       WHERE user_id = $user_id AND ctid = $place"]
}

/// Writes a failure into the account that is held. Raises 40001 when it cannot be written.
pub fn count_failure(user_id: &UserId, account: &Account, wrong: &Wrong) -> Result<()> {
    let &Wrong { failures, failures_at_lock, mark, .. } = wrong;
    let (place, locked_until) = (Some(account.place), wrong.locked_until.map(Timestamp));
    match (CountFailure { user_id, place, failures, failures_at_lock, locked_until, mark }).run() {
        0 => Err(Error::Contended),
        _ => Ok(()),
    }
}

/// What a wrong code of an account costs, for a user who has none.
pub fn count_nobodys_failure(user_id: &UserId) {
    CountFailure { user_id, place: None, failures: 0, failures_at_lock: 0, locked_until: None, mark: None }.run();
}

/// Tells that the user is locked.
pub fn tell_locked(user_id: &UserId, account: &Account, at: Timestamp) -> Result<Event> {
    let news = News::of_active(Kind::Locked, account.set.set_no, account.unused);
    News { reason: Some(Reason::Failures), ..news }.insert(user_id, at)
}
