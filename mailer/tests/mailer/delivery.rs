//! What happens to a user's codes reaches them, once, and in its order.

use std::io::Write;
use std::process::{Command, Stdio};

use host_tests::{Server, Session};

use crate::support::Place;
use crate::support::smtp;

#[test]
fn the_use_of_a_code_is_mailed_at_once_with_what_is_left() {
    let server = Server::any();
    let mut place = Place::new(&server);
    place.user(42);
    place.client.execute("UPDATE users SET time_zone = 'Europe/Vienna', locale = 'de-AT'", &[]).expect("an update");
    let relay = smtp::Server::start();
    let mailer = place.start(relay.port, &["--database-poll", "60s"]);
    mailer.wait_for_log("listening");
    let codes = place.generate(42);
    relay.wait_for(1);
    assert!(place.client.consume("42", &codes[2]));
    let mails = relay.wait_for(2);
    assert_eq!(mails[0].header("subject"), "=?utf-8?Q?Backup-Codes_f=C3=BCr_Ihr_Konto_bei_Example_sind_bereit?=");
    let used = &mails[1];
    assert_eq!((used.from.as_str(), used.to.as_str()), ("security@example.com", "user42@example.com"));
    assert_eq!(used.header("to"), "<user42@example.com>");
    assert!(used.text.contains("Nummer 3 auf Ihrer Liste wurde benutzt. 9 sind =C3=BCbrig."), "{}", used.text);
    assert!(codes.iter().all(|code| !used.text.contains(code.as_str())), "no mail holds a code");
    let event: String = place.client.value("SELECT event_id::text FROM backup_codes.event WHERE kind = 'used'", &[]);
    assert_eq!(used.header("message-id"), format!("<{event}@example.com>"));
    assert_eq!(used.header("auto-submitted"), "auto-generated");
    place.wait_for("delivered 2");
    assert_eq!(place.attempts(), 1);
    let log = mailer.log();
    assert!(!log.contains("user42") && !log.contains("user_id"), "the log names nobody: {log}");
}

#[test]
fn the_mails_of_a_user_come_in_the_order_of_the_events() {
    let server = Server::any();
    let mut place = Place::new(&server);
    let users = 1..=5i64;
    for user in users.clone() {
        place.user(user);
        for code in place.generate(user) {
            assert!(place.client.consume(&user.to_string(), &code));
        }
    }
    let relay = smtp::Server::start();
    let ended = place.run(relay.port, &["--once"]);
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    let mails = relay.mails();
    assert_eq!(mails.len(), 55);
    let in_order: Vec<String> = (1..=10).map(|number| format!("Number {number} ")).collect();
    for user in users {
        let to = format!("user{user}@example.com");
        let number = |text: &str| {
            text.split("Number ")
                .nth(1)
                .and_then(|rest| rest.split(' ').next())
                .map(|number| format!("Number {number} "))
        };
        let numbers: Vec<String> =
            mails.iter().filter(|mail| mail.to == to).filter_map(|mail| number(&mail.text)).collect();
        assert_eq!(numbers, in_order, "{to}");
    }
    assert!(relay.connections() <= 4, "{} connections", relay.connections());
}

#[test]
fn a_code_that_replaces_the_set_is_one_mail() {
    let server = Server::any();
    let mut place = Place::new(&server);
    place.user(1);
    let codes = place.generate(1);
    place.client.execute("DELETE FROM backup_codes.event", &[]).expect("a deletion");
    place.client.query("SELECT backup_codes_regenerate('1', $1)", &[&codes[4]]).expect("a new set");
    let relay = smtp::Server::start();
    assert_eq!(place.run(relay.port, &["--once"]).code, Some(0));
    let mails = relay.mails();
    assert_eq!(mails.len(), 1);
    assert!(mails[0].text.contains("Number 5 on your old list was used to make a new one."), "{}", mails[0].text);
    assert_eq!(place.deliveries(), "delivered 2");
}

