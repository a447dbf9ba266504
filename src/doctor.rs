//! doctor: what an operator should know before it hurts, one row for each check, in a fixed order.
//!
//! Invariant: it only reads, on the snapshot of the calling statement, so it works on a hot standby; and no state of the key
//! file makes it raise, since that is one of the things it is asked about.
//!
//! A check stands whole in one place: what it asks, how it judges, what it says when all is well, and what it advises. The files
//! are named after what they look after.

mod codes;
mod durability;
mod housekeeping;
mod keys;
mod logging;
mod ownership;
mod privileges;
mod replication;
mod rows;
mod sessions;
mod throttle;
mod triggers;

use backup_codes_core::keyring::Keyring;
use pgrx::{IntoDatum, pg_sys};

use crate::key_file;
use crate::pg::call::Call;
use crate::pg::encoding;
use crate::pg::error::Result;
use crate::store::connected;
use crate::store::statement::{Statement, columns, statement};
use sessions::Sessions;

/// Findings that a detail names; the hint has a statement for each.
const MAX_NAMED: usize = 10;

/// A check.
struct Check {
    /// The name in the first column, under which the reference explains it.
    name: &'static str,
    /// Asks and judges.
    examine: fn(&Scene) -> Result<Verdict>,
}

/// Every check, in the order of the rows.
fn checks() -> impl Iterator<Item = &'static Check> {
    [
        codes::CHECKS,
        keys::CHECKS,
        privileges::CHECKS,
        ownership::CHECKS,
        triggers::CHECKS,
        throttle::CHECKS,
        logging::CHECKS,
        durability::CHECKS,
        replication::CHECKS,
        rows::CHECKS,
        housekeeping::CHECKS,
    ]
    .into_iter()
    .flatten()
}

/// What more than one check looks at.
struct Scene {
    /// The keys of the configured file, or why they cannot be read.
    keyring: Result<Option<Keyring>>,
    /// The settings of this session, and of others.
    sessions: Sessions,
    /// The schema of the functions, quoted.
    api: String,
}

impl Scene {
    fn read() -> Result<Self> {
        let api = FindApiSchema {}.first()?.map(|schema| schema.name).unwrap_or_default();
        Ok(Self { keyring: key_file::all(), sessions: Sessions::read()?, api })
    }

    /// The keys that are loaded.
    fn keys(&self) -> Option<&Keyring> {
        self.keyring.as_ref().ok().and_then(Option::as_ref)
    }
}

statement! {
    FindApiSchema: Everything, Callers
    ()
    ["SELECT "]
    => ApiSchema { name: String = "format('%I', n.nspname)" }
    [" FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace
      WHERE e.extname = 'backup_codes'"]
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Status {
    Ok,
    /// A weaker choice, or something to look after.
    Warning,
    /// A promise of the extension does not hold.
    Problem,
}

impl Status {
    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }
}

/// What a check found.
struct Verdict {
    status: Status,
    detail: String,
    /// What to paste into psql, or into a shell where it is about a file.
    hint: Option<String>,
}

impl Verdict {
    fn ok(detail: impl Into<String>) -> Self {
        Self { status: Status::Ok, detail: detail.into(), hint: None }
    }

    fn warning(detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { status: Status::Warning, detail: detail.into(), hint: Some(hint.into()) }
    }

    fn problem(detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { status: Status::Problem, detail: detail.into(), hint: Some(hint.into()) }
    }

    /// What those say that are not ok; where all are, the first.
    fn worst(verdicts: Vec<Self>) -> Self {
        let (quiet, found): (Vec<_>, Vec<_>) = verdicts.into_iter().partition(|verdict| verdict.status == Status::Ok);
        let Some(status) = found.iter().map(|verdict| verdict.status).max() else {
            return quiet.into_iter().next().unwrap_or_else(|| Self::ok(""));
        };
        let details: Vec<_> = found.iter().map(|verdict| verdict.detail.as_str()).collect();
        let hints: Vec<_> = found.iter().filter_map(|verdict| verdict.hint.as_deref()).collect();
        Self { status, detail: details.join("; "), hint: Some(hints.join("\n")) }
    }

    /// All findings of a check, with the remedy of each.
    fn of(status: Status, quiet: &str, findings: &[Finding]) -> Self {
        if findings.is_empty() {
            return Self::ok(quiet);
        }
        let named: Vec<&str> = findings.iter().take(MAX_NAMED).map(|finding| finding.what.as_str()).collect();
        let mut detail = named.join("; ");
        if findings.len() > MAX_NAMED {
            detail.push_str(&format!("; and {} more", findings.len() - MAX_NAMED));
        }
        let remedies: Vec<&str> = findings.iter().map(|finding| finding.remedy.as_str()).collect();
        Self { status, detail, hint: Some(remedies.join("\n")) }
    }
}

columns! {
    /// Something that is not as it should be, and the statement that puts it right, with a semicolon.
    Finding { what: String, remedy: String }
}

/// The objects of the extension.
macro_rules! members {
    () => {
        "WITH member AS (
           SELECT m.classid, m.objid
             FROM pg_depend AS m
             JOIN pg_extension AS e ON m.refclassid = 'pg_extension'::regclass AND m.refobjid = e.oid
            WHERE m.deptype = 'e' AND e.extname = 'backup_codes'
         ) "
    };
}
use members;

