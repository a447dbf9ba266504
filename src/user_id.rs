//! Who a code belongs to. `42`, `'42'` and `42::bigint` are one user; text is compared byte for byte.

mod part;

use backup_codes_core::join::join;
use pgrx::{IntoDatum, pg_sys};

use crate::pg::call::{self, Call, IdType, text_bytes};
use crate::pg::encoding;
use crate::pg::error::{Error, Result};
pub use part::Part;

/// The longest user id, in bytes of UTF-8.
pub const MAX_USER_ID: usize = 255;

/// A user id of 1 to 255 bytes.
#[derive(Clone)]
pub struct UserId {
    /// As it is stored, in the encoding of the database.
    pub stored: Vec<u8>,
    /// As it is measured and hashed.
    pub utf8: String,
}

impl UserId {
    /// The first argument of a function. Raises 22004, 22023 or 22021 where the caller lets it.
    pub fn read(call: &Call) -> Result<Self> {
        Self::read_at(call, 0)
    }

    /// An argument of a function, as [`read`](Self::read).
    pub fn read_at(call: &Call, index: usize) -> Result<Self> {
        Self::from_datum(call.datum(index), call.id_type)
    }

    /// The key of these parts: one is the key as it is, several are joined. None when it is no user id.
    pub fn of_parts(mut parts: Vec<Vec<u8>>) -> Option<Self> {
        let key = if parts.len() == 1 { parts.swap_remove(0) } else { join(&parts) };
        Self::new(key).ok()
    }

    /// The elements of the first argument, an array, in the order of their bytes, in which rows are locked. Raises 22004 for
    /// NULL and 22023 for a user who is named twice, too.
    pub fn read_many(call: &Call) -> Result<Vec<Self>> {
        let elements = call.elements(0).ok_or(Error::UserIdsNull)?;
        let mut users =
            elements.into_iter().map(|datum| Self::from_datum(datum, call.id_type)).collect::<Result<Vec<_>>>()?;
        users.sort_unstable_by(|a, b| a.stored.cmp(&b.stored));
        if users.windows(2).any(|pair| pair[0].stored == pair[1].stored) {
            return Err(Error::UserIdTwice);
        }
        Ok(users)
    }

    /// The user id as an argument of that type.
    pub fn datum(&self, id_type: IdType) -> Option<pg_sys::Datum> {
        match id_type {
            IdType::Bigint => self.utf8.parse::<i64>().ok()?.into_datum(),
            IdType::Uuid => uuid::Uuid::parse_str(&self.utf8).ok().and_then(|id| call::uuid_datum(&id)),
            IdType::Text | IdType::None => Some(call::varlena_datum(&self.stored)),
        }
    }

    fn from_datum(datum: Option<pg_sys::Datum>, id_type: IdType) -> Result<Self> {
        let datum = datum.ok_or(Error::UserIdNull)?;
        match id_type {
            IdType::Bigint => Self::new((datum.value() as i64).to_string().into_bytes()),
            IdType::Uuid => Self::new(call::uuid(datum).hyphenated().to_string().into_bytes()),
            // A server encoding can take more bytes than UTF-8, but not more than four for one.
            IdType::Text | IdType::None => Self::new(text_bytes(datum, 4 * MAX_USER_ID).ok_or(Error::UserIdTooLong)?),
        }
    }

    /// Checks a key of the application.
    pub fn new(stored: Vec<u8>) -> Result<Self> {
        if stored.is_empty() {
            return Err(Error::UserIdEmpty);
        }
        let utf8 = encoding::to_utf8(&stored).ok_or(Error::UserIdEncoding)?;
        if utf8.len() > MAX_USER_ID {
            return Err(Error::UserIdTooLong);
        }
        Ok(Self { stored, utf8 })
    }
}
