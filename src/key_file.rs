//! The key file on disk: where it may lie, who may read it, and when it is read again.
//!
//! Invariant: with a key file configured nothing is hashed unless the file is in order (fail closed), and a set opens under
//! its own key alone. A key that is lost or mistaken raises: a wrong file must never count as a wrong code.

use std::cell::RefCell;
use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use pgrx::pg_sys;
use zeroize::Zeroizing;

use crate::pg::error::{Error, Result};
use crate::settings;
use crate::store::Facts;
use crate::user_id::UserId;
use backup_codes_core::keyring::{Key, Keyring, MAX_FILE};

struct Loaded {
    path: Vec<u8>,
    /// When the server's configuration was last read before the file was.
    reload: pg_sys::TimestampTz,
    keyring: Keyring,
}

thread_local! {
    static LOADED: RefCell<Option<Loaded>> = const { RefCell::new(None) };
}

/// The key of new sets; None when no key file is configured, which `require_key` refuses.
pub fn current() -> Result<Option<Key>> {
    let key = keyring(Reading::Cached)?.and_then(|keyring| keyring.current().cloned());
    if key.is_none() && settings::require_key() { Err(Error::KeyRequired) } else { Ok(key) }
}

/// The key of a user's set, which must carry its seal. A set without a key is opened without, but not while the configured file
/// is out of order.
pub fn of_set(user_id: &UserId, facts: &Facts) -> Result<Option<Key>> {
    let keyring = keyring(Reading::Cached)?;
    let Some(id) = facts.key_id else { return Ok(None) };
    let fitting = |keyring: &Keyring| keyring.get(id).filter(|key| facts.carries_seal_of(user_id, key)).cloned();
    if let Some(key) = keyring.as_ref().and_then(fitting) {
        return Ok(Some(key));
    }
    // It may have been added since the configuration was last read.
    let Some(keyring) = self::keyring(Reading::Anew)? else {
        return Err(Error::KeyFileNotSet { id });
    };
    match fitting(&keyring) {
        Some(key) => Ok(Some(key)),
        None if keyring.get(id).is_some() => Err(Error::SealBroken { id }),
        None => Err(Error::KeyMissing { id, path: path_text() }),
    }
}

/// What an attempt on a user without a set does in the place of [`of_set`], which takes as long.
pub fn of_nobody(user_id: &UserId, facts: &Facts) -> Result<Option<Key>> {
    let key = keyring(Reading::Cached)?.and_then(|keyring| keyring.current().cloned());
    if let Some(key) = &key {
        facts.carries_seal_of(user_id, key);
    }
    Ok(key)
}

/// Every key of the configured file; None when none is configured.
pub fn all() -> Result<Option<Keyring>> {
    keyring(Reading::Anew)
}

#[derive(PartialEq, Eq)]
enum Reading {
    /// As it was read after the last reload of the configuration.
    Cached,
    /// From the file.
    Anew,
}

fn keyring(reading: Reading) -> Result<Option<Keyring>> {
    let Some(setting) = settings::key_file() else { return Ok(None) };
    let path = setting.as_bytes();
    // SAFETY: reads a variable of the backend.
    let reload = unsafe { pg_sys::PgReloadTime };
    LOADED.with_borrow_mut(|loaded| {
        let fresh = loaded.as_ref().is_some_and(|loaded| loaded.path == path && loaded.reload == reload);
        if reading == Reading::Anew || !fresh {
            *loaded = None;
            *loaded = Some(Loaded { path: path.to_vec(), reload, keyring: read(Path::new(OsStr::from_bytes(path)))? });
        }
        Ok(loaded.as_ref().map(|loaded| loaded.keyring.clone()))
    })
}

/// The configured path, for messages.
pub fn path_text() -> String {
    settings::key_file().unwrap_or_default().to_string_lossy().into_owned()
}

/// Reads the file under PostgreSQL's rule for the private key of a server certificate: owned by the server's user and
/// closed to everyone else, or owned by root and readable by its group at the most.
fn read(path: &Path) -> Result<Keyring> {
    let shown = || path.to_string_lossy().into_owned();
    let io = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => Error::KeyFileMissing(shown()),
        ErrorKind::PermissionDenied => Error::KeyFileDenied(shown()),
        _ => Error::KeyFileUnreadable { path: shown(), reason: error.to_string() },
    };
    // SAFETY: set before any backend runs, a NUL-terminated absolute path.
    let data_directory = Path::new(OsStr::from_bytes(unsafe { CStr::from_ptr(pg_sys::DataDir) }.to_bytes()));
    let data_directory = data_directory.canonicalize().map_err(io)?;
    if !path.is_absolute() || path.canonicalize().map_err(io)?.starts_with(&data_directory) {
        return Err(Error::KeyFilePlace(shown()));
    }
    // Without O_NONBLOCK opening a pipe would wait for a writer.
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(io)?;
    let facts = file.metadata().map_err(io)?;
    // Another name of the same file could lie in the data directory.
    if !facts.is_file() || facts.nlink() != 1 {
        return Err(Error::KeyFileKind(shown()));
    }
    // PostgreSQL does not start unless its user owns the data directory.
    let server = data_directory.metadata().map_err(io)?.uid();
    let closed = match facts.uid() {
        owner if owner == server => facts.mode() & 0o077 == 0,
        0 => facts.mode() & 0o037 == 0,
        _ => false,
    };
    if !closed {
        return Err(Error::KeyFileOpen(shown()));
    }
    if facts.len() > MAX_FILE {
        return Err(Error::KeyFileKind(shown()));
    }
    let mut content = Zeroizing::new(Vec::with_capacity(MAX_FILE as usize + 1));
    file.take(MAX_FILE + 1).read_to_end(&mut content).map_err(io)?;
    Keyring::parse(&content).map_err(|reason| Error::KeyFileContent { path: shown(), reason })
}
