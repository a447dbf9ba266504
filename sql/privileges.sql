-- Who may do what, in one place. The extension creates no roles: an administrator grants the six duties.

CREATE FUNCTION backup_codes.duty_privileges()
  RETURNS TABLE (duty text, privilege text, object text, acl aclitem[])
  LANGUAGE sql STABLE SECURITY INVOKER
  SET search_path = pg_catalog, pg_temp
  AS $function$
WITH member AS (
  SELECT m.classid, m.objid
    FROM pg_depend AS m
    JOIN pg_extension AS e ON m.refclassid = 'pg_extension'::regclass AND m.refobjid = e.oid
   WHERE m.deptype = 'e' AND e.extname = 'backup_codes'
)
SELECT d.duty, 'EXECUTE', format('FUNCTION %s', p.oid::regprocedure), p.proacl
  FROM (VALUES
         ('backup_codes_generate', '{issuer}'),
         ('backup_codes_generate_many', '{issuer}'),
         ('backup_codes_prepare', '{issuer}'),
         ('backup_codes_confirm', '{issuer}'),
         ('backup_codes_cancel', '{issuer}'),
         ('backup_codes_regenerate', '{issuer}'),
         ('backup_codes_disable', '{issuer}'),
         ('backup_codes_unlock', '{issuer}'),
         ('backup_codes_consume', '{verifier}'),
         ('backup_codes_attempt', '{verifier}'),
         ('backup_codes_remaining', '{issuer,verifier}'),
         ('backup_codes_status', '{issuer,verifier}'),
         ('backup_codes_events_claim', '{mailer}'),
         ('backup_codes_events_ack', '{mailer}'),
         ('backup_codes_events_release', '{mailer}'),
         ('backup_codes_events_extend', '{mailer}'),
         ('backup_codes_events_park', '{mailer}'),
         ('backup_codes_events_backlog', '{mailer}'),
         ('backup_codes_events_unpark', '{operator}'),
         ('backup_codes_user_id', '{issuer,verifier,registrar}'),
         ('backup_codes_forget_user', '{registrar}'),
         ('backup_codes_rename_user', '{registrar}'),
         ('backup_codes_revoke_all', '{operator}'),
         ('backup_codes_purge', '{operator}'),
         ('backup_codes_keys', '{operator}'),
         ('backup_codes_doctor', '{operator}')
       ) AS f (function, duties)
 CROSS JOIN LATERAL unnest(f.duties::text[]) AS d (duty)
  JOIN pg_proc AS p ON p.proname = f.function
  JOIN member AS m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid
 UNION ALL
SELECT 'auditor', 'SELECT', format('TABLE %s', c.oid::regclass), c.relacl
  FROM pg_class AS c
 WHERE c.oid IN ('backup_codes.overview'::regclass, 'backup_codes.events'::regclass)
 UNION ALL
SELECT 'auditor', 'USAGE', format('SCHEMA %I', n.nspname), n.nspacl
  FROM pg_namespace AS n
 WHERE n.nspname = 'backup_codes'
$function$;
COMMENT ON FUNCTION backup_codes.duty_privileges() IS
  'The privileges that make up each duty, the objects as GRANT spells them, and who holds privileges on those.';

CREATE FUNCTION backup_codes.require_duty(duty text, role regrole)
  RETURNS void
  LANGUAGE plpgsql STABLE SECURITY INVOKER
  SET search_path = pg_catalog, pg_temp
  AS $function$
DECLARE
  duties constant text := 'The duties are issuer, verifier, mailer, auditor, operator and registrar.';
BEGIN
  IF duty IS NULL THEN
    RAISE EXCEPTION 'duty must not be NULL' USING ERRCODE = 'null_value_not_allowed', HINT = duties;
  END IF;
  IF NOT EXISTS (SELECT FROM backup_codes.duty_privileges() AS p WHERE p.duty = require_duty.duty) THEN
    RAISE EXCEPTION 'unknown duty %', quote_literal(duty) USING ERRCODE = 'invalid_parameter_value', HINT = duties;
  END IF;
  IF role IS NULL THEN
    RAISE EXCEPTION 'role must not be NULL'
      USING ERRCODE = 'null_value_not_allowed', HINT = 'Name the role that the duty is granted to or revoked from.';
  END IF;
