SELECT c.relname, CASE c.relkind WHEN 'i' THEN pg_relation_size(c.oid) ELSE pg_table_size(c.oid) END
  FROM pg_class AS c
 WHERE c.relnamespace = 'backup_codes'::regnamespace AND c.relkind IN ('r', 'i')
 ORDER BY c.relname;
