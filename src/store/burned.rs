//! The codes of a set that were consumed, as account.burned holds them: two bytes of ordinal and the hash for each.

use backup_codes_core::hash::{CodeHash, HASH_LEN};

/// Bytes of an ordinal.
const ORDINAL_LEN: usize = size_of::<i16>();

/// The column.
pub struct Burned(pub Vec<u8>);

impl Burned {
    fn codes(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.0.chunks_exact(ORDINAL_LEN + HASH_LEN).map(|entry| entry.split_at(ORDINAL_LEN))
    }

    /// Whether this is one of them.
    pub fn contains(&self, hash: &CodeHash) -> bool {
        self.codes().any(|(_, burned)| burned == hash)
    }

    /// The one that was consumed last.
    pub fn last(&self) -> Option<CodeHash> {
        self.codes().last().and_then(|(_, burned)| burned.try_into().ok())
    }

    /// Their ordinals, ascending.
    pub fn ordinals(&self) -> Vec<i32> {
        let ordinal = |bytes: &[u8]| i32::from(i16::from_be_bytes([bytes[0], bytes[1]]));
        let mut ordinals: Vec<_> = self.codes().map(|(bytes, _)| ordinal(bytes)).collect();
        ordinals.sort_unstable();
        ordinals
    }
}
