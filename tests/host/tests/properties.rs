//! What holds for any argument, and for any sequence of calls.
//!
//! The cases are the same in every run; PROPTEST_CASES asks for that many others.

use std::cell::RefCell;

use bytes::{BufMut, BytesMut};
use host_tests::{Client, Server, Session, ToSql};
use postgres::Error;
use postgres::types::{IsNull, Type, to_sql_checked};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

type Parameters<'a> = &'a [&'a (dyn ToSql + Sync)];

fn runner(cases: u32) -> TestRunner {
    let config = Config { failure_persistence: None, max_shrink_iters: 200, ..Config::default() };
    match std::env::var("PROPTEST_CASES") {
        Ok(_) => TestRunner::new(config),
        Err(_) => {
            let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
            TestRunner::new_with_rng(Config { cases, ..config }, rng)
        }
    }
}

/// An interval of any months, days and microseconds, as PostgreSQL's binary format has it.
#[derive(Clone, Copy, Debug)]
struct Interval {
    months: i32,
    days: i32,
    micros: i64,
}

impl ToSql for Interval {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        out.put_i64(self.micros);
        out.put_i32(self.days);
        out.put_i32(self.months);
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::INTERVAL
    }

    to_sql_checked!();
}

/// A timestamp of any microseconds that PostgreSQL takes.
#[derive(Clone, Copy, Debug)]
struct Timestamp(i64);

impl ToSql for Timestamp {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        out.put_i64(self.0);
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::TIMESTAMPTZ
    }

    to_sql_checked!();
}

#[derive(Clone, Debug)]
enum User {
    Bigint(Option<i64>),
    Uuid(Option<uuid::Uuid>),
    Text(Option<String>),
}

impl User {
    fn type_name(&self) -> &'static str {
        match self {
            Self::Bigint(_) => "bigint",
            Self::Uuid(_) => "uuid",
            Self::Text(_) => "text",
        }
    }

    fn parameter(&self) -> &(dyn ToSql + Sync) {
        match self {
            Self::Bigint(id) => id,
            Self::Uuid(id) => id,
            Self::Text(id) => id,
        }
    }

    /// The SQLSTATE that an issuer function has to raise for it.
    fn refusal(&self) -> Option<&'static str> {
        match self {
            Self::Bigint(None) | Self::Uuid(None) | Self::Text(None) => Some("22004"),
            Self::Text(Some(id)) if !(1..=255).contains(&id.len()) => Some("22023"),
            _ => None,
        }
    }
}

/// Text of any characters but NUL, which PostgreSQL's text cannot hold: short, at the limits, and up to a megabyte.
fn text() -> impl Strategy<Value = String> {
    let character = prop_oneof![
        6 => any::<char>(),
        2 => proptest::char::range('\u{1}', '\u{1f}'),
        4 => proptest::char::range(' ', '~'),
        2 => proptest::sample::select(vec!['\u{7f}', '\u{85}', '\u{200b}', '\u{202e}', '\u{feff}', '\u{fffd}', '\u{10ffff}', '\'', '\\', '%', '"', '$']),
    ]
    .prop_map(|character| if character == '\0' { '\u{1}' } else { character });
    prop_oneof![
        8 => vec(character.clone(), 0..40).prop_map(String::from_iter),
        4 => "[0-9A-Za-z]{5}(-[0-9A-Za-z]{5}){4}",
        2 => (character.clone(), proptest::sample::select(vec![63, 64, 254, 255, 256, 1020, 1023, 1024, 1025]))
            .prop_map(|(character, length)| String::from_iter(std::iter::repeat_n(character, length / character.len_utf8()))),
        1 => (character, 1_000_usize..1_048_576)
            .prop_map(|(character, length)| String::from_iter(std::iter::repeat_n(character, length / character.len_utf8()))),
        1 => Just("%s%n%x%1$s'; DROP TABLE backup_codes.account; --".to_owned()),
    ]
}

fn user() -> impl Strategy<Value = User> {
    prop_oneof![
        2 => option::weighted(0.9, extreme_i64()).prop_map(User::Bigint),
        1 => option::weighted(0.9, any::<[u8; 16]>()).prop_map(|id| User::Uuid(id.map(uuid::Uuid::from_bytes))),
        4 => option::weighted(0.9, text()).prop_map(User::Text),
    ]
}

fn extreme_i64() -> impl Strategy<Value = i64> {
    prop_oneof![2 => any::<i64>(), 2 => -2_i64..3, 1 => Just(i64::MIN), 1 => Just(i64::MAX)]
}

