-- Every statement about one user is an index probe, also in a session that planned while the tables were empty.
CREATE EXTENSION backup_codes;
SET backup_codes.max_failures = 100;
-- A plan gone wrong shows in the counts; it must not hold up the rest.
SET statement_timeout = '2min';
-- Counted in this session alone, since its counters were last handed over; building an index is a scan, too.
CREATE VIEW scans AS
  SELECT coalesce(sum(seq_scan), 0) AS sequential, coalesce(sum(seq_tup_read), 0) AS read FROM pg_stat_xact_all_tables
    WHERE schemaname IN ('backup_codes', 'pg_toast')
      AND (schemaname = 'backup_codes' OR relid IN (SELECT reltoastrelid FROM pg_class
        WHERE relnamespace = 'backup_codes'::regnamespace));
-- What the indexes returned, and the pages of them that were read: a whole index walked through is no probe either.
CREATE FUNCTION probed(OUT scans bigint, OUT tuples bigint, OUT pages bigint) LANGUAGE sql AS $$
  SELECT sum(pg_stat_get_xact_numscans(indexrelid)), sum(pg_stat_get_xact_tuples_returned(indexrelid)),
    sum(pg_stat_get_xact_blocks_fetched(indexrelid))
    FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indrelid WHERE c.relnamespace = 'backup_codes'::regnamespace
$$;
-- Every function of a user, and each outcome of it.
CREATE FUNCTION every_verb(u text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  codes text[];
  pending text[];
  said text := '';
BEGIN
  said := concat_ws(' ', said, backup_codes_remaining(u), (SELECT enabled FROM backup_codes_status(u)),
    backup_codes_consume(u, 'x'), backup_codes_consume(u, repeat('0', 25)), backup_codes_cancel(u), backup_codes_confirm(u),
      backup_codes_confirm(u, 'x'), backup_codes_disable(u));
  codes := ARRAY(SELECT backup_codes_generate(u));
  codes := ARRAY(SELECT backup_codes_generate(u));
  said := concat_ws(' ', said, backup_codes_consume(u, codes[1]), backup_codes_consume(u, codes[1]),
    (SELECT status FROM backup_codes_attempt(u, codes[2])), (SELECT status FROM backup_codes_attempt(u, repeat('0', 25))));
  pending := ARRAY(SELECT backup_codes_prepare(u));
  said := concat_ws(' ', said, backup_codes_confirm(u, codes[3]), backup_codes_cancel(u));
  pending := ARRAY(SELECT backup_codes_prepare(u));
  pending := ARRAY(SELECT backup_codes_prepare(u));
  said := concat_ws(' ', said, backup_codes_confirm(u, pending[1]), backup_codes_consume(u, pending[1]));
  pending := ARRAY(SELECT backup_codes_prepare(u));
  said := concat_ws(' ', said, backup_codes_confirm(u));
  codes := ARRAY(SELECT backup_codes_regenerate(u, pending[1]));
  said := concat_ws(' ', said, cardinality(codes), backup_codes_disable(u, 'x'), backup_codes_disable(u, codes[1]));
  codes := ARRAY(SELECT backup_codes_generate(u));
  said := concat_ws(' ', said, backup_codes_remaining(u), (SELECT remaining FROM backup_codes_status(u)), backup_codes_disable(u));
  codes := ARRAY(SELECT backup_codes_generate(u, 2, '1 microsecond'));
  said := concat_ws(' ', said, (SELECT status FROM backup_codes_attempt(u, codes[1])), backup_codes_remaining(u));
  RETURN said;
END
$$;
CREATE TABLE users (id text);
CREATE TRIGGER forget AFTER DELETE ON users FOR EACH ROW EXECUTE FUNCTION backup_codes_forget_user('id');

-- The session plans on empty tables: every verb for the first time.
SELECT pg_stat_force_next_flush();
BEGIN;
SELECT every_verb('first');
INSERT INTO users VALUES ('first');
DELETE FROM users;
SELECT * FROM scans;
COMMIT;
-- Thousands of users in one statement, with the plans of before and no statistics.
SELECT pg_stat_force_next_flush();
BEGIN;
SELECT count(*) FROM generate_series(1, 4000) AS u, backup_codes_generate('user ' || u) AS code;
SELECT count(*) FROM generate_series(1, 4000) AS u, backup_codes_prepare('user ' || u, 1) AS code;
SELECT * FROM scans;
COMMIT;
-- Every verb again: as many probes, however many users there are. Each index holds 4,000 entries or more; walking through one would show.
SELECT pg_stat_force_next_flush();
BEGIN;
SELECT every_verb('user 2000');
INSERT INTO users VALUES ('user 2001');
DELETE FROM users;
SELECT * FROM scans;
SELECT scans > 50 AS probed, scans < 500 AS bounded, tuples < 2000 AS narrow, pages < 1000 AS shallow FROM probed();
COMMIT;
-- A session that plans now, without and with statistics.
\c -
SET backup_codes.max_failures = 100;
SELECT pg_stat_force_next_flush();
BEGIN;
SELECT every_verb('user 3000');
SELECT * FROM scans;
SELECT scans > 50 AS probed, tuples < 2000 AS narrow, pages < 1000 AS shallow FROM probed();
COMMIT;
ANALYZE backup_codes.account, backup_codes.code, backup_codes.event, backup_codes.pending_set;
SELECT pg_stat_force_next_flush();
BEGIN;
SELECT every_verb('user 3001');
SELECT * FROM scans;
SELECT tuples < 2000 AS narrow, pages < 1000 AS shallow FROM probed();
COMMIT;
-- Whatever the session's planner settings are; and they are as before afterwards, after an error too.
SET enable_indexscan = off;
SET enable_indexonlyscan = off;
SET plan_cache_mode = force_custom_plan;
SELECT pg_stat_force_next_flush();
BEGIN;
SELECT every_verb('user 3002');
SELECT * FROM scans;
COMMIT;
RESET enable_indexscan;
RESET enable_indexonlyscan;
RESET plan_cache_mode;
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'refused'; END $$;
CREATE TRIGGER refuse BEFORE INSERT ON backup_codes.event FOR EACH ROW EXECUTE FUNCTION refuse();
\set VERBOSITY sqlstate
SELECT backup_codes_generate(42);
\set VERBOSITY default
SHOW enable_seqscan;
DROP TRIGGER refuse ON backup_codes.event;
EXPLAIN (COSTS OFF) SELECT count(*) FROM users;
-- A user with a long history costs no more.
SET backup_codes.notify = off;
SELECT count(*) FROM generate_series(1, 500) AS n, backup_codes_generate('user 4000', 1);
SELECT pg_stat_force_next_flush();
BEGIN;
SELECT backup_codes_remaining('user 4000'), backup_codes_consume('user 4000', repeat('0', 25)), enabled
  FROM backup_codes_status('user 4000');
SELECT tuples < 20 AS narrow, pages < 50 AS shallow FROM probed();
COMMIT;
