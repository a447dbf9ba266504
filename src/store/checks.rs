//! What doctor reads of the catalogs and the tables. Every statement is a plain read on the caller's snapshot.
//!
//! Objects are named in full: the search_path of the functions would leave out the schema that a hint needs.

use pgrx::pg_sys::BuiltinOid::TEXTARRAYOID;

use super::array;
use super::plan::{Row, Snapshot, Statement};
use crate::key_file::KeyRef;
use backup_codes_core::code::{Alphabet, Format};

/// Something that is not as it should be, and the statement that puts it right.
pub struct Finding {
    /// What it is.
    pub what: String,
    /// The statement, with a semicolon.
    pub remedy: String,
}

/// Sets, active or pending, that need one key or none.
pub struct KeyedSets {
    /// The key.
    pub key: Option<KeyRef>,
    /// How many users have such a set.
    pub users: i64,
}

/// Sets, active or pending, of one format.
pub struct StoredFormat {
    /// The format.
    pub format: Format,
    /// They are hashed with SHA-256.
    pub fast: bool,
    /// How many users have such a set.
    pub users: i64,
}

/// What is counted in the tables.
#[derive(Default)]
pub struct Counts {
    /// Events that wait to be delivered, but for the parked ones.
    pub waiting: i64,
    /// Those of them that happened more than an hour ago.
    pub late: i64,
    /// Those of them that were claimed ten times or more.
    pub retried: i64,
    /// Events that are not tried any more.
    pub parked: i64,
    /// Users who are locked now.
    pub locked: i64,
    /// Pending sets made more than a day ago.
    pub abandoned: i64,
    /// Sets that expired more than 90 days ago.
    pub expired: i64,
}

/// What the server says of its replication.
#[derive(Default)]
pub struct Replication {
    /// The server is a standby.
    pub recovery: bool,
    /// Standbys that stream from it.
    pub standbys: i64,
}

/// A setting that holds for some sessions only.
pub struct Override {
    /// The sessions, as ALTER spells them: ROLE x, DATABASE y, ROLE x IN DATABASE y, ROLE ALL.
    pub scope: String,
    /// The setting.
    pub name: String,
    /// Its value, as it was given.
    pub value: String,
}

macro_rules! members {
    ($rest:literal) => {
        concat!(
            "WITH member AS (
               SELECT m.classid, m.objid
                 FROM pg_depend AS m
                 JOIN pg_extension AS e ON m.refclassid = 'pg_extension'::regclass AND m.refobjid = e.oid
                WHERE m.deptype = 'e' AND e.extname = 'backup_codes'
             ) ",
            $rest
        )
    };
}

/// The auditor's privileges are no finding. Who may become a role counts as the role; superusers and the owner do not count.
static TABLE_PRIVILEGES: Statement = Statement::scanning(
    members!(
        ", held AS (
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
         SELECT format('%s on %s for %s', privileges, object,
                       CASE WHEN grantee = 0 OR logins = name THEN name ELSE format('%s (%s)', name, logins) END),
                format('REVOKE %s ON %s FROM %s;', privileges, object, name)
           FROM named
          WHERE grantee = 0 OR logins IS NOT NULL
          ORDER BY object, name"
    ),
    &[],
);

