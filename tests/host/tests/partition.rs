//! sql/partition.sql turns the tables into partitioned ones, and every promise holds as before.

use std::collections::{BTreeSet, HashSet};
use std::process::Output;
use std::thread;

use host_tests::{Client, Database, Server, Session, root, wait_until};

use crate::dump_restore::{Dump, check, fill, restore};

const TABLES: [&str; 4] = ["account", "pending_set", "code", "event"];

/// Runs the script, whatever becomes of it.
fn script(database: &Database<'_>, options: &[&str]) -> Output {
    let mut command = database.server.client_program("psql");
    command.args(["-X", "-q", "-d", &database.name]).args(options).arg("-f").arg(root().join("sql/partition.sql"));
    command.output().expect("psql starts")
}

fn partition(database: &Database<'_>, partitions: u32) {
    let output = script(database, &["-v", &format!("partitions={partitions}")]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn lines(client: &mut Client, sql: &str) -> Vec<String> {
    client.query(sql, &[]).unwrap_or_else(|error| panic!("{sql}: {error:?}")).iter().map(|row| row.get(0)).collect()
}

/// Every row of the four tables.
fn rows(client: &mut Client) -> Vec<String> {
    TABLES
        .iter()
        .flat_map(|table| {
            lines(client, &format!("SELECT '{table}' || t::text FROM backup_codes.{table} AS t ORDER BY 1"))
        })
        .collect()
}

/// What the catalog says of the four tables, the views and the members of the extension, but for the partitions.
fn definitions(client: &mut Client) -> Vec<String> {
    lines(
        client,
        "WITH relation AS (
           SELECT c.* FROM pg_class AS c WHERE c.relnamespace = 'backup_codes'::regnamespace AND NOT c.relispartition
         )
         SELECT format('%s column %s %s %s %s %s %s %s %s', c.relname, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod),
                       a.attcollation::regcollation, a.attnotnull, a.attstorage, pg_get_expr(d.adbin, d.adrelid), col_description(c.oid, a.attnum))
           FROM relation AS c
           JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0
           LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
          WHERE c.relkind IN ('r', 'p', 'v')
         UNION ALL
         SELECT format('%s constraint %s %s', c.relname, k.conname, pg_get_constraintdef(k.oid))
           FROM relation AS c JOIN pg_constraint AS k ON k.conrelid = c.oid
         UNION ALL
         SELECT format('%s index %s', c.relname, replace(pg_get_indexdef(i.indexrelid), ' ON ONLY ', ' ON '))
           FROM relation AS c JOIN pg_index AS i ON i.indrelid = c.oid
         UNION ALL
         SELECT format('%s owned by %s: %s: %s', c.relname, c.relowner::regrole, c.relacl, obj_description(c.oid, 'pg_class'))
           FROM relation AS c WHERE c.relkind IN ('r', 'p', 'v')
         UNION ALL
         SELECT format('view %s', pg_get_viewdef(c.oid)) FROM relation AS c WHERE c.relkind = 'v'
         UNION ALL
         SELECT format('member %s', o.identity)
           FROM pg_depend AS m
           JOIN pg_extension AS e ON m.refclassid = 'pg_extension'::regclass AND m.refobjid = e.oid
          CROSS JOIN LATERAL pg_identify_object(m.classid, m.objid, m.objsubid) AS o
          WHERE e.extname = 'backup_codes' AND m.deptype = 'e' AND m.classid <> 'pg_type'::regclass
            AND NOT EXISTS (SELECT FROM pg_class AS c WHERE c.oid = m.objid AND m.classid = 'pg_class'::regclass AND c.relispartition)
         ORDER BY 1",
    )
}

/// Checks of the doctor that are not ok.
fn alarms(client: &mut Client) -> Vec<String> {
    lines(
        client,
        "SELECT check_name || ': ' || detail FROM backup_codes_doctor() WHERE status <> 'ok' AND check_name <> 'throttle_memory'",
    )
}

