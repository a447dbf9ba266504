//! What happens at commit: the changes of codes are durable, and announced.
//!
//! The event's row is the truth. A notification is a hint, delivered when the transaction commits, and nothing is lost
//! without it.

use std::cell::Cell;
use std::ffi::{CString, c_char, c_void};
use std::fmt::Write;

use pgrx::{direct_function_call, pg_guard, pg_sys};
use serde_json::json;

use crate::events::Event;
use crate::pg::clock;
use crate::settings::{self, Notify, NotifyPayload};
use crate::store;

/// How full PostgreSQL's queue of notifications may be for ours to be added, of 1. A session that listens and stays in a
/// transaction keeps the queue from being emptied, anyone who can connect can fill it, and when it is full every commit that
/// notifies fails.
pub const MAX_QUEUE_USAGE: f64 = 0.5;

/// Notifications of one transaction; what comes after them is announced as one. A million pending ones take 310 MB.
const MAX_NOTIFICATIONS: u32 = 64;

/// Announces events at commit, and makes that commit wait until it is on disk: with `synchronous_commit = off` a crash
/// would bring a burned code back.
pub fn at_commit<'a>(events: impl IntoIterator<Item = &'a Event>) {
    force_durable();
    for event in events {
        // What stands for many stands for the rest of these, too.
        if notify(event) == Announced::Many {
            break;
        }
    }
}

/// Makes the commit of this transaction durable, here and on a synchronous standby.
pub fn force_durable() {
    // SAFETY: sets a flag of the current transaction.
    unsafe { pg_sys::ForceSyncCommit() };
    DURABLE.set(true);
}

/// Raises `synchronous_commit = off`, with which nobody waits for a standby, to on. When the transaction commits: what is set
/// before, a caller can set back.
fn wait_for_standby() {
    // SAFETY: reads a variable, and sets a setting whose value is taken back at the end of the transaction.
    unsafe {
        if pg_sys::synchronous_commit == pg_sys::SyncCommitLevel::SYNCHRONOUS_COMMIT_OFF as i32 {
            pg_sys::set_config_option(
                c"synchronous_commit".as_ptr(),
                c"on".as_ptr(),
                pg_sys::GucContext::PGC_USERSET,
                pg_sys::GucSource::PGC_S_SESSION,
                pg_sys::GucAction::GUC_ACTION_LOCAL,
                true,
                0,
                false,
            );
        }
    }
}

/// How an event was announced, if at all.
#[derive(PartialEq, Eq)]
enum Announced {
    /// By itself, or not at all.
    Singly,
    /// Together with all that follow.
    Many,
}

/// Announces the event, as the settings say.
fn notify(event: &Event) -> Announced {
    let sent = SENT.get();
    let due = match settings::notify() {
        Notify::Each => true,
        Notify::Off => false,
        // One that this transaction sent is enough, and so is one for an event that waits already.
        Notify::Coalesced => looking_conflicts() || (sent == 0 && !store::waiting(event.at)),
    };
    if !due || queue_usage() > MAX_QUEUE_USAGE {
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
            NotifyPayload::Id => json!({"event": event.kind.name(), "event_id": event.id.to_string()}),
            NotifyPayload::Full => json!({
                "event": event.kind.name(),
                "event_id": event.id.to_string(),
                "user_id": event.user_id,
                "remaining": event.remaining,
                "low": event.low,
                "at": clock::rfc3339(event.at),
            }),
        }
    };
    send(&settings::channel().unwrap_or_default(), &ascii(&payload.to_string()));
    if many { Announced::Many } else { Announced::Singly }
}

/// How full PostgreSQL's queue of notifications is, of 1: it is one for all databases of the server.
pub fn queue_usage() -> f64 {
    // SAFETY: the function takes no argument and returns a double.
    unsafe { direct_function_call(pg_sys::pg_notification_queue_usage, &[]) }.unwrap_or_default()
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
    /// This transaction changed codes.
    static DURABLE: Cell<bool> = const { Cell::new(false) };
}

/// Begins to look at the ends of transactions.
pub fn register() {
    // SAFETY: the callback lives as long as the backend, and raises nothing once the transaction has committed.
    unsafe { pg_sys::RegisterXactCallback(Some(at_end), std::ptr::null_mut()) };
}

#[pg_guard]
unsafe extern "C-unwind" fn at_end(event: pg_sys::XactEvent::Type, _arg: *mut c_void) {
    match event {
        pg_sys::XactEvent::XACT_EVENT_PRE_COMMIT | pg_sys::XactEvent::XACT_EVENT_PRE_PREPARE => {
            if DURABLE.get() {
                wait_for_standby();
            }
        }
        _ => {
            SENT.set(0);
            DURABLE.set(false);
        }
    }
}
