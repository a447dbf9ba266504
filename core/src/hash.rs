//! What is stored instead of a code. Knows nothing of PostgreSQL.
//!
//! Invariant: the digest binds a code to its set, by the set's salt. A code of at least 112 random bits needs no slow hash; a
//! shorter one gets Argon2id (NIST SP 800-63B-4 §3.1.2.2, ASVS 5.0 §6.5.2).

use std::cell::Cell;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use memmap2::{Advice, MmapMut, UncheckedAdvice};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::keyring::Key;

/// Bytes of salt a set has.
pub const SALT_LEN: usize = 16;
/// Bytes of the digest that are stored: second-preimage strength is what counts here.
pub const HASH_LEN: usize = 16;

const DOMAIN: &[u8] = b"backup_codes\x02";
const LANES: u32 = 1;
const DIGEST_LEN: usize = 32;

/// A set's salt.
pub type Salt = [u8; SALT_LEN];
/// A stored code.
pub type CodeHash = [u8; HASH_LEN];

/// How a set's codes are hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// SHA-256, for codes of at least 112 random bits.
    Sha256,
    /// Argon2id of version 1.3, for shorter codes, with one lane.
    Argon2id {
        /// Memory in KiB.
        memory: u32,
        /// Passes over the memory.
        iterations: u32,
    },
}

/// Argon2id found no memory, or has parameters that it does not take.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct HashError(argon2::Error);

impl Scheme {
    /// The letter in tables.
    pub fn letter(self) -> u8 {
        match self {
            Self::Sha256 => b's',
            Self::Argon2id { .. } => b'a',
        }
    }

    /// The scheme of that letter, with Argon2id's memory and iterations.
    pub fn from_parts(letter: u8, costs: Option<(u32, u32)>) -> Option<Self> {
        match (letter, costs) {
            (b's', None) => Some(Self::Sha256),
            (b'a', Some((memory, iterations))) => Some(Self::Argon2id { memory, iterations }),
            _ => None,
        }
    }

    /// Argon2id's memory and iterations.
    pub fn costs(self) -> Option<(u32, u32)> {
        match self {
            Self::Sha256 => None,
            Self::Argon2id { memory, iterations } => Some((memory, iterations)),
        }
    }

    /// The leftmost 128 bits of the hash over the domain, the salt and the symbols without check symbol; where there is a key,
    /// of the HMAC of that hash. The user is not in it, so that a set can be renamed and imported.
    pub fn hash(self, key: Option<&Key>, salt: &Salt, symbols: &[u8]) -> Result<CodeHash, HashError> {
        let mut digest = Zeroizing::new([0; DIGEST_LEN]);
        let parts = [DOMAIN, salt, symbols];
        match self {
            Self::Sha256 => {
                let hasher = parts.iter().fold(Sha256::new(), |hasher, part| hasher.chain_update(part));
                *digest = hasher.finalize().into();
            }
            Self::Argon2id { memory, iterations } => {
                let params = Params::new(memory, iterations, LANES, Some(DIGEST_LEN)).map_err(HashError)?;
                let mut input = Zeroizing::new(Vec::with_capacity(parts.iter().map(|part| part.len()).sum()));
                parts.iter().for_each(|part| input.extend_from_slice(part));
                let blocks = params.block_count();
                let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
                in_memory(blocks, |memory| argon2.hash_password_into_with_memory(&input, salt, &mut *digest, memory))?;
            }
        }
        if let Some(key) = key {
            *digest = key.mac(&*digest);
        }
        let mut hash = CodeHash::default();
        hash.copy_from_slice(&digest[..HASH_LEN]);
        Ok(hash)
    }
}

thread_local! {
    /// The memory of the last Argon2id, which the system may take back at any time.
    static MEMORY: Cell<Option<MmapMut>> = const { Cell::new(None) };
}

/// Runs an Argon2id in memory for that many blocks, with whatever is in it: every block is written before it is read.
///
/// To be given 19 MiB anew for each takes as long as half of the hash. So the memory comes in huge pages, where the system has
/// them, and stays mapped; but the system is told that nothing in it is needed any more, and takes the pages when it wants them.
fn in_memory<T>(blocks: usize, body: impl FnOnce(&mut [Block]) -> Result<T, argon2::Error>) -> Result<T, HashError> {
    let size = blocks * Block::SIZE;
    let mut map = match MEMORY.take().filter(|map| map.len() == size) {
        Some(map) => map,
        None => {
            let map = MmapMut::map_anon(size).map_err(|_| HashError(argon2::Error::OutOfMemory))?;
            // Small pages will do where there are no others.
            let _ = map.advise(Advice::HugePage);
            map
        }
    };
    // SAFETY: a block is an array of integers, for which any bits will do; the mapping is aligned to a page and holds as many.
    let result = body(unsafe { std::slice::from_raw_parts_mut(map.as_mut_ptr().cast(), blocks) });
    // SAFETY: the mapping is private, and what is in it is not read again. Where this fails, it is unmapped.
    if unsafe { map.unchecked_advise(UncheckedAdvice::Free) }.is_ok() {
        MEMORY.set(Some(map));
    }
    result.map_err(HashError)
}

#[cfg(test)]
#[path = "hash_tests.rs"]
mod tests;
