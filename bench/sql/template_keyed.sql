-- The same under key 1, :key in hexadecimal.
UPDATE backup_codes.account
   SET key_id = 1,
       seal = substr(hmac('backup_codes seal\x01'::bytea || int2send(length(user_id)::smallint) || user_id::bytea || salt
                          || scheme::text::bytea || alphabet::text::bytea || substr(int2send(length), 2)
                          || timestamptz_send(generated_at) || int8send(9223372036854775807),
                          decode(:'key', 'hex'), 'sha256'), 1, 16);

INSERT INTO backup_codes.code (set_no, ordinal, user_id, code_hash)
SELECT 1, o, user_id,
       substr(hmac(sha256('\x6261636b75705f636f64657302'::bytea || salt
                          || (100000000000000000 + user_id::bigint * 1000 + o)::text::bytea),
                   decode(:'key', 'hex'), 'sha256'), 1, 16)
  FROM backup_codes.account, generate_series(1, 10) AS o;
