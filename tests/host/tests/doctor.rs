//! What doctor says of a server of its own: key files, a standby, preloaded modules. The other checks are in
//! tests/pg_regress/sql/doctor.sql.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use host_tests::{Client, Server, Session, run, wait_until};
use postgres::fallible_iterator::FallibleIterator;

/// Two keys of 32 bytes.
const KEY_1: &str = "1 AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n";
const KEY_2: &str = "2 AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=\n";
/// Another one under the id 1.
const OTHER_1: &str = "1 AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=\n";

/// Status, detail and hint of a check; an empty hint stands for none.
fn check(client: &mut Client, name: &str) -> (String, String, String) {
    let sql = "SELECT status, detail, coalesce(hint, '') FROM backup_codes_doctor() WHERE check_name = $1";
    let row = client.query_one(sql, &[&name]).expect("the check");
    (row.get(0), row.get(1), row.get(2))
}

fn status(client: &mut Client, name: &str) -> String {
    check(client, name).0
}

/// Every check that is not ok.
fn alarms(client: &mut Client) -> Vec<String> {
    let rows = client.query(
        "SELECT check_name FROM backup_codes_doctor() WHERE status <> 'ok' AND check_name <> 'throttle_memory'",
        &[],
    );
    rows.expect("checks").iter().map(|row| row.get(0)).collect()
}

/// Sets a setting of the server and waits until this session has it.
fn configure(client: &mut Client, name: &str, value: &str) {
    client.batch_execute(&format!("ALTER SYSTEM SET {name} = '{value}'")).expect("ALTER SYSTEM");
    client.batch_execute("SELECT pg_reload_conf()").expect("a reload");
    wait_until(name, || client.value::<String>("SELECT current_setting($1)", &[&name]) == value);
}

/// Writes a file that belongs to the server's user and has this mode.
fn write(server: &Server, path: &Path, content: &str, mode: u32) {
    fs::write(path, content).expect("a file");
    run(Command::new("chown").arg("--reference").arg(server.data()).arg(path));
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("chmod");
}

fn with_extension(settings: &[&str]) -> (Server, Client) {
    let server = Server::start(settings);
    let mut client = server.connect("postgres");
    client.batch_execute("CREATE EXTENSION backup_codes").expect("CREATE EXTENSION");
    (server, client)
}

fn key_path(server: &Server) -> PathBuf {
    server.dir.join("codes.key")
}

#[test]
fn doctor_tells_every_state_of_the_key_file_and_never_raises() {
    let (server, mut client) = with_extension(&["fsync=off"]);
    let path = key_path(&server);
    let text = path.display().to_string();
    client.generate("42");
    assert_eq!(alarms(&mut client), [""; 0]);

    configure(&mut client, "backup_codes.key_file", &text);
    let (found, detail, hint) = check(&mut client, "key_file");
    assert_eq!((found.as_str(), detail), ("problem", format!("key file \"{text}\" does not exist")));
    assert!(hint.starts_with("-- Put the file back"), "{hint}");

    client.batch_execute(&hint).expect("what is no command is a comment");

    // The only remedy that is a command is taken at its word.
    write(&server, &path, KEY_1, 0o644);
    let (found, detail, hint) = check(&mut client, "key_file");
    assert_eq!(found, "problem");
    assert!(detail.contains("has group or world access"), "{detail}");
    run(Command::new("sh").arg("-c").arg(&hint));
    let (found, detail, _) = check(&mut client, "key_file");
    assert_eq!((found.as_str(), detail.as_str()), ("ok", "1 key loaded"));

    let secret = "AQEBAQEB";
    for content in ["", "# no key\n", "1\n", "0 x\n", "1 AQEBAQEB\n", "1 AQEBAQEB\u{0}\n", "1 AQEBAQEB extra\n"] {
        write(&server, &path, content, 0o600);
        let (found, detail, hint) = check(&mut client, "key_file");
        assert_eq!(found, "problem", "{content:?}");
        assert!(detail.contains("is malformed"), "{content:?}: {detail}");
        assert!(!detail.contains(secret) && !hint.contains(secret), "{detail} {hint}");
    }
    write(&server, &path, &[KEY_1, KEY_1].concat(), 0o600);
    assert!(check(&mut client, "key_file").1.contains("line 2 repeats"), "a doubled id");

    for (place, expected) in [
        (server.data().join("codes.key"), "not outside the data directory"),
        (server.dir.join("link.key"), "not outside the data directory"),
        (PathBuf::from("codes.key"), "not outside the data directory"),
        (server.dir.clone(), "not a regular file"),
        (path.join("below a file"), "does not exist"),
        (PathBuf::from("/tmp/\u{20ac}'uro.key"), "does not exist"),
    ] {
        if place.starts_with(server.data()) {
            write(&server, &place, KEY_1, 0o600);
            std::os::unix::fs::symlink(&place, server.dir.join("link.key")).expect("a link");
        }
        let value = place.display().to_string().replace('\'', "''");
        client.batch_execute(&format!("ALTER SYSTEM SET backup_codes.key_file = '{value}'")).expect("ALTER SYSTEM");
        client.batch_execute("SELECT pg_reload_conf()").expect("a reload");
        wait_until("the path", || {
            client.value::<String>("SHOW backup_codes.key_file", &[]) == place.display().to_string()
        });
        let (found, detail, hint) = check(&mut client, "key_file");
        assert_eq!(found, "problem", "{place:?}");
        assert!(detail.contains(expected), "{place:?}: {detail}");
        assert!(!hint.is_empty(), "{place:?}");
    }
    // The path is not asked for what the database cannot spell.
    let latin = server.empty_database("TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'");
    let mut latin = latin.connect();
    latin.batch_execute("CREATE EXTENSION backup_codes").expect("CREATE EXTENSION");
    assert!(check(&mut latin, "key_file").1.contains("/tmp/?'uro.key"));
}