/// A life of every verb.
fn live(client: &mut Client) {
    for user in ["1", "2", "zoë", "a7"] {
        let codes = client.generate(user);
        assert_eq!(codes.len(), 10);
        assert!(client.consume(user, &codes[0]));
        assert!(!client.consume(user, &codes[0]));
        assert_eq!(client.attempt(user, &codes[0]), "used");
        assert_eq!(client.attempt(user, "00000-00000-00000-00000-00000"), "rejected");
        assert_eq!(client.attempt(user, &codes[1]), "accepted");
        assert_eq!(client.remaining(user), 8);
        // Another set takes the place of the first.
        let again = client.generate(user);
        assert!(!client.consume(user, &codes[2]));
        let prepared: Vec<String> = client
            .query("SELECT backup_codes_prepare($1::text, 5)", &[&user])
            .expect("codes")
            .iter()
            .map(|row| row.get(0))
            .collect();
        assert!(client.value::<bool>("SELECT pending FROM backup_codes_status($1::text)", &[&user]));
        assert!(client.value::<bool>("SELECT backup_codes_cancel($1::text)", &[&user]));
        assert!(!client.value::<bool>("SELECT backup_codes_confirm($1::text, $2)", &[&user, &prepared[0]]));
        let prepared: Vec<String> = client
            .query("SELECT backup_codes_prepare($1::text, 5)", &[&user])
            .expect("codes")
            .iter()
            .map(|row| row.get(0))
            .collect();
        assert!(client.value::<bool>("SELECT backup_codes_confirm($1::text, $2)", &[&user, &prepared[1]]));
        assert!(!client.consume(user, &again[0]));
        let regenerated =
            client.query("SELECT backup_codes_regenerate($1::text, $2)", &[&user, &prepared[1]]).expect("codes");
        assert_eq!(regenerated.len(), 10);
        assert_eq!(client.value::<Vec<i32>>("SELECT used FROM backup_codes_status($1::text)", &[&user]), [0; 0]);
    }
    assert_eq!(alarms(client), [""; 0]);
    assert_eq!(client.value::<i32>("SELECT backup_codes_disable('a7')", &[]), 10);
    for _ in 0..5 {
        assert_eq!(client.attempt("1", "00000-00000-00000-00000-00000"), "rejected");
    }
    assert_eq!(client.attempt("1", "00000-00000-00000-00000-00000"), "locked");
    client
        .batch_execute(
            "CREATE TABLE users (id text); INSERT INTO users VALUES ('2');
             CREATE TRIGGER follow AFTER DELETE OR UPDATE ON users FOR EACH ROW EXECUTE FUNCTION backup_codes_forget_user('id');
             UPDATE users SET id = '3'",
        )
        .expect("a renamed user");
    assert_eq!((client.remaining("2"), client.remaining("3")), (0, 10));
    client.batch_execute("UPDATE users SET id = '2'; DELETE FROM users").expect("a forgotten user");
    let kept = "SELECT count(*) FROM backup_codes.overview WHERE user_id = '2'";
    assert_eq!(client.value::<i64>(kept, &[]), 0);
    // The views show what the tables hold.
    let overview = lines(
        client,
        "SELECT format('%s %s %s', user_id, unused, enabled) FROM backup_codes.overview ORDER BY user_id",
    );
    assert_eq!(overview, ["1 10 t", "a7 0 f", "zoë 10 t"]);
    assert!(client.value::<i64>("SELECT count(*) FROM backup_codes.events WHERE user_id = 'zoë'", &[]) >= 8);

    // In batches smaller than what there is.
    let all = |client: &mut Client, sql: &str| {
        let mut rounds = 0;
        while client.value::<i64>(sql, &[]) > 0 {
            rounds += 1;
            assert!(rounds < 100, "{sql}");
        }
        rounds
    };
    assert_eq!(all(client, "SELECT backup_codes_revoke_all(clock_timestamp(), max_users => 1)"), 2);
    assert_eq!(client.remaining("zoë"), 0);
    assert!(all(client, "SELECT backup_codes_purge('0', undelivered => true, max_users => 2)") > 1);
    assert_eq!(rows(client), [""; 0]);
    client.batch_execute("DROP TABLE users").expect("DROP TABLE");
}

#[test]
fn an_install_partitioned_while_empty_keeps_every_promise() {
    let server = Server::any();
    let database = server.database();
    let before = definitions(&mut database.connect());
    partition(&database, 4);
    let mut client = database.connect();
    assert_eq!(definitions(&mut client), before);
    live(&mut client);

    // The partitions go with the extension, and the session gets along with the plain tables of the next one.
    client.batch_execute("DROP EXTENSION backup_codes; CREATE EXTENSION backup_codes").expect("another one");
    assert_eq!(definitions(&mut client), before);
    assert_eq!(
        client.value::<i64>("SELECT count(*) FROM pg_class WHERE relname LIKE 'account_p%' AND relkind = 'r'", &[]),
        0
    );
    live(&mut client);
}

