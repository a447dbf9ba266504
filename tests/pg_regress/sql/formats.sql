-- Formats: a set remembers the format it was made with; settings rule new sets and unknown users only.
CREATE EXTENSION backup_codes;
SET backup_codes.max_failures = 100;
CREATE TABLE issued (user_id text, kind text, code text);

-- Every alphabet, several lengths and group sizes: how a code looks.
CREATE FUNCTION issue(id text, alphabet text, length int, group_size int, hash text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  PERFORM set_config('backup_codes.alphabet', alphabet, false), set_config('backup_codes.length', length::text, false),
          set_config('backup_codes.group_size', group_size::text, false), set_config('backup_codes.hash', hash, false);
  INSERT INTO issued SELECT id, 'active', c FROM backup_codes_generate(id) AS c;
  INSERT INTO issued SELECT id, 'pending', c FROM backup_codes_prepare(id, 2) AS c;
  RETURN string_agg(DISTINCT regexp_replace(code, CASE alphabet WHEN 'base32' THEN '[0-9A-HJKMNP-TV-Z]'
    WHEN 'hex' THEN '[0-9a-f]' ELSE '[0-9]' END, '*', 'g'), ' or ')
    FROM issued WHERE user_id = id;
END
$$;
SELECT issue('default', 'base32', 25, 5, 'auto');
SELECT issue('base32 24', 'base32', 24, 4, 'auto');
SELECT issue('base32 64', 'base32', 64, 64, 'auto');
SELECT issue('base32 uneven', 'base32', 25, 4, 'auto');
SELECT issue('base32 ungrouped', 'base32', 26, 0, 'sha256');
SELECT issue('hex 28', 'hex', 28, 7, 'auto');
SELECT issue('hex 32', 'hex', 32, 1, 'auto');
SELECT issue('decimal 34', 'decimal', 34, 6, 'auto');
SELECT issue('decimal 6', 'decimal', 6, 3, 'sha256');
SELECT issue('hex 6', 'hex', 6, 0, 'sha256');
SELECT issue('base32 6', 'base32', 6, 0, 'sha256');
SELECT user_id, alphabet, length, scheme FROM backup_codes.overview ORDER BY user_id COLLATE "C";
SELECT user_id, count(*), count(DISTINCT code) FROM issued WHERE kind = 'active' GROUP BY user_id HAVING count(DISTINCT code) <> 10;

-- Today's settings are others. One code of each set, as issued and in another spelling.
SET backup_codes.alphabet = hex;
SET backup_codes.length = 60;
SET backup_codes.group_size = 2;
SET backup_codes.hash = argon2id;
SELECT user_id, (SELECT status FROM backup_codes_attempt(user_id, min(code)) LIMIT 1) AS as_issued,
       (SELECT status FROM backup_codes_attempt(user_id, ' ' || upper(replace(max(code), '-', ' '))) LIMIT 1) AS spaced_upper,
       (SELECT status FROM backup_codes_attempt(
         user_id, ' 10) «' || replace((array_agg(code ORDER BY code))[2], '-', ' · ') || '».')) AS pasted
  FROM issued WHERE kind = 'active' GROUP BY user_id ORDER BY user_id COLLATE "C";
SELECT user_id, (SELECT status FROM backup_codes_attempt(user_id, min(code))) AS again FROM issued WHERE kind = 'active'
  GROUP BY user_id ORDER BY user_id COLLATE "C";
-- Input is parsed by the set's format, not by today's.
SELECT status FROM backup_codes_attempt('default', repeat('0', 60));
SELECT status FROM backup_codes_attempt('decimal 6', '12345a');
SELECT status FROM backup_codes_attempt('hex 6', '12345');
SELECT status FROM backup_codes_attempt('nobody', repeat('0', 60));
-- Pending sets are confirmed by their own format as well, and keep it.
SELECT user_id, backup_codes_confirm(user_id, '1. "' || lower(min(code)) || '",') AS confirmed
  FROM issued WHERE kind = 'pending' GROUP BY user_id ORDER BY user_id COLLATE "C";
SELECT user_id, bool_and(backup_codes_consume(user_id, code)) AS all_accepted FROM issued WHERE kind = 'pending'
  GROUP BY user_id ORDER BY user_id COLLATE "C";
-- O, I and L are read as 0, 1 and 1 in every alphabet.
RESET backup_codes.hash;
SET backup_codes.length = 28;
CREATE TEMPORARY TABLE hex AS SELECT code FROM backup_codes_generate('hex', 100) AS code;
SELECT DISTINCT status FROM hex, backup_codes_attempt('hex', translate(code, '01', 'OI')) WHERE code ~ '[01]';

-- auto takes SHA-256 from 112 random bits on and Argon2id below; both can be forced, whatever the format.
SET backup_codes.argon2_memory = '8MB';
SET backup_codes.argon2_iterations = 1;
CREATE FUNCTION scheme(alphabet text, length int, hash text) RETURNS TABLE (active text, pending text, regenerated text)
  LANGUAGE plpgsql AS $$
DECLARE
  gate text;
BEGIN
  PERFORM set_config('backup_codes.alphabet', alphabet, true), set_config('backup_codes.length', length::text, true),
    set_config('backup_codes.hash', hash, true);
  gate := backup_codes_generate('any', 1);
  PERFORM backup_codes_prepare('any', 1);
  active := (SELECT a.scheme FROM backup_codes.account AS a WHERE user_id = 'any');
  pending := (SELECT p.scheme FROM backup_codes.pending_set AS p WHERE user_id = 'any');
  PERFORM backup_codes_regenerate('any', gate, 1);
  regenerated := (SELECT a.scheme FROM backup_codes.account AS a WHERE user_id = 'any' AND set_no = set_counter);
  RETURN NEXT;
END
$$;
SELECT a, l, h, s.*
  FROM (VALUES (1, 'base32', 23, 'auto'), (2, 'base32', 24, 'auto'), (3, 'hex', 27, 'auto'), (4, 'hex', 28, 'auto'),
    (5, 'decimal', 33, 'auto'), (6, 'decimal', 34, 'auto'),
               (7, 'base32', 6, 'sha256'), (8, 'decimal', 6, 'sha256'), (9, 'base32', 25, 'argon2id'),
                 (10, 'decimal', 64, 'argon2id')) AS v (n, a, l, h), scheme(a, l, h) AS s ORDER BY n;
