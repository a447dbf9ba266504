//! Settings of the server under which a code could end up in the log or in a view, or come back after it was burned.
//!
//! The judgement takes for granted what the reference asks for: codes are bind parameters. Where bound values are logged, that
//! is a problem; where only the text of a statement is, a warning, since a code that somebody spells as a literal is in it.
//! PostgreSQL's defaults are quiet: they log the text of a failing statement alone, and none of our functions that takes a
//! code fails for its arguments, nor shows its statement when it fails.

use std::collections::BTreeMap;

use super::{Status, Verdict, alter_system};
use crate::settings;
use crate::store::checks;
use backup_codes_core::code::{Alphabet, Format};

/// Values of settings by name. One that nobody knows, such as that of a module that is not loaded, has none.
pub struct Settings {
    session: BTreeMap<String, String>,
    /// What ALTER ROLE and ALTER DATABASE lay over it, by scope.
    scopes: BTreeMap<String, BTreeMap<String, String>>,
}

/// Something that could be logged, and the setting that ends it.
struct Leak {
    status: Status,
    detail: String,
    name: &'static str,
    value: &'static str,
}

/// A check of some settings.
pub struct Check {
    settings: &'static [&'static str],
    judge: fn(&Values) -> Option<Leak>,
    quiet: &'static str,
}

/// The settings of one kind of session.
struct Values<'a> {
    session: &'a BTreeMap<String, String>,
    scope: Option<&'a BTreeMap<String, String>>,
}

impl Values<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        let scoped = self.scope.and_then(|scope| scope.get(name));
        scoped.or_else(|| self.session.get(name)).map(|value| value.trim())
    }

    fn word(&self, name: &str) -> String {
        self.get(name).unwrap_or_default().to_lowercase()
    }

    /// Its number, without a unit: only its sign is looked at.
    fn number(&self, name: &str, default: f64) -> f64 {
        let Some(value) = self.get(name) else { return default };
        let digits = value.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c.is_ascii_whitespace());
        // What cannot be read, such as a hexadecimal number, is taken for one that is set.
        digits.parse().unwrap_or(1.0)
    }

    /// As PostgreSQL reads a boolean: any beginning that is not ambiguous.
    fn on(&self, name: &str) -> bool {
        let word = self.word(name);
        !word.is_empty() && word != "o" && ["on", "true", "yes", "1"].iter().any(|truth| truth.starts_with(&word))
    }

    /// Whether bound values stand next to a statement that is logged.
    fn bound_values(&self) -> bool {
        self.number(MAX_LENGTH, -1.0) != 0.0
    }

    /// The setting as it is spelled, for a message.
    fn shown(&self, name: &str) -> String {
        format!("{name} = {}", self.get(name).unwrap_or_default())
    }

    /// What a statement in the log gives away.
    fn statements_logged(&self, trigger: String, name: &'static str, off: &'static str) -> Leak {
        if self.bound_values() {
            Leak {
                status: Status::Problem,
                detail: format!("{trigger} logs statements with their bound values ({})", self.shown(MAX_LENGTH)),
                name: MAX_LENGTH,
                value: "0",
            }
        } else {
            Leak {
                status: Status::Warning,
                detail: format!("{trigger} logs the text of statements, and a code that is not a bind parameter"),
                name,
                value: off,
            }
        }
    }
}

const MAX_LENGTH: &str = "log_parameter_max_length";
const MAX_LENGTH_ON_ERROR: &str = "log_parameter_max_length_on_error";

/// mod logs no SELECT, but an UPDATE whose condition takes a code.
pub static STATEMENT: Check = Check {
    settings: &["log_statement", MAX_LENGTH],
    judge: |values| match values.word("log_statement").as_str() {
        "all" | "mod" => Some(values.statements_logged(values.shown("log_statement"), "log_statement", "'ddl'")),
        _ => None,
    },
    quiet: "log_statement logs no statement that takes a code",
};

