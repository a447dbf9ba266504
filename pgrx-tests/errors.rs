#[pg_test]
fn issuer_functions_refuse_what_cannot_be_a_user() {
    for function in ["generate", "prepare", "confirm", "cancel", "disable"] {
        let call = |user_id: &str| sqlstate(&format!("SELECT backup_codes_{function}({user_id})"));
        assert_eq!(call("NULL::text"), "22004", "{function}");
        assert_eq!(call("NULL::bigint"), "22004", "{function}");
        assert_eq!(call("NULL::uuid"), "22004", "{function}");
        assert_eq!(call("''"), "22023", "{function}");
        assert_eq!(call("repeat('x', 255)"), "00000", "{function}");
        assert_eq!(call("repeat('x', 256)"), "22023", "{function}");
        assert_eq!(call("repeat('é', 127)"), "00000", "{function}");
        assert_eq!(call("repeat('é', 128)"), "22023", "{function}");
    }
}

#[pg_test]
fn verifier_functions_answer_whatever_they_are_asked() {
    for user_id in ["NULL::text", "''", "repeat('x', 256)", "repeat('x', 1000000)", "'nobody'", "-1", "NULL::uuid"] {
        for code in ["NULL", "''", "repeat('x', 1024)", "repeat('x', 1025)", "repeat('é', 5000000)", "E'\\x01\\x7f'"] {
            let call = |function: &str| format!("SELECT {function}({user_id}, {code})");
            assert_eq!(Spi::get_one::<bool>(&call("backup_codes_consume")).unwrap(), Some(false));
            let status = one(&format!("SELECT status FROM backup_codes_attempt({user_id}, {code})")).unwrap();
            assert!(["rejected", "malformed"].contains(&status.as_str()), "{status}");
        }
        let remaining = Spi::get_one::<i32>(&format!("SELECT backup_codes_remaining({user_id})"));
        assert_eq!(remaining.unwrap(), Some(0));
        let enabled = Spi::get_one::<bool>(&format!("SELECT enabled FROM backup_codes_status({user_id})"));
        assert_eq!(enabled.unwrap(), Some(false));
    }
}

#[pg_test]
fn no_user_input_makes_a_row_for_a_stranger() {
    Spi::run("SELECT backup_codes_consume('stranger', 'x'), backup_codes_confirm('stranger'),
                     backup_codes_cancel('stranger'), backup_codes_disable('stranger')")
        .unwrap();
    assert_eq!(Spi::get_one::<i64>("SELECT count(*) FROM backup_codes.account").unwrap(), Some(0));
    assert_eq!(Spi::get_one::<i64>("SELECT count(*) FROM backup_codes.event").unwrap(), Some(0));
}

#[pg_test]
fn count_and_valid_for_are_checked() {
    for (arguments, state) in [
        ("count => 0", "22023"),
        ("count => -1", "22023"),
        ("count => 101", "22023"),
        ("count => 2147483647", "22023"),
        ("count => 100", "00000"),
        ("valid_for => '0'", "22023"),
        ("valid_for => '-1 second'", "22023"),
        ("valid_for => '1 month -30 days'", "22023"),
        ("valid_for => '178000000 years'", "22023"),
        ("valid_for => '2147483647 months -2147483648 days'", "22023"),
        ("valid_for => '1 microsecond'", "00000"),
        ("valid_for => '10000 years'", "00000"),
    ] {
        assert_eq!(sqlstate(&format!("SELECT backup_codes_generate(1, {arguments})")), state, "{arguments}");
    }
}
