//! The mail server as it is configured, and how a connection to it is opened: connect, greeting, EHLO, TLS, login.

use std::sync::Arc;
use std::time::Duration;

use mail_send::{Credentials, SmtpClient};
use rustls::ClientConfig;
use secrecy::{ExposeSecret, SecretString};
use smtp_proto::{EXT_START_TLS, EhloResponse};
use tokio::io::{AsyncRead, AsyncWrite, BufWriter};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::connection::{Connection, Stream};
use super::fault::{Fault, Stage, What};
use crate::config::{Auth, Smtp, Tls};
use crate::database::is_loopback;
use crate::failure::Failure;
use crate::tls;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// For each of greeting, EHLO, STARTTLS and login.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);

/// How to reach the mail server.
pub struct Relay {
    host: String,
    port: u16,
    tls: Option<(Tls, TlsConnector)>,
    credentials: Option<Credentials<String>>,
    helo: String,
    /// How long the server may take to accept a mail.
    pub final_timeout: Duration,
}

impl Relay {
    /// Reads the configuration. What leaves this machine is encrypted.
    pub fn new(config: &Smtp, password: Option<&SecretString>) -> Result<Self, Failure> {
        if config.host.is_empty() {
            return Err(Failure::configuration("no mail server: set [smtp] host"));
        }
        let tls = match config.tls {
            Tls::None if !is_loopback(&config.host) => {
                return Err(Failure::configuration(
                    "[smtp] tls = \"none\" is for a server on this machine (localhost): use implicit or starttls",
                ));
            }
            Tls::None => None,
            mode => {
                let client: Arc<ClientConfig> =
                    tls::client(&config.ca_file).map_err(|failure| failure.during("smtp"))?;
                Some((mode, TlsConnector::from(client)))
            }
        };
        let credentials = match (config.username.is_empty(), password) {
            (true, _) => None,
            (false, None) => {
                return Err(Failure::configuration("[smtp] username without a password: set password_file"));
            }
            (false, Some(password)) => {
                let (username, secret) = (config.username.clone(), password.expose_secret().to_owned());
                Some(match config.auth {
                    Auth::Auto => Credentials::Plain { username, secret },
                    Auth::Xoauth2 => Credentials::XOauth2 { username, secret },
                })
            }
        };
        let helo = if config.helo.is_empty() { own_name() } else { config.helo.clone() };
        if !helo.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Failure::configuration("[smtp] helo: a name of visible ASCII characters, please"));
        }
        Ok(Self {
            host: config.host.clone(),
            port: config.port,
            tls,
            credentials,
            helo,
            final_timeout: config.final_timeout.0,
        })
    }

    /// Opens a connection that is ready for mail.
    pub async fn open(&self) -> Result<Connection, Fault> {
        let stream = self.connect().await?;
        match &self.tls {
            None => {
                let mut client = SmtpClient { stream: BufWriter::new(stream), timeout: COMMAND_TIMEOUT };
                greeting(&mut client).await?;
                self.introduce(client).await
            }
            Some((Tls::Starttls, connector)) => {
                let mut client = SmtpClient { stream, timeout: COMMAND_TIMEOUT };
                greeting(&mut client).await?;
                let offers = ehlo(&mut client, &self.helo).await?;
                if !offers.has_capability(EXT_START_TLS) {
                    return Err(Fault::new(Stage::Starttls, What::Missing("STARTTLS")));
                }
                // What came behind the reply in clear is dropped there, and what was offered in clear here.
                let client = client.start_tls(connector, &self.host).await.map_err(|error| match &error {
                    mail_send::Error::UnexpectedReply(_) => fault(Stage::Starttls, error),
                    _ => fault(Stage::Tls, error),
                })?;
                self.introduce(SmtpClient { stream: BufWriter::new(client.stream), timeout: COMMAND_TIMEOUT }).await
            }
            Some((_, connector)) => {
                let client = SmtpClient { stream, timeout: COMMAND_TIMEOUT };
                let client = client.into_tls(connector, &self.host).await.map_err(|error| fault(Stage::Tls, error))?;
                let mut client = SmtpClient { stream: BufWriter::new(client.stream), timeout: COMMAND_TIMEOUT };
                greeting(&mut client).await?;
                self.introduce(client).await
            }
        }
    }

    /// When the certificate of the server ends, where there is one.
    pub async fn certificate_ends(&self) -> Result<Option<std::time::SystemTime>, Fault> {
        use x509_cert::der::Decode;
        let Some((mode, connector)) = &self.tls else { return Ok(None) };
        let mut client = SmtpClient { stream: self.connect().await?, timeout: COMMAND_TIMEOUT };
        let client = if *mode == Tls::Starttls {
            greeting(&mut client).await?;
            ehlo(&mut client, &self.helo).await?;
            client.start_tls(connector, &self.host).await
        } else {
            client.into_tls(connector, &self.host).await
        };
        let client = client.map_err(|error| fault(Stage::Tls, error))?;
        let certificate = client.tls_connection().peer_certificates().and_then(|chain| chain.first());
        let certificate = certificate.and_then(|der| x509_cert::Certificate::from_der(der).ok());
        Ok(certificate.map(|certificate| certificate.tbs_certificate.validity.not_after.to_system_time()))
    }

    async fn connect(&self) -> Result<TcpStream, Fault> {
        let failed = |what| Fault::new(Stage::Connect, what);
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        let stream = timeout(CONNECT_TIMEOUT, TcpStream::connect((host, self.port)))
            .await
            .map_err(|_| failed(What::Timeout))?
            .map_err(|error| failed(What::Failed(error.to_string())))?;
        let _ = stream.set_nodelay(true);
        Ok(stream)
    }

    /// EHLO and login.
    async fn introduce<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
        &self,
        mut client: SmtpClient<BufWriter<S>>,
    ) -> Result<Connection, Fault> {
        let offers = ehlo(&mut client, &self.helo).await?;
        if let Some(credentials) = &self.credentials {
            // Never in clear over a network: without TLS the server is on this machine.
            client.authenticate(credentials, &offers).await.map_err(|error| match error {
                mail_send::Error::UnsupportedAuthMechanism => Fault::new(Stage::Auth, What::Missing("a way to log in")),
                error => fault(Stage::Auth, error),
            })?;
        }
        let (inner, timeout) = (client.stream.into_inner(), client.timeout);
        let stream: Box<dyn Stream> = Box::new(inner);
        Ok(Connection::new(
            SmtpClient { stream: BufWriter::with_capacity(16 * 1024, stream), timeout },
            &offers,
            self.final_timeout,
        ))
    }
}

