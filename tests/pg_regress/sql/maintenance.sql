-- revoke_all and purge: in batches, called until they return 0; what they take and what they leave.
CREATE EXTENSION backup_codes;
SET backup_codes.max_failures = 100;
CREATE FUNCTION until_zero(call text) RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
  batches bigint[] := '{}';
  n bigint;
BEGIN
  LOOP
    EXECUTE 'SELECT backup_codes_' || call INTO n;
    batches := batches || n;
    EXIT WHEN n = 0 OR cardinality(batches) = 20;
  END LOOP;
  RETURN batches;
END
$$;
CREATE VIEW holds AS
  SELECT u.user_id, a.set_no, a.unused, p.set_no AS pending,
         (SELECT count(*) FROM backup_codes.code AS c WHERE c.user_id = u.user_id) AS codes,
         a.user_id IS NOT NULL AS account,
         (SELECT string_agg(kind || coalesce('/' || reason, ''), ' ' ORDER BY at) FROM backup_codes.event AS e
           WHERE e.user_id = u.user_id) AS events
    FROM (SELECT user_id FROM backup_codes.account UNION SELECT user_id FROM backup_codes.event) AS u
    LEFT JOIN backup_codes.account AS a ON a.user_id = u.user_id LEFT JOIN backup_codes.pending_set AS p ON p.user_id = u.user_id
   ORDER BY u.user_id COLLATE "C";

-- revoke_all: every set, active or pending, made before a point in time.
SELECT count(*) FROM (VALUES ('a old'), ('b old with new pending'), ('c old with old pending'), ('e used up'), ('f expired'),
  ('g disabled')) AS v (u), backup_codes_generate(u, 2);
SELECT count(*) FROM (VALUES ('c old with old pending'), ('d old pending only')) AS v (u), backup_codes_prepare(u, 2);
SELECT code AS one FROM backup_codes_generate('e used up', 1) AS code \gset
SELECT backup_codes_consume('e used up', :'one');
UPDATE backup_codes.account SET expires_at = now() WHERE user_id = 'f expired';
UPDATE backup_codes.account SET failures = 3, locked_until = now() + interval '1 hour' WHERE user_id = 'a old';
SELECT backup_codes_disable('g disabled');
SELECT clock_timestamp() AS incident \gset
SELECT count(*) FROM backup_codes_prepare('b old with new pending', 2);
SELECT count(*) FROM (VALUES ('h new'), ('i old pending')) AS v (u), backup_codes_generate(u, 2);
SELECT code AS keeps FROM backup_codes_generate('h new', 2) AS code LIMIT 1 \gset
SELECT count(*) FROM backup_codes_prepare('i old pending', 2);
UPDATE backup_codes.pending_set SET generated_at = :'incident'::timestamptz - interval '1 second' WHERE user_id = 'i old pending';
SELECT code AS pending FROM backup_codes_prepare('j', 1) AS code \gset
SELECT until_zero(format('revoke_all(%L, 3)', :'incident'));
SELECT * FROM holds;
SELECT user_id, kind, reason, set_no, remaining, low FROM backup_codes.events WHERE kind = 'revoked' ORDER BY user_id COLLATE "C";
-- Nothing of a revoked user remains, the lock included; the others' codes work.
SELECT failures, locked_until FROM backup_codes.account WHERE user_id = 'a old';
SELECT enabled, remaining, total, pending, used FROM backup_codes_status('a old');
SELECT backup_codes_consume('h new', :'keeps'), backup_codes_confirm('j', :'pending'), backup_codes_confirm('b old with new pending');
-- Without a time: all that was there when the statement began.
SELECT until_zero('revoke_all()');
SELECT count(*) FROM backup_codes.overview WHERE set_no IS NOT NULL OR pending;
SELECT count(*) FROM backup_codes.code;
-- In users, not in sets: max_users is the batch.
SELECT count(*) FROM generate_series(1, 25) AS u, backup_codes_generate('batch ' || u, 1);
SELECT until_zero('revoke_all(''infinity'', 10)');
SELECT until_zero('revoke_all(''-infinity'')');

