//! Who gets the mails, whatever the table of users holds.

use host_tests::{Server, Session};

use crate::support::Place;
use crate::support::smtp;

#[test]
fn each_address_of_a_user_gets_a_mail_of_its_own() {
    let server = Server::any();
    let mut place = Place::new(&server);
    place.user(1);
    place.client.batch_execute("CREATE TABLE more (id bigint, email text); INSERT INTO more VALUES (1, 'b@example.com'), (1, 'a@example.com'), (1, 'a@example.com')").expect("addresses");
    place.client.batch_execute("GRANT SELECT ON more TO PUBLIC").expect("a grant");
    place.generate(1);
    let relay = smtp::Server::start();
    let query = "SELECT id::text AS user_id, email FROM more WHERE id = ANY ($1::text[]::bigint[])";
    assert_eq!(place.run(relay.port, &["--once", "--recipient-query", query]).code, Some(0));
    let mut mails: Vec<(String, String)> =
        relay.mails().iter().map(|mail| (mail.to.clone(), mail.header("message-id"))).collect();
    mails.sort();
    let event: String = place.client.value("SELECT event_id::text FROM backup_codes.event", &[]);
    let expected = [("a@example.com", ""), ("b@example.com", ".1")];
    assert_eq!(mails, expected.map(|(to, part)| (to.to_owned(), format!("<{event}{part}@example.com>"))));
}

#[test]
fn a_user_who_left_is_acknowledged_and_one_with_a_bad_address_is_parked() {
    let server = Server::any();
    let mut place = Place::new(&server);
    for user in 1..=6 {
        place.user(user);
        place.generate(user);
    }
    place
        .client
        .batch_execute(
            "DELETE FROM users WHERE id = 2;
             UPDATE users SET email = NULL WHERE id = 3;
             UPDATE users SET email = E'bob@example.com>\\r\\nRCPT TO:<eve@evil.example' WHERE id = 4;
             UPDATE users SET email = 'a@example.com, eve@evil.example' WHERE id = 5;
             UPDATE users SET email = 'ada@bücher.example' WHERE id = 6;",
        )
        .expect("updates");
    let relay = smtp::Server::start();
    let ended = place.run(relay.port, &["--once"]);
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    assert_eq!(place.deliveries(), "delivered 4, parked 2");
    let mut to: Vec<String> = relay.mails().iter().map(|mail| mail.to.clone()).collect();
    to.sort();
    assert_eq!(to, ["ada@xn--bcher-kva.example", "user1@example.com"]);
    assert!(!ended.log.contains("evil") && !place.park_reason().contains("evil"));
}

#[test]
fn a_query_that_finds_nobody_gives_up_no_event() {
    let server = Server::any();
    let mut place = Place::new(&server);
    for user in 1..=30 {
        place.user(user);
        place.generate(user);
    }
    let relay = smtp::Server::start();
    let wrong = [
        "--recipient-query",
        "SELECT 'x' || id::text AS user_id, email FROM users WHERE id = ANY ($1::text[]::bigint[])",
    ];
    let ended = place.run(relay.port, &[&["--once"], &wrong[..]].concat());
    assert_eq!(ended.code, Some(78), "{}", ended.log);
    assert!(ended.log.contains("none of the first 20 users"), "{}", ended.log);
    assert_eq!((place.deliveries(), place.attempts()), ("delayed 30".to_owned(), 0));
    let mailer = place.start(relay.port, &wrong);
    place.hurry();
    mailer.wait_for_log("recipients cannot be found");
    place.wait_for("delayed 30");
    assert_eq!((place.attempts(), relay.mails().len()), (0, 0));
}

#[test]
fn ids_that_are_no_keys_stand_in_nobodys_way() {
    let server = Server::any();
    let mut place = Place::new(&server);
    place.user(1);
    place.generate(1);
    for stranger in ["acme:7", "99999999999999999999", ""] {
        if !stranger.is_empty() {
            place.client.generate(stranger);
        }
    }
    let relay = smtp::Server::start();
    assert_eq!(place.run(relay.port, &["--once"]).code, Some(0));
    assert_eq!((relay.mails().len(), place.deliveries()), (1, "delivered 3".to_owned()));
}

#[test]
fn a_query_of_the_wrong_shape_ends_the_mailer_at_its_start() {
    let server = Server::any();
    let mut place = Place::new(&server);
    place.user(1);
    place.generate(1);
    for (query, code, told) in [
        ("SELECT email FROM users WHERE id = ANY ($1::text[]::bigint[])", 78, "user_id"),
        ("SELECT id AS user_id, email FROM userz", 78, "userz"),
        ("SELECT id::text AS user_id, email FROM users WHERE id::text = $1", 78, "recipient query"),
        (
            "DELETE FROM users WHERE id = ANY ($1::text[]::bigint[]) RETURNING id::text AS user_id, email",
            78,
            "recipient query",
        ),
        (
            "WITH d AS (DELETE FROM users WHERE id = ANY ($1::text[]::bigint[]) RETURNING *) SELECT id::text AS user_id, email FROM d",
            78,
            "recipient query",
        ),
        ("SELECT user_id, '' AS email FROM backup_codes.account WHERE user_id = ANY ($1)", 77, "permission denied"),
        ("", 78, "[recipient] query"),
    ] {
        let ended = place.run(1, &["--recipient-query", query]);
        assert_eq!(ended.code, Some(code), "{query}: {}", ended.log);
        assert!(ended.log.lines().last().is_some_and(|line| line.contains(told)), "{query}: {}", ended.log);
    }
    assert_eq!((place.deliveries(), place.attempts()), ("waiting 1".to_owned(), 0));
}

#[test]
fn a_query_that_fails_costs_no_try_and_is_tried_again() {
    let server = Server::any();
    let mut place = Place::new(&server);
    place.user(1);
    let relay = smtp::Server::start();
    let mailer = place.start(relay.port, &[]);
    mailer.wait_for_log("listening");
    place.client.execute("ALTER TABLE users RENAME TO gone", &[]).expect("a rename");
    place.generate(1);
    mailer.wait_for_log("recipients cannot be found");
    place.wait_for("waiting 1");
    assert_eq!(place.attempts(), 0);
    place.client.execute("ALTER TABLE gone RENAME TO users", &[]).expect("a rename");
    relay.wait_for(1);
    place.wait_for("delivered 1");
}