fn extreme_i32() -> impl Strategy<Value = i32> {
    prop_oneof![2 => any::<i32>(), 4 => -2..120_i32, 1 => Just(i32::MIN), 1 => Just(i32::MAX)]
}

fn interval() -> impl Strategy<Value = Interval> {
    prop_oneof![
        3 => (extreme_i32(), extreme_i32(), extreme_i64()),
        2 => (Just(0), Just(0), extreme_i64()),
        2 => (-200_000..200_000_i32, -5_000_000..5_000_000_i32, any::<i64>()),
        1 => Just((i32::MAX, i32::MAX, i64::MAX)),
        1 => Just((i32::MIN, i32::MIN, i64::MIN)),
        2 => (0..3_i32, 0..3_i32, 0..3_000_000_i64),
    ]
    .prop_map(|(months, days, micros)| Interval { months, days, micros })
}

/// From 4714 BC to 294276 AD, and both infinities.
fn timestamp() -> impl Strategy<Value = Timestamp> {
    prop_oneof![
        4 => -211_813_488_000_000_000_i64..9_223_371_331_200_000_000,
        1 => Just(i64::MIN),
        1 => Just(i64::MAX),
        1 => Just(-211_813_488_000_000_000),
        1 => Just(9_223_371_331_199_999_999),
    ]
    .prop_map(Timestamp)
}

/// An error may be told to anybody: it has the SQLSTATE that the reference names, and nothing of how we are built.
fn assert_fit_to_print(error: &Error, what: &str, allowed: &[&str]) {
    let error = error.as_db_error().unwrap_or_else(|| panic!("{what}: {error:?}"));
    assert!(allowed.contains(&error.code().code()), "{what}: {error:?}");
    let texts = [Some(error.message()), error.detail(), error.hint(), error.where_()];
    for text in texts.into_iter().flatten() {
        for trace in ["panic", "backtrace", "unwrap", ".rs:", "src/", "RUST_"] {
            assert!(!text.contains(trace), "{what}: {error:?}");
        }
    }
}

/// The server lives, this session is still its first one, and no process of it has died.
struct Health {
    pid: i32,
    started: String,
}

impl Health {
    const STARTED: &str = "SELECT pg_postmaster_start_time()::text";

    fn of(client: &mut Client) -> Self {
        Self { pid: client.pid(), started: client.value(Self::STARTED, &[]) }
    }

    fn assert_same(&self, client: &mut Client, server: &Server) {
        assert_eq!(client.pid(), self.pid, "the session");
        assert_eq!(client.value::<String>(Self::STARTED, &[]), self.started, "the server");
        let log = server.log();
        for trace in ["terminated by signal", "panicked", "PANIC:", "XX000", "reinitializing"] {
            assert!(!log.contains(trace), "{trace} in the server's log");
        }
    }
}

/// Settings under which new sets are made, and input of unknown users is parsed.
fn settings() -> impl Strategy<Value = String> {
    (proptest::sample::select(vec!["base32", "hex", "decimal"]), 6..65, 0..65, 1..101, option::of(1..i32::MAX))
        .prop_map(|(alphabet, length, group_size, count, valid_for)| {
            format!(
                "SET backup_codes.alphabet = {alphabet}; SET backup_codes.length = {length};
                 SET backup_codes.group_size = {group_size}; SET backup_codes.count = {count};
                 SET backup_codes.valid_for = {}; SET backup_codes.hash = sha256",
                valid_for.unwrap_or(0) % 1_000_000
            )
        })
}

