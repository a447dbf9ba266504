/// Enrols a user and answers one of his codes.
fn enrol(user_id: &str) -> String {
    one(&format!("SELECT c FROM backup_codes_generate('{user_id}') AS c LIMIT 1")).unwrap()
}

/// The plan of a statement as the functions get it. The tables are empty: where a planner that may choose would take a
/// sequential scan.
fn plan(name: &str, text: &str, types: &[pg_sys::Oid]) -> String {
    Spi::run("SET LOCAL enable_seqscan = off; SET LOCAL plan_cache_mode = force_generic_plan").unwrap();
    let types: Vec<String> =
        types.iter().map(|oid| one(&format!("SELECT {}::regtype::text", oid.to_u32())).unwrap()).collect();
    let nulls = vec!["NULL"; types.len()].join(", ");
    Spi::run(&format!("PREPARE {name} ({}) AS {}", types.join(", "), text)).unwrap();
    let mut plan = String::new();
    Spi::connect(|client| {
        for row in client.select(&format!("EXPLAIN EXECUTE {name} ({nulls})"), None, &[]).unwrap() {
            plan.push_str(row.get::<&str>(1).unwrap().unwrap());
            plan.push('\n');
        }
    });
    plan
}

/// How the plan looks at each of our tables.
fn scans(plan: &str) -> impl Iterator<Item = &str> {
    let tables = ["account", "pending_set", "code", "event"];
    plan.lines().filter(move |line| tables.iter().any(|table| line.contains(&format!(" on {table} ")) && line.contains("Scan")))
}

#[pg_test]
fn every_statement_about_one_user_probes_an_index_or_a_row_found_so() {
    assert!(crate::store::STATEMENTS.len() >= 20);
    for (name, statement) in crate::store::STATEMENTS {
        let plan = plan(name, statement.text, &statement.type_oids());
        for line in scans(&plan) {
            let probe = line.contains("Index Scan") || line.contains("Bitmap") || line.contains("Tid Scan");
            assert!(probe && !line.contains("Seq Scan"), "{name}: {plan}");
        }
        assert!(plan.contains("user_id") || plan.contains("Insert on"), "{name}: {plan}");
    }
}

#[pg_test]
fn every_statement_of_the_outbox_begins_at_the_index_of_what_waits() {
    for (name, statement) in crate::store::OUTBOX_STATEMENTS {
        let plan = plan(name, statement.text, &statement.type_oids());
        let indexes = ["using event_waiting_idx", "on event_waiting_idx", "using event_pkey"];
        assert!(plan.contains("event_waiting_idx") && plan.replace("((", "(").contains("Index Cond: (due_at"), "{name}: {plan}");
        assert!(scans(&plan).all(|scan| scan.contains("Bitmap Heap") || indexes.iter().any(|i| scan.contains(i))), "{name}: {plan}");
        assert!(!plan.contains("Sort"), "{name}: {plan}");
    }
}

#[pg_test]
fn claiming_and_acknowledging_read_the_claimed_events_only() {
    Spi::run(
        "INSERT INTO backup_codes.event (user_id, event_id, at, kind, due_at)
         SELECT n::text, gen_random_uuid(), now(), 'used', now() FROM generate_series(1, 50000) AS n",
    )
    .unwrap();
    Spi::run("ANALYZE backup_codes.event").unwrap();
    // As if another join looked cheaper, as it does beside millions of delivered events.
    Spi::run("SET LOCAL enable_nestloop = off").unwrap();
    let read = || {
        let sql = "SELECT (idx_tup_fetch + seq_tup_read)::text FROM pg_stat_xact_user_tables
                    WHERE relid = 'backup_codes.event'::regclass";
        one(sql).unwrap().parse::<i64>().unwrap()
    };
    let before = read();
    let acknowledged = "SELECT sum(n)::text FROM (SELECT backup_codes_events_ack(lease, array_agg(event_id)) AS n
                          FROM backup_codes_events_claim(10) GROUP BY lease) AS a";
    assert_eq!(one(acknowledged).unwrap(), "10");
    let released = "SELECT sum(n)::text FROM (SELECT backup_codes_events_release(lease, array_agg(event_id), '0') AS n
                      FROM backup_codes_events_claim(10) GROUP BY lease) AS a";
    assert_eq!(one(released).unwrap(), "10");
    assert!((20..500).contains(&(read() - before)), "{} rows were read", read() - before);
}

