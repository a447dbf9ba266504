SELECT backup_codes_consume(:id::bigint, :code::text);
