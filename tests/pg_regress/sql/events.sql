-- Events: every change of a user's codes leaves one row, in the same transaction.
CREATE EXTENSION backup_codes;
SET backup_codes.max_failures = 100;
CREATE VIEW trail AS
  SELECT user_id, kind, reason, set_no, ordinal, remaining, low, actor = session_user AS me, client_addr, context, attempts,
    delivery, delivered_at, at, event_id FROM backup_codes.events;

-- Each verb.
SELECT count(*) FROM backup_codes_generate(42, 3);
SELECT count(*) FROM backup_codes_generate(42, 4);
SELECT code AS one FROM backup_codes_generate(42, 4) WITH ORDINALITY AS g (code, n) WHERE n = 3 \gset
SELECT backup_codes_consume(42, :'one');
SELECT count(*) FROM backup_codes_prepare(42, 5);
SELECT backup_codes_cancel(42);
SELECT count(*) FROM backup_codes_prepare(42, 5);
SELECT code AS pending, n FROM backup_codes_prepare(42, 6) WITH ORDINALITY AS g (code, n) WHERE n = 6 \gset
SELECT backup_codes_confirm(42, :'pending');
SELECT backup_codes_consume(42, :'pending');
SELECT code AS pending FROM backup_codes_prepare(42, 2) AS code LIMIT 1 \gset
SELECT backup_codes_confirm(42);
SELECT status FROM backup_codes_attempt(42, :'pending');
SELECT code AS gate FROM backup_codes_generate(42, 3) AS code LIMIT 1 \gset
CREATE TEMPORARY TABLE regenerated AS SELECT code, n FROM backup_codes_regenerate(42, :'gate', 5) WITH ORDINALITY AS g (code, n);
SELECT code AS gate FROM regenerated WHERE n = 2 \gset
SELECT backup_codes_disable(42, :'gate');
SELECT count(*) FROM backup_codes_generate(42, 3);
SELECT backup_codes_disable(42);
SELECT count(*) FROM backup_codes_prepare(42, 3);
SELECT backup_codes_disable(42);
SELECT count(*) FROM backup_codes_generate(42, 3);
SELECT backup_codes_revoke_all('infinity');
SELECT kind, reason, set_no, ordinal, remaining, low, me, client_addr, context, attempts, delivery, delivered_at FROM trail ORDER BY at;

-- What changes nothing leaves nothing.
SELECT count(*) AS before FROM trail \gset
SELECT backup_codes_consume(42, :'gate'), backup_codes_consume('nobody', :'gate'), backup_codes_consume(42, 'x'),
  backup_codes_confirm(42), backup_codes_confirm(42, :'gate'), backup_codes_cancel(42),
       backup_codes_disable(42), backup_codes_disable(42, :'gate'), backup_codes_disable('nobody'), backup_codes_remaining(42),
         backup_codes_revoke_all('infinity'), backup_codes_purge();
SELECT count(*) FROM backup_codes_regenerate(42, :'gate');
SELECT count(*) - :before AS new_events FROM trail;

-- A UUID of version 7 that tells the same time; no two alike.
SELECT count(*) = count(DISTINCT event_id) AS distinct_ids,
  bool_and(event_id::text ~ '^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$') AS version_7,
       bool_and(abs(('x' || replace(left(event_id::text, 13), '-', ''))::bit(48)::bigint
         - floor(extract(epoch FROM at) * 1000)) <= 1) AS same_time,
       bool_and(at BETWEEN now() - interval '1 minute' AND clock_timestamp()) AS recent
  FROM trail;

-- In the transaction of the change, and with it.
BEGIN;
SELECT count(*) FROM backup_codes_generate('rolled back');
SAVEPOINT a;
SELECT backup_codes_disable('rolled back');
ROLLBACK TO a;
SELECT kind FROM trail WHERE user_id = 'rolled back';
ROLLBACK;
SELECT count(*) FROM trail WHERE user_id = 'rolled back';

