-- The bare statement pays for no hash: what is stored of a code is the code itself, in as many bytes as a hash has.
INSERT INTO backup_codes.code (set_no, ordinal, user_id, code_hash)
SELECT 1, o, user_id, int8send(100000000000000000 + user_id::bigint * 1000 + o) || '\x0000000000000000'::bytea
  FROM backup_codes.account, generate_series(1, 10) AS o;
