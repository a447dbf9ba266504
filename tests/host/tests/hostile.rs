//! An attacker with CREATE on the database and on public, and with TEMP: nothing of his is ever run with rights that he lacks.
//!
//! A canary in everything that he makes writes down whose rights it runs with, and with those of a superuser gives him all.

use host_tests::{Client, Database, Server, Session};

/// The attacker's tools: `trap` is the canary, `lay` clones what pg_catalog has into a schema of his, with traps in it.
const TOOLS: &str = r#"
CREATE TABLE public.canary (what pg_catalog.text, who pg_catalog.name);
GRANT ALL ON public.canary TO PUBLIC;
CREATE FUNCTION public.trap(what pg_catalog.text) RETURNS pg_catalog.bool LANGUAGE plpgsql SET search_path = pg_catalog AS $trap$
BEGIN
  INSERT INTO public.canary VALUES (what, current_user);
  IF (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
    EXECUTE 'ALTER ROLE ATTACKER SUPERUSER';
  END IF;
  RETURN true;
END
$trap$;

CREATE PROCEDURE public.lay(place pg_catalog.text) LANGUAGE plpgsql SET search_path = pg_catalog AS $lay$
DECLARE
  f record;
BEGIN
  -- Every function of plain types, of the same types.
  FOR f IN
    SELECT p.proname, p.proretset,
           (SELECT coalesce(string_agg(format('%I.%I', n.nspname, t.typname), ', ' ORDER BY a.place), '')
              FROM unnest(p.proargtypes::oid[]) WITH ORDINALITY AS a (type, place) JOIN pg_type AS t ON t.oid = a.type
              JOIN pg_namespace AS n ON n.oid = t.typnamespace) AS arguments,
           CASE r.typtype WHEN 'p' THEN 'pg_catalog.text' ELSE format('pg_catalog.%I', r.typname) END AS result
      FROM pg_proc AS p JOIN pg_type AS r ON r.oid = p.prorettype
     WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind = 'f' AND r.typname NOT IN ('internal', 'trigger')
       AND NOT EXISTS (SELECT FROM pg_type AS t WHERE t.oid = ANY (p.proargtypes::oid[]) AND t.typtype = 'p')
  LOOP
    EXECUTE format('CREATE FUNCTION %s.%I(%s) RETURNS %s LANGUAGE plpgsql AS %L', place, f.proname, f.arguments,
      CASE WHEN f.proretset THEN 'SETOF ' ELSE '' END || f.result,
      format('BEGIN PERFORM public.trap(%L); RETURN%s; END', f.proname, CASE WHEN f.proretset THEN '' ELSE ' NULL' END));
  END LOOP;
  -- Functions of any type, of the types that they are called with: closer than pg_catalog's.
  FOR f IN
    SELECT * FROM (VALUES
      ('unnest', 'bytea[]', 'bytea'), ('unnest', 'text[]', 'text'), ('unnest', 'uuid[]', 'uuid'),
      ('cardinality', 'bytea[]', 'int4'), ('cardinality', 'text[]', 'int4'), ('num_nulls', 'int4, bytea, int2', 'int4'),
      ('num_nulls', 'VARIADIC bytea[]', 'int4'), ('format', 'text, name', 'text'), ('format', 'text, text', 'text'),
      ('format', 'text, regprocedure', 'text'), ('format', 'text, regclass', 'text'), ('format', 'text, text, text', 'text'),
      ('quote_literal', 'varchar', 'text'), ('pg_extension_config_dump', 'text, text', 'void'),
      ('pg_extension_config_dump', 'varchar, varchar', 'void'), ('octet_length', 'varchar', 'int4'),
      ('pg_get_userbyid', 'int8', 'name'), ('array_agg', 'text', 'text[]'), ('count', 'text', 'int8')
    ) AS v (name, arguments, result)
  LOOP
    EXECUTE format('CREATE FUNCTION %s.%I(%s) RETURNS %s LANGUAGE plpgsql AS %L', place, f.name, f.arguments, f.result,
      format('BEGIN PERFORM public.trap(%L); %s END', f.name, CASE f.result WHEN 'void' THEN '' ELSE 'RETURN NULL;' END));
  END LOOP;
  -- Every operator of plain types, and a few of closer ones.
  FOR f IN
    SELECT o.oprname AS name, format('pg_catalog.%I', r.typname) AS righttype,
           CASE WHEN o.oprleft <> 0 THEN format(', LEFTARG = pg_catalog.%I', l.typname) END AS lefttype, o.oid::text AS id,
           concat_ws(', ', CASE WHEN o.oprleft <> 0 THEN format('pg_catalog.%I', l.typname) END, format('pg_catalog.%I', r.typname)) AS arguments,
           format('pg_catalog.%I', s.typname) AS result
      FROM pg_operator AS o JOIN pg_type AS r ON r.oid = o.oprright LEFT JOIN pg_type AS l ON l.oid = o.oprleft
      JOIN pg_type AS s ON s.oid = o.oprresult
     WHERE o.oprnamespace = 'pg_catalog'::regnamespace AND r.typtype <> 'p' AND l.typtype IS DISTINCT FROM 'p' AND s.typtype <> 'p'
    UNION ALL
    SELECT v.name, right_type, ', LEFTARG = ' || left_type, 'closer_' || row_number() OVER (), left_type || ', ' || right_type, v.result
      FROM (VALUES ('=', 'varchar', 'varchar', 'bool'), ('=', 'name', 'varchar', 'bool'), ('<>', 'oid', 'int4', 'bool'),
                   ('<=', 'int2', 'int8', 'bool'), ('||', 'bytea', 'int2', 'bytea'), ('~~', 'varchar', 'varchar', 'bool'),
                   ('=', 'bytea', 'text', 'bool'), ('%', 'int4', 'int2', 'int4')) AS v (name, left_type, right_type, result)
  LOOP
    BEGIN
      EXECUTE format('CREATE FUNCTION %s.%I(%s) RETURNS %s LANGUAGE plpgsql AS %L', place, 'operator_' || f.id, f.arguments, f.result,
        format('BEGIN PERFORM public.trap(%L); RETURN NULL; END', 'operator ' || f.name));
      EXECUTE format('CREATE OPERATOR %s.%s (FUNCTION = %s.%I%s, RIGHTARG = %s)', place, f.name, place, 'operator_' || f.id, f.lefttype, f.righttype);
    EXCEPTION WHEN duplicate_function THEN NULL;
    END;
  END LOOP;
  -- Relations named like ours and like the catalogs: reading one springs the trap.
  FOR f IN
    SELECT unnest('{account,code,event,pending_set,overview,events,pg_extension,pg_depend,pg_namespace,pg_class,pg_proc,
                    pg_roles,pg_authid,pg_settings,h,d,due,taken,old}'::text[]) AS name
  LOOP
    EXECUTE format('CREATE VIEW %s.%I AS SELECT public.trap(%L), NULL::text AS user_id, NULL::int AS set_no', place, f.name, 'view ' || f.name);
  END LOOP;
  -- Types named like the built-in ones.
  FOR f IN
    SELECT unnest('{text,timestamptz,int2,int4,int8,bytea,bool,uuid,interval,regrole,regclass,regprocedure,inet,oid,name,
                    varchar,record,trigger,void}'::text[]) AS name
  LOOP
    EXECUTE format('CREATE DOMAIN %s.%I AS pg_catalog.text CHECK (public.trap(%L) IS NULL)', place, f.name, 'domain ' || f.name);
  END LOOP;
  -- Functions named like ours, of closer or fewer types.
  FOR f IN
    SELECT * FROM (VALUES
      ('backup_codes_consume', 'varchar, varchar'), ('backup_codes_consume', 'int4, text'), ('backup_codes_attempt', 'varchar, varchar'),
      ('backup_codes_remaining', 'varchar'), ('backup_codes_status', 'varchar'), ('backup_codes_generate', 'varchar, int4, interval'),
      ('backup_codes_prepare', 'varchar, int4, interval'), ('backup_codes_confirm', 'varchar'), ('backup_codes_cancel', 'varchar'),
      ('backup_codes_disable', 'varchar'), ('backup_codes_grant', 'varchar, regrole'), ('backup_codes_grant', 'text, oid'),
      ('backup_codes_revoke', 'text, text'), ('backup_codes_purge', 'interval, bool, int2'), ('duty_privileges', ''),
      ('backup_codes_forget_user', 'varchar'), ('backup_codes_rename_user', 'varchar, varchar'),
      ('backup_codes_user_id', 'varchar, varchar'), ('backup_codes_keys', 'int4')
    ) AS v (name, arguments)
  LOOP
    EXECUTE format('CREATE FUNCTION %s.%I(%s) RETURNS pg_catalog.bool LANGUAGE plpgsql AS %L', place, f.name, f.arguments,
      format('BEGIN PERFORM public.trap(%L); RETURN true; END', f.name));
  END LOOP;
END
$lay$;
"#;

/// A database with an attacker in it, and his session.
fn besieged<'a>(server: &'a Server) -> (Database<'a>, String, Client) {
    let database = server.empty_database("");
    let role = database.role("attacker");
    let grants = format!(
        "GRANT CREATE, TEMPORARY ON DATABASE {} TO {role}; GRANT CREATE ON SCHEMA public TO {role}",
        database.name
    );
    database.connect().batch_execute(&grants).expect("GRANT");
    let mut attacker = server.config(&database.name).user(&role).connect(host_tests::NoTls).expect("a connection");
    attacker.batch_execute(&TOOLS.replace("ATTACKER", &role)).expect("tools");
    (database, role, attacker)
}

