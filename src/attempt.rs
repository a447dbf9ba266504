//! consume and attempt: one act, told as a boolean or with its reason.

use pgrx::{IntoDatum, pg_sys};
use zeroize::Zeroizing;

use crate::call::{self, Call};
use crate::clock;
use crate::commit;
use crate::error::Result;
use crate::events::{Event, Stamp};
use crate::hash::{CodeHash, SALT_LEN, Scheme};
use crate::settings;
use crate::store::{self, Account};
use crate::user_id::UserId;

/// What became of an attempt.
pub enum Outcome {
    /// The code was live and is burned now.
    Accepted(Event),
    /// Wrong code, or a user without a set.
    Rejected,
    /// Cannot be a code of this user: wrong length, alphabet or check symbol.
    Malformed,
    /// A code of the present set that was consumed earlier.
    Used,
    /// A right code of an expired set.
    Expired,
}

impl Outcome {
    fn status(&self) -> &'static str {
        match self {
            Self::Accepted(_) => "accepted",
            Self::Rejected => "rejected",
            Self::Malformed => "malformed",
            Self::Used => "used",
            Self::Expired => "expired",
        }
    }

    /// Whether the user may pass.
    pub fn accepted(&self) -> bool {
        matches!(self, Self::Accepted(_))
    }
}

/// `backup_codes_consume(user_id, code) → boolean`: never NULL, and no argument raises.
pub fn consume(call: &Call) -> Result<pg_sys::Datum> {
    call::value(verify(call)?.accepted())
}

/// `backup_codes_attempt(user_id, code)`: always one row, and no argument raises.
pub fn attempt(call: &Call) -> Result<pg_sys::Datum> {
    let outcome = verify(call)?;
    let (remaining, low) = match &outcome {
        Outcome::Accepted(event) => (Some(i32::from(event.remaining)), Some(event.low)),
        _ => (None, None),
    };
    let rows = call.rows();
    rows.push([outcome.status().into_datum(), remaining.into_datum(), low.into_datum(), None]);
    rows.done()
}

fn verify(call: &Call) -> Result<Outcome> {
    call::require_writable()?;
    match UserId::read(call) {
        Ok(user_id) => try_code(&user_id, call.code(1)),
        Err(_) => Ok(Outcome::Rejected),
    }
}

/// Tries a code, and burns it when it is right.
pub fn try_code(user_id: &UserId, input: Option<Zeroizing<String>>) -> Result<Outcome> {
    let outcome = store::connected(|| decide(user_id, input))?;
    if let Outcome::Accepted(event) = &outcome {
        commit::acknowledge([event]);
    }
    Ok(outcome)
}

/// An unknown user goes through the same statements and the same hash as a known one with a wrong code.
fn decide(user_id: &UserId, input: Option<Zeroizing<String>>) -> Result<Outcome> {
    let Some(input) = input else { return Ok(Outcome::Malformed) };
    let mut account = store::account(user_id)?;
    loop {
        let set = account.as_ref().map(|account| &account.set);
        let format = set.map_or_else(settings::format, |set| set.format);
        let Some(symbols) = format.parse(&input) else { return Ok(Outcome::Malformed) };
        let scheme = set.map_or(Scheme::Sha256, |set| set.scheme);
        let salt = set.map_or([0; SALT_LEN], |set| set.salt);
        let set_no = set.map_or(0, |set| set.set_no);
        let hash = scheme.hash(user_id.utf8.as_bytes(), &salt, &symbols);
        if let Some(event) = store::spend(user_id, set_no, &hash, &Stamp::now()?) {
            return Ok(Outcome::Accepted(event));
        }
        // The reason is read anew: whoever was first with the same code has committed by now.
        let now = store::account(user_id)?;
        let current = now.as_ref().map_or(0, |account| account.set.set_no);
        if current == set_no {
            return Ok(now.map_or(Outcome::Rejected, |account| reason(user_id, &account, &hash)));
        }
        account = now;
    }
}

/// Why a well-formed code was not accepted.
fn reason(user_id: &UserId, account: &Account, hash: &CodeHash) -> Outcome {
    let expired = account.set.expires_at.is_some_and(|at| at <= clock::now());
    if account.burned.iter().any(|code| code.hash == *hash) {
        Outcome::Used
    } else if expired && store::has_code(user_id, account.set.set_no, hash) {
        Outcome::Expired
    } else {
        Outcome::Rejected
    }
}
