//! Sets: active and pending, made and removed; and what a settings page shows of them.

use std::collections::HashMap;

use pgrx::{IntoDatum, pg_sys};

use super::plan::{Row, Snapshot};
use super::{News, act, array, bytes, event, letter, shared, statements, timestamp, user, uuid};
use crate::events::{Event, Kind, Reason, new_id, new_ids};
use crate::key_file::KeyRef;
use crate::pg::clock::Timestamp;
use crate::pg::error::{Error, Result};
use crate::settings;
use crate::user_id::UserId;
use backup_codes_core::code::{Alphabet, Format};
use backup_codes_core::hash::{CodeHash, HASH_LEN, Salt, Scheme};

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

    fn insert_codes(&self, user_id: &UserId, set_no: i32) {
        let codes = self.sorted_codes();
        let ordinals = array::int2s(codes.iter().map(|(ordinal, _)| *ordinal));
        let hashes = array::byteas(codes.iter().map(|(_, hash)| &hash[..]));
        statements::MAKE.execute(Snapshot::Fresh, [user(user_id), set_no.into_datum(), ordinals, hashes]);
    }

    /// The codes in the order of the index, in which inserting them is cheapest.
    fn sorted_codes(&self) -> Vec<(i16, CodeHash)> {
        let mut codes = self.codes.clone();
        codes.sort_unstable_by_key(|(_, hash)| *hash);
        codes
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
    News::of_active(kind_of_new(&row), set_no, set.codes.len() as i16).insert(user_id, at).map(Some)
}

/// Makes each set the active one of its user; whatever they had is gone. The sets differ in salt and codes only.
pub fn replace_many(users: &[UserId], sets: &[NewSet], at: Timestamp) -> Result<Vec<Event>> {
    let Some(first) = sets.first() else { return Ok(Vec::new()) };
    let [alphabet, length, scheme, memory, iterations, _, key, check, total, expires_at] = first.parameters();
    let rows = statements::ACTIVATE_MANY.execute(
        Snapshot::Fresh,
        [
            array::texts(users.iter().map(|user_id| &*user_id.stored)),
            array::byteas(sets.iter().map(|set| &set.salt[..])),
            timestamp(at),
            alphabet,
            length,
            scheme,
            memory,
            iterations,
            key,
            check,
            total,
            expires_at,
        ],
    );
    // The number of each user's set, and what became of a former one.
    let made: HashMap<Vec<u8>, (i32, Kind)> =
        rows.iter().filter_map(|row| Some((row.bytes(3)?, (row.get(1)?, kind_of_new(&row))))).collect();
    let made: Option<Vec<(i32, Kind)>> = users.iter().map(|user_id| made.get(&user_id.stored).copied()).collect();
    let made = made.ok_or(Error::Damaged("an account was written and is not there"))?;

    let had: Vec<_> =
        users.iter().zip(&made).filter(|(_, (set_no, _))| *set_no > 1).map(|(user_id, _)| user_id).collect();
    if !had.is_empty() {
        statements::CLEAR_MANY
            .execute(Snapshot::Fresh, [array::texts(had.into_iter().map(|user_id| &*user_id.stored))]);
    }

    let codes: Vec<_> = sets.iter().map(NewSet::sorted_codes).collect();
    let each = || {
        users
            .iter()
            .zip(&made)
            .zip(&codes)
            .flat_map(|((user_id, made), codes)| codes.iter().map(move |code| (user_id, made.0, code)))
    };
    statements::MAKE_MANY.execute(
        Snapshot::Fresh,
        [
            array::texts(each().map(|(user_id, _, _)| &*user_id.stored)),
            array::int4s(each().map(|(_, set_no, _)| set_no)),
            array::int2s(each().map(|(_, _, (ordinal, _))| *ordinal)),
            array::byteas(each().map(|(_, _, (_, hash))| &hash[..])),
        ],
    );

    let ids = new_ids(at, users.len())?;
    let [at_datum, due, context, _] = shared(at);
    let remaining = first.codes.len() as i16;
    let low = i32::from(remaining) <= settings::low();
    statements::TELL_MANY.execute(
        Snapshot::Fresh,
        [
            array::texts(users.iter().map(|user_id| &*user_id.stored)),
            array::uuids(ids.iter()),
            at_datum,
            due,
            context,
            array::texts(made.iter().map(|(_, kind)| kind.name().as_bytes())),
            array::int4s(made.iter().map(|(set_no, _)| *set_no)),
            remaining.into_datum(),
            low.into_datum(),
        ],
    );
    let told = users.iter().zip(ids).zip(made);
    Ok(told
        .map(|((user_id, id), (_, kind))| Event { id, kind, user_id: user_id.utf8.clone(), at, remaining, low })
        .collect())
}

/// What making a set active was, from the number of the replaced one in the second column.
fn kind_of_new(row: &Row<'_>) -> Kind {
    if row.get::<i32>(2).is_some() { Kind::Replaced } else { Kind::Generated }
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
