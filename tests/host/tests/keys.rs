//! The key file: what a file out of order stops, how keys are rotated, and that a lost key is no wrong code.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

use host_tests::{Client, Failure, Server, Session, run, wait_until};

const ONE: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const TWO: &str = "Hx4dHBsaGRgXFhUUExIREA8ODQwLCgkIBwYFBAMCAQA=";
const THREE: &str = "c2l4dGVlbiBieXRlcyBhbmQgc2l4dGVlbiBieXRlcyE=";

/// Puts a file in place in one step, closed to everyone but the server's user.
fn put(server: &Server, path: &Path, content: impl AsRef<[u8]>) {
    let new = path.with_extension("new");
    fs::write(&new, content).expect("a key file");
    fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).expect("chmod");
    run(Command::new("chown").arg("--reference").arg(server.data()).arg(&new));
    fs::rename(&new, path).expect("a key file");
}

/// Reloads the configuration, and waits until these sessions have.
pub fn reload(sessions: &mut [&mut Client]) {
    let times: Vec<String> = sessions.iter_mut().map(|session| load_time(session)).collect();
    sessions[0].value::<bool>("SELECT pg_reload_conf()", &[]);
    for (session, before) in sessions.iter_mut().zip(times) {
        wait_until("a reload", || load_time(session) != before);
    }
}

fn load_time(session: &mut Client) -> String {
    session.value("SELECT extract(epoch FROM pg_conf_load_time())::text", &[])
}

/// Makes this the key file of the server. The sessions have loaded the library.
fn configure(path: &Path, sessions: &mut [&mut Client]) {
    let sql = format!("ALTER SYSTEM SET backup_codes.key_file = '{}'", path.display());
    sessions[0].batch_execute(&sql).expect("ALTER SYSTEM");
    reload(sessions);
    for session in sessions {
        assert_eq!(session.value::<String>("SHOW backup_codes.key_file", &[]), path.display().to_string());
    }
}

/// A session that has loaded the library.
pub fn session(database: &host_tests::Database<'_>) -> Client {
    let mut client = database.connect();
    client.remaining("nobody");
    client
}

fn prepare(client: &mut Client, user_id: &str) -> Vec<String> {
    let rows = client.query("SELECT backup_codes_prepare($1::text)", &[&user_id]).expect("codes");
    rows.iter().map(|row| row.get(0)).collect()
}

/// Key id, loaded, current, users.
pub fn keys(client: &mut Client) -> Vec<(i32, bool, bool, i64)> {
    let rows = client.query("SELECT * FROM backup_codes_keys()", &[]).expect("keys");
    rows.iter().map(|row| (row.get(0), row.get(1), row.get(2), row.get(3))).collect()
}

fn failures(client: &mut Client, user_id: &str) -> i32 {
    client.value("SELECT failures FROM backup_codes.account WHERE user_id = $1", &[&user_id])
}

pub fn key_of(client: &mut Client, user_id: &str) -> Option<i32> {
    client.value("SELECT key_id FROM backup_codes.overview WHERE user_id = $1", &[&user_id])
}

/// A key file out of order.
struct Flaw {
    path: PathBuf,
    sqlstate: &'static str,
    message: String,
    hint: &'static str,
}

const MISSING: &str = "Put the file back, or correct backup_codes.key_file and reload the configuration.";
const DENIED: &str = "Make the server's user the owner of the file, or root with the server's group.";
const UNREADABLE: &str = "Correct backup_codes.key_file and reload the configuration.";
const PLACE: &str = "Give an absolute path outside the data directory, which base backups and replicas copy.";
const KIND: &str = "Give the path of a file with one line a key.";
const OPEN: &str = "Give it mode 0600 if the server's user owns it, or 0640 if root does.";
const CONTENT: &str = "Each line is an id, a space and 32 bytes in base64; the current key comes first.";

