//! Sets: active and pending, made and removed; and what a settings page shows of them.

use pgrx::{IntoDatum, pg_sys};

use super::plan::{Row, Snapshot};
use super::{Element, News, act, bytes, event, letter, shared, statements, timestamp, user, uuid};
use crate::clock::Timestamp;
use crate::code::{Alphabet, Format};
use crate::error::{Error, Result};
use crate::events::{Event, Kind, Reason, new_id};
use crate::hash::{CodeHash, HASH_LEN, Salt, Scheme};
use crate::keys::KeyRef;
use crate::settings;
use crate::user_id::UserId;

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

/// The set whose facts are the first ten columns: set_no, alphabet, length, scheme, argon2_memory, argon2_iterations, salt,
/// key_id, key_check, expires_at.
pub(super) fn code_set(row: &Row<'_>) -> Result<Option<CodeSet>> {
    let Some(set_no) = row.get(1) else { return Ok(None) };
    let costs = row.get::<i32>(5).zip(row.get::<i16>(6));
    let key = row.get(8).zip(row.bytes(9));
    let read = || {
        Some(CodeSet {
            set_no,
            format: Format {
                alphabet: Alphabet::from_letter(row.letter(2)?)?,
                length: usize::try_from(row.get::<i16>(3)?).ok()?,
            },
            scheme: Scheme::from_parts(
                row.letter(4)?,
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
    /// Its codes: the place of each in the list as it is shown, and its hash.
    pub codes: Vec<(i16, CodeHash)>,
}

impl NewSet {
    fn parameters(&self) -> [Option<pg_sys::Datum>; 10] {
        let costs = self.scheme.costs();
        [
            letter(self.format.alphabet.letter()),
            (self.format.length as i16).into_datum(),
            letter(self.scheme.letter()),
            costs.and_then(|(memory, _)| (memory as i32).into_datum()),
            costs.and_then(|(_, iterations)| (iterations as i16).into_datum()),
            bytes(&self.salt),
            self.key.and_then(|key| key.id.into_datum()),
            self.key.and_then(|key| bytes(&key.check)),
            (self.codes.len() as i16).into_datum(),
            self.expires_at.and_then(timestamp),
        ]
    }

    /// In the order of their hashes, which is that of the index and packs it densely: 40 bytes a code instead of 74.
    fn insert_codes(&self, user_id: &UserId, set_no: i32) {
        let mut codes = self.codes.clone();
        codes.sort_unstable_by_key(|(_, hash)| *hash);
        let ordinals = Element::INT2.array(codes.iter().map(|(ordinal, _)| ordinal.into_datum()));
        let hashes = Element::BYTEA.array(codes.iter().map(|(_, hash)| bytes(hash)));
        statements::MAKE.execute(Snapshot::Fresh, [user(user_id), set_no.into_datum(), ordinals, hashes]);
    }
}

/// Makes the set the user's active one; whatever he had is gone.
pub fn replace(user_id: &UserId, set: &NewSet, at: Timestamp) -> Result<Option<Event>> {
    let [alphabet, length, scheme, memory, iterations, salt, key, check, total, expires_at] = set.parameters();
    let rows = statements::ACTIVATE_NEW.execute(
        Snapshot::Fresh,
        [
            user(user_id),
            timestamp(at),
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
    let Some(row) = rows.first() else { return Ok(None) };
    let set_no: i32 = row.get(1).unwrap_or_default();
    // The user's first set has nothing to clear away.
    if set_no > 1 {
        statements::CLEAR.execute(Snapshot::Fresh, [user(user_id), None, true.into_datum()]);
    }
    set.insert_codes(user_id, set_no);
    let kind = if row.get::<i32>(2).is_some() { Kind::Replaced } else { Kind::Generated };
    News::of_active(kind, set_no, set.codes.len() as i16).insert(user_id, at).map(Some)
}

/// Makes the set the user's pending one; a former pending set is gone, the active one stays.
pub fn prepare(user_id: &UserId, set: &NewSet, at: Timestamp) -> Result<Option<Event>> {
    let rows = statements::COUNT_SET.execute(Snapshot::Fresh, [user(user_id)]);
    let Some(row) = rows.first() else { return Ok(None) };
    let (set_no, active, unused) = (row.get(1).unwrap_or_default(), row.get::<i32>(2), row.get(3).unwrap_or_default());
    if set_no > 1 {
        statements::CLEAR.execute(Snapshot::Fresh, [user(user_id), row.datum(2), false.into_datum()]);
    }
    set.insert_codes(user_id, set_no);
    let [alphabet, length, scheme, memory, iterations, salt, key, check, total, expires_at] = set.parameters();
    statements::KEEP_PENDING.execute(
        Snapshot::Fresh,
        [
            user(user_id),
            set_no.into_datum(),
            timestamp(at),
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
    let news = News::of_active(Kind::Prepared, set_no, unused);
    let low = news.low && active.is_some();
    News { low, ..news }.insert(user_id, at).map(Some)
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

/// Counts a wrong proof; whether there were so many that the pending set is to be dropped. To be called after [`take`].
pub fn count_proof(user_id: &UserId) -> bool {
    let parameters = [user(user_id), settings::max_failures().into_datum()];
    let rows = statements::COUNT_PROOF.execute(Snapshot::Fresh, parameters);
    rows.first().and_then(|row| row.get(1)).unwrap_or_default()
}

/// Makes the pending set the active one. To be called after [`take`].
pub fn confirm(user_id: &UserId, at: Timestamp) -> Result<Option<Event>> {
    act(&statements::CONFIRM, Kind::Confirmed, user_id, at)
}

/// Drops the pending set. To be called after [`take`].
pub fn cancel(user_id: &UserId, reason: Reason, at: Timestamp) -> Result<Option<Event>> {
    let id = new_id(at)?;
    let [at_datum, due, context, low] = shared(at);
    let reason = bytes(reason.name().as_bytes());
    let parameters = [user(user_id), uuid(&id), at_datum, due, context, low, reason];
    let rows = statements::CANCEL.execute(Snapshot::Fresh, parameters);
    Ok(rows.first().map(|row| event(id, Kind::Cancelled, user_id, at, &row)))
}

/// Removes active and pending set and the lock. To be called after [`take`].
pub fn disable(user_id: &UserId, at: Timestamp) -> Result<Option<Event>> {
    act(&statements::DISABLE, Kind::Disabled, user_id, at)
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
    let mut used: Vec<i32> = burned(&row.bytes(9).unwrap_or_default()).map(|code| code.ordinal.into()).collect();
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

/// A code that was consumed.
pub(super) struct Burned<'a> {
    ordinal: i16,
    pub(super) hash: &'a [u8],
}

/// The codes in account.burned, which holds two bytes of ordinal and the hash for each.
pub(super) fn burned(bytes: &[u8]) -> impl Iterator<Item = Burned<'_>> {
    bytes.chunks_exact(2 + HASH_LEN).map(|entry| {
        let (ordinal, hash) = entry.split_at(2);
        Burned { ordinal: i16::from_be_bytes([ordinal[0], ordinal[1]]), hash }
    })
}