fn verify(client: &mut Client, user: &User, code: Option<&str>) {
    let (id, t) = (user.parameter(), user.type_name());
    // One user has at most 100 codes: whatever these arguments are, they are no code that was just made.
    let consumed: Option<bool> = client.value(&format!("SELECT backup_codes_consume($1::{t}, $2::text)"), &[id, &code]);
    assert_eq!(consumed, Some(false));
    let sql = format!(
        "SELECT status, remaining IS NULL AND low IS NULL, retry_after IS NULL FROM backup_codes_attempt($1::{t}, $2::text)"
    );
    let rows = client.query(&sql, &[id, &code]).unwrap_or_else(|error| panic!("attempt: {error:?}"));
    assert_eq!(rows.len(), 1);
    let status: &str = rows[0].get(0);
    let expected: &[&str] = match (user.refusal(), code) {
        (Some(_), _) => &["rejected"],
        (None, None) => &["malformed"],
        (None, Some(code)) if code.len() > 1024 => &["malformed"],
        _ => &["malformed", "rejected"],
    };
    assert!(expected.contains(&status), "{status}");
    assert!(rows[0].get::<_, bool>(1) && rows[0].get::<_, bool>(2));
    let remaining: Option<i32> = client.value(&format!("SELECT backup_codes_remaining($1::{t})"), &[id]);
    let rows = client.query(&format!("SELECT * FROM backup_codes_status($1::{t})"), &[id]);
    let rows = rows.unwrap_or_else(|error| panic!("status: {error:?}"));
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].get::<_, Option<i32>>("remaining"), remaining);
    assert!(remaining.is_some_and(|remaining| (0..=100).contains(&remaining)));
    assert_eq!(rows[0].get::<_, Option<bool>>("enabled"), remaining.map(|remaining| remaining > 0));
}

/// Calls an issuer function; what it raises is what the reference says of its arguments.
fn issue(client: &mut Client, user: &User, function: &str, rest: &str, parameters: Parameters, allowed: &[&str]) {
    let sql = format!("SELECT * FROM backup_codes_{function}($1::{}{rest})", user.type_name());
    let parameters: Vec<_> = [user.parameter()].into_iter().chain(parameters.iter().copied()).collect();
    match (client.query(&sql, &parameters), user.refusal()) {
        (Ok(_), None) => {}
        (Ok(_), Some(refusal)) => panic!("{sql} did not raise {refusal}"),
        (Err(error), Some(refusal)) => assert_fit_to_print(&error, &sql, &[refusal]),
        (Err(error), None) => assert_fit_to_print(&error, &sql, allowed),
    }
}

#[test]
fn no_argument_of_a_verifier_function_raises_and_no_other_function_raises_what_is_not_documented() {
    let server = Server::start(&["fsync=off", "backup_codes.max_failures=100", "log_line_prefix=%e "]);
    let database = server.database();
    let role = database.role("clerk");
    let client = RefCell::new(database.connect());
    let health = Health::of(&mut client.borrow_mut());
    let role_id: u32 = client.borrow_mut().value("SELECT oid FROM pg_roles WHERE rolname = $1", &[&role]);
    let issuer = (user(), option::weighted(0.9, text()), option::of(extreme_i32()), option::of(interval()));
    let operator = (
        option::weighted(0.9, timestamp()),
        option::weighted(0.9, interval()),
        option::weighted(0.9, any::<bool>()),
        option::weighted(0.9, extreme_i32()),
        option::weighted(0.9, prop_oneof![text(), "issuer|verifier|mailer|auditor|operator"]),
        option::weighted(0.9, prop_oneof![Just(role_id), any::<u32>()]),
    );

    let outcome = runner(120).run(&(settings(), issuer, operator), |(settings, issuer, operator)| {
        let client = &mut *client.borrow_mut();
        client.batch_execute(&settings).expect("settings in their range");
        let (user, code, count, valid_for) = issuer;
        let code = code.as_deref();

        verify(client, &user, code);
        let order = "$2::integer, $3::interval";
        let bad_count = count.is_some_and(|count| !(1..=100).contains(&count));
        let allowed: &[&str] = if bad_count || valid_for.is_some() { &["22023"] } else { &[] };
        issue(client, &user, "generate", &format!(", {order}"), &[&count, &valid_for], allowed);
        verify(client, &user, code);
        issue(client, &user, "prepare", &format!(", {order}"), &[&count, &valid_for], allowed);
        issue(client, &user, "confirm", ", $2::text", &[&code], &[]);
        issue(client, &user, "confirm", "", &[], &[]);
        issue(client, &user, "cancel", "", &[], &[]);
        issue(
            client,
            &user,
            "regenerate",
            ", $2::text, $3::integer, $4::interval",
            &[&code, &count, &valid_for],
            allowed,
        );
        issue(client, &user, "disable", ", $2::text", &[&code], &[]);
        issue(client, &user, "disable", "", &[], &[]);

        let (issued_before, older_than, undelivered, max_users, duty, role) = operator;
        let revoke_all: Parameters = &[&issued_before, &max_users];
        let purge: Parameters = &[&older_than, &undelivered, &max_users];
        for (sql, parameters) in [
            ("SELECT backup_codes_revoke_all($1::timestamptz, $2::integer)", revoke_all),
            ("SELECT backup_codes_purge($1::interval, $2::boolean, $3::integer)", purge),
        ] {
            if let Err(error) = client.query(sql, parameters) {
                assert_fit_to_print(&error, sql, &["22004", "22023"]);
            }
        }
        client.query("SELECT * FROM backup_codes_keys()", &[]).expect("keys");
        let checks = client.query("SELECT * FROM backup_codes_doctor()", &[]).expect("doctor");
        assert!(checks.len() > 20 && checks.iter().all(|check| check.get::<_, Option<&str>>(1).is_some()));
        for verb in ["grant", "revoke"] {
            let sql = format!("SELECT backup_codes_{verb}($1::text, $2::oid::regrole)");
            if let Err(error) = client.query(&sql, &[&duty, &role]) {
                assert_fit_to_print(&error, &sql, &["22004", "22023", "42704"]);
            }
        }
        let one: i32 = client.value("SELECT 1", &[]);
        assert_eq!(one, 1);
        Ok(())
    });
    assert!(outcome.is_ok(), "{}", outcome.unwrap_err());

    let client = &mut *client.borrow_mut();
    for (sql, state) in
        [("SELECT backup_codes_forget_user()", "39P01"), ("SELECT * FROM backup_codes_keys(1)", "42883")]
    {
        let error = client.query(sql, &[]).expect_err("an error");
        assert_fit_to_print(&error, sql, &[state, "0A000"]);
    }
    client.batch_execute(&format!("DROP OWNED BY {role}")).expect("DROP OWNED");
    health.assert_same(client, &server);
}

