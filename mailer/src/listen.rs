//! The connection that hears of new events. It is a help to be quick: whoever polls misses nothing without it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, timeout};
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Notification};
use tracing::{info, warn};

use crate::backoff::Backoff;
use crate::database::{self, Database};
use crate::failure::{Class, Failure};
use crate::health::Health;
use crate::outbox::{Outbox, quote};

/// A half-open connection looks alive for hours: so often, and for so long, it is asked whether it still listens.
const HEARTBEAT: Duration = Duration::from_secs(10);
const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long to wait for one's own notification, which a pooler in transaction mode never delivers.
const ECHO_TIMEOUT: Duration = Duration::from_secs(2);
/// When to try again where it is not delivered.
const WITHOUT_ECHO: Duration = Duration::from_secs(300);

/// Listens for ever, and wakes who waits at each notification and after each connect, since what came before was not heard.
pub async fn run(database: Database, schema: String, health: Arc<Health>, wake: Arc<Notify>) {
    let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30));
    let mut told = false;
    loop {
        let ended = session(&database, &schema, &health, &wake, &mut backoff, &mut told).await;
        health.listening(false);
        let pause = match ended {
            Ok(()) => WITHOUT_ECHO,
            Err(failure) => {
                // One line for a change, not for every try.
                if !std::mem::replace(&mut told, true) {
                    warn!(error = %failure, "not listening; events are found by polling");
                }
                backoff.next()
            }
        };
        tokio::time::sleep(pause).await;
    }
}

/// Listens on one connection until it fails; returns when notifications do not get through on it.
async fn session(
    database: &Database,
    schema: &str,
    health: &Health,
    wake: &Notify,
    backoff: &mut Backoff,
    told: &mut bool,
) -> Result<(), Failure> {
    let (sender, mut heard) = mpsc::unbounded_channel();
    let client = database.connect(Some(sender)).await?;
    let channel = Outbox::open(database.connect(None).await?, schema).await?.channel().await?;
    execute(&client, &format!("LISTEN {}", quote(&channel))).await?;
    if !echo(&client, &mut heard).await? {
        if !std::mem::replace(told, true) {
            warn!("notifications do not get through (a pooler in transaction mode?); events are found by polling");
        }
        return Ok(());
    }
    info!(channel, "listening");
    *told = false;
    health.listening(true);
    wake.notify_one();
    let mut beat = tokio::time::interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
    loop {
        tokio::select! {
            notification = heard.recv() => match notification {
                // Anybody can send one: it says that it is worth looking, and nothing else.
                Some(_) => wake.notify_one(),
                None => return Err(Failure::unavailable("database: the connection ended")),
            },
            _ = beat.tick() => {
                let sql = "SELECT count(*) FROM pg_listening_channels() AS c (name) WHERE c.name = $1";
                let rows = timeout(HEARTBEAT_TIMEOUT, client.query_typed(sql, &[(&channel, Type::TEXT)])).await
                    .map_err(|_| Failure::unavailable("database: no heartbeat"))?
                    .map_err(|error| database::failure(&error))?;
                if rows.first().is_none_or(|row| row.get::<_, i64>(0) == 0) {
                    return Err(Failure::unavailable("database: the session no longer listens"));
                }
                backoff.reset();
            }
        }
    }
}

/// Whether a notification of this very session comes back.
pub async fn echo(client: &Client, heard: &mut mpsc::UnboundedReceiver<Notification>) -> Result<bool, Failure> {
    let channel = format!("backup_codes_mailer_{:016x}", fastrand::u64(..));
    execute(client, &format!("LISTEN {channel}")).await?;
    execute(client, &format!("NOTIFY {channel}")).await?;
    let came = async {
        while let Some(notification) = heard.recv().await {
            if notification.channel() == channel {
                return true;
            }
        }
        false
    };
    let came = timeout(ECHO_TIMEOUT, came).await.unwrap_or(false);
    execute(client, &format!("UNLISTEN {channel}")).await?;
    Ok(came)
}

/// A statement without parameters or result.
async fn execute(client: &Client, sql: &str) -> Result<(), Failure> {
    match timeout(HEARTBEAT_TIMEOUT, client.batch_execute(sql)).await {
        Ok(result) => result.map_err(|error| database::failure(&error)),
        Err(_) => Err(Failure::new(Class::Unavailable, "database: it does not answer")),
    }
}
