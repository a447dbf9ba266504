//! Whether codes follow the users of the application's tables: the triggers of backup_codes_forget_user, and the keys they name.

use super::{Check, findings, one_line};

pub const CHECKS: &[Check] = &[USER_TRIGGERS, USER_KEYS];

/// `ours`: our triggers and their tables, those of partitions included. `named`: the columns that each names, and whether one can be
/// part of a key, which [`Part`](crate::user_id::Part) judges when the trigger fires.
macro_rules! triggers {
    () => {
        "WITH RECURSIVE ours AS (
           SELECT t.oid, t.tgname AS name, t.tgparentid = 0 AS root, t.tgenabled, t.tgdeferrable AS is_deferrable, t.tgtype AS kind,
                  t.tgqual IS NOT NULL AS has_condition, cardinality(t.tgattr) > 0 AS has_columns, t.tgargs AS arguments,
                  c.oid AS relation, c.relkind, c.relam, c.relispartition, format('%I.%I', n.nspname, c.relname) AS table_name,
                  t.tgfoid::regproc AS function,
                  (t.tgtype & 1) = 1 AND (t.tgtype & (2 | 4 | 64)) = 0 AS after_row,
                  (t.tgtype & 1) = 0 AND (t.tgtype & (2 | 32)) = (2 | 32) AND (t.tgtype & (4 | 8 | 16)) = 0 AS before_truncate
             FROM pg_trigger AS t
             JOIN pg_class AS c ON c.oid = t.tgrelid
             JOIN pg_namespace AS n ON n.oid = c.relnamespace
            WHERE t.tgfoid = (
              SELECT p.oid
                FROM pg_proc AS p
                JOIN pg_depend AS m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid AND m.deptype = 'e'
                JOIN pg_extension AS e ON m.refclassid = 'pg_extension'::regclass AND m.refobjid = e.oid
               WHERE e.extname = 'backup_codes' AND p.proname = 'backup_codes_forget_user' AND p.pronargs = 0)
         ), named AS (
           SELECT o.oid, k.n, k.name, a.attnum, a.atttypid AS data_type
             FROM ours AS o
            CROSS JOIN LATERAL (
              SELECT r.n, convert_from(decode(r.found[1], 'hex'), getdatabaseencoding()) AS name
                FROM regexp_matches(encode(o.arguments, 'hex'), '((?:0[1-9a-f]|[1-9a-f][0-9a-f])*)00', 'g')
                     WITH ORDINALITY AS r (found, n)
            ) AS k
             LEFT JOIN pg_attribute AS a
                    ON a.attrelid = o.relation AND a.attname = k.name AND a.attnum > 0 AND NOT a.attisdropped
         ), base AS (
           SELECT oid, n, data_type FROM named
            UNION ALL
           SELECT b.oid, b.n, t.typbasetype FROM base AS b JOIN pg_type AS t ON t.oid = b.data_type AND t.typtype = 'd'
         ), readable AS (
           SELECT b.oid, b.n
             FROM base AS b
             JOIN pg_type AS t ON t.oid = b.data_type
             JOIN pg_proc AS p ON p.oid = t.typoutput
            WHERE t.oid IN ('smallint'::regtype, 'integer'::regtype, 'bigint'::regtype, 'uuid'::regtype, 'character'::regtype,
                            'character varying'::regtype)
               OR (t.typtype = 'b' AND t.typlen = -1 AND p.prosrc = 'textout' AND p.prolang = 12 AND NOT p.prosecdef
                   AND p.proconfig IS NULL)
         ), told AS (
           SELECT o.*, coalesce(k.columns, '') AS key_columns, coalesce(k.literals, '') AS key_literals, k.numbers AS key_numbers
             FROM ours AS o
             LEFT JOIN (SELECT oid, string_agg(format('%I', name), ', ' ORDER BY n) AS columns,
                               string_agg(quote_literal(name), ', ' ORDER BY n) AS literals, array_agg(attnum) AS numbers
                          FROM named GROUP BY oid) AS k ON k.oid = o.oid
         )"
    };
}

