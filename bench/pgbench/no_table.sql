SELECT * FROM backup_codes_status(NULL::bigint);
