//! The memory of guesses that a rollback cannot take back.

use super::{Check, Scene, Verdict, counted};
use crate::pg::error::Result;
use crate::throttle::{Availability, availability};

pub(super) static CHECKS: &[Check] = &[Check { name: "throttle_memory", examine: memory }];

const PRELOAD: &str =
    "Add backup_codes to shared_preload_libraries and restart the server; until then commit every attempt.";

/// Whether guesses that are rolled back are counted.
fn memory(_scene: &Scene) -> Result<Verdict> {
    Ok(match availability() {
        Availability::NotPreloaded => Verdict::warning("guesses that are rolled back are not counted", PRELOAD),
        Availability::Failed => Verdict::warning(
            "the server could not give shared memory, so guesses that are rolled back are not counted",
            "Look for the reason in the server's log, and restart the server.",
        ),
        Availability::Shared(counters) if counters.overflowed > 0 => Verdict::warning(
            format!(
                "{} found no entry in shared memory and shared a counter with other users, whom that can lock",
                counted(i64::try_from(counters.overflowed).unwrap_or(i64::MAX), "guess")
            ),
            format!(
                "Look who guesses. With backup_codes in shared_preload_libraries, ALTER SYSTEM SET backup_codes.throttle_entries = {}; \
                 and restart the server.",
                counters.capacity.saturating_mul(4)
            ),
        ),
        Availability::Shared(counters) => {
            Verdict::ok(format!("{} of {} entries of shared memory are in use", counters.live, counters.capacity))
        }
    })
}
