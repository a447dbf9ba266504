//! The command line.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgGroup, ArgMatches, Command};

use crate::config::{self, Config, SETTINGS};
use crate::failure::Failure;

/// What the program is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Work until a signal comes.
    Daemon,
    /// Send what waits, and end.
    Once,
    /// Show what would be sent, and send nothing.
    DryRun,
    /// Look at everything that is needed.
    Check,
    /// Show a mail of that kind.
    Preview { kind: String, locale: Option<String> },
    /// Send a mail to that address.
    SendTest { address: String },
    /// Show the settings.
    PrintConfig,
}

/// The command line, read.
#[derive(Debug)]
pub struct Cli {
    pub mode: Mode,
    pub config: Config,
    pub log_json: bool,
    pub log_level: tracing::Level,
}

const MODES: [&str; 6] = ["once", "dry-run", "check", "preview", "send-test", "print-config"];
const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

fn command() -> Command {
    let switch =
        |name: &'static str, help: &'static str| Arg::new(name).long(name).help(help).action(ArgAction::SetTrue);
    let mut command = Command::new("backup-codes-mailer")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Mails users when their backup codes are made, used, running low, locked or removed")
        .after_help(
            "Every setting has a flag, an environment variable and a key in the file; a flag goes over a variable, and that over \
             the file. Passwords are read from files, from systemd's credentials, or from BACKUP_CODES_MAILER_DATABASE_PASSWORD, \
             …_RECIPIENT_PASSWORD and …_SMTP_PASSWORD; no flag takes one.",
        )
        .arg(switch("once", "Sends what waits, and ends"))
        .arg(switch("dry-run", "Shows the next mails without sending them"))
        .arg(switch("check", "Looks at configuration, templates, database, query and mail server, a line each"))
        .arg(Arg::new("preview").long("preview").value_name("KIND").help("Shows a mail of that kind"))
        .arg(Arg::new("locale").long("locale").value_name("TAG").help("Language of the preview").requires("preview"))
        .arg(Arg::new("send-test").long("send-test").value_name("ADDRESS").help("Sends a mail to that address"))
        .arg(switch("print-config", "Shows the settings in force"))
        .group(ArgGroup::new("mode").args(MODES))
        .arg(
            Arg::new("config")
                .long("config")
                .value_name("FILE")
                .help(format!("The file with the settings; {} if it is there", config::DEFAULT_FILE))
                .env("BACKUP_CODES_MAILER_CONFIG"),
        )
        .arg(
            Arg::new("log-format")
                .long("log-format")
                .help("How the log is written")
                .env("BACKUP_CODES_MAILER_LOG_FORMAT")
                .value_parser(PossibleValuesParser::new(["text", "json"]))
                .default_value("text"),
        )
        .arg(
            Arg::new("log-level")
                .long("log-level")
                .help("From where on it is written")
                .env("BACKUP_CODES_MAILER_LOG_LEVEL")
                .value_parser(PossibleValuesParser::new(LEVELS))
                .default_value("info"),
        );
    for (section, key, help) in SETTINGS {
        let flag = config::flag(section, key);
        let mut arg = Arg::new(flag.clone())
            .long(flag)
            .help(*help)
            .help_heading(format!("[{section}]"))
            .value_name("VALUE")
            .env(config::variable(section, key))
            .hide_env_values(true)
            .allow_hyphen_values(true);
        if (*section, *key) == ("http", "listen") {
            arg = arg.visible_alias("http");
        }
        command = command.arg(arg);
    }
    command
}