/// Every way in which a file can be out of order, each of them made below the directory.
fn flaws(server: &Server, dir: &Path, root: bool) -> Vec<Flaw> {
    let good = format!("1 {ONE}\n");
    let mut flaws = Vec::new();
    let mut flaw = |path: &Path, sqlstate, message: &str, hint| {
        let message = message.replace('@', &format!("key file \"{}\"", path.display()));
        flaws.push(Flaw { path: path.to_owned(), sqlstate, message, hint });
    };
    let file = |name: &str, content: &str, mode: u32| {
        let path = dir.join(name);
        put(server, &path, content);
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("chmod");
        path
    };

    flaw(&dir.join("none"), "58P01", "@ does not exist", MISSING);
    flaw(&dir.join("none/keys"), "58P01", "@ does not exist", MISSING);
    flaw(&file("plain file", &good, 0o600).join("keys"), "58P01", "@ does not exist", MISSING);
    symlink(dir.join("none"), dir.join("dangling")).expect("a symlink");
    flaw(&dir.join("dangling"), "58P01", "@ does not exist", MISSING);

    flaw(&file("unreadable", &good, 0o000), "42501", "permission denied for @", DENIED);
    fs::create_dir(dir.join("closed")).expect("a directory");
    fs::set_permissions(dir.join("closed"), fs::Permissions::from_mode(0o000)).expect("chmod");
    run(Command::new("chown").arg("--reference").arg(server.data()).arg(dir.join("closed")));
    flaw(&dir.join("closed/keys"), "42501", "permission denied for @", DENIED);

    symlink(dir.join("loop"), dir.join("loop")).expect("a symlink");
    flaw(&dir.join("loop"), "58030", "could not read @: ", UNREADABLE);
    flaw(&dir.join("x".repeat(300)), "58030", "could not read @: ", UNREADABLE);

    let place = "@ is not outside the data directory";
    flaw(Path::new("keys"), "F0000", place, PLACE);
    flaw(Path::new("./keys"), "F0000", place, PLACE);
    put(server, &server.data().join("keys"), &good);
    flaw(&server.data().join("keys"), "F0000", place, PLACE);
    flaw(&server.data(), "F0000", place, PLACE);
    symlink(server.data().join("keys"), dir.join("into")).expect("a symlink");
    flaw(&dir.join("into"), "F0000", place, PLACE);
    fs::hard_link(server.data().join("keys"), dir.join("linked")).expect("a hard link");
    flaw(&dir.join("linked"), "F0000", "@ is not a regular file of at most 64 kB with one name", KIND);
    symlink(server.data(), dir.join("data")).expect("a symlink");
    flaw(&dir.join("data/keys"), "F0000", place, PLACE);

    let kind = "@ is not a regular file of at most 64 kB with one name";
    flaw(dir, "F0000", kind, KIND);
    run(Command::new("mkfifo").arg(dir.join("pipe")));
    flaw(&dir.join("pipe"), "F0000", kind, KIND);
    flaw(Path::new("/dev/null"), "F0000", kind, KIND);
    let long = format!("{good}{}", "#".repeat(64 * 1024 + 1 - good.len()));
    flaw(&file("long", &long, 0o600), "F0000", kind, KIND);

    let open = "@ has group or world access, or a foreign owner";
    for mode in [0o640, 0o660, 0o604, 0o644, 0o610, 0o601, 0o666] {
        flaw(&file(&format!("open {mode:o}"), &good, mode), "F0000", open, OPEN);
    }
    if root {
        let group = fs::metadata(server.data()).expect("a data directory");
        let group = Some(std::os::unix::fs::MetadataExt::gid(&group));
        for (owner, mode) in [(65534, 0o644), (65534, 0o640), (0, 0o644), (0, 0o660), (0, 0o750)] {
            let path = file(&format!("owned by {owner} {mode:o}"), &good, mode);
            chown(&path, Some(owner), group).expect("chown");
            flaw(&path, "F0000", open, OPEN);
        }
        let path = file("closed to the server", &good, 0o600);
        chown(&path, Some(0), group).expect("chown");
        flaw(&path, "42501", "permission denied for @", DENIED);
    }

    let short = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHg==";
    let url_safe = "__79_Pv6-fj39vX08_Lx8O_u7ezr6uno5-bl5OPi4eA=";
    for (name, content, reason) in [
        ("empty", String::new(), "it holds no key"),
        ("comments", "# 1 AAECAwQF\n\n".into(), "it holds no key"),
        ("no id", format!("{ONE}\n"), "line 1 is not an id and a key"),
        ("three words", format!("1 {ONE}\n2 {TWO} {THREE}\n"), "line 2 is not an id and a key"),
        ("zero", format!("0 {ONE}\n"), "line 1 has an id that is not a number from 1 to 2147483647"),
        ("signed", format!("-1 {ONE}\n"), "line 1 has an id that is not a number from 1 to 2147483647"),
        ("large", format!("2147483648 {ONE}\n"), "line 1 has an id that is not a number from 1 to 2147483647"),
        ("swapped", format!("{ONE} 1\n"), "line 1 has an id that is not a number from 1 to 2147483647"),
        ("short", format!("# comment\n1 {short}\n"), "line 2 has a key that is not 32 bytes in base64"),
        ("doubled", format!("1 {ONE}{ONE}\n"), "line 1 has a key that is not 32 bytes in base64"),
        ("url-safe", format!("1 {url_safe}\n"), "line 1 has a key that is not 32 bytes in base64"),
        ("unpadded", format!("1 {}\n", ONE.trim_end_matches('=')), "line 1 has a key that is not 32 bytes in base64"),
        ("repeated", format!("1 {ONE}\n2 {TWO}\n1 {THREE}\n"), "line 3 repeats the id of another line"),
        ("cut off", format!("1 {ONE}\n2 {}", &TWO[..20]), "line 2 has a key that is not 32 bytes in base64"),
    ] {
        flaw(&file(name, &content, 0o600), "F0000", &format!("@ is malformed: {reason}"), CONTENT);
    }
    let binary = dir.join("binary");
    put(server, &binary, [0xff, 0x00, 0x01, b'\n']);
    flaw(&binary, "F0000", "@ is malformed: line 1 is not an id and a key", CONTENT);
    flaws
}

