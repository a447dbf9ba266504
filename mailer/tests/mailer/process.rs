//! How a mailer ends and begins again.

use std::time::Duration;

use host_tests::{Server, Session};

use crate::support::Place;
use crate::support::smtp::{self, At, Does};

#[test]
fn told_to_end_it_finishes_what_is_on_its_way_and_gives_back_the_rest() {
    let server = Server::any();
    let mut place = Place::new(&server);
    for user in 1..=60 {
        place.user(user);
        place.generate(user);
    }
    let relay =
        smtp::Server::with(
            |at, _, _| if at == At::Dot { Does::AgreesLate(Duration::from_millis(300)) } else { Does::Agrees },
        );
    let mut mailer = place.start(relay.port, &[]);
    relay.wait_for(4);
    mailer.signal("TERM");
    assert_eq!(mailer.wait(), Some(0));
    let sent = relay.mails().len();
    assert!((4..=16).contains(&sent), "{sent} mails");
    assert_eq!(place.deliveries(), format!("delivered {sent}, waiting {}", 60 - sent));
    let tried: i64 =
        place.client.value("SELECT count(*) FROM backup_codes.events WHERE delivery = 'waiting' AND attempts > 0", &[]);
    assert_eq!(tried, 0, "what nobody refused has its tries");
}

#[test]
fn told_to_end_while_the_server_says_nothing_it_ends_in_time() {
    let server = Server::any();
    let mut place = Place::new(&server);
    place.user(1);
    place.generate(1);
    let relay = smtp::Server::with(|at, _, _| if at == At::Dot { Does::Waits } else { Does::Agrees });
    let mut mailer = place.start(relay.port, &["--limits-grace", "1s"]);
    place.wait_for("leased 1");
    relay.wait_until_asked(At::Dot);
    mailer.signal("TERM");
    assert_eq!(mailer.wait(), Some(0));
    assert_eq!((place.deliveries(), place.attempts()), ("waiting 1".to_owned(), 0));
}

#[test]
fn told_twice_it_ends_at_once() {
    let server = Server::any();
    let mut place = Place::new(&server);
    place.user(1);
    place.generate(1);
    let relay = smtp::Server::with(|at, _, _| if at == At::Dot { Does::Waits } else { Does::Agrees });
    let mut mailer = place.start(relay.port, &["--limits-grace", "60s"]);
    relay.wait_until_asked(At::Dot);
    mailer.signal("TERM");
    mailer.wait_for_log("ending");
    mailer.signal("TERM");
    assert_eq!(mailer.wait(), Some(75));
}

#[test]
fn killed_between_acceptance_and_acknowledgement_it_sends_again_with_the_same_id() {
    let server = Server::any();
    let mut place = Place::new(&server);
    place.user(1);
    let relay = smtp::Server::start();
    let mut mailer = place.start(relay.port, &["--database-lease", "1s"]);
    mailer.wait_for_log("listening");
    // The acknowledgement waits for the row, which somebody else holds as soon as the mail is there.
    let mut other = place.database.connect();
    other
        .batch_execute(
            "CREATE FUNCTION pause() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
           IF NEW.delivered_at IS NOT NULL THEN PERFORM pg_advisory_xact_lock(1); END IF; RETURN NEW; END $$;
         CREATE TRIGGER pause BEFORE UPDATE ON backup_codes.event FOR EACH ROW EXECUTE FUNCTION pause();
         SELECT pg_advisory_lock(1)",
        )
        .expect("a lock");
    place.generate(1);
    relay.wait_for(1);
    let waiting = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)";
    while !other.value::<bool>(waiting, &[]) {
        std::thread::sleep(Duration::from_millis(5));
    }
    mailer.kill();
    other
        .batch_execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted;
         DROP TRIGGER pause ON backup_codes.event; SELECT pg_advisory_unlock(1)",
        )
        .expect("unlock");
    let _second = place.start(relay.port, &["--database-lease", "1s"]);
    let mails = relay.wait_for(2);
    place.wait_for("delivered 1");
    assert_eq!(mails[0].header("message-id"), mails[1].header("message-id"));
}

#[test]
fn a_broken_template_does_not_replace_the_old_ones() {
    let server = Server::any();
    let mut place = Place::new(&server);
    place.user(1);
    let folder = std::env::temp_dir().join(format!("backup-codes-mailer-reload-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("en")).expect("a folder");
    let subject = folder.join("en/used.subject");
    std::fs::write(&subject, "first").expect("a template");
    let relay = smtp::Server::start();
    let mailer =
        place.start(relay.port, &["--mail-kinds", "used", "--mail-templates", folder.to_str().expect("UTF-8")]);
    mailer.wait_for_log("listening");
    let codes = place.generate(1);
    for (number, (template, log, expected)) in
        [("{{ broken", "not reloaded", "first"), ("second", "were read anew", "second")].into_iter().enumerate()
    {
        std::fs::write(&subject, template).expect("a template");
        mailer.signal("HUP");
        mailer.wait_for_log(log);
        assert!(place.client.consume("1", &codes[number]));
        assert_eq!(relay.wait_for(number + 1)[number].header("subject"), expected);
    }
    std::fs::remove_dir_all(&folder).expect("the folder");
}
