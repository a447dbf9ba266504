//! What is stored instead of a code. Knows nothing of PostgreSQL.
//!
//! Invariant: the digest binds the code to its user and its set, so a row copied to another user opens nothing.

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// Bytes of salt a set has.
pub const SALT_LEN: usize = 16;
/// Bytes of the digest that are stored: second-preimage strength is what counts here.
pub const HASH_LEN: usize = 16;

const DOMAIN: &[u8] = b"backup_codes\x01";

/// A set's salt.
pub type Salt = [u8; SALT_LEN];
/// A stored code.
pub type CodeHash = [u8; HASH_LEN];

/// How a set's codes are hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// SHA-256, for codes of at least 112 random bits.
    Sha256,
}

impl Scheme {
    /// The name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
        }
    }

    /// The scheme of that name.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        (name == b"sha256").then_some(Self::Sha256)
    }

    /// The leftmost 128 bits of the hash over the domain, the user, the salt and the symbols without check symbol.
    pub fn hash(self, user_id: &[u8], salt: &Salt, symbols: &[u8]) -> CodeHash {
        let length = (user_id.len() as u16).to_be_bytes();
        let digest = match self {
            Self::Sha256 => Zeroizing::new(<[u8; 32]>::from(
                Sha256::new()
                    .chain_update(DOMAIN)
                    .chain_update(length)
                    .chain_update(user_id)
                    .chain_update(salt)
                    .chain_update(symbols)
                    .finalize(),
            )),
        };
        let mut hash = CodeHash::default();
        hash.copy_from_slice(&digest[..HASH_LEN]);
        hash
    }
}

#[cfg(test)]
#[path = "hash_tests.rs"]
mod tests;