/// However long a statement must run: one that waits for a lock runs as long as it likes.
pub static DURATION: Check = Check {
    settings: &[
        "log_min_duration_statement",
        "log_min_duration_sample",
        "log_statement_sample_rate",
        "log_transaction_sample_rate",
        MAX_LENGTH,
    ],
    judge: |values| {
        let (name, off) = if values.number("log_min_duration_statement", -1.0) >= 0.0 {
            ("log_min_duration_statement", "-1")
        } else if values.number("log_min_duration_sample", -1.0) >= 0.0
            && values.number("log_statement_sample_rate", 1.0) > 0.0
        {
            ("log_min_duration_sample", "-1")
        } else if values.number("log_transaction_sample_rate", 0.0) > 0.0 {
            ("log_transaction_sample_rate", "0")
        } else {
            return None;
        };
        Some(values.statements_logged(values.shown(name), name, off))
    },
    quiet: "no statement is logged for its duration",
};

/// The default, error, logs statements that fail; lower levels also those that merely cause a message.
pub static ERRORS: Check = Check {
    settings: &["log_min_error_statement", MAX_LENGTH_ON_ERROR],
    judge: |values| {
        if values.number(MAX_LENGTH_ON_ERROR, 0.0) != 0.0 {
            return Some(Leak {
                status: Status::Problem,
                detail: format!("{} logs the bound values of statements that fail", values.shown(MAX_LENGTH_ON_ERROR)),
                name: MAX_LENGTH_ON_ERROR,
                value: "0",
            });
        }
        let level = values.word("log_min_error_statement");
        (level.starts_with("debug") || ["info", "notice", "warning"].contains(&level.as_str())).then(|| Leak {
            status: Status::Warning,
            detail: format!(
                "{} logs the text of statements that cause a message, and a code that is not a bind parameter",
                values.shown("log_min_error_statement")
            ),
            name: "log_min_error_statement",
            value: "'error'",
        })
    },
    quiet: "statements that fail are logged without their bound values",
};

/// A plan that was made for bound values shows them as constants, whatever is said about parameters.
pub static AUTO_EXPLAIN: Check = Check {
    settings: &["auto_explain.log_min_duration", "auto_explain.sample_rate"],
    judge: |values| {
        let logs = values.number("auto_explain.log_min_duration", -1.0) >= 0.0
            && values.number("auto_explain.sample_rate", 1.0) > 0.0;
        logs.then(|| Leak {
            status: Status::Problem,
            detail: format!(
                "{} logs plans, in which bound values stand as constants",
                values.shown("auto_explain.log_min_duration")
            ),
            name: "auto_explain.log_min_duration",
            value: "-1",
        })
    },
    quiet: "auto_explain logs no plan",
};

/// It puts symbols in the place of the constants of a query, but not of every utility statement, such as DO.
pub static STAT_STATEMENTS: Check = Check {
    settings: &["pg_stat_statements.track", "pg_stat_statements.track_utility"],
    judge: |values| {
        let track = values.word("pg_stat_statements.track");
        let keeps = ["top", "all"].contains(&track.as_str()) && values.on("pg_stat_statements.track_utility");
        keeps.then(|| Leak {
            status: Status::Warning,
            detail: "pg_stat_statements.track_utility = on keeps the text of statements such as DO, with a code in it"
                .into(),
            name: "pg_stat_statements.track_utility",
            value: "off",
        })
    },
    quiet: "pg_stat_statements keeps no literal",
};

pub static AUDIT: Check = Check {
    settings: &["pgaudit.log", "pgaudit.log_parameter"],
    judge: |values| {
        let classes = values.word("pgaudit.log");
        if !classes.split(',').any(|class| ["all", "read", "write", "function", "misc"].contains(&class.trim())) {
            return None;
        }
        Some(if values.on("pgaudit.log_parameter") {
            Leak {
                status: Status::Problem,
                detail: "pgaudit.log_parameter = on logs bound values".into(),
                name: "pgaudit.log_parameter",
                value: "off",
            }
        } else {
            Leak {
                status: Status::Warning,
                detail: format!(
                    "{} logs the text of statements, and a code that is not a bind parameter",
                    values.shown("pgaudit.log")
                ),
                name: "pgaudit.log",
                value: "'ddl, role'",
            }
        })
    },
    quiet: "pgaudit logs no statement that takes a code",
};

const TREES: &[&str] = &["debug_print_parse", "debug_print_rewritten", "debug_print_plan"];

pub static DEBUG_PRINT: Check = Check {
    settings: TREES,
    judge: |values| {
        TREES.iter().find(|name| values.on(name)).map(|name| Leak {
            status: Status::Problem,
            detail: format!("{name} = on logs the constants of statements"),
            name,
            value: "off",
        })
    },
    quiet: "no trees of statements are logged",
};

