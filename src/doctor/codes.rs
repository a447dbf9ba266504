//! How strong codes are, how they are hashed, and how often one may guess.

use backup_codes_core::code::{Alphabet, Format, STRONG_BITS};

use super::sessions::{Sessions, Values};
use super::{Check, Scene, Verdict, counted};
use crate::pg::error::Result;
use crate::pg::setting::{Integer, Setting};
use crate::settings;
use crate::store::statement::{Statement, statement};
use crate::store::value::Letter;

pub const CHECKS: &[Check] = &[
    Check { name: "entropy", examine: entropy },
    Check { name: "hash", examine: hash },
    Check { name: "throttle", examine: throttle },
];

/// Below this a code is held by the throttle alone (NIST SP 800-63B-4 §3.1.2.2).
const THROTTLED_BITS: f64 = 64.0;
/// The highest odds to guess a code before the set is removed.
const MAX_ODDS: f64 = 1e-4;
/// How sets are made in one kind of session, and how often one may guess at them.
pub struct Issuer {
    scope: Option<String>,
    /// Of new codes.
    pub format: Format,
    /// SHA-256 is used however short the codes are.
    pub fast: bool,
    /// Codes of a new set.
    pub count: i32,
    /// Failures that remove a set.
    pub guesses: i32,
}

const ALPHABET: &str = "backup_codes.alphabet";
const LENGTH: &str = "backup_codes.length";
const HASH: &str = "backup_codes.hash";
const COUNT: &str = "backup_codes.count";
const DISABLE_AFTER: &str = "backup_codes.disable_after";
static OURS: &[&str] = &[ALPHABET, LENGTH, HASH, COUNT, DISABLE_AFTER];

impl Issuer {
    /// Whose settings they are, for the beginning of a detail; nothing for this session.
    pub fn prefix(&self) -> String {
        self.scope.as_ref().map(|scope| format!("{scope}: ")).unwrap_or_default()
    }

    /// Sets these settings to these values where they were set.
    pub fn alter(&self, settings: &[(&str, &str)]) -> String {
        let target = self.scope.as_deref().unwrap_or("SYSTEM");
        let mut lines: Vec<_> =
            settings.iter().map(|(name, value)| format!("ALTER {target} SET {name} = {value};")).collect();
        if self.scope.is_none() {
            lines.push("SELECT pg_reload_conf();".into());
        }
        lines.join("\n")
    }

    /// What a session would refuse, as it may have been set while the library was not loaded, leaves the value of this one.
    fn new(scope: Option<&String>, values: &Values<'_>) -> Self {
        let number = |name, setting: &Setting<i32, Integer>| {
            values.get(name).and_then(|value| value.parse().ok()).filter(|value| setting.kind.range.contains(value))
        };
        let here = settings::format();
        Self {
            scope: scope.cloned(),
            format: Format {
                alphabet: values.word(ALPHABET).bytes().next().and_then(Alphabet::from_letter).unwrap_or(here.alphabet),
                length: number(LENGTH, &settings::LENGTH).map_or(here.length, |length| length as usize),
            },
            fast: values.word(HASH) == "sha256",
            count: number(COUNT, &settings::COUNT).unwrap_or_else(settings::count),
            guesses: number(DISABLE_AFTER, &settings::DISABLE_AFTER).unwrap_or_else(settings::disable_after),
        }
    }
}

/// This session, then every role and database that makes sets in another way or counts failures in another way.
fn issuers(sessions: &Sessions) -> Vec<Issuer> {
    sessions.having(OURS).into_iter().map(|(scope, values)| Issuer::new(scope, &values)).collect()
}

/// Sets, active or pending, of one format.
struct StoredFormat {
    format: Format,
    /// They are hashed with SHA-256.
    fast: bool,
    /// How many users have such a set.
    users: i64,
}

statement! {
    CountFormats: Everything, Callers
    ()
    ["SELECT "]
    => FormatRow {
        alphabet: Option<Letter>, length: Option<i16>, fast: Option<bool> = "scheme = 's'", users: i64 = "count(DISTINCT user_id)"
    }
    [" FROM (SELECT user_id, alphabet, length, scheme FROM backup_codes.account WHERE set_no IS NOT NULL
             UNION ALL
             SELECT user_id, alphabet, length, scheme FROM backup_codes.pending_set) AS s
      GROUP BY alphabet, length, scheme"]
}

/// The formats of the sets that there are; a row that none of our functions can have written has none.
fn stored_formats() -> Result<Vec<StoredFormat>> {
    let rows = CountFormats {}.rows().collect::<Result<Vec<_>>>()?;
    Ok(rows
        .into_iter()
        .filter_map(|row| {
            let alphabet = Alphabet::from_letter(row.alphabet?.0)?;
            let format = Format { alphabet, length: usize::try_from(row.length?).ok()? };
            Some(StoredFormat { format, fast: row.fast?, users: row.users })
        })
        .collect())
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

fn entropy(scene: &Scene) -> Result<Verdict> {
    let formats = stored_formats()?;
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
    let mut verdicts: Vec<_> = issuers(&scene.sessions)
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
    Ok(Verdict::worst(verdicts))
}

fn hash(scene: &Scene) -> Result<Verdict> {
    let formats = stored_formats()?;
    let mut verdicts: Vec<_> = issuers(&scene.sessions)
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
    Ok(Verdict::worst(verdicts))
}

fn throttle(scene: &Scene) -> Result<Verdict> {
    Ok(Verdict::worst(issuers(&scene.sessions).iter().map(odds).collect()))
}

/// Odds to guess a code of somebody in one kind of session.
fn odds(issuer: &Issuer) -> Verdict {
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
