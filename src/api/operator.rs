//! revoke_all and purge: maintenance in batches, called until they return 0; and keys.

use std::collections::BTreeMap;

use pgrx::{IntoDatum, pg_sys};

use crate::announce;
use crate::key_file;
use crate::pg::call::{self, Call, Interval};
use crate::pg::clock::{self, Timestamp};
use crate::pg::error::{Error, Result};
use crate::store;

/// `backup_codes_revoke_all(issued_before, max_users) → bigint`. Raises 22004, 22023, 25006.
pub fn revoke_all(call: &Call) -> Result<pg_sys::Datum> {
    call::require_writable()?;
    let issued_before: Timestamp = call.get(0).ok_or(Error::Null("issued_before"))?;
    let max_users = max_users(call, 1)?;
    let events = store::connected(|| store::revoke_all(issued_before, max_users, clock::now()))?;
    announce::at_commit(&events);
    call::value(events.len() as i64)
}

/// `backup_codes_purge(older_than, undelivered, max_users) → bigint`. Raises 22004, 22023, 25006.
pub fn purge(call: &Call) -> Result<pg_sys::Datum> {
    call::require_writable()?;
    let older_than: Interval = call.interval(0).ok_or(Error::Null("older_than"))?;
    let undelivered = call.get(1).ok_or(Error::Null("undelivered"))?;
    let max_users = max_users(call, 2)?;
    let now = clock::now();
    let cutoff = clock::cutoff(now, older_than)?;
    let purged = store::connected(|| store::purge(cutoff, undelivered, max_users, now))?;
    announce::at_commit(purged.iter().flatten());
    call::value(purged.len() as i64)
}

/// `backup_codes_keys()`: a row for each key that the file holds or a set needs. A file out of order holds none.
pub fn keys(call: &Call) -> Result<pg_sys::Datum> {
    let keyring = key_file::all().ok().flatten();
    let current = keyring.as_ref().and_then(|keyring| keyring.current()).map(|key| key.id());
    let in_use = store::connected(store::keys_in_use)?;
    let mut users: BTreeMap<i32, i64> = in_use.into_iter().map(|key| (key.key_id, key.users)).collect();
    for key in keyring.iter().flat_map(|keyring| keyring.iter()) {
        users.entry(key.id()).or_default();
    }
    let rows = call.rows();
    for (id, users) in users {
        let key = keyring.as_ref().and_then(|keyring| keyring.get(id));
        rows.push([
            id.into_datum(),
            key.is_some().into_datum(),
            (current == Some(id)).into_datum(),
            users.into_datum(),
            key.map(|key| hex::encode(key.check())).into_datum(),
        ]);
    }
    rows.done()
}

fn max_users(call: &Call, index: usize) -> Result<i32> {
    let max_users = call.get(index).ok_or(Error::Null("max_users"))?;
    if max_users < 1 {
        return Err(Error::OutOfRange { name: "max_users", range: "at least 1".into() });
    }
    Ok(max_users)
}
