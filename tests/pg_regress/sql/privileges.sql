-- Privileges: a role has exactly the duties that were granted, and none by default.
CREATE EXTENSION backup_codes;
CREATE ROLE regress_nothing;
CREATE ROLE regress_issuer;
CREATE ROLE regress_verifier;
CREATE ROLE regress_mailer;
CREATE ROLE regress_auditor;
CREATE ROLE regress_operator;
CREATE ROLE regress_registrar;
CREATE ROLE "regress_Weird ""Role""";

-- Every member of the extension and every privilege there is on it, for a role.
CREATE FUNCTION held(role name) RETURNS TABLE (object text, privilege text) STABLE LANGUAGE sql AS $$
  SELECT o.object, o.privilege
    FROM pg_depend AS m
    JOIN pg_extension AS e ON m.refclassid = 'pg_extension'::regclass AND m.refobjid = e.oid AND m.deptype = 'e'
   CROSS JOIN LATERAL (
     SELECT 'schema ' || n.nspname, p FROM pg_namespace AS n, unnest('{USAGE,CREATE}'::text[]) AS p
      WHERE m.classid = 'pg_namespace'::regclass AND n.oid = m.objid AND has_schema_privilege(role, n.oid, p)
     UNION ALL
     SELECT CASE c.relkind WHEN 'v' THEN 'view ' ELSE 'table ' END || c.oid::regclass, p
       FROM pg_class AS c, unnest('{SELECT,INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER}'::text[]) AS p
      WHERE m.classid = 'pg_class'::regclass AND c.oid = m.objid
        AND CASE WHEN p IN ('DELETE', 'TRUNCATE', 'TRIGGER') THEN has_table_privilege(role, c.oid, p)
                 ELSE has_any_column_privilege(role, c.oid, p) END
     UNION ALL
     SELECT 'function ' || p.oid::regprocedure, 'EXECUTE' FROM pg_proc AS p
      WHERE m.classid = 'pg_proc'::regclass AND p.oid = m.objid AND has_function_privilege(role, p.oid, 'EXECUTE')
   ) AS o (object, privilege)
   WHERE e.extname = 'backup_codes'
   ORDER BY o.object COLLATE "C", o.privilege COLLATE "C"
$$;

-- After the install nobody but the owner holds anything.
SELECT * FROM held('regress_nothing');
SELECT count(*) > 40 AS owner_holds_all FROM held(current_user);

