-- doctor: a row for each check, always the same; each check fires when it should and is quiet on a healthy install.
-- What takes a server of its own (key files, a standby, preloaded modules) is in tests/host/tests/doctor.rs.
CREATE EXTENSION backup_codes;
-- Whether there is shared memory depends on the server: tests/host looks at that check.
CREATE VIEW checkup AS SELECT * FROM backup_codes_doctor() WHERE check_name <> 'throttle_memory';
CREATE VIEW alarm AS SELECT * FROM checkup WHERE status <> 'ok';
CREATE FUNCTION fixed(checked text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE (SELECT hint FROM alarm WHERE check_name = checked);
  RETURN (SELECT status FROM backup_codes_doctor() WHERE check_name = checked);
END
$$;

-- A healthy install, empty and in use.
SELECT check_name, status, detail, hint FROM checkup;
SELECT count(*) FROM backup_codes_generate(1), backup_codes_prepare(2, 1);
SELECT backup_codes_consume(1, 'nonsense'), backup_codes_confirm(2);
SELECT * FROM alarm;
-- It reads only, and every transaction may ask.
BEGIN READ ONLY;
SELECT count(*), count(DISTINCT check_name), count(detail), count(hint) FROM checkup;
SELECT pg_current_xact_id_if_assigned();
COMMIT;
CREATE ROLE regress_operator;
SELECT backup_codes_grant('operator', 'regress_operator');
SET ROLE regress_operator;
SELECT count(*), count(hint) FROM backup_codes_doctor() WHERE check_name <> 'throttle_memory';
RESET ROLE;

\x on
-- entropy, hash and throttle: of new codes.
SET backup_codes.length = 24;
SELECT * FROM alarm;
SET backup_codes.length = 23;
SELECT * FROM alarm;
SET backup_codes.alphabet = 'hex';
SET backup_codes.length = 16;
SELECT * FROM alarm;
SET backup_codes.length = 15;
SELECT * FROM alarm;
-- The odds pass 1e-4 between 7 and 6 digits.
SET backup_codes.alphabet = 'decimal';
SET backup_codes.length = 7;
SELECT check_name, status, detail FROM backup_codes_doctor() WHERE check_name = 'throttle';
SET backup_codes.length = 6;
SELECT check_name, status, detail, hint FROM backup_codes_doctor() WHERE check_name = 'throttle';
SET backup_codes.disable_after = 10;
SELECT check_name, status, detail FROM backup_codes_doctor() WHERE check_name = 'throttle';
SET backup_codes.count = 100;
SET backup_codes.disable_after = 1;
SELECT check_name, status, detail FROM backup_codes_doctor() WHERE check_name = 'throttle';
SET backup_codes.disable_after = 2;
SELECT check_name, status, detail, hint FROM backup_codes_doctor() WHERE check_name = 'throttle';
RESET backup_codes.count;
RESET backup_codes.disable_after;
-- hash: short codes under a fast hash, in new sets and in those that there are.
SET backup_codes.hash = 'argon2id';
SELECT check_name, status FROM backup_codes_doctor() WHERE check_name = 'hash';
SET backup_codes.hash = 'sha256';
SELECT * FROM alarm WHERE check_name = 'hash';
SELECT count(*) FROM backup_codes_generate('short', 1), backup_codes_prepare('short and pending', 1);
RESET backup_codes.alphabet;
RESET backup_codes.length;
SELECT * FROM alarm;
SELECT hint AS listing FROM alarm WHERE check_name = 'hash' \gset
:listing
RESET backup_codes.hash;
SELECT backup_codes_disable('short'), backup_codes_cancel('short and pending');
SELECT * FROM alarm;
-- entropy: of the sets that there are, whatever their hash.
SET backup_codes.argon2_memory = '8MB';
SET backup_codes.length = 16;
SELECT count(*) FROM backup_codes_generate('slow', 1);
RESET backup_codes.length;
SELECT * FROM alarm;
SELECT hint AS listing FROM alarm WHERE check_name = 'entropy' \gset
:listing
SELECT backup_codes_disable('slow');
SET backup_codes.length = 13;
SELECT count(*) FROM backup_codes_prepare('slow', 1);
RESET backup_codes.length;
SELECT check_name, status, detail FROM alarm;
SELECT backup_codes_cancel('slow');
SELECT * FROM alarm;

-- keys_missing, unkeyed_sets: without a key file no key is loaded.
UPDATE backup_codes.account SET key_id = 7, seal = '\x0123456789abcdef' WHERE user_id IN ('1', '2');
SELECT count(*) FROM unnest('{2,3}'::int[]) AS u, backup_codes_prepare(u, 1);
UPDATE backup_codes.pending_set SET key_id = 7, seal = '\x0123456789abcdef' WHERE user_id = '2';
UPDATE backup_codes.pending_set SET key_id = 8, seal = '\x0123456789abcdef' WHERE user_id = '3';
SELECT * FROM alarm;
UPDATE backup_codes.account SET key_id = NULL, seal = NULL;
SELECT count(*) FROM unnest('{2,3}'::int[]) AS u, backup_codes_cancel(u);
SELECT * FROM alarm;

-- table_privileges: PUBLIC, and roles that log in. Not the owner, superusers, auditors and roles that nobody logs in as.
CREATE ROLE regress_auditor LOGIN;
CREATE ROLE regress_reader LOGIN;
CREATE ROLE regress_group;
CREATE ROLE regress_superuser LOGIN SUPERUSER;
SELECT backup_codes_grant('auditor', 'regress_auditor');
GRANT SELECT ON backup_codes.code TO regress_group, regress_superuser;
SELECT * FROM alarm;
GRANT regress_group TO regress_reader;
SELECT * FROM alarm;
SELECT fixed('table_privileges');
GRANT SELECT, DELETE ON backup_codes.code TO regress_reader;
GRANT SELECT (salt) ON backup_codes.account TO PUBLIC;
GRANT UPDATE ON backup_codes.events TO regress_auditor;
GRANT USAGE ON SCHEMA backup_codes TO PUBLIC;
GRANT CREATE ON SCHEMA backup_codes TO regress_reader;
SELECT * FROM alarm;
SELECT fixed('table_privileges');
SELECT has_schema_privilege('regress_auditor', 'backup_codes', 'USAGE')
  AND has_table_privilege('regress_auditor', 'backup_codes.events', 'SELECT') AS audits;

-- function_privileges.
GRANT EXECUTE ON FUNCTION backup_codes_consume(text, text), backup_codes.duty_privileges() TO PUBLIC;
GRANT EXECUTE ON FUNCTION backup_codes_consume(text, text) TO regress_reader;
SELECT * FROM alarm;
SELECT fixed('function_privileges');

-- schema_usage: a duty is granted with USAGE where that is missing, and USAGE may be taken away later.
SELECT backup_codes_grant('verifier', 'regress_reader');
SELECT * FROM alarm;
REVOKE USAGE ON SCHEMA public FROM PUBLIC;
REVOKE USAGE ON SCHEMA backup_codes FROM regress_auditor;
SELECT * FROM alarm;
SELECT fixed('schema_usage');
SELECT has_schema_privilege(r, 'backup_codes', 'USAGE') AS private, has_schema_privilege(r, 'public', 'USAGE') AS public FROM unnest('{regress_auditor,regress_reader,regress_operator}'::text[]) AS r;
-- Through a group will do.
REVOKE USAGE ON SCHEMA public FROM regress_reader;
GRANT USAGE ON SCHEMA public TO regress_group;
SELECT * FROM alarm;
SELECT backup_codes_revoke('verifier', 'regress_reader');
GRANT USAGE ON SCHEMA public TO PUBLIC;
REVOKE USAGE ON SCHEMA public FROM regress_group, regress_operator;

-- owners.
ALTER TABLE backup_codes.code OWNER TO regress_reader;
ALTER FUNCTION backup_codes_consume(text, text) OWNER TO regress_reader;
ALTER VIEW backup_codes.events OWNER TO regress_superuser;
SELECT * FROM alarm;
SELECT fixed('owners');
ALTER SCHEMA backup_codes OWNER TO regress_reader;
SELECT * FROM alarm WHERE check_name = 'owners';
SELECT fixed('owners');
SELECT * FROM alarm;

-- members: functions and tables that are no part of the extension any more.
ALTER EXTENSION backup_codes DROP FUNCTION backup_codes_consume(text, text);
ALTER EXTENSION backup_codes DROP FUNCTION backup_codes_grant(text, regrole);
ALTER EXTENSION backup_codes DROP FUNCTION backup_codes.duty_privileges();
ALTER EXTENSION backup_codes DROP VIEW backup_codes.overview;
SELECT * FROM alarm;
SELECT fixed('members');
SELECT * FROM alarm;

-- api_schema: who owns the schema of the functions, and who may create there. The owner of the database is meant by pg_database_owner.
ALTER DATABASE regress_backup_codes OWNER TO regress_reader;
SELECT * FROM alarm;
GRANT CREATE ON SCHEMA public TO PUBLIC, regress_group, regress_superuser;
SELECT * FROM alarm;
SELECT fixed('api_schema');
ALTER SCHEMA public OWNER TO pg_database_owner;
ALTER DATABASE regress_backup_codes OWNER TO CURRENT_USER;
SELECT * FROM alarm;

-- overloads: a function of a stranger that fits a call better.
GRANT CREATE ON SCHEMA public TO regress_reader;
SET ROLE regress_reader;
CREATE FUNCTION backup_codes_consume(integer, text) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE PROCEDURE backup_codes_disable(user_id integer) LANGUAGE sql AS '';
CREATE FUNCTION backup_codes_of_mine(integer, text) RETURNS boolean LANGUAGE sql AS 'SELECT true';
RESET ROLE;
CREATE FUNCTION backup_codes_attempt(integer, text) RETURNS boolean LANGUAGE sql AS 'SELECT true';
SELECT * FROM alarm WHERE check_name = 'overloads';
SELECT fixed('overloads');
SELECT backup_codes_consume(1, 'anything'), backup_codes_of_mine(1, 'anything');
REVOKE CREATE ON SCHEMA public FROM regress_reader;
DROP FUNCTION backup_codes_attempt(integer, text), backup_codes_of_mine(integer, text);
SELECT * FROM alarm;

-- data_roles: directly or through a group.
GRANT pg_read_all_data TO regress_group;
GRANT pg_write_all_data TO regress_auditor, regress_superuser;
SELECT * FROM alarm;
SELECT fixed('data_roles');

-- row_security.
ALTER TABLE backup_codes.code ENABLE ROW LEVEL SECURITY;
SELECT * FROM alarm;
ALTER TABLE backup_codes.code FORCE ROW LEVEL SECURITY;
SELECT * FROM alarm;
SELECT fixed('row_security');

-- dump_marks.
ALTER EXTENSION backup_codes DROP TABLE backup_codes.code;
ALTER EXTENSION backup_codes ADD TABLE backup_codes.code;
UPDATE pg_extension SET extcondition[array_position(extconfig, 'backup_codes.event'::regclass::oid)]
  = 'WHERE delivered_at IS NULL' WHERE extname = 'backup_codes';
SELECT * FROM alarm;
SELECT fixed('dump_marks');
UPDATE pg_extension SET extconfig = NULL, extcondition = NULL WHERE extname = 'backup_codes';
SELECT status, length(hint) > 0 AS hint FROM alarm;
SELECT fixed('dump_marks');

-- log_statement: a problem with bound values, else a warning.
SET log_statement = 'ddl';
SELECT * FROM alarm;
SET log_statement = 'mod';
SELECT status, detail FROM alarm;
SET log_statement = 'all';
SELECT * FROM alarm;
SET log_parameter_max_length = '8B';
SELECT status, detail FROM alarm;
SET log_parameter_max_length = 0;
SELECT * FROM alarm;
RESET log_statement;

-- log_duration, without bound values as set above, and with them.
SET log_min_duration_statement = '1min';
SELECT * FROM alarm;
RESET log_min_duration_statement;
SET log_min_duration_sample = '1min';
SELECT * FROM alarm;
SET log_statement_sample_rate = 0;
SELECT * FROM alarm;
RESET log_min_duration_sample;
RESET log_statement_sample_rate;
SET log_transaction_sample_rate = 0.001;
SELECT * FROM alarm;
RESET log_parameter_max_length;
SELECT * FROM alarm;
RESET log_transaction_sample_rate;
SET log_min_duration_statement = 0;
SELECT status, detail FROM alarm;
RESET log_min_duration_statement;
SET log_duration = on;
SELECT * FROM alarm;
RESET log_duration;

-- log_errors.
SET log_min_error_statement = 'log';
SELECT * FROM alarm;
SET log_min_error_statement = 'warning';
SELECT * FROM alarm;
SET log_min_error_statement = 'debug3';
SELECT status FROM alarm;
SET log_parameter_max_length_on_error = -1;
SELECT * FROM alarm;
RESET log_min_error_statement;
SET log_parameter_max_length_on_error = '1kB';
SELECT status, detail FROM alarm;
RESET log_parameter_max_length_on_error;

-- auto_explain, pg_stat_statements, pgaudit: also where the module comes later.
SET auto_explain.log_min_duration = '-1';
SELECT * FROM alarm;
SET auto_explain.log_min_duration = '250ms';
SELECT * FROM alarm;
SET auto_explain.sample_rate = 0;
SELECT * FROM alarm;
RESET auto_explain.log_min_duration;
SET pg_stat_statements.track = 'top';
SET pg_stat_statements.track_utility = 'on';
SELECT * FROM alarm;
SET pg_stat_statements.track_utility = 'off';
SELECT * FROM alarm;
SET pg_stat_statements.track_utility = 'yes';
SET pg_stat_statements.track = 'none';
SELECT * FROM alarm;
SET pgaudit.log = 'ddl, role';
SET pgaudit.log_parameter = 'on';
SELECT * FROM alarm;
SET pgaudit.log = 'Read, ddl';
SELECT * FROM alarm;
SET pgaudit.log_parameter = 'off';
SELECT * FROM alarm;
SET pgaudit.log = 'none';

-- debug_print.
SET debug_print_plan = on;
SELECT * FROM alarm;
RESET debug_print_plan;
SET debug_print_parse = on;
SELECT status, detail FROM alarm;
RESET debug_print_parse;
SET debug_print_rewritten = on;
SELECT status, detail FROM alarm;
RESET debug_print_rewritten;
SELECT * FROM alarm;

-- Settings of other sessions count too.
ALTER ROLE regress_reader SET log_statement = 'all';
ALTER ROLE regress_reader SET work_mem = '8MB';
ALTER ROLE regress_auditor IN DATABASE regress_backup_codes SET log_min_duration_statement = '2s';
ALTER DATABASE regress_backup_codes SET debug_print_parse = 'on';
ALTER DATABASE postgres SET log_statement = 'all';
SELECT * FROM alarm;
SET log_parameter_max_length = 0;
SELECT check_name, status, detail FROM alarm WHERE check_name = 'log_duration';
RESET log_parameter_max_length;
SELECT fixed(c) FROM unnest('{log_statement,log_duration,debug_print}'::text[]) AS c;
SELECT fixed(c) FROM unnest('{log_statement,log_duration}'::text[]) AS c;
ALTER DATABASE postgres RESET log_statement;
SELECT * FROM alarm;

-- So do those for new sets: of an issuer who makes weak ones.
ALTER ROLE regress_reader SET backup_codes.length = 16;
ALTER ROLE regress_reader SET backup_codes.count = 8;
ALTER ROLE regress_auditor IN DATABASE regress_backup_codes SET backup_codes.alphabet = 'Decimal';
ALTER ROLE regress_auditor IN DATABASE regress_backup_codes SET backup_codes.length = 6;
ALTER ROLE regress_auditor IN DATABASE regress_backup_codes SET backup_codes.hash = 'sha256';
ALTER DATABASE regress_backup_codes SET backup_codes.disable_after = 50;
ALTER DATABASE postgres SET backup_codes.length = 6;
SELECT * FROM alarm;
SELECT fixed(c) FROM unnest('{hash,throttle,entropy}'::text[]) AS c;
SELECT * FROM alarm;
ALTER DATABASE postgres RESET backup_codes.length;

-- synchronous_commit.
SET synchronous_commit = local;
SELECT * FROM alarm;
SET synchronous_commit = off;
SELECT * FROM alarm;
RESET synchronous_commit;

-- publications. Each way to carry a table is left in another one.
SET client_min_messages = error;
CREATE TABLE application (id int);
CREATE PUBLICATION regress_theirs FOR TABLE application;
SELECT * FROM alarm;
CREATE PUBLICATION regress_tables FOR TABLE application, backup_codes.event, backup_codes.code;
CREATE PUBLICATION regress_schema FOR TABLES IN SCHEMA backup_codes;
SELECT * FROM alarm;
SELECT fixed('publications');
-- A name goes on to no other line of a comment: it would be pasted as a statement.
CREATE PUBLICATION "regress
all" FOR ALL TABLES;
SELECT * FROM alarm;
SELECT fixed('publications');
DROP PUBLICATION "regress
all", regress_theirs, regress_tables, regress_schema;
-- subscriptions: that bring rows of ours.
CREATE SUBSCRIPTION "regress
here" CONNECTION 'dbname=nowhere' PUBLICATION p WITH (connect = false, slot_name = NONE);
RESET client_min_messages;
INSERT INTO pg_subscription_rel (srsubid, srrelid, srsubstate) SELECT oid, 'application'::regclass, 'r' FROM pg_subscription WHERE subname LIKE 'regress%';
SELECT * FROM alarm;
INSERT INTO pg_subscription_rel (srsubid, srrelid, srsubstate) SELECT oid, t::regclass, 'r' FROM pg_subscription, unnest('{backup_codes.account,backup_codes.code}'::text[]) AS t WHERE subname LIKE 'regress%';
SELECT * FROM alarm;
SELECT fixed('subscriptions');
DROP SUBSCRIPTION "regress
here";
SELECT * FROM alarm;

-- counters: every way in which account, sets and codes can disagree. What the hint says puts it right.
SELECT sum(n) FROM (SELECT count(*) AS n FROM unnest('{back,gone,burned,no account,no set,two numbers}'::text[]) AS u, backup_codes_generate(u, 3)
                    UNION ALL SELECT count(*) FROM unnest('{pending,no account,two numbers}'::text[]) AS u, backup_codes_prepare(u, 2)) AS s;
SELECT code AS one FROM backup_codes_generate('back', 3) AS code LIMIT 1 \gset
CREATE TEMPORARY TABLE kept AS SELECT * FROM backup_codes.code WHERE user_id = 'back';
SELECT backup_codes_consume('back', :'one');
SELECT * FROM alarm;
INSERT INTO backup_codes.code SELECT * FROM kept ON CONFLICT DO NOTHING;
DELETE FROM backup_codes.code WHERE user_id = 'gone' AND ordinal = 1;
UPDATE backup_codes.account SET burned = '\x' WHERE user_id = 'back';
UPDATE backup_codes.account SET burned = '\x0001000102030405060708090a0b0c0d0e0f' WHERE user_id = 'burned';
DELETE FROM backup_codes.account WHERE user_id = 'no account';
UPDATE backup_codes.account SET set_no = NULL, unused = 0, total = NULL WHERE user_id = 'no set';
DELETE FROM backup_codes.code WHERE user_id = 'pending' AND ordinal = 2;
UPDATE backup_codes.account SET set_counter = 1 WHERE user_id = 'two numbers';
SELECT * FROM alarm WHERE check_name = 'counters';
SELECT fixed('counters');
SELECT count(DISTINCT user_id) FROM backup_codes.code WHERE user_id IN ('back', 'gone', 'burned', 'no account', 'no set', 'pending', 'two numbers');
-- No more than ten are named at a time.
SELECT count(*) FROM generate_series(101, 112) AS u, backup_codes_generate(u, 1);
DELETE FROM backup_codes.code WHERE user_id ~ '^1..$';
SELECT detail, regexp_count(hint, 'backup_codes_disable') AS remedies FROM alarm WHERE check_name = 'counters';
SELECT fixed('counters');
SELECT fixed('counters');
SELECT * FROM alarm;

-- wrong_clock: a lock, a lease or a due time more than two days ahead. A parked event is due at infinity.
UPDATE backup_codes.account SET locked_until = now() + interval '47 hours' WHERE user_id = '1';
TRUNCATE backup_codes.event;
INSERT INTO backup_codes.event (event_id, user_id, kind, at, due_at, lease) VALUES (gen_random_uuid(), '1', 'used', now(), now() + interval '47 hours', gen_random_uuid());
SELECT check_name FROM alarm;
UPDATE backup_codes.account SET locked_until = now() + interval '49 hours' WHERE user_id = '1';
SELECT * FROM alarm;
INSERT INTO backup_codes.event (event_id, user_id, kind, at, due_at, lease) VALUES (gen_random_uuid(), '1', 'used', now(), now() + interval '49 hours', gen_random_uuid()), (gen_random_uuid(), '1', 'used', now(), now() + interval '1 year', NULL);
SELECT * FROM alarm;
SELECT fixed('wrong_clock');
SELECT locked_until FROM backup_codes.account WHERE user_id = '1';
TRUNCATE backup_codes.event;

-- encoding: bytes that are no text. A superuser's cast stands for a client that sent them.
CREATE CAST (bytea AS text) WITHOUT FUNCTION;
INSERT INTO backup_codes.event (event_id, user_id, kind, at, context) SELECT gen_random_uuid(), n, 'used', now(), E'\u00e9' FROM generate_series(1, 20001) AS n;
SELECT * FROM alarm;
UPDATE backup_codes.event SET context = '\x66ff'::bytea::text WHERE user_id IN ('1', '20001');
UPDATE backup_codes.event SET actor = '\xc3'::bytea::text WHERE user_id = '20001';
SELECT status, detail, regexp_replace(hint, '''[-0-9a-f]{36}''', '…', 'g') AS hint FROM alarm;
SELECT fixed('encoding');
SELECT user_id, context, actor FROM backup_codes.event WHERE user_id IN ('1', '20001') ORDER BY user_id;
UPDATE backup_codes.event SET context = '\xff'::bytea::text WHERE user_id::int < 13;
SELECT detail, regexp_count(hint, 'UPDATE') AS remedies FROM alarm;
SELECT fixed('encoding');
SELECT fixed('encoding');
DROP CAST (bytea AS text);
TRUNCATE backup_codes.event;

-- events_waiting: more than 10,000, or for more than an hour. History and what was delivered do not wait.
TRUNCATE backup_codes.event;
INSERT INTO backup_codes.event (event_id, user_id, kind, at, due_at) SELECT gen_random_uuid(), n, 'used', now(), now()
  FROM generate_series(1, 10000) AS n;
INSERT INTO backup_codes.event (event_id, user_id, kind, at, delivered_at) SELECT gen_random_uuid(), n, 'used',
  now() - interval '1 year', CASE WHEN n > 5 THEN now() END FROM generate_series(1, 10) AS n;
SELECT check_name, status, detail FROM backup_codes_doctor() WHERE check_name = 'events_waiting';
INSERT INTO backup_codes.event (event_id, user_id, kind, at, due_at) VALUES (gen_random_uuid(), '1', 'used', now(), now());
SELECT * FROM alarm;
TRUNCATE backup_codes.event;
INSERT INTO backup_codes.event (event_id, user_id, kind, at, due_at)
  VALUES (gen_random_uuid(), '1', 'used', now() - interval '59 minutes', now() + interval '1 hour');
SELECT * FROM alarm;
INSERT INTO backup_codes.event (event_id, user_id, kind, at, due_at)
  VALUES (gen_random_uuid(), '1', 'used', now() - interval '61 minutes', now() + interval '1 hour');
SELECT * FROM alarm;
TRUNCATE backup_codes.event;

-- events_failing: tried ten times, or parked.
INSERT INTO backup_codes.event (event_id, user_id, kind, at, due_at, attempts)
  VALUES (gen_random_uuid(), '1', 'used', now(), now(), 9), (gen_random_uuid(), '1', 'used', now(), NULL, 19);
SELECT * FROM alarm;
INSERT INTO backup_codes.event (event_id, user_id, kind, at, due_at, attempts) VALUES (gen_random_uuid(), '1', 'used', now(), now(), 10);
SELECT * FROM alarm;
INSERT INTO backup_codes.event (event_id, user_id, kind, at, due_at, attempts)
  VALUES (gen_random_uuid(), '1', 'used', now() - interval '1 day', 'infinity', 20);
SELECT check_name, status, detail FROM alarm;
TRUNCATE backup_codes.event;

-- users_locked.
UPDATE backup_codes.account SET locked_until = now() - interval '1 second' WHERE user_id = '2';
SELECT * FROM alarm;
UPDATE backup_codes.account SET locked_until = now() + interval '1 hour' WHERE user_id = '1';
SELECT * FROM alarm;
SELECT hint AS listing FROM alarm WHERE check_name = 'users_locked' \gset
CREATE TEMPORARY TABLE listed AS :listing
SELECT user_id FROM listed;
UPDATE backup_codes.account SET locked_until = NULL;

-- pending_sets.
SELECT count(*) FROM unnest('{1,2}'::int[]) AS u, backup_codes_prepare(u, 1);
UPDATE backup_codes.pending_set SET generated_at = now() - interval '23 hours';
SELECT * FROM alarm;
UPDATE backup_codes.pending_set SET generated_at = now() - interval '25 hours' WHERE user_id = '1';
SELECT * FROM alarm;
SELECT fixed('pending_sets');
SELECT user_id FROM backup_codes.pending_set;

-- expired_sets.
UPDATE backup_codes.account SET expires_at = now() - interval '89 days' WHERE user_id = '1';
SELECT * FROM alarm;
UPDATE backup_codes.account SET expires_at = now() - interval '91 days' WHERE user_id = '1';
SELECT * FROM alarm;
SELECT fixed('expired_sets');
SELECT user_id FROM backup_codes.account WHERE set_no IS NOT NULL;

-- Hints name the functions where they are.
DROP EXTENSION backup_codes CASCADE;
CREATE SCHEMA "Api";
CREATE EXTENSION backup_codes SCHEMA "Api";
SELECT count(*) FROM "Api".backup_codes_prepare(1, 1);
UPDATE backup_codes.pending_set SET generated_at = now() - interval '25 hours';
UPDATE backup_codes.event SET due_at = 'infinity';
UPDATE backup_codes.account SET set_no = 1, salt = '', total = 0, expires_at = now() - interval '91 days';
SELECT hint FROM "Api".backup_codes_doctor() WHERE status <> 'ok' AND check_name <> 'throttle_memory';
GRANT EXECUTE ON FUNCTION "Api".backup_codes_doctor() TO PUBLIC;
SELECT hint FROM "Api".backup_codes_doctor() WHERE check_name = 'function_privileges';

DROP OWNED BY regress_operator, regress_auditor, regress_reader, regress_group, regress_superuser;
DROP ROLE regress_operator, regress_auditor, regress_reader, regress_group, regress_superuser;