static FUNCTION_PRIVILEGES: Statement = Statement::scanning(
    members!(
        "SELECT f.signature, format('REVOKE ALL ON FUNCTION %s FROM PUBLIC;', f.signature)
           FROM member AS m
           JOIN pg_proc AS p ON m.classid = 'pg_proc'::regclass AND p.oid = m.objid
           JOIN pg_namespace AS n ON n.oid = p.pronamespace
          CROSS JOIN LATERAL (
            SELECT format('%I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid))
          ) AS f (signature)
          WHERE EXISTS (SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS a WHERE a.grantee = 0)
          ORDER BY f.signature"
    ),
    &[],
);

/// The remedy names the role that holds the membership, which may be a group of the one that logs in.
static DATA_ROLES: Statement = Statement::scanning(
    "SELECT format('%I in %I', r.rolname, g.rolname), format('REVOKE %I FROM %I;', g.rolname, pg_get_userbyid(m.member))
       FROM pg_roles AS g
       JOIN pg_auth_members AS m ON m.roleid = g.oid
       JOIN pg_roles AS r ON pg_has_role(r.oid, m.member, 'MEMBER')
      WHERE g.rolname IN ('pg_read_all_data', 'pg_write_all_data') AND r.rolcanlogin AND NOT r.rolsuper
      GROUP BY g.rolname, r.rolname, m.member
      ORDER BY g.rolname, r.rolname, m.member",
    &[],
);

static ROW_SECURITY: Statement = Statement::scanning(
    members!(
        "SELECT t.name, format('ALTER TABLE %s NO FORCE ROW LEVEL SECURITY;', t.name)
           FROM member AS m
           JOIN pg_class AS c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid
           JOIN pg_namespace AS n ON n.oid = c.relnamespace
          CROSS JOIN LATERAL (SELECT format('%I.%I', n.nspname, c.relname)) AS t (name)
          WHERE c.relforcerowsecurity
          ORDER BY t.name"
    ),
    &[],
);

/// pg_extension_config_dump can be called by the script of an extension alone, so the remedy writes the catalog.
/// Of a partitioned table pg_dump takes the rows from the partitions, and looks at their marks.
static DUMP_MARKS: Statement = Statement::scanning(
    "SELECT t.name,
            format(CASE WHEN u.oid IS NULL THEN
                     'UPDATE pg_catalog.pg_extension SET extconfig = array_append(extconfig, %1$L::regclass::oid), '
                     'extcondition = array_append(extcondition, '''') WHERE extname = ''backup_codes'';'
                   ELSE
                     'UPDATE pg_catalog.pg_extension SET extcondition[array_position(extconfig, %1$L::regclass::oid)] = '''' '
                     'WHERE extname = ''backup_codes'';'
                   END, t.name)
       FROM pg_extension AS e
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
      ORDER BY t.name",
    &[],
);

/// Every set, active or pending.
macro_rules! sets {
    ($head:literal, $tail:literal) => {
        concat!(
            $head,
            " FROM (SELECT user_id, alphabet, length, scheme, key_id, key_check
                      FROM backup_codes.account WHERE set_no IS NOT NULL
                    UNION ALL
                    SELECT user_id, alphabet, length, scheme, key_id, key_check FROM backup_codes.pending_set) AS s ",
            $tail
        )
    };
}

static FORMATS: Statement = Statement::scanning(
    sets!("SELECT alphabet, length, scheme = 's', count(DISTINCT user_id)", "GROUP BY 1, 2, 3"),
    &[],
);

static KEYED_SETS: Statement =
    Statement::scanning(sets!("SELECT key_id, key_check, count(DISTINCT user_id)", "GROUP BY 1, 2 ORDER BY 1, 2"), &[]);

static COUNTS: Statement = Statement::scanning(
    "SELECT w.waiting, w.late, w.retried, w.parked,
            (SELECT count(*) FROM backup_codes.account WHERE locked_until > clock_timestamp()),
            (SELECT count(*) FROM backup_codes.pending_set WHERE generated_at < clock_timestamp() - interval '1 day'),
            (SELECT count(*) FROM backup_codes.account
              WHERE set_no IS NOT NULL AND expires_at < clock_timestamp() - interval '90 days')
       FROM (SELECT count(*) FILTER (WHERE due_at < 'infinity') AS waiting,
                    count(*) FILTER (WHERE due_at < 'infinity' AND at < clock_timestamp() - interval '1 hour') AS late,
                    count(*) FILTER (WHERE due_at < 'infinity' AND attempts >= 10) AS retried,
                    count(*) FILTER (WHERE due_at = 'infinity') AS parked
               FROM backup_codes.event
              WHERE due_at IS NOT NULL) AS w",
    &[],
);

/// A subscriber of logical replication is no standby.
static REPLICATION: Statement = Statement::scanning(
    "SELECT pg_is_in_recovery(), count(*)
       FROM pg_stat_replication AS r
      WHERE r.state = 'streaming'
        AND NOT EXISTS (SELECT FROM pg_replication_slots AS s WHERE s.active_pid = r.pid AND s.slot_type = 'logical')",
    &[],
);

/// An unknown setting has no value.
static SETTINGS: Statement =
    Statement::scanning("SELECT name, current_setting(name, true) FROM unnest($1) AS s (name)", &[TEXTARRAYOID]);

static OVERRIDES: Statement = Statement::scanning(
    "SELECT CASE WHEN o.setrole = 0 AND o.setdatabase = 0 THEN 'ROLE ALL'
                 WHEN o.setrole = 0 THEN format('DATABASE %I', d.datname)
                 WHEN o.setdatabase = 0 THEN format('ROLE %I', pg_get_userbyid(o.setrole))
                 ELSE format('ROLE %I IN DATABASE %I', pg_get_userbyid(o.setrole), d.datname) END,
            split_part(s.assignment, '=', 1), substr(s.assignment, strpos(s.assignment, '=') + 1)
       FROM pg_database AS d
       JOIN pg_db_role_setting AS o ON o.setdatabase IN (0, d.oid)
      CROSS JOIN LATERAL unnest(o.setconfig) AS s (assignment)
      WHERE d.datname = current_database()
      ORDER BY 1, 2",
    &[],
);

