-- The mailer's half of the outbox: claim, ack, release, extend, park, backlog. At least once, to one mailer at a time, and nothing else.
CREATE EXTENSION backup_codes;
SET backup_codes.notify = off;
CREATE ROLE regress_mailer;
SELECT backup_codes_grant('mailer', 'regress_mailer');

-- Five events, in the order in which they happened; u0 has none.
SELECT count(*) FROM generate_series(1, 5) AS n, backup_codes_generate('u' || n, 1);
-- What a mailer holds, without what differs from run to run.
CREATE TABLE held (n serial, event_id uuid, user_id text, lease uuid, attempts int);
GRANT ALL ON held, held_n_seq TO regress_mailer;

-- The duty: these functions, and nothing else; unpark is the operator's.
SET ROLE regress_mailer;
SELECT count(*) FROM backup_codes.event;
SELECT * FROM backup_codes_events_claim(1, '0');
SELECT backup_codes_consume('u1', 'x');
SELECT backup_codes_events_unpark();
RESET ROLE;
SELECT has_function_privilege('public', p.oid, 'EXECUTE') AS public, p.proname FROM pg_proc AS p
  WHERE proname LIKE 'backup_codes_events_%' ORDER BY 2;

-- The oldest first, everything a mail needs, and to nobody else while the lease lasts.
SET ROLE regress_mailer;
SELECT user_id, kind, reason, set_no, ordinal, remaining, low, actor = session_user AS me, client_addr, context, attempts,
       at <= clock_timestamp() AS past, lease IS NOT NULL AS leased
  FROM backup_codes_events_claim(2);
INSERT INTO held (event_id, user_id, lease, attempts) SELECT event_id, user_id, lease, attempts FROM backup_codes_events_claim();
SELECT user_id, attempts FROM held ORDER BY n;
SELECT count(DISTINCT lease) FROM held;
SELECT count(*) FROM backup_codes_events_claim();
RESET ROLE;
SELECT user_id, delivery, attempts FROM backup_codes.events ORDER BY user_id;

-- ack: once, only under the lease, only its events.
SET ROLE regress_mailer;
SELECT backup_codes_events_ack(lease, array_agg(event_id)) FROM held WHERE user_id IN ('u3', 'u4') GROUP BY lease;
SELECT backup_codes_events_ack(lease, array_agg(event_id)) FROM held WHERE user_id IN ('u3', 'u4') GROUP BY lease;
SELECT backup_codes_events_ack(gen_random_uuid(), array_agg(event_id)) FROM held;
SELECT backup_codes_events_ack(lease, '{}'), backup_codes_events_ack(lease, ARRAY[gen_random_uuid(), NULL]) FROM held LIMIT 1;
-- release: at once, or later.
SELECT backup_codes_events_release(lease, ARRAY[event_id], '0') FROM held WHERE user_id = 'u5';
SELECT backup_codes_events_release(lease, ARRAY[event_id], '0') FROM held WHERE user_id = 'u5';
SELECT user_id, attempts FROM backup_codes_events_claim();
RESET ROLE;
SELECT user_id, delivery, attempts, delivered_at IS NOT NULL AS done FROM backup_codes.events ORDER BY user_id;
SELECT user_id, lease IS NULL AS no_lease, due_at FROM backup_codes.event WHERE user_id IN ('u3', 'u4') ORDER BY user_id;

-- An expired lease is claimed again; the old one cannot ack any more. Until then it still can, so that nothing is sent twice.
DELETE FROM held;
SELECT count(*) FROM backup_codes_generate('late', 1);
INSERT INTO held (event_id, user_id, lease) SELECT event_id, user_id, lease FROM backup_codes_events_claim(1, '1 millisecond');
SELECT pg_sleep(0.002);
SELECT delivery FROM backup_codes.events WHERE user_id = 'late';
INSERT INTO held (event_id, user_id, lease) SELECT event_id, user_id, lease FROM backup_codes_events_claim(1);
SELECT backup_codes_events_ack(lease, ARRAY[event_id]) FROM held ORDER BY n;
SELECT count(*) FROM backup_codes_generate('late', 1);
DELETE FROM held;
INSERT INTO held (event_id, user_id, lease) SELECT event_id, user_id, lease FROM backup_codes_events_claim(1, '1 millisecond');
SELECT pg_sleep(0.002);
SELECT backup_codes_events_ack(lease, ARRAY[event_id]) FROM held;

-- release that does not count takes the try back, and a delay puts off; nothing of it is an attempt.
DELETE FROM backup_codes.event;
DELETE FROM held;
SELECT count(*) FROM generate_series(1, 3) AS n, backup_codes_generate('r' || n, 1);
INSERT INTO held (event_id, user_id, lease) SELECT event_id, user_id, lease FROM backup_codes_events_claim();
SELECT backup_codes_events_release(lease, ARRAY[event_id], '0', counts => false) FROM held WHERE user_id = 'r1';
SELECT backup_codes_events_release(lease, ARRAY[event_id], '1 day', false) FROM held WHERE user_id = 'r2';
SELECT backup_codes_events_release(lease, ARRAY[event_id], '1 hour') FROM held WHERE user_id = 'r3';
SELECT user_id, delivery, attempts, park_reason FROM backup_codes.events ORDER BY user_id;
SELECT attempts FROM backup_codes.event WHERE user_id = 'r1';
SELECT waiting, delayed, leased, parked FROM backup_codes_events_backlog();
DO $$
BEGIN
  FOR i IN 1..25 LOOP
    PERFORM backup_codes_events_release(lease, ARRAY[event_id], '0', false) FROM backup_codes_events_claim();
  END LOOP;
