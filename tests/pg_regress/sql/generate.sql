-- generate: a new set, live at once; whatever the user had is gone.
CREATE EXTENSION backup_codes;
-- Many wrong attempts follow; what they lead to is not the subject here.
SET backup_codes.max_failures = 100;

-- Ten codes in the default format: 25 symbols of Crockford's base32 in groups of five, no two of them alike.
CREATE TEMPORARY TABLE shown AS
  SELECT code, ordinality FROM backup_codes_generate(42) WITH ORDINALITY AS g (code, ordinality);
SELECT count(*), count(DISTINCT code) AS different,
       bool_and(code ~ '^([0-9A-HJKMNP-TV-Z]{5}-){4}[0-9A-HJKMNP-TV-Z]{5}$') AS well_formed
  FROM shown;
SELECT regexp_replace(code, '[0-9A-HJKMNP-TV-Z]', '*', 'g') AS shape FROM shown WHERE ordinality = 1;
SELECT enabled, remaining, total, low, pending, generated_at IS NOT NULL AS generated, confirmed_at, expires_at,
       last_used_at, locked_until, used
  FROM backup_codes_status(42);

-- Any of them opens, whatever its place in the list, and the ordinal is that place.
SELECT code AS third FROM shown WHERE ordinality = 3 \gset
SELECT code AS last FROM shown WHERE ordinality = 10 \gset
SELECT backup_codes_consume(42, :'third'), backup_codes_consume(42, :'last');
SELECT used FROM backup_codes_status(42);

-- They open nothing for another user.
SELECT count(*) FROM backup_codes_generate(43);
SELECT bool_or(backup_codes_consume(43, code)) AS opened FROM shown;
SELECT backup_codes_remaining(43);

-- No plain code is stored: not as it is shown, not without its hyphens, in no column of any table.
SELECT bool_or(position(upper(needle) IN upper(haystack)) > 0) AS found, count(DISTINCT source) AS tables
  FROM (SELECT code AS needle FROM shown UNION ALL SELECT replace(code, '-', '') FROM shown
        UNION ALL SELECT encode(convert_to(replace(code, '-', ''), 'UTF8'), 'hex') FROM shown) AS n,
       (SELECT 'account' AS source, a::text AS haystack FROM backup_codes.account AS a
        UNION ALL SELECT 'code', c::text FROM backup_codes.code AS c
        UNION ALL SELECT 'event', e::text FROM backup_codes.event AS e) AS h;

-- A stored code is 16 bytes, and two users' sets have different salts.
SELECT DISTINCT octet_length(code_hash) FROM backup_codes.code;
SELECT count(DISTINCT salt) AS salts, min(octet_length(salt)) AS bytes FROM backup_codes.account;

-- count: 1 to 100.
SELECT count(*), count(DISTINCT code) FROM backup_codes_generate(42, 1) AS code;
SELECT count(*), count(DISTINCT code) FROM backup_codes_generate(42, 100) AS code;
SELECT count(*) FROM backup_codes_generate(42, count => 3);
SELECT count(*) FROM backup_codes_generate(42, NULL, NULL);

-- Generating again replaces everything: the old codes are dead, the pending set and a lock are gone.
CREATE TEMPORARY TABLE first AS SELECT code FROM backup_codes_generate('ann') AS code;
CREATE TEMPORARY TABLE pending AS SELECT code FROM backup_codes_prepare('ann') AS code;
UPDATE backup_codes.account SET failures = 4, locked_until = now() + interval '1 hour' WHERE user_id = 'ann';
CREATE TEMPORARY TABLE second AS SELECT code FROM backup_codes_generate('ann') AS code;
SELECT enabled, remaining, pending, locked_until FROM backup_codes_status('ann');
SELECT failures FROM backup_codes.account WHERE user_id = 'ann';
SELECT bool_or(backup_codes_consume('ann', code)) AS opened FROM first;
SELECT bool_or(backup_codes_consume('ann', code)) AS opened FROM pending;
SELECT bool_or(backup_codes_confirm('ann', code)) AS confirmed FROM pending;
SELECT count(*) AS code_rows FROM backup_codes.code WHERE user_id = 'ann';
SELECT bool_and(backup_codes_consume('ann', code)) AS opened FROM second;

-- A rolled-back generate leaves the old set as it was.
SELECT code AS old FROM backup_codes_generate('bob') AS code LIMIT 1 \gset
BEGIN;
SELECT count(*) FROM backup_codes_generate('bob');
SELECT backup_codes_consume('bob', :'old');
ROLLBACK;
SELECT backup_codes_remaining('bob'), backup_codes_consume('bob', :'old');

-- Many users in one statement.
SELECT count(*), count(DISTINCT code) FROM generate_series(1, 1000) AS u, backup_codes_generate('many:' || u) AS code;
SELECT count(*), sum(unused) FROM backup_codes.account WHERE user_id LIKE 'many:%';

-- A caller that fetches only the first code has made the whole set all the same.
SELECT count(*) FROM (SELECT backup_codes_generate('limit') LIMIT 1) AS g;
SELECT backup_codes_remaining('limit');
