-- The catalog: every member of the extension with its definition, privileges, comment and dump mark. A change shows here.
CREATE EXTENSION backup_codes;
CREATE VIEW member AS
  SELECT m.classid, m.objid, pg_describe_object(m.classid, m.objid, 0) AS object
    FROM pg_depend AS m JOIN pg_extension AS e ON m.refclassid = 'pg_extension'::regclass AND m.refobjid = e.oid
   WHERE m.deptype = 'e' AND e.extname = 'backup_codes'
     AND m.classid <> 'pg_type'::regclass;

SELECT object FROM member ORDER BY object COLLATE "C";

-- Functions.
SELECT p.oid::regprocedure AS function, pg_get_function_result(p.oid) AS result
  FROM pg_proc AS p JOIN member AS m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid ORDER BY p.oid::regprocedure::text COLLATE "C";
SELECT p.oid::regprocedure AS function, pg_get_function_arguments(p.oid) AS arguments
  FROM pg_proc AS p JOIN member AS m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid WHERE p.pronargs > 0 ORDER BY p.oid::regprocedure::text COLLATE "C";
SELECT p.oid::regprocedure AS function, l.lanname AS language, p.provolatile AS volatile, p.proparallel AS parallel, p.proisstrict AS strict, p.prosecdef AS definer, p.proleakproof AS leakproof,
       p.procost AS cost, p.prorows AS rows, p.proconfig AS config, CASE l.lanname WHEN 'c' THEN p.probin || ' ' || p.prosrc END AS symbol
  FROM pg_proc AS p JOIN pg_language AS l ON l.oid = p.prolang JOIN member AS m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid ORDER BY p.oid::regprocedure::text COLLATE "C";
-- The only other language, and the only dynamic SQL: bodies in full.
SELECT pg_get_functiondef(p.oid) AS definition
  FROM pg_proc AS p JOIN pg_language AS l ON l.oid = p.prolang JOIN member AS m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid WHERE l.lanname <> 'c' ORDER BY p.oid::regprocedure::text COLLATE "C";
-- No function is STRICT: to NULL the answer is false or an error, not NULL.
SELECT count(*) AS strict FROM pg_proc AS p JOIN member AS m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid WHERE p.proisstrict;

-- Tables.
SELECT c.oid::regclass AS table, a.attname AS column, format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull AS not_null, pg_get_expr(d.adbin, d.adrelid) AS "default",
       CASE WHEN a.attcollation <> t.typcollation THEN (SELECT collname FROM pg_collation AS l WHERE l.oid = a.attcollation) END AS collation, CASE WHEN a.attstorage <> t.typstorage THEN a.attstorage END AS storage,
       (a.attidentity <> '' OR a.attgenerated <> '') AS generated
  FROM pg_class AS c JOIN member AS m ON m.classid = 'pg_class'::regclass AND m.objid = c.oid JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  JOIN pg_type AS t ON t.oid = a.atttypid LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
 WHERE c.relkind = 'r' ORDER BY c.relname COLLATE "C", a.attnum;
SELECT c.oid::regclass AS table, c.relkind, c.relpersistence, c.reloptions, c.relrowsecurity FROM pg_class AS c JOIN member AS m ON m.classid = 'pg_class'::regclass AND m.objid = c.oid ORDER BY c.relname COLLATE "C";
-- PostgreSQL 18 counts NOT NULL among the constraints.
SELECT conrelid::regclass AS table, conname, pg_get_constraintdef(k.oid) AS definition FROM pg_constraint AS k JOIN member AS m ON m.classid = 'pg_class'::regclass AND m.objid = k.conrelid
 WHERE k.contype <> 'n' ORDER BY conrelid::regclass::text COLLATE "C", conname COLLATE "C";
SELECT pg_get_indexdef(i.indexrelid) AS index FROM pg_index AS i JOIN member AS m ON m.classid = 'pg_class'::regclass AND m.objid = i.indrelid ORDER BY i.indexrelid::regclass::text COLLATE "C";
-- Every primary key and unique index contains user_id, and user_id leads it.
SELECT i.indexrelid::regclass FROM pg_index AS i JOIN member AS m ON m.classid = 'pg_class'::regclass AND m.objid = i.indrelid JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
 WHERE i.indisunique AND a.attname <> 'user_id';
-- No triggers, rules, policies or sequences; nothing seeded.
SELECT (SELECT count(*) FROM pg_trigger AS t JOIN member AS m ON m.classid = 'pg_class'::regclass AND m.objid = t.tgrelid) AS triggers,
       (SELECT count(*) FROM pg_rewrite AS r JOIN member AS m ON m.classid = 'pg_class'::regclass AND m.objid = r.ev_class WHERE r.rulename <> '_RETURN') AS rules,
       (SELECT count(*) FROM pg_policy AS p JOIN member AS m ON m.classid = 'pg_class'::regclass AND m.objid = p.polrelid) AS policies,
       (SELECT count(*) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = 'backup_codes' AND c.relkind = 'S') AS sequences,
       (SELECT count(*) FROM backup_codes.account) + (SELECT count(*) FROM backup_codes.code) + (SELECT count(*) FROM backup_codes.pending_set) + (SELECT count(*) FROM backup_codes.event) AS rows;