static API_SCHEMA: Statement = Statement::scanning(
    "SELECT format('%I', n.nspname)
       FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace
      WHERE e.extname = 'backup_codes'",
    &[],
);

fn text(row: &Row<'_>, column: usize) -> String {
    let bytes = row.bytes(column).unwrap_or_default();
    crate::pg::encoding::to_utf8(&bytes).unwrap_or_else(|| String::from_utf8_lossy(&bytes).into_owned())
}

fn findings(statement: &Statement) -> Vec<Finding> {
    let rows = statement.execute(Snapshot::Callers, []);
    rows.iter().map(|row| Finding { what: text(&row, 1), remedy: text(&row, 2) }).collect()
}

/// Privileges on our schema, tables and views that PUBLIC or a role that can log in holds, but for an auditor's.
pub fn table_privileges() -> Vec<Finding> {
    findings(&TABLE_PRIVILEGES)
}

/// Functions that PUBLIC may execute.
pub fn function_privileges() -> Vec<Finding> {
    findings(&FUNCTION_PRIVILEGES)
}

/// Roles that log in, are no superusers, and may read or write every table.
pub fn data_roles() -> Vec<Finding> {
    findings(&DATA_ROLES)
}

/// Tables whose row security binds their owner as well.
pub fn row_security() -> Vec<Finding> {
    findings(&ROW_SECURITY)
}

/// Tables whose rows a dump leaves out, all or some of them.
pub fn dump_marks() -> Vec<Finding> {
    findings(&DUMP_MARKS)
}

/// The formats of the sets that there are.
pub fn formats() -> Vec<StoredFormat> {
    let rows = FORMATS.execute(Snapshot::Callers, []);
    rows.iter()
        .filter_map(|row| {
            let alphabet = Alphabet::from_letter(row.letter(1)?)?;
            let format = Format { alphabet, length: usize::try_from(row.get::<i16>(2)?).ok()? };
            Some(StoredFormat { format, fast: row.get(3)?, users: row.get(4)? })
        })
        .collect()
}

/// The keys that sets need.
pub fn keyed_sets() -> Vec<KeyedSets> {
    let rows = KEYED_SETS.execute(Snapshot::Callers, []);
    rows.iter()
        .map(|row| {
            let key = || Some(KeyRef { id: row.get(1)?, check: row.bytes(2)?.try_into().ok()? });
            KeyedSets { key: key(), users: row.get(3).unwrap_or_default() }
        })
        .collect()
}

/// What is counted in the tables.
pub fn counts() -> Counts {
    let rows = COUNTS.execute(Snapshot::Callers, []);
    let count = |column| rows.first().and_then(|row| row.get(column)).unwrap_or_default();
    Counts {
        waiting: count(1),
        late: count(2),
        retried: count(3),
        parked: count(4),
        locked: count(5),
        abandoned: count(6),
        expired: count(7),
    }
}

/// What the server says of its replication.
pub fn replication() -> Replication {
    let rows = REPLICATION.execute(Snapshot::Callers, []);
    let Some(row) = rows.first() else { return Replication::default() };
    Replication { recovery: row.get(1).unwrap_or_default(), standbys: row.get(2).unwrap_or_default() }
}

/// The values of settings in this session; those that nobody knows are left out.
pub fn settings(names: &[&str]) -> Vec<(String, String)> {
    let names = array::texts(names.iter().map(|name| name.as_bytes()));
    let rows = SETTINGS.execute(Snapshot::Callers, [names]);
    rows.iter().filter(|row| row.datum(2).is_some()).map(|row| (text(&row, 1), text(&row, 2))).collect()
}

/// The settings of roles and of this database, those of one scope side by side.
pub fn overrides() -> Vec<Override> {
    let rows = OVERRIDES.execute(Snapshot::Callers, []);
    rows.iter().map(|row| Override { scope: text(&row, 1), name: text(&row, 2), value: text(&row, 3) }).collect()
}

/// The schema of the functions, quoted.
pub fn api_schema() -> String {
    API_SCHEMA.execute(Snapshot::Callers, []).first().map(|row| text(&row, 1)).unwrap_or_default()
}
