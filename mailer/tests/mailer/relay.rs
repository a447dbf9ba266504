//! Faults of the mail server. The stage decides what they mean, and no event is lost or given up for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use host_tests::{Server, Session};

use crate::support::Place;
use crate::support::smtp::{self, At, Does, Mail};

/// Ids of the mails, each once.
fn ids(mails: &[Mail]) -> Vec<String> {
    let mut ids: Vec<String> = mails.iter().map(|mail| mail.header("message-id")).collect();
    ids.sort();
    ids.dedup();
    ids
}

#[test]
fn a_fault_before_the_recipient_is_the_servers_and_costs_no_try() {
    let server = Server::any();
    let says = |text: &str| Does::Says(text.to_owned());
    let faults = [
        says("421 4.3.2 going down"),
        says("450 4.7.1 not now"),
        says("554 5.7.1 never"),
        Does::Closes,
        Does::Resets,
        says("what?"),
        says(&"x".repeat(65_536)),
    ];
    std::thread::scope(|scope| {
        for at in [At::Greeting, At::Ehlo, At::Mail] {
            let (server, faults) = (&server, &faults);
            scope.spawn(move || faults.iter().for_each(|fault| fault_before_the_recipient(server, at, fault)));
        }
    });
}

fn fault_before_the_recipient(server: &Server, at: At, fault: &Does) {
    let mut place = Place::new(server);
    place.user(1);
    place.generate(1);
    let broken = fault.clone();
    let relay = smtp::Server::with(move |now, _, _| if now == at { broken.clone() } else { Does::Agrees });
    let mailer = place.start(relay.port, &[]);
    mailer.wait_for_log("mail server unusable");
    place.wait_for("waiting 1");
    assert_eq!(place.attempts(), 0, "{at:?} {fault:?}");
    relay.change(|_, _, _| Does::Agrees);
    relay.wait_for(1);
    place.wait_for("delivered 1");
}

#[test]
fn a_refusal_for_now_is_tried_again_later_and_counts() {
    let server = Server::any();
    for (at, code) in [
        (At::Rcpt, "451 4.7.1 greylisted"),
        (At::Rcpt, "552 5.2.2 full"),
        (At::Data, "452 4.3.1 no space"),
        (At::Dot, "451 4.6.0 not now"),
    ] {
        for pipelining in [true, false] {
            let mut place = Place::new(&server);
            place.user(1);
            place.generate(1);
            let relay =
                smtp::Server::with(move |now, _, _| if now == at { Does::Says(code.to_owned()) } else { Does::Agrees });
            if !pipelining {
                relay.offer(&[]);
            }
            let _mailer = place.start(relay.port, &[]);
            place.wait_for("delayed 1");
            assert_eq!(place.attempts(), 1, "{code}");
            relay.change(|_, _, _| Does::Agrees);
            place.hurry();
            assert_eq!(relay.wait_for(1).len(), 1);
            place.wait_for("delivered 1");
            assert_eq!(place.attempts(), 2);
        }
    }
}

#[test]
fn a_refusal_for_good_parks_the_event_and_no_other() {
    let server = Server::any();
    for (at, code, reason) in [
        (At::Rcpt, "550 5.1.1 <user1@example.com>: unknown", "rcpt: 550 5.1.1"),
        (At::Data, "554 no", "data: 554"),
        (At::Dot, "554 5.6.0 spam", "dot: 554 5.6.0"),
    ] {
        for pipelining in [true, false] {
            let mut place = Place::new(&server);
            for user in 1..=3 {
                place.user(user);
                place.generate(user);
            }
            let first = Arc::new(AtomicUsize::new(0));
            let relay = smtp::Server::with(move |now, _, _| {
                let refused = now == at && first.fetch_add(1, Ordering::SeqCst) == 0;
                if refused { Does::Says(code.to_owned()) } else { Does::Agrees }
            });
            if !pipelining {
                relay.offer(&["DSN"]);
            }
            let ended = place.run(relay.port, &["--once", "--smtp-connections", "1"]);
            assert_eq!(ended.code, Some(75), "{}", ended.log);
            assert_eq!(place.deliveries(), "delivered 2, parked 1", "{code}: {}", ended.log);
            assert_eq!(place.park_reason(), reason);
            assert_eq!(ids(&relay.mails()).len(), 2);
            assert!(!ended.log.contains("user1@") && !ended.log.contains("unknown"), "{}", ended.log);
            let unpark: i64 = place.client.value("SELECT backup_codes_events_unpark()", &[]);
            assert_eq!(unpark, 1);
            assert_eq!(place.run(relay.port, &["--once"]).code, Some(0));
            assert_eq!((ids(&relay.mails()).len(), place.deliveries()), (3, "delivered 3".to_owned()));
        }
    }
}

