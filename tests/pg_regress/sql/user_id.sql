-- user_id: the key of several parts, as the trigger makes it of several columns.
CREATE EXTENSION backup_codes;
CREATE EXTENSION citext;
CREATE DOMAIN tenant AS citext;
SELECT backup_codes_user_id('acme', '42') AS untyped, backup_codes_user_id('acme'::text, '42'::text) AS text,
       backup_codes_user_id('acme', 42) AS mixed, backup_codes_user_id(7::smallint, 42::bigint) AS numbers,
       backup_codes_user_id('Acme'::citext, 'a '::char(5)) AS citext, backup_codes_user_id('Acme'::tenant, 'a '::varchar) AS domain,
       backup_codes_user_id('A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'::uuid, 1) AS uuid;
SELECT backup_codes_user_id(VARIADIC ARRAY['a', 'b', 'c']) AS three, backup_codes_user_id('', '') AS empty, backup_codes_user_id('', 'x', '') AS ends;
PREPARE pair AS SELECT backup_codes_user_id($1, $2);
EXECUTE pair('a', 'b');

-- A colon or a backslash in a part makes nobody else's id.
SELECT backup_codes_user_id('a:b', 'c') AS left, backup_codes_user_id('a', 'b:c') AS right, backup_codes_user_id('a\', 'b') AS escape,
       backup_codes_user_id('a\:b', 'c') AS both;
SELECT count(*) AS keys, count(DISTINCT backup_codes_user_id(a, b)) AS ids, count(DISTINCT backup_codes_user_id(a::varchar, b::varchar)) AS by_any
  FROM unnest('{"",a,:,\\,a:,:a,\\:,a\\,::,\\\\,":\\","a:\\"}'::text[]) AS a, unnest('{"",a,:,\\,a:,:a,\\:,a\\,::,\\\\,":\\","a:\\"}'::text[]) AS b;

-- NULL where there is no user: a part is NULL, or all are longer than an id.
SELECT backup_codes_user_id('a', NULL) IS NULL AS untyped, backup_codes_user_id(NULL::bigint, 1) IS NULL AS number,
       backup_codes_user_id(VARIADIC NULL::text[]) IS NULL AS array, backup_codes_user_id(repeat('x', 253), 'y') IS NULL AS longest,
       backup_codes_user_id(repeat('x', 254), 'y') IS NULL AS longer, backup_codes_user_id(repeat(':', 127), '') IS NULL AS escaped,
       backup_codes_user_id(repeat('x', 10000000), 'y') IS NULL AS huge, backup_codes_user_id(repeat('x', 10000000)::varchar, 1) IS NULL AS any;
SELECT backup_codes_consume(backup_codes_user_id('a', NULL), 'x') AS consume;

-- Fewer than two parts, and types that are no key.
SELECT backup_codes_user_id('a');
SELECT backup_codes_user_id(1);
SELECT backup_codes_user_id(VARIADIC '{}'::text[]);
SELECT backup_codes_user_id();
SELECT backup_codes_user_id('a', 1.5);
SELECT backup_codes_user_id(1, ARRAY[1, 2]);
SELECT backup_codes_user_id(VARIADIC ARRAY[1, 2]);
SELECT backup_codes_user_id(ROW(1), 1);
SELECT backup_codes_user_id(true, 1);
-- Nothing of a type is run.
CREATE FUNCTION trap(text) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'ran'; RETURN true; END $$;
CREATE DOMAIN trapped AS text;
CREATE TABLE t (a trapped, b integer);
INSERT INTO t VALUES ('x', 1);
ALTER DOMAIN trapped ADD CHECK (trap(VALUE)) NOT VALID;
SELECT backup_codes_user_id(a, b) FROM t;

-- It is what the trigger makes of the columns.
CREATE TABLE member (org citext, number smallint, who varchar(10), PRIMARY KEY (org, number, who));
CREATE TRIGGER follow AFTER DELETE OR UPDATE ON member FOR EACH ROW EXECUTE FUNCTION backup_codes_forget_user('org', 'number', 'who');
INSERT INTO member VALUES ('A:cme', 7, 'x\'), ('A', 7, 'cme:x\');
SELECT count(*) FROM member, backup_codes_generate(backup_codes_user_id(org, number, who), 2);
DELETE FROM member WHERE org = 'A:cme';
SELECT user_id FROM backup_codes.account;

-- An index can hold it.
CREATE INDEX ON member (backup_codes_user_id(org, number, who));
SELECT provolatile, proparallel, prosecdef, proconfig FROM pg_proc WHERE proname = 'backup_codes_user_id';
