//! The outbox: events that wait for a mailer, leased, delivered or given back.

use std::cell::Cell;

use uuid::Uuid;

use super::statement::{Statement, connected, statement};
use super::value::{Boolean, Inet, Integer, Raw, Text, Timestamptz, UuidArray, UuidType};
use crate::pg::clock::{self, Timestamp};
use crate::pg::error::Result;

/// Claims after which an event is parked: it has had its tries, and must not take the place of others.
const MAX_ATTEMPTS: i32 = 20;

/// A lease: which events a mailer holds, and when it ends.
pub struct Lease {
    /// What the mailer shows.
    pub id: Uuid,
    /// When it ends.
    pub until: Timestamp,
}

statement! {
    /// Leases the oldest events that are due. What has had its tries is parked instead. A released or expired event keeps its
    /// place by `due_at`, which says from when on it may be claimed (again).
    Claim: Outbox, Fresh
    (now: Timestamp, lease: Uuid, until: Timestamp, max_events: i32, max_attempts: i32)
    ["WITH due AS MATERIALIZED (
        SELECT user_id, event_id FROM backup_codes.event
         WHERE due_at <= $now
         ORDER BY due_at
         LIMIT $max_events
           FOR UPDATE SKIP LOCKED
      )
      UPDATE backup_codes.event AS e
         SET lease = CASE WHEN coalesce(e.attempts, 0) < $max_attempts THEN $lease END,
             due_at = CASE WHEN coalesce(e.attempts, 0) < $max_attempts THEN $until ELSE 'infinity' END,
             attempts = least(coalesce(e.attempts, 0) + 1, $max_attempts)
        FROM due
       WHERE e.user_id = due.user_id AND e.event_id = due.event_id
      RETURNING "]
    => ClaimedEvent {
        leased: bool = "e.lease IS NOT NULL", event_id: Raw<UuidType> = "e.event_id", user_id: Raw<Text> = "e.user_id",
        kind: Raw<Text> = "e.kind", reason: Raw<Text> = "e.reason", at: Raw<Timestamptz> = "e.at", set_no: Raw<Integer> = "e.set_no",
        ordinal: Raw<Integer> = "e.ordinal::integer", remaining: Raw<Integer> = "e.remaining::integer", low: Raw<Boolean> = "e.low",
        actor: Raw<Text> = "e.actor", client_addr: Raw<Inet> = "e.client_addr", context: Raw<Text> = "e.context",
        attempts: Raw<Integer> = "e.attempts::integer"
    }
    [""]
}

/// Leases up to `max_events` events that are due, the oldest first, and hands each to `take`.
pub fn claim(lease: &Lease, now: Timestamp, max_events: i32, mut take: impl FnMut(ClaimedEvent)) -> Result<()> {
    let mut wanted = max_events;
    while wanted > 0 {
        let (mut leased, mut parked) = (0, 0);
        let claim = Claim { now, lease: lease.id, until: lease.until, max_events: wanted, max_attempts: MAX_ATTEMPTS };
        for event in claim.rows() {
            let event = event?;
            if event.leased {
                leased += 1;
                take(event);
            } else {
                parked += 1;
            }
        }
        // What was parked has made room for others.
        if parked == 0 {
            break;
        }
        wanted -= leased;
    }
    Ok(())
}

statement! {
    /// The events of a lease are due when it ends, all at the same time, so that the index of what waits finds them.
    Acknowledge: Outbox, Fresh
    (lease: Uuid, until: Timestamp, event_ids: Raw<UuidArray>, now: Timestamp)
    ["UPDATE backup_codes.event SET lease = NULL, due_at = NULL, delivered_at = $now
       WHERE due_at = $until AND lease = $lease AND event_id = ANY ($event_ids)"]
}

/// Marks leased events as delivered; how many.
pub fn acknowledge(lease: &Lease, event_ids: Raw<UuidArray>, now: Timestamp) -> usize {
    Acknowledge { lease: lease.id, until: lease.until, event_ids, now }.run()
}

statement! {
    /// What has had its tries is parked.
    Release: Outbox, Fresh
    (lease: Uuid, until: Timestamp, event_ids: Raw<UuidArray>, due_at: Timestamp, max_attempts: i32)
    ["UPDATE backup_codes.event
         SET lease = NULL, due_at = CASE WHEN attempts < $max_attempts THEN $due_at ELSE 'infinity' END
       WHERE due_at = $until AND lease = $lease AND event_id = ANY ($event_ids)"]
}

/// Gives leased events back, to be claimed again from `due_at` on; how many.
pub fn release(lease: &Lease, event_ids: Raw<UuidArray>, due_at: Timestamp) -> usize {
    Release { lease: lease.id, until: lease.until, event_ids, due_at, max_attempts: MAX_ATTEMPTS }.run()
}

/// How far back a look for waiting events goes at the most, in microseconds. Where one has waited for longer, the mailer is away,
/// and it does no harm to be told again.
const LOOK_BACK: i64 = 600_000_000;

/// What an earlier look found.
#[derive(Clone, Copy)]
struct Seen {
    /// The event that waited then, or the one that was written.
    due_at: Timestamp,
    /// For how long it had waited, in microseconds.
    age: i64,
}

thread_local! {
    static SEEN: Cell<Seen> = const { Cell::new(Seen { due_at: Timestamp(0), age: LOOK_BACK }) };
}

statement! {
    FindWaiting: Outbox, Callers
    (since: Timestamp, now: Timestamp)
    ["SELECT "]
    => Waiting { due_at: Timestamp }
    [" FROM backup_codes.event WHERE due_at >= $since AND due_at <= $now ORDER BY due_at LIMIT 1"]
}

/// Whether another event waits to be claimed than the one of that time, on the snapshot of the calling statement: what this one
/// changes does not count.
///
/// Before the events that wait lie the index entries of those that were claimed, until they are vacuumed; whoever began at the
/// first of them would pass over all of them. So the first look is for events as old as the last one that was found, since a
/// busy mailer keeps its distance, and the second goes on from that one. What has come to wait behind its back is not seen;
/// then there is one notification too many.
pub fn waiting(at: Timestamp) -> bool {
    let now = clock::now();
    let seen = SEEN.get();
    let found = connected(|| {
        [now.plus(-seen.age), seen.due_at].into_iter().find_map(|since| {
            let look = FindWaiting { since: since.max(now.plus(-LOOK_BACK)), now };
            look.first().ok().flatten().map(|waiting| waiting.due_at)
        })
    });
    let due_at = found.unwrap_or(at);
    let waited = now.since(due_at);
    SEEN.set(Seen { due_at, age: waited + waited / 8 });
    found.is_some()
}
