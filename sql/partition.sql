-- Turns the four tables into tables partitioned by the hash of user_id, with the rows that they hold. Run it as superuser:
--
--   psql -X -d app -v partitions=16 -f sql/partition.sql
--
-- All of it happens in one transaction or not at all. The tables are locked against everybody from its beginning to its end,
-- the copying of the rows included. docs/scaling.md says when it pays, and how to dump what it made.
\set ON_ERROR_STOP on
\if :{?partitions}
\else
  \set partitions ''
\endif

-- A later snapshot than the locks: rows that were committed while we waited are copied, too.
BEGIN ISOLATION LEVEL READ COMMITTED;
SET LOCAL search_path = pg_catalog, pg_temp;
-- Another prefix than ours, which is reserved. psql puts no variables into a block.
SET LOCAL partitioning.partitions = :'partitions';

DO $block$
DECLARE
  given CONSTANT text := current_setting('partitioning.partitions');
  names CONSTANT text[] := '{account,pending_set,code,event}';
  partitions integer;
  found text;
  views text[];
  statement text;
  name text;
  plain regclass;
  owner text;
  options text;
  indexes text[];
  grants text[];
  leaf text;
  leaves oid[] := '{}';
BEGIN
  IF given !~ '^[0-9]{1,4}$' OR given::integer NOT BETWEEN 2 AND 1024 THEN
    RAISE EXCEPTION 'partitions must be a number from 2 to 1024, not %', quote_literal(given)
      USING ERRCODE = 'invalid_parameter_value', HINT = 'Call psql with -v partitions=16.';
  END IF;
  partitions := given;

  IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'backup_codes') THEN
    RAISE EXCEPTION 'the extension backup_codes is not in database %', quote_ident(current_database())
      USING ERRCODE = 'undefined_object', HINT = 'CREATE EXTENSION backup_codes;';
  END IF;
  IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
    RAISE EXCEPTION 'permission denied to partition the tables of backup_codes'
      USING ERRCODE = 'insufficient_privilege', HINT = 'Connect as superuser: the marks for pg_dump are written into pg_extension.';
  END IF;

  -- The order of every writer: the account first.
  LOCK TABLE backup_codes.account, backup_codes.pending_set, backup_codes.code, backup_codes.event
    IN ACCESS EXCLUSIVE MODE;

  SELECT string_agg(DISTINCT c.oid::regclass::text, ', ') INTO found
    FROM pg_class AS c
   WHERE c.relnamespace = 'backup_codes'::regnamespace AND c.relname = ANY (names) AND c.relkind <> 'r';
  IF found IS NOT NULL THEN
    RAISE EXCEPTION 'already partitioned: %', found
      USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'For another number of partitions dump the database, restore it without this script, and run the script there.';
  END IF;
  -- What a new table does not take over must not vanish silently.
  SELECT string_agg(DISTINCT format('trigger %I on %s', t.tgname, t.tgrelid::regclass), ', ') INTO found
    FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid
   WHERE c.relnamespace = 'backup_codes'::regnamespace AND c.relname = ANY (names) AND NOT t.tgisinternal;
  IF found IS NOT NULL THEN
    RAISE EXCEPTION 'tables of backup_codes have triggers: %', found
      USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Drop them, run the script, and create them again.';
  END IF;
  SELECT string_agg(c.oid::regclass::text, ', ') INTO found
    FROM pg_class AS c
   WHERE c.relnamespace = 'backup_codes'::regnamespace AND c.relname = ANY (names)
     AND (c.relrowsecurity OR c.relforcerowsecurity OR EXISTS (SELECT FROM pg_policy AS p WHERE p.polrelid = c.oid));
  IF found IS NOT NULL THEN
    RAISE EXCEPTION 'tables of backup_codes have row security: %', found
      USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Drop the policies and disable row security.';
  END IF;
  SELECT string_agg(DISTINCT format('%I', p.pubname), ', ') INTO found
    FROM pg_publication_tables AS p
   WHERE p.schemaname = 'backup_codes' AND p.tablename = ANY (names);
  IF found IS NOT NULL THEN
    RAISE EXCEPTION 'tables of backup_codes are published by %', found
      USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'Drop the publication, and create it again afterwards WITH (publish_via_partition_root = true).';
  END IF;

  -- A view knows its tables by their OIDs. Replaced, it keeps its grants, its comment and what depends on it.
  SELECT array_agg(format('CREATE OR REPLACE VIEW %s %s AS %s', c.oid::regclass,
                          'WITH (' || array_to_string(c.reloptions, ', ') || ')', pg_get_viewdef(c.oid)))
    INTO views
    FROM pg_depend AS m
    JOIN pg_extension AS e ON m.refclassid = 'pg_extension'::regclass AND m.refobjid = e.oid
    JOIN pg_class AS c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid
   WHERE e.extname = 'backup_codes' AND m.deptype = 'e' AND c.relkind = 'v';

  FOREACH name IN ARRAY names LOOP
    plain := format('backup_codes.%I', name);
    SELECT format('%I', pg_get_userbyid(c.relowner)), 'WITH (' || array_to_string(c.reloptions, ', ') || ')'
      INTO owner, options
      FROM pg_class AS c WHERE c.oid = plain;
    EXECUTE format('ALTER TABLE %s RENAME TO %I', plain, name || '_plain');
    EXECUTE format('CREATE TABLE backup_codes.%I (LIKE %s INCLUDING ALL EXCLUDING INDEXES) PARTITION BY HASH (user_id)',
                   name, plain);
    EXECUTE format('ALTER TABLE backup_codes.%I OWNER TO %s', name, owner);
    EXECUTE format('COMMENT ON TABLE backup_codes.%I IS %L', name, obj_description(plain, 'pg_class'));
    FOR remainder IN 0 .. partitions - 1 LOOP
      leaf := format('backup_codes.%I', format('%s_p%s', name, remainder));
      EXECUTE format('CREATE TABLE %s PARTITION OF backup_codes.%I FOR VALUES WITH (MODULUS %s, REMAINDER %s) %s',
                     leaf, name, partitions, remainder, options);
      EXECUTE format('ALTER TABLE %s OWNER TO %s', leaf, owner);
      EXECUTE format('COMMENT ON TABLE %s IS %L', leaf, format('Partition %s of %s of backup_codes.%s.', remainder, partitions, name));
      leaves := leaves || leaf::regclass::oid;
    END LOOP;
    -- Indexes are built when the rows are there: that is faster than row by row.
    EXECUTE format('INSERT INTO backup_codes.%I SELECT * FROM %s', name, plain);
  END LOOP;

  FOREACH statement IN ARRAY views LOOP
    EXECUTE statement;
  END LOOP;

  FOREACH name IN ARRAY names LOOP
    plain := format('backup_codes.%I', name || '_plain');
    SELECT array_agg(CASE WHEN k.oid IS NULL THEN replace(pg_get_indexdef(i.indexrelid), format(' ON %s ', plain), format(' ON backup_codes.%I ', name))
                          ELSE format('ALTER TABLE backup_codes.%I ADD CONSTRAINT %I %s', name, k.conname, pg_get_constraintdef(k.oid)) END
                     ORDER BY i.indexrelid)
      INTO indexes
      FROM pg_index AS i LEFT JOIN pg_constraint AS k ON k.conindid = i.indexrelid AND k.conrelid = i.indrelid
     WHERE i.indrelid = plain;
    SELECT array_agg(format('GRANT %s %s ON backup_codes.%I TO %s %s', a.privilege_type, '(' || quote_ident(l.attname) || ')', name,
                            CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE format('%I', pg_get_userbyid(a.grantee)) END,
                            CASE WHEN a.is_grantable THEN 'WITH GRANT OPTION' END))
      INTO grants
      FROM pg_class AS c
     CROSS JOIN LATERAL (
       SELECT NULL::name, c.relacl
       UNION ALL
       SELECT t.attname, t.attacl FROM pg_attribute AS t WHERE t.attrelid = c.oid AND NOT t.attisdropped
     ) AS l (attname, acl)
     CROSS JOIN LATERAL aclexplode(l.acl) AS a
     WHERE c.oid = plain AND a.grantee <> c.relowner;

    EXECUTE format('ALTER EXTENSION backup_codes DROP TABLE %s', plain);
    EXECUTE format('DROP TABLE %s', plain);
    FOREACH statement IN ARRAY indexes LOOP
      EXECUTE statement;
    END LOOP;

    -- ALTER DEFAULT PRIVILEGES may have handed out the new tables. What was granted on the old one comes back, and only when
    -- the table is a member: a dump then tells it from what the extension itself has set.
    FOR leaf, statement IN
      SELECT t.relid::regclass, format('REVOKE ALL ON TABLE %s FROM %s', t.relid::regclass,
                    CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE format('%I', pg_get_userbyid(a.grantee)) END)
        FROM pg_partition_tree(format('backup_codes.%I', name)::regclass) AS t
        JOIN pg_class AS c ON c.oid = t.relid
       CROSS JOIN LATERAL aclexplode(c.relacl) AS a
       WHERE a.grantee <> c.relowner
    LOOP
      EXECUTE statement;
    END LOOP;
    FOR leaf IN SELECT t.relid::regclass FROM pg_partition_tree(format('backup_codes.%I', name)::regclass) AS t LOOP
      EXECUTE format('ALTER EXTENSION backup_codes ADD TABLE %s', leaf);
    END LOOP;
    FOREACH statement IN ARRAY coalesce(grants, '{}') LOOP
      EXECUTE statement;
    END LOOP;
  END LOOP;

  -- pg_dump takes the rows of a partitioned table from its partitions, so these are marked, and pg_extension_config_dump can be
  -- called by the script of an extension alone.
  UPDATE pg_extension
     SET extconfig = coalesce(extconfig, '{}') || leaves,
         extcondition = coalesce(extcondition, '{}') || array_fill(''::text, ARRAY[cardinality(leaves)])
   WHERE extname = 'backup_codes';
END
$block$;

COMMIT;

-- Autovacuum does not analyze a partitioned table.
ANALYZE backup_codes.account, backup_codes.pending_set, backup_codes.code, backup_codes.event;