-- purge: what has been dead for longer than older_than.
TRUNCATE backup_codes.account, backup_codes.pending_set, backup_codes.code, backup_codes.event;
SELECT count(*) FROM (VALUES ('a old, never expires'), ('b expired long ago'), ('c expired lately'),
  ('d expired long ago, pending lately'), ('f active, pending long ago'), ('k history'),
                             ('l waiting'), ('m delivered'), ('n disabled long ago'), ('o disabled lately')) AS v (u),
                               backup_codes_generate(u, 2);
SELECT count(*) FROM (VALUES ('d expired long ago, pending lately'), ('e pending long ago'), ('f active, pending long ago'),
  ('g pending lately')) AS v (u), backup_codes_prepare(u, 2);
SELECT backup_codes_disable('n disabled long ago'), backup_codes_disable('o disabled lately');
INSERT INTO backup_codes.account (user_id, set_counter) VALUES ('p empty', 7);
UPDATE backup_codes.event SET at = at - interval '100 days', due_at = due_at - interval '100 days';
UPDATE backup_codes.event SET due_at = NULL WHERE user_id NOT LIKE 'l%' AND user_id NOT LIKE 'o%';
UPDATE backup_codes.event SET delivered_at = now() WHERE user_id LIKE 'm%';
UPDATE backup_codes.account SET generated_at = now() - interval '1000 days' WHERE set_no IS NOT NULL;
UPDATE backup_codes.account SET expires_at = now() - interval '100 days' WHERE user_id ~ '^[bd]';
UPDATE backup_codes.account SET expires_at = now() - interval '80 days' WHERE user_id ~ '^c';
UPDATE backup_codes.pending_set SET generated_at = now() - interval '100 days' WHERE user_id ~ '^[ef]';
UPDATE backup_codes.pending_set SET generated_at = now() - interval '80 days' WHERE user_id ~ '^[dg]';
UPDATE backup_codes.event SET at = now() - interval '80 days' WHERE user_id ~ '^o';
SELECT * FROM holds;
SELECT until_zero('purge(max_users => 4)');
SELECT * FROM holds;
SELECT user_id, kind, reason, remaining, low, delivery FROM backup_codes.events WHERE kind = 'cancelled' ORDER BY user_id COLLATE "C";
-- Events that still wait go only when asked for, and then the accounts that hold nothing.
SELECT until_zero('purge(undelivered => true)');
SELECT * FROM holds;
-- Everything dead, however fresh.
SELECT backup_codes_disable('l waiting'), backup_codes_disable('a old, never expires');
SELECT until_zero('purge(''0'', true)');
SELECT * FROM holds;
SELECT backup_codes_remaining('f active, pending long ago'), enabled FROM backup_codes_status('f active, pending long ago');
-- A purged user can be given codes again.
SELECT backup_codes_consume('b expired long ago', code) FROM backup_codes_generate('b expired long ago', 1) AS code;

-- Never anything that is alive: purging everything does not touch active sets, whatever their age.
SELECT count(*) AS live FROM backup_codes.code \gset
SELECT until_zero('purge(''0'', true, 1)');
SELECT count(*) = :live AS untouched FROM backup_codes.code;
SELECT a.user_id FROM backup_codes.account AS a
  WHERE a.unused <> (SELECT count(*) FROM backup_codes.code AS c WHERE c.user_id = a.user_id AND c.set_no = a.set_no);

-- revoke_all decides by the set's own age: a set confirmed later was made earlier.
TRUNCATE backup_codes.account, backup_codes.pending_set, backup_codes.code, backup_codes.event;
SELECT count(*) FROM backup_codes_prepare('early', 1);
SELECT clock_timestamp() AS incident \gset
SELECT backup_codes_confirm('early');
SELECT backup_codes_revoke_all(:'incident');
