//! `--dry-run`: takes the next events, shows the mails, and gives the events back as if nothing had happened.

use std::time::Duration;

use crate::config::Config;
use crate::connections;
use crate::equipment::Equipment;
use crate::failure::Failure;
use crate::outbox::Outbox;
use crate::recipients::{Found, Recipients};
use crate::templates::{self, Facts};

/// Shows what the next claim would send. Folding is not shown: it depends on what was sent before.
pub async fn run(config: &Config) -> Result<(), Failure> {
    let equipment = Equipment::load(config)?;
    let outbox = Outbox::open(connections::database(config)?.connect(None).await?, &config.database.schema).await?;
    let mut recipients = Recipients::new(connections::recipients(config)?, &config.recipient.query)?;
    recipients.check().await?;
    let Some((lease, events)) = outbox.claim(config.database.batch, config.database.lease.0).await? else {
        println!("no event waits");
        return Ok(());
    };
    let ids: Vec<_> = events.iter().map(|event| event.id).collect();
    let shown = show(config, &equipment, &mut recipients, &events).await;
    outbox.release(lease, &ids, Duration::ZERO, false).await?;
    shown
}

async fn show(
    config: &Config,
    equipment: &Equipment,
    recipients: &mut Recipients,
    events: &[crate::event::Event],
) -> Result<(), Failure> {
    let kinds = templates::kinds(&config.mail)?;
    let users: Vec<&str> = events.iter().map(|event| event.user_id.as_str()).collect();
    let found = recipients.find(&users).await?;
    for event in events {
        let Some(kind) = event.kind.filter(|kind| kinds.contains(kind)) else {
            println!("{} is not mailed: {}\n", event.id, event.kind.map_or("an unknown kind", |kind| kind.name()));
            continue;
        };
        let to = match found.get(&event.user_id) {
            Some(Found::At(to)) => to,
            Some(Found::Invalid(invalid)) => {
                println!("{} ({kind}) would be parked: {invalid}\n", event.id);
                continue;
            }
            _ => {
                println!("{} ({kind}) has no address\n", event.id);
                continue;
            }
        };
        for recipient in to {
            let facts = Facts::new(event, kind);
            let words =
                equipment.templates.render(&facts, recipient.locale.as_deref(), recipient.time_zone.as_deref())?;
            println!("To: {}\nSubject: {}\n\n{}", recipient.address.as_str(), words.subject, words.text);
        }
    }
    Ok(())
}
