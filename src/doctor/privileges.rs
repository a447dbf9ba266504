//! Who may do what with the tables and functions beside what duties give, and what a dump would lose.

use super::{Check, findings, members};

pub const CHECKS: &[Check] =
    &[TABLE_PRIVILEGES, FUNCTION_PRIVILEGES, SCHEMA_USAGE, DATA_ROLES, ROW_SECURITY, DUMP_MARKS];

findings! {
    /// The auditor's privileges are no finding. Who may become a role counts as the role; superusers and the owner do not count.
    TABLE_PRIVILEGES = "table_privileges", Problem,
    "no one but the owner, superusers and auditors has a privilege on the tables and views"
    FindTablePrivileges
    [members!(), ", held AS (
           SELECT format('SCHEMA %I', n.nspname) AS object, n.nspowner AS owner, a.grantee, a.privilege_type AS privilege,
                  a.privilege_type = 'USAGE' AS auditors
             FROM member AS m
             JOIN pg_namespace AS n ON m.classid = 'pg_namespace'::regclass AND n.oid = m.objid
            CROSS JOIN LATERAL aclexplode(n.nspacl) AS a
            UNION
           SELECT format('TABLE %I.%I', n.nspname, c.relname), c.relowner, a.grantee, a.privilege_type,
                  a.privilege_type = 'SELECT' AND c.relkind = 'v'
             FROM member AS m
             JOIN pg_class AS c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid
             JOIN pg_namespace AS n ON n.oid = c.relnamespace
            CROSS JOIN LATERAL (
              SELECT c.relacl UNION ALL SELECT t.attacl FROM pg_attribute AS t WHERE t.attrelid = c.oid
            ) AS l (acl)
            CROSS JOIN LATERAL aclexplode(l.acl) AS a
         ), named AS (
           SELECT object, grantee, string_agg(privilege, ', ' ORDER BY privilege) AS privileges,
                  CASE WHEN grantee = 0 THEN 'PUBLIC' ELSE format('%I', pg_get_userbyid(grantee)) END AS name,
                  (SELECT string_agg(format('%I', r.rolname), ', ' ORDER BY r.rolname)
                     FROM pg_roles AS r
                    WHERE r.rolcanlogin AND NOT r.rolsuper AND r.oid <> held.owner
                      AND pg_has_role(r.oid, held.grantee, 'MEMBER')) AS logins
             FROM held
            WHERE grantee <> owner AND (grantee = 0 OR NOT auditors)
            GROUP BY object, owner, grantee
         )
         SELECT "]
    what ["format('%s on %s for %s', privileges, object,
                  CASE WHEN grantee = 0 OR logins = name THEN name ELSE format('%s (%s)', name, logins) END)"]
    remedy ["format('REVOKE %s ON %s FROM %s;', privileges, object, name)"]
    [" FROM named
      WHERE grantee = 0 OR logins IS NOT NULL
      ORDER BY object, name"]
}

findings! {
    FUNCTION_PRIVILEGES = "function_privileges", Problem, "PUBLIC may execute no function"
    FindFunctionPrivileges
    [members!(), "SELECT "]
    what ["f.signature"]
    remedy ["format('REVOKE ALL ON FUNCTION %s FROM PUBLIC;', f.signature)"]
    [" FROM member AS m
       JOIN pg_proc AS p ON m.classid = 'pg_proc'::regclass AND p.oid = m.objid
       JOIN pg_namespace AS n ON n.oid = p.pronamespace
      CROSS JOIN LATERAL (
        SELECT format('%I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid))
      ) AS f (signature)
      WHERE EXISTS (SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS a WHERE a.grantee = 0)
      ORDER BY f.signature"]
}

findings! {
    /// Of a duty a function alone is of no use. Nothing is missing to a role that reaches the schema through a group.
    SCHEMA_USAGE = "schema_usage", Problem, "every role with a duty may use the schema that it is in"
    FindSchemaUsage
    [members!(), ", holder AS (
           SELECT a.grantee, p.pronamespace AS namespace
             FROM member AS m
             JOIN pg_proc AS p ON m.classid = 'pg_proc'::regclass AND p.oid = m.objid
            CROSS JOIN LATERAL aclexplode(p.proacl) AS a
            WHERE a.grantee <> p.proowner
            UNION
           SELECT a.grantee, c.relnamespace
             FROM member AS m
             JOIN pg_class AS c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid AND c.relkind = 'v'
            CROSS JOIN LATERAL aclexplode(c.relacl) AS a
            WHERE a.grantee <> c.relowner
         )
         SELECT "]
    what ["format('%I lacks USAGE on schema %I', pg_get_userbyid(h.grantee), n.nspname)"]
    remedy ["format('GRANT USAGE ON SCHEMA %I TO %I;', n.nspname, pg_get_userbyid(h.grantee))"]
    [" FROM holder AS h
       JOIN pg_namespace AS n ON n.oid = h.namespace
      WHERE h.grantee <> 0 AND NOT has_schema_privilege(h.grantee, n.oid, 'USAGE')
      ORDER BY 1"]
}

findings! {
    /// The remedy names the role that holds the membership, which may be a group of the one that logs in. The role that makes
    /// the dumps needs the first of them, unless it is a superuser.
    DATA_ROLES = "data_roles", Warning, "no role that logs in may read or write every table"
    FindDataRoles
    ["SELECT "]
    what ["format('%I in %I', r.rolname, g.rolname)"]
    remedy ["format('REVOKE %I FROM %I;', g.rolname, pg_get_userbyid(m.member))
               || CASE g.rolname WHEN 'pg_read_all_data' THEN ' -- not where it makes the dumps, which need this' ELSE '' END"]
    [" FROM pg_roles AS g
       JOIN pg_auth_members AS m ON m.roleid = g.oid
       JOIN pg_roles AS r ON pg_has_role(r.oid, m.member, 'MEMBER')
      WHERE g.rolname IN ('pg_read_all_data', 'pg_write_all_data') AND r.rolcanlogin AND NOT r.rolsuper
      GROUP BY g.rolname, r.rolname, m.member
      ORDER BY g.rolname, r.rolname, m.member"]
}

findings! {
    ROW_SECURITY = "row_security", Problem, "no table forces row security on its owner"
    FindRowSecurity
    [members!(), "SELECT "]
    what ["t.name"]
    remedy ["format('ALTER TABLE %s NO FORCE ROW LEVEL SECURITY;', t.name)"]
    [" FROM member AS m
       JOIN pg_class AS c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid
       JOIN pg_namespace AS n ON n.oid = c.relnamespace
      CROSS JOIN LATERAL (SELECT format('%I.%I', n.nspname, c.relname)) AS t (name)
      WHERE c.relforcerowsecurity
      ORDER BY t.name"]
}

findings! {
    /// pg_extension_config_dump can be called by the script of an extension alone, so the remedy writes the catalog.
    /// Of a partitioned table pg_dump takes the rows from the partitions, and looks at their marks.
    DUMP_MARKS = "dump_marks", Problem, "a dump takes every row of every table"
    FindDumpMarks
    ["SELECT "]
    what ["t.name"]
    remedy ["format(CASE WHEN u.oid IS NULL THEN
                     'UPDATE pg_catalog.pg_extension SET extconfig = array_append(extconfig, %1$L::regclass::oid), '
                     'extcondition = array_append(extcondition, '''') WHERE extname = ''backup_codes'';'
                   ELSE
                     'UPDATE pg_catalog.pg_extension SET extcondition[array_position(extconfig, %1$L::regclass::oid)] = '''' '
                     'WHERE extname = ''backup_codes'';'
                   END, t.name)"]
    [" FROM pg_extension AS e
      CROSS JOIN unnest('{account,pending_set,code,event}'::text[]) AS w (relname)
       JOIN pg_class AS r ON r.relnamespace = 'backup_codes'::regnamespace AND r.relname = w.relname
      CROSS JOIN LATERAL (SELECT r.oid WHERE r.relkind <> 'p'
                           UNION ALL
                          SELECT l.relid FROM pg_partition_tree(r.oid) AS l WHERE l.isleaf) AS h (oid)
       JOIN pg_class AS c ON c.oid = h.oid
       JOIN pg_namespace AS n ON n.oid = c.relnamespace
      CROSS JOIN LATERAL (SELECT format('%I.%I', n.nspname, c.relname)) AS t (name)
       LEFT JOIN LATERAL unnest(e.extconfig, e.extcondition) AS u (oid, condition) ON u.oid = c.oid
      WHERE e.extname = 'backup_codes' AND coalesce(u.condition, 'missing') <> ''
      ORDER BY t.name"]
}
