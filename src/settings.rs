//! The settings, each with its name, a noun phrase and a sentence. The reference is docs/reference.md.

use std::ffi::{CStr, CString, c_char, c_void};

use pgrx::guc::{GucContext, GucFlags, GucRegistry, GucSetting};
use pgrx::{PostgresGucEnum, pg_guard, pg_sys};

use crate::pg::clock::Timestamp;
use backup_codes_core::code::{Alphabet, Format, LENGTHS, STRONG_BITS};
use backup_codes_core::hash::Scheme;

#[derive(Clone, Copy, PostgresGucEnum)]
enum AlphabetSetting {
    #[name = c"base32"]
    Base32,
    #[name = c"hex"]
    Hex,
    #[name = c"decimal"]
    Decimal,
}

#[derive(Clone, Copy, PostgresGucEnum)]
enum HashSetting {
    #[name = c"auto"]
    Auto,
    #[name = c"sha256"]
    Sha256,
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

static COUNT: GucSetting<i32> = GucSetting::<i32>::new(10);
static ALPHABET: GucSetting<AlphabetSetting> = GucSetting::<AlphabetSetting>::new(AlphabetSetting::Base32);
static LENGTH: GucSetting<i32> = GucSetting::<i32>::new(25);
static GROUP_SIZE: GucSetting<i32> = GucSetting::<i32>::new(5);
static HASH: GucSetting<HashSetting> = GucSetting::<HashSetting>::new(HashSetting::Auto);
static ARGON2_MEMORY: GucSetting<i32> = GucSetting::<i32>::new(19456);
static ARGON2_ITERATIONS: GucSetting<i32> = GucSetting::<i32>::new(2);
static VALID_FOR: GucSetting<i32> = GucSetting::<i32>::new(0);
static LOW: GucSetting<i32> = GucSetting::<i32>::new(2);
static MAX_FAILURES: GucSetting<i32> = GucSetting::<i32>::new(5);
static LOCKOUT: GucSetting<i32> = GucSetting::<i32>::new(900);
static DISABLE_AFTER: GucSetting<i32> = GucSetting::<i32>::new(100);
static NOTIFY: GucSetting<Notify> = GucSetting::<Notify>::new(Notify::Each);
static NOTIFY_PAYLOAD: GucSetting<NotifyPayload> = GucSetting::<NotifyPayload>::new(NotifyPayload::Full);
static CHANNEL: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(Some(c"backup_codes"));
static OUTBOX: GucSetting<bool> = GucSetting::<bool>::new(true);
static KEY_FILE: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(Some(c""));
static CONTEXT: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(Some(c""));

/// The longest name a notification channel can have, in bytes.
const MAX_CHANNEL: usize = 63;
/// The longest context an event can carry, in bytes.
const MAX_CONTEXT: usize = 200;

/// Registers every setting and reserves the prefix.
pub fn register() {
    let integer = |name, short, long, setting, min, max, flags| {
        GucRegistry::define_int_guc(name, short, long, setting, min, max, GucContext::Suset, flags);
    };
    let plain = GucFlags::default();
    integer(
        c"backup_codes.count",
        c"Number of codes in a new set.",
        c"Applies where a function is called without count.",
        &COUNT,
        1,
        100,
        plain,
    );
    GucRegistry::define_enum_guc(
        c"backup_codes.alphabet",
        c"Alphabet of new codes.",
        c"base32 is Crockford's, with a check symbol; hex and decimal have none.",
        &ALPHABET,
        GucContext::Suset,
        plain,
    );
    integer(
        c"backup_codes.length",
        c"Number of symbols in a new code.",
        c"Counts symbols without separators, the check symbol of base32 included.",
        &LENGTH,
        *LENGTHS.start() as i32,
        *LENGTHS.end() as i32,
        plain,
    );
    integer(
        c"backup_codes.group_size",
        c"Number of symbols between two hyphens of a new code.",
        c"With 0 a code is written without hyphens.",
        &GROUP_SIZE,
        0,
        64,
        plain,
    );
    GucRegistry::define_enum_guc(
        c"backup_codes.hash",
        c"Hash function of new sets.",
        c"auto takes SHA-256 where a code carries at least 112 random bits, else Argon2id.",
        &HASH,
        GucContext::Suset,
        plain,
    );
    integer(
        c"backup_codes.argon2_memory",
        c"Memory that Argon2id takes for one code of a new set.",
        c"More memory makes an offline search dearer, and an attempt as well.",
        &ARGON2_MEMORY,
        8192,
        1_048_576,
        GucFlags::UNIT_KB,
    );
    integer(
        c"backup_codes.argon2_iterations",
        c"Passes that Argon2id makes over its memory for one code of a new set.",
        c"More passes make an offline search dearer, and an attempt as well.",
        &ARGON2_ITERATIONS,
        1,
        20,
        plain,
    );
    integer(
        c"backup_codes.valid_for",
        c"Time after which a new set expires.",
        c"With 0 a set is valid for ever.",
        &VALID_FOR,
        0,
        i32::MAX,
        GucFlags::UNIT_S,
    );
    integer(
        c"backup_codes.low",
        c"Number of unused codes from which on a user has few left.",
        c"The functions and events then say low.",
        &LOW,
        0,
        100,
        plain,
    );
    integer(
        c"backup_codes.max_failures",
        c"Number of consecutive failures that lock a user.",
        c"Every multiple of it locks again, for backup_codes.lockout.",
        &MAX_FAILURES,
        1,
        100,
        plain,
    );
    integer(
        c"backup_codes.lockout",
        c"Time for which a user is locked.",
        c"While a user is locked no code is accepted and none is counted.",
        &LOCKOUT,
        1,
        86_400,
        GucFlags::UNIT_S,
    );
    integer(
        c"backup_codes.disable_after",
        c"Number of consecutive failures that remove a user's set.",
        c"NIST SP 800-63B-4 section 3.2.2 allows 100 at the most.",
        &DISABLE_AFTER,
        1,
        100,
        plain,
    );
    GucRegistry::define_enum_guc(
        c"backup_codes.notify",
        c"Whether events are announced with NOTIFY.",
        c"each announces every event, up to 64 in a transaction; coalesced only where no other event waits to be claimed; off announces none.",
        &NOTIFY,
        GucContext::Suset,
        plain,
    );
    GucRegistry::define_enum_guc(
        c"backup_codes.notify_payload",
        c"What a notification says.",
        c"full names the user; id says no more than the kind and the id of the event.",
        &NOTIFY_PAYLOAD,
        GucContext::Suset,
        plain,
    );
    GucRegistry::define_bool_guc(
        c"backup_codes.outbox",
        c"Whether events wait to be claimed by a mailer.",
        c"When off, events are written as history only.",
        &OUTBOX,
        GucContext::Suset,
        plain,
    );
    GucRegistry::define_string_guc(
        c"backup_codes.key_file",
        c"File of the keys under which codes are hashed.",
        c"It lies outside the data directory, readable by the server's user alone.",
        &KEY_FILE,
        GucContext::Sighup,
        plain,
    );
    // SAFETY: the hooks are guarded against panics.
    unsafe {
        GucRegistry::define_string_guc_with_hooks(
            c"backup_codes.channel",
            c"Channel of the notifications.",
            c"A name of 1 to 63 bytes.",
            &CHANNEL,
            GucContext::Suset,
            plain,
            Some(check_channel),
            None,
            None,
        );
        GucRegistry::define_string_guc_with_hooks(
            c"backup_codes.context",
            c"Text that events carry along.",
            c"Up to 200 bytes, for instance a request id or a user agent.",
            &CONTEXT,
            GucContext::Userset,
            plain,
            Some(check_context),
            None,
            None,
        );
        pg_sys::MarkGUCPrefixReserved(c"backup_codes".as_ptr());
    }
}

/// Length in bytes of the value a check hook is asked about; a NULL value has none.
unsafe fn value_len(value: *mut *mut c_char) -> usize {
    // SAFETY: PostgreSQL passes a pointer to a NULL or to a NUL-terminated string.
    unsafe { if (*value).is_null() { 0 } else { CStr::from_ptr(*value).count_bytes() } }
}

fn explain(detail: &CStr) {
    // SAFETY: the variable is PostgreSQL's channel for a check hook's detail; the text is static.
    unsafe { pg_sys::GUC_check_errdetail_string = detail.as_ptr().cast_mut() };
}

#[pg_guard]
unsafe extern "C-unwind" fn check_channel(
    value: *mut *mut c_char,
    _extra: *mut *mut c_void,
    _source: pg_sys::GucSource::Type,
) -> bool {
    // SAFETY: called by PostgreSQL with the new value.
    let valid = (1..=MAX_CHANNEL).contains(&unsafe { value_len(value) });
    if !valid {
        explain(c"A channel has a name of 1 to 63 bytes.");
    }
    valid
}

#[pg_guard]
unsafe extern "C-unwind" fn check_context(
    value: *mut *mut c_char,
    _extra: *mut *mut c_void,
    _source: pg_sys::GucSource::Type,
) -> bool {
    // SAFETY: called by PostgreSQL with the new value.
    let valid = unsafe { value_len(value) } <= MAX_CONTEXT;
    if !valid {
        explain(c"A context has at most 200 bytes.");
    }
    valid
}

/// The format of new codes, and of what an unknown user types.
pub fn format() -> Format {
    let alphabet = match ALPHABET.get() {
        AlphabetSetting::Base32 => Alphabet::Base32,
        AlphabetSetting::Hex => Alphabet::Hex,
        AlphabetSetting::Decimal => Alphabet::Decimal,
    };
    Format { alphabet, length: LENGTH.get() as usize }
}

/// The scheme of new sets in this format.
pub fn scheme(format: Format) -> Scheme {
    let argon2id = Scheme::Argon2id { memory: ARGON2_MEMORY.get() as u32, iterations: ARGON2_ITERATIONS.get() as u32 };
    match HASH.get() {
        HashSetting::Sha256 => Scheme::Sha256,
        HashSetting::Auto if format.random_bits() >= STRONG_BITS => Scheme::Sha256,
        HashSetting::Auto | HashSetting::Argon2id => argon2id,
    }
}

/// The file of the keys; None when there is none.
pub fn key_file() -> Option<CString> {
    KEY_FILE.get().filter(|path| !path.is_empty())
}

/// Consecutive failures that lock a user.
pub fn max_failures() -> i32 {
    MAX_FAILURES.get()
}

/// Until when a user is locked by what happens at a point in time.
pub fn locked_until(at: Timestamp) -> Timestamp {
    at.plus(i64::from(LOCKOUT.get()) * 1_000_000)
}

/// Consecutive failures that remove a user's set.
pub fn disable_after() -> i32 {
    DISABLE_AFTER.get()
}

/// Codes in a new set, where the caller does not say.
pub fn count() -> i32 {
    COUNT.get()
}

/// Symbols between two hyphens, 0 for none.
pub fn group_size() -> usize {
    GROUP_SIZE.get() as usize
}

/// Seconds a new set is valid, where the caller does not say; 0 for ever.
pub fn valid_for() -> i32 {
    VALID_FOR.get()
}

/// Unused codes from which on a user has few left.
pub fn low() -> i32 {
    LOW.get()
}

/// Whether events are announced.
pub fn notify() -> Notify {
    NOTIFY.get()
}

/// What a notification says.
pub fn notify_payload() -> NotifyPayload {
    NOTIFY_PAYLOAD.get()
}

/// The channel of the notifications.
pub fn channel() -> CString {
    CHANNEL.get().unwrap_or_default()
}

/// Whether events wait to be claimed.
pub fn outbox() -> bool {
    OUTBOX.get()
}

/// What events carry along, in the encoding of the database; None when the setting is empty.
pub fn context() -> Option<CString> {
    CONTEXT.get().filter(|context| !context.is_empty())
}
