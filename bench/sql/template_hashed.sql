-- The hash that the extension computes: docs/reference.md, and core/src/hash.rs.
INSERT INTO backup_codes.code (set_no, ordinal, user_id, code_hash)
SELECT 1, o, user_id,
       substr(sha256('\x6261636b75705f636f64657302'::bytea || salt
                     || (100000000000000000 + user_id::bigint * 1000 + o)::text::bytea), 1, 16)
  FROM backup_codes.account, generate_series(1, 10) AS o;
