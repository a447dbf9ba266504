//! consume and attempt: one act, told as a boolean or with its reason.
//!
//! Attempts on one user queue on their account row. A guess is charged once that row is held, and only then evaluated: an error
//! that comes in between tells nothing that was not paid for. However many guess at once, and whatever is rolled back, no more
//! than `max_failures` of them learn anything before the user is locked (NIST SP 800-63B-4 §3.2.2).

use pgrx::{IntoDatum, PgLogLevel, PgSqlErrorCode, pg_sys};
use zeroize::Zeroizing;

use crate::announce;
use crate::events::Event;
use crate::key_file;
use crate::pg::call::{self, Call};
use crate::pg::clock::{self, Timestamp};
use crate::pg::error::{Error, Result};
use crate::settings::{self, InTransaction};
use crate::store::{self, Account, CodeSet, Facts};
use crate::throttle::{self, Charge, Consequence, Limits, Odometer, Settlement, Verdict};
use crate::user_id::UserId;
use backup_codes_core::code::plausible;
use backup_codes_core::hash::{CodeHash, SALT_LEN, Salt};
use backup_codes_core::keyring::Key;
use backup_codes_core::seal::Seal;

/// Rounds that an attempt makes while others change the account: more than a set can bring about, of 100 codes and
/// 100 failures.
const MAX_ROUNDS: usize = 256;

/// How long the code that was accepted last may be sent again without harm, in microseconds: a double click, a request that was
/// retried.
const REPEATED_WITHIN: i64 = 600_000_000;

