//! `backup-codes-mailer` tells users by mail what happened to their backup codes.
//!
//! The database keeps an event for every change of a user's codes. The [`daemon`] claims events, [`intake`] makes mails of them,
//! each [`worker`] sends over a connection of its own, and the [`desk`] tells the database what became of them: delivered, to be
//! tried again, or parked for an operator. An event is mailed at least once; a repetition has the same Message-ID.

mod accepted;
mod address;
mod backoff;
mod check;
mod cli;
mod config;
mod connections;
mod context;
mod daemon;
mod database;
mod desk;
mod dry_run;
mod equipment;
mod event;
mod failure;
mod fold;
mod gate;
mod health;
mod http;
mod intake;
mod job;
mod listen;
mod message;
mod metrics;
mod moment;
mod outbox;
mod print_config;
mod recipients;
mod secret;
mod show;
mod signals;
mod smtp;
mod span;
mod systemd;
mod templates;
mod tls;
mod worker;

use std::process::ExitCode;
use std::sync::Arc;

use cli::{Cli, Mode};
use equipment::Equipment;
use failure::{Class, Failure};
use health::Health;
use metrics::Metrics;
use tracing_subscriber::filter::LevelFilter;

fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("backup-codes-mailer: {failure}");
            ExitCode::from(failure.class as u8)
        }
    }
}

fn start() -> Result<(), Failure> {
    let Some(cli) = Cli::read(std::env::args_os())? else { return Ok(()) };
    log(&cli);
    // One thread: it waits for others most of the time, and a machine that sends mail has other work.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Class::Bug, error.to_string()))?;
    runtime.block_on(act(cli))
}

async fn act(cli: Cli) -> Result<(), Failure> {
    let config = cli.config;
    match cli.mode {
        Mode::PrintConfig => print_config::print(&config),
        Mode::Preview { kind, locale } => show::preview(&config, &kind, locale.as_deref()),
        Mode::SendTest { address } => show::send_test(&config, &address).await,
        Mode::Check => check::run(&config).await,
        Mode::DryRun => dry_run::run(&config).await,
        Mode::Once => work(config, true).await,
        Mode::Daemon => work(config, false).await,
    }
}

async fn work(config: config::Config, once: bool) -> Result<(), Failure> {
    let signals = signals::Signals::new()?;
    let equipment = Equipment::load(&config)?;
    let metrics = Metrics::new().map_err(|error| Failure::new(Class::Bug, error.to_string()))?;
    let health = Arc::new(Health::new(metrics));
    if !config.http.listen.is_empty() {
        http::serve(&config.http.listen, health.clone()).await?;
    }
    let mailer = daemon::Mailer::new(config, equipment, health, once)?;
    systemd::ready();
    mailer.run(signals).await
}

/// The log goes to standard error: systemd and containers take it from there.
fn log(cli: &Cli) {
    let filter = LevelFilter::from_level(cli.log_level);
    let builder = tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(filter).with_target(false);
    if cli.log_json {
        builder.json().flatten_event(true).init();
    } else {
        let terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
        builder.with_ansi(terminal).init();
    }
}
