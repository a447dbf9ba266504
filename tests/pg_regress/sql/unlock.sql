-- Unlock: a lock ends before its time, and the failures are forgotten; the codes stay.
CREATE EXTENSION backup_codes;
SET backup_codes.max_failures = 3;
CREATE FUNCTION guess(id text, code text, times int DEFAULT 1) RETURNS TABLE (n int, status text) LANGUAGE plpgsql AS $$
BEGIN
  FOR n IN 1..times LOOP
    RETURN QUERY SELECT n, a.status FROM backup_codes_attempt(id, code) AS a;
  END LOOP;
END
$$;
CREATE VIEW trail AS
  SELECT user_id, kind, reason, set_no, remaining, low FROM backup_codes.events WHERE kind IN ('locked', 'unlocked') ORDER BY at, event_id;
SELECT code AS stranger FROM backup_codes_generate('other', 1) AS code \gset

-- The right code is accepted at once, and the next lock takes as many failures as the first.
SELECT code AS one FROM backup_codes_generate('ann', 3) AS code LIMIT 1 \gset
SELECT * FROM guess('ann', :'stranger', 4);
SELECT backup_codes_unlock('ann');
SELECT locked_until FROM backup_codes_status('ann');
SELECT backup_codes_unlock('ann') AS again;
SELECT failures, locked_until, unused FROM backup_codes.overview WHERE user_id = 'ann';
SELECT * FROM guess('ann', :'stranger', 2);
SELECT * FROM guess('ann', :'one');
SELECT * FROM trail WHERE user_id = 'ann';

-- Failures that locked nobody yet are forgotten as well, and leave a trace; the answer is about a lock.
SELECT * FROM guess('ann', :'stranger', 2);
SELECT backup_codes_unlock('ann');
SELECT failures FROM backup_codes.overview WHERE user_id = 'ann';
SELECT * FROM trail WHERE user_id = 'ann';
-- So are those of a lock that has passed.
SELECT * FROM guess('ann', :'stranger', 3);
UPDATE backup_codes.account SET locked_until = clock_timestamp() - interval '1 second' WHERE user_id = 'ann';
SELECT backup_codes_unlock('ann');
SELECT failures, (SELECT count(*) FROM trail WHERE kind = 'unlocked') AS unlocked FROM backup_codes.overview WHERE user_id = 'ann';

-- What changes nothing leaves nothing, and of a stranger no row.
SELECT backup_codes_unlock('ann'), backup_codes_unlock('nobody'), backup_codes_unlock(7), backup_codes_unlock('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid);
SELECT count(*) FILTER (WHERE kind = 'unlocked') AS unlocked, count(*) FILTER (WHERE user_id <> 'ann') AS of_others FROM trail;
SELECT user_id FROM backup_codes.account ORDER BY user_id;

-- Each type of a key.
SELECT count(*) FROM backup_codes_generate(7, 1) AS a, backup_codes_generate('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid, 1) AS b;
SELECT count(*) FROM unnest('{7,a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}'::text[]) AS u, guess(u, :'stranger', 3);
SELECT backup_codes_unlock(7), backup_codes_unlock('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid);

-- A pending set and its wrong proofs are another matter.
SELECT count(*) FROM backup_codes_prepare('ann', 1);
SELECT backup_codes_confirm('ann', :'stranger'), backup_codes_confirm('ann', :'stranger');
SELECT * FROM guess('ann', :'stranger', 3);
SELECT backup_codes_unlock('ann');
SELECT failures FROM backup_codes.pending_set WHERE user_id = 'ann';

-- It is part of the transaction.
SELECT * FROM guess('ann', :'stranger', 3);
BEGIN;
SELECT backup_codes_unlock('ann');
ROLLBACK;
SELECT * FROM guess('ann', :'stranger');

-- A lock that ends more than two days ahead was set by a clock that was wrong: nobody sees it, it holds nobody, and unlock takes it.
SELECT backup_codes_unlock('ann');
SELECT code AS one FROM backup_codes_generate('ann', 3) AS code LIMIT 1 \gset
UPDATE backup_codes.account SET locked_until = clock_timestamp() + interval '49 hours', failures = 3, failures_at_lock = 3 WHERE user_id = 'ann';
SELECT locked_until FROM backup_codes_status('ann');
SELECT locked_until FROM backup_codes.overview WHERE user_id = 'ann';
SELECT * FROM guess('ann', :'stranger');
SELECT * FROM guess('ann', :'one');
UPDATE backup_codes.account SET locked_until = clock_timestamp() + interval '49 hours', failures = 3, failures_at_lock = 3 WHERE user_id = 'ann';
SELECT backup_codes_unlock('ann');
SELECT failures, locked_until FROM backup_codes.account WHERE user_id = 'ann';
UPDATE backup_codes.account SET locked_until = clock_timestamp() + interval '47 hours' WHERE user_id = 'ann';
SELECT locked_until IS NOT NULL AS status, (SELECT locked_until IS NOT NULL FROM backup_codes.overview WHERE user_id = 'ann') AS overview FROM backup_codes_status('ann');
SELECT * FROM guess('ann', :'one');
SELECT backup_codes_unlock('ann');
