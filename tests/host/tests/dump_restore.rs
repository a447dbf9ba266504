//! pg_dump and pg_restore lose nothing, also into a database of another encoding.

use std::fs;
use std::path::{Path, PathBuf};

use host_tests::{Client, Database, Server, Session, run};

const LATIN1: &str = "TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'";
const UTF8: &str = "TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'";

/// Two characters of Latin-1: their bytes differ between the encodings, and so would a hash over the stored bytes.
const USER: &str = "zoë@é";

/// What the user of the old database holds.
pub struct Holdings {
    active: Vec<String>,
    pending: Vec<String>,
    events: Vec<String>,
}

/// A user with one burned code of ten and a pending set; another whose whole set is unused.
pub fn fill(client: &mut Client) -> Holdings {
    client.batch_execute("SET backup_codes.context = 'request é'").expect("SET");
    let active = client.generate(USER);
    client.generate("42");
    assert!(client.consume(USER, &active[3]));
    let pending = client.query("SELECT backup_codes_prepare($1::text, 5, interval '1 year')", &[&USER]);
    let pending = pending.expect("codes").iter().map(|row| row.get(0)).collect();
    Holdings { active, pending, events: events(client) }
}

fn events(client: &mut Client) -> Vec<String> {
    let sql = "SELECT e::text FROM backup_codes.event AS e ORDER BY event_id";
    client.query(sql, &[]).expect("events").iter().map(|row| row.get(0)).collect()
}

/// Nothing is lost, a burned code stays burned, an old code is accepted and the pending set can be confirmed.
pub fn check(client: &mut Client, holdings: &Holdings) {
    assert_eq!(events(client), holdings.events, "the events");
    let status = "SELECT remaining, total, pending, used FROM backup_codes_status($1::text)";
    let row = client.query_one(status, &[&USER]).expect("a status");
    let used: Vec<i32> = row.get(3);
    assert_eq!((row.get(0), row.get(1), row.get(2), used), (9, 10, true, vec![4]));
    assert_eq!(client.remaining("42"), 10);

    assert_eq!(client.attempt(USER, &holdings.active[3]), "used");
    assert!(client.consume(USER, &holdings.active[0]), "an old code");
    assert!(!client.consume(USER, &holdings.active[0]), "twice");
    let pending = &holdings.pending;
    assert!(!client.consume(USER, &pending[0]), "a pending code opens nothing");
    let confirm = "SELECT backup_codes_confirm($1::text, $2)";
    assert!(client.value::<bool>(confirm, &[&USER, &pending[4]]), "the pending set is confirmed");
    assert!(client.consume(USER, &pending[4]), "a code of it");
    assert!(!client.consume(USER, &holdings.active[1]), "the old set is gone");
    assert_eq!(client.remaining(USER), 4);
}

/// A file of its own that the caller may write.
pub struct Dump(PathBuf);

