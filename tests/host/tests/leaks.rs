//! A backend that serves for months must not grow.
//!
//! BACKUP_CODES_LEAK_CALLS says how often each function is called: 100,000 times where nothing is said, or as often as 3
//! seconds allow; set to 1000000 it runs as long as it takes.

use std::time::{Duration, Instant};

use host_tests::{Client, Server, Session, memory};

/// What a backend may gain, in kB: a leak of 16 bytes a call would show, and nothing else does.
const LIMIT: i64 = 1_000;

/// Calls in one statement; each gets a number $1 + i.
const BATCH: i64 = 5_000;

/// A statement that makes BATCH calls, each with a right answer.
const STATEMENTS: &[(&str, &str)] = &[
    ("consume, malformed", "SELECT count(*) FROM generate_series(1, $2::bigint) AS i WHERE NOT backup_codes_consume(43 + 0 * $1::bigint * i, 'x')"),
    (
        "consume, wrong",
        "SELECT count(*) FROM generate_series(1, $2::bigint) AS i
          WHERE NOT backup_codes_consume(42 + 0 * $1::bigint * i, '00000-00000-00000-00000-00000')",
    ),
    (
        "consume, unknown user",
        "SELECT count(*) FROM generate_series(1, $2::bigint) AS i
          WHERE NOT backup_codes_consume('unknown ' || $1::bigint * i, '00000-00000-00000-00000-00000')",
    ),
    ("consume, NULL", "SELECT count(*) FROM generate_series(1, $2::bigint) AS i WHERE NOT backup_codes_consume(0 * $1::bigint * i, NULL)"),
    (
        "consume, over-long",
        "SELECT count(*) FROM generate_series(1, $2::bigint) AS i WHERE NOT backup_codes_consume(0 * $1::bigint * i, repeat('x', 2000))",
    ),
    (
        "attempt, malformed",
        "SELECT count(*) FROM generate_series(1, $2::bigint) AS i, backup_codes_attempt(43 + 0 * $1::bigint * i, 'x') AS a
          WHERE a.status = 'malformed'",
    ),
    (
        "attempt, wrong",
        "SELECT count(*) FROM generate_series(1, $2::bigint) AS i,
                backup_codes_attempt(42 + 0 * $1::bigint * i, '00000-00000-00000-00000-00000') AS a
          WHERE a.status IN ('rejected', 'locked')",
    ),
    (
        "generate and consume",
        "SELECT count(*) FROM generate_series(1, $2::bigint / 10) AS i, backup_codes_generate($1::bigint + i % 50) AS c
          WHERE backup_codes_consume($1::bigint + i % 50, c)",
    ),
    (
        "prepare and cancel",
        "SELECT 10 * count(DISTINCT i) FROM generate_series(1, $2::bigint / 10) AS i, backup_codes_prepare($1::bigint + i % 50) AS c
          WHERE backup_codes_cancel($1::bigint + i % 50) IS NOT NULL",
    ),
    ("remaining", "SELECT count(*) FROM generate_series(1, $2::bigint) AS i WHERE backup_codes_remaining(43 + 0 * $1::bigint * i) = 10"),
    (
        "status",
        "SELECT count(*) FROM generate_series(1, $2::bigint) AS i, backup_codes_status(43 + 0 * $1::bigint * i) AS s WHERE s.remaining = 10",
    ),
    (
        "remaining, unknown user",
        "SELECT count(*) FROM generate_series(1, $2::bigint) AS i WHERE backup_codes_remaining('unknown ' || $1::bigint * i) = 0",
    ),
];

