-- doctor: user_triggers and user_keys, each firing and quiet.
CREATE EXTENSION backup_codes;
CREATE EXTENSION citext;
CREATE VIEW found AS SELECT status, detail, hint FROM backup_codes_doctor() WHERE check_name = 'user_triggers';
CREATE VIEW keys AS SELECT status, detail, hint FROM backup_codes_doctor() WHERE check_name = 'user_keys';
-- What was found is put right by pasting the hint.
TABLE found;
TABLE keys;

-- As it should be: a plain table, a partitioned one, one of soft deletes, and keys of every kind.
CREATE DOMAIN handle AS citext;
CREATE TABLE plain (id bigint PRIMARY KEY);
CREATE TABLE "Odd ""name""" ("Org" varchar, "user id" handle, PRIMARY KEY ("Org", "user id"));
CREATE TABLE parted (region text, id char(8), u uuid, PRIMARY KEY (region, id)) PARTITION BY LIST (region);
CREATE TABLE parted_eu PARTITION OF parted FOR VALUES IN ('eu');
CREATE TABLE soft (id smallint, deleted_at date);
CREATE UNIQUE INDEX ON soft (id) WHERE deleted_at IS NULL;
CREATE TRIGGER follow AFTER DELETE OR UPDATE ON plain FOR EACH ROW EXECUTE FUNCTION backup_codes_forget_user('id');
CREATE TRIGGER follow_truncate BEFORE TRUNCATE ON plain EXECUTE FUNCTION backup_codes_forget_user('id');
CREATE TRIGGER follow AFTER DELETE OR UPDATE ON "Odd ""name""" FOR EACH ROW EXECUTE FUNCTION backup_codes_forget_user('Org', 'user id');
CREATE TRIGGER follow_truncate BEFORE TRUNCATE ON "Odd ""name""" EXECUTE FUNCTION backup_codes_forget_user('Org', 'user id');
CREATE TRIGGER follow AFTER DELETE OR UPDATE ON parted FOR EACH ROW EXECUTE FUNCTION backup_codes_forget_user('id');
CREATE TRIGGER follow_truncate BEFORE TRUNCATE ON parted EXECUTE FUNCTION backup_codes_forget_user('id');
CREATE TRIGGER follow AFTER DELETE OR UPDATE ON soft FOR EACH ROW WHEN (OLD.deleted_at IS NULL) EXECUTE FUNCTION backup_codes_forget_user('id');
CREATE TRIGGER follow_truncate BEFORE TRUNCATE ON soft EXECUTE FUNCTION backup_codes_forget_user('id');
CREATE TABLE parted_us PARTITION OF parted FOR VALUES IN ('us');
TABLE found;
TABLE keys;

-- Disabled, on a table and in one partition.
\x on
ALTER TABLE "Odd ""name""" DISABLE TRIGGER follow;
ALTER TABLE parted_us ENABLE REPLICA TRIGGER follow;
TABLE found;
SELECT hint FROM found \gexec
TABLE found;
ALTER TABLE plain ENABLE ALWAYS TRIGGER follow;
TABLE found;

-- Deferrable; at another time or level; for an event that it must not have; of one column.
DROP TRIGGER follow ON plain;
CREATE CONSTRAINT TRIGGER follow AFTER DELETE OR UPDATE ON plain DEFERRABLE FOR EACH ROW EXECUTE FUNCTION backup_codes_forget_user('id');
DROP TRIGGER follow ON "Odd ""name""";
CREATE TRIGGER follow BEFORE DELETE OR UPDATE ON "Odd ""name""" FOR EACH ROW EXECUTE FUNCTION backup_codes_forget_user('Org', 'user id');
DROP TRIGGER follow_truncate ON soft;
CREATE TRIGGER follow_truncate AFTER TRUNCATE ON soft EXECUTE FUNCTION backup_codes_forget_user('id');
DROP TRIGGER follow ON parted;
CREATE TRIGGER follow AFTER DELETE OR UPDATE OF id ON parted FOR EACH ROW EXECUTE FUNCTION backup_codes_forget_user('id');
TABLE found;
SELECT hint FROM found \gexec
TABLE found;

-- A condition is not lost by pasting.
DROP TRIGGER follow ON soft;
CREATE TRIGGER follow AFTER DELETE ON soft FOR EACH ROW WHEN (OLD.deleted_at IS NULL) EXECUTE FUNCTION backup_codes_forget_user('id');
TABLE found;
DROP TRIGGER follow ON soft;
CREATE TRIGGER follow AFTER DELETE OR UPDATE ON soft FOR EACH ROW WHEN (OLD.deleted_at IS NULL) EXECUTE FUNCTION backup_codes_forget_user('id');

