-- Default privileges: whatever ALTER DEFAULT PRIVILEGES hands out, after the install nobody but the owner holds anything.
CREATE ROLE regress_reporter;
CREATE ROLE "regress_Odd ""Reporter""";
ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO regress_reporter WITH GRANT OPTION;
ALTER DEFAULT PRIVILEGES GRANT ALL ON SEQUENCES TO regress_reporter WITH GRANT OPTION;
ALTER DEFAULT PRIVILEGES GRANT ALL ON FUNCTIONS TO regress_reporter WITH GRANT OPTION;
ALTER DEFAULT PRIVILEGES GRANT ALL ON TYPES TO regress_reporter WITH GRANT OPTION;
ALTER DEFAULT PRIVILEGES GRANT ALL ON SCHEMAS TO regress_reporter WITH GRANT OPTION;
ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC;
ALTER DEFAULT PRIVILEGES GRANT USAGE ON SCHEMAS TO PUBLIC;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT EXECUTE ON FUNCTIONS TO "regress_Odd ""Reporter""";
ALTER DEFAULT PRIVILEGES GRANT SELECT, TRIGGER ON TABLES TO "regress_Odd ""Reporter""";

-- The trap is set: any other table would be open.
CREATE TABLE bait (id int);
SELECT has_table_privilege('regress_reporter', 'bait', 'SELECT'), has_table_privilege('regress_Odd "Reporter"', 'bait', 'SELECT');

CREATE EXTENSION backup_codes;
CREATE VIEW held AS
  SELECT o.object, CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee) END AS grantee, a.privilege_type
    FROM pg_depend AS m
    JOIN pg_extension AS e ON m.refclassid = 'pg_extension'::regclass AND m.refobjid = e.oid AND m.deptype = 'e'
   CROSS JOIN LATERAL (
     SELECT 'schema ' || nspname, nspowner, coalesce(nspacl, acldefault('n', nspowner)) FROM pg_namespace
      WHERE m.classid = 'pg_namespace'::regclass AND oid = m.objid
     UNION ALL
     SELECT 'table ' || oid::regclass, relowner, coalesce(relacl, acldefault('r', relowner)) FROM pg_class
      WHERE m.classid = 'pg_class'::regclass AND oid = m.objid
     UNION ALL
     SELECT 'function ' || oid::regprocedure, proowner, coalesce(proacl, acldefault('f', proowner)) FROM pg_proc
      WHERE m.classid = 'pg_proc'::regclass AND oid = m.objid
     UNION ALL
     SELECT 'column ' || c.oid::regclass || '.' || t.attname, c.relowner, t.attacl FROM pg_class AS c
       JOIN pg_attribute AS t ON t.attrelid = c.oid
      WHERE m.classid = 'pg_class'::regclass AND c.oid = m.objid
   ) AS o (object, owner, acl)
   CROSS JOIN LATERAL aclexplode(o.acl) AS a
   WHERE e.extname = 'backup_codes' AND a.grantee <> o.owner;
SELECT * FROM held ORDER BY 1, 2, 3;

-- Nor does a dump believe that the extension came with grants.
SELECT count(*) FROM pg_init_privs AS i, pg_extension AS e, pg_depend AS m, aclexplode(i.initprivs) AS a
 WHERE e.extname = 'backup_codes' AND m.refclassid = 'pg_extension'::regclass AND m.refobjid = e.oid AND m.deptype = 'e'
   AND i.classoid = m.classid AND i.objoid = m.objid AND a.grantee <> (SELECT oid FROM pg_roles WHERE rolname = current_user);

-- Each of them tries.
SELECT count(*) FROM backup_codes_generate(42);
\set VERBOSITY sqlstate
SET ROLE regress_reporter;
SELECT * FROM backup_codes.code;
SELECT * FROM backup_codes.account;
SELECT * FROM backup_codes.overview;
SELECT backup_codes_consume(42, 'x');
SELECT backup_codes_generate(42);
SET ROLE "regress_Odd ""Reporter""";
SELECT * FROM backup_codes.code;
SELECT backup_codes_consume(42, 'x');
RESET ROLE;
\set VERBOSITY default

-- Duties are granted as ever, and nothing comes with them.
SELECT backup_codes_grant('auditor', 'regress_reporter');
SELECT * FROM held ORDER BY 1, 2, 3;
SELECT backup_codes_revoke('auditor', 'regress_reporter');
SELECT * FROM held ORDER BY 1, 2, 3;

-- The same with the functions in a schema of their own.
DROP VIEW held;
DROP EXTENSION backup_codes;
CREATE SCHEMA mfa;
ALTER DEFAULT PRIVILEGES IN SCHEMA mfa GRANT EXECUTE ON FUNCTIONS TO regress_reporter;
CREATE EXTENSION backup_codes SCHEMA mfa;
SELECT p.oid::regprocedure FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
 WHERE n.nspname IN ('mfa', 'backup_codes') AND has_function_privilege('regress_reporter', p.oid, 'EXECUTE');
SELECT c.oid::regclass FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
 WHERE n.nspname = 'backup_codes' AND c.relkind IN ('r', 'v')
   AND has_table_privilege('regress_reporter', c.oid, 'SELECT,INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER');

-- Defaults that take the owner's own privileges away do not break it.
DROP EXTENSION backup_codes;
ALTER DEFAULT PRIVILEGES REVOKE ALL ON TABLES FROM CURRENT_USER;
ALTER DEFAULT PRIVILEGES REVOKE ALL ON FUNCTIONS FROM CURRENT_USER;
CREATE EXTENSION backup_codes SCHEMA mfa;
SELECT count(*) FROM mfa.backup_codes_generate(42);

DROP OWNED BY regress_reporter, "regress_Odd ""Reporter""";
DROP ROLE regress_reporter, "regress_Odd ""Reporter""";