END $$;
SELECT user_id, delivery, attempts FROM backup_codes.events WHERE user_id = 'r1';

-- extend: another lease from now on; the old one no longer holds the event.
DELETE FROM held;
INSERT INTO held (event_id, user_id, lease) SELECT event_id, user_id, lease FROM backup_codes_events_claim(1, '1 millisecond');
SELECT pg_sleep(0.002);
INSERT INTO held (event_id, user_id, lease)
  SELECT event_id, user_id, backup_codes_events_extend(lease, ARRAY[event_id], '1 hour') FROM held;
SELECT count(*) FROM backup_codes_events_claim();
SELECT n - min(n) OVER () AS lease, backup_codes_events_extend(lease, ARRAY[event_id], '1 hour') IS NULL AS no_more FROM held WHERE n = (SELECT min(n) FROM held);
SELECT backup_codes_events_ack(lease, ARRAY[event_id]) FROM held ORDER BY n;
SELECT backup_codes_events_extend(lease, ARRAY[event_id], '1 hour') IS NULL AS acked FROM held;

-- park: aside, with the reason, until the operator says otherwise.
DELETE FROM backup_codes.event;
DELETE FROM held;
SELECT count(*) FROM generate_series(1, 3) AS n, backup_codes_generate('p' || n, 1);
SET ROLE regress_mailer;
INSERT INTO held (event_id, user_id, lease) SELECT event_id, user_id, lease FROM backup_codes_events_claim();
SELECT backup_codes_events_park(lease, ARRAY[event_id], 'rcpt: 550 5.1.1') FROM held WHERE user_id = 'p1';
SELECT backup_codes_events_park(lease, ARRAY[event_id], 'rcpt: 550 5.1.1') FROM held WHERE user_id = 'p1';
SELECT backup_codes_events_park(lease, ARRAY[event_id], repeat('ä', 101)) FROM held WHERE user_id = 'p2';
SELECT backup_codes_events_park(lease, ARRAY[event_id], repeat('x', 199) || 'ä') FROM held WHERE user_id = 'p3';
SELECT count(*) FROM backup_codes_events_claim();
SELECT waiting, oldest_at, delayed, leased, parked FROM backup_codes_events_backlog();
RESET ROLE;
SELECT user_id, delivery, attempts, octet_length(park_reason) AS bytes, left(park_reason, 15) AS reason FROM backup_codes.events ORDER BY user_id;
SELECT status, detail FROM backup_codes_doctor() WHERE check_name = 'events_failing';
SELECT backup_codes_events_unpark(ARRAY[event_id]) FROM held WHERE user_id = 'p2';
SELECT backup_codes_events_unpark(ARRAY[event_id]) FROM held WHERE user_id = 'p2';
SELECT backup_codes_events_unpark(max_events => 1);
SELECT user_id, delivery, attempts, park_reason IS NULL AS no_reason FROM backup_codes.events ORDER BY user_id;
SELECT backup_codes_events_unpark(), backup_codes_events_unpark();
SELECT waiting, oldest_at = (SELECT at FROM backup_codes.event ORDER BY due_at, at LIMIT 1) AS next, delayed, leased, parked FROM backup_codes_events_backlog();

-- A due time that a wrong clock set does not count: the event waits, leased or not.
UPDATE backup_codes.event SET due_at = now() + interval '3 days', lease = gen_random_uuid() WHERE user_id = 'p1';
UPDATE backup_codes.event SET due_at = now() + interval '10 years' WHERE user_id = 'p2';
UPDATE backup_codes.event SET due_at = now() + interval '1 day' WHERE user_id = 'p3';
SELECT user_id, delivery FROM backup_codes.events ORDER BY user_id;
SELECT waiting, delayed, leased FROM backup_codes_events_backlog();
SELECT user_id FROM backup_codes_events_claim() ORDER BY user_id;

-- purge leaves what is leased, whatever its age.
SELECT backup_codes_purge('0', undelivered => true);
SELECT user_id, delivery FROM backup_codes.events WHERE kind = 'generated' ORDER BY user_id;

-- A poisoned event is parked after 20 attempts and makes room for others.
DELETE FROM backup_codes.event;
SELECT count(*) FROM backup_codes_generate('poison', 1);
SELECT count(*) FROM backup_codes_generate('fine', 1);
DO $$
BEGIN
  FOR i IN 1..19 LOOP
    PERFORM backup_codes_events_release(lease, ARRAY[event_id], '0') FROM backup_codes_events_claim() WHERE user_id = 'poison';
  END LOOP;
