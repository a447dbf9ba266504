//! The event that a change of a user's codes inserts, in the same transaction.

use std::ffi::CStr;

use pgrx::pg_sys;

use uuid::Uuid;

use super::statement::{Statement, columns, parameters, statement};
use super::value::Foreign;
use crate::events::{self, Event, Kind, Reason};
use crate::pg::clock::Timestamp;
use crate::pg::error::Result;
use crate::settings;
use crate::user_id::UserId;

parameters! {
    /// What the events of an act share.
    Act(
        /// When it happened.
        at: Timestamp,
        /// From when on they can be claimed; None for history.
        due_at: Option<Timestamp>,
        /// The application's own words.
        context: Option<Foreign>,
        /// Who is logged in.
        actor: Foreign
    )
}

impl Act {
    /// What happens at a point in time.
    pub fn at(at: Timestamp) -> Self {
        let context = settings::context().map(|context| Foreign(context.into_bytes()));
        Self { at, due_at: settings::outbox().then_some(at), context, actor: Foreign(session_user()) }
    }
}

/// The name of the role that is logged in, in whatever encoding it was given.
fn session_user() -> Vec<u8> {
    // SAFETY: the role of a session exists, or else its name is NULL; the name is copied.
    unsafe {
        let name = pg_sys::GetUserNameFromId(pg_sys::GetSessionUserId(), true);
        if name.is_null() { Vec::new() } else { CStr::from_ptr(name).to_bytes().to_vec() }
    }
}

/// The head of every event. What follows gives the columns in this order; [`act`] is what it gives for the middle ones.
macro_rules! insert_event {
    () => {
        "INSERT INTO backup_codes.event
                (user_id, event_id, at, due_at, context, actor, kind, reason, set_no, ordinal, remaining, low) "
    };
}
pub(super) use insert_event;

/// The parameters of an [`Act`], in the order of [`insert_event`].
macro_rules! act {
    () => {
        "$at, $due_at, $context, $actor"
    };
}
pub(super) use act;

columns! {
    /// What an inserted event says of the active set.
    Told { remaining: i16, low: bool }
}

/// [`Told`] in SQL.
macro_rules! told {
    () => {
        "remaining, low"
    };
}
pub(super) use told;

impl Told {
    /// The event that was inserted.
    pub fn event(&self, id: Uuid, kind: Kind, user_id: &UserId, at: Timestamp) -> Event {
        Event { id, kind, user_id: user_id.utf8.clone(), at, remaining: self.remaining, low: self.low }
    }
}

statement! {
    /// Inserts an event of which everything is known.
    Tell<'a>: User, Fresh
    (user_id: &'a UserId, event_id: Uuid, kind: &'static str, reason: Option<&'static str>, set_no: Option<i32>,
     ordinal: Option<i16>, remaining: i16, low: bool; ..act: Act)
    [insert_event!(), "VALUES ($user_id, $event_id, ", act!(), ", $kind, $reason, $set_no, $ordinal, $remaining, $low)"]
}

/// An event to be inserted.
pub struct News {
    /// What happened.
    pub kind: Kind,
    /// Why.
    pub reason: Option<Reason>,
    /// To which set.
    pub set_no: Option<i32>,
    /// To which code of it.
    pub ordinal: Option<i16>,
    /// Unused codes of the active set afterwards.
    pub remaining: i16,
    /// Whether those are few.
    pub low: bool,
}

impl News {
    /// Of the active set, with what is left of it.
    pub fn of_active(kind: Kind, set_no: i32, remaining: i16) -> Self {
        Self { kind, reason: None, set_no: Some(set_no), ordinal: None, remaining, low: is_low(remaining) }
    }

    /// Inserts the event.
    pub fn insert(self, user_id: &UserId, at: Timestamp) -> Result<Event> {
        let Self { kind, reason, set_no, ordinal, remaining, low } = self;
        let id = events::new_id(at)?;
        let reason = reason.map(Reason::name);
        Tell { user_id, event_id: id, kind: kind.name(), reason, set_no, ordinal, remaining, low, act: Act::at(at) }
            .run();
        Ok(Told { remaining, low }.event(id, kind, user_id, at))
    }
}

/// Whether so few codes are left that the user should be told.
pub fn is_low(remaining: i16) -> bool {
    i32::from(remaining) <= settings::low()
}