/// The hint puts it right wherever the setting came from.
#[test]
fn doctor_tells_of_short_codes_in_the_configuration_file() {
    let settings = ["fsync=off", "backup_codes.alphabet=decimal", "backup_codes.length=6", "backup_codes.hash=sha256"];
    let (_server, mut client) = with_extension(&settings);
    for name in ["hash", "throttle", "entropy"] {
        let (found, detail, hint) = check(&mut client, name);
        assert_eq!(found, "problem", "{name}: {detail}");
        for statement in hint.lines() {
            client.batch_execute(statement).expect("the hint");
        }
        wait_until(name, || status(&mut client, name) == "ok");
    }
    assert_eq!(alarms(&mut client), [""; 0]);
}

#[test]
fn doctor_names_keys_that_sets_need_and_sets_without_a_key() {
    let (server, mut client) = with_extension(&["fsync=off"]);
    let path = key_path(&server);
    client.generate("old");
    write(&server, &path, KEY_1, 0o600);
    configure(&mut client, "backup_codes.key_file", &path.display().to_string());
    let (found, detail, _) = check(&mut client, "unkeyed_sets");
    assert_eq!(found, "warning");
    assert_eq!(detail, "a set without a key, until they get a new one: 1 user");

    client.generate("one");
    client.generate("two");
    client.batch_execute("SELECT backup_codes_prepare('two')").expect("a pending set");
    let hint = check(&mut client, "unkeyed_sets").2;
    let listed: Vec<String> = client.query(&hint, &[]).expect("the hint").iter().map(|row| row.get(0)).collect();
    assert_eq!(listed, ["old"]);
    client.generate("old");
    assert_eq!(alarms(&mut client), [""; 0]);

    // Rotated: both keys are there, the first is taken.
    write(&server, &path, &[KEY_2, KEY_1].concat(), 0o600);
    client.batch_execute("SELECT pg_reload_conf()").expect("a reload");
    wait_until("the new key", || {
        client.generate("two");
        client.value("SELECT key_id = 2 FROM backup_codes.overview WHERE user_id = 'two'", &[])
    });
    assert_eq!(alarms(&mut client), [""; 0]);
    assert_eq!(check(&mut client, "key_file").1, "2 keys loaded");

    // Dropped while two users need it.
    write(&server, &path, KEY_2, 0o600);
    let (found, detail, hint) = check(&mut client, "keys_missing");
    assert_eq!((found.as_str(), detail.as_str()), ("problem", "sets need what is not loaded: key 1 (2 users)"));
    assert!(hint.starts_with("SELECT * FROM public.backup_codes_keys();\n"), "{hint}");
    assert!(hint.contains(&path.display().to_string()), "{hint}");
    client.batch_execute(&hint).expect("the hint");
    assert_eq!(status(&mut client, "key_file"), "ok");

    write(&server, &path, &[KEY_2, OTHER_1].concat(), 0o600);
    assert_eq!(status(&mut client, "keys_missing"), "ok");
    let (found, detail, _) = check(&mut client, "seals");
    assert_eq!(found, "problem");
    assert!(detail.contains("under key 1 carries its seal: the file has another key of that id"), "{detail}");

    fs::remove_file(&path).expect("the file goes");
    let (found, detail, _) = check(&mut client, "keys_missing");
    assert_eq!(found, "problem");
    assert!(detail.contains("key 1 (2 users), key 2 (1 user)"), "{detail}");

    write(&server, &path, &[KEY_2, KEY_1].concat(), 0o600);
    assert_eq!(alarms(&mut client), [""; 0]);
}

