//! Faults of the database.

use host_tests::Server;

use crate::support::Place;
use crate::support::smtp::{self, At, Does};

#[test]
fn a_mailer_whose_connections_are_ended_goes_on() {
    let server = Server::any();
    let mut place = Place::new(&server);
    let relay = smtp::Server::start();
    let mailer = place.start(relay.port, &["--database-poll", "60s"]);
    for user in 1..=3 {
        mailer.wait_for_logs("INFO listening", user as usize);
        place.user(user);
        place.generate(user);
        relay.wait_for(user as usize);
        let role = place.role.clone();
        place.wait_for(&format!("delivered {user}"));
        place
            .client
            .execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1", &[&role])
            .expect("an end");
    }
}

#[test]
fn what_was_accepted_while_the_database_was_away_is_not_sent_again() {
    let server = Server::start(&["fsync=off"]);
    let mut place = Place::new(&server);
    place.user(1);
    let relay = smtp::Server::with(|at, _, _| {
        if at == At::Dot { Does::AgreesLate(std::time::Duration::from_secs(2)) } else { Does::Agrees }
    });
    let mailer = place.start(relay.port, &["--database-lease", "1s"]);
    mailer.wait_for_log("listening");
    place.generate(1);
    relay.wait_until_asked(At::Dot);
    server.kill();
    relay.wait_for(1);
    server.resume();
    place.client = place.database.connect();
    place.wait_for("delivered 1");
    assert_eq!(relay.mails().len(), 1, "{}", mailer.log());
}

#[test]
fn rights_that_are_missing_end_the_mailer_at_its_start() {
    let server = Server::any();
    let mut place = Place::new(&server);
    let role = place.role.clone();
    place.client.execute(&format!("SELECT backup_codes_revoke('mailer', '{role}')"), &[]).expect("a revocation");
    let ended = place.run(1, &[]);
    assert_eq!(ended.code, Some(77), "{}", ended.log);
    assert!(ended.log.contains("permission denied for function backup_codes_events_backlog"), "{}", ended.log);
    let nowhere = place.run(1, &["--database-url", "host=/nowhere user=m dbname=m", "--once"]);
    assert_eq!(nowhere.code, Some(69), "{}", nowhere.log);
    let empty =
        place.run(1, &["--database-url", &format!("host={} user=postgres dbname=postgres", server.dir.display())]);
    assert_eq!(empty.code, Some(78), "{}", empty.log);
    assert!(empty.log.contains("extension backup_codes is not installed"), "{}", empty.log);
}

#[test]
fn rights_that_are_revoked_while_it_runs_lose_nothing() {
    let server = Server::any();
    let mut place = Place::new(&server);
    place.user(1);
    let role = place.role.clone();
    let relay = smtp::Server::start();
    let mailer = place.start(relay.port, &[]);
    mailer.wait_for_log("listening");
    place.client.execute(&format!("SELECT backup_codes_revoke('mailer', '{role}')"), &[]).expect("a revocation");
    place.generate(1);
    mailer.wait_for_log("database unusable");
    place.client.execute(&format!("SELECT backup_codes_grant('mailer', '{role}')"), &[]).expect("a grant");
    relay.wait_for(1);
    place.wait_for("delivered 1");
}

#[test]
fn a_long_acceptance_keeps_its_lease() {
    let server = Server::any();
    let mut place = Place::new(&server);
    place.user(1);
    let relay = smtp::Server::with(|at, _, _| {
        if at == At::Dot { Does::AgreesLate(std::time::Duration::from_secs(5)) } else { Does::Agrees }
    });
    place.generate(1);
    let _mailers =
        [place.start(relay.port, &["--database-lease", "6s"]), place.start(relay.port, &["--database-lease", "6s"])];
    relay.wait_for(1);
    place.wait_for("delivered 1");
    assert_eq!((relay.mails().len(), place.attempts()), (1, 1));
}
