//! All SQL that the extension runs, as text and kept plans; nothing else talks to SPI.
//!
//! Every statement but the two that look for users to maintain is about one user and probes an index led by user_id.
//! Each has its parameters in this order: user, event (`$2` to `$6`, see [`Stamp`]), then its own.
//!
//! Who writes, takes the account row first, in a statement of its own: what is decided is read under that lock.

pub mod checks;
mod plan;
mod statements;

use pgrx::{IntoDatum, pg_sys};

use crate::call::{self, varlena_datum};
use crate::clock::Timestamp;
use crate::code::{Alphabet, Format};
use crate::error::{Error, Result};
use crate::events::{Event, Kind, Reason, Stamp};
use crate::hash::{CodeHash, HASH_LEN, Salt, Scheme};
use crate::keys::KeyRef;
use crate::settings;
use crate::user_id::UserId;
use plan::{Row, Rows, Snapshot};

pub use plan::connected;
#[cfg(any(test, feature = "pg_test"))]
pub use statements::ALL as STATEMENTS;

/// A set's facts but for its codes.
#[derive(Clone)]
pub struct CodeSet {
    /// Its number among the user's sets.
    pub set_no: i32,
    /// How its codes are written.
    pub format: Format,
    /// How its codes are hashed.
    pub scheme: Scheme,
    /// Its salt.
    pub salt: Salt,
    /// The key it is hashed under.
    pub key: Option<KeyRef>,
    /// When it expires.
    pub expires_at: Option<Timestamp>,
}

/// An account as consume sees it.
pub struct Account {
    /// The active set.
    pub set: CodeSet,
    /// Until when the user is locked; may have passed.
    pub locked_until: Option<Timestamp>,
}

/// A failure that was counted.
pub struct Failure {
    /// The user's burned codes.
    pub burned: Vec<Burned>,
    /// When his set expires, read under the lock.
    pub expires_at: Option<Timestamp>,
    /// The user is locked now.
    pub locked: Option<Event>,
    /// There were so many that the set is to be removed.
    pub last: bool,
}

/// A code that was consumed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Burned {
    /// Its place in the list.
    pub ordinal: i16,
    /// Its hash.
    pub hash: CodeHash,
}

/// What a settings page shows.
#[derive(Default)]
pub struct Status {
    /// Unused codes of the active set, expired or not.
    pub unused: i16,
    /// Codes the set was made with.
    pub total: i16,
    /// A pending set waits, unexpired.
    pub pending: bool,
    /// When the set was made.
    pub generated_at: Option<Timestamp>,
    /// When the user proved that he saved it.
    pub confirmed_at: Option<Timestamp>,
    /// When it expires.
    pub expires_at: Option<Timestamp>,
    /// When a code of it was last accepted.
    pub last_used_at: Option<Timestamp>,
    /// Until when the user is locked.
    pub locked_until: Option<Timestamp>,
    /// Ordinals of its burned codes, ascending.
    pub used: Vec<i32>,
}

fn user(user_id: &UserId) -> Option<pg_sys::Datum> {
    Some(varlena_datum(&user_id.stored))
}

fn bytes(bytes: &[u8]) -> Option<pg_sys::Datum> {
    Some(varlena_datum(bytes))
}

fn timestamp(at: Timestamp) -> Option<pg_sys::Datum> {
    at.into_datum()
}

fn array(elements: &mut [pg_sys::Datum], element: pg_sys::BuiltinOid, length: i32, align: u8) -> Option<pg_sys::Datum> {
    // SAFETY: the elements are of that type, none of them NULL.
    unsafe {
        let array = pg_sys::construct_array(
            elements.as_mut_ptr(),
            elements.len() as i32,
            element.value(),
            length,
            false,
            align as _,
        );
        Some(array.into())
    }
}

fn bytea_array(values: &[CodeHash]) -> Option<pg_sys::Datum> {
    let mut elements: Vec<_> = values.iter().map(|value| varlena_datum(value)).collect();
    array(&mut elements, pg_sys::BuiltinOid::BYTEAOID, -1, b'i')
}

