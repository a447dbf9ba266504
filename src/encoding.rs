//! Between the encoding of the database and UTF-8, in which user ids are measured and everything is hashed.

use std::ffi::CStr;

use pgrx::pg_sys;

const UTF8: i32 = pg_sys::pg_enc::PG_UTF8 as i32;
const SQL_ASCII: i32 = pg_sys::pg_enc::PG_SQL_ASCII as i32;

/// The most bytes of UTF-8 that a byte of any server encoding becomes.
const MAX_GROWTH: usize = pg_sys::MAX_CONVERSION_GROWTH as usize;

/// Converts text of the database; None when it has no counterpart in UTF-8. Never raises.
pub fn to_utf8<B: std::ops::Deref<Target = Vec<u8>>>(bytes: B) -> Option<String> {
    // SAFETY: reads a variable of the backend.
    let encoding = unsafe { pg_sys::GetDatabaseEncoding() };
    if encoding == UTF8 || encoding == SQL_ASCII || bytes.is_ascii() {
        return std::str::from_utf8(&bytes).ok().map(str::to_owned);
    }
    let mut converted = vec![0; bytes.len() * MAX_GROWTH + 1];
    // SAFETY: both buffers are as long as they are said to be; with noError the conversion stops where it cannot go on and
    // returns how far it came.
    let done = unsafe {
        let conversion = pg_sys::FindDefaultConversionProc(encoding, UTF8);
        if conversion == pg_sys::InvalidOid {
            return None;
        }
        pg_sys::pg_do_encoding_conversion_buf(
            conversion,
            encoding,
            UTF8,
            bytes.as_ptr().cast_mut(),
            bytes.len() as i32,
            converted.as_mut_ptr(),
            converted.len() as i32,
            true,
        )
    };
    if done as usize != bytes.len() {
        return None;
    }
    converted.truncate(converted.iter().position(|byte| *byte == 0)?);
    String::from_utf8(converted).ok()
}

/// Converts a message for the client; what has no counterpart in the encoding of the database raises 22P05.
pub fn from_utf8(text: String) -> Vec<u8> {
    if text.is_ascii() {
        return text.into_bytes();
    }
    // SAFETY: the result is the text itself where nothing is to be converted, else a NUL-terminated string.
    unsafe {
        let source = text.as_ptr().cast();
        let converted = pg_sys::pg_any_to_server(source, text.len() as i32, UTF8);
        if std::ptr::eq(converted, source) { text.into_bytes() } else { CStr::from_ptr(converted).to_bytes().to_vec() }
    }
}
