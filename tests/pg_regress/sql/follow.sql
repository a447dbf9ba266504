-- Codes follow the user: whatever a statement does to rows of the users table, no code opens somebody else, and nobody who still
-- exists loses codes.
CREATE EXTENSION backup_codes;
CREATE EXTENSION citext;
CREATE ROLE regress_owner;
GRANT CREATE ON SCHEMA public TO regress_owner;
CREATE DOMAIN number AS bigint CHECK (VALUE <> 666);
CREATE DOMAIN handle AS citext;
CREATE DOMAIN nickname AS handle NOT NULL;

-- A key of a type. 5 and 6 are 1 and 2 in another case, where there is such a thing.
CREATE FUNCTION key_of(id_type text, n integer) RETURNS text IMMUTABLE LANGUAGE sql AS $$
  SELECT quote_literal(CASE WHEN id_type = 'uuid' THEN 'c0ffee00-0000-0000-0000-00000000000' || n
                            WHEN id_type IN ('bigint', 'integer', 'smallint', 'number') THEN n::text
                            WHEN n IN (5, 6) THEN 'ulla:' || (n - 4)
                            ELSE 'Ulla:' || n END)
$$;

-- Who a row is, whatever its key: the codes of a set are told by its salt.
CREATE TABLE enrolled (who integer PRIMARY KEY, salt bytea);

-- users: three rows, of whom 1 and 2 have codes, with a tenant in a composite key.
CREATE PROCEDURE begin_anew(id_type text, kind text) LANGUAGE plpgsql AS $$
DECLARE
  key_columns text := CASE WHEN kind = 'composite' THEN 'tenant, id' ELSE 'id' END;
  user_id text := CASE WHEN kind = 'composite' THEN 'backup_codes_user_id(tenant, id)' ELSE 'id::text' END;
BEGIN
  DROP TABLE IF EXISTS users CASCADE;
  EXECUTE format('CREATE TABLE users (who integer, tenant text DEFAULT ''a:b'', region text DEFAULT ''eu'', id %s, note text) %s',
                 id_type, CASE WHEN kind LIKE 'partitioned%' THEN 'PARTITION BY LIST (region)' END);
  IF kind LIKE 'partitioned%' THEN
    -- Columns of a partition can stand in another order.
    EXECUTE format('CREATE TABLE users_eu (id %s, note text, region text, tenant text, who integer)', id_type);
    ALTER TABLE users ATTACH PARTITION users_eu FOR VALUES IN ('eu');
    CREATE TABLE users_us PARTITION OF users FOR VALUES IN ('us') PARTITION BY LIST (region);
    CREATE TABLE users_us_1 PARTITION OF users_us FOR VALUES IN ('us');
    key_columns := 'region, ' || key_columns;
  END IF;
  IF kind = 'partitioned, force rls' THEN
    ALTER TABLE users OWNER TO regress_owner;
    ALTER TABLE users_eu OWNER TO regress_owner;
    ALTER TABLE users_us OWNER TO regress_owner;
    ALTER TABLE users_us_1 OWNER TO regress_owner;
    ALTER TABLE users ENABLE ROW LEVEL SECURITY;
    ALTER TABLE users FORCE ROW LEVEL SECURITY;
    CREATE POLICY nobody ON users USING (false);
  END IF;
  EXECUTE format('ALTER TABLE users ADD UNIQUE (%s) DEFERRABLE', key_columns);
  EXECUTE format('CREATE VIEW keyed AS SELECT who, %s AS user_id FROM users', user_id);
  EXECUTE format('CREATE TRIGGER follow AFTER DELETE OR UPDATE ON users FOR EACH ROW EXECUTE FUNCTION backup_codes_forget_user(%s)',
                 CASE WHEN kind = 'composite' THEN '''tenant'', ''id''' ELSE '''id''' END);
  EXECUTE format('CREATE TRIGGER follow_truncate BEFORE TRUNCATE ON users EXECUTE FUNCTION backup_codes_forget_user(%s)',
                 CASE WHEN kind = 'composite' THEN '''tenant'', ''id''' ELSE '''id''' END);
  EXECUTE format('INSERT INTO users (who, id) VALUES (1, %s), (2, %s), (3, %s)', key_of(id_type, 1), key_of(id_type, 2), key_of(id_type, 3));
  DELETE FROM backup_codes.account;
  DELETE FROM backup_codes.code;
  DELETE FROM backup_codes.event;
  DELETE FROM enrolled;
  PERFORM count(*) FROM keyed, backup_codes_generate(keyed.user_id, 2) WHERE who IN (1, 2);
  INSERT INTO enrolled SELECT k.who, a.salt FROM keyed AS k JOIN backup_codes.account AS a USING (user_id);
