//! The settings: each is one entry of the table below. The reference is docs/reference.md.

use std::ffi::CString;

use pgrx::guc::GucFlags;
use pgrx::{PostgresGucEnum, pg_sys};

use crate::pg::setting::{self, settings};
use backup_codes_core::code::{Alphabet, Format, LENGTHS, STRONG_BITS};
use backup_codes_core::hash::Scheme;

/// The alphabet of new codes.
#[derive(Clone, Copy, PostgresGucEnum)]
pub enum AlphabetSetting {
    /// Crockford's base32.
    #[name = c"base32"]
    Base32,
    /// Hexadecimal digits.
    #[name = c"hex"]
    Hex,
    /// Decimal digits.
    #[name = c"decimal"]
    Decimal,
}

/// The hash function of new sets.
#[derive(Clone, Copy, PostgresGucEnum)]
pub enum HashSetting {
    /// As many random bits as a code carries ask for.
    #[name = c"auto"]
    Auto,
    /// SHA-256.
    #[name = c"sha256"]
    Sha256,
    /// Argon2id.
    #[name = c"argon2id"]
    Argon2id,
}

/// When a committed event is announced with NOTIFY.
#[derive(Clone, Copy, PartialEq, Eq, PostgresGucEnum)]
pub enum Notify {
    /// One notification for each event.
    #[name = c"each"]
    Each,
    /// One where no other event waits to be claimed.
    #[name = c"coalesced"]
    Coalesced,
    /// None.
    #[name = c"off"]
    Off,
}

/// What a notification says.
#[derive(Clone, Copy, PartialEq, Eq, PostgresGucEnum)]
pub enum NotifyPayload {
    /// Everything a mail needs.
    #[name = c"full"]
    Full,
    /// The kind and the id of the event: any role that can connect may listen.
    #[name = c"id"]
    Id,
}

/// What an attempt does in a transaction that its caller could roll back.
#[derive(Clone, Copy, PartialEq, Eq, PostgresGucEnum)]
pub enum InTransaction {
    /// The same as elsewhere.
    #[name = c"allow"]
    Allow,
    /// The same, with a WARNING.
    #[name = c"warn"]
    Warn,
    /// It raises 25001.
    #[name = c"refuse"]
    Refuse,
}

/// Users whose guesses the shared memory counts at a time, where nobody can say another number.
pub const DEFAULT_THROTTLE_ENTRIES: i32 = 65_536;

