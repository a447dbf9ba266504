-- Throttle: failures in a row are counted, lock the user for a while, and in the end remove their set.
CREATE EXTENSION backup_codes;

-- Guesses one after the other. A lock is told rounded up to minutes, since it runs.
CREATE FUNCTION guess(id text, code text, times int DEFAULT 1)
  RETURNS TABLE (n int, status text, remaining int, low boolean, minutes int, tries_left int) LANGUAGE plpgsql AS $$
BEGIN
  FOR n IN 1..times LOOP
    RETURN QUERY SELECT n, a.status, a.remaining, a.low, ceil(a.retry_after / 60.0)::int, a.tries_left FROM backup_codes_attempt(id, code) AS a;
  END LOOP;
END
$$;
-- The books of a user, and their events without those of making a set.
CREATE FUNCTION books(id text, OUT failures int, OUT locked text, OUT unused int, OUT codes bigint, OUT proofs int) LANGUAGE sql AS $$
  SELECT a.failures, CASE WHEN a.locked_until > clock_timestamp() THEN 'now' WHEN a.locked_until IS NOT NULL THEN 'before' ELSE 'no' END, a.unused,
         (SELECT count(*) FROM backup_codes.code AS c WHERE c.user_id = id),
         (SELECT p.failures FROM backup_codes.pending_set AS p WHERE p.user_id = id)
    FROM (VALUES (id)) AS v (u) LEFT JOIN backup_codes.account AS a ON a.user_id = u
$$;
CREATE FUNCTION trail(id text) RETURNS TABLE (kind text, reason text, set_no int, ordinal int, remaining int, low boolean, delivery text) LANGUAGE sql AS $$
  SELECT kind, reason, set_no, ordinal, remaining, low, delivery FROM backup_codes.events WHERE user_id = id AND kind NOT IN ('generated', 'replaced', 'prepared') ORDER BY at, event_id
$$;
-- Lets the lock of a user pass.
CREATE PROCEDURE pass(id text) LANGUAGE sql AS $$
  UPDATE backup_codes.account SET locked_until = clock_timestamp() - interval '1 microsecond' WHERE user_id = id
$$;
SELECT code AS stranger FROM backup_codes_generate('other', 1) AS code \gset

-- The attempt that reaches max_failures still says rejected, with the time to wait; from then on it is locked, also for the right code.
CREATE TEMPORARY TABLE shown AS SELECT code, n FROM backup_codes_generate('ann') WITH ORDINALITY AS g (code, n);
SELECT code AS one FROM shown WHERE n = 1 \gset
SELECT code AS two FROM shown WHERE n = 2 \gset
SELECT code AS three FROM shown WHERE n = 3 \gset
SELECT * FROM guess('ann', :'stranger', 7);
SELECT * FROM guess('ann', :'one');
SELECT backup_codes_consume('ann', :'one') AS consumed, backup_codes_disable('ann', :'one') AS disabled, (SELECT count(*) FROM backup_codes_regenerate('ann', :'one')) AS regenerated;
SELECT * FROM books('ann');
SELECT * FROM trail('ann');

-- Trying while locked neither counts nor extends, whatever is typed. What no set could have is malformed, for anybody.
SELECT locked_until AS lock_before FROM backup_codes.account WHERE user_id = 'ann' \gset
SELECT status, count(*) FROM guess('ann', :'stranger', 20) GROUP BY status;
SELECT what, g.status, g.minutes
  FROM (VALUES (0, 'of another format', '123456'), (1, 'malformed', 'x'), (2, 'NULL', NULL), (3, 'empty', ''), (4, 'over-long', repeat('x', 2000))) AS v (n, what, code), guess('ann', code) AS g ORDER BY v.n;
SELECT locked_until = :'lock_before' AS same_lock FROM backup_codes.account WHERE user_id = 'ann';
SELECT * FROM books('ann');
SELECT count(*) FROM trail('ann');

-- What a settings page and the fleet's view show of it; a lock does not hide what the user has.
SELECT enabled, remaining, total, low, ceil(extract(epoch FROM locked_until - clock_timestamp()) / 60) AS minutes, used, backup_codes_remaining('ann') FROM backup_codes_status('ann');
SELECT (SELECT locked_until FROM backup_codes_status('ann')) = locked_until AS same, failures FROM backup_codes.overview WHERE user_id = 'ann';