fn uuid(id: &uuid::Uuid) -> Option<pg_sys::Datum> {
    // SAFETY: 16 bytes in the current memory context, copied from the uuid.
    unsafe {
        let copy = pg_sys::palloc(16).cast::<u8>();
        copy.copy_from_nonoverlapping(id.as_bytes().as_ptr(), 16);
        Some(copy.into())
    }
}

/// The event that a statement inserted, from the columns remaining and low that it returns.
fn event(stamp: &Stamp, kind: Kind, user_id: &UserId, row: &Row<'_>) -> Event {
    Event {
        id: stamp.id,
        kind,
        user_id: user_id.utf8.clone(),
        at: stamp.at,
        remaining: row.get(1).unwrap_or_default(),
        low: row.get(2).unwrap_or_default(),
    }
}

/// The set whose facts are the first ten columns: set_no, alphabet, length, scheme, argon2_memory, argon2_iterations, salt,
/// key_id, key_check, expires_at.
fn code_set(row: &Row<'_>) -> Result<Option<CodeSet>> {
    let Some(set_no) = row.get(1) else { return Ok(None) };
    let costs = row.get::<i32>(5).zip(row.get::<i16>(6));
    let key = row.get(8).zip(row.bytes(9));
    let read = || {
        Some(CodeSet {
            set_no,
            format: Format {
                alphabet: Alphabet::from_name(&row.bytes(2)?)?,
                length: usize::try_from(row.get::<i16>(3)?).ok()?,
            },
            scheme: Scheme::from_parts(
                &row.bytes(4)?,
                costs.map(|(memory, iterations)| (memory.unsigned_abs(), iterations.unsigned_abs().into())),
            )?,
            salt: row.bytes(7)?.try_into().ok()?,
            key: match key {
                Some((id, check)) => Some(KeyRef { id, check: check.try_into().ok()? }),
                None => None,
            },
            expires_at: row.get(10),
        })
    };
    read().map(Some).ok_or(Error::Damaged("a set has an unknown format or scheme"))
}

/// Splits what account.burned holds: for each code two bytes of ordinal and its hash.
fn burned(bytes: &[u8]) -> Vec<Burned> {
    bytes
        .chunks_exact(2 + HASH_LEN)
        .map(|entry| {
            let (ordinal, hash) = entry.split_at(2);
            Burned { ordinal: i16::from_be_bytes([ordinal[0], ordinal[1]]), hash: hash.try_into().unwrap_or_default() }
        })
        .collect()
}

/// The user's active set, from a plain read: no lock, no transaction id.
pub fn account(user_id: &UserId) -> Result<Option<Account>> {
    let rows = statements::ACCOUNT.execute(Snapshot::Fresh, [user(user_id)]);
    let Some(row) = rows.first() else { return Ok(None) };
    Ok(code_set(&row)?.map(|set| Account { set, locked_until: row.get(11) }))
}

/// Spends a code: takes the account row, deletes the code, writes the account and the event. None when the code is not
/// live any more, or never was.
pub fn spend(user_id: &UserId, set_no: i32, hash: &CodeHash, stamp: &Stamp) -> Option<Event> {
    let [id, at, due, context, low] = stamp_parameters(stamp);
    let rows = statements::SPEND
        .execute(Snapshot::Fresh, [user(user_id), id, at, due, context, low, set_no.into_datum(), bytes(hash)]);
    rows.first().map(|row| event(stamp, Kind::Used, user_id, &row))
}

