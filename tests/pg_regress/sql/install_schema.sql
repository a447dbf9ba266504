-- The functions go where the administrator wants them, and DROP EXTENSION leaves nothing.
CREATE VIEW traces AS
  SELECT 'function ' || oid::regprocedure AS trace FROM pg_proc WHERE proname LIKE 'backup\_codes%' OR prosrc LIKE 'backup\_codes%'
  UNION ALL SELECT 'schema ' || nspname FROM pg_namespace WHERE nspname = 'backup_codes'
  UNION ALL SELECT 'relation ' || oid::regclass FROM pg_class
    WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'backup_codes')
  UNION ALL SELECT 'extension ' || extname FROM pg_extension WHERE extname = 'backup_codes';

-- By default the first schema of the search path.
CREATE SCHEMA first;
SET search_path = first, public;
CREATE EXTENSION backup_codes;
RESET search_path;
SELECT n.nspname, count(*) > 30 AS functions FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
 WHERE p.proname LIKE 'backup\_codes\_%' GROUP BY 1;
SELECT count(*) FROM first.backup_codes_generate(42);
SELECT e.extversion = a.default_version AS version, NOT e.extrelocatable AS fixed FROM pg_extension AS e
  JOIN pg_available_extensions AS a ON a.name = e.extname WHERE e.extname = 'backup_codes';

-- Once a database.
\set VERBOSITY terse
CREATE EXTENSION backup_codes SCHEMA public;
ALTER EXTENSION backup_codes SET SCHEMA public;
\set VERBOSITY default
DROP EXTENSION backup_codes;
SELECT * FROM traces;

-- A schema with an odd name.
CREATE SCHEMA "Odd; Schéma (1)";
CREATE EXTENSION backup_codes SCHEMA "Odd; Schéma (1)";
CREATE ROLE regress_app;
SELECT "Odd; Schéma (1)".backup_codes_grant('issuer', 'regress_app');
SELECT "Odd; Schéma (1)".backup_codes_grant('verifier', 'regress_app');
SET ROLE regress_app;
SELECT code FROM "Odd; Schéma (1)".backup_codes_generate(42) AS code LIMIT 1 \gset
SELECT "Odd; Schéma (1)".backup_codes_consume(42, :'code');
SELECT remaining FROM "Odd; Schéma (1)".backup_codes_status(42);
RESET ROLE;
SELECT "Odd; Schéma (1)".backup_codes_revoke('issuer', 'regress_app');
SELECT "Odd; Schéma (1)".backup_codes_revoke('verifier', 'regress_app');
SELECT p.oid::regprocedure FROM pg_proc AS p WHERE p.proname LIKE 'backup\_codes\_%'
  AND has_function_privilege('regress_app', p.oid, 'EXECUTE');
DROP EXTENSION backup_codes;
SELECT * FROM traces;
DROP SCHEMA "Odd; Schéma (1)";
DROP OWNED BY regress_app;

-- CREATE SCHEMA is plain: where a schema of that name is, whoever owns it, the install fails and leaves nothing.
CREATE SCHEMA backup_codes AUTHORIZATION regress_app;
CREATE EXTENSION backup_codes;
CREATE EXTENSION backup_codes SCHEMA backup_codes;
SELECT * FROM traces;
\set VERBOSITY sqlstate
DROP SCHEMA backup_codes;
CREATE EXTENSION backup_codes SCHEMA backup_codes;
CREATE EXTENSION backup_codes SCHEMA nowhere;
SELECT * FROM traces;

-- A function of that name and those arguments is not taken over.
CREATE FUNCTION public.backup_codes_consume(user_id text, code text) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE EXTENSION backup_codes;
SELECT * FROM traces;
DROP FUNCTION public.backup_codes_consume;

-- Superusers only, owners of the database neither.
SELECT current_user AS superuser, current_database() AS database \gset
ALTER DATABASE :"database" OWNER TO regress_app;
SET ROLE regress_app;
CREATE EXTENSION backup_codes;
RESET ROLE;
ALTER DATABASE :"database" OWNER TO :"superuser";
SELECT * FROM traces;

-- A trigger of the application holds the extension; CASCADE takes the trigger, not the table.
CREATE EXTENSION backup_codes;
CREATE TABLE users (id bigint PRIMARY KEY);
CREATE TRIGGER forget AFTER DELETE ON users FOR EACH ROW EXECUTE FUNCTION backup_codes_forget_user('id');
DROP EXTENSION backup_codes;
SET client_min_messages = warning;
DROP EXTENSION backup_codes CASCADE;
RESET client_min_messages;
SELECT * FROM traces;
SELECT count(*) FROM users;
DROP ROLE regress_app;