#[test]
fn without_an_answer_after_the_mail_it_is_sent_again_with_the_same_id() {
    let server = Server::any();
    for fault in [Does::TakesAndCloses, Does::Waits] {
        let mut place = Place::new(&server);
        place.user(1);
        place.generate(1);
        let broken = fault.clone();
        let relay = smtp::Server::with(
            move |now, _, connection| {
                if now == At::Dot && connection == 1 { broken.clone() } else { Does::Agrees }
            },
        );
        let mailer = place.start(relay.port, &["--smtp-final-timeout", "1s"]);
        place.wait_for("delayed 1");
        assert_eq!(place.attempts(), 1);
        assert!(mailer.log().contains("class=\"unknown\"") || mailer.log().contains("unknown"), "{}", mailer.log());
        place.hurry();
        let copies = if matches!(fault, Does::TakesAndCloses) { 2 } else { 1 };
        let mails = relay.wait_for(copies);
        place.wait_for("delivered 1");
        assert_eq!((mails.len(), ids(&mails).len()), (copies, 1), "{fault:?}");
    }
}

#[test]
fn a_connection_that_was_closed_while_idle_is_replaced_at_nobodys_expense() {
    let server = Server::any();
    let mut place = Place::new(&server);
    place.user(1);
    let relay = smtp::Server::start();
    let mailer = place.start(relay.port, &["--smtp-connections", "1", "--mail-kinds", "used"]);
    let codes = place.generate(1);
    for (mails, farewell) in ["", "421 4.4.2 idle too long", "250 nobody asked", ""].into_iter().enumerate() {
        assert!(place.client.consume("1", &codes[mails]));
        relay.wait_for(mails + 1);
        relay.part(farewell);
    }
    place.wait_for("delivered 5");
    assert_eq!((relay.connections(), place.attempts()), (4, 1));
    assert!(!mailer.log().contains("WARN"), "{}", mailer.log());
}

#[test]
fn a_server_that_refuses_everybody_is_not_believed() {
    let server = Server::any();
    let mut place = Place::new(&server);
    for user in 1..=40 {
        place.user(user);
        place.generate(user);
    }
    let relay = smtp::Server::with(|at, _, _| {
        if at == At::Rcpt { Does::Says("554 5.7.1 relay access denied".to_owned()) } else { Does::Agrees }
    });
    let mailer = place.start(relay.port, &[]);
    mailer.wait_for_log("users refused in a row");
    let parked: i64 = place.client.value("SELECT parked FROM backup_codes_events_backlog()", &[]);
    assert!((1..=10).contains(&parked), "{parked} parked");
    relay.change(|_, _, _| Does::Agrees);
    for _ in 0..100 {
        // Those that were on their way when the server changed its mind may still be refused.
        place.client.execute("SELECT backup_codes_events_unpark()", &[]).expect("unpark");
        place.hurry();
        if place.deliveries() == "delivered 40" {
            break;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!((place.deliveries(), ids(&relay.mails()).len()), ("delivered 40".to_owned(), 40));
}

#[test]
fn a_server_that_is_away_costs_no_try() {
    let server = Server::any();
    let mut place = Place::new(&server);
    let relay = smtp::Server::start();
    relay.away(true);
    for user in 1..=20 {
        place.user(user);
        place.generate(user);
    }
    let mailer = place.start(relay.port, &[]);
    mailer.wait_for_log("mail server unusable");
    place.wait_for("waiting 20");
    assert_eq!(place.attempts(), 0);
    relay.away(false);
    relay.wait_for(20);
    place.wait_for("delivered 20");
    assert_eq!((place.attempts(), ids(&relay.mails()).len()), (1, 20));
}

#[test]
fn a_server_that_asks_for_less_gets_fewer_connections() {
    let server = Server::any();
    let mut place = Place::new(&server);
    place.user(1);
    place.generate(1);
    let relay = smtp::Server::with(|at, _, _| {
        if at == At::Dot {
            Does::Says("432 4.3.2 concurrent connections limit exceeded".to_owned())
        } else {
            Does::Agrees
        }
    });
    let mailer = place.start(relay.port, &[]);
    mailer.wait_for_log("the mail server asks for less");
    place.wait_for("delayed 1");
    assert_eq!(place.attempts(), 0, "nobody refused it");
}

#[test]
fn a_poisoned_event_holds_back_no_other() {
    let server = Server::any();
    let mut place = Place::new(&server);
    for user in 1..=100 {
        place.user(user);
        place.generate(user);
    }
    let relay = smtp::Server::with(
        |at, line, _| if at == At::Dot && line.contains("user7@") { Does::Closes } else { Does::Agrees },
    );
    let ended = place.run(relay.port, &["--once"]);
    assert_eq!(ended.code, Some(75));
    assert_eq!(place.deliveries(), "delayed 1, delivered 99", "{}", ended.log);
}

#[test]
fn what_a_recipient_needs_and_the_server_does_not_offer_is_told() {
    let server = Server::any();
    let mut place = Place::new(&server);
    place.user(1);
    place.client.execute("UPDATE users SET email = 'jürgen@bücher.example'", &[]).expect("an update");
    place.generate(1);
    let relay = smtp::Server::start();
    relay.offer(&["PIPELINING"]);
    assert_eq!(place.run(relay.port, &["--once"]).code, Some(75));
    assert_eq!(
        (place.deliveries(), place.park_reason()),
        ("parked 1".to_owned(), "mail: SMTPUTF8 not offered".to_owned())
    );
    place.client.execute("SELECT backup_codes_events_unpark()", &[]).expect("unpark");
    relay.offer(&["SMTPUTF8"]);
    assert_eq!(place.run(relay.port, &["--once"]).code, Some(0));
    assert_eq!(relay.mails()[0].to, "jürgen@bücher.example");
}
