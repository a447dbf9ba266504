//! Two-phase commit: what is prepared is decided, whoever commits it.

use host_tests::{Server, Session};

#[test]
fn prepared_transaction_burns_the_code_when_it_is_committed() {
    let server = Server::start(&["fsync=off", "max_prepared_transactions=10"]);
    let database = server.database();
    let (mut client, mut other) = (database.connect(), database.connect());
    let codes = client.generate("42");

    // NOTIFY and two-phase commit exclude each other in PostgreSQL.
    client.batch_execute("BEGIN").expect("BEGIN");
    assert!(client.consume("42", &codes[0]));
    let failure = client.failure("PREPARE TRANSACTION 'with notify'", &[]);
    assert_eq!(failure.sqlstate, "0A000", "{failure:?}");
    client.batch_execute("ROLLBACK").expect("ROLLBACK");
    assert_eq!(other.remaining("42"), 10);

    client.batch_execute("SET backup_codes.notify = off").expect("SET");
    client.batch_execute("BEGIN").expect("BEGIN");
    assert!(client.consume("42", &codes[0]));
    client.batch_execute("PREPARE TRANSACTION 'kept'").expect("PREPARE TRANSACTION");
    assert_eq!(other.remaining("42"), 10, "not committed yet");
    other.batch_execute("SET lock_timeout = '100ms'").expect("SET");
    let failure = other.failure("SELECT backup_codes_consume($1::text, $2)", &[&"42", &codes[0]]);
    assert_eq!(failure.sqlstate, "55P03", "the same code waits for the decision: {failure:?}");
    other.batch_execute("COMMIT PREPARED 'kept'").expect("COMMIT PREPARED");
    assert_eq!(other.remaining("42"), 9);
    assert_eq!(other.attempt("42", &codes[0]), "used");

    client.batch_execute("BEGIN").expect("BEGIN");
    assert!(client.consume("42", &codes[1]));
    client.batch_execute("PREPARE TRANSACTION 'dropped'").expect("PREPARE TRANSACTION");
    client.batch_execute("ROLLBACK PREPARED 'dropped'").expect("ROLLBACK PREPARED");
    assert_eq!(other.remaining("42"), 9);
    assert!(other.consume("42", &codes[1]));
}

/// After a crash the prepared transaction is still there, and so is its decision.
#[test]
fn prepared_transaction_survives_a_crash() {
    let server = Server::start(&["max_prepared_transactions=10", "backup_codes.notify=off"]);
    let codes = {
        let mut client = server.connect("postgres");
        client.batch_execute("CREATE EXTENSION backup_codes; SET synchronous_commit = off").expect("CREATE EXTENSION");
        let codes = client.generate("42");
        client.batch_execute("BEGIN").expect("BEGIN");
        assert!(client.consume("42", &codes[0]));
        client.batch_execute("PREPARE TRANSACTION 'kept'").expect("PREPARE TRANSACTION");
        server.kill();
        codes
    };
    server.resume();
    let mut client = server.connect("postgres");
    assert_eq!(client.remaining("42"), 10);
    client.batch_execute("COMMIT PREPARED 'kept'").expect("COMMIT PREPARED");
    assert_eq!(client.attempt("42", &codes[0]), "used");
    assert_eq!(client.remaining("42"), 9);
}
