SELECT backup_codes_consume(id, code) FROM shown WHERE n = :n;
