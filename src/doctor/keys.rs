//! The keys that sets need.

use super::{Check, Scene, Verdict, counted};
use crate::key_file::{self, KeyRef};
use crate::pg::error::{Error, Result};
use crate::settings;
use crate::store::statement::{Statement, statement};
use backup_codes_core::keyring::KeyCheck;

pub const CHECKS: &[Check] = &[
    Check { name: "key_file", examine: key_file },
    Check { name: "keys_missing", examine: keys_missing },
    Check { name: "unkeyed_sets", examine: unkeyed_sets },
];

/// Sets, active or pending, that need one key or none.
struct KeyedSets {
    key: Option<KeyRef>,
    /// How many users have such a set.
    users: i64,
}

statement! {
    CountKeyedSets: Everything, Callers
    ()
    ["SELECT "]
    => KeyedRow { key_id: Option<i32>, key_check: Option<KeyCheck>, users: i64 = "count(DISTINCT user_id)" }
    [" FROM (SELECT user_id, key_id, key_check FROM backup_codes.account WHERE set_no IS NOT NULL
             UNION ALL
             SELECT user_id, key_id, key_check FROM backup_codes.pending_set) AS s
      GROUP BY key_id, key_check ORDER BY key_id, key_check"]
}

/// The keys that sets need.
fn keyed_sets() -> Result<Vec<KeyedSets>> {
    let key = |row: &KeyedRow| row.key_id.zip(row.key_check).map(|(id, check)| KeyRef { id, check });
    CountKeyedSets {}.rows().map(|row| row.map(|row| KeyedSets { key: key(&row), users: row.users })).collect()
}

fn key_file(scene: &Scene) -> Result<Verdict> {
    Ok(match &scene.keyring {
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
    })
}

/// As a shell takes it.
fn quoted(path: &str) -> String {
    format!("'{}'", path.replace('\'', r"'\''"))
}

fn keys_missing(scene: &Scene) -> Result<Verdict> {
    let mut missing = vec![];
    for KeyedSets { key, users } in keyed_sets()? {
        let Some(key) = key else { continue };
        let users = counted(users, "user");
        match scene.keys().and_then(|keyring| keyring.get(key.id)) {
            Some(found) if found.check() == key.check => {}
            Some(_) => missing.push(format!("key {} ({users}; the file has another key of that id)", key.id)),
            None => missing.push(format!("key {} ({users})", key.id)),
        }
    }
    if missing.is_empty() {
        return Ok(Verdict::ok("every key that a set needs is loaded"));
    }
    let place = match settings::key_file() {
        Some(_) => format!("into {}", key_file::path_text()),
        None => "into a file and set backup_codes.key_file to its path".into(),
    };
    Ok(Verdict::problem(
        format!("sets need what is not loaded: {}", missing.join(", ")),
        format!("SELECT * FROM {}.backup_codes_keys();\n-- put the line of each missing key back {place}", scene.api),
    ))
}

fn unkeyed_sets(_: &Scene) -> Result<Verdict> {
    let users: i64 = keyed_sets()?.iter().filter(|set| set.key.is_none()).map(|set| set.users).sum();
    Ok(match settings::key_file() {
        Some(_) if users > 0 => Verdict::warning(
            format!("a set without a key, until they get a new one: {}", counted(users, "user")),
            "SELECT user_id FROM backup_codes.overview WHERE set_no IS NOT NULL AND key_id IS NULL;",
        ),
        Some(_) => Verdict::ok("every set has a key"),
        None => Verdict::ok("no key file is set"),
    })
}
