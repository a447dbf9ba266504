//! However many guess at once, a user is locked after `max_failures` of them, and a locked user costs nothing.

use std::collections::BTreeMap;
use std::sync::Barrier;
use std::thread;

use host_tests::{Client, Database, Server, Session, ToSql};

const CONNECTIONS: usize = 64;
const MAX_FAILURES: usize = 5;

const ATTEMPT: &str = "SELECT status FROM backup_codes_attempt($1::text, $2)";
const CONFIRM: &str = "SELECT backup_codes_confirm($1::text, $2)";

/// Makes the statement on every connection at once, with the code that a connection has in a round; what each was told.
fn at_once<T: Send>(
    database: &Database<'_>,
    rounds: usize,
    sql: &str,
    user_id: &str,
    code: impl Fn(usize, usize) -> String + Sync,
    told: impl Fn(&mut Client, &postgres::Statement, &[&(dyn ToSql + Sync)]) -> T + Sync,
) -> Vec<T> {
    let barrier = Barrier::new(CONNECTIONS);
    thread::scope(|scope| {
        let sessions: Vec<_> = (0..CONNECTIONS)
            .map(|connection| {
                let (barrier, code, told, mut client) = (&barrier, &code, &told, database.connect());
                scope.spawn(move || {
                    let statement = client.prepare(sql).expect("a statement");
                    barrier.wait();
                    (0..rounds)
                        .map(|round| told(&mut client, &statement, &[&user_id, &code(connection, round)]))
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        sessions.into_iter().flat_map(|session| session.join().expect("no panic")).collect()
    })
}

fn status(client: &mut Client, statement: &postgres::Statement, parameters: &[&(dyn ToSql + Sync)]) -> String {
    client.query_one(statement, parameters).expect("no error").get(0)
}

fn tally(statuses: Vec<String>) -> BTreeMap<String, usize> {
    statuses.into_iter().fold(BTreeMap::new(), |mut tally, status| {
        *tally.entry(status).or_default() += 1;
        tally
    })
}

/// Well-formed codes that are not the user's: another user was shown them.
fn wrong_codes(client: &mut Client, count: usize) -> Vec<String> {
    (0..count.div_ceil(100))
        .flat_map(|stranger| {
            let stranger = format!("stranger {stranger}");
            let rows = client.query("SELECT backup_codes_generate($1::text, 100)", &[&stranger]);
            rows.expect("codes").iter().map(|row| row.get(0)).collect::<Vec<_>>()
        })
        .collect()
}

fn locks(client: &mut Client, user_id: &str) -> i64 {
    client.value("SELECT count(*) FROM backup_codes.event WHERE user_id = $1 AND kind = 'locked'", &[&user_id])
}

#[test]
fn of_64_connections_that_guess_at_one_user_only_max_failures_are_answered() {
    const ROUNDS: usize = 20;
    let server = Server::any();
    let database = server.database();
    let mut client = database.connect();
    let wrong = wrong_codes(&mut client, CONNECTIONS * ROUNDS);
    for user_id in ["one", "two", "three"] {
        let codes = client.generate(user_id);
        let code = |connection: usize, round: usize| wrong[connection * ROUNDS + round].clone();
        let told = tally(at_once(&database, ROUNDS, ATTEMPT, user_id, code, status));
        let expected = [("locked", CONNECTIONS * ROUNDS - MAX_FAILURES), ("rejected", MAX_FAILURES)];
        assert_eq!(told, expected.map(|(status, times)| (status.to_owned(), times)).into());
        assert_eq!(locks(&mut client, user_id), 1);
        let failures: i32 = client.value("SELECT failures FROM backup_codes.account WHERE user_id = $1", &[&user_id]);
        assert_eq!(failures as usize, MAX_FAILURES);

        // The right ones came too late, and none of them is spent.
        let told = tally(at_once(
            &database,
            1,
            ATTEMPT,
            user_id,
            |connection: usize, _: usize| codes[connection % 10].clone(),
            status,
        ));
        assert_eq!(told, [("locked".to_owned(), CONNECTIONS)].into());
        assert_eq!(client.remaining(user_id), 10);
    }
}

/// Short codes: a guess takes long to hash, so all of them are at work before the first is answered.
#[test]
fn of_64_connections_that_guess_a_slow_hash_only_max_failures_are_answered() {
    let server = Server::start(&[
        "fsync=off",
        "backup_codes.alphabet=decimal",
        "backup_codes.length=8",
        "backup_codes.argon2_memory=8192",
        "backup_codes.argon2_iterations=1",
    ]);
    let database = server.database();
    let mut client = database.connect();
    let codes = client.generate("42");
    let issued: Vec<String> = codes.iter().map(|code| code.replace('-', "")).collect();
    let wrong: Vec<String> = (0..).map(|n| format!("{n:08}")).filter(|code| !issued.contains(code)).take(640).collect();
    let told = tally(at_once(
        &database,
        10,
        ATTEMPT,
        "42",
        |connection: usize, round: usize| wrong[connection * 10 + round].clone(),
        status,
    ));
    assert_eq!(told.get("rejected"), Some(&MAX_FAILURES), "{told:?}");
    assert_eq!(told.get("locked"), Some(&(CONNECTIONS * 10 - MAX_FAILURES)), "{told:?}");
    assert_eq!(client.attempt("42", &codes[0]), "locked");
}

/// One right code in the crowd: it is accepted or it comes after the lock, and guesses are answered accordingly.
#[test]
fn a_right_code_among_the_guesses_starts_the_count_anew_or_is_refused() {
    let server = Server::any();
    let database = server.database();
    let mut client = database.connect();
    let wrong = wrong_codes(&mut client, CONNECTIONS);
    for round in 0..20 {
        let user_id = format!("user {round}");
        let right = client.generate(&user_id).remove(0);
        let code =
            |connection: usize, _: usize| if connection == round { right.clone() } else { wrong[connection].clone() };
        let told = tally(at_once(&database, 1, ATTEMPT, &user_id, code, status));
        let count = |status: &str| told.get(status).copied().unwrap_or_default();
        let (accepted, rejected) = (count("accepted"), count("rejected"));
        assert_eq!(accepted + rejected + count("locked"), CONNECTIONS, "{told:?}");
        match accepted {
            // Up to four before it, five after it.
            1 => assert!((MAX_FAILURES..2 * MAX_FAILURES).contains(&rejected), "{told:?}"),
            _ => assert_eq!(rejected, MAX_FAILURES, "{told:?}"),
        }
        assert_eq!(locks(&mut client, &user_id), 1);
        assert_eq!(client.remaining(&user_id), 10 - accepted as i32);
    }
}

/// What 64 connections prove at once: `max_failures` of them end the pending set, and the right proof is too late.
#[test]
fn of_64_connections_that_prove_at_once_only_max_failures_are_judged() {
    const ROUNDS: usize = 10;
    let server = Server::any();
    let database = server.database();
    let mut client = database.connect();
    let wrong = wrong_codes(&mut client, CONNECTIONS * ROUNDS);
    let codes = client.generate("42");
    let pending: Vec<String> =
        client.query("SELECT backup_codes_prepare('42')", &[]).expect("codes").iter().map(|row| row.get(0)).collect();
    // A trigger of the test's own keeps a book of what is judged: proofs counted on the pending set.
    client
        .batch_execute(
            "CREATE TABLE book (failures int);
             CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
               BEGIN INSERT INTO public.book VALUES (NEW.failures); RETURN NULL; END $$;
             CREATE TRIGGER note AFTER UPDATE ON backup_codes.pending_set FOR EACH ROW EXECUTE FUNCTION note()",
        )
        .expect("a trigger");
    let code = |connection: usize, round: usize| wrong[connection * ROUNDS + round].clone();
    let told = at_once(&database, ROUNDS, CONFIRM, "42", code, |client, statement, parameters| {
        client.query_one(statement, parameters).expect("no error").get::<_, bool>(0)
    });
    assert!(told.iter().all(|confirmed| !confirmed));
    let judged: Vec<i32> = client
        .query("SELECT failures FROM book ORDER BY 1", &[])
        .expect("a book")
        .iter()
        .map(|row| row.get(0))
        .collect();
    assert_eq!(judged, [1, 2, 3, 4, 5]);

    let told = at_once(
        &database,
        1,
        CONFIRM,
        "42",
        |connection: usize, _: usize| pending[connection % 10].clone(),
        |client, s, p| client.query_one(s, p).expect("no error").get::<_, bool>(0),
    );
    assert!(told.iter().all(|confirmed| !confirmed), "the set is gone");
    let cancelled: i64 = client.value(
        "SELECT count(*) FROM backup_codes.event WHERE user_id = '42' AND kind = 'cancelled' AND reason = 'failures'",
        &[],
    );
    assert_eq!(cancelled, 1);
    assert_eq!(client.remaining("42"), 10, "the active set was never touched");
    assert_eq!(client.attempt("42", &codes[0]), "accepted", "nor locked");
}

/// What an attempt leaves behind in its transaction and on its user's row.
fn assert_free(client: &mut Client, user_id: &str, code: &str, expected: &str) {
    let row = "SELECT format('%s %s %s', ctid, xmin, xmax) FROM backup_codes.account WHERE user_id = $1";
    let account =
        |client: &mut Client| client.query_opt(row, &[&user_id]).expect("a query").map(|row| row.get::<_, String>(0));
    // Everything that reads a table for the first time may write hint bits and prune: do that first.
    for sql in ["VACUUM backup_codes.account", "VACUUM backup_codes.code", "CHECKPOINT"] {
        client.batch_execute(sql).expect(sql);
    }
    assert_eq!(client.attempt(user_id, code), expected);
    let before = account(client);
    let position = "SELECT pg_current_wal_insert_lsn()::text";
    let mut start: String = client.value(position, &[]);
    // The background writer and autovacuum write as well: one undisturbed try is proof enough.
    let undisturbed = (0..50).any(|_| {
        start = client.value(position, &[]);
        client.batch_execute("BEGIN").expect("BEGIN");
        assert_eq!(client.attempt(user_id, code), expected);
        assert!(!client.value::<bool>("SELECT backup_codes_consume($1::text, $2)", &[&user_id, &code]));
        let xid: Option<String> = client.value("SELECT pg_current_xact_id_if_assigned()::text", &[]);
        assert_eq!(xid, None, "a transaction id");
        let locks: Vec<String> = client
            .query(
                "SELECT concat_ws(' ', locktype, relation::regclass, mode) FROM pg_locks
                  WHERE pid = pg_backend_pid() AND locktype <> 'virtualxid' AND mode <> 'AccessShareLock'
                    AND NOT (mode IN ('RowShareLock', 'RowExclusiveLock') AND $1)",
                // Who has no row to lock goes through the statements that would.
                &[&(expected == "rejected")],
            )
            .expect("locks")
            .iter()
            .map(|row| row.get(0))
            .collect();
        assert!(locks.is_empty(), "{locks:?}");
        client.batch_execute("COMMIT").expect("COMMIT");
        client.value::<String>(position, &[]) == start
    });
    assert!(undisturbed, "every attempt wrote WAL");
    assert_eq!(account(client), before);
}

#[test]
fn an_attempt_on_a_locked_or_an_unknown_user_writes_nothing_and_locks_nothing() {
    let server = Server::start(&["fsync=off", "autovacuum=off"]);
    let database = server.database();
    let mut client = database.connect();
    let wrong = wrong_codes(&mut client, 1).remove(0);
    let codes = client.generate("42");
    for _ in 0..MAX_FAILURES {
        assert_eq!(client.attempt("42", &wrong), "rejected");
    }
    assert_free(&mut client, "42", &wrong, "locked");
    assert_free(&mut client, "42", &codes[0], "locked");
    assert_free(&mut client, "42", "123456", "locked");
    assert_free(&mut client, "42", "x", "malformed");
    assert_free(&mut client, "nobody", &wrong, "rejected");
    assert_free(&mut client, "nobody", "x", "malformed");
    client.generate("43");
    assert_free(&mut client, "43", "x", "malformed");

    // The measure is able to tell: a failure that counts writes.
    let position = "SELECT pg_current_wal_insert_lsn()::text";
    let start: String = client.value(position, &[]);
    client.batch_execute("BEGIN").expect("BEGIN");
    assert_eq!(client.attempt("43", &wrong), "rejected");
    assert!(client.value::<Option<String>>("SELECT pg_current_xact_id_if_assigned()::text", &[]).is_some());
    client.batch_execute("COMMIT").expect("COMMIT");
    assert_ne!(client.value::<String>(position, &[]), start);
}

/// A locked user is answered while another session holds his row, so a guesser cannot pile up sessions there.
#[test]
fn an_attempt_on_a_locked_user_waits_for_nobody() {
    let server = Server::any();
    let database = server.database();
    let mut client = database.connect();
    let wrong = wrong_codes(&mut client, 1).remove(0);
    client.generate("42");
    for _ in 0..MAX_FAILURES {
        assert_eq!(client.attempt("42", &wrong), "rejected");
    }
    let mut holder = database.connect();
    let mut transaction = holder.transaction().expect("BEGIN");
    transaction.execute("SELECT FROM backup_codes.account WHERE user_id = '42' FOR UPDATE", &[]).expect("a lock");
    client.batch_execute("SET lock_timeout = '1ms'").expect("SET");
    assert_eq!(client.attempt("42", &wrong), "locked");
    transaction.rollback().expect("ROLLBACK");
}

/// The lock passes by itself.
#[test]
fn a_lock_passes_after_lockout() {
    let server = Server::any();
    let database = server.database();
    let mut client = database.connect();
    client.batch_execute("SELECT backup_codes_remaining(1); SET backup_codes.lockout = 1").expect("SET");
    let wrong = wrong_codes(&mut client, 1).remove(0);
    let codes = client.generate("42");
    for _ in 0..MAX_FAILURES {
        client.attempt("42", &wrong);
    }
    assert_eq!(client.attempt("42", &codes[0]), "locked");
    host_tests::wait_until("the end of the lock", || {
        let until = "SELECT locked_until IS NULL FROM backup_codes_status('42'::text)";
        client.value::<bool>(until, &[])
    });
    assert_eq!(client.attempt("42", &codes[0]), "accepted");
}
