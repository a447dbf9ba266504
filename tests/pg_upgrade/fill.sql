-- Users whose sets are kept in every way. The codes stay in a table, which nobody should do.
CREATE EXTENSION IF NOT EXISTS backup_codes;
CREATE TABLE IF NOT EXISTS shown (user_id text, n bigint, code text);
INSERT INTO shown SELECT :'user', n, code FROM backup_codes_generate(:'user') WITH ORDINALITY AS g (code, n);
SELECT backup_codes_consume(user_id, code) AS consumed FROM shown WHERE user_id = :'user' AND n = 1;
INSERT INTO shown SELECT :'user' || ' pending', n, code FROM backup_codes_generate(:'user' || ' pending')
  WITH ORDINALITY AS g (code, n);
INSERT INTO shown SELECT :'user' || ' pending', n + 100, code FROM backup_codes_prepare(:'user' || ' pending')
  WITH ORDINALITY AS p (code, n);
