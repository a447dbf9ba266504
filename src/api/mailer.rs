//! events_claim, events_ack, events_release, events_extend, events_park and events_backlog: how a mailer takes events and says
//! what became of them. events_unpark is the operator's.
//!
//! An event is delivered at least once. A mailer claims events for a time, sends with no transaction open, and then says so;
//! what it does not say anything about can be claimed again when the lease ends.

use pgrx::{IntoDatum, pg_sys};

use crate::pg::call::{self, Call, Interval};
use crate::pg::clock::{self, Timestamp};
use crate::pg::error::{Error, Result};
use crate::store::{self, Lease};

/// Longest reason for which an event is parked, in bytes.
const MAX_REASON: usize = 200;

/// `backup_codes_events_claim(max_events, lease_for)`. Raises 22004, 22023, 25006.
pub fn claim(call: &Call) -> Result<pg_sys::Datum> {
    call::require_writable()?;
    let max_events = max_events(call, 0)?;
    let now = clock::now();
    let lease = new_lease(now, call.interval(1).ok_or(Error::Null("lease_for"))?)?;
    let id = call::uuid_datum(&lease.id);
    let rows = call.rows();
    store::connected(|| {
        store::claim(&lease, now, max_events, |event| {
            rows.push([
                event.event_id.0,
                event.user_id.0,
                event.kind.0,
                event.reason.0,
                event.at.0,
                event.set_no.0,
                event.ordinal.0,
                event.remaining.0,
                event.low.0,
                event.actor.0,
                event.client_addr.0,
                event.context.0,
                event.attempts.0,
                id,
            ]);
        })
    })?;
    rows.done()
}

/// `backup_codes_events_ack(lease, event_ids) → integer`. Raises 22004, 25006.
pub fn ack(call: &Call) -> Result<pg_sys::Datum> {
    call::require_writable()?;
    settle(call, |lease, event_ids| store::acknowledge(lease, event_ids, clock::now()))
}

/// `backup_codes_events_release(lease, event_ids, delay, counts) → integer`. Raises 22004, 22023, 25006.
pub fn release(call: &Call) -> Result<pg_sys::Datum> {
    call::require_writable()?;
    let delay = call.interval(2).ok_or(Error::LeaseNull("delay"))?;
    let counts = call.get(3).ok_or(Error::Null("counts"))?;
    let due_at = clock::within_a_day(clock::now(), delay, "delay", false)?;
    settle(call, |lease, event_ids| store::release(lease, event_ids, due_at, counts))
}

/// `backup_codes_events_extend(lease, event_ids, lease_for) → uuid`. Raises 22004, 22023, 25006.
pub fn extend(call: &Call) -> Result<pg_sys::Datum> {
    call::require_writable()?;
    let lease_for = call.interval(2).ok_or(Error::LeaseNull("lease_for"))?;
    let new = new_lease(clock::now(), lease_for)?;
    let (lease, event_ids) = held(call)?;
    let extended = lease.is_some_and(|lease| store::connected(|| store::extend(&lease, event_ids, &new)) > 0);
    if extended {
        return Ok(call::uuid_datum(&new.id).unwrap_or(pg_sys::Datum::null()));
    }
    call.null()
}

/// `backup_codes_events_park(lease, event_ids, reason) → integer`. Raises 22004, 25006.
pub fn park(call: &Call) -> Result<pg_sys::Datum> {
    call::require_writable()?;
    let reason = cut(call::text_bytes(call.datum(2).ok_or(Error::ParkReasonNull)?, usize::MAX).unwrap_or_default());
    settle(call, |lease, event_ids| store::park(lease, event_ids, reason.clone()))
}

/// `backup_codes_events_backlog()`. Works on a hot standby.
pub fn backlog(call: &Call) -> Result<pg_sys::Datum> {
    let rows = call.rows();
    let now = clock::now();
    let backlog = store::connected(|| store::backlog(now))?;
    rows.push([
        backlog.waiting.into_datum(),
        backlog.oldest_at.and_then(IntoDatum::into_datum),
        backlog.delayed.into_datum(),
        backlog.leased.into_datum(),
        backlog.parked.into_datum(),
    ]);
    rows.done()
}

/// `backup_codes_events_unpark(event_ids, max_events) → bigint`. Raises 22004, 22023, 25006.
pub fn unpark(call: &Call) -> Result<pg_sys::Datum> {
    call::require_writable()?;
    let event_ids = call.datum(0);
    let max_events = max_events(call, 1)?;
    let unparked = store::connected(|| store::unpark(event_ids, max_events, clock::now()))?;
    call::value(unparked as i64)
}

fn max_events(call: &Call, index: usize) -> Result<i32> {
    match call.get(index).ok_or(Error::Null("max_events"))? {
        ..1 => Err(Error::OutOfRange { name: "max_events", range: "at least 1".into() }),
        max_events => Ok(max_events),
    }
}

/// Does something about events of the lease that a mailer shows; of how many. What cannot be a lease of ours has none.
fn settle(call: &Call, act: impl FnOnce(&Lease, pg_sys::Datum) -> usize) -> Result<pg_sys::Datum> {
    let (lease, event_ids) = held(call)?;
    let count = lease.map_or(0, |lease| store::connected(|| act(&lease, event_ids)));
    call::value(count as i32)
}

/// The lease and the events that a mailer shows; no lease where it cannot be one of ours.
fn held(call: &Call) -> Result<(Option<Lease>, pg_sys::Datum)> {
    let id = call::uuid(call.datum(0).ok_or(Error::LeaseNull("lease"))?);
    let event_ids = call.datum(1).ok_or(Error::LeaseNull("event_ids"))?;
    Ok((end_of(id).map(|until| Lease { id, until }), event_ids))
}

/// Cuts text of the database's encoding to the longest reason, at a character.
fn cut(mut text: Vec<u8>) -> Vec<u8> {
    // SAFETY: reads as many bytes as there are.
    let length = unsafe { pg_sys::pg_mbcliplen(text.as_ptr().cast(), text.len() as i32, MAX_REASON as i32) };
    text.truncate(length.unsigned_abs() as usize);
    text
}

/// A lease of that length, up to a day. Its id is a uuid of version 8 (RFC 9562 §5.8) that tells in microseconds when it ends: the
/// events of a lease are found by that time, so that leases need no index of their own. 48 bits before the version and 12 behind
/// it hold it until the year 38000.
fn new_lease(now: Timestamp, lease_for: Interval) -> Result<Lease> {
    let until = clock::within_a_day(now, lease_for, "lease_for", true)?;
    let random = u64::from_be_bytes(backup_codes_core::code::random_bytes()?);
    let time = until.0.unsigned_abs();
    let id = (u128::from(time >> 12) << 80) | (u128::from(time & 0xfff) << 64) | u128::from(random);
    Ok(Lease { id: uuid::Builder::from_custom_bytes(id.to_be_bytes()).into_uuid(), until })
}

/// When a lease with that id ends; None when it is no lease's.
fn end_of(id: uuid::Uuid) -> Option<Timestamp> {
    let bits = id.as_u128();
    let time = ((bits >> 80) << 12) | ((bits >> 64) & 0xfff);
    (id.get_version_num() == 8).then(|| i64::try_from(time).ok().map(Timestamp)).flatten()
}