/// A comment that goes on to no other line, whatever names are in it: the line would be pasted as a statement.
macro_rules! one_line {
    ($comment:literal) => {
        concat!("translate(", $comment, ", E'\\r\\n', '  ')")
    };
}
use one_line;

/// Makes a check of a statement that returns a [`Finding`] in each row.
macro_rules! findings {
    (
        $(#[$doc:meta])*
        $check:ident = $name:literal, $status:ident, $quiet:literal
        $statement:ident [$($before:tt)*] what [$($what:tt)*] remedy [$($remedy:tt)*] [$($after:tt)*]
    ) => {
        $(#[$doc])*
        const $check: $crate::doctor::Check = $crate::doctor::Check {
            name: $name,
            examine: |_| {
                $crate::store::statement::statement! {
                    $statement: Everything, Callers
                    ()
                    [$($before)*]
                    => Found { ..finding: $crate::doctor::Finding = [$($what)*, " AS what, ", $($remedy)*, " AS remedy"] }
                    [$($after)*]
                }
                let found = $crate::store::statement::Statement::rows($statement {}).map(|row| row.map(|row| row.finding));
                let findings = found.collect::<$crate::pg::error::Result<Vec<_>>>()?;
                Ok($crate::doctor::Verdict::of($crate::doctor::Status::$status, $quiet, &findings))
            },
        };
    };
}
use findings;

/// `backup_codes_doctor()`: a row for each check.
pub fn doctor(call: &Call) -> Result<pg_sys::Datum> {
    let verdicts = connected(|| {
        let scene = Scene::read()?;
        checks().map(|check| Ok((check.name, (check.examine)(&scene)?))).collect::<Result<Vec<_>>>()
    })?;
    let rows = call.rows();
    for (name, verdict) in verdicts {
        rows.push([
            name.into_datum(),
            verdict.status.name().into_datum(),
            text(verdict.detail),
            verdict.hint.and_then(text),
        ]);
    }
    rows.done()
}

fn text(text: String) -> Option<pg_sys::Datum> {
    Some(crate::pg::call::varlena_datum(&encoding::from_utf8(text)))
}

fn counted(number: i64, noun: &str) -> String {
    let plural = match (number, noun) {
        (1, _) => "",
        (_, "guess") => "es",
        _ => "s",
    };
    format!("{number} {noun}{plural}")
}

fn alter_system(name: &str, value: &str) -> String {
    format!("ALTER SYSTEM SET {name} = {value};\nSELECT pg_reload_conf();")
}