/// Fail closed: what makes or tries a code says what is wrong with the file; what only shows or removes goes on. And no
/// message tells anything of the key.
#[test]
fn a_key_file_out_of_order_stops_what_needs_it_and_nothing_else() {
    let server = Server::start(&["fsync=off"]);
    let database = server.database();
    let mut client = session(&database);
    let plain = client.generate("plain");
    let dir = server.dir.join("secrets");
    fs::create_dir(&dir).expect("a directory");
    let good = server.dir.join("good");
    put(&server, &good, format!("1 {ONE}\n"));
    configure(&good, &mut [&mut client]);
    let keyed = client.generate("keyed");
    let pending = prepare(&mut client, "keyed");
    let root = run(Command::new("id").arg("-u")).trim() == "0";

    for flaw in flaws(&server, &dir, root) {
        configure(&flaw.path, &mut [&mut client]);
        let about = flaw.path.display();
        for (sql, user_id, code) in [
            ("SELECT count(*) FROM backup_codes_generate($1::text) WHERE $2 <> ''", "keyed", &keyed[0]),
            ("SELECT count(*) FROM backup_codes_generate($1::text) WHERE $2 <> ''", "new", &keyed[0]),
            ("SELECT count(*) FROM backup_codes_prepare($1::text) WHERE $2 <> ''", "keyed", &keyed[0]),
            ("SELECT backup_codes_consume($1::text, $2)", "keyed", &keyed[0]),
            ("SELECT backup_codes_consume($1::text, $2)", "plain", &plain[0]),
            ("SELECT backup_codes_consume($1::text, $2)", "nobody", &keyed[0]),
            ("SELECT backup_codes_attempt($1::text, $2)", "keyed", &plain[0]),
            ("SELECT backup_codes_confirm($1::text, $2)", "keyed", &pending[0]),
            ("SELECT backup_codes_confirm($1::text) WHERE $2 <> ''", "keyed", &pending[0]),
            ("SELECT count(*) FROM backup_codes_regenerate($1::text, $2)", "keyed", &keyed[0]),
            ("SELECT backup_codes_disable($1::text, $2)", "keyed", &keyed[0]),
        ] {
            let Failure { sqlstate, message, hint } = client.failure(sql, &[&user_id, code]);
            assert_eq!(sqlstate, flaw.sqlstate, "{about}: {sql}: {message}");
            match flaw.sqlstate {
                // The operating system's reason follows.
                "58030" => assert!(message.starts_with(&flaw.message), "{about}: {message}"),
                _ => assert_eq!(message, flaw.message, "{about}: {sql}"),
            }
            assert_eq!(hint, flaw.hint, "{about}: {sql}");
            assert!(![ONE, TWO, THREE].iter().any(|key| message.contains(&key[..8])), "{message}");
        }
        assert_eq!(client.attempt("keyed", "x"), "malformed", "{about}");
        assert_eq!(client.remaining("keyed"), 10, "{about}");
        let enabled = "SELECT enabled AND pending FROM backup_codes_status('keyed'::text)";
        assert!(client.value::<bool>(enabled, &[]), "{about}");
        assert_eq!(keys(&mut client), [(1, false, false, 1)], "{about}");
        assert_eq!((failures(&mut client, "keyed"), failures(&mut client, "plain")), (0, 0), "{about}");
    }
    // Removing needs no key; in a transaction that is taken back.
    client.batch_execute("BEGIN").expect("BEGIN");
    for sql in ["SELECT backup_codes_cancel('keyed')", "SELECT backup_codes_disable('keyed') = 10"] {
        assert!(client.value::<bool>(sql, &[]), "{sql}");
    }
    client.batch_execute("ROLLBACK").expect("ROLLBACK");

    let log = server.log();
    assert!(log.contains("is malformed: line 3 repeats the id of another line"), "the errors are logged");
    for key in [ONE, TWO, THREE] {
        assert!(!log.contains(&key[..8]), "the key is not");
    }
    for code in [&plain[0], &keyed[0], &pending[0]] {
        assert!(!log.contains(code.as_str()), "nor a code");
    }

    configure(&good, &mut [&mut client]);
    assert!(client.consume("keyed", &keyed[0]) && client.consume("plain", &plain[0]), "nothing was lost");
    assert!(client.value::<bool>("SELECT backup_codes_confirm('keyed', $1)", &[&pending[0]]));
}

/// The forms that the rule for the private key of a server allows, and the largest file.
#[test]
fn a_key_file_in_order_is_taken_wherever_it_lies() {
    let server = Server::start(&["fsync=off"]);
    let database = server.database();
    let mut client = session(&database);
    let path = server.dir.join("keys");
    let longest = format!("1 {ONE}\n#{}", "#".repeat(64 * 1024 - 48));
    assert_eq!(longest.len(), 64 * 1024);
    let odd = "\u{feff}# a comment with a byte order mark\n".to_owned();
    for (content, accepted) in [
        (format!("1 {ONE}\n"), true),
        (format!("1 {ONE}"), true),
        (format!("# first\r\n\r\n  2147483647\t{ONE}  \r\n"), true),
        (longest, true),
        (format!("{odd}1 {ONE}\n"), false),
    ] {
        put(&server, &path, &content);
        configure(&path, &mut [&mut client]);
        let made = client.query("SELECT backup_codes_generate('42')", &[]).is_ok();
        assert_eq!(made, accepted, "{:.40}", content);
    }
    put(&server, &path, format!("1 {ONE}\n"));
    for mode in [0o600, 0o400] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("chmod");
        configure(&path, &mut [&mut client]);
        assert_eq!(client.generate("42").len(), 10, "{mode:o}");
    }
    let link = server.dir.join("link to the keys");
    symlink(&path, &link).expect("a symlink");
    configure(&link, &mut [&mut client]);
    assert_eq!(client.generate("42").len(), 10, "through a symbolic link");
    if run(Command::new("id").arg("-u")).trim() == "0" {
        let group = std::os::unix::fs::MetadataExt::gid(&fs::metadata(server.data()).expect("a data directory"));
        chown(&path, Some(0), Some(group)).expect("chown");
        for mode in [0o640, 0o440] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("chmod");
            configure(&path, &mut [&mut client]);
            assert_eq!(client.generate("42").len(), 10, "root's, {mode:o}");
        }
    }
}

