-- search_path: nothing that a caller or another extension defines is run with the rights of the owner.
CREATE ROLE regress_attacker;
GRANT CREATE ON SCHEMA public TO regress_attacker;

-- Whoever runs as somebody else than the attacker has been captured.
CREATE TABLE captured (what text, by_whom name DEFAULT current_user);
GRANT SELECT, INSERT ON captured TO PUBLIC;

-- What waits in public for the install: tables, functions and operators named like those that it uses, of closer types.
SET ROLE regress_attacker;
CREATE FUNCTION public.trap(what text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.captured (what) VALUES (what); END $$;
CREATE FUNCTION public.oid_not_equal(oid, oid) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN PERFORM public.trap('<>'); RETURN true; END $$;
CREATE OPERATOR public.<> (FUNCTION = public.oid_not_equal, LEFTARG = oid, RIGHTARG = oid);
CREATE FUNCTION public.name_equal(name, text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN PERFORM public.trap('='); RETURN true; END $$;
CREATE OPERATOR public.= (FUNCTION = public.name_equal, LEFTARG = name, RIGHTARG = text);
CREATE FUNCTION public.text_equal(text, text) RETURNS boolean
  LANGUAGE plpgsql AS $$ BEGIN PERFORM public.trap('text ='); RETURN true; END $$;
CREATE OPERATOR public.= (FUNCTION = public.text_equal, LEFTARG = text, RIGHTARG = text);
CREATE FUNCTION public.bytea_equal(bytea, bytea) RETURNS boolean
  LANGUAGE plpgsql AS $$ BEGIN PERFORM public.trap('bytea ='); RETURN true; END $$;
CREATE OPERATOR public.= (FUNCTION = public.bytea_equal, LEFTARG = bytea, RIGHTARG = bytea);
CREATE FUNCTION public.bytea_concat(bytea, bytea) RETURNS bytea LANGUAGE plpgsql AS $$ BEGIN PERFORM public.trap('||'); RETURN $1; END $$;
CREATE OPERATOR public.|| (FUNCTION = public.bytea_concat, LEFTARG = bytea, RIGHTARG = bytea);
CREATE FUNCTION public.small_less(smallint, integer) RETURNS boolean
  LANGUAGE plpgsql AS $$ BEGIN PERFORM public.trap('<='); RETURN true; END $$;
CREATE OPERATOR public.<= (FUNCTION = public.small_less, LEFTARG = smallint, RIGHTARG = integer);
CREATE FUNCTION public.later(timestamptz, timestamptz) RETURNS boolean
  LANGUAGE plpgsql AS $$ BEGIN PERFORM public.trap('>'); RETURN true; END $$;
CREATE OPERATOR public.> (FUNCTION = public.later, LEFTARG = timestamptz, RIGHTARG = timestamptz);
CREATE FUNCTION public.format(text, name) RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM public.trap('format'); RETURN 'x'; END $$;
CREATE FUNCTION public.pg_extension_config_dump(text, text) RETURNS void
  LANGUAGE plpgsql AS $$ BEGIN PERFORM public.trap('config_dump'); END $$;
CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz
  LANGUAGE plpgsql AS $$ BEGIN PERFORM public.trap('clock'); RETURN 'epoch'; END $$;
CREATE FUNCTION public.now() RETURNS timestamptz LANGUAGE plpgsql AS $$ BEGIN PERFORM public.trap('now'); RETURN 'epoch'; END $$;
CREATE FUNCTION public.int2send(smallint) RETURNS bytea
  LANGUAGE plpgsql AS $$ BEGIN PERFORM public.trap('int2send'); RETURN '\x0000'; END $$;
CREATE FUNCTION public.pg_get_userbyid(oid) RETURNS name LANGUAGE plpgsql AS $$ BEGIN PERFORM public.trap('userbyid'); RETURN 'x'; END $$;
CREATE FUNCTION public.octet_length(text) RETURNS int
  LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM public.trap('octet_length'); RETURN 1; END $$;
CREATE TABLE public.pg_depend (classid oid, objid oid, deptype "char", refclassid oid, refobjid oid);
CREATE TABLE public.pg_extension (oid oid, extname name, extnamespace oid);
CREATE DOMAIN public.text AS pg_catalog.text;
CREATE DOMAIN public.timestamptz AS pg_catalog.timestamptz;
RESET ROLE;

SET search_path = public, pg_catalog;
CREATE EXTENSION backup_codes SCHEMA public;
RESET search_path;
SELECT * FROM captured WHERE by_whom <> 'regress_attacker';
SELECT count(*) FROM pg_proc AS p WHERE p.proname LIKE 'backup\_codes\_%'
  AND 'public.text'::regtype = ANY (p.proargtypes::oid[] || p.prorettype || p.proallargtypes);
SELECT attrelid::regclass, attname FROM pg_attribute WHERE attrelid::regclass::pg_catalog.text LIKE 'backup\_codes.%'
  AND atttypid IN ('public.text'::regtype, 'public.timestamptz'::regtype);
SELECT cardinality(extconfig) FROM pg_catalog.pg_extension WHERE extname OPERATOR(pg_catalog.=) 'backup_codes'::name;

-- Casts of common types, as another extension may bring them along. Only a superuser can make these.
CREATE FUNCTION public.bigint_to_text(bigint) RETURNS pg_catalog.text
  LANGUAGE plpgsql AS $$ BEGIN PERFORM public.trap('bigint to text'); RETURN '1'; END $$;
CREATE CAST (bigint AS pg_catalog.text) WITH FUNCTION public.bigint_to_text(bigint) AS ASSIGNMENT;
CREATE FUNCTION public.uuid_to_text(uuid) RETURNS pg_catalog.text
  LANGUAGE plpgsql AS $$ BEGIN PERFORM public.trap('uuid to text'); RETURN '1'; END $$;
CREATE CAST (uuid AS pg_catalog.text) WITH FUNCTION public.uuid_to_text(uuid) AS ASSIGNMENT;
CREATE FUNCTION public.smallint_to_bytea(smallint) RETURNS bytea
  LANGUAGE plpgsql AS $$ BEGIN PERFORM public.trap('smallint to bytea'); RETURN '\x'; END $$;
DO $$ BEGIN CREATE CAST (smallint AS bytea) WITH FUNCTION public.smallint_to_bytea(smallint) AS IMPLICIT; EXCEPTION
  WHEN duplicate_object THEN NULL; END $$;

SELECT count(backup_codes_grant(d, 'regress_attacker')) AS duties FROM unnest('{issuer,verifier,registrar}'::text[]) AS d;
SELECT * FROM captured WHERE by_whom <> 'regress_attacker';

-- The victim, whose codes the attacker must neither see nor change.
SELECT code AS victim FROM backup_codes_generate('victim'::pg_catalog.text) AS code LIMIT 1 \gset

-- The attacker's session: his temporary tables, functions, operators and types before everything else.
SET SESSION AUTHORIZATION regress_attacker;
CREATE TEMPORARY TABLE account (LIKE captured);
CREATE TEMPORARY TABLE code (user_id pg_catalog.text, code_hash bytea, set_no int, ordinal smallint);
CREATE TEMPORARY TABLE event (user_id pg_catalog.text);
CREATE TEMPORARY TABLE pending_set (user_id pg_catalog.text);
CREATE TEMPORARY VIEW taken AS SELECT 1 AS set_no;
CREATE FUNCTION pg_temp.clock_timestamp() RETURNS pg_catalog.timestamptz LANGUAGE plpgsql AS $$ BEGIN PERFORM public.trap('temp clock'); RETURN 'epoch'; END $$;
CREATE FUNCTION pg_temp.int2send(smallint) RETURNS bytea LANGUAGE plpgsql AS $$ BEGIN PERFORM public.trap('temp int2send'); RETURN '\x0000'; END $$;
CREATE FUNCTION pg_temp.duty_privileges() RETURNS SETOF pg_catalog.text LANGUAGE plpgsql AS $$ BEGIN PERFORM public.trap('duty'); RETURN NEXT 'ALL ON SCHEMA backup_codes'; END $$;
CREATE FUNCTION pg_temp.change_privileges(pg_catalog._text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM public.trap('change'); END $$;
CREATE FUNCTION pg_temp.backup_codes_consume(user_id pg_catalog.text, code pg_catalog.text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN PERFORM public.trap('consume'); RETURN true; END $$;
CREATE FUNCTION pg_temp.temp_equal(pg_catalog.text, pg_catalog.text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN PERFORM public.trap('temp ='); RETURN true; END $$;
CREATE OPERATOR pg_temp.= (FUNCTION = pg_temp.temp_equal, LEFTARG = pg_catalog.text, RIGHTARG = pg_catalog.text);
CREATE TYPE public.key AS (id int);
CREATE FUNCTION public.key_to_text(public.key) RETURNS pg_catalog.text
  LANGUAGE plpgsql AS $$ BEGIN PERFORM public.trap('key to text'); RETURN 'victim'; END $$;
CREATE CAST (public.key AS pg_catalog.text) WITH FUNCTION public.key_to_text(public.key) AS IMPLICIT;
SET search_path = pg_temp, public, pg_catalog;

-- A function of the same name in pg_temp is not found, even so.
SELECT code AS one FROM backup_codes_generate(42) AS code LIMIT 1 \gset
SELECT backup_codes_consume(42, :'one'), backup_codes_consume(42, :'one');
SELECT remaining FROM backup_codes_status(42::bigint);
SELECT backup_codes_remaining('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid);
SELECT pg_catalog.count(*) FROM backup_codes_prepare('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid);
SELECT backup_codes_confirm('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid);
SELECT backup_codes_remaining('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::pg_catalog.text);
SELECT status FROM backup_codes_attempt(42::bigint, :'one'::pg_catalog.text);
SELECT backup_codes_cancel(42), backup_codes_disable(42);
-- His type's cast runs, as him, before the function is entered.
SELECT backup_codes_remaining(ROW(1)::public.key);
-- The trigger, with a column of every kind, on a table of his own.
CREATE TABLE users (id bigint, u uuid, t pg_catalog.text);
CREATE TRIGGER forget AFTER DELETE ON users FOR EACH ROW EXECUTE FUNCTION backup_codes_forget_user('u', 'id', 't');
INSERT INTO users VALUES (42, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'x');
DELETE FROM users;
\set VERBOSITY sqlstate
SELECT backup_codes_purge('1 day', false, 10);
SELECT backup_codes_grant('operator', 'regress_attacker');
\set VERBOSITY default
RESET search_path;
RESET SESSION AUTHORIZATION;

-- The operator's functions, called by a superuser with the attacker's path.
SET search_path = public, pg_catalog;
SELECT backup_codes_purge('1 day', false, 10), backup_codes_revoke_all('-infinity', 10);
SELECT backup_codes_grant('auditor', 'regress_attacker'), backup_codes_revoke('auditor', 'regress_attacker');
RESET search_path;

-- Nothing ran as the owner; what ran, ran as the attacker.
SELECT DISTINCT * FROM captured WHERE by_whom OPERATOR(pg_catalog.<>) 'regress_attacker'::name;
SELECT DISTINCT what FROM captured WHERE what OPERATOR(pg_catalog.=) 'key to text'
  OR by_whom OPERATOR(pg_catalog.<>) 'regress_attacker'::name;
-- Nor was anything written into his tables, or anything of the victim's changed.
SELECT backup_codes_consume('victim'::pg_catalog.text, :'victim'), (SELECT pg_catalog.count(*) FROM public.pg_depend) AS rows;
SELECT user_id, set_no FROM backup_codes.account ORDER BY user_id COLLATE "C";

-- Every definer function has this path and no other setting.
SELECT DISTINCT proconfig, prosecdef FROM pg_catalog.pg_proc WHERE proname LIKE 'backup\_codes\_%' AND prosecdef;
SELECT proname, proconfig FROM pg_catalog.pg_proc WHERE (proname LIKE 'backup\_codes\_%' OR pronamespace OPERATOR(pg_catalog.=) 'backup_codes'::regnamespace) AND NOT prosecdef AND prolang <> 0 AND pronamespace <> pg_my_temp_schema() ORDER BY 1;

SET client_min_messages = warning;
DROP EXTENSION backup_codes CASCADE;
DROP OWNED BY regress_attacker CASCADE;
DROP ROLE regress_attacker;
