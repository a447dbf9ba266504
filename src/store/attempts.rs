//! What an attempt reads and writes.
//!
//! An accepted attempt is five statements of one table each. The third and fourth go to the account and the code where an earlier
//! one found it, by ctid: that saves a tenth of the whole. Where the account has changed since, they change nothing, and the
//! attempt begins anew; so what was read holds for what is written, and nothing needs to be read again.

use pgrx::{IntoDatum, pg_sys};

use super::plan::Snapshot;
use super::sets::{CodeSet, burned, code_set};
use super::{News, act, bytes, statements, timestamp, user};
use crate::events::{Event, Kind, Reason};
use crate::pg::clock::Timestamp;
use crate::pg::error::{Error, Result};
use crate::settings;
use crate::user_id::UserId;
use backup_codes_core::hash::CodeHash;

/// Where a row was found, its ctid. It lives as long as what else [`connected`](super::connected) allocates.
#[derive(Clone, Copy)]
pub struct Place(pg_sys::Datum);

/// An account as an attempt reads it. What it writes holds only if this is still so under the lock.
pub struct Account {
    /// The active set.
    pub set: CodeSet,
    /// Until when the user is locked; may have passed.
    pub locked_until: Option<Timestamp>,
    place: Place,
    failures: i32,
    unused: i16,
    burned: Vec<u8>,
}

impl Account {
    /// Whether the code is one of the set that was consumed earlier.
    pub fn has_burned(&self, hash: &CodeHash) -> bool {
        burned(&self.burned).any(|code| code.hash == hash)
    }
}

/// A failure that was counted.
pub struct Failure {
    /// The user is locked now.
    pub locked: Option<Event>,
    /// There were so many that the set is to be removed.
    pub last: bool,
}

/// The user's active set, from a plain read: no lock, no transaction id.
pub fn account(user_id: &UserId) -> Result<Option<Account>> {
    let rows = statements::ACCOUNT.execute(Snapshot::Fresh, [user(user_id)]);
    let Some(row) = rows.first() else { return Ok(None) };
    let Some((set, place)) = code_set(&row)?.zip(row.datum(12)) else { return Ok(None) };
    Ok(Some(Account {
        set,
        locked_until: row.get(11),
        place: Place(place),
        failures: row.get(13).unwrap_or_default(),
        unused: row.get(14).unwrap_or_default(),
        burned: row.bytes(15).unwrap_or_default(),
    }))
}

/// The ordinal and the row of an unburned code of the set, from a plain read.
pub fn find(user_id: &UserId, set_no: i32, hash: &CodeHash) -> Option<(i16, Place)> {
    let rows = statements::FIND.execute(Snapshot::Fresh, [user(user_id), set_no.into_datum(), bytes(hash)]);
    let row = rows.first()?;
    Some((row.get(1)?, Place(row.datum(2)?)))
}

/// Spends a code that was found: writes the account, deletes the code, inserts the event. None when the set has expired, or
/// the account has changed since it was read.
pub fn spend(
    user_id: &UserId,
    account: &Account,
    hash: &CodeHash,
    (ordinal, code): (i16, Place),
    at: Timestamp,
) -> Result<Option<Event>> {
    let set_no = account.set.set_no;
    let counted = statements::COUNT_SPENT.execute(
        Snapshot::Fresh,
        [
            user(user_id),
            Some(account.place.0),
            set_no.into_datum(),
            account.unused.into_datum(),
            timestamp(at),
            ordinal.into_datum(),
            bytes(hash),
        ],
    );
    if counted.count() == 0 {
        return Ok(None);
    }
    if statements::BURN.execute(Snapshot::Fresh, [user(user_id), Some(code.0), bytes(hash)]).count() != 1 {
        return Err(Error::Damaged("a code was gone that its account still had"));
    }
    let news = News { ordinal: Some(ordinal), ..News::of_active(Kind::Used, set_no, account.unused - 1) };
    news.insert(user_id, at).map(Some)
}

/// Counts a failed attempt and locks the user when it is his turn. None when the account has changed since it was read. A user
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
    let counted = statements::COUNT_FAILURE.execute(
        Snapshot::Fresh,
        [
            user(user_id),
            account.map(|account| account.place.0),
            set_no.into_datum(),
            unused.into_datum(),
            timestamp(at),
            failures.into_datum(),
            locks.then(|| settings::locked_until(at)).and_then(timestamp),
        ],
    );
    if counted.count() == 0 {
        return Ok(None);
    }
    let locked = locks.then(|| {
        let news = News::of_active(Kind::Locked, set_no, unused);
        News { reason: Some(Reason::Failures), ..news }.insert(user_id, at)
    });
    Ok(Some(Failure { locked: locked.transpose()?, last }))
}

/// Removes the active set after too many failures. To be called after [`count_failure`], under whose lock it is.
pub fn remove_active(user_id: &UserId, at: Timestamp) -> Result<Option<Event>> {
    act(&statements::REMOVE_ACTIVE, Kind::Disabled, user_id, at)
}