/// The trigger never stands in the way of a DELETE, whatever the keys are.
#[test]
fn no_key_blocks_the_delete_that_fires_forget_user() {
    let server = Server::start(&["fsync=off", "log_line_prefix=%e "]);
    let database = server.database();
    let client = RefCell::new(database.connect());
    let health = Health::of(&mut client.borrow_mut());
    let tables = "
        CREATE TABLE users (t text, b bigint, u uuid);
        CREATE TRIGGER one AFTER DELETE ON users FOR EACH ROW EXECUTE FUNCTION backup_codes_forget_user('t');
        CREATE TRIGGER two AFTER DELETE ON users FOR EACH ROW EXECUTE FUNCTION backup_codes_forget_user('b', 'u', 't');
        CREATE TRIGGER three AFTER DELETE ON users FOR EACH ROW EXECUTE FUNCTION backup_codes_forget_user('u');";
    client.borrow_mut().batch_execute(tables).expect("tables");
    let row = (option::weighted(0.9, text()), option::of(extreme_i64()), option::of(any::<[u8; 16]>()));
    let outcome = runner(100).run(&row, |(t, b, u)| {
        let client = &mut *client.borrow_mut();
        let u = u.map(uuid::Uuid::from_bytes);
        client.execute("INSERT INTO users VALUES ($1, $2, $3)", &[&t, &b, &u]).expect("INSERT");
        let id = t.as_deref().filter(|id| (1..=255).contains(&id.len()));
        if let Some(id) = id {
            client.generate(id);
        }
        assert_eq!(client.execute("DELETE FROM users", &[]).expect("DELETE"), 1);
        let left: i64 = client.value("SELECT count(*) FROM backup_codes.account", &[]);
        assert_eq!(left, 0, "the user is forgotten");
        Ok(())
    });
    assert!(outcome.is_ok(), "{}", outcome.unwrap_err());
    health.assert_same(&mut client.borrow_mut(), &server);
}

