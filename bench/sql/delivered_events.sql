INSERT INTO backup_codes.event (user_id, event_id, at, delivered_at, attempts, kind, set_no, ordinal, remaining, low)
SELECT (n / 10)::text, gen_random_uuid(), now() - interval '1 day', now() - interval '1 day', 1, 'used', 1, 1, 9, false
  FROM generate_series(1, :events) AS n;
