-- rename_user: everything of a user goes from one key to another.
CREATE EXTENSION backup_codes;
CREATE TABLE shown (list text, n bigint, code text);
-- A mark is a reading of the server's memory for that key, where the server has one: another key has another.
CREATE VIEW rows AS
  SELECT user_id, 'account' AS source, to_jsonb(a) - '{user_id,mark}'::text[] AS content FROM backup_codes.account AS a
  UNION ALL SELECT user_id, 'code', to_jsonb(c) - 'user_id' FROM backup_codes.code AS c
  UNION ALL SELECT user_id, 'pending_set', to_jsonb(p) - '{user_id,mark}'::text[] FROM backup_codes.pending_set AS p
  UNION ALL SELECT user_id, 'event', to_jsonb(e) - 'user_id' FROM backup_codes.event AS e;

-- A user with everything: an active set of which a code is used, failures, a lock, a pending set with a wrong proof, and events.
INSERT INTO shown SELECT 'active', n, c FROM backup_codes_generate(1, 4) WITH ORDINALITY AS g (c, n);
SELECT backup_codes_consume(1, code) FROM shown WHERE n = 1;
INSERT INTO shown SELECT 'pending', n, c FROM backup_codes_prepare(1, 3) WITH ORDINALITY AS g (c, n);
SELECT backup_codes_confirm(1, '00000-00000-00000-00000-00000');
SELECT count(backup_codes_consume(1, '00000-00000-00000-00000-00000')) FROM generate_series(1, 5);
UPDATE backup_codes.event
   SET reason = 'request', delivered_at = now(), ordinal = 1, attempts = 3, context = 'of the application', park_reason = 'refused',
       client_addr = '192.0.2.1'
 WHERE kind = 'prepared';
CREATE TABLE before AS TABLE rows;
-- What no row of it has cannot be seen to be lost.
SELECT source, string_agg(key, ', ' ORDER BY key) AS empty
  FROM (SELECT source, key FROM before, jsonb_each_text(content) GROUP BY source, key HAVING count(value) = 0) AS e GROUP BY source ORDER BY source;
SELECT source, count(*) FROM before GROUP BY source ORDER BY source;
SELECT backup_codes_rename_user(1, 2);
SELECT source, count(*), bool_and(user_id = '2') AS renamed FROM rows GROUP BY source ORDER BY source;
-- Nothing is lost or changed on the way; an event was added.
SELECT source, content FROM (SELECT source, content FROM before EXCEPT SELECT source, content FROM rows) AS lost;
SELECT source, content ->> 'kind' AS kind, content ->> 'set_no' AS set_no, content ->> 'remaining' AS remaining, content ->> 'low' AS low
  FROM (SELECT source, content FROM rows EXCEPT SELECT source, content FROM before) AS added;
SELECT enabled, remaining, total, pending, used, locked_until IS NOT NULL AS locked FROM backup_codes_status(2);
SELECT status FROM backup_codes_attempt(2, (SELECT code FROM shown WHERE list = 'active' AND n = 2));
SELECT backup_codes_confirm(2, (SELECT code FROM shown WHERE list = 'pending' AND n = 1));
SELECT backup_codes_consume(1, code) AS at_the_old_key, backup_codes_consume(2, code) AS at_the_new_key
  FROM shown WHERE list = 'pending' AND n = 2;
-- The old key is as if it had never been used.
SELECT status FROM backup_codes_attempt(1, '00000-00000-00000-00000-00000');
SELECT count(*) FROM rows WHERE user_id = '1';

