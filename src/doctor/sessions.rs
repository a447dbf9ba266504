//! The settings of sessions: of this one, and of those to which ALTER ROLE and ALTER DATABASE give others.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};

use pgrx::pg_sys;

use crate::pg::error::Result;
use crate::store::statement::{Statement, statement};

/// What ALTER ROLE and ALTER DATABASE lay over the settings of this session, by scope.
pub struct Sessions(BTreeMap<String, BTreeMap<String, String>>);

/// The settings of one kind of session. One that nobody knows, such as that of a module that is not loaded, has no value.
pub struct Values<'a> {
    scope: Option<&'a BTreeMap<String, String>>,
}

statement! {
    /// The scope is spelled as ALTER takes it: ROLE x, DATABASE y, ROLE x IN DATABASE y, ROLE ALL.
    ReadOverrides: Everything, Callers
    ()
    ["SELECT "]
    => Override {
        scope: String = "CASE WHEN o.setrole = 0 AND o.setdatabase = 0 THEN 'ROLE ALL'
                              WHEN o.setrole = 0 THEN format('DATABASE %I', d.datname)
                              WHEN o.setdatabase = 0 THEN format('ROLE %I', pg_get_userbyid(o.setrole))
                              ELSE format('ROLE %I IN DATABASE %I', pg_get_userbyid(o.setrole), d.datname) END",
        name: String = "split_part(s.assignment, '=', 1)",
        value: String = "substr(s.assignment, strpos(s.assignment, '=') + 1)"
    }
    [" FROM pg_database AS d
       JOIN pg_db_role_setting AS o ON o.setdatabase IN (0, d.oid)
      CROSS JOIN LATERAL unnest(o.setconfig) AS s (assignment)
      WHERE d.datname = current_database()
      ORDER BY 1, 2"]
}

impl Sessions {
    /// Those that sessions on this database are given.
    pub fn read() -> Result<Self> {
        let mut scopes = BTreeMap::<String, BTreeMap<String, String>>::new();
        for row in (ReadOverrides {}).rows() {
            let row = row?;
            scopes.entry(row.scope).or_default().insert(row.name.to_lowercase(), row.value);
        }
        Ok(Self(scopes))
    }

    /// This session, and every role and database that has one of these settings to itself, by the names that ALTER takes.
    pub fn having(&self, names: &[&str]) -> Vec<(Option<&String>, Values<'_>)> {
        let others = self.0.iter().filter(|(_, scope)| names.iter().any(|name| scope.contains_key(*name)));
        let others = others.map(|(name, scope)| (Some(name), Values { scope: Some(scope) }));
        [(None, Values { scope: None })].into_iter().chain(others).collect()
    }
}

/// A setting of this session, as SHOW gives it.
pub fn setting(name: &str) -> Option<String> {
    let name = CString::new(name).ok()?;
    // SAFETY: the name is NUL-terminated, and one that nobody knows gives NULL; our functions run as their owner, who may read
    // every setting.
    unsafe {
        let value = pg_sys::GetConfigOptionByName(name.as_ptr(), std::ptr::null_mut(), true);
        (!value.is_null()).then(|| CStr::from_ptr(value).to_string_lossy().trim().to_owned())
    }
}

impl Values<'_> {
    /// A value as it was given.
    pub fn get(&self, name: &str) -> Option<String> {
        let scoped = self.scope.and_then(|scope| scope.get(name));
        scoped.map(|value| value.trim().to_owned()).or_else(|| setting(name))
    }

    /// In lower case, empty when there is none.
    pub fn word(&self, name: &str) -> String {
        self.get(name).unwrap_or_default().to_lowercase()
    }

    /// Its number, without a unit: only its sign is looked at.
    pub fn number(&self, name: &str, default: f64) -> f64 {
        let Some(value) = self.get(name) else { return default };
        let digits = value.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c.is_ascii_whitespace());
        // What cannot be read, such as a hexadecimal number, is taken for one that is set.
        digits.parse().unwrap_or(1.0)
    }

    /// As PostgreSQL reads a boolean: any beginning that is not ambiguous.
    pub fn on(&self, name: &str) -> bool {
        let word = self.word(name);
        !word.is_empty() && word != "o" && ["on", "true", "yes", "1"].iter().any(|truth| truth.starts_with(&word))
    }

    /// The setting as it is spelled, for a message.
    pub fn shown(&self, name: &str) -> String {
        format!("{name} = {}", self.get(name).unwrap_or_default())
    }
}
