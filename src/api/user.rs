//! forget_user: a trigger that removes a deleted user's account, codes and events.
//!
//! The key is read by its type's own output alone: a cast could be an attacker's, and would run with the rights of the
//! extension's owner.

use std::ffi::CStr;

use pgrx::pg_sys::{self, BuiltinOid};
use pgrx::trigger_support::{called_as_trigger, trigger_fired_after, trigger_fired_by_delete, trigger_fired_for_row};

use crate::announce;
use crate::pg::call::{Call, text_bytes};
use crate::pg::encoding;
use crate::pg::error::{Error, Result};
use crate::store;
use crate::user_id::{MAX_USER_ID, UserId};

/// Joins the columns of a key.
const SEPARATOR: u8 = b':';

/// `backup_codes_forget_user('id'[, 'col', …])`. Raises 39P01, 22023, 42703, 42804; a key that is NULL or no user id is
/// skipped, since it has no codes and must not block the DELETE.
pub fn forget_user(call: &Call) -> Result<pg_sys::Datum> {
    // SAFETY: only the flag of the context node is read before it is known to be a trigger's.
    let trigger = unsafe {
        if !called_as_trigger(call.fcinfo()) {
            return Err(Error::TriggerProtocol);
        }
        &*(*call.fcinfo()).context.cast::<pg_sys::TriggerData>()
    };
    let event = trigger.tg_event;
    if !(trigger_fired_after(event) && trigger_fired_for_row(event) && trigger_fired_by_delete(event)) {
        return Err(Error::TriggerProtocol);
    }
    // A key that is no user id was never given codes.
    if let Some(user_id) = key(trigger)?.and_then(|key| UserId::new(key).ok()) {
        store::connected(|| store::forget(&user_id))?;
        announce::force_durable();
    }
    Ok(pg_sys::Datum::null())
}

/// A character(n) without its padding, as its cast to text leaves it: blanks only, not other white space.
fn unpad(mut padded: Vec<u8>) -> Vec<u8> {
    let length = padded.iter().rposition(|byte| *byte != b' ').map_or(0, |last| last + 1);
    padded.truncate(length);
    padded
}

/// The columns that the trigger names, joined; None when one of them is NULL or too long.
fn key(trigger: &pg_sys::TriggerData) -> Result<Option<Vec<u8>>> {
    // SAFETY: PostgreSQL fills the trigger's description; its arguments are NUL-terminated strings.
    let names: Vec<&CStr> = unsafe {
        let description = &*trigger.tg_trigger;
        (0..description.tgnargs as usize).map(|i| CStr::from_ptr(*description.tgargs.add(i))).collect()
    };
    if names.is_empty() {
        return Err(Error::TriggerNoColumn);
    }
    // All names are checked before a NULL ends the search: a wrong trigger fails at its first row.
    let columns = names.into_iter().map(|name| column(trigger, name)).collect::<Result<Vec<_>>>()?;
    Ok(columns.into_iter().collect::<Option<Vec<_>>>().map(|parts| parts.join(&SEPARATOR)))
}

/// A column of the deleted row, as its type writes it.
fn column(trigger: &pg_sys::TriggerData, name: &CStr) -> Result<Option<Vec<u8>>> {
    let shown = || {
        let bytes = name.to_bytes().to_vec();
        encoding::to_utf8(&bytes).unwrap_or_else(|| name.to_string_lossy().into_owned())
    };
    let mut null = false;
    // SAFETY: the descriptor is that of the deleted row's table, and the number that of one of its columns.
    let (datum, data_type) = unsafe {
        let descriptor = (*trigger.tg_relation).rd_att;
        let number = pg_sys::SPI_fnumber(descriptor, name.as_ptr());
        if number <= 0 {
            return Err(Error::TriggerColumn(shown()));
        }
        let datum = pg_sys::SPI_getbinval(trigger.tg_trigtuple, descriptor, number, &raw mut null);
        (datum, pg_sys::SPI_gettypeid(descriptor, number))
    };
    let integer = |value: i64| Some(value.to_string().into_bytes());
    let text = || text_bytes(datum, 4 * MAX_USER_ID);
    let read: &dyn Fn() -> Option<Vec<u8>> = match BuiltinOid::try_from(data_type) {
        Ok(BuiltinOid::INT2OID) => &|| integer(i64::from(datum.value() as i16)),
        Ok(BuiltinOid::INT4OID) => &|| integer(i64::from(datum.value() as i32)),
        Ok(BuiltinOid::INT8OID) => &|| integer(datum.value() as i64),
        Ok(BuiltinOid::UUIDOID) => &|| Some(crate::pg::call::uuid(datum).hyphenated().to_string().into_bytes()),
        Ok(BuiltinOid::TEXTOID | BuiltinOid::VARCHAROID) => &text,
        Ok(BuiltinOid::BPCHAROID) => &|| text().map(unpad),
        _ => return Err(Error::TriggerColumnType(shown())),
    };
    Ok(if null { None } else { read() })
}
