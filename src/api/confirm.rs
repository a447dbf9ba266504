//! confirm and cancel: what becomes of a pending set.

use pgrx::pg_sys;
use zeroize::Zeroizing;

use crate::announce;
use crate::events::{Event, Reason};
use crate::key_file;
use crate::pg::call::{self, Call};
use crate::pg::clock;
use crate::pg::error::Result;
use crate::store::{self, CodeSet};
use crate::user_id::UserId;

/// What a caller brings to confirm a pending set.
enum Proof {
    /// A code as the user typed it.
    Code(Option<Zeroizing<String>>),
    /// Nothing.
    None,
}

/// What a proof is worth.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Right,
    Wrong,
    /// Cannot be a code of the set; not counted.
    Malformed,
}

/// `backup_codes_confirm(user_id, code) → boolean`: with proof. Raises 22004, 22021, 22023, 25006 and the errors of a key
/// file.
pub fn confirm(call: &Call) -> Result<pg_sys::Datum> {
    settle(call, Proof::Code(call.code(1)))
}

/// `backup_codes_confirm(user_id) → boolean`: without proof. Raises 22004, 22021, 22023, 25006.
pub fn confirm_unproved(call: &Call) -> Result<pg_sys::Datum> {
    settle(call, Proof::None)
}

/// `backup_codes_cancel(user_id) → boolean`. Raises 22004, 22021, 22023, 25006.
pub fn cancel(call: &Call) -> Result<pg_sys::Datum> {
    call::require_writable()?;
    let user_id = UserId::read(call)?;
    let event = store::connected(|| match store::take(&user_id)? {
        Some(_) => store::cancel(&user_id, Reason::Request, clock::now()),
        None => Ok(None),
    })?;
    announce::at_commit(&event);
    call::value(event.is_some())
}

/// Takes the account and settles what becomes of its pending set, unless that has expired.
fn settle(call: &Call, proof: Proof) -> Result<pg_sys::Datum> {
    call::require_writable()?;
    let user_id = UserId::read(call)?;
    let now = clock::now();
    let (confirmed, event) = store::connected(|| -> Result<(bool, Option<Event>)> {
        if store::take(&user_id)?.is_none() {
            return Ok((false, None));
        }
        let pending = store::pending(&user_id)?;
        let Some(pending) = pending.filter(|set| set.facts.expires_at.is_none_or(|at| at > clock::now())) else {
            return Ok((false, None));
        };
        match judge(&user_id, &pending, &proof)? {
            Verdict::Right => Ok((true, store::confirm(&user_id, now)?)),
            Verdict::Wrong if store::count_proof(&user_id)? => {
                Ok((false, store::cancel(&user_id, Reason::Failures, now)?))
            }
            Verdict::Wrong | Verdict::Malformed => Ok((false, None)),
        }
    })?;
    announce::at_commit(&event);
    call::value(confirmed && event.is_some())
}

fn judge(user_id: &UserId, pending: &CodeSet, proof: &Proof) -> Result<Verdict> {
    // With or without proof: no set becomes the active one that was not made for this user.
    let key = key_file::of_set(user_id, &pending.facts)?;
    let Proof::Code(code) = proof else { return Ok(Verdict::Right) };
    let Some(symbols) = code.as_ref().and_then(|code| pending.facts.format.parse(code)) else {
        return Ok(Verdict::Malformed);
    };
    let facts = &pending.facts;
    let hash = facts.scheme.hash(key.as_ref(), &facts.salt, &symbols)?;
    Ok(if store::find(user_id, pending.set_no, &hash)?.is_some() { Verdict::Right } else { Verdict::Wrong })
}
