//! Sets, active or pending, as they are made.

use std::collections::HashMap;

use backup_codes_core::hash::CodeHash;
use uuid::Uuid;

use super::array;
use super::event::{Act, News, act, insert_event, is_low};
use super::facts::{Facts, FactsOfMany, FactsOfOne, Stored, facts};
use super::mark::{acquit, acquit_proofs};
use super::statement::{Statement, statement};
use super::value::{ByteaArray, IntegerArray, Raw, SmallintArray, TextArray, UuidArray};
use crate::events::{Event, Kind, new_ids};
use crate::pg::clock::Timestamp;
use crate::pg::error::{Error, Result};
use crate::user_id::UserId;

/// A set with its number among the user's sets.
#[derive(Clone)]
pub struct CodeSet {
    /// Its number.
    pub set_no: i32,
    /// Everything else but its codes.
    pub facts: Facts,
}

impl CodeSet {
    /// The set that a row holds; None without one. Raises XX001 for one that our functions cannot have written.
    pub fn read(set_no: Option<i32>, stored: Stored) -> Result<Option<Self>> {
        let Some(set_no) = set_no else { return Ok(None) };
        let facts = stored.facts().ok_or(Error::Damaged("a set has an unknown format or scheme"))?;
        Ok(Some(Self { set_no, facts }))
    }
}

/// A set to be made.
pub struct NewSet {
    /// Everything but its codes.
    pub facts: Facts,
    /// Its codes: the place of each in the list as it is shown, and its hash.
    pub codes: Vec<(i16, CodeHash)>,
}

impl NewSet {
    fn insert_codes(&self, user_id: &UserId, set_no: i32) {
        let codes = self.sorted_codes();
        let ordinals = array::int2s(codes.iter().map(|(ordinal, _)| *ordinal));
        let code_hashes = array::byteas(codes.iter().map(|(_, hash)| &hash[..]));
        InsertCodes { user_id, set_no, ordinals, code_hashes }.run();
    }

    /// The codes in the order of the index, in which inserting them is cheapest.
    fn sorted_codes(&self) -> Vec<(i16, CodeHash)> {
        let mut codes = self.codes.clone();
        codes.sort_unstable_by_key(|(_, hash)| *hash);
        codes
    }
}

/// Makes a new set the active one of whoever stands in the source.
macro_rules! activate {
    ($source:expr) => {
        concat!(
            "INSERT INTO backup_codes.account AS a (user_id, set_counter, set_no, unused, ",
            facts!(names),
            ") ",
            $source,
            " ON CONFLICT (user_id) DO UPDATE
                SET set_counter = a.set_counter + 1, set_no = a.set_counter + 1, replaced_set_no = a.set_no,
                    confirmed_at = NULL, last_used_at = NULL, locked_until = NULL, failures = 0,
                    failures_at_lock = 0, unused = excluded.unused, burned = '', ",
            facts!(set_excluded),
            " RETURNING "
        )
    };
}

