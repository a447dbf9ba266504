DELETE FROM backup_codes.code
 WHERE user_id = :id::text AND code_hash = int8send(:code::bigint) || '\x0000000000000000'::bytea
RETURNING true;