-- Views. Before PostgreSQL 16 the only table of a query is named with each column.
SELECT c.oid::regclass AS view, regexp_replace(pg_get_viewdef(c.oid), '\mevent\.', '', 'g') AS definition
  FROM pg_class AS c JOIN member AS m ON m.classid = 'pg_class'::regclass AND m.objid = c.oid WHERE c.relkind = 'v' ORDER BY c.relname COLLATE "C";
SELECT c.oid::regclass AS view, a.attname AS column, format_type(a.atttypid, a.atttypmod) AS type
  FROM pg_class AS c JOIN member AS m ON m.classid = 'pg_class'::regclass AND m.objid = c.oid JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0
 WHERE c.relkind = 'v' ORDER BY c.relname COLLATE "C", a.attnum;
-- No view shows a hash, a salt, a key check or a lease.
SELECT count(*) FROM pg_class AS c JOIN member AS m ON m.classid = 'pg_class'::regclass AND m.objid = c.oid JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0
 WHERE c.relkind = 'v' AND (a.atttypid = 'bytea'::regtype OR a.attname ~ 'hash|salt|burned|key_check|lease');

-- Privileges: the owner's alone.
SELECT m.object, a.*
  FROM member AS m
 CROSS JOIN LATERAL (SELECT nspowner, coalesce(nspacl, acldefault('n', nspowner)) FROM pg_namespace WHERE m.classid = 'pg_namespace'::regclass AND oid = m.objid
           UNION ALL SELECT relowner, coalesce(relacl, acldefault('r', relowner)) FROM pg_class WHERE m.classid = 'pg_class'::regclass AND oid = m.objid
           UNION ALL SELECT proowner, coalesce(proacl, acldefault('f', proowner)) FROM pg_proc WHERE m.classid = 'pg_proc'::regclass AND oid = m.objid) AS o (owner, acl)
 CROSS JOIN LATERAL aclexplode(o.acl) AS a
 WHERE a.grantee <> o.owner;

-- Dump marks: every table, with all of its rows.
SELECT t::regclass AS table, c AS condition FROM pg_extension AS e, unnest(e.extconfig, e.extcondition) AS u (t, c) WHERE e.extname = 'backup_codes' ORDER BY t::regclass::text COLLATE "C";
SELECT c.oid::regclass AS unmarked FROM pg_class AS c JOIN member AS m ON m.classid = 'pg_class'::regclass AND m.objid = c.oid
 WHERE c.relkind IN ('r', 'p', 'S') AND c.oid <> ALL (SELECT unnest(extconfig) FROM pg_extension WHERE extname = 'backup_codes');

-- Comments: no object without one, nor a column; each a sentence.
SELECT object AS uncommented FROM member AS m WHERE coalesce(obj_description(m.objid, m.classid::regclass::name), '') = '' AND m.classid <> 'pg_type'::regclass ORDER BY 1;
SELECT m.object, a.attname AS uncommented FROM member AS m JOIN pg_attribute AS a ON m.classid = 'pg_class'::regclass AND a.attrelid = m.objid AND a.attnum > 0
 WHERE coalesce(col_description(a.attrelid, a.attnum), '') = '' ORDER BY 1, a.attnum;
SELECT obj_description(oid, 'pg_extension') AS extension FROM pg_extension WHERE extname = 'backup_codes';
SELECT m.object, d.description FROM member AS m JOIN pg_description AS d ON d.classoid = m.classid AND d.objoid = m.objid WHERE d.description !~ '^\S.*\.$' OR d.description ~ '\n|  ' ORDER BY 1, 2;
-- The three overloads of a function are told the same.
SELECT proname, pronargs, count(DISTINCT obj_description(p.oid, 'pg_proc')) AS comments FROM pg_proc AS p JOIN member AS m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid GROUP BY 1, 2 HAVING count(DISTINCT obj_description(p.oid, 'pg_proc')) <> 1 ORDER BY 1;
-- The comment of a function names the duty that may call it.
SELECT p.oid::regprocedure AS function, split_part(obj_description(p.oid, 'pg_proc'), '.', 1) AS said, d AS granted
  FROM pg_proc AS p JOIN member AS m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid, unnest('{issuer,verifier,operator}'::text[]) AS d
 WHERE 'EXECUTE ON FUNCTION ' || p.oid::regprocedure IN (SELECT replace(x, 'public.', '') FROM backup_codes.duty_privileges(d) AS x) AND lower(split_part(obj_description(p.oid, 'pg_proc'), '.', 1)) <> d;
