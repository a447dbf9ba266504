-- The rows that enrolling :users users leaves behind, already hashed, to be inserted again by bare_enrol.sql.
DROP SCHEMA IF EXISTS staged CASCADE;
TRUNCATE backup_codes.account, backup_codes.code, backup_codes.event;
SELECT count(*) FROM generate_series(1, :users) AS u, backup_codes_generate(u);
CREATE SCHEMA staged;
CREATE TABLE staged.account AS SELECT * FROM backup_codes.account;
CREATE TABLE staged.code AS SELECT * FROM backup_codes.code;
CREATE TABLE staged.event AS SELECT * FROM backup_codes.event;
VACUUM ANALYZE staged.account, staged.code, staged.event;
