//! Connections to PostgreSQL.

use std::net::IpAddr;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tokio::sync::mpsc::UnboundedSender;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{AsyncMessage, Client, NoTls, Notification, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::failure::{Class, Failure, chain};
use crate::tls;

/// How long to try to connect.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How to reach a database.
#[derive(Clone)]
pub struct Database {
    config: tokio_postgres::Config,
    tls: Option<MakeRustlsConnect>,
    /// The operator asked for no encryption on the way to another machine.
    pub plaintext: bool,
}

impl Database {
    /// Reads a URL or the `key=value` form of libpq. Whatever leaves this machine is encrypted, and the server's certificate
    /// checked, unless `sslmode=disable` says otherwise: there is no mode that tries and goes on without.
    pub fn new(url: &str, password: Option<&SecretString>, ca_file: &str, writes: bool) -> Result<Self, Failure> {
        let (url, sslmode) = take_sslmode(url)?;
        let mut config: tokio_postgres::Config =
            url.parse().map_err(|error| Failure::configuration(format!("database url: {}", chain(&error))))?;
        if let Some(password) = password {
            config.password(password.expose_secret());
        }
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            config.host("/var/run/postgresql");
        }
        if config.get_user().is_none() {
            return Err(Failure::configuration("database url: no user: write postgresql://mailer@host/database"));
        }
        config
            .application_name("backup-codes-mailer")
            .connect_timeout(CONNECT_TIMEOUT)
            .keepalives_idle(Duration::from_secs(30))
            .keepalives_interval(Duration::from_secs(10))
            .keepalives_retries(3)
            .tcp_user_timeout(Duration::from_secs(30));
        if writes {
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        let near = config.get_hosts().iter().all(is_near) && config.get_hostaddrs().iter().all(IpAddr::is_loopback);
        let encrypt = match sslmode.as_deref() {
            Some("disable") => false,
            None => !near,
            Some("require" | "verify-ca" | "verify-full") => true,
            Some(other) => {
                return Err(Failure::configuration(format!(
                    "database url: sslmode={other} may go on without encryption: use verify-full, or disable"
                )));
            }
        };
        config.ssl_mode(if encrypt { SslMode::Require } else { SslMode::Disable });
        let tls = if encrypt {
            let client = tls::client(ca_file).map_err(|failure| failure.during("database"))?;
            Some(MakeRustlsConnect::new(client.as_ref().clone()))
        } else {
            None
        };
        Ok(Self { config, tls, plaintext: !encrypt && !near })
    }

    /// Connects. Notifications go to `heard`.
    pub async fn connect(&self, heard: Option<UnboundedSender<Notification>>) -> Result<Client, Failure> {
        let connecting = async {
            match &self.tls {
                Some(tls) => open(&self.config, tls.clone(), heard).await,
                None => open(&self.config, NoTls, heard).await,
            }
        };
        // Several addresses each have their own timeout; together they have one, too.
        match tokio::time::timeout(3 * CONNECT_TIMEOUT, connecting).await {
            Ok(result) => result.map_err(|error| failure(&error)),
            Err(_) => Err(Failure::unavailable("the database does not answer")),
        }
    }
}

async fn open<T>(
    config: &tokio_postgres::Config,
    tls: T,
    heard: Option<UnboundedSender<Notification>>,
) -> Result<Client, tokio_postgres::Error>
where
    T: MakeTlsConnect<Socket>,
    T::Stream: Send + 'static,
{
    let (client, mut connection) = config.connect(tls).await?;
    tokio::spawn(async move {
        // The end of the connection is seen by the client, whose next statement fails.
        while let Some(Ok(message)) = std::future::poll_fn(|context| connection.poll_message(context)).await {
            if let (AsyncMessage::Notification(notification), Some(heard)) = (message, &heard) {
                let _ = heard.send(notification);
            }
        }
    });
    Ok(client)
}

fn is_near(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => is_loopback(name),
    }
}

/// Whether a host is this machine, by its name alone.
pub fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Takes sslmode out of a URL, since the client library knows fewer of its values than libpq.
fn take_sslmode(url: &str) -> Result<(String, Option<String>), Failure> {
    if url.is_empty() {
        return Err(Failure::configuration("no database: set [database] url"));
    }
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        let Some((base, query)) = url.split_once('?') else { return Ok((url.to_owned(), None)) };
        let (modes, others): (Vec<&str>, Vec<&str>) =
            query.split('&').filter(|part| !part.is_empty()).partition(|part| part.starts_with("sslmode="));
        let rest = if others.is_empty() { base.to_owned() } else { format!("{base}?{}", others.join("&")) };
        return Ok((rest, modes.last().map(|mode| mode["sslmode=".len()..].to_owned())));
    }
    let (modes, others): (Vec<&str>, Vec<&str>) = url.split_whitespace().partition(|part| part.starts_with("sslmode="));
    Ok((others.join(" "), modes.last().map(|mode| mode["sslmode=".len()..].to_owned())))
}

/// An error of the database in a line, with the class that decides the exit code.
pub fn failure(error: &tokio_postgres::Error) -> Failure {
    let Some(db) = error.as_db_error() else {
        return Failure::unavailable(format!("database: {}", chain(error)));
    };
    let code = db.code();
    let message = format!("database: {} (SQLSTATE {})", db.message(), code.code());
    let class =
        if [SqlState::UNDEFINED_FUNCTION, SqlState::INVALID_CATALOG_NAME, SqlState::UNDEFINED_SCHEMA].contains(code) {
            Class::Configuration
        } else if *code == SqlState::INSUFFICIENT_PRIVILEGE || code.code().starts_with("28") {
            Class::Rights
        } else {
            Class::Unavailable
        };
    Failure::new(class, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leaves_the_machine_is_encrypted_or_said_not_to_be() {
        fn database(url: &str) -> Result<Database, Failure> {
            Database::new(url, None, "", true)
        }
        for url in [
            "postgresql://m@/app",
            "host=/run/postgresql user=m",
            "postgresql://m@127.0.0.1/app",
            "postgresql://m@[::1]/app",
        ] {
            let database = database(url).unwrap_or_else(|failure| panic!("{url}: {failure}"));
            assert!(database.tls.is_none() && !database.plaintext, "{url}");
        }
        let open = database("postgresql://m@db.example/app?application_name=x&sslmode=disable").expect("a database");
        assert!(open.tls.is_none() && open.plaintext);
        for mode in ["prefer", "allow", "sometimes"] {
            let wrong = database(&format!("host=db.example user=m sslmode={mode}"));
            assert!(wrong.is_err_and(|failure| failure.message.contains("verify-full")), "{mode}");
        }
        assert!(database("postgresql:///app").is_err_and(|failure| failure.message.contains("no user")));
    }
}
