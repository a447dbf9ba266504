//! disable: everything the user has goes.

use pgrx::pg_sys;

use crate::announce;
use crate::api::attempt;
use crate::pg::call::{self, Call};
use crate::pg::clock;
use crate::pg::error::Result;
use crate::store;
use crate::user_id::UserId;

/// `backup_codes_disable(user_id) → integer`. Raises 22004, 22021, 22023, 25006.
pub fn disable(call: &Call) -> Result<pg_sys::Datum> {
    call::require_writable()?;
    call::value(remove(&UserId::read(call)?)?)
}

/// `backup_codes_disable(user_id, code) → boolean`. Raises 22004, 22021, 22023, 25006.
pub fn disable_gated(call: &Call) -> Result<pg_sys::Datum> {
    call::require_writable()?;
    attempt::require_autocommit()?;
    let user_id = UserId::read(call)?;
    let accepted = attempt::try_code(&user_id, call.code(1))?.accepted();
    if accepted {
        remove(&user_id)?;
    }
    call::value(accepted)
}

/// How many unused codes of the active set went.
fn remove(user_id: &UserId) -> Result<i32> {
    let (unused, event) = store::connected(|| match store::take(user_id)? {
        Some(unused) => store::disable(user_id, clock::now()).map(|event| (unused, event)),
        None => Ok((0, None)),
    })?;
    announce::at_commit(&event);
    Ok(unused.into())
}
