-- generate_many: generate for many users at a time, each with a set of his own.
CREATE EXTENSION backup_codes;
SET backup_codes.notify = off;

-- Every user gets his set, in the order of the ids as text; the codes are distinct, and each opens its user's account alone.
CREATE TEMPORARY TABLE shown AS
  SELECT user_id, code, row_number() OVER () AS n FROM backup_codes_generate_many(ARRAY[10, 9, 100]::bigint[], 3);
SELECT user_id, count(*), count(DISTINCT code), min(n) FROM shown GROUP BY user_id ORDER BY min(n);
SELECT count(DISTINCT code) FROM shown;
SELECT user_id, set_no, unused, total, enabled, alphabet, length, scheme, key_id FROM backup_codes.overview ORDER BY user_id;
SELECT count(DISTINCT salt) AS salts, count(DISTINCT generated_at) AS times FROM backup_codes.account;
SELECT user_id, kind, set_no, ordinal, remaining, low, delivery FROM backup_codes.events ORDER BY user_id;
-- The ordinal is the place in the list as it was shown.
SELECT backup_codes_consume(user_id, code) FROM shown WHERE n = 5;
SELECT user_id, ordinal FROM backup_codes.events WHERE kind = 'used';
SELECT s.user_id, count(*) FILTER (WHERE backup_codes_consume(s.user_id + 1, s.code)) AS elsewhere,
       count(*) FILTER (WHERE backup_codes_consume(s.user_id, s.code)) AS accepted
  FROM shown AS s GROUP BY s.user_id ORDER BY s.user_id;

-- Whatever a user had is gone: active and pending set, and the lock; others are new.
SELECT code AS old FROM backup_codes_generate('b') AS code LIMIT 1 \gset
SELECT code AS pending FROM backup_codes_prepare('b') AS code LIMIT 1 \gset
UPDATE backup_codes.account SET locked_until = clock_timestamp() + interval '1 hour', failures = 5 WHERE user_id = 'b';
SELECT user_id, count(*) FROM backup_codes_generate_many('{c,a,b}'::text[], 2, '1 day') GROUP BY user_id ORDER BY user_id;
SELECT status FROM backup_codes_attempt('b', :'old');
SELECT backup_codes_confirm('b', :'pending');
SELECT user_id, enabled, remaining, pending, expires_at - generated_at AS valid_for, locked_until
  FROM (VALUES ('a'), ('b'), ('c')) AS u (user_id), backup_codes_status(user_id) ORDER BY user_id;
SELECT a.user_id, a.unused = count(c) AS whole FROM backup_codes.account AS a LEFT JOIN backup_codes.code AS c USING (user_id, set_no)
 GROUP BY a.user_id, a.unused ORDER BY a.user_id;
SELECT count(*) AS stray FROM backup_codes.code AS c LEFT JOIN backup_codes.account AS a USING (user_id, set_no) WHERE a.user_id IS NULL;
SELECT user_id, kind, set_no FROM backup_codes.events WHERE user_id IN ('a', 'b', 'c') AND kind IN ('generated', 'replaced')
  ORDER BY user_id, at;

-- uuids come back as uuids; count and valid_for take the settings; more users than one batch.
SELECT user_id, count(*) FROM backup_codes_generate_many(ARRAY['ffffffff-ffff-ffff-ffff-ffffffffffff',
  '00000000-0000-0000-0000-000000000000']::uuid[]) GROUP BY user_id ORDER BY user_id;
SELECT count(*), count(DISTINCT (user_id, code))
  FROM backup_codes_generate_many(ARRAY(SELECT 'many ' || n FROM generate_series(1, 2500) AS n), 2);
SELECT count(*), count(DISTINCT user_id), count(DISTINCT event_id) FROM backup_codes.events WHERE user_id LIKE 'many %';
SELECT sum(unused) FROM backup_codes.account WHERE user_id LIKE 'many %';
SELECT count(*) FROM backup_codes_generate_many('{}'::text[]);
-- Short codes get a slow hash here as well.
SET backup_codes.length = 6;
SET backup_codes.argon2_memory = 8192;
SET backup_codes.argon2_iterations = 1;
SELECT count(*) FROM backup_codes_generate_many('{short}'::text[], 2);
SELECT scheme FROM backup_codes.overview WHERE user_id = 'short';
RESET backup_codes.length;

-- Bad input changes nothing, for nobody.
\set VERBOSITY verbose
\set SHOW_CONTEXT never
SELECT count(*) AS before FROM backup_codes.event \gset
SELECT backup_codes_generate_many(NULL::text[]);
SELECT backup_codes_generate_many(ARRAY['new', NULL]);
SELECT backup_codes_generate_many(ARRAY['new', '']);
SELECT backup_codes_generate_many(ARRAY['new', repeat('x', 256)]);
SELECT backup_codes_generate_many(ARRAY['new', 'a', 'new']);
SELECT backup_codes_generate_many(ARRAY['new'], 0);
SELECT backup_codes_generate_many(ARRAY['new'], 101);
SELECT backup_codes_generate_many(ARRAY['new'], 1, '-1 day');
BEGIN READ ONLY;
SELECT backup_codes_generate_many(ARRAY['new']);
ROLLBACK;
\set VERBOSITY default
SELECT count(*) - :before AS events, backup_codes_remaining('new') FROM backup_codes.event;
-- A rollback takes all of it back.
BEGIN;
SELECT count(*) FROM backup_codes_generate_many(ARRAY['new', 'newer']);
ROLLBACK;
SELECT count(*) - :before AS events, backup_codes_remaining('new') FROM backup_codes.event;

-- It belongs to the issuer.
CREATE ROLE regress_issuer;
CREATE ROLE regress_verifier;
SELECT backup_codes_grant('issuer', 'regress_issuer'), backup_codes_grant('verifier', 'regress_verifier');
SET ROLE regress_issuer;
SELECT count(*) FROM backup_codes_generate_many('{1,2}'::bigint[]);
SET ROLE regress_verifier;
SELECT count(*) FROM backup_codes_generate_many('{1,2}'::bigint[]);
RESET ROLE;
DROP OWNED BY regress_issuer, regress_verifier;
DROP ROLE regress_issuer, regress_verifier;