/// Calls a function again and again, and returns how many calls there were and what they cost in kB for good.
fn measure(client: &mut Client, pid: i32, call: impl FnMut(&mut Client, i64)) -> (i64, i64) {
    let mut call = call;
    let asked = std::env::var("BACKUP_CODES_LEAK_CALLS").ok().and_then(|calls| calls.parse().ok());
    let calls: i64 = asked.unwrap_or(100_000);
    let patience = if asked.is_some() { Duration::MAX } else { Duration::from_secs(3) };
    for batch in 0..3 {
        call(client, 1_000 + batch);
    }
    let before = memory(pid, "RssAnon");
    let (start, mut done) = (Instant::now(), 0);
    // Never fewer than tell a leak, however slow the machine is.
    while done < calls && (start.elapsed() < patience || done < 2 * BATCH) {
        call(client, 2_000 + done);
        done += BATCH;
    }
    (done, memory(pid, "RssAnon") - before)
}

#[test]
fn calls_in_one_statement_leak_nothing() {
    let server = Server::start(&["fsync=off"]);
    let database = server.database();
    let mut client = database.connect();
    // Wrong codes for one user, everything else for the other.
    client.generate("42");
    client.generate("43");
    let pid = client.pid();
    for (name, sql) in STATEMENTS {
        let statement = client.prepare(sql).expect("a statement");
        let (calls, grown) = measure(&mut client, pid, |client, from| {
            let row = client.query_one(&statement, &[&from, &BATCH]).expect("no error");
            assert_eq!(row.get::<_, i64>(0), BATCH, "{name}");
        });
        println!("{name}: {calls} calls, {grown} kB");
        assert!(grown < LIMIT, "{name}: {grown} kB in {calls} calls");
        assert!(calls >= 2 * BATCH, "{name}: only {calls} calls");
    }
}

/// As a pooled connection sees it: one session, each call a statement and a transaction of its own.
#[test]
fn calls_in_separate_statements_leak_nothing() {
    let server = Server::start(&["fsync=off"]);
    let database = server.database();
    let mut client = database.connect();
    client.generate("42");
    let pid = client.pid();
    let consume = client.prepare("SELECT backup_codes_consume($1::bigint, $2)").expect("a statement");
    let attempt = client.prepare("SELECT status FROM backup_codes_attempt($1::bigint, $2)").expect("a statement");
    let status = client.prepare("SELECT remaining FROM backup_codes_status($1::bigint)").expect("a statement");
    let (calls, grown) = measure(&mut client, pid, |client, _| {
        for _ in 0..BATCH / 10 {
            client.query_one(&consume, &[&42_i64, &"x"]).expect("no error");
            client.query_one(&consume, &[&42_i64, &"00000-00000-00000-00000-00000"]).expect("no error");
            client.query_one(&attempt, &[&42_i64, &"00000-00000-00000-00000-00000"]).expect("no error");
            client.query_one(&status, &[&42_i64]).expect("no error");
        }
        // An error of ours, and one that goes through our code.
        client.failure("SELECT backup_codes_generate(NULL::text)", &[]);
        client.failure("SELECT backup_codes_generate(1 / 0)", &[]);
    });
    println!("separate statements: {calls} calls, {grown} kB");
    assert!(grown < LIMIT, "{grown} kB in {calls} calls");
}

/// Each error unwinds through Rust: what was allocated on the way must be freed.
#[test]
fn errors_leak_nothing() {
    let server = Server::start(&["fsync=off"]);
    let database = server.database();
    let mut client = database.connect();
    let pid = client.pid();
    client
        .batch_execute(
            "CREATE FUNCTION fail(calls bigint) RETURNS bigint LANGUAGE plpgsql AS $$
             DECLARE failures bigint := 0;
             BEGIN
               FOR i IN 1..calls LOOP
                 BEGIN
                   PERFORM backup_codes_generate(repeat('x', 300));
                 EXCEPTION WHEN invalid_parameter_value THEN failures := failures + 1;
                 END;
               END LOOP;
               RETURN failures;
             END $$",
        )
        .expect("a function");
    let (calls, grown) = measure(&mut client, pid, |client, _| {
        assert_eq!(client.value::<i64>("SELECT fail($1)", &[&BATCH]), BATCH);
    });
    println!("errors: {calls} calls, {grown} kB");
    assert!(grown < LIMIT, "{grown} kB in {calls} calls");
}
