//! Sessions at random, at every isolation level, that end their transactions in every way: the throttle knows in the end, and at
//! every moment, exactly what was evaluated.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::thread;

use host_tests::{Client, Database, Server, Session};

const MAX_FAILURES: usize = 5;
const CLIENTS: u64 = 8;
const TRANSACTIONS: usize = 6;
const GROUPS: u64 = 60;
const USERS: usize = 4;

/// What the clients of a group were told of each user.
#[derive(Default, Debug)]
struct Told {
    rejected: usize,
    locked: usize,
    /// Guesses that ended in an error: one that came after the charge, as at SERIALIZABLE it may, leaves it.
    lost: usize,
}

type Book = Mutex<BTreeMap<String, Told>>;

/// Makes a guess in the present transaction, and writes down what it was told. False when the transaction has failed.
fn guess(client: &mut Client, book: &Book, user_id: &str, wrong: &str, level: &str) -> bool {
    let sql = "SELECT status FROM backup_codes_attempt($1::text, $2)";
    let status: String = match client.query_one(sql, &[&user_id, &wrong]) {
        Ok(row) => row.get(0),
        // The row had changed under a transaction that may not see it, or two wait for each other.
        Err(error) => {
            let code = error.code().map(|code| code.code().to_owned());
            assert!(matches!(code.as_deref(), Some("40001" | "40P01")), "{error:?}");
            let lost = usize::from(level == "SERIALIZABLE");
            book.lock().expect("no panic").entry(user_id.to_owned()).or_default().lost += lost;
            return false;
        }
    };
    let mut book = book.lock().expect("no panic");
    let told = book.entry(user_id.to_owned()).or_default();
    match status.as_str() {
        "rejected" => told.rejected += 1,
        "locked" => told.locked += 1,
        other => panic!("{user_id} is {other}"),
    }
    true
}

/// A transaction with one to three guesses at one or two users, some of them in savepoints, and one of its ends.
fn transaction(
    client: &mut Client,
    random: &mut fastrand::Rng,
    book: &Book,
    users: &[String],
    wrong: &str,
    name: &str,
) {
    let level = random.choice(["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"]).expect("a level");
    run(client, &format!("BEGIN ISOLATION LEVEL {level}"));
    let mut chosen: Vec<_> = (0..random.usize(1..=2)).map(|_| random.usize(..users.len())).collect();
    // In one order, as the documentation says of transactions about two users.
    chosen.sort_unstable();
    for at in chosen {
        for _ in 0..random.usize(1..=2) {
            let savepoint = random.bool();
            if savepoint {
                run(client, "SAVEPOINT s");
            }
            if !guess(client, book, &users[at], wrong, level) {
                return run(client, "ROLLBACK");
            }
            if savepoint {
                run(client, if random.bool() { "ROLLBACK TO s" } else { "RELEASE s" });
            }
        }
    }
    match random.u8(..5) {
        0 | 1 => {
            // 40001 at the commit of a serializable transaction is one more way to lose it.
            let _ = client.batch_execute("COMMIT");
        }
        2 | 3 => run(client, "ROLLBACK"),
        _ => {
            if client.batch_execute(&format!("PREPARE TRANSACTION '{name}'")).is_ok() {
                let end = if random.bool() { "COMMIT" } else { "ROLLBACK" };
                run(client, &format!("{end} PREPARED '{name}'"));
            }
        }
    }
}

fn run(client: &mut Client, sql: &str) {
    client.batch_execute(sql).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
}

/// A group of new users, at whom all clients guess at a time; what they were told.
fn group(database: &Database<'_>, number: u64, seed: u64, wrong: &str) -> (Vec<String>, Book) {
    let users: Vec<String> = (0..USERS).map(|user| format!("user {number} {user}")).collect();
    let mut client = database.connect();
    for user in &users {
        client.generate(user);
    }
    let book = Book::default();
    thread::scope(|scope| {
        for session in 0..CLIENTS {
            let (users, book, mut client) = (&users, &book, database.connect());
            let mut random = fastrand::Rng::with_seed(seed ^ (number * CLIENTS + session));
            scope.spawn(move || {
                run(&mut client, "LOAD 'backup_codes'; SET backup_codes.notify = off");
                for at in 0..TRANSACTIONS {
                    let name = format!("{number} {session} {at}");
                    transaction(&mut client, &mut random, book, users, wrong, &name);
                }
            });
        }
    });
    (users, book)
}

#[test]
fn the_throttle_knows_exactly_what_was_evaluated() {
    let server = Server::start(&[
        "fsync=off",
        "shared_preload_libraries=backup_codes",
        "max_prepared_transactions=50",
        "backup_codes.lockout=1d",
    ]);
    let database = server.database();
    let mut client = database.connect();
    let wrong = client.generate("stranger").remove(0);
    let seed = fastrand::u64(..);
    let mut locked = 0;
    for number in 0..GROUPS {
        let (users, book) = group(&database, number, seed, &wrong);
        let book = book.into_inner().expect("no panic");
        for user in users {
            let told = book.get(&user).map_or((0, 0, 0), |told| (told.rejected, told.locked, told.lost));
            let (evaluated, refused, lost) = told;
            assert!(evaluated <= MAX_FAILURES, "seed {seed}: {user} was evaluated {evaluated} times");
            assert!(
                refused == 0 || evaluated + lost >= MAX_FAILURES,
                "seed {seed}: {user} was locked after {evaluated}"
            );
            run(&mut client, "BEGIN");
            let sql = "SELECT status, tries_left FROM backup_codes_attempt($1::text, $2)";
            let row = client.query_one(sql, &[&user, &wrong]).expect("an attempt");
            let (status, left): (String, Option<i32>) = (row.get(0), row.get(1));
            run(&mut client, "ROLLBACK");
            if evaluated == MAX_FAILURES {
                assert_eq!(status, "locked", "seed {seed}: {user}");
                locked += 1;
            } else if status == "locked" {
                assert!(evaluated + lost >= MAX_FAILURES, "seed {seed}: {user} is locked after {evaluated}");
            } else {
                let most = (MAX_FAILURES - evaluated - 1) as i32;
                assert_eq!(status, "rejected", "seed {seed}: {user}");
                assert!(
                    left.is_some_and(|left| (most - lost as i32..=most).contains(&left)),
                    "seed {seed}: {user} has {left:?} tries left after {evaluated}"
                );
            }
        }
    }
    assert!(locked > 0, "seed {seed}: nobody was ever locked");
}
