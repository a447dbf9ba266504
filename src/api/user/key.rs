//! user_id: the key of several parts, as the trigger makes it of several columns.

use std::ffi::CStr;

use pgrx::pg_sys::{self, BuiltinOid};

use crate::pg::call::{Call, varlena_datum};
use crate::pg::error::{Error, Result};
use crate::user_id::{Part, UserId};

/// `backup_codes_user_id(VARIADIC text[]) → text`: NULL when a part is NULL, or the key would be too long. Raises 22023.
pub fn user_id_of_texts(call: &Call) -> Result<pg_sys::Datum> {
    let Some(parts) = call.elements(0) else { return call.null() };
    joined(call, parts.into_iter().map(|part| part.and_then(|part| Part::Text.read(part))).collect())
}

/// `backup_codes_user_id(VARIADIC "any") → text`, for parts of the types that the trigger reads. Raises 22023, 42804.
pub fn user_id(call: &Call) -> Result<pg_sys::Datum> {
    joined(call, (0..call.count()).map(|index| part(call, index)).collect::<Result<_>>()?)
}

/// An argument as a part; None when it is NULL, or too long for one. An array that stands for the arguments is refused as any other
/// array.
fn part(call: &Call, index: usize) -> Result<Option<Vec<u8>>> {
    let data_type = call.data_type(index);
    if data_type == BuiltinOid::UNKNOWNOID.value() {
        // SAFETY: a literal that nothing gave a type is a NUL-terminated string.
        let literal = |datum: pg_sys::Datum| unsafe { CStr::from_ptr(datum.cast_mut_ptr()) }.to_bytes().to_vec();
        return Ok(call.datum(index).map(literal));
    }
    let part = Part::of(data_type).ok_or(Error::PartType(index + 1))?;
    Ok(call.datum(index).and_then(|datum| part.read(datum)))
}

fn joined(call: &Call, parts: Vec<Option<Vec<u8>>>) -> Result<pg_sys::Datum> {
    if parts.len() < 2 {
        return Err(Error::TooFewParts);
    }
    match parts.into_iter().collect::<Option<_>>().and_then(UserId::of_parts) {
        Some(user_id) => Ok(varlena_datum(&user_id.stored)),
        None => call.null(),
    }
}
