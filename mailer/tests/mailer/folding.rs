//! A flood becomes few mails, and hides nothing.

use std::time::Duration;

use host_tests::{Server, Session};

use crate::support::Place;
use crate::support::smtp;

#[test]
fn a_flood_is_one_mail_and_a_summary_and_the_use_of_a_code_is_not_held_back() {
    let server = Server::any();
    let mut place = Place::new(&server);
    place.user(1);
    let relay = smtp::Server::start();
    place.generate(1);
    let mailer = place.start(relay.port, &["--limits-fold-window", "5s", "--limits-fold-max", "10s"]);
    relay.wait_for(1);
    place
        .client
        .execute("SELECT count(*) FROM generate_series(1, 300) AS n, backup_codes_generate('1', 1 + 0 * n)", &[])
        .expect("a flood");
    place.wait_for("delayed 299, delivered 2");
    let codes = place.generate(1);
    assert!(place.client.consume("1", &codes[0]));
    let mails = relay.wait_for(3);
    assert_eq!(mails[2].header("subject"), "A backup code was used on your Example account");
    let mails = relay.wait_for(4);
    assert_eq!(mails[3].header("subject"), "300 more backup code events on your Example account", "{}", mailer.log());
    assert!(mails[3].text.contains("backup codes were replaced"), "{}", mails[3].text);
    place.wait_for("delivered 303");
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(relay.mails().len(), 4);
}

#[test]
fn hostile_words_of_the_application_reach_no_mail() {
    let server = Server::any();
    let mut place = Place::new(&server);
    place.user(1);
    let relay = smtp::Server::start();
    for context in [
        "Mozilla/5.0 http://evil.example/",
        r#"{"device": "<a href='http://evil.example'>x</a>", "place": "evil.example", "ip": "http://evil.example"}"#,
        r#"{"device": "{{ 7 * 7 }} evil://", "place": "a@evil.example"}"#,
    ] {
        let sql = format!("SET backup_codes.context = '{}'", context.replace('\'', "''"));
        place.client.batch_execute(&sql).expect("a setting");
        place.generate(1);
    }
    place
        .client
        .batch_execute(r#"SET backup_codes.context = '{"device": "Firefox 128.0 on Linux", "ip": "2001:DB8::7"}'"#)
        .expect("a setting");
    let codes = place.generate(1);
    assert!(place.client.consume("1", &codes[0]));
    let ended = place.run(relay.port, &["--once", "--mail-show-context", "true", "--limits-fold-window", "0s"]);
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    let mails = relay.mails();
    assert_eq!(mails.len(), 5);
    for mail in &mails {
        for word in ["evil", "http", "7 * 7", "<a", "Mozilla"] {
            assert!(!mail.text.replace("=\r\n", "").contains(word), "{word} is in {}", mail.text);
        }
    }
    let last = mails[4].text.replace("=\r\n", "");
    assert!(last.contains("Device: Firefox 128.0 on Linux (as reported by the application)"), "{last}");
    assert!(last.contains("Address: 2001:db8::7"), "{last}");
}
