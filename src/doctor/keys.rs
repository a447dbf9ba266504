//! The keys that sets need.

use super::{Check, MAX_NAMED, Scene, Verdict, counted};
use crate::key_file;
use crate::pg::error::{Error, Result};
use crate::settings;
use crate::store::facts::{Stored, facts};
use crate::store::statement::{Statement, statement};
use crate::user_id::UserId;

pub const CHECKS: &[Check] = &[
    Check { name: "key_file", examine: key_file },
    Check { name: "keys_missing", examine: keys_missing },
    Check { name: "seals", examine: seals },
    Check { name: "unkeyed_sets", examine: unkeyed_sets },
];

statement! {
    CountKeyedSets: Everything, Callers
    ()
    ["SELECT "]
    => KeyedSets { key_id: Option<i32>, users: i64 = "count(DISTINCT user_id)" }
    [" FROM (SELECT user_id, key_id FROM backup_codes.account WHERE set_no IS NOT NULL
             UNION ALL
             SELECT user_id, key_id FROM backup_codes.pending_set) AS s
      GROUP BY key_id ORDER BY key_id"]
}

/// The keys that sets, active or pending, need, and how many users have such a set.
fn keyed_sets() -> Result<Vec<KeyedSets>> {
    CountKeyedSets {}.rows().collect()
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
    for KeyedSets { key_id, users } in keyed_sets()? {
        let Some(id) = key_id else { continue };
        if scene.keys().is_none_or(|keyring| keyring.get(id).is_none()) {
            missing.push(format!("key {id} ({})", counted(users, "user")));
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

/// Sets of each key whose seals are looked at, the newest first.
const MAX_SEALS: i32 = 1000;

statement! {
    /// The pending sets of a key, and its active ones.
    ReadSealed: Everything, Callers
    (key_id: i32, max_sets: i32)
    ["SELECT "]
    => SealedSet { user_id: UserId, ..facts: Stored = [facts!(names)] }
    [" FROM (SELECT user_id, ", facts!(names), " FROM backup_codes.account WHERE key_id = $key_id AND set_no IS NOT NULL
             UNION ALL
             SELECT user_id, ", facts!(names), " FROM backup_codes.pending_set WHERE key_id = $key_id) AS s
      ORDER BY generated_at DESC
      LIMIT $max_sets"]
}

/// A set that does not carry the seal of its key opens nothing: attempts on its user raise an error.
fn seals(scene: &Scene) -> Result<Verdict> {
    let mut broken = vec![];
    for key in scene.keys().iter().flat_map(|keyring| keyring.iter()) {
        let (mut sets, mut users) = (0, vec![]);
        for row in (ReadSealed { key_id: key.id(), max_sets: MAX_SEALS }).rows() {
            let SealedSet { user_id, facts } = row?;
            sets += 1;
            if !facts.facts().is_some_and(|facts| facts.carries_seal_of(&user_id, key)) {
                users.push(user_id.utf8);
            }
        }
        if users.is_empty() {
            continue;
        }
        let (id, count) = (key.id(), users.len());
        broken.push(if count == sets {
            format!(
                "none of {} under key {id} carries its seal: the file has another key of that id",
                counted(sets as i64, "set")
            )
        } else {
            users.truncate(MAX_NAMED);
            format!(
                "{} under key {id} not made for their users, or changed since: {}",
                counted(count as i64, "set"),
                users.join(", ")
            )
        });
    }
    if broken.is_empty() {
        return Ok(Verdict::ok("every set that was looked at carries the seal of its key"));
    }
    Ok(Verdict::problem(
        broken.join("; "),
        format!(
            "SELECT * FROM {}.backup_codes_keys();\n-- put the right key back; a set that was changed can only be replaced or disabled",
            scene.api
        ),
    ))
}

fn unkeyed_sets(_: &Scene) -> Result<Verdict> {
    let users: i64 = keyed_sets()?.iter().filter(|set| set.key_id.is_none()).map(|set| set.users).sum();
    if settings::require_key() && users > 0 {
        return Ok(Verdict::problem(
            format!("a set without a key opens nothing, since every set needs one: {}", counted(users, "user")),
            "SELECT user_id FROM backup_codes.overview WHERE set_no IS NOT NULL AND key_id IS NULL;",
        ));
    }
    Ok(match settings::key_file() {
        Some(_) if users > 0 => Verdict::warning(
            format!("a set without a key, until they get a new one: {}", counted(users, "user")),
            "SELECT user_id FROM backup_codes.overview WHERE set_no IS NOT NULL AND key_id IS NULL;",
        ),
        Some(_) => Verdict::ok("every set has a key"),
        None => Verdict::ok("no key file is set"),
    })
}
