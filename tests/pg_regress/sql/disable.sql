-- disable: removes everything the user has; gated by one of his own codes, or at the application's word.
CREATE EXTENSION backup_codes;
-- Many wrong attempts follow; what they lead to is not the subject here.
SET backup_codes.max_failures = 100;

CREATE TEMPORARY TABLE had AS SELECT code FROM backup_codes_generate(42, 6) AS code;
SELECT code AS one FROM had LIMIT 1 \gset
SELECT backup_codes_consume(42, :'one');
CREATE TEMPORARY TABLE pending AS SELECT code FROM backup_codes_prepare(42) AS code;
UPDATE backup_codes.account SET failures = 5, locked_until = clock_timestamp() + interval '1 hour' WHERE user_id = '42';
SELECT backup_codes_disable(42) AS unused_codes;
\x on
SELECT * FROM backup_codes_status(42);
\x off
SELECT count(*) FROM backup_codes.code WHERE user_id = '42';
SELECT count(*) FROM backup_codes.pending_set WHERE user_id = '42';
SELECT bool_or(backup_codes_consume(42, code)) FROM had;
SELECT bool_or(backup_codes_confirm(42, code)) FROM pending;

-- The second time there is nothing, nor has an unknown user anything, and no row is left of him.
SELECT backup_codes_disable(42), backup_codes_disable('nobody');
SELECT count(*) FROM backup_codes.account WHERE user_id = 'nobody';

-- Only a pending set: nothing of it was active.
SELECT count(*) FROM backup_codes_prepare('p');
SELECT backup_codes_disable('p');
SELECT pending FROM backup_codes_status('p');

-- An expired set is removed with what was left in it.
SELECT count(*) FROM backup_codes_generate('e', 3, '1 hour');
UPDATE backup_codes.account SET expires_at = clock_timestamp() - interval '1 second' WHERE user_id = 'e';
SELECT backup_codes_remaining('e');
SELECT backup_codes_disable('e');
SELECT expires_at, total FROM backup_codes_status('e');

-- Gated: wrong, NULL, malformed and burned codes remove nothing.
CREATE TEMPORARY TABLE gated AS SELECT code, ordinality FROM backup_codes_generate('g', 4) WITH ORDINALITY AS g (code, ordinality);
SELECT code AS first FROM gated WHERE ordinality = 1 \gset
SELECT code AS second FROM gated WHERE ordinality = 2 \gset
SELECT code AS stranger FROM backup_codes_generate('other', 1) AS code \gset
SELECT backup_codes_consume('g', :'first');
SELECT backup_codes_disable('g', NULL) AS null_code, backup_codes_disable('g', '') AS empty, backup_codes_disable('g', 'x') AS malformed,
       backup_codes_disable('g', :'stranger') AS stranger, backup_codes_disable('g', :'first') AS used;
SELECT remaining, used FROM backup_codes_status('g');
SELECT count(*) FROM backup_codes_prepare('g');
SELECT backup_codes_disable('g', :'second');
SELECT enabled, remaining, total, pending, used FROM backup_codes_status('g');
SELECT backup_codes_disable('g', :'second') AS twice, backup_codes_disable('nobody', :'second') AS unknown_user;
SELECT count(*) FROM backup_codes.code WHERE user_id = 'g';

-- A new set brings the user back, and its number was never used before.
SELECT max(set_no) AS before FROM backup_codes.event WHERE user_id = 'g' \gset
SELECT count(*) FROM backup_codes_generate('g');
SELECT enabled, remaining FROM backup_codes_status('g');
SELECT set_no > :before AS new_number FROM backup_codes.account WHERE user_id = 'g';

-- Rolled back with the caller's own work.
BEGIN;
SELECT backup_codes_disable('g');
ROLLBACK;
SELECT backup_codes_remaining('g');