impl Dump {
    /// Dumps a database with these options.
    pub fn of(database: &Database<'_>, options: &[&str]) -> Self {
        let file = std::env::temp_dir().join(format!("{}.dump", database.name));
        run(database.server.client_program("pg_dump").args(options).arg("-f").arg(&file).arg(&database.name));
        Self(file)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Dump {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

pub fn restore(server: &Server, database: &str, options: &[&str], dump: &Dump) {
    let mut command = server.client_program("pg_restore");
    run(command.args(["--exit-on-error", "-d", database]).args(options).arg(dump.path()));
}

fn replay(server: &Server, database: &str, dump: &Dump) {
    let mut command = server.client_program("psql");
    run(command.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", database, "-f"]).arg(dump.path()));
}

#[test]
fn custom_dump_restores_into_a_new_database() {
    let server = Server::any();
    let source = server.database();
    let holdings = fill(&mut source.connect());
    let target = server.empty_database("");
    restore(&server, &target.name, &["--single-transaction"], &Dump::of(&source, &["-Fc"]));
    check(&mut target.connect(), &holdings);
}

#[test]
fn plain_dump_restores_into_a_new_database() {
    let server = Server::any();
    let source = server.database();
    let holdings = fill(&mut source.connect());
    let target = server.empty_database("");
    replay(&server, &target.name, &Dump::of(&source, &["-Fp"]));
    check(&mut target.connect(), &holdings);
}

/// A restore inserts rows only: it neither announces nor writes events anew, and a dump of the copy says the same.
#[test]
fn dump_of_a_restored_database_is_the_same() {
    let server = Server::any();
    let source = server.database();
    fill(&mut source.connect());
    let target = server.empty_database("");
    let first = Dump::of(&source, &["-Fp"]);
    replay(&server, &target.name, &first);
    let second = Dump::of(&target, &["-Fp"]);
    // A dump begins and ends with a random word against injection, and its rows stand in no order.
    let lines = |dump: &Dump| {
        let text = fs::read_to_string(dump.path()).expect("a dump");
        let restrict = |line: &&str| !line.starts_with("\\restrict") && !line.starts_with("\\unrestrict");
        let mut lines: Vec<String> = text.lines().filter(restrict).map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(lines(&first), lines(&second));
}

#[test]
fn dump_of_utf8_restores_into_latin1() {
    let server = Server::any();
    let source = server.empty_database(UTF8);
    source.connect().batch_execute("CREATE EXTENSION backup_codes").expect("CREATE EXTENSION");
    let holdings = fill(&mut source.connect());
    let target = server.empty_database(LATIN1);
    restore(&server, &target.name, &["--single-transaction"], &Dump::of(&source, &["-Fc"]));
    check(&mut target.connect(), &holdings);
}

#[test]
fn dump_of_latin1_restores_into_utf8() {
    let server = Server::any();
    let source = server.empty_database(LATIN1);
    source.connect().batch_execute("CREATE EXTENSION backup_codes").expect("CREATE EXTENSION");
    let holdings = fill(&mut source.connect());
    let target = server.empty_database(UTF8);
    replay(&server, &target.name, &Dump::of(&source, &["-Fp"]));
    check(&mut target.connect(), &holdings);
}

/// Duties are grants on members of the extension, made after it was: a dump carries them. The functions may live in a schema
/// of their own.
#[test]
fn duties_survive_a_dump() {
    let server = Server::any();
    let source = server.empty_database("");
    let mut client = source.connect();
    client.batch_execute("CREATE SCHEMA auth; CREATE EXTENSION backup_codes SCHEMA auth").expect("CREATE EXTENSION");
    let duties = ["issuer", "verifier", "mailer", "auditor", "operator"];
    let roles = duties.map(|duty| source.role(duty));
    for (duty, role) in duties.iter().zip(&roles) {
        let grant = format!("SELECT auth.backup_codes_grant('{duty}', '{role}')");
        client.batch_execute(&grant).expect("a grant");
    }
    let before = privileges(&mut client, &roles);
    let codes: Vec<String> = client
        .query("SELECT auth.backup_codes_generate(42)", &[])
        .expect("codes")
        .iter()
        .map(|row| row.get(0))
        .collect();
    assert!(before.iter().any(|p| p.contains("backup_codes_generate") && p.contains("_issuer")), "{before:?}");
    assert!(before.iter().any(|p| p.contains("backup_codes.overview") && p.contains("_auditor")), "{before:?}");

    let target = server.empty_database("");
    restore(&server, &target.name, &["--single-transaction"], &Dump::of(&source, &["-Fc"]));
    let mut client = target.connect();
    assert_eq!(privileges(&mut client, &roles), before);

    client.batch_execute(&format!("SET ROLE {}", roles[1])).expect("SET ROLE");
    assert!(client.value::<bool>("SELECT auth.backup_codes_consume($1::bigint, $2)", &[&42_i64, &codes[0]]));
    assert_eq!(client.failure("SELECT auth.backup_codes_generate(42)", &[]).sqlstate, "42501");
    assert_eq!(client.failure("SELECT FROM backup_codes.code", &[]).sqlstate, "42501");
    client.batch_execute(&format!("SET ROLE {}", roles[3])).expect("SET ROLE");
    client.batch_execute("TABLE backup_codes.overview; TABLE backup_codes.events").expect("the views");
    assert_eq!(client.failure("SELECT FROM backup_codes.account", &[]).sqlstate, "42501");
}

/// Who may do what with every schema, table, view and function, but for the owner.
fn privileges(client: &mut Client, roles: &[String]) -> Vec<String> {
    let sql = "
        SELECT format('%s %s: %s', o.object, a.privilege_type, coalesce(r.rolname, 'PUBLIC'))
          FROM (SELECT nspname::text, nspacl FROM pg_namespace
                UNION ALL SELECT c.oid::regclass::text, c.relacl FROM pg_class AS c
                           WHERE c.relnamespace = 'backup_codes'::regnamespace
                UNION ALL SELECT p.oid::regprocedure::text, p.proacl FROM pg_proc AS p
                           WHERE p.proname LIKE 'backup\\_codes\\_%') AS o (object, acl)
         CROSS JOIN aclexplode(o.acl) AS a
          LEFT JOIN pg_roles AS r ON r.oid = a.grantee
         WHERE r.rolname = ANY ($1) OR (a.grantee = 0 AND o.object LIKE '%backup\\_codes%')
         ORDER BY 1";
    client.query(sql, &[&roles]).expect("privileges").iter().map(|row| row.get(0)).collect()
}

/// Settings of a database are dumped with `--create`, and rule the sets of the copy.
#[test]
fn settings_of_the_database_survive_a_dump_with_create() {
    let server = Server::any();
    let source = server.database();
    let mut client = source.connect();
    let alter = format!(
        "ALTER DATABASE {0} SET backup_codes.count = 7; ALTER DATABASE {0} SET backup_codes.channel = 'codes'",
        source.name
    );
    client.batch_execute(&alter).expect("ALTER DATABASE");
    let codes = client.generate("42");
    drop(client);

    for options in [["-Fc", "--create"], ["-Fp", "--create"]] {
        let dump = Dump::of(&source, &options);
        source.drop_now();
        match options {
            ["-Fc", _] => restore(&server, "postgres", &["--create"], &dump),
            _ => replay(&server, "postgres", &dump),
        }
        let mut client = source.connect();
        assert_eq!(client.generate("43").len(), 7, "{options:?}");
        assert_eq!(client.value::<String>("SHOW backup_codes.channel", &[]), "codes");
    }
    assert!(source.connect().consume("42", &codes[0]));
}