/// Counts a failed attempt and locks the user when it is his turn. None when he has been locked, or given another set,
/// since the account was read.
pub fn count_failure(user_id: &UserId, set_no: i32, stamp: &Stamp) -> Option<Failure> {
    let [id, at, due, context, low] = stamp_parameters(stamp);
    let rows = statements::COUNT_FAILURE.execute(
        Snapshot::Fresh,
        [
            user(user_id),
            id,
            at,
            due,
            context,
            low,
            set_no.into_datum(),
            settings::max_failures().into_datum(),
            timestamp(stamp.locked_until()),
            settings::disable_after().into_datum(),
        ],
    );
    let row = rows.first()?;
    let locked = row.get::<i16>(1).map(|_| event(stamp, Kind::Locked, user_id, &row));
    Some(Failure {
        burned: burned(&row.bytes(4).unwrap_or_default()),
        expires_at: row.get(5),
        locked,
        last: row.get(3).unwrap_or_default(),
    })
}

/// Removes the active set after too many failures. To be called after [`count_failure`], under whose lock it is.
pub fn remove_active(user_id: &UserId, stamp: &Stamp) -> Option<Event> {
    act(&statements::REMOVE_ACTIVE, Kind::Disabled, user_id, stamp)
}

/// Counts a wrong proof; whether there were so many that the pending set is to be dropped. To be called after [`take`].
pub fn count_proof(user_id: &UserId) -> bool {
    let parameters = [user(user_id), settings::max_failures().into_datum()];
    let rows = statements::COUNT_PROOF.execute(Snapshot::Fresh, parameters);
    rows.first().and_then(|row| row.get(1)).unwrap_or_default()
}

/// Whether the set has such a code, unburned.
pub fn has_code(user_id: &UserId, set_no: i32, hash: &CodeHash) -> bool {
    let parameters = [user(user_id), set_no.into_datum(), bytes(hash)];
    statements::HAS_CODE.execute(Snapshot::Fresh, parameters).first().is_some()
}

fn stamp_parameters(stamp: &Stamp) -> [Option<pg_sys::Datum>; 5] {
    [
        uuid(&stamp.id),
        timestamp(stamp.at),
        stamp.due_at.and_then(timestamp),
        stamp.context.as_ref().map(|context| varlena_datum(context.as_bytes())),
        stamp.low.into_datum(),
    ]
}

/// A set to be made.
pub struct NewSet {
    /// How its codes are written.
    pub format: Format,
    /// How they are hashed.
    pub scheme: Scheme,
    /// Its salt.
    pub salt: Salt,
    /// The key they are hashed under.
    pub key: Option<KeyRef>,
    /// When it expires.
    pub expires_at: Option<Timestamp>,
    /// Its codes, in the order in which they are shown.
    pub hashes: Vec<CodeHash>,
}

impl NewSet {
    fn parameters(&self) -> [Option<pg_sys::Datum>; 10] {
        let costs = self.scheme.costs();
        [
            bytes(self.format.alphabet.name().as_bytes()),
            (self.format.length as i16).into_datum(),
            bytes(self.scheme.name().as_bytes()),
            costs.and_then(|(memory, _)| (memory as i32).into_datum()),
            costs.and_then(|(_, iterations)| (iterations as i16).into_datum()),
            bytes(&self.salt),
            self.key.and_then(|key| key.id.into_datum()),
            self.key.and_then(|key| bytes(&key.check)),
            (self.hashes.len() as i16).into_datum(),
            self.expires_at.and_then(timestamp),
        ]
    }
}

/// Makes the set the user's active one; whatever he had is gone.
pub fn replace(user_id: &UserId, set: &NewSet, stamp: &Stamp) -> Option<Event> {
    let [alphabet, length, scheme, memory, iterations, salt, key, check, total, expires_at] = set.parameters();
    let rows = statements::ACTIVATE_NEW.execute(
        Snapshot::Fresh,
        [
            user(user_id),
            timestamp(stamp.at),
            alphabet,
            length,
            scheme,
            memory,
            iterations,
            salt,
            key,
            check,
            total,
            expires_at,
        ],
    );
    let row = rows.first()?;
    let kind = if row.get::<i32>(2).is_some() { Kind::Replaced } else { Kind::Generated };
    let [id, at, due, context, low] = stamp_parameters(stamp);
    let rows = statements::REPLACE.execute(
        Snapshot::Fresh,
        [
            user(user_id),
            id,
            at,
            due,
            context,
            low,
            row.datum(1),
            bytea_array(&set.hashes),
            bytes(kind.name().as_bytes()),
        ],
    );
    rows.first().map(|row| event(stamp, kind, user_id, &row))
}

