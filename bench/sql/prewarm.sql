SELECT sum(pg_prewarm(oid::regclass))
  FROM pg_class
 WHERE relnamespace = 'backup_codes'::regnamespace AND relkind IN ('r', 'i');
