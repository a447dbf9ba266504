//! No argument makes a verifier function raise: not in any encoding, not of any size.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use host_tests::{Client, Server, Session, run};

/// A bytea as text of the database, whatever bytes it has; all but NUL are text in a single-byte encoding.
fn text_of_bytes(client: &mut Client) -> String {
    let encoding: String = client.value("SELECT getdatabaseencoding()::text", &[]);
    format!("convert_from($1::bytea, '{encoding}')")
}

/// Strings of bytes that no reader of UTF-8 likes, every single byte among them. Always the same.
fn nasty_bytes() -> Vec<Vec<u8>> {
    let mut strings: Vec<Vec<u8>> = (1..=255).map(|byte| vec![byte]).collect();
    let mut state = 1_u32;
    for length in 2..200 {
        let mut random = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((state >> 24) as u8).max(1)
        };
        strings.push((0..length).map(|_| random()).collect());
    }
    strings.extend([
        // A surrogate, an overlong slash, beyond Unicode, a cut sequence, and one in the length of a code.
        b"\xed\xa0\x80".to_vec(),
        b"\xc0\xaf".to_vec(),
        b"\xf5\x80\x80\x80".to_vec(),
        b"7Q4KM\xe2\x80".to_vec(),
        b"7Q4KM-2XW9F-H8ZTC-B5NRD-P3V\xff".to_vec(),
        vec![0xff; 1024],
        vec![0xff; 1025],
        vec![0xff; 5000],
    ]);
    strings
}

/// Calls all verifier functions with a string of bytes as the code and as the user.
fn verify(client: &mut Client, text: &str, bytes: &[u8]) {
    let row = client
        .query_one(
            &format!(
                "SELECT backup_codes_consume('42', {text}),
                        (SELECT status FROM backup_codes_attempt('42', {text})),
                        backup_codes_consume({text}, 'x'),
                        (SELECT status FROM backup_codes_attempt({text}, '7Q4KM-2XW9F-H8ZTC-B5NRD-P3VJA')),
                        backup_codes_remaining({text}),
                        (SELECT enabled FROM backup_codes_status({text}))"
            ),
            &[&bytes],
        )
        .unwrap_or_else(|error| panic!("{bytes:x?}: {error:?}"));
    assert!(!row.get::<_, bool>(0), "{bytes:x?}");
    assert_eq!(row.get::<_, &str>(1), "malformed", "{bytes:x?}");
    assert!(!row.get::<_, bool>(2), "{bytes:x?}");
    assert!(["rejected", "malformed"].contains(&row.get(3)), "{bytes:x?}");
    assert_eq!(row.get::<_, i32>(4), 0, "{bytes:x?}");
    assert!(!row.get::<_, bool>(5), "{bytes:x?}");
}

#[test]
fn sql_ascii_takes_any_bytes_and_the_issuer_refuses_what_is_not_utf8() {
    let server = Server::any();
    let database = server.empty_database("TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'");
    let mut client = database.connect();
    client.batch_execute("CREATE EXTENSION backup_codes").expect("CREATE EXTENSION");
    let codes = client.generate("42");
    for bytes in nasty_bytes() {
        let text = text_of_bytes(&mut client);
        verify(&mut client, &text, &bytes);
        let expected = match String::from_utf8(bytes.clone()) {
            Ok(text) if text.len() <= 255 => continue,
            Ok(_) => "22023",
            // What is too long for any encoding is refused before it is looked at.
            Err(_) if bytes.len() > 4 * 255 => "22023",
            Err(_) => "22021",
        };
        for function in ["generate", "prepare", "confirm", "cancel", "disable"] {
            let failure = client.failure(&format!("SELECT backup_codes_{function}({text})"), &[&bytes]);
            assert_eq!(failure.sqlstate, expected, "{function}({bytes:x?}): {failure:?}");
            assert!(!failure.hint.is_empty(), "{failure:?}");
        }
    }
    assert_eq!(client.value::<i64>("SELECT count(*) FROM backup_codes.account", &[]), 1, "a garbage id leaves no row");
    assert!(client.consume("42", &codes[0]));
    // UTF-8 is text here as well.
    let codes = client.generate("zoë");
    assert!(client.consume("zoë", &codes[0]));
}

