-- attempt: the same act as consume, with the reason; always one row.
CREATE EXTENSION backup_codes;
-- Many wrong attempts follow; what they lead to is not the subject here.
SET backup_codes.max_failures = 100;

CREATE TEMPORARY TABLE shown AS
  SELECT code, ordinality FROM backup_codes_generate(42, 5) WITH ORDINALITY AS g (code, ordinality);
SELECT code AS one FROM shown WHERE ordinality = 1 \gset
SELECT code AS stranger FROM backup_codes_generate('other', 1) AS code \gset

SELECT * FROM backup_codes_attempt(42, :'one');
SELECT * FROM backup_codes_attempt(42, :'one');
SELECT * FROM backup_codes_attempt(42, :'stranger');

-- remaining counts down, and low says when few are left: from two on by default.
SELECT a.* FROM shown, backup_codes_attempt(42, code) AS a WHERE ordinality > 1;
SELECT count(*) FROM backup_codes_generate(42, 5);

-- low is a setting.
SET backup_codes.low = 0;
CREATE TEMPORARY TABLE few AS SELECT code FROM backup_codes_generate('few', 2) AS code;
SELECT a.* FROM few, backup_codes_attempt('few', code) AS a;
RESET backup_codes.low;

-- malformed: wrong length, alphabet or check symbol for this user's set.
SELECT code AS good FROM backup_codes_generate(42) AS code LIMIT 1 \gset
SELECT translate(left(:'good', 1), '0123456789ABCDEFGHJKMNPQRSTVWXYZ', '123456789ABCDEFGHJKMNPQRSTVWXYZ0')
  || substr(:'good', 2) AS typo \gset
SELECT what, a.*
  FROM (VALUES (1, 'NULL', NULL), (2, 'empty', ''), (3, 'blank', E' \t\n'), (4, 'hyphens only', '---'),
               (5, 'one symbol short', left(:'good', -1)), (6, 'one symbol long', :'good' || '0'),
               (7, 'U is no symbol', overlay(:'good' PLACING 'U' FROM 1)), (8, 'not ASCII', overlay(:'good' PLACING 'é' FROM 1)),
               (9, 'full-width digits', '０１２３４５６７８９０１２３４５６７８９０１２３４'),
               (10, 'check symbol', :'typo'), (11, 'a code of six digits', '123456'),
               (12, 'control character', E'\x01' || :'good'), (13, 'quote', :'good' || ''''),
               (14, 'two codes', :'good' || ' ' || :'good')) AS v (n, what, code),
       backup_codes_attempt(42, code) AS a
 ORDER BY n;

-- Twenty-five symbols and any amount of separators, up to 1,024 bytes of input.
SELECT rpad(:'good', 1025) AS over_long \gset
SELECT status FROM backup_codes_attempt(42, :'over_long');
SELECT rpad(:'good', 1024) AS long \gset
SELECT status FROM backup_codes_attempt(42, :'long');

-- An unknown user's code is checked against today's settings.
SELECT status FROM backup_codes_attempt('nobody', :'stranger');
SELECT status FROM backup_codes_attempt('nobody', '123456');
SET backup_codes.alphabet = decimal;
SET backup_codes.length = 6;
SELECT status FROM backup_codes_attempt('nobody', '123456');
SELECT status FROM backup_codes_attempt('nobody', :'stranger');
RESET backup_codes.alphabet;
RESET backup_codes.length;

-- No such user at all.
SELECT octet_length(u), a.* FROM (VALUES (NULL), (''), (repeat('x', 256))) AS v (u), backup_codes_attempt(u, :'stranger') AS a;
SELECT a.* FROM backup_codes_attempt(NULL::bigint, NULL) AS a;
SELECT a.* FROM backup_codes_attempt(NULL::uuid, NULL) AS a;

-- used speaks of the present set only: a code of a former set is a wrong one.
CREATE TEMPORARY TABLE former AS SELECT code FROM backup_codes_generate('ann', 2) AS code;
SELECT bool_and(backup_codes_consume('ann', code)) FROM former;
SELECT DISTINCT status FROM former, backup_codes_attempt('ann', code);
SELECT count(*) FROM backup_codes_generate('ann');
SELECT DISTINCT status FROM former, backup_codes_attempt('ann', code);

-- Neither a wrong nor a malformed code changes the set.
SELECT enabled, remaining, used FROM backup_codes_status('ann');

-- In the same SELECT a STABLE function still sees the state before; attempt knows better.
SELECT code AS good FROM backup_codes_generate('bob') AS code LIMIT 1 \gset
SELECT a.remaining AS attempt_says, backup_codes_remaining('bob') AS stable_says FROM backup_codes_attempt('bob', :'good') AS a;