#[test]
fn kinds_that_are_not_mailed_are_acknowledged() {
    let server = Server::any();
    let mut place = Place::new(&server);
    place.user(1);
    place.client.execute("SELECT backup_codes_prepare('1', 3)", &[]).expect("a pending set");
    place.client.execute("SELECT backup_codes_cancel('1')", &[]).expect("none");
    place.generate(1);
    let relay = smtp::Server::start();
    assert_eq!(place.run(relay.port, &["--once"]).code, Some(0));
    assert_eq!((relay.mails().len(), place.deliveries()), (1, "delivered 3".to_owned()));
}

#[test]
fn two_mailers_share_a_backlog_and_send_nothing_twice() {
    let server = Server::any();
    let mut place = Place::new(&server);
    place
        .client
        .execute("INSERT INTO users SELECT n, 'user' || n || '@example.com' FROM generate_series(1, 500) AS n", &[])
        .expect("users");
    let relay = smtp::Server::start();
    let _mailers = [place.start(relay.port, &[]), place.start(relay.port, &[])];
    let enrol = "SELECT count(*) FROM users, backup_codes_generate(users.id, 1)";
    assert_eq!(place.client.value::<i64>(enrol, &[]), 500);
    let mails = relay.wait_for(500);
    place.wait_for("delivered 500");
    let mut to: Vec<&str> = mails.iter().map(|mail| mail.to.as_str()).collect();
    to.sort_unstable();
    to.dedup();
    assert_eq!((to.len(), relay.mails().len()), (500, 500));
}

/// What Python's parser says of a mail when it takes no fault: nothing, if there is none.
fn strictly_parsed(mail: &str) -> String {
    let program = r#"
import sys
from email import message_from_bytes, policy
mail = message_from_bytes(sys.stdin.buffer.read(), policy=policy.strict + policy.default)
for part in mail.walk():
    assert not part.defects, part.defects
    for name, value in part.items():
        assert not value.defects, (name, value.defects)
text, html = mail.get_body(("plain",)), mail.get_body(("html",))
assert mail.get_content_type() == "multipart/alternative", mail.get_content_type()
assert text.get_content().strip() and "</html>" in html.get_content()
assert str(mail["date"].datetime.tzinfo) == "UTC" and mail["from"].addresses and len(mail["to"].addresses) == 1
"#;
    let mut python = Command::new("python3")
        .args(["-c", program])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("python3");
    python.stdin.take().expect("its input").write_all(mail.as_bytes()).expect("a mail");
    String::from_utf8(python.wait_with_output().expect("its end").stderr).expect("UTF-8")
}

#[test]
fn a_strict_parser_reads_every_mail_in_every_language() {
    let server = Server::any();
    let mut place = Place::new(&server);
    let relay = smtp::Server::start();
    for (user, locale) in [(1, "en"), (2, "de")] {
        place.user(user);
        place
            .client
            .execute("UPDATE users SET locale = $1, time_zone = 'Asia/Tokyo' WHERE id = $2", &[&locale, &user])
            .expect("an update");
        let id = user.to_string();
        let codes = place.generate(user);
        assert!(codes.iter().all(|code| place.client.consume(&id, code)));
        place.client.execute("SELECT backup_codes_prepare($1::text)", &[&id]).expect("codes");
        place.client.execute("SELECT backup_codes_confirm($1::text)", &[&id]).expect("codes");
        place.generate(user);
        for _ in 0..5 {
            place.client.attempt(&id, "00000-00000-00000-00000-00000");
        }
        place.client.execute("SELECT backup_codes_disable($1::text)", &[&id]).expect("none");
        place.generate(user);
    }
    place.client.execute("SELECT backup_codes_revoke_all('infinity')", &[]).expect("none");
    let ended = place.run(relay.port, &["--once", "--limits-fold-window", "0s", "--mail-service", "Bücher & <Söhne>"]);
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    let mails = relay.mails();
    let kinds: i64 =
        place.client.value("SELECT count(DISTINCT kind) FROM backup_codes.events WHERE kind <> 'prepared'", &[]);
    assert_eq!((kinds, mails.len()), (7, 34));
    for mail in mails {
        assert_eq!(strictly_parsed(&mail.text), "", "{}", mail.text);
    }
}
