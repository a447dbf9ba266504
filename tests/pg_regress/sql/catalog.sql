-- The catalog: every member of the extension with its definition, privileges, comment and dump mark. A change shows here.
CREATE EXTENSION backup_codes;
CREATE VIEW member AS
  SELECT m.classid, m.objid, pg_describe_object(m.classid, m.objid, 0) AS object
    FROM pg_depend AS m JOIN pg_extension AS e ON m.refclassid = 'pg_extension'::regclass AND m.refobjid = e.oid
   WHERE m.deptype = 'e' AND e.extname = 'backup_codes'
     AND m.classid <> 'pg_type'::regclass;
CREATE VIEW function AS
  SELECT p.*, p.oid::regprocedure AS function, obj_description(p.oid, 'pg_proc') AS comment
    FROM pg_proc AS p JOIN member AS m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid;
CREATE VIEW relation AS
  SELECT c.*, c.oid::regclass AS relation
    FROM pg_class AS c JOIN member AS m ON m.classid = 'pg_class'::regclass AND m.objid = c.oid;

SELECT object FROM member ORDER BY object COLLATE "C";

-- Functions.
SELECT function, pg_get_function_result(oid) AS result FROM function ORDER BY function::text COLLATE "C";
SELECT function, pg_get_function_arguments(oid) AS arguments FROM function WHERE pronargs > 0
 ORDER BY function::text COLLATE "C";
SELECT function, lanname AS language, provolatile AS volatile, proparallel AS parallel, proisstrict AS strict,
       prosecdef AS definer, proleakproof AS leakproof, procost AS cost, prorows AS rows, proconfig AS config,
       CASE lanname WHEN 'c' THEN probin || ' ' || prosrc END AS symbol
  FROM function AS f JOIN pg_language AS l ON l.oid = f.prolang ORDER BY function::text COLLATE "C";
-- The only other language, and the only dynamic SQL: bodies in full.
SELECT pg_get_functiondef(f.oid) AS definition
  FROM function AS f JOIN pg_language AS l ON l.oid = f.prolang WHERE l.lanname <> 'c' ORDER BY function::text COLLATE "C";
-- No function is STRICT: to NULL the answer is false or an error, not NULL.
SELECT count(*) AS strict FROM function WHERE proisstrict;

-- Tables.
SELECT c.relation AS table, a.attname AS column, format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull AS not_null,
       pg_get_expr(d.adbin, d.adrelid) AS "default",
       CASE WHEN a.attcollation <> t.typcollation
            THEN (SELECT collname FROM pg_collation AS l WHERE l.oid = a.attcollation) END AS collation,
       CASE WHEN a.attstorage <> t.typstorage THEN a.attstorage END AS storage,
       (a.attidentity <> '' OR a.attgenerated <> '') AS generated
  FROM relation AS c
  JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  JOIN pg_type AS t ON t.oid = a.atttypid
  LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
 WHERE c.relkind = 'r' ORDER BY c.relname COLLATE "C", a.attnum;
SELECT relation AS table, relkind, relpersistence, reloptions, relrowsecurity FROM relation ORDER BY relname COLLATE "C";
-- PostgreSQL 18 counts NOT NULL among the constraints.
SELECT c.relation AS table, k.conname, pg_get_constraintdef(k.oid) AS definition
  FROM pg_constraint AS k JOIN relation AS c ON c.oid = k.conrelid
 WHERE k.contype <> 'n' ORDER BY c.relation::text COLLATE "C", k.conname COLLATE "C";
SELECT pg_get_indexdef(i.indexrelid) AS index
  FROM pg_index AS i JOIN relation AS c ON c.oid = i.indrelid ORDER BY i.indexrelid::regclass::text COLLATE "C";
-- Every primary key and unique index contains user_id, and user_id leads it.
SELECT i.indexrelid::regclass
  FROM pg_index AS i JOIN relation AS c ON c.oid = i.indrelid
  JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
 WHERE i.indisunique AND a.attname <> 'user_id';
-- No triggers, rules, policies or sequences; nothing seeded.
SELECT (SELECT count(*) FROM pg_trigger AS t JOIN relation AS c ON c.oid = t.tgrelid) AS triggers,
       (SELECT count(*) FROM pg_rewrite AS r JOIN relation AS c ON c.oid = r.ev_class WHERE r.rulename <> '_RETURN') AS rules,
       (SELECT count(*) FROM pg_policy AS p JOIN relation AS c ON c.oid = p.polrelid) AS policies,
       (SELECT count(*) FROM pg_class WHERE relnamespace = 'backup_codes'::regnamespace AND relkind = 'S') AS sequences,
       (SELECT count(*) FROM backup_codes.account) + (SELECT count(*) FROM backup_codes.code) +
       (SELECT count(*) FROM backup_codes.pending_set) + (SELECT count(*) FROM backup_codes.event) AS rows;

