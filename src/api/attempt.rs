//! consume and attempt: one act, told as a boolean or with its reason.
//!
//! Attempts on one user queue on his account row: a guess is answered only under its lock, and counted there. However many
//! guess at once, no more than `max_failures` of them learn anything before the user is locked (NIST SP 800-63B-4 §3.2.2).

use pgrx::{IntoDatum, pg_sys};
use zeroize::Zeroizing;

use crate::announce;
use crate::events::Event;
use crate::key_file;
use crate::pg::call::{self, Call, Interval};
use crate::pg::clock::{self, Timestamp};
use crate::pg::error::Result;
use crate::settings;
use crate::store::{self, CodeSet, Facts, Failure};
use crate::user_id::UserId;
use backup_codes_core::code::plausible;
use backup_codes_core::hash::SALT_LEN;

/// What became of an attempt.
pub enum Outcome {
    /// The code was live and is burned now.
    Accepted(Event),
    /// Cannot be a code of this user: wrong length, alphabet or check symbol.
    Malformed,
    /// The user is locked until then; nothing was tried.
    Locked(Timestamp),
    /// The code was refused, and counted where the user has a set.
    Refused {
        /// Why.
        reason: Refusal,
        /// The failure locked the user until then.
        locked_until: Option<Timestamp>,
        /// What the failure led to.
        events: Vec<Event>,
    },
}

/// Why a well-formed code was refused.
#[derive(Clone, Copy)]
pub enum Refusal {
    /// Wrong code, or a user without a set.
    Rejected,
    /// A code of the present set that was consumed earlier.
    Used,
    /// A right code of an expired set.
    Expired,
}

impl Outcome {
    fn status(&self) -> &'static str {
        match self {
            Self::Accepted(_) => "accepted",
            Self::Malformed => "malformed",
            Self::Locked(_) => "locked",
            Self::Refused { reason: Refusal::Rejected, .. } => "rejected",
            Self::Refused { reason: Refusal::Used, .. } => "used",
            Self::Refused { reason: Refusal::Expired, .. } => "expired",
        }
    }

    /// How long the user stays locked.
    fn retry_after(&self) -> Option<Interval> {
        let until = match self {
            Self::Locked(until) => Some(*until),
            Self::Refused { locked_until, .. } => *locked_until,
            _ => None,
        };
        until.map(|until| Interval { months: 0, days: 0, micros: until.since(clock::now()).max(0) })
    }

    /// Whether the user may pass.
    pub fn accepted(&self) -> bool {
        matches!(self, Self::Accepted(_))
    }

    fn rejected() -> Self {
        Self::Refused { reason: Refusal::Rejected, locked_until: None, events: Vec::new() }
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
    let retry_after = outcome.retry_after().map(Interval::datum);
    let rows = call.rows();
    rows.push([outcome.status().into_datum(), remaining.into_datum(), low.into_datum(), retry_after]);
    rows.done()
}

fn verify(call: &Call) -> Result<Outcome> {
    call::require_writable()?;
    match UserId::read(call) {
        Ok(user_id) => try_code(&user_id, call.code(1)),
        Err(_) => Ok(Outcome::rejected()),
    }
}

/// Tries a code, and burns it when it is right.
pub fn try_code(user_id: &UserId, input: Option<Zeroizing<String>>) -> Result<Outcome> {
    // No set has such a code, whoever the user is: nothing needs to be read.
    let Some(input) = input.filter(|input| plausible(input)) else { return Ok(Outcome::Malformed) };
    let outcome = store::connected(|| decide(user_id, &input))?;
    match &outcome {
        Outcome::Accepted(event) => announce::at_commit([event]),
        Outcome::Refused { events, .. } if !events.is_empty() => announce::at_commit(events),
        _ => {}
    }
    Ok(outcome)
}

/// An unknown user goes through the same statements and the same hash as a known one with a wrong code.
fn decide(user_id: &UserId, input: &str) -> Result<Outcome> {
    loop {
        // Every other round means that somebody else changed the account meanwhile.
        pgrx::check_for_interrupts!();
        let account = store::account(user_id)?;
        let now = clock::now();
        if let Some(until) =
            account.as_ref().and_then(|account| account.locked_until).filter(|until| until.is_ahead(now))
        {
            return Ok(Outcome::Locked(until));
        }
        let CodeSet { set_no, facts } = account.as_ref().map_or_else(nobodys_set, |account| account.set.clone());
        let Some(symbols) = facts.format.parse(input) else { return Ok(Outcome::Malformed) };
        let key = if account.is_some() { key_file::of_set(facts.key)? } else { key_file::current()? };
        let hash = facts.scheme.hash(key.as_ref(), user_id.utf8.as_bytes(), &facts.salt, &symbols)?;
        let code = store::find(user_id, set_no, &hash)?;
        let found = code.is_some();
        // The hash may have taken its time.
        let now = clock::now();
        if let Some((account, code)) = account.as_ref().zip(code)
            && let Some(event) = store::consume(user_id, account, &hash, code, now)?
        {
            return Ok(Outcome::Accepted(event));
        }
        if let Some(failure) = store::count_failure(user_id, set_no, account.as_ref(), now)? {
            let reason = match &account {
                Some(account) if account.burned.contains(&hash) => Refusal::Used,
                // A code that was found and not consumed has expired: nothing else has changed.
                Some(_) if found => Refusal::Expired,
                _ => Refusal::Rejected,
            };
            return refuse(user_id, reason, failure, now);
        }
        if account.is_none() && store::account(user_id)?.is_none() {
            return Ok(Outcome::rejected());
        }
        // Changed since it was read: read it again.
    }
}

/// No set has this number.
const NOBODYS_SET: i32 = 0;

/// What stands in for the set of an unknown user: it costs what a new set would.
fn nobodys_set() -> CodeSet {
    let format = settings::format();
    let facts = Facts {
        format,
        scheme: settings::scheme(format),
        salt: [0; SALT_LEN],
        key: None,
        total: 0,
        generated_at: Timestamp(0),
        expires_at: None,
    };
    CodeSet { set_no: NOBODYS_SET, facts }
}

/// A failure was counted under the lock of the account: what it leads to.
fn refuse(user_id: &UserId, reason: Refusal, failure: Failure, at: Timestamp) -> Result<Outcome> {
    let locked_until = failure.locked.is_some().then(|| settings::locked_until(at));
    let removed = if failure.last { store::remove_active(user_id, clock::now())? } else { None };
    Ok(Outcome::Refused { reason, locked_until, events: failure.locked.into_iter().chain(removed).collect() })
}