/// SQL_ASCII takes any bytes for text.
#[test]
fn bytes_that_are_no_utf8_make_no_verifier_function_raise() {
    let server = Server::start(&["fsync=off", "log_line_prefix=%e "]);
    let database = server.empty_database("TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'");
    let client = RefCell::new(database.connect());
    client.borrow_mut().batch_execute("CREATE EXTENSION backup_codes").expect("CREATE EXTENSION");
    let health = Health::of(&mut client.borrow_mut());
    let bytes =
        || prop_oneof![3 => vec(1_u8..=255, 0..40), 1 => vec(1_u8..=255, 250..260), 1 => vec(128_u8..=255, 1020..1030)];
    let outcome = runner(150).run(&(bytes(), bytes()), |(id, code)| {
        let client = &mut *client.borrow_mut();
        let fit = std::str::from_utf8(&id).is_ok() && (1..=255).contains(&id.len());
        let text = |n| format!("convert_from(${n}::bytea, 'SQL_ASCII')");
        let (id_text, code_text) = (text(1), text(2));
        let sql = format!("SELECT backup_codes_consume({id_text}, {code_text})");
        assert_eq!(client.value::<Option<bool>>(&sql, &[&id, &code]), Some(false));
        let sql = format!("SELECT status FROM backup_codes_attempt({id_text}, {code_text})");
        let status: String = client.value(&sql, &[&id, &code]);
        assert!(if fit { ["malformed", "rejected"].contains(&&*status) } else { status == "rejected" }, "{status}");
        let sql = format!(
            "SELECT backup_codes_remaining({id_text}) + (SELECT remaining FROM backup_codes_status({id_text}))"
        );
        assert_eq!(client.value::<i32>(&sql, &[&id]), 0);
        for call in [
            format!("backup_codes_generate({id_text}, 1)"),
            format!("backup_codes_prepare({id_text}, 1)"),
            format!("backup_codes_confirm({id_text})"),
            format!("backup_codes_cancel({id_text})"),
            format!("backup_codes_disable({id_text})"),
            format!("backup_codes_forget_user({id_text})"),
            format!("backup_codes_rename_user({id_text}, 'another')"),
            format!("backup_codes_rename_user('another', {id_text})"),
        ] {
            match client.query(&format!("SELECT {call}"), &[&id]) {
                Ok(_) => assert!(fit, "{call} took {id:?}"),
                Err(error) => {
                    assert!(!fit, "{call} refused {id:?}");
                    assert_fit_to_print(&error, &call, &["22021", "22023"]);
                }
            }
        }
        for call in [
            format!("backup_codes_confirm({id_text}, {code_text})"),
            format!("backup_codes_disable({id_text}, {code_text})"),
            format!("backup_codes_regenerate({id_text}, {code_text})"),
        ] {
            if let Err(error) = client.query(&format!("SELECT {call}"), &[&id, &code]) {
                assert!(!fit, "{call} refused {id:?}");
                assert_fit_to_print(&error, &call, &["22021", "22023"]);
            }
        }
        Ok(())
    });
    assert!(outcome.is_ok(), "{}", outcome.unwrap_err());
    health.assert_same(&mut client.borrow_mut(), &server);
}

/// Which code is tried: what it is for its user at that moment is the model's to say.
#[derive(Clone, Copy, Debug)]
enum Pick {
    Active(usize),
    Pending(usize),
    Old(usize),
    OtherUser(usize),
    Stranger(usize),
    Malformed(usize),
}

#[derive(Clone, Copy, Debug)]
enum Act {
    Generate(usize),
    Prepare(usize),
    Confirm(Pick),
    ConfirmUnproved,
    Cancel,
    Consume(Pick),
    Attempt(Pick),
    Regenerate(Pick, usize),
    Disable,
    DisableGated(Pick),
}

fn pick() -> impl Strategy<Value = Pick> {
    (0..11_u8, any::<usize>()).prop_map(|(kind, n)| match kind {
        0..=3 => Pick::Active(n),
        4..=5 => Pick::Pending(n),
        6 => Pick::Old(n),
        7 => Pick::OtherUser(n),
        8..=9 => Pick::Stranger(n),
        _ => Pick::Malformed(n),
    })
}

fn act() -> impl Strategy<Value = Act> {
    let count = 1..6_usize;
    prop_oneof![
        2 => count.clone().prop_map(Act::Generate),
        3 => count.clone().prop_map(Act::Prepare),
        5 => pick().prop_map(Act::Confirm),
        1 => Just(Act::ConfirmUnproved),
        1 => Just(Act::Cancel),
        6 => pick().prop_map(Act::Consume),
        10 => pick().prop_map(Act::Attempt),
        2 => (pick(), count).prop_map(|(pick, count)| Act::Regenerate(pick, count)),
        1 => Just(Act::Disable),
        1 => pick().prop_map(Act::DisableGated),
    ]
}

#[derive(Clone, Copy)]
struct Limits {
    max_failures: usize,
    disable_after: usize,
}

/// What a user has, as the reference tells it.
#[derive(Default)]
struct Model {
    active: Option<Vec<(String, bool)>>,
    pending: Option<(Vec<String>, usize)>,
    old: Vec<String>,
    failures: usize,
    locked: bool,
    /// The code that was accepted last: sent again it does not count, as the sequence takes less than ten minutes.
    last: Option<String>,
    events: Vec<&'static str>,
}

impl Model {
    fn shelve(&mut self) {
        self.old.extend(self.active.take().into_iter().flatten().map(|(code, _)| code));
        self.failures = 0;
        self.locked = false;
        self.last = None;
    }

