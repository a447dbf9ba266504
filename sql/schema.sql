-- Tables and views. The functions follow in functions.sql, privileges and dump marks in privileges.sql.
-- Names are resolved in pg_catalog alone, so that nothing in the target schema can be captured.
SET LOCAL search_path = pg_catalog, pg_temp;

-- Whoever names this schema for the functions made it before, and learns here that it is for the tables.
DO $block$
BEGIN
  IF to_regnamespace('backup_codes') IS NOT NULL THEN
    RAISE EXCEPTION 'schema "backup_codes" already exists'
      USING ERRCODE = 'duplicate_schema',
            HINT = 'The extension makes this schema for its tables. Drop it or rename it, and put the functions into another one: '
                   'CREATE EXTENSION backup_codes SCHEMA public.';
  END IF;
END
$block$;

CREATE SCHEMA backup_codes;

-- Columns stand in the order of their alignment, which saves up to 14 bytes a row; a format and a scheme are one letter, and
-- an event that nobody claimed has no number of attempts, which each save a step of 8 bytes.
-- A user id has at most 255 bytes in UTF-8, which the functions check. There are no CHECK constraints: PostgreSQL reads their
-- text anew for every statement, which was a sixth of consume, and only these functions write here.
-- Every primary key contains user_id, so that the tables can be partitioned or distributed by it.
CREATE TABLE backup_codes.account (
  generated_at timestamptz,
  confirmed_at timestamptz,
  expires_at timestamptz,
  last_used_at timestamptz,
  locked_until timestamptz,
  mark bigint,
  set_counter integer NOT NULL,
  set_no integer,
  replaced_set_no integer,
  failures integer NOT NULL DEFAULT 0,
  failures_at_lock integer NOT NULL DEFAULT 0,
  argon2_memory integer,
  key_id integer,
  argon2_iterations smallint,
  length smallint,
  total smallint,
  unused smallint NOT NULL DEFAULT 0,
  alphabet "char",
  scheme "char",
  salt bytea,
  seal bytea,
  user_id text COLLATE "C" NOT NULL,
  burned bytea NOT NULL DEFAULT '',
  CONSTRAINT account_pkey PRIMARY KEY (user_id)
) WITH (fillfactor = 90);

-- A set of 100 burned codes is 1,800 incompressible bytes: kept in line, a consume needs no TOAST table.
ALTER TABLE backup_codes.account ALTER COLUMN burned SET STORAGE MAIN;

CREATE TABLE backup_codes.pending_set (
  generated_at timestamptz NOT NULL,
  expires_at timestamptz,
  mark bigint,
  set_no integer NOT NULL,
  failures integer NOT NULL DEFAULT 0,
  argon2_memory integer,
  key_id integer,
  argon2_iterations smallint,
  length smallint NOT NULL,
  total smallint NOT NULL,
  alphabet "char" NOT NULL,
  scheme "char" NOT NULL,
  salt bytea NOT NULL,
  seal bytea,
  user_id text COLLATE "C" NOT NULL,
  CONSTRAINT pending_set_pkey PRIMARY KEY (user_id)
);

CREATE TABLE backup_codes.code (
  set_no integer NOT NULL,
  ordinal smallint NOT NULL,
  user_id text COLLATE "C" NOT NULL,
  code_hash bytea NOT NULL,
  CONSTRAINT code_pkey PRIMARY KEY (user_id, code_hash)
);

CREATE TABLE backup_codes.event (
  event_id uuid NOT NULL,
  lease uuid,
  at timestamptz NOT NULL,
  due_at timestamptz,
  delivered_at timestamptz,
  set_no integer,
  ordinal smallint,
  remaining smallint,
  attempts smallint,
  low boolean,
  user_id text COLLATE "C" NOT NULL,
  kind text COLLATE "C" NOT NULL,
  reason text COLLATE "C",
  actor text COLLATE "C" NOT NULL DEFAULT session_user,
  client_addr inet DEFAULT inet_client_addr(),
  context text,
  park_reason text,
  CONSTRAINT event_pkey PRIMARY KEY (user_id, event_id)
);

CREATE INDEX event_waiting_idx ON backup_codes.event (due_at, at) WHERE due_at IS NOT NULL;

CREATE VIEW backup_codes.overview AS
SELECT a.user_id,
       a.unused > 0 AND (a.expires_at IS NULL OR a.expires_at > clock_timestamp()) AS enabled,
       a.set_no,
       a.unused::integer AS unused,
       a.total::integer AS total,
       p.user_id IS NOT NULL AS pending,
       a.generated_at,
       a.confirmed_at,
       a.expires_at,
       a.last_used_at,
       a.failures,
       -- A lock that ends more than two days ahead was set by a clock that was wrong, and does not count.
       CASE WHEN a.locked_until > clock_timestamp() AND a.locked_until <= clock_timestamp() + interval '48 hours'
            THEN a.locked_until END AS locked_until,
       CASE a.alphabet WHEN 'b' THEN 'base32' WHEN 'h' THEN 'hex' WHEN 'd' THEN 'decimal' END AS alphabet,
       a.length::integer AS length,
       CASE a.scheme WHEN 's' THEN 'sha256' WHEN 'a' THEN 'argon2id' END AS scheme,
       a.key_id
  FROM backup_codes.account AS a
  LEFT JOIN backup_codes.pending_set AS p ON p.user_id = a.user_id;

CREATE VIEW backup_codes.events AS
SELECT event_id, user_id, kind, reason, at, set_no, ordinal::integer AS ordinal, remaining::integer AS remaining, low,
       actor, client_addr, context, coalesce(attempts, 0)::integer AS attempts,
       -- As the functions see it: a due time more than two days ahead was set by a clock that was wrong.
       CASE WHEN delivered_at IS NOT NULL THEN 'delivered'
            WHEN due_at IS NULL THEN 'history'
            WHEN due_at = 'infinity' THEN 'parked'
            WHEN due_at <= clock_timestamp() OR due_at > clock_timestamp() + interval '48 hours' THEN 'waiting'
            WHEN lease IS NULL THEN 'delayed'
            ELSE 'leased' END AS delivery,
       park_reason, delivered_at
  FROM backup_codes.event;
