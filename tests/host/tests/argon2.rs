//! Argon2id for short codes, as a server sees it.

use std::thread;
use std::time::{Duration, Instant};

use host_tests::{Client, Server, Session, wait_until};

/// A hundred codes of this cost take many seconds.
const SLOW: &str = "SELECT backup_codes_remaining(1); SET backup_codes.length = 16;
                    SET backup_codes.argon2_memory = '64MB'; SET backup_codes.argon2_iterations = 3";
const GENERATE: &str = "SELECT backup_codes_generate($1::text, 100)";

fn assert_unchanged(client: &mut Client, codes: &[String]) {
    let rows: i64 = client.value("SELECT count(*) FROM backup_codes.code", &[]);
    assert_eq!((rows, client.remaining("42")), (10, 10));
    let events: i64 = client.value("SELECT count(*) FROM backup_codes.event", &[]);
    assert_eq!(events, 1);
    assert!(client.consume("42", &codes[0]), "the old set");
}

#[test]
fn a_statement_timeout_ends_a_long_generate_between_codes_and_leaves_nothing() {
    let server = Server::any();
    let database = server.database();
    let mut client = database.connect();
    let codes = client.generate("42");
    client.batch_execute(SLOW).expect("SET");
    client.batch_execute("SET statement_timeout = '200ms'").expect("SET");
    let start = Instant::now();
    for sql in [GENERATE, "SELECT backup_codes_prepare($1::text, 100)"] {
        assert_eq!(client.failure(sql, &[&"42"]).sqlstate, "57014");
        assert_eq!(client.failure(sql, &[&"new"]).sqlstate, "57014");
    }
    let sql = "SELECT backup_codes_regenerate($1::text, $2, 100)";
    assert_eq!(client.failure(sql, &[&"42", &codes[1]]).sqlstate, "57014");
    // A code takes a fraction of a second, a hundred take far longer than this.
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    client.batch_execute("RESET statement_timeout; RESET ALL").expect("RESET");
    assert_eq!(client.attempt("new", &codes[0]), "rejected");
    assert!(client.consume("42", &codes[1]), "the gate was not spent");
    let rows: i64 = client.value("SELECT count(*) FROM backup_codes.account", &[]);
    assert_eq!(rows, 1);
    let events: i64 = client.value("SELECT count(*) FROM backup_codes.event WHERE kind <> 'used'", &[]);
    assert_eq!((events, client.remaining("42")), (1, 9));
}

#[test]
fn a_cancel_ends_a_long_generate_between_codes_and_leaves_nothing() {
    let server = Server::any();
    let database = server.database();
    let mut client = database.connect();
    let codes = client.generate("42");
    let mut slow = database.connect();
    slow.batch_execute(SLOW).expect("SET");
    let pid = slow.pid();
    let generate = thread::spawn(move || (slow.failure(GENERATE, &[&"42"]).sqlstate, slow.remaining("42")));
    let active = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1 AND state = 'active'
                                   AND query LIKE '%generate%')";
    wait_until("a generate", || client.value::<bool>(active, &[&pid]));
    let start = Instant::now();
    assert!(client.value::<bool>("SELECT pg_cancel_backend($1)", &[&pid]));
    assert_eq!(generate.join().expect("no panic"), ("57014".to_owned(), 10), "and the session goes on");
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert_unchanged(&mut client, &codes);
}

/// The time of an attempt: of ten, the median.
fn median(client: &mut Client, user_id: &str, code: &str) -> Duration {
    let mut times: Vec<Duration> = (0..11)
        .map(|_| {
            let start = Instant::now();
            client.attempt(user_id, code);
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[times.len() / 2]
}

/// Hashing once for each stored code would take a hundred times as long; twice is what a busy machine is allowed. A malformed
/// code and a locked user cost no hash at all.
#[test]
fn an_attempt_takes_one_argon2id_whatever_the_number_of_codes() {
    let server = Server::any();
    let database = server.database();
    let mut client = database.connect();
    let settings = "SELECT backup_codes_remaining(1); SET backup_codes.length = 12; SET backup_codes.alphabet = hex;
                    SET backup_codes.max_failures = 100; SET backup_codes.argon2_memory = '8MB'";
    client.batch_execute(settings).expect("SET");
    client
        .batch_execute("SELECT backup_codes_generate('few', 1); SELECT backup_codes_generate('many', 100)")
        .expect("codes");
    let wrong = "000000000000";
    median(&mut client, "few", wrong);
    let (few, many) = (median(&mut client, "few", wrong), median(&mut client, "many", wrong));
    let (nobody, malformed) = (median(&mut client, "nobody", wrong), median(&mut client, "many", "x"));
    assert!(many < few * 5, "100 codes: {many:?}, 1 code: {few:?}");
    assert!(few < nobody * 5 && nobody < few * 5, "nobody: {nobody:?}, somebody: {few:?}");
    assert!(malformed * 2 < few, "malformed: {malformed:?}, wrong: {few:?}");
    client
        .batch_execute(
            "UPDATE backup_codes.account SET locked_until = now() + interval '1 hour' WHERE user_id = 'many'",
        )
        .expect("a lock");
    let locked = median(&mut client, "many", wrong);
    assert!(locked * 2 < few, "locked: {locked:?}, wrong: {few:?}");
}

/// The memory of Argon2id is the system's again when the hash is made: what stays mapped is marked as free, and is used again.
#[test]
fn argon2id_leaves_its_memory_to_the_system() {
    let server = Server::any();
    let database = server.database();
    let mut client = database.connect();
    let settings = "SELECT backup_codes_remaining(1); SET backup_codes.length = 12; SET backup_codes.alphabet = hex;
                    SET backup_codes.max_failures = 100; SET backup_codes.argon2_memory = '64MB'; SET backup_codes.argon2_iterations = 1";
    client.batch_execute(settings).expect("SET");
    client.batch_execute("SELECT backup_codes_generate('42', 2)").expect("codes");
    let pid = client.pid();
    client.attempt("42", "000000000000");
    let after_one = host_tests::needed_memory(pid);
    for _ in 0..5 {
        client.attempt("42", "000000000000");
    }
    let after_six = host_tests::needed_memory(pid);
    assert!(
        after_one < 32 * 1024 && after_six < after_one + 1024,
        "{after_one} kB after one attempt, {after_six} kB after six"
    );
    assert!(host_tests::memory(pid, "VmHWM") > 64 * 1024, "and it was there");
}
