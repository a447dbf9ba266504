//! Events: what every change of a user's codes leaves behind. The row is the truth, written in the transaction that makes the
//! change.

use backup_codes_core::code::{Entropy, random_bytes};

use crate::pg::clock::{self, Timestamp};
use crate::pg::error::Result;

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
    /// Everything of the user went over to another key.
    Renamed,
    /// A lock was ended, or failures were forgiven.
    Unlocked,
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
            Self::Renamed => "renamed",
            Self::Unlocked => "unlocked",
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
    Ok(id_of(at, random_bytes()?))
}

/// As many new ids.
pub fn new_ids(at: Timestamp, count: usize) -> Result<Vec<uuid::Uuid>> {
    let mut entropy = Entropy::default();
    (0..count).map(|_| Ok(id_of(at, entropy.bytes()?))).collect()
}

fn id_of(at: Timestamp, random: [u8; 10]) -> uuid::Uuid {
    uuid::Builder::from_unix_timestamp_millis(clock::unix_millis(at), &random).into_uuid()
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