statement! {
    Activate<'a>: User, Fresh
    (user_id: &'a UserId; ..facts: FactsOfOne)
    [activate!(concat!("VALUES ($user_id, 1, 1, $total, ", facts!(of_one), ")"))]
    => Activated { set_no: i32, replaced_set_no: Option<i32> }
    [""]
}

statement! {
    /// Removes the codes of every set but one, and the pending set where that is asked for.
    Clear<'a>: User, Fresh
    (user_id: &'a UserId, kept_set_no: Option<i32>, pending: bool)
    ["WITH dropped AS (
        DELETE FROM backup_codes.pending_set WHERE user_id = $user_id AND $pending
      )
      DELETE FROM backup_codes.code WHERE user_id = $user_id AND set_no IS DISTINCT FROM $kept_set_no"]
}

statement! {
    /// Arrays are unnested in the target list, where rows come one by one: in FROM each of them would be stored first, which took
    /// a fifth of enrolling.
    InsertCodes<'a>: User, Fresh
    (user_id: &'a UserId, set_no: i32, ordinals: Raw<SmallintArray>, code_hashes: Raw<ByteaArray>)
    ["INSERT INTO backup_codes.code (user_id, set_no, ordinal, code_hash)
      SELECT $user_id, $set_no, unnest($ordinals), unnest($code_hashes)"]
}

/// Makes the set the user's active one; whatever they had is gone.
pub fn replace(user_id: &UserId, set: &NewSet, at: Timestamp) -> Result<Option<Event>> {
    let Some(activated) = (Activate { user_id, facts: set.facts.stored().into() }).first()? else { return Ok(None) };
    acquit(user_id);
    // The user's first set has nothing to clear away.
    if activated.set_no > 1 {
        Clear { user_id, kept_set_no: None, pending: true }.run();
    }
    set.insert_codes(user_id, activated.set_no);
    let kind = kind_of_new(activated.replaced_set_no);
    News::of_active(kind, activated.set_no, set.facts.total).insert(user_id, at).map(Some)
}

/// What making a set active was.
fn kind_of_new(replaced_set_no: Option<i32>) -> Kind {
    if replaced_set_no.is_some() { Kind::Replaced } else { Kind::Generated }
}

statement! {
    ActivateMany: Users, Fresh
    (users: Raw<TextArray>; ..facts: FactsOfMany)
    [activate!(concat!("SELECT unnest($users), 1, 1, $total, ", facts!(of_many)))]
    => ActivatedOfMany { user_id: UserId, set_no: i32, replaced_set_no: Option<i32> }
    [""]
}

statement! {
    /// Removes every code and every pending set of many users.
    ClearMany: Users, Fresh
    (users: Raw<TextArray>)
    ["WITH dropped AS (
        DELETE FROM backup_codes.pending_set WHERE user_id = ANY ($users)
      )
      DELETE FROM backup_codes.code WHERE user_id = ANY ($users)"]
}

statement! {
    InsertCodesOfMany: Users, Fresh
    (users: Raw<TextArray>, set_nos: Raw<IntegerArray>, ordinals: Raw<SmallintArray>, code_hashes: Raw<ByteaArray>)
    ["INSERT INTO backup_codes.code (user_id, set_no, ordinal, code_hash)
      SELECT unnest($users), unnest($set_nos), unnest($ordinals), unnest($code_hashes)"]
}

statement! {
    TellMany: Users, Fresh
    (users: Raw<TextArray>, event_ids: Raw<UuidArray>, kinds: Raw<TextArray>, set_nos: Raw<IntegerArray>, remaining: i16,
     low: bool; ..act: Act)
    [insert_event!(), "SELECT unnest($users), unnest($event_ids), ", act!(),
     ", unnest($kinds), NULL, unnest($set_nos), NULL, $remaining, $low"]
}

/// Makes each set the active one of its user; whatever they had is gone. The sets differ in what [`FactsOfMany`] says.
pub fn replace_many(users: &[UserId], sets: &[NewSet], at: Timestamp) -> Result<Vec<Event>> {
    let facts = FactsOfMany::of(sets.iter().map(|set| set.facts.stored()).collect());
    let Some((first, facts)) = sets.first().zip(facts) else { return Ok(Vec::new()) };
    let ids = array::texts(users.iter().map(|user_id| &*user_id.stored));
    // The number of each user's set, and what became of a former one.
    let made: HashMap<Vec<u8>, (i32, Kind)> = (ActivateMany { users: ids, facts })
        .rows()
        .map(|row| row.map(|row| (row.user_id.stored, (row.set_no, kind_of_new(row.replaced_set_no)))))
        .collect::<Result<_>>()?;
    let made: Option<Vec<(i32, Kind)>> = users.iter().map(|user_id| made.get(&user_id.stored).copied()).collect();
    let made = made.ok_or(Error::Damaged("an account was written and is not there"))?;

    users.iter().for_each(acquit);
    let had: Vec<_> =
        users.iter().zip(&made).filter(|(_, (set_no, _))| *set_no > 1).map(|(user_id, _)| &*user_id.stored).collect();
    if !had.is_empty() {
        ClearMany { users: array::texts(had.into_iter()) }.run();
    }

    let codes: Vec<_> = sets.iter().map(NewSet::sorted_codes).collect();
    let each = || {
        users
            .iter()
            .zip(&made)
            .zip(&codes)
            .flat_map(|((user_id, made), codes)| codes.iter().map(move |code| (user_id, made.0, code)))
    };
    InsertCodesOfMany {
        users: array::texts(each().map(|(user_id, _, _)| &*user_id.stored)),
        set_nos: array::int4s(each().map(|(_, set_no, _)| set_no)),
        ordinals: array::int2s(each().map(|(_, _, (ordinal, _))| *ordinal)),
        code_hashes: array::byteas(each().map(|(_, _, (_, hash))| &hash[..])),
    }
    .run();

    let event_ids: Vec<Uuid> = new_ids(at, users.len())?;
    let remaining = first.facts.total;
    let low = is_low(remaining);
    TellMany {
        users: array::texts(users.iter().map(|user_id| &*user_id.stored)),
        event_ids: array::uuids(event_ids.iter()),
        kinds: array::texts(made.iter().map(|(_, kind)| kind.name().as_bytes())),
        set_nos: array::int4s(made.iter().map(|(set_no, _)| *set_no)),
        remaining,
        low,
        act: Act::at(at),
    }
    .run();
    let told = users.iter().zip(event_ids).zip(made);
    Ok(told
        .map(|((user_id, id), (_, kind))| Event { id, kind, user_id: user_id.utf8.clone(), at, remaining, low })
        .collect())
}

statement! {
    /// Takes the account row by writing it, made if need be, and gives the next set its number.
    CountSet<'a>: User, Fresh
    (user_id: &'a UserId)
    ["INSERT INTO backup_codes.account AS a (user_id, set_counter) VALUES ($user_id, 1)
      ON CONFLICT (user_id) DO UPDATE SET set_counter = a.set_counter + 1
      RETURNING "]
    => CountedSet { set_counter: i32, active_set_no: Option<i32> = "set_no", unused: i16 }
    [""]
}

statement! {
    KeepPending<'a>: User, Fresh
    (user_id: &'a UserId, set_no: i32; ..facts: FactsOfOne)
    ["INSERT INTO backup_codes.pending_set AS p (user_id, set_no, ", facts!(names), ")
      VALUES ($user_id, $set_no, ", facts!(of_one), ")
      ON CONFLICT (user_id) DO UPDATE SET set_no = excluded.set_no, failures = 0, mark = NULL, ", facts!(set_excluded)]
}

/// Makes the set the user's pending one; a former pending set is gone, the active one stays.
pub fn prepare(user_id: &UserId, set: &NewSet, at: Timestamp) -> Result<Option<Event>> {
    let Some(account) = (CountSet { user_id }).first()? else { return Ok(None) };
    let set_no = account.set_counter;
    if set_no > 1 {
        Clear { user_id, kept_set_no: account.active_set_no, pending: false }.run();
    }
    set.insert_codes(user_id, set_no);
    KeepPending { user_id, set_no, facts: set.facts.stored().into() }.run();
    acquit_proofs(user_id);
    let news = News::of_active(Kind::Prepared, set_no, account.unused);
    let low = news.low && account.active_set_no.is_some();
    News { low, ..news }.insert(user_id, at).map(Some)
}
