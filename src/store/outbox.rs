//! The outbox: events that wait for a mailer, leased, delivered or given back.

use std::cell::Cell;

use pgrx::pg_sys::Datum;
use uuid::Uuid;

use super::array;
use super::statement::{Statement, columns, connected, is_distributed, parameters, statement};
use super::value::{Boolean, Foreign, Inet, Integer, Raw, Repaired, Text, TextArray, Timestamptz, UuidArray, UuidType};
use crate::pg::clock::{self, Timestamp};
use crate::pg::error::{Error, Result};
use crate::user_id::UserId;

/// Claims after which an event is parked: it has had its tries, and must not take the place of others.
const MAX_ATTEMPTS: i32 = 20;

/// A lease: which events a mailer holds, and when it ends.
pub struct Lease {
    /// What the mailer shows.
    pub id: Uuid,
    /// When it ends.
    pub until: Timestamp,
}

/// A due time further ahead than any that can be asked for, a day, and that day again, was set by a clock that was wrong: the
/// event is due. In microseconds.
const FAR: i64 = 2 * 86_400_000_000;

/// How far each number of the backlog is counted.
const COUNTED: i64 = 10_000;

parameters! {
    /// A lease, by what it tells of itself.
    Held(
        lease: Uuid,
        /// When it ends.
        until: Timestamp
    )
}

impl Lease {
    fn held(&self) -> Held {
        Held { lease: self.id, until: self.until }
    }
}

parameters! {
    /// When an event is due that is taken: after one point in time, and until another.
    Due(due_after: Timestamp, due_until: Timestamp)
}

/// What is due, and what a wrong clock has put off. Parked events are due at infinity.
fn due(now: Timestamp) -> [Due; 2] {
    [
        Due { due_after: Timestamp::MINUS_INFINITY, due_until: now },
        Due { due_after: now.plus(FAR), due_until: Timestamp::BEFORE_INFINITY },
    ]
}

/// What a claim makes of an event: it is leased and has one more try, or is parked where it has had them all.
macro_rules! leased {
    () => {
        "SET lease = CASE WHEN coalesce(e.attempts, 0) < $max_attempts THEN $lease END,
             due_at = CASE WHEN coalesce(e.attempts, 0) < $max_attempts THEN $until ELSE 'infinity' END,
             park_reason = CASE WHEN coalesce(e.attempts, 0) < $max_attempts THEN NULL ELSE 'attempts' END,
             attempts = least(coalesce(e.attempts, 0) + 1, $max_attempts)"
    };
}

columns! {
    /// An event that was claimed, or parked instead.
    ClaimedEvent {
        leased: bool, event_id: Raw<UuidType>, user_id: Raw<Text>, kind: Raw<Text>, reason: Raw<Text>, at: Raw<Timestamptz>,
        set_no: Raw<Integer>, ordinal: Raw<Integer>, remaining: Raw<Integer>, low: Raw<Boolean>, actor: Repaired,
        client_addr: Raw<Inet>, context: Repaired, attempts: Raw<Integer>
    }
}

/// [`ClaimedEvent`] in SQL.
macro_rules! claimed {
    () => {
        "e.lease IS NOT NULL AS leased, e.event_id, e.user_id, e.kind, e.reason, e.at, e.set_no,
         e.ordinal::integer AS ordinal, e.remaining::integer AS remaining, e.low, e.actor, e.client_addr, e.context,
         e.attempts::integer AS attempts"
    };
}

statement! {
    /// Leases events that are due, the oldest first. A released or expired event keeps its place by `due_at`, which says from
    /// when on it may be claimed (again).
    Claim: Outbox, Fresh
    (max_events: i32, max_attempts: i32; ..due: Due; ..held: Held)
    ["WITH due AS MATERIALIZED (
        SELECT user_id, event_id FROM backup_codes.event
         WHERE due_at > $due_after AND due_at <= $due_until
         ORDER BY due_at, at
         LIMIT $max_events
           FOR UPDATE SKIP LOCKED
      )
      UPDATE backup_codes.event AS e ", leased!(), "
        FROM due
       WHERE e.user_id = due.user_id AND e.event_id = due.event_id
      RETURNING "]
    => Claimed { ..event: ClaimedEvent = [claimed!()] }
    [""]
}