/// New sets go under the first key; a set is opened by its own key alone, an unkeyed set by none. All in sessions that stay.
#[test]
fn a_reload_changes_the_current_key_without_reconnecting() {
    let server = Server::start(&["fsync=off"]);
    let database = server.database();
    let (mut client, mut other) = (session(&database), session(&database));
    assert_eq!(keys(&mut client), []);
    let none = client.generate("none");
    let path = server.dir.join("keys");

    put(&server, &path, format!("1 {ONE}\n"));
    configure(&path, &mut [&mut client, &mut other]);
    let one = client.generate("one");
    let pending = prepare(&mut client, "none");
    assert_eq!(key_of(&mut client, "one"), Some(1));
    assert_eq!(key_of(&mut client, "none"), None, "an unkeyed set stays unkeyed until it is rolled");
    assert_eq!(keys(&mut client), [(1, true, true, 2)]);
    assert!(client.consume("none", &none[0]), "it goes on being accepted");

    // Planned rotation: the new key first, the old one stays.
    put(&server, &path, format!("2 {TWO}\n1 {ONE}\n"));
    reload(&mut [&mut client, &mut other]);
    let two = other.generate("two");
    assert_eq!(key_of(&mut client, "two"), Some(2));
    assert_eq!(keys(&mut client), [(1, true, false, 2), (2, true, true, 1)]);
    for (n, session) in [&mut client, &mut other].into_iter().enumerate() {
        assert!(session.consume("one", &one[n]) && session.consume("two", &two[n]));
    }
    assert!(client.value::<bool>("SELECT backup_codes_confirm('none', $1)", &[&pending[0]]));
    assert_eq!(key_of(&mut client, "none"), Some(1));
    client.generate("one");
    client.generate("none");
    assert_eq!(keys(&mut client), [(1, true, false, 0), (2, true, true, 3)]);

    // Nobody needs the old key any more.
    put(&server, &path, format!("2 {TWO}\n"));
    reload(&mut [&mut client, &mut other]);
    assert_eq!(keys(&mut other), [(2, true, true, 3)]);
    assert!(other.consume("two", &two[9]));

    // Without a file new sets are unkeyed again; keyed ones raise.
    configure(Path::new(""), &mut [&mut client, &mut other]);
    client.generate("one");
    assert_eq!(key_of(&mut client, "one"), None);
    assert_eq!(keys(&mut client), [(2, false, false, 2)]);
    let Failure { sqlstate, message, hint } = client.failure("SELECT backup_codes_consume('two', $1)", &[&two[8]]);
    assert_eq!(sqlstate, "55000");
    assert_eq!(message, "a set of backup codes needs key 2, and backup_codes.key_file is not set");
    assert_eq!(hint, "Set backup_codes.key_file to the file that holds it and reload the configuration.");
    assert_eq!((failures(&mut client, "two"), client.remaining("two")), (0, 7));
}

/// A key that was added to the file is found although nobody has reloaded: the file is read once more before a set is refused.
/// A standby that holds another key under the same id would raise for every user after a failover.
#[test]
fn key_check_tells_whether_two_servers_hold_the_same_key() {
    let server = Server::start(&["fsync=off"]);
    let database = server.database();
    let mut client = session(&database);
    let path = server.dir.join("keys");
    let checks = |client: &mut Client| -> Vec<(i32, Option<String>)> {
        let rows = client.query("SELECT key_id, key_check FROM backup_codes_keys()", &[]).expect("keys");
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    };
    // Computed with Python's hmac.
    let (one, two) = (Some("250c1aa9339e29b2".to_owned()), Some("fa71d14ef244677f".to_owned()));
    put(&server, &path, format!("1 {ONE}\n2 {TWO}\n"));
    configure(&path, &mut [&mut client]);
    client.generate("42");
    assert_eq!(checks(&mut client), [(1, one), (2, two.clone())]);
    put(&server, &path, format!("1 {TWO}\n"));
    reload(&mut [&mut client]);
    assert_eq!(checks(&mut client), [(1, two.clone())]);
    put(&server, &path, format!("2 {TWO}\n"));
    reload(&mut [&mut client]);
    assert_eq!(checks(&mut client), [(1, None), (2, two)], "a key that is lost has none");
}

#[test]
fn a_key_that_was_added_without_a_reload_is_found() {
    let server = Server::start(&["fsync=off"]);
    let database = server.database();
    let (mut client, mut late) = (session(&database), session(&database));
    let path = server.dir.join("keys");
    put(&server, &path, format!("1 {ONE}\n"));
    configure(&path, &mut [&mut client, &mut late]);
    let one = client.generate("one");
    assert!(late.consume("one", &one[0]), "this session has read the file");

    put(&server, &path, format!("2 {TWO}\n1 {ONE}\n"));
    let mut new = session(&database);
    let two = new.generate("two");
    assert_eq!(key_of(&mut new, "two"), Some(2), "a new session reads the file of now");
    assert!(late.consume("two", &two[0]), "an old one reads it once more");
    assert!(late.consume("one", &one[1]));
    late.generate("three");
    assert_eq!(key_of(&mut late, "three"), Some(2), "and goes on with what it read");
}