-- Views. Before PostgreSQL 16 the only table of a query is named with each column.
SELECT relation AS view, regexp_replace(pg_get_viewdef(oid), '\mevent\.', '', 'g') AS definition
  FROM relation WHERE relkind = 'v' ORDER BY relname COLLATE "C";
CREATE VIEW shown AS
  SELECT c.relation AS view, a.attname AS column, a.atttypid::regtype AS type, a.attnum
    FROM relation AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 WHERE c.relkind = 'v';
SELECT view, "column", type FROM shown ORDER BY view::text COLLATE "C", attnum;
-- No view shows a hash, a salt, a key check or a lease.
SELECT count(*) FROM shown WHERE type = 'bytea'::regtype OR "column" ~ 'hash|salt|burned|seal|lease';

-- Privileges: the owner's alone.
SELECT m.object, a.*
  FROM member AS m
 CROSS JOIN LATERAL (SELECT nspowner, coalesce(nspacl, acldefault('n', nspowner)) FROM pg_namespace
                      WHERE m.classid = 'pg_namespace'::regclass AND oid = m.objid
                     UNION ALL
                     SELECT relowner, coalesce(relacl, acldefault('r', relowner)) FROM pg_class
                      WHERE m.classid = 'pg_class'::regclass AND oid = m.objid
                     UNION ALL
                     SELECT proowner, coalesce(proacl, acldefault('f', proowner)) FROM pg_proc
                      WHERE m.classid = 'pg_proc'::regclass AND oid = m.objid) AS o (owner, acl)
 CROSS JOIN LATERAL aclexplode(o.acl) AS a
 WHERE a.grantee <> o.owner;

-- Dump marks: every table, with all of its rows.
SELECT t::regclass AS table, c AS condition
  FROM pg_extension AS e, unnest(e.extconfig, e.extcondition) AS u (t, c)
 WHERE e.extname = 'backup_codes' ORDER BY t::regclass::text COLLATE "C";
SELECT relation AS unmarked FROM relation
 WHERE relkind IN ('r', 'p', 'S')
   AND oid <> ALL (SELECT unnest(extconfig) FROM pg_extension WHERE extname = 'backup_codes');

-- Comments: no object without one, nor a column; each a sentence.
SELECT object AS uncommented FROM member AS m
 WHERE coalesce(obj_description(m.objid, m.classid::regclass::name), '') = '' ORDER BY 1;
SELECT c.relation, a.attname AS uncommented FROM relation AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0
 WHERE coalesce(col_description(a.attrelid, a.attnum), '') = '' ORDER BY 1, a.attnum;
SELECT obj_description(oid, 'pg_extension') AS extension FROM pg_extension WHERE extname = 'backup_codes';
SELECT m.object, d.description FROM member AS m JOIN pg_description AS d ON d.classoid = m.classid AND d.objoid = m.objid
 WHERE d.description !~ '^\S.*\.$' OR d.description ~ '\n|  ' ORDER BY 1, 2;
-- The overloads of a function are told the same.
SELECT proname, pronargs, count(DISTINCT comment) AS comments FROM function
 GROUP BY 1, 2 HAVING count(DISTINCT comment) <> 1 ORDER BY 1;
-- The comment of a function begins with the duties that may call it, in the order in which the hint of the error names them.
CREATE FUNCTION duties() RETURNS TABLE (duty text, n bigint) LANGUAGE plpgsql AS $$
DECLARE
  hint text;
BEGIN
  PERFORM backup_codes_grant('none', CURRENT_USER::regrole);
EXCEPTION WHEN invalid_parameter_value THEN
  GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
  RETURN QUERY SELECT * FROM regexp_split_to_table(regexp_replace(hint, '^The duties are |\.$', '', 'g'), ', | and ') WITH ORDINALITY;
END
$$;
CREATE VIEW granted AS
  SELECT duty, substr(object, length('FUNCTION  '))::regprocedure AS function
    FROM backup_codes.duty_privileges() WHERE object LIKE 'FUNCTION %';
SELECT d.duty, count(g.duty) AS functions FROM duties() AS d LEFT JOIN granted AS g ON g.duty = d.duty GROUP BY d.duty ORDER BY d.duty;
SELECT DISTINCT duty FROM backup_codes.duty_privileges() EXCEPT SELECT duty FROM duties();
SELECT f.function, s.duties, f.comment
  FROM function AS f
 CROSS JOIN LATERAL (SELECT string_agg(g.duty, ', ' ORDER BY d.n) FROM granted AS g JOIN duties() AS d ON d.duty = g.duty
                      WHERE g.function = f.oid) AS s (duties)
 WHERE lower(split_part(f.comment, '. ', 1)) <> s.duties ORDER BY f.function::text COLLATE "C";
-- What belongs to no duty is the owner's.
SELECT f.function FROM function AS f WHERE NOT EXISTS (SELECT FROM granted AS g WHERE g.function = f.oid) ORDER BY f.function::text COLLATE "C";
