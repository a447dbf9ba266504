//! Logical replication: where rows go to, and where they come from.

use super::{Check, findings, one_line};

pub const CHECKS: &[Check] = &[PUBLICATIONS, SUBSCRIPTIONS];

findings! {
    /// Whoever subscribes gets the hashes, and where it has no tables of ours, the replication of everything stops.
    PUBLICATIONS = "publications", Warning, "no publication carries the tables"
    FindPublications
    ["SELECT "]
    what ["p.what"]
    remedy ["p.remedy"]
    [" FROM (
        SELECT format('%I is for all tables', a.pubname) AS what,
               ", one_line!("format('-- in the place of %I, make a publication that names the tables of the application', a.pubname)"), "
                 AS remedy
          FROM pg_publication AS a
         WHERE a.puballtables
         UNION ALL
        SELECT format('%I carries all tables in the schema backup_codes', a.pubname),
               format('ALTER PUBLICATION %I DROP TABLES IN SCHEMA backup_codes;', a.pubname)
          FROM pg_publication_namespace AS n
          JOIN pg_publication AS a ON a.oid = n.pnpubid
         WHERE n.pnnspid = 'backup_codes'::regnamespace
         UNION ALL
        SELECT format('%I carries %s', a.pubname, t.tables), format('ALTER PUBLICATION %I DROP TABLE %s;', a.pubname, t.tables)
          FROM pg_publication AS a
         CROSS JOIN LATERAL (
           SELECT string_agg(format('backup_codes.%I', c.relname), ', ' ORDER BY c.relname)
             FROM pg_publication_rel AS r
             JOIN pg_class AS c ON c.oid = r.prrelid
            WHERE r.prpubid = a.oid AND c.relnamespace = 'backup_codes'::regnamespace
         ) AS t (tables)
         WHERE t.tables IS NOT NULL
      ) AS p
      ORDER BY p.what"]
}

findings! {
    /// A code that is accepted here is accepted on the publisher once more.
    SUBSCRIPTIONS = "subscriptions", Warning, "no subscription writes into the tables"
    FindSubscriptions
    ["SELECT "]
    what ["format('%I writes %s', s.subname, string_agg(format('backup_codes.%I', c.relname), ', ' ORDER BY c.relname))"]
    remedy [one_line!("format('-- let nobody log in here before the cut-over, and then: DROP SUBSCRIPTION %I;', s.subname)")]
    [" FROM pg_subscription AS s
       JOIN pg_subscription_rel AS r ON r.srsubid = s.oid
       JOIN pg_class AS c ON c.oid = r.srrelid
      WHERE c.relnamespace = 'backup_codes'::regnamespace
      GROUP BY s.subname
      ORDER BY s.subname"]
}
