//! The settings: each is a key of a section in the file, a flag and an environment variable. They are described here once;
//! flags, variables and `--print-config` are made from it.

use serde::{Deserialize, Serialize};
use std::path::Path;
use toml::{Table, Value};

use crate::failure::Failure;
use crate::span::Span;

/// Where the file is, when `--config` does not say it.
pub const DEFAULT_FILE: &str = "/etc/backup-codes-mailer.toml";

/// Declares the sections with their keys, types, defaults and what `--help` says.
macro_rules! settings {
    ($($section:ident: $name:ident { $($key:ident: $type:ty = $default:expr, $help:literal;)+ })+) => {
        /// All settings.
        #[derive(Clone, Debug, Default, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct Config {
            $(pub $section: $name,)+
        }

        $(
            #[derive(Clone, Debug, Serialize, Deserialize)]
            #[serde(default, deny_unknown_fields)]
            pub struct $name {
                $(#[doc = $help] pub $key: $type,)+
            }

            impl Default for $name {
                fn default() -> Self {
                    Self { $($key: $default.into(),)+ }
                }
            }
        )+

        /// Section, key and help of every setting.
        pub const SETTINGS: &[(&str, &str, &str)] = &[$($((stringify!($section), stringify!($key), $help),)+)+];
    };
}

settings! {
    database: Database {
        url: String = "", "How to connect to the database, as libpq writes it: postgresql://mailer@db.example.com/app";
        password_file: String = "", "File that holds the password";
        ca_file: String = "", "Certificates (PEM) that the server's is checked against, instead of the system's";
        schema: String = "", "Schema of the functions backup_codes_events_…; found when empty";
        poll: Span = Span(std::time::Duration::from_secs(15)), "How often to look for events when no notification comes";
        lease: Span = Span(std::time::Duration::from_secs(120)), "For how long events are taken; extended while a mail is on its way";
        batch: u32 = 100u32, "How many events are taken at a time, at the most";
    }
    recipient: Recipient {
        query: String = "", "SQL that gets the users' ids as $1 text[] and returns user_id, email and, if you have them, locale and time_zone";
        url: String = "", "Where that query runs; the database of the events when empty";
        password_file: String = "", "File that holds that database's password";
    }
    mail: Mail {
        service: String = "", "What your users call the service";
        from: String = "", "Sender: Example security <security@example.com>";
        return_path: String = "", "Where bounces go; the sender's address when empty";
        reply_to: String = "", "Where answers go";
        support: String = "", "Address that a user who was not at work should write to";
        account_url: String = "", "Address of the account page, shown as text; none when empty";
        kinds: Vec<String> = ["generated", "replaced", "confirmed", "used", "locked", "disabled", "revoked"].map(String::from),
            "Kinds of events that are mailed";
        templates: String = "", "Directory with templates of your own";
        locale: String = "en", "Language for users whose own is not known";
        time_zone: String = "UTC", "Time zone for users whose own is not known";
        show_context: bool = false, "Whether device, place and address that the application reported are shown";
    }
    smtp: Smtp {
        host: String = "", "Mail server";
        port: u16 = 465u16, "Its port";
        tls: Tls = Tls::Implicit, "implicit, starttls, or none for a server on this machine";
        ca_file: String = "", "Certificates (PEM) that the server's is checked against, instead of the system's";
        username: String = "", "Login; none when empty";
        password_file: String = "", "File that holds the password, or the token for xoauth2";
        auth: Auth = Auth::Auto, "auto or xoauth2";
        helo: String = "", "Name to greet with; this machine's when empty";
        connections: u16 = 4u16, "Connections at a time, at the most";
        mails_per_connection: u32 = 100u32, "After how many mails a connection is closed";
        final_timeout: Span = Span(std::time::Duration::from_secs(600)), "How long the server may take to accept a mail after its last line";
        rate: u32 = 0u32, "Mails per second, at the most; 0: no limit";
    }
    limits: Limits {
        fold_window: Span = Span(std::time::Duration::from_secs(3_600)), "How long further events of a user and kind wait for a summary after a mail";
        fold_max: Span = Span(std::time::Duration::from_secs(21_600)), "How long that grows, at the most, while they go on";
        grace: Span = Span(std::time::Duration::from_secs(20)), "How long mails on their way may take when the program is told to end";
    }
    http: Http {
        listen: String = "", "Address for /metrics, /healthz and /readyz, for instance 127.0.0.1:9466; none when empty";
    }
}

/// How the connection to the mail server is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tls {
    /// From the first byte (RFC 8314).
    Implicit,
    /// After STARTTLS, without which nothing is sent.
    Starttls,
    /// Not at all: for a server on this machine.
    None,
}