/// Another key under the right id, a file without the key, a lost file: all raise, none counts, and no set goes.
#[test]
fn a_lost_or_a_mistaken_key_is_no_wrong_code() {
    let server = Server::start(&["fsync=off", "backup_codes.max_failures=3", "backup_codes.disable_after=5"]);
    let database = server.database();
    let mut client = session(&database);
    let path = server.dir.join("keys");
    put(&server, &path, format!("7 {ONE}\n"));
    configure(&path, &mut [&mut client]);
    let codes = client.generate("42");
    let pending = prepare(&mut client, "42");
    let calls = [
        ("SELECT backup_codes_consume('42', $1)", &codes[0]),
        ("SELECT backup_codes_attempt('42', $1)", &pending[1]),
        ("SELECT backup_codes_disable('42', $1)", &codes[0]),
        ("SELECT backup_codes_regenerate('42', $1)", &codes[0]),
        ("SELECT backup_codes_confirm('42', $1)", &pending[0]),
        ("SELECT backup_codes_confirm('42', $1)", &codes[1]),
    ];
    let shown = path.display();
    for (content, message) in [
        (format!("7 {TWO}\n"), "a set of backup codes does not carry the seal of key 7".to_owned()),
        (format!("8 {ONE}\n"), format!("a set of backup codes needs key 7, and key file \"{shown}\" does not hold it")),
        (
            format!("8 {TWO}\n9 {THREE}\n"),
            format!("a set of backup codes needs key 7, and key file \"{shown}\" does not hold it"),
        ),
    ] {
        put(&server, &path, content);
        reload(&mut [&mut client]);
        // Ten times: more than would lock, remove the set and drop the pending one.
        for (sql, code) in calls.iter().cycle().take(10 * calls.len()) {
            let failure = client.failure(sql, &[code]);
            assert_eq!((failure.sqlstate.as_str(), &failure.message), ("55000", &message), "{sql}");
            assert!(failure.hint.starts_with("Put the "), "{failure:?}");
        }
    }
    fs::remove_file(&path).expect("rm");
    reload(&mut [&mut client]);
    for (sql, code) in calls.iter().cycle().take(10 * calls.len()) {
        assert_eq!(client.failure(sql, &[code]).sqlstate, "58P01", "{sql}");
    }
    configure(Path::new(""), &mut [&mut client]);
    for (sql, code) in calls.iter().cycle().take(10 * calls.len()) {
        assert_eq!(client.failure(sql, &[code]).sqlstate, "55000", "{sql}");
    }

    let row = client.query_one(
        "SELECT a.failures, a.locked_until IS NULL, p.failures, (SELECT count(*) FROM backup_codes.code), (SELECT count(*) FROM backup_codes.event)
           FROM backup_codes.account AS a JOIN backup_codes.pending_set AS p USING (user_id) WHERE user_id = '42'",
        &[],
    );
    let row = row.expect("both sets");
    assert_eq!((row.get(0), row.get(1), row.get(2), row.get(3), row.get(4)), (0, true, 0, 20_i64, 2_i64));
    put(&server, &path, format!("8 {TWO}\n7 {ONE}\n"));
    configure(&path, &mut [&mut client]);
    assert_eq!(client.attempt("42", &codes[0]), "accepted");
    assert!(client.value::<bool>("SELECT backup_codes_confirm('42', $1)", &[&pending[0]]));
}

/// A key and Argon2id: the HMAC goes over whatever the scheme gives.
#[test]
fn short_codes_are_keyed_as_well() {
    let server = Server::start(&["fsync=off", "backup_codes.length=16", "backup_codes.argon2_memory=8192"]);
    let database = server.database();
    let mut client = session(&database);
    let path = server.dir.join("keys");
    put(&server, &path, format!("1 {ONE}\n"));
    configure(&path, &mut [&mut client]);
    let codes = client.generate("42");
    let scheme: String = client.value("SELECT scheme || ' ' || key_id FROM backup_codes.overview", &[]);
    assert_eq!(scheme, "argon2id 1");
    assert_eq!(client.attempt("42", &codes[0]), "accepted");
    assert_eq!(client.attempt("42", &codes[0]), "used");
    // Stolen tables alone open nothing: without the key the right code has another hash.
    client
        .batch_execute("UPDATE backup_codes.account SET key_id = NULL, seal = NULL WHERE user_id = '42'")
        .expect("UPDATE");
    assert_eq!(client.attempt("42", &codes[1]), "rejected");
}

