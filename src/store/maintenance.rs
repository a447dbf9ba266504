//! Maintenance of many users at a time.

use pgrx::{IntoDatum, pg_sys};

use super::plan::{Rows, Snapshot};
use super::{array, shared, statements, timestamp};
use crate::events::{Event, Kind, new_id};
use crate::pg::call;
use crate::pg::clock::Timestamp;
use crate::pg::error::Result;

/// A user of a maintenance batch.
struct Member {
    stored: Vec<u8>,
    event_id: uuid::Uuid,
}

/// The users that a statement returned, each with an id for his event.
fn members(rows: &Rows, at: Timestamp) -> Result<Vec<Member>> {
    rows.iter().map(|row| Ok(Member { stored: row.bytes(1).unwrap_or_default(), event_id: new_id(at)? })).collect()
}

fn member_parameters(members: &[Member]) -> [Option<pg_sys::Datum>; 2] {
    [
        array::texts(members.iter().map(|member| &*member.stored)),
        array::uuids(members.iter().map(|member| &member.event_id)),
    ]
}

/// The events that a batch inserted, from the columns user_id, event_id, remaining and low; without event_id there was none.
fn batch_events(rows: &Rows, kind: Kind, at: Timestamp) -> Vec<Event> {
    rows.iter()
        .filter_map(|row| {
            Some(Event {
                id: call::uuid(row.datum(2)?),
                kind,
                user_id: crate::pg::encoding::to_utf8(&row.bytes(1)?)?,
                at,
                remaining: row.get(3).unwrap_or_default(),
                low: row.get(4).unwrap_or_default(),
            })
        })
        .collect()
}

/// Removes the sets of up to `max_users` users that were made before a point in time.
pub fn revoke_all(issued_before: Timestamp, max_users: i32, at: Timestamp) -> Result<Vec<Event>> {
    let rows = statements::REVOCABLE.execute(Snapshot::Fresh, [timestamp(issued_before), max_users.into_datum()]);
    let [users, events] = member_parameters(&members(&rows, at)?);
    let [at_datum, due, context, low] = shared(at);
    let rows = statements::REVOKE
        .execute(Snapshot::Fresh, [users, events, at_datum, due, context, low, timestamp(issued_before)]);
    Ok(batch_events(&rows, Kind::Revoked, at))
}

/// Removes what has been dead since before a point in time, of up to `max_users` users; how many users, and the events.
pub fn purge(cutoff: Timestamp, undelivered: bool, max_users: i32, at: Timestamp) -> Result<(usize, Vec<Event>)> {
    let undelivered = undelivered.into_datum();
    let rows = statements::PURGEABLE.execute(Snapshot::Fresh, [timestamp(cutoff), undelivered, max_users.into_datum()]);
    let [users, _] = member_parameters(&members(&rows, at)?);
    let rows = statements::LOCK_IDLE.execute(Snapshot::Fresh, [users]);
    let [users, events] = member_parameters(&members(&rows, at)?);
    let [at_datum, due, context, low] = shared(at);
    let rows = statements::PURGE
        .execute(Snapshot::Fresh, [users, events, at_datum, due, context, low, timestamp(cutoff), undelivered]);
    Ok((rows.count(), batch_events(&rows, Kind::Cancelled, at)))
}

/// The keys that sets need, and how many users have such sets.
pub fn keys_in_use() -> Vec<(i32, i64)> {
    let rows = statements::KEYS_IN_USE.execute(Snapshot::Callers, []);
    rows.iter().filter_map(|row| Some((row.get(1)?, row.get(2)?))).collect()
}
