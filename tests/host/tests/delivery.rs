//! Several mailers at work, some of which die.

use std::collections::HashMap;
use std::sync::Mutex;
use std::thread;

use host_tests::{Client, Server, Session};
use uuid::Uuid;

const MAILERS: usize = 6;
const EVENTS: i64 = 300;
const LEASE_MICROS: i64 = 30_000;

/// A claim of an event: its attempt, when the claim began at the earliest, and when it had ended.
struct Claim {
    attempt: i32,
    began: i64,
    ended: i64,
}

/// Claims some events; returns the lease with the ids, and each event's claim.
fn claim(client: &mut Client) -> Option<(Uuid, Vec<Uuid>, Vec<Claim>)> {
    let sql = "SELECT lease, event_id, attempts, (extract(epoch FROM statement_timestamp()) * 1000000)::bigint,
                      (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
                 FROM backup_codes_events_claim(7, '30 milliseconds')";
    let rows = client.query(sql, &[]).expect("a claim");
    let lease = rows.first()?.get(0);
    let claims = rows.iter().map(|row| Claim { attempt: row.get(2), began: row.get(3), ended: row.get(4) });
    Some((lease, rows.iter().map(|row| row.get(1)).collect(), claims.collect()))
}

#[test]
fn of_mailers_that_die_each_event_is_held_by_one_at_a_time_and_none_is_lost() {
    let server = Server::any();
    let database = server.database();
    let mut client = database.connect();
    let enrol = "SELECT count(*) FROM backup_codes_generate_many(ARRAY(SELECT generate_series(1, $1::bigint)), 1)";
    assert_eq!(client.value::<i64>(enrol, &[&EVENTS]), EVENTS);
    let claims: Mutex<HashMap<Uuid, Vec<Claim>>> = Mutex::default();
    let delivered = Mutex::new(0i64);
    thread::scope(|scope| {
        for mailer in 0..MAILERS {
            let (database, claims, delivered) = (&database, &claims, &delivered);
            scope.spawn(move || {
                let mut client = database.connect();
                let undelivered = "SELECT count(*) FROM backup_codes.event WHERE delivered_at IS NULL";
                for turn in 0.. {
                    let Some((lease, ids, held)) = claim(&mut client) else {
                        if client.value::<i64>(undelivered, &[]) == 0 {
                            return;
                        }
                        continue;
                    };
                    let mut all = claims.lock().expect("no panic");
                    ids.iter().zip(held).for_each(|(id, claim)| all.entry(*id).or_default().push(claim));
                    drop(all);
                    // Some die with their mails in hand: their events wait for the end of the lease.
                    if (turn + mailer) % 3 != 0 {
                        let ack = "SELECT backup_codes_events_ack($1, $2)";
                        *delivered.lock().expect("no panic") += i64::from(client.value::<i32>(ack, &[&lease, &ids]));
                    }
                }
            });
        }
    });
    assert_eq!(*delivered.lock().expect("no panic"), EVENTS, "each was acknowledged once");
    let mut claims = claims.into_inner().expect("no panic");
    assert_eq!(claims.len() as i64, EVENTS, "each was claimed");
    assert!(claims.values().any(|claims| claims.len() > 1), "some mailers died");
    for (id, claims) in &mut claims {
        claims.sort_by_key(|claim| claim.attempt);
        for pair in claims.windows(2) {
            assert_eq!(pair[1].attempt, pair[0].attempt + 1, "{id} was claimed twice at a time");
            assert!(pair[1].ended >= pair[0].began + LEASE_MICROS, "{id} was claimed before its lease had ended");
        }
    }
}