    fn drop_pending(&mut self) -> bool {
        let pending = self.pending.take();
        self.old.extend(pending.iter().flat_map(|(codes, _)| codes.clone()));
        pending.is_some()
    }

    fn activate(&mut self, codes: Vec<String>) {
        self.shelve();
        self.active = Some(codes.into_iter().map(|code| (code, false)).collect());
    }

    fn generate(&mut self, codes: Vec<String>) {
        self.events.push(if self.active.is_some() { "replaced" } else { "generated" });
        self.drop_pending();
        self.activate(codes);
    }

    fn prepare(&mut self, codes: Vec<String>) {
        self.drop_pending();
        self.pending = Some((codes, 0));
        self.events.push("prepared");
    }

    fn confirm(&mut self, proof: Option<(&str, bool)>, limits: Limits) -> bool {
        let Some((codes, failures)) = &mut self.pending else { return false };
        match proof {
            Some((_, false)) => return false,
            Some((code, true)) if !codes.iter().any(|c| c == code) => {
                *failures += 1;
                if *failures >= limits.max_failures {
                    self.drop_pending();
                    self.events.push("cancelled");
                }
                return false;
            }
            _ => {}
        }
        let codes = std::mem::take(codes);
        self.pending = None;
        self.activate(codes);
        self.events.push("confirmed");
        true
    }

    fn cancel(&mut self) -> bool {
        let cancelled = self.drop_pending();
        self.events.extend(cancelled.then_some("cancelled"));
        cancelled
    }

    fn disable(&mut self) -> usize {
        let unused = self.unused();
        let had_active = self.active.is_some();
        if self.drop_pending() || had_active {
            self.events.push("disabled");
        }
        self.shelve();
        unused
    }

    /// The status, and whether the user has just been locked.
    fn attempt(&mut self, code: &str, well_formed: bool, limits: Limits) -> &'static str {
        // What a set of another format could have is looked at, and what none could have is not.
        if self.locked {
            return if well_formed { "locked" } else { "locked or malformed" };
        }
        if !well_formed {
            return "malformed";
        }
        let Some(active) = &mut self.active else { return "rejected" };
        let status = match active.iter_mut().find(|(c, _)| c == code) {
            Some((_, used)) if !*used => {
                *used = true;
                self.failures = 0;
                self.last = Some(code.to_owned());
                self.events.push("used");
                return "accepted";
            }
            Some(_) if self.last.as_deref() == Some(code) => return "used",
            Some(_) => "used",
            None => "rejected",
        };
        self.failures += 1;
        if self.failures >= limits.disable_after {
            self.shelve();
            self.events.push("disabled");
        } else if self.failures.is_multiple_of(limits.max_failures) {
            self.locked = true;
            self.events.push("locked");
        }
        status
    }

    fn unused(&self) -> usize {
        self.active.iter().flatten().filter(|(_, used)| !used).count()
    }
}

/// A few users with their models, and the session that acts for them.
struct World<'a> {
    client: &'a mut Client,
    ids: Vec<String>,
    models: Vec<Model>,
    strangers: &'a [String],
    limits: Limits,
}

