//! What remaining and status read, on the snapshot of the calling statement.

use super::burned::Burned;
use super::statement::{Statement, statement};
use crate::pg::clock::{self, Timestamp};
use crate::pg::error::Result;
use crate::user_id::UserId;

statement! {
    ReadRemaining<'a>: User, Callers
    (user_id: &'a UserId)
    ["SELECT "]
    => Remaining { unused: i16, expires_at: Option<Timestamp> }
    [" FROM backup_codes.account WHERE user_id = $user_id"]
}

/// Unused codes of the active set, and when it expires.
pub fn remaining(user_id: &UserId) -> Result<Option<Remaining>> {
    ReadRemaining { user_id }.first()
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
    /// When the user proved that they saved it.
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

statement! {
    ReadStatus<'a>: User, Callers
    (user_id: &'a UserId)
    ["SELECT "]
    => StatusRow {
        unused: i16 = "a.unused", total: Option<i16> = "a.total",
        pending: bool = "p.user_id IS NOT NULL AND (p.expires_at IS NULL OR p.expires_at > clock_timestamp())",
        generated_at: Option<Timestamp> = "a.generated_at", confirmed_at: Option<Timestamp> = "a.confirmed_at",
        expires_at: Option<Timestamp> = "a.expires_at", last_used_at: Option<Timestamp> = "a.last_used_at",
        locked_until: Option<Timestamp> = "a.locked_until",
        burned: Vec<u8> = "a.burned"
    }
    [" FROM backup_codes.account AS a
       LEFT JOIN backup_codes.pending_set AS p ON p.user_id = $user_id
      WHERE a.user_id = $user_id"]
}

/// What a settings page shows.
pub fn status(user_id: &UserId) -> Result<Option<Status>> {
    let Some(row) = (ReadStatus { user_id }).first()? else { return Ok(None) };
    Ok(Some(Status {
        unused: row.unused,
        total: row.total.unwrap_or_default(),
        pending: row.pending,
        generated_at: row.generated_at,
        confirmed_at: row.confirmed_at,
        expires_at: row.expires_at,
        last_used_at: row.last_used_at,
        locked_until: row.locked_until.filter(|until| until.is_ahead(clock::now())),
        used: Burned(row.burned).ordinals(),
    }))
}