columns! {
    /// An event that was found, and not locked: Citus locks rows of one user only.
    Found { user_id: UserId, event_id: Uuid }
}

statement! {
    FindDue: Outbox, Fresh
    (max_events: i32; ..due: Due)
    ["SELECT "]
    => FoundDue { ..event: Found = ["user_id, event_id"] }
    [" FROM backup_codes.event WHERE due_at > $due_after AND due_at <= $due_until ORDER BY due_at, at LIMIT $max_events"]
}

statement! {
    /// Leases those that are still due: another mailer may have been faster.
    ClaimFound: Users, Fresh
    (users: Raw<TextArray>, event_ids: Raw<UuidArray>, max_attempts: i32; ..due: Due; ..held: Held)
    ["UPDATE backup_codes.event AS e ", leased!(), "
       WHERE e.due_at > $due_after AND e.due_at <= $due_until AND e.user_id = ANY ($users) AND e.event_id = ANY ($event_ids)
      RETURNING "]
    => ClaimedFound { ..event: ClaimedEvent = [claimed!()] }
    [""]
}

/// Leases up to `max_events` events that are due, the oldest first, and hands each to `take`.
pub fn claim(lease: &Lease, now: Timestamp, max_events: i32, take: impl FnMut(ClaimedEvent)) -> Result<()> {
    if is_distributed() {
        claim_by(lease, now, max_events, claim_found, take)
    } else {
        claim_by(lease, now, max_events, claim_at_once, take)
    }
}

/// The same in two statements, as Citus takes it.
#[cfg(any(test, feature = "pg_test"))]
pub fn claim_in_two_steps(
    lease: &Lease,
    now: Timestamp,
    max_events: i32,
    take: impl FnMut(ClaimedEvent),
) -> Result<()> {
    claim_by(lease, now, max_events, claim_found, take)
}

/// Takes up to so many events that are due, and those that are parked instead.
type Taking = fn(&Lease, Due, i32) -> Result<Vec<ClaimedEvent>>;

fn claim_by(
    lease: &Lease,
    now: Timestamp,
    max_events: i32,
    taking: Taking,
    mut take: impl FnMut(ClaimedEvent),
) -> Result<()> {
    let mut wanted = max_events;
    // What was parked makes room for others: it is asked again until nothing was.
    while wanted > 0 {
        let mut parked = 0;
        for due in due(now) {
            if wanted == 0 {
                break;
            }
            for event in taking(lease, due, wanted)? {
                if event.leased {
                    wanted -= 1;
                    take(event);
                } else {
                    parked += 1;
                }
            }
        }
        if parked == 0 {
            break;
        }
    }
    Ok(())
}

fn claim_at_once(lease: &Lease, due: Due, max_events: i32) -> Result<Vec<ClaimedEvent>> {
    let claim = Claim { max_events, max_attempts: MAX_ATTEMPTS, due, held: lease.held() };
    claim.rows().map(|row| row.map(|row| row.event)).collect()
}

fn claim_found(lease: &Lease, due: Due, max_events: i32) -> Result<Vec<ClaimedEvent>> {
    let again = Due { due_after: due.due_after, due_until: due.due_until };
    let find = FindDue { max_events, due };
    let Some((users, event_ids)) = named(find.rows().map(|row| row.map(|row| row.event)))? else {
        return Ok(Vec::new());
    };
    let claim = ClaimFound { users, event_ids, max_attempts: MAX_ATTEMPTS, due: again, held: lease.held() };
    claim.rows().map(|row| row.map(|row| row.event)).collect()
}

/// Events that were found, as parameters of the next statement; None when there are none.
fn named(found: impl Iterator<Item = Result<Found>>) -> Result<Option<(Raw<TextArray>, Raw<UuidArray>)>> {
    let found = found.collect::<Result<Vec<_>>>()?;
    let users = array::texts(found.iter().map(|event| event.user_id.stored.as_slice()));
    let event_ids = array::uuids(found.iter().map(|event| &event.event_id));
    Ok((!found.is_empty()).then_some((users, event_ids)))
}

statement! {
    /// Locks events of a lease in the order in which those of a user are removed. They are due when it ends, all at the same
    /// time, so that the index of what waits finds them.
    LockHeld: Outbox, Fresh
    (event_ids: Raw<UuidArray>; ..held: Held)
    ["SELECT FROM backup_codes.event WHERE due_at = $until AND lease = $lease AND event_id = ANY ($event_ids)
       ORDER BY user_id, event_id FOR NO KEY UPDATE"]
}

/// Changes events of a lease, locked in order where that can be.
fn settle<S: Statement>(lease: &Lease, event_ids: Datum, statement: impl FnOnce(Raw<UuidArray>) -> S) -> usize {
    if !is_distributed() {
        LockHeld { event_ids: Raw::new(event_ids), held: lease.held() }.run();
    }
    statement(Raw::new(event_ids)).run()
}

statement! {
    Acknowledge: Outbox, Fresh
    (event_ids: Raw<UuidArray>, now: Timestamp; ..held: Held)
    ["UPDATE backup_codes.event SET lease = NULL, due_at = NULL, delivered_at = $now
       WHERE due_at = $until AND lease = $lease AND event_id = ANY ($event_ids)"]
}

/// Marks leased events as delivered; how many.
pub fn acknowledge(lease: &Lease, event_ids: Datum, now: Timestamp) -> usize {
    settle(lease, event_ids, |event_ids| Acknowledge { event_ids, now, held: lease.held() })
}

statement! {
    /// What has had its tries is parked, unless this one does not count.
    Release: Outbox, Fresh
    (event_ids: Raw<UuidArray>, due_at: Timestamp, counts: bool, max_attempts: i32; ..held: Held)
    ["UPDATE backup_codes.event
         SET lease = NULL,
             due_at = CASE WHEN $counts AND attempts >= $max_attempts THEN 'infinity' ELSE $due_at END,
             park_reason = CASE WHEN $counts AND attempts >= $max_attempts THEN 'attempts' END,
             attempts = CASE WHEN $counts THEN attempts ELSE nullif(attempts - 1, 0) END
       WHERE due_at = $until AND lease = $lease AND event_id = ANY ($event_ids)"]
}

/// Gives leased events back, to be claimed again from `due_at` on; how many. Without `counts` nobody refused them.
pub fn release(lease: &Lease, event_ids: Datum, due_at: Timestamp, counts: bool) -> usize {
    settle(lease, event_ids, |event_ids| Release {
        event_ids,
        due_at,
        counts,
        max_attempts: MAX_ATTEMPTS,
        held: lease.held(),
    })
}

statement! {
    Extend: Outbox, Fresh
    (event_ids: Raw<UuidArray>, new_lease: Uuid, new_until: Timestamp; ..held: Held)
    ["UPDATE backup_codes.event SET lease = $new_lease, due_at = $new_until
       WHERE due_at = $until AND lease = $lease AND event_id = ANY ($event_ids)"]
}

/// Puts leased events under another lease; how many.
pub fn extend(lease: &Lease, event_ids: Datum, new: &Lease) -> usize {
    let (new_lease, new_until) = (new.id, new.until);
    settle(lease, event_ids, |event_ids| Extend { event_ids, new_lease, new_until, held: lease.held() })
}

statement! {
    Park: Outbox, Fresh
    (event_ids: Raw<UuidArray>, reason: Foreign; ..held: Held)
    ["UPDATE backup_codes.event SET lease = NULL, due_at = 'infinity', park_reason = $reason
       WHERE due_at = $until AND lease = $lease AND event_id = ANY ($event_ids)"]
}

/// Sets leased events aside until an operator says otherwise; how many.
pub fn park(lease: &Lease, event_ids: Datum, reason: Vec<u8>) -> usize {
    settle(lease, event_ids, |event_ids| Park { event_ids, reason: Foreign(reason), held: lease.held() })
}

statement! {
    /// Parked events, the oldest first; all of them, or those that are named.
    FindParked: Everything, Fresh
    (event_ids: Option<Raw<UuidArray>>, max_events: i32)
    ["SELECT "]
    => FoundParked { ..event: Found = ["user_id, event_id"] }
    [" FROM backup_codes.event WHERE due_at = 'infinity' AND ($event_ids IS NULL OR event_id = ANY ($event_ids))
       ORDER BY due_at, at LIMIT $max_events"]
}

statement! {
    /// Makes parked events wait, locked in the order in which those of a user are removed.
    Unpark: Users, Fresh
    (users: Raw<TextArray>, event_ids: Raw<UuidArray>, now: Timestamp)
    ["WITH locked AS MATERIALIZED (
        SELECT e.user_id, e.event_id
          FROM unnest($users, $event_ids) AS f (user_id, event_id)
          JOIN backup_codes.event AS e ON e.user_id = f.user_id AND e.event_id = f.event_id
         WHERE e.due_at = 'infinity'
         ORDER BY e.user_id, e.event_id
           FOR NO KEY UPDATE OF e
      )
      UPDATE backup_codes.event AS e SET due_at = $now, attempts = NULL, park_reason = NULL
        FROM locked AS l
       WHERE e.user_id = l.user_id AND e.event_id = l.event_id"]
}

statement! {
    /// The same as Citus takes it.
    UnparkFound: Users, Fresh
    (users: Raw<TextArray>, event_ids: Raw<UuidArray>, now: Timestamp)
    ["UPDATE backup_codes.event SET due_at = $now, attempts = NULL, park_reason = NULL
       WHERE due_at = 'infinity' AND user_id = ANY ($users) AND event_id = ANY ($event_ids)"]
}

/// Makes up to `max_events` parked events wait again, the oldest first; how many. 0 only when none is left: where others took
/// all that were found, it looks again.
pub fn unpark(event_ids: Option<Datum>, max_events: i32, now: Timestamp) -> Result<usize> {
    loop {
        let find = FindParked { event_ids: event_ids.map(Raw::new), max_events };
        let Some((users, event_ids)) = named(find.rows().map(|row| row.map(|row| row.event)))? else { return Ok(0) };
        let unparked = if is_distributed() {
            UnparkFound { users, event_ids, now }.run()
        } else {
            Unpark { users, event_ids, now }.run()
        };
        if unparked > 0 {
            return Ok(unparked);
        }
    }
}

statement! {
    /// How many events are in each state that a mailer minds. Those between now and far ahead are counted together first, so
    /// that many of one state do not make it slow to count the other.
    CountBacklog: Outbox, Callers
    (now: Timestamp, far: Timestamp, counted: i64)
    ["SELECT "]
    => Backlog {
        waiting: i64 = "least((SELECT count(*) FROM (SELECT FROM backup_codes.event WHERE due_at <= $now LIMIT $counted) AS w)
              + (SELECT count(*) FROM (SELECT FROM backup_codes.event WHERE due_at > $far AND due_at < 'infinity'
                                        LIMIT $counted) AS m), $counted)",
        oldest_at: Option<Timestamp> = "(SELECT e.at FROM backup_codes.event AS e WHERE e.due_at <= $now
              ORDER BY e.due_at, e.at LIMIT 1)",
        delayed: i64 = "least(f.delayed, $counted)", leased: i64 = "least(f.leased, $counted)",
        parked: i64 = "(SELECT count(*) FROM (SELECT FROM backup_codes.event WHERE due_at = 'infinity' LIMIT $counted) AS p)"
    }
    [" FROM (SELECT count(*) FILTER (WHERE l.lease IS NULL) AS delayed, count(l.lease) AS leased
               FROM (SELECT lease FROM backup_codes.event WHERE due_at > $now AND due_at <= $far LIMIT 2 * $counted) AS l) AS f"]
}

/// What waits.
pub fn backlog(now: Timestamp) -> Result<Backlog> {
    let count = CountBacklog { now, far: now.plus(FAR), counted: COUNTED };
    count.first()?.ok_or(Error::Damaged("the backlog has no row"))
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