/// The statements that make the trigger of a row of `told` as it should be, on a table and with a name.
macro_rules! create {
    (row $table:literal, $name:literal) => {
        concat!(
            "format('CREATE TRIGGER %I AFTER DELETE OR UPDATE ON %s FOR EACH ROW EXECUTE FUNCTION %s(%s);', ",
            $name, ", ", $table, ", function, key_literals)"
        )
    };
    (truncate $table:literal, $name:literal) => {
        concat!(
            "format('CREATE TRIGGER %I BEFORE TRUNCATE ON %s EXECUTE FUNCTION %s(%s);', ",
            $name, ", ", $table, ", function, key_literals)"
        )
    };
    (again) => {
        concat!(
            "CASE WHEN has_condition THEN ",
            one_line!("format('-- Create the trigger %I on %s anew, AFTER DELETE OR UPDATE and FOR EACH ROW, with its condition.', name, table_name)"),
            " ELSE format('DROP TRIGGER %I ON %s;', name, table_name) || E'\\n' || CASE WHEN (kind & (8 | 16)) <> 0 THEN ",
            create!(row "table_name", "name"), " ELSE ", create!(truncate "table_name", "name"), " END END"
        )
    };
}

findings! {
    /// What a trigger does not do is seen here before its first row is.
    USER_TRIGGERS = "user_triggers", Problem, "every trigger of backup_codes_forget_user fires for all that it must"
    FindUserTriggers
    [triggers!(), ", found AS (
           SELECT relation, name, 1 AS n, 'is disabled' AS what,
                  format('ALTER TABLE %s ENABLE TRIGGER %I;', table_name, name) AS remedy, table_name
             FROM told WHERE tgenabled IN ('D', 'R')
            UNION ALL
           SELECT relation, name, 2, 'is deferrable', ", create!(again), ", table_name
             FROM told WHERE root AND is_deferrable
            UNION ALL
           SELECT relation, name, 3, 'fires at another time or level than AFTER … FOR EACH ROW, or BEFORE TRUNCATE', ", create!(again), ",
                  table_name
             FROM told WHERE root AND NOT after_row AND NOT before_truncate
            UNION ALL
           SELECT relation, name, 4, 'does not see a key that another trigger changes: UPDATE OF', ", create!(again), ", table_name
             FROM told WHERE root AND has_columns
            UNION ALL
           SELECT t.relation, t.name, 5, 'does not fire for ' || m.events,
                  CASE WHEN t.kind & (8 | 16) <> 0 THEN ", create!(again), "
                       ELSE ", create!(row "table_name", "name || '_row'"), " END, t.table_name
             FROM (SELECT DISTINCT ON (relation) * FROM told WHERE root ORDER BY relation, (kind & (8 | 16)) = 0, name) AS t
            CROSS JOIN LATERAL (
              SELECT string_agg(e.event, ' and ' ORDER BY e.event) AS events
                FROM (VALUES (8, 'DELETE'), (16, 'UPDATE')) AS e (event_bit, event)
               WHERE NOT EXISTS (SELECT FROM ours AS o WHERE o.relation = t.relation AND (o.kind & e.event_bit) <> 0)
            ) AS m
            WHERE m.events IS NOT NULL
            UNION ALL
           SELECT t.relation, t.name, 5, 'does not fire for TRUNCATE', ", create!(truncate "table_name", "name || '_truncate'"), ",
                  t.table_name
             FROM (SELECT DISTINCT ON (relation) * FROM told WHERE root ORDER BY relation, name) AS t
            WHERE NOT EXISTS (SELECT FROM ours AS o WHERE o.relation = t.relation AND (o.kind & 32) <> 0)
            UNION ALL
           SELECT t.relation, t.name, 6, 'is not on ' || l.partitions,
                  format('DROP TRIGGER %I ON %s;', t.name, t.table_name) || E'\\n' || ", create!(row "r.table_name", "name"), ",
                  t.table_name
             FROM told AS t
            CROSS JOIN LATERAL (
              SELECT p.oid, format('%I.%I', s.nspname, p.relname) AS table_name
                FROM pg_class AS p JOIN pg_namespace AS s ON s.oid = p.relnamespace
               WHERE p.oid = pg_partition_root(t.relation)
            ) AS r
            CROSS JOIN LATERAL (
              SELECT string_agg(format('%I.%I', n.nspname, c.relname), ', ' ORDER BY n.nspname, c.relname) AS partitions
                FROM pg_partition_tree(r.oid) AS l
                JOIN pg_class AS c ON c.oid = l.relid
                JOIN pg_namespace AS n ON n.oid = c.relnamespace
               WHERE l.isleaf AND NOT EXISTS (SELECT FROM ours AS o WHERE o.relation = l.relid AND o.after_row)
            ) AS l
            WHERE t.root AND t.after_row AND t.relispartition AND l.partitions IS NOT NULL
            UNION ALL
           SELECT t.relation, t.name, 7,
                  CASE WHEN k.name IS NULL THEN 'names no column'
                       WHEN k.attnum IS NULL THEN format('names a column that is not there: %I', k.name)
                       ELSE format('names a column whose type cannot be part of a key: %I', k.name) END,
                  ", one_line!("format('-- Create the trigger anew with the columns of the key of %s.', t.table_name)"), ", t.table_name
             FROM told AS t
             LEFT JOIN named AS k ON k.oid = t.oid
             LEFT JOIN readable AS r ON r.oid = k.oid AND r.n = k.n
            WHERE t.root AND r.oid IS NULL
            UNION ALL
           SELECT relation, name, 8, 'is on a table whose access method is not heap',
                  ", one_line!("format('-- Call backup_codes_forget_user and backup_codes_rename_user where %s is changed.', table_name)"),
     ", table_name
             FROM told WHERE (relkind = 'r' AND relam <> 2) OR relkind = 'f'
         )
         SELECT "]
    what ["format('trigger %I on %s %s', name, table_name, what)"]
    remedy ["remedy"]
    [" FROM found ORDER BY table_name, name, n, what"]
}

