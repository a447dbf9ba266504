//! What an operator sees: checks, previews, exit codes, metrics.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use host_tests::{Server, Session};

use crate::support::smtp::{self, At, Does};
use crate::support::{Ended, Place};

/// The mailer alone.
fn alone(arguments: &[&str]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_backup-codes-mailer"));
    command.env("BACKUP_CODES_MAILER_CONFIG", "/dev/null").args(arguments);
    Ended::of(command)
}

#[test]
fn check_says_a_line_about_everything_that_is_needed() {
    let server = Server::any();
    let mut place = Place::new(&server);
    place.user(1);
    place.generate(1);
    let relay = smtp::Server::start();
    let ended = place.run(relay.port, &["--check"]);
    assert_eq!(ended.code, Some(0), "{}{}", ended.out, ended.log);
    for line in [
        "ok    configuration: bounces go to security@example.com",
        "ok    templates: 7 kinds in de, en",
        "ok    database: 1 events wait, 0 delayed, 0 leased, 0 parked",
        "ok    rights: this role may take events and nothing else of the extension",
        "ok    notifications: on channel backup_codes",
        "ok    clock:",
        "ok    recipient query: it returns user_id and email",
        "ok    tls: none, on this machine",
        "ok    smtp: 127.0.0.1:",
    ] {
        assert!(ended.out.lines().any(|told| told.starts_with(line)), "{line} is not in {}", ended.out);
    }
    assert_eq!(place.deliveries(), "waiting 1", "it takes nothing");
    relay.change(|at, _, _| if at == At::Mail { Does::Says("550 5.7.1 not you".to_owned()) } else { Does::Agrees });
    let ended = place.run(relay.port, &["--check"]);
    assert_eq!(ended.code, Some(69));
    assert!(ended.out.contains("wrong smtp: smtp: mail: refused with 550 5.7.1"), "{}", ended.out);
}

#[test]
fn once_says_by_its_exit_code_how_it_went() {
    let server = Server::any();
    let mut place = Place::new(&server);
    let relay = smtp::Server::start();
    assert_eq!(place.run(relay.port, &["--once"]).code, Some(0), "nothing to do");
    place.user(1);
    place.generate(1);
    relay.change(|at, _, _| if at == At::Rcpt { Does::Says("451 later".to_owned()) } else { Does::Agrees });
    assert_eq!(place.run(relay.port, &["--once"]).code, Some(75));
    place.hurry();
    relay.away(true);
    let ended = place.run(relay.port, &["--once"]);
    assert_eq!(ended.code, Some(69), "{}", ended.log);
    assert_eq!(place.deliveries(), "waiting 1");
    relay.away(false);
    relay.change(|_, _, _| Does::Agrees);
    assert_eq!(place.run(relay.port, &["--once"]).code, Some(0));
}

#[test]
fn a_dry_run_shows_the_mails_and_leaves_the_events() {
    let server = Server::any();
    let mut place = Place::new(&server);
    place.user(1);
    place.generate(1);
    let ended = place.run(1, &["--dry-run"]);
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    assert!(
        ended.out.starts_with("To: user1@example.com\nSubject: Backup codes are ready on your Example account\n"),
        "{}",
        ended.out
    );
    assert_eq!((place.deliveries(), place.attempts()), ("waiting 1".to_owned(), 0));
}

#[test]
fn a_test_mail_needs_no_database() {
    let relay = smtp::Server::start();
    let port = relay.port.to_string();
    let arguments = [
        "--send-test",
        "ada@example.com",
        "--smtp-host",
        "localhost",
        "--smtp-tls",
        "none",
        "--smtp-port",
        &port,
        "--mail-service",
        "Example",
        "--mail-from",
        "security@example.com",
        "--mail-support",
        "help@example.com",
    ];
    let ended = alone(&arguments);
    assert_eq!((ended.code, ended.out.as_str()), (Some(0), "accepted: 250 yes\n"), "{}", ended.log);
    assert_eq!(relay.mails()[0].to, "ada@example.com");
}