settings! {
    /// Codes in a new set, where the caller does not say.
    count() -> i32 = COUNT: Integer {
        name: c"backup_codes.count",
        phrase: c"Sets the number of codes in a new set.",
        sentence: c"Applies where a function is called without count.",
        context: Superuser,
        default: 10,
        range: 1..=100,
        unit: GucFlags::empty(),
    }

    /// Alphabet of new codes.
    alphabet() -> AlphabetSetting = ALPHABET: Word {
        name: c"backup_codes.alphabet",
        phrase: c"Sets the alphabet of new codes.",
        sentence: c"base32 is Crockford's, with a check symbol; hex and decimal have none.",
        context: Superuser,
        default: AlphabetSetting::Base32,
    }

    /// Symbols in a new code.
    length() -> i32 = LENGTH: Integer {
        name: c"backup_codes.length",
        phrase: c"Sets the number of symbols in a new code.",
        sentence: c"Counts symbols without separators, the check symbol of base32 included.",
        context: Superuser,
        default: 25,
        range: *LENGTHS.start() as i32..=*LENGTHS.end() as i32,
        unit: GucFlags::empty(),
    }

    /// Symbols between two hyphens, 0 for none.
    group_size() -> i32 = GROUP_SIZE: Integer {
        name: c"backup_codes.group_size",
        phrase: c"Sets the number of symbols between two hyphens of a new code.",
        sentence: c"With 0 a code is written without hyphens.",
        context: Superuser,
        default: 5,
        range: 0..=*LENGTHS.end() as i32,
        unit: GucFlags::empty(),
    }

    /// Hash function of new sets.
    hash() -> HashSetting = HASH: Word {
        name: c"backup_codes.hash",
        phrase: c"Sets the hash function of new sets.",
        sentence: c"auto takes SHA-256 where a code carries at least 112 random bits, else Argon2id.",
        context: Superuser,
        default: HashSetting::Auto,
    }

    /// Argon2id's memory for one code of a new set, in kB.
    argon2_memory() -> i32 = ARGON2_MEMORY: Integer {
        name: c"backup_codes.argon2_memory",
        phrase: c"Sets the memory that Argon2id takes for one code of a new set.",
        sentence: c"More memory makes an offline search dearer, and an attempt as well.",
        context: Superuser,
        default: 19456,
        range: 8192..=1_048_576,
        unit: GucFlags::UNIT_KB,
    }

    /// Argon2id's passes over its memory for one code of a new set.
    argon2_iterations() -> i32 = ARGON2_ITERATIONS: Integer {
        name: c"backup_codes.argon2_iterations",
        phrase: c"Sets the number of passes that Argon2id makes over its memory for one code of a new set.",
        sentence: c"More passes make an offline search dearer, and an attempt as well.",
        context: Superuser,
        default: 2,
        range: 1..=20,
        unit: GucFlags::empty(),
    }

    /// Seconds a new set is valid, where the caller does not say; 0 for ever.
    valid_for() -> i32 = VALID_FOR: Integer {
        name: c"backup_codes.valid_for",
        phrase: c"Sets the time after which a new set expires.",
        sentence: c"With 0 a set is valid for ever.",
        context: Superuser,
        default: 0,
        range: 0..=i32::MAX,
        unit: GucFlags::UNIT_S,
    }

    /// Unused codes from which on a user has few left.
    low() -> i32 = LOW: Integer {
        name: c"backup_codes.low",
        phrase: c"Sets the number of unused codes from which on a user has few left.",
        sentence: c"The functions and events then say low.",
        context: Superuser,
        default: 2,
        range: 0..=*COUNT.kind.range.end(),
        unit: GucFlags::empty(),
    }

    /// Consecutive failures that lock a user.
    max_failures() -> i32 = MAX_FAILURES: Integer {
        name: c"backup_codes.max_failures",
        phrase: c"Sets the number of consecutive failures that lock a user.",
        sentence: c"So many more lock again; each lock lasts backup_codes.lockout.",
        context: Superuser,
        default: 5,
        range: 1..=100,
        unit: GucFlags::empty(),
    }

    /// Seconds for which a user is locked.
    lockout() -> i32 = LOCKOUT: Integer {
        name: c"backup_codes.lockout",
        phrase: c"Sets the time for which a user is locked.",
        sentence: c"While a user is locked no code is accepted and none is counted.",
        context: Superuser,
        default: 900,
        range: 1..=86_400,
        unit: GucFlags::UNIT_S,
    }

    /// Users whose guesses the server can keep in memory at a time.
    throttle_entries() -> i32 = THROTTLE_ENTRIES: Integer {
        name: c"backup_codes.throttle_entries",
        phrase: c"Sets the number of users whose guesses the server's shared memory counts at a time.",
        sentence: c"Takes effect where the library is in shared_preload_libraries; elsewhere the number is the default.",
        context: Start,
        default: DEFAULT_THROTTLE_ENTRIES,
        range: 16..=16_777_216,
        unit: GucFlags::empty(),
    }

    /// Consecutive failures that remove a user's set.
    disable_after() -> i32 = DISABLE_AFTER: Integer {
        name: c"backup_codes.disable_after",
        phrase: c"Sets the number of consecutive failures that remove a user's set.",
        sentence: c"NIST SP 800-63B-4 section 3.2.2 allows 100 at the most.",
        context: Superuser,
        default: 100,
        range: 1..=100,
        unit: GucFlags::empty(),
    }

    /// What an attempt does in a transaction that its caller could roll back.
    in_transaction() -> InTransaction = IN_TRANSACTION: Word {
        name: c"backup_codes.in_transaction",
        phrase: c"Sets what an attempt does in a transaction that its caller could roll back.",
        sentence: c"refuse raises an error before anything is read, warn a warning; allow does neither.",
        context: User,
        default: InTransaction::Allow,
    }

    /// Whether events are announced.
    notify() -> Notify = NOTIFY: Word {
        name: c"backup_codes.notify",
        phrase: c"Sets when events are announced with NOTIFY.",
        sentence: c"each announces every event, up to 64 in a transaction; coalesced only where no other event waits to be claimed; off announces none.",
        context: Superuser,
        default: Notify::Each,
    }

    /// What a notification says.
    notify_payload() -> NotifyPayload = NOTIFY_PAYLOAD: Word {
        name: c"backup_codes.notify_payload",
        phrase: c"Sets what a notification says.",
        sentence: c"full names the user; id says no more than the kind and the id of the event.",
        context: Superuser,
        default: NotifyPayload::Full,
    }

    /// The channel of the notifications.
    channel() -> Option<CString> = CHANNEL: Text {
        name: c"backup_codes.channel",
        phrase: c"Sets the channel of the notifications.",
        sentence: c"It is a name as LISTEN takes it.",
        context: Superuser,
        default: Some(c"backup_codes"),
        check: Some(setting::length::<1, { pg_sys::NAMEDATALEN as usize - 1 }>),
    }

    /// Whether events wait to be claimed.
    outbox() -> bool = OUTBOX: Switch {
        name: c"backup_codes.outbox",
        phrase: c"Sets whether events wait to be claimed by a mailer.",
        sentence: c"When off, events are written as history only.",
        context: Superuser,
        default: true,
    }

    /// The file of the keys; None when there is none.
    key_file() -> Option<CString> = KEY_FILE: Text {
        name: c"backup_codes.key_file",
        phrase: c"Sets the file of the keys under which codes are hashed.",
        sentence: c"It lies outside the data directory, readable by the server's user alone.",
        context: Sighup,
        default: Some(c""),
        check: None,
    }

    /// Whether a set without a key opens nothing, and none is made.
    require_key() -> bool = REQUIRE_KEY: Switch {
        name: c"backup_codes.require_key",
        phrase: c"Sets whether every set needs a key.",
        sentence: c"Without a key no set is then made, and none that has no key opens anything.",
        context: Sighup,
        default: false,
    }

    /// What events carry along, in the encoding of the database; None for nothing.
    context() -> Option<CString> = CONTEXT: Text {
        name: c"backup_codes.context",
        phrase: c"Sets the text that events carry along.",
        sentence: c"It may be a request id or a user agent, for instance.",
        context: User,
        default: Some(c""),
        check: Some(setting::length::<0, 200>),
    }
}

