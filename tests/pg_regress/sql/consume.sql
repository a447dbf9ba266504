-- consume: true exactly once for each code, false for anything else, never NULL.
CREATE EXTENSION backup_codes;
-- Many wrong attempts follow; what they lead to is not the subject here.
SET backup_codes.max_failures = 100;

CREATE TEMPORARY TABLE shown AS
  SELECT code, ordinality FROM backup_codes_generate(42) WITH ORDINALITY AS g (code, ordinality);
SELECT code AS one FROM shown WHERE ordinality = 1 \gset
SELECT code AS two FROM shown WHERE ordinality = 2 \gset

SELECT backup_codes_consume(42, :'one') AS first_time, backup_codes_remaining(42) AS before;
SELECT backup_codes_remaining(42) AS after;
SELECT backup_codes_consume(42, :'one') AS second_time;
SELECT backup_codes_remaining(42);

-- Twice in one statement is twice as well.
SELECT n, backup_codes_consume(42, :'two') FROM generate_series(1, 3) AS n;

-- Sloppy spelling: case, white space, no hyphens, other dashes, O for 0, I and L for 1.
SELECT lower(code) AS lower_case FROM shown WHERE ordinality = 3 \gset
SELECT backup_codes_consume(42, :'lower_case') AS lower_case;
SELECT replace(code, '-', '') AS bare FROM shown WHERE ordinality = 4 \gset
SELECT backup_codes_consume(42, :'bare') AS without_hyphens;
SELECT E' \t\r\n' || replace(code, '-', E' \u00a0\u2003') || E'\u3000 ' AS spaced FROM shown WHERE ordinality = 5 \gset
SELECT backup_codes_consume(42, :'spaced') AS white_space;
SELECT replace(code, '-', E'\u2010\u2011\u2012\u2013\u2014\u2212') AS dashed FROM shown WHERE ordinality = 6 \gset
SELECT backup_codes_consume(42, :'dashed') AS dashes;
CREATE TEMPORARY TABLE look_alike AS
  SELECT code FROM backup_codes_generate('look-alike', 100) AS code;
SELECT bool_or(code ~ '0') AND bool_or(code ~ '1') AS both_digits_occur,
       bool_and(backup_codes_consume('look-alike', translate(code, '01', CASE n % 3 WHEN 0 THEN 'OI' WHEN 1 THEN 'oL' ELSE 'Ol' END)))
         AS accepted
  FROM (SELECT code, row_number() OVER () AS n FROM look_alike) AS l;

-- Everything else is false: unknown user, another user's code, NULL, empty, a typo, two neighbours swapped, too long, too short.
SELECT code AS seven FROM shown WHERE ordinality = 7 \gset
SELECT translate(left(:'seven', 1), '0123456789ABCDEFGHJKMNPQRSTVWXYZ', '123456789ABCDEFGHJKMNPQRSTVWXYZ0')
  || substr(:'seven', 2) AS typo \gset
SELECT backup_codes_consume('nobody', :'seven') AS unknown_user,
       backup_codes_consume(42, NULL) AS null_code,
       backup_codes_consume(NULL::bigint, :'seven') AS null_user,
       backup_codes_consume(42, '') AS empty,
       backup_codes_consume(42, :'typo') AS typo,
       backup_codes_consume(42, :'seven' || '0') AS too_long,
       backup_codes_consume(42, left(:'seven', -1)) AS too_short;
SELECT bool_or(backup_codes_consume(42, overlay(bare PLACING reverse(substr(bare, i, 2)) FROM i FOR 2))) AS swapped
  FROM (SELECT replace(:'seven', '-', '') AS bare) AS b, generate_series(1, 24) AS i
 WHERE substr(bare, i, 1) <> substr(bare, i + 1, 1);
SELECT backup_codes_remaining(42) AS untouched, backup_codes_consume(42, :'seven') AS still_good;

-- A garbage id leaves no row.
SELECT count(*) FROM backup_codes.account WHERE user_id = 'nobody';

-- A code counts for IF and WHERE as it should: false, not NULL.
DO $$
BEGIN
  IF NOT backup_codes_consume(42, NULL) THEN RAISE NOTICE 'refused'; ELSE RAISE NOTICE 'let through'; END IF;
  IF NOT backup_codes_consume(NULL::text, NULL) THEN RAISE NOTICE 'refused'; ELSE RAISE NOTICE 'let through'; END IF;
END
$$;

-- Rolled back with the caller's own work, to a savepoint as well.
SELECT code AS eight FROM shown WHERE ordinality = 8 \gset
BEGIN;
SAVEPOINT a;
SELECT backup_codes_consume(42, :'eight');
ROLLBACK TO a;
SELECT backup_codes_consume(42, :'eight');
ROLLBACK;
SELECT backup_codes_consume(42, :'eight');

-- A writer is dear to the planner: the cheap condition goes first, and a row that it drops burns nothing.
CREATE TABLE users (id bigint PRIMARY KEY, email text);
INSERT INTO users SELECT n, 'user' || n || '@example.org' FROM generate_series(1, 50) AS n;
SELECT code AS nine FROM shown WHERE ordinality = 9 \gset
SELECT id FROM users WHERE backup_codes_consume(id, :'nine') AND email = 'user41@example.org';
SELECT id FROM users WHERE backup_codes_consume(id, :'nine') AND email = 'user42@example.org';

-- The account knows how many codes are left, always: unused equals the live code rows.
SELECT a.user_id, a.unused, count(c.*) AS code_rows
  FROM backup_codes.account AS a LEFT JOIN backup_codes.code AS c ON c.user_id = a.user_id AND c.set_no = a.set_no
 GROUP BY a.user_id, a.unused HAVING a.unused <> count(c.*);

-- The last code empties the set; the user is not enabled any more.
SELECT code AS ten FROM shown WHERE ordinality = 10 \gset
SELECT backup_codes_consume(42, :'ten');
SELECT enabled, remaining, total, low, used FROM backup_codes_status(42);
