-- Who the user is: bigint, uuid and text, and what reaches one of them.
CREATE EXTENSION backup_codes;
CREATE EXTENSION citext;

-- 42 in every integer type, '42' in every text type: one user.
SELECT count(*) FROM backup_codes_generate(42, 20);
SELECT backup_codes_remaining(42::bigint) AS int8, backup_codes_remaining(42::int) AS int4, backup_codes_remaining(42::smallint) AS int2,
       backup_codes_remaining('42'::text) AS text, backup_codes_remaining('42'::varchar) AS varchar,
       backup_codes_remaining('42'::char(2)) AS bpchar, backup_codes_remaining('42'::citext) AS citext,
         backup_codes_remaining('42') AS untyped;

-- A uuid is its canonical lower-case text.
SELECT count(*) FROM backup_codes_generate('A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'::uuid);
SELECT user_id FROM backup_codes.account WHERE user_id LIKE '%-%';
SELECT backup_codes_remaining('{a0eebc99-9c0b-4ef8-bb6d6bb9bd380a11}'::uuid) AS uuid,
       backup_codes_remaining('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11') AS canonical_text,
       backup_codes_remaining('A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11') AS upper_case_text;

-- Text is compared byte for byte: no trimming, no case folding, no number, no normal form.
SELECT u, backup_codes_remaining(u) FROM (VALUES ('042'), ('42 '), (' 42'), ('+42'), ('42.0'), ('４２')) AS v (u);
SELECT count(*) FROM backup_codes_generate('Ann');
SELECT backup_codes_remaining('Ann') AS same, backup_codes_remaining('ann') AS lower_case, backup_codes_remaining('ann'::citext) AS citext;
SELECT count(*) FROM backup_codes_generate(E'Zo\u00eb');
SELECT backup_codes_remaining(E'Zo\u00eb') AS same, backup_codes_remaining(E'Zoe\u0308') AS decomposed;

-- The whole range of bigint.
SELECT count(*) FROM (VALUES (0::bigint), (-1), (9223372036854775807), (-9223372036854775808)) AS v (u), backup_codes_generate(u, 1);
SELECT user_id FROM backup_codes.account WHERE user_id ~ '^(0|-.*|922.*)$' ORDER BY user_id COLLATE "C";

-- A tenant goes into the text.
SELECT count(*) FROM backup_codes_generate('acme:42', 3);
SELECT backup_codes_remaining('acme:42') AS tenant, backup_codes_remaining(42) AS plain;

-- Every function of a user exists for the three types, and they act on one user.
CREATE TEMPORARY TABLE shown AS SELECT code, ordinality AS n FROM backup_codes_generate(7::bigint, 20)
  WITH ORDINALITY AS g (code, ordinality);
SELECT (SELECT backup_codes_consume(7::bigint, code) FROM shown WHERE n = 1) AS int8,
  (SELECT backup_codes_consume('7'::text, code) FROM shown WHERE n = 2) AS text,
       (SELECT backup_codes_consume(7::smallint, code) FROM shown WHERE n = 3) AS int2,
         (SELECT backup_codes_consume('7'::citext, code) FROM shown WHERE n = 4) AS citext,
       (SELECT backup_codes_consume('7', code::varchar) FROM shown WHERE n = 5) AS varchar_code,
         (SELECT backup_codes_consume(7, code::citext) FROM shown WHERE n = 6) AS citext_code;
SELECT used FROM backup_codes_status('7'::varchar);
SELECT proname, count(*) AS overloads, array_agg(DISTINCT proargtypes[0]::regtype::text ORDER BY proargtypes[0]::regtype::text) AS user_id
  FROM pg_proc WHERE proname LIKE 'backup\_codes\_%' AND proargnames[1] = 'user_id'
 GROUP BY proname ORDER BY proname;

CREATE FUNCTION pg_temp.every_verb(id_type text, id text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
  u text := format('%L::%s', id, id_type);
  codes text[];
  answer text;
BEGIN
  EXECUTE format('SELECT array_agg(c) FROM backup_codes_generate(%s) AS c', u) INTO codes;
  RETURN NEXT 'generate ' || cardinality(codes);
  EXECUTE format('SELECT backup_codes_consume(%s, $1)', u) INTO answer USING codes[1];
  RETURN NEXT 'consume ' || answer;
  EXECUTE format('SELECT status || '' '' || remaining FROM backup_codes_attempt(%s, $1)', u) INTO answer USING codes[2];
  RETURN NEXT 'attempt ' || answer;
  EXECUTE format('SELECT backup_codes_remaining(%s)', u) INTO answer;
  RETURN NEXT 'remaining ' || answer;
  EXECUTE format('SELECT array_agg(c) FROM backup_codes_regenerate(%s, $1, 5) AS c', u) INTO codes USING codes[3];
  RETURN NEXT 'regenerate ' || cardinality(codes);
  EXECUTE format('SELECT array_agg(c) FROM backup_codes_prepare(%s, 6) AS c', u) INTO codes;
  RETURN NEXT 'prepare ' || cardinality(codes);
  EXECUTE format('SELECT backup_codes_confirm(%s, $1)', u) INTO answer USING codes[1];
  RETURN NEXT 'confirm with proof ' || answer;
  EXECUTE format('SELECT count(*) FROM backup_codes_prepare(%s)', u) INTO answer;
  EXECUTE format('SELECT backup_codes_cancel(%s)', u) INTO answer;
  RETURN NEXT 'cancel ' || answer;
  EXECUTE format('SELECT count(*) FROM backup_codes_prepare(%s, 7)', u) INTO answer;
  EXECUTE format('SELECT backup_codes_confirm(%s)', u) INTO answer;
  RETURN NEXT 'confirm without ' || answer;
  EXECUTE format('SELECT enabled || '' '' || remaining FROM backup_codes_status(%s)', u) INTO answer;
  RETURN NEXT 'status ' || answer;
  EXECUTE format('SELECT backup_codes_disable(%s)', u) INTO answer;
  RETURN NEXT 'disable ' || answer;
  EXECUTE format('SELECT array_agg(c) FROM backup_codes_generate(%s) AS c', u) INTO codes;
  EXECUTE format('SELECT backup_codes_disable(%s, $1)', u) INTO answer USING codes[10];
  RETURN NEXT 'disable with a code ' || answer;
END
$$;
SELECT * FROM pg_temp.every_verb('bigint', '99');
SELECT t AS id_type,
       (SELECT array_agg(line) FROM pg_temp.every_verb(t, u) AS line) = (SELECT array_agg(line)
         FROM pg_temp.every_verb('bigint', '97') AS line) AS as_bigint
  FROM (VALUES ('smallint', '98'), ('integer', '98'), ('text', 'x'), ('varchar', 'y'), ('citext', 'z'), ('char(1)', 'c'),
               ('uuid', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12')) AS v (t, u);

-- An untyped parameter resolves to text.
PREPARE untyped AS SELECT backup_codes_consume($1, $2);
SELECT parameter_types FROM pg_prepared_statements WHERE name = 'untyped';
PREPARE typed AS SELECT backup_codes_consume($1::bigint, $2);
SELECT parameter_types FROM pg_prepared_statements WHERE name = 'typed';
SELECT code AS ten FROM shown WHERE n = 10 \gset
SELECT code AS eleven FROM shown WHERE n = 11 \gset
EXECUTE untyped ('7', :'ten');
EXECUTE typed (7, :'eleven');

-- No function takes a number that would have to be rounded.
\set VERBOSITY sqlstate
SELECT backup_codes_remaining(42.0);
SELECT backup_codes_remaining(42.0::float8);
