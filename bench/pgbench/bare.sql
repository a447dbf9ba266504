WITH spent AS (
  DELETE FROM backup_codes.code
   WHERE user_id = :id::text AND code_hash = int8send(:code::bigint) || '\x0000000000000000'::bytea
  RETURNING set_no, ordinal, code_hash
), counted AS (
  UPDATE backup_codes.account AS a
     SET unused = unused - 1, failures = 0, locked_until = NULL, last_used_at = clock_timestamp(),
         burned = burned || int2send(ordinal) || spent.code_hash
    FROM spent
   WHERE a.user_id = :id::text
  RETURNING unused
)
INSERT INTO backup_codes.event (user_id, event_id, at, due_at, kind, set_no, ordinal, remaining, low)
SELECT :id::text, gen_random_uuid(), clock_timestamp(), clock_timestamp(), 'used', set_no, ordinal, unused, unused <= 2
  FROM spent, counted
RETURNING true;
