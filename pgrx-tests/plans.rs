use crate::store::statement::{About, Listed, STATEMENTS};

/// The statements of one kind.
fn statements_about(about: About) -> impl Iterator<Item = &'static Listed> {
    STATEMENTS.iter().filter(move |statement| statement.about == about)
}

/// Enrols a user and answers one of their codes.
fn enrol(user_id: &str) -> String {
    one(&format!("SELECT c FROM backup_codes_generate('{user_id}') AS c LIMIT 1")).unwrap()
}

/// The plan of a statement as the functions get it. The tables are empty: where a planner that may choose would take a
/// sequential scan.
fn plan(statement: &Listed) -> String {
    Spi::run("SET LOCAL enable_seqscan = off; SET LOCAL plan_cache_mode = force_generic_plan").unwrap();
    let types: Vec<String> = statement.parameters().into_iter().map(|(_, oid)| type_name(oid.value())).collect();
    let nulls = vec!["NULL"; types.len()].join(", ");
    let name = statement.name;
    Spi::run(&format!("PREPARE {name} ({}) AS {}", types.join(", "), statement.numbered())).unwrap();
    let mut plan = String::new();
    Spi::connect(|client| {
        for row in client.select(&format!("EXPLAIN EXECUTE {name} ({nulls})"), None, &[]).unwrap() {
            plan.push_str(row.get::<&str>(1).unwrap().unwrap());
            plan.push('\n');
        }
    });
    plan
}

/// A type as PREPARE takes it.
fn type_name(oid: pg_sys::Oid) -> String {
    one(&format!("SELECT {}::regtype::text", oid.to_u32())).unwrap()
}

/// Names and types of the columns that PostgreSQL says a statement returns.
fn returned(statement: &Listed) -> Vec<(String, String)> {
    let mut types: Vec<_> = statement.parameters().into_iter().map(|(_, oid)| oid.value()).collect();
    let text = std::ffi::CString::new(statement.numbered()).unwrap();
    Spi::connect(|_| {
        // SAFETY: SPI is connected; the plan, of one statement, lives until it is disconnected, and so does its description.
        let columns = unsafe {
            let plan = pg_sys::SPI_prepare(text.as_ptr(), types.len() as i32, types.as_mut_ptr());
            let sources = pg_sys::SPI_plan_get_plan_sources(plan);
            let source = (*(*sources).elements).ptr_value.cast::<pg_sys::CachedPlanSource>();
            let description = (*source).resultDesc;
            if description.is_null() {
                return vec![];
            }
            let attributes = (0..(*description).natts).map(|number| pg_sys::SPI_fname(description, number + 1));
            let names = attributes.map(|name| std::ffi::CStr::from_ptr(name).to_str().unwrap().to_owned());
            let types = (0..(*description).natts).map(|number| pg_sys::SPI_gettypeid(description, number + 1));
            names.zip(types).collect::<Vec<_>>()
        };
        columns.into_iter().map(|(name, oid)| (name, type_name(oid))).collect()
    })
}

#[pg_test]
fn every_column_has_the_name_and_type_that_postgresql_says() {
    let mut columns = 0;
    for statement in STATEMENTS {
        let ours: Vec<_> =
            statement.columns().into_iter().map(|(name, oid)| (name.to_owned(), type_name(oid.value()))).collect();
        columns += ours.len();
        let theirs = returned(statement);
        if ours.is_empty() {
            assert!(theirs.is_empty(), "{}: what is returned is not read: {theirs:?}", statement.name);
        } else {
            assert_eq!(ours, theirs, "{}", statement.name);
        }
    }
    assert!(STATEMENTS.len() >= 40 && columns >= 100, "{} statements, {columns} columns", STATEMENTS.len());
}

/// How the plan looks at each of our tables.
fn scans(plan: &str) -> impl Iterator<Item = &str> {
    let tables = ["account", "pending_set", "code", "event"];
    plan.lines().filter(move |line| tables.iter().any(|table| line.contains(&format!(" on {table} ")) && line.contains("Scan")))
}

#[pg_test]
fn every_statement_about_one_user_probes_an_index_or_a_row_found_so() {
    assert!(statements_about(About::User).count() >= 20);
    for statement in statements_about(About::User) {
        let (name, plan) = (statement.name, plan(statement));
        for line in scans(&plan) {
            let probe = ["Index Scan", "Index Only Scan", "Bitmap", "Tid Scan"].iter().any(|scan| line.contains(scan));
            assert!(probe && !line.contains("Seq Scan"), "{name}: {plan}");
        }
        assert!(plan.contains("user_id") || plan.contains("Insert on"), "{name}: {plan}");
    }
}

#[pg_test]
fn every_statement_of_the_outbox_begins_at_the_index_of_what_waits() {
    assert!(statements_about(About::Outbox).count() >= 4);
    for statement in statements_about(About::Outbox) {
        let (name, plan) = (statement.name, plan(statement));
        let indexes = ["using event_waiting_idx", "on event_waiting_idx", "using event_pkey"];
        assert!(plan.contains("event_waiting_idx") && plan.replace("((", "(").contains("Index Cond: (due_at"), "{name}: {plan}");
        assert!(scans(&plan).all(|scan| scan.contains("Bitmap Heap") || indexes.iter().any(|i| scan.contains(i))), "{name}: {plan}");
        // A lease is put into order before it is locked; nothing else is sorted.
        assert!(!plan.contains("Sort") || name == "LockHeld", "{name}: {plan}");
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

/// What a caller could set under our plans. Kept apart from what the functions set, so that a name that is missing there shows.
const UNDER_OUR_PLANS: &[&str] = &[
    "enable_seqscan", "enable_hashjoin", "enable_mergejoin", "enable_indexscan", "enable_indexonlyscan", "enable_bitmapscan",
    "enable_tidscan", "enable_nestloop", "enable_sort", "seq_page_cost", "random_page_cost", "cpu_tuple_cost",
    "cpu_index_tuple_cost", "cpu_operator_cost", "geqo", "jit", "plan_cache_mode", "debug_print_plan", "debug_print_parse",
    "debug_print_rewritten",
];

#[pg_test]
fn the_planner_of_the_session_is_left_as_it_was() {
    assert_eq!(crate::store::PLANNER_SETTINGS, UNDER_OUR_PLANS);
    let settings = || {
        let names = UNDER_OUR_PLANS.join("', '");
        let values = "SELECT string_agg(name || ' = ' || current_setting(name), ', ' ORDER BY name) FROM pg_settings";
        one(&format!("{values} WHERE name IN ('{names}')")).unwrap()
    };
    Spi::run(
        "SET LOCAL enable_indexscan = off; SET LOCAL random_page_cost = 1e10; SET LOCAL cpu_operator_cost = 3;
         SET LOCAL plan_cache_mode = force_custom_plan; SET LOCAL jit = off; SET LOCAL enable_nestloop = off",
    )
    .unwrap();
    let before = settings();
    let code = enrol("planner");
    assert_eq!(Spi::get_one::<bool>(&format!("SELECT backup_codes_consume('planner', '{code}')")).unwrap(), Some(true));
    assert_eq!(settings(), before);
    // After an error as well: the statement is refused where a table is gone.
    assert_eq!(sqlstate("ALTER TABLE backup_codes.event RENAME TO gone; SELECT backup_codes_generate('planner')"), "42P01");
    assert_eq!(settings(), before);
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