#[test]
fn latin1_takes_any_bytes() {
    let server = Server::any();
    let database = server.empty_database("TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'");
    let mut client = database.connect();
    client.batch_execute("CREATE EXTENSION backup_codes").expect("CREATE EXTENSION");
    client.generate("42");
    let text = text_of_bytes(&mut client);
    for bytes in nasty_bytes() {
        verify(&mut client, &text, &bytes);
    }
    let codes = client.generate("zoë");
    assert!(client.consume("zoë", &codes[0]));
    assert_eq!(client.attempt("zoe", &codes[1]), "rejected");
    let user_id: String = client.value("SELECT user_id FROM backup_codes.overview WHERE user_id LIKE 'z%'", &[]);
    assert_eq!(user_id, "zoë");

    // 128 characters of one byte are 256 bytes of UTF-8.
    let (fits, too_long) = ("ë".repeat(127), "ë".repeat(128));
    let codes = client.generate(&fits);
    assert!(client.consume(&fits, &codes[0]));
    let failure = client.failure("SELECT backup_codes_generate($1::text)", &[&too_long]);
    assert_eq!(failure.sqlstate, "22023", "{failure:?}");
    assert!(!client.consume(&too_long, &codes[1]));
}

/// Text of EUC_JP may be valid there and have no counterpart in UTF-8.
#[test]
fn euc_jp_takes_what_has_no_counterpart_in_utf8() {
    let server = Server::any();
    let database = server.empty_database("TEMPLATE template0 ENCODING 'EUC_JP' LC_COLLATE 'C' LC_CTYPE 'C'");
    let mut client = database.connect();
    client.batch_execute("CREATE EXTENSION backup_codes").expect("CREATE EXTENSION");
    client.generate("42");
    let text = text_of_bytes(&mut client);
    let unassigned = b"\xa9\xa1".to_vec();
    verify(&mut client, &text, &unassigned);
    let failure = client.failure(&format!("SELECT backup_codes_generate({text})"), &[&unassigned]);
    assert_eq!(failure.sqlstate, "22021", "{failure:?}");
    let codes = client.generate("山田");
    assert!(client.consume("山田", &codes[0]));
    // Full-width spaces are white space in any encoding.
    assert!(client.consume("山田", &codes[1].replace('-', "\u{3000}")));
}

/// A session may carry any bytes in its settings and in the name of its role: what is stored of them is text all the same, or
/// no mailer could read the event, and no dump could be restored.
#[test]
fn every_text_that_is_stored_is_valid_in_the_encoding() {
    let server = Server::any();
    let database = server.database();
    let mut owner = database.connect();
    let role = database.role("smörgås");
    owner.batch_execute(&format!("SELECT backup_codes_grant('verifier', '\"{role}\"')")).expect("a duty");
    owner.generate("u");
    let wrong = "B8H6N-4137D-XKM0T-SH41N-2JRWC";
    // psql hands PGOPTIONS through as they are.
    let mut psql = server.client_program("psql");
    psql.args(["-d", &database.name, "-U", &role, "-c"]);
    psql.arg(format!("SELECT (backup_codes_attempt('u', '{wrong}')).status FROM generate_series(1, 5)"));
    psql.env("PGOPTIONS", OsStr::from_bytes(b"-c backup_codes.context=caf\xe9\xff!\xc3\xa9"));
    run(&mut psql);
    let locked = "SELECT context || ' ' || actor FROM backup_codes.events WHERE kind = 'locked'";
    assert_eq!(owner.value::<String>(locked, &[]), format!("caf??!é {role}"));
    // Every event can be claimed, in another encoding of the client as well.
    let mut mailer = server.client_program("psql");
    mailer.args(["-d", &database.name, "-U", "postgres", "-Atc", "SELECT count(*) FROM backup_codes_events_claim()"]);
    mailer.env("PGCLIENTENCODING", "LATIN1");
    assert_eq!(run(&mut mailer).trim(), "2");
}

