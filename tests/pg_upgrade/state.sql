-- All that must be the same in the next version: every row, and who may do what.
SELECT format('SELECT %L AS "table", count(*), md5(string_agg(t::text, '','' ORDER BY t::text COLLATE "C")) FROM %s AS t',
              c.oid::regclass, c.oid::regclass)
  FROM pg_class AS c
 WHERE c.relnamespace = 'backup_codes'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
 ORDER BY c.relname COLLATE "C" \gexec
-- The owner's own privileges are left out: PostgreSQL 17 has one more.
SELECT p.oid::regprocedure, a.grantee::regrole, a.privilege_type
  FROM pg_proc AS p, aclexplode(p.proacl) AS a
 WHERE p.proname LIKE 'backup\_codes\_%' AND a.grantee <> p.proowner
 ORDER BY p.oid::regprocedure::text COLLATE "C", 2, 3;
SELECT c.relname, a.grantee::regrole, a.privilege_type
  FROM pg_class AS c, aclexplode(c.relacl) AS a
 WHERE c.relnamespace = 'backup_codes'::regnamespace AND a.grantee <> c.relowner
 ORDER BY c.relname COLLATE "C", 2, 3;
SELECT cardinality(extconfig) AS dumped FROM pg_extension WHERE extname = 'backup_codes';
