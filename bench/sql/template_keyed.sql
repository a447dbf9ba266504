-- The same under key 1, :key in hexadecimal.
UPDATE backup_codes.account
   SET key_id = 1, key_check = substr(hmac('backup_codes key check', decode(:'key', 'hex'), 'sha256'), 1, 8);

INSERT INTO backup_codes.code (set_no, ordinal, user_id, code_hash)
SELECT 1, o, user_id,
       substr(hmac(sha256('\x6261636b75705f636f64657302'::bytea || salt
                          || (100000000000000000 + user_id::bigint * 1000 + o)::text::bytea),
                   decode(:'key', 'hex'), 'sha256'), 1, 16)
  FROM backup_codes.account, generate_series(1, 10) AS o;