#[test]
fn partitioning_loses_no_row_and_no_definition() {
    let server = Server::any();
    let database = server.database();
    let mut client = database.connect();
    let (auditor, subscriber) = (database.role("auditor"), database.role("subscriber"));
    client
        .batch_execute(&format!(
            "SELECT backup_codes_grant('auditor', '{auditor}');
             GRANT SELECT ON backup_codes.code TO {subscriber};
             GRANT SELECT (user_id) ON backup_codes.event TO {subscriber};
             ALTER TABLE backup_codes.code SET (autovacuum_vacuum_scale_factor = 0.02);
             CREATE VIEW report AS SELECT count(*) AS users FROM backup_codes.overview;
             SELECT backup_codes_generate(u) FROM generate_series(1, 50) AS u"
        ))
        .expect("a beginning");
    let holdings = fill(&mut client);
    let (rows_before, definitions_before) = (rows(&mut client), definitions(&mut client));
    let column_grants = "SELECT count(*) FROM information_schema.column_privileges WHERE table_name = 'event' AND grantee LIKE '%subscriber'";
    assert_eq!(client.value::<i64>(column_grants, &[]), 1);

    partition(&database, 8);
    assert_eq!(rows(&mut client), rows_before);
    assert_eq!(definitions(&mut client), definitions_before);
    assert_eq!(client.value::<i64>(column_grants, &[]), 1);
    assert_eq!(client.value::<i64>("SELECT users FROM report", &[]), 51);
    for table in TABLES {
        let leaves = "SELECT count(*) FROM pg_partition_tree(('backup_codes.' || $1)::regclass) WHERE isleaf";
        assert_eq!(client.value::<i64>(leaves, &[&table]), 8);
    }
    let options = "SELECT DISTINCT c.relname::text || coalesce(c.reloptions::text, '') || a.attstorage::text
                     FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
                    WHERE c.relname IN ('account_p7', 'code_p0') AND a.attname IN ('burned', 'code_hash') ORDER BY 1";
    assert_eq!(
        lines(&mut client, options),
        ["account_p7{fillfactor=90}m", "code_p0{autovacuum_vacuum_scale_factor=0.02}x"]
    );
    check(&mut client, &holdings);
    client.batch_execute(&format!("SET ROLE {auditor}")).expect("SET ROLE");
    assert_eq!(client.value::<i64>("SELECT count(*) FROM backup_codes.overview", &[]), 51);
}

#[test]
fn default_privileges_hand_out_no_partition() {
    let server = Server::any();
    let database = server.database();
    let mut client = database.connect();
    let reporter = database.role("reporter");
    let default = format!("ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO {reporter}, PUBLIC");
    client.batch_execute(&default).expect("default privileges");
    partition(&database, 2);
    let held = "SELECT c.oid::regclass::text FROM pg_class AS c
                 WHERE c.relnamespace = 'backup_codes'::regnamespace AND c.relkind IN ('r', 'p', 'v')
                   AND EXISTS (SELECT FROM aclexplode(c.relacl) AS a WHERE a.grantee <> c.relowner)";
    assert_eq!(lines(&mut client, held), [""; 0]);
    assert_eq!(alarms(&mut client), [""; 0]);
    client
        .batch_execute(&format!("ALTER DEFAULT PRIVILEGES REVOKE ALL ON TABLES FROM {reporter}, PUBLIC"))
        .expect("a revocation");
}

/// Which partitions a transaction has looked into or written to, by their number.
fn touched(client: &mut Client) -> BTreeSet<String> {
    let sql = "SELECT DISTINCT substring(relname FROM '_(p[0-9]+)$')
                 FROM pg_stat_xact_user_tables
                WHERE schemaname = 'backup_codes' AND relname ~ '_p[0-9]+$'
                  AND coalesce(seq_scan, 0) + coalesce(idx_scan, 0) + n_tup_ins + n_tup_upd + n_tup_del > 0";
    lines(client, sql).into_iter().collect()
}