/// What became of an attempt.
pub enum Outcome {
    /// The code was live and is burned now.
    Accepted {
        /// Unused codes that are left.
        remaining: i16,
        /// Whether those are few.
        low: bool,
    },
    /// Cannot be a code of this user: wrong length, alphabet or check symbol.
    Malformed,
    /// The user is locked; nothing was tried.
    Locked {
        /// Seconds until the end of the lock, rounded up.
        retry_after: i32,
    },
    /// The code was refused.
    Refused {
        /// Why.
        reason: Refusal,
        /// The failure locked the user: seconds until the end of the lock, rounded up.
        retry_after: Option<i32>,
        /// How many more failures lead to the next lock, where this one was counted.
        tries_left: Option<i32>,
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
            Self::Accepted { .. } => "accepted",
            Self::Malformed => "malformed",
            Self::Locked { .. } => "locked",
            Self::Refused { reason: Refusal::Rejected, .. } => "rejected",
            Self::Refused { reason: Refusal::Used, .. } => "used",
            Self::Refused { reason: Refusal::Expired, .. } => "expired",
        }
    }

    /// Seconds until the end of the user's lock.
    fn retry_after(&self) -> Option<i32> {
        match self {
            Self::Locked { retry_after } => Some(*retry_after),
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    fn tries_left(&self) -> Option<i32> {
        match self {
            Self::Refused { tries_left, .. } => *tries_left,
            _ => None,
        }
    }

    /// Whether the user may pass.
    pub fn accepted(&self) -> bool {
        matches!(self, Self::Accepted { .. })
    }

    /// A refusal that was not counted.
    fn uncounted(reason: Refusal) -> Self {
        Self::Refused { reason, retry_after: None, tries_left: None }
    }

    fn locked(until: Timestamp, now: Timestamp) -> Self {
        Self::Locked { retry_after: seconds(until, now) }
    }
}

/// Seconds from one point in time to another, rounded up.
fn seconds(until: Timestamp, now: Timestamp) -> i32 {
    let micros = u64::try_from(until.since(now)).unwrap_or_default();
    i32::try_from(micros.div_ceil(1_000_000)).unwrap_or(i32::MAX)
}

/// `backup_codes_consume(user_id, code) → boolean`: never NULL, and no argument raises.
pub fn consume(call: &Call) -> Result<pg_sys::Datum> {
    call::value(verify(call)?.accepted())
}

/// `backup_codes_attempt(user_id, code)`: always one row, and no argument raises.
pub fn attempt(call: &Call) -> Result<pg_sys::Datum> {
    let outcome = verify(call)?;
    let (remaining, low) = match &outcome {
        Outcome::Accepted { remaining, low } => (Some(i32::from(*remaining)), Some(*low)),
        _ => (None, None),
    };
    let rows = call.rows();
    rows.push([
        outcome.status().into_datum(),
        remaining.into_datum(),
        low.into_datum(),
        outcome.retry_after().into_datum(),
        outcome.tries_left().into_datum(),
    ]);
    rows.done()
}

fn verify(call: &Call) -> Result<Outcome> {
    call::require_writable()?;
    require_autocommit()?;
    match UserId::read(call) {
        Ok(user_id) => try_code(&user_id, call.code(1)),
        Err(_) => Ok(Outcome::uncounted(Refusal::Rejected)),
    }
}

/// Refuses or warns, as the setting has it, where the caller could take the attempt back: in a transaction block, an implicit one
/// of several statements included, or in a block with an exception handler.
pub fn require_autocommit() -> Result<()> {
    // SAFETY: reads the state of the transaction.
    let block = unsafe { pg_sys::IsInTransactionBlock(true) };
    match settings::in_transaction() {
        InTransaction::Refuse if block => Err(Error::InTransaction),
        InTransaction::Warn if block => {
            pgrx::ereport!(
                PgLogLevel::WARNING,
                PgSqlErrorCode::ERRCODE_ACTIVE_SQL_TRANSACTION,
                "a backup code is tried in a transaction that could be rolled back"
            );
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Tries a code, and burns it when it is right.
pub fn try_code(user_id: &UserId, input: Option<Zeroizing<String>>) -> Result<Outcome> {
    // No set has such a code, whoever the user is: nothing needs to be read.
    let Some(input) = input.filter(|input| plausible(input)) else { return Ok(Outcome::Malformed) };
    let odometer = Odometer::of_attempts(user_id);
    let attempt = Attempt { user_id, input: &input, odometer: &odometer, limits: throttle::limits() };
    let Decision { outcome, events, settlement } = store::connected(|| attempt.decide())?;
    if !events.is_empty() {
        announce::at_commit(&events);
    }
    if let Some((charge, settlement)) = settlement {
        odometer.settle(&charge, settlement);
    }
    Ok(outcome)
}

/// A guess, and what it is decided by.
struct Attempt<'a> {
    user_id: &'a UserId,
    input: &'a str,
    odometer: &'a Odometer,
    limits: Limits,
}

/// What was decided, and what is still to be done.
struct Decision {
    outcome: Outcome,
    /// To be announced.
    events: Vec<Event>,
    /// To be told to the odometer, as the last act before the answer.
    settlement: Option<(Charge, Settlement)>,
}

impl From<Outcome> for Decision {
    fn from(outcome: Outcome) -> Self {
        Self { outcome, events: Vec::new(), settlement: None }
    }
}

/// Gives the key of a set.
type KeyOf = fn(&UserId, &Facts) -> Result<Option<Key>>;

/// The hash of the guess under the salt of a set. It is kept over the rounds: a slow one is paid for once.
type Hashed = Option<(Salt, CodeHash)>;

impl Attempt<'_> {
    /// Every other round means that somebody else changed the account meanwhile.
    fn decide(&self) -> Result<Decision> {
        let mut hashed = None;
        for _ in 0..MAX_ROUNDS {
            pgrx::check_for_interrupts!();
            if let Some(decision) = self.round(&mut hashed)? {
                return Ok(decision);
            }
        }
        Err(Error::Contended)
    }

    /// None when the account has changed since it was read.
    fn round(&self, hashed: &mut Hashed) -> Result<Option<Decision>> {
        let user_id = self.user_id;
        let charged_before = self.odometer.reading();
        let Some(account) = store::account(user_id)? else { return self.nobody(hashed).map(Some) };
        let now = clock::now();
        if let Some(until) = self.odometer.lock(&account.known, charged_before, now) {
            return Ok(Some(Outcome::locked(until, now).into()));
        }
        let Some(hash) = self.hash(&account.set.facts, key_file::of_set, hashed)? else {
            return Ok(Some(Outcome::Malformed.into()));
        };
        if self.is_repeated(&account, &hash, now) {
            return Ok(Some(Outcome::uncounted(Refusal::Used).into()));
        }
        if !store::hold(user_id, Some(&account))? {
            return Ok(None);
        }
        // The wait may have taken its time.
        let now = clock::now();
        match self.odometer.charge(&account.known, &self.limits, now)? {
            Verdict::Locked { until, .. } => Ok(Some(Outcome::locked(Timestamp(until), now).into())),
            Verdict::Exhausted => {
                let events = store::remove_active(user_id, now)?.into_iter().collect();
                Ok(Some(Decision { events, ..Outcome::uncounted(Refusal::Rejected).into() }))
            }
            Verdict::Charged(charge) => self.evaluate(&account, &hash, charge, now).map(Some),
        }
    }

    /// The guess was charged and the account is held. An error from here on leaves the charge.
    fn evaluate(&self, account: &Account, hash: &CodeHash, charge: Charge, now: Timestamp) -> Result<Decision> {
        let (user_id, set) = (self.user_id, &account.set);
        let expired = set.facts.expires_at.is_some_and(|at| at <= now);
        let reason = if account.burned.contains(hash) {
            Refusal::Used
        } else if expired {
            if store::is_there(user_id, set.set_no, hash) { Refusal::Expired } else { Refusal::Rejected }
        } else if let Some(ordinal) = store::burn(user_id, set.set_no, hash)? {
            let mut events = self.take_over(account, &charge, now)?;
            let mark = charge.mark_when_right();
            let event = store::count_consumed(user_id, account, (ordinal, hash), mark, now)?;
            let outcome = Outcome::Accepted { remaining: event.remaining, low: event.low };
            events.push(event);
            return Ok(Decision { outcome, events, settlement: Some((charge, Settlement::Right)) });
        } else {
            Refusal::Rejected
        };
        let wrong = charge.wrong(&self.limits, now.0);
        let mut events = self.take_over(account, &charge, now)?;
        store::count_failure(user_id, account, &wrong)?;
        let mut retry_after = None;
        match wrong.consequence {
            Consequence::None => {}
            Consequence::Lock(until) => {
                retry_after = Some(seconds(Timestamp(until), now));
                events.push(store::tell_locked(user_id, account, now)?);
            }
            Consequence::Removal => events.extend(store::remove_active(user_id, now)?),
        }
        let outcome = Outcome::Refused { reason, retry_after, tries_left: Some(wrong.tries_left) };
        Ok(Decision { outcome, events, settlement: Some((charge, Settlement::Wrong(wrong.consequence))) })
    }

    /// A lock whose event was rolled back with the guess that led to it becomes one that lasts.
    fn take_over(&self, account: &Account, charge: &Charge, now: Timestamp) -> Result<Vec<Event>> {
        if !charge.standing.unrecorded_lock {
            return Ok(Vec::new());
        }
        Ok(vec![store::tell_locked(self.user_id, account, now)?])
    }

    /// Whether it is the code that was accepted last, sent again: that says nothing but about a dead code.
    fn is_repeated(&self, account: &Account, hash: &CodeHash, now: Timestamp) -> bool {
        account.burned.last().as_ref() == Some(hash)
            && account.last_used_at.is_some_and(|at| (0..REPEATED_WITHIN).contains(&now.since(at)))
    }

    /// A user without a set: the same hash and the same statements as for a wrong code.
    fn nobody(&self, hashed: &mut Hashed) -> Result<Decision> {
        let set = nobodys_set();
        let Some(hash) = self.hash(&set.facts, key_file::of_nobody, hashed)? else {
            return Ok(Outcome::Malformed.into());
        };
        store::hold(self.user_id, None)?;
        store::burn(self.user_id, set.set_no, &hash)?;
        store::count_nobodys_failure(self.user_id);
        Ok(Outcome::uncounted(Refusal::Rejected).into())
    }

    /// The hash of the guess as a code of this set; None when it cannot be one.
    fn hash(&self, facts: &Facts, key_of: KeyOf, hashed: &mut Hashed) -> Result<Option<CodeHash>> {
        let Some(symbols) = facts.format.parse(self.input) else { return Ok(None) };
        let key = key_of(self.user_id, facts)?;
        if let Some((salt, hash)) = hashed
            && *salt == facts.salt
        {
            return Ok(Some(*hash));
        }
        let hash = facts.scheme.hash(key.as_ref(), &facts.salt, &symbols)?;
        *hashed = Some((facts.salt, hash));
        Ok(Some(hash))
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
        key_id: None,
        seal: Some(Seal::default()),
        total: 0,
        generated_at: Timestamp(0),
        expires_at: None,
    };
    CodeSet { set_no: NOBODYS_SET, facts }
}