#[test]
fn what_is_wrong_with_the_configuration_is_one_line_and_an_exit_code() {
    let folder = std::env::temp_dir().join(format!("backup-codes-mailer-config-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let file = folder.join("mailer.toml");
    std::fs::write(&file, "[smtp]\nhots = \"mail\"\n").expect("a file");
    let secret = folder.join("password");
    std::fs::write(&secret, "geheim").expect("a file");
    std::fs::set_permissions(&secret, PermissionsExt::from_mode(0o644)).expect("chmod");
    let (file, secret) = (file.to_str().expect("UTF-8"), secret.to_str().expect("UTF-8"));
    let mail =
        ["--mail-service", "Example", "--mail-from", "security@example.com", "--mail-support", "help@example.com"];
    let cases: [(&[&str], i32, &str); 12] = [
        (&["--nonsense"], 64, "unexpected argument"),
        (&["--once", "--check"], 64, "cannot be used with"),
        (&["--database-poll", "soon"], 64, "no length of time"),
        (&["--preview", "nonsense"], 64, "--preview nonsense"),
        (&["--send-test", "a@b.example\r\nBcc: c@d.example"], 64, "address refused"),
        (&["--config", file], 78, "line 2, column 1: unknown field `hots`"),
        (&["--config", "/nowhere/at/all"], 78, "/nowhere/at/all"),
        (&[], 78, "no mail server"),
        (&["--smtp-host", "mail.example.com", "--smtp-tls", "none"], 78, "on this machine"),
        (&["--smtp-host", "localhost", "--smtp-tls", "none"], 78, "no database"),
        (
            &["--smtp-host", "localhost", "--smtp-tls", "none", "--mail-kinds", "used,lost"],
            78,
            "there is no kind \"lost\"",
        ),
        (
            &["--smtp-host", "localhost", "--smtp-tls", "none", "--smtp-username", "m", "--smtp-password-file", secret],
            77,
            "chmod 0600",
        ),
    ];
    for (arguments, code, told) in cases {
        let ended = alone(&[&mail, arguments].concat());
        assert_eq!(ended.code, Some(code), "{arguments:?}: {}", ended.log);
        assert!(ended.log.lines().count() == 1 && ended.log.contains(told), "{arguments:?}: {}", ended.log);
        assert!(!ended.log.contains("geheim"));
    }
    std::fs::remove_dir_all(&folder).expect("the folder");
}

#[test]
fn the_settings_in_force_are_shown_without_secrets() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_backup-codes-mailer"));
    command.args(["--config", "/dev/null", "--print-config", "--smtp-host", "mail.example.com"]);
    command
        .env("BACKUP_CODES_MAILER_SMTP_PASSWORD", "geheim")
        .env("BACKUP_CODES_MAILER_DATABASE_URL", "postgresql://m:geheim@db/app");
    let ended = Ended::of(command);
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    assert!(
        ended.out.contains("# smtp-password: ***") && ended.out.contains("host = \"mail.example.com\""),
        "{}",
        ended.out
    );
    assert!(ended.out.contains("postgresql://m:***@db/app") && !ended.out.contains("geheim"), "{}", ended.out);
}

/// A page of the mailer's own.
fn page(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("a connection");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("a request");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("a page");
    text
}

#[test]
fn metrics_and_readiness_tell_how_it_goes() {
    let server = Server::any();
    let mut place = Place::new(&server);
    place.user(1);
    place.generate(1);
    let relay = smtp::Server::start();
    let mailer = place.start(relay.port, &["--http", "127.0.0.1:0"]);
    mailer.wait_for_log("metrics and health");
    let address = mailer
        .log()
        .split("address=")
        .nth(1)
        .and_then(|rest| rest.split_whitespace().next())
        .expect("an address")
        .to_owned();
    relay.wait_for(1);
    place.wait_for("delivered 1");
    assert!(page(&address, "/healthz").starts_with("HTTP/1.1 200"));
    assert!(page(&address, "/readyz").starts_with("HTTP/1.1 200"), "{}", page(&address, "/readyz"));
    let metrics = page(&address, "/metrics");
    for line in [
        "backup_codes_mailer_events_claimed_total 1",
        "backup_codes_mailer_mails_sent_total{kind=\"generated\"} 1",
        "backup_codes_mailer_database_up 1",
        "backup_codes_mailer_smtp_up 1",
        "backup_codes_mailer_send_seconds_count 1",
    ] {
        assert!(metrics.lines().any(|told| told == line), "{line} is not in {metrics}");
    }
    relay.away(true);
    let codes = place.generate(1);
    assert!(place.client.consume("1", &codes[0]));
    mailer.wait_for_log("mail server unusable");
    let ready = page(&address, "/readyz");
    assert!(ready.starts_with("HTTP/1.1 503") && ready.contains("smtp: "), "{ready}");
    assert!(page(&address, "/nonsense").starts_with("HTTP/1.1 404"));
}
