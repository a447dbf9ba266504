-- status and remaining: all that a settings page shows, one row always, and no write.
CREATE EXTENSION backup_codes;
\x on
SELECT * FROM backup_codes_status('nobody');
SELECT code AS four FROM backup_codes_generate(42, 5) WITH ORDINALITY AS g (code, ordinality) WHERE ordinality = 4 \gset
SELECT enabled, remaining, total, low, pending, generated_at BETWEEN now() - interval '1 minute' AND clock_timestamp() AS generated_now,
       confirmed_at, expires_at, last_used_at, locked_until, used
  FROM backup_codes_status(42);
SELECT backup_codes_consume(42, :'four');
SELECT enabled, remaining, total, low, pending, last_used_at >= generated_at AS used_later, used FROM backup_codes_status(42);
\x off

-- used: ordinals in ascending order, whatever the order of use.
CREATE TEMPORARY TABLE shown AS
  SELECT code, ordinality FROM backup_codes_generate(42, 100) WITH ORDINALITY AS g (code, ordinality);
SELECT bool_and(backup_codes_consume(42, code))
  FROM (SELECT code FROM shown WHERE ordinality IN (1, 9, 10, 100, 55) ORDER BY ordinality % 7, ordinality DESC) AS s;
SELECT remaining, total, used FROM backup_codes_status(42);
SELECT bool_and(backup_codes_consume(42, code)) FROM shown WHERE ordinality NOT IN (1, 9, 10, 100, 55);
SELECT enabled, remaining, total, low, cardinality(used) AS used, used[1] AS first, used[100] AS last FROM backup_codes_status(42);

-- low: at most backup_codes.low unused codes of a set; a user without a set is not low.
SELECT count(*) FROM (VALUES ('a', 3), ('b', 2), ('c', 1)) AS v (u, n), backup_codes_generate(u, n);
SELECT u, s.remaining, s.low FROM unnest('{a,b,c,nobody}'::text[]) AS u, backup_codes_status(u) AS s ORDER BY u;

-- locked_until only while the lock lasts.
UPDATE backup_codes.account SET locked_until = clock_timestamp() + interval '1 hour' WHERE user_id = 'a';
UPDATE backup_codes.account SET locked_until = clock_timestamp() - interval '1 second' WHERE user_id = 'b';
SELECT u, locked_until IS NOT NULL AS locked FROM unnest('{a,b}'::text[]) AS u, backup_codes_status(u) ORDER BY u;

-- One row for whatever is asked.
SELECT count(*) FROM (VALUES (NULL), (''), ('x'), (repeat('x', 256)), (repeat('x', 100000))) AS v (u), backup_codes_status(u);
SELECT bool_and(backup_codes_remaining(u) = 0) FROM (VALUES (NULL), (''), ('x'), (repeat('x', 256)), (repeat('x', 100000))) AS v (u);

-- Both read on the caller's snapshot, need no transaction id, and work where nothing can be written.
BEGIN READ ONLY;
SELECT backup_codes_remaining('a'), remaining, pg_current_xact_id_if_assigned() FROM backup_codes_status('a');
COMMIT;
BEGIN;
SELECT backup_codes_remaining('a') FROM backup_codes_status('a');
SELECT pg_current_xact_id_if_assigned();
COMMIT;

-- overview: one row a user.
SELECT count(*) FROM backup_codes_prepare('p', 2);
\x on
SELECT user_id, enabled, set_no, unused, total, pending, generated_at IS NOT NULL AS generated, confirmed_at, expires_at,
       last_used_at IS NOT NULL AS was_used, failures, locked_until IS NOT NULL AS locked, alphabet, length, scheme, key_id
  FROM backup_codes.overview WHERE user_id IN ('42', 'a', 'p') ORDER BY user_id COLLATE "C";