END
$$;

-- lost: users who exist and have not got their own codes. foreign: keys with codes, or anything else, of somebody who has not got
-- that key. Both must be empty, whatever was done.
CREATE FUNCTION wrong() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  lost integer[];
  foreign_ text[];
BEGIN
  SELECT array_agg(e.who ORDER BY e.who) INTO lost
    FROM enrolled AS e JOIN keyed AS k USING (who) LEFT JOIN backup_codes.account AS a USING (user_id)
   WHERE a.salt IS DISTINCT FROM e.salt
      OR (SELECT count(*) FROM backup_codes.code AS c WHERE c.user_id = k.user_id AND c.set_no = a.set_no) <> a.unused;
  SELECT array_agg(s.user_id ORDER BY s.user_id) INTO foreign_
    FROM (SELECT user_id FROM backup_codes.account UNION SELECT user_id FROM backup_codes.code
           UNION SELECT user_id FROM backup_codes.event UNION SELECT user_id FROM backup_codes.pending_set) AS s
    LEFT JOIN backup_codes.account AS a USING (user_id)
   WHERE NOT EXISTS (SELECT FROM keyed AS k LEFT JOIN enrolled AS e USING (who)
                      WHERE k.user_id = s.user_id AND e.salt IS NOT DISTINCT FROM a.salt);
  RETURN concat_ws(' ', 'lost ' || lost::text, 'foreign ' || foreign_::text);
END
$$;

