// What Citus refuses or sends to every node, checked on the texts: it cannot be installed here. docs/scaling.md has the rules
// with their sources.

/// Names that stand before a parenthesis and are functions that may give another result the next time.
fn mutable_functions(text: &str) -> Vec<String> {
    let mut found = vec![];
    for (at, _) in text.match_indices('(') {
        let before = text[..at].trim_end();
        let start = before.rfind(|c: char| !c.is_ascii_alphanumeric() && c != '_').map_or(0, |i| i + 1);
        let name = before[start..].to_lowercase();
        let sql = format!("SELECT count(*)::text FROM pg_catalog.pg_proc WHERE proname = '{name}' AND provolatile <> 'i'");
        if !name.is_empty() && one(&sql).unwrap() != "0" {
            found.push(name);
        }
    }
    found
}

#[pg_test]
fn every_unique_key_contains_user_id() {
    let keys = "FROM pg_index AS i JOIN pg_class AS t ON t.oid = i.indrelid
                WHERE t.relnamespace = 'backup_codes'::regnamespace AND i.indisunique";
    assert_eq!(one(&format!("SELECT count(*)::text {keys}")).unwrap(), "4");
    let without = format!(
        "SELECT count(*)::text {keys} AND NOT EXISTS (
           SELECT FROM pg_attribute AS a WHERE a.attrelid = t.oid AND a.attname = 'user_id' AND a.attnum = ANY (i.indkey))"
    );
    assert_eq!(one(&without).unwrap(), "0");
}

#[pg_test]
fn no_statement_that_changes_rows_calls_a_stable_or_volatile_function() {
    assert_eq!(mutable_functions("UPDATE t SET a = lower(b), c = Now()"), ["now"], "the check is able to tell");
    let mut conflicts = 0;
    for statement in STATEMENTS {
        // What stands between quotes is no part of the statement: doctor's remedies are statements, too.
        let text: String = statement.text.split('\'').step_by(2).collect();
        conflicts += usize::from(text.contains("ON CONFLICT"));
        if ["UPDATE", "DELETE", "INSERT"].iter().any(|word| text.contains(word)) {
            assert_eq!(mutable_functions(&text), [""; 0], "{}", statement.name);
        }
    }
    assert!(conflicts >= 4);
}

#[pg_test]
fn every_statement_about_a_user_names_them_for_each_table() {
    for statement in statements_about(About::User) {
        let (name, text) = (statement.name, statement.text);
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let tables: usize =
            ["account", "pending_set", "code", "event"].iter().map(|t| text.matches(&format!("backup_codes.{t} ")).count()).sum();
        let named: usize = ["user_id = $user_id", "VALUES ($user_id", "SELECT $user_id,", "SELECT $new_id,"]
            .iter()
            .map(|n| text.matches(n).count())
            .sum();
        assert!(tables > 0 && named >= tables, "{name}: {tables} tables, {named} times a user");
        assert!(!text.contains("user_id = ANY") && !text.contains("user_id IN"), "{name}");
        assert!(!text.contains("SET user_id"), "{name}");
    }
}

/// The statement of that name.
fn listed(name: &str) -> &'static Listed {
    STATEMENTS.iter().find(|statement| statement.name == name).unwrap()
}

/// What every attempt and every enrolment runs is a statement of one table without WITH, which Citus routes by its parameter.
#[pg_test]
fn what_consume_and_generate_run_is_of_one_table() {
    let hot = [
        "ReadAccount", "FindCode", "CountConsumed", "BurnCode", "CountFailure", "Tell", "Activate", "InsertCodes", "ReadRemaining",
    ];
    for hot in hot {
        let statement = listed(hot);
        assert_eq!(statement.text.matches("backup_codes.").count(), 1, "{hot}");
        assert!(!statement.text.contains("WITH "), "{hot}");
    }
}

/// Citus needs the parameters of all but the simplest statements when it plans.
#[pg_test]
fn with_citus_plans_are_made_for_the_parameters() {
    let account = listed("ReadAccount");
    Spi::run("SET citus.version = 'any'").unwrap();
    let code = enrol("citus");
    assert_eq!(Spi::get_one::<bool>(&format!("SELECT backup_codes_consume('citus', '{code}')")).unwrap(), Some(true));
    assert!((account.plan)().custom_plans() > 0);
}

#[pg_test]
fn without_citus_plans_are_made_once() {
    let account = listed("ReadAccount");
    let code = enrol("plain");
    assert_eq!(Spi::get_one::<bool>(&format!("SELECT backup_codes_consume('plain', '{code}')")).unwrap(), Some(true));
    assert_eq!((account.plan)().custom_plans(), 0);
}

/// Claims in two statements: how many, and with how many tries.
fn claimed_in_two_steps(max_events: i32) -> Vec<i32> {
    let now = crate::pg::clock::now();
    let lease = crate::store::Lease { id: uuid::Uuid::from_u128(1), until: now.plus(60_000_000) };
    let mut attempts = vec![];
    crate::store::connected(|| {
        crate::store::claim_in_two_steps(&lease, now, max_events, |event| {
            // SAFETY: the column is an integer.
            attempts.push(unsafe { i32::from_datum(event.attempts.0.unwrap(), false) }.unwrap());
        })
    })
    .unwrap_or_else(|_| panic!("a claim"));
    attempts
}

#[pg_test]
fn in_two_steps_a_claim_takes_what_is_due_and_parks_what_was_tried_enough() {
    for user in 1..=4 {
        enrol(&format!("two-steps-{user}"));
    }
    Spi::run("UPDATE backup_codes.event SET attempts = 20 WHERE user_id = 'two-steps-1'").unwrap();
    assert_eq!(claimed_in_two_steps(2), [1, 1]);
    assert_eq!(claimed_in_two_steps(9), [1]);
    assert_eq!(claimed_in_two_steps(9), [0; 0]);
    let parked = "SELECT string_agg(user_id || ' ' || park_reason, ', ') FROM backup_codes.events WHERE delivery = 'parked'";
    assert_eq!(one(parked).unwrap(), "two-steps-1 attempts");
}
