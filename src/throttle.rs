//! The throttle that a rollback cannot take back: odometers in shared memory (see [`backup_codes_core::throttle`]), where the
//! server has such memory for us, and else nothing but the user's row.
//!
//! | file | what |
//! |---|---|
//! | `memory` | the shared memory and its lock |
//! | `transaction` | what is freed when a transaction commits |
//!
//! The order of locks is the row first, then the memory. Whoever holds the memory runs no SQL, allocates nothing and cannot fail.

use backup_codes_core::code::random_bytes;
use backup_codes_core::throttle::{self as core, Kind, Reading, Standing, Tag};
pub use backup_codes_core::throttle::{Charge, Consequence, Known, Limits, Settlement, Verdict};

use crate::pg::clock::Timestamp;
use crate::pg::error::{Result, log};
use crate::settings;
use crate::user_id::UserId;
use memory::Memory;

mod memory;
mod transaction;

pub use memory::{Availability, availability};

/// Called when the library is loaded.
pub fn register() {
    memory::register();
    transaction::register();
}

/// Whether anybody's guesses are charged: while nobody's are, nobody's need to be looked for.
pub fn in_use() -> bool {
    Memory::attached().is_some_and(Memory::in_use)
}

/// The limits in force.
pub fn limits() -> Limits {
    Limits {
        max_failures: settings::max_failures(),
        disable_after: settings::disable_after(),
        lockout: i64::from(settings::lockout()) * 1_000_000,
    }
}

/// A user's odometer, whether they have an entry or not, and whether there is memory or not.
pub struct Odometer {
    place: Option<(Memory, Tag)>,
    kind: Kind,
}

impl Odometer {
    /// The one of attempts.
    pub fn of_attempts(user_id: &UserId) -> Self {
        Self::of(Kind::Active, user_id)
    }

    /// The one of proofs of the pending set.
    pub fn of_proofs(user_id: &UserId) -> Self {
        Self::of(Kind::Pending, user_id)
    }

    fn of(kind: Kind, user_id: &UserId) -> Self {
        Self { place: Memory::attached().map(|memory| (memory, memory.tag(kind, user_id))), kind }
    }

    /// Where it stands; None when nothing is charged. A plain read, which decides nothing.
    pub fn reading(&self) -> Option<Reading> {
        let (memory, tag) = self.place.filter(|(memory, _)| memory.in_use())?;
        memory.read(|view| view.reading(tag)).flatten()
    }

    /// The end of the lock that is in force for a row that was read after `before`: one that the row knows, or one that it does
    /// not. For that two looks are needed: a lock that was judged before the row was read, and stands unchanged after it, is
    /// neither being judged nor taken over.
    pub fn lock(&self, known: &Known, before: Option<Reading>, now: Timestamp) -> Option<Timestamp> {
        let in_memory = || {
            let before = before.filter(|before| before.lock_unknown_to(None, now.0).is_some())?;
            let after = self.reading().filter(|after| after.has_lock_of(&before))?;
            after.lock_unknown_to(known.mark, now.0)
        };
        Standing::of(known, None, now.0).locked(now.0).or_else(in_memory).map(Timestamp)
    }

    /// What row and odometer know together. To be called while the row is held.
    pub fn standing(&self, known: &Known, now: Timestamp) -> Standing {
        Standing::of(known, self.reading().as_ref(), now.0)
    }

    /// Where a user goes on whose row moves to another key: what row and odometer know together, as a row that knows of all charges
    /// of the new key's odometer. To be called while the rows of both are held.
    pub fn moved(&self, known: &Known, to: &Self, now: Timestamp) -> Known {
        let Standing { failures, failures_at_lock, locked_until, .. } = self.standing(known, now);
        // The row of this key goes, so that nobody needs its odometer once that is committed.
        self.mark();
        Known { failures, failures_at_lock, locked_until, mark: to.mark() }
    }

    /// Charges a guess, unless it may not be evaluated. To be called while the row is held, before anything about the guess is
    /// looked up. Raises 58000 when the operating system gives no random bytes.
    pub fn charge(&self, known: &Known, limits: &Limits, now: Timestamp) -> Result<Verdict> {
        let base = core::base(u64::from_ne_bytes(random_bytes()?));
        let verdict = self.place.and_then(|(memory, tag)| {
            memory.change(|table| match self.kind {
                Kind::Active => table.attempt(tag, base, known, limits, now.0),
                Kind::Pending => table.proof(tag, base, known, limits, now.0),
            })
        });
        let verdict = verdict.unwrap_or_else(|| match self.kind {
            Kind::Active => core::unmetered_attempt(known, limits, now.0),
            Kind::Pending => core::unmetered_proof(known, limits, now.0),
        });
        if let Verdict::Locked { late: true, .. } = verdict {
            self.log_lock();
        }
        Ok(verdict)
    }

    /// Tells how a charged guess ended: the last act before the answer, after everything that can fail.
    pub fn settle(&self, charge: &Charge, settlement: Settlement) {
        if let Some((memory, _)) = self.place
            && let Some(Some(note)) = memory.change(|table| table.settle(charge, settlement))
        {
            transaction::note(note);
        }
        if let Settlement::Wrong(Consequence::Lock(_)) = settlement {
            self.log_lock();
        }
    }

    /// The reading that a row which is held and was just reset writes as its mark, if there is one. The charges up to there count
    /// no more when that row is committed, and do when it is not: nothing is written to the memory.
    pub fn mark(&self) -> Option<i64> {
        let (memory, tag) = self.place.filter(|(memory, _)| memory.in_use())?;
        let note = memory.read(|view| view.note(tag)).flatten()?;
        transaction::note(note);
        note.mark()
    }

    /// The event of a lock is rolled back with the guess that led to it; a line in the server's log is not.
    fn log_lock(&self) {
        let entry = self.place.map_or_else(|| "of no shared memory".to_owned(), |(_, tag)| tag.to_string());
        log(&format!("a user of backup codes is locked after too many failures (throttle entry {entry})"));
    }
}
