//! Sessions that a pooler hands around, and an extension that goes and comes back under them.

use host_tests::{Server, Session};

/// A pooler cleans a connection with DISCARD ALL; the functions need nothing of a session.
#[test]
fn functions_work_after_discard_all() {
    let server = Server::any();
    let database = server.database();
    let mut client = database.connect();
    let mut left = 10;
    for code in client.generate("42").iter().take(5) {
        client.batch_execute("DISCARD ALL").expect("DISCARD ALL");
        assert!(client.consume("42", code));
        client.batch_execute("DISCARD PLANS").expect("DISCARD PLANS");
        left -= 1;
        assert_eq!(client.remaining("42"), left);
    }
    client.batch_execute("DISCARD ALL").expect("DISCARD ALL");
    client.generate("42");
    assert_eq!(client.remaining("42"), 10);
}

/// With a pooler in transaction mode every transaction may meet another backend.
#[test]
fn set_made_by_one_backend_is_used_by_others() {
    let server = Server::any();
    let database = server.database();
    let mut backends: Vec<_> = (0..4).map(|_| database.connect()).collect();
    let codes = backends[0].generate("42");
    for (turn, code) in codes.iter().enumerate() {
        assert!(backends[turn % 4].consume("42", code));
        assert_eq!(backends[(turn + 1) % 4].remaining("42"), 9 - turn as i32);
        assert_eq!(backends[(turn + 2) % 4].attempt("42", code), "used");
    }
}

/// Another session's kept plans name tables that are gone; it must plan anew.
#[test]
fn kept_plans_survive_drop_and_create_of_the_extension() {
    let server = Server::any();
    let database = server.database();
    let (mut admin, mut client) = (database.connect(), database.connect());
    for _ in 0..3 {
        let codes = client.generate("42");
        assert!(client.consume("42", &codes[0]));
        assert_eq!(client.remaining("42"), 9);
        admin.batch_execute("DROP EXTENSION backup_codes").expect("DROP EXTENSION");
        let failure = client.failure("SELECT backup_codes_consume($1::text, $2)", &[&"42", &codes[1]]);
        assert_eq!(failure.sqlstate, "42883", "{failure:?}");
        admin.batch_execute("CREATE EXTENSION backup_codes").expect("CREATE EXTENSION");
        assert_eq!(client.remaining("42"), 0);
        assert!(!client.consume("42", &codes[1]), "its rows went with the extension");
    }
}

/// The same, while the other session is inside a transaction that has used the functions.
#[test]
fn drop_extension_waits_for_a_transaction_that_uses_it() {
    let server = Server::any();
    let database = server.database();
    let (mut admin, mut client) = (database.connect(), database.connect());
    let codes = client.generate("42");
    client.batch_execute("BEGIN").expect("BEGIN");
    assert!(client.consume("42", &codes[0]));
    admin.batch_execute("SET lock_timeout = '100ms'").expect("SET");
    let failure = admin.failure("DROP EXTENSION backup_codes", &[]);
    assert_eq!(failure.sqlstate, "55P03", "{failure:?}");
    client.batch_execute("COMMIT").expect("COMMIT");
    assert_eq!(client.remaining("42"), 9);
}
