-- Argon2id: what a code of fewer than 112 random bits is hashed with.
CREATE EXTENSION backup_codes;
SET backup_codes.max_failures = 100;
CREATE TABLE issued (user_id text, kind text, n bigint, code text);
CREATE FUNCTION issue(id text, alphabet text, length int, hash text DEFAULT 'auto', memory text DEFAULT '8MB',
  iterations int DEFAULT 1) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  PERFORM set_config('backup_codes.alphabet', alphabet, true), set_config('backup_codes.length', length::text, true),
    set_config('backup_codes.hash', hash, true),
          set_config('backup_codes.argon2_memory', memory, true), set_config('backup_codes.argon2_iterations', iterations::text, true);
  INSERT INTO issued SELECT id, 'active', n, c FROM backup_codes_generate(id, 3) WITH ORDINALITY AS g (c, n);
  INSERT INTO issued SELECT id, 'pending', n, c FROM backup_codes_prepare(id, 2) WITH ORDINALITY AS g (c, n);
  RETURN (SELECT string_agg(DISTINCT regexp_replace(code, CASE alphabet WHEN 'base32' THEN '[0-9A-HJKMNP-TV-Z]'
    WHEN 'hex' THEN '[0-9a-f]' ELSE '[0-9]' END, '*', 'g'), ' or ') FROM issued WHERE user_id = id);