-- When the lock has passed the code is accepted, and a success starts the count anew.
CALL pass('ann');
SELECT locked_until FROM backup_codes_status('ann');
SELECT failures, locked_until FROM backup_codes.overview WHERE user_id = 'ann';
SELECT * FROM guess('ann', :'one');
SELECT * FROM books('ann');
SELECT * FROM guess('ann', :'stranger', 4);
SELECT * FROM guess('ann', :'two');
SELECT * FROM guess('ann', :'stranger', 4);
SELECT * FROM books('ann');

-- rejected, used and expired count; malformed does not.
SELECT count(*) FROM guess('ann', :'three');
SELECT what, (SELECT status FROM guess('ann', code)), (books('ann')).failures
  FROM (VALUES ('wrong check symbol', translate(left(:'stranger', 1), '0123456789ABCDEFGHJKMNPQRSTVWXYZ', '123456789ABCDEFGHJKMNPQRSTVWXYZ0') || substr(:'stranger', 2)), ('too short', left(:'stranger', -1)),
               ('NULL', NULL), ('empty', ''), ('another alphabet', repeat('U', 25)), ('wrong', :'stranger'), ('used', :'one'), ('used', lower(:'one')), ('malformed', 'x')) AS v (what, code);
SELECT code AS old FROM backup_codes_generate('exp', 2) AS code LIMIT 1 \gset
UPDATE backup_codes.account SET expires_at = clock_timestamp() WHERE user_id = 'exp';
SELECT * FROM guess('exp', :'old', 6);
SELECT * FROM books('exp');
SELECT * FROM trail('exp');
SELECT code AS used FROM backup_codes_generate('used', 2) AS code LIMIT 1 \gset
SELECT count(*) FROM guess('used', :'used');
UPDATE backup_codes.account SET last_used_at = last_used_at - interval '10 minutes' WHERE user_id = 'used';
SELECT * FROM guess('used', :'used', 6);
SELECT * FROM books('used');

-- consume counts as attempt does.
SELECT code AS good FROM backup_codes_generate('con') AS code LIMIT 1 \gset
SELECT n, backup_codes_consume('con', left(:'stranger', 25 + n)) AS consumed, (books('con')).* FROM generate_series(4, 9) AS n;
SELECT backup_codes_consume('con', :'good');

-- max_failures more lock again, after the lock before it has passed, and are an event.
SELECT count(*) FROM backup_codes_generate('multi', 3);
SELECT status, minutes, count(*) FROM guess('multi', :'stranger', 5) GROUP BY 1, 2 ORDER BY 2;
CALL pass('multi');
SELECT * FROM guess('multi', :'stranger', 6);
CALL pass('multi');
SELECT * FROM guess('multi', :'stranger', 6);
SELECT * FROM books('multi');
SELECT * FROM trail('multi');
-- At the time of the guess, the settings rule.
CALL pass('multi');
SET backup_codes.max_failures = 4;
SET backup_codes.lockout = '1d';
SELECT * FROM guess('multi', :'stranger', 5);
CALL pass('multi');
SET backup_codes.max_failures = 1;
SET backup_codes.lockout = '1min';
SELECT * FROM guess('multi', :'stranger', 2);
RESET backup_codes.max_failures;
RESET backup_codes.lockout;
SELECT * FROM books('multi');

-- disable_after failures in a row remove the active set: only a new one helps. A pending one stays, and can be confirmed.
SELECT code AS gone FROM backup_codes_generate('end', 3) AS code LIMIT 1 \gset
SELECT code AS pending FROM backup_codes_prepare('end', 4) AS code LIMIT 1 \gset
UPDATE backup_codes.account SET failures = 98, failures_at_lock = 95 WHERE user_id = 'end';
SELECT * FROM guess('end', :'stranger', 1);
SELECT * FROM books('end');
SELECT * FROM guess('end', :'stranger', 1);
SELECT * FROM books('end');
SELECT enabled, remaining, total, low, pending, generated_at, locked_until, used FROM backup_codes_status('end');
SELECT * FROM guess('end', :'gone');
SELECT * FROM trail('end');
SELECT backup_codes_confirm('end', :'pending');
SELECT * FROM guess('end', :'pending');
-- The setting, before and at a multiple of max_failures: the removal is no lock as well.
SET backup_codes.disable_after = 3;
SELECT count(*) FROM backup_codes_generate('three', 3);
SELECT * FROM guess('three', :'stranger', 4);
SELECT * FROM trail('three');
SET backup_codes.disable_after = 5;
SELECT count(*) FROM backup_codes_generate('five', 3);
SELECT * FROM guess('five', :'stranger', 6);
SELECT * FROM trail('five');
SELECT * FROM books('five');
-- A setting that was lowered below the count rules the next failure.
SET backup_codes.disable_after = 100;
SELECT count(*) FROM backup_codes_generate('lowered', 3);
SELECT count(*) FROM guess('lowered', :'stranger', 3);
SET backup_codes.disable_after = 2;
SELECT * FROM guess('lowered', :'stranger');
SELECT * FROM trail('lowered');
RESET backup_codes.disable_after;
-- Who is removed and enrols again starts at nothing.
SELECT count(*) FROM backup_codes_generate('three', 3);
SELECT * FROM books('three');