/// Whoever ran one of the attacker's traps but himself, and what became of him.
fn assert_nothing_captured(database: &Database, role: &str) {
    let mut client = database.connect();
    client.batch_execute("SET search_path = pg_catalog").expect("SET");
    let rows = client
        .query("SELECT DISTINCT what || ' as ' || who FROM public.canary WHERE who <> $1::text::name", &[&role])
        .expect("the canary's log");
    let captured: Vec<&str> = rows.iter().map(|row| row.get(0)).collect();
    assert!(captured.is_empty(), "{captured:?}");
    assert!(!client.value::<bool>("SELECT rolsuper FROM pg_roles WHERE rolname = $1::text::name", &[&role]));
}

/// A superuser who calls everything, with the attacker's objects before pg_catalog's.
fn live_there(client: &mut Client) {
    let one = |client: &mut Client, sql: &str| -> String {
        let messages = client.simple_query(sql).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        messages
            .iter()
            .find_map(|message| match message {
                postgres::SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or("NULL").to_owned()),
                _ => None,
            })
            .unwrap_or_default()
    };
    client.batch_execute("SET search_path = public, pg_catalog").expect("SET");
    let user = "'victim'::pg_catalog.text";
    for id in [user, "42::pg_catalog.int8", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::pg_catalog.uuid"] {
        let order = "NULL::pg_catalog.int4, NULL::pg_catalog.interval";
        let code = one(client, &format!("SELECT public.backup_codes_generate({id}, {order})"));
        let text = format!("'{code}'::pg_catalog.text");
        assert_eq!(one(client, &format!("SELECT public.backup_codes_consume({id}, {text})")), "t");
        assert_eq!(one(client, &format!("SELECT status FROM public.backup_codes_attempt({id}, {text})")), "used");
        assert_eq!(one(client, &format!("SELECT public.backup_codes_remaining({id})")), "9");
        assert_eq!(one(client, &format!("SELECT used FROM public.backup_codes_status({id})")), "{1}");
        let pending = one(client, &format!("SELECT public.backup_codes_prepare({id}, {order})"));
        let text = format!("'{pending}'::pg_catalog.text");
        assert_eq!(one(client, &format!("SELECT public.backup_codes_confirm({id}, {text})")), "t");
        assert_eq!(one(client, &format!("SELECT public.backup_codes_cancel({id})")), "f");
        let new = one(client, &format!("SELECT public.backup_codes_regenerate({id}, {text}, {order})"));
        let text = format!("'{new}'::pg_catalog.text");
        assert_eq!(one(client, &format!("SELECT public.backup_codes_disable({id}, {text})")), "t");
        assert_eq!(one(client, &format!("SELECT public.backup_codes_disable({id})")), "0");
    }
    one(client, "SELECT public.backup_codes_purge('1 day'::pg_catalog.interval, false, 10)");
    one(client, "SELECT public.backup_codes_revoke_all('-infinity'::pg_catalog.timestamptz, 10)");
    one(client, "SELECT key_id FROM public.backup_codes_keys()");
    client.batch_execute("TABLE backup_codes.overview; TABLE backup_codes.events").expect("the views");
    for duty in ["issuer", "verifier", "mailer", "auditor", "operator"] {
        for verb in ["grant", "revoke"] {
            let sql = format!(
                "SELECT public.backup_codes_{verb}('{duty}'::pg_catalog.text, 'pg_monitor'::pg_catalog.regrole)"
            );
            client.batch_execute(&sql).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        }
    }
    client.batch_execute("SET search_path = pg_catalog").expect("SET");
}

