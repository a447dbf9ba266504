-- DROP and CREATE EXTENSION within one session: kept plans do not outlive the tables they were made for.
CREATE EXTENSION backup_codes;
CREATE FUNCTION every_verb() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  codes text[];
  said text;
BEGIN
  codes := ARRAY(SELECT backup_codes_generate(42));
  said := concat_ws(' ', backup_codes_consume(42, codes[1]), backup_codes_consume(42, codes[1]), backup_codes_remaining(42));
  codes := ARRAY(SELECT backup_codes_prepare(42));
  said := concat_ws(' ', said, backup_codes_confirm(42, codes[2]), backup_codes_cancel(42));
  codes := ARRAY(SELECT backup_codes_regenerate(42, codes[3], 4));
  said := concat_ws(' ', said, cardinality(codes), (SELECT remaining FROM backup_codes_status(42)), backup_codes_disable(42));
  codes := ARRAY(SELECT backup_codes_prepare(42));
  RETURN concat_ws(' ', said, backup_codes_cancel(42), backup_codes_revoke_all(), backup_codes_purge());
END
$$;
CREATE TABLE users (id int);
PREPARE consume(bigint, text) AS SELECT backup_codes_consume($1, $2);
SELECT every_verb();
SELECT every_verb();
SELECT code AS lost FROM backup_codes_generate(43) AS code LIMIT 1 \gset
EXECUTE consume (43, 'x');

DROP EXTENSION backup_codes;
\set VERBOSITY sqlstate
SELECT every_verb();
EXECUTE consume (43, 'x');
\set VERBOSITY default
CREATE EXTENSION backup_codes;
SELECT every_verb();
EXECUTE consume (43, :'lost');
SELECT count(*) FROM backup_codes.account WHERE user_id = '43';
SELECT code AS found FROM backup_codes_generate(43) AS code LIMIT 1 \gset
EXECUTE consume (43, :'found');
CREATE TRIGGER forget AFTER DELETE ON users FOR EACH ROW EXECUTE FUNCTION backup_codes_forget_user('id');
INSERT INTO users VALUES (43);
DELETE FROM users;
SELECT backup_codes_remaining(43);
DROP TRIGGER forget ON users;

-- Into another schema.
DROP EXTENSION backup_codes;
CREATE SCHEMA elsewhere;
CREATE EXTENSION backup_codes SCHEMA elsewhere;
SET search_path = elsewhere, public;
SELECT every_verb();
RESET search_path;

-- Within a transaction that is rolled back: the old installation is as it was.
SELECT code AS kept FROM elsewhere.backup_codes_generate(44) AS code LIMIT 1 \gset
BEGIN;
DROP EXTENSION backup_codes;
CREATE EXTENSION backup_codes SCHEMA public;
SELECT every_verb();
SELECT backup_codes_consume(44, :'kept');
ROLLBACK;
SELECT elsewhere.backup_codes_consume(44, :'kept');

-- The plans follow changes of the tables as well.
ALTER TABLE backup_codes.account SET (fillfactor = 70);
REINDEX TABLE backup_codes.code;
VACUUM FULL backup_codes.account;
SET search_path = elsewhere, public;
SELECT every_verb();