async fn greeting<S: AsyncRead + AsyncWrite + Unpin>(client: &mut SmtpClient<S>) -> Result<(), Fault> {
    let reply = timeout(COMMAND_TIMEOUT, client.read())
        .await
        .map_err(|_| Fault::new(Stage::Greeting, What::Timeout))?
        .map_err(|error| fault(Stage::Greeting, error))?;
    if reply.code == 220 { Ok(()) } else { Err(Fault::reply(Stage::Greeting, &reply)) }
}

async fn ehlo<S: AsyncRead + AsyncWrite + Unpin>(
    client: &mut SmtpClient<S>,
    helo: &str,
) -> Result<EhloResponse<String>, Fault> {
    client.ehlo(helo).await.map_err(|error| fault(Stage::Ehlo, error))
}

/// An error of the library, in our terms.
fn fault(stage: Stage, error: mail_send::Error) -> Fault {
    let what = match error {
        mail_send::Error::UnexpectedReply(reply) | mail_send::Error::AuthenticationFailed(reply) => {
            What::Refused((&reply).into())
        }
        mail_send::Error::Timeout => What::Timeout,
        mail_send::Error::UnparseableReply => What::Garbage,
        mail_send::Error::Io(error) => What::Failed(error.to_string()),
        mail_send::Error::Tls(error) => What::Failed(error.to_string()),
        error => What::Failed(error.to_string()),
    };
    Fault::new(stage, what)
}

/// The full name of this machine, or its address literal where it has none.
fn own_name() -> String {
    let name = gethostname::gethostname().into_string().unwrap_or_default();
    if name.contains('.') && name.bytes().all(|byte| byte.is_ascii_graphic()) { name } else { "[127.0.0.1]".to_owned() }
}