#[test]
fn doctor_works_on_a_hot_standby_and_asks_for_a_synchronous_one() {
    let (primary, mut client) = with_extension(&["fsync=off"]);
    client.generate("42");
    assert_eq!(alarms(&mut client), [""; 0]);
    let standby = primary.standby();
    wait_until("streaming", || {
        client.value("SELECT count(*) = 1 FROM pg_stat_replication WHERE state = 'streaming'", &[])
    });
    let (found, detail, hint) = check(&mut client, "synchronous_standby");
    assert_eq!((found.as_str(), detail.contains("streaming to 1 standby, ")), ("warning", true), "{detail}");

    let mut reader = standby.connect("postgres");
    let lsn: String = client.value("SELECT pg_current_wal_lsn()::text", &[]);
    wait_until("the replay", || reader.value("SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn", &[&lsn]));
    let checks = "SELECT string_agg(check_name, ' ') FROM backup_codes_doctor()";
    assert_eq!(reader.value::<String>(checks, &[]), client.value::<String>(checks, &[]));
    assert_eq!(alarms(&mut reader), [""; 0]);
    assert_eq!(check(&mut reader, "synchronous_standby").1, "this server is a standby");

    for statement in hint.lines() {
        client.batch_execute(statement).expect("the hint");
    }
    wait_until("the setting", || status(&mut client, "synchronous_standby") == "ok");
    assert_eq!(alarms(&mut client), [""; 0]);
    client.batch_execute("SET synchronous_commit = local").expect("SET");
    let (found, detail, _) = check(&mut client, "synchronous_commit");
    assert_eq!((found.as_str(), detail.contains("failover")), ("warning", true), "{detail}");
}

#[test]
fn doctor_reads_the_settings_of_preloaded_modules() {
    let settings = ["fsync=off", "shared_preload_libraries=auto_explain,pg_stat_statements"];
    let (_server, mut client) = with_extension(&settings);
    assert_eq!(alarms(&mut client), ["pg_stat_statements"], "its default keeps utility statements");
    let (found, _, hint) = check(&mut client, "pg_stat_statements");
    assert_eq!(found, "warning");
    for statement in hint.lines() {
        client.batch_execute(statement).expect("the hint");
    }
    wait_until("the setting", || alarms(&mut client).is_empty());

    configure(&mut client, "auto_explain.log_min_duration", "0");
    let (found, _, hint) = check(&mut client, "auto_explain");
    assert_eq!(found, "problem");
    for statement in hint.lines() {
        client.batch_execute(statement).expect("the hint");
    }
    wait_until("the setting", || alarms(&mut client).is_empty());
}

/// Why the check is a problem, and not only a warning, where every code is a bind parameter.
#[test]
fn auto_explain_logs_a_bound_code_in_a_condition() {
    let settings = ["fsync=off", "shared_preload_libraries=auto_explain", "auto_explain.log_min_duration=0"];
    let (server, mut client) = with_extension(&settings);
    let codes = client.generate("42");
    let gate = "SELECT 1 WHERE backup_codes_consume($1::text, $2)";
    assert_eq!(client.query(gate, &[&"42", &codes[0]]).expect("a row").len(), 1);
    assert!(server.log().contains(&codes[0]), "{}", server.log());
}

