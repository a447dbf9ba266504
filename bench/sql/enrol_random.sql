SELECT count(*) AS codes FROM (SELECT u FROM generate_series(1, :users) AS u ORDER BY random()) AS r, backup_codes_generate(u) \gset