-- Nothing to rename; the same key; every type of a key.
SELECT backup_codes_rename_user(77, 78) AS nothing, backup_codes_rename_user(2, 2) AS same_key;
SELECT count(*) FROM rows WHERE user_id IN ('77', '78');
SELECT backup_codes_rename_user('2', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11') AS text,
       backup_codes_rename_user('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid, 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A12'::uuid) AS uuid,
       backup_codes_rename_user('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12', '3') AS text, backup_codes_rename_user(3, 4) AS bigint;
SELECT DISTINCT user_id FROM rows;
SELECT kind, count(*) FROM backup_codes.events GROUP BY kind ORDER BY kind;

-- A key that has codes is refused, whichever way, and nothing has changed: usable, used up, expired, or pending.
SELECT count(*) FROM backup_codes_generate('active', 1);
SELECT count(backup_codes_consume('used up', c)) FROM backup_codes_generate('used up', 1) AS c;
SELECT count(*) FROM backup_codes_generate('expired', 1, '1 microsecond');
SELECT count(*) FROM backup_codes_prepare('pending', 1);
CREATE FUNCTION refusal(old_id text, new_id text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  hint text;
BEGIN
  RETURN backup_codes_rename_user(old_id, new_id);
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
  RETURN SQLSTATE || ' ' || SQLERRM || '. ' || hint;
END
$$;
TRUNCATE before;
INSERT INTO before TABLE rows;
SELECT u, refusal('4', u) FROM unnest('{active,used up,expired,pending}'::text[]) AS u;
SELECT refusal('active', '4');
SELECT refusal('nobody', '4');
SELECT count(*) FROM (TABLE before EXCEPT TABLE rows) AS changed;
SELECT count(*) FROM (TABLE rows EXCEPT TABLE before) AS changed;
-- What else is left there is removed: failures of somebody who had the key, and the trail.
SELECT count(*), backup_codes_disable('disabled') FROM backup_codes_generate('disabled', 2);
SELECT source, count(*) FROM rows WHERE user_id = 'disabled' GROUP BY source ORDER BY source;
SELECT refusal('4', 'disabled');
SELECT content ->> 'kind' AS kind, count(*) FROM rows WHERE user_id = 'disabled' AND source = 'event' GROUP BY kind ORDER BY kind;
SELECT count(*), backup_codes_disable('former') FROM backup_codes_generate('former', 2);
SELECT refusal('nobody', 'former');
SELECT count(*) FROM rows WHERE user_id IN ('nobody', 'former');

-- A pending set alone, and events alone, are something.
SELECT refusal('pending', 'p2');
SELECT pending FROM backup_codes_status('p2');
SELECT kind, set_no, remaining, low FROM backup_codes.events WHERE user_id = 'p2' ORDER BY at, event_id;
INSERT INTO backup_codes.event (user_id, event_id, at, kind) VALUES ('past', gen_random_uuid(), now(), 'disabled');
SELECT refusal('past', 'p3');
SELECT kind FROM backup_codes.events WHERE user_id = 'p3' ORDER BY at;

-- The outbox: a lease ends, since the mailer holds the old key; what is delivered, parked or delayed stays so.
DELETE FROM backup_codes.event;
SELECT count(*) FROM generate_series(1, 5) AS n, backup_codes_generate('m', n);
CREATE TABLE lease AS SELECT lease, event_id, row_number() OVER () AS n FROM backup_codes_events_claim(100);
SELECT backup_codes_events_ack(lease, ARRAY[event_id]) FROM lease WHERE n = 1;
UPDATE backup_codes.event SET due_at = 'infinity', lease = NULL, park_reason = 'refused' WHERE event_id = (SELECT event_id FROM lease WHERE n = 2);
SELECT backup_codes_events_release(lease, ARRAY[event_id], '1 hour') FROM lease WHERE n = 3;
SELECT delivery, attempts, count(*) FROM backup_codes.events WHERE user_id = 'm' GROUP BY 1, 2 ORDER BY 1, 2;
SELECT refusal('m', 'm2');
SELECT delivery, attempts, kind, park_reason, count(*) FROM backup_codes.events WHERE user_id = 'm2' GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3;
SELECT sum(backup_codes_events_ack(lease, ARRAY[event_id])) AS acknowledged_under_the_old_lease FROM lease WHERE n > 3;
SELECT count(*) AS claimed, count(*) FILTER (WHERE user_id = 'm2') AS under_the_new_key FROM backup_codes_events_claim(100);