/// Who can write the tables and has no key makes no set that opens: a set is bound to its user, its salt, its scheme, its format
/// and its times. Each forgery raises, counts nothing, and doctor shows it.
#[test]
fn a_set_that_was_copied_or_changed_raises_and_counts_nothing() {
    let server = Server::start(&["fsync=off", "backup_codes.max_failures=2", "backup_codes.valid_for=1000"]);
    let database = server.database();
    let mut client = session(&database);
    let path = server.dir.join("keys");
    put(&server, &path, format!("1 {ONE}\n"));
    configure(&path, &mut [&mut client]);
    let seals = "SELECT status || ' ' || detail FROM backup_codes_doctor() WHERE check_name = 'seals'";
    let copy = "UPDATE backup_codes.account AS v SET set_no = a.set_no, generated_at = a.generated_at, expires_at = a.expires_at,
                       salt = a.salt, key_id = a.key_id, seal = a.seal FROM backup_codes.account AS a
                 WHERE v.user_id = 'victim' AND a.user_id = 'attacker';
                DELETE FROM backup_codes.code WHERE user_id = 'victim';
                INSERT INTO backup_codes.code SELECT set_no, ordinal, 'victim', code_hash FROM backup_codes.code WHERE user_id = 'attacker'";
    let change = |what: &str| format!("UPDATE backup_codes.account SET {what} WHERE user_id = 'victim'");
    let changes = [
        copy.to_owned(),
        change("expires_at = expires_at + interval '1 microsecond'"),
        change("expires_at = NULL"),
        change("generated_at = generated_at - interval '1 hour'"),
        change("alphabet = 'h'"),
        change("length = 24"),
        change("scheme = 'a', argon2_memory = 8192, argon2_iterations = 1"),
        change("seal = NULL"),
        change("seal = decode(repeat('00', 16), 'hex')"),
        change("salt = decode(repeat('00', 16), 'hex')"),
    ];
    for change in changes {
        let codes = client.generate("attacker");
        client.generate("victim");
        assert_eq!(client.value::<String>(seals, &[]), "ok every set that was looked at carries the seal of its key");
        client.batch_execute(&change).expect(&change);
        // A code of the attacker's, in the format that the row now claims, is no way in either.
        let calls = [
            "SELECT backup_codes_consume('victim', $1)",
            "SELECT status FROM backup_codes_attempt('victim', $1)",
            "SELECT backup_codes_disable('victim', $1)",
            "SELECT backup_codes_regenerate('victim', $1)",
        ];
        for call in calls.iter().cycle().take(12) {
            let parsed = change.contains("length") || change.contains("alphabet");
            match client.query(*call, &[&codes[0]]) {
                Err(error) => {
                    let state = error.code().expect("an SQLSTATE").code().to_owned();
                    assert_eq!(state, "55000", "{change}: {call}");
                }
                // The code does not fit the format that the row claims: nothing is computed.
                Ok(_) => assert!(parsed, "{change}: {call}"),
            }
        }
        let counted = "SELECT failures FROM backup_codes.account WHERE user_id = 'victim'";
        assert_eq!(client.value::<i32>(counted, &[]), 0, "{change}");
        let said: String = client.value(seals, &[]);
        assert!(
            said.starts_with("problem 1 set under key 1 not made for their users, or changed since: victim"),
            "{said}"
        );
    }
}

/// A pasted pending set does not become an active one, with proof or without, and is not sealed anew on the way.
#[test]
fn a_pasted_pending_set_is_never_laundered() {
    let server = Server::start(&["fsync=off"]);
    let database = server.database();
    let mut client = session(&database);
    let path = server.dir.join("keys");
    put(&server, &path, format!("1 {ONE}\n"));
    configure(&path, &mut [&mut client]);
    client.generate("victim");
    let codes = prepare(&mut client, "attacker");
    client
        .batch_execute(
            "UPDATE backup_codes.account SET set_counter = 2 WHERE user_id = 'victim';
             UPDATE backup_codes.pending_set SET user_id = 'victim', set_no = 2;
             UPDATE backup_codes.code SET user_id = 'victim', set_no = 2 WHERE user_id = 'attacker'",
        )
        .expect("a pasted set");
    for sql in [
        "SELECT backup_codes_confirm('victim', $1)",
        "SELECT backup_codes_confirm('victim') FROM (SELECT $1::text) AS c",
    ] {
        assert_eq!(client.failure(sql, &[&codes[0]]).sqlstate, "55000", "{sql}");
    }
    let active: i32 = client.value("SELECT set_no FROM backup_codes.account WHERE user_id = 'victim'", &[]);
    assert_eq!(active, 1);
    // It can be thrown away.
    assert!(client.value::<bool>("SELECT backup_codes_cancel('victim')", &[]));
    assert_eq!(client.remaining("victim"), 10);
}

