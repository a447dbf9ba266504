INSERT INTO backup_codes.event (user_id, event_id, at, due_at, kind, set_no, ordinal, remaining, low)
SELECT (1 + n % 10000)::text, gen_random_uuid(), now() - interval '1 hour' + n * interval '1 microsecond',
       now() - interval '1 hour' + n * interval '1 microsecond', 'used', 1, 1, 9, false
  FROM generate_series(1, :events) AS n;