/// How to log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Auth {
    /// PLAIN or LOGIN, as the server offers.
    Auto,
    /// XOAUTH2 with the password as token.
    Xoauth2,
}

/// The flag of a setting.
pub fn flag(section: &str, key: &str) -> String {
    format!("{section}-{key}").replace('_', "-")
}

/// The environment variable of a setting.
pub fn variable(section: &str, key: &str) -> String {
    format!("BACKUP_CODES_MAILER_{section}_{key}").to_uppercase()
}

impl Config {
    /// Reads the file, and puts over it what flags and environment say: section, key and value of each.
    pub fn load(file: Option<&Path>, given: &[(&str, &str, String)]) -> Result<Self, Failure> {
        let mut table = match file {
            None => Table::new(),
            Some(path) => {
                let wrong =
                    |error: &dyn std::fmt::Display| Failure::configuration(format!("{}: {error}", path.display()));
                let text = std::fs::read_to_string(path).map_err(|error| wrong(&error))?;
                // Read as it will be used, for errors that tell the line.
                toml::from_str::<Self>(&text).map_err(|error| wrong(&one_line(&error, &text)))?;
                toml::from_str(&text).map_err(|error| wrong(&error))?
            }
        };
        let defaults = Table::try_from(Self::default()).map_err(|error| Failure::configuration(error.to_string()))?;
        for (section, key, text) in given {
            let wrong = |error: &dyn std::fmt::Display| {
                Failure::usage(format!("--{} ({}): {error}", flag(section, key), variable(section, key)))
            };
            let value = typed(&defaults[*section][*key], text).map_err(|error| wrong(&error))?;
            let mut alone = Table::new();
            alone.insert((*section).into(), Value::Table(Table::from_iter([((*key).to_owned(), value.clone())])));
            alone.try_into::<Self>().map_err(|error| wrong(&error.message()))?;
            let section = table.entry(*section).or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(section) = section {
                section.insert((*key).into(), value);
            }
        }
        table.try_into().map_err(|error| Failure::configuration(error.to_string()))
    }
}

/// A value given as text, in the type that the default has.
fn typed(default: &Value, text: &str) -> Result<Value, String> {
    match default {
        Value::Integer(_) => text.parse().map(Value::Integer).map_err(|_| format!("{text:?} is no number")),
        Value::Boolean(_) => {
            text.parse().map(Value::Boolean).map_err(|_| format!("{text:?} is neither true nor false"))
        }
        Value::Array(_) => {
            Ok(Value::Array(text.split(',').map(|item| Value::String(item.trim().to_owned())).collect()))
        }
        _ => Ok(Value::String(text.to_owned())),
    }
}

/// An error of the file in one line: where and what.
fn one_line(error: &toml::de::Error, text: &str) -> String {
    let message = error.message().replace('\n', " ");
    let Some(span) = error.span() else { return message };
    let before = text.get(..span.start).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("line {line}, column {column}: {message}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_go_over_the_file_and_the_file_over_defaults() {
        let path = std::env::temp_dir().join(format!("backup-codes-mailer-{}.toml", std::process::id()));
        std::fs::write(&path, "[smtp]\nhost = \"a\"\nport = 25\n[mail]\nkinds = [\"used\"]\n").expect("a file");
        let given = [("smtp", "port", "587".to_owned()), ("mail", "show_context", "true".to_owned())];
        let config = Config::load(Some(&path), &given).expect("settings");
        std::fs::remove_file(path).expect("the file");
        assert_eq!((config.smtp.host.as_str(), config.smtp.port, config.smtp.connections), ("a", 587, 4));
        assert_eq!((config.mail.kinds.as_slice(), config.mail.show_context), (["used".to_owned()].as_slice(), true));
    }

    #[test]
    fn a_wrong_value_is_told_with_its_place() {
        for (text, told) in [
            ("[smtp]\nhots = \"a\"\n", "line 2, column 1: unknown field `hots`"),
            ("[smtp]\nport = \"many\"\n", "line 2, column 8: invalid type"),
            ("[database]\npoll = \"soon\"\n", "line 2, column 8: \"soon\" is no length of time"),
            ("[smtp\n", "line 1, column 6"),
        ] {
            let path =
                std::env::temp_dir().join(format!("backup-codes-mailer-{}-{}.toml", std::process::id(), text.len()));
            std::fs::write(&path, text).expect("a file");
            let failure = Config::load(Some(&path), &[]).expect_err("a failure");
            std::fs::remove_file(path).expect("the file");
            assert!(failure.message.contains(told), "{failure} does not say {told}");
        }
        let failure = Config::load(None, &[("smtp", "port", "99999".to_owned())]).expect_err("a failure");
        assert!(failure.message.contains("--smtp-port (BACKUP_CODES_MAILER_SMTP_PORT)"), "{failure}");
    }
}
