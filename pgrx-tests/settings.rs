use std::any::Any;

use crate::pg::setting::{Context, Integer, Setting};

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
fn every_setting_of_the_table_is_registered_and_no_other() {
    Spi::run("SELECT backup_codes_remaining(1)").unwrap();
    let found = Spi::get_one::<i64>("SELECT count(*) FROM pg_settings WHERE name LIKE 'backup\\_codes.%'").unwrap();
    assert_eq!(found, Some(crate::settings::ALL.len() as i64));
}

#[pg_test]
fn a_number_is_held_to_the_range_of_the_table() {
    let settings = crate::settings::ALL.iter().map(|setting| *setting as &dyn Any);
    let numbers: Vec<&Setting<i32, Integer>> = settings.filter_map(|setting| setting.downcast_ref()).collect();
    assert!(!numbers.is_empty());
    // What only the server's configuration can set is refused to a session, in its range or not.
    let for_sessions = numbers.iter().filter(|number| matches!(number.context, Context::User | Context::Superuser));
    for Setting { name, kind: Integer { range, .. }, .. } in for_sessions {
        let (name, min, max) = (name.to_str().unwrap(), i64::from(*range.start()), i64::from(*range.end()));
        for (value, state) in [(min - 1, "22023"), (min, "00000"), (max, "00000"), (max + 1, "22023")] {
            assert_eq!(sqlstate(&format!("SET LOCAL {name} = {value}")), state, "{name} = {value}");
        }
    }
}
