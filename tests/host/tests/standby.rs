//! A hot standby refuses writers with a hint, serves readers, and takes over with the codes as they are.

use host_tests::{Client, Server, Session, run, server_program, wait_until};

/// Every function that changes something.
const WRITERS: [&str; 14] = [
    "SELECT backup_codes_generate(42)",
    "SELECT backup_codes_prepare(42)",
    "SELECT backup_codes_confirm(42, 'x')",
    "SELECT backup_codes_confirm(42)",
    "SELECT backup_codes_cancel(42)",
    "SELECT backup_codes_regenerate(42, 'x')",
    "SELECT backup_codes_disable(42)",
    "SELECT backup_codes_disable(42, 'x')",
    "SELECT backup_codes_consume(42, 'x')",
    "SELECT * FROM backup_codes_attempt(42, 'x')",
    "SELECT backup_codes_consume(NULL::text, NULL)",
    "SELECT * FROM backup_codes_attempt(NULL::text, NULL)",
    "SELECT backup_codes_revoke_all()",
    "SELECT backup_codes_purge()",
];

fn catch_up(primary: &mut Client, standby: &mut Client) {
    let lsn: String = primary.value("SELECT pg_current_wal_lsn()::text", &[]);
    wait_until("the standby's replay", || {
        standby.value("SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn", &[&lsn])
    });
}

#[test]
fn hot_standby_reads_refuses_writes_and_takes_over() {
    let primary = Server::start(&["fsync=off"]);
    let mut client = primary.connect("postgres");
    client.batch_execute("CREATE EXTENSION backup_codes").expect("CREATE EXTENSION");
    let standby = primary.standby();
    let mut reader = standby.connect("postgres");
    let codes = client.generate("42");
    assert!(client.consume("42", &codes[2]));
    catch_up(&mut client, &mut reader);

    for sql in WRITERS {
        let failure = reader.failure(sql, &[]);
        assert_eq!(failure.sqlstate, "25006", "{sql}: {failure:?}");
        assert!(failure.message.contains("during recovery"), "{sql}: {failure:?}");
        assert!(failure.hint.contains("primary"), "{sql}: {failure:?}");
    }
    let failure = reader.failure("SELECT backup_codes_consume($1::text, $2)", &[&"42", &codes[0]]);
    assert_eq!(failure.sqlstate, "25006", "also for the right code: {failure:?}");

    assert_eq!(reader.remaining("42"), 9);
    assert_eq!(reader.remaining("43"), 0);
    let status = "SELECT enabled, remaining, total, used FROM backup_codes_status(42)";
    let row = reader.query_one(status, &[]).expect("a status");
    let used: Vec<i32> = row.get(3);
    assert_eq!((row.get(0), row.get(1), row.get(2), used), (true, 9, 10, vec![3]));
    assert_eq!(reader.value::<i64>("SELECT count(*) FROM backup_codes.overview", &[]), 1);
    assert_eq!(reader.value::<i64>("SELECT count(*) FROM backup_codes.events", &[]), 2);

    assert!(client.consume("42", &codes[7]));
    catch_up(&mut client, &mut reader);
    assert_eq!(reader.remaining("42"), 8, "the session sees what is replayed");

    primary.kill();
    run(server_program("pg_ctl").arg("-D").arg(standby.data()).args(["-w", "promote"]));
    // The very session that was refused before.
    wait_until("the end of recovery", || !reader.value::<bool>("SELECT pg_is_in_recovery()", &[]));
    assert_eq!(reader.attempt("42", &codes[2]), "used");
    assert_eq!(reader.attempt("42", &codes[7]), "used");
    assert_eq!(reader.attempt("42", &codes[0]), "accepted");
    assert_eq!(reader.attempt("42", &codes[0]), "used");
    assert_eq!(reader.generate("42").len(), 10);
}

/// With a synchronous standby that is away a commit waits for it, however the caller turned waiting off before.
#[test]
fn no_caller_keeps_a_burned_code_from_the_synchronous_standby() {
    let server = Server::start(&["fsync=off", "synchronous_standby_names=away", "synchronous_commit=local"]);
    let mut owner = server.connect("postgres");
    owner
        .batch_execute(
            "CREATE EXTENSION backup_codes;
             CREATE FUNCTION local_off(code text) RETURNS boolean LANGUAGE sql SET synchronous_commit = off
             AS 'SELECT backup_codes_consume(''42'', code)'",
        )
        .expect("the extension");
    let codes = owner.generate("42");
    let acts = [
        "SET synchronous_commit = off; SELECT backup_codes_consume('42', '@')",
        "SET synchronous_commit = on; SELECT local_off('@')",
        "SET synchronous_commit = off; SELECT local_off('@')",
        "BEGIN; SELECT backup_codes_consume('42', '@'); SET LOCAL synchronous_commit = off; COMMIT",
        "BEGIN; SAVEPOINT a; SELECT backup_codes_consume('42', '@'); RELEASE a; SET synchronous_commit = off; COMMIT",
    ];
    for (act, code) in acts.into_iter().zip(&codes) {
        let mut session = server.connect("postgres");
        let pid = session.pid();
        let sql = act.replace('@', code);
        let waiting = std::thread::spawn(move || session.batch_execute(&sql));
        let event = "SELECT wait_event = 'SyncRep' FROM pg_stat_activity WHERE pid = $1 AND wait_event IS NOT NULL";
        wait_until(act, || {
            let row = owner.query_opt(event, &[&pid]).expect("pg_stat_activity");
            waiting.is_finished() || row.is_some_and(|row| row.get(0))
        });
        assert!(!waiting.is_finished(), "{act}: nobody waited");
        owner.execute("SELECT pg_terminate_backend($1)", &[&pid]).expect("pg_terminate_backend");
        waiting.join().expect("the thread").expect_err("the session was terminated");
    }
    // What changes nothing waits for nobody.
    owner.batch_execute("SET synchronous_commit = on; SELECT backup_codes_consume('42', 'nonsense')").expect("no wait");
}

#[test]
fn read_only_transaction_refuses_writers_and_serves_readers() {
    let server = Server::any();
    let database = server.database();
    let mut client = database.connect();
    let codes = client.generate("42");
    client.batch_execute("SET default_transaction_read_only = on").expect("SET");

    for sql in WRITERS {
        let failure = client.failure(sql, &[]);
        assert_eq!(failure.sqlstate, "25006", "{sql}: {failure:?}");
        assert!(failure.message.contains("read-only transaction"), "{sql}: {failure:?}");
        assert!(failure.hint.contains("READ WRITE"), "{sql}: {failure:?}");
    }
    assert_eq!(client.remaining("42"), 10);
    let enabled: bool = client.value("SELECT enabled FROM backup_codes_status(42)", &[]);
    assert!(enabled);

    client.batch_execute("SET default_transaction_read_only = off").expect("SET");
    assert!(client.consume("42", &codes[0]), "nothing was changed");
}