END
$function$;
COMMENT ON FUNCTION backup_codes.require_duty(text, regrole) IS
  'Raises what backup_codes_grant and backup_codes_revoke raise for their arguments: 22004, 22023.';

CREATE FUNCTION backup_codes.change_privileges(statements text[])
  RETURNS void
  LANGUAGE plpgsql VOLATILE SECURITY INVOKER
  SET search_path = pg_catalog, pg_temp
  AS $function$
DECLARE
  propagation constant text := current_setting('citus.enable_ddl_propagation', true);
  statement text;
BEGIN
  -- A worker of Citus refuses a GRANT that it would have to send to the other nodes.
  IF propagation IS NOT NULL THEN
    PERFORM set_config('citus.enable_ddl_propagation', 'off', true);
  END IF;
  FOREACH statement IN ARRAY statements LOOP
    EXECUTE statement;
  END LOOP;
  IF propagation IS NOT NULL THEN
    PERFORM set_config('citus.enable_ddl_propagation', propagation, true);
  END IF;
END
$function$;
COMMENT ON FUNCTION backup_codes.change_privileges(text[]) IS
  'Runs GRANT and REVOKE with the rights of the caller, on a worker of Citus as well.';

CREATE FUNCTION @extschema@.backup_codes_grant(duty text, role regrole)
  RETURNS void
  LANGUAGE plpgsql VOLATILE SECURITY INVOKER
  SET search_path = pg_catalog, pg_temp
  AS $function$
DECLARE
  statements text[];
  api record;
BEGIN
  IF NOT pg_has_role((SELECT extowner FROM pg_extension WHERE extname = 'backup_codes'), 'USAGE') THEN
    RAISE EXCEPTION 'permission denied to grant a duty'
      USING ERRCODE = 'insufficient_privilege', HINT = 'Call the function as a superuser, or as the owner of the extension.';
  END IF;
  PERFORM backup_codes.require_duty(duty, role);
  SELECT array_agg(format('GRANT %s ON %s TO %I', p.privilege, p.object, pg_get_userbyid(role)))
    INTO statements
    FROM backup_codes.duty_privileges() AS p
   WHERE p.duty = backup_codes_grant.duty;
  -- USAGE on the schema of the functions only where neither the role itself nor everybody has it, so that after a revoke
  -- nothing is left that would hold back DROP ROLE. What a membership gives does not count: it may end.
  SELECT format('%I', n.nspname) AS name, has_schema_privilege(n.oid, 'USAGE WITH GRANT OPTION') AS grantable
    INTO api
    FROM pg_extension AS e
    JOIN pg_namespace AS n ON n.oid = e.extnamespace
   WHERE e.extname = 'backup_codes' AND duty <> 'auditor'
     AND NOT EXISTS (SELECT FROM aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) AS a
                      WHERE a.privilege_type = 'USAGE' AND a.grantee IN (0, role));
  IF FOUND THEN
    IF NOT api.grantable THEN
      RAISE EXCEPTION 'permission denied to grant USAGE on schema %', api.name
        USING ERRCODE = 'insufficient_privilege',
              HINT = format('As the owner of the schema, run GRANT USAGE ON SCHEMA %s TO %I; then grant the duty.',
                            api.name, pg_get_userbyid(role));
    END IF;
    statements := format('GRANT USAGE ON SCHEMA %s TO %I', api.name, pg_get_userbyid(role)) || statements;
  END IF;
  PERFORM backup_codes.change_privileges(statements);
END
$function$;
COMMENT ON FUNCTION @extschema@.backup_codes_grant(text, regrole) IS
  'Grants a duty to a role: issuer, verifier, mailer, auditor, operator or registrar. Runs with the rights of the caller, who '
  'must own the extension or be superuser. Errors: 22004, 22023, 42501, 42704.';

CREATE FUNCTION @extschema@.backup_codes_revoke(duty text, role regrole)
  RETURNS void
  LANGUAGE plpgsql VOLATILE SECURITY INVOKER
  SET search_path = pg_catalog, pg_temp
  AS $function$
