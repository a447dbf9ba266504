-- Settings: defaults, bounds, who may change them, and that the prefix is taken.
CREATE EXTENSION backup_codes;
SELECT backup_codes_remaining('load the library');

SELECT name, boot_val, vartype AS type, unit, min_val AS min, max_val AS max, enumvals, context
  FROM pg_settings WHERE name LIKE 'backup\_codes.%' ORDER BY name COLLATE "C";
SELECT name, setting, source FROM pg_settings WHERE name LIKE 'backup\_codes.%' AND setting <> boot_val;
SELECT name, short_desc, extra_desc FROM pg_settings
 WHERE name LIKE 'backup\_codes.%'
   AND (short_desc !~ '^Sets .*\.$' OR extra_desc !~ '^.+\.$' OR category <> 'Customized Options')
 ORDER BY name;
SHOW backup_codes.argon2_memory;
SHOW backup_codes.lockout;
SHOW backup_codes.valid_for;

-- What is taken and what is refused: units, words and lengths. The bounds of numbers are tried in pgrx-tests/settings.rs.
CREATE FUNCTION refusal(statement text) RETURNS TABLE (state text, message text, detail text, hint text)
  LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE statement;
  state := 'none';
  RETURN NEXT;
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
                          hint = PG_EXCEPTION_HINT;
  RETURN NEXT;
END
$$;
SELECT s AS setting, string_agg(v || ' ' || state, ', ' ORDER BY n) AS outcome
  FROM (VALUES ('count', '{ten}'::text[]), ('argon2_memory', '{16MB,2GB}'), ('valid_for', '{1d,100000d}'),
               ('lockout', '{1d,25h}'), ('alphabet', '{base32,hex,decimal,BASE32,base64,""}'), ('hash', '{auto,sha256,argon2id,md5}'),
               ('notify', '{each,coalesced,off,coalesce}'), ('notify_payload', '{full,id,all}'),
               ('outbox', '{on,off,maybe}')) AS setting (s, values),
       unnest(values) WITH ORDINALITY AS value (v, n), refusal(format('SET backup_codes.%I = %L', s, v))
 GROUP BY s ORDER BY s;
RESET ALL;
SELECT s, left(v, 10) AS value, char_length(v) AS characters, octet_length(v) AS bytes, state,
       left(message, 55) AS message, detail
  FROM (VALUES (1, 'channel', ''), (2, 'channel', repeat('c', 63)), (3, 'channel', repeat('c', 64)),
               (4, 'channel', repeat('é', 32)), (5, 'channel', repeat('é', 31)), (6, 'channel', 'Any "name"'),
               (7, 'context', repeat('x', 200)), (8, 'context', repeat('x', 201)), (9, 'context', repeat('é', 100)),
               (10, 'context', repeat('é', 101)), (11, 'context', '')) AS v (n, s, v),
       refusal(format('SET backup_codes.%I = %L', s, v)) AS r ORDER BY n;
RESET ALL;
SELECT state, message FROM refusal('SET backup_codes.key_file = ''/etc/backup_codes/keys''');

-- The prefix is reserved.
SELECT state, message FROM refusal('SET backup_codes.nonsense = 1');

-- Superusers only, context apart.
CREATE ROLE regress_app;
SELECT backup_codes_grant('verifier', 'regress_app'), backup_codes_grant('issuer', 'regress_app');
SET ROLE regress_app;
SELECT split_part(name, '.', 2) AS setting, state FROM pg_settings, refusal(format('SET %s = %L', name, boot_val))
 WHERE name LIKE 'backup\_codes.%' ORDER BY name COLLATE "C";
RESET ROLE;

-- A session that set something before the library was there keeps what it may set, and nothing else.
SELECT current_database() AS database \gset
\c -
SET ROLE regress_app;
SET backup_codes.count = 99;
SET backup_codes.max_failures = 100;
SET backup_codes.context = 'set early';
SELECT backup_codes_remaining(1);
SHOW backup_codes.count;
SHOW backup_codes.max_failures;
SHOW backup_codes.context;
\c -
SET backup_codes.count = 99;
SET backup_codes.length = 1;
SET backup_codes.channel = '';
SET backup_codes.alphabet = klingon;
SET backup_codes.nonsense = 1;
SELECT backup_codes_remaining(1);
SHOW backup_codes.count;
SHOW backup_codes.length;
SHOW backup_codes.channel;
SHOW backup_codes.alphabet;
SHOW backup_codes.nonsense;

-- Settings of a database, and of a function around the call.
ALTER DATABASE :"database" SET backup_codes.count = 6;
\c -
SELECT count(*) FROM backup_codes_generate(1);
SELECT count(*) FROM backup_codes_generate(1, 7);
CREATE FUNCTION eight(u bigint) RETURNS SETOF text LANGUAGE sql SET backup_codes.count = 8 AS 'SELECT backup_codes_generate(u)';
SELECT count(*) FROM eight(1);
SELECT count(*) FROM backup_codes_generate(1);
ALTER DATABASE :"database" RESET backup_codes.count;

-- With a key file that is not there nothing is made nor tried; what is there can be looked at.
\c -
SELECT count(*) FROM backup_codes_generate(1);
ALTER SYSTEM SET backup_codes.key_file = '/nonexistent/keys';
SELECT pg_reload_conf();
\! for i in $(seq 200); do [ "$(psql -XAtc 'SHOW backup_codes.key_file' postgres)" = /nonexistent/keys ] && break; sleep 0.05; done
\c -
SELECT call, state, message, hint
  FROM unnest('{generate(1),prepare(1),"consume(1, repeat(''0'', 25))"}'::text[]) AS call, refusal('SELECT backup_codes_' || call);
SELECT backup_codes_remaining(1), enabled FROM backup_codes_status(1);
ALTER SYSTEM RESET backup_codes.key_file;
SELECT pg_reload_conf();
\! for i in $(seq 200); do psql -XAtc 'SHOW backup_codes.key_file' postgres 2>/dev/null | grep -q nonexistent || break; sleep 0.05; done
\c -
SELECT count(*) FROM backup_codes_generate(1);

DROP OWNED BY regress_app;
DROP ROLE regress_app;
