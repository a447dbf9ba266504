//! unlock: a lock ends before its time, for a support desk.

use pgrx::pg_sys;

use crate::announce;
use crate::pg::call::{self, Call};
use crate::pg::clock;
use crate::pg::error::Result;
use crate::store;
use crate::user_id::UserId;

/// `backup_codes_unlock(user_id) → boolean`: whether the user was locked. Raises 22004, 22021, 22023, 25006.
pub fn unlock(call: &Call) -> Result<pg_sys::Datum> {
    call::require_writable()?;
    let user_id = UserId::read(call)?;
    let (locked, event) = store::connected(|| match store::take(&user_id)? {
        Some(_) => store::unlock(&user_id, clock::now()),
        None => Ok((false, None)),
    })?;
    announce::at_commit(&event);
    call::value(locked)
}