impl Cli {
    /// Reads arguments and environment. None: help or version was shown.
    pub fn read(arguments: impl IntoIterator<Item = std::ffi::OsString>) -> Result<Option<Self>, Failure> {
        let matches = match command().try_get_matches_from(arguments) {
            Ok(matches) => matches,
            Err(error) if error.use_stderr() => {
                let text = error.to_string();
                let first = text.lines().next().unwrap_or_default();
                return Err(Failure::usage(format!("{} (see --help)", first.trim_start_matches("error: "))));
            }
            Err(shown) => {
                let _ = shown.print();
                return Ok(None);
            }
        };
        let text = |name: &str| matches.get_one::<String>(name).cloned();
        let mut given = Vec::new();
        for (section, key, _) in SETTINGS {
            let flag = config::flag(section, key);
            let Some(value) = text(&flag) else { continue };
            let on_command_line = matches.value_source(&flag) == Some(ValueSource::CommandLine);
            if *key == "url" && on_command_line && has_password(&value) {
                return Err(Failure::usage(format!(
                    "--{flag}: a password on the command line can be read by everybody here: use {section}-password-file"
                )));
            }
            given.push((*section, *key, value));
        }
        let file = text("config").map(PathBuf::from);
        let default = PathBuf::from(config::DEFAULT_FILE);
        let file = file.or_else(|| default.exists().then_some(default));
        let config = Config::load(file.as_deref(), &given)?;
        let level = text("log-level").unwrap_or_default();
        Ok(Some(Self {
            mode: mode(&matches),
            config,
            log_json: text("log-format").as_deref() == Some("json"),
            log_level: level.parse().unwrap_or(tracing::Level::INFO),
        }))
    }
}

fn mode(matches: &ArgMatches) -> Mode {
    let text = |name: &str| matches.get_one::<String>(name).cloned();
    if matches.get_flag("once") {
        Mode::Once
    } else if matches.get_flag("dry-run") {
        Mode::DryRun
    } else if matches.get_flag("check") {
        Mode::Check
    } else if matches.get_flag("print-config") {
        Mode::PrintConfig
    } else if let Some(kind) = text("preview") {
        Mode::Preview { kind, locale: text("locale") }
    } else if let Some(address) = text("send-test") {
        Mode::SendTest { address }
    } else {
        Mode::Daemon
    }
}

/// Whether a database's URL holds a password.
fn has_password(url: &str) -> bool {
    url.parse::<tokio_postgres::Config>().is_ok_and(|config| config.get_password().is_some())
}

/// A URL without its password.
pub fn without_password(url: &str) -> String {
    if !has_password(url) && !url.contains("password=") {
        return url.to_owned();
    }
    if let Some((scheme, rest)) = url.split_once("://")
        && let Some((user, host)) = rest.split_once('@')
        && let Some((user, _)) = user.split_once(':')
    {
        return format!("{scheme}://{user}:***@{host}");
    }
    "***".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &[&str]) -> Result<Option<Cli>, Failure> {
        Cli::read(["backup-codes-mailer"].iter().chain(arguments).map(Into::into))
    }

    #[test]
    fn every_setting_has_a_flag() {
        command().debug_assert();
        let cli = read(&["--check", "--smtp-host", "mail.example.com", "--http", "127.0.0.1:9466"])
            .expect("arguments")
            .expect("work");
        assert_eq!((cli.mode, cli.config.smtp.host.as_str()), (Mode::Check, "mail.example.com"));
        assert_eq!(cli.config.http.listen, "127.0.0.1:9466");
    }

    #[test]
    fn modes_exclude_each_other_and_no_flag_takes_a_password() {
        for (arguments, told) in [
            (&["--once", "--check"][..], "cannot be used with"),
            (&["--nonsense"], "unexpected argument"),
            (&["--locale", "de"], "required"),
            (&["--database-url", "postgresql://mailer:geheim@db/app"], "password on the command line"),
        ] {
            let failure = read(arguments).expect_err("a failure");
            assert!(failure.class == crate::failure::Class::Usage && failure.message.contains(told), "{failure}");
            assert!(!failure.message.contains("geheim"));
        }
    }

    #[test]
    fn a_url_is_shown_without_its_password() {
        assert_eq!(without_password("postgresql://m:geheim@db/app"), "postgresql://m:***@db/app");
        assert_eq!(without_password("host=db user=m password=geheim"), "***");
        assert_eq!(without_password("postgresql://m@db/app"), "postgresql://m@db/app");
        assert_eq!(without_password("postgresql://m@db/app?password=geheim"), "***");
    }
}