/// A rename seals a keyed set anew, the active and the pending one, and only what carries its seal: a pasted set stays one.
#[test]
fn a_rename_keeps_a_seal_and_makes_none_good() {
    let server = Server::start(&["fsync=off"]);
    let database = server.database();
    let mut client = session(&database);
    let path = server.dir.join("keys");
    put(&server, &path, format!("1 {ONE}\n"));
    let unkeyed = client.generate("unkeyed");
    configure(&path, &mut [&mut client]);
    client
        .batch_execute(
            "CREATE TABLE users (id text PRIMARY KEY);
             CREATE TRIGGER follow AFTER DELETE OR UPDATE ON users FOR EACH ROW EXECUTE FUNCTION backup_codes_forget_user('id');
             INSERT INTO users VALUES ('ann'), ('unkeyed'), ('victim')",
        )
        .expect("users");
    let rename = "UPDATE users SET id = $2 WHERE id = $1";
    let (active, pending) = (client.generate("ann"), prepare(&mut client, "ann"));
    assert_eq!(client.execute(rename, &[&"ann", &"bea"]).expect("a rename"), 1);
    assert!(client.consume("bea", &active[0]));
    assert!(client.value::<bool>("SELECT backup_codes_confirm('bea', $1)", &[&pending[0]]));
    assert!(client.consume("bea", &pending[0]));

    // The key is lost: the rename raises, and changes nothing.
    let sealed =
        "SELECT string_agg(user_id || encode(seal, 'hex'), ',') FROM backup_codes.account WHERE key_id IS NOT NULL";
    let before: String = client.value(sealed, &[]);
    put(&server, &path, format!("2 {TWO}\n"));
    reload(&mut [&mut client]);
    assert_eq!(client.failure(rename, &[&"bea", &"cay"]).sqlstate, "55000");
    assert_eq!(client.failure("SELECT backup_codes_rename_user('bea', 'cay')", &[]).sqlstate, "55000");
    assert_eq!(client.value::<String>(sealed, &[]), before);
    // A set without a key needs none.
    assert_eq!(client.execute(rename, &[&"unkeyed", &"still unkeyed"]).expect("a rename"), 1);
    assert!(client.consume("still unkeyed", &unkeyed[0]));
    put(&server, &path, format!("1 {ONE}\n"));
    reload(&mut [&mut client]);
    assert_eq!(client.execute(rename, &[&"bea", &"cay"]).expect("a rename"), 1);
    assert!(client.consume("cay", &pending[1]));

    // Pasted at a key, and renamed: active and pending.
    for table in ["account", "pending_set"] {
        client.generate("victim");
        let codes = if table == "account" { client.generate("attacker") } else { prepare(&mut client, "attacker") };
        client
            .batch_execute(&format!(
                "DELETE FROM backup_codes.{table} WHERE user_id = 'victim';
                 UPDATE backup_codes.{table} SET user_id = 'victim' WHERE user_id = 'attacker';
                 UPDATE backup_codes.code SET user_id = 'victim' WHERE user_id = 'attacker';
                 DELETE FROM backup_codes.account WHERE user_id = 'attacker'"
            ))
            .expect("a pasted set");
        assert_eq!(client.failure(rename, &[&"victim", &"dee"]).sqlstate, "55000", "{table}");
        assert!(!client.consume("dee", &codes[0]), "{table}");
        // Whoever is deleted needs no key, and no seal.
        assert!(client.value::<bool>("SELECT backup_codes_forget_user('victim')", &[]), "{table}");
    }
    assert_eq!(client.execute("DELETE FROM users", &[]).expect("DELETE"), 3);
    assert_eq!(client.value::<i64>("SELECT count(*) FROM backup_codes.account", &[]), 0);
}

/// With require_key nothing is made without a key, and a set without one opens nothing but can be cleared away.
#[test]
fn where_a_key_is_required_a_set_without_one_opens_nothing() {
    let server = Server::start(&["fsync=off", "backup_codes.max_failures=2"]);
    let database = server.database();
    let mut client = session(&database);
    let codes = client.generate("old");
    let pending = prepare(&mut client, "pending");
    client.batch_execute("ALTER SYSTEM SET backup_codes.require_key = on").expect("ALTER SYSTEM");
    reload(&mut [&mut client]);
    for sql in [
        "SELECT backup_codes_generate('new')",
        "SELECT backup_codes_prepare('new')",
        "SELECT backup_codes_generate_many('{new}'::text[])",
        "SELECT backup_codes_regenerate('old', '00000-00000-00000-00000-00000')",
    ] {
        let failure = client.failure(sql, &[]);
        assert_eq!(failure.sqlstate, "55000", "{sql}: {failure:?}");
        assert!(failure.hint.contains("require_key"), "{failure:?}");
    }
    for _ in 0..4 {
        assert_eq!(client.attempt("old", &codes[0]), "rejected");
        assert!(!client.value::<bool>("SELECT backup_codes_disable('old', $1)", &[&codes[0]]));
        assert!(!client.value::<bool>("SELECT backup_codes_confirm('pending', $1)", &[&pending[0]]));
        assert!(!client.value::<bool>("SELECT backup_codes_confirm('pending')", &[]));
    }
    assert_eq!(client.remaining("old"), 0);
    let shown =
        "SELECT concat_ws(' ', enabled, remaining, total, pending, generated_at) FROM backup_codes_status($1::text)";
    assert_eq!(client.value::<String>(shown, &[&"old"]), client.value::<String>(shown, &[&"nobody"]));
    assert_eq!(client.value::<String>(shown, &[&"pending"]), client.value::<String>(shown, &[&"nobody"]));
    let unkeyed = "SELECT status || ' ' || detail FROM backup_codes_doctor() WHERE check_name = 'unkeyed_sets'";
    let said: String = client.value(unkeyed, &[]);
    assert!(said.starts_with("problem") && said.ends_with("2 users"), "{said}");
    let counted: i32 = client.value("SELECT failures FROM backup_codes.account WHERE user_id = 'old'", &[]);
    assert_eq!(counted, 0);
    // With the key in place new sets are made and open.
    let path = server.dir.join("keys");
    put(&server, &path, format!("1 {ONE}\n"));
    configure(&path, &mut [&mut client]);
    let new = client.generate("old");
    assert_eq!(client.attempt("old", &new[0]), "accepted");
    assert!(client.value::<bool>("SELECT backup_codes_cancel('pending')", &[]));
}

/// A key stops who reads the tables. Who writes them makes a set without one, and doctor shows that.
#[test]
fn a_set_that_was_written_past_the_key_is_shown_by_doctor() {
    let server = Server::start(&["fsync=off"]);
    let database = server.database();
    let mut client = session(&database);
    let path = server.dir.join("keys");
    put(&server, &path, format!("1 {ONE}\n"));
    configure(&path, &mut [&mut client]);
    client.generate("victim");
    let unkeyed = "SELECT status FROM backup_codes_doctor() WHERE check_name = 'unkeyed_sets'";
    assert_eq!(client.value::<String>(unkeyed, &[]), "ok");
    client
        .batch_execute(
            "UPDATE backup_codes.account SET salt = decode(repeat('00', 16), 'hex'), key_id = NULL, seal = NULL;
             UPDATE backup_codes.code SET code_hash = substr(sha256(
               convert_to('backup_codes', 'UTF8') || '\\x02' || decode(repeat('00', 16), 'hex') || convert_to(repeat('0', 24), 'UTF8')), 1, 16) WHERE ordinal = 1",
        )
        .expect("a forged set");
    assert_eq!(client.attempt("victim", "00000-00000-00000-00000-00000"), "accepted");
    assert_eq!(client.value::<String>(unkeyed, &[]), "warning");
}

