//! Codes, their hashes, the keys they are hashed under, the seals of sets, and the throttle. Knows nothing of PostgreSQL, so
//! that it can be tested and fuzzed without a server.

pub mod code;
mod fold;
pub mod hash;
pub mod join;
pub mod keyring;
pub mod seal;
pub mod throttle;