/// CVE-2018-1058, CVE-2020-14349, CVE-2020-14350: what waits on the search path.
#[test]
fn install_and_use_run_nothing_of_what_an_attacker_left_in_public() {
    let server = Server::any();
    let (database, role, mut attacker) = besieged(&server);
    attacker.batch_execute("CALL public.lay('public')").expect("traps");
    let traps: i64 = attacker.value("SELECT count(*) FROM pg_proc WHERE proowner = current_user::regrole", &[]);
    assert!(traps > 2500, "{traps} traps");

    let mut client = database.connect();
    // The canary sings: a superuser who resolves a name there is captured.
    client
        .batch_execute("BEGIN; SET LOCAL search_path = public, pg_catalog; SELECT now(); SELECT 1 = 1")
        .expect("a trap");
    let sprung: i64 = client.value("SELECT pg_catalog.count(*) FROM public.canary", &[]);
    assert!(sprung >= 2, "{sprung} traps sprung");
    client.batch_execute("ROLLBACK").expect("ROLLBACK");

    client
        .batch_execute("SET search_path = public, pg_catalog; CREATE EXTENSION backup_codes SCHEMA public")
        .expect("install");
    live_there(&mut client);
    assert_nothing_captured(&database, &role);
    let foreign: i64 = client.value(
        "SELECT count(*) FROM pg_depend AS d JOIN pg_extension AS e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass
           LEFT JOIN pg_proc AS p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid
           LEFT JOIN pg_class AS c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid
          WHERE e.extname = 'backup_codes' AND coalesce(p.proowner, c.relowner, 10) <> 10",
        &[],
    );
    assert_eq!(foreign, 0, "members that are not the installer's");
    client.batch_execute("SET search_path = public, pg_catalog; DROP EXTENSION backup_codes").expect("DROP EXTENSION");
    assert_nothing_captured(&database, &role);
}

/// The same from inside: his temporary objects, in a session that has every duty.
#[test]
fn no_temporary_object_of_a_caller_runs_with_the_rights_of_the_owner() {
    let server = Server::any();
    let (database, role, mut attacker) = besieged(&server);
    let mut client = database.connect();
    client.batch_execute("CREATE EXTENSION backup_codes").expect("CREATE EXTENSION");
    for duty in ["issuer", "verifier", "operator", "auditor"] {
        client.batch_execute(&format!("SELECT backup_codes_grant('{duty}', '{role}')")).expect("grant");
    }
    let victim = client.generate("the victim");
    let everything = |attacker: &mut Client| {
        let calls = "
            SELECT public.backup_codes_generate('me'::pg_catalog.text, 3, NULL);
            SELECT public.backup_codes_prepare('me'::pg_catalog.text, 3, NULL);
            SELECT public.backup_codes_confirm('me'::pg_catalog.text, 'x'::pg_catalog.text);
            SELECT public.backup_codes_confirm('me'::pg_catalog.text);
            SELECT public.backup_codes_cancel('me'::pg_catalog.text);
            SELECT public.backup_codes_consume('me'::pg_catalog.text, '7Q4KM-2XW9F-H8ZTC-B5NRD-P3VJA'::pg_catalog.text);
            SELECT status FROM public.backup_codes_attempt('me'::pg_catalog.text, '7Q4KM-2XW9F-H8ZTC-B5NRD-P3VJA'::pg_catalog.text);
            SELECT public.backup_codes_remaining('me'::pg_catalog.text);
            SELECT used FROM public.backup_codes_status('me'::pg_catalog.text);
            SELECT public.backup_codes_disable('me'::pg_catalog.text);
            SELECT public.backup_codes_purge('1 day', false, 10);
            SELECT public.backup_codes_revoke_all('-infinity'::pg_catalog.timestamptz, 10);
            SELECT key_id FROM public.backup_codes_keys();
            SELECT user_id FROM backup_codes.overview; SELECT kind FROM backup_codes.events;";
        attacker.batch_execute(calls).expect("calls");
    };
    // Before the temporary objects are there, after, and after every kept plan has been thrown away.
    everything(&mut attacker);
    attacker.batch_execute("CREATE TEMPORARY TABLE first (id int); CALL public.lay('pg_temp')").expect("traps");
    for path in ["pg_temp, public, pg_catalog", "pg_temp", ""] {
        attacker
            .batch_execute(&format!("SET search_path = {}", if path.is_empty() { "''" } else { path }))
            .expect("SET");
        everything(&mut attacker);
        client.batch_execute("ALTER TABLE backup_codes.account SET (fillfactor = 80)").expect("invalidation");
        everything(&mut attacker);
        attacker.batch_execute("DISCARD PLANS").expect("DISCARD");
    }
    assert_nothing_captured(&database, &role);
    assert_eq!(client.remaining("the victim"), 10);
    assert!(client.consume("the victim", &victim[0]));
}

