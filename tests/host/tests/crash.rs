//! What was acknowledged is durable, whatever synchronous_commit says.

use host_tests::{Client, Server, Session, ToSql};

/// Nothing but a commit that waits writes the log: the writers in the background sleep.
const ONLY_COMMITS_WRITE: [&str; 3] = ["wal_writer_delay=10s", "bgwriter_delay=10s", "checkpoint_timeout=1h"];

/// An act of user 42, who has ten codes, and the look at him after the crash.
struct Case {
    name: &'static str,
    act: fn(&mut Client, &[String]) -> Vec<String>,
    check: fn(&mut Client, codes: &[String], new: &[String]),
}

const CASES: &[Case] = &[
    Case {
        name: "a burned code stays burned",
        act: |client, codes| {
            assert!(client.consume("42", &codes[0]));
            vec![]
        },
        check: |client, codes, _| {
            assert!(!client.consume("42", &codes[0]), "the burned code");
            assert!(client.consume("42", &codes[1]), "another one");
            assert_eq!(client.remaining("42"), 8);
        },
    },
    Case {
        name: "an accepted attempt stays accepted",
        act: |client, codes| {
            assert_eq!(client.attempt("42", &codes[0]), "accepted");
            vec![]
        },
        check: |client, codes, _| assert_eq!(client.attempt("42", &codes[0]), "used"),
    },
    Case {
        name: "a transaction cannot make its commit asynchronous after the call",
        act: |client, codes| {
            client.batch_execute("BEGIN").expect("BEGIN");
            assert!(client.consume("42", &codes[0]));
            client.batch_execute("SET LOCAL synchronous_commit = off; COMMIT").expect("COMMIT");
            vec![]
        },
        check: |client, codes, _| assert!(!client.consume("42", &codes[0])),
    },
    Case {
        name: "generated codes, which a user has printed, are there",
        act: |client, _| client.generate("42"),
        check: |client, codes, new| {
            assert_eq!(client.remaining("42"), 10);
            assert!(client.consume("42", &new[9]));
            assert!(!client.consume("42", &codes[0]), "the replaced set");
        },
    },
    Case {
        name: "codes made by regenerate are there",
        act: |client, codes| strings(client, "SELECT backup_codes_regenerate('42', $1)", &[&codes[0]]),
        check: |client, codes, new| {
            assert!(!client.consume("42", &codes[0]), "the code it took");
            assert!(client.consume("42", &new[0]));
        },
    },
    Case {
        name: "a prepared set waits",
        act: |client, _| strings(client, "SELECT backup_codes_prepare(42)", &[]),
        check: |client, _, new| {
            assert!(client.value::<bool>("SELECT backup_codes_confirm('42', $1)", &[&new[0]]));
        },
    },
    Case {
        name: "a confirmed set is active, and the old one gone",
        act: |client, _| {
            let new = strings(client, "SELECT backup_codes_prepare(42)", &[]);
            assert!(client.value::<bool>("SELECT backup_codes_confirm(42)", &[]));
            new
        },
        check: |client, codes, new| {
            assert!(!client.consume("42", &codes[0]), "the replaced set");
            assert!(client.consume("42", &new[0]), "the confirmed set");
        },
    },
    Case {
        name: "a cancelled set is gone",
        act: |client, _| {
            let new = strings(client, "SELECT backup_codes_prepare(42)", &[]);
            assert!(client.value::<bool>("SELECT backup_codes_cancel(42)", &[]));
            new
        },
        check: |client, _, _| assert!(!client.value::<bool>("SELECT backup_codes_confirm(42)", &[])),
    },
    Case {
        name: "disabled codes stay disabled",
        act: |client, _| {
            assert_eq!(client.value::<i32>("SELECT backup_codes_disable(42)", &[]), 10);
            vec![]
        },
        check: |client, codes, _| assert!(!client.consume("42", &codes[0])),
    },
    Case {
        name: "codes disabled with a code stay disabled",
        act: |client, codes| {
            assert!(client.value::<bool>("SELECT backup_codes_disable('42', $1)", &[&codes[0]]));
            vec![]
        },
        check: |client, codes, _| assert!(!client.consume("42", &codes[1])),
    },
    Case {
        name: "revoked codes stay revoked",
        act: |client, _| {
            assert_eq!(client.value::<i64>("SELECT backup_codes_revoke_all(clock_timestamp())", &[]), 1);
            vec![]
        },
        check: |client, codes, _| assert!(!client.consume("42", &codes[0])),
    },
    Case {
        name: "codes of a deleted user stay deleted",
        act: |client, _| {
            client.batch_execute("DELETE FROM users").expect("DELETE");
            vec![]
        },
        check: |client, codes, _| assert!(!client.consume("42", &codes[0])),
    },
];

fn strings(client: &mut Client, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Vec<String> {
    client.query(sql, parameters).expect("rows").iter().map(|row| row.get(0)).collect()
}

/// After every act the server is killed at once, and a plain asynchronous commit made between the two must be lost: else the
/// crash would prove nothing.
#[test]
fn what_was_acknowledged_survives_a_crash() {
    let server = Server::start(&ONLY_COMMITS_WRITE);
    let setup = "CREATE EXTENSION backup_codes;
                 CREATE TABLE lost (n int);
                 CREATE TABLE users (id int PRIMARY KEY);
                 CREATE TRIGGER forget AFTER DELETE ON users
                    FOR EACH ROW EXECUTE FUNCTION backup_codes_forget_user('id')";
    server.connect("postgres").batch_execute(setup).expect("an application");
    for Case { name, act, check } in CASES {
        println!("{name}");
        let mut client = server.connect("postgres");
        client
            .batch_execute("SELECT backup_codes_disable(42); INSERT INTO users VALUES (42) ON CONFLICT DO NOTHING")
            .expect("a user");
        let codes = client.generate("42");
        client.batch_execute("SET synchronous_commit = off").expect("SET");
        let new = act(&mut client, &codes);
        client.batch_execute("INSERT INTO lost VALUES (1)").expect("INSERT");
        server.kill();

        server.resume();
        let mut client = server.connect("postgres");
        let lost: i64 = client.value("SELECT count(*) FROM lost", &[]);
        assert_eq!(lost, 0, "the crash loses what was committed asynchronously");
        check(&mut client, &codes, &new);
    }
}