-- Statements; {1} is the key of the first user.
CREATE TABLE act (n serial, what text, statements text, kinds text DEFAULT '%');
INSERT INTO act (what, statements, kinds) VALUES
  ('an update of something else', 'UPDATE users SET note = ''x''', '%'),
  ('an update to the same key', 'UPDATE users SET id = id', '%'),
  ('delete', 'DELETE FROM users WHERE id = {1}', '%'),
  ('delete everybody', 'DELETE FROM users', '%'),
  ('truncate', 'TRUNCATE users', '%'),
  ('truncate and make again', 'TRUNCATE users; INSERT INTO users (who, id) VALUES (11, {1})', '%'),
  ('delete and make again', 'DELETE FROM users WHERE id = {1}; INSERT INTO users (who, id) VALUES (11, {1})', '%'),
  ('delete and make again at once', 'WITH gone AS (DELETE FROM users WHERE id = {1} RETURNING id)
    INSERT INTO users (who, id) SELECT 11, id FROM gone', '%'),
  ('rename', 'UPDATE users SET id = {4} WHERE id = {1}', '%'),
  ('rename to another case', 'UPDATE users SET id = {5} WHERE id = {1}', '%'),
  ('rename, and the key is taken by a newcomer', 'UPDATE users SET id = {4} WHERE id = {1}; INSERT INTO users (who, id) VALUES (11, {1})', '%'),
  ('rename there and back', 'UPDATE users SET id = {4} WHERE id = {1}; UPDATE users SET id = {1} WHERE id = {4}', '%'),
  ('rename two at once', 'UPDATE users SET id = CASE who WHEN 1 THEN {8}::regtypes ELSE {9}::regtypes END WHERE who IN (1, 2)', '%'),
  ('rename to the key of one without codes who left', 'DELETE FROM users WHERE id = {3}; UPDATE users SET id = {3} WHERE id = {1}', '%'),
  ('rename to the key of one who left', 'DELETE FROM users WHERE id = {2}; UPDATE users SET id = {2} WHERE id = {1}', '%'),
  ('swap through a free key', 'UPDATE users SET id = {9} WHERE id = {1}; UPDATE users SET id = {1} WHERE id = {2};
    UPDATE users SET id = {2} WHERE id = {9}', '%'),
  ('swap at once', 'UPDATE users SET id = CASE who WHEN 1 THEN {2}::regtypes ELSE {1}::regtypes END WHERE who IN (1, 2)', '%'),
  ('swap with one without codes at once', 'UPDATE users SET id = CASE who WHEN 1 THEN {3}::regtypes ELSE {1}::regtypes END WHERE who IN (1, 3)', '%'),
  ('three in a circle, one with codes', 'DELETE FROM users WHERE who = 2; INSERT INTO users (who, id) VALUES (22, {2});
    UPDATE users SET id = CASE who WHEN 1 THEN {2}::regtypes WHEN 22 THEN {3}::regtypes ELSE {1}::regtypes END', '%'),
  ('three in a circle, the other way', 'DELETE FROM users WHERE who = 2; INSERT INTO users (who, id) VALUES (22, {2});
    UPDATE users SET id = CASE who WHEN 1 THEN {3}::regtypes WHEN 22 THEN {1}::regtypes ELSE {2}::regtypes END', '%'),
  ('rename to a key whose row is deleted at once', 'MERGE INTO users AS u USING (VALUES (1), (3)) AS v (who) ON u.who = v.who
    WHEN MATCHED AND u.who = 3 THEN DELETE WHEN MATCHED THEN UPDATE SET id = {3}', '%'),
  ('rename to a key whose owner of codes is deleted at once', 'MERGE INTO users AS u USING (VALUES (1), (2)) AS v (who) ON u.who = v.who
    WHEN MATCHED AND u.who = 2 THEN DELETE WHEN MATCHED THEN UPDATE SET id = {2}', '%'),
  ('upsert that renames', 'INSERT INTO users (who, id) VALUES (1, {4}) ON CONFLICT (who) DO UPDATE SET id = excluded.id', 'plain'),
  ('rename to NULL', 'UPDATE users SET id = NULL WHERE id = {1}', 'plain'),
  ('rename in a savepoint that is rolled back', 'DO $b$ BEGIN UPDATE users SET id = {4} WHERE id = {1}; RAISE division_by_zero;
    EXCEPTION WHEN division_by_zero THEN NULL; END $b$', '%'),
  ('rename and delete after one that was rolled back', 'DO $b$ BEGIN UPDATE users SET id = {4} WHERE id = {1}; RAISE division_by_zero;
    EXCEPTION WHEN division_by_zero THEN NULL; END $b$; UPDATE users SET id = {4} WHERE id = {2}; DELETE FROM users WHERE id = {4}', '%'),
  ('a set made while the row is deleted', 'WITH gone AS (DELETE FROM users WHERE id = {1} RETURNING {user_id} AS u)
    SELECT count(*) FROM gone, backup_codes_generate(u, 1)', '%'),
  ('move to another partition', 'UPDATE users SET region = ''us'' WHERE id = {1}', 'partitioned%'),
  ('move there and back', 'UPDATE users SET region = ''us'' WHERE id = {1}; UPDATE users SET region = ''eu'' WHERE id = {1}', 'partitioned%'),
  ('move, then rename', 'UPDATE users SET region = ''us''; UPDATE users SET id = {4} WHERE id = {1}', 'partitioned%'),
  ('move, then delete', 'UPDATE users SET region = ''us''; DELETE FROM users WHERE id = {1}', 'partitioned%'),
  ('move, then truncate', 'UPDATE users SET region = ''us'' WHERE id = {1}; TRUNCATE users', 'partitioned%'),
  ('rename_user, then a move to another key', 'SELECT backup_codes_rename_user({1}::text, {4}::text);
    UPDATE users SET region = ''us'', id = {4} WHERE id = {1}', 'partitioned%'),
  ('delete and make again in another partition at once', 'WITH gone AS (DELETE FROM users WHERE id = {1} RETURNING id)
    INSERT INTO users (who, region, id) SELECT 11, ''us'', id FROM gone', 'partitioned%');

CREATE FUNCTION done(id_type text, kind text, statements text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  state text := 'done';
BEGIN
  CALL begin_anew(id_type, kind);
  IF kind = 'plain' THEN
    ALTER TABLE users ADD UNIQUE (who);
  END IF;
  FOR n IN 1 .. 9 LOOP
    statements := replace(statements, '{' || n || '}', key_of(id_type, n));
  END LOOP;
  statements := replace(statements, '{user_id}', CASE WHEN kind = 'composite' THEN 'backup_codes_user_id(tenant, id)' ELSE 'id::text' END);
  statements := replace(statements, 'regtypes', id_type);
  BEGIN
    EXECUTE statements;
    SET CONSTRAINTS ALL IMMEDIATE;
  EXCEPTION WHEN unique_violation THEN
    state := 'refused: ' || SQLERRM;
  END;
  SET CONSTRAINTS ALL DEFERRED;
  RETURN concat_ws(', ', state, nullif(wrong(), ''));
END
$$;
SET client_min_messages = warning;

-- What happens in each case, with a bigint and with a key of two columns.
SELECT what, done('bigint', 'plain', statements) AS "bigint",
       CASE kinds WHEN '%' THEN done('bigint', 'composite', statements) END AS composite
  FROM act WHERE kinds = '%' OR kinds = 'plain' ORDER BY n;

-- The same with a key of every type.
SELECT id_type, count(*) AS acts, count(*) FILTER (WHERE outcome <> done('bigint', 'plain', statements)) AS otherwise
  FROM unnest('{integer,smallint,uuid,text,varchar,char(12),citext,number,handle,nickname}'::text[]) WITH ORDINALITY AS t (id_type, o), act,
       done(id_type, 'plain', statements) AS outcome
 WHERE kinds IN ('%', 'plain') AND NOT (what = 'rename to NULL' AND id_type = 'nickname')
 GROUP BY id_type, o ORDER BY o;

-- A key that is empty, or too long, is nobody's: as if the row were deleted.
SELECT id_type, key, done(id_type, 'plain', format('UPDATE users SET id = %s WHERE who = 1', key)) AS outcome
  FROM (VALUES ('text'), ('varchar'), ('citext'), ('handle')) AS t (id_type),
       (VALUES (''''''), ('repeat(''x'', 256)'), ('repeat(''é'', 128)'), ('repeat(''x'', 100000)')) AS k (key);
SELECT done('char(12)', 'plain', 'UPDATE users SET id = '' '' WHERE who = 1') AS blank;

-- In a partitioned table, also where row security hides every row from its owner.
SELECT what, done('bigint', 'partitioned', statements) AS "bigint", done('citext', 'partitioned', statements) AS citext,
       done('char(12)', 'partitioned, force rls', statements) AS "char, force rls"
  FROM act WHERE kinds LIKE 'partitioned%' ORDER BY n;
SELECT id_type, kind, count(*) AS acts, count(*) FILTER (WHERE outcome <> done('bigint', 'plain', statements)) AS otherwise
  FROM (VALUES (1, 'bigint'), (2, 'uuid'), (3, 'nickname'), (4, 'varchar')) AS t (o, id_type),
       (VALUES ('partitioned'), ('partitioned, force rls')) AS k (kind), act, done(id_type, kind, statements) AS outcome
 WHERE kinds = '%' GROUP BY id_type, kind, o ORDER BY o, kind;

-- In one transaction, or in two, and rolled back.
CALL begin_anew('bigint', 'plain');
BEGIN;
UPDATE users SET id = 4 WHERE id = 1;
INSERT INTO users (who, id) VALUES (11, 1);
SELECT wrong();
ROLLBACK;
SELECT wrong();
DELETE FROM users WHERE id = 1;
INSERT INTO users (who, id) VALUES (11, 1);
UPDATE users SET id = 5 WHERE id = 2;
INSERT INTO users (who, id) VALUES (12, 2);
SELECT wrong();

-- A key that other things change: a BEFORE trigger, a foreign key, another AFTER trigger.
CREATE FUNCTION shifted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.id := NEW.id + 1; RETURN NEW; END';
CREATE TRIGGER shift BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION shifted();
UPDATE users SET note = 'x' WHERE who = 2;
SELECT id, wrong() FROM users WHERE who = 2;
DROP TRIGGER shift ON users;
CREATE TABLE identity (id bigint PRIMARY KEY);
INSERT INTO identity SELECT id FROM users;
ALTER TABLE users ADD FOREIGN KEY (id) REFERENCES identity ON UPDATE CASCADE ON DELETE CASCADE;
UPDATE identity SET id = 60 WHERE id = 6;
SELECT id, wrong() FROM users WHERE who = 2;
DELETE FROM identity WHERE id = 60;
SELECT count(*), wrong() FROM users WHERE who = 2;
CALL begin_anew('bigint', 'plain');
CREATE FUNCTION goes_on() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE users SET note = 'x' WHERE id = NEW.id AND note IS NULL;
  IF NEW.id IN (4, 5) THEN UPDATE users SET id = NEW.id + 1 WHERE id = NEW.id; END IF;
  IF NEW.id = 7 THEN DELETE FROM users WHERE id = 7; END IF;
  IF NEW.id = 8 THEN UPDATE users SET id = 1 WHERE id = 8; END IF;
  RETURN NULL;
END
$$;
CREATE TRIGGER aaa_before_ours AFTER UPDATE ON users FOR EACH ROW EXECUTE FUNCTION goes_on();
UPDATE users SET id = 4 WHERE id = 1;
SELECT id, wrong() FROM users WHERE who = 1;
UPDATE users SET id = 7 WHERE id = 2;
SELECT count(*), wrong() FROM users WHERE who = 2;
CALL begin_anew('bigint', 'plain');
CREATE TRIGGER aaa_before_ours AFTER UPDATE ON users FOR EACH ROW EXECUTE FUNCTION goes_on();
UPDATE users SET id = 8 WHERE id = 1;
SELECT id, wrong() FROM users WHERE who = 1;
ALTER TRIGGER aaa_before_ours ON users RENAME TO zzz_after_ours;
UPDATE users SET id = 8 WHERE id = 1;
SELECT id, wrong() FROM users WHERE who = 1;
UPDATE users SET id = 4 WHERE id = 1;
SELECT id, wrong() FROM users WHERE who = 1;

-- Soft deletes: the trigger is for those who are alive, and a purge of dead rows takes nobody's codes.
CREATE TABLE person (id bigint, deleted_at timestamptz);
CREATE UNIQUE INDEX ON person (id) WHERE deleted_at IS NULL;
CREATE TRIGGER follow AFTER DELETE OR UPDATE ON person FOR EACH ROW WHEN (OLD.deleted_at IS NULL)
  EXECUTE FUNCTION backup_codes_forget_user('id');
INSERT INTO person VALUES (100);
SELECT count(*) FROM backup_codes_generate(100);
UPDATE person SET deleted_at = now() WHERE id = 100;
SELECT backup_codes_forget_user(100);
INSERT INTO person VALUES (100);
SELECT count(*) FROM backup_codes_generate(100);
DELETE FROM person WHERE deleted_at IS NOT NULL;
SELECT backup_codes_remaining(100);
UPDATE person SET id = 101;
SELECT backup_codes_remaining(100) AS old_key, backup_codes_remaining(101) AS new_key;
DELETE FROM person;
SELECT backup_codes_remaining(101);

-- The look at a partitioned table runs as its owner, and for nobody who has nothing here.
-- What it does to settings is undone, so a sequence tells of it.
CREATE SEQUENCE evaluated_as_regress_owner;
ALTER SEQUENCE evaluated_as_regress_owner OWNER TO regress_owner;
CREATE FUNCTION told(text) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
  IF current_user = 'regress_owner' THEN
    PERFORM nextval('public.evaluated_as_regress_owner');
  END IF;
  RETURN true;
END
$$;
CALL begin_anew('bigint', 'partitioned, force rls');
SET ROLE regress_owner;
ALTER TABLE users ADD CONSTRAINT evaluated CHECK (told('x'));
RESET ROLE;
SET constraint_exclusion = on;
ALTER SEQUENCE evaluated_as_regress_owner RESTART;
UPDATE users SET region = 'us' WHERE who = 3;
SELECT is_called AS nothing_here FROM evaluated_as_regress_owner;
UPDATE users SET region = 'us' WHERE who = 1;
SELECT is_called AS something_here FROM evaluated_as_regress_owner;
SELECT wrong();
RESET constraint_exclusion;

DROP TABLE users, person, identity CASCADE;
DROP SEQUENCE evaluated_as_regress_owner;
REVOKE CREATE ON SCHEMA public FROM regress_owner;
DROP ROLE regress_owner;