/// CVE-2022-2625: what has the name of one of ours already is not taken over, and not replaced.
#[test]
fn an_object_with_our_name_makes_the_install_fail_and_stay_out() {
    let server = Server::any();
    let (database, role, mut attacker) = besieged(&server);
    let mut client = database.connect();
    for (theirs, gone, state) in [
        ("CREATE SCHEMA backup_codes", "DROP SCHEMA backup_codes", "42P06"),
        (
            "CREATE FUNCTION public.backup_codes_consume(user_id text, code text) RETURNS boolean LANGUAGE sql AS 'SELECT true'",
            "DROP FUNCTION public.backup_codes_consume(text, text)",
            "42723",
        ),
        (
            "CREATE FUNCTION public.backup_codes_forget_user() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
            "DROP FUNCTION public.backup_codes_forget_user()",
            "42723",
        ),
        (
            "CREATE FUNCTION public.backup_codes_grant(duty text, role regrole) RETURNS void LANGUAGE sql AS 'SELECT public.trap(''grant'')'",
            "DROP FUNCTION public.backup_codes_grant(text, regrole)",
            "42723",
        ),
        (
            "CREATE PROCEDURE public.backup_codes_remaining(user_id bigint) LANGUAGE sql AS 'SELECT public.trap(''remaining'')'",
            "DROP PROCEDURE public.backup_codes_remaining(bigint)",
            "42723",
        ),
    ] {
        attacker.batch_execute(theirs).unwrap_or_else(|error| panic!("{theirs}: {error:?}"));
        let failure = client.failure("CREATE EXTENSION backup_codes", &[]);
        assert_eq!(failure.sqlstate, state, "{theirs}: {failure:?}");
        let left: i64 = client.value("SELECT count(*) FROM pg_extension WHERE extname = 'backup_codes'", &[]);
        assert_eq!(left, 0);
        attacker.batch_execute(gone).unwrap_or_else(|error| panic!("{gone}: {error:?}"));
    }
    client.batch_execute("CREATE EXTENSION backup_codes").expect("an install when all is gone");
    assert_nothing_captured(&database, &role);

    let sharedir = host_tests::run(host_tests::server_program("pg_config").arg("--sharedir"));
    let version: String = client.value("SELECT extversion FROM pg_extension WHERE extname = 'backup_codes'", &[]);
    let script = format!("{}/extension/backup_codes--{version}.sql", sharedir.trim());
    let script = std::fs::read_to_string(&script).unwrap_or_else(|error| panic!("{script}: {error}")).to_uppercase();
    // A condition of PL/pgSQL, which has a query behind it, is another thing.
    let script = script.replace("IF NOT EXISTS (", "");
    let code: Vec<&str> = script.lines().filter(|line| !line.trim_start().starts_with("--")).collect();
    for word in ["OR REPLACE", "IF NOT EXISTS"] {
        assert!(!code.iter().any(|line| line.contains(word)), "{word} in the install script");
    }
}

/// CVE-2023-39417: a schema whose name is SQL.
#[test]
fn a_schema_name_is_never_run() {
    let server = Server::any();
    let (database, role, mut attacker) = besieged(&server);
    let mut client = database.connect();
    for (name, installs) in [
        ("Upper Case", true),
        ("sélect;", true),
        ("a.b", true),
        ("a\"; SELECT public.trap('quote'); --", false),
        ("a'; SELECT public.trap('apostrophe'); --", false),
        ("$function$; SELECT public.trap('dollar'); --", false),
        ("a\\'; SELECT public.trap('backslash'); --", false),
    ] {
        let quoted = format!("\"{}\"", name.replace('"', "\"\""));
        attacker.batch_execute(&format!("CREATE SCHEMA {quoted}")).expect("CREATE SCHEMA");
        match client.batch_execute(&format!("CREATE EXTENSION backup_codes SCHEMA {quoted}")) {
            Ok(()) => {
                let codes: Vec<String> = client
                    .query(&format!("SELECT {quoted}.backup_codes_generate(42)"), &[])
                    .expect("codes")
                    .iter()
                    .map(|row| row.get(0))
                    .collect();
                let sql = format!("SELECT {quoted}.backup_codes_consume(42, $1)");
                assert!(client.value::<bool>(&sql, &[&codes[0]]), "{name}");
                for verb in ["grant", "revoke"] {
                    client
                        .batch_execute(&format!("SELECT {quoted}.backup_codes_{verb}('issuer', 'pg_monitor')"))
                        .unwrap_or_else(|error| panic!("{verb} in {name}: {error:?}"));
                }
                client.batch_execute("DROP EXTENSION backup_codes").expect("DROP EXTENSION");
            }
            // PostgreSQL itself refuses names that cannot be quoted everywhere.
            Err(error) => assert!(!installs, "{name}: {error:?}"),
        }
    }
    assert_nothing_captured(&database, &role);
}

