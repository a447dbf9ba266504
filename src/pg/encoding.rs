//! Between the encoding of the database and UTF-8, in which user ids are measured and everything is hashed. Nothing raises.

use pgrx::pg_sys;

const UTF8: i32 = pg_sys::pg_enc::PG_UTF8 as i32;
const SQL_ASCII: i32 = pg_sys::pg_enc::PG_SQL_ASCII as i32;

/// The most bytes that a byte becomes in another encoding.
const MAX_GROWTH: usize = pg_sys::MAX_CONVERSION_GROWTH as usize;

/// Converts text of the database; None when it has no counterpart in UTF-8.
pub fn to_utf8<B: std::ops::Deref<Target = Vec<u8>>>(bytes: B) -> Option<String> {
    let encoding = database();
    if encoding == UTF8 || encoding == SQL_ASCII || bytes.is_ascii() {
        return std::str::from_utf8(&bytes).ok().map(str::to_owned);
    }
    String::from_utf8(convert_all(&bytes, encoding, UTF8)?).ok()
}

/// Converts text for the client; where a character has no counterpart in the database, all but ASCII becomes `?`.
pub fn from_utf8(text: String) -> Vec<u8> {
    let encoding = database();
    if encoding == UTF8 || encoding == SQL_ASCII || text.is_ascii() {
        return text.into_bytes();
    }
    convert_all(text.as_bytes(), UTF8, encoding)
        .unwrap_or_else(|| text.replace(|c: char| !c.is_ascii(), "?").into_bytes())
}

/// Whether text is valid in the encoding of the database, and has a counterpart in UTF-8: for clients who use that, one character
/// without would spoil every row that comes with it.
pub fn is_valid(text: &[u8]) -> bool {
    verified(text) == text.len()
}

/// How many bytes from the start are valid. SQL_ASCII takes any; there they are UTF-8, as user ids are.
fn verified(text: &[u8]) -> usize {
    let encoding = if database() == SQL_ASCII { UTF8 } else { database() };
    // SAFETY: as many bytes are looked at as there are; nothing is raised.
    let valid = unsafe { pg_sys::pg_encoding_verifymbstr(encoding, text.as_ptr().cast(), text.len() as i32) };
    let valid = valid.unsigned_abs() as usize;
    if encoding == UTF8 || text.is_ascii() {
        return valid;
    }
    // Some encodings have no conversion, which no client can ask for then.
    text.get(..valid).and_then(|text| convert(text, encoding, UTF8)).map_or(valid, |(converted, _)| converted)
}

/// Text as it can be stored: what is not valid, as settings and names of roles may hold, becomes `?`, byte by byte.
pub fn storable(mut text: Vec<u8>) -> Vec<u8> {
    let mut at = 0;
    while at < text.len() {
        at += verified(&text[at..]);
        if let Some(byte) = text.get_mut(at) {
            *byte = b'?';
        }
    }
    text
}

fn database() -> i32 {
    // SAFETY: reads a variable of the backend.
    unsafe { pg_sys::GetDatabaseEncoding() }
}

fn convert_all(bytes: &[u8], from: i32, to: i32) -> Option<Vec<u8>> {
    convert(bytes, from, to).and_then(|(done, converted)| (done == bytes.len()).then_some(converted))
}

/// How many bytes from the start have a counterpart, and that. None when the encodings have no conversion.
fn convert(bytes: &[u8], from: i32, to: i32) -> Option<(usize, Vec<u8>)> {
    let mut converted = vec![0; bytes.len() * MAX_GROWTH + 1];
    // SAFETY: both buffers are as long as they are said to be; with noError the conversion stops where it cannot go on and
    // returns how far it came.
    let done = unsafe {
        let conversion = pg_sys::FindDefaultConversionProc(from, to);
        if conversion == pg_sys::InvalidOid {
            return None;
        }
        pg_sys::pg_do_encoding_conversion_buf(
            conversion,
            from,
            to,
            bytes.as_ptr().cast_mut(),
            bytes.len() as i32,
            converted.as_mut_ptr(),
            converted.len() as i32,
            true,
        )
    };
    converted.truncate(converted.iter().position(|byte| *byte == 0)?);
    Some((done.unsigned_abs() as usize, converted))
}
