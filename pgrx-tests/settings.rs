/// Name, default, lowest and highest value, context.
type Setting = (&'static str, &'static str, Option<(&'static str, &'static str)>, &'static str);

/// Every setting, as the reference documents it.
const SETTINGS: &[Setting] = &[
    ("alphabet", "base32", None, "superuser"),
    ("argon2_iterations", "2", Some(("1", "20")), "superuser"),
    ("argon2_memory", "19456", Some(("8192", "1048576")), "superuser"),
    ("channel", "backup_codes", None, "superuser"),
    ("context", "", None, "user"),
    ("count", "10", Some(("1", "100")), "superuser"),
    ("disable_after", "100", Some(("1", "100")), "superuser"),
    ("group_size", "5", Some(("0", "64")), "superuser"),
    ("hash", "auto", None, "superuser"),
    ("key_file", "", None, "sighup"),
    ("length", "25", Some(("6", "64")), "superuser"),
    ("lockout", "900", Some(("1", "86400")), "superuser"),
    ("low", "2", Some(("0", "100")), "superuser"),
    ("max_failures", "5", Some(("1", "100")), "superuser"),
    ("notify", "each", None, "superuser"),
    ("notify_payload", "full", None, "superuser"),
    ("outbox", "on", None, "superuser"),
    ("valid_for", "0", Some(("0", "2147483647")), "superuser"),
];

fn one(sql: &str) -> Option<String> {
    Spi::get_one::<String>(sql).unwrap()
}

/// SQLSTATE of what a statement raises, or 00000.
fn sqlstate(sql: &str) -> String {
    Spi::run("CREATE FUNCTION pg_temp.try(statement text) RETURNS text LANGUAGE plpgsql AS
              'BEGIN EXECUTE statement; RETURN ''00000''; EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE; END'")
        .ok();
    let quoted = sql.replace('\'', "''");
    let state = one(&format!("SELECT pg_temp.try('{quoted}')")).unwrap();
    Spi::run("DROP FUNCTION pg_temp.try(text)").unwrap();
    state
}

#[pg_test]
fn every_setting_has_the_documented_default_range_and_context() {
    Spi::run("SELECT backup_codes_remaining(1)").unwrap();
    let expected: Vec<String> = SETTINGS
        .iter()
        .map(|(name, default, range, context)| {
            let (min, max) = range.unwrap_or_default();
            format!("backup_codes.{name}|{default}|{min}|{max}|{context}")
        })
        .collect();
    let found = one(
        "SELECT string_agg(concat_ws('|', name, boot_val, coalesce(min_val, ''), coalesce(max_val, ''), context), E'\\n'
                           ORDER BY name)
           FROM pg_settings WHERE name LIKE 'backup\\_codes.%'",
    );
    assert_eq!(found.unwrap(), expected.join("\n"));
}

#[pg_test]
fn every_setting_says_what_it_does() {
    let silent = Spi::get_one::<i64>(
        "SELECT count(*) FROM pg_settings WHERE name LIKE 'backup\\_codes.%' AND (short_desc = '' OR extra_desc = '')",
    );
    assert_eq!(silent.unwrap(), Some(0));
}

#[pg_test]
fn numbers_out_of_range_are_refused_by_the_setting() {
    for (name, _, range, _) in SETTINGS {
        let Some((min, max)) = range else { continue };
        let (min, max): (i64, i64) = (min.parse().unwrap(), max.parse().unwrap());
        for (value, state) in [(min - 1, "22023"), (min, "00000"), (max, "00000"), (max + 1, "22023")] {
            assert_eq!(sqlstate(&format!("SET LOCAL backup_codes.{name} = {value}")), state, "{name} = {value}");
        }
    }
}

#[pg_test]
fn words_that_a_setting_does_not_know_are_refused() {
    for name in ["alphabet", "hash", "notify", "notify_payload", "outbox"] {
        assert_eq!(sqlstate(&format!("SET LOCAL backup_codes.{name} = 'nonsense'")), "22023", "{name}");
    }
}

#[pg_test]
fn channel_and_context_are_held_to_their_length() {
    let set = |name: &str, length: usize| sqlstate(&format!("SET LOCAL backup_codes.{name} = '{}'", "x".repeat(length)));
    assert_eq!(set("channel", 0), "22023");
    assert_eq!(set("channel", 1), "00000");
    assert_eq!(set("channel", 63), "00000");
    assert_eq!(set("channel", 64), "22023");
    assert_eq!(set("context", 200), "00000");
    assert_eq!(set("context", 201), "22023");
}

#[pg_test]
fn the_prefix_is_reserved() {
    Spi::run("SELECT backup_codes_remaining(1)").unwrap();
    assert_eq!(sqlstate("SET LOCAL backup_codes.no_such_setting = 1"), "42602");
}
