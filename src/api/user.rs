//! forget_user, rename_user, user_id: codes follow the user, by a trigger or by hand.

mod key;
mod trigger;
mod truncate;

use pgrx::pg_sys;

use crate::announce;
use crate::pg::call::{self, Call};
use crate::pg::clock;
use crate::pg::error::Result;
use crate::store;
use crate::user_id::UserId;
pub use key::{user_id, user_id_of_texts};
pub use trigger::forget_user as forget_user_trigger;

/// `backup_codes_forget_user(user_id) → boolean`. Raises 22004, 22021, 22023, 25006.
pub fn forget_user(call: &Call) -> Result<pg_sys::Datum> {
    call::require_writable()?;
    let user_id = UserId::read(call)?;
    let anything = store::connected(|| store::forget(&user_id))?;
    announce::force_durable();
    call::value(anything)
}

/// `backup_codes_rename_user(old_id, new_id) → boolean`. Raises 22004, 22021, 22023, 23505, 25006.
pub fn rename_user(call: &Call) -> Result<pg_sys::Datum> {
    call::require_writable()?;
    let (old_id, new_id) = (UserId::read(call)?, UserId::read_at(call, 1)?);
    call::value(rename(&old_id, &new_id)?)
}

/// Whether there was anything.
fn rename(old_id: &UserId, new_id: &UserId) -> Result<bool> {
    if old_id.stored == new_id.stored {
        return Ok(false);
    }
    let event = store::connected(|| store::rename(old_id, new_id, clock::now()))?;
    announce::at_commit(&event);
    Ok(event.is_some())
}