impl World<'_> {
    /// The code that is meant, and whether it is well formed.
    fn code(&self, user: usize, pick: Pick) -> (String, bool) {
        let model = &self.models[user];
        let other = &self.models[(user + 1) % self.models.len()];
        let (codes, n): (Vec<&String>, usize) = match pick {
            Pick::Active(n) => (model.active.iter().flatten().map(|(code, _)| code).collect(), n),
            Pick::Pending(n) => (model.pending.iter().flat_map(|(codes, _)| codes).collect(), n),
            Pick::Old(n) => (model.old.iter().collect(), n),
            Pick::OtherUser(n) => (other.active.iter().flatten().map(|(code, _)| code).collect(), n),
            Pick::Stranger(n) | Pick::Malformed(n) => (self.strangers.iter().collect(), n),
        };
        let code = match codes.len() {
            0 => self.strangers[n % self.strangers.len()].clone(),
            length => codes[n % length].clone(),
        };
        if !matches!(pick, Pick::Malformed(_)) {
            return (code, true);
        }
        let end = code.len() - 1;
        let malformed = match n % 4 {
            0 => String::new(),
            1 => format!("{code}0"),
            2 => code[..end].to_owned(),
            _ => format!("{}{}", &code[..end], if code.ends_with('0') { '1' } else { '0' }),
        };
        (malformed, false)
    }

    fn codes(&mut self, sql: &str, parameters: Parameters) -> Vec<String> {
        let rows = self.client.query(sql, parameters).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        rows.iter().map(|row| row.get(0)).collect()
    }

    fn act(&mut self, user: usize, act: Act) {
        let id = &*self.ids[user].clone();
        match act {
            Act::Generate(count) => {
                let codes = self.codes("SELECT backup_codes_generate($1::text, $2)", &[&id, &(count as i32)]);
                assert_eq!(codes.len(), count);
                self.models[user].generate(codes);
            }
            Act::Prepare(count) => {
                let codes = self.codes("SELECT backup_codes_prepare($1::text, $2)", &[&id, &(count as i32)]);
                assert_eq!(codes.len(), count);
                self.models[user].prepare(codes);
            }
            Act::Confirm(pick) => {
                let (code, well_formed) = self.code(user, pick);
                let confirmed: bool = self.client.value("SELECT backup_codes_confirm($1::text, $2)", &[&id, &code]);
                assert_eq!(confirmed, self.models[user].confirm(Some((&code, well_formed)), self.limits));
            }
            Act::ConfirmUnproved => {
                let confirmed: bool = self.client.value("SELECT backup_codes_confirm($1::text)", &[&id]);
                assert_eq!(confirmed, self.models[user].confirm(None, self.limits));
            }
            Act::Cancel => {
                let cancelled: bool = self.client.value("SELECT backup_codes_cancel($1::text)", &[&id]);
                assert_eq!(cancelled, self.models[user].cancel());
            }
            Act::Consume(pick) => {
                let (code, well_formed) = self.code(user, pick);
                let accepted = self.client.consume(id, &code);
                assert_eq!(accepted, self.models[user].attempt(&code, well_formed, self.limits) == "accepted");
            }
            Act::Attempt(pick) => {
                let (code, well_formed) = self.code(user, pick);
                let sql =
                    "SELECT status, remaining, low, retry_after IS NOT NULL FROM backup_codes_attempt($1::text, $2)";
                let row = self.client.query_one(sql, &[&id, &code]).expect("one row");
                let model = &mut self.models[user];
                let status = model.attempt(&code, well_formed, self.limits);
                let told: &str = row.get(0);
                assert!(status.split(" or ").any(|status| status == told), "{told} instead of {status}");
                let accepted = status == "accepted";
                let unused = model.unused() as i32;
                assert_eq!(row.get::<_, Option<i32>>(1), accepted.then_some(unused));
                assert_eq!(row.get::<_, Option<bool>>(2), accepted.then_some(unused <= 2));
                assert_eq!(row.get::<_, bool>(3), model.locked && told != "malformed", "retry_after");
            }
            Act::Regenerate(pick, count) => {
                let (code, well_formed) = self.code(user, pick);
                let sql = "SELECT backup_codes_regenerate($1::text, $2, $3)";
                let codes = self.codes(sql, &[&id, &code, &(count as i32)]);
                let accepted = self.models[user].attempt(&code, well_formed, self.limits) == "accepted";
                assert_eq!(codes.len(), if accepted { count } else { 0 });
                if accepted {
                    self.models[user].generate(codes);
                }
            }
            Act::Disable => {
                let gone: i32 = self.client.value("SELECT backup_codes_disable($1::text)", &[&id]);
                assert_eq!(gone, self.models[user].disable() as i32);
            }
            Act::DisableGated(pick) => {
                let (code, well_formed) = self.code(user, pick);
                let disabled: bool = self.client.value("SELECT backup_codes_disable($1::text, $2)", &[&id, &code]);
                let accepted = self.models[user].attempt(&code, well_formed, self.limits) == "accepted";
                assert_eq!(disabled, accepted);
                if accepted {
                    self.models[user].disable();
                }
            }
        }
    }

    /// What the functions say of a user, and what the tables hold, is what the model has.
    fn assert_as_modelled(&mut self, users: std::ops::Range<usize>) {
        for (id, model) in self.ids[users.clone()].iter().zip(&self.models[users]) {
            let remaining = self.client.remaining(id);
            assert_eq!(remaining, model.unused() as i32);
            let sql = "SELECT enabled, remaining, total, low, pending, locked_until IS NOT NULL, used
                         FROM backup_codes_status($1::text)";
            let row = self.client.query_one(sql, &[id]).expect("one row");
            let total = model.active.iter().flatten().count() as i32;
            let used: Vec<i32> =
                (1..).zip(model.active.iter().flatten()).filter(|(_, c)| c.1).map(|(n, _)| n).collect();
            assert_eq!(row.get::<_, bool>(0), remaining > 0, "enabled");
            assert_eq!(row.get::<_, i32>(1), remaining, "remaining");
            assert_eq!(row.get::<_, i32>(2), total, "total");
            assert_eq!(row.get::<_, bool>(3), total > 0 && remaining <= 2, "low");
            assert_eq!(row.get::<_, bool>(4), model.pending.is_some(), "pending");
            assert_eq!(row.get::<_, bool>(5), model.locked, "locked");
            assert_eq!(row.get::<_, Option<Vec<i32>>>(6).unwrap_or_default(), used, "used");

            let facts = "SELECT (SELECT count(*) FROM backup_codes.account WHERE user_id = $1 AND set_no IS NOT NULL),
                                (SELECT count(*) FROM backup_codes.pending_set WHERE user_id = $1),
                                (SELECT count(*) FROM backup_codes.code WHERE user_id = $1),
                                (SELECT coalesce(sum(unused), 0) FROM backup_codes.account WHERE user_id = $1),
                                (SELECT count(*) FROM backup_codes.code AS c JOIN backup_codes.account AS a USING (user_id, set_no) WHERE c.user_id = $1),
                                (SELECT count(*) FROM backup_codes.code AS c JOIN backup_codes.pending_set AS p USING (user_id, set_no) WHERE c.user_id = $1),
                                (SELECT coalesce(sum(failures), 0) FROM backup_codes.account WHERE user_id = $1)";
            let row = self.client.query_one(facts, &[id]).expect("one row");
            let pending = model.pending.as_ref().map_or(0, |(codes, _)| codes.len());
            let facts: Vec<i64> = (0..7).map(|column| row.get(column)).collect();
            let unused = model.unused();
            let expected = [
                usize::from(model.active.is_some()),
                usize::from(model.pending.is_some()),
                unused + pending,
                unused,
                unused,
                pending,
                model.failures,
            ];
            assert_eq!(facts, expected.map(|n| n as i64), "active, pending, codes, unused, live, waiting, failures");
        }
    }

    fn assert_events(&mut self) {
        for (id, model) in self.ids.iter().zip(&self.models) {
            let sql = "SELECT kind FROM backup_codes.event WHERE user_id = $1 ORDER BY kind";
            let rows = self.client.query(sql, &[id]).expect("events");
            let told: Vec<&str> = rows.iter().map(|row| row.get(0)).collect();
            let mut expected = model.events.clone();
            expected.sort_unstable();
            assert_eq!(told, expected);
        }
    }
}