findings! {
    /// A trigger with a condition fires for the rows of an index with one, as for users who are deleted softly. In a partitioned
    /// table a unique index holds the key of the partitions as well.
    USER_KEYS = "user_keys", Warning, "the columns of every trigger of backup_codes_forget_user are unique"
    FindUserKeys
    [triggers!(), ", found AS (
           SELECT t.*, (SELECT min(pg_get_expr(i.indpred, i.indrelid))
                          FROM pg_index AS i
                         WHERE i.indrelid = t.relation AND i.indisunique AND i.indpred IS NOT NULL AND i.indexprs IS NULL
                           AND (i.indkey::smallint[])[0:i.indnkeyatts - 1] <@ (t.key_numbers || t.partitioned_by)) AS partly
             FROM (SELECT told.*, coalesce((SELECT p.partattrs::smallint[] FROM pg_partitioned_table AS p
                                             WHERE p.partrelid = told.relation), '{}') AS partitioned_by
                     FROM told WHERE root AND after_row) AS t
            WHERE NOT EXISTS (
              SELECT FROM pg_index AS i
               WHERE i.indrelid = t.relation AND i.indisunique AND i.indisvalid AND i.indexprs IS NULL
                 AND (i.indpred IS NULL OR t.has_condition)
                 AND (i.indkey::smallint[])[0:i.indnkeyatts - 1] <@ (t.key_numbers || t.partitioned_by))
         )
         SELECT "]
    what ["CASE WHEN partly IS NULL THEN format('%s may have a key twice: (%s)', table_name, key_columns)
                ELSE format('%s may have a key twice, (%s), but for rows with %s', table_name, key_columns, partly) END"]
    remedy ["CASE WHEN partly IS NULL THEN format('CREATE UNIQUE INDEX ON %s (%s);', table_name, key_columns)
                  ELSE ", one_line!("format('-- Create the trigger %I on %s anew for those rows: WHEN, with OLD before each column, %s.',
                                      name, table_name, partly)"), " END"]
    [" FROM found ORDER BY table_name, name"]
}
