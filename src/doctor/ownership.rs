//! Whose the extension is, and who could put something in the place of a part of it.

use super::{Check, findings, members};

pub const CHECKS: &[Check] = &[OWNERS, MEMBERS, API_SCHEMA, OVERLOADS];

findings! {
    /// A function acts with the rights of its owner, who may also put another one in its place.
    OWNERS = "owners", Problem, "the owner of the extension owns every part of it"
    FindOwners
    [members!(), ", part AS (
           SELECT format('SCHEMA %I', n.nspname) AS name, n.nspowner AS owner
             FROM member AS m
             JOIN pg_namespace AS n ON m.classid = 'pg_namespace'::regclass AND n.oid = m.objid
            UNION ALL
           SELECT format('%s %I.%I', CASE c.relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END, n.nspname, c.relname), c.relowner
             FROM member AS m
             JOIN pg_class AS c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid
             JOIN pg_namespace AS n ON n.oid = c.relnamespace
            UNION ALL
           SELECT format('FUNCTION %I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)), p.proowner
             FROM member AS m
             JOIN pg_proc AS p ON m.classid = 'pg_proc'::regclass AND p.oid = m.objid
             JOIN pg_namespace AS n ON n.oid = p.pronamespace
         )
         SELECT "]
    what ["format('%s belongs to %I', t.name, pg_get_userbyid(t.owner))"]
    remedy ["format('ALTER %s OWNER TO %I;', t.name, pg_get_userbyid(e.extowner))"]
    [" FROM part AS t
       JOIN pg_extension AS e ON e.extname = 'backup_codes' AND e.extowner <> t.owner
      ORDER BY t.name"]
}

findings! {
    /// What was taken out of the extension is left behind by an update, and dumped as if it were the application's. Functions are
    /// known by their library, and by the schema of the tables.
    MEMBERS = "members", Problem, "nothing was taken out of the extension"
    FindStrays
    [members!(), ", part AS (
           SELECT format('FUNCTION %I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)) AS name,
                  'pg_proc'::regclass AS classid, p.oid AS objid
             FROM pg_proc AS p
             JOIN pg_namespace AS n ON n.oid = p.pronamespace
             JOIN pg_extension AS e ON e.extname = 'backup_codes'
            WHERE n.nspname = 'backup_codes' OR p.probin IN (SELECT q.probin FROM member AS m JOIN pg_proc AS q ON q.oid = m.objid)
               OR (n.oid = e.extnamespace AND p.proname IN ('backup_codes_grant', 'backup_codes_revoke') AND p.proowner = e.extowner)
            UNION ALL
           SELECT format('%s %I.%I', CASE c.relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END, n.nspname, c.relname),
                  'pg_class'::regclass, c.oid
             FROM pg_class AS c
             JOIN pg_namespace AS n ON n.oid = c.relnamespace
            WHERE n.nspname = 'backup_codes' AND c.relname IN ('account', 'pending_set', 'code', 'event', 'overview', 'events')
         )
         SELECT "]
    what ["t.name"]
    remedy ["format('ALTER EXTENSION backup_codes ADD %s;', t.name)"]
    [" FROM part AS t
      WHERE NOT EXISTS (SELECT FROM member AS m WHERE m.classid = t.classid AND m.objid = t.objid)
      ORDER BY t.name"]
}

findings! {
    /// Who owns the schema can drop what is in it, and who may create there can put a function of ours beside ours, of types that
    /// fit a call better. The owner of the database owns the schema public unless somebody else was made to.
    API_SCHEMA = "api_schema", Warning, "only superusers and the owner of the extension create and drop in the schema of the functions"
    FindApiPowers
    ["WITH api AS (
        SELECT format('%I', n.nspname) AS name, coalesce(n.nspacl, acldefault('n', n.nspowner)) AS acl, n.nspowner, e.extowner,
               CASE pg_get_userbyid(n.nspowner) WHEN 'pg_database_owner' THEN d.datdba ELSE n.nspowner END AS owner
          FROM pg_extension AS e
          JOIN pg_namespace AS n ON n.oid = e.extnamespace
          JOIN pg_database AS d ON d.datname = current_database()
         WHERE e.extname = 'backup_codes'
      ), able AS (
        SELECT a.owner AS role, format('owns schema %s', a.name) AS power,
               format('ALTER SCHEMA %s OWNER TO %I;', a.name, pg_get_userbyid(a.extowner)) AS remedy
          FROM api AS a
         UNION ALL
        SELECT x.grantee, format('may create in schema %s', a.name),
               format('REVOKE CREATE ON SCHEMA %s FROM %s;', a.name,
                      CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE format('%I', pg_get_userbyid(x.grantee)) END)
          FROM api AS a
         CROSS JOIN LATERAL aclexplode(a.acl) AS x
         WHERE x.privilege_type = 'CREATE' AND x.grantee <> a.nspowner
      )
      SELECT "]
    what ["format('%s %s', coalesce(quote_ident(r.rolname), 'PUBLIC'), b.power)"]
    remedy ["b.remedy"]
    [" FROM able AS b
       LEFT JOIN pg_roles AS r ON r.oid = b.role
      WHERE r.rolsuper IS NOT TRUE AND b.role NOT IN (SELECT a.extowner FROM api AS a)
      ORDER BY b.power DESC, r.rolname"]
}

findings! {
    /// A call of ours whose arguments fit it better reaches it. Superusers and the owner of the extension need no such trick.
    OVERLOADS = "overloads", Problem, "no other function in the schema of the functions has a name of ours"
    FindOverloads
    [members!(), "SELECT "]
    what ["format('%s of %I', f.signature, r.rolname)"]
    remedy ["format('DROP ROUTINE %s;', f.signature)"]
    [" FROM pg_extension AS e
       JOIN pg_namespace AS n ON n.oid = e.extnamespace
       JOIN pg_proc AS p ON p.pronamespace = n.oid
       JOIN pg_roles AS r ON r.oid = p.proowner
      CROSS JOIN LATERAL (
        SELECT format('%I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid))
      ) AS f (signature)
      WHERE e.extname = 'backup_codes' AND NOT r.rolsuper AND p.proowner <> e.extowner
        AND p.proname IN (SELECT q.proname FROM member AS m JOIN pg_proc AS q ON m.classid = 'pg_proc'::regclass AND q.oid = m.objid)
        AND p.oid NOT IN (SELECT m.objid FROM member AS m WHERE m.classid = 'pg_proc'::regclass)
      ORDER BY f.signature"]
}