/// Text may be valid in an encoding and have no counterpart in UTF-8, and in SQL_ASCII any bytes are valid: one event with such a
/// text would keep a mailer whose client uses UTF-8 from every other one.
#[test]
fn no_context_keeps_a_mailer_from_its_events() {
    let server = Server::any();
    for (encoding, context, expected) in [
        ("EUC_JP", &b"a\xa9\xa1b"[..], "a??b"),
        ("WIN1252", b"a\x81b", "a?b"),
        ("SQL_ASCII", b"a\xffb\xc3\xa9", "a?b\u{e9}"),
    ] {
        let options = format!("ENCODING {encoding} LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0");
        let database = server.empty_database(&options);
        let mut owner = database.connect();
        owner.batch_execute("CREATE EXTENSION backup_codes").expect("CREATE EXTENSION");
        let mut psql = server.client_program("psql");
        psql.args(["-d", &database.name, "-U", "postgres", "-qAtc", "SELECT count(*) FROM backup_codes_generate('u')"]);
        psql.env("PGCLIENTENCODING", "SQL_ASCII");
        psql.env("PGOPTIONS", OsStr::from_bytes(&[b"-c backup_codes.context=", context].concat()));
        assert_eq!(run(&mut psql).trim(), "10", "{encoding}");
        let claimed: String = owner.value("SELECT context FROM backup_codes_events_claim()", &[]);
        assert_eq!(claimed, expected, "{encoding}");
    }
}

/// The name of a role lies in a catalog that all databases share, in whatever encoding it was written.
#[test]
fn a_role_named_in_another_encoding_leaves_text() {
    let server = Server::any();
    let utf8 = server.database();
    let role = utf8.role("jürgen");
    utf8.connect().batch_execute(&format!("ALTER ROLE \"{role}\" SUPERUSER")).expect("a superuser");
    for encoding in ["EUC_JP", "EUC_KR"] {
        let options = format!("ENCODING {encoding} LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0");
        let database = server.empty_database(&options);
        database.connect().batch_execute("CREATE EXTENSION backup_codes").expect("CREATE EXTENSION");
        let mut psql = server.client_program("psql");
        psql.args(["-d", &database.name, "-U", &role, "-qAtc", "SELECT count(*) FROM backup_codes_generate('u')"]);
        psql.env("PGCLIENTENCODING", "SQL_ASCII");
        assert_eq!(run(&mut psql).trim(), "10");
        // Conversion to the client's encoding looks at every byte.
        let actor: String = database.connect().value("SELECT actor FROM backup_codes.events", &[]);
        assert!(actor.starts_with(&role[..role.find('ü').expect("the letter")]), "{encoding}: {actor}");
    }
}

#[test]
fn utf8_takes_characters_of_every_kind() {
    let server = Server::any();
    let database = server.database();
    let mut client = database.connect();
    client.generate("42");
    let sample: Vec<u32> =
        (1..0x3100).chain((0x3100..0xffff).step_by(7)).chain((0xffff..=0x10ffff).step_by(61)).collect();
    for block in sample.chunks(4096) {
        let characters: Vec<String> = block.iter().filter_map(|c| char::from_u32(*c)).map(String::from).collect();
        let row = client
            .query_one(
                "SELECT count(*) FILTER (WHERE backup_codes_consume('42', c)),
                        count(*) FILTER (WHERE backup_codes_remaining('x' || c) > 0)
                   FROM unnest($1::text[]) AS c",
                &[&characters],
            )
            .expect("no error");
        assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (0, 0));
    }
    let codes = client.generate("👩‍👩‍👧");
    assert!(client.consume("👩‍👩‍👧", &codes[0]));
}

