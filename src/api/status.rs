//! remaining and status: plain reads on the snapshot of the calling statement, so they work on a hot standby.

use pgrx::{IntoDatum, pg_sys};

use crate::pg::call::{self, Call};
use crate::pg::clock::{self, Timestamp};
use crate::pg::error::Result;
use crate::settings;
use crate::store;
use crate::throttle::Odometer;
use crate::user_id::UserId;

/// `backup_codes_remaining(user_id) → integer`: 0 for a user without a valid set. No argument raises.
pub fn remaining(call: &Call) -> Result<pg_sys::Datum> {
    let found = match UserId::read(call) {
        Ok(user_id) => store::connected(|| store::remaining(&user_id))?,
        Err(_) => None,
    };
    call::value(found.map_or(0, |set| valid(set.unused, set.expires_at)))
}

/// `backup_codes_status(user_id)`: always one row. No argument raises.
pub fn status(call: &Call) -> Result<pg_sys::Datum> {
    let (status, locked_until) = match UserId::read(call) {
        Ok(user_id) => {
            let odometer = Odometer::of_attempts(&user_id);
            let charged_before = odometer.reading();
            let status = store::connected(|| store::status(&user_id))?.unwrap_or_default();
            let locked_until = status.known.and_then(|known| odometer.lock(&known, charged_before, clock::now()));
            (status, locked_until)
        }
        Err(_) => Default::default(),
    };
    let remaining = valid(status.unused, status.expires_at);
    let rows = call.rows();
    rows.push([
        (remaining > 0).into_datum(),
        remaining.into_datum(),
        i32::from(status.total).into_datum(),
        (status.total > 0 && remaining <= settings::low()).into_datum(),
        status.pending.into_datum(),
        status.generated_at.into_datum(),
        status.confirmed_at.into_datum(),
        status.expires_at.into_datum(),
        status.last_used_at.into_datum(),
        locked_until.into_datum(),
        status.used.into_datum(),
    ]);
    rows.done()
}

/// Unused codes that would still be accepted.
fn valid(unused: i16, expires_at: Option<Timestamp>) -> i32 {
    if expires_at.is_some_and(|at| at <= clock::now()) { 0 } else { unused.into() }
}
