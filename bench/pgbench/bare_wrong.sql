WITH spent AS (
  DELETE FROM backup_codes.code
   WHERE user_id = :id::text AND code_hash = int8send(:code::bigint) || '\x0000000000000000'::bytea
  RETURNING 1
)
UPDATE backup_codes.account SET failures = failures + 1
 WHERE user_id = :id::text AND NOT EXISTS (SELECT FROM spent);
