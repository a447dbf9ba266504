//! A key of several parts as one text.

/// Stands between two parts.
const SEPARATOR: u8 = b':';
/// Stands before a separator, or itself, within a part.
const ESCAPE: u8 = b'\\';

/// Joins the parts of a key. No two keys give the same text: the parts can be read back from it. Bytes are taken as they are, which
/// is right for every encoding of a database: none of them has an ASCII byte within a longer character.
pub fn join(parts: &[Vec<u8>]) -> Vec<u8> {
    let mut joined = Vec::with_capacity(parts.iter().map(|part| part.len() + 1).sum());
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            joined.push(SEPARATOR);
        }
        for byte in part {
            if matches!(*byte, SEPARATOR | ESCAPE) {
                joined.push(ESCAPE);
            }
            joined.push(*byte);
        }
    }
    joined
}

#[cfg(test)]
#[path = "join_tests.rs"]
mod tests;
