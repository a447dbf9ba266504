//! What happened to a user's codes, as the database tells it.

use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

use uuid::Uuid;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Generated,
    Replaced,
    Prepared,
    Confirmed,
    Cancelled,
    Used,
    Locked,
    Unlocked,
    Renamed,
    Disabled,
    Revoked,
    Imported,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 12] = [
        Self::Generated,
        Self::Replaced,
        Self::Prepared,
        Self::Confirmed,
        Self::Cancelled,
        Self::Used,
        Self::Locked,
        Self::Unlocked,
        Self::Renamed,
        Self::Disabled,
        Self::Revoked,
        Self::Imported,
    ];

    /// Its name in the database and of its templates.
    pub fn name(self) -> &'static str {
        match self {
            Self::Generated => "generated",
            Self::Replaced => "replaced",
            Self::Prepared => "prepared",
            Self::Confirmed => "confirmed",
            Self::Cancelled => "cancelled",
            Self::Used => "used",
            Self::Locked => "locked",
            Self::Unlocked => "unlocked",
            Self::Renamed => "renamed",
            Self::Disabled => "disabled",
            Self::Revoked => "revoked",
            Self::Imported => "imported",
        }
    }

    /// Whether a flood of them is possible and is folded. A code is used once, and a set locks a bounded number of times: each
    /// of these is mailed at once.
    pub fn folds(self) -> bool {
        !matches!(self, Self::Used | Self::Locked)
    }
}

impl FromStr for Kind {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or(())
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An event that was claimed.
#[derive(Clone, Debug)]
pub struct Event {
    pub id: Uuid,
    pub user_id: String,
    /// None: a kind that this version does not know.
    pub kind: Option<Kind>,
    pub reason: Option<String>,
    pub at: SystemTime,
    pub set_no: Option<i32>,
    pub ordinal: Option<i32>,
    pub remaining: Option<i32>,
    pub low: bool,
    pub context: Option<String>,
    /// How often it was claimed, this time included.
    pub attempts: i32,
}