#[test]
fn every_verb_touches_one_partition_of_each_table() {
    let server = Server::any();
    let database = server.database();
    partition(&database, 16);
    let mut client = database.connect();
    let codes = client.generate("42");
    let verbs = [
        format!("SELECT backup_codes_consume(42, '{}')", codes[0]),
        format!("SELECT backup_codes_attempt(42, '{}')", codes[0]),
        "SELECT backup_codes_attempt(42, '00000-00000-00000-00000-00000')".to_owned(),
        "SELECT backup_codes_attempt('stranger', '00000-00000-00000-00000-00000')".to_owned(),
        "SELECT backup_codes_remaining(42)".to_owned(),
        "SELECT backup_codes_status(42)".to_owned(),
        "SELECT backup_codes_generate(42)".to_owned(),
        "SELECT backup_codes_prepare(42)".to_owned(),
        "SELECT backup_codes_confirm(42, '00000-00000-00000-00000-00000')".to_owned(),
        "SELECT backup_codes_confirm(42)".to_owned(),
        "SELECT backup_codes_prepare(42); SELECT backup_codes_cancel(42)".to_owned(),
        "SELECT backup_codes_disable(42)".to_owned(),
    ];
    let mut partitions = HashSet::new();
    for verb in verbs {
        // What was counted before is out of the way when it has been reported.
        client.batch_execute("SELECT pg_stat_force_next_flush()").expect("a flush");
        client.batch_execute("BEGIN").expect("BEGIN");
        assert_eq!(touched(&mut client).len(), 0);
        client.batch_execute(&verb).expect("the verb");
        let found = touched(&mut client);
        assert_eq!(found.len(), 1, "{verb}: {found:?}");
        if !verb.contains("stranger") {
            partitions.extend(found);
        }
        client.batch_execute("COMMIT").expect("COMMIT");
    }
    assert_eq!(partitions.len(), 1, "{partitions:?}");
}

/// A backend keeps its plans; a session that waited for the locks goes on with the new tables.
#[test]
fn sessions_go_on_while_the_tables_are_partitioned() {
    let server = Server::any();
    let database = server.database();
    let mut client = database.connect();
    let codes = client.generate("42");
    assert!(client.consume("42", &codes[0]));

    // One holds the account's row, so the script waits for him, and another waits for the script.
    client.batch_execute("BEGIN").expect("BEGIN");
    assert!(client.consume("42", &codes[1]));
    let mut watcher = database.connect();
    let mut waiting = |count: i64| {
        let sql = "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted AND locktype = 'relation'
                      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        wait_until("a wait for a lock", || watcher.value::<i64>(sql, &[]) == count);
    };
    thread::scope(|scope| {
        let running = scope.spawn(|| partition(&database, 4));
        waiting(1);
        let (code, other) = (&codes[2], &database);
        let blocked = scope.spawn(move || {
            let mut client = other.connect();
            client.consume("42", code)
        });
        waiting(2);
        client.batch_execute("COMMIT").expect("COMMIT");
        running.join().expect("the script");
        assert!(blocked.join().expect("a session"), "a code that was valid all the time");
    });
    let plain = "SELECT relkind <> 'p' FROM pg_class WHERE oid = 'backup_codes.code'::regclass";
    assert!(!client.value::<bool>(plain, &[]));
    for (index, code) in codes.iter().enumerate() {
        assert_eq!(client.consume("42", code), index > 2, "{index}");
    }
}

#[test]
fn dump_through_the_roots_restores_into_a_plain_install() {
    let server = Server::any();
    let source = server.database();
    partition(&source, 4);
    let holdings = fill(&mut source.connect());
    let before = rows(&mut source.connect());
    let target = server.empty_database("");
    restore(
        &server,
        &target.name,
        &["--single-transaction"],
        &Dump::of(&source, &["-Fc", "--load-via-partition-root"]),
    );
    assert_eq!(rows(&mut target.connect()), before);
    // With another number of partitions, if they are wanted.
    partition(&target, 3);
    let mut client = target.connect();
    assert_eq!(rows(&mut client), before);
    check(&mut client, &holdings);
    assert_eq!(alarms(&mut client), [""; 0]);
}

#[test]
fn dump_of_partitions_restores_in_sections() {
    let server = Server::any();
    let source = server.database();
    let holdings = fill(&mut source.connect());
    partition(&source, 4);
    let before = rows(&mut source.connect());
    let dump = Dump::of(&source, &["-Fc"]);
    let target = server.empty_database("");
    restore(&server, &target.name, &["--section=pre-data"], &dump);
    partition(&target, 4);
    restore(&server, &target.name, &["--section=data"], &dump);
    restore(&server, &target.name, &["--section=post-data"], &dump);
    let mut client = target.connect();
    assert_eq!(rows(&mut client), before);
    check(&mut client, &holdings);
}