/// Settings that any role may set, each with every value or with its limits, in a session that plans under it.
#[test]
fn no_setting_of_a_role_changes_what_an_attempt_answers() {
    let server = Server::start(&["fsync=off", "backup_codes.max_failures=100"]);
    let database = server.database();
    let verifier = database.role("verifier");
    let mut client = database.connect();
    client.batch_execute(&format!("SELECT backup_codes_grant('verifier', '{verifier}')")).expect("grant");
    let rows = client
        .query(
            "SELECT s.name, v.value
               FROM pg_settings AS s
              CROSS JOIN LATERAL unnest(CASE s.vartype WHEN 'bool' THEN '{on,off}' WHEN 'enum' THEN s.enumvals
                                                       ELSE ARRAY[s.min_val, s.max_val] END) AS v (value)
              WHERE s.context = 'user' AND s.vartype IN ('bool', 'enum', 'integer', 'real') AND v.value <> s.setting
                -- They end a transaction or a session, on purpose, or refuse to write.
                AND s.name NOT IN ('transaction_read_only', 'default_transaction_read_only', 'exit_on_error', 'transaction_deferrable')
                -- A minute of waiting is not tried.
                AND NOT (s.name LIKE '%timeout%' AND v.value = '1')",
            &[],
        )
        .expect("settings");
    let mut settings: Vec<(String, String)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    for (name, value) in [
        ("search_path", ""),
        ("search_path", "pg_temp, public"),
        ("TimeZone", "Asia/Kathmandu"),
        ("TimeZone", "UTC-14"),
        ("DateStyle", "SQL, DMY"),
        ("DateStyle", "German"),
        ("lc_numeric", "C"),
        ("default_tablespace", "pg_default"),
        ("temp_tablespaces", ""),
        ("application_name", "'; --"),
        ("backup_codes.context", "'; DROP SCHEMA backup_codes CASCADE; --"),
    ] {
        settings.push((name.into(), value.into()));
    }
    assert!(settings.len() > 100, "{} settings", settings.len());

    let mut tried = 0;
    for (name, value) in &settings {
        let codes = client.generate("42");
        let mut session =
            server.config(&database.name).user(&verifier).connect(host_tests::NoTls).expect("a connection");
        session.simple_query("SET application_name = 'verifier'").expect("SET");
        if session.query("SELECT set_config($1, $2, false)", &[name, value]).is_err() {
            continue;
        }
        tried += 1;
        let what = format!("{name} = {value}");
        let ask = |code: &str| -> String {
            let sql = "SELECT status || coalesce(remaining::text, '') FROM public.backup_codes_attempt('42', $1)";
            session.query_one(sql, &[&code]).unwrap_or_else(|error| panic!("{what}: {error:?}")).get(0)
        };
        let answers = [&codes[0], &codes[0], &codes[1], "no code", "42222-22222-22222-22222-22222"].map(ask);
        assert_eq!(answers[..4], ["accepted9", "used", "accepted8", "malformed"], "{what}");
        assert!(["malformed", "rejected"].contains(&&*answers[4]), "{what}");
        let used: Vec<i32> = session
            .query_one("SELECT used FROM public.backup_codes_status('42')", &[])
            .unwrap_or_else(|error| panic!("{what}: {error:?}"))
            .get(0);
        assert_eq!(used, [1, 2], "{what}");
    }
    assert!(tried > 100, "{tried} settings tried");

    // More plans than there is memory for, where the order of joins is found by chance.
    let mut session = server.config(&database.name).user(&verifier).connect(host_tests::NoTls).expect("a connection");
    session.batch_execute("SET geqo_threshold = 2; SET geqo_pool_size = 2147483647").expect("SET");
    let used: Vec<i32> = session.value("SELECT used FROM public.backup_codes_status('42')", &[]);
    assert_eq!(used, [1, 2], "geqo");

    let code = &client.generate("42")[0];
    let mut session = server.config(&database.name).user(&verifier).connect(host_tests::NoTls).expect("a connection");
    session.batch_execute("SET default_transaction_read_only = on").expect("SET");
    assert_eq!(session.failure("SELECT backup_codes_consume('42', $1)", &[code]).sqlstate, "25006");
    for setting in ["max_failures = 100", "disable_after = 100", "lockout = 1", "hash = sha256", "count = 100"] {
        assert_eq!(session.failure(&format!("SET backup_codes.{setting}"), &[]).sqlstate, "42501", "{setting}");
    }
}

