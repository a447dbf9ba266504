//! Codes, their hashes and the keys they are hashed under. Knows nothing of PostgreSQL, so that it can be tested and fuzzed
//! without a server.

pub mod code;
pub mod hash;
pub mod keyring;