#[test]
fn any_sequence_of_calls_does_what_the_model_does() {
    const USERS: usize = 3;
    let server = Server::start(&["fsync=off", "log_line_prefix=%e "]);
    let database = server.database();
    let client = RefCell::new(database.connect());
    let health = Health::of(&mut client.borrow_mut());
    let strangers: Vec<String> = client.borrow_mut().generate("a stranger");
    let next = std::cell::Cell::new(0);
    // Without a limit that is met, with locks, and with sets that are removed before or after a lock.
    let limits = proptest::sample::select(vec![(100, 100), (3, 100), (2, 5), (5, 3), (1, 100), (1, 1)]);
    let acts = vec((0..USERS, act()), 1..60);

    let outcome = runner(60).run(&(limits, acts), |((max_failures, disable_after), acts)| {
        let mut client = client.borrow_mut();
        let set =
            format!("SET backup_codes.max_failures = {max_failures}; SET backup_codes.disable_after = {disable_after}");
        client.batch_execute(&set).expect("SET");
        let run = next.replace(next.get() + 1);
        let mut world = World {
            client: &mut client,
            ids: (0..USERS).map(|user| format!("{run}:{user}")).collect(),
            models: (0..USERS).map(|_| Model::default()).collect(),
            strangers: &strangers,
            limits: Limits { max_failures, disable_after },
        };
        for (user, act) in acts {
            world.act(user, act);
            world.assert_as_modelled(user..user + 1);
        }
        // Nor has anything happened to those who did nothing.
        world.assert_as_modelled(0..USERS);
        world.assert_events();
        Ok(())
    });
    assert!(outcome.is_ok(), "{}", outcome.unwrap_err());
    health.assert_same(&mut client.borrow_mut(), &server);
}
