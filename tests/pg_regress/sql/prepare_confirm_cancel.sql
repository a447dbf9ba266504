-- prepare, confirm, cancel: a pending set opens nothing until the user proved that he saved it.
CREATE EXTENSION backup_codes;
-- Many wrong attempts follow; what they lead to is not the subject here.
SET backup_codes.max_failures = 100;

CREATE TEMPORARY TABLE old AS SELECT code FROM backup_codes_generate(42) AS code;
CREATE TEMPORARY TABLE new AS SELECT code FROM backup_codes_prepare(42) AS code;
SELECT count(*), count(DISTINCT code),
       bool_and(code ~ '^([0-9A-HJKMNP-TV-Z]{5}-){4}[0-9A-HJKMNP-TV-Z]{5}$') AS well_formed
  FROM new;
SELECT enabled, remaining, total, pending, confirmed_at FROM backup_codes_status(42);

-- The old set stays valid, the new one opens nothing yet.
SELECT code AS old_one FROM old LIMIT 1 \gset
SELECT code AS new_one FROM new LIMIT 1 \gset
SELECT backup_codes_consume(42, :'old_one') AS old, backup_codes_consume(42, :'new_one') AS new;
SELECT remaining, pending, used FROM backup_codes_status(42);

-- Proof: wrong, NULL, malformed, a code of the active set, another user's pending code: all false, nothing changes.
SELECT code AS stranger FROM backup_codes_prepare('other') AS code LIMIT 1 \gset
SELECT code AS old_two FROM old OFFSET 1 LIMIT 1 \gset
SELECT backup_codes_confirm(42, NULL) AS null_code, backup_codes_confirm(42, '') AS empty,
       backup_codes_confirm(42, '123456') AS malformed, backup_codes_confirm(42, :'stranger') AS stranger,
       backup_codes_confirm(42, :'old_two') AS of_the_active_set, backup_codes_confirm(42, repeat('0', 2000)) AS over_long;
SELECT remaining, pending, confirmed_at FROM backup_codes_status(42);

-- The right one, spelled sloppily. It is not consumed.
SELECT lower(replace(:'new_one', '-', ' ')) AS sloppy \gset
SELECT backup_codes_confirm(42, :'sloppy');
SELECT enabled, remaining, total, pending, confirmed_at IS NOT NULL AS confirmed, last_used_at, used FROM backup_codes_status(42);
SELECT backup_codes_confirm(42, :'new_one') AS twice;
SELECT bool_or(backup_codes_consume(42, code)) AS old_codes FROM old;
SELECT bool_and(backup_codes_consume(42, code)) AS new_codes FROM new;
SELECT count(*) FROM backup_codes.code WHERE user_id = '42';

-- Confirming removes the lock.
SELECT code AS pending FROM backup_codes_prepare('locked') AS code LIMIT 1 \gset
UPDATE backup_codes.account SET failures = 5, locked_until = now() + interval '1 hour' WHERE user_id = 'locked';
SELECT backup_codes_confirm('locked', :'pending');
SELECT failures, locked_until FROM backup_codes.account WHERE user_id = 'locked';

-- A user whose first set is pending has nothing yet.
SELECT enabled, remaining, total, low, pending, generated_at, confirmed_at, expires_at, used FROM backup_codes_status('other');
SELECT status FROM backup_codes_attempt('other', :'stranger');
SELECT backup_codes_confirm('other', :'stranger'), backup_codes_remaining('other');
SELECT backup_codes_remaining('other');

-- Preparing again replaces the pending set.
SELECT code AS first FROM backup_codes_prepare('ann') AS code LIMIT 1 \gset
SELECT code AS second FROM backup_codes_prepare('ann', 3) AS code LIMIT 1 \gset
SELECT backup_codes_confirm('ann', :'first') AS first, backup_codes_confirm('ann', :'second') AS second;
SELECT remaining, pending FROM backup_codes_status('ann');
SELECT count(*) FROM backup_codes.code WHERE user_id = 'ann';

