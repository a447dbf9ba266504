//! What an attempt reads and writes.
//!
//! An accepted attempt is five statements of one table each. The third and fourth go to the account and the code where an earlier
//! one found it, by ctid: that saves a tenth of the whole. Where the account has changed since, they change nothing, and the
//! attempt begins anew; so what was read holds for what is written, and nothing needs to be read again.

use backup_codes_core::hash::CodeHash;

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

/// An account as an attempt reads it. What it writes holds only if this is still so under the lock.
pub struct Account {
    /// The active set.
    pub set: CodeSet,
    /// Until when the user is locked; may have passed.
    pub locked_until: Option<Timestamp>,
    /// The codes of the set that were consumed earlier.
    pub burned: Burned,
    place: Place,
    failures: i32,
    unused: i16,
}

/// A failure that was counted.
pub struct Failure {
    /// The user is locked now.
    pub locked: Option<Event>,
    /// There were so many that the set is to be removed.
    pub last: bool,
}

statement! {
    /// A plain read: no lock, no transaction id.
    ReadAccount<'a>: User, Fresh
    (user_id: &'a UserId)
    ["SELECT "]
    => AccountRow {
        set_no: Option<i32>, locked_until: Option<Timestamp>, place: Place = "ctid", failures: i32, unused: i16,
        burned: Vec<u8>, ..facts: Stored = [facts!(names)]
    }
    [" FROM backup_codes.account WHERE user_id = $user_id"]
}

/// The user's active set.
pub fn account(user_id: &UserId) -> Result<Option<Account>> {
    let Some(row) = (ReadAccount { user_id }).first()? else { return Ok(None) };
    let Some(set) = CodeSet::read(row.set_no, row.facts)? else { return Ok(None) };
    Ok(Some(Account {
        set,
        locked_until: row.locked_until,
        burned: Burned(row.burned),
        place: row.place,
        failures: row.failures,
        unused: row.unused,
    }))
}

statement! {
    /// A plain read: [`CountConsumed`] decides.
    FindCode<'a>: User, Fresh
    (user_id: &'a UserId, set_no: i32, code_hash: CodeHash)
    ["SELECT "]
    => FoundCode { ordinal: i16, place: Place = "ctid" }
    [" FROM backup_codes.code WHERE user_id = $user_id AND code_hash = $code_hash AND set_no = $set_no"]
}

/// The ordinal and the row of an unburned code of the set.
pub fn find(user_id: &UserId, set_no: i32, code_hash: &CodeHash) -> Result<Option<FoundCode>> {
    FindCode { user_id, set_no, code_hash: *code_hash }.first()
}

/// No lock holds at `$at`, as [`is_ahead`](Timestamp::is_ahead) judges it.
macro_rules! not_locked {
    () => {
        "(locked_until IS NULL OR locked_until <= $at OR locked_until > $at + interval '48 hours')"
    };
}

statement! {
    /// Decides about a code that was found: the condition is checked on the row that is there once its lock is held. A code of a
    /// set is live as long as no other code of it has been consumed since it was found, which the number of unused ones tells.
    CountConsumed<'a>: User, Fresh
    (user_id: &'a UserId, place: Place, set_no: i32, unused: i16, at: Timestamp, ordinal: i16, code_hash: CodeHash)
    ["UPDATE backup_codes.account
         SET unused = $unused - 1, failures = 0, locked_until = NULL, last_used_at = $at,
             burned = burned || int2send($ordinal) || $code_hash
       WHERE user_id = $user_id AND ctid = $place AND set_no = $set_no AND unused = $unused
         AND (expires_at IS NULL OR expires_at > $at) AND ", not_locked!()]
}

statement! {
    BurnCode<'a>: User, Fresh
    (user_id: &'a UserId, place: Place, code_hash: CodeHash)
    ["DELETE FROM backup_codes.code WHERE user_id = $user_id AND ctid = $place AND code_hash = $code_hash"]
}

/// Consumes a code that was found: writes the account, deletes the code, inserts the event. None when the set has expired, or
/// the account has changed since it was read.
pub fn consume(
    user_id: &UserId,
    account: &Account,
    code_hash: &CodeHash,
    code: FoundCode,
    at: Timestamp,
) -> Result<Option<Event>> {
    let &Account { place, unused, set: CodeSet { set_no, .. }, .. } = account;
    let FoundCode { ordinal, place: code } = code;
    if (CountConsumed { user_id, place, set_no, unused, at, ordinal, code_hash: *code_hash }).run() == 0 {
        return Ok(None);
    }
    if (BurnCode { user_id, place: code, code_hash: *code_hash }).run() != 1 {
        return Err(Error::Damaged("a code was gone that its account still had"));
    }
    let news = News { ordinal: Some(ordinal), ..News::of_active(Kind::Used, set_no, unused - 1) };
    news.insert(user_id, at).map(Some)
}

statement! {
    /// Counts a failure and locks the user when it is their turn, unless the account has changed in any way that matters since it
    /// was read: then the attempt begins anew.
    CountFailure<'a>: User, Fresh
    (user_id: &'a UserId, place: Option<Place>, set_no: i32, unused: i16, at: Timestamp, failures: i32,
     locked_until: Option<Timestamp>)
    ["UPDATE backup_codes.account SET failures = $failures, locked_until = coalesce($locked_until, locked_until)
       WHERE user_id = $user_id AND ctid = $place AND set_no = $set_no AND unused = $unused AND failures = $failures - 1
         AND ", not_locked!()]
}

/// Counts a failed attempt and locks the user when it is their turn. None when the account has changed since it was read. A user
/// without one, whose set is nobody's, goes through the same statement.
pub fn count_failure(
    user_id: &UserId,
    set_no: i32,
    account: Option<&Account>,
    at: Timestamp,
) -> Result<Option<Failure>> {
    let failures = account.map_or(0, |account| account.failures) + 1;
    let unused = account.map_or(0, |account| account.unused);
    let last = failures >= settings::disable_after();
    let locks = failures % settings::max_failures() == 0 && !last;
    let locked_until = locks.then(|| settings::locked_until(at));
    let place = account.map(|account| account.place);
    if (CountFailure { user_id, place, set_no, unused, at, failures, locked_until }).run() == 0 {
        return Ok(None);
    }
    let locked = locks.then(|| {
        let news = News::of_active(Kind::Locked, set_no, unused);
        News { reason: Some(Reason::Failures), ..news }.insert(user_id, at)
    });
    Ok(Some(Failure { locked: locked.transpose()?, last }))
}
