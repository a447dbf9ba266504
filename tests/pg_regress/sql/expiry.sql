-- Expiry: judged by the clock, for active and pending sets, at login and at confirmation.
CREATE EXTENSION backup_codes;
SET backup_codes.max_failures = 100;

-- For ever by default; valid_for as an argument, as a setting, and the argument before the setting.
SELECT count(*) FROM backup_codes_generate('ever');
SELECT count(*) FROM backup_codes_generate('hour', valid_for => '1 hour');
SET backup_codes.valid_for = '90min';
SELECT count(*) FROM backup_codes_generate('setting');
SELECT count(*) FROM backup_codes_generate('argument', NULL, '1 month');
SELECT count(*) FROM backup_codes_prepare('pending');
RESET backup_codes.valid_for;
SELECT user_id, expires_at - generated_at BETWEEN '59 min 59 s' AND '61 min' AS an_hour,
       expires_at - generated_at BETWEEN '89 min 59 s' AND '91 min' AS ninety_minutes,
       expires_at - generated_at BETWEEN '27 days 22 h' AND '31 days 2 h' AS a_month,
       expires_at IS NULL AS never
  FROM (SELECT user_id, generated_at, expires_at FROM backup_codes.account WHERE set_no IS NOT NULL
        UNION ALL SELECT user_id, generated_at, expires_at FROM backup_codes.pending_set) AS s
 ORDER BY user_id COLLATE "C";
SELECT count(*) FROM backup_codes_generate('long', 1, '10000 years');
SELECT expires_at > now() + interval '9999 years' AS far FROM backup_codes.account WHERE user_id = 'long';

-- 'infinity' is an interval from PostgreSQL 17 on: for ever, whatever the setting.
SET backup_codes.valid_for = '1h';
DO $$
DECLARE
  expires timestamptz;
BEGIN
  IF current_setting('server_version_num')::int < 170000 THEN
    RETURN;
  END IF;
  EXECUTE $q$SELECT count(*) FROM backup_codes_generate('infinite', 1, 'infinity')$q$;
  SELECT expires_at INTO STRICT expires FROM backup_codes.account WHERE user_id = 'infinite';
  IF expires IS NOT NULL THEN
    RAISE EXCEPTION 'expires at %', expires;
  END IF;
  BEGIN
    EXECUTE $q$SELECT count(*) FROM backup_codes_generate('infinite', 1, '-infinity')$q$;
    RAISE EXCEPTION 'not refused';
  EXCEPTION WHEN invalid_parameter_value THEN
  END;
END
$$;
RESET backup_codes.valid_for;

-- Within one transaction, where now() stands still: a set that expires meanwhile is expired.
BEGIN;
CREATE TEMPORARY TABLE short AS SELECT code FROM backup_codes_generate('short', 3, '50 milliseconds') AS code;
CREATE TEMPORARY TABLE short_pending AS SELECT code FROM backup_codes_prepare('short pending', 3, '50 milliseconds') AS code;
DO $$
BEGIN
  WHILE clock_timestamp() <= (SELECT max(expires_at) FROM (SELECT expires_at FROM backup_codes.account WHERE user_id LIKE 'short%'
                                UNION ALL SELECT expires_at FROM backup_codes.pending_set WHERE user_id LIKE 'short%') AS s) LOOP
    PERFORM pg_sleep(0.01);
  END LOOP;
END
$$;
SELECT code AS one FROM short LIMIT 1 \gset
SELECT code AS pending FROM short_pending LIMIT 1 \gset
SELECT backup_codes_consume('short', :'one');
SELECT * FROM backup_codes_attempt('short', :'one');
SELECT backup_codes_remaining('short');
SELECT enabled, remaining, total, expires_at > generated_at AS shows_when, used FROM backup_codes_status('short');
SELECT enabled, unused, total FROM backup_codes.overview WHERE user_id = 'short';
SELECT pending FROM backup_codes_status('short pending');
SELECT backup_codes_confirm('short pending', :'pending') AS proof, backup_codes_confirm('short pending') AS without;
SELECT enabled FROM backup_codes_status('short pending');
COMMIT;

-- Expired is said of the right code only.
CREATE TEMPORARY TABLE had AS SELECT code FROM backup_codes_generate(42, 3, '1 hour') AS code;
SELECT code AS one FROM had LIMIT 1 \gset
SELECT code AS two FROM had OFFSET 1 LIMIT 1 \gset
SELECT code AS stranger FROM backup_codes_generate('other', 1) AS code \gset
SELECT status FROM backup_codes_attempt(42, :'one');
UPDATE backup_codes.account SET expires_at = clock_timestamp() WHERE user_id = '42';
SELECT status FROM backup_codes_attempt(42, :'two');
SELECT status FROM backup_codes_attempt(42, :'one');
SELECT status FROM backup_codes_attempt(42, :'stranger');
SELECT status FROM backup_codes_attempt(42, 'typo');
SELECT backup_codes_disable(42, :'two') AS disabled, count(*) AS regenerated FROM backup_codes_regenerate(42, :'two');

-- The expired set is replaced, or pushed out by a confirmed one.
SELECT code AS pending FROM backup_codes_prepare(42) AS code LIMIT 1 \gset
SELECT enabled, pending FROM backup_codes_status(42);
SELECT backup_codes_confirm(42, :'pending');
SELECT enabled, remaining, expires_at FROM backup_codes_status(42);

-- A pending set keeps its own time when it becomes the active one.
SELECT code AS pending FROM backup_codes_prepare(42, 2, '2 hours') AS code LIMIT 1 \gset
SELECT expires_at AS pending_expires FROM backup_codes.pending_set WHERE user_id = '42' \gset
SELECT backup_codes_confirm(42, :'pending');
SELECT expires_at = :'pending_expires' AS kept FROM backup_codes_status(42);
