//! generate, prepare and regenerate: the only moments in which plain codes exist.

use pgrx::pg_sys;

use crate::announce;
use crate::api::attempt;
use crate::events::Event;
use crate::key_file;
use crate::pg::call::{self, Call, Interval, SecretText};
use crate::pg::clock::{self, Timestamp};
use crate::pg::error::{Error, Result};
use crate::settings;
use crate::store::{self, Facts, NewSet};
use crate::user_id::UserId;
use backup_codes_core::code::{Entropy, Format, Symbols};
use backup_codes_core::hash::Scheme;
use backup_codes_core::keyring::Key;

type Store = fn(&UserId, &NewSet, Timestamp) -> Result<Option<Event>>;

/// `backup_codes_generate(user_id, count, valid_for) → SETOF text`. Raises 22004, 22021, 22023, 25006 and the
/// errors of a key file.
pub fn generate(call: &Call) -> Result<pg_sys::Datum> {
    make(call, store::replace)
}

/// `backup_codes_prepare(user_id, count, valid_for) → SETOF text`. Raises as generate.
pub fn prepare(call: &Call) -> Result<pg_sys::Datum> {
    make(call, store::prepare)
}

fn make(call: &Call, store: Store) -> Result<pg_sys::Datum> {
    call::require_writable()?;
    let user_id = UserId::read(call)?;
    let order = Order::read(call, 1)?;
    let codes = order.fill(&user_id, store)?;
    order.show(call, &codes)
}

/// `backup_codes_regenerate(user_id, code, count, valid_for) → SETOF text`. Raises as generate; a code that is not accepted
/// gives no row.
pub fn regenerate(call: &Call) -> Result<pg_sys::Datum> {
    call::require_writable()?;
    let user_id = UserId::read(call)?;
    let order = Order::read(call, 2)?;
    attempt::require_autocommit()?;
    // Before the code is consumed: the new set will need it.
    key_file::current()?;
    if !attempt::try_code(&user_id, call.code(1))?.accepted() {
        return call.rows().done();
    }
    let codes = order.fill(&user_id, store::replace)?;
    order.show(call, &codes)
}

/// Users whose sets are written at a time: enough for the statements to be worth their start, and few enough to hold.
const BATCH: usize = 1000;

/// `backup_codes_generate_many(user_ids, count, valid_for) → TABLE (user_id, code)`: generate for many users, in the order of
/// their ids. Raises as generate, and 22023 when a user is named twice.
pub fn generate_many(call: &Call) -> Result<pg_sys::Datum> {
    call::require_writable()?;
    let users = UserId::read_many(call)?;
    let order = Order::read(call, 1)?;
    let key = key_file::current()?;
    let rows = call.rows();
    for batch in users.chunks(BATCH) {
        let now = clock::now();
        let (mut sets, mut shown) = (Vec::with_capacity(batch.len()), Vec::with_capacity(batch.len()));
        for user_id in batch {
            let (set, codes) = order.draw(user_id, key.as_ref(), now)?;
            sets.push(set);
            shown.push(codes);
        }
        let events = store::connected(|| store::replace_many(batch, &sets, now))?;
        announce::at_commit(&events);
        for (user_id, codes) in batch.iter().zip(&shown) {
            let user_id = user_id.datum(call.id_type);
            for code in codes {
                let text = order.text(code);
                rows.push([user_id, Some(text.datum())]);
            }
        }
    }
    rows.done()
}

/// What a new set is to be, all of it checked.
struct Order {
    count: usize,
    format: Format,
    scheme: Scheme,
    valid_for: Option<Interval>,
}

impl Order {
    /// Reads count and valid_for, the first of which has this index.
    fn read(call: &Call, first: usize) -> Result<Self> {
        let count = call.get::<i32>(first).unwrap_or_else(settings::count);
        let allowed = &settings::COUNT.kind.range;
        if !allowed.contains(&count) {
            return Err(Error::OutOfRange {
                name: "count",
                range: format!("between {} and {}", allowed.start(), allowed.end()).into(),
            });
        }
        let valid_for = call.interval(first + 1);
        expires_at(clock::now(), valid_for)?;
        let format = settings::format();
        Ok(Self { count: count as usize, format, scheme: settings::scheme(format), valid_for })
    }

    /// Draws the codes and stores their hashes.
    fn fill(&self, user_id: &UserId, store: Store) -> Result<Vec<Symbols>> {
        let now = clock::now();
        let (set, codes) = self.draw(user_id, key_file::current()?.as_ref(), now)?;
        let event = store::connected(|| store(user_id, &set, now))?;
        announce::at_commit(&event);
        Ok(codes)
    }

    /// Draws the codes of a set.
    fn draw(&self, user_id: &UserId, key: Option<&Key>, now: Timestamp) -> Result<(NewSet, Vec<Symbols>)> {
        let mut entropy = Entropy::default();
        let codes = self.format.draw(self.count, &mut entropy)?;
        let salt = entropy.bytes()?;
        let mut hashed = Vec::with_capacity(codes.len());
        for (ordinal, code) in (1..).zip(&codes) {
            // A slow hash for each of a hundred codes takes seconds: let a timeout or a cancel in.
            pgrx::check_for_interrupts!();
            hashed.push((ordinal, self.scheme.hash(key, &salt, code)?));
        }
        let facts = Facts {
            format: self.format,
            scheme: self.scheme,
            salt,
            key_id: None,
            seal: None,
            total: codes.len() as i16,
            generated_at: now,
            expires_at: expires_at(now, self.valid_for)?,
        };
        Ok((NewSet { facts: facts.sealed(user_id, key), codes: hashed }, codes))
    }

    fn show(&self, call: &Call, codes: &[Symbols]) -> Result<pg_sys::Datum> {
        let rows = call.rows();
        for code in codes {
            rows.push([Some(self.text(code).datum())]);
        }
        rows.done()
    }

    /// A code as it is shown.
    fn text(&self, code: &Symbols) -> SecretText {
        SecretText::new(&self.format.display(code, settings::group_size() as usize))
    }
}

/// When a set made now expires, None for never. Raises 22023 unless the interval is positive.
fn expires_at(now: Timestamp, valid_for: Option<Interval>) -> Result<Option<Timestamp>> {
    let interval = match valid_for {
        Some(Interval::INFINITY) => return Ok(None),
        Some(interval) => interval,
        None if settings::valid_for() == 0 => return Ok(None),
        None => Interval { months: 0, days: 0, micros: i64::from(settings::valid_for()) * 1_000_000 },
    };
    clock::after(now, interval, "valid_for").map(Some)
}