/// Who acts is who logged in; who may act is who the caller is at the moment.
#[test]
fn set_role_and_session_authorization_give_nothing_and_hide_nobody() {
    let server = Server::any();
    let database = server.database();
    let (verifier, nobody) = (database.role("verifier"), database.role("nobody"));
    let mut client = database.connect();
    client.batch_execute(&format!("SELECT backup_codes_grant('verifier', '{verifier}')")).expect("grant");
    let codes = client.generate("42");
    let actor = "SELECT actor FROM backup_codes.event WHERE kind = 'used' ORDER BY ordinal DESC LIMIT 1";

    client.batch_execute(&format!("SET ROLE {nobody}")).expect("SET ROLE");
    assert_eq!(client.failure("SELECT backup_codes_consume('42', $1)", &[&codes[0]]).sqlstate, "42501");
    client.batch_execute(&format!("SET ROLE {verifier}")).expect("SET ROLE");
    assert!(client.consume("42", &codes[0]));
    assert_eq!(client.value::<String>("SELECT current_user::text", &[]), verifier);
    client.batch_execute("RESET ROLE").expect("RESET ROLE");
    assert_eq!(client.value::<String>(actor, &[]), "postgres");

    client.batch_execute(&format!("SET SESSION AUTHORIZATION {verifier}")).expect("SET SESSION AUTHORIZATION");
    assert!(client.consume("42", &codes[1]));
    assert_eq!(client.failure("SELECT backup_codes_generate('42')", &[]).sqlstate, "42501");
    client.batch_execute("RESET SESSION AUTHORIZATION").expect("RESET SESSION AUTHORIZATION");
    assert_eq!(client.value::<String>(actor, &[]), verifier);

    let mut session = server.config(&database.name).user(&verifier).connect(host_tests::NoTls).expect("a connection");
    for sql in ["SET ROLE postgres", &format!("SET ROLE {nobody}"), "SET SESSION AUTHORIZATION postgres"] {
        assert_eq!(session.failure(sql, &[]).sqlstate, "42501", "{sql}");
    }
    assert!(session.consume("42", &codes[2]));
    assert_eq!(
        session.value::<String>("SELECT current_user || ' ' || session_user", &[]),
        format!("{verifier} {verifier}")
    );
    assert_eq!(session.value::<String>("SHOW search_path", &[]), "\"$user\", public");
}

#[test]
fn holder_of_every_duty_can_attach_nothing_to_our_objects() {
    let server = Server::any();
    let (database, role, mut attacker) = besieged(&server);
    let mut client = database.connect();
    client.batch_execute("CREATE EXTENSION backup_codes").expect("CREATE EXTENSION");
    for duty in ["issuer", "verifier", "mailer", "auditor", "operator"] {
        client.batch_execute(&format!("SELECT backup_codes_grant('{duty}', '{role}')")).expect("grant");
    }
    attacker
        .batch_execute(
            "CREATE FUNCTION public.snoop() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM public.trap(''trigger''); RETURN NEW; END'",
        )
        .expect("a trigger function");
    let refused = |attacker: &mut Client, sql: &str| {
        let failure = attacker.batch_execute(sql).expect_err(sql);
        let state = failure.code().map(|code| code.code().to_owned());
        assert_eq!(state.as_deref(), Some("42501"), "{sql}: {failure:?}");
    };
    for table in ["account", "pending_set", "code", "event"] {
        let table = &format!("backup_codes.{table}");
        for sql in [
            "CREATE TRIGGER snoop AFTER INSERT ON T FOR EACH ROW EXECUTE FUNCTION public.snoop()",
            "CREATE RULE snoop AS ON INSERT TO T DO ALSO SELECT public.trap('rule')",
            "CREATE POLICY snoop ON T USING (public.trap('policy') IS NULL)",
            "ALTER TABLE T ENABLE ROW LEVEL SECURITY",
            "ALTER TABLE T FORCE ROW LEVEL SECURITY",
            "ALTER TABLE T ADD COLUMN snoop text DEFAULT public.trap('default')",
            "ALTER TABLE T ADD CHECK (public.trap('check') IS NULL)",
            "ALTER TABLE T DISABLE TRIGGER ALL",
            "ALTER TABLE T OWNER TO CURRENT_USER",
            "CREATE INDEX ON T (public.trap('index'))",
            "CREATE STATISTICS public.snoop ON user_id, set_no FROM T",
            "CREATE TABLE public.child () INHERITS (T)",
            "GRANT SELECT ON T TO CURRENT_USER",
            "COMMENT ON TABLE T IS 'mine'",
            "DO 'BEGIN LOCK TABLE T IN ACCESS EXCLUSIVE MODE; END'",
            "TRUNCATE T",
            "SELECT 1 FROM T",
            "COPY T TO STDOUT",
            "INSERT INTO T DEFAULT VALUES",
            "DELETE FROM T",
            "DROP TABLE T",
            "CREATE PUBLICATION snoop FOR TABLE T",
        ] {
            refused(&mut attacker, &with_table(sql, table));
        }
    }
    for sql in [
        "CREATE TABLE public.refers (id text REFERENCES backup_codes.account)",
        "CREATE TABLE public.refers (id text, hash bytea, FOREIGN KEY (id, hash) REFERENCES backup_codes.code)",
        "CREATE TABLE backup_codes.mine ()",
        "CREATE FUNCTION backup_codes.now() RETURNS timestamptz LANGUAGE sql AS 'SELECT NULL::timestamptz'",
        "ALTER SCHEMA backup_codes RENAME TO mine",
        "DROP SCHEMA backup_codes CASCADE",
        "ALTER EXTENSION backup_codes ADD TABLE public.canary",
        "ALTER EXTENSION backup_codes DROP TABLE backup_codes.code",
        "ALTER EXTENSION backup_codes UPDATE",
        "DROP EXTENSION backup_codes CASCADE",
        "CREATE OR REPLACE FUNCTION public.backup_codes_consume(user_id text, code text) RETURNS boolean LANGUAGE sql AS 'SELECT true'",
        "ALTER FUNCTION public.backup_codes_consume(text, text) SECURITY INVOKER",
        "ALTER FUNCTION public.backup_codes_consume(text, text) SET search_path = public",
        "ALTER FUNCTION public.backup_codes_consume(text, text) RENAME TO mine",
        "DROP FUNCTION public.backup_codes_consume(text, text)",
        "ALTER DEFAULT PRIVILEGES FOR ROLE postgres GRANT SELECT ON TABLES TO PUBLIC",
        "CREATE EVENT TRIGGER snoop ON ddl_command_end EXECUTE FUNCTION public.snoop()",
        "CREATE CAST (bigint AS text) WITH INOUT",
        "CREATE TYPE public.base (INPUT = int4in, OUTPUT = int4out)",
        "CREATE OPERATOR CLASS public.mine DEFAULT FOR TYPE text USING btree AS OPERATOR 1 <, FUNCTION 1 bttextcmp(text, text)",
        "SELECT backup_codes.duty_privileges()",
        "SELECT public.backup_codes_grant('issuer', CURRENT_USER::regrole)",
        "SET session_replication_role = replica",
    ] {
        refused(&mut attacker, sql);
    }
    // What one may do without an option to grant it on is not granted, with a warning only.
    attacker
        .batch_execute("GRANT EXECUTE ON FUNCTION public.backup_codes_consume(text, text) TO PUBLIC")
        .expect("a warning");
    let public: i64 = client.value(
        "SELECT count(*) FROM pg_proc AS p, aclexplode(p.proacl) AS a
          WHERE p.proname LIKE 'backup\\_codes\\_%' AND p.proowner = 10 AND a.grantee = 0",
        &[],
    );
    assert_eq!(public, 0, "functions of PUBLIC");
    let code = &client.generate("42")[0];
    assert!(client.consume("42", code));
    assert_nothing_captured(&database, &role);
}

