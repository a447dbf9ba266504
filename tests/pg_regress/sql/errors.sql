-- Errors: what bad arguments get. Issuer and operator functions raise with a SQLSTATE and a hint; verifier functions answer.
CREATE EXTENSION backup_codes;
SET backup_codes.max_failures = 100;
CREATE FUNCTION refusal(statement text) RETURNS TABLE (state text, message text, detail text, hint text, context text)
  LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE statement;
  state := 'none';
  RETURN NEXT;
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
                          hint = PG_EXCEPTION_HINT, context = PG_EXCEPTION_CONTEXT;
  RETURN NEXT;
END
$$;
-- Texts that are no user id, and one that just is.
CREATE TABLE bad_id (n int, what text, id text);
INSERT INTO bad_id VALUES (1, 'NULL bigint', 'NULL::bigint'), (2, 'NULL uuid', 'NULL::uuid'), (3, 'NULL text', 'NULL::text'),
  (4, 'empty', ''''''),
  (5, '255 bytes', 'repeat(''x'', 255)'), (6, '256 bytes', 'repeat(''x'', 256)'),
  (7, '255 bytes in 127 + 1 characters', 'repeat(''é'', 127) || ''x'''),
  (8, '256 bytes in 128 characters', 'repeat(''é'', 128)'), (9, '256 bytes in 64 characters', 'repeat(''😀'', 64)'),
  (10, '1,021 bytes', 'repeat(''x'', 1021)'), (11, '1 MB', 'repeat(''x'', 1048576)');

-- user_id, for every function of an issuer: the same answer.
SELECT what, state, message, hint FROM bad_id, refusal(format('SELECT backup_codes_generate(%s)', id)) ORDER BY n;
SELECT call, string_agg(state, ' ' ORDER BY n) AS states,
       bool_and((state, message, hint) IS NOT DISTINCT FROM
                (SELECT (r.state, r.message, r.hint) FROM refusal(format('SELECT backup_codes_generate(%s)', b.id)) AS r)
               ) AS as_generate
  FROM unnest('{prepare(%s),"confirm(%s, ''x'')",confirm(%s),cancel(%s),"regenerate(%s, ''x'')",
                disable(%s),"disable(%s, ''x'')",unlock(%s),forget_user(%s),
                "rename_user((%s)::text, ''x'')","rename_user(''x'', (%s)::text)"}'::text[]) AS call, bad_id AS b,
       refusal('SELECT backup_codes_' || format(call, id))
 GROUP BY call ORDER BY call;
SELECT octet_length(user_id) FROM backup_codes.account ORDER BY 1;

-- count and valid_for.
SELECT argument, state, message, hint
  FROM (VALUES (1, 'count => 0'), (2, 'count => -1'), (3, 'count => 101'), (4, 'count => 2147483647'),
               (5, 'count => -2147483648'), (6, 'count => NULL'), (7, 'count => 1'), (8, 'count => 100'),
               (11, 'valid_for => ''0'''), (12, 'valid_for => ''-1 second'''), (13, 'valid_for => ''-1 month'''),
               (14, 'valid_for => ''10001 years'''), (15, 'valid_for => ''178000000 years'''),
               (16, 'valid_for => ''2147483647 months'''), (17, 'valid_for => ''2147483647 days'''),
               (18, 'valid_for => ''2562047788 hours'''), (19, 'valid_for => ''1 month -31 days'''),
               (25, 'valid_for => ''1 month -30 days'''), (26, 'valid_for => ''2147483647 months -2147483648 days'''),
               (20, 'valid_for => ''1 month -1 year'''), (21, 'valid_for => ''-1 day 25 hours'''), (22, 'valid_for => NULL'),
               (23, 'valid_for => ''1 microsecond'''), (24, 'valid_for => ''10000 years''')) AS v (n, argument),
       refusal(format('SELECT backup_codes_generate(42, %s)', argument)) ORDER BY n;
SELECT call, string_agg(DISTINCT state, ' ') AS state
  FROM unnest('{"prepare(42, count => 0)","prepare(42, count => 101)","prepare(42, valid_for => ''0'')",
                "regenerate(42, ''x'', count => 0)","regenerate(42, ''x'', count => 101)",
                "regenerate(42, ''x'', valid_for => ''-1 day'')"}'::text[]) AS call,
       refusal('SELECT backup_codes_' || call) GROUP BY call ORDER BY call;

