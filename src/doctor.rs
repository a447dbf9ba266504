//! doctor: what an operator should know before it hurts, one row a check, in a fixed order.
//!
//! Invariant: it only reads, on the snapshot of the calling statement, so it works on a hot standby; and no state of the key
//! file makes it raise, since that is one of the things it is asked about.

mod server;

use pgrx::{IntoDatum, pg_sys};

use crate::key_file;
use crate::pg::call::Call;
use crate::pg::encoding;
use crate::pg::error::{Error, Result};
use crate::settings;
use crate::store::{
    self,
    checks::{self, Counts, Finding, KeyedSets, StoredFormat},
};
use backup_codes_core::code::STRONG_BITS;
use backup_codes_core::keyring::Keyring;
use server::Issuer;

/// Below this a code is held by the throttle alone (NIST SP 800-63B-4 §3.1.2.2).
const THROTTLED_BITS: f64 = 64.0;
/// The highest odds to guess a code before the set is removed.
const MAX_ODDS: f64 = 1e-4;
/// More events than this that wait are a pile.
const MAX_WAITING: i64 = 10_000;
/// Findings that a detail names; the hint has a statement for each.
const MAX_NAMED: usize = 10;

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

/// `backup_codes_doctor()`: a row for each check. Raises nothing of its own.
pub fn doctor(call: &Call) -> Result<pg_sys::Datum> {
    let checks = store::connected(examine);
    let rows = call.rows();
    for (name, verdict) in checks {
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

fn examine() -> Vec<(&'static str, Verdict)> {
    let keyring = key_file::all();
    let loaded = keyring.as_ref().ok().and_then(Option::as_ref);
    let sets = checks::keyed_sets();
    let counts = checks::counts();
    let api = checks::api_schema();
    let server = server::Settings::read();
    let issuers = server.issuers();
    let formats = checks::formats();
    vec![
        ("entropy", entropy(&issuers, &formats)),
        ("hash", hash(&issuers, &formats)),
        ("throttle", Verdict::worst(issuers.iter().map(throttle).collect())),
        ("key_file", key_file(&keyring)),
        ("keys_missing", keys_missing(loaded, &sets, &api)),
        ("unkeyed_sets", unkeyed_sets(&sets)),
        (
            "table_privileges",
            Verdict::of(
                Status::Problem,
                "no one but the owner, superusers and auditors has a privilege on the tables and views",
                &checks::table_privileges(),
            ),
        ),
        (
            "function_privileges",
            Verdict::of(Status::Problem, "PUBLIC may execute no function", &checks::function_privileges()),
        ),
        (
            "data_roles",
            Verdict::of(Status::Warning, "no role that logs in may read or write every table", &checks::data_roles()),
        ),
        (
            "row_security",
            Verdict::of(Status::Problem, "no table forces row security on its owner", &checks::row_security()),
        ),
        ("dump_marks", Verdict::of(Status::Problem, "a dump takes every row of every table", &checks::dump_marks())),
        ("log_statement", server.judge(&server::STATEMENT)),
        ("log_duration", server.judge(&server::DURATION)),
        ("log_errors", server.judge(&server::ERRORS)),
        ("auto_explain", server.judge(&server::AUTO_EXPLAIN)),
        ("pg_stat_statements", server.judge(&server::STAT_STATEMENTS)),
        ("pgaudit", server.judge(&server::AUDIT)),
        ("debug_print", server.judge(&server::DEBUG_PRINT)),
        ("synchronous_commit", server.judge(&server::SYNCHRONOUS_COMMIT)),
        ("synchronous_standby", synchronous_standby(&server)),
        ("events_waiting", events_waiting(&counts)),
        ("events_failing", events_failing(&counts)),
        ("users_locked", users_locked(&counts)),
        ("pending_sets", pending_sets(&counts, &api)),
        ("expired_sets", expired_sets(&counts, &api)),
    ]
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

/// Lists users with active sets of short codes. The lengths are the shortest that carry 112 random bits.
fn short_sets(condition: &str) -> String {
    format!(
        "SELECT user_id FROM backup_codes.overview WHERE {condition}length < CASE alphabet WHEN 'base32' THEN 24 WHEN 'hex' THEN 28 ELSE 34 END;"
    )
}

fn longer(issuer: &Issuer) -> String {
    issuer.alter(&[("backup_codes.alphabet", "'base32'"), ("backup_codes.length", "25")])
}

fn entropy(issuers: &[Issuer], formats: &[StoredFormat]) -> Verdict {
    let judge = |detail: String, bits: f64, hint: String| {
        if bits < THROTTLED_BITS {
            Verdict::problem(
                format!("{detail}, fewer than {THROTTLED_BITS:.0}: the throttle alone holds a guesser"),
                hint,
            )
        } else if bits < STRONG_BITS {
            Verdict::warning(format!("{detail}, fewer than {STRONG_BITS:.0}: a stolen table can be searched"), hint)
        } else {
            Verdict::ok(detail)
        }
    };
    let mut verdicts: Vec<_> = issuers
        .iter()
        .map(|issuer| {
            let bits = issuer.format.random_bits();
            let detail = format!("{}a new code has {:.0} random bits", issuer.prefix(), bits.floor());
            judge(detail, bits, longer(issuer))
        })
        .collect();
    // A set keeps its format when the settings change.
    let weakest = formats.iter().map(|stored| stored.format.random_bits()).fold(f64::INFINITY, f64::min);
    let users: i64 =
        formats.iter().filter(|stored| stored.format.random_bits() < STRONG_BITS).map(|stored| stored.users).sum();
    if users > 0 {
        let detail =
            format!("the codes of {} have as few as {:.0} random bits", counted(users, "user"), weakest.floor());
        verdicts.push(judge(detail, weakest, short_sets("")));
    }
    Verdict::worst(verdicts)
}

fn hash(issuers: &[Issuer], formats: &[StoredFormat]) -> Verdict {
    let mut verdicts: Vec<_> = issuers
        .iter()
        .filter(|issuer| issuer.fast && issuer.format.random_bits() < STRONG_BITS)
        .map(|issuer| {
            Verdict::problem(
                format!(
                    "{}new codes of fewer than {STRONG_BITS:.0} random bits are hashed with SHA-256",
                    issuer.prefix()
                ),
                issuer.alter(&[("backup_codes.hash", "'auto'")]),
            )
        })
        .collect();
    let short_and_fast = |stored: &&StoredFormat| stored.fast && stored.format.random_bits() < STRONG_BITS;
    let users: i64 = formats.iter().filter(short_and_fast).map(|stored| stored.users).sum();
    if users > 0 {
        let detail = format!("short codes of {} are hashed with SHA-256 and stay so", counted(users, "user"));
        verdicts.push(Verdict::problem(
            format!("{detail} until the users get new ones"),
            short_sets("scheme = 'sha256' AND "),
        ));
    }
    verdicts.push(Verdict::ok("every code has the hash that its length needs"));
    Verdict::worst(verdicts)
}

fn throttle(issuer: &Issuer) -> Verdict {
    let codes = f64::from(issuer.count);
    let space = issuer.format.random_bits().exp2().round();
    let odds = f64::from(issuer.guesses) * codes / space;
    let guesses = counted(issuer.guesses.into(), "guess");
    let detail = format!("{}{guesses} hit one of {codes:.0} codes with odds of {odds:.0e}", issuer.prefix());
    if odds <= MAX_ODDS {
        return Verdict::ok(detail);
    }
    let allowed = (MAX_ODDS * space / codes).floor();
    let hint = if allowed >= 1.0 {
        issuer.alter(&[("backup_codes.disable_after", &format!("{allowed:.0}"))])
    } else {
        longer(issuer)
    };
    Verdict::problem(format!("{detail}, above {MAX_ODDS:.0e}"), hint)
}

fn key_file(keyring: &Result<Option<Keyring>>) -> Verdict {
    match keyring {
        Ok(None) => Verdict::ok("no key file is set"),
        Ok(Some(keyring)) => Verdict::ok(format!("{} loaded", counted(keyring.iter().count() as i64, "key"))),
        Err(error) => {
            let hint = match error {
                Error::KeyFileOpen(path) => {
                    format!("chmod 0600 {} # owned by the server's user; or 0640, owned by root", quoted(path))
                }
                error => format!("-- {}", error.hint()),
            };
            Verdict::problem(error.to_string(), hint)
        }
    }
}

/// As a shell takes it.
fn quoted(path: &str) -> String {
    format!("'{}'", path.replace('\'', r"'\''"))
}

fn keys_missing(keyring: Option<&Keyring>, sets: &[KeyedSets], api: &str) -> Verdict {
    let mut missing = vec![];
    for KeyedSets { key, users } in sets {
        let Some(key) = key else { continue };
        let users = counted(*users, "user");
        match keyring.and_then(|keyring| keyring.get(key.id)) {
            Some(found) if found.check() == key.check => {}
            Some(_) => missing.push(format!("key {} ({users}; the file has another key of that id)", key.id)),
            None => missing.push(format!("key {} ({users})", key.id)),
        }
    }
    if missing.is_empty() {
        return Verdict::ok("every key that a set needs is loaded");
    }
    let place = match settings::key_file() {
        Some(_) => format!("into {}", key_file::path_text()),
        None => "into a file and set backup_codes.key_file to its path".into(),
    };
    Verdict::problem(
        format!("sets need what is not loaded: {}", missing.join(", ")),
        format!("SELECT * FROM {api}.backup_codes_keys();\n-- put the line of each missing key back {place}"),
    )
}

fn unkeyed_sets(sets: &[KeyedSets]) -> Verdict {
    let users: i64 = sets.iter().filter(|set| set.key.is_none()).map(|set| set.users).sum();
    match settings::key_file() {
        Some(_) if users > 0 => Verdict::warning(
            format!("a set without a key, until they get a new one: {}", counted(users, "user")),
            "SELECT user_id FROM backup_codes.overview WHERE set_no IS NOT NULL AND key_id IS NULL;",
        ),
        Some(_) => Verdict::ok("every set has a key"),
        None => Verdict::ok("no key file is set"),
    }
}

fn synchronous_standby(server: &server::Settings) -> Verdict {
    let replication = checks::replication();
    if replication.recovery {
        return Verdict::ok("this server is a standby");
    }
    if replication.standbys == 0 {
        return Verdict::ok("no standby streams from this server");
    }
    let standbys = format!("streaming to {}", counted(replication.standbys, "standby"));
    if server.get("synchronous_standby_names").is_some_and(|names| !names.trim().is_empty()) {
        return Verdict::ok(format!("{standbys}, and commits wait for a synchronous one"));
    }
    Verdict::warning(
        format!("{standbys}, none of them synchronous: a failover can bring a burned code back"),
        alter_system("synchronous_standby_names", "'ANY 1 (*)'"),
    )
}

fn events_waiting(counts: &Counts) -> Verdict {
    let detail = counted(counts.waiting, "event") + " to be delivered";
    if counts.late == 0 && counts.waiting <= MAX_WAITING {
        return Verdict::ok(detail);
    }
    Verdict::warning(
        format!("{detail}, {} of them for more than an hour", counts.late),
        "SELECT kind, delivery, count(*), min(at) FROM backup_codes.events WHERE delivery IN ('waiting', 'leased') GROUP BY 1, 2;
-- start the mailer again; where there is none: ALTER SYSTEM SET backup_codes.outbox = off;",
    )
}

/// Gives parked events their tries back.
const UNPARK: &str = "-- once the mailer is mended:
UPDATE backup_codes.event SET due_at = clock_timestamp(), attempts = NULL WHERE due_at = 'infinity';";

fn events_failing(counts: &Counts) -> Verdict {
    let hint = "SELECT event_id, user_id, kind, attempts, delivery FROM backup_codes.events WHERE attempts >= 10 AND delivery <> 'delivered';";
    let detail = format!("{} parked, {} tried ten times or more", counted(counts.parked, "event"), counts.retried);
    match (counts.parked, counts.retried) {
        (0, 0) => Verdict::ok("no event was tried ten times"),
        (0, _) => Verdict::warning(detail, hint),
        _ => Verdict::problem(detail, format!("{hint}\n{UNPARK}")),
    }
}

fn users_locked(counts: &Counts) -> Verdict {
    if counts.locked == 0 {
        return Verdict::ok("nobody is locked");
    }
    Verdict::warning(
        format!("{} locked after too many failures", counted(counts.locked, "user")),
        "SELECT user_id, failures, locked_until FROM backup_codes.overview WHERE locked_until IS NOT NULL;",
    )
}

fn pending_sets(counts: &Counts, api: &str) -> Verdict {
    if counts.abandoned == 0 {
        return Verdict::ok("no set has waited for confirmation for more than a day");
    }
    Verdict::warning(
        format!("{} waited for confirmation for more than a day", counted(counts.abandoned, "set")),
        format!(
            "SELECT {api}.backup_codes_cancel(user_id) FROM backup_codes.pending_set WHERE generated_at < now() - interval '1 day';"
        ),
    )
}

fn expired_sets(counts: &Counts, api: &str) -> Verdict {
    if counts.expired == 0 {
        return Verdict::ok("no set expired more than 90 days ago");
    }
    Verdict::warning(
        format!("{} expired more than 90 days ago", counted(counts.expired, "set")),
        format!("SELECT {api}.backup_codes_purge();"),
    )
}
