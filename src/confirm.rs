//! confirm and cancel: what becomes of a pending set.

use pgrx::pg_sys;

use crate::call::{self, Call};
use crate::clock;
use crate::commit;
use crate::error::Result;
use crate::events::{Event, Stamp};
use crate::store::{self, CodeSet};
use crate::user_id::UserId;

/// `backup_codes_confirm(user_id, code) → boolean`: with proof. Raises 22004, 22021, 22023, 25006.
pub fn confirm(call: &Call) -> Result<pg_sys::Datum> {
    let code = call.code(1);
    settle(call, store::confirm, |user_id, pending| {
        let Some(symbols) = code.as_ref().and_then(|code| pending.format.parse(code)) else { return false };
        let hash = pending.scheme.hash(user_id.utf8.as_bytes(), &pending.salt, &symbols);
        store::has_code(user_id, pending.set_no, &hash)
    })
}

/// `backup_codes_confirm(user_id) → boolean`: without proof. Raises 22004, 22021, 22023, 25006.
pub fn confirm_unproved(call: &Call) -> Result<pg_sys::Datum> {
    settle(call, store::confirm, |_, _| true)
}

/// `backup_codes_cancel(user_id) → boolean`. Raises 22004, 22021, 22023, 25006.
pub fn cancel(call: &Call) -> Result<pg_sys::Datum> {
    call::require_writable()?;
    let user_id = UserId::read(call)?;
    let stamp = Stamp::now()?;
    let event = store::connected(|| store::take(&user_id).and_then(|_| store::cancel(&user_id, &stamp)));
    commit::acknowledge(&event);
    call::value(event.is_some())
}

/// Takes the account, and acts on its pending set unless that has expired or the proof fails.
fn settle(
    call: &Call,
    act: fn(&UserId, &Stamp) -> Option<Event>,
    proof: impl Fn(&UserId, &CodeSet) -> bool,
) -> Result<pg_sys::Datum> {
    call::require_writable()?;
    let user_id = UserId::read(call)?;
    let stamp = Stamp::now()?;
    let event = store::connected(|| -> Result<Option<Event>> {
        if store::take(&user_id).is_none() {
            return Ok(None);
        }
        let valid = store::pending(&user_id)?
            .filter(|pending| pending.expires_at.is_none_or(|at| at > clock::now()))
            .filter(|pending| proof(&user_id, pending));
        Ok(valid.and_then(|_| act(&user_id, &stamp)))
    })?;
    commit::acknowledge(&event);
    call::value(event.is_some())
}
