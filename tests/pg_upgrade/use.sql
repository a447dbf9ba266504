-- What was shown in an older version is worth as much in this one. Prints t, f for each kind of user.
SELECT user_id, backup_codes_consume(user_id, code) AS once, backup_codes_consume(user_id, code) AS twice
  FROM shown WHERE n = :n ORDER BY user_id COLLATE "C";
SELECT bool_and(pending) FROM (SELECT DISTINCT user_id FROM shown WHERE n > 100) AS u, backup_codes_status(u.user_id);
