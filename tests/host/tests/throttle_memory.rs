//! A guess that was evaluated is counted, whatever its caller does with the transaction.

use host_tests::{Client, Database, Server, Session, wait_until};

const MAX_FAILURES: usize = 5;

/// A server that counts in shared memory, whatever its version.
fn preloaded(settings: &[&str]) -> Server {
    let mut all = vec!["fsync=off", "shared_preload_libraries=backup_codes"];
    all.extend(settings);
    Server::start(&all)
}

/// A well-formed code that is nobody's but a stranger's.
fn wrong_code(client: &mut Client) -> String {
    client.generate("stranger").remove(0)
}

fn run(client: &mut Client, sql: &str) {
    client.batch_execute(sql).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
}

/// Entries of the memory that are in use.
fn entries(client: &mut Client) -> i64 {
    let detail: String =
        client.value("SELECT detail FROM backup_codes_doctor() WHERE check_name = 'throttle_memory'", &[]);
    let count = detail.split(' ').next().and_then(|count| count.parse().ok());
    count.unwrap_or_else(|| panic!("{detail}"))
}

fn failures(client: &mut Client, user_id: &str) -> i32 {
    client.value("SELECT failures FROM backup_codes.account WHERE user_id = $1", &[&user_id])
}

fn events(client: &mut Client, user_id: &str, kind: &str) -> i64 {
    client.value("SELECT count(*) FROM backup_codes.event WHERE user_id = $1 AND kind = $2", &[&user_id, &kind])
}