-- An event is missing.
DROP TRIGGER follow_truncate ON plain;
DROP TRIGGER follow ON "Odd ""name""";
CREATE TRIGGER follow AFTER DELETE ON "Odd ""name""" FOR EACH ROW EXECUTE FUNCTION backup_codes_forget_user('Org', 'user id');
TABLE found;
SELECT hint FROM found \gexec
TABLE found;

-- On one partition only.
CREATE TABLE half (region text, id bigint, PRIMARY KEY (region, id)) PARTITION BY LIST (region);
CREATE TABLE half_eu PARTITION OF half FOR VALUES IN ('eu');
CREATE TABLE half_us PARTITION OF half FOR VALUES IN ('us');
CREATE TRIGGER follow AFTER DELETE OR UPDATE ON half_eu FOR EACH ROW EXECUTE FUNCTION backup_codes_forget_user('id');
CREATE TRIGGER follow_truncate BEFORE TRUNCATE ON half_eu EXECUTE FUNCTION backup_codes_forget_user('id');
TABLE found;
SELECT hint FROM found \gexec
DROP TRIGGER follow_truncate ON half_eu;
CREATE TRIGGER follow_truncate BEFORE TRUNCATE ON half EXECUTE FUNCTION backup_codes_forget_user('id');
TABLE found;

-- No column, a column that is not there, and types that are refused. A line break in a name begins no other line.
CREATE TABLE "wrong
SELECT 1" (id numeric PRIMARY KEY, e name);
CREATE TRIGGER a AFTER DELETE OR UPDATE ON "wrong
SELECT 1" FOR EACH ROW EXECUTE FUNCTION backup_codes_forget_user();
CREATE TRIGGER b AFTER DELETE OR UPDATE ON "wrong
SELECT 1" FOR EACH ROW EXECUTE FUNCTION backup_codes_forget_user('nöwhere');
CREATE TRIGGER c AFTER DELETE OR UPDATE ON "wrong
SELECT 1" FOR EACH ROW EXECUTE FUNCTION backup_codes_forget_user('id', 'e');
CREATE TRIGGER d BEFORE TRUNCATE ON "wrong
SELECT 1" EXECUTE FUNCTION backup_codes_forget_user('id');
TABLE found;
SELECT hint FROM found \gexec
DROP TABLE "wrong
SELECT 1";
CREATE ACCESS METHOD another TYPE TABLE HANDLER heap_tableam_handler;
CREATE TABLE elsewhere (id bigint PRIMARY KEY) USING another;
CREATE TRIGGER a AFTER DELETE OR UPDATE ON elsewhere FOR EACH ROW EXECUTE FUNCTION backup_codes_forget_user('id');
CREATE TRIGGER b BEFORE TRUNCATE ON elsewhere EXECUTE FUNCTION backup_codes_forget_user('id');
TABLE found;
DROP TABLE elsewhere;
TABLE found;

-- Keys: no unique index, one of other columns, one with a predicate that the trigger has not.
TABLE keys;
ALTER TABLE plain DROP CONSTRAINT plain_pkey;
DROP TRIGGER follow ON soft;
CREATE TRIGGER follow AFTER DELETE OR UPDATE ON soft FOR EACH ROW EXECUTE FUNCTION backup_codes_forget_user('id');
ALTER TABLE "Odd ""name""" DROP CONSTRAINT "Odd ""name""_pkey";
CREATE UNIQUE INDEX ON "Odd ""name""" (lower("Org"), "user id");
TABLE keys;
SELECT hint FROM keys \gexec
TABLE keys;
DROP TRIGGER follow ON soft;
CREATE TRIGGER follow AFTER DELETE OR UPDATE ON soft FOR EACH ROW WHEN (OLD.deleted_at IS NULL) EXECUTE FUNCTION backup_codes_forget_user('id');
TABLE keys;
-- A key that is unique in a part of its columns is unique.
ALTER TABLE plain ADD COLUMN more text;
DROP TRIGGER follow ON plain;
CREATE TRIGGER follow AFTER DELETE OR UPDATE ON plain FOR EACH ROW EXECUTE FUNCTION backup_codes_forget_user('more', 'id');
TABLE keys;
