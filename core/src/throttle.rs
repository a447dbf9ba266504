//! What a rollback cannot take back: an odometer of guesses for each user, in a piece of memory that all sessions share.
//!
//! A guess is charged before it is evaluated, by whoever holds the user's row. The odometer is never told of commit or
//! rollback. The row remembers the reading that it knows of, its *mark*, and its versions come and go with their
//! transactions. So `reading - mark` is the number of charges that were rolled back, at every moment and without a settlement:
//! savepoints, lost connections and prepared transactions come out right by the row's own doing.
//!
//! | file | what |
//! |---|---|
//! | `standing` | what row and odometer say together, and what a wrong guess leads to |
//! | `table` | the odometers on a region of bytes; what is given away, and what happens when nothing may be |
//! | `notes` | what a transaction may free when it commits |
//!
//! `formal/throttle.pml` is a model of this. Nothing here locks, allocates, reads a clock or fails: the caller holds the
//! lock of the region, and brings the time and the random numbers along.

use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher24};

mod notes;
mod standing;
mod table;

pub use notes::{Note, Notes};
pub use standing::{Consequence, HORIZON, Known, Limits, Standing, Wrong, ahead};
pub use table::{
    Charge, Counters, Layout, Reading, Settlement, Table, Verdict, View, unmetered_attempt, unmetered_proof,
};

#[cfg(test)]
#[path = "throttle/notes_tests.rs"]
mod notes_tests;
#[cfg(test)]
#[path = "throttle/standing_tests.rs"]
mod standing_tests;
#[cfg(test)]
#[path = "throttle/table_tests.rs"]
mod table_tests;

/// Microseconds since 2000-01-01, as PostgreSQL counts them.
pub type Time = i64;

/// What is guessed at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A code of the active set.
    Active = 0,
    /// A proof of the pending set.
    Pending = 1,
}

/// Stands for a user in the memory: a hash under a secret key, so that nobody reads ids there or finds two that collide.
#[derive(Clone, Copy, PartialEq, Eq, Debug, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub struct Tag([u64; 2]);

impl Tag {
    /// SipHash-2-4-128 over database, kind and user.
    pub fn new(key: [u64; 2], database: u32, kind: Kind, user_id: &[u8]) -> Self {
        let mut hasher = SipHasher24::new_with_keys(key[0], key[1]);
        hasher.write(&database.to_le_bytes());
        hasher.write(&[kind as u8]);
        hasher.write(user_id);
        let hash = hasher.finish128();
        Self([hash.h1, hash.h2])
    }
}

impl std::fmt::Display for Tag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [first, second] = self.0;
        write!(f, "{first:016x}{second:016x}")
    }
}

/// Makes the base of a new odometer of a random number: large, so that the marks of others are out of its range, and small
/// enough for a mark to fit a bigint.
pub fn base(random: u64) -> u64 {
    const LOWEST: u64 = 1 << 32;
    const RANGE: u64 = (1 << 62) - LOWEST;
    LOWEST + random % RANGE
}
