//! events_claim, events_ack and events_release: how a mailer takes events and says what became of them.
//!
//! An event is delivered at least once. A mailer claims events for a time, sends with no transaction open, and then says so;
//! what it does not say anything about can be claimed again when the lease ends.

use pgrx::pg_sys;

use crate::pg::call::{self, Call};
use crate::pg::clock::{self, Timestamp};
use crate::pg::error::{Error, Result};
use crate::store::value::{Raw, UuidArray};
use crate::store::{self, Lease};

/// `backup_codes_events_claim(max_events, lease_for)`. Raises 22004, 22023, 25006.
pub fn claim(call: &Call) -> Result<pg_sys::Datum> {
    call::require_writable()?;
    let max_events = call.get(0).ok_or(Error::Null("max_events"))?;
    if max_events < 1 {
        return Err(Error::OutOfRange { name: "max_events", range: "at least 1".into() });
    }
    let now = clock::now();
    let until = clock::after(now, call.interval(1).ok_or(Error::Null("lease_for"))?, "lease_for")?;
    let lease = Lease { id: new_lease_id(until)?, until };
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
    settle(call, |lease, events| store::acknowledge(lease, events, clock::now()))
}

/// `backup_codes_events_release(lease, event_ids, retry_after) → integer`. Raises 22004, 22023, 25006.
pub fn release(call: &Call) -> Result<pg_sys::Datum> {
    call::require_writable()?;
    let retry_after = call.interval(2).ok_or(Error::LeaseNull("retry_after"))?;
    let due = clock::not_before(clock::now(), retry_after, "retry_after")?;
    settle(call, |lease, events| store::release(lease, events, due))
}

/// Does something about events of the lease that a mailer shows; of how many. What cannot be a lease of ours has none.
fn settle(call: &Call, act: impl FnOnce(&Lease, Raw<UuidArray>) -> usize) -> Result<pg_sys::Datum> {
    let id = call::uuid(call.datum(0).ok_or(Error::LeaseNull("lease"))?);
    let events = Raw::new(call.datum(1).ok_or(Error::LeaseNull("event_ids"))?);
    let count = end_of(id).map_or(0, |until| store::connected(|| act(&Lease { id, until }, events)));
    call::value(count as i32)
}

/// A uuid of version 8 (RFC 9562 §5.8) that tells in microseconds when the lease ends: the events of a lease are found by that
/// time, so that leases need no index of their own. 48 bits before the version and 12 behind it hold it until the year 38000.
fn new_lease_id(until: Timestamp) -> Result<uuid::Uuid> {
    let random = u64::from_be_bytes(backup_codes_core::code::random_bytes()?);
    let time = until.0.unsigned_abs();
    let id = (u128::from(time >> 12) << 80) | (u128::from(time & 0xfff) << 64) | u128::from(random);
    Ok(uuid::Builder::from_custom_bytes(id.to_be_bytes()).into_uuid())
}

/// When a lease with that id ends; None when it is no lease's.
fn end_of(id: uuid::Uuid) -> Option<Timestamp> {
    let bits = id.as_u128();
    let time = ((bits >> 80) << 12) | ((bits >> 64) & 0xfff);
    (id.get_version_num() == 8).then(|| i64::try_from(time).ok().map(Timestamp)).flatten()
}