/// Registers every setting and reserves the prefix.
pub fn register() {
    for setting in ALL {
        setting.define();
    }
    // SAFETY: the prefix is a NUL-terminated string.
    unsafe { pg_sys::MarkGUCPrefixReserved(c"backup_codes".as_ptr()) };
}

/// The format of new codes, and of what an unknown user types.
pub fn format() -> Format {
    let alphabet = match alphabet() {
        AlphabetSetting::Base32 => Alphabet::Base32,
        AlphabetSetting::Hex => Alphabet::Hex,
        AlphabetSetting::Decimal => Alphabet::Decimal,
    };
    Format { alphabet, length: length() as usize }
}

/// The scheme of new sets in this format.
pub fn scheme(format: Format) -> Scheme {
    let argon2id = Scheme::Argon2id { memory: argon2_memory() as u32, iterations: argon2_iterations() as u32 };
    match hash() {
        HashSetting::Sha256 => Scheme::Sha256,
        HashSetting::Auto if format.random_bits() >= STRONG_BITS => Scheme::Sha256,
        HashSetting::Auto | HashSetting::Argon2id => argon2id,
    }
}

/// Whether a set under this key, or under none, opens anything.
pub fn opens(key_id: Option<i32>) -> bool {
    key_id.is_some() || !require_key()
}