/// Makes the set the user's pending one; a former pending set is gone, the active one stays.
pub fn prepare(user_id: &UserId, set: &NewSet, stamp: &Stamp) -> Option<Event> {
    let rows = statements::COUNT_SET.execute(Snapshot::Fresh, [user(user_id)]);
    let row = rows.first()?;
    let [id, at, due, context, low] = stamp_parameters(stamp);
    let [alphabet, length, scheme, memory, iterations, salt, key, check, total, expires_at] = set.parameters();
    let rows = statements::PREPARE.execute(
        Snapshot::Fresh,
        [
            user(user_id),
            id,
            at,
            due,
            context,
            low,
            row.datum(1),
            row.datum(2),
            row.datum(3),
            bytea_array(&set.hashes),
            alphabet,
            length,
            scheme,
            memory,
            iterations,
            salt,
            key,
            check,
            total,
            expires_at,
        ],
    );
    rows.first().map(|row| event(stamp, Kind::Prepared, user_id, &row))
}

/// Takes the account row, by writing it, and tells the unused codes of the active set. None for a user without one: a
/// garbage id leaves no row.
pub fn take(user_id: &UserId) -> Option<i16> {
    statements::TAKE.execute(Snapshot::Fresh, [user(user_id)]).first()?.get(1)
}

/// The pending set. To be read after [`take`].
pub fn pending(user_id: &UserId) -> Result<Option<CodeSet>> {
    let rows = statements::PENDING.execute(Snapshot::Fresh, [user(user_id)]);
    rows.first().map_or(Ok(None), |row| code_set(&row))
}

/// Runs a statement that takes user and stamp and returns the event it inserted.
fn act(statement: &plan::Statement, kind: Kind, user_id: &UserId, stamp: &Stamp) -> Option<Event> {
    let [id, at, due, context, low] = stamp_parameters(stamp);
    let rows = statement.execute(Snapshot::Fresh, [user(user_id), id, at, due, context, low]);
    rows.first().map(|row| event(stamp, kind, user_id, &row))
}

/// Makes the pending set the active one. To be called after [`take`].
pub fn confirm(user_id: &UserId, stamp: &Stamp) -> Option<Event> {
    act(&statements::CONFIRM, Kind::Confirmed, user_id, stamp)
}

/// Drops the pending set. To be called after [`take`].
pub fn cancel(user_id: &UserId, reason: Reason, stamp: &Stamp) -> Option<Event> {
    let [id, at, due, context, low] = stamp_parameters(stamp);
    let reason = bytes(reason.name().as_bytes());
    let rows = statements::CANCEL.execute(Snapshot::Fresh, [user(user_id), id, at, due, context, low, reason]);
    rows.first().map(|row| event(stamp, Kind::Cancelled, user_id, &row))
}

/// Removes active and pending set and the lock. To be called after [`take`].
pub fn disable(user_id: &UserId, stamp: &Stamp) -> Option<Event> {
    act(&statements::DISABLE, Kind::Disabled, user_id, stamp)
}

/// Removes every row of the user.
pub fn forget(user_id: &UserId) {
    take(user_id);
    statements::FORGET.execute(Snapshot::Fresh, [user(user_id)]);
}

/// Unused codes of the active set, and when it expires.
pub fn remaining(user_id: &UserId) -> Option<(i16, Option<Timestamp>)> {
    let rows = statements::REMAINING.execute(Snapshot::Callers, [user(user_id)]);
    let row = rows.first()?;
    Some((row.get(1)?, row.get(2)))
}