/// A dump that cannot be restored as it is must not lose the codes silently.
#[test]
fn dump_of_partitions_fails_loudly_in_a_plain_install() {
    let server = Server::any();
    let source = server.database();
    partition(&source, 4);
    fill(&mut source.connect());
    let dump = Dump::of(&source, &["-Fc"]);
    let target = server.empty_database("");
    let output =
        server.client_program("pg_restore").args(["--exit-on-error", "-d", &target.name]).arg(dump.path()).output();
    let output = output.expect("pg_restore starts");
    assert!(!output.status.success());
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(complaint.contains("_p") && complaint.contains("does not exist"), "{complaint}");
}

#[test]
fn the_script_refuses_what_it_would_lose_and_changes_nothing() {
    let server = Server::any();
    let database = server.empty_database("");
    let mut client = database.connect();
    let refused = |options: &[&str], expected: &str| {
        let output = script(&database, options);
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && complaint.contains(expected), "{expected}: {complaint}");
    };
    let good = ["-v", "partitions=2"];
    refused(&good, "the extension backup_codes is not in database");
    client.batch_execute("CREATE EXTENSION backup_codes").expect("CREATE EXTENSION");
    client.generate("42");
    let before = (definitions(&mut client), rows(&mut client));
    refused(&[], "partitions must be a number from 2 to 1024, not ''");
    refused(&["-v", "partitions=1"], "not '1'");
    refused(&["-v", "partitions=1025"], "not '1025'");
    refused(&["-v", "partitions=4; DROP TABLE x"], "partitions must be a number");
    for (make, undo, expected) in [
        (
            "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
             CREATE TRIGGER t AFTER INSERT ON backup_codes.event FOR EACH ROW EXECUTE FUNCTION f()",
            "DROP FUNCTION f() CASCADE",
            "trigger t on backup_codes.event",
        ),
        (
            "ALTER TABLE backup_codes.code ENABLE ROW LEVEL SECURITY",
            "ALTER TABLE backup_codes.code DISABLE ROW LEVEL SECURITY",
            "row security: backup_codes.code",
        ),
        ("CREATE PUBLICATION p FOR TABLE backup_codes.code", "DROP PUBLICATION p", "published by p"),
        ("CREATE VIEW mine AS SELECT count(*) FROM backup_codes.code", "DROP VIEW mine", "other objects depend on it"),
    ] {
        client.batch_execute(make).expect("an obstacle");
        refused(&good, expected);
        client.batch_execute(undo).expect("its end");
    }
    let role = database.role("plain");
    let output = server
        .client_program("psql")
        .args(["-X", "-q", "-d", &database.name, "-U", &role, "-v", "partitions=2", "-f"])
        .arg(root().join("sql/partition.sql"))
        .output()
        .expect("psql starts");
    assert!(String::from_utf8_lossy(&output.stderr).contains("permission denied to partition"));
    assert_eq!((definitions(&mut client), rows(&mut client)), before);

    partition(&database, 2);
    refused(&good, "already partitioned: backup_codes.account, backup_codes.code");
    assert_eq!((definitions(&mut client), rows(&mut client)), before);
}

#[test]
fn doctor_misses_the_mark_of_a_single_partition() {
    let server = Server::any();
    let database = server.database();
    partition(&database, 2);
    let mut client = database.connect();
    let marks = "SELECT status || coalesce(hint, '') FROM backup_codes_doctor() WHERE check_name = 'dump_marks'";
    assert_eq!(client.value::<String>(marks, &[]), "ok");
    client
        .batch_execute(
            "UPDATE pg_extension SET extconfig = array_remove(extconfig, 'backup_codes.code_p1'::regclass::oid),
                    extcondition = extcondition[2:] WHERE extname = 'backup_codes'",
        )
        .expect("a lost mark");
    let found: String = client.value(marks, &[]);
    let remedy = found.strip_prefix("problem").expect("a problem");
    assert!(remedy.contains("backup_codes.code_p1"), "{remedy}");
    client.batch_execute(remedy).expect("the remedy");
    assert_eq!(client.value::<String>(marks, &[]), "ok");
}
