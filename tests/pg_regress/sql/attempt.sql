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
               (9, 'a letter that only looks right', overlay(:'good' PLACING 'А' FROM 1)),
               (10, 'check symbol', :'typo'), (11, 'a code of six digits', '123456'),
               (12, 'a label', 'code: ' || :'good'), (13, 'no list number', '101. ' || :'good'),
               (14, 'a list number that runs into the code', '1' || :'good'), (15, 'a number behind it', :'good' || ' 1'),
               (16, 'two codes', :'good' || ' ' || :'good')) AS v (n, what, code),
       backup_codes_attempt(42, code) AS a
 ORDER BY n;

-- A code is read as people type and paste it: each line is a code of its own.
CREATE TEMPORARY TABLE pasted AS
  SELECT code, n FROM backup_codes_generate('pasted', 40) WITH ORDINALITY AS g (code, n);
SELECT n, what, status
  FROM pasted,
       LATERAL (VALUES
         (1, 'lower case, blanks', lower(replace(code, '-', ' '))), (2, 'full stop', code || '.'), (3, 'comma', code || ','),
         (4, 'semicolon', code || ';'), (5, 'quotes', '"' || code || '"'), (6, 'apostrophes', '''' || code || ''''),
         (7, 'curly quotes', '“' || code || '”'), (8, 'low quotes', '„' || code || '“'), (9, 'guillemets', '«' || code || '»'),
         (10, 'backticks', '`' || code || '`'), (11, 'brackets', '[' || code || ']'), (12, 'a list', '1. ' || code),
         (13, 'a list with brackets', '10) ' || code), (14, 'the end of a list', E'100\t' || code), (15, 'a bullet', '• ' || code),
         (16, 'full stops', replace(code, '-', '.')), (17, 'underscores', replace(code, '-', '_')),
         (18, 'slashes', replace(code, '-', '/')), (19, 'middle dots', replace(code, '-', '·')),
         (20, 'plus signs', replace(code, '-', '+')), (21, 'prolonged sound mark', replace(code, '-', 'ー')),
         (22, 'full-width tilde', replace(code, '-', '～')), (23, 'variation selector', replace(code, '-', U&'\FE0F')),
         (24, 'grapheme joiner', replace(code, '-', U&'\034F')), (25, 'Hangul filler', replace(code, '-', U&'\3164')),
         (26, 'control character', E'\x01' || code), (27, 'O, I and l', translate(replace(code, '1', 'l'), '01', 'OI')),
         (28, 'full-width digits', translate(code, '0123456789', '０１２３４５６７８９')),
         (29, 'full-width letters', translate(code, 'ABCDEFGHJKMNPQRSTVWXYZ', 'ＡＢＣＤＥＦＧＨＪＫＭＮＰＱＲＳＴＶＷＸＹＺ')),
         (30, 'Arabic digits', translate(code, '0123456789', '٠١٢٣٤٥٦٧٨٩')),
         (31, 'Persian digits', translate(code, '0123456789', '۰۱۲۳۴۵۶۷۸۹')),
         (32, 'all at once', U&'  ٧. «' || translate(lower(replace(code, '-', ' · ')), '0123456789', '０１２３４５６７８９') || U&'\FE0F».')
       ) AS v (k, what, input),
       backup_codes_attempt('pasted', input) AS a
 WHERE k = n
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
