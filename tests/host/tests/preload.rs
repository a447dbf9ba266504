//! With the library preloaded all backends are forks of one process: none may share its randomness.

use std::collections::HashSet;

use host_tests::{Server, Session};

const BACKENDS: usize = 200;

#[test]
fn codes_salts_and_event_ids_of_200_forked_backends_are_distinct() {
    let server = Server::start(&["fsync=off", "shared_preload_libraries=backup_codes"]);
    let mut admin = server.connect("postgres");
    admin.batch_execute("CREATE EXTENSION backup_codes").expect("CREATE EXTENSION");
    let mut codes = HashSet::new();
    let mut pids = HashSet::new();
    // Connected at the same time: none inherits from another.
    let mut backends: Vec<_> = (0..BACKENDS).map(|_| server.connect("postgres")).collect();
    for (user, backend) in backends.iter_mut().enumerate() {
        pids.insert(backend.pid());
        codes.extend(backend.generate(&user.to_string()));
    }
    assert_eq!(pids.len(), BACKENDS);
    assert_eq!(codes.len(), BACKENDS * 10);
    let count = |admin: &mut host_tests::Client, sql: &str| admin.value::<i64>(sql, &[]) as usize;
    assert_eq!(count(&mut admin, "SELECT count(DISTINCT salt) FROM backup_codes.account"), BACKENDS);
    assert_eq!(count(&mut admin, "SELECT count(DISTINCT code_hash) FROM backup_codes.code"), BACKENDS * 10);
    let random_part = "SELECT count(DISTINCT right(event_id::text, 17)) FROM backup_codes.event";
    assert_eq!(count(&mut admin, random_part), BACKENDS);

    // Also when each of them is the first that a new postmaster forks.
    let mut first_of_each = vec![];
    for _ in 0..2 {
        server.kill();
        server.resume();
        let mut client = server.connect("postgres");
        let codes = client.generate("42");
        assert!(client.consume("42", &codes[0]));
        first_of_each.extend(codes);
    }
    codes.extend(first_of_each);
    assert_eq!(codes.len(), BACKENDS * 10 + 20);
}

/// A preloaded library knows its settings before any function is called.
#[test]
fn settings_are_checked_at_start_when_the_library_is_preloaded() {
    let server = Server::start(&[
        "fsync=off",
        "shared_preload_libraries=backup_codes",
        "backup_codes.count=7",
        "backup_codes.channel=codes",
    ]);
    let mut client = server.connect("postgres");
    assert_eq!(client.value::<String>("SHOW backup_codes.count", &[]), "7");
    let failure = client.failure("SET backup_codes.cuont = 3", &[]);
    assert_eq!(failure.sqlstate, "42602", "{failure:?}");
    client.batch_execute("CREATE EXTENSION backup_codes").expect("CREATE EXTENSION");
    assert_eq!(client.generate("42").len(), 7);
}
