//! What binds a keyed set to its user, its salt and its facts. Knows nothing of PostgreSQL.
//!
//! Invariant: without the key nobody makes a seal that checks, so a set that was copied to another user, one whose expiry was
//! changed and one under another key are told from a wrong code. No two sets that differ in anything have one message: every
//! part has a fixed length, tells its length, or tells by its first byte what follows.

use hmac::Mac;

use crate::code::Format;
use crate::hash::{Salt, Scheme};
use crate::keyring::Key;

/// Bytes of a seal.
pub const SEAL_LEN: usize = 16;

const DOMAIN: &[u8] = b"backup_codes seal\x01";
/// What stands for a set that never expires: PostgreSQL's infinity.
const NEVER: i64 = i64::MAX;

/// A seal as it is stored.
pub type Seal = [u8; SEAL_LEN];

/// What a seal vouches for. Times are microseconds since 2000-01-01 UTC, as in PostgreSQL.
#[derive(Clone, Copy, Debug)]
pub struct Sealed<'a> {
    /// The user in UTF-8, at most 255 bytes.
    pub user_id: &'a str,
    /// The set's salt.
    pub salt: &'a Salt,
    /// How its codes are hashed.
    pub scheme: Scheme,
    /// How its codes are spelled.
    pub format: Format,
    /// When it was made.
    pub generated_at: i64,
    /// When it expires, if ever.
    pub expires_at: Option<i64>,
}

impl Sealed<'_> {
    /// The leftmost 128 bits of HMAC-SHA-256 under the key over these facts.
    pub fn seal(&self, key: &Key) -> Seal {
        let mut seal = Seal::default();
        seal.copy_from_slice(&self.mac(key).finalize().into_bytes()[..SEAL_LEN]);
        seal
    }

    /// Whether the seal was made of these facts under this key. Takes as long wherever they differ.
    pub fn checks(&self, key: &Key, seal: &Seal) -> bool {
        self.mac(key).verify_truncated_left(seal).is_ok()
    }

    fn mac(&self, key: &Key) -> impl Mac {
        let mut mac = key.hmac().chain_update(DOMAIN);
        mac.update(&(self.user_id.len() as u16).to_be_bytes());
        mac.update(self.user_id.as_bytes());
        mac.update(self.salt);
        mac.update(&[self.scheme.letter()]);
        if let Some((memory, iterations)) = self.scheme.costs() {
            mac.update(&memory.to_be_bytes());
            mac.update(&iterations.to_be_bytes());
        }
        mac.update(&[self.format.alphabet.letter(), self.format.length as u8]);
        mac.update(&self.generated_at.to_be_bytes());
        mac.update(&self.expires_at.unwrap_or(NEVER).to_be_bytes());
        mac
    }
}

#[cfg(test)]
#[path = "seal_tests.rs"]
mod tests;
