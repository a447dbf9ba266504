-- forget_user: with the row of the application's users table go account, codes and events. What else happens to rows: follow.sql.
CREATE EXTENSION backup_codes;
CREATE VIEW rows AS
  SELECT user_id, 'account' AS source FROM backup_codes.account UNION ALL SELECT user_id, 'code' FROM backup_codes.code
  UNION ALL SELECT user_id, 'event' FROM backup_codes.event UNION ALL SELECT user_id, 'pending_set' FROM backup_codes.pending_set;

-- The usual case.
CREATE TABLE users (id bigint PRIMARY KEY, email text);
CREATE TRIGGER forget AFTER DELETE ON users FOR EACH ROW EXECUTE FUNCTION backup_codes_forget_user('id');
INSERT INTO users SELECT n, 'user' || n FROM generate_series(1, 5) AS n;
SELECT count(*) FROM users, backup_codes_generate(id, 3);
SELECT count(*) FROM backup_codes_prepare(2, 3);
SELECT source, count(*) FROM rows WHERE user_id = '2' GROUP BY source ORDER BY source;
DELETE FROM users WHERE id = 2;
SELECT source, count(*) FROM rows WHERE user_id = '2' GROUP BY source ORDER BY source;
SELECT user_id, count(*) FROM rows GROUP BY user_id ORDER BY user_id;
DELETE FROM users WHERE id > 3;
SELECT user_id, count(*) FROM rows GROUP BY user_id ORDER BY user_id;
-- Somebody without codes is deleted all the same.
INSERT INTO users VALUES (99);
DELETE FROM users WHERE id = 99;
-- By hand: whether there was anything.
SELECT backup_codes_forget_user(3) AS bigint, backup_codes_forget_user('3') AS again, backup_codes_forget_user('nobody') AS nobody,
       backup_codes_forget_user('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid) AS uuid;
SELECT user_id, count(*) FROM rows GROUP BY user_id ORDER BY user_id;
-- Events alone are something, and so is a pending set, or the account of a set that was disabled.
SELECT count(*) FROM backup_codes_prepare(70, 2);
SELECT count(*), backup_codes_disable(71) FROM backup_codes_generate(71, 2);
SELECT count(*), backup_codes_disable(72) FROM backup_codes_generate(72, 2);
DELETE FROM backup_codes.account WHERE user_id = '72';
SELECT u, backup_codes_forget_user(u), backup_codes_forget_user(u) FROM unnest('{70,71,72}'::text[]) AS u;
-- Rolled back with the DELETE.
BEGIN;
DELETE FROM users WHERE id = 1;
SELECT backup_codes_remaining(1);
ROLLBACK;
SELECT backup_codes_remaining(1);

-- Every allowed type, and nothing else of the row is read.
CREATE TABLE keys (i2 smallint, i4 integer, i8 bigint, u uuid, t text, v varchar(300), c char(6), other json);
CREATE FUNCTION forgets(id text, VARIADIC columns text[]) RETURNS TABLE (id_ text, before bigint, after bigint) LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('CREATE TRIGGER forget AFTER DELETE ON keys FOR EACH ROW EXECUTE FUNCTION backup_codes_forget_user(%s)',
                 (SELECT string_agg(quote_literal(c), ', ') FROM unnest(columns) AS c));
  INSERT INTO keys VALUES (-2, 4, 9223372036854775807, 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', 'Käthe ', 'v' || E'\t', 'ab c', '{}');
  PERFORM backup_codes_generate(id), backup_codes_generate('bystander');
  SELECT count(*) INTO before FROM backup_codes.account WHERE user_id = id;
  DELETE FROM keys;
  SELECT count(*) INTO after FROM backup_codes.account WHERE user_id = id;
  DROP TRIGGER forget ON keys;
  id_ := id;
  IF (SELECT count(*) FROM backup_codes.account WHERE user_id = 'bystander') <> 1 THEN RAISE EXCEPTION 'bystander forgotten'; END IF;
  RETURN NEXT;
END
$$;
SELECT * FROM forgets('-2', 'i2');
SELECT * FROM forgets('4', 'i4');
SELECT * FROM forgets('9223372036854775807', 'i8');
SELECT * FROM forgets('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'u');
SELECT * FROM forgets('Käthe ', 't');
SELECT * FROM forgets(E'v\t', 'v');
-- char(n) without its padding, as its cast to text has it.
SELECT * FROM forgets('ab c', 'c');
-- Several columns are joined as by backup_codes_user_id, in the order of the trigger.
SELECT * FROM forgets('4:Käthe ', 'i4', 't');
SELECT * FROM forgets('Käthe :4', 't', 'i4');
SELECT * FROM forgets('-2:4:9223372036854775807:a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11:Käthe :v' || E'\t' || ':ab c', 'i2', 'i4', 'i8', 'u', 't', 'v', 'c');
SELECT * FROM forgets('4:4', 'i4', 'i4');

-- Only blanks are padding: a character(n) that ends in other white space is another user.
CREATE TABLE padded (id char(4));
CREATE TRIGGER forget AFTER DELETE ON padded FOR EACH ROW EXECUTE FUNCTION backup_codes_forget_user('id');
INSERT INTO padded VALUES (E'ab\t'), (E'cd\n');
SELECT count(*) FROM padded, backup_codes_generate(id::text, 1);
SELECT count(*) FROM unnest('{ab,cd}'::text[]) AS u, backup_codes_generate(u, 1);
DELETE FROM padded;
SELECT backup_codes_remaining('ab') AS ab, backup_codes_remaining(E'ab\t') AS ab_tab, backup_codes_remaining('cd') AS cd, backup_codes_remaining(E'cd\n') AS cd_newline;

-- Keys that are no user id are skipped and never block the DELETE.
CREATE TABLE loose (a text, b text);
CREATE TRIGGER forget AFTER DELETE ON loose FOR EACH ROW EXECUTE FUNCTION backup_codes_forget_user('a', 'b');
INSERT INTO loose VALUES (NULL, 'x'), ('x', NULL), (NULL, NULL), (repeat('x', 254), 'y'), (repeat('x', 100000), 'y'), (repeat('é', 127), 'y'), ('', '');
SELECT count(*) FROM backup_codes_generate(repeat('x', 253) || ':y', 1);
SELECT count(*) FROM backup_codes_generate('x', 1);
DELETE FROM loose;
SELECT count(*) FROM loose;
SELECT backup_codes_remaining(repeat('x', 253) || ':y') AS longest, backup_codes_remaining('x') AS x;
INSERT INTO loose VALUES (repeat('x', 253), 'y');
DELETE FROM loose;
SELECT backup_codes_remaining(repeat('x', 253) || ':y') AS longest;
CREATE TABLE single (a text);
CREATE TRIGGER forget AFTER DELETE ON single FOR EACH ROW EXECUTE FUNCTION backup_codes_forget_user('a');
INSERT INTO single VALUES (NULL), (''), (repeat('x', 256)), (repeat('é', 128));
DELETE FROM single;
SELECT count(*) FROM single;

-- ON DELETE CASCADE, partitions with columns in another order, dropped columns, quoted names, a stored key in TOAST's reach.
CREATE TABLE "Org s" (id int PRIMARY KEY);
CREATE TABLE "Mem bers" (gone int, org int REFERENCES "Org s" ON DELETE CASCADE, "User ""Id""" text, pad text) PARTITION BY LIST (org);
ALTER TABLE "Mem bers" DROP COLUMN gone;
CREATE TABLE part (pad text, "User ""Id""" text, org int);
ALTER TABLE "Mem bers" ATTACH PARTITION part FOR VALUES IN (1);
CREATE TRIGGER forget AFTER DELETE ON "Mem bers" FOR EACH ROW EXECUTE FUNCTION backup_codes_forget_user('org', 'User "Id"');
INSERT INTO "Org s" VALUES (1);
INSERT INTO "Mem bers" VALUES (1, 'ann', repeat('x', 100000));
SELECT count(*) FROM backup_codes_generate('1:ann', 1);
DELETE FROM "Org s";
SELECT backup_codes_remaining('1:ann');

-- Wrong triggers: each is refused at its first row, with what to do about it.
CREATE TABLE t (id bigint, n numeric, j jsonb, b bytea, a bigint[], d date, "char" "char", nm name, f float8);
CREATE FUNCTION refusal(statement text) RETURNS TABLE (state text, message text, hint text) LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE statement;
  state := 'none';
  RETURN NEXT;
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
  RETURN NEXT;
END
$$;
CREATE FUNCTION trial(timing text, arguments text, statement text) RETURNS TABLE (state text, message text, hint text) LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE 'TRUNCATE t';
  INSERT INTO t (id) VALUES (42);
  RETURN QUERY SELECT * FROM refusal(format('CREATE TRIGGER bad %s EXECUTE FUNCTION backup_codes_forget_user(%s); %s; DROP TRIGGER bad ON t', timing, arguments, statement));
END
$$;
\x on
SELECT timing, r.* FROM (VALUES (1, 'BEFORE DELETE ON t FOR EACH ROW', 'DELETE FROM t'), (2, 'AFTER DELETE ON t FOR EACH STATEMENT', 'DELETE FROM t'),
    (3, 'AFTER INSERT ON t FOR EACH ROW', 'INSERT INTO t (id) VALUES (1)'), (4, 'BEFORE UPDATE ON t FOR EACH ROW', 'UPDATE t SET id = 1'),
    (5, 'AFTER TRUNCATE ON t', 'TRUNCATE t'), (6, 'BEFORE DELETE OR UPDATE ON t FOR EACH STATEMENT', 'UPDATE t SET id = 1')) AS v (n, timing, statement), trial(timing, '''id''', statement) AS r ORDER BY n;
SELECT arguments, r.* FROM (VALUES (1, ''), (2, '''nowhere'''), (3, '''ID'''), (4, ''''''), (5, '''id'', ''nowhere'''), (6, '''ctid'''), (7, '''tableoid''')) AS v (n, arguments),
  trial('AFTER DELETE ON t FOR EACH ROW', arguments, 'DELETE FROM t') AS r ORDER BY n;
\x off
SELECT c AS column, r.state, r.message FROM unnest('{n,j,b,a,d,char,nm,f}'::text[]) AS c, trial('AFTER DELETE ON t FOR EACH ROW', quote_literal(c), 'DELETE FROM t') AS r;
SELECT r.hint FROM trial('AFTER DELETE ON t FOR EACH ROW', '''n''', 'DELETE FROM t') AS r;
-- A deferred trigger would act when the key is somebody else's.
SELECT r.* FROM refusal('CREATE CONSTRAINT TRIGGER bad AFTER DELETE ON t DEFERRABLE FOR EACH ROW EXECUTE FUNCTION backup_codes_forget_user(''id'');
  SET CONSTRAINTS ALL IMMEDIATE; DELETE FROM t') AS r;
-- A bad column is found even behind one that is NULL.
SELECT r.state, r.message FROM trial('AFTER DELETE ON t FOR EACH ROW', '''nm'', ''id''', 'DELETE FROM t') AS r;
-- The same at an UPDATE, and at a TRUNCATE, of an empty table too.
SELECT timing, r.state, r.message FROM (VALUES ('AFTER UPDATE ON t FOR EACH ROW', 'UPDATE t SET d = NULL'), ('BEFORE TRUNCATE ON t', 'TRUNCATE t'),
  ('BEFORE TRUNCATE ON t', 'DELETE FROM t; TRUNCATE t')) AS v (timing, statement), trial(timing, '''n''', statement) AS r;
-- Only a heap tells a moved row from a deleted one.
CREATE ACCESS METHOD another TYPE TABLE HANDLER heap_tableam_handler;
CREATE TABLE elsewhere (id bigint) USING another;
CREATE TRIGGER bad AFTER DELETE OR UPDATE ON elsewhere FOR EACH ROW EXECUTE FUNCTION backup_codes_forget_user('id');
CREATE TRIGGER bad_truncate BEFORE TRUNCATE ON elsewhere EXECUTE FUNCTION backup_codes_forget_user('id');
INSERT INTO elsewhere VALUES (1);
SELECT statement, r.* FROM unnest('{DELETE FROM elsewhere,UPDATE elsewhere SET id = 2,TRUNCATE elsewhere}'::text[]) AS statement, refusal(statement) AS r;
-- On a view there is no AFTER.
CREATE VIEW v AS SELECT * FROM t;
CREATE TRIGGER bad INSTEAD OF DELETE ON v FOR EACH ROW EXECUTE FUNCTION backup_codes_forget_user('id');
SELECT r.state FROM refusal('DELETE FROM v') AS r;
-- Called as a plain function.
SELECT r.state, r.message FROM refusal('SELECT backup_codes_forget_user()') AS r;

-- Types of an attacker: a domain is read as what it is over, others are refused, and no code of theirs runs.
CREATE ROLE regress_attacker;
GRANT CREATE ON SCHEMA public TO regress_attacker;
SELECT backup_codes_grant('registrar', 'regress_attacker');
SELECT count(*) FROM backup_codes_generate('victim');
SET ROLE regress_attacker;
CREATE FUNCTION trap(text) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'ran as %', CASE current_user WHEN 'regress_attacker' THEN 'himself' ELSE 'owner' END; RETURN true; END $$;
CREATE DOMAIN key_domain AS text;
CREATE TYPE key_pair AS (a text);
CREATE TYPE key_enum AS ENUM ('victim');
CREATE FUNCTION key_text(key_pair) RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM trap('cast'); RETURN 'victim'; END $$;
CREATE CAST (key_pair AS text) WITH FUNCTION key_text(key_pair) AS IMPLICIT;
CREATE TABLE hostile (d key_domain, p key_pair, e key_enum);
INSERT INTO hostile VALUES ('victim', ROW('victim'), 'victim');
ALTER DOMAIN key_domain ADD CHECK (trap(VALUE)) NOT VALID;
SELECT r.state, r.message FROM unnest('{p,e,d}'::text[]) AS c,
  refusal(format('CREATE TRIGGER bad AFTER DELETE ON hostile FOR EACH ROW EXECUTE FUNCTION backup_codes_forget_user(%L); DELETE FROM hostile;
          DROP TRIGGER bad ON hostile', c)) AS r;
-- Without the duty registrar nobody makes such a trigger, on a temporary table neither: an issuer cannot erase what it did.
RESET ROLE;
SELECT count(*) FROM backup_codes_generate('victim');
SELECT backup_codes_revoke('registrar', 'regress_attacker');
SELECT backup_codes_grant('issuer', 'regress_attacker'), backup_codes_grant('verifier', 'regress_attacker');
SET ROLE regress_attacker;
CREATE TEMPORARY TABLE victim (id text);
CREATE TRIGGER forget AFTER DELETE ON victim FOR EACH ROW EXECUTE FUNCTION backup_codes_forget_user('id');
RESET ROLE;
SELECT backup_codes_remaining('victim');
-- Who deletes the row needs no duty: the trigger acts with the owner's rights.
GRANT SELECT, DELETE ON users TO regress_attacker;
SET ROLE regress_attacker;
DELETE FROM users WHERE id = 1;
RESET ROLE;
SELECT backup_codes_remaining(1);
DROP OWNED BY regress_attacker CASCADE;
DROP ROLE regress_attacker;