-- A new set clears the count and the lock; so does disable.
SELECT code AS new FROM backup_codes_generate('con', 3) AS code LIMIT 1 \gset
SELECT * FROM books('con');
SELECT * FROM guess('con', :'new');
SELECT count(*) FROM guess('con', :'stranger', 5);
SELECT backup_codes_disable('con');
SELECT * FROM books('con');
SELECT * FROM guess('con', :'stranger', 6);

-- A pending set waits for its proof: preparing and cancelling clear nothing, a proof works while the account is locked, and clears both.
SELECT count(*) FROM backup_codes_generate('pen', 3);
SELECT count(*) FROM guess('pen', :'stranger', 5);
SELECT count(*) FROM backup_codes_prepare('pen', 2);
SELECT backup_codes_cancel('pen');
SELECT * FROM books('pen');
SELECT code AS pending FROM backup_codes_prepare('pen', 2) AS code LIMIT 1 \gset
SELECT backup_codes_confirm('pen', :'stranger');
SELECT * FROM books('pen');
SELECT backup_codes_confirm('pen', :'pending');
SELECT * FROM books('pen');
SELECT * FROM guess('pen', :'pending');
-- Without proof as well.
SELECT count(*) FROM guess('pen', :'stranger', 5);
SELECT count(*) FROM backup_codes_prepare('pen', 2);
SELECT backup_codes_confirm('pen');
SELECT * FROM books('pen');

-- Wrong well-formed proofs are counted on the pending set: max_failures of them drop it. They are no attempts at the active one.
SELECT count(*) FROM backup_codes_generate('proof', 3);
SELECT code AS pending FROM backup_codes_prepare('proof', 4) AS code LIMIT 1 \gset
SELECT backup_codes_confirm('proof', NULL), backup_codes_confirm('proof', ''), backup_codes_confirm('proof', '123456'), backup_codes_confirm('proof', left(:'stranger', -1)), backup_codes_confirm('proof', repeat('0', 2000));
SELECT * FROM books('proof');
SELECT n, backup_codes_confirm('proof', left(:'stranger', 25 + n)) AS confirmed, (books('proof')).* FROM generate_series(4, 7) AS n;
SELECT backup_codes_confirm('proof', :'pending') AS right_one, (books('proof')).*;
-- Confirming ended the count; the next pending set starts at nothing.
SELECT code AS pending FROM backup_codes_prepare('proof', 4) AS code LIMIT 1 \gset
SELECT n, backup_codes_confirm('proof', left(:'stranger', 25 + n)) AS confirmed, (books('proof')).* FROM generate_series(4, 9) AS n;
SELECT backup_codes_confirm('proof', :'pending') AS right_one, backup_codes_confirm('proof') AS button, backup_codes_cancel('proof') AS cancelled;
SELECT enabled, remaining, pending, locked_until FROM backup_codes_status('proof');
SELECT * FROM trail('proof');
-- Preparing again starts at nothing, too.
SELECT count(*) FROM backup_codes_prepare('proof', 4);
SELECT backup_codes_confirm('proof', :'stranger'), (books('proof')).proofs;
SELECT count(*) FROM backup_codes_prepare('proof', 4);
SELECT * FROM books('proof');
SET backup_codes.max_failures = 1;
SELECT backup_codes_confirm('proof', :'stranger');
SELECT * FROM books('proof');
RESET backup_codes.max_failures;

