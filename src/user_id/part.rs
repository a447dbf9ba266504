//! The parts of a key, as the columns of a table and the arguments of backup_codes_user_id hold them.
//!
//! A value is read as its bytes, and nothing of its type is run: a cast, or an output function, could be an attacker's, and would
//! run with the rights of the extension's owner.

use pgrx::pg_sys::{self, BuiltinOid, Oid};

use super::MAX_USER_ID;
use crate::pg::call::{self, text_bytes};

/// What a value of a type is read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// smallint
    Smallint,
    /// integer
    Integer,
    /// bigint
    Bigint,
    /// uuid
    Uuid,
    /// character(n), whose padding is left out
    Character,
    /// text, varchar, and whatever else is stored as text is and written by PostgreSQL's own output function of text, as citext
    Text,
}

impl Part {
    /// What values of a type are read as, and those of domains over it. None for a type that cannot be part of a key.
    pub fn of(data_type: Oid) -> Option<Self> {
        // SAFETY: the type is that of a column or an argument, so it exists.
        let base = unsafe { pg_sys::getBaseType(data_type) };
        match BuiltinOid::try_from(base) {
            Ok(BuiltinOid::INT2OID) => Some(Self::Smallint),
            Ok(BuiltinOid::INT4OID) => Some(Self::Integer),
            Ok(BuiltinOid::INT8OID) => Some(Self::Bigint),
            Ok(BuiltinOid::UUIDOID) => Some(Self::Uuid),
            Ok(BuiltinOid::BPCHAROID) => Some(Self::Character),
            Ok(BuiltinOid::TEXTOID | BuiltinOid::VARCHAROID) => Some(Self::Text),
            _ => written_as_text(base).then_some(Self::Text),
        }
    }

    /// The value. None for a text that is longer than a key can be, which is not detoasted.
    pub fn read(self, datum: pg_sys::Datum) -> Option<Vec<u8>> {
        let integer = |value: i64| Some(value.to_string().into_bytes());
        // A server encoding can take more bytes than UTF-8, but not more than four for one.
        let text = || text_bytes(datum, 4 * MAX_USER_ID);
        match self {
            Self::Smallint => integer(i64::from(datum.value() as i16)),
            Self::Integer => integer(i64::from(datum.value() as i32)),
            Self::Bigint => integer(datum.value() as i64),
            Self::Uuid => Some(call::uuid(datum).hyphenated().to_string().into_bytes()),
            Self::Character => text().map(unpad),
            Self::Text => text(),
        }
    }

    /// The built-in type with the same values.
    pub fn built_in(self) -> BuiltinOid {
        match self {
            Self::Smallint => BuiltinOid::INT2OID,
            Self::Integer => BuiltinOid::INT4OID,
            Self::Bigint => BuiltinOid::INT8OID,
            Self::Uuid => BuiltinOid::UUIDOID,
            Self::Character => BuiltinOid::BPCHAROID,
            Self::Text => BuiltinOid::TEXTOID,
        }
    }
}

/// A character(n) without its padding, as its cast to text leaves it: blanks only, not other white space.
fn unpad(mut padded: Vec<u8>) -> Vec<u8> {
    let length = padded.iter().rposition(|byte| *byte != b' ').map_or(0, |last| last + 1);
    padded.truncate(length);
    padded
}

/// Whether values of a base type are stored as text is, and their text is their bytes.
fn written_as_text(base: Oid) -> bool {
    // SAFETY: the type exists, and so do the output functions, which are looked up and not called.
    unsafe {
        let (mut output, mut is_varlena) = (Oid::INVALID, false);
        pg_sys::getTypeOutputInfo(base, &raw mut output, &raw mut is_varlena);
        is_varlena && address(output) == address(Oid::from(pg_sys::F_TEXTOUT))
    }
}

/// Where the code of a function is; one with rights or settings of its own has another address.
///
/// # Safety
/// The function exists.
unsafe fn address(function: Oid) -> Option<usize> {
    let mut info = pg_sys::FmgrInfo::default();
    // SAFETY: PostgreSQL fills the description; what it allocates lives in the current memory context.
    unsafe { pg_sys::fmgr_info(function, &raw mut info) };
    info.fn_addr.map(|function| function as usize)
}
