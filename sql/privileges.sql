-- Who may do what, in one place. The extension creates no roles: an administrator grants the five duties.

CREATE FUNCTION backup_codes.duty_privileges(duty text)
  RETURNS SETOF text
  LANGUAGE plpgsql STABLE SECURITY INVOKER
  SET search_path = pg_catalog, pg_temp
  AS $function$
BEGIN
  IF duty IS NULL THEN
    RAISE EXCEPTION 'duty must not be NULL'
      USING ERRCODE = 'null_value_not_allowed',
            HINT = 'The duties are issuer, verifier, mailer, auditor and operator.';
  END IF;
  IF duty NOT IN ('issuer', 'verifier', 'mailer', 'auditor', 'operator') THEN
    RAISE EXCEPTION 'unknown duty %', quote_literal(duty)
      USING ERRCODE = 'invalid_parameter_value',
            HINT = 'The duties are issuer, verifier, mailer, auditor and operator.';
  END IF;
  IF duty = 'auditor' THEN
    RETURN QUERY VALUES ('USAGE ON SCHEMA backup_codes'), ('SELECT ON backup_codes.overview, backup_codes.events');
    RETURN;
  END IF;
  RETURN QUERY
    SELECT format('USAGE ON SCHEMA %I', n.nspname)
      FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace
     WHERE e.extname = 'backup_codes';
  RETURN QUERY
    SELECT format('EXECUTE ON FUNCTION %s', p.oid::regprocedure)
      FROM (VALUES ('issuer', 'backup_codes_generate'), ('issuer', 'backup_codes_generate_many'),
                   ('issuer', 'backup_codes_prepare'),
                   ('issuer', 'backup_codes_confirm'), ('issuer', 'backup_codes_cancel'),
                   ('issuer', 'backup_codes_regenerate'), ('issuer', 'backup_codes_disable'),
                   ('issuer', 'backup_codes_forget_user'),
                   ('verifier', 'backup_codes_consume'), ('verifier', 'backup_codes_attempt'),
                   ('verifier', 'backup_codes_remaining'), ('verifier', 'backup_codes_status'),
                   ('mailer', 'backup_codes_events_claim'), ('mailer', 'backup_codes_events_ack'),
                   ('mailer', 'backup_codes_events_release'), ('mailer', 'backup_codes_events_extend'),
                   ('mailer', 'backup_codes_events_park'), ('mailer', 'backup_codes_events_backlog'),
                   ('operator', 'backup_codes_events_unpark'),
                   ('operator', 'backup_codes_revoke_all'), ('operator', 'backup_codes_purge'),
                   ('operator', 'backup_codes_keys'), ('operator', 'backup_codes_doctor')) AS d (duty, function)
      JOIN pg_proc AS p ON p.proname = d.function
      JOIN pg_depend AS m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid AND m.deptype = 'e'
      JOIN pg_extension AS e ON m.refclassid = 'pg_extension'::regclass AND m.refobjid = e.oid
     WHERE e.extname = 'backup_codes' AND d.duty = duty_privileges.duty
     ORDER BY p.oid::regprocedure::text;
END
$function$;
COMMENT ON FUNCTION backup_codes.duty_privileges(text) IS
  'The privileges that make up a duty, as GRANT and REVOKE spell them. Errors: 22004, 22023.';

CREATE FUNCTION @extschema@.backup_codes_grant(duty text, role regrole)
  RETURNS void
  LANGUAGE plpgsql VOLATILE SECURITY INVOKER
  SET search_path = pg_catalog, pg_temp
  AS $function$
DECLARE
  privilege text;
BEGIN
  IF role IS NULL THEN
    RAISE EXCEPTION 'role must not be NULL'
      USING ERRCODE = 'null_value_not_allowed', HINT = 'Name the role that gets the duty.';
  END IF;
  FOR privilege IN SELECT backup_codes.duty_privileges(duty) LOOP
    EXECUTE format('GRANT %s TO %I', privilege, pg_get_userbyid(role));
  END LOOP;
END
$function$;
COMMENT ON FUNCTION @extschema@.backup_codes_grant(text, regrole) IS
  'Grants a duty to a role: issuer, verifier, mailer, auditor or operator. Runs with the rights of the caller, who must own the extension or be superuser. Errors: 22004, 22023, 42501, 42704.';

CREATE FUNCTION @extschema@.backup_codes_revoke(duty text, role regrole)
  RETURNS void
  LANGUAGE plpgsql VOLATILE SECURITY INVOKER
  SET search_path = pg_catalog, pg_temp
  AS $function$
DECLARE
  privilege text;
BEGIN
  IF role IS NULL THEN
    RAISE EXCEPTION 'role must not be NULL'
      USING ERRCODE = 'null_value_not_allowed', HINT = 'Name the role that loses the duty.';
  END IF;
  -- USAGE on the schema of the API stays: another duty, or another extension there, may need it, and alone it opens nothing.
  FOR privilege IN SELECT p FROM backup_codes.duty_privileges(duty) AS p
                    WHERE p NOT LIKE 'USAGE ON SCHEMA %' OR duty = 'auditor' LOOP
    EXECUTE format('REVOKE %s FROM %I', privilege, pg_get_userbyid(role));
  END LOOP;
END
$function$;
COMMENT ON FUNCTION @extschema@.backup_codes_revoke(text, regrole) IS
  'Takes a duty back from a role; USAGE on the schema of the functions stays. Runs with the rights of the caller. Errors: 22004, 22023, 42501, 42704.';

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