-- The gated functions make an attempt: they count, and are refused while locked.
SELECT code AS gate FROM backup_codes_generate('gate', 3) AS code LIMIT 1 \gset
SELECT backup_codes_disable('gate', :'stranger') AS disabled, (books('gate')).failures;
SELECT (SELECT count(*) FROM backup_codes_regenerate('gate', :'stranger')) AS regenerated, (books('gate')).failures;
SELECT (SELECT count(*) FROM backup_codes_regenerate('gate', 'x')) AS regenerated, backup_codes_disable('gate', NULL) AS disabled, (books('gate')).failures;
SELECT backup_codes_disable('gate', :'stranger'), (SELECT count(*) FROM backup_codes_regenerate('gate', :'stranger')), backup_codes_consume('gate', :'stranger');
SELECT * FROM books('gate');
SELECT backup_codes_disable('gate', :'gate') AS disabled, (SELECT count(*) FROM backup_codes_regenerate('gate', :'gate')) AS regenerated;
SELECT * FROM trail('gate');
CALL pass('gate');
SELECT count(*) FROM backup_codes_regenerate('gate', :'gate', 2);
SELECT * FROM books('gate');

-- Who has no active set is never counted nor locked, and leaves no row.
SELECT status, minutes, count(*) FROM guess('nobody', :'stranger', 20) GROUP BY 1, 2;
SELECT count(*) FROM backup_codes.account WHERE user_id = 'nobody';
SELECT code AS pending FROM backup_codes_prepare('only pending', 2) AS code LIMIT 1 \gset
SELECT status, minutes, count(*) FROM guess('only pending', :'pending', 20) GROUP BY 1, 2;
SELECT * FROM books('only pending');
SELECT status, minutes, count(*) FROM guess('', :'stranger', 20) GROUP BY 1, 2;
SELECT status, minutes, count(*) FROM guess(NULL, :'stranger', 20) GROUP BY 1, 2;

-- One user's failures are not another's.
SELECT backup_codes_consume('other', :'stranger');

-- Two roles with two limits: the failures since the last lock decide, however they were counted.
SELECT count(*) FROM backup_codes_generate('two limits', 3);
SET backup_codes.max_failures = 7;
SELECT status, tries_left FROM guess('two limits', :'stranger', 6);
SET backup_codes.max_failures = 5;
SELECT status, minutes, tries_left FROM guess('two limits', :'stranger', 2);
CALL pass('two limits');
SELECT status, minutes, tries_left FROM guess('two limits', :'stranger', 6);
RESET backup_codes.max_failures;

-- The code that was accepted last, sent again within ten minutes, is used, and neither counted nor a reset.
SELECT code AS clicked, lead(code) OVER () AS next FROM backup_codes_generate('twice', 3) AS code LIMIT 1 \gset
SELECT status, tries_left FROM guess('twice', :'stranger', 2);
SELECT status, tries_left FROM guess('twice', :'clicked', 9);
SELECT status, tries_left FROM guess('twice', :'stranger', 2);
SELECT status, tries_left FROM guess('twice', :'clicked', 2);
SELECT failures FROM books('twice');
SELECT status FROM guess('twice', :'next');
-- Another one that was used, and the same one later, count.
SELECT status, tries_left FROM guess('twice', :'clicked');
UPDATE backup_codes.account SET last_used_at = last_used_at - interval '10 minutes' WHERE user_id = 'twice';
SELECT status, tries_left FROM guess('twice', :'next');

-- A lock that ends further away than any can be set was set by a wrong clock, and does not count.
SELECT code AS ahead FROM backup_codes_generate('clock', 3) AS code LIMIT 1 \gset
UPDATE backup_codes.account SET locked_until = clock_timestamp() + interval '49 hours' WHERE user_id = 'clock';
SELECT locked_until FROM backup_codes_status('clock');
SELECT status, tries_left FROM guess('clock', :'stranger');
UPDATE backup_codes.account SET locked_until = clock_timestamp() + interval '47 hours' WHERE user_id = 'clock';
SELECT status, minutes > 46 * 60 AS long FROM guess('clock', :'ahead');
SELECT locked_until IS NOT NULL AS locked FROM backup_codes_status('clock');

-- An account that something else keeps from being written is an error, not an endless loop.
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER nothing BEFORE UPDATE ON backup_codes.account FOR EACH ROW EXECUTE FUNCTION nothing();
SELECT count(*) FROM backup_codes_attempt('twice', :'stranger');
DROP TRIGGER nothing ON backup_codes.account;
