//! The reference's tables of errors hold every error as it is raised, and no other.

use backup_codes_core::code::RandomError;
use backup_codes_core::hash::Scheme;
use backup_codes_core::keyring::KeyFileError;

use super::{Code, Error};

const REFERENCE: &str = include_str!("../../docs/reference.md");

/// The errors, each with a pattern that matches it. A variant that is not among them does not compile.
macro_rules! errors {
    ($($pattern:pat => $error:expr,)+) => {{
        let _ = |error: &Error| match error {
            $($pattern => {})+
        };
        [$($error),+]
    }};
}

#[test]
fn the_reference_lists_every_error_with_its_sqlstate_and_hint_and_no_other() {
    let weak = Scheme::Argon2id { memory: 0, iterations: 0 };
    let path = || "keys".to_owned();
    let errors = errors! {
        Error::UserIdNull => Error::UserIdNull,
        Error::UserIdsNull => Error::UserIdsNull,
        Error::UserIdEmpty => Error::UserIdEmpty,
        Error::UserIdTwice => Error::UserIdTwice,
        Error::UserIdTooLong => Error::UserIdTooLong,
        Error::UserIdEncoding => Error::UserIdEncoding,
        Error::Null(_) => Error::Null("max_users"),
        Error::OutOfRange { .. } => Error::OutOfRange { name: "max_users", range: "at least 1".into() },
        Error::LeaseNull(_) => Error::LeaseNull("event_ids"),
        Error::IntervalOutOfRange { .. } => Error::IntervalOutOfRange { name: "delay", range: "positive".into() },
        Error::ParkReasonNull => Error::ParkReasonNull,
        Error::ReadOnly { recovery: true } => Error::ReadOnly { recovery: true },
        Error::ReadOnly { recovery: false } => Error::ReadOnly { recovery: false },
        Error::Hash(_) => weak.hash(None, &[0; 16], b"").expect_err("Argon2id needs memory").into(),
        Error::KeyFileMissing(_) => Error::KeyFileMissing(path()),
        Error::KeyFileDenied(_) => Error::KeyFileDenied(path()),
        Error::KeyFileUnreadable { .. } => Error::KeyFileUnreadable { path: path(), reason: "no luck".into() },
        Error::KeyFilePlace(_) => Error::KeyFilePlace(path()),
        Error::KeyFileKind(_) => Error::KeyFileKind(path()),
        Error::KeyFileOpen(_) => Error::KeyFileOpen(path()),
        Error::KeyFileContent { .. } => Error::KeyFileContent { path: path(), reason: KeyFileError::Empty },
        Error::KeyFileNotSet { .. } => Error::KeyFileNotSet { id: 1 },
        Error::KeyMissing { .. } => Error::KeyMissing { id: 1, path: path() },
        Error::SealBroken { .. } => Error::SealBroken { id: 1 },
        Error::KeyRequired => Error::KeyRequired,
        Error::Random(_) => RandomError::UNSUPPORTED.into(),
        Error::UserIdTaken => Error::UserIdTaken,
        Error::TooFewParts => Error::TooFewParts,
        Error::PartType(_) => Error::PartType(2),
        Error::TriggerTable => Error::TriggerTable,
        Error::TriggerProtocol => Error::TriggerProtocol,
        Error::TriggerNoColumn => Error::TriggerNoColumn,
        Error::TriggerColumn(_) => Error::TriggerColumn("id".into()),
        Error::TriggerColumnType(_) => Error::TriggerColumnType("id".into()),
        Error::InTransaction => Error::InTransaction,
        Error::Contended => Error::Contended,
        Error::Damaged(_) => Error::Damaged("it is"),
    };
    let mut rows = rows();
    for error in errors {
        let (sqlstate, hint) = error.remedy();
        let (sqlstate, message) = (text(sqlstate), error.to_string());
        let row = rows.iter().position(|row| row[0] == sqlstate && matches(row[1], &message) && row[2] == hint);
        let row = row.unwrap_or_else(|| panic!("the reference has no row | {sqlstate} | {message} | {hint} |"));
        rows.remove(row);
    }
    assert!(rows.is_empty(), "nothing raises {rows:#?}");
}

/// The rows of the section about errors: SQLSTATE, message and hint.
fn rows() -> Vec<[&'static str; 3]> {
    let (_, section) = REFERENCE.split_once("\n## Errors\n").expect("a section about errors");
    let (section, _) = section.split_once("\n## ").expect("a section after it");
    let cells = section.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    let rows = cells.filter_map(|cells| cells.split(" | ").collect::<Vec<_>>().try_into().ok());
    rows.filter(|row: &[&str; 3]| row[0] != "SQLSTATE").collect()
}

/// Whether a message is what the reference says, where anything can stand for what is *in italics*.
fn matches(pattern: &str, message: &str) -> bool {
    let mut rest = Some(message);
    for (number, literal) in pattern.split('*').step_by(2).enumerate() {
        rest = rest.and_then(|rest| if number == 0 { rest.strip_prefix(literal) } else { after(rest, literal) });
    }
    rest.is_some_and(|rest| rest.is_empty() || pattern.ends_with('*'))
}

fn after<'a>(text: &'a str, literal: &str) -> Option<&'a str> {
    text.find(literal).map(|at| &text[at + literal.len()..])
}

/// A SQLSTATE as clients see it.
fn text(sqlstate: Code) -> String {
    (0..5).map(|place| char::from(((sqlstate as i32 >> (6 * place)) & 0x3f) as u8 + b'0')).collect()
}
