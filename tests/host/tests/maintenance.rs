//! Maintenance beside users who are busy.

use host_tests::{Server, Session};

/// "Call it until 0" must not end at a user who is busy while others are due.
#[test]
fn a_batch_that_could_do_nothing_goes_on_behind_its_last_user() {
    let server = Server::any();
    let database = server.database();
    let (mut owner, mut busy) = (database.connect(), database.connect());
    for user_id in ["a", "b", "c", "d"] {
        owner.generate(user_id);
    }
    owner
        .batch_execute("UPDATE backup_codes.account SET expires_at = now() - interval '100 days'")
        .expect("expired sets");
    busy.batch_execute("BEGIN; SELECT FROM backup_codes.account WHERE user_id = 'a' FOR UPDATE").expect("a busy user");
    let purge = "SELECT backup_codes_purge(max_users => 1)";
    let purged: Vec<i64> = (0..4).map(|_| owner.value(purge, &[])).collect();
    assert_eq!(purged, [1, 1, 1, 0], "all but the busy one");
    busy.batch_execute("ROLLBACK").expect("ROLLBACK");
    assert_eq!(owner.value::<i64>(purge, &[]), 1);
    assert_eq!(owner.value::<i64>(purge, &[]), 0);
}

/// A user who got a new set while revoke_all waited for them is no longer due, and takes nobody's place.
#[test]
fn revoke_all_goes_on_behind_users_who_are_no_longer_due() {
    let server = Server::any();
    let database = server.database();
    let (mut owner, mut busy) = (database.connect(), database.connect());
    for user_id in ["a", "b", "c"] {
        owner.generate(user_id);
    }
    let now: String = owner.value("SELECT clock_timestamp()::text", &[]);
    busy.batch_execute("BEGIN").expect("BEGIN");
    busy.generate("a");
    let mut revoker = database.connect();
    let pid = revoker.pid();
    let revoked = std::thread::spawn(move || {
        let revoke = "SELECT backup_codes_revoke_all($1::text::timestamptz, 1)";
        (0..3).map(|_| revoker.value(revoke, &[&now])).collect::<Vec<i64>>()
    });
    host_tests::wait_until("revoke_all waits", || {
        owner.value("SELECT coalesce(wait_event_type = 'Lock', false) FROM pg_stat_activity WHERE pid = $1", &[&pid])
    });
    busy.batch_execute("COMMIT").expect("COMMIT");
    assert_eq!(revoked.join().expect("the revoker"), [1, 1, 0]);
    assert_eq!(owner.remaining("a"), 10);
}