-- Without proof: activates whatever is pending now.
SELECT backup_codes_confirm('ann') AS nothing_pending;
SELECT code AS third FROM backup_codes_prepare('ann') AS code LIMIT 1 \gset
SELECT backup_codes_confirm('ann') AS pending;
SELECT backup_codes_confirm('ann') AS twice;
SELECT backup_codes_consume('ann', :'third'), backup_codes_consume('ann', :'second');

-- Cancel drops the pending set; the old one was never touched.
CREATE TEMPORARY TABLE cancelled AS SELECT code FROM backup_codes_prepare('ann') AS code;
SELECT backup_codes_cancel('ann') AS pending, backup_codes_cancel('ann') AS twice;
SELECT enabled, remaining, pending, used FROM backup_codes_status('ann');
SELECT bool_or(backup_codes_confirm('ann', code)) AS confirmed FROM cancelled;
SELECT count(*) FROM backup_codes.code WHERE user_id = 'ann';

-- A used-up set can be followed by a pending one, and a generate drops what is pending.
SELECT code AS dropped FROM backup_codes_prepare('ann') AS code LIMIT 1 \gset
SELECT count(*) FROM backup_codes_generate('ann');
SELECT backup_codes_confirm('ann', :'dropped'), backup_codes_confirm('ann'), backup_codes_cancel('ann');

-- An unknown user: false, and no row is left.
SELECT backup_codes_confirm('nobody', :'third'), backup_codes_confirm('nobody'), backup_codes_cancel('nobody');
SELECT count(*) FROM backup_codes.account WHERE user_id = 'nobody';

-- Rolled back with the caller's own work.
SELECT code AS pending FROM backup_codes_prepare('bob') AS code LIMIT 1 \gset
BEGIN;
SELECT backup_codes_confirm('bob', :'pending');
ROLLBACK;
SELECT enabled, pending FROM backup_codes_status('bob');
BEGIN;
SELECT backup_codes_cancel('bob');
ROLLBACK;
SELECT backup_codes_confirm('bob', :'pending');

-- regenerate: gated by one of the user's own codes.
CREATE TEMPORARY TABLE had AS SELECT code FROM backup_codes_generate('cem', 4) AS code;
SELECT code AS one FROM had LIMIT 1 \gset
SELECT code AS two FROM had OFFSET 1 LIMIT 1 \gset
SELECT count(*) FROM backup_codes_prepare('cem');
SELECT count(*) FROM backup_codes_regenerate('cem', NULL);
SELECT count(*) FROM backup_codes_regenerate('cem', 'nonsense');
SELECT count(*) FROM backup_codes_regenerate('cem', :'stranger');
SELECT count(*) FROM backup_codes_regenerate('nobody', :'stranger');
SELECT remaining, pending, used FROM backup_codes_status('cem');
CREATE TEMPORARY TABLE got AS SELECT code FROM backup_codes_regenerate('cem', :'one', 7) AS code;
SELECT count(*), bool_and(code ~ '^([0-9A-HJKMNP-TV-Z]{5}-){4}[0-9A-HJKMNP-TV-Z]{5}$') AS well_formed FROM got;
SELECT remaining, total, pending, used FROM backup_codes_status('cem');
SELECT count(*) FROM backup_codes_regenerate('cem', :'two');
SELECT bool_or(backup_codes_consume('cem', code)) AS old_codes FROM had;
SELECT bool_and(backup_codes_consume('cem', code)) AS new_codes FROM got;
SELECT count(*) FROM got, backup_codes_regenerate('cem', code);

-- A bad count or valid_for is refused before the code is spent.
SELECT code AS kept FROM backup_codes_generate('dee', 2) AS code LIMIT 1 \gset
\set VERBOSITY sqlstate
SELECT count(*) FROM backup_codes_regenerate('dee', :'kept', 0);
SELECT count(*) FROM backup_codes_regenerate('dee', :'kept', 5, interval '0');
\set VERBOSITY default
SELECT backup_codes_remaining('dee'), backup_codes_consume('dee', :'kept');