/// The attacker deletes rows of his own table with our trigger on it; the column's type becomes his after the trigger was made.
#[test]
fn forget_user_runs_no_code_of_a_column_type() {
    let server = Server::any();
    let (database, role, mut attacker) = besieged(&server);
    let mut client = database.connect();
    client.batch_execute("CREATE EXTENSION backup_codes").expect("CREATE EXTENSION");
    client.batch_execute(&format!("SELECT backup_codes_grant('registrar', '{role}')")).expect("grant");
    client.generate("the victim");
    // A base type is a superuser's to make: as another extension may bring it along, with output functions of text and of others.
    client
        .batch_execute(
            "CREATE TYPE public.odd;
             CREATE FUNCTION public.odd_in(cstring) RETURNS public.odd LANGUAGE internal IMMUTABLE STRICT AS 'textin';
             CREATE FUNCTION public.odd_out(public.odd) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'textout';
             CREATE TYPE public.odd (INPUT = public.odd_in, OUTPUT = public.odd_out, LIKE = pg_catalog.text);
             CREATE TYPE public.odder;
             CREATE FUNCTION public.odder_in(cstring) RETURNS public.odder LANGUAGE internal IMMUTABLE STRICT AS 'textin';
             CREATE FUNCTION public.odder_out(public.odder) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'varcharout';
             CREATE TYPE public.odder (INPUT = public.odder_in, OUTPUT = public.odder_out, LIKE = pg_catalog.text);",
        )
        .expect("a type");
    attacker
        .batch_execute(
            "CREATE FUNCTION public.springs(text) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN PERFORM public.trap($1); RETURN true; END';
             CREATE DOMAIN public.key_domain AS text;
             CREATE TYPE public.key_row AS (id text);
             CREATE FUNCTION public.key_text(public.key_row) RETURNS text LANGUAGE plpgsql AS 'BEGIN PERFORM public.trap(''cast''); RETURN ''the victim''; END';
             CREATE CAST (public.key_row AS text) WITH FUNCTION public.key_text(public.key_row) AS IMPLICIT;
             CREATE TYPE public.key_enum AS ENUM ('the victim');
             CREATE TYPE public.key_range AS RANGE (SUBTYPE = text);",
        )
        .expect("types");
    for (column, value, read) in [
        ("public.key_domain", "'a user'::public.key_domain", true),
        ("public.odd", "'a user'::public.odd", true),
        ("public.key_row", "ROW('the victim')::public.key_row", false),
        ("public.key_enum", "'the victim'::public.key_enum", false),
        ("public.key_range", "'[a,b]'::public.key_range", false),
        ("public.odder", "'the victim'::public.odder", false),
        ("public.key_domain[]", "ARRAY['the victim']::public.key_domain[]", false),
    ] {
        client.generate("a user");
        attacker
            .batch_execute(&format!(
                "CREATE TABLE public.users (id text, note text);
                 CREATE TRIGGER forget AFTER DELETE OR UPDATE ON public.users FOR EACH ROW EXECUTE FUNCTION backup_codes_forget_user('id');
                 CREATE TRIGGER forget_all BEFORE TRUNCATE ON public.users EXECUTE FUNCTION backup_codes_forget_user('id');
                 INSERT INTO public.users VALUES ('x'); DELETE FROM public.users;
                 ALTER TABLE public.users ALTER COLUMN id TYPE {column} USING NULL;
                 INSERT INTO public.users VALUES ({value});"
            ))
            .unwrap_or_else(|error| panic!("{column}: {error:?}"));
        if column == "public.key_domain" {
            let check = "ALTER DOMAIN public.key_domain ADD CHECK (public.springs(VALUE)) NOT VALID";
            attacker.batch_execute(check).expect("a check");
        }
        for statement in ["UPDATE public.users SET note = 'x'", "DELETE FROM public.users", "TRUNCATE public.users"] {
            if read {
                attacker.batch_execute(statement).unwrap_or_else(|error| panic!("{column}: {statement}: {error:?}"));
            } else {
                assert_eq!(attacker.failure(statement, &[]).sqlstate, "42804", "{column}: {statement}");
            }
        }
        assert_eq!(client.remaining("a user"), if read { 0 } else { 10 }, "{column}");
        attacker.batch_execute("DROP TABLE public.users").expect("DROP TABLE");
    }
    assert_nothing_captured(&database, &role);
    assert_eq!(client.remaining("the victim"), 10);
}

