//! Every error the extension raises of its own: one enum, one way into a PostgreSQL error report.
//!
//! No message holds a code, a hash or a key. The report hides the statement from the server log, where a literal code could
//! stand; the statement is also hidden from `log_min_error_statement`.

use std::borrow::Cow;
use std::ffi::{CString, c_char};

use pgrx::PgSqlErrorCode as Code;
use pgrx::pg_sys;

/// What an API function answers: a datum, or an error for the client.
pub type Result<T> = std::result::Result<T, Error>;

/// An error for the client. What SQLSTATE and hint each has stands in `remedy`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A user must be named.
    #[error("user_id must not be NULL")]
    UserIdNull,
    /// An array of users must be given.
    #[error("user_ids must not be NULL")]
    UserIdsNull,
    /// A user id of zero bytes.
    #[error("user_id must not be empty")]
    UserIdEmpty,
    /// An array of user ids has one of them twice.
    #[error("user_ids must not name a user twice")]
    UserIdTwice,
    /// A user id of more than 255 bytes.
    #[error("user_id is too long")]
    UserIdTooLong,
    /// A user id that is not text in the database's encoding.
    #[error("user_id cannot be converted to UTF-8")]
    UserIdEncoding,
    /// A rename onto a key that has a set of codes.
    #[error("new_id already has backup codes")]
    UserIdTaken,
    /// A key of fewer than two parts.
    #[error("backup_codes_user_id needs two parts or more")]
    TooFewParts,
    /// A part of a key whose type could run foreign code.
    #[error("part {0} has a type that cannot be part of a user id")]
    PartType(usize),
    /// An argument that has a default is NULL.
    #[error("{0} must not be NULL")]
    Null(&'static str),
    /// An argument that has a default is out of its range.
    #[error("{name} must be {range}")]
    OutOfRange {
        /// The argument.
        name: &'static str,
        /// What it may be.
        range: Cow<'static, str>,
    },
    /// What a mailer says of a lease is NULL.
    #[error("{0} must not be NULL")]
    LeaseNull(&'static str),
    /// An event cannot be parked without a reason.
    #[error("reason must not be NULL")]
    ParkReasonNull,
    /// How long a mailer wants to hold events, or to put them off, is out of its range.
    #[error("{name} must be {range}")]
    IntervalOutOfRange {
        /// The argument.
        name: &'static str,
        /// What it may be.
        range: Cow<'static, str>,
    },
    /// A writer on a standby, or in a read-only transaction.
    #[error("cannot change backup codes {}", if *.recovery { "during recovery" } else { "in a read-only transaction" })]
    ReadOnly {
        /// On a standby, that is.
        recovery: bool,
    },
    /// No memory for Argon2id, or parameters out of its range.
    #[error("could not hash a backup code: {0}")]
    Hash(#[from] backup_codes_core::hash::HashError),
    /// There is no such key file.
    #[error("key file \"{0}\" does not exist")]
    KeyFileMissing(String),
    /// The server's user may not read the key file.
    #[error("permission denied for key file \"{0}\"")]
    KeyFileDenied(String),
    /// The key file cannot be read for another reason.
    #[error("could not read key file \"{path}\": {reason}")]
    KeyFileUnreadable {
        /// The file.
        path: String,
        /// The operating system's reason.
        reason: String,
    },
    /// The path is relative, or leads into the data directory.
    #[error("key file \"{0}\" is not outside the data directory")]
    KeyFilePlace(String),
    /// Not a regular file, or larger than one can be.
    #[error("key file \"{0}\" is not a regular file of at most 64 kB with one name")]
    KeyFileKind(String),
    /// Others than the server's user may read or change the file.
    #[error("key file \"{0}\" has group or world access, or a foreign owner")]
    KeyFileOpen(String),
    /// The content is not a list of keys.
    #[error("key file \"{path}\" is malformed: {reason}")]
    KeyFileContent {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: backup_codes_core::keyring::KeyFileError,
    },
    /// A set needs a key, and no key file is configured.
    #[error("a set of backup codes needs key {id}, and backup_codes.key_file is not set")]
    KeyFileNotSet {
        /// The key's id.
        id: i32,
    },
    /// A set needs a key that the file does not hold.
    #[error("a set of backup codes needs key {id}, and key file \"{path}\" does not hold it")]
    KeyMissing {
        /// The key's id.
        id: i32,
        /// The file.
        path: String,
    },
    /// A set does not carry the seal of its key: the file has another key of that id, or the set was copied or changed.
    #[error("a set of backup codes does not carry the seal of key {id}")]
    SealBroken {
        /// The key's id.
        id: i32,
    },
    /// New sets need a key, and there is none.
    #[error("a new set of backup codes needs a key, and backup_codes.key_file is not set")]
    KeyRequired,
    /// The operating system gave no random bytes.
    #[error("could not read random bytes from the operating system: {0}")]
    Random(#[from] backup_codes_core::code::RandomError),
    /// The trigger function was called by another trigger, or by none.
    #[error(
        "backup_codes_forget_user must be called by a trigger AFTER DELETE OR UPDATE FOR EACH ROW, or BEFORE TRUNCATE, that is not deferrable"
    )]
    TriggerProtocol,
    /// The trigger's table, or a partition of it, is foreign, or kept by another access method than heap.
    #[error("backup_codes_forget_user needs a table with the access method heap")]
    TriggerTable,
    /// The trigger names no column.
    #[error("backup_codes_forget_user needs the name of at least one column")]
    TriggerNoColumn,
    /// The trigger names a column the table does not have.
    #[error("column \"{0}\" does not exist in the table of the trigger")]
    TriggerColumn(String),
    /// The trigger names a column whose type could run foreign code.
    #[error("column \"{0}\" has a type that cannot be a user id")]
    TriggerColumnType(String),
    /// An attempt in a transaction that its caller could roll back, where that is refused.
    #[error("backup codes cannot be tried in a transaction that could be rolled back")]
    InTransaction,
    /// An attempt found the account changed again and again, or could not write it.
    #[error("could not serialize access to an account of backup codes")]
    Contended,
    /// A row of the extension's own tables that its functions cannot have written.
    #[error("stored data of backup codes is damaged: {0}")]
    Damaged(&'static str),
}

const PASS_A_KEY: &str = "Pass the user's key, for instance 42 or 'acme:42'.";
const LEAVE_IT_OUT: &str = "Leave the argument out to take its default.";
const CREATE_THE_TRIGGER: &str = "Write CREATE TRIGGER name AFTER DELETE OR UPDATE ON users FOR EACH ROW EXECUTE FUNCTION \
                                  backup_codes_forget_user('id'), and another BEFORE TRUNCATE ON users.";
const TAKE_A_TYPE: &str =
    "Use smallint, integer, bigint, uuid, text, character varying, character, citext, or a domain over one of them.";

impl Error {
    /// The SQLSTATE, and what to do about it. The reference lists both: a test compares them.
    fn remedy(&self) -> (Code, &'static str) {
        match self {
            Self::UserIdNull => (Code::ERRCODE_NULL_VALUE_NOT_ALLOWED, PASS_A_KEY),
            Self::UserIdsNull => (Code::ERRCODE_NULL_VALUE_NOT_ALLOWED, "Pass an array of the users' keys."),
            Self::UserIdEmpty => (Code::ERRCODE_INVALID_PARAMETER_VALUE, PASS_A_KEY),
            Self::UserIdTwice => (
                Code::ERRCODE_INVALID_PARAMETER_VALUE,
                "Leave out what is repeated, for instance with array_agg(DISTINCT id).",
            ),
            Self::UserIdTooLong => (Code::ERRCODE_INVALID_PARAMETER_VALUE, "A user id has at most 255 bytes in UTF-8."),
            Self::UserIdEncoding => {
                (Code::ERRCODE_CHARACTER_NOT_IN_REPERTOIRE, "Pass the user's key in the encoding of the database.")
            }
            Self::UserIdTaken => (
                Code::ERRCODE_UNIQUE_VIOLATION,
                "Call backup_codes_forget_user for whoever had the key, or rename that user first.",
            ),
            Self::TooFewParts => (Code::ERRCODE_INVALID_PARAMETER_VALUE, "A key of one part is the user id as it is."),
            Self::PartType(_) => (Code::ERRCODE_DATATYPE_MISMATCH, TAKE_A_TYPE),
            Self::Null(_) => (Code::ERRCODE_NULL_VALUE_NOT_ALLOWED, LEAVE_IT_OUT),
            Self::OutOfRange { .. } => (Code::ERRCODE_INVALID_PARAMETER_VALUE, LEAVE_IT_OUT),
            Self::LeaseNull(_) => (
                Code::ERRCODE_NULL_VALUE_NOT_ALLOWED,
                "Pass lease and event_ids as backup_codes_events_claim returned them.",
            ),
            Self::ParkReasonNull => (
                Code::ERRCODE_NULL_VALUE_NOT_ALLOWED,
                "Say in a few words why the event cannot be delivered, for instance 'rcpt: 550 5.1.1'.",
            ),
            Self::IntervalOutOfRange { .. } => {
                (Code::ERRCODE_INVALID_PARAMETER_VALUE, "Pass an interval, for instance '5 minutes'.")
            }
            Self::ReadOnly { recovery: true } => {
                (Code::ERRCODE_READ_ONLY_SQL_TRANSACTION, "Call the function on the primary server.")
            }
            Self::ReadOnly { recovery: false } => {
                (Code::ERRCODE_READ_ONLY_SQL_TRANSACTION, "Start the transaction with READ WRITE.")
            }
            Self::Hash(_) => {
                (Code::ERRCODE_OUT_OF_MEMORY, "Lower backup_codes.argon2_memory, or give the server more memory.")
            }
            Self::KeyFileMissing(_) => (
                Code::ERRCODE_UNDEFINED_FILE,
                "Put the file back, or correct backup_codes.key_file and reload the configuration.",
            ),
            Self::KeyFileDenied(_) => (
                Code::ERRCODE_INSUFFICIENT_PRIVILEGE,
                "Make the server's user the owner of the file, or root with the server's group.",
            ),
            Self::KeyFileUnreadable { .. } => {
                (Code::ERRCODE_IO_ERROR, "Correct backup_codes.key_file and reload the configuration.")
            }
            Self::KeyFilePlace(_) => (
                Code::ERRCODE_CONFIG_FILE_ERROR,
                "Give an absolute path outside the data directory, which base backups and replicas copy.",
            ),
            Self::KeyFileKind(_) => (Code::ERRCODE_CONFIG_FILE_ERROR, "Give the path of a file with one line a key."),
            Self::KeyFileOpen(_) => (
                Code::ERRCODE_CONFIG_FILE_ERROR,
                "Give it mode 0600 if the server's user owns it, or 0640 if root does.",
            ),
            Self::KeyFileContent { .. } => (
                Code::ERRCODE_CONFIG_FILE_ERROR,
                "Each line is an id, a space and 32 bytes in base64; the current key comes first.",
            ),
            Self::KeyFileNotSet { .. } => (
                Code::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                "Set backup_codes.key_file to the file that holds it and reload the configuration.",
            ),
            Self::KeyMissing { .. } => (
                Code::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                "Put the key back into the file; without it the set cannot be opened, only replaced.",
            ),
            Self::SealBroken { .. } => (
                Code::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                "Put the right key back into the file; if it is there, the set was changed from outside and can only be replaced.",
            ),
            Self::KeyRequired => (
                Code::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                "Set backup_codes.key_file and reload the configuration, or turn backup_codes.require_key off.",
            ),
            Self::Random(_) => (Code::ERRCODE_SYSTEM_ERROR, "Look for the reason in the kernel's log, and try again."),
            Self::TriggerProtocol => (Code::ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED, CREATE_THE_TRIGGER),
            Self::TriggerTable => (
                Code::ERRCODE_FEATURE_NOT_SUPPORTED,
                "Call backup_codes_forget_user and backup_codes_rename_user where the application changes that table.",
            ),
            Self::TriggerNoColumn => (Code::ERRCODE_INVALID_PARAMETER_VALUE, CREATE_THE_TRIGGER),
            Self::TriggerColumn(_) => (Code::ERRCODE_UNDEFINED_COLUMN, CREATE_THE_TRIGGER),
            Self::TriggerColumnType(_) => (Code::ERRCODE_DATATYPE_MISMATCH, TAKE_A_TYPE),
            Self::InTransaction => (
                Code::ERRCODE_ACTIVE_SQL_TRANSACTION,
                "Call the function in a statement of its own, in autocommit, before the transaction that the user's login begins.",
            ),
            Self::Contended => (
                Code::ERRCODE_T_R_SERIALIZATION_FAILURE,
                "Call the function again; if that never helps, look for a trigger or rule on backup_codes.account.",
            ),
            Self::Damaged(_) => (Code::ERRCODE_DATA_CORRUPTED, "Make the user a new set with backup_codes_generate."),
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        self.remedy().1
    }

    /// Raises the error, with the statement and its context hidden from the server log.
    ///
    /// # Safety
    /// PostgreSQL jumps out of the calling function without unwinding it: nothing there may be left to drop.
    pub unsafe fn raise(self) -> ! {
        unsafe extern "C-unwind" {
            fn errcode(sqlerrcode: i32) -> i32;
            fn errhint(format: *const c_char, ...) -> i32;
            fn errfinish(file: *const c_char, line: i32, function: *const c_char);
        }
        // SAFETY: the protocol of ereport(): errstart, the fields, which copy their strings, then errfinish.
        unsafe {
            pg_sys::errstart_cold(pgrx::PgLogLevel::ERROR as i32, std::ptr::null());
            self.fill(|sqlstate, message, hint| {
                errcode(sqlstate);
                pg_sys::errmsg_internal(c"%s".as_ptr(), message);
                errhint(c"%s".as_ptr(), hint);
            });
            drop(self);
            pg_sys::errhidestmt(true);
            // The context can quote the statement of a calling function.
            pg_sys::errhidecontext(true);
            // Not through pgrx's guard, which reports the error anew and forgets that the statement is hidden.
            errfinish(c"backup_codes".as_ptr(), 0, std::ptr::null());
        }
        unreachable!("errfinish does not return for ERROR")
    }

    fn fill(&self, report: impl FnOnce(i32, *const c_char, *const c_char)) {
        let message = CString::new(crate::pg::encoding::from_utf8(self.to_string())).unwrap_or_default();
        let (sqlstate, hint) = self.remedy();
        let hint = CString::new(hint).unwrap_or_default();
        report(sqlstate as i32, message.as_ptr(), hint.as_ptr());
    }
}

/// Writes a line to the server's log, and to no client, with the statement hidden: a literal code could stand there.
pub fn log(message: &str) {
    unsafe extern "C-unwind" {
        fn errstart(level: i32, domain: *const c_char) -> bool;
        fn errfinish(file: *const c_char, line: i32, function: *const c_char);
    }
    let message = CString::new(crate::pg::encoding::from_utf8(message.to_owned())).unwrap_or_default();
    // SAFETY: the protocol of ereport(); a level below ERROR returns.
    unsafe {
        if errstart(pg_sys::LOG_SERVER_ONLY as i32, std::ptr::null()) {
            pg_sys::errmsg_internal(c"%s".as_ptr(), message.as_ptr());
            pg_sys::errhidestmt(true);
            pg_sys::errhidecontext(true);
            errfinish(c"backup_codes".as_ptr(), 0, std::ptr::null());
        }
    }
}

#[cfg(test)]
#[path = "error_tests.rs"]
mod tests;
