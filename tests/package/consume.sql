-- What somebody tries first. Prints f, t, f: nobody's code, a right one, the same again.
CREATE EXTENSION backup_codes;
SELECT min(code) AS code FROM backup_codes_generate(42) AS code \gset
SELECT backup_codes_consume(42, 'nobody''s');
SELECT backup_codes_consume(42, :'code');
SELECT backup_codes_consume(42, :'code');