/// Ends the load, also when a test fails.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Eight connections make sets and burn them while the key is rotated five times under them, by the book: the new key is put
/// first, every set is rolled, the old key goes. No code is lost.
#[test]
fn planned_rotation_under_load_loses_no_code() {
    const CONNECTIONS: usize = 8;
    const ROTATIONS: i32 = 5;
    let server = Server::start(&["fsync=off"]);
    let database = server.database();
    let mut client = session(&database);
    let path = server.dir.join("keys");
    let secrets = [ONE, TWO, THREE];
    let line = |id: i32| format!("{id} {}\n", secrets[id as usize % 3]);
    put(&server, &path, line(1));
    configure(&path, &mut [&mut client]);
    let (over, consumed) = (AtomicBool::new(false), AtomicU32::new(0));
    let rounds: Vec<AtomicU32> = (0..CONNECTIONS).map(|_| AtomicU32::new(0)).collect();
    // Two more rounds of every worker: by then each has rolled his set.
    let two_rounds = || {
        let before: Vec<u32> = rounds.iter().map(|rounds| rounds.load(Ordering::Relaxed)).collect();
        wait_until("two rounds of every worker", || {
            rounds.iter().zip(&before).all(|(now, before)| now.load(Ordering::Relaxed) >= before + 2)
        });
    };
    thread::scope(|scope| {
        let _end = End(&over);
        for (worker, rounds) in rounds.iter().enumerate() {
            let (over, consumed, mut client) = (&over, &consumed, database.connect());
            scope.spawn(move || {
                let user_id = format!("worker {worker}");
                while !over.load(Ordering::Relaxed) {
                    for code in client.generate(&user_id) {
                        assert_eq!(client.attempt(&user_id, &code), "accepted");
                        consumed.fetch_add(1, Ordering::Relaxed);
                    }
                    let pending = prepare(&mut client, &user_id);
                    assert!(
                        client.value::<bool>("SELECT backup_codes_confirm($1::text, $2)", &[&user_id, &pending[9]])
                    );
                    assert!(client.consume(&user_id, &pending[9]));
                    rounds.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for new in 2..=ROTATIONS + 1 {
            put(&server, &path, line(new) + &line(new - 1));
            // Before the reload some sessions know the new key, and some do not.
            let early = session(&database).generate("early");
            assert!(client.consume("early", &early[0]), "a session that has not reloaded");
            reload(&mut [&mut client]);
            two_rounds();
            assert_eq!(keys(&mut client), [(new - 1, true, false, 0), (new, true, true, 9)]);
            put(&server, &path, line(new));
            reload(&mut [&mut client]);
            two_rounds();
        }
    });
    let failures: i64 = client.value("SELECT sum(failures) FROM backup_codes.account", &[]);
    assert_eq!(failures, 0);
    let reasons: i64 = client.value("SELECT count(*) FROM backup_codes.event WHERE reason = 'failures'", &[]);
    assert_eq!(reasons, 0);
    let consumed = consumed.load(Ordering::Relaxed);
    assert!(consumed as usize >= CONNECTIONS * ROTATIONS as usize * 20, "{consumed} codes consumed");
}

/// A dump holds no key; where the same file is, its codes are accepted.
#[test]
fn a_dump_of_keyed_sets_opens_with_the_same_file() {
    let (old, new) = (Server::start(&["fsync=off"]), Server::start(&["fsync=off"]));
    let (source, target) = (old.database(), new.empty_database(""));
    let mut client = session(&source);
    let path = old.dir.join("keys");
    put(&old, &path, format!("5 {ONE}\n"));
    configure(&path, &mut [&mut client]);
    let codes = client.generate("42");
    let pending = prepare(&mut client, "42");
    let dump = std::env::temp_dir().join(format!("{}.keyed.sql", source.name));
    run(old.client_program("pg_dump").arg("-f").arg(&dump).arg(&source.name));
    let text = fs::read_to_string(&dump).expect("a dump");
    let restored = new
        .client_program("psql")
        .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", &target.name, "-f"])
        .arg(&dump)
        .output();
    fs::remove_file(&dump).expect("rm");
    assert!(restored.expect("psql").status.success());
    // Neither as base64 nor as the bytes of a bytea.
    assert!(
        text.contains("COPY backup_codes.account") && !text.contains(&ONE[..8]) && !text.contains("00010203040506")
    );

    let mut client = session(&target);
    assert_eq!(keys(&mut client), [(5, false, false, 1)]);
    assert_eq!(client.failure("SELECT backup_codes_consume('42', $1)", &[&codes[0]]).sqlstate, "55000");
    let path = new.dir.join("the same keys");
    put(&new, &path, format!("5 {ONE}\n"));
    configure(&path, &mut [&mut client]);
    assert_eq!(client.attempt("42", &codes[0]), "accepted");
    assert!(client.value::<bool>("SELECT backup_codes_confirm('42', $1)", &[&pending[0]]));
}