END $$;
SELECT user_id, delivery, attempts FROM backup_codes.events ORDER BY user_id;
SELECT check_name, status, detail FROM backup_codes_doctor() WHERE check_name = 'events_failing';
SELECT backup_codes_events_release(lease, ARRAY[event_id], '0') FROM backup_codes_events_claim(1);
SELECT user_id, delivery, attempts, park_reason FROM backup_codes.events ORDER BY user_id;
SELECT check_name, status, detail FROM backup_codes_doctor() WHERE check_name = 'events_failing';
SELECT count(*) FROM backup_codes_events_claim();
-- So is one whose mailer died each time; what waits behind it is still found by a claim of one.
UPDATE backup_codes.event SET attempts = 20, due_at = clock_timestamp() WHERE user_id = 'poison';
UPDATE backup_codes.event SET attempts = NULL, due_at = clock_timestamp() WHERE user_id = 'fine';
SELECT user_id, attempts FROM backup_codes_events_claim(1);
SELECT user_id, delivery, attempts FROM backup_codes.events ORDER BY user_id;
-- Tried again when the operator says so, with what the doctor hints.
SELECT hint AS unpark FROM backup_codes_doctor() WHERE check_name = 'events_failing' \gset
\o /dev/null
:unpark
\o
SELECT user_id, attempts FROM backup_codes_events_claim(1);

-- History is not claimed; purge leaves what waits, and takes what was delivered.
DELETE FROM backup_codes.event;
SET backup_codes.outbox = off;
SELECT count(*) FROM backup_codes_generate('history', 1);
RESET backup_codes.outbox;
SELECT count(*) FROM backup_codes_generate('waiting', 1);
SELECT backup_codes_events_ack(lease, array_agg(event_id)) FROM backup_codes_events_claim() GROUP BY lease;
SELECT count(*) FROM backup_codes_generate('waiting', 1);
SELECT backup_codes_purge('0');
SELECT user_id, kind, delivery FROM backup_codes.events ORDER BY 1;

-- Bad input.
\set VERBOSITY verbose
\set SHOW_CONTEXT never
SELECT count(*) FROM backup_codes_events_claim(0);
SELECT count(*) FROM backup_codes_events_claim(-1);
SELECT count(*) FROM backup_codes_events_claim(NULL);
SELECT count(*) FROM backup_codes_events_claim(1, NULL);
SELECT count(*) FROM backup_codes_events_claim(1, '0');
SELECT count(*) FROM backup_codes_events_claim(1, '-1 second');
SELECT count(*) FROM backup_codes_events_claim(1, '1 day 1 microsecond');
SELECT count(*) FROM backup_codes_events_claim(1, '1000000 years');
SELECT backup_codes_events_ack(NULL, '{}');
SELECT backup_codes_events_ack(gen_random_uuid(), NULL);
SELECT backup_codes_events_release(NULL, '{}', '0');
SELECT backup_codes_events_release(gen_random_uuid(), NULL, '0');
SELECT backup_codes_events_release(gen_random_uuid(), '{}', NULL);
SELECT backup_codes_events_release(gen_random_uuid(), '{}', '-1 second');
SELECT backup_codes_events_release('ffffffff-ffff-8fff-bfff-ffffffffffff', '{}', '1000000 years');
SELECT backup_codes_events_release(gen_random_uuid(), '{}', '1 day 1 microsecond');
SELECT backup_codes_events_release(gen_random_uuid(), '{}', '0', NULL);
SELECT backup_codes_events_extend(NULL, '{}', '1 minute');
SELECT backup_codes_events_extend(gen_random_uuid(), NULL, '1 minute');
SELECT backup_codes_events_extend(gen_random_uuid(), '{}', NULL);
SELECT backup_codes_events_extend(gen_random_uuid(), '{}', '0');
SELECT backup_codes_events_extend(gen_random_uuid(), '{}', '2 days');
SELECT backup_codes_events_park(NULL, '{}', 'x');
SELECT backup_codes_events_park(gen_random_uuid(), NULL, 'x');
SELECT backup_codes_events_park(gen_random_uuid(), '{}', NULL);
SELECT backup_codes_events_unpark(NULL, NULL);
SELECT backup_codes_events_unpark(NULL, 0);
\set VERBOSITY default
-- Any uuid may be shown as a lease.
SELECT backup_codes_events_ack(u, '{}'), backup_codes_events_release(u, '{}', '0'), backup_codes_events_park(u, '{}', ''),
       backup_codes_events_extend(u, '{}', '1 minute')
  FROM (VALUES ('00000000-0000-0000-0000-000000000000'::uuid), ('00000000-0000-8000-8000-000000000000'),
               ('ffffffff-ffff-8fff-bfff-ffffffffffff'), ('ffffffff-ffff-ffff-ffff-ffffffffffff')) AS v (u);
BEGIN READ ONLY;
SELECT count(*) FROM backup_codes_events_claim();
ROLLBACK;
DROP OWNED BY regress_mailer;
DROP ROLE regress_mailer;