/// Over-long input is refused by its size, before anything looks at it.
#[test]
fn huge_text_is_refused_quickly() {
    let server = Server::any();
    let database = server.database();
    let mut client = database.connect();
    client.generate("42");
    client
        .batch_execute(
            "CREATE FUNCTION try(size int, OUT answers text[], OUT took float8) LANGUAGE plpgsql
             SET plan_cache_mode = force_generic_plan AS $$
             DECLARE big text := repeat(repeat('A', 10000), size / 10000); start timestamptz := clock_timestamp();
             BEGIN
               answers := ARRAY[
                 backup_codes_consume('42', big)::text,
                 backup_codes_consume(big, 'x')::text,
                 (SELECT status FROM backup_codes_attempt('42', big)),
                 (SELECT status FROM backup_codes_attempt(big, 'x')),
                 backup_codes_remaining(big)::text,
                 (SELECT enabled::text FROM backup_codes_status(big))];
               took := extract(epoch FROM clock_timestamp() - start);
               ASSERT octet_length(big) = size;
             END $$",
        )
        .expect("a function");
    let mut sizes = vec![100_000_000];
    // A text of 900 MB takes as much again here and there.
    if available_memory() > 4_000_000 {
        sizes.push(900_000_000);
    }
    for size in sizes {
        let row = client.query_one("SELECT * FROM try($1)", &[&size]).expect("no error");
        let answers: Vec<&str> = row.get(0);
        assert_eq!(answers, ["false", "false", "malformed", "rejected", "0", "false"], "{size} bytes");
        // To read 900 MB once takes longer than all these calls.
        let took: f64 = row.get(1);
        assert!(took < 0.2, "{took} s for {size} bytes");
    }
}

/// In kB.
fn available_memory() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or_default()
}

/// A text of a gigabyte in a table takes no memory at all: its size is known without it.
#[test]
fn toasted_text_is_refused_without_detoasting_it() {
    let server = Server::any();
    let database = server.database();
    let mut client = database.connect();
    client.generate("42");
    client
        .batch_execute("CREATE TABLE big (t text); INSERT INTO big SELECT repeat('A', 50000000)")
        .expect("a big text");
    client.query("SELECT backup_codes_consume('42', t), backup_codes_consume(t, 'x') FROM big", &[]).expect("no error");
    let mut client = database.connect();
    let pid = client.pid();
    assert!(!client.consume("42", "x"));
    let before = host_tests::memory(pid, "VmHWM");
    let row = client
        .query_one(
            "SELECT backup_codes_consume('42', t), backup_codes_consume(t, 'x'), backup_codes_remaining(t) FROM big",
            &[],
        )
        .expect("no error");
    assert_eq!((row.get(0), row.get(1), row.get(2)), (false, false, 0));
    let grown = host_tests::memory(pid, "VmHWM") - before;
    assert!(grown < 20_000, "{grown} kB");
}

/// Users and codes come from tables, where they may be compressed or moved out of line.
#[test]
fn compressed_and_external_arguments_work() {
    let server = Server::any();
    let database = server.database();
    let mut client = database.connect();
    for storage in ["EXTENDED", "EXTERNAL", "MAIN"] {
        client
            .batch_execute(&format!(
                "DROP TABLE IF EXISTS stored;
                 CREATE TABLE stored (user_id text, code text, filler text) WITH (toast_tuple_target = 128);
                 ALTER TABLE stored ALTER user_id SET STORAGE {storage}, ALTER code SET STORAGE {storage},
                        ALTER filler SET STORAGE PLAIN"
            ))
            .expect("a table");
        let user_id = format!("{}{storage}", "ab".repeat(120));
        let codes = client.generate(&user_id);
        let spacious = codes[0].replace('-', &" ".repeat(240));
        // A row of less than 2,000 bytes stays as it is.
        let sql = "INSERT INTO stored VALUES ($1, $2, repeat('x', 3000))";
        client.execute(sql, &[&user_id, &spacious]).expect("INSERT");
        if storage != "EXTERNAL" {
            let compressed: bool = client.value("SELECT pg_column_size(code) < octet_length(code) FROM stored", &[]);
            assert!(compressed, "{storage}");
        }
        let sql = "SELECT backup_codes_remaining(user_id) FROM stored";
        assert_eq!(client.value::<i32>(sql, &[]), 10, "{storage}");
        let sql = "SELECT backup_codes_consume(user_id, code) FROM stored";
        assert!(client.value::<bool>(sql, &[]), "{storage}");
        assert!(!client.value::<bool>(sql, &[]), "{storage}");
        assert_eq!(client.value::<i32>("SELECT backup_codes_disable(user_id) FROM stored", &[]), 9, "{storage}");
    }
}
