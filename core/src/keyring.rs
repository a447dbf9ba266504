//! The keys (peppers) under which codes are hashed, and the file they stand in. Knows nothing of PostgreSQL.
//!
//! Invariant: no message and no Debug output holds key material; every copy is wiped when dropped.
//!
//! The file has one line a key, `<id> <base64 of 32 bytes>`, the current one first, and comments that begin with `#`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Bytes of a key.
pub const KEY_LEN: usize = 32;
/// Bytes of an HMAC-SHA-256.
pub const MAC_LEN: usize = 32;
/// Bytes of a key's check value.
pub const CHECK_LEN: usize = 8;
/// The largest file that is read, in bytes.
pub const MAX_FILE: u64 = 64 * 1024;

const CHECK_LABEL: &[u8] = b"backup_codes key check";

/// Tells a key from another one under the same id, without telling anything about it.
pub type KeyCheck = [u8; CHECK_LEN];

/// A key with its id.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Key {
    id: i32,
    secret: [u8; KEY_LEN],
    check: KeyCheck,
}

impl Key {
    /// Its id, which sets remember.
    pub fn id(&self) -> i32 {
        self.id
    }

    /// HMAC-SHA-256 of a message under this key.
    pub fn mac(&self, message: &[u8]) -> [u8; MAC_LEN] {
        self.hmac().chain_update(message).finalize().into_bytes().into()
    }

    /// HMAC-SHA-256 under this key, for a message in parts.
    pub(crate) fn hmac(&self) -> Hmac<Sha256> {
        let Ok(hmac) = Hmac::new_from_slice(&self.secret) else {
            unreachable!("HMAC takes a key of any length");
        };
        hmac
    }

    /// Its check value, by which two servers can be compared.
    pub fn check(&self) -> KeyCheck {
        self.check
    }

    fn new(id: i32, secret: &[u8; KEY_LEN]) -> Self {
        let mut key = Self { id, secret: *secret, check: KeyCheck::default() };
        let mac = key.mac(CHECK_LABEL);
        key.check.copy_from_slice(&mac[..CHECK_LEN]);
        key
    }
}

/// What is wrong with a key file, and in which line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFileError {
    /// No key at all.
    #[error("it holds no key")]
    Empty,
    /// A line that is not `<id> <base64>`.
    #[error("line {0} is not an id and a key")]
    Line(usize),
    /// An id that is no positive integer.
    #[error("line {0} has an id that is not a number from 1 to 2147483647")]
    Id(usize),
    /// A key that is not 32 bytes in base64.
    #[error("line {0} has a key that is not 32 bytes in base64")]
    Secret(usize),
    /// An id that stood in a line before.
    #[error("line {0} repeats the id of another line")]
    Duplicate(usize),
}

/// The keys of a file, the current one first.
#[derive(Clone)]
pub struct Keyring(Vec<Key>);

impl Keyring {
    /// Reads the content of a key file.
    pub fn parse(content: &[u8]) -> Result<Self, KeyFileError> {
        let lines = (1..).zip(content.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii));
        let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with(b"#"));
        // Room for all: a vector that grew would leave its keys behind.
        let mut keys: Vec<Key> = Vec::with_capacity(lines.clone().count());
        for (number, line) in lines {
            let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
            let (Some(id), Some(secret), None) = (words.next(), words.next(), words.next()) else {
                return Err(KeyFileError::Line(number));
            };
            let id = parse_id(id).ok_or(KeyFileError::Id(number))?;
            if keys.iter().any(|key| key.id == id) {
                return Err(KeyFileError::Duplicate(number));
            }
            let secret = decode(secret).ok_or(KeyFileError::Secret(number))?;
            keys.push(Key::new(id, &secret));
        }
        if keys.is_empty() { Err(KeyFileError::Empty) } else { Ok(Self(keys)) }
    }

    /// The key of new sets.
    pub fn current(&self) -> Option<&Key> {
        self.0.first()
    }

    /// The key of that id.
    pub fn get(&self, id: i32) -> Option<&Key> {
        self.0.iter().find(|key| key.id == id)
    }

    /// Every key, the current one first.
    pub fn iter(&self) -> impl Iterator<Item = &Key> {
        self.0.iter()
    }
}

/// Digits only: no sign, no leading zero.
fn parse_id(word: &[u8]) -> Option<i32> {
    let digits = std::str::from_utf8(word).ok().filter(|word| word.bytes().all(|byte| byte.is_ascii_digit()))?;
    digits.parse().ok().filter(|id| *id > 0 && !digits.starts_with('0'))
}

fn decode(word: &[u8]) -> Option<Zeroizing<[u8; KEY_LEN]>> {
    // Room for what the longest word that could be right decodes to; a longer one is refused.
    let mut bytes = Zeroizing::new([0; KEY_LEN + 1]);
    let length = STANDARD.decode_slice(word, &mut *bytes).ok()?;
    let mut secret = Zeroizing::new([0; KEY_LEN]);
    (length == KEY_LEN).then(|| secret.copy_from_slice(&bytes[..KEY_LEN]))?;
    Some(secret)
}

#[cfg(test)]
#[path = "keyring_tests.rs"]
mod tests;
