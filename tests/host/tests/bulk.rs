//! A whole user base in one statement.

use host_tests::{Server, Session, memory};
use postgres::fallible_iterator::FallibleIterator;

const USERS: i64 = 20_000;

/// The worst moment for a kept plan: the session has planned its statements while every table was empty.
#[test]
fn enrolling_everybody_on_a_fresh_install_is_fast_flat_and_folds_notifications() {
    let server = Server::start(&["fsync=off"]);
    let database = server.database();
    let mut listener = database.connect();
    listener.batch_execute("LISTEN backup_codes").expect("LISTEN");

    let mut client = database.connect();
    let pid = client.pid();
    let codes = client.generate("0");
    assert!(client.consume("0", &codes[0]));
    assert!(!client.value::<bool>("SELECT backup_codes_cancel(0)", &[]));
    assert_eq!(client.value::<i32>("SELECT backup_codes_disable(0)", &[]), 9);
    client.batch_execute("DELETE FROM backup_codes.account; DELETE FROM backup_codes.event").expect("DELETE");
    client.batch_execute("VACUUM").expect("VACUUM");
    // A plan that scans would need the square of the users: days, not seconds.
    client.batch_execute("SET statement_timeout = '2min'").expect("SET");
    let codes: i64 = client
        .value("SELECT count(*) FROM generate_series(1, $1::bigint) AS u, backup_codes_generate(u) AS c", &[&USERS]);
    assert_eq!(codes, USERS * 10);
    let resident = memory(pid, "VmHWM");
    assert!(resident < 200_000, "{resident} kB");
    assert_eq!(client.value::<i64>("SELECT count(*) FROM backup_codes.code", &[]), USERS * 10);
    assert_eq!(client.value::<i64>("SELECT count(*) FROM backup_codes.event", &[]), USERS);

    listener.batch_execute("SELECT 1").expect("SELECT");
    let payloads: Vec<String> =
        listener.notifications().iter().map(|n| Ok(n.payload().to_owned())).collect().expect("notifications");
    let kind = |payload: &String| {
        let json: serde_json::Value = serde_json::from_str(payload).expect("JSON");
        json["event"].as_str().expect("a string").to_owned()
    };
    // Three transactions went before: generated, used, disabled.
    let bulk: Vec<String> = payloads.iter().skip(3).map(kind).collect();
    assert_eq!(bulk.len(), 65);
    assert!(bulk[..64].iter().all(|kind| kind == "generated"), "{bulk:?}");
    assert_eq!(payloads[67], r#"{"event":"many"}"#);
}
