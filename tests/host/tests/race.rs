//! One code, many hands.

use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use host_tests::{Server, Session};

const CONNECTIONS: usize = 32;
const USERS: i64 = 10;
const CODES: usize = 100;

/// 32 connections try the same code at the same moment, 1,000 codes over. Half of them call consume, half attempt.
#[test]
fn of_32_connections_that_try_one_code_exactly_one_succeeds() {
    // A loser fails: nobody is to be locked out between two codes.
    let server = Server::start(&["fsync=off", "backup_codes.max_failures=100"]);
    let database = server.database();
    let mut client = database.connect();
    let codes: Vec<(i64, String)> = (1..=USERS)
        .flat_map(|user_id| {
            let rows = client.query("SELECT backup_codes_generate($1::bigint, $2)", &[&user_id, &(CODES as i32)]);
            rows.expect("codes").iter().map(|row| (user_id, row.get(0))).collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(codes.len(), 1000);

    let successes: Vec<AtomicU32> = codes.iter().map(|_| AtomicU32::new(0)).collect();
    let refused_as_used = AtomicU32::new(0);
    let barrier = Barrier::new(CONNECTIONS);
    thread::scope(|scope| {
        for connection in 0..CONNECTIONS {
            let (codes, successes, refused_as_used) = (&codes, &successes, &refused_as_used);
            let (barrier, mut client) = (&barrier, database.connect());
            scope.spawn(move || {
                let consume = client.prepare("SELECT backup_codes_consume($1::bigint, $2)").expect("a statement");
                let attempt = client.prepare("SELECT status FROM backup_codes_attempt($1::bigint, $2)");
                let attempt = attempt.expect("a statement");
                for ((user_id, code), successes) in codes.iter().zip(successes) {
                    barrier.wait();
                    let accepted = if connection % 2 == 0 {
                        client.query_one(&consume, &[user_id, code]).expect("no error").get(0)
                    } else {
                        let row = client.query_one(&attempt, &[user_id, code]).expect("no error");
                        let status: &str = row.get(0);
                        refused_as_used.fetch_add((status == "used").into(), Ordering::Relaxed);
                        status == "accepted"
                    };
                    successes.fetch_add(accepted.into(), Ordering::Relaxed);
                }
            });
        }
    });

    for ((user_id, code), successes) in codes.iter().zip(&successes) {
        assert_eq!(successes.load(Ordering::Relaxed), 1, "user {user_id}, code {code}");
    }
    // Whoever lost with attempt is told why, and the books agree.
    let refused = refused_as_used.load(Ordering::Relaxed) as usize;
    let attempts = CONNECTIONS / 2 * codes.len();
    assert!((attempts - codes.len()..=attempts).contains(&refused), "{refused} of {attempts} attempts said used");
    let used: i64 = client.value("SELECT count(*) FROM backup_codes.event WHERE kind = 'used'", &[]);
    assert_eq!(used, 1000, "one event for each code");
    let left: i64 = client.value("SELECT count(*) FROM backup_codes.code", &[]);
    assert_eq!(left, 0, "no code is left");
    let unused: i64 = client.value("SELECT sum(unused) FROM backup_codes.account", &[]);
    assert_eq!(unused, 0);
}
