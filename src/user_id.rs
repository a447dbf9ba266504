//! Who a code belongs to. `42`, `'42'` and `42::bigint` are one user; text is compared byte for byte.

use crate::call::{self, Call, IdType, text_bytes};
use crate::encoding;
use crate::error::{Error, Result};

/// The longest user id, in bytes of UTF-8.
pub const MAX_USER_ID: usize = 255;

/// A user id of 1 to 255 bytes.
pub struct UserId {
    /// As it is stored, in the encoding of the database.
    pub stored: Vec<u8>,
    /// As it is measured and hashed.
    pub utf8: String,
}

impl UserId {
    /// The first argument of a function. Raises 22004, 22023 or 22021 where the caller lets it.
    pub fn read(call: &Call) -> Result<Self> {
        let datum = call.datum(0).ok_or(Error::Null("user_id"))?;
        match call.id_type {
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
