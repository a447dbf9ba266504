SELECT backup_codes_remaining(:id::bigint);
