//! `--print-config`: the settings in force, as a file that could be used, without secrets.

use crate::cli::without_password;
use crate::config::Config;
use crate::failure::{Class, Failure};
use crate::secret;

/// Prints them.
pub fn print(config: &Config) -> Result<(), Failure> {
    let mut shown = config.clone();
    for url in [&mut shown.database.url, &mut shown.recipient.url] {
        *url = without_password(url);
    }
    let text = toml::to_string(&shown).map_err(|error| Failure::new(Class::Bug, error.to_string()))?;
    let files = [
        ("database-password", &config.database.password_file),
        ("recipient-password", &config.recipient.password_file),
        ("smtp-password", &config.smtp.password_file),
    ];
    for (name, file) in files {
        let state = match secret::read(name, file) {
            Ok(Some(_)) => "***".to_owned(),
            Ok(None) => "none".to_owned(),
            Err(failure) => failure.to_string(),
        };
        println!("# {name}: {state}");
    }
    println!("\n{}", text.trim_end());
    Ok(())
}
