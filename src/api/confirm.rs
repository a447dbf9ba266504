//! confirm and cancel: what becomes of a pending set.

use pgrx::pg_sys;
use zeroize::Zeroizing;

use crate::announce;
use crate::events::{Event, Reason};
use crate::key_file;
use crate::pg::call::{self, Call};
use crate::pg::clock;
use crate::pg::error::Result;
use crate::store;
use crate::throttle::{self, Charge, Consequence, Known, Odometer, Settlement, Verdict};
use crate::user_id::UserId;
use backup_codes_core::hash::CodeHash;

/// What a caller brings to confirm a pending set.
enum Proof {
    /// A code as the user typed it.
    Code(Option<Zeroizing<String>>),
    /// Nothing.
    None,
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

/// What became of a pending set, and what is still to be done.
#[derive(Default)]
struct Settled {
    confirmed: bool,
    /// To be announced.
    event: Option<Event>,
    /// To be told to the odometer of proofs, as the last act before the answer.
    settlement: Option<(Charge, Settlement)>,
}

/// Takes the account and settles what becomes of its pending set, unless that has expired.
fn settle(call: &Call, proof: Proof) -> Result<pg_sys::Datum> {
    call::require_writable()?;
    let user_id = UserId::read(call)?;
    let odometer = Odometer::of_proofs(&user_id);
    let Settled { confirmed, event, settlement } = store::connected(|| -> Result<Settled> {
        if store::take(&user_id)?.is_none() {
            return Ok(Settled::default());
        }
        let now = clock::now();
        let pending = store::pending(&user_id)?;
        let Some((pending, known)) = pending.filter(|(set, _)| set.facts.expires_at.is_none_or(|at| at > now)) else {
            return Ok(Settled::default());
        };
        // With or without proof: no set becomes the active one that was not made for this user.
        let key = key_file::of_set(&user_id, &pending.facts)?;
        match &proof {
            Proof::Code(code) => {
                let Some(symbols) = code.as_ref().and_then(|code| pending.facts.format.parse(code)) else {
                    return Ok(Settled::default());
                };
                let hash = pending.facts.scheme.hash(key.as_ref(), &pending.facts.salt, &symbols)?;
                judge(&user_id, &odometer, &known, (pending.set_no, &hash))
            }
            Proof::None => {
                let event = store::confirm(&user_id, now)?;
                Ok(Settled { confirmed: event.is_some(), event, settlement: None })
            }
        }
    })?;
    announce::at_commit(&event);
    if let Some((charge, settlement)) = settlement {
        odometer.settle(&charge, settlement);
    }
    call::value(confirmed)
}

/// Tries a proof: it is charged first, as a guess at a code is.
fn judge(user_id: &UserId, odometer: &Odometer, known: &Known, (set_no, hash): (i32, &CodeHash)) -> Result<Settled> {
    let limits = throttle::limits();
    let now = clock::now();
    let charge = match odometer.charge(known, &limits, now)? {
        Verdict::Charged(charge) => charge,
        Verdict::Locked { .. } => return Ok(Settled::default()),
        Verdict::Exhausted => {
            let event = store::cancel(user_id, Reason::Failures, now)?;
            return Ok(Settled { event, ..Settled::default() });
        }
    };
    if store::is_there(user_id, set_no, hash) {
        let event = store::confirm(user_id, now)?;
        return Ok(Settled { confirmed: event.is_some(), event, settlement: Some((charge, Settlement::Right)) });
    }
    let wrong = charge.wrong(&limits, now.0);
    store::count_proof(user_id, &wrong);
    let last = wrong.failures >= limits.max_failures;
    let event = if last { store::cancel(user_id, Reason::Failures, now)? } else { None };
    Ok(Settled { confirmed: false, event, settlement: Some((charge, Settlement::Wrong(Consequence::None))) })
}
