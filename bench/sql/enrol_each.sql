SELECT count(*) AS codes FROM generate_series(1, :users) AS u, backup_codes_generate(u) \gset