#[pg_test]
fn the_planner_of_the_session_is_left_as_it_was() {
    enrol("planner");
    assert_eq!(one("SHOW enable_seqscan").unwrap(), "on");
    assert_eq!(one("SELECT setting FROM pg_settings WHERE name = 'enable_seqscan'").unwrap(), "on");
    let plan = one("SELECT (SELECT backup_codes_remaining('planner'))::text");
    assert_eq!(plan.unwrap(), "10");
    // SAFETY: reads variables of the planner's.
    let untouched = || unsafe {
        pg_sys::enable_seqscan && pg_sys::enable_hashjoin && pg_sys::enable_mergejoin && pg_sys::jit_enabled
    };
    assert!(untouched());
    // After an error as well: the statement is refused where a table is gone.
    assert_eq!(sqlstate("ALTER TABLE backup_codes.event RENAME TO gone; SELECT backup_codes_generate('planner')"), "42P01");
    assert!(untouched());
}

/// Takes every table, or none: other tests use them at the same time, in whatever order.
const TAKE_TABLES: &str = "
DO $$
BEGIN
  LOOP
    BEGIN
      LOCK TABLE backup_codes.account, backup_codes.pending_set, backup_codes.code, backup_codes.event, backup_codes.overview,
                 backup_codes.events IN ACCESS EXCLUSIVE MODE NOWAIT;
      EXIT;
    EXCEPTION WHEN lock_not_available THEN
      PERFORM pg_sleep(0.01);
    END;
  END LOOP;
END
$$";

#[pg_test]
fn kept_plans_survive_dropping_and_creating_the_extension() {
    Spi::run(TAKE_TABLES).unwrap();
    for round in 0..3 {
        let code = enrol("phoenix");
        assert_eq!(
            Spi::get_one::<bool>(&format!("SELECT backup_codes_consume('phoenix', '{code}')")).unwrap(),
            Some(true),
            "round {round}"
        );
        assert_eq!(Spi::get_one::<i32>("SELECT backup_codes_remaining('phoenix')").unwrap(), Some(9));
        Spi::run("DROP EXTENSION backup_codes").unwrap();
        assert_eq!(Spi::get_one::<i64>("SELECT count(*) FROM pg_namespace WHERE nspname = 'backup_codes'").unwrap(), Some(0));
        Spi::run("CREATE EXTENSION backup_codes").unwrap();
        assert_eq!(Spi::get_one::<i32>("SELECT backup_codes_remaining('phoenix')").unwrap(), Some(0));
    }
}

/// Whether this transaction has an id by now.
fn assigned() -> bool {
    // SAFETY: reads the state of the transaction.
    unsafe { pg_sys::GetTopTransactionIdIfAny() != pg_sys::InvalidTransactionId }
}

#[pg_test]
fn reading_assigns_no_transaction_id() {
    let select = |sql: &str| Spi::connect(|client| client.select(sql, None, &[]).unwrap().len());
    assert!(!assigned());
    select("SELECT backup_codes_remaining(42), backup_codes_remaining('42'), backup_codes_remaining(gen_random_uuid())");
    select("SELECT * FROM backup_codes_status(42)");
    select("SELECT * FROM backup_codes_keys()");
    select("SELECT * FROM backup_codes_doctor()");
    assert!(!assigned());
}

#[pg_test]
fn a_malformed_or_wrong_code_of_a_stranger_assigns_no_transaction_id() {
    // A volatile function: SELECT through Spi::connect reads, so the attempt runs as it does for a client.
    let well_formed = "00000-00000-00000-00000-00000";
    Spi::connect(|client| {
        let status = |code: &str| {
            client
                .select(&format!("SELECT status FROM backup_codes_attempt('stranger', '{code}')"), None, &[])
                .unwrap()
                .first()
                .get_one::<String>()
                .unwrap()
                .unwrap()
        };
        assert_eq!(status("nonsense"), "malformed");
        assert_eq!(status(well_formed), "rejected");
    });
    assert!(!assigned());
}
