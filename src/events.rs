//! Events: what every change of a user's codes leaves behind, and how it is announced.
//!
//! The row is the truth, written by the statement that makes the change. A notification is a hint, delivered when the
//! transaction commits, and nothing is lost without it.

use std::cell::Cell;
use std::ffi::{CString, c_char, c_void};
use std::fmt::Write;

use pgrx::{pg_guard, pg_sys};
use serde_json::json;

use crate::clock::{self, Timestamp};
use crate::error::Result;
use crate::settings::{self, Notify, NotifyPayload};
use crate::store;

/// Notifications of one transaction; what comes after them is announced as one. A million pending ones take 310 MB.
const MAX_NOTIFICATIONS: u32 = 64;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A user without a set got one.
    Generated,
    /// A user's set was replaced by a new one.
    Replaced,
    /// A pending set was made.
    Prepared,
    /// The pending set became the active one.
    Confirmed,
    /// The pending set was dropped.
    Cancelled,
    /// A code was accepted.
    Used,
    /// Too many failures in a row: every attempt is refused for a while.
    Locked,
    /// Everything was removed at the user's or the application's request.
    Disabled,
    /// Sets were removed by an operator.
    Revoked,
}

impl Kind {
    /// The name in the table and in notifications.
    pub fn name(self) -> &'static str {
        match self {
            Self::Generated => "generated",
            Self::Replaced => "replaced",
            Self::Prepared => "prepared",
            Self::Confirmed => "confirmed",
            Self::Cancelled => "cancelled",
            Self::Used => "used",
            Self::Locked => "locked",
            Self::Disabled => "disabled",
            Self::Revoked => "revoked",
        }
    }
}

/// Why, where there is more than one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Too many failures in a row.
    Failures,
    /// Somebody asked for it.
    Request,
}

impl Reason {
    /// The name in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Failures => "failures",
            Self::Request => "request",
        }
    }
}

/// A new id, ordered by time.
pub fn new_id(at: Timestamp) -> Result<uuid::Uuid> {
    Ok(id_of(at, crate::code::random_bytes()?))
}

/// As many new ids.
pub fn new_ids(at: Timestamp, count: usize) -> Result<Vec<uuid::Uuid>> {
    let mut entropy = crate::code::Entropy::new();
    (0..count).map(|_| Ok(id_of(at, entropy.bytes()?))).collect()
}

fn id_of(at: Timestamp, random: [u8; 10]) -> uuid::Uuid {
    uuid::Builder::from_unix_timestamp_millis(clock::unix_millis(at), &random).into_uuid()
}

/// How an event was announced, if at all.
#[derive(PartialEq, Eq)]
pub enum Announced {
    /// By itself, or not at all.
    Singly,
    /// Together with all that follow.
    Many,
}

/// An event that was written.
pub struct Event {
    /// Its id.
    pub id: uuid::Uuid,
    /// What happened.
    pub kind: Kind,
    /// To whom.
    pub user_id: String,
    /// When.
    pub at: Timestamp,
    /// Unused codes afterwards.
    pub remaining: i16,
    /// Few or none left.
    pub low: bool,
}

impl Event {
    /// Announces the event, as the settings say.
    pub fn announce(&self) -> Announced {
        let sent = SENT.get();
        let due = match settings::notify() {
            Notify::Each => true,
            Notify::Off => false,
            // One that this transaction sent is enough, and so is one for an event that waits already.
            Notify::Coalesced => looking_conflicts() || (sent == 0 && !store::waiting(self.at)),
        };
        if !due {
            return Announced::Singly;
        }
        SENT.set(sent.saturating_add(1));
        // PostgreSQL drops a notification that the transaction already has, so the last one is sent for every event more:
        // it stands even when the savepoint around the first of them is rolled back.
        let many = sent >= MAX_NOTIFICATIONS;
        let payload = if many {
            json!({"event": "many"})
        } else {
            match settings::notify_payload() {
                NotifyPayload::Id => json!({"event": self.kind.name(), "event_id": self.id.to_string()}),
                NotifyPayload::Full => json!({
                    "event": self.kind.name(),
                    "event_id": self.id.to_string(),
                    "user_id": self.user_id,
                    "remaining": self.remaining,
                    "low": self.low,
                    "at": clock::rfc3339(self.at),
                }),
            }
        };
        send(&settings::channel(), &ascii(&payload.to_string()));
        if many { Announced::Many } else { Announced::Singly }
    }
}

/// At SERIALIZABLE a look at what waits makes the events of unrelated users conflict.
fn looking_conflicts() -> bool {
    // SAFETY: reads a variable of the backend.
    unsafe { pg_sys::XactIsoLevel == pg_sys::XACT_SERIALIZABLE as i32 }
}

/// JSON in ASCII, which every server encoding can carry.
fn ascii(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_ascii() {
            text.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a String cannot fail.
                let _ = write!(text, "\\u{unit:04x}");
            }
        }
    }
    text
}

fn send(channel: &CString, payload: &str) {
    unsafe extern "C-unwind" {
        fn Async_Notify(channel: *const c_char, payload: *const c_char);
    }
    let payload = CString::new(payload).unwrap_or_default();
    // SAFETY: both strings are NUL-terminated and copied; the channel's length is checked by its setting, and the payload is
    // far below PostgreSQL's 8,000 bytes.
    unsafe { pg_sys::ffi::pg_guard_ffi_boundary(|| Async_Notify(channel.as_ptr(), payload.as_ptr())) };
}

thread_local! {
    /// Notifications of this transaction.
    static SENT: Cell<u32> = const { Cell::new(0) };
}

/// Begins to count notifications by transaction.
pub fn register() {
    // SAFETY: the callback lives as long as the backend and does nothing that could fail.
    unsafe { pg_sys::RegisterXactCallback(Some(forget_sent), std::ptr::null_mut()) };
}

#[pg_guard]
unsafe extern "C-unwind" fn forget_sent(_event: pg_sys::XactEvent::Type, _arg: *mut c_void) {
    SENT.set(0);
}
