SELECT count(*) FROM backup_codes_generate(:id::bigint);
