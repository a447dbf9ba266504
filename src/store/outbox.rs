//! The outbox: events that wait for a mailer, leased, delivered or given back.

use std::cell::Cell;

use pgrx::{IntoDatum, pg_sys};

use super::plan::{Row, Snapshot};
use super::{connected, statements, timestamp, uuid};
use crate::pg::clock::{self, Timestamp};

/// Claims after which an event is parked: it has had its tries, and must not take the place of others.
const MAX_ATTEMPTS: i32 = 20;

/// A lease: which events a mailer holds, and when it ends.
pub struct Lease {
    /// What the mailer shows.
    pub id: uuid::Uuid,
    /// When it ends.
    pub until: Timestamp,
}

/// Leases up to `max_events` events that are due, the oldest first, and hands the row of each to `take`, with the columns of
/// the SQL function but for the lease, from the second on.
pub fn claim(lease: &Lease, now: Timestamp, max_events: i32, mut take: impl FnMut(&Row<'_>)) {
    let mut wanted = max_events;
    while wanted > 0 {
        let rows = statements::CLAIM.execute(
            Snapshot::Fresh,
            [timestamp(now), uuid(&lease.id), timestamp(lease.until), wanted.into_datum(), MAX_ATTEMPTS.into_datum()],
        );
        let (mut leased, mut parked) = (0, 0);
        for row in rows.iter() {
            if row.get(1).unwrap_or_default() {
                leased += 1;
                take(&row);
            } else {
                parked += 1;
            }
        }
        // What was parked has made room for others.
        if parked == 0 {
            return;
        }
        wanted -= leased;
    }
}

/// Marks leased events as delivered; how many.
pub fn acknowledge(lease: &Lease, events: pg_sys::Datum, now: Timestamp) -> usize {
    let rows = statements::ACKNOWLEDGE
        .execute(Snapshot::Fresh, [uuid(&lease.id), timestamp(lease.until), Some(events), timestamp(now)]);
    rows.count()
}

/// Gives leased events back, to be claimed again from `due` on; how many.
pub fn release(lease: &Lease, events: pg_sys::Datum, due: Timestamp) -> usize {
    let rows = statements::RELEASE.execute(
        Snapshot::Fresh,
        [uuid(&lease.id), timestamp(lease.until), Some(events), timestamp(due), MAX_ATTEMPTS.into_datum()],
    );
    rows.count()
}

/// How far back a look for waiting events goes at the most, in microseconds. Where one has waited for longer, the mailer is away,
/// and it does no harm to be told again.
const LOOK_BACK: i64 = 600_000_000;

/// What an earlier look found.
#[derive(Clone, Copy)]
struct Seen {
    /// The event that waited then, or the one that was written.
    due: Timestamp,
    /// For how long it had waited.
    age: i64,
}

thread_local! {
    static SEEN: Cell<Seen> = const { Cell::new(Seen { due: 0, age: LOOK_BACK }) };
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
        [now - seen.age, seen.due].into_iter().find_map(|from| {
            let parameters = [timestamp(from.max(now - LOOK_BACK)), timestamp(now)];
            statements::WAITING.execute(Snapshot::Callers, parameters).first()?.get::<Timestamp>(1)
        })
    });
    let due = found.unwrap_or(at);
    SEEN.set(Seen { due, age: (now - due) + (now - due) / 8 });
    found.is_some()
}