/// What a settings page shows.
pub fn status(user_id: &UserId) -> Option<Status> {
    let rows = statements::STATUS.execute(Snapshot::Callers, [user(user_id)]);
    let row = rows.first()?;
    let mut used: Vec<i32> = burned(&row.bytes(9).unwrap_or_default()).iter().map(|code| code.ordinal.into()).collect();
    used.sort_unstable();
    Some(Status {
        unused: row.get(1).unwrap_or_default(),
        total: row.get(2).unwrap_or_default(),
        pending: row.get(3).unwrap_or_default(),
        generated_at: row.get(4),
        confirmed_at: row.get(5),
        expires_at: row.get(6),
        last_used_at: row.get(7),
        locked_until: row.get(8),
        used,
    })
}

/// A user of a maintenance batch.
struct Member {
    stored: Vec<u8>,
    event_id: uuid::Uuid,
}

/// The users that a statement returned, each with an id for his event.
fn members(rows: &Rows, stamp: &Stamp) -> Result<Vec<Member>> {
    rows.iter()
        .map(|row| Ok(Member { stored: row.bytes(1).unwrap_or_default(), event_id: crate::events::new_id(stamp.at)? }))
        .collect()
}

fn member_parameters(members: &[Member]) -> [Option<pg_sys::Datum>; 2] {
    let mut users: Vec<_> = members.iter().map(|m| varlena_datum(&m.stored)).collect();
    let mut events: Vec<_> = members.iter().filter_map(|m| uuid(&m.event_id)).collect();
    [
        array(&mut users, pg_sys::BuiltinOid::TEXTOID, -1, b'i'),
        array(&mut events, pg_sys::BuiltinOid::UUIDOID, 16, b'c'),
    ]
}

/// The events that a batch inserted, from the columns user_id, event_id, remaining and low; without event_id there was none.
fn batch_events(rows: &Rows, kind: Kind, at: Timestamp) -> Vec<Event> {
    rows.iter()
        .filter_map(|row| {
            Some(Event {
                id: call::uuid(row.datum(2)?),
                kind,
                user_id: crate::encoding::to_utf8(&row.bytes(1)?)?,
                at,
                remaining: row.get(3).unwrap_or_default(),
                low: row.get(4).unwrap_or_default(),
            })
        })
        .collect()
}

/// Removes the sets of up to `max_users` users that were made before a point in time.
pub fn revoke_all(issued_before: Timestamp, max_users: i32, stamp: &Stamp) -> Result<Vec<Event>> {
    let rows = statements::REVOCABLE.execute(Snapshot::Fresh, [timestamp(issued_before), max_users.into_datum()]);
    let [users, events] = member_parameters(&members(&rows, stamp)?);
    let [_, at, due, context, low] = stamp_parameters(stamp);
    let rows =
        statements::REVOKE.execute(Snapshot::Fresh, [users, events, at, due, context, low, timestamp(issued_before)]);
    Ok(batch_events(&rows, Kind::Revoked, stamp.at))
}

/// Removes what has been dead since before a point in time, of up to `max_users` users; how many users, and the events.
pub fn purge(cutoff: Timestamp, undelivered: bool, max_users: i32, stamp: &Stamp) -> Result<(usize, Vec<Event>)> {
    let undelivered = undelivered.into_datum();
    let rows = statements::PURGEABLE.execute(Snapshot::Fresh, [timestamp(cutoff), undelivered, max_users.into_datum()]);
    let [users, _] = member_parameters(&members(&rows, stamp)?);
    let rows = statements::LOCK_IDLE.execute(Snapshot::Fresh, [users]);
    let [users, events] = member_parameters(&members(&rows, stamp)?);
    let [_, at, due, context, low] = stamp_parameters(stamp);
    let rows = statements::PURGE
        .execute(Snapshot::Fresh, [users, events, at, due, context, low, timestamp(cutoff), undelivered]);
    Ok((rows.iter().count(), batch_events(&rows, Kind::Cancelled, stamp.at)))
}

/// The keys that sets need, and how many users have such sets.
pub fn keys_in_use() -> Vec<(i32, i64)> {
    let rows = statements::KEYS_IN_USE.execute(Snapshot::Callers, []);
    rows.iter().filter_map(|row| Some((row.get(1)?, row.get(2)?))).collect()
}