-- Every call of the API, for trying.
CREATE FUNCTION tried(role name, statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  PERFORM set_config('role', role, true);
  EXECUTE statement;
  PERFORM set_config('role', 'none', true);
  RETURN 'yes';
EXCEPTION WHEN OTHERS THEN
  RETURN CASE sqlstate WHEN '42501' THEN 'no' ELSE sqlstate || ' ' || sqlerrm END;
END
$$;
CREATE TABLE statement (n serial, statement text);
INSERT INTO statement (statement) VALUES
  ('SELECT backup_codes_generate(1)'), ('SELECT backup_codes_prepare(1)'), ('SELECT backup_codes_confirm(1, ''x'')'),
  ('SELECT backup_codes_confirm(1)'), ('SELECT backup_codes_cancel(1)'), ('SELECT backup_codes_regenerate(1, ''x'')'),
  ('SELECT backup_codes_disable(1)'), ('SELECT backup_codes_disable(1, ''x'')'), ('SELECT backup_codes_unlock(1)'),
  ('CREATE TEMPORARY TABLE u (id int); CREATE TRIGGER t AFTER DELETE ON u FOR EACH ROW EXECUTE FUNCTION backup_codes_forget_user(''id''); DROP TABLE u'),
  ('SELECT backup_codes_consume(1, ''x'')'), ('SELECT * FROM backup_codes_attempt(1, ''x'')'),
  ('SELECT backup_codes_remaining(1)'), ('SELECT * FROM backup_codes_status(1)'),
  ('SELECT backup_codes_revoke_all()'), ('SELECT backup_codes_purge()'), ('SELECT * FROM backup_codes_keys()'),
    ('SELECT * FROM backup_codes_doctor()'),
  ('SELECT * FROM backup_codes.overview'), ('SELECT * FROM backup_codes.events'),
  ('SELECT * FROM backup_codes.account'), ('SELECT * FROM backup_codes.code'), ('SELECT * FROM backup_codes.pending_set'),
  ('SELECT * FROM backup_codes.event'), ('DELETE FROM backup_codes.event'), ('DELETE FROM backup_codes.events'),
  ('UPDATE backup_codes.events SET low = true'), ('TRUNCATE backup_codes.code'),
  ('INSERT INTO backup_codes.event (event_id, user_id, at, kind) VALUES (gen_random_uuid(), ''1'', now(), ''used'')'),
  ('CREATE TABLE backup_codes.mine ()'), ('DROP TABLE backup_codes.code'), ('SELECT backup_codes.duty_privileges()'),
  ('SELECT backup_codes_grant(''issuer'', ''regress_nothing'')'), ('SELECT backup_codes_revoke(''issuer'', ''regress_issuer'')');
CREATE VIEW may AS
  SELECT s.n, s.statement, tried('regress_nothing', statement) AS nothing, tried('regress_issuer', statement) AS issuer,
         tried('regress_verifier', statement) AS verifier, tried('regress_mailer', statement) AS mailer,
         tried('regress_auditor', statement) AS auditor, tried('regress_operator', statement) AS operator,
         tried('regress_registrar', statement) AS registrar
    FROM statement AS s;
SELECT count(*) AS statements, count(*) FILTER (WHERE '{no,no,no,no,no,no,no}' = ARRAY[nothing, issuer, verifier, mailer, auditor, operator, registrar]) AS refused_to_all FROM may;

-- Each duty is these privileges and no other.
SELECT backup_codes_grant('issuer', 'regress_issuer');
SELECT backup_codes_grant('verifier', 'regress_verifier');
SELECT backup_codes_grant('mailer', 'regress_mailer');
SELECT backup_codes_grant('auditor', 'regress_auditor');
SELECT backup_codes_grant('operator', 'regress_operator');
SELECT backup_codes_grant('registrar', 'regress_registrar');
SELECT * FROM held('regress_issuer');
SELECT * FROM held('regress_verifier');
SELECT * FROM held('regress_mailer');
SELECT * FROM held('regress_auditor');
SELECT * FROM held('regress_operator');
SELECT * FROM held('regress_registrar');
SELECT * FROM held('regress_nothing');
SELECT CASE WHEN statement LIKE 'CREATE TEMP%' THEN 'forget trigger' ELSE left(statement, 50) END AS statement,
       nothing, issuer, verifier, mailer, auditor, operator, registrar
  FROM may ORDER BY n;

-- Duties overlap: one more duty adds its own privileges, and taking it back leaves what the other one needs, whichever goes
-- first. What was granted by hand is no duty, and holds nothing back.
CREATE FUNCTION functions(role name) RETURNS text STABLE LANGUAGE sql AS $$
  SELECT string_agg(DISTINCT substring(object FROM 'backup_codes_(\w+)'), ', ') FROM held(role) WHERE object LIKE 'function %'
$$;
SELECT backup_codes_grant('issuer', 'regress_verifier');
SELECT functions('regress_verifier');
SELECT backup_codes_revoke('issuer', 'regress_verifier');
SELECT functions('regress_verifier');
SELECT backup_codes_grant('issuer', 'regress_verifier');
SELECT backup_codes_revoke('verifier', 'regress_verifier');
SELECT functions('regress_verifier') = functions('regress_issuer') AS issuer;
SELECT backup_codes_grant('verifier', 'regress_verifier');
SELECT backup_codes_revoke('issuer', 'regress_verifier');
GRANT EXECUTE ON FUNCTION backup_codes_cancel(text) TO regress_verifier;
SELECT backup_codes_revoke('verifier', 'regress_verifier');
SELECT functions('regress_verifier');
REVOKE EXECUTE ON FUNCTION backup_codes_cancel(text) FROM regress_verifier;
SELECT backup_codes_grant('verifier', 'regress_verifier');

-- Granting twice is granting once.
SELECT backup_codes_grant('auditor', 'regress_auditor');
SELECT backup_codes_revoke('auditor', 'regress_auditor');
SELECT * FROM held('regress_auditor');

-- Revoked: nothing is left.
SELECT backup_codes_revoke('issuer', 'regress_issuer');
SELECT backup_codes_revoke('verifier', 'regress_verifier');
SELECT backup_codes_revoke('mailer', 'regress_mailer');
SELECT backup_codes_revoke('operator', 'regress_operator');
SELECT backup_codes_revoke('registrar', 'regress_registrar');
SELECT r, h.* FROM unnest('{regress_issuer,regress_verifier,regress_mailer,regress_auditor,regress_operator,regress_registrar}'::name[]) AS r, held(r) AS h;
SELECT count(*) AS statements, count(*) FILTER (WHERE '{no,no,no,no,no,no,no}' = ARRAY[nothing, issuer, verifier, mailer, auditor, operator, registrar]) AS refused_to_all FROM may;
-- Taking back what was never granted is no error.
SELECT backup_codes_revoke('issuer', 'regress_nothing');

-- Names are quoted.
SELECT backup_codes_grant('verifier', '"regress_Weird ""Role"""');
SELECT count(*) FROM held('regress_Weird "Role"');
SELECT backup_codes_revoke('verifier', '"regress_Weird ""Role"""');
SELECT count(*) FROM held('regress_Weird "Role"');

-- Where everybody may look into the schema of the functions it is not granted, so a role goes when its duties have gone.
CREATE ROLE regress_passing;
SELECT backup_codes_grant(d, 'regress_passing') FROM unnest('{issuer,verifier,mailer,auditor,operator,registrar}'::text[]) AS d;
SELECT backup_codes_revoke(d, 'regress_passing') FROM unnest('{issuer,verifier,mailer,auditor,operator,registrar}'::text[]) AS d;
DROP ROLE regress_passing;
-- Elsewhere it is granted with a duty that needs it, and stays when the duty goes. What a membership gives does not count.
REVOKE ALL ON SCHEMA public FROM PUBLIC;
CREATE ROLE regress_group;
GRANT USAGE ON SCHEMA public TO regress_group;
GRANT regress_group TO regress_verifier;
SELECT backup_codes_grant('auditor', 'regress_verifier');
SELECT nspacl::text LIKE '%regress_verifier=%' AS granted FROM pg_namespace WHERE nspname = 'public';
SELECT backup_codes_grant('verifier', 'regress_verifier');
REVOKE regress_group FROM regress_verifier;
SELECT tried('regress_verifier', 'SELECT public.backup_codes_remaining(1)');
SELECT backup_codes_revoke(d, 'regress_verifier') FROM unnest('{auditor,verifier}'::text[]) AS d;
SELECT has_schema_privilege('regress_verifier', 'public', 'USAGE');
DROP OWNED BY regress_group;
DROP ROLE regress_group;
GRANT USAGE ON SCHEMA public TO PUBLIC;

-- A worker of Citus refuses GRANT and REVOKE unless it is told to keep them to itself; the caller's own setting comes back.
CREATE FUNCTION worker() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
  IF current_setting('citus.enable_ddl_propagation', true) = 'on' THEN
    RAISE EXCEPTION 'operation is not allowed on this node';
  END IF;
END
$$;
CREATE EVENT TRIGGER worker ON ddl_command_start WHEN TAG IN ('GRANT', 'REVOKE') EXECUTE FUNCTION worker();
SET citus.enable_ddl_propagation = 'on';
GRANT SELECT ON statement TO regress_nothing;
SELECT backup_codes_grant('issuer', 'regress_nothing');
SELECT functions('regress_nothing');
SELECT backup_codes_revoke('issuer', 'regress_nothing');
SELECT functions('regress_nothing');
SHOW citus.enable_ddl_propagation;
RESET citus.enable_ddl_propagation;
DROP EVENT TRIGGER worker;

-- Unknown duties, missing arguments, unknown roles.
CREATE FUNCTION refusal(statement text) RETURNS TABLE (state text, message text, hint text) LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE statement;
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT, state = RETURNED_SQLSTATE;
  RETURN NEXT;
END
$$;
SELECT v.call, r.*
  FROM (VALUES (1, 'grant(''admin'', ''regress_nothing'')'), (2, 'grant(''Issuer'', ''regress_nothing'')'),
    (3, 'grant('''', ''regress_nothing'')'),
               (4, 'grant(NULL, ''regress_nothing'')'), (5, 'grant(''issuer'', NULL)'), (6, 'grant(''issuer'', ''regress_nobody'')'),
               (7, 'grant(''issuer'', 1::oid)'), (8, 'revoke(''admin'', ''regress_nothing'')'), (9, 'revoke(NULL, ''regress_nothing'')'),
               (10, 'revoke(''issuer'', NULL)'), (11, 'grant(''x''''; DROP TABLE backup_codes.code; --'', ''regress_nothing'')')) AS v (n, call),
       refusal('SELECT backup_codes_' || call) AS r
 ORDER BY n;
SELECT * FROM held('regress_nothing');

-- Only the owner may grant, whatever else a role holds. EXECUTE on the function alone gives nothing away.
SELECT backup_codes_grant(d, 'regress_auditor') FROM unnest('{issuer,verifier,auditor,operator,registrar}'::text[]) AS d;
GRANT EXECUTE ON FUNCTION backup_codes_grant(text, regrole), backup_codes_revoke(text, regrole) TO regress_auditor;
SET ROLE regress_auditor;
SELECT d, r.* FROM unnest('{issuer,verifier,auditor,operator,registrar}'::text[]) AS d, refusal(format('SELECT backup_codes_grant(%L, ''regress_nothing'')', d)) AS r;
SELECT * FROM refusal('SELECT backup_codes_revoke(''issuer'', ''regress_issuer'')');
RESET ROLE;
SELECT * FROM held('regress_nothing');

-- An owner who is no superuser any more grants what is theirs; the schema of the functions may be another's.
CREATE ROLE regress_owner;
CREATE SCHEMA regress_api;
DROP EXTENSION backup_codes;
ALTER ROLE regress_owner SUPERUSER;
SET ROLE regress_owner;
CREATE EXTENSION backup_codes SCHEMA regress_api;
RESET ROLE;
ALTER ROLE regress_owner NOSUPERUSER;
GRANT USAGE ON SCHEMA regress_api TO regress_owner;
SET ROLE regress_owner;
SELECT regress_api.backup_codes_grant('auditor', 'regress_nothing');
SELECT * FROM refusal('SELECT regress_api.backup_codes_grant(''verifier'', ''regress_nothing'')');
RESET ROLE;
GRANT USAGE ON SCHEMA regress_api TO regress_nothing;
SET ROLE regress_owner;
SELECT regress_api.backup_codes_grant('verifier', 'regress_nothing');
RESET ROLE;
SELECT * FROM held('regress_nothing') WHERE object NOT LIKE '%(%';
SELECT functions('regress_nothing');
DROP EXTENSION backup_codes;
DROP SCHEMA regress_api;
CREATE EXTENSION backup_codes;

-- A superuser who does not own the extension may, as everywhere.
CREATE ROLE regress_superuser SUPERUSER;
SET ROLE regress_superuser;
SELECT backup_codes_grant('verifier', 'regress_nothing');
RESET ROLE;
SELECT tried('regress_nothing', 'SELECT backup_codes_remaining(1)');

-- What a role may not do leaves no trace.
SELECT count(*) FROM backup_codes.event WHERE actor LIKE 'regress%' OR user_id <> '1';

DROP OWNED BY regress_owner, regress_nothing, regress_issuer, regress_verifier, regress_mailer, regress_auditor, regress_operator, regress_registrar, "regress_Weird ""Role""", regress_superuser;
DROP ROLE regress_owner, regress_nothing, regress_issuer, regress_verifier, regress_mailer, regress_auditor, regress_operator, regress_registrar, "regress_Weird ""Role""", regress_superuser;
