SELECT crypt('00000000', hash) FROM framework.code WHERE user_id = :cost::bigint AND ordinal = 1;