-- The time is the clock's, not the transaction's.
BEGIN;
SELECT count(*) FROM backup_codes_generate('clock');
SELECT count(*) FROM backup_codes_generate('clock');
SELECT count(DISTINCT at) AS times, min(at) > now() AS later FROM trail WHERE user_id = 'clock';
COMMIT;

-- context is the application's own, up to 200 bytes; actor is who logged in, whoever he acts as.
CREATE ROLE regress_login;
CREATE ROLE regress_app;
SELECT backup_codes_grant(d, r::regrole) FROM unnest('{issuer,verifier}'::text[]) AS d, unnest('{regress_login,regress_app}'::text[]) AS r;
GRANT regress_app TO regress_login;
SET SESSION AUTHORIZATION regress_login;
SET ROLE regress_app;
SET backup_codes.context = 'request 7, Käthe''s phone';
SELECT count(*) FROM backup_codes_generate('context');
RESET backup_codes.context;
SELECT count(*) FROM backup_codes_prepare('context');
BEGIN;
SET LOCAL backup_codes.context = 'this transaction only';
SELECT backup_codes_cancel('context');
COMMIT;
SELECT backup_codes_disable('context');
RESET SESSION AUTHORIZATION;
SELECT kind, context, actor FROM backup_codes.events WHERE user_id = 'context' ORDER BY at;

-- outbox: on, an event waits to be claimed; off, it is history.
SET backup_codes.outbox = off;
SELECT code AS one FROM backup_codes_generate('history', 2) AS code LIMIT 1 \gset
SELECT backup_codes_consume('history', :'one');
SET backup_codes.outbox = on;
SELECT backup_codes_disable('history');
SELECT kind, delivery FROM trail WHERE user_id = 'history' ORDER BY at;
SELECT kind, due_at = at AS due, lease, attempts, delivered_at FROM backup_codes.event WHERE user_id = 'history' ORDER BY at;
-- What the view says of what a delivery leaves behind.
UPDATE backup_codes.event SET lease = gen_random_uuid(), due_at = now() + interval '1 minute', attempts = 1
  WHERE user_id = 'history' AND kind = 'disabled';
SELECT delivery, attempts FROM trail WHERE user_id = 'history' AND kind = 'disabled';
UPDATE backup_codes.event SET lease = NULL WHERE user_id = 'history' AND kind = 'disabled';
SELECT delivery FROM trail WHERE user_id = 'history' AND kind = 'disabled';
UPDATE backup_codes.event SET due_at = now() - interval '1 second' WHERE user_id = 'history' AND kind = 'disabled';
SELECT delivery FROM trail WHERE user_id = 'history' AND kind = 'disabled';
UPDATE backup_codes.event SET due_at = 'infinity', attempts = 20 WHERE user_id = 'history' AND kind = 'disabled';
SELECT delivery FROM trail WHERE user_id = 'history' AND kind = 'disabled';
UPDATE backup_codes.event SET due_at = NULL, delivered_at = now() WHERE user_id = 'history' AND kind = 'disabled';
SELECT delivery FROM trail WHERE user_id = 'history' AND kind = 'disabled';

-- low follows the setting.
SET backup_codes.low = 3;
SELECT count(*) FROM backup_codes_generate('low', 3);
SET backup_codes.low = 2;
SELECT count(*) FROM backup_codes_generate('low', 3);
RESET backup_codes.low;
SELECT kind, remaining, low FROM trail WHERE user_id = 'low' ORDER BY at;

-- Many users in one statement: an event each, whatever becomes of the notifications.
SELECT count(*) FROM generate_series(1, 200) AS u, backup_codes_generate('many:' || u, 1);
SELECT count(*), count(DISTINCT user_id) FROM trail WHERE user_id LIKE 'many:%';

-- Every event has the number of a set.
SELECT DISTINCT kind FROM trail WHERE set_no IS NULL;
DROP OWNED BY regress_login, regress_app;
DROP ROLE regress_login, regress_app;
