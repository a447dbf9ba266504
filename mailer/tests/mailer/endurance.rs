//! Everything that can be killed is killed, again and again, while events go on. Run it with `make test-mailer`.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use host_tests::{Server, Session};

use crate::support::Place;
use crate::support::smtp;

const WRITERS: i64 = 16;

/// How many events: 10,000, or what MAILER_EVENTS says.
fn events() -> i64 {
    std::env::var("MAILER_EVENTS").ok().and_then(|events| events.parse().ok()).unwrap_or(10_000)
}

#[test]
#[ignore = "it takes minutes"]
fn whatever_is_killed_no_event_goes_without_its_mail() {
    let server = Server::start(&["max_connections=100"]);
    let mut place = Place::new(&server);
    let each = events() / WRITERS;
    let users = format!(
        "INSERT INTO users SELECT n, 'user' || n || '@example.com' FROM generate_series(1, {}) AS n",
        each * WRITERS
    );
    place.client.execute(&users, &[]).expect("users");
    let relay = smtp::Server::start();
    let arguments = ["--database-lease", "4s", "--log-level", "error"];
    let writing = AtomicBool::new(true);
    let (mut killed, mut away, mut crashed) = (0, 0, 0);
    let mut mailers = [place.start(relay.port, &arguments), place.start(relay.port, &arguments)];
    thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let database = &place.database;
                scope.spawn(move || {
                    for user in writer * each + 1..=(writer + 1) * each {
                        // Until it is committed: the server is killed under it.
                        loop {
                            let Ok(mut client) = database.server.config(&database.name).connect(postgres::NoTls) else {
                                thread::sleep(Duration::from_millis(50));
                                continue;
                            };
                            let id = user.to_string();
                            let has = "SELECT EXISTS (SELECT FROM backup_codes.event WHERE user_id = $1)";
                            let made = client.query_one(has, &[&id]).is_ok_and(|row| row.get(0))
                                || client.query("SELECT backup_codes_generate($1::text, 1)", &[&id]).is_ok();
                            if made {
                                break;
                            }
                        }
                    }
                })
            })
            .collect();
        let began = Instant::now();
        while writing.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(700));
            match began.elapsed().as_millis() % 7 {
                0..4 => {
                    let index = killed % 2;
                    mailers[index].kill();
                    mailers[index] = place.start(relay.port, &arguments);
                    killed += 1;
                }
                4 | 5 => {
                    relay.away(true);
                    thread::sleep(Duration::from_millis(300));
                    relay.away(false);
                    away += 1;
                }
                _ => {
                    server.kill();
                    server.resume();
                    crashed += 1;
                }
            }
            writing.store(!writers.iter().all(thread::ScopedJoinHandle::is_finished), Ordering::Relaxed);
        }
    });
    place.client = place.database.connect();
    let deadline = Instant::now() + Duration::from_secs(300);
    let open = "SELECT count(*) FROM backup_codes.events WHERE delivery <> 'delivered'";
    while place.client.value::<i64>(open, &[]) > 0 {
        assert!(Instant::now() < deadline, "{}", place.deliveries());
        place.hurry();
        thread::sleep(Duration::from_millis(200));
    }
    let mut copies: HashMap<String, i64> = HashMap::new();
    for mail in relay.mails() {
        *copies.entry(mail.header("message-id")).or_default() += 1;
    }
    let events: Vec<String> = place
        .client
        .query("SELECT event_id::text FROM backup_codes.event", &[])
        .expect("events")
        .iter()
        .map(|row| format!("<{}@example.com>", row.get::<_, String>(0)))
        .collect();
    let without = events.iter().filter(|id| !copies.contains_key(*id)).count();
    let twice = copies.values().filter(|copies| **copies > 1).count();
    println!(
        "{} events, {without} without a mail, {twice} with more than one; killed: mailers {killed} times, connections of the mail server {away}, the database {crashed}",
        events.len()
    );
    assert_eq!(without, 0);
    assert_eq!(copies.len(), events.len(), "every mail is about an event");
}
