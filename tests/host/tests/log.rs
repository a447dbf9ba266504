//! An issued code reaches neither the server's log nor, in readable form, its disk.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use host_tests::{Client, NoTls, Server, Session, spellings};

/// All that users and applications do, with bind parameters. Returns every code that was issued.
fn everyday_life(client: &mut Client) -> Vec<String> {
    let codes = client.generate("42");
    assert!(client.consume("42", &codes[0]));
    assert!(!client.consume("42", &codes[0]));
    assert!(client.consume("42", &codes[1].to_lowercase().replace('-', " ")));
    assert_eq!(client.attempt("42", &codes[2]), "accepted");
    assert_eq!(client.attempt("43", &codes[3]), "rejected");

    let mut strings = |sql: &str, parameters: &[&(dyn host_tests::ToSql + Sync)]| -> Vec<String> {
        client.query(sql, parameters).expect("codes").iter().map(|row| row.get(0)).collect()
    };
    let pending = strings("SELECT backup_codes_prepare($1::text)", &[&"42"]);
    let again = strings("SELECT backup_codes_regenerate($1::text, $2)", &[&"42", &codes[4]]);
    let other = strings("SELECT backup_codes_prepare($1::text)", &[&"42"]);
    assert!(client.value::<bool>("SELECT backup_codes_confirm($1::text, $2)", &[&"42", &other[0]]));
    assert!(client.value::<bool>("SELECT backup_codes_disable($1::text, $2)", &[&"42", &other[1]]));
    let last = client.generate("42");
    // Our own errors, with a code among the bind parameters.
    for sql in MISUSE {
        client.failure(&sql.replace("CODE", "$1"), &[&last[0]]);
    }
    [codes, pending, again, other, last].concat()
}

/// Calls with a code that the extension refuses with an error of its own.
const MISUSE: [&str; 8] = [
    "SELECT backup_codes_confirm(NULL::text, CODE)",
    "SELECT backup_codes_confirm(''::text, CODE)",
    "SELECT backup_codes_confirm(repeat('x', 256), CODE)",
    "SELECT backup_codes_disable(NULL::bigint, CODE)",
    "SELECT backup_codes_disable(''::text, CODE)",
    "SELECT backup_codes_regenerate(NULL::uuid, CODE)",
    "SELECT backup_codes_regenerate('42'::text, CODE, 0)",
    "SELECT backup_codes_regenerate('42'::text, CODE, 10, interval '-1 day')",
];

/// Looks for every spelling of the codes. What a text may be searched for is told apart by its first bytes.
fn assert_absent(text: &str, codes: &[String]) {
    let issued: HashSet<String> = codes.iter().flat_map(|code| spellings(code)).collect();
    assert!(issued.len() >= codes.len() * 5, "spellings of {} codes", codes.len());
    let beginnings: HashSet<&[u8]> = issued.iter().map(|code| &code.as_bytes()[..BEGINNING]).collect();
    let found: Vec<&str> = text
        .lines()
        .filter(|line| line.as_bytes().windows(BEGINNING).any(|window| beginnings.contains(window)))
        .filter(|line| issued.iter().any(|code| line.contains(code.as_str())))
        .collect();
    assert!(found.is_empty(), "{found:#?}");
}

const BEGINNING: usize = 5;

#[test]
fn log_at_default_settings_contains_no_code() {
    let server = Server::start(&["fsync=off"]);
    let database = server.database();
    let mut client = database.connect();
    let codes = everyday_life(&mut client);

    let log = server.log();
    assert!(log.contains("user_id must not be NULL"), "the errors are logged:\n{log}");
    assert_absent(&log, &codes);
}

/// A literal code is against the advice; an error of ours does not carry it into the log all the same.
#[test]
fn our_errors_do_not_log_a_literal_code() {
    let server = Server::start(&["fsync=off"]);
    let database = server.database();
    let mut client = database.connect();
    let codes = client.generate("42");

    // The simple protocol sends the statement as it is; so does a prepared statement.
    for sql in MISUSE {
        let sql = sql.replace("CODE", &format!("'{}'", codes[0]));
        client.batch_execute(&sql).expect_err("an error");
        client.failure(&sql, &[]);
    }
    for act in ["backup_codes_consume", "backup_codes_attempt", "backup_codes_confirm", "backup_codes_disable"] {
        let sql = format!("BEGIN READ ONLY; SELECT {act}('42', '{}')", codes[0]);
        let error = client.batch_execute(&sql).expect_err("an error");
        assert_eq!(error.code().map(|code| code.code()), Some("25006"));
        client.batch_execute("ROLLBACK").expect("ROLLBACK");
    }
    let log = server.log();
    assert!(log.contains("in a read-only transaction"), "the errors are logged:\n{log}");
    assert_absent(&log, &codes);
    // The test is able to find one: an error of PostgreSQL's own shows the statement.
    client.batch_execute(&format!("SELECT backup_codes_consume('42', '{}'), 1 / 0", codes[1])).expect_err("an error");
    assert!(server.log().contains(&codes[1]), "{}", server.log());
}

/// Who reaches for what he may not have is in the log, with his name where the prefix asks for it.
#[test]
fn refused_access_is_logged() {
    let server = Server::start(&["fsync=off", "log_line_prefix=%e %u "]);
    let database = server.database();
    let role = database.role("curious");
    let mut curious = server.config(&database.name).user(&role).connect(NoTls).expect("a connection");
    for sql in ["SELECT backup_codes_generate('42'::text)", "SELECT * FROM backup_codes.code"] {
        assert_eq!(curious.failure(sql, &[]).sqlstate, "42501");
    }
    for refused in ["permission denied for function backup_codes_generate", "permission denied for schema backup_codes"]
    {
        let line = format!("42501 {role} ERROR:  {refused}");
        assert!(server.log().contains(&line), "{}", server.log());
    }
}

#[test]
fn log_of_all_statements_with_bind_parameters_contains_no_code() {
    let server = Server::start(&[
        "fsync=off",
        "log_statement=all",
        "log_duration=on",
        "log_min_duration_statement=0",
        "log_parameter_max_length=0",
        "log_min_messages=debug1",
        "log_connections=on",
    ]);
    let database = server.database();
    let mut client = database.connect();
    let codes = everyday_life(&mut client);

    let log = server.log();
    assert!(log.contains("SELECT backup_codes_consume($1::text, $2)"), "the statements are logged:\n{log}");
    assert_absent(&log, &codes);
}

/// Neither the tables nor the write-ahead log, nor any other file of the cluster, hold a code.
#[test]
fn no_file_of_the_cluster_contains_a_code() {
    let server = Server::start(&["fsync=off"]);
    let database = server.database();
    let mut client = database.connect();
    client.batch_execute("SET backup_codes.context = 'a marker that must be found'").expect("SET");
    let codes = everyday_life(&mut client);
    client.batch_execute("CHECKPOINT").expect("CHECKPOINT");

    let mut text = String::new();
    read_all(&server.data(), &mut text);
    assert!(text.contains("a marker that must be found"), "what is stored can be found");
    assert_absent(&text, &codes);
}

/// Appends the printable words of all files below a directory that could be part of a code.
fn read_all(dir: &Path, text: &mut String) {
    for entry in fs::read_dir(dir).expect("a directory").flatten() {
        let path = entry.path();
        if path.is_dir() {
            read_all(&path, text);
        } else if let Ok(bytes) = fs::read(&path) {
            for word in bytes.split(|byte| !(0x20..0x7f).contains(byte)).filter(|word| word.len() >= 24) {
                text.push_str(&String::from_utf8_lossy(word));
                text.push('\n');
            }
        }
    }
}