END
$$;
-- A right code, the same again, a wrong one in the format of the set, and a malformed one.
CREATE FUNCTION life(id text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  one text := (SELECT code FROM issued WHERE user_id = id AND kind = 'active' AND n = 1);
  pending text := (SELECT code FROM issued WHERE user_id = id AND kind = 'pending' AND n = 1);
  said text[];
BEGIN
  said := said || (SELECT status || ' ' || remaining FROM backup_codes_attempt(id, one));
  said := said || (SELECT status FROM backup_codes_attempt(id, one));
  said := said || (SELECT status FROM backup_codes_attempt(id, pending));
  said := said || (SELECT status FROM backup_codes_attempt(id, left(one, -1)));
  said := said || backup_codes_confirm(id, upper(replace(pending, '-', ' ')))::text;
  said := said || (SELECT status || ' ' || remaining FROM backup_codes_attempt(id, pending));
  said := said || (SELECT status FROM backup_codes_attempt(id, (SELECT code FROM issued WHERE user_id = id AND kind = 'active' AND n = 2)));
  RETURN array_to_string(said, ', ');
END
$$;

-- auto picks it below 112 random bits, and it works end to end: formats with and without a check symbol.
SELECT id, issue(id, a, l) FROM (VALUES (1, 'hex 10', 'hex', 10), (2, 'hex 12', 'hex', 12), (3, 'base32 16', 'base32', 16),
  (4, 'decimal 8', 'decimal', 8),
  (5, 'base32 23', 'base32', 23), (6, 'base32 24', 'base32', 24), (7, 'hex 27', 'hex', 27), (8, 'hex 28', 'hex', 28),
    (9, 'decimal 33', 'decimal', 33), (10, 'decimal 34', 'decimal', 34)) AS v (n, id, a, l) ORDER BY v.n;
SELECT user_id, alphabet, length, scheme, argon2_memory, argon2_iterations FROM backup_codes.account ORDER BY user_id COLLATE "C";
SELECT user_id, alphabet, length, scheme, argon2_memory, argon2_iterations FROM backup_codes.pending_set ORDER BY user_id COLLATE "C";
SELECT user_id, life(user_id) FROM backup_codes.account ORDER BY user_id COLLATE "C";
SELECT user_id, scheme, argon2_memory, argon2_iterations FROM backup_codes.account ORDER BY user_id COLLATE "C";

-- A stored code is 16 bytes under every scheme, and no two are alike.
SELECT octet_length(code_hash) AS bytes, count(*) = count(DISTINCT code_hash) AS all_distinct FROM backup_codes.code GROUP BY 1;

-- The scheme can be forced: sha256 on short codes, argon2id on long ones.
SELECT id, issue(id, a, l, h) FROM (VALUES (1, 'forced sha256 hex 10', 'hex', 10, 'sha256'),
  (2, 'forced sha256 decimal 8', 'decimal', 8, 'sha256'), (3, 'forced argon2id base32 25', 'base32', 25, 'argon2id'),
  (4, 'forced argon2id hex 64', 'hex', 64, 'argon2id')) AS v (n, id, a, l, h) ORDER BY v.n;
SELECT user_id, scheme, argon2_memory, argon2_iterations, life(user_id) FROM backup_codes.account WHERE user_id LIKE 'forced%'
  ORDER BY user_id COLLATE "C";
SELECT user_id, scheme FROM backup_codes.overview WHERE user_id LIKE 'forced%' ORDER BY user_id COLLATE "C";

-- A set remembers its parameters: the settings rule new sets only.
SELECT issue('small', 'hex', 10);
SELECT issue('large', 'hex', 10, 'auto', '9MB', 3);
SELECT issue('plain', 'base32', 25);
SET backup_codes.argon2_memory = '16MB';
SET backup_codes.argon2_iterations = 2;
SET backup_codes.alphabet = decimal;
SET backup_codes.length = 8;
SELECT user_id, scheme, argon2_memory, argon2_iterations FROM backup_codes.account WHERE user_id IN ('small', 'large', 'plain')
  ORDER BY user_id;
SELECT user_id, life(user_id) FROM backup_codes.account WHERE user_id IN ('small', 'large', 'plain') ORDER BY user_id;
SELECT count(*) FROM backup_codes_generate('small', 1);
SELECT user_id, length, scheme, argon2_memory, argon2_iterations FROM backup_codes.account WHERE user_id = 'small';
SET backup_codes.hash = sha256;
SELECT count(*) FROM backup_codes_generate('small', 1);
SELECT user_id, length, scheme, argon2_memory, argon2_iterations FROM backup_codes.account WHERE user_id = 'small';
RESET backup_codes.hash;
RESET backup_codes.alphabet;
RESET backup_codes.length;

-- The parameters are part of the hash: with others, or with another salt, the code is another.
SELECT issue('a', 'hex', 12), issue('b', 'hex', 12), issue('c', 'hex', 12), issue('d', 'hex', 12);
UPDATE backup_codes.account SET argon2_memory = 8193 WHERE user_id = 'a';
UPDATE backup_codes.account SET argon2_iterations = 2 WHERE user_id = 'b';
UPDATE backup_codes.account SET salt = decode(repeat('00', 16), 'hex') WHERE user_id = 'c';
SELECT user_id, status FROM issued, backup_codes_attempt(user_id, code) WHERE user_id IN ('a', 'b', 'c', 'd')
  AND kind = 'active' AND n = 1 ORDER BY user_id;
-- What no function wrote is not guessed at: it raises, and is not counted.
\set VERBOSITY sqlstate
UPDATE backup_codes.account SET argon2_memory = NULL WHERE user_id = 'a';
SELECT status FROM backup_codes_attempt('a', '000000000000');
UPDATE backup_codes.account SET argon2_memory = 8192, scheme = 'md5' WHERE user_id = 'a';
SELECT status FROM backup_codes_attempt('a', '000000000000');
\set VERBOSITY default
SELECT failures FROM backup_codes.account WHERE user_id = 'a';

-- regenerate and the gated disable open the old set by its own scheme, and make the new one by today's settings.
SELECT issue('gate', 'hex', 10);
SELECT code AS one FROM issued WHERE user_id = 'gate' AND kind = 'active' AND n = 1 \gset
CREATE TEMPORARY TABLE got AS SELECT code FROM backup_codes_regenerate('gate', :'one', 2) AS code;
SELECT scheme, alphabet, length, count(*) FROM backup_codes.account, got WHERE user_id = 'gate' GROUP BY 1, 2, 3;
DELETE FROM issued WHERE user_id = 'gate';
SELECT issue('gate', 'decimal', 8);
SELECT backup_codes_disable('gate', code) FROM issued WHERE user_id = 'gate' AND kind = 'active' AND n = 1;

-- An unknown user's code is checked against today's settings.
SET backup_codes.alphabet = decimal;
SET backup_codes.length = 8;
SELECT status FROM backup_codes_attempt('nobody', '1234-5678');
SELECT status FROM backup_codes_attempt('nobody', '1234-567');