DECLARE
  statements text[];
BEGIN
  IF NOT pg_has_role((SELECT extowner FROM pg_extension WHERE extname = 'backup_codes'), 'USAGE') THEN
    RAISE EXCEPTION 'permission denied to revoke a duty'
      USING ERRCODE = 'insufficient_privilege', HINT = 'Call the function as a superuser, or as the owner of the extension.';
  END IF;
  PERFORM backup_codes.require_duty(duty, role);
  -- Duties overlap, and a role has a duty when it has all its privileges: what another one needs stays.
  WITH held AS (
    SELECT p.duty, p.object
      FROM (SELECT *, bool_and(EXISTS (SELECT FROM aclexplode(d.acl) AS a
                                        WHERE a.privilege_type = d.privilege AND a.grantee = role))
                        OVER (PARTITION BY d.duty) AS whole
              FROM backup_codes.duty_privileges() AS d) AS p
     WHERE p.whole
  )
  SELECT array_agg(format('REVOKE %s ON %s FROM %I', p.privilege, p.object, pg_get_userbyid(role)))
    INTO statements
    FROM backup_codes.duty_privileges() AS p
   WHERE p.duty = backup_codes_revoke.duty
     AND p.object NOT IN (SELECT h.object FROM held AS h WHERE h.duty <> backup_codes_revoke.duty);
  -- USAGE on the schema of the functions stays: another duty, or another extension there, may need it, and alone it opens nothing.
  PERFORM backup_codes.change_privileges(statements);
END
$function$;
COMMENT ON FUNCTION @extschema@.backup_codes_revoke(text, regrole) IS
  'Takes a duty back from a role, but for what another duty of the role needs; USAGE on the schema of the functions stays. Runs '
  'with the rights of the caller, who must own the extension or be superuser. Errors: 22004, 22023, 42501, 42704.';

-- Without these marks a dump would lose the rows, silently. One statement each: two in one fail.
SELECT pg_catalog.pg_extension_config_dump('backup_codes.account', '');
SELECT pg_catalog.pg_extension_config_dump('backup_codes.pending_set', '');
SELECT pg_catalog.pg_extension_config_dump('backup_codes.code', '');
SELECT pg_catalog.pg_extension_config_dump('backup_codes.event', '');

-- Everything is taken back from everyone but the owner, not only from PUBLIC: ALTER DEFAULT PRIVILEGES may have handed the
-- hashes to a reporting role while the tables were made.
DO $block$
DECLARE
  target record;
BEGIN
  FOR target IN
    SELECT o.object, CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE format('%I', pg_get_userbyid(a.grantee)) END AS grantee
      FROM pg_depend AS m
      JOIN pg_extension AS e ON m.refclassid = 'pg_extension'::regclass AND m.refobjid = e.oid
     CROSS JOIN LATERAL (
       SELECT format('SCHEMA %I', n.nspname), n.nspowner, coalesce(n.nspacl, acldefault('n', n.nspowner))
         FROM pg_namespace AS n WHERE m.classid = 'pg_namespace'::regclass AND n.oid = m.objid
       UNION ALL
       SELECT format('TABLE %s', c.oid::regclass), c.relowner, coalesce(c.relacl, acldefault('r', c.relowner))
         FROM pg_class AS c WHERE m.classid = 'pg_class'::regclass AND c.oid = m.objid
       UNION ALL
       SELECT format('FUNCTION %s', p.oid::regprocedure), p.proowner, coalesce(p.proacl, acldefault('f', p.proowner))
         FROM pg_proc AS p WHERE m.classid = 'pg_proc'::regclass AND p.oid = m.objid
     ) AS o (object, owner, acl)
     CROSS JOIN LATERAL aclexplode(o.acl) AS a
     WHERE e.extname = 'backup_codes' AND m.deptype = 'e' AND a.grantee <> o.owner
     GROUP BY 1, 2
  LOOP
    EXECUTE format('REVOKE ALL ON %s FROM %s', target.object, target.grantee);
  END LOOP;
END
$block$;