/// What a wrong attempt holds, a prepared transaction goes on holding: over a disconnect, with nobody to be seen.
#[test]
fn doctor_names_a_prepared_transaction_that_holds_a_user() {
    let (server, mut client) = with_extension(&["fsync=off", "max_prepared_transactions=5"]);
    let codes = client.generate("victim");
    client.generate("other");
    let wrong = client.generate("other")[0].clone();
    client.batch_execute("CREATE TABLE application (id int)").expect("a table");
    let mut attacker = server.connect("postgres");
    attacker
        .batch_execute("BEGIN; INSERT INTO application VALUES (1); PREPARE TRANSACTION 'of another table'")
        .expect("PREPARE");
    attacker.batch_execute("BEGIN").expect("BEGIN");
    assert_eq!(attacker.remaining("victim"), 10);
    attacker.batch_execute("INSERT INTO application VALUES (2); PREPARE TRANSACTION 'that read'").expect("PREPARE");
    assert_eq!(alarms(&mut client), [""; 0]);

    attacker.batch_execute("BEGIN").expect("BEGIN");
    assert_eq!(attacker.attempt("victim", &wrong), "rejected");
    attacker.batch_execute("PREPARE TRANSACTION E'it''s\nheld'").expect("PREPARE");
    drop(attacker);
    client.batch_execute("SET lock_timeout = '100ms'").expect("SET");
    let failure = client.failure("SELECT backup_codes_consume($1::text, $2)", &[&"victim", &codes[0]]);
    assert_eq!(failure.sqlstate, "55P03", "{failure:?}");
    let (found, detail, hint) = check(&mut client, "prepared_transactions");
    assert_eq!(found, "warning");
    assert!(detail.starts_with("'it''s\nheld' of postgres, prepared at "), "{detail}");
    client.batch_execute(&hint).expect("the hint");
    assert_eq!(alarms(&mut client), [""; 0]);
    assert!(client.consume("victim", &codes[0]));
}

/// A session that listens and stays in a transaction.
fn deaf(server: &Server) -> Client {
    let mut listener = server.connect("postgres");
    listener.batch_execute("LISTEN flood").expect("LISTEN");
    listener.batch_execute("BEGIN; SELECT 1").expect("BEGIN");
    listener
}

/// Notifications of a page each.
fn flood(client: &mut Client, pages: i32) {
    let sql = "SELECT count(pg_notify('flood', lpad(n::text, 7900, 'x'))) FROM generate_series(1, $1) AS n";
    client.query_one(sql, &[&pages]).expect("notifications");
}

/// At a hundredth of 8 GB, well before it hurts.
#[test]
fn doctor_warns_while_the_queue_of_notifications_fills() {
    let (server, mut client) = with_extension(&["fsync=off"]);
    let mut listener = deaf(&server);
    flood(&mut client, 5_000);
    assert_eq!(alarms(&mut client), [""; 0]);
    flood(&mut client, 7_000);
    assert_eq!(alarms(&mut client), ["notification_queue"]);
    let (found, detail, hint) = check(&mut client, "notification_queue");
    assert_eq!((found.as_str(), detail.as_str()), ("warning", "PostgreSQL's queue of notifications is 1 % full"));
    client.batch_execute(&hint).expect("the hint");
    listener.batch_execute("COMMIT").expect("COMMIT");
    wait_until("the queue", || alarms(&mut client).is_empty());
}

/// The queue is small where its size can be set, from PostgreSQL 17 on; elsewhere it takes 4 GB to fill a half of it.
#[test]
fn a_queue_of_notifications_that_is_half_full_holds_back_no_login() {
    let mut client = Server::any().connect("postgres");
    if client.value::<i32>("SELECT current_setting('server_version_num')::int", &[]) < 170_000 {
        return;
    }
    let (server, mut client) = with_extension(&["fsync=off", "max_notify_queue_pages=64"]);
    let codes = client.generate("42");
    let mut listener = deaf(&server);
    let mut heard = server.connect("postgres");
    heard.batch_execute("LISTEN backup_codes").expect("LISTEN");
    let mut announced = |client: &mut Client, code: &str| {
        assert!(client.consume("42", code));
        heard.batch_execute("SELECT 1").expect("SELECT");
        heard.notifications().iter().count().expect("notifications")
    };
    flood(&mut client, 20);
    assert_eq!(status(&mut client, "notification_queue"), "warning");
    assert_eq!(announced(&mut client, &codes[0]), 1);
    flood(&mut client, 20);
    let (found, detail, _) = check(&mut client, "notification_queue");
    assert_eq!((found.as_str(), detail.contains("no event is announced")), ("problem", true), "{detail}");
    assert_eq!(announced(&mut client, &codes[1]), 0);
    // Full: whoever notifies fails at commit, and logins go on.
    while client.query("SELECT pg_notify('flood', lpad('', 7900, 'x'))", &[]).is_ok() {}
    assert_eq!(announced(&mut client, &codes[2]), 0);
    listener.batch_execute("COMMIT").expect("COMMIT");
    wait_until("the queue", || status(&mut client, "notification_queue") == "ok");
    assert_eq!(announced(&mut client, &codes[3]), 1);
}
