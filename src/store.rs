//! All SQL that the extension runs, as text and kept plans; nothing else talks to SPI.
//!
//! Every statement but those that look for users to maintain, and those of the outbox, is about one user and probes an index
//! led by user_id, or goes to a row that was found so. Parameter `$1` is the user; events take `$2` to `$6` (see [`shared`]).
//!
//! Who writes, takes the account row first, in a statement of its own: what is decided is read under that lock. Statements
//! write one table each where it matters: a statement of several modifying CTEs starts slower than they do one by one, and
//! is one more thing that a distributed database has to understand.

mod array;
mod attempts;
pub mod checks;
mod maintenance;
mod outbox;
mod plan;
mod sets;
mod statements;

use pgrx::{IntoDatum, pg_sys};

use crate::events::{self, Event, Kind, Reason};
use crate::pg::call::{uuid_datum as uuid, varlena_datum};
use crate::pg::clock::Timestamp;
use crate::pg::error::Result;
use crate::settings;
use crate::user_id::UserId;
use plan::{Row, Snapshot, Statement};

pub use attempts::{Failure, account, count_failure, find, remove_active, spend};
pub use maintenance::{keys_in_use, purge, revoke_all};
pub use outbox::{Lease, acknowledge, claim, release, waiting};
pub use plan::connected;
pub use sets::{
    CodeSet, NewSet, cancel, confirm, count_proof, disable, forget, pending, prepare, remaining, replace, replace_many,
    status, take,
};
#[cfg(any(test, feature = "pg_test"))]
pub use statements::{ALL as STATEMENTS, MANY as STATEMENTS_ABOUT_MANY, OUTBOX as OUTBOX_STATEMENTS};

fn user(user_id: &UserId) -> Option<pg_sys::Datum> {
    Some(varlena_datum(&user_id.stored))
}

fn bytes(bytes: &[u8]) -> Option<pg_sys::Datum> {
    Some(varlena_datum(bytes))
}

fn timestamp(at: Timestamp) -> Option<pg_sys::Datum> {
    at.into_datum()
}

/// A datum of PostgreSQL's type "char".
fn letter(letter: u8) -> Option<pg_sys::Datum> {
    (letter as i8).into_datum()
}

/// What the events of an act share, `$3` to `$6` of their statements: when it happens, from when on they can be claimed,
/// the context, the limit for low.
fn shared(at: Timestamp) -> [Option<pg_sys::Datum>; 4] {
    [
        timestamp(at),
        settings::outbox().then_some(at).and_then(timestamp),
        settings::context().map(|context| varlena_datum(context.as_bytes())),
        settings::low().into_datum(),
    ]
}

/// Runs a statement that takes user and event and inserts an event, whose columns remaining and low it returns.
fn act(statement: &Statement, kind: Kind, user_id: &UserId, at: Timestamp) -> Result<Option<Event>> {
    let id = events::new_id(at)?;
    let [at_datum, due, context, low] = shared(at);
    let rows = statement.execute(Snapshot::Fresh, [user(user_id), uuid(&id), at_datum, due, context, low]);
    Ok(rows.first().map(|row| event(id, kind, user_id, at, &row)))
}

/// The event that a statement inserted, from the columns remaining and low that it returns.
fn event(id: uuid::Uuid, kind: Kind, user_id: &UserId, at: Timestamp, row: &Row<'_>) -> Event {
    Event {
        id,
        kind,
        user_id: user_id.utf8.clone(),
        at,
        remaining: row.get(1).unwrap_or_default(),
        low: row.get(2).unwrap_or_default(),
    }
}

/// An event to be inserted.
struct News {
    kind: Kind,
    reason: Option<Reason>,
    set_no: Option<i32>,
    ordinal: Option<i16>,
    remaining: i16,
    low: bool,
}

impl News {
    /// Of the active set, with what is left of it.
    fn of_active(kind: Kind, set_no: i32, remaining: i16) -> Self {
        let low = i32::from(remaining) <= settings::low();
        Self { kind, reason: None, set_no: Some(set_no), ordinal: None, remaining, low }
    }

    fn insert(self, user_id: &UserId, at: Timestamp) -> Result<Event> {
        let id = events::new_id(at)?;
        let [at_datum, due, context, _] = shared(at);
        statements::TELL.execute(
            Snapshot::Fresh,
            [
                user(user_id),
                uuid(&id),
                at_datum,
                due,
                context,
                bytes(self.kind.name().as_bytes()),
                self.reason.and_then(|reason| bytes(reason.name().as_bytes())),
                self.set_no.and_then(IntoDatum::into_datum),
                self.ordinal.and_then(IntoDatum::into_datum),
                self.remaining.into_datum(),
                self.low.into_datum(),
            ],
        );
        let Self { kind, remaining, low, .. } = self;
        Ok(Event { id, kind, user_id: user_id.utf8.clone(), at, remaining, low })
    }
}
