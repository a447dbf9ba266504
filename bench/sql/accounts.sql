-- Sets of ten codes for the users 1 to :users. Codes are 18 decimal digits, the integers of pgbench: the code of user u with
-- ordinal o is 10^17 + 1000 u + o.
INSERT INTO backup_codes.account (user_id, set_counter, set_no, generated_at, alphabet, length, scheme, salt, total, unused)
SELECT u::text, 1, 1, now(), 'decimal', 18, 'sha256', gen_random_bytes(16), 10, 10
  FROM generate_series(1, :users) AS u;
