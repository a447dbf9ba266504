//! Settings of the server under which a code could end up in the log or in a view.
//!
//! The judgement takes for granted what the reference asks for: codes are bind parameters. Where bound values are logged, that
//! is a problem; where only the text of a statement is, a warning, since a code that somebody spells as a literal is in it.
//! PostgreSQL's defaults are quiet: they log the text of a failing statement alone, and none of our functions that takes a
//! code fails for its arguments, nor shows its statement when it fails.

use super::sessions::Values;
use super::{Check, Scene, Status, Verdict, alter_system};

pub const CHECKS: &[Check] =
    &[LOG_STATEMENT, LOG_DURATION, LOG_ERRORS, AUTO_EXPLAIN, PG_STAT_STATEMENTS, PGAUDIT, DEBUG_PRINT];

/// Something that could be logged or lost, and the setting that ends it.
pub struct Leak {
    /// How bad it is.
    pub status: Status,
    /// What it is.
    pub detail: String,
    /// The setting.
    pub name: &'static str,
    /// The value that ends it.
    pub value: &'static str,
}

/// Judges this session, and every role and database that has one of these settings to itself.
pub fn judge(scene: &Scene, settings: &[&str], quiet: &str, judge: fn(&Values) -> Option<Leak>) -> Verdict {
    let (mut details, mut hints, mut worst) = (Vec::new(), Vec::new(), Status::Ok);
    for (scope, values) in scene.sessions.having(settings) {
        let Some(leak) = judge(&values) else { continue };
        worst = worst.max(leak.status);
        match scope {
            None => {
                details.push(leak.detail);
                hints.push(alter_system(leak.name, leak.value));
            }
            Some(scope) => {
                details.push(format!("{scope}: {}", leak.detail));
                hints.push(format!("ALTER {scope} SET {} = {};", leak.name, leak.value));
            }
        }
    }
    if details.is_empty() {
        return Verdict::ok(quiet);
    }
    Verdict { status: worst, detail: details.join("; "), hint: Some(hints.join("\n")) }
}

/// Whether bound values stand next to a statement that is logged.
fn bound_values(values: &Values) -> bool {
    values.number(MAX_LENGTH, -1.0) != 0.0
}

/// What a statement in the log gives away.
fn statements_logged(values: &Values, trigger: String, name: &'static str, off: &'static str) -> Leak {
    if bound_values(values) {
        Leak {
            status: Status::Problem,
            detail: format!("{trigger} logs statements with their bound values ({})", values.shown(MAX_LENGTH)),
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

const MAX_LENGTH: &str = "log_parameter_max_length";
const MAX_LENGTH_ON_ERROR: &str = "log_parameter_max_length_on_error";

/// mod logs no SELECT, but an UPDATE whose condition takes a code.
const LOG_STATEMENT: Check = Check {
    name: "log_statement",
    examine: |scene| {
        Ok(judge(
            scene,
            &["log_statement", MAX_LENGTH],
            "log_statement logs no statement that takes a code",
            |values| match values.word("log_statement").as_str() {
                "all" | "mod" => {
                    Some(statements_logged(values, values.shown("log_statement"), "log_statement", "'ddl'"))
                }
                _ => None,
            },
        ))
    },
};

/// However long a statement must run: one that waits for a lock runs as long as it likes.
const LOG_DURATION: Check = Check {
    name: "log_duration",
    examine: |scene| {
        Ok(judge(
            scene,
            &[
                "log_min_duration_statement",
                "log_min_duration_sample",
                "log_statement_sample_rate",
                "log_transaction_sample_rate",
                MAX_LENGTH,
            ],
            "no statement is logged for its duration",
            |values| {
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
                Some(statements_logged(values, values.shown(name), name, off))
            },
        ))
    },
};

/// The default, error, logs statements that fail; lower levels also those that merely cause a message.
const LOG_ERRORS: Check = Check {
    name: "log_errors",
    examine: |scene| {
        Ok(judge(
            scene,
            &["log_min_error_statement", MAX_LENGTH_ON_ERROR],
            "statements that fail are logged without their bound values",
            |values| {
                if values.number(MAX_LENGTH_ON_ERROR, 0.0) != 0.0 {
                    return Some(Leak {
                        status: Status::Problem,
                        detail: format!(
                            "{} logs the bound values of statements that fail",
                            values.shown(MAX_LENGTH_ON_ERROR)
                        ),
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
        ))
    },
};

/// A plan that was made for bound values shows them as constants, whatever is said about parameters.
const AUTO_EXPLAIN: Check = Check {
    name: "auto_explain",
    examine: |scene| {
        Ok(judge(
            scene,
            &["auto_explain.log_min_duration", "auto_explain.sample_rate"],
            "auto_explain logs no plan",
            |values| {
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
        ))
    },
};

/// It puts symbols in the place of the constants of a query, but not of every utility statement, such as DO.
const PG_STAT_STATEMENTS: Check = Check {
    name: "pg_stat_statements",
    examine: |scene| {
        Ok(judge(
            scene,
            &["pg_stat_statements.track", "pg_stat_statements.track_utility"],
            "pg_stat_statements keeps no literal",
            |values| {
                let track = values.word("pg_stat_statements.track");
                let keeps = ["top", "all"].contains(&track.as_str()) && values.on("pg_stat_statements.track_utility");
                keeps.then(|| {
                    Leak {
            status: Status::Warning,
            detail: "pg_stat_statements.track_utility = on keeps the text of statements such as DO, with a code in it"
                .into(),
            name: "pg_stat_statements.track_utility",
            value: "off",
        }
                })
            },
        ))
    },
};

const PGAUDIT: Check = Check {
    name: "pgaudit",
    examine: |scene| {
        Ok(judge(
            scene,
            &["pgaudit.log", "pgaudit.log_parameter"],
            "pgaudit logs no statement that takes a code",
            |values| {
                let classes = values.word("pgaudit.log");
                if !classes.split(',').any(|class| ["all", "read", "write", "function", "misc"].contains(&class.trim()))
                {
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
        ))
    },
};

const TREES: &[&str] = &["debug_print_parse", "debug_print_rewritten", "debug_print_plan"];

const DEBUG_PRINT: Check = Check {
    name: "debug_print",
    examine: |scene| {
        Ok(judge(scene, TREES, "no trees of statements are logged", |values| {
            TREES.iter().find(|name| values.on(name)).map(|name| Leak {
                status: Status::Problem,
                detail: format!("{name} = on logs the constants of statements"),
                name,
                value: "off",
            })
        }))
    },
};
