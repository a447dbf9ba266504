//! What a mailer hears, and when.

use host_tests::{Client, Server, Session};
use postgres::fallible_iterator::FallibleIterator;
use serde_json::Value;

/// The notifications that have reached a session: they come with the answer to any statement.
fn heard(listener: &mut Client) -> Vec<(String, String)> {
    listener.batch_execute("SELECT 1").expect("SELECT");
    let mut notifications = listener.notifications();
    let pairs = notifications.iter().map(|n| Ok((n.channel().to_owned(), n.payload().to_owned())));
    pairs.collect().expect("notifications")
}

fn only_json(listener: &mut Client) -> Value {
    let notifications = heard(listener);
    assert_eq!(notifications.len(), 1, "{notifications:?}");
    serde_json::from_str(&notifications[0].1).expect("JSON")
}

fn keys(json: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = json.as_object().expect("an object").keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

/// A JSON string that PostgreSQL reads as the timestamp of the event.
fn assert_same_moment(client: &mut Client, json: &Value) {
    let at = json["at"].as_str().expect("a string");
    let sql = "SELECT count(*) FROM backup_codes.event WHERE at = $1::text::timestamptz AND event_id = $2::text::uuid";
    assert_eq!(client.value::<i64>(sql, &[&at, &json["event_id"].as_str()]), 1, "{json}");
}

#[test]
fn full_payload_tells_what_a_mail_needs_at_commit() {
    let server = Server::any();
    let database = server.database();
    let (mut client, mut listener) = (database.connect(), database.connect());
    listener.batch_execute("LISTEN backup_codes").expect("LISTEN");
    for user_id in ["42", "zoë \"quoted\" \\ 👩‍👩‍👧\u{1}", "acme:42"] {
        let codes = client.generate(user_id);
        let json = only_json(&mut listener);
        assert_eq!(keys(&json), ["at", "event", "event_id", "low", "remaining", "user_id"]);
        assert_eq!(json["event"], "generated");
        assert_eq!(json["user_id"], user_id);
        assert_eq!(json["remaining"], 10);
        assert_eq!(json["low"], false);
        assert_same_moment(&mut client, &json);

        client.batch_execute("BEGIN").expect("BEGIN");
        assert!(client.consume(user_id, &codes[0]));
        assert_eq!(heard(&mut listener), [], "before the commit");
        client.batch_execute("COMMIT").expect("COMMIT");
        let json = only_json(&mut listener);
        assert_eq!((&json["event"], &json["remaining"]), (&Value::from("used"), &Value::from(9)));
        assert_eq!(json["user_id"], user_id);
        assert_same_moment(&mut client, &json);

        client.batch_execute("BEGIN").expect("BEGIN");
        assert!(client.consume(user_id, &codes[1]));
        client.batch_execute("ROLLBACK").expect("ROLLBACK");
        assert!(!client.consume(user_id, "x"));
        assert_eq!(heard(&mut listener), [], "nothing happened");
    }
}

#[test]
fn every_change_is_announced_with_what_is_left() {
    let server = Server::any();
    let database = server.database();
    let (mut client, mut listener) = (database.connect(), database.connect());
    listener.batch_execute("LISTEN backup_codes").expect("LISTEN");
    let changes = [
        ("SELECT backup_codes_generate(42)", "generated", 10),
        ("SELECT backup_codes_generate(42, 3)", "replaced", 3),
        ("SELECT backup_codes_prepare(42)", "prepared", 3),
        ("SELECT backup_codes_cancel(42)", "cancelled", 3),
        ("SELECT backup_codes_prepare(42, 2)", "prepared", 3),
        ("SELECT backup_codes_confirm(42)", "confirmed", 2),
        ("SELECT backup_codes_disable(42)", "disabled", 0),
        ("SELECT backup_codes_generate(42)", "generated", 10),
        ("SELECT backup_codes_revoke_all(clock_timestamp())", "revoked", 0),
    ];
    for (sql, event, remaining) in changes {
        client.query(sql, &[]).expect("no error");
        let json = only_json(&mut listener);
        assert_eq!(json["event"], event, "{sql}");
        assert_eq!(json["remaining"], remaining, "{sql}");
        assert_eq!(json["low"], remaining <= 2, "{sql}");
        assert_same_moment(&mut client, &json);
    }
}

/// Any role that can connect may listen.
#[test]
fn id_payload_names_nobody() {
    let server = Server::any();
    let database = server.database();
    let (mut client, mut listener) = (database.connect(), database.connect());
    listener.batch_execute("LISTEN backup_codes").expect("LISTEN");
    client.batch_execute("SET backup_codes.notify_payload = id").expect("SET");
    client.generate("zoë");
    let json = only_json(&mut listener);
    assert_eq!(keys(&json), ["event", "event_id"]);
    assert_eq!(json["event"], "generated");
    let sql = "SELECT user_id FROM backup_codes.event WHERE event_id = $1::text::uuid";
    assert_eq!(client.value::<String>(sql, &[&json["event_id"].as_str()]), "zoë");
}

#[test]
fn channel_and_off_are_obeyed() {
    let server = Server::any();
    let database = server.database();
    let (mut client, mut listener) = (database.connect(), database.connect());
    listener.batch_execute("LISTEN backup_codes; LISTEN \"Mails of Zoë\"").expect("LISTEN");
    client.batch_execute("SET backup_codes.channel = 'Mails of Zoë'").expect("SET");
    client.generate("42");
    let notifications = heard(&mut listener);
    assert_eq!(notifications.len(), 1);
    assert_eq!(notifications[0].0, "Mails of Zoë");
    client.batch_execute("SET backup_codes.notify = off").expect("SET");
    let codes = client.generate("42");
    assert!(client.consume("42", &codes[0]));
    assert_eq!(heard(&mut listener), []);
    assert_eq!(client.value::<i64>("SELECT count(*) FROM backup_codes.event", &[]), 3, "the outbox is the truth");
}

/// The payload is the same in every encoding: ASCII, with the user's id escaped.
#[test]
fn payload_parses_in_a_latin1_database() {
    let server = Server::any();
    let database = server.empty_database("TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'");
    let (mut client, mut listener) = (database.connect(), database.connect());
    client.batch_execute("CREATE EXTENSION backup_codes").expect("CREATE EXTENSION");
    listener.batch_execute("LISTEN backup_codes").expect("LISTEN");
    client.generate("zoë");
    assert_eq!(only_json(&mut listener)["user_id"], "zoë");
}
