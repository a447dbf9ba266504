SELECT count(*) FROM backup_codes.code WHERE user_id = :id::text;
