//! What a user's row and their odometer say together, and what a wrong guess leads to.

use super::Time;
use super::table::Reading;

/// How far ahead a lock can end: twice the longest that can be set. What lies further was written under a wrong clock.
pub const HORIZON: Time = 2 * 86_400_000_000;

/// Whether a point in time is still to come, and not by a wrong clock alone.
pub fn ahead(at: Time, now: Time) -> bool {
    at > now && at.saturating_sub(now) <= HORIZON
}

/// What one version of the row knows. A pending set has no lock.
#[derive(Clone, Copy, Default, Debug)]
pub struct Known {
    /// Consecutive failures.
    pub failures: i32,
    /// How many of them there were at the last lock.
    pub failures_at_lock: i32,
    /// The end of the last lock.
    pub locked_until: Option<Time>,
    /// The reading of the odometer up to which the row knows.
    pub mark: Option<i64>,
}

/// The limits in force for whoever guesses.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Failures since the last lock that lock.
    pub max_failures: i32,
    /// Consecutive failures that remove the set.
    pub disable_after: i32,
    /// How long a lock lasts, in microseconds.
    pub lockout: Time,
}

/// Where a user stands, rolled-back failures included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Standing {
    /// Consecutive failures.
    pub failures: i32,
    /// How many of them there were at the last lock.
    pub failures_at_lock: i32,
    /// The end of the last lock; may have passed.
    pub locked_until: Option<Time>,
    /// Failures that the row does not know: they were rolled back.
    pub unknown: i32,
    /// The last lock is one that no committed attempt has written.
    pub unrecorded_lock: bool,
    /// Failures that may be those of others, who share an overflow cell.
    pub(super) shared: i32,
}

impl Standing {
    /// Puts together what the row knows and what the odometer says.
    pub fn of(known: &Known, reading: Option<&Reading>, now: Time) -> Self {
        let mut standing = Self {
            failures: known.failures,
            failures_at_lock: known.failures_at_lock,
            locked_until: known.locked_until,
            unknown: 0,
            unrecorded_lock: false,
            shared: 0,
        };
        if let Some(reading) = reading {
            let seen = reading.seen(known.mark);
            standing.unknown = signed(reading.count.saturating_sub(seen));
            standing.failures = known.failures.saturating_add(standing.unknown);
            if reading.lock_count > seen {
                standing.failures_at_lock = known.failures.saturating_add(signed(reading.lock_count - seen));
                standing.locked_until = Some(reading.lock_until);
                standing.unrecorded_lock = true;
            }
        }
        standing.locked_until = standing.locked_until.filter(|until| until.saturating_sub(now) <= HORIZON);
        standing
    }

    /// The same of a user who has no odometer and shares a cell: every charge there may be theirs.
    pub(super) fn sharing(known: &Known, count: u32, now: Time) -> Self {
        let shared = signed(count);
        let alone = Self::of(known, None, now);
        Self { failures: alone.failures.saturating_add(shared), unknown: shared, shared, ..alone }
    }

    /// The end of the lock that is in force.
    pub fn locked(&self, now: Time) -> Option<Time> {
        self.locked_until.filter(|until| ahead(*until, now))
    }

    /// Whether rolled-back failures reach a lock that nobody judged: whoever was charged last did not live to do it.
    pub(super) fn overdue(&self, limits: &Limits) -> bool {
        self.unknown > 0 && self.since_lock() >= limits.max_failures
    }

    /// Whether there were so many failures that nothing may be tried any more. What others may have done does not count.
    pub(super) fn exhausted(&self, limit: i32) -> bool {
        self.failures.saturating_sub(self.shared) >= limit
    }

    fn since_lock(&self) -> i32 {
        self.failures.saturating_sub(self.failures_at_lock)
    }

    /// What one more failure leads to. The row takes over everything that the odometer knew, but not what others may have
    /// done.
    pub(super) fn wrong(&self, limits: &Limits, mark: Option<i64>, now: Time) -> Wrong {
        let failed = Self { failures: self.failures.saturating_add(1), ..*self };
        let failures = failed.failures.saturating_sub(self.shared);
        let tries_left = limits.max_failures.saturating_sub(failed.since_lock()).max(0);
        let (consequence, tries_left) = if failed.exhausted(limits.disable_after) {
            (Consequence::Removal, 0)
        } else if tries_left == 0 {
            (Consequence::Lock(now.saturating_add(limits.lockout)), 0)
        } else {
            (Consequence::None, tries_left)
        };
        let (failures_at_lock, locked_until) = match consequence {
            Consequence::Lock(until) => (failures, Some(until)),
            _ => (self.failures_at_lock.min(failures), self.locked_until),
        };
        Wrong { failures, failures_at_lock, locked_until, mark, consequence, tries_left }
    }
}

fn signed(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// What a wrong guess writes into the row, and what it leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wrong {
    /// Consecutive failures, this one included.
    pub failures: i32,
    /// How many of them there were at the last lock.
    pub failures_at_lock: i32,
    /// The end of the last lock.
    pub locked_until: Option<Time>,
    /// The reading of the odometer up to which the row knows now.
    pub mark: Option<i64>,
    /// What the failure leads to.
    pub consequence: Consequence,
    /// How many more failures lead to the next lock; 0 when the set goes.
    pub tries_left: i32,
}

/// What a failure leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Consequence {
    /// It was counted.
    None,
    /// The user is locked until then.
    Lock(Time),
    /// The set goes.
    Removal,
}