/// The planner evaluates functions of CHECK constraints: whoever looks at the attacker's table must have no more rights than its owner.
#[test]
fn the_look_for_a_moved_row_runs_with_the_rights_of_the_owner_of_its_table() {
    let server = Server::any();
    let (database, role, mut attacker) = besieged(&server);
    let mut client = database.connect();
    client.batch_execute("CREATE EXTENSION backup_codes; CREATE EXTENSION citext").expect("CREATE EXTENSION");
    client.batch_execute(&format!("SELECT backup_codes_grant('registrar', '{role}')")).expect("grant");
    attacker
        .batch_execute(
            "CREATE FUNCTION public.springs(text) RETURNS boolean IMMUTABLE LANGUAGE plpgsql
               AS 'BEGIN PERFORM public.trap($1); RETURN true; END';
             CREATE FUNCTION public.same(text, text) RETURNS boolean IMMUTABLE LANGUAGE plpgsql
               AS 'BEGIN PERFORM public.trap(''operator''); RETURN true; END';
             CREATE OPERATOR public.= (LEFTARG = text, RIGHTARG = text, FUNCTION = public.same);
             CREATE DOMAIN public.key_domain AS public.citext;",
        )
        .expect("traps");
    for column in ["bigint", "text", "char(8)", "uuid", "public.key_domain"] {
        let key = if column == "uuid" { "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11" } else { "42" };
        client.generate(key);
        attacker
            .batch_execute(&format!(
                "CREATE TABLE public.\"Us ers\" (\"i d\" {column}, region text, CHECK (public.springs('check'))) PARTITION BY LIST (region);
                 CREATE TABLE public.eu PARTITION OF public.\"Us ers\" FOR VALUES IN ('eu');
                 CREATE TABLE public.us PARTITION OF public.\"Us ers\" FOR VALUES IN ('us');
                 ALTER TABLE public.\"Us ers\" ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
                 CREATE POLICY own ON public.\"Us ers\" USING (public.springs('policy'));
                 CREATE TRIGGER forget AFTER DELETE OR UPDATE ON public.\"Us ers\" FOR EACH ROW
                   EXECUTE FUNCTION backup_codes_forget_user('i d');
                 INSERT INTO public.\"Us ers\" VALUES ('{key}', 'eu');
                 SET constraint_exclusion = on;
                 UPDATE public.\"Us ers\" SET region = 'us';"
            ))
            .unwrap_or_else(|error| panic!("{column}: {error:?}"));
        assert_eq!(client.remaining(key), 10, "{column}: the row was moved");
        attacker.batch_execute("DELETE FROM public.\"Us ers\"").unwrap_or_else(|error| panic!("{column}: {error:?}"));
        assert_eq!(client.remaining(key), 0, "{column}: the row was deleted");
        attacker.batch_execute("DROP TABLE public.\"Us ers\"").expect("DROP TABLE");
    }
    assert_nothing_captured(&database, &role);
    let sprung: i64 = client.value("SELECT count(*) FROM public.canary WHERE what = 'check'", &[]);
    assert!(sprung > 0, "the trap is one");
}

/// What the look runs for the owner of the table may change settings, and what runs after it has the rights of a superuser.
#[test]
fn the_look_for_a_moved_row_leaves_no_setting_changed() {
    let server = Server::any();
    let (database, role, mut attacker) = besieged(&server);
    let mut client = database.connect();
    client.batch_execute("CREATE EXTENSION backup_codes").expect("CREATE EXTENSION");
    client.batch_execute(&format!("SELECT backup_codes_grant('registrar', '{role}')")).expect("grant");
    client.generate("42");
    attacker
        .batch_execute(
            "CREATE FUNCTION public.same(text, text) RETURNS boolean LANGUAGE plpgsql
               AS 'BEGIN PERFORM public.trap(''operator''); RETURN $1 OPERATOR(pg_catalog.=) $2; END';
             CREATE OPERATOR public.= (LEFTARG = text, RIGHTARG = text, FUNCTION = public.same);
             CREATE TABLE public.paths (path text);
             CREATE FUNCTION public.turn() RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS $$
             DECLARE
               path text := pg_catalog.current_setting('search_path');
             BEGIN
               IF pg_catalog.left(path, 10) OPERATOR(pg_catalog.=) 'pg_catalog' THEN
                 PERFORM public.note(path);
                 PERFORM pg_catalog.set_config('search_path', 'public, pg_catalog', false);
               END IF;
               RETURN true;
             END $$;
             CREATE FUNCTION public.note(text) RETURNS void LANGUAGE sql AS 'INSERT INTO public.paths VALUES ($1)';
             CREATE TABLE public.users (id text, region text, CHECK (public.turn())) PARTITION BY LIST (region);
             CREATE TABLE public.eu PARTITION OF public.users FOR VALUES IN ('eu');
             CREATE TABLE public.us PARTITION OF public.users FOR VALUES IN ('us');
             CREATE TRIGGER forget AFTER DELETE OR UPDATE ON public.users FOR EACH ROW
               EXECUTE FUNCTION backup_codes_forget_user('id');
             INSERT INTO public.users VALUES ('42', 'eu');
             UPDATE public.users SET region = 'us';
             UPDATE public.users SET id = '43', region = 'eu';",
        )
        .expect("a users table whose CHECK constraint turns search_path to the traps");
    assert_nothing_captured(&database, &role);
    assert_eq!(client.remaining("42"), 0, "the row went to another key and another partition");
    let turned: i64 = client.value("SELECT count(*) FROM public.paths", &[]);
    assert!(turned > 0, "the trap is one");
}

/// Puts a table where a statement says T.
fn with_table(sql: &str, table: &str) -> String {
    let words: Vec<&str> = sql.split(' ').map(|word| if word == "T" { table } else { word }).collect();
    words.join(" ").replace("(T)", &format!("({table})"))
}