-- A key of several parts: NULL where there is no user, and an error where the call is wrong.
SELECT call, state, message, hint
  FROM (VALUES (1, 'user_id(''a'', NULL)'), (2, 'user_id('''', '''')'), (3, 'user_id(repeat(''x'', 256), ''y'')'), (4, 'user_id(0, -1)'),
               (5, 'user_id(''a'')'), (6, 'user_id(VARIADIC ''{}''::text[])'), (7, 'user_id(1.5, 2)'),
               (8, 'user_id(VARIADIC ARRAY[1, 2])')) AS v (n, call),
       refusal('SELECT backup_codes_' || call) ORDER BY n;
SELECT backup_codes_user_id('a', NULL) AS part_is_null, backup_codes_user_id('', '') AS empty,
       backup_codes_user_id(repeat('x', 256), 'y') AS too_long, backup_codes_user_id(0, -1) AS numbers;

-- A code that is none: false, not an error; only the user is refused.
SELECT backup_codes_confirm(42, NULL), backup_codes_disable(42, NULL),
       (SELECT count(*) FROM backup_codes_regenerate(42, NULL)) AS regenerated;

-- Maintenance.
SELECT call, state, message, hint
  FROM (VALUES (1, 'revoke_all(NULL)'), (2, 'revoke_all(now(), NULL)'), (3, 'revoke_all(now(), 0)'),
               (4, 'revoke_all(now(), -1)'), (5, 'revoke_all(''-infinity'', 2147483647)'), (6, 'revoke_all(''infinity'')'),
               (11, 'purge(NULL)'), (12, 'purge(''1 day'', NULL)'), (13, 'purge(''1 day'', false, NULL)'),
               (14, 'purge(''1 day'', false, 0)'), (15, 'purge(''1 day'', false, -2147483648)'),
               (16, 'purge(''-1 second'')'), (17, 'purge(''-1 month'')'), (18, 'purge(''178000000 years'')'),
               (19, 'purge(''0'')'), (20, 'purge(''1 day'', false, 2147483647)'), (21, 'purge(''10000 years'')'),
               (22, 'purge(''4000 years'')')) AS v (n, call),
       refusal('SELECT backup_codes_' || call) ORDER BY n;

