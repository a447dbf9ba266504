-- Consume as a careful developer writes it by hand, on the same tables and leaving the same behind.
CREATE SCHEMA hand;

CREATE FUNCTION hand.consume(whose bigint, typed text, notify boolean DEFAULT false) RETURNS boolean
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
  who text := whose::text;
  held record;
  hash bytea;
  place smallint;
  left_over smallint;
  id uuid := gen_random_uuid();
  spent_at timestamptz := clock_timestamp();
BEGIN
  SELECT set_no, salt, locked_until, expires_at INTO held
    FROM backup_codes.account WHERE user_id = who FOR NO KEY UPDATE;
  IF NOT FOUND OR held.locked_until > spent_at OR held.expires_at <= spent_at THEN
    RETURN false;
  END IF;
  hash := substr(digest('\x6261636b75705f636f64657302'::bytea || held.salt || typed::bytea, 'sha256'), 1, 16);
  DELETE FROM backup_codes.code WHERE user_id = who AND code_hash = hash AND set_no = held.set_no
    RETURNING ordinal INTO place;
  IF NOT FOUND THEN
    UPDATE backup_codes.account
       SET failures = failures + 1,
           locked_until = CASE WHEN (failures + 1) % 5 = 0 THEN spent_at + interval '15 minutes' ELSE locked_until END
     WHERE user_id = who;
    RETURN false;
  END IF;
  UPDATE backup_codes.account
     SET unused = unused - 1, failures = 0, locked_until = NULL, last_used_at = spent_at,
         burned = burned || int2send(place) || hash
   WHERE user_id = who
   RETURNING unused INTO left_over;
  INSERT INTO backup_codes.event (user_id, event_id, at, due_at, kind, set_no, ordinal, remaining, low)
  VALUES (who, id, spent_at, spent_at, 'used', held.set_no, place, left_over, left_over <= 2);
  IF notify THEN
    PERFORM pg_notify('backup_codes', json_build_object(
      'event', 'used', 'event_id', id, 'user_id', who, 'remaining', left_over, 'low', left_over <= 2, 'at', spent_at)::text);
  END IF;
  RETURN true;
END
$$;
