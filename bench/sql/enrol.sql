SELECT count(*) AS codes FROM backup_codes_generate_many(ARRAY(SELECT u::bigint FROM generate_series(1, :users) AS u)) \gset