-- Verifier functions never raise, whatever the text; as a user id or as a code.
CREATE TABLE text_ (n int, what text, t text);
INSERT INTO text_ VALUES (1, 'NULL', NULL), (2, 'empty', ''), (3, 'blank', ' '), (4, '256 bytes', repeat('x', 256)),
  (5, '256 bytes of é', repeat('é', 128)), (6, '1,024 bytes', repeat('-', 1024)), (7, '1,025 bytes', repeat('-', 1025)),
  (8, '1 MB', repeat('x', 1048576)), (9, '1 MB of é', repeat('é', 524288)), (10, '10 MB', repeat('0', 10485760)),
  (11, 'every control character',
   (SELECT string_agg(chr(c), '') FROM generate_series(1, 31) AS c) || chr(127) || chr(128) || chr(159)),
  (12, 'bidirectional and zero width', E'\u200b\u200c\u200d\u200e\u202a\u202e\u2066\ufeff'),
  (13, 'noncharacters', E'\ufffe\uffff\U0010ffff'), (14, 'combining', repeat(E'e\u0301', 25)),
  (15, 'injection', ''';DROP TABLE backup_codes.code;--'), (16, 'formats', '%s%n%d%I%L$1$2\0\x00'),
  (17, 'backslashes', repeat('\', 25)), (18, 'braces', '{"a":[NULL]}'), (19, 'emoji', repeat('😀', 25)),
  (20, 'every Latin and Greek letter',
   (SELECT string_agg(chr(c), '') FROM generate_series(160, 1023) AS c WHERE c NOT IN (888, 889)));
INSERT INTO text_ SELECT 100 + c, 'control character ' || c, chr(c) FROM generate_series(1, 31) AS c;
SELECT count(*) FROM backup_codes_generate(42);
SELECT what, consume, status, remaining, rows, code_consume, code_status
  FROM text_ CROSS JOIN LATERAL
       (SELECT backup_codes_consume(t, repeat('0', 25)), (SELECT status FROM backup_codes_attempt(t, repeat('0', 25))),
               backup_codes_remaining(t), (SELECT count(*) FROM backup_codes_status(t)),
               backup_codes_consume(42, t), (SELECT status FROM backup_codes_attempt(42, t))
       ) AS a (consume, status, remaining, rows, code_consume, code_status)
 WHERE n < 100 ORDER BY n;
SELECT count(*) AS control_characters, count(*) FILTER (WHERE NOT backup_codes_consume(t, t)) AS refused,
       string_agg(DISTINCT (SELECT status FROM backup_codes_attempt(42, t)), ' ') AS as_code,
       string_agg(DISTINCT backup_codes_remaining(t)::text, ' ') AS remaining FROM text_ WHERE n > 100;
SELECT backup_codes_consume(NULL::bigint, NULL), backup_codes_consume(NULL::uuid, NULL), backup_codes_consume(NULL::text, NULL);
SELECT backup_codes_remaining(NULL::bigint), backup_codes_remaining(NULL::uuid), backup_codes_remaining(NULL::text);
SELECT (SELECT status FROM backup_codes_attempt(NULL::bigint, NULL)),
       (SELECT status FROM backup_codes_attempt(NULL::uuid, NULL)),
       (SELECT status FROM backup_codes_attempt(NULL::text, NULL));
SELECT (SELECT enabled FROM backup_codes_status(NULL::bigint)), (SELECT enabled FROM backup_codes_status(NULL::uuid)),
       (SELECT enabled FROM backup_codes_status(NULL::text));
-- Nor do functions of an issuer make a row for a stranger who has nothing.
SELECT backup_codes_confirm('stranger', 'x'), backup_codes_confirm('stranger'), backup_codes_cancel('stranger'),
       backup_codes_disable('stranger'), backup_codes_disable('stranger', 'x'), backup_codes_unlock('stranger'),
       (SELECT count(*) FROM backup_codes_regenerate('stranger', 'x')) AS regenerated;
-- Compressed and out of line, as a column holds it.
CREATE TABLE kept (t text);
INSERT INTO kept SELECT string_agg(md5(n::text), '') FROM generate_series(1, 4000) AS n;
INSERT INTO kept VALUES (repeat('0', 1000000));
ALTER TABLE kept ALTER t SET STORAGE EXTERNAL;
INSERT INTO kept VALUES (repeat('0', 1000000));
SELECT backup_codes_consume(t, t), backup_codes_remaining(t), (SELECT status FROM backup_codes_attempt(42, t)) FROM kept;
-- Nothing of all this changed anything.
SELECT backup_codes_remaining(42), (SELECT count(*) FROM backup_codes.account WHERE user_id !~ '^(42|x+|é+x)$') AS strangers,
       (SELECT count(*) FROM backup_codes.event WHERE user_id !~ '^(42|x+|é+x)$') AS events_of_strangers;

-- Where nothing can be written, writers say so; readers work.
BEGIN READ ONLY;
SELECT call, state, message, hint
  FROM unnest('{generate(42),prepare(42),"confirm(42, ''x'')",confirm(42),cancel(42),"regenerate(42, ''x'')",
                disable(42),"disable(42, ''x'')",unlock(42),"consume(42, ''x'')","attempt(42, ''x'')",revoke_all(),purge()}'::text[]) AS call,
       refusal('SELECT backup_codes_' || call);
SELECT backup_codes_remaining(42), enabled FROM backup_codes_status(42);
COMMIT;

-- No error names what was typed.
SELECT count(*) AS errors, count(*) FILTER (WHERE concat_ws(' ', message, detail, hint) LIKE '%secret%') AS telling
  FROM unnest('{"generate(repeat(''secret'', 50))","confirm(repeat(''secret'', 50), ''secret'')",
                "regenerate(42, ''secret'', 0)","disable(repeat(''secret'', 50), ''secret'')",
                "regenerate(NULL::text, ''secret'')"}'::text[]) AS call,
       refusal('SELECT backup_codes_' || call)
 WHERE state <> 'none';