/// Our own functions wait for the disk, and with off for the synchronous standby, all the same.
pub static SYNCHRONOUS_COMMIT: Check = Check {
    settings: &["synchronous_commit", "synchronous_standby_names"],
    judge: |values| {
        let level = values.word("synchronous_commit");
        let off = ["off", "false", "no", "0"].contains(&level.as_str());
        let local = level == "local" && values.get("synchronous_standby_names").is_some_and(|names| !names.is_empty());
        (off || local).then(|| Leak {
            status: Status::Warning,
            detail: if off {
                "synchronous_commit = off: a crash takes back what an application committed after a code was burned, though not the burning"
            } else {
                "synchronous_commit = local: a failover can bring a burned code back"
            }
            .into(),
            name: "synchronous_commit",
            value: "on",
        })
    },
    quiet: "commits wait for what they promise",
};

static ALL: &[&Check] =
    &[&STATEMENT, &DURATION, &ERRORS, &AUTO_EXPLAIN, &STAT_STATEMENTS, &AUDIT, &DEBUG_PRINT, &SYNCHRONOUS_COMMIT];

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
        let number = |name, range: std::ops::RangeInclusive<i32>| {
            values.get(name).and_then(|value| value.parse().ok()).filter(|value| range.contains(value))
        };
        let here = settings::format();
        Self {
            scope: scope.cloned(),
            format: Format {
                alphabet: values.word(ALPHABET).bytes().next().and_then(Alphabet::from_letter).unwrap_or(here.alphabet),
                length: number(LENGTH, 6..=64).map_or(here.length, |length| length as usize),
            },
            fast: values.word(HASH) == "sha256",
            count: number(COUNT, 1..=100).unwrap_or_else(settings::count),
            guesses: number(DISABLE_AFTER, 1..=100).unwrap_or_else(settings::disable_after),
        }
    }
}

impl Settings {
    /// This session, then every role and database that makes sets in another way or counts failures in another way.
    pub fn issuers(&self) -> Vec<Issuer> {
        let others = self.scopes.iter().filter(|(_, scope)| OURS.iter().any(|name| scope.contains_key(*name)));
        let others = others.map(|(name, scope)| (Some(name), Values { session: &self.session, scope: Some(scope) }));
        let all = [(None, Values { session: &self.session, scope: None })].into_iter().chain(others);
        all.map(|(name, values)| Issuer::new(name, &values)).collect()
    }

    /// Those of this session, and those that other sessions on this database are given.
    pub fn read() -> Self {
        let names: Vec<&str> = ALL.iter().flat_map(|check| check.settings).chain(OURS).copied().collect();
        let mut scopes = BTreeMap::<String, BTreeMap<String, String>>::new();
        for found in checks::overrides() {
            scopes.entry(found.scope).or_default().insert(found.name.to_lowercase(), found.value);
        }
        Self { session: checks::settings(&names).into_iter().collect(), scopes }
    }

    /// A setting of this session.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.session.get(name).map(String::as_str)
    }

    /// Judges this session, and every role and database that has a setting of the check to itself.
    pub fn judge(&self, check: &Check) -> Verdict {
        let here = (check.judge)(&Values { session: &self.session, scope: None });
        let elsewhere =
            self.scopes.iter().filter(|(_, scope)| check.settings.iter().any(|name| scope.contains_key(*name)));
        let elsewhere = elsewhere.filter_map(|(name, scope)| {
            let leak = (check.judge)(&Values { session: &self.session, scope: Some(scope) })?;
            let remedy = format!("ALTER {name} SET {} = {};", leak.name, leak.value);
            Some((leak.status, format!("{name}: {}", leak.detail), remedy))
        });
        let here = here.map(|leak| (leak.status, leak.detail, alter_system(leak.name, leak.value)));
        let found: Vec<_> = here.into_iter().chain(elsewhere).collect();
        let Some(status) = found.iter().map(|leak| leak.0).max() else { return Verdict::ok(check.quiet) };
        let join = |parts: Vec<&str>, by| parts.join(by);
        Verdict {
            status,
            detail: join(found.iter().map(|leak| leak.1.as_str()).collect(), "; "),
            hint: Some(join(found.iter().map(|leak| leak.2.as_str()).collect(), "\n")),
        }
    }
}
