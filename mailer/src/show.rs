//! `--preview` and `--send-test`: what the mails look like, without an event.

use uuid::Uuid;

use crate::address::Address;
use crate::config::Config;
use crate::equipment::Equipment;
use crate::event::Kind;
use crate::failure::{Class, Failure};
use crate::smtp::connection::Envelope;
use crate::smtp::fault::{Fault, Stage, Verdict};
use crate::templates::{Facts, Templates, samples};

/// Prints a mail of a kind: `used`, `low`, `last`, `summary` or any other that is mailed.
pub fn preview(config: &Config, kind: &str, locale: Option<&str>) -> Result<(), Failure> {
    let templates = Templates::load(&config.mail)?;
    let words = templates.render(&sample(kind)?, locale, None)?;
    println!("Subject: {}\n\n{}\n{}", words.subject, words.text, words.html);
    Ok(())
}

fn sample(name: &str) -> Result<Facts, Failure> {
    let of = |kind: Kind, number: usize| samples(kind).swap_remove(number);
    match name {
        "low" => Ok(of(Kind::Used, 2)),
        "last" => Ok(of(Kind::Used, 3)),
        "summary" => Ok(of(Kind::Replaced, 5)),
        "disabled" => Ok(of(Kind::Disabled, 1)),
        "removed" => Ok(of(Kind::Disabled, 0)),
        _ => name.parse().map(|kind| of(kind, 0)).map_err(|()| {
            let kinds = Kind::ALL.map(Kind::name).join(", ");
            Failure::usage(format!("--preview {name}: there are {kinds}, and low, last, removed, summary"))
        }),
    }
}

/// Sends a mail as it would be sent after the use of a code.
pub async fn send_test(config: &Config, address: &str) -> Result<(), Failure> {
    let to = Address::parse(address).map_err(|invalid| Failure::usage(format!("--send-test: {invalid}")))?;
    let equipment = Equipment::load(config)?;
    let mut facts = sample("used")?;
    facts.reference = Uuid::from_u128((u128::from(fastrand::u64(..)) << 64) | u128::from(fastrand::u64(..)));
    facts.at = std::time::SystemTime::now();
    let words = equipment.templates.render(&facts, None, None)?;
    let mail = equipment.sender.compose(facts.reference, 0, &to, &words);
    let mut connection = equipment.relay.open().await.map_err(|fault| failed(&fault))?;
    let envelope = Envelope { from: &equipment.sender.return_path, to: &to, id: facts.reference };
    let reply = connection.send(&envelope, &mail).await.map_err(|fault| failed(&fault))?;
    connection.quit().await;
    println!("accepted: {} {}", reply.code, reply.message);
    Ok(())
}

/// A fault of the mail server as the end of the program.
pub fn failed(fault: &Fault) -> Failure {
    let class = match (fault.stage, fault.verdict()) {
        (Stage::Auth, _) => Class::Rights,
        (_, Verdict::Never) => Class::Configuration,
        _ => Class::Unavailable,
    };
    Failure::new(class, format!("smtp: {fault}"))
}
