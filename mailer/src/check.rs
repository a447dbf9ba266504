//! `--check`: everything that the mailer needs, a line each. What depends on something broken is left out.

use std::time::SystemTime;

use tokio::sync::mpsc;

use crate::config::Config;
use crate::connections;
use crate::equipment::Equipment;
use crate::failure::Failure;
use crate::listen;
use crate::message::Sender;
use crate::outbox::Outbox;
use crate::recipients::Recipients;
use crate::secret;
use crate::show::failed;
use crate::smtp::relay::Relay;
use crate::templates::Templates;

/// How far the clocks may be apart before it is said, in seconds.
const SKEW: f64 = 5.0;
/// How soon a certificate that ends is told.
const SOON: u64 = 14 * 86_400;

/// Prints a line per check; the first failure decides how it ends.
struct Report(Option<Failure>);

impl Report {
    fn line<T>(&mut self, name: &str, result: Result<(T, String), Failure>) -> Option<T> {
        match result {
            Ok((value, told)) => {
                println!("ok    {name}: {told}");
                Some(value)
            }
            Err(failure) => {
                println!("wrong {name}: {failure}");
                self.0.get_or_insert(failure);
                None
            }
        }
    }

    fn note(&self, name: &str, told: &str) {
        println!("note  {name}: {told}");
    }
}

/// Looks at everything.
pub async fn run(config: &Config) -> Result<(), Failure> {
    let mut report = Report(None);
    report.line(
        "configuration",
        Sender::new(&config.mail).map(|sender| ((), format!("bounces go to {}", sender.return_path.as_str()))),
    );
    report.line(
        "templates",
        Templates::load(&config.mail).map(|templates| {
            let languages: Vec<&str> = templates.languages().collect();
            ((), format!("{} kinds in {}", config.mail.kinds.len(), languages.join(", ")))
        }),
    );
    events(config, &mut report).await;
    recipients(config, &mut report).await;
    smtp(config, &mut report).await;
    report.0.map_or(Ok(()), |first| Err(first.during("not ready")))
}

async fn events(config: &Config, report: &mut Report) {
    let connected = async {
        let database = connections::database(config)?;
        let outbox = Outbox::open(database.connect(None).await?, &config.database.schema).await?;
        let backlog = outbox.backlog().await?;
        let told = format!(
            "{} events wait, {} delayed, {} leased, {} parked",
            backlog.waiting, backlog.delayed, backlog.leased, backlog.parked
        );
        Ok(((database, outbox), told))
    };
    let Some((database, outbox)) = report.line("database", connected.await) else { return };
    if database.plaintext {
        report.note("database", "sslmode=disable: user ids go over the network in clear");
    }
    let rights = outbox.other_rights().await.map(|others| {
        (
            (),
            if others.is_empty() {
                "this role may take events and nothing else of the extension".to_owned()
            } else {
                format!("this role may also use {}: a mailer needs none of it", others.join(", "))
            },
        )
    });
    report.line("rights", rights);
    let heard = async {
        let (sender, mut heard) = mpsc::unbounded_channel();
        let client = database.connect(Some(sender)).await?;
        let channel = outbox.channel().await?;
        Ok((
            (),
            if listen::echo(&client, &mut heard).await? {
                format!("on channel {channel}")
            } else {
                format!(
                    "they do not get through (a pooler in transaction mode?); events are found every {}",
                    config.database.poll
                )
            },
        ))
    };
    report.line("notifications", heard.await);
    let skew =
        outbox.clock_skew().await.map(|skew| ((), format!("the database's clock is {skew:+.1} s from this one")));
    let apart = outbox.clock_skew().await.is_ok_and(|skew| skew.abs() > SKEW);
    report.line("clock", skew);
    if apart {
        report.note("clock", "set both by NTP: mails show the database's time");
    }
}

async fn recipients(config: &Config, report: &mut Report) {
    let checked = async {
        let mut recipients = Recipients::new(connections::recipients(config)?, &config.recipient.query)?;
        let scan = recipients.check().await?;
        Ok((scan, "it returns user_id and email".to_owned()))
    };
    if let Some(Some(scan)) = report.line("recipient query", checked.await) {
        let told = format!(
            "{scan}: it may read the whole table for each claim; write WHERE id = ANY ($1::text[]::bigint[]) to use the key's index"
        );
        report.note("recipient query", &told);
    }
}

async fn smtp(config: &Config, report: &mut Report) {
    let relay = secret::read("smtp-password", &config.smtp.password_file)
        .and_then(|password| Relay::new(&config.smtp, password.as_ref()));
    let relay = match relay {
        Ok(relay) => relay,
        Err(failure) => {
            report.line::<()>("smtp", Err(failure));
            return;
        }
    };
    let ends = relay.certificate_ends().await.map_err(|fault| failed(&fault));
    if let Some(Some(ends)) = report.line("tls", ends.map(|ends| (ends, tls_line(ends))))
        && ends.duration_since(SystemTime::now()).unwrap_or_default().as_secs() < SOON
    {
        report.note("tls", "the certificate ends soon");
    }
    let probed = async {
        let equipment = Equipment::load(config)?;
        connections::probe(&equipment).await.map_err(|fault| failed(&fault))?;
        Ok(((), format!("{}:{} takes mail from this sender", config.smtp.host, config.smtp.port)))
    };
    report.line("smtp", probed.await);
}

fn tls_line(ends: Option<SystemTime>) -> String {
    match ends.map(|ends| ends.duration_since(SystemTime::now()).unwrap_or_default().as_secs() / 86_400) {
        Some(days) => format!("the certificate is trusted, for {days} more days"),
        None => "none, on this machine".to_owned(),
    }
}