/// A way to take a guess back. It makes one, and tells what it was answered, where the caller could see it.
type TakeBack = fn(&Database<'_>, user_id: &str, code: &str) -> Option<String>;

fn rolled_back(database: &Database<'_>, user_id: &str, code: &str) -> Option<String> {
    let mut client = database.connect();
    run(&mut client, "BEGIN");
    let status = client.attempt(user_id, code);
    run(&mut client, "ROLLBACK");
    Some(status)
}

fn rolled_back_to_a_savepoint(database: &Database<'_>, user_id: &str, code: &str) -> Option<String> {
    let mut client = database.connect();
    run(&mut client, "BEGIN; SAVEPOINT a; SAVEPOINT b");
    let status = client.attempt(user_id, code);
    run(&mut client, "RELEASE b; ROLLBACK TO a; COMMIT");
    Some(status)
}

fn caught_by_an_exception_block(database: &Database<'_>, user_id: &str, code: &str) -> Option<String> {
    let mut client = database.connect();
    run(
        &mut client,
        &format!(
            "CREATE TEMP TABLE told (status text);
             DO $$ DECLARE s text;
             BEGIN
               BEGIN
                 SELECT status INTO s FROM backup_codes_attempt('{user_id}'::text, '{code}');
                 RAISE EXCEPTION 'taken back';
               EXCEPTION WHEN raise_exception THEN NULL;
               END;
               INSERT INTO told VALUES (s);
             END $$"
        ),
    );
    Some(client.value("TABLE told", &[]))
}

fn failed_by_the_verdict(database: &Database<'_>, user_id: &str, code: &str) -> Option<String> {
    let mut client = database.connect();
    let sql = "SELECT CASE WHEN backup_codes_consume($1::text, $2) THEN 1 ELSE 1 / (random() * 0)::int END";
    assert_eq!(client.failure(sql, &[&user_id, &code]).sqlstate, "22012");
    None
}

fn timed_out(database: &Database<'_>, user_id: &str, code: &str) -> Option<String> {
    let mut client = database.connect();
    run(&mut client, "SET statement_timeout = '200ms'");
    let sql = "SELECT backup_codes_consume($1::text, $2), pg_sleep(60)";
    assert_eq!(client.failure(sql, &[&user_id, &code]).sqlstate, "57014");
    None
}

fn disconnected(database: &Database<'_>, user_id: &str, code: &str) -> Option<String> {
    let mut client = database.connect();
    let pid = client.pid();
    run(&mut client, "BEGIN");
    let status = client.attempt(user_id, code);
    drop(client);
    gone(database, pid);
    Some(status)
}

fn terminated(database: &Database<'_>, user_id: &str, code: &str) -> Option<String> {
    let mut client = database.connect();
    let pid = client.pid();
    run(&mut client, "BEGIN");
    let status = client.attempt(user_id, code);
    assert!(database.connect().value::<bool>("SELECT pg_terminate_backend($1)", &[&pid]));
    gone(database, pid);
    Some(status)
}

fn gone(database: &Database<'_>, pid: i32) {
    let mut client = database.connect();
    wait_until("the end of a session", || {
        client.value::<bool>("SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1)", &[&pid])
    });
}

fn prepared_and_rolled_back(database: &Database<'_>, user_id: &str, code: &str) -> Option<String> {
    let mut client = database.connect();
    run(&mut client, "LOAD 'backup_codes'; SET backup_codes.notify = off; BEGIN");
    let status = client.attempt(user_id, code);
    run(&mut client, "PREPARE TRANSACTION 'guess'");
    run(&mut client, "ROLLBACK PREPARED 'guess'");
    Some(status)
}

/// A serializable transaction whose commit fails.
fn lost_at_commit(database: &Database<'_>, user_id: &str, code: &str) -> Option<String> {
    let (mut client, mut other) = (database.connect(), database.connect());
    run(&mut client, "CREATE TABLE IF NOT EXISTS skew (n int)");
    run(&mut client, "BEGIN ISOLATION LEVEL SERIALIZABLE");
    run(&mut other, "BEGIN ISOLATION LEVEL SERIALIZABLE");
    let status = client.attempt(user_id, code);
    run(&mut client, "SELECT count(*) FROM skew; INSERT INTO skew VALUES (1)");
    run(&mut other, "SELECT count(*) FROM skew; INSERT INTO skew VALUES (2); COMMIT");
    let Err(error) = client.batch_execute("COMMIT") else { panic!("both were committed") };
    assert_eq!(error.code().map(|code| code.code()), Some("40001"));
    Some(status)
}

#[test]
fn max_failures_guesses_lock_however_they_are_taken_back() {
    let server = preloaded(&["max_prepared_transactions=5"]);
    let database = server.database();
    let mut client = database.connect();
    let wrong = wrong_code(&mut client);
    let ways: &[(&str, TakeBack)] = &[
        ("ROLLBACK", rolled_back),
        ("ROLLBACK TO", rolled_back_to_a_savepoint),
        ("EXCEPTION", caught_by_an_exception_block),
        ("an error after the answer", failed_by_the_verdict),
        ("a timeout", timed_out),
        ("a disconnect", disconnected),
        ("pg_terminate_backend", terminated),
        ("ROLLBACK PREPARED", prepared_and_rolled_back),
        ("40001 at commit", lost_at_commit),
    ];
    for (way, take_back) in ways {
        let codes = client.generate(way);
        for guess in 0..MAX_FAILURES {
            let status = take_back(&database, way, &wrong);
            assert!(status.is_none_or(|status| status == "rejected"), "{way}, guess {guess}");
        }
        assert_eq!(failures(&mut client, way), 0, "{way}: none is in the row");
        assert_eq!(client.attempt(way, &wrong), "locked", "{way}");
        assert_eq!(client.attempt(way, &codes[0]), "locked", "{way}");
        assert_eq!(client.remaining(way), 10, "{way}");
    }
    let lines = server.log().matches("a user of backup codes is locked").count();
    assert_eq!(lines, ways.len(), "each lock is logged at once");
    assert!(!server.log().contains("ROLLBACK TO'"), "without the user");
}

/// What each way leaves when the guess is right: nothing.
#[test]
fn a_right_code_that_is_taken_back_leaves_nothing() {
    let server = preloaded(&["max_prepared_transactions=5"]);
    let database = server.database();
    let mut client = database.connect();
    let ways: &[(&str, TakeBack)] = &[
        ("ROLLBACK", rolled_back),
        ("ROLLBACK TO", rolled_back_to_a_savepoint),
        ("EXCEPTION", caught_by_an_exception_block),
        ("a disconnect", disconnected),
        ("ROLLBACK PREPARED", prepared_and_rolled_back),
    ];
    for (way, take_back) in ways {
        let codes = client.generate(way);
        for _ in 0..2 * MAX_FAILURES {
            assert_eq!(take_back(&database, way, &codes[0]).as_deref(), Some("accepted"), "{way}");
        }
        assert_eq!(entries(&mut client), 0, "{way}");
        assert_eq!(client.attempt(way, &codes[0]), "accepted", "{way}");
    }
}

/// Whoever keeps the row busy and gives up waiting learns nothing, not from the statistics either, with memory and without.
#[test]
fn a_guess_that_does_not_get_the_row_is_not_evaluated() {
    for settings in [&["shared_preload_libraries=backup_codes"][..], &[]] {
        let mut all = vec!["fsync=off"];
        all.extend(settings);
        let server = Server::start(&all);
        let database = server.database();
        let mut client = database.connect();
        let wrong = wrong_code(&mut client);
        let codes = client.generate("42");
        let pending: String = client.value("SELECT backup_codes_prepare('42', 1)", &[]);
        let mut holder = database.connect();
        run(&mut holder, "BEGIN");
        assert_eq!(holder.attempt("42", &wrong), "rejected");
        // A session of its own has nothing else in its statistics.
        let mut client = database.connect();
        run(&mut client, "SET lock_timeout = '1ms'; BEGIN");
        let fetched = "SELECT (SELECT idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'code')
                            + pg_stat_get_xact_tuples_returned('backup_codes.code_pkey'::regclass)
                            + pg_stat_get_xact_tuples_deleted('backup_codes.code'::regclass)
                            + pg_stat_get_xact_tuples_updated('backup_codes.code'::regclass)";
        let mut seen = Vec::new();
        for (function, code) in [
            ("backup_codes_consume", &wrong),
            ("backup_codes_consume", &codes[0]),
            ("backup_codes_confirm", &wrong),
            ("backup_codes_confirm", &pending),
        ] {
            run(&mut client, "SAVEPOINT a");
            let failure = client.failure(&format!("SELECT {function}($1::text, $2)"), &[&"42", code]);
            assert_eq!(failure.sqlstate, "55P03", "{function}: {failure:?}");
            run(&mut client, "ROLLBACK TO a");
            seen.push(client.value::<i64>(fetched, &[]));
        }
        assert_eq!(seen, [0; 4]);
        run(&mut client, "ROLLBACK");
        run(&mut holder, "COMMIT");
        assert_eq!(failures(&mut client, "42"), 1, "nor counted");
        // The measure is able to tell.
        run(&mut client, "BEGIN");
        assert_eq!(client.attempt("42", &codes[0]), "accepted");
        assert!(client.value::<i64>(fetched, &[]) > 0);
        run(&mut client, "ROLLBACK");
    }
}

#[test]
fn a_prepared_transaction_that_is_committed_counts_once() {
    let server = preloaded(&["max_prepared_transactions=5", "backup_codes.notify=off"]);
    let database = server.database();
    let mut client = database.connect();
    let wrong = wrong_code(&mut client);
    let codes = client.generate("42");
    run(&mut client, "BEGIN");
    for _ in 0..4 {
        assert_eq!(client.attempt("42", &wrong), "rejected");
    }
    run(&mut client, "PREPARE TRANSACTION 'guesses'");
    run(&mut client, "COMMIT PREPARED 'guesses'");
    assert_eq!(failures(&mut client, "42"), 4);
    assert_eq!(client.attempt("42", &codes[0]), "accepted", "four are not five");
    assert_eq!(client.attempt("42", &wrong), "rejected");
    let left: i32 = client.value("SELECT tries_left FROM backup_codes_attempt('42'::text, $1)", &[&wrong]);
    assert_eq!(left, 3, "the four do not count again after a success");
}

/// A statement that resets a user, and that leaves them with a code to try.
const RESETS: &[&str] = &[
    "SELECT count(*) FROM backup_codes_generate('42')",
    "SELECT count(*) FROM backup_codes_generate_many(ARRAY['42', '43'])",
    "SELECT count(*) FROM backup_codes_prepare('42'); SELECT backup_codes_confirm('42')",
    "SELECT backup_codes_disable('42'); SELECT count(*) FROM backup_codes_generate('42')",
    "SELECT backup_codes_forget_user('42'); SELECT count(*) FROM backup_codes_generate('42')",
    "SELECT backup_codes_rename_user('42', '44'); SELECT count(*) FROM backup_codes_generate('42')",
];

#[test]
fn a_reset_counts_from_its_commit_on_and_not_without() {
    let server = preloaded(&[]);
    let database = server.database();
    let mut client = database.connect();
    let wrong = wrong_code(&mut client);
    for reset in RESETS {
        client.generate("42");
        for _ in 0..4 {
            rolled_back(&database, "42", &wrong);
        }
        // In a savepoint, and with a guess of its own, which counts on.
        run(&mut client, &format!("BEGIN; SAVEPOINT a; {reset}; ROLLBACK TO a; COMMIT"));
        run(&mut client, &format!("BEGIN; {reset}; ROLLBACK"));
        assert_eq!(rolled_back(&database, "42", &wrong).as_deref(), Some("rejected"), "{reset}");
        assert_eq!(client.attempt("42", &wrong), "locked", "{reset}");
        // Nobody else is free before it is committed.
        let mut other = database.connect();
        run(&mut other, &format!("BEGIN; {reset}"));
        assert_eq!(client.attempt("42", &wrong), "locked", "{reset}");
        run(&mut other, "COMMIT");
        for left in [4, 3] {
            let sql = "SELECT tries_left FROM backup_codes_attempt('42'::text, $1)";
            assert_eq!(client.value::<Option<i32>>(sql, &[&wrong]), Some(left), "{reset}");
        }
        run(
            &mut client,
            "SELECT backup_codes_forget_user('42'), backup_codes_forget_user('43'), backup_codes_forget_user('44')",
        );
    }
}

#[test]
fn a_renamed_user_keeps_what_was_rolled_back() {
    let server = preloaded(&[]);
    let database = server.database();
    let mut client = database.connect();
    let wrong = wrong_code(&mut client);
    let codes = client.generate("old");
    for _ in 0..MAX_FAILURES {
        rolled_back(&database, "old", &wrong);
    }
    // Guesses at the key that they get, from a former user of it.
    client.generate("new");
    for _ in 0..3 {
        rolled_back(&database, "new", &wrong);
    }
    run(&mut client, "SELECT backup_codes_forget_user('new')");
    run(&mut client, "BEGIN; SELECT backup_codes_rename_user('old', 'new'); ROLLBACK");
    assert_eq!(client.attempt("old", &codes[0]), "locked");
    run(&mut client, "SELECT backup_codes_rename_user('old', 'new')");
    assert_eq!(client.attempt("new", &codes[0]), "locked");
    assert_eq!(failures(&mut client, "new"), 5, "neither fewer nor those of somebody else");
}

#[test]
fn a_lock_that_was_rolled_back_is_shown_and_becomes_an_event_with_the_next_committed_attempt() {
    let server = preloaded(&["backup_codes.lockout=2"]);
    let database = server.database();
    let mut client = database.connect();
    let wrong = wrong_code(&mut client);
    let codes = client.generate("42");
    for _ in 0..MAX_FAILURES {
        rolled_back(&database, "42", &wrong);
    }
    let retry: i32 = client.value("SELECT retry_after FROM backup_codes_attempt('42'::text, $1)", &[&codes[0]]);
    assert!((1..=2).contains(&retry));
    let shown = "SELECT locked_until IS NOT NULL FROM backup_codes_status('42'::text)";
    assert!(client.value::<bool>(shown, &[]));
    assert_eq!(events(&mut client, "42", "locked"), 0);
    wait_until("the end of the lock", || !client.value::<bool>(shown, &[]));
    // Rolled back, the guess after the lock leaves it to the next.
    assert_eq!(rolled_back(&database, "42", &wrong).as_deref(), Some("rejected"));
    assert_eq!(events(&mut client, "42", "locked"), 0);
    let left: i32 = client.value("SELECT tries_left FROM backup_codes_attempt('42'::text, $1)", &[&wrong]);
    assert_eq!(left, 3, "it counts from the lock on");
    assert_eq!(events(&mut client, "42", "locked"), 1);
    assert_eq!(failures(&mut client, "42"), 7);
    assert_eq!(client.attempt("42", &codes[0]), "accepted");
    assert_eq!(events(&mut client, "42", "locked"), 1, "told once");
    assert_eq!(entries(&mut client), 0);
}

/// A right code after the lock tells it as well.
#[test]
fn a_success_takes_over_the_event_of_a_lock_that_was_rolled_back() {
    let server = preloaded(&["backup_codes.lockout=1"]);
    let database = server.database();
    let mut client = database.connect();
    let wrong = wrong_code(&mut client);
    let codes = client.generate("42");
    for _ in 0..MAX_FAILURES {
        rolled_back(&database, "42", &wrong);
    }
    wait_until("the end of the lock", || client.attempt("42", &codes[0]) == "accepted");
    assert_eq!(events(&mut client, "42", "locked"), 1);
    assert_eq!(entries(&mut client), 0);
}

#[test]
fn rolled_back_failures_alone_remove_the_set() {
    let server = preloaded(&["backup_codes.max_failures=100", "backup_codes.disable_after=7"]);
    let database = server.database();
    let mut client = database.connect();
    let wrong = wrong_code(&mut client);
    let codes = client.generate("42");
    for _ in 0..7 {
        assert_eq!(rolled_back(&database, "42", &wrong).as_deref(), Some("rejected"));
    }
    assert_eq!(rolled_back(&database, "42", &codes[0]).as_deref(), Some("rejected"), "as if there were no set");
    assert_eq!((client.remaining("42"), events(&mut client, "42", "disabled")), (10, 0));
    assert_eq!(client.attempt("42", &codes[0]), "rejected");
    assert_eq!((client.remaining("42"), events(&mut client, "42", "disabled")), (0, 1));
    let codes = client.generate("42");
    assert_eq!(client.attempt("42", &codes[0]), "accepted");
}

#[test]
fn the_limit_of_whoever_guesses_counts_everybody_s_failures_since_the_last_lock() {
    let server = preloaded(&[]);
    let database = server.database();
    let mut client = database.connect();
    let wrong = wrong_code(&mut client);
    client.generate("42");
    let mut evaluated = 0;
    for (guess, limit) in [7, 5].into_iter().cycle().enumerate().take(20) {
        run(&mut client, &format!("SET backup_codes.max_failures = {limit}; BEGIN"));
        let status = client.attempt("42", &wrong);
        run(&mut client, "ROLLBACK");
        assert_eq!(status, if guess < 5 { "rejected" } else { "locked" }, "guess {guess}");
        evaluated += usize::from(status == "rejected");
    }
    assert_eq!(evaluated, 5, "the fifth was judged by the one with seven, and the one with five finds it enough");
}

#[test]
fn wrong_proofs_that_are_rolled_back_drop_the_pending_set() {
    let server = preloaded(&[]);
    let database = server.database();
    let mut client = database.connect();
    let wrong = wrong_code(&mut client);
    let codes = client.generate("42");
    let prove = "SELECT backup_codes_confirm('42'::text, $1)";
    let guess = |client: &mut Client, code: &str| {
        run(client, "BEGIN");
        let confirmed: bool = client.value(prove, &[&code]);
        run(client, "ROLLBACK");
        confirmed
    };
    let pending: String = client.value("SELECT backup_codes_prepare('42', 1)", &[]);
    for _ in 0..4 {
        assert!(!guess(&mut client, &wrong));
    }
    assert!(guess(&mut client, &pending), "four are not five, and a right one that is rolled back leaves nothing");
    assert!(!guess(&mut client, &wrong));
    assert!(!guess(&mut client, &pending), "nothing is evaluated any more");
    let waits = "SELECT count(*) FROM backup_codes.pending_set";
    assert_eq!(client.value::<i64>(waits, &[]), 1);
    assert!(!client.value::<bool>(prove, &[&pending]));
    assert_eq!(client.value::<i64>(waits, &[]), 0);
    assert_eq!(events(&mut client, "42", "cancelled"), 1);

    // Preparing anew starts at nothing, once it is committed.
    let pending: String = client.value("SELECT backup_codes_prepare('42', 1)", &[]);
    for _ in 0..4 {
        assert!(!guess(&mut client, &wrong));
    }
    assert!(client.value::<bool>(prove, &[&pending]));
    assert_eq!(client.attempt("42", &codes[0]), "rejected", "of the set that it replaced");
    assert_eq!(client.attempt("42", &pending), "accepted");
}

#[test]
fn a_spray_over_more_users_than_entries_gains_no_guess() {
    let server = preloaded(&["backup_codes.throttle_entries=16"]);
    let database = server.database();
    let mut client = database.connect();
    let wrong = wrong_code(&mut client);
    let users: Vec<String> = (0..40).map(|user| format!("user {user}")).collect();
    run(
        &mut client,
        "SELECT count(*) FROM backup_codes_generate_many((SELECT array_agg('user ' || n) FROM generate_series(0, 39) AS n))",
    );
    let mut evaluated = vec![0; users.len()];
    for _ in 0..8 {
        for (user, times) in users.iter().zip(&mut evaluated) {
            *times += usize::from(rolled_back(&database, user, &wrong).as_deref() == Some("rejected"));
        }
    }
    assert!(evaluated.iter().all(|times| *times <= MAX_FAILURES), "{evaluated:?}");
    assert!(evaluated.iter().filter(|times| **times == MAX_FAILURES).count() >= 16, "{evaluated:?}");
    let (status, detail): (String, String) = {
        let row = client
            .query_one("SELECT status, detail FROM backup_codes_doctor() WHERE check_name = 'throttle_memory'", &[]);
        let row = row.expect("a check");
        (row.get(0), row.get(1))
    };
    assert!(status == "warning" && detail.contains("guesses found no entry"), "{status}: {detail}");
    // No set was lost to the guesses of strangers.
    assert_eq!(client.value::<i64>("SELECT count(*) FROM backup_codes.account WHERE unused = 10", &[]), 41);
}

#[test]
fn committed_work_leaves_no_entry() {
    let server = preloaded(&[]);
    let database = server.database();
    let mut client = database.connect();
    let wrong = wrong_code(&mut client);
    run(
        &mut client,
        "SELECT count(*) FROM backup_codes_generate_many((SELECT array_agg(n) FROM generate_series(1, 2000) AS n), 1)",
    );
    let guess = "SELECT count(*) FROM generate_series($1::int, $2) AS n, backup_codes_attempt(n::bigint, $3) WHERE status = 'rejected'";
    // More users in one transaction than it keeps notes of: the others cool off.
    assert_eq!(client.value::<i64>(guess, &[&1, &64, &wrong]), 64);
    assert_eq!(entries(&mut client), 0);
    assert_eq!(client.value::<i64>(guess, &[&101, &200, &wrong]), 100);
    assert_eq!(entries(&mut client), 36);
    for n in 201..=2000 {
        assert_eq!(client.value::<i64>(guess, &[&n, &n, &wrong]), 1);
    }
    assert_eq!(entries(&mut client), 36);
    // The row of each knows: nothing is counted twice.
    let left = "SELECT tries_left FROM backup_codes_attempt(190::bigint, $1)";
    assert_eq!(client.value::<i32>(left, &[&wrong]), 3);
    // A savepoint that is released belongs to its transaction.
    run(&mut client, "BEGIN; SAVEPOINT a");
    assert_eq!(client.attempt("1", &wrong), "rejected");
    run(&mut client, "RELEASE a; COMMIT");
    assert_eq!(entries(&mut client), 35, "190 has none any more, and 1 none");
}

#[test]
fn honest_users_are_locked_no_earlier_than_by_their_row() {
    let server = preloaded(&[]);
    let database = server.database();
    let mut client = database.connect();
    let wrong = wrong_code(&mut client);
    let codes = client.generate("42");
    for _ in 0..4 {
        assert_eq!(client.attempt("42", &wrong), "rejected");
    }
    // A right code in flight is no failure: who comes second waits, and is not told locked.
    let mut first = database.connect();
    run(&mut first, "BEGIN");
    assert_eq!(first.attempt("42", &codes[0]), "accepted");
    let mut second = database.connect();
    let pid = second.pid();
    let waiting = std::thread::scope(|scope| {
        let second = scope.spawn(|| second.attempt("42", &codes[1]));
        wait_until("a wait for the row", || {
            client.value::<bool>("SELECT EXISTS (SELECT FROM pg_locks WHERE pid = $1 AND NOT granted)", &[&pid])
        });
        run(&mut first, "COMMIT");
        second.join().expect("no panic")
    });
    assert_eq!(waiting, "accepted");
}

#[test]
fn an_attempt_on_a_user_whom_the_memory_alone_locks_takes_no_lock_and_no_transaction_id() {
    let server = preloaded(&[]);
    let database = server.database();
    let mut client = database.connect();
    let wrong = wrong_code(&mut client);
    let codes = client.generate("42");
    for _ in 0..MAX_FAILURES {
        rolled_back(&database, "42", &wrong);
    }
    let mut holder = database.connect();
    run(&mut holder, "BEGIN; SELECT FROM backup_codes.account FOR UPDATE");
    run(&mut client, "SET lock_timeout = '1ms'; BEGIN");
    assert_eq!(client.attempt("42", &codes[0]), "locked");
    assert_eq!(client.value::<Option<String>>("SELECT pg_current_xact_id_if_assigned()::text", &[]), None);
    let locks: i64 = client.value(
        "SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype <> 'virtualxid' AND mode <> 'AccessShareLock'",
        &[],
    );
    assert_eq!(locks, 0);
}

/// Restarts and crashes forget what was rolled back, and marks of another memory count for nothing.
#[test]
fn a_row_is_right_by_itself_after_a_crash_and_with_any_mark() {
    let server = preloaded(&[]);
    let wrong = {
        let mut client = server.connect("postgres");
        run(&mut client, "CREATE EXTENSION backup_codes");
        let wrong = wrong_code(&mut client);
        client.generate("42");
        for _ in 0..2 {
            assert_eq!(client.attempt("42", &wrong), "rejected");
        }
        run(&mut client, "BEGIN");
        assert_eq!(client.attempt("42", &wrong), "rejected");
        assert_eq!(client.attempt("42", &wrong), "rejected");
        run(&mut client, "ROLLBACK");
        wrong
    };
    server.kill();
    server.resume();
    let mut client = server.connect("postgres");
    let left = "SELECT tries_left FROM backup_codes_attempt('42'::text, $1)";
    run(&mut client, "BEGIN");
    assert_eq!(client.value::<i32>(left, &[&wrong]), 2, "two are in the row");
    run(&mut client, "ROLLBACK");
    for mark in ["NULL", "0", "-1", "9223372036854775807", "-9223372036854775808"] {
        run(&mut client, &format!("UPDATE backup_codes.account SET mark = {mark} WHERE user_id = '42'; BEGIN"));
        assert_eq!(
            client.value::<i32>(left, &[&wrong]),
            1,
            "{mark}: two in the row, one that was rolled back, and this one"
        );
        // Not charged for good: the savepoint of this test is the right code's.
        run(&mut client, "ROLLBACK; SELECT count(*) FROM backup_codes_generate('42')");
        for _ in 0..2 {
            assert_eq!(client.attempt("42", &wrong), "rejected");
        }
        run(&mut client, "BEGIN");
        assert_eq!(client.attempt("42", &wrong), "rejected");
        run(&mut client, "ROLLBACK");
    }
}

/// Where there is no memory the row counts alone, and doctor says so; from PostgreSQL 17 on there is memory for everybody.
#[test]
fn a_library_that_is_not_preloaded_counts_in_memory_where_the_server_gives_it() {
    let server = Server::start(&["fsync=off"]);
    let database = server.database();
    let mut client = database.connect();
    let wrong = wrong_code(&mut client);
    let codes = client.generate("42");
    let memory = client.value::<i32>("SELECT current_setting('server_version_num')::int", &[]) >= 170_000;
    for _ in 0..MAX_FAILURES {
        assert_eq!(rolled_back(&database, "42", &wrong).as_deref(), Some("rejected"));
    }
    let status: String =
        client.value("SELECT status FROM backup_codes_doctor() WHERE check_name = 'throttle_memory'", &[]);
    assert_eq!(status, if memory { "ok" } else { "warning" });
    assert_eq!(client.attempt("42", &codes[0]), if memory { "locked" } else { "accepted" });
    // What is committed counts everywhere.
    client.generate("43");
    for _ in 0..MAX_FAILURES {
        assert_eq!(client.attempt("43", &wrong), "rejected");
    }
    assert_eq!(client.attempt("43", &wrong), "locked");
}

#[test]
fn databases_do_not_share_a_user() {
    let server = preloaded(&[]);
    let (one, two) = (server.database(), server.database());
    let (mut first, mut second) = (one.connect(), two.connect());
    let wrong = wrong_code(&mut first);
    first.generate("42");
    let codes = second.generate("42");
    for _ in 0..MAX_FAILURES {
        rolled_back(&one, "42", &wrong);
    }
    assert_eq!(first.attempt("42", &wrong), "locked");
    assert_eq!(second.attempt("42", &codes[0]), "accepted");
}
