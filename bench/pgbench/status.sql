SELECT * FROM backup_codes_status(:id::bigint);
