//! Passwords: from a file, from systemd's credentials, or from the environment; never from a flag.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use secrecy::SecretString;

use crate::failure::Failure;

/// Reads the secret of that name, for instance `smtp-password`: from the file that the configuration names, else from
/// systemd's credentials directory, else from `BACKUP_CODES_MAILER_SMTP_PASSWORD`. One newline at the end is cut.
pub fn read(name: &str, file: &str) -> Result<Option<SecretString>, Failure> {
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    let text = if file.is_empty() {
        match credentials.map(|directory| directory.join(name)).filter(|path| path.exists()) {
            Some(path) => Some(read_file(&path)?),
            None => std::env::var(format!("BACKUP_CODES_MAILER_{}", name.replace('-', "_").to_uppercase())).ok(),
        }
    } else {
        let path = Path::new(file);
        if !credentials.is_some_and(|directory| path.starts_with(directory)) {
            require_private(path)?;
        }
        Some(read_file(path)?)
    };
    Ok(text.map(|text| {
        let text = text.strip_suffix('\n').unwrap_or(&text);
        SecretString::from(text.strip_suffix('\r').unwrap_or(text).to_owned())
    }))
}

fn read_file(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path)
        .map_err(|error| Failure::rights(format!("cannot read the secret in {}: {error}", path.display())))
}

/// Refuses a file that others than its owner can read.
fn require_private(path: &Path) -> Result<(), Failure> {
    let metadata = std::fs::metadata(path)
        .map_err(|error| Failure::rights(format!("cannot read the secret in {}: {error}", path.display())))?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let path = path.display();
        return Err(Failure::rights(format!(
            "others can read the secret in {path} (mode {mode:04o}): chmod 0600 {path}"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let path = std::env::temp_dir().join(format!("backup-codes-mailer-secret-{}", std::process::id()));
        let file = path.to_str().expect("a path in UTF-8");
        std::fs::write(&path, "geheim\n").expect("a file");
        for mode in [0o640, 0o604, 0o660] {
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).expect("chmod");
            assert!(
                read("smtp-password", file).is_err_and(|failure| failure.message.contains("chmod 0600")),
                "{mode:o}"
            );
        }
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("chmod");
        let secret = read("smtp-password", file).expect("a secret").expect("one");
        std::fs::remove_file(&path).expect("the file");
        assert_eq!(secret.expose_secret(), "geheim");
        assert!(read("smtp-password", file).is_err_and(|failure| failure.message.contains("cannot read")));
    }
}
