//! Codes, their hashes, the keys they are hashed under and the seals of sets. Knows nothing of PostgreSQL, so that it can be
//! tested and fuzzed without a server.

pub mod code;
mod fold;
pub mod hash;
pub mod join;
pub mod keyring;
pub mod seal;
